//! Owns the opening handshake of RFC 6455, client side. The WebSocket library has one too, but it gives up when a server
//! selects no subprotocol, which is a finding here and no reason not to talk.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};

/// What is asked for.
pub(super) struct Request {
    /// The `Host` header.
    pub(super) host: String,
    /// Path and query.
    pub(super) path: String,
    /// Subprotocols offered, in order of preference.
    pub(super) offer: Vec<String>,
    /// Further headers.
    pub(super) headers: Vec<(String, Vec<u8>)>,
}

/// What the server answered.
pub(super) enum Answer {
    /// The connection is a WebSocket now.
    Switched {
        /// The subprotocol it selected.
        selected: Option<String>,
        /// Bytes that came behind the answer.
        tail: Vec<u8>,
    },
    /// An HTTP answer that is no upgrade.
    Refused {
        /// Its status.
        status: u16,
        /// `Retry-After`.
        retry_after: Option<String>,
    },
    /// It claims an upgrade that it did not make: what is wrong with it.
    Forged(String),
    /// Something that is no HTTP.
    Nonsense(String),
}

const MAX_HEAD_BYTES: usize = 32 << 10;
const MAX_HEADERS: usize = 64;

/// Sends the request and reads the head of the answer.
///
/// # Errors
/// The transport failed.
pub(super) async fn upgrade<T: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut T,
    request: &Request,
) -> io::Result<Answer> {
    let key = generate_key();
    stream.write_all(&encode(request, &key)).await?;
    stream.flush().await?;
    let mut head = Vec::with_capacity(1024);
    loop {
        let mut chunk = [0_u8; 4096];
        let count = stream.read(&mut chunk).await?;
        if count == 0 {
            return Ok(Answer::Nonsense("the connection ended before the answer to the upgrade".into()));
        }
        head.extend_from_slice(&chunk[..count]);
        if let Some(answer) = decode(&head, &key) {
            return Ok(answer);
        }
        if head.len() > MAX_HEAD_BYTES {
            return Ok(Answer::Nonsense("the head of the answer is longer than 32 KiB".into()));
        }
    }
}

fn encode(request: &Request, key: &str) -> Vec<u8> {
    let mut bytes = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n",
        request.path, request.host
    )
    .into_bytes();
    if !request.offer.is_empty() {
        bytes.extend(format!("Sec-WebSocket-Protocol: {}\r\n", request.offer.join(", ")).into_bytes());
    }
    for (name, value) in &request.headers {
        bytes.extend(name.as_bytes());
        bytes.extend(b": ");
        bytes.extend(value);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"\r\n");
    bytes
}

/// The answer, once its head is whole.
fn decode(bytes: &[u8], key: &str) -> Option<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return None,
        Err(error) => return Some(Answer::Nonsense(format!("the answer to the upgrade is no HTTP: {error}"))),
    };
    let status = response.code.unwrap_or(0);
    let header = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| String::from_utf8_lossy(header.value).trim().to_owned())
    };
    if status != 101 {
        return Some(Answer::Refused { status, retry_after: header("Retry-After") });
    }
    if header("Sec-WebSocket-Accept").as_deref() != Some(derive_accept_key(key.as_bytes()).as_str()) {
        return Some(Answer::Forged("status 101 with a wrong or no Sec-WebSocket-Accept".into()));
    }
    if let Some(extension) = header("Sec-WebSocket-Extensions").filter(|value| !value.is_empty()) {
        return Some(Answer::Forged(format!("status 101 with the extension {extension:?}, which was not offered")));
    }
    Some(Answer::Switched {
        selected: header("Sec-WebSocket-Protocol").filter(|value| !value.is_empty()),
        tail: bytes[length..].to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    #[test]
    fn an_upgrade_without_a_subprotocol_is_an_upgrade() {
        let answer = format!("HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {ACCEPT}\r\n\r\n\x01tail");
        let Some(Answer::Switched { selected, tail }) = decode(answer.as_bytes(), KEY) else { panic!("no upgrade") };
        assert_eq!((selected, tail.as_slice()), (None, b"\x01tail".as_slice()));
        assert!(decode(&answer.as_bytes()[..40], KEY).is_none());
    }

    #[test]
    fn an_extension_that_was_not_offered_is_no_upgrade() {
        let answer = |extensions: &str| {
            let head = format!("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {ACCEPT}\r\n");
            decode(format!("{head}Sec-WebSocket-Extensions: {extensions}\r\n\r\n").as_bytes(), KEY)
        };
        assert!(
            matches!(answer("permessage-deflate"), Some(Answer::Forged(why)) if why.contains("permessage-deflate"))
        );
        assert!(matches!(answer(""), Some(Answer::Switched { .. })));
    }

    #[test]
    fn a_refusal_keeps_its_status_and_its_retry_after() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\n\r\n";
        let Some(Answer::Refused { status, retry_after }) = decode(answer.as_bytes(), KEY) else {
            panic!("no refusal")
        };
        assert_eq!((status, retry_after.as_deref()), (503, Some("7")));
    }

    #[test]
    fn a_forged_acceptance_and_what_is_no_http_are_told() {
        let forged = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: nonsense\r\n\r\n";
        assert!(matches!(decode(forged.as_bytes(), KEY), Some(Answer::Forged(_))));
        assert!(matches!(decode(b"SSH-2.0-OpenSSH\r\n\r\n", KEY), Some(Answer::Nonsense(_))));
    }
}
