//! Owns the course of a jam: the server reads nothing until what the client sends stands still, says results, and reads on when the
//! client has read them, or does not read them. What is on its way is noted whenever it changes; it judges nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::SinkExt as _;
use lastword_spec::trace::{EventKind, Side};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::super::gauge::{Flow, Gauge};
use super::super::reader::Reading;
use super::super::script::Jam;
use super::super::stage::Stage;
use super::super::tongue::Tongue;
use super::Player;
use crate::record::Recorder;

/// How often the transport is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// The same for what follows at once when the server reads on.
const CLOSE_LOOK: Duration = Duration::from_millis(20);
/// What stands for so long stands still: longer than the longest frame, which a client may send all at once. [AUD-C1]
const STILL: Duration = Duration::from_millis(1_500);
/// How long a client has to fill what lies between it and a server that reads nothing, and to read what the server says.
const FILL: Duration = Duration::from_secs(10);
/// The same where nobody says how full that is.
const BLIND_FILL: Duration = Duration::from_secs(3);
/// So long nothing of the client's is on its way: it sends nothing any more.
const EMPTY: Duration = Duration::from_secs(3);
/// How long the reader has to stop by itself.
const STOP: Duration = Duration::from_secs(1);
/// How long what follows when the server reads on follows at once.
const RELEASE: Duration = Duration::from_secs(1);
/// How long it is watched whether the client reads on when the server does: it may do so only when all its audio is sent.
const WATCH: Duration = Duration::from_secs(10);
/// How long the text of one result is. There are many of them: a client's library may queue some dozens, however long they are.
const RESULT_BYTES: usize = 512;

impl<S: AsyncRead + AsyncWrite + Unpin> Player<'_, S> {
    pub(super) async fn jam(&mut self, jam: Jam) {
        let (saying, mut said) = mpsc::unbounded_channel();
        let Self { conn, writer, recorder, stage, reading, gauge, stops, tongue, .. } = self;
        let course = Course {
            conn: *conn,
            recorder,
            gauge,
            reading,
            stops,
            stage,
            tongue: tongue.as_ref(),
            saying,
            written: gauge.written(),
            said_bytes: 0,
            seen: None,
        };
        // Writing goes on whatever the client does with it, and whether or not the server reads.
        let mouth = async {
            while let Some(message) = said.recv().await {
                if writer.send(message).await.is_err() {
                    return false;
                }
            }
            true
        };
        tokio::pin!(mouth);
        let is_open = tokio::select! {
            is_open = &mut mouth => {
                self.recorder.note(self.conn, EventKind::Reads { reads: true });
                self.reading.send_replace(Reading::On);
                is_open
            }
            () = course.run(jam) => timeout(FILL, mouth).await.unwrap_or_else(|_| {
                let what = "some of the results above were never written: the client did not read the others";
                self.recorder.note(self.conn, EventKind::Note(what.to_owned()));
                true
            }),
        };
        self.is_over |= !is_open;
    }
}

/// One jam, and what was seen of it.
struct Course<'a> {
    conn: u32,
    recorder: &'a Recorder,
    gauge: &'a Gauge,
    reading: &'a watch::Sender<Reading>,
    stops: &'a AtomicU64,
    stage: &'a mut Stage,
    tongue: Option<&'a Tongue>,
    saying: mpsc::UnboundedSender<Message>,
    /// What the transport had taken when it began.
    written: u64,
    said_bytes: u64,
    seen: Option<Flow>,
}

impl Course<'_> {
    async fn run(mut self, jam: Jam) {
        self.stops_reading().await;
        self.until_sends_stand_still().await;
        self.says(jam.results_bytes);
        self.until_read_or_stuck(Duration::from_millis(jam.unread_ms)).await;
        self.reads_on().await;
    }

    /// The reader has stopped by itself at this point of the audio, or does so now.
    async fn stops_reading(&self) {
        let end = Instant::now() + STOP;
        while self.stops.load(Ordering::Acquire) == 0 {
            if Instant::now() >= end {
                self.recorder.note(self.conn, EventKind::Reads { reads: false });
                self.reading.send_replace(Reading::Off);
                return;
            }
            sleep(CLOSE_LOOK).await;
        }
    }

    /// What is on its way now; noted where it changed.
    fn look(&mut self) -> Flow {
        let taken = self.gauge.written() - self.written;
        let flow = self.gauge.flow(self.said_bytes.saturating_sub(taken));
        if self.seen != Some(flow) {
            self.seen = Some(flow);
            self.recorder.note(self.conn, flow.event());
        }
        flow
    }

    /// Notes what is on its way though it did not change: so long it stood.
    fn stood(&mut self) {
        if let Some(flow) = self.seen {
            self.recorder.note(self.conn, flow.event());
        }
    }

    async fn until_sends_stand_still(&mut self) {
        let began = Instant::now();
        let (mut waiting, mut since) = (None, began);
        while began.elapsed() < FILL {
            let now = self.look().waiting;
            if now != waiting {
                (waiting, since) = (now, Instant::now());
            }
            let enough = match now {
                None => BLIND_FILL,
                Some(0) => EMPTY,
                Some(_) => STILL,
            };
            if since.elapsed() >= enough {
                return self.stood();
            }
            sleep(LOOK).await;
        }
    }

    /// Says so many bytes of results.
    fn says(&mut self, bytes: u64) {
        let until = self.said_bytes + bytes;
        while self.said_bytes < until {
            let text = self.stage.long_partial(RESULT_BYTES).to_string();
            let messages = match self.tongue {
                Some(tongue) => tongue.say(self.conn, self.recorder, &text),
                None => {
                    let from = Side::Server;
                    self.recorder.note(self.conn, EventKind::Text { from, text: text.clone() });
                    vec![Message::text(text)]
                }
            };
            if messages.is_empty() {
                return;
            }
            for message in messages {
                self.said_bytes += wire_bytes(&message);
                // Whoever takes it runs beside this.
                let _ = self.saying.send(message);
            }
        }
    }

    async fn until_read_or_stuck(&mut self, stuck: Duration) {
        let began = Instant::now();
        let (mut outstanding, mut since) = (0, began);
        while began.elapsed() < FILL {
            let now = self.look().outstanding();
            if now == 0 {
                return self.stood();
            }
            if now != outstanding {
                (outstanding, since) = (now, Instant::now());
            }
            if since.elapsed() >= stuck {
                return self.stood();
            }
            sleep(LOOK).await;
        }
    }

    /// Reads on, and sees when the client does.
    async fn reads_on(&mut self) {
        let before = self.look().outstanding();
        self.recorder.note(self.conn, EventKind::Reads { reads: true });
        self.reading.send_replace(Reading::On);
        let began = Instant::now();
        while self.look().outstanding() >= before && before > 0 && began.elapsed() < WATCH {
            sleep(if began.elapsed() < RELEASE { CLOSE_LOOK } else { LOOK }).await;
        }
    }
}

/// How long a message is on the wire; a server masks nothing.
fn wire_bytes(message: &Message) -> u64 {
    let length = message.len();
    let head = match length {
        0..=125 => 2,
        126..=65_535 => 4,
        _ => 10,
    };
    head + length as u64
}
