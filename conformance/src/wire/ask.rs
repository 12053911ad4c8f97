//! Owns the HTTP request that comes before the socket where a dialect has one: it is made on a connection of its own, and its
//! answer is read whole. Knows nothing of what the answer means.

use std::error::Error;

use http::header::{ACCEPT, CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use lastword_dialects::HttpRequest;

use super::pipe::Pipe;

/// What came back.
pub(super) struct Answer {
    /// The HTTP status.
    pub(super) status: u16,
    /// `Retry-After`, as it came.
    pub(super) retry_after: Option<String>,
    /// The body.
    pub(super) body: String,
}

/// An answer that says where a socket is has no reason to be longer.
const MAX_BODY_BYTES: usize = 256 << 10;

/// Makes the request and reads the answer. A header of `own` stands in the place of the request's one of that name.
///
/// # Errors
/// The request cannot be written, or there is no whole HTTP answer. Says which.
pub(super) async fn ask(
    pipe: Pipe,
    host: &str,
    request: &HttpRequest,
    own: &[(HeaderName, HeaderValue)],
) -> Result<Answer, String> {
    let request = written(host, request, own).map_err(|error| format!("it cannot be written: {error}"))?;
    let (sender, connection) = handshake(TokioIo::new(pipe)).await.map_err(|error| in_full(&error))?;
    let carried = async {
        // What ends the connection also ends the exchange, which says why.
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = exchange(sender, request) => answer,
        () = carried => Err("the connection ended".to_owned()),
    }
}

fn written(
    host: &str,
    request: &HttpRequest,
    own: &[(HeaderName, HeaderValue)],
) -> Result<Request<Full<Bytes>>, http::Error> {
    let rest = request.url.split_once("://").map_or(request.url.as_str(), |(_, rest)| rest);
    let place = rest.find(['/', '?']).map_or("/", |at| &rest[at..]);
    let mut written = Request::builder().method(request.method.as_str()).uri(place).header(HOST, host);
    for (name, value) in own {
        written = written.header(name, value);
    }
    for (name, value) in &request.headers {
        if !own.iter().any(|(given, _)| name.eq_ignore_ascii_case(given.as_str())) {
            written = written.header(name, value);
        }
    }
    let mut written = written.body(Full::new(Bytes::from(request.body.clone())))?;
    let headers = written.headers_mut();
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
    if !request.body.is_empty() {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    }
    Ok(written)
}

async fn exchange(mut sender: SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> Result<Answer, String> {
    let answer = sender.send_request(request).await.map_err(|error| in_full(&error))?;
    let status = answer.status().as_u16();
    let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = Limited::new(answer.into_body(), MAX_BODY_BYTES).collect().await;
    let body =
        body.map_err(|error| format!("the body of the answer (status {status}): {}", in_full(error.as_ref())))?;
    let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    Ok(Answer { status, retry_after, body })
}

/// An error with what is behind it.
fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut behind = error.source();
    while let Some(error) = behind {
        text = format!("{text}: {error}");
        behind = error.source();
    }
    text
}
