//! Owns one WebSocket: its upgrade, what is queued for the server, and what comes from it. Reading and writing never wait for each
//! other, unless a fault makes one loop of them. It knows no message of Lastword.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
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
    /// The transport ended.
    Lost,
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
    /// Opens a connection and upgrades it. `living` counts its tasks. In one loop nothing is read while a send waits.
    pub(crate) async fn open(
        dial: &Dial,
        url: &str,
        token: Option<&str>,
        living: &Arc<AtomicUsize>,
        in_one_loop: bool,
    ) -> Result<Self, String> {
        let mut request = url.into_client_request().map_err(|error| error.to_string())?;
        let headers = request.headers_mut();
        headers.insert("Sec-WebSocket-Protocol", HeaderValue::from_static(PROTOCOL));
        if let Some(token) = token {
            let value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|error| error.to_string())?;
            headers.insert("Authorization", value);
        }
        let stream = dial().await.map_err(|error| error.to_string())?;
        let upgraded = tokio_tungstenite::client_async(request, stream).await;
        let (socket, _) = upgraded.map_err(|error| error.to_string())?;
        let (mut sink, mut source) = socket.split();
        let (handing, incoming) = mpsc::unbounded_channel();
        let (outgoing, mut queued) = mpsc::channel::<Message>(QUEUE);
        let mut tasks = JoinSet::new();
        let alive = Alive::new(living);
        if in_one_loop {
            tasks.spawn(async move {
                let _alive = alive;
                loop {
                    tokio::select! {
                        biased;
                        came = source.next() => if !hands(&handing, came) { return },
                        Some(message) = queued.recv() => if sink.send(message).await.is_err() { return },
                    }
                }
            });
            return Ok(Self { incoming, outgoing: Outgoing(outgoing), _tasks: tasks });
        }
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
        Ok(Self { incoming, outgoing: Outgoing(outgoing), _tasks: tasks })
    }

    /// The Close of the client.
    pub(crate) fn close_frame(code: u16) -> Message {
        Message::Close(Some(CloseFrame { code: code.into(), reason: "".into() }))
    }
}

/// Passes on what came. `false`: nothing follows, or nobody takes it.
fn hands(handing: &mpsc::UnboundedSender<Incoming>, came: Option<Result<Message, Error>>) -> bool {
    let message = match came {
        Some(Ok(Message::Text(text))) => Incoming::Text(text.as_str().to_owned()),
        Some(Ok(Message::Binary(_))) => Incoming::Binary,
        Some(Ok(Message::Close(frame))) => Incoming::Close(frame.map(|frame| frame.code.into())),
        Some(Ok(_)) => Incoming::Sign,
        Some(Err(_)) | None => Incoming::Lost,
    };
    let is_over = matches!(message, Incoming::Lost);
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
