//! A server that knows nothing of version 1: it speaks `whisper-fastapi`, is right or has one fault, and is certified in that dialect.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use lastword::case::catalogue;
use lastword::certificate::{End, Level, conclude};
use lastword::dialect;
use lastword::memory;
use lastword::run::Run;
use lastword::subject::Target;
use lastword::wire::Dialler;
use lastword_spec::finding::{FindingKind, Verdict};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Takes whatever comes after the end and drops it without a word.
    DropsWhatIsLate,
    /// Tells its client what only its log should hear.
    TellsPaths,
    /// Waits for more audio after the end.
    WaitsForMore,
    /// Closes without a word after the last final.
    NoSessionEnded,
    /// Forgets the final of speech that nothing follows.
    LosesTheLast,
}

async fn certified(fault: Fault) -> Run {
    let dialect = dialect::choose("whisper-fastapi").expect("it comes with the harness");
    let target = Target { path: "/".to_owned(), ..memory::target() };
    let accept = move |stream: DuplexStream| {
        drop(tokio::spawn(serve(stream, fault, |uri| assert_eq!(uri, "/ws/transcribe", "the path of the dialect"))));
    };
    let dialler = Dialler::in_memory(target, accept).speaking(dialect);
    memory::certify(memory::plan_with(dialler, catalogue().iter().collect())).await.run
}

/// The requirements that a failure names, each with what was found first.
fn broken(run: &Run) -> Vec<(String, FindingKind)> {
    let mut found: Vec<(String, FindingKind)> = Vec::new();
    for result in run.results.iter().filter(|result| result.verdict.is_failure()) {
        for finding in result.evidence.iter().flat_map(|evidence| &evidence.judgement.findings) {
            let id = finding.requirement.to_string();
            if !found.iter().any(|(known, _)| *known == id) {
                found.push((id, finding.kind));
            }
        }
    }
    found.sort_by(|left, right| left.0.cmp(&right.0));
    found
}

#[tokio::test(start_paused = true)]
async fn a_right_server_is_certified_for_level_1_and_the_report_says_why_not_for_more() {
    let run = certified(Fault::None).await;
    let undone: Vec<(&str, Verdict, Option<&str>)> = run
        .results
        .iter()
        .filter(|result| !matches!(result.verdict, Verdict::Pass | Verdict::NotApplicable))
        .map(|result| (result.case.id.as_str(), result.verdict, result.reason.as_deref()))
        .collect();
    assert_eq!(undone, [], "{:?}", broken(&run));
    let passed = run.results.iter().filter(|result| result.verdict == Verdict::Pass).count();
    assert!(passed >= 20, "{passed} cases passed");
    let level = conclude(&run.results, run.planned, &run.knowledge, None, End::default()).level;
    assert_eq!((level.level, level.hindrances.as_slice()), (Some(Level::L1), [].as_slice()));
    assert!(level.at_most.is_some_and(|why| why.contains("whisper-fastapi")));
    assert!(level.not_applicable.iter().any(|one| one.requirement == "FLU-S2"));
    let kept = |id: &str| {
        run.results.iter().any(|result| {
            result.verdict == Verdict::Pass && result.case.covers.iter().any(|covered| covered.as_str() == id)
        })
    };
    for id in ["END-S2", "END-S4", "END-S5", "END-S6", "MSG-S4", "AUD-S2", "CLO-S2"] {
        assert!(kept(id), "{id} can be seen in this dialect");
    }
}

#[tokio::test(start_paused = true)]
async fn each_fault_is_named_by_its_clause_as_it_is_in_version_1() {
    for (fault, id, kind) in [
        (Fault::DropsWhatIsLate, "END-S4", FindingKind::Unanswered),
        (Fault::TellsPaths, "SEC-S4", FindingKind::LeakedSecret),
        (Fault::WaitsForMore, "END-S2", FindingKind::Stalled),
        (Fault::NoSessionEnded, "END-S2", FindingKind::ClosedWithoutEnd),
        (Fault::LosesTheLast, "END-S2", FindingKind::LostFinal),
    ] {
        let run = certified(fault).await;
        let broken = broken(&run);
        assert!(broken.contains(&(id.to_owned(), kind)), "{fault:?}: {broken:?}");
    }
}

/// What a connection is made of.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Transport for T {}

