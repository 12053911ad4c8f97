//! Owns what the connections of one server share (slots, faults of the whole process) and the upgrade with its refusals.

use std::pin::pin;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::config::PROTOCOL;
use crate::fault::Fault;
use crate::link::Link;
use crate::options::{Falls, Options};
use crate::pieces::Watched;
use crate::session::Session;

/// The library's limit, above both of the server's own, so that the session answers an oversize message.
const LIBRARY_MAX_BYTES: usize = 1 << 20;
const UPGRADE: Duration = Duration::from_secs(10);
/// How many sessions there is room for in the mutants that let others wait or send them away.
const ROOM: usize = 4;

/// What has become of the whole process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Runs = 0,
    /// Every connection stands still, and new ones get no answer.
    Hangs = 1,
    /// Every connection is dropped.
    Crashed = 2,
}

/// One server: what its connections share.
pub struct Server {
    pub(crate) options: Options,
    open: AtomicUsize,
    sessions: AtomicU64,
    pub(crate) finals_of_all: AtomicU64,
    last_text: Mutex<Option<Value>>,
    /// What a session heard that was cancelled, for a mutant that forgets to forget it.
    left_words: Mutex<Vec<&'static str>>,
    /// The room that a mutant has for sessions, and lets others wait for.
    room: Semaphore,
    fate: AtomicU8,
    /// Wakes in the order in which they began to wait: runs in memory are the same each time.
    fate_changed: Notify,
}

impl Server {
    /// A server that is set up like this.
    #[must_use]
    pub fn new(options: Options) -> Arc<Self> {
        Arc::new(Self {
            options,
            open: AtomicUsize::new(0),
            sessions: AtomicU64::new(0),
            finals_of_all: AtomicU64::new(0),
            last_text: Mutex::new(None),
            left_words: Mutex::new(Vec::new()),
            room: Semaphore::new(ROOM),
            fate: AtomicU8::new(Fate::Runs as u8),
            fate_changed: Notify::new(),
        })
    }

    /// What the final before said, of whichever session, and the first time what this one says.
    pub(crate) fn swap_last_text(&self, text: Value) -> Value {
        let mut last = self.last_text.lock().unwrap_or_else(PoisonError::into_inner);
        last.replace(text.clone()).unwrap_or(text)
    }

    /// What was heard in a segment that stayed open.
    pub(crate) fn leave_words(&self, words: Vec<&'static str>) {
        *self.left_words.lock().unwrap_or_else(PoisonError::into_inner) = words;
    }

    /// What the session before left, once.
    pub(crate) fn take_left_words(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.left_words.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serves one connection, from the upgrade to its end.
    pub async fn serve<T>(self: &Arc<Self>, stream: T)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut connection = pin!(self.connection(stream));
        tokio::select! {
            biased;
            () = self.meets_its_fate() => {}
            () = &mut connection => return,
        }
        if self.fate() == Fate::Hangs as u8 {
            // The connection stays as it is: open, and nobody behind it.
            std::future::pending::<()>().await;
        }
    }

    /// Waits until a mutant's fault has ended the whole process; for ever where none does.
    pub async fn crashed(&self) {
        self.meets_its_fate().await;
        if self.fate() == Fate::Hangs as u8 {
            std::future::pending::<()>().await;
        }
    }

    async fn meets_its_fate(&self) {
        let changed = self.fate_changed.notified();
        if self.fate() == Fate::Runs as u8 {
            changed.await;
        }
    }

    fn fate(&self) -> u8 {
        self.fate.load(Ordering::SeqCst)
    }

    pub(crate) fn meets(&self, fate: Fate) {
        self.fate.store(fate as u8, Ordering::SeqCst);
        self.fate_changed.notify_waiters();
    }

    pub(crate) fn is(&self, fault: Fault) -> bool {
        self.fault() == fault
    }

    pub(crate) fn fault(&self) -> Fault {
        self.options.mutant.map_or(Fault::None, |mutant| mutant.fault)
    }

    pub(crate) fn next_session(self: &Arc<Self>) -> u64 {
        let session = self.sessions.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(falls) = self.options.falls
            && session.is_multiple_of(falls.at_session)
            && session / falls.at_session <= falls.times
        {
            self.falls(falls);
        }
        session
    }

    fn falls(self: &Arc<Self>, falls: Falls) {
        self.meets(Fate::Crashed);
        let Some(back_after_ms) = falls.back_after_ms else { return };
        let server = Arc::clone(self);
        tokio::spawn(async move {
            sleep(Duration::from_millis(back_after_ms)).await;
            server.fate.store(Fate::Runs as u8, Ordering::SeqCst);
        });
    }

