//! Owns the way to an open WebSocket: TCP without Nagle, TLS, the upgrade, all within one bound. Says what came of it and
//! judges nothing.

use std::time::Duration;

use http::header::AUTHORIZATION;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::tls::{Roots, TlsError, connector};
use super::upgrade::{self, Answer};
use crate::case::Credential;
use crate::subject::Target;

/// The transport below a WebSocket, plain or encrypted.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

/// An open WebSocket.
pub type Socket = WebSocketStream<Box<dyn Transport>>;

/// What came of an attempt to connect.
pub enum Opened {
    /// The upgrade succeeded.
    Socket {
        /// The connection.
        socket: Box<Socket>,
        /// The subprotocol that the server selected.
        selected: Option<String>,
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
    tls: Option<TlsConnector>,
}

/// Connecting and upgrading together.
const BOUND: Duration = Duration::from_secs(10);

/// Bursts go out in one write as long as they are below this.
const WRITE_BUFFER_BYTES: usize = 256 << 10;
/// More than this is never held for a server that does not read.
const MAX_WRITE_BUFFER_BYTES: usize = 8 << 20;
/// A server has no reason to send more in one message.
const MAX_MESSAGE_BYTES: usize = 4 << 20;

impl Dialler {
    /// A dialler for a subject.
    ///
    /// # Errors
    /// The roots cannot be read. The caller's fault.
    pub fn new(target: Target, roots: &Roots) -> Result<Self, TlsError> {
        let tls = if target.tls { Some(connector(roots)?) } else { None };
        Ok(Self { target, tls })
    }

    /// The subject's address and credentials.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Connects and upgrades, with these subprotocols offered and this credential shown.
    pub async fn open(&self, offer: &[String], credential: Credential) -> Opened {
        match timeout(BOUND, self.upgrade(offer, credential)).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => Opened::Failed(error.to_string()),
            Err(_) => Opened::Failed(format!("no answer to the upgrade within {} s", BOUND.as_secs())),
        }
    }

    async fn upgrade(&self, offer: &[String], credential: Credential) -> std::io::Result<Opened> {
        let tcp = TcpStream::connect((self.target.host.as_str(), self.target.port)).await?;
        tcp.set_nodelay(true)?;
        let mut transport: Box<dyn Transport> = match &self.tls {
            None => Box::new(tcp),
            Some(connector) => {
                let name = ServerName::try_from(self.target.host.clone()).map_err(std::io::Error::other)?;
                Box::new(connector.connect(name, tcp).await?)
            }
        };
        match upgrade::upgrade(&mut transport, &self.request(offer, credential)).await? {
            Answer::Switched { selected, tail } => {
                let config = WebSocketConfig::default()
                    .read_buffer_size(16 << 10)
                    .write_buffer_size(WRITE_BUFFER_BYTES)
                    .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
                    .max_message_size(Some(MAX_MESSAGE_BYTES))
                    .max_frame_size(Some(MAX_MESSAGE_BYTES));
                let socket = WebSocketStream::from_partially_read(transport, tail, Role::Client, Some(config)).await;
                Ok(Opened::Socket { socket: Box::new(socket), selected })
            }
            Answer::Refused { status, retry_after } => Ok(Opened::Refused { status, retry_after }),
            Answer::Nonsense(detail) => Ok(Opened::Failed(detail)),
        }
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

/// A credential that no server can have given out.
pub(crate) const WRONG_TOKEN: &str = "lastword-wrong-credential";
