//! Owns one WebSocket: its upgrade, what is queued for the server, and what comes from it. Reading and writing never wait for each
//! other, unless a fault makes one loop of them. It knows no message of Lastword but the word for the end, for one of those.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{Sink, SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

/// What a connection is made of.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Duplex for T {}

/// A connection that is being opened.
pub type Dialled = Pin<Box<dyn Future<Output = io::Result<Box<dyn Duplex>>> + Send>>;

/// Opens a connection to the server, each time it is called.
pub type Dial = Arc<dyn Fn() -> Dialled + Send + Sync>;

/// What comes from the server.
pub(crate) enum Incoming {
    Text(String),
    Binary,
    /// A Ping or a Pong: a sign of life.
    Sign,
    Close(Option<u16>),
    /// The transport ended in order, without a Close.
    Over,
    /// The transport failed.
    Lost,
}

/// Why there is no link.
#[derive(Debug)]
pub(crate) enum Unopened {
    /// The server answered the upgrade with this HTTP status.
    Refused(u16),
    /// The transport ended before it did.
    Cut(String),
    /// Nothing was asked, or nothing came in time.
    Otherwise(String),
}

impl Unopened {
    pub(crate) fn why(&self) -> String {
        match self {
            Self::Refused(status) => format!("refused with {status}"),
            Self::Cut(why) | Self::Otherwise(why) => why.clone(),
        }
    }
}

/// When a link reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    /// Whatever its sends do.
    Always,
    /// One loop reads and writes, and reads nothing while a send waits, but for so many messages that are queued for it.
    BetweenSends {
        /// How many.
        queued: usize,
    },
    /// One loop reads until it has audio to send, and then nothing until all of that is sent, with a pause behind each frame.
    AroundTheAudio {
        /// How long that is.
        pause: Duration,
    },
}

/// One open WebSocket. Dropping it drops the connection.
pub(crate) struct Link {
    pub(crate) incoming: mpsc::UnboundedReceiver<Incoming>,
    pub(crate) outgoing: Outgoing,
    _tasks: JoinSet<()>,
}

/// How many messages wait for the transport.
const QUEUE: usize = 4;
const PROTOCOL: &str = "lastword.v1";

impl Link {
    /// Opens a connection and upgrades it. `living` counts its tasks.
    pub(crate) async fn open(
        dial: &Dial,
        url: &str,
        token: Option<&str>,
        living: &Arc<AtomicUsize>,
        reads: Reads,
    ) -> Result<Self, Unopened> {
        let otherwise = |error: &dyn std::fmt::Display| Unopened::Otherwise(error.to_string());
        let mut request = url.into_client_request().map_err(|error| otherwise(&error))?;
        let headers = request.headers_mut();
        headers.insert("Sec-WebSocket-Protocol", HeaderValue::from_static(PROTOCOL));
        if let Some(token) = token {
            let value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|error| otherwise(&error))?;
            headers.insert("Authorization", value);
        }
        let stream = dial().await.map_err(|error| otherwise(&error))?;
        let upgraded = tokio_tungstenite::client_async(request, stream).await;
        let (socket, _) = upgraded.map_err(|error| match error {
            Error::Http(response) => Unopened::Refused(response.status().as_u16()),
            error => Unopened::Cut(error.to_string()),
        })?;
        let (mut sink, mut source) = socket.split();
        let (handing, incoming) = mpsc::unbounded_channel();
        let (outgoing, mut queued) = mpsc::channel::<Message>(QUEUE);
        let mut tasks = JoinSet::new();
        let alive = Alive::new(living);
        let came = match reads {
            Reads::Always => {
                tasks.spawn(async move {
                    let _alive = alive;
                    while hands(&handing, source.next().await) {}
                });
                let alive = Alive::new(living);
                tasks.spawn(async move {
                    let _alive = alive;
                    while let Some(message) = queued.recv().await {
                        if sink.send(message).await.is_err() {
                            return;
                        }
                    }
                });
                return Ok(Self { incoming, outgoing: Outgoing(outgoing), _tasks: tasks });
            }
            Reads::BetweenSends { queued: 0 } | Reads::AroundTheAudio { .. } => source.boxed(),
            Reads::BetweenSends { queued } => {
                // What a library reads for its application before anybody asks.
                let (reading, read) = mpsc::channel(queued);
                tasks.spawn(async move {
                    while let Some(message) = source.next().await {
                        if reading.send(message).await.is_err() {
                            return;
                        }
                    }
                });
                futures_util::stream::unfold(read, async |mut read| Some((read.recv().await?, read))).boxed()
            }
        };
        tasks.spawn(async move {
            let _alive = alive;
            in_one_loop(reads, came, sink, queued, handing).await;
        });
        Ok(Self { incoming, outgoing: Outgoing(outgoing), _tasks: tasks })
    }

    /// The Close of the client.
    pub(crate) fn close_frame(code: u16) -> Message {
        Message::Close(Some(CloseFrame { code: code.into(), reason: "".into() }))
    }
}

/// Reads and writes by turns, for a fault.
async fn in_one_loop(
    reads: Reads,
    mut came: BoxStream<'static, Result<Message, Error>>,
    mut sink: impl Sink<Message> + Unpin,
    mut queued: mpsc::Receiver<Message>,
    handing: mpsc::UnboundedSender<Incoming>,
) {
    let mut is_in_audio = false;
    loop {
        let may_read = !is_in_audio || !matches!(reads, Reads::AroundTheAudio { .. });
        tokio::select! {
            biased;
            came = came.next(), if may_read => if !hands(&handing, came) { return },
            Some(message) = queued.recv() => {
                is_in_audio = match &message {
                    Message::Binary(_) => true,
                    Message::Text(text) => is_in_audio && !text.contains("end_of_stream"),
                    _ => false,
                };
                if sink.send(message).await.is_err() { return }
                if let Reads::AroundTheAudio { pause } = reads && is_in_audio { sleep(pause).await }
            }
            else => return,
        }
    }
}

/// Passes on what came. `false`: nothing follows, or nobody takes it.
fn hands(handing: &mpsc::UnboundedSender<Incoming>, came: Option<Result<Message, Error>>) -> bool {
    let message = match came {
        Some(Ok(Message::Text(text))) => Incoming::Text(text.as_str().to_owned()),
        Some(Ok(Message::Binary(_))) => Incoming::Binary,
        Some(Ok(Message::Close(frame))) => Incoming::Close(frame.map(|frame| frame.code.into())),
        Some(Ok(_)) => Incoming::Sign,
        Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => Incoming::Over,
        Some(Err(_)) | None => Incoming::Lost,
    };
    let is_over = matches!(message, Incoming::Over | Incoming::Lost);
    handing.send(message).is_ok() && !is_over
}

/// The queue to the server.
pub(crate) struct Outgoing(mpsc::Sender<Message>);

impl Outgoing {
    /// Waits until there is room for a message; `None` where nothing can be sent any more.
    pub(crate) async fn room(&self) -> Option<mpsc::Permit<'_, Message>> {
        self.0.reserve().await.ok()
    }
}

/// Counts a task for as long as it lives.
pub(crate) struct Alive(Arc<AtomicUsize>);

impl Alive {
    pub(crate) fn new(living: &Arc<AtomicUsize>) -> Self {
        living.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(living))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