/// One connection, whose path and query are looked at.
#[expect(clippy::result_large_err, reason = "the type of the library's callback")]
pub(crate) async fn serve(stream: impl Transport, fault: Fault, look_at: impl Fn(&str) + Unpin) {
    let at_its_path = |request: &Request, response: Response| {
        look_at(&request.uri().to_string());
        Ok(response)
    };
    let Ok(socket) = accept_hdr_async(stream, at_its_path).await else { return };
    let mut session = Session { socket, fault, configured: false, heard: Vec::new(), rest: Vec::new(), samples: 0 };
    // Who is gone needs no answer.
    if let Err(Error::Utf8(_)) = session.run().await {
        let close = CloseFrame { code: CloseCode::Invalid, reason: "".into() };
        let _ = session.socket.close(Some(close)).await;
    }
    // The library answers a Close as it reads on.
    while session.socket.next().await.is_some_and(|message| message.is_ok()) {}
}

struct Session<S> {
    socket: WebSocketStream<S>,
    fault: Fault,
    configured: bool,
    /// Positions of the loud stretches of 100 ms, in samples.
    heard: Vec<usize>,
    rest: Vec<u8>,
    samples: usize,
}

const STRETCH: usize = 1_600;

impl<S: Transport> Session<S> {
    async fn run(&mut self) -> Result<(), Error> {
        while let Some(message) = self.socket.next().await {
            match message? {
                Message::Binary(audio) if !self.configured || audio.len() % 2 == 1 => {
                    self.refuse("this audio cannot be taken").await?;
                }
                Message::Binary(audio) => self.listen(&audio),
                Message::Text(text) => match serde_json::from_str::<Value>(&text) {
                    Ok(Value::Object(object)) => match object.get("type").map(Value::as_str) {
                        None if !self.configured => {
                            self.configured = true;
                            self.say(json!({ "type": "ready" })).await?;
                        }
                        Some(Some("keepalive")) => {}
                        Some(Some("end_of_stream")) => return self.end().await,
                        _ => self.refuse("there is no such message").await?,
                    },
                    _ if self.fault == Fault::TellsPaths => {
                        self.refuse("Expecting value: line 1 in /usr/lib/python3/json/decoder.py").await?;
                    }
                    _ => self.refuse("this is no JSON object").await?,
                },
                Message::Close(_) => return Ok(()),
                _ => {}
            }
        }
        Ok(())
    }

    fn listen(&mut self, audio: &[u8]) {
        self.rest.extend_from_slice(audio);
        let whole = self.rest.len() / (2 * STRETCH) * 2 * STRETCH;
        for stretch in self.rest.drain(..whole).collect::<Vec<u8>>().chunks(2 * STRETCH) {
            let loud = stretch.chunks(2).any(|sample| i16::from_le_bytes([sample[0], sample[1]]).unsigned_abs() > 600);
            if loud {
                self.heard.push(self.samples);
            }
            self.samples += STRETCH;
        }
    }

    /// Decodes for a while; what comes meanwhile is refused.
    async fn end(&mut self) -> Result<(), Error> {
        if self.fault == Fault::WaitsForMore {
            while !matches!(self.socket.next().await, Some(Ok(Message::Binary(_) | Message::Close(_))) | None) {}
        }
        let over = tokio::time::Instant::now() + Duration::from_millis(250);
        while let Ok(Some(message)) = tokio::time::timeout_at(over, self.socket.next()).await {
            match message? {
                Message::Binary(_) | Message::Text(_) if self.fault == Fault::DropsWhatIsLate => {}
                Message::Binary(_) => self.refuse("audio after the end is not heard").await?,
                Message::Text(text) if text.contains("keepalive") => {}
                Message::Text(_) => self.refuse("the stream has ended").await?,
                Message::Close(_) => return Ok(()),
                _ => {}
            }
        }
        if let (Some(first), Some(last)) = (self.heard.first(), self.heard.last()) {
            let seconds = |samples: usize| samples as f64 / 16_000.0;
            let text = self.heard.chunks(3).map(|_| "word").collect::<Vec<_>>().join(" ");
            let result = json!({
                "type": "final", "text": text, "start": seconds(*first), "end": seconds(last + STRETCH), "confidence": -0.1
            });
            let at_the_very_end = last + 8 * STRETCH > self.samples;
            if self.fault != Fault::LosesTheLast || !at_the_very_end {
                self.say(result).await?;
            }
        }
        if self.fault != Fault::NoSessionEnded {
            self.say(json!({ "type": "session_ended", "message": "bye" })).await?;
        }
        self.socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() })).await
    }

    async fn refuse(&mut self, why: &str) -> Result<(), Error> {
        self.say(json!({ "type": "error", "message": why })).await
    }

    async fn say(&mut self, message: Value) -> Result<(), Error> {
        self.socket.send(Message::text(message.to_string())).await
    }
}
