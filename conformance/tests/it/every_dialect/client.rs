//! A client of any dialect, by the translator of the dialect: it says its configuration, streams, ends, waits for what says that it has
//! everything, and exits with 0 only if that came. It reads whatever it does, and each of its waits has a bound.

use std::time::Duration;

use futures_util::stream::SplitSink;
use futures_util::{SinkExt as _, StreamExt as _};
use lastword::client::Surroundings;
use lastword::memory::{self, Pipe};
use lastword_dialects::{Capability, ClientSide, Dialect, Frame, HttpRequest, Output, Seed};
use lastword_spec::close::CloseCode;
use lastword_spec::message::{ClientMessage, Config, ServerMessage};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// So long each wait takes at most: nothing announces a bound on most wires.
const PATIENCE: Duration = Duration::from_secs(15);
/// So long the upgrade.
const CONNECTING: Duration = Duration::from_secs(10);
/// So long the answer to a Close.
const CLOSING: Duration = Duration::from_secs(2);
const FRAMES: u32 = 30;
const FRAME: Duration = Duration::from_millis(100);

type Outputs = Vec<Output<ServerMessage>>;

/// What a client leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Without {
    /// Nothing: it is right.
    Nothing,
    /// It never says that its stream has ended.
    End,
    Audio,
}

/// Whether the transcript is complete.
pub(super) async fn session(around: Surroundings, dialect: &'static Dialect, without: Without) -> Option<bool> {
    let seed = Seed { uuid: "11111111-1111-4111-8111-111111111111".to_owned(), token: Some("a-credential".to_owned()) };
    let mut side = ClientSide::new(dialect, seed);
    let config = Config::default();
    if let Some(request) = side.pre_request(&around.url, &config).ok()? {
        let (status, body) = ask(dial(&around)?, &request).await?;
        side.pre_response(status, &body).ok()?;
    }
    let upgrade = side.upgrade(&around.url, &config).ok()?;
    let mut request = upgrade.url.as_str().into_client_request().ok()?;
    let offer = upgrade.subprotocols.join(", ");
    let offer = (!offer.is_empty()).then(|| ("sec-websocket-protocol".to_owned(), offer));
    for (name, value) in upgrade.headers.into_iter().chain(offer) {
        let name = HeaderName::try_from(name).ok()?;
        request.headers_mut().insert(name, HeaderValue::try_from(value).ok()?);
    }
    let (socket, _) = timeout(CONNECTING, client_async(request, dial(&around)?)).await.ok()?.ok()?;
    let (socket, mut messages) = socket.split();
    let (come, coming) = unbounded_channel();
    let reader = tokio::spawn(async move {
        while let Some(Ok(message)) = messages.next().await {
            if come.send(message).is_err() {
                break;
            }
        }
    });
    let mut session = Session { socket, coming, side, heard: Heard::default() };
    let complete = session.run(dialect, without).await.unwrap_or(false);
    reader.abort();
    Some(complete)
}

fn dial(around: &Surroundings) -> Option<Pipe> {
    let (ours, theirs) = memory::pipe(64 << 10);
    around.dial.send(theirs).ok()?;
    Some(ours)
}

