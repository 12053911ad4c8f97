//! Owns the way to an open WebSocket: TCP without Nagle, TLS or a pipe in memory, the HTTP request of a dialect that has one, then
//! the upgrade, all within one bound. Says what came of it and judges nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use lastword_dialects::{ConnectError, Dialect, HttpRequest};
use lastword_spec::message::AudioFormat;
use lastword_spec::trace::Spoken;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::ask::{self, ask};
use super::pipe::Pipe;
use super::tls::{Roots, TlsError, connector};
use super::tongue::Tongue;
use super::upgrade::{self, Answer};
use crate::case::Credential;
use crate::dialect;
use crate::redact::Redactor;
use crate::subject::{Target, TargetError};

/// The transport below a WebSocket, plain or encrypted.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

/// An open WebSocket.
pub type Socket = WebSocketStream<Pipe>;

/// What came of an attempt to connect.
pub enum Opened {
    /// The upgrade succeeded.
    Socket {
        /// The connection.
        socket: Box<Socket>,
        /// The subprotocol that the server selected.
        selected: Option<String>,
        /// The translator, where another wire is spoken.
        tongue: Option<Tongue>,
    },
    /// The server refused it with a status, or the HTTP request before it.
    Refused {
        /// The HTTP status.
        status: u16,
        /// `Retry-After`, as it came.
        retry_after: Option<String>,
        /// What was refused and how, without secrets, where it was not the upgrade; what is wrong with an upgrade of status 101.
        told: Option<String>,
    },
    /// There was no HTTP answer, or one that is no answer to an upgrade.
    Failed(String),
}

/// Opens connections to one subject.
#[derive(Clone)]
pub struct Dialler {
    target: Target,
    way: Way,
    /// What is spoken, where it is not version 1.
    dialect: Option<&'static Dialect>,
    /// How many connections were opened in it.
    opened: Arc<AtomicU64>,
}

/// How bytes get to the subject.
#[derive(Clone)]
enum Way {
    /// Over TCP, and TLS where the URL says so; a dialect's socket may need it where the subject's own URL did not.
    Net {
        roots: Roots,
        tls: Option<TlsConnector>,
    },
    Memory(Accept),
}

/// Takes the subject's end of a pipe.
type Accept = Arc<dyn Fn(DuplexStream) + Send + Sync>;

/// How long connecting and upgrading may take together, on a machine that is not busy.
pub const OPENING: Duration = Duration::from_secs(10);

/// Bursts go out in one write as long as they are below this.
const WRITE_BUFFER_BYTES: usize = 256 << 10;
/// More than this is never held for a server that does not read.
const MAX_WRITE_BUFFER_BYTES: usize = 8 << 20;
/// What a pipe in memory holds on its way, each direction for itself: about what a socket holds.
const PIPE_BYTES: usize = 64 << 10;
/// So much is told of the body of a refusal.
const SHOWN_CHARS: usize = 200;
/// A server has no reason to send more in one message.
const MAX_MESSAGE_BYTES: usize = 4 << 20;

impl Dialler {
    /// A dialler for a subject.
    ///
    /// # Errors
    /// The roots cannot be read. The caller's fault.
    pub fn new(target: Target, roots: &Roots) -> Result<Self, TlsError> {
        let tls = if target.tls { Some(connector(roots)?) } else { None };
        let way = Way::Net { roots: roots.clone(), tls };
        Ok(Self { target, way, dialect: None, opened: Arc::default() })
    }

    /// The same, in another wire.
    #[must_use]
    pub fn speaking(self, dialect: &'static Dialect) -> Self {
        Self { dialect: Some(dialect).filter(|dialect| !dialect.is_native()), ..self }
    }

    /// What a trace says of the wire; `None` for version 1.
    #[must_use]
    pub fn spoken(&self) -> Option<Spoken> {
        self.dialect.and_then(dialect::spoken)
    }

    /// So many bytes of audio on the wire, as bytes of the harness's own audio: whole samples, never more than they make.
    pub(crate) fn own_bytes(&self, wire_bytes: u64) -> u64 {
        match self.dialect.and_then(Dialect::sample_rate_hz) {
            Some(wire_hz) => {
                wire_bytes / 2 * u64::from(AudioFormat::default().sample_rate_hz) / u64::from(wire_hz.max(1)) * 2
            }
            None => wire_bytes,
        }
    }

    /// A dialler for a subject in this process: for each connection `accept` gets the subject's end of a pipe, on which the
    /// subject must serve as on an accepted TCP connection, and must not block (usually it spawns a task). Nothing of
    /// `target` but its path, headers and credentials matters.
    ///
    /// A pipe holds a bounded number of bytes in each direction, so a peer that does not read is felt as on a socket. Under
    /// paused time no real socket may be waited for in the same runtime.
    #[must_use]
    pub fn in_memory(target: Target, accept: impl Fn(DuplexStream) + Send + Sync + 'static) -> Self {
        Self { target, way: Way::Memory(Arc::new(accept)), dialect: None, opened: Arc::default() }
    }

