//! Owns the listening side of a play: it accepts the client's connections in their order, answers or refuses their upgrades as the
//! play says, and hands each to its own task. Which frames follow is in `serve.rs`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use lastword_dialects::{Dialect, Upgrade};
use lastword_spec::PROTOCOL;
use lastword_spec::trace::{EventKind, Open, Shown};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::gauge::{Gauge, Queues};
use super::reception::{Asked, Caller, Reception};
use super::script::{self, Play};
use super::serve::{Heard, serve};
use super::tls;
use super::tongue::Tongue;
use crate::memory::Pipe;
use crate::record::Recorder;

/// A listening scripted server. Dropping it ends every connection.
pub(super) struct Host {
    /// Where it listens.
    pub(super) address: SocketAddr,
    numbers: Arc<Numbers>,
    _tasks: JoinSet<()>,
}

/// The numbers of the connections of one case, over all runs of its client.
#[derive(Default)]
pub(super) struct Numbers {
    next: AtomicU32,
    open: Mutex<Vec<u32>>,
}

impl Numbers {
    /// The number of the connection that was opened last; 0 before the first.
    pub(super) fn latest(&self) -> u32 {
        self.next.load(Ordering::Acquire).saturating_sub(1)
    }

    /// How many connections came so far.
    pub(super) fn count(&self) -> u32 {
        self.next.load(Ordering::Acquire)
    }

    fn take(&self) -> u32 {
        let conn = self.next.fetch_add(1, Ordering::AcqRel);
        self.lock().push(conn);
        conn
    }

    fn leave(&self, conn: u32) {
        self.lock().retain(|one| *one != conn);
    }

    /// The connections that still stand.
    pub(super) fn open(&self) -> Vec<u32> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the connections of one run share.
#[derive(Clone)]
pub(super) struct Shared {
    /// The name of the run in the trace.
    pub(super) label: String,
    /// The credential that the client was given, if it was given one.
    pub(super) token: Option<String>,
    /// What the client speaks, where it is not version 1.
    pub(super) dialect: Option<&'static Dialect>,
    /// The path of the socket.
    pub(super) path: String,
    /// What takes the connections of a client that dials `wss`.
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) numbers: Arc<Numbers>,
    pub(super) heard: Arc<Heard>,
    pub(super) recorder: Arc<Recorder>,
}

impl Host {
    /// Listens on a port of its own, or in memory for what is handed to the sender.
    pub(super) async fn start(
        play: Play,
        shared: Shared,
        is_in_memory: bool,
    ) -> io::Result<(Self, mpsc::UnboundedSender<Pipe>)> {
        // Under TLS the transport does not show what a client holds back: there nothing is held up, and nobody blamed for it.
        let is_narrow = play.jams() && shared.tls.is_none();
        let numbers = Arc::clone(&shared.numbers);
        let mut tasks = JoinSet::new();
        let (dial, mut dialled) = mpsc::unbounded_channel::<Pipe>();
        let open_door = |address| {
            let reception = Reception::new(&shared, address);
            Door { seats: Seats { next: Arc::new(Mutex::new(play)), shared }, reception, connections: JoinSet::new() }
        };
        let address = if is_in_memory {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let mut door = open_door(address);
            tasks.spawn(async move {
                while let Some(stream) = dialled.recv().await {
                    door.enter(stream);
                }
                std::future::pending().await
            });
            address
        } else {
            let listener = listen(is_narrow).await?;
            let address = listener.local_addr()?;
            let mut door = open_door(address);
            tasks.spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    // Small replies must not wait for each other.
                    let _ = stream.set_nodelay(true);
                    match door.seats.shared.tls.clone() {
                        Some(tls) => door.enter_by_tls(stream, tls),
                        None => door.enter(stream),
                    }
                }
            });
            address
        };
        Ok((Self { address, numbers, _tasks: tasks }, dial))
    }

    /// The connections that still stand.
    pub(super) fn open(&self) -> Vec<u32> {
        self.numbers.open()
    }
}

/// A socket that listens on a port of its own. A narrow one lets a client write about a second of speech, and no megabytes, to a
/// server that does not read: what its kernel holds for it follows from the window and the segments that the server offers.
async fn listen(narrow: bool) -> io::Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    if !narrow {
        return TcpListener::bind(address).await;
    }
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    // Where one of them is not to be had, the client fills more, or does not fill it, which is seen.
    let _ = socket.set_recv_buffer_size(NARROW_RECEIVED_BYTES);
    let _ = socket.set_send_buffer_size(NARROW_SENT_BYTES);
    #[cfg(unix)]
    let _ = socket.set_tcp_mss(NARROW_SEGMENT_BYTES);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// What a narrow socket holds of what its client sent and of what it has to send, and the longest segment of both. A window of less
