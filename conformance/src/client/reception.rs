//! Owns what comes before a socket where the client's dialect asks for it by HTTP: telling such a request from an upgrade, answering it
//! with the URL of a socket, and knowing whose socket an upgrade asks for. Knows no play.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use lastword_dialects::{Dialect, HttpRequest, HttpResponse, Seed, ServerSide};
use lastword_spec::trace::EventKind;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::http::{Request, Response};

use super::gauge::Queues;
use super::host::{Shared, Transport};

/// Where the requests of one run of a client come in. Clones share what was asked.
#[derive(Clone)]
pub(super) struct Reception {
    dialect: &'static Dialect,
    shared: Shared,
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// One request that was answered.
#[derive(Clone)]
pub(super) struct Asked {
    /// What the URL of the socket holds, and the token of the answer is.
    uuid: String,
    /// The translator as the request left it.
    pub(super) side: ServerSide<'static>,
    /// The credential that the request showed.
    pub(super) token: Option<String>,
}

impl Asked {
    /// The credential that the client showed, of this one in its upgrade and the one in its request.
    pub(super) fn credential(&self, in_upgrade: Option<String>) -> Option<String> {
        self.token.clone().or(in_upgrade.filter(|token| *token != self.uuid))
    }
}

/// What a connection turned out to be.
pub(super) enum Caller<S> {
    /// One that wants a socket, or sent nothing that could be told; with what it asked before, if it did.
    Socket(Rewound<S>, Option<Box<Asked>>),
    /// One whose requests were answered. It is over.
    Answered,
}

/// How a note of an HTTP request begins.
pub(super) const ASKED: &str = "the client asked by HTTP for ";

/// The head of a request is not longer.
const MAX_HEAD_BYTES: usize = 32 << 10;
const MAX_HEADERS: usize = 64;
/// The body of a request that configures a session is not longer.
const MAX_BODY_BYTES: usize = 1 << 20;

impl Reception {
    /// For a client whose dialect has such a request; `None` for any other.
    pub(super) fn new(shared: &Shared, address: SocketAddr) -> Option<Self> {
        let dialect = shared.dialect.filter(|dialect| dialect.pre_request_path().is_some())?;
        Some(Self { dialect, shared: shared.clone(), address, asked: Arc::default() })
    }

    /// Sees what a connection wants, and answers it if it is no socket.
    pub(super) async fn receive<S: Transport>(&self, mut stream: S) -> Caller<S> {
        let mut head = Vec::with_capacity(1024);
        let wants_socket = loop {
            if let Some(wants_socket) = wants_socket(&head) {
                break wants_socket;
            }
            match stream.read_buf(&mut head).await {
                Ok(0) | Err(_) => break true,
                Ok(_) => {}
            }
        };
        let text = String::from_utf8_lossy(&head).into_owned();
        let stream = Rewound { head: Bytes::from(head), stream };
        if wants_socket {
            return Caller::Socket(stream, self.whose(&text));
        }
        let service = service_fn(|request| async { Ok::<_, Infallible>(self.answered(request).await) });
        // Each request on a connection of its own: the next one may be an upgrade.
        let serving = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
        if let Err(error) = serving.await {
            self.note(format!("an HTTP request of the client broke off: {error}"));
        }
        Caller::Answered
    }

    /// What was asked for the socket of this upgrade: what it names, or else the last.
    fn whose(&self, head: &str) -> Option<Box<Asked>> {
        let asked = self.lock();
        let whose = asked.iter().find(|asked| head.contains(&asked.uuid)).or(asked.last()).cloned().map(Box::new);
        if whose.is_none() {
            let (method, path) = self.dialect.pre_request_path().unwrap_or_default();
            let instead = format!("the client asked for a socket without {method} {path} before it");
            self.note(format!("{instead}: give it {{http_url}}"));
        }
        whose
    }