/// The status and the body of the answer.
async fn ask(mut pipe: Pipe, request: &HttpRequest) -> Option<(u16, String)> {
    let (_, rest) = request.url.split_once("://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let fields: String = request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let (method, body) = (&request.method, &request.body);
    let text = format!(
        "{method} /{path} HTTP/1.1\r\nhost: {host}\r\n{fields}content-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    pipe.write_all(text.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    timeout(PATIENCE, pipe.read_to_end(&mut answer)).await.ok()?.ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// What the server has said.
#[derive(Default)]
struct Heard {
    ready: bool,
    /// Whether the session ended, and with everything.
    ended: Option<bool>,
    failed: bool,
    /// Whether the client had said its end by then.
    said_end: bool,
}

struct Session {
    socket: SplitSink<WebSocketStream<Pipe>, Message>,
    /// What the server sends, as long as it does.
    coming: UnboundedReceiver<Message>,
    side: ClientSide<'static>,
    heard: Heard,
}

impl Session {
    async fn run(&mut self, dialect: &Dialect, without: Without) -> Result<bool, Error> {
        let configured = self.side.send(&ClientMessage::Config(Box::default()));
        self.take(configured).await?;
        self.listen(PATIENCE, |heard| heard.ready).await?;
        self.heard.failed |= !self.heard.ready;
        let rate_hz = dialect.sample_rate_hz().unwrap_or(16_000);
        let samples = usize::try_from(rate_hz / 10).expect("a rate");
        for _ in 0..FRAMES {
            if self.heard.is_over() || without == Without::Audio {
                break;
            }
            let audio = self.side.send_audio(&vec![1; 2 * samples]);
            self.take(audio).await?;
            self.listen(FRAME / 10, |_| false).await?;
        }
        let has_end = !dialect.lacks(Capability::EndOfStream);
        if without == Without::End {
            std::future::pending::<()>().await;
        }
        if has_end && !self.heard.is_over() {
            self.heard.said_end = true;
            let end = self.side.send(&ClientMessage::EndOfStream);
            self.take(end).await?;
            self.listen(PATIENCE, |_| false).await?;
        }
        let complete = if has_end { self.heard.ended == Some(true) } else { !self.heard.failed && self.heard.ready };
        // A server that closes by itself gets the time for it; any other is closed.
        if self.heard.ended.is_some() && !dialect.lacks(Capability::ServerClose) {
            self.rest().await;
        }
        let _ = self.socket.close().await;
        self.rest().await;
        Ok(complete && !self.heard.failed)
    }

    async fn rest(&mut self) {
        let _ = timeout(CLOSING, async { while self.coming.recv().await.is_some() {} }).await;
    }

    /// Takes what comes until this holds, or the session is over, or so long nothing comes; what says that it goes on is a word, too.
    async fn listen(&mut self, patience: Duration, done: impl Fn(&Heard) -> bool) -> Result<(), Error> {
        let mut until = Instant::now() + patience;
        while !done(&self.heard) && !self.heard.is_over() {
            let Ok(message) = timeout_at(until, self.coming.recv()).await else { return Ok(()) };
            let frame = match message {
                Some(Message::Text(text)) => Frame::text(text.as_str()),
                Some(Message::Binary(bytes)) => Frame::Binary(bytes.to_vec()),
                Some(Message::Close(close)) => {
                    Frame::Close { code: close.map(|close| CloseCode(close.code.into())), reason: String::new() }
                }
                Some(_) => continue,
                None => {
                    self.heard.failed = true;
                    return Ok(());
                }
            };
            let is_close = matches!(frame, Frame::Close { .. });
            let outputs = self.side.receive(&frame);
            self.take(outputs).await?;
            self.heard.failed |= is_close && self.heard.ended.is_none();
            if patience == PATIENCE {
                until = Instant::now() + patience;
            }
        }
        Ok(())
    }

    async fn take(&mut self, outputs: Outputs) -> Result<(), Error> {
        for output in outputs {
            match output {
                Output::Send(Frame::Text(text)) => self.socket.send(Message::text(text)).await?,
                Output::Send(Frame::Binary(bytes)) => self.socket.send(Message::binary(bytes)).await?,
                Output::Send(Frame::Close { code, .. }) => {
                    let close = code.map(|code| CloseFrame { code: code.0.into(), reason: "".into() });
                    self.socket.send(Message::Close(close)).await?;
                }
                Output::Heard(heard) => match heard.message {
                    Some(ServerMessage::Ready(_)) => self.heard.ready = true,
                    Some(ServerMessage::SessionEnded(ended)) => {
                        self.heard.ended = Some(ended.complete && self.heard.said_end);
                    }
                    Some(ServerMessage::Error(error)) if error.fatal => self.heard.failed = true,
                    _ => {}
                },
                _ => {}
            }
        }
        Ok(())
    }
}

impl Heard {
    fn is_over(&self) -> bool {
        self.failed || self.ended.is_some()
    }
}
