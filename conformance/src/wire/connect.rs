//! Owns the way to an open WebSocket: TCP without Nagle, TLS or a pipe in memory, then the upgrade, all within one bound.
//! Says what came of it and judges nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::AUTHORIZATION;
use lastword_dialects::Dialect;
use lastword_spec::trace::Spoken;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::pipe::Pipe;
use super::tls::{Roots, TlsError, connector};
use super::tongue::Tongue;
use super::upgrade::{self, Answer};
use crate::case::Credential;
use crate::dialect;
use crate::subject::Target;

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
    /// The server refused it with a status.
    Refused {
        /// The HTTP status.
        status: u16,
        /// `Retry-After`, as it came.
        retry_after: Option<String>,
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
    Tcp,
    Tls(TlsConnector),
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
/// A server has no reason to send more in one message.
const MAX_MESSAGE_BYTES: usize = 4 << 20;

impl Dialler {
    /// A dialler for a subject.
    ///
    /// # Errors
    /// The roots cannot be read. The caller's fault.
    pub fn new(target: Target, roots: &Roots) -> Result<Self, TlsError> {
        let way = if target.tls { Way::Tls(connector(roots)?) } else { Way::Tcp };
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

    /// Connects and upgrades, with these subprotocols offered and this credential shown, within this bound.
    pub async fn open(&self, offer: &[String], credential: Credential, bound: Duration) -> Opened {
        match timeout(bound, self.upgrade(offer, credential)).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => Opened::Failed(error.to_string()),
            Err(_) => Opened::Failed(format!("no answer to the upgrade within {} s", bound.as_secs())),
        }
    }

    async fn upgrade(&self, offer: &[String], credential: Credential) -> std::io::Result<Opened> {
        let mut transport = match &self.way {
            Way::Tcp => {
                let tcp = self.tcp().await?;
                let addresses = addresses(&tcp);
                Pipe::new(Box::new(tcp), addresses)
            }
            Way::Tls(connector) => {
                let name = ServerName::try_from(self.target.host.clone()).map_err(std::io::Error::other)?;
                let tcp = self.tcp().await?;
                let addresses = addresses(&tcp);
                Pipe::new(Box::new(connector.connect(name, tcp).await?), addresses)
            }
            Way::Memory(accept) => {
                let (ours, theirs) = duplex(PIPE_BYTES);
                accept(theirs);
                Pipe::new(Box::new(ours), None)
            }
        };
        let mut request = self.request(offer, credential);
        let tongue = self.dialect.map(|dialect| self.tongue(dialect, credential));
        if let Some(tongue) = &tongue {
            self.translate(&mut request, tongue).map_err(std::io::Error::other)?;
        }
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
            Answer::Refused { status, retry_after } => Ok(Opened::Refused { status, retry_after }),
            Answer::Nonsense(detail) => Ok(Opened::Failed(detail)),
        }
    }

    async fn tcp(&self) -> std::io::Result<TcpStream> {
        let tcp = TcpStream::connect((self.target.host.as_str(), self.target.port)).await?;
        tcp.set_nodelay(true)?;
        Ok(tcp)
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

    /// Asks for what the dialect asks for: its path where none was given, its query, headers and subprotocols.
    fn translate(
        &self,
        request: &mut upgrade::Request,
        tongue: &Tongue,
    ) -> Result<(), lastword_dialects::ConnectError> {
        let scheme = if self.target.tls { "wss" } else { "ws" };
        let path = if request.path == "/" { "" } else { request.path.as_str() };
        let wanted = tongue.upgrade(&format!("{scheme}://{}{path}", request.host))?;
        let rest = wanted.url.split_once("://").map_or(wanted.url.as_str(), |(_, rest)| rest);
        request.path = rest.find(['/', '?']).map_or("/", |at| &rest[at..]).to_owned();
        request.offer = wanted.subprotocols;
        request.headers.extend(wanted.headers.into_iter().map(|(name, value)| (name, value.into_bytes())));
        Ok(())
    }

    /// The request without the headers that make it an upgrade.
    fn request(&self, offer: &[String], credential: Credential) -> upgrade::Request {
        let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
        let mut has_authorization = false;
        for (name, value) in &self.target.headers {
            if *name == AUTHORIZATION && credential != Credential::Good {
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

/// The addresses of the two ends, ours first.
fn addresses(tcp: &TcpStream) -> Option<(SocketAddr, SocketAddr)> {
    Some((tcp.local_addr().ok()?, tcp.peer_addr().ok()?))
}

/// A credential that no server can have given out.
pub(crate) const WRONG_TOKEN: &str = "lastword-wrong-credential";