/// than two segments would be slow.
const NARROW_RECEIVED_BYTES: usize = 2 << 10;
const NARROW_SENT_BYTES: usize = 4 << 10;
#[cfg(unix)]
const NARROW_SEGMENT_BYTES: u32 = 536;
const BACKLOG: i32 = 128;

/// More than any limit of a play, and than the whole input of a case: what is too long is to be seen.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// Where the connections of one run come in.
struct Door {
    seats: Seats,
    /// What is asked before a socket, where the dialect has that.
    reception: Option<Reception>,
    connections: JoinSet<()>,
}

impl Door {
    fn enter<S: Transport>(&mut self, stream: S) {
        let seats = self.seats.clone();
        match self.reception.clone() {
            None => {
                let (conn, play) = seats.take();
                self.connections.spawn(async move { seats.serve(conn, stream, &play, None).await });
            }
            Some(reception) => {
                self.connections.spawn(async move { seats.receive(stream, &reception).await });
            }
        }
    }

    /// A connection that cannot be told from noise meets no play.
    fn enter_by_tls(&mut self, stream: TcpStream, acceptor: TlsAcceptor) {
        let (seats, reception) = (self.seats.clone(), self.reception.clone());
        self.connections.spawn(async move {
            match (tls::accept(&acceptor, stream).await, reception) {
                (Ok(stream), None) => {
                    let (conn, play) = seats.take();
                    seats.serve(conn, stream, &play, None).await;
                }
                (Ok(stream), Some(reception)) => seats.receive(stream, &reception).await,
                (Err(error), _) => {
                    let Shared { recorder, numbers, .. } = &seats.shared;
                    recorder.note(numbers.latest(), EventKind::Note(format!("{}: {error}", tls::FAILED)));
                }
            }
        });
    }
}

/// What becomes of the sockets of one run.
#[derive(Clone)]
struct Seats {
    /// What the next one meets.
    next: Arc<Mutex<Play>>,
    shared: Shared,
}

impl Seats {
    /// The number of the next socket, and what it meets.
    fn take(&self) -> (u32, Play) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let play = next.clone();
        match play.times {
            _ if play.always => {}
            0 | 1 => *next = play.again.as_deref().cloned().unwrap_or_default(),
            more => next.times = more - 1,
        }
        (self.shared.numbers.take(), play)
    }

    /// What is no socket is no connection of a session, and meets no play.
    async fn receive<S: Transport>(&self, stream: S, reception: &Reception) {
        if let Caller::Socket(stream, asked) = reception.receive(stream).await {
            let (conn, play) = self.take();
            self.serve(conn, stream, &play, asked).await;
        }
    }

    async fn serve<S: Transport>(&self, conn: u32, stream: S, play: &Play, asked: Option<Box<Asked>>) {
        connection(conn, stream, play, &self.shared, asked).await;
        self.shared.numbers.leave(conn);
    }
}

/// What connections are made of.
pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Makes it end by a reset when it is dropped, where it can.
    fn reset(&self);

    /// Says what the layer below says at an end in order, where it says anything, as far as the transport takes it at once.
    fn farewell(&mut self) {}

    /// Where it can be seen how much of it is on its way.
    fn queues(&self) -> Queues;
}

impl Transport for TcpStream {
    fn reset(&self) {
        let _ = self.set_zero_linger();
    }

    fn queues(&self) -> Queues {
        match (self.local_addr(), self.peer_addr()) {
            (Ok(ours), Ok(theirs)) => Queues::Tcp { ours, theirs },
            _ => Queues::Unknown,
        }
    }
}

impl Transport for Pipe {
    /// A pipe in memory ends in one way only.
    fn reset(&self) {}

    fn queues(&self) -> Queues {
        Queues::Memory(self.levels())
    }
}

