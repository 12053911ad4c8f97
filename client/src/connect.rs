//! Owns the way to an open connection: address, TCP without Nagle, TLS, upgrade, all within one bound. Knows nothing of what is said
//! on it.

use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use http::{Request, Uri};
use lastword_session::{ApiMisuse, ClientOptions, ClientSession};
use lastword_spec::PROTOCOL;
use lastword_spec::message::Config;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::tungstenite::Error as WebSocketError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::driver::Driver;
use crate::events::Events;
use crate::redial::keep;
use crate::retry::{Retry, again};
use crate::sender::AudioSender;
use crate::shared::Shared;
use crate::tls;

/// What to ask of a server, and how to come to it. Its `Debug` shows no credential given by [`token`](Self::token).
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    config: Config,
    buffer_ms: u64,
    headers: Vec<(HeaderName, HeaderValue)>,
    extra_roots_pem: Vec<String>,
    bound: Duration,
    retry: Option<Retry>,
    redial: Option<Retry>,
}

impl Default for ConnectOptions {
    /// The default configuration: signed 16-bit little-endian PCM, 16,000 Hz, mono, with partials.
    fn default() -> Self {
        Self {
            config: Config::default(),
            buffer_ms: ClientOptions::default().buffer_ms,
            headers: Vec::new(),
            extra_roots_pem: Vec::new(),
            bound: CONNECT_BOUND,
            retry: None,
            redial: None,
        }
    }
}

impl ConnectOptions {
    /// The configuration to ask for.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// How much audio may wait to be sent, in milliseconds: at least 10,000. Spec: BP-C1.
    #[must_use]
    pub fn buffer_ms(mut self, buffer_ms: u64) -> Self {
        self.buffer_ms = buffer_ms;
        self
    }

    /// A credential, sent as `Authorization: Bearer TOKEN`; never in the URL, in a log or in an error. Spec: SEC-C1.
    ///
    /// # Errors
    /// [`ConnectError::BadHeader`]: it holds what no HTTP header can hold.
    pub fn token(mut self, token: &str) -> Result<Self, ConnectError> {
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| ConnectError::BadHeader { name: "authorization".into() })?;
        value.set_sensitive(true);
        self.headers.push((AUTHORIZATION, value));
        Ok(self)
    }

    /// One more header for the upgrade.
    ///
    /// # Errors
    /// [`ConnectError::BadHeader`]: name or value is none that HTTP allows.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, ConnectError> {
        let wrong = || ConnectError::BadHeader { name: name.to_owned() };
        let header = HeaderName::try_from(name).map_err(|_| wrong())?;
        self.headers.push((header, HeaderValue::try_from(value).map_err(|_| wrong())?));
        Ok(self)
    }

    /// Certificates in PEM form to trust for `wss` beside the public roots.
    #[must_use]
    pub fn extra_roots_pem(mut self, pem: impl Into<String>) -> Self {
        self.extra_roots_pem.push(pem.into());
        self
    }

    /// How long connecting and upgrading may take together, for each attempt: at most 10 s, which is the default. Spec: CON-C1.
    #[must_use]
    pub fn bound(mut self, bound: Duration) -> Self {
        self.bound = bound.min(CONNECT_BOUND);
        self
    }

    /// Whether [`connect`] tries again where no connection comes about; without it there is one attempt. What becomes of a session
    /// that is lost later is another matter: [`redial`](Self::redial). Spec: REC-C1.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Whether a session whose connection is lost goes on on a new one; without it the loss ends the session. Only of [`connect`],
    /// which knows where to dial.
    ///
    /// After a loss with [`Outcome::is_retryable`](crate::Outcome::is_retryable) it is dialled again with this budget, each attempt
    /// behind a pause; a connection that was ready and lived for `idle_timeout_ms` restores it. Audio that had not been sent, and what
    /// is pushed meanwhile, waits and is sent first. Not after the sentinel was sent, nor after a cancel. When the budget is spent the
    /// loss is the outcome.
    ///
    /// The application sees one session: another [`Event::Ready`](crate::Event::Ready) for each connection, an
    /// [`Event::Error`](crate::Event::Error) that says fatal where that was the loss, times that go on by the audio sent before, and
    /// segments of which no two have one number. Flushes that the lost one was asked for
    /// fail; later ones wait for the next. Audio that a lost connection had taken is not sent again, so
    /// the outcome is at best `Incomplete` with [`AudioLost`](crate::IncompleteReason::AudioLost). Spec: REC-C1 to REC-C5, TIM-C1.
    #[must_use]
    pub fn redial(mut self, redial: Retry) -> Self {
        self.redial = Some(redial);
        self
    }
}

