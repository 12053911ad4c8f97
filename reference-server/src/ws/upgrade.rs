//! From an HTTP request to a session. Owns: the WebSocket handshake, and who is refused before it. Must not know: what happens
//! in a session.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{AUTHORIZATION, CONNECTION, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use lastword_dialects::{Capability, Dialect, Upgrade};
use lastword_session::{ServerPolicy, ServerSession, Token};
use lastword_spec::PROTOCOL;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::drive::{Surroundings, run};
use super::socket::Socket;
use super::wire::{Step, Wire};
use crate::server::App;

/// A connection costs this much while it is idle; larger messages grow it for as long as they take.
const READ_BUFFER_BYTES: usize = 4 * 1_024;
/// Messages are written together up to this.
const WRITE_BUFFER_BYTES: usize = 4 * 1_024;
/// A client that is refused for want of a slot may try again after this many seconds.
const RETRY_AFTER_S: u64 = 2;
/// A client of a service that announces no idle timeout sends what keeps a session alive when it likes; after so long it is gone.
const UNANNOUNCED_IDLE_MS: u64 = 600_000;

/// Whether a request came with good credentials.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// Nobody is asked, or the header was right.
    Good,
    /// There is no `Authorization` header.
    Absent,
    /// A header is wrong.
    Bad,
}

/// What the `Authorization` headers of a request are worth.
pub(crate) fn credentials(headers: &HeaderMap, token: Option<&Token>) -> Credentials {
    let Some(token) = token else { return Credentials::Good };
    let mut found = Credentials::Absent;
    for header in headers.get_all(AUTHORIZATION) {
        let given = header.to_str().ok().and_then(|value| value.trim().split_once(' '));
        let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        if !given.is_some_and(|(_, secret)| token.admits(Some(&Token::new(secret.trim())))) {
            return Credentials::Bad;
        }
        found = Credentials::Good;
    }
    found
}

/// `GET /v1/listen`.
pub(crate) async fn listen(State(app): State<Arc<App>>, request: Request) -> Response {
    // [CON-S5]
    let mut accepted = match create_response_with_body(&request, Body::empty) {
        Ok(response) => response,
        Err(error) => return no_upgrade(&error),
    };
    // [SEC-S1]
    let credentials = credentials(request.headers(), app.token.as_ref());
    if credentials == Credentials::Bad {
        return unauthorized("the credentials are wrong\n");
    }
    let offered = offered_protocols(request.headers());
    // [CON-S1]
    if !offered.is_empty() && !offered.contains(&PROTOCOL) {
        let text = format!("offer the subprotocol {PROTOCOL}, or none\n");
        return (StatusCode::BAD_REQUEST, text).into_response();
    }
    // [CON-1] [CON-S2]
    if !offered.is_empty() {
        accepted.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
    let policy = if credentials == Credentials::Good { &app.trusting_policy } else { &app.policy };
    begin(&app, request, accepted, policy, app.next_session_id(), None)
}

/// The socket of another service's wire. Where it has no place for a credential, the `Authorization` header is one.
pub(crate) async fn listen_in(dialect: &'static Dialect, app: Arc<App>, request: Request) -> Response {
    let mut accepted = match create_response_with_body(&request, Body::empty) {
        Ok(response) => response,
        Err(error) => return no_upgrade(&error),
    };
    let session_id = app.next_session_id();
    let mut wire = Wire::new(dialect, &session_id);
    let upgrade = upgrade_of(&request);
    let told = wire.opened(&upgrade);
    let mut credentials = credentials(request.headers(), app.token.as_ref());
    if let (Some(token), Some(shown)) = (&app.token, wire.token()) {
        credentials = if token.admits(Some(&Token::new(shown))) { Credentials::Good } else { Credentials::Bad };
    }
    let comes_later = credentials == Credentials::Absent && !dialect.lacks(Capability::Auth);
    if credentials != Credentials::Good && !comes_later {
        return unauthorized("no valid credentials: send them as `Authorization: Bearer TOKEN`\n");
    }
    if let Some(name) = wire.subprotocol(&upgrade).and_then(|name| HeaderValue::try_from(name).ok()) {
        accepted.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, name);
    }
    let policy = policy_in(dialect, if comes_later { &app.policy } else { &app.trusting_policy });
    begin(&app, request, accepted, &policy, session_id, Some((wire, told)))
}

/// What holds for a session in this dialect.
fn policy_in(dialect: &Dialect, policy: &Arc<ServerPolicy>) -> Arc<ServerPolicy> {
    if !dialect.lacks(Capability::IdleTimeout) {
        return Arc::clone(policy);
    }
    let mut policy = ServerPolicy::clone(policy);
    policy.limits.idle_timeout_ms = policy.limits.idle_timeout_ms.max(UNANNOUNCED_IDLE_MS);
    Arc::new(policy)
}

