//! The driver against a harness played by hand: calls one after the other, events meanwhile, one last word a session.

use std::sync::{Arc, Mutex};

use lastword_driver::{Client, ClientOutcome, Ended, Events, Lack, NotStarted, Told, ToldWhat, drive};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines};
use tokio::sync::{Notify, mpsc};

/// A client whose pushes wait until it is let go, and which tells what it is asked.
struct Slow {
    let_go: Arc<Notify>,
    telling: Telling,
}

/// The way to the events, for the tests too; gone when the input is over.
type Telling = Arc<Mutex<Option<mpsc::UnboundedSender<Told>>>>;

impl Slow {
    fn tell(&self, told: Told) -> Result<(), String> {
        let telling = self.telling.lock().unwrap();
        let telling = telling.as_ref().ok_or("the input is over already")?;
        telling.send(told).map_err(|_| "over".to_owned())
    }
}

struct Heard(mpsc::UnboundedReceiver<Told>);

impl Client for Slow {
    type Events = Heard;

    async fn start(&mut self, url: &str, token: Option<&str>) -> Result<Heard, NotStarted> {
        if url == "ws://nobody/" {
            let ended = Ended { outcome: ClientOutcome::Error, code: Some("refused".into()), retryable: None };
            return Err(NotStarted { failed: "nobody is there".into(), ended });
        }
        let (telling, told) = mpsc::unbounded_channel();
        let text = Some(format!("{url} {token:?}"));
        telling.send(Told { text, ..Told::new(ToldWhat::Ready) }).unwrap();
        *self.telling.lock().unwrap() = Some(telling);
        Ok(Heard(told))
    }

    async fn push(&mut self, pcm: Vec<u8>) -> Result<(), String> {
        let count = Some(pcm.len() as u64);
        self.tell(Told { count, ..Told::new(ToldWhat::Other) })?;
        self.let_go.notified().await;
        Ok(())
    }

    async fn flush(&mut self, number: u32) -> Result<(), String> {
        let number = Some(number);
        self.tell(Told { number, ..Told::new(ToldWhat::Flushed) })
    }

    async fn end(&mut self) -> Result<(), String> {
        self.telling.lock().unwrap().take().map(drop).ok_or_else(|| "the input is over already".to_owned())
    }

    async fn close(&mut self) -> Result<(), String> {
        self.end().await
    }

    async fn left(&mut self) -> u64 {
        3
    }
}

impl Events for Heard {
    async fn next(&mut self) -> Option<Result<Told, String>> {
        let told = self.0.recv().await?;
        // A text alone stands for an item that is an `Err`.
        Some(if told.what == ToldWhat::Error { Err(told.text.unwrap_or_default()) } else { Ok(told) })
    }

    fn ended(&mut self) -> Ended {
        Ended { outcome: ClientOutcome::Complete, code: None, retryable: None }
    }
}

/// The harness's end.
struct Harness {
    orders: DuplexStream,
    lines: Lines<BufReader<DuplexStream>>,
    let_go: Arc<Notify>,
    telling: Telling,
    driving: tokio::task::JoinHandle<Result<(), String>>,
}

fn harness() -> Harness {
    let (orders, stdin) = tokio::io::duplex(1 << 16);
    let (stdout, lines) = tokio::io::duplex(1 << 16);
    let let_go = Arc::new(Notify::new());
    let telling = Telling::default();
    let client = Slow { let_go: Arc::clone(&let_go), telling: Arc::clone(&telling) };
    let driving = tokio::spawn(async move {
        drive(client, "slow 1", &[Lack::Close], stdin, stdout).await.map_err(|error| error.to_string())
    });
    Harness { orders, lines: BufReader::new(lines).lines(), let_go, telling, driving }
}