    async fn connection<T>(self: &Arc<Self>, mut stream: T)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Some(slot) = Slot::take(self) else { return refuse_busy(&mut stream).await };
        let config = WebSocketConfig::default()
            .read_buffer_size(16 * 1024)
            .max_message_size(Some(LIBRARY_MAX_BYTES))
            .max_frame_size(Some(LIBRARY_MAX_BYTES));
        let mut authorized = false;
        #[expect(clippy::result_large_err, reason = "the library's own type of callback")]
        let upgrade = |request: &Request, response: Response| {
            authorized = request.headers().contains_key("Authorization");
            self.negotiate(request, response)
        };
        let watches = matches!(self.fault(), Fault::FramesReadAlone | Fault::FirstFrameIsMessage);
        let stream = Watched::new(stream, watches);
        let accepted = timeout(UPGRADE, accept_hdr_async_with_config(stream, upgrade, Some(config))).await;
        if let Ok(Ok(socket)) = accepted {
            let _room = match self.fault() {
                Fault::WaitsForRoom => self.room.acquire().await.ok(),
                Fault::OverloadWithoutCode => match self.room.try_acquire() {
                    Ok(room) => Some(room),
                    Err(_) => return refuse_in_words(Link::new(socket)).await,
                },
                _ => None,
            };
            Session::new(Link::new(socket), Arc::clone(self), slot, authorized).run().await;
        }
    }

    #[expect(clippy::result_large_err, reason = "the library's own type of callback")]
    fn negotiate(&self, request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
        let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
        if let (Some(token), Some(shown)) = (&self.options.token, header("Authorization"))
            && shown.strip_prefix("Bearer ") != Some(token)
            && !self.is(Fault::WrongHeaderServed)
            && !self.is(Fault::CredentialsNotAsked)
        {
            let forbidden = self.is(Fault::WrongHeaderForbidden);
            return refuse(if forbidden { StatusCode::FORBIDDEN } else { StatusCode::UNAUTHORIZED });
        }
        let Some(offered) = header("Sec-WebSocket-Protocol") else {
            if self.is(Fault::SubprotocolDemanded) {
                return refuse(StatusCode::BAD_REQUEST);
            }
            if self.is(Fault::SubprotocolSelectedUnasked) {
                response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(PROTOCOL));
            }
            return Ok(response);
        };
        if !offered.split(',').any(|one| one.trim() == PROTOCOL) {
            return match self.fault() {
                Fault::ForeignSubprotocolServed => Ok(response),
                Fault::ForeignSubprotocolNotFound => refuse(StatusCode::NOT_FOUND),
                _ => refuse(StatusCode::BAD_REQUEST),
            };
        }
        if !self.is(Fault::SubprotocolNotSelected) {
            response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(PROTOCOL));
        }
        Ok(response)
    }
}

#[expect(clippy::result_large_err, reason = "the library's own type of callback")]
fn refuse(status: StatusCode) -> Result<Response, ErrorResponse> {
    let mut refusal = ErrorResponse::new(None);
    *refusal.status_mut() = status;
    Err(refusal)
}

/// Reads the request first: an answer before it would be lost to a reset.
async fn refuse_busy<T: AsyncRead + AsyncWrite + Unpin>(stream: &mut T) {
    let mut request = Vec::new();
    let head = async {
        while !request.ends_with(b"\r\n\r\n") && request.len() < 8_192 {
            request.push(stream.read_u8().await?);
        }
        stream
            .write_all(
                b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            )
            .await?;
        stream.shutdown().await
    };
    let _ = timeout(UPGRADE, head).await;
}

/// A fault: tells a person that there is no room, and no program.
async fn refuse_in_words<T: AsyncRead + AsyncWrite + Unpin + Send>(mut link: Link<T>) {
    link.push(Message::text(r#"{"type":"error","message":"no free channels"}"#));
    link.push(Message::Close(None));
    link.linger().await;
}

/// A place for one session, free again when this is dropped.
pub(crate) struct Slot {
    server: Arc<Server>,
    /// It is lost if the session ends otherwise than by `session_ended`.
    is_kept: bool,
}

impl Slot {
    fn take(server: &Arc<Server>) -> Option<Self> {
        let slot = Self { server: Arc::clone(server), is_kept: false };
        let before = server.open.fetch_add(1, Ordering::SeqCst);
        (before < server.options.max_sessions).then_some(slot)
    }

    /// A session has it from here on.
    pub(crate) fn of_a_session(mut self) -> Self {
        self.is_kept = self.server.options.keeps_slots;
        self
    }

    /// The session has ended as it should.
    pub(crate) fn free(mut self) {
        self.is_kept = false;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.is_kept {
            self.server.open.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