/// Why there is no session. Nothing was sent but perhaps the upgrade.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The caller's fault: the URL cannot be used.
    #[error("the URL cannot be used: {0}")]
    BadUrl(&'static str),
    /// The caller's fault: no HTTP header can be made of it.
    #[error("the header `{name}` cannot be sent: its name or value holds characters that HTTP does not allow")]
    BadHeader {
        /// Its name.
        name: String,
    },
    /// The caller's fault: the options make no sense.
    #[error(transparent)]
    Options(#[from] ApiMisuse),
    /// The caller's fault: the certificates cannot be used.
    #[error("{0}")]
    Certificates(String),
    /// Nothing came of it in time.
    #[error("no connection within {} ms", bound.as_millis())]
    Timeout {
        /// The time given.
        bound: Duration,
    },
    /// The network's fault: no connection, or it broke.
    #[error("cannot connect: {0}")]
    Io(#[from] std::io::Error),
    /// The server answered the upgrade with an HTTP status.
    #[error("the server refused the connection with HTTP status {status}{}", why(*status))]
    Refused {
        /// The status.
        status: u16,
        /// When to try again, in seconds, if the server said so.
        retry_after_s: Option<u64>,
    },
    /// The server's fault: what answered is no Lastword server, or none of version 1.
    #[error("the server did not agree to `lastword.v1`: {0}")]
    Handshake(String),
}

impl ConnectError {
    /// Whether the same attempt may succeed later: the network failed, nobody answered in time, or the server has no room now. Not
    /// where it answered that this will not do, nor where the fault is the caller's. Spec: REC-C2.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Timeout { .. } => true,
            // So TLS says that a certificate is none that is trusted.
            Self::Io(error) => error.kind() != std::io::ErrorKind::InvalidData,
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 503),
            Self::BadUrl(_)
            | Self::BadHeader { .. }
            | Self::Options(_)
            | Self::Certificates(_)
            | Self::Handshake(_) => false,
        }
    }
}

impl ConnectError {
    /// How long the server wants to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after_s, .. } => retry_after_s.map(Duration::from_secs),
            _ => None,
        }
    }
}

fn why(status: u16) -> &'static str {
    match status {
        401 => ": the credentials are missing or wrong",
        404 => ": there is nothing at this path",
        503 => ": it has no free slot, try again later",
        _ => "",
    }
}

/// Spec: CON-C1.
const CONNECT_BOUND: Duration = Duration::from_secs(10);
/// A small buffer for each of many connections; the library's own default costs 128 KiB.
const READ_BUFFER_BYTES: usize = 4 << 10;
/// One message is written at a time; this only bounds what the library may hold besides (pongs).
const MAX_WRITE_BUFFER_BYTES: usize = 1 << 20;
/// No message of a server is near this.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// Connects to a server and begins a session, which goes on in a task of its own.
///
/// `url` is `ws://host[:port]/path` or `wss://..`. Returns when the upgrade is done, before `ready`: audio can be pushed at once and
/// waits. To be called within a tokio runtime.
///
/// # Errors
/// See [`ConnectError`]. Not an error here: what the server says later, which comes as events.
pub async fn connect(url: &str, options: ConnectOptions) -> Result<(AudioSender, Events), ConnectError> {
    let session = session(&options)?;
    let dialler = Dialler { url: url.to_owned(), options };
    let connection = match dialler.options.retry {
        None => dialler.dial().await?,
        Some(retry) => again(retry, || dialler.dial()).await?,
    };
    let (living, over) = watch::channel(());
    let shared = match dialler.redial() {
        None => Shared::new(session),
        Some(_) => Shared::going_on(session, dialler.session_options()),
    };
    tokio::spawn(keep(Arc::clone(&shared), connection, dialler, living));
    Ok((AudioSender::new(Arc::clone(&shared)), Events::new(shared, over)))
}

/// Upgrades a connection that stands already, be it through a proxy, over TLS of your own or a pipe, and begins a session on it.
///
/// `url` is what the upgrade asks for; where the connection leads is the caller's matter. Otherwise as [`connect`].
///
/// # Errors
/// See [`ConnectError`].
pub async fn connect_over<S>(
    stream: S,
    url: &str,
    options: ConnectOptions,
) -> Result<(AudioSender, Events), ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let session = session(&options)?;
    let bound = options.bound;
    let request = Address::parse(url)?.request(options.headers)?;
    let socket = timeout(bound, upgrade(request, stream)).await.map_err(|_| ConnectError::Timeout { bound })??;
    Ok(start(socket, session))
}

/// Begins a session on a WebSocket that is already open, over any transport.
///
/// # Errors
/// [`ConnectError::Options`].
pub fn attach<S>(socket: WebSocketStream<S>, options: &ConnectOptions) -> Result<(AudioSender, Events), ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Ok(start(socket, session(options)?))
}