#[expect(clippy::result_large_err, reason = "the WebSocket library asks for this type of error")]
async fn connection<S: Transport>(
    conn: u32,
    mut stream: S,
    play: &Play,
    shared: &Shared,
    asked_before: Option<Box<Asked>>,
) {
    let recorder = &shared.recorder;
    match play.upgrade {
        script::Upgrade::Accept => {}
        script::Upgrade::Drop => {
            recorder
                .note(conn, EventKind::ConnectFailed { error: "the server ended the transport at once".to_owned() });
            return;
        }
        script::Upgrade::Silent => {
            recorder.note(conn, EventKind::Note("the server never answers this upgrade".to_owned()));
            recorder.note(conn, EventKind::Reads { reads: false });
            // The request is taken and the end of the transport is seen; there is no answer to either.
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            return;
        }
        script::Upgrade::Refuse(status) => return refuse(conn, stream, status, recorder).await,
    }
    let gauge = Arc::new(Gauge::new(stream.queues()));
    let line = Line { stream, gauge: Arc::clone(&gauge) };
    let opening = Mutex::new(None);
    let mut tongue = shared.dialect.map(|dialect| match &asked_before {
        Some(asked) => Tongue::after(dialect, asked.side.clone()),
        None => Tongue::new(dialect, conn),
    });
    let config = WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    let upgraded = accept_hdr_async_with_config(
        line,
        |request: &Request, response: Response| {
            let (mut response, open) = answer(request, response, shared);
            let asked = asked_for(request, &open);
            if let Some(selected) = tongue.as_ref().map(|tongue| tongue.subprotocol(&asked)) {
                select(&mut response, selected);
            }
            *opening.lock().unwrap_or_else(PoisonError::into_inner) = Some((open, asked));
            Ok(response)
        },
        Some(config),
    );
    match upgraded.await {
        Ok(socket) => {
            let (mut open, asked) = opening.into_inner().unwrap_or_else(PoisonError::into_inner).unwrap_or_default();
            if let Some(tongue) = &mut tongue {
                tongue.take(&asked);
                let token = match &asked_before {
                    Some(asked) => asked.credential(tongue.token()),
                    None => tongue.token(),
                };
                open.authorization = Some(shown(token.as_deref(), shared.token.as_deref()));
                open.url = open.url.map(|url| url.split('?').next().unwrap_or_default().to_owned());
            }
            recorder.note(conn, EventKind::Open(open));
            let spoken = tongue.map(|mut tongue| {
                let said = tongue.opened(conn, recorder);
                (tongue, said)
            });
            serve(conn, socket, play, recorder, &gauge, &shared.heard, spoken).await;
        }
        Err(error) => recorder.note(conn, EventKind::ConnectFailed { error: format!("no upgrade: {error}") }),
    }
}

/// The answer to an upgrade, and what the trace says of it.
fn answer(request: &Request, mut response: Response, shared: &Shared) -> (Response, Open) {
    let offered: Vec<String> = request
        .headers()
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|token| token.trim().to_owned())
        .collect();
    let selected = offered.iter().any(|token| token == PROTOCOL).then(|| PROTOCOL.to_owned());
    if selected.is_some() {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
    let shown = match (request.headers().get(header::AUTHORIZATION), &shared.token) {
        (None, _) => Shown::None,
        (Some(value), Some(token)) if value.to_str().is_ok_and(|value| value.ends_with(token)) => Shown::Good,
        (Some(_), _) => Shown::Wrong,
    };
    let open = Open {
        offered,
        selected,
        label: Some(shared.label.clone()),
        url: Some(request.uri().to_string()),
        authorization: Some(shown),
        ..Open::default()
    };
    (response, open)
}

/// The upgrade as a translator takes it.
fn asked_for(request: &Request, open: &Open) -> Upgrade {
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    Upgrade {
        url: request.uri().to_string(),
        headers: request.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        subprotocols: open.offered.clone(),
    }
}

/// Selects this subprotocol and no other.
fn select(response: &mut Response, selected: Option<String>) {
    response.headers_mut().remove(header::SEC_WEBSOCKET_PROTOCOL);
    if let Some(value) = selected.and_then(|name| HeaderValue::try_from(name).ok()) {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, value);
    }
}

/// What a credential is worth, beside the one that the client was given.
fn shown(showed: Option<&str>, given: Option<&str>) -> Shown {
    match (showed, given) {
        (None, _) => Shown::None,
        (Some(showed), Some(given)) if showed == given => Shown::Good,
        (Some(_), _) => Shown::Wrong,
    }
}

/// Answers the upgrade with an HTTP status.
async fn refuse(conn: u32, mut stream: impl Transport, status: u16, recorder: &Recorder) {
    // The request must have been read, or the client sees a reset in the place of the answer.
    let mut head = vec![0; 16 << 10];
    let mut read = 0;
    while read < head.len() && !head[..read].windows(4).any(|four| four == b"\r\n\r\n") {
        match tokio::io::AsyncReadExt::read(&mut stream, &mut head[read..]).await {
            Ok(0) | Err(_) => return,
            Ok(more) => read += more,
        }
    }
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let reason = code.canonical_reason().unwrap_or_default();
    let text = format!("HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    recorder.note(conn, EventKind::Refused { status, retry_after: None, offered: None, authorization: None });
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// A connection that ends by a reset if it was asked to.
struct Line<S: Transport> {
    stream: S,
    gauge: Arc<Gauge>,
}

impl<S: Transport> Drop for Line<S> {
    fn drop(&mut self) {
        if self.gauge.reset.load(Ordering::Acquire) {
            self.stream.reset();
        } else {
            self.stream.farewell();
        }
    }
}

impl<S: Transport> AsyncRead for Line<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: Transport> AsyncWrite for Line<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.gauge.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
