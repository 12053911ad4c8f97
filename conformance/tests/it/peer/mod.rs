//! A small server written by hand for the tests, and its faults. It knows the specification and nothing of the session
//! machines, so that what it is and what it is judged by share no code but the codec.

mod recognizer;
mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

/// What is wrong with the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    #[default]
    None,
    /// It never says `session_ended`.
    NeverEnds,
    /// It says `session_ended` only when something else comes after the sentinel.
    WaitsForMore,
    /// It closes with 1000 and without `session_ended`.
    NoSessionEnded,
    /// It sends a final after `session_ended`.
    FinalAfterEnd,
    /// It leaves out the last final.
    DropsLastFinal,
    /// It answers a second sentinel with a second `session_ended`.
    SecondSessionEnded,
    /// It repeats the credential in an error.
    LeaksToken,
    /// It stops in every session in which it should refuse something or answer a flush, and serves all others.
    StopsWhereAsked,
    /// It answers the upgrade and says nothing ever.
    Silent,
    /// It closes every connection before it says anything.
    ClosesAtOnce,
    /// It answers the upgrade and closes.
    UpgradesAndCloses,
    /// It sends back what it gets.
    Echo,
}

impl Fault {
    pub(crate) const ALL: &'static [Self] = &[
        Self::None,
        Self::NeverEnds,
        Self::WaitsForMore,
        Self::NoSessionEnded,
        Self::FinalAfterEnd,
        Self::DropsLastFinal,
        Self::SecondSessionEnded,
        Self::LeaksToken,
        Self::StopsWhereAsked,
        Self::Silent,
        Self::ClosesAtOnce,
        Self::UpgradesAndCloses,
        Self::Echo,
    ];
}

/// How the server is set up.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) fault: Fault,
    pub(crate) token: Option<String>,
    pub(crate) slots: usize,
    pub(crate) idle_timeout_ms: u64,
    pub(crate) config_timeout_ms: u64,
    /// The only sample rate that is served.
    pub(crate) rate_hz: u32,
    /// Milliseconds of audio that are worked off in a millisecond.
    pub(crate) speed: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            fault: Fault::None,
            token: None,
            slots: 200,
            idle_timeout_ms: 1_500,
            config_timeout_ms: 1_200,
            rate_hz: 16_000,
            speed: 50,
        }
    }
}

type Socket<T> = WebSocketStream<T>;

/// Serves for ever, each connection wrapped by `wrap` first.
pub(crate) async fn serve_with<T, F>(listener: TcpListener, setup: Setup, wrap: impl Fn(tokio::net::TcpStream) -> F)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = Option<T>> + Send + 'static,
{
    let open = Arc::new(AtomicUsize::new(0));
    let setup = Arc::new(setup);
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let (wrapped, setup, open) = (wrap(stream), Arc::clone(&setup), Arc::clone(&open));
        tokio::spawn(async move {
            if setup.fault == Fault::ClosesAtOnce {
                return;
            }
            if let Some(stream) = wrapped.await {
                connection(stream, setup, open).await;
            }
        });
    }
}

/// A slot, free again when this is dropped.
pub(crate) struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Serves one connection; `open` counts those that hold a slot.
pub(crate) async fn connection<T>(mut stream: T, setup: Arc<Setup>, open: Arc<AtomicUsize>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if open.fetch_add(1, Ordering::SeqCst) >= setup.slots {
        drop(Slot(open));
        let mut head = [0; 1024];
        let _ = stream.read(&mut head).await;
        let busy =
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let _ = stream.write_all(busy.as_bytes()).await;
        return;
    }
    let slot = Slot(open);
    let config = WebSocketConfig::default().read_buffer_size(4096).max_message_size(Some(1 << 20));
    let token = setup.token.clone();
    let mut authorized = false;
    #[expect(clippy::result_large_err, reason = "the library's own type of callback")]
    let upgrade = |request: &Request, response: Response| {
        authorized = request.headers().contains_key("Authorization");
        negotiate(request, response, token.as_deref())
    };
    let Ok(socket) = accept_hdr_async_with_config(stream, upgrade, Some(config)).await else { return };
    session::run(socket, &setup, slot, authorized).await;
}

#[expect(clippy::result_large_err, reason = "the library's own type of callback")]
fn negotiate(request: &Request, mut response: Response, token: Option<&str>) -> Result<Response, ErrorResponse> {
    let refuse = |status: StatusCode| {
        let mut refusal = ErrorResponse::new(None);
        *refusal.status_mut() = status;
        Err(refusal)
    };
    if let (Some(token), Some(shown)) = (token, request.headers().get("Authorization"))
        && shown.as_bytes() != format!("Bearer {token}").as_bytes()
    {
        return refuse(StatusCode::UNAUTHORIZED);
    }
    let Some(offered) = request.headers().get("Sec-WebSocket-Protocol") else { return Ok(response) };
    let offered = offered.to_str().unwrap_or_default();
    if !offered.split(',').any(|one| one.trim() == "lastword.v1") {
        return refuse(StatusCode::BAD_REQUEST);
    }
    response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("lastword.v1"));
    Ok(response)
}

/// Starts a server of this setup on a port, 0 for any free one; it lives as long as the runtime. Returns the port.
pub(crate) async fn spawn_on(port: u16, setup: Setup) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(serve_with(listener, setup, |stream| async move { Some(stream) }));
    port
}

/// How often the pretended engine works.
pub(crate) const TICK: Duration = Duration::from_millis(5);