impl Harness {
    async fn order(&mut self, line: &str) {
        self.orders.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn line(&mut self) -> String {
        self.lines.next_line().await.unwrap().expect("a line")
    }
}

#[tokio::test(start_paused = true)]
async fn events_go_on_while_a_push_waits_and_calls_come_back_in_order() {
    let mut harness = harness();
    harness.order(r#"{"do":"hello","version":1}"#).await;
    assert_eq!(harness.line().await, r#"{"hello":{"version":1,"client":"slow 1","lacks":["close"]}}"#);
    harness.order(r#"{"do":"start","number":1,"url":"ws://a/","token":"t"}"#).await;
    assert_eq!(harness.line().await, r#"{"returned":{"number":1,"what":"start"}}"#);
    assert_eq!(harness.line().await, r#"{"told":{"what":"ready","text":"ws://a/ Some(\"t\")"}}"#);
    harness.order(r#"{"do":"push","number":2,"audio_ms":1,"pcm_s16le_base64":"AAAAAA=="}"#).await;
    harness.order(r#"{"do":"flush","number":3}"#).await;
    assert_eq!(harness.line().await, r#"{"told":{"what":"other","count":4}}"#, "while the push waits");
    harness.let_go.notify_one();
    assert_eq!(harness.line().await, r#"{"returned":{"number":2,"what":"push"}}"#);
    let mut both = [harness.line().await, harness.line().await];
    both.sort();
    assert_eq!(both, [r#"{"returned":{"number":3,"what":"flush"}}"#, r#"{"told":{"what":"flushed","number":3}}"#]);
    harness.order(r#"{"do":"end","number":4}"#).await;
    harness.order(r#"{"do":"end","number":5}"#).await;
    let mut rest = vec![harness.line().await, harness.line().await, harness.line().await];
    rest.sort();
    assert_eq!(
        rest,
        [
            r#"{"returned":{"number":4,"what":"end"}}"#,
            r#"{"returned":{"number":5,"what":"end","failed":"the input is over already"}}"#,
            r#"{"told":{"what":"ended","outcome":"complete"}}"#,
        ]
    );
    harness.order(r#"{"do":"report"}"#).await;
    assert_eq!(harness.line().await, r#"{"told":{"what":"left","count":3}}"#);
    harness.order(r#"{"do":"quit"}"#).await;
    assert_eq!(harness.driving.await.unwrap(), Ok(()));
    assert_eq!(harness.lines.next_line().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_never_began_fails_its_call_and_has_a_last_word() {
    let mut harness = harness();
    harness.order(r#"{"do":"start","number":1,"url":"ws://nobody/"}"#).await;
    assert_eq!(harness.line().await, r#"{"returned":{"number":1,"what":"start","failed":"nobody is there"}}"#);
    assert_eq!(harness.line().await, r#"{"told":{"what":"ended","code":"refused","outcome":"error"}}"#);
    drop(harness.orders);
    assert_eq!(harness.driving.await.unwrap(), Ok(()), "the harness went away");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_order_stops_the_driver_aloud() {
    let mut harness = harness();
    harness.order(r#"{"do":"push","number":2,"audio_ms":1,"pcm_s16le_base64":"?"}"#).await;
    let why = harness.driving.await.unwrap().unwrap_err();
    assert!(why.contains("pcm_s16le_base64") && why.contains("base64"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn an_item_that_is_an_err_is_told_and_is_the_end_if_nothing_follows_it() {
    let mut harness = harness();
    let telling = harness.telling.clone();
    let raise = |text: &str| {
        let told = Told { text: Some(text.into()), ..Told::new(ToldWhat::Error) };
        telling.lock().unwrap().as_ref().unwrap().send(told).unwrap();
    };
    harness.order(r#"{"do":"start","number":1,"url":"ws://a/"}"#).await;
    assert_eq!(harness.line().await, r#"{"returned":{"number":1,"what":"start"}}"#);
    assert!(harness.line().await.contains("ready"));
    raise("one");
    assert_eq!(harness.line().await, r#"{"told":{"what":"error","text":"one"}}"#);
    harness.order(r#"{"do":"flush","number":2}"#).await;
    let mut both = [harness.line().await, harness.line().await];
    both.sort();
    assert!(both[1].contains("flushed"), "it was not the end: {both:?}");
    raise("two");
    assert_eq!(harness.line().await, r#"{"told":{"what":"error","text":"two"}}"#);
    harness.order(r#"{"do":"end","number":3}"#).await;
    let mut both = [harness.line().await, harness.line().await];
    both.sort();
    let ended = r#"{"told":{"what":"ended","text":"two","outcome":"error","raised":true}}"#;
    assert_eq!(both, [r#"{"returned":{"number":3,"what":"end"}}"#, ended]);
}

#[tokio::test(start_paused = true)]
async fn a_close_drops_the_push_that_waits_and_goes_before_what_came_behind_it() {
    let mut harness = harness();
    harness.order(r#"{"do":"start","number":1,"url":"ws://a/"}"#).await;
    harness.order(r#"{"do":"push","number":2,"audio_ms":1,"pcm_s16le_base64":"AAAAAA=="}"#).await;
    for _ in 0..3 {
        harness.line().await;
    }
    harness.order(r#"{"do":"flush","number":3}"#).await;
    harness.order(r#"{"do":"close","number":4}"#).await;
    let mut rest = Vec::new();
    for _ in 0..4 {
        rest.push(harness.line().await);
    }
    rest.retain(|line| !line.contains("told"));
    let dropped = "dropped: its application did not wait for it any more";
    assert_eq!(rest[0], format!(r#"{{"returned":{{"number":2,"what":"push","failed":"{dropped}"}}}}"#));
    assert_eq!(rest[1], r#"{"returned":{"number":4,"what":"close"}}"#);
    assert!(rest[2].contains(r#""number":3"#) && rest[2].contains("failed"), "{rest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_push_that_never_comes_back_holds_neither_the_report_nor_the_process() {
    let mut harness = harness();
    harness.order(r#"{"do":"start","number":1,"url":"ws://a/"}"#).await;
    harness.order(r#"{"do":"push","number":2,"audio_ms":1,"pcm_s16le_base64":"AAAAAA=="}"#).await;
    harness.order(r#"{"do":"report"}"#).await;
    let mut told = String::new();
    while !told.contains("left") {
        told = harness.line().await;
    }
    harness.order(r#"{"do":"push","number":3,"audio_ms":1,"pcm_s16le_base64":"AAAAAA=="}"#).await;
    harness.order(r#"{"do":"quit"}"#).await;
    assert_eq!(harness.driving.await.unwrap(), Ok(()));
}
