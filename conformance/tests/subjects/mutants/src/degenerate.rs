//! Owns the peers that serve nothing: each does one simple thing, whatever it is sent. None of them may pass anything.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use crate::config::PROTOCOL;
use crate::options::Options;
use crate::server::Server;

/// A kind of peer that serves nothing.
#[derive(Debug)]
pub struct Degenerate {
    /// What it is called on the command line.
    pub name: String,
    /// What it does, in one line.
    pub what: String,
    /// So many connections are served well before it begins.
    pub good_first: usize,
    does: Does,
}

/// One such peer: what its connections share.
pub struct Peer {
    kind: &'static Degenerate,
    good: Arc<Server>,
    connections: AtomicUsize,
}

#[derive(Clone, Copy, Debug)]
enum Does {
    Sink,
    CloseAtOnce,
    PlainHttp,
    Silent,
    HandshakeThenClose,
    CloseAfterFirstFrame,
    HangAfter(usize),
    Echo,
    AcceptAll,
    RejectAll,
    Flood,
    BySchedule,
    Canned,
}

const KINDS: [(Does, &str, &str); 14] = [
    (Does::Sink, "tcp-sink", "reads every byte and answers none, not even the upgrade"),
    (Does::CloseAtOnce, "close-at-once", "closes every connection as soon as it is there"),
    (Does::PlainHttp, "plain-http-200", "answers the upgrade like a page, with 200"),
    (Does::Silent, "silent", "answers the upgrade and says nothing ever"),
    (Does::HandshakeThenClose, "handshake-then-close", "answers the upgrade and closes with 1000"),
    (Does::CloseAfterFirstFrame, "close-after-first-frame", "closes with 1000 as soon as something comes"),
    (Does::HangAfter(1), "hang-after-1-message", "answers one message with what would be right, and then nothing"),
    (Does::HangAfter(3), "hang-after-3-messages", "answers three messages with what would be right, and then nothing"),
    (Does::Echo, "echo", "sends everything back"),
    (Does::AcceptAll, "accept-all", "takes everything, says ready and session_ended, and hears nothing"),
    (Does::RejectAll, "reject-all", "answers every message with a fatal error and closes"),
    (Does::Flood, "flood", "sends progress without end and looks at nothing"),
    (
        Does::BySchedule,
        "canned-by-schedule",
        "says ready, a final and session_ended by the clock, closes with 1000, and reads nothing",
    ),
    (Does::Canned, "canned-for-each-message", "has one canned answer for each type of message"),
];

/// Every such peer; behind each alone, the same after one and after five sessions that were served well.
#[must_use]
pub fn degenerates() -> &'static [Degenerate] {
    static ALL: LazyLock<Vec<Degenerate>> = LazyLock::new(|| {
        let prefix = |good_first: usize| match good_first {
            0 => (String::new(), String::new()),
            1 => ("good-once-then-".to_owned(), "serves one session well; then it ".to_owned()),
            _ => ("good-five-times-then-".to_owned(), "serves five sessions well; then it ".to_owned()),
        };
        let with = |good_first: usize| {
            let (name, what) = prefix(good_first);
            KINDS.map(|(does, kind, does_what)| Degenerate {
                name: format!("{name}{kind}"),
                what: format!("{what}{does_what}"),
                good_first,
                does,
            })
        };
        [0, 1, 5].into_iter().flat_map(with).collect()
    });
    &ALL
}

impl Degenerate {
    /// One peer of this kind.
    #[must_use]
    pub fn peer(&'static self) -> Arc<Peer> {
        let good = Server::new(Options::default());
        Arc::new(Peer { kind: self, good, connections: AtomicUsize::new(0) })
    }
}

const PATIENCE: Duration = Duration::from_secs(60);
/// The harness looks at every message: a faster flood would only make the tests slower.
const FLOOD_PACE: Duration = Duration::from_millis(50);

impl Peer {
    /// Deals with one connection.
    pub async fn serve<T>(self: &Arc<Self>, mut stream: T)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if self.connections.fetch_add(1, Ordering::SeqCst) < self.kind.good_first {
            return self.good.serve(stream).await;
        }
        match self.kind.does {
            Does::CloseAtOnce => {}
            Does::Sink => swallow(&mut stream).await,
            Does::PlainHttp => {
                let mut head = [0; 2048];
                let _ = stream.read(&mut head).await;
                let page = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nhi\n";
                let _ = stream.write_all(page).await;
                let _ = stream.shutdown().await;
            }
            does => {
                if let Ok(Ok(socket)) = timeout(PATIENCE, accept_hdr_async(stream, select)).await {
                    upgraded(socket, does).await;
                }
            }
        }
    }
}

#[expect(clippy::result_large_err, reason = "the library's own type of callback")]
fn select(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let offered = request.headers().get("Sec-WebSocket-Protocol").and_then(|offered| offered.to_str().ok());
    if offered.is_some_and(|offered| offered.split(',').any(|one| one.trim() == PROTOCOL)) {
        response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(PROTOCOL));
    }
    Ok(response)
}

async fn swallow<T: AsyncRead + Unpin>(stream: &mut T) {
    let mut sink = [0; 4096];
    while matches!(stream.read(&mut sink).await, Ok(read) if read > 0) {}
}

type Socket<T> = WebSocketStream<T>;