    async fn answered(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let host = parts.headers.get(header::HOST).map(text);
        let Ok(body) = Limited::new(body, MAX_BODY_BYTES).collect().await else { return response(400, String::new()) };
        let request = HttpRequest {
            method: parts.method.to_string(),
            url: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            body: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        };
        // As the client came here, so it comes back: it may see another address than ours.
        let host = host.filter(|host| !host.is_empty()).unwrap_or_else(|| self.address.to_string());
        let what = format!("{ASKED}{} {}", request.method, parts.uri.path());
        match self.ask(&request, &host) {
            Some(answer) => {
                self.note(format!("{what}, and was told where its socket is"));
                response(answer.status, answer.body)
            }
            None => {
                let (method, path) = self.dialect.pre_request_path().unwrap_or_default();
                self.note(format!("{what}, where the dialect has {method} {path}: it was answered with 404"));
                response(404, String::new())
            }
        }
    }

    fn ask(&self, request: &HttpRequest, host: &str) -> Option<HttpResponse> {
        let mut asked = self.lock();
        let uuid = format!("00000000-0000-4000-9000-{:012x}", asked.len());
        let scheme = if self.shared.tls.is_some() { "wss" } else { "ws" };
        let url = format!("{scheme}://{host}{}?lastword_session={uuid}", self.shared.path);
        let mut side = ServerSide::new(self.dialect, Seed { uuid: uuid.clone(), token: None });
        let answer = side.pre_request(request, &url)?;
        let token = side.token().map(str::to_owned);
        asked.push(Asked { uuid, side, token });
        Some(answer)
    }

    fn note(&self, what: String) {
        self.shared.recorder.note(self.shared.numbers.latest(), EventKind::Note(what));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn response(status: u16, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::OK);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Whether this is the head of an upgrade, or of nothing that could be answered; `None` until it is whole.
fn wants_socket(head: &[u8]) -> Option<bool> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {
            let mut upgrades = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("upgrade"));
            Some(upgrades.any(|header| header.value.eq_ignore_ascii_case(b"websocket")))
        }
        Ok(httparse::Status::Partial) => (head.len() > MAX_HEAD_BYTES).then_some(true),
        Err(_) => Some(true),
    }
}

/// A connection of which the beginning was looked at, and will be read again.
pub(super) struct Rewound<S> {
    head: Bytes,
    stream: S,
}

impl<S: Transport> Transport for Rewound<S> {
    fn reset(&self) {
        self.stream.reset();
    }

    fn farewell(&mut self) {
        self.stream.farewell();
    }

    fn queues(&self) -> Queues {
        self.stream.queues()
    }
}

impl<S: Transport> AsyncRead for Rewound<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.head.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = buf.remaining().min(self.head.len());
        buf.put_slice(&self.head.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<S: Transport> AsyncWrite for Rewound<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upgrade_is_told_from_a_request_once_its_head_is_whole() {
        let upgrade = b"GET /socket HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\n\r\n";
        assert_eq!(wants_socket(upgrade), Some(true));
        assert_eq!(wants_socket(&upgrade[..30]), None);
        assert_eq!(wants_socket(b"POST /v1/live HTTP/1.1\r\nHost: h\r\n\r\n{"), Some(false));
        assert_eq!(wants_socket(b"\x16\x03\x01"), Some(true), "no HTTP at all is for the play");
    }

    #[test]
    fn a_token_that_the_answer_lent_is_no_credential_of_the_client() {
        let dialect = Dialect::builtin("whisper-fastapi").expect("it comes with the harness");
        let asked = |token: Option<&str>| Asked {
            uuid: "lent".to_owned(),
            side: ServerSide::new(dialect, Seed::default()),
            token: token.map(str::to_owned),
        };
        assert_eq!(asked(None).credential(Some("lent".to_owned())), None);
        assert_eq!(asked(None).credential(Some("own".to_owned())).as_deref(), Some("own"));
        assert_eq!(asked(Some("own")).credential(Some("lent".to_owned())).as_deref(), Some("own"));
    }
}