/// Where the connections of a session lead, and how they are asked for.
pub(crate) struct Dialler {
    url: String,
    options: ConnectOptions,
}

/// An upgraded connection.
pub(crate) enum Connection {
    Plain(Box<WebSocketStream<TcpStream>>),
    Tls(Box<WebSocketStream<TlsStream<TcpStream>>>),
}

impl Dialler {
    pub(crate) fn redial(&self) -> Option<Retry> {
        self.options.redial
    }

    fn session_options(&self) -> ClientOptions {
        session_options(&self.options)
    }

    /// One attempt, within its bound.
    pub(crate) async fn dial(&self) -> Result<Connection, ConnectError> {
        let bound = self.options.bound;
        timeout(bound, self.connect()).await.map_err(|_| ConnectError::Timeout { bound })?
    }

    async fn connect(&self) -> Result<Connection, ConnectError> {
        let address = Address::parse(&self.url)?;
        let request = address.request(self.options.headers.clone())?;
        let tcp = TcpStream::connect((address.host.as_str(), address.port)).await?;
        tcp.set_nodelay(true)?;
        if !address.tls {
            return Ok(Connection::Plain(Box::new(upgrade(request, tcp).await?)));
        }
        let connector = tls::connector(&self.options.extra_roots_pem).map_err(ConnectError::Certificates)?;
        let name = ServerName::try_from(address.host)
            .map_err(|_| ConnectError::BadUrl("its host is no name TLS can check"))?;
        let stream = connector.connect(name, tcp).await?;
        Ok(Connection::Tls(Box::new(upgrade(request, stream).await?)))
    }
}

async fn upgrade<S>(request: Request<()>, stream: S) -> Result<WebSocketStream<S>, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    let (socket, _) = client_async_with_config(request, stream, Some(config)).await.map_err(refusal)?;
    Ok(socket)
}

fn refusal(error: WebSocketError) -> ConnectError {
    match error {
        WebSocketError::Http(response) => {
            let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            ConnectError::Refused {
                status: response.status().as_u16(),
                retry_after_s: retry_after.and_then(|text| text.parse().ok()),
            }
        }
        WebSocketError::Io(error) => ConnectError::Io(error),
        other => ConnectError::Handshake(other.to_string()),
    }
}

fn session_options(options: &ConnectOptions) -> ClientOptions {
    ClientOptions { config: options.config.clone(), buffer_ms: options.buffer_ms }
}

fn session(options: &ConnectOptions) -> Result<ClientSession, ConnectError> {
    Ok(ClientSession::new(session_options(options))?)
}

fn start<S>(socket: WebSocketStream<S>, session: ClientSession) -> (AudioSender, Events)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (living, over) = watch::channel(());
    let shared = Shared::new(session);
    let driver = Driver::new(shared.clone(), socket);
    tokio::spawn(async move {
        driver.run().await;
        drop(living);
    });
    (AudioSender::new(shared.clone()), Events::new(shared, over))
}

/// Where a server is.
struct Address {
    uri: Uri,
    tls: bool,
    host: String,
    port: u16,
}

impl Address {
    fn parse(url: &str) -> Result<Self, ConnectError> {
        let uri: Uri = url.parse().map_err(|_| ConnectError::BadUrl("write it as ws://host:port/path"))?;
        let tls = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            _ => return Err(ConnectError::BadUrl("it must begin with ws:// or wss://")),
        };
        // [SEC-C1]
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(ConnectError::BadUrl("it holds a credential: give it as a token instead"));
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(ConnectError::BadUrl("it has no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { uri, tls, host, port })
    }

    // [CON-1]
    fn request(&self, headers: Vec<(HeaderName, HeaderValue)>) -> Result<Request<()>, ConnectError> {
        let mut request = self.uri.clone().into_client_request().map_err(refusal)?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
        for (name, value) in headers {
            request.headers_mut().insert(name, value);
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_wrong_ones_refused_with_a_reason() {
        let address = Address::parse("wss://[::1]:8443/v1/listen?x=1").unwrap();
        assert_eq!((address.tls, address.host.as_str(), address.port), (true, "::1", 8443));
        assert_eq!(Address::parse("ws://example.org").unwrap().port, 80);
        for (url, word) in [("http://a/", "ws://"), ("ws://u:secret@a/", "credential"), ("a b", "ws://host")] {
            let Err(error) = Address::parse(url) else { panic!("{url}") };
            let text = error.to_string();
            assert!(text.contains(word) && !text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn a_token_does_not_show() {
        let options = ConnectOptions::default().token("open sesame").unwrap();
        assert!(!format!("{options:?}").contains("sesame"));
    }
}