async fn upgraded<T: AsyncRead + AsyncWrite + Unpin + Send>(mut socket: Socket<T>, does: Does) {
    match does {
        Does::HandshakeThenClose => close(&mut socket, 1000).await,
        Does::CloseAfterFirstFrame => {
            let _ = socket.next().await;
            close(&mut socket, 1000).await;
        }
        Does::Echo => {
            while let Some(Ok(message)) = socket.next().await {
                if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                    return;
                }
            }
        }
        Does::RejectAll => {
            if let Some(Ok(message)) = socket.next().await
                && !message.is_close()
            {
                say(&mut socket, fatal("internal")).await;
                close(&mut socket, 1011).await;
            }
        }
        Does::Flood => {
            for seq in 1_u64.. {
                if !say(&mut socket, json!({"type": "progress", "seq": seq, "audio_processed_ms": 0})).await {
                    return;
                }
                sleep(FLOOD_PACE).await;
            }
        }
        Does::BySchedule => by_schedule(&mut socket).await,
        Does::Canned | Does::AcceptAll => while answer(&mut socket, does).await {},
        Does::HangAfter(messages) => {
            for _ in 0..messages {
                if !answer(&mut socket, Does::Canned).await {
                    return;
                }
            }
            while matches!(socket.next().await, Some(Ok(message)) if !message.is_close()) {}
            std::future::pending::<()>().await;
        }
        _ => {
            while matches!(socket.next().await, Some(Ok(message)) if !message.is_close()) {}
            std::future::pending::<()>().await;
        }
    }
    let _ = timeout(Duration::from_secs(2), async { while let Some(Ok(_)) = socket.next().await {} }).await;
}

async fn by_schedule<T: AsyncRead + AsyncWrite + Unpin>(socket: &mut Socket<T>) {
    for message in [ready(), last_word(0), ended(0, 1)] {
        sleep(Duration::from_millis(100)).await;
        if !say(socket, message).await {
            return;
        }
    }
    close(socket, 1000).await;
}

/// One canned answer to one message; whether it goes on.
async fn answer<T: AsyncRead + AsyncWrite + Unpin>(socket: &mut Socket<T>, does: Does) -> bool {
    let hears = matches!(does, Does::Canned);
    let said = match socket.next().await {
        Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap_or(Value::Null),
        Some(Ok(Message::Binary(_))) => Value::Null,
        Some(Ok(Message::Close(_)) | Err(_)) | None => return false,
        Some(Ok(_)) => return true,
    };
    match said["type"].as_str() {
        Some("config") => say(socket, ready()).await,
        Some("keepalive") => {
            say(socket, json!({"type": "keepalive_ack", "seq": said["seq"].as_u64().unwrap_or(0)})).await
        }
        Some("flush") => say(socket, json!({"type": "flushed", "id": said["id"].as_str().unwrap_or("1")})).await,
        Some("update") => {
            let config = ready()["config"].clone();
            say(socket, json!({"type": "updated", "id": said["id"].as_str().unwrap_or("1"), "config": config})).await
        }
        Some("end_of_stream") => {
            let finals = u64::from(hears);
            let went = (!hears || say(socket, last_word(0)).await) && say(socket, ended(0, finals)).await;
            close(socket, 1000).await;
            let _ = timeout(Duration::from_secs(2), async { while let Some(Ok(_)) = socket.next().await {} }).await;
            let _ = went;
            false
        }
        Some(_) if hears => say(socket, canned_error("unknown_type")).await,
        None if hears && !said.is_null() => say(socket, canned_error("bad_message")).await,
        _ => true,
    }
}

async fn say<T: AsyncRead + AsyncWrite + Unpin>(socket: &mut Socket<T>, message: Value) -> bool {
    socket.send(Message::text(message.to_string())).await.is_ok()
}

async fn close<T: AsyncRead + AsyncWrite + Unpin>(socket: &mut Socket<T>, code: u16) {
    let _ = socket.send(Message::Close(Some(CloseFrame { code: code.into(), reason: "".into() }))).await;
}

fn ready() -> Value {
    json!({
        "type": "ready",
        "session_id": "1",
        "protocol": PROTOCOL,
        "config": {
            "audio": {"encoding": "pcm_s16le", "sample_rate_hz": 16_000, "channels": 1},
            "interim_results": true,
            "words": false,
            "vad_events": false,
            "endpointing": {"mode": "vad", "silence_ms": 500, "max_segment_ms": 30_000},
        },
        "limits": {
            "idle_timeout_ms": 3_000,
            "keepalive_interval_ms": 1_000,
            "ready_ms": 10_000,
            "flush_ms": 5_000,
            "drain_ms": 5_000,
            "close_ms": 2_000,
            "progress_interval_ms": 400,
            "max_step_ms": 2_000,
            "max_frame_bytes": 64_000,
            "max_text_bytes": 65_536,
            "max_session_ms": 3_600_000,
            "max_buffered_audio_ms": 8_000,
        },
        "ignored": [],
    })
}

fn last_word(segment_id: u64) -> Value {
    json!({"type": "final", "segment_id": segment_id, "text": "hello", "start_ms": 0, "end_ms": 0, "channel": 0})
}

fn ended(received_ms: u64, finals: u64) -> Value {
    json!({
        "type": "session_ended",
        "reason": "completed",
        "complete": true,
        "audio_received_ms": received_ms,
        "audio_processed_ms": received_ms,
        "rejected_frames": 0,
        "finals": finals,
    })
}

fn canned_error(code: &str) -> Value {
    json!({"type": "error", "code": code, "message": "no", "fatal": false, "retryable": false})
}

fn fatal(code: &str) -> Value {
    json!({"type": "error", "code": code, "message": "no", "fatal": true, "retryable": true})
}