/// Takes a slot and begins a session as soon as the upgrade is answered with `accepted`.
fn begin(
    app: &App,
    mut request: Request,
    accepted: http::Response<Body>,
    policy: &Arc<ServerPolicy>,
    session_id: String,
    wire: Option<(Wire, Vec<Step>)>,
) -> Response {
    // [CON-S4]
    let slot = Arc::clone(&app.slots).try_acquire_owned().ok().filter(|_| !*app.shutdown.borrow());
    let Some(slot) = slot else {
        let text = "no free slot for a session; try again later\n";
        return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, RETRY_AFTER_S)], text).into_response();
    };
    let session = match ServerSession::new(Arc::clone(policy), session_id) {
        Ok(session) => Box::new(session),
        Err(misuse) => {
            tracing::error!("no session can be made: {misuse}");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let surroundings = Surroundings {
        recognizer: app.recognizer.clone(),
        slot,
        shutdown: app.shutdown.clone(),
        max_outgoing_bytes: app.max_outgoing_bytes,
        wire,
    };
    let config = socket_config(policy);
    let on_upgrade = hyper::upgrade::on(&mut request);
    app.sessions.spawn(serve(on_upgrade, session, surroundings, config));
    accepted
}

fn unauthorized(text: &'static str) -> Response {
    (StatusCode::UNAUTHORIZED, [("www-authenticate", "Bearer")], text).into_response()
}

fn upgrade_of(request: &Request) -> Upgrade {
    let url = request.uri().path_and_query().map_or("/", |whole| whole.as_str()).to_owned();
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let headers = request.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let subprotocols = offered_protocols(request.headers()).into_iter().map(str::to_owned).collect();
    Upgrade { url, headers, subprotocols }
}

async fn serve(
    on_upgrade: OnUpgrade,
    session: Box<ServerSession>,
    surroundings: Surroundings,
    config: WebSocketConfig,
) {
    match on_upgrade.await {
        Ok(upgraded) => {
            let Some((stream, read_already)) = bare(upgraded) else { return };
            let stream = WebSocketStream::from_partially_read(stream, read_already, Role::Server, Some(config)).await;
            run(session, Socket::new(stream), surroundings).await;
        }
        // The client left before its upgrade was answered.
        Err(error) => tracing::debug!("an upgrade came to nothing: {error}"),
    }
}

/// The connection without the layers of HTTP, and what they have read of it beyond the request.
fn bare(upgraded: Upgraded) -> Option<(TcpStream, Vec<u8>)> {
    match downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => Some((parts.io.into_inner(), parts.read_buf.to_vec())),
        Err(_) => {
            tracing::error!("an upgraded connection is not the TCP connection that was accepted");
            None
        }
    }
}

fn socket_config(policy: &ServerPolicy) -> WebSocketConfig {
    let limits = &policy.limits;
    let largest = usize::try_from(limits.max_frame_bytes.max(limits.max_text_bytes)).unwrap_or(usize::MAX);
    // Above the limits, so that the session refuses what exceeds them and says why; far above, the library does.
    let readable_bytes = largest.saturating_mul(2).max(256 * 1_024);
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES + 2 * largest.max(64 * 1_024))
        .max_message_size(Some(readable_bytes))
        .max_frame_size(Some(readable_bytes))
}

fn offered_protocols(headers: &HeaderMap) -> Vec<&str> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter();
    // What is no text is no protocol that is known here, but it is an offer.
    let texts = values.map(|value| value.to_str().unwrap_or("?"));
    texts.flat_map(|text| text.split(',')).map(str::trim).filter(|token| !token.is_empty()).collect()
}

fn no_upgrade(error: &tokio_tungstenite::tungstenite::Error) -> Response {
    use tokio_tungstenite::tungstenite::Error;
    let malformed =
        matches!(error, Error::Protocol(ProtocolError::MissingSecWebSocketKey | ProtocolError::InvalidSecWebSocketKey));
    if malformed {
        return (StatusCode::BAD_REQUEST, format!("this is no WebSocket handshake: {error}\n")).into_response();
    }
    let headers = [(UPGRADE, "websocket"), (CONNECTION, "Upgrade"), (SEC_WEBSOCKET_VERSION, "13")];
    let text = format!("this is the WebSocket endpoint of {PROTOCOL}: connect to it with a WebSocket client\n");
    (StatusCode::UPGRADE_REQUIRED, headers, text).into_response()
}