    /// Whether the subject is in this process.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        matches!(self.way, Way::Memory(_))
    }

    /// The subject's address and credentials.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Connects and upgrades, with these subprotocols offered and this credential shown, within this bound. Where the dialect has
    /// an HTTP request that comes first, that is made within the same bound.
    pub async fn open(&self, offer: &[String], credential: Credential, bound: Duration) -> Opened {
        let until = Instant::now() + bound;
        let tongue = self.dialect.map(|dialect| self.tongue(dialect, credential));
        let none = |to_what: &str| Opened::Failed(format!("no answer to the {to_what} within {} s", bound.as_secs()));
        if let Some(tongue) = &tongue {
            match timeout_at(until, self.ask_for_socket(tongue, credential)).await {
                Ok(Ok(())) => {}
                Ok(Err(turned_away)) => return turned_away,
                Err(_) => return none("HTTP request before the upgrade"),
            }
        }
        match timeout_at(until, self.upgrade(offer, credential, tongue)).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => Opened::Failed(self.without_secrets(&error.to_string())),
            Err(_) => none("upgrade"),
        }
    }

    /// Makes the HTTP request that comes before the socket, if the dialect has one; the translator keeps what it brings.
    async fn ask_for_socket(&self, tongue: &Tongue, credential: Credential) -> Result<(), Opened> {
        let failed = |error: String| Opened::Failed(self.without_secrets(&error));
        let Some(request) = tongue.pre_request(&self.base()).map_err(|error| failed(error.to_string()))? else {
            return Ok(());
        };
        let answer = self.answer(&request, credential).await;
        let answer = answer.map_err(|error| failed(format!("the HTTP request before the upgrade: {error}")))?;
        match tongue.pre_response(answer.status, &answer.body) {
            Ok(()) => Ok(()),
            Err(_) if !(200..300).contains(&answer.status) => {
                let (method, status) = (&request.method, answer.status);
                // Hidden before it is cut, or a part of a secret would stand at the end.
                let body: String = self.without_secrets(&answer.body).chars().take(SHOWN_CHARS).collect();
                let body = if body.is_empty() { "an empty body".to_owned() } else { format!("the body {body:?}") };
                let told = format!("the HTTP request before the upgrade ({method}) got status {status} with {body}");
                Err(Opened::Refused { status, retry_after: answer.retry_after, told: Some(told) })
            }
            Err(error) => Err(failed(error.to_string())),
        }
    }

    async fn answer(&self, request: &HttpRequest, credential: Credential) -> Result<ask::Answer, String> {
        let pipe = self.reach(&self.target).await.map_err(|error| error.to_string())?;
        let own = self.target.headers.iter().filter(|(name, _)| goes_along(name, credential));
        let own: Vec<(HeaderName, HeaderValue)> = own.cloned().collect();
        ask(pipe, &self.target.authority(), request, &own).await
    }

    async fn upgrade(
        &self,
        offer: &[String],
        credential: Credential,
        tongue: Option<Tongue>,
    ) -> std::io::Result<Opened> {
        let mut request = self.request(offer, credential);
        let place = match &tongue {
            Some(tongue) => self.translate(&mut request, tongue, credential).map_err(std::io::Error::other)?,
            None => self.target.clone(),
        };
        let mut transport = self.reach(&place).await?;
        match upgrade::upgrade(&mut transport, &request).await? {
            Answer::Switched { selected, tail } => {
                let config = WebSocketConfig::default()
                    .read_buffer_size(16 << 10)
                    .write_buffer_size(WRITE_BUFFER_BYTES)
                    .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
                    .max_message_size(Some(MAX_MESSAGE_BYTES))
                    .max_frame_size(Some(MAX_MESSAGE_BYTES));
                let socket = WebSocketStream::from_partially_read(transport, tail, Role::Client, Some(config)).await;
                Ok(Opened::Socket { socket: Box::new(socket), selected, tongue })
            }
            Answer::Refused { status, retry_after } => Ok(Opened::Refused { status, retry_after, told: None }),
            Answer::Forged(detail) => Ok(Opened::Refused { status: 101, retry_after: None, told: Some(detail) }),
            Answer::Nonsense(detail) => Ok(Opened::Failed(detail)),
        }
    }

    /// A transport to this place.
    async fn reach(&self, place: &Target) -> std::io::Result<Pipe> {
        match &self.way {
            Way::Net { roots, tls } => {
                let tcp = TcpStream::connect((place.host.as_str(), place.port)).await?;
                tcp.set_nodelay(true)?;
                let addresses = addresses(&tcp);
                if !place.tls {
                    return Ok(Pipe::new(Box::new(tcp), addresses));
                }
                let tls = match tls {
                    Some(tls) => tls.clone(),
                    None => connector(roots).map_err(std::io::Error::other)?,
                };
                let name = ServerName::try_from(place.host.clone()).map_err(std::io::Error::other)?;
                Ok(Pipe::new(Box::new(tls.connect(name, tcp).await?), addresses))
            }
            Way::Memory(accept) => {
                let (ours, theirs) = duplex(PIPE_BYTES);
                accept(theirs);
                Ok(Pipe::new(Box::new(ours), None))
            }
        }
    }

    fn tongue(&self, dialect: &'static Dialect, credential: Credential) -> Tongue {
        let token = match credential {
            Credential::Good => self.target.token.clone(),
            Credential::Wrong => Some(WRONG_TOKEN.to_owned()),
            Credential::None => None,
        };
        // A name like any other, and the same in each run of the same plan.
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        Tongue::new(dialect, format!("00000000-0000-4000-8000-{number:012x}"), token)
    }

    /// Asks for what the dialect asks for: its path where none was given, its query, headers and subprotocols. Where the socket is.
    fn translate(
        &self,
        request: &mut upgrade::Request,
        tongue: &Tongue,
        credential: Credential,
    ) -> Result<Target, OpeningError> {
        let wanted = tongue.upgrade(&self.base())?;
        let place = Target::parse(&wanted.url)?;
        if tongue.asks_first() {
            // What credential goes along, and how, the dialect says; elsewhere the subject's other headers are nobody's business.
            let own = self.target.headers.iter().filter(|(name, _)| goes_along(name, credential));
            let own = own.filter(|_| self.is_same_place(&place));
            request.headers = own.map(|(name, value)| (name.to_string(), value.as_bytes().to_owned())).collect();
        }
        request.host = place.authority();
        request.path.clone_from(&place.path);
        request.offer = wanted.subprotocols;
        request.headers.extend(wanted.headers.into_iter().map(|(name, value)| (name, value.into_bytes())));
        Ok(place)
    }

    /// The subject's address as a dialect takes it: without a path where none was given.
    fn base(&self) -> String {
        let scheme = if self.target.tls { "wss" } else { "ws" };
        let path = if self.target.path == "/" { "" } else { self.target.path.as_str() };
        format!("{scheme}://{}{path}", self.target.authority())
    }

    fn is_same_place(&self, place: &Target) -> bool {
        (place.tls, place.port) == (self.target.tls, self.target.port)
            && place.host.eq_ignore_ascii_case(&self.target.host)
    }

    fn without_secrets(&self, text: &str) -> String {
        Redactor::new(&self.target.secrets()).redact(text)
    }

    /// The request without the headers that make it an upgrade.
    fn request(&self, offer: &[String], credential: Credential) -> upgrade::Request {
        let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
        let mut has_authorization = false;
        for (name, value) in &self.target.headers {
            if !goes_along(name, credential) {
                continue;
            }
            has_authorization |= *name == AUTHORIZATION;
            headers.push((name.to_string(), value.as_bytes().to_owned()));
        }
        let bearer = match (credential, &self.target.token) {
            (Credential::Good, Some(token)) if !has_authorization => Some(token.as_str()),
            (Credential::Wrong, _) => Some(WRONG_TOKEN),
            _ => None,
        };
        if let Some(token) = bearer {
            headers.push((AUTHORIZATION.to_string(), format!("Bearer {token}").into_bytes()));
        }
        upgrade::Request {
            host: self.target.authority(),
            path: self.target.path.clone(),
            offer: offer.to_vec(),
            headers,
        }
    }
}

/// Why there is no address to dial in a dialect.
#[derive(Debug, thiserror::Error)]
enum OpeningError {
    #[error(transparent)]
    Dialect(#[from] ConnectError),
    #[error("the URL of the socket cannot be used: {0}")]
    Place(#[from] TargetError),
}

/// Whether a header that was given goes along where this credential is to be shown.
fn goes_along(name: &HeaderName, credential: Credential) -> bool {
    *name != AUTHORIZATION || credential == Credential::Good
}

/// The addresses of the two ends, ours first.
fn addresses(tcp: &TcpStream) -> Option<(SocketAddr, SocketAddr)> {
    Some((tcp.local_addr().ok()?, tcp.peer_addr().ok()?))
}

/// A credential that no server can have given out.
pub(crate) const WRONG_TOKEN: &str = "lastword-wrong-credential";
