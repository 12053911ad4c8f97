//! Owns the address of a subject: parsing a URL, the headers and the token that go with it, and what of that is secret.

use std::fmt;
use std::net::IpAddr;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Uri};

/// Where a subject listens and what it is shown.
#[derive(Clone)]
pub struct Target {
    /// Whether TLS is spoken (`wss`).
    pub tls: bool,
    /// The host without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query.
    pub path: String,
    /// Headers that go with every upgrade.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The credential, if the subject demands one.
    pub token: Option<String>,
    /// The process that serves, where it was started by the harness: how busy it is can be seen then.
    pub pid: Option<u32>,
}

/// Why a URL or a header cannot be used. The caller's fault.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It is no URL of a WebSocket.
    #[error(
        "`{url}` is no WebSocket URL ({detail}); it should look like ws://127.0.0.1:8080/v1/listen or wss://stt.example/v1/listen"
    )]
    Url {
        /// What was given, without its query.
        url: String,
        /// What is wrong.
        detail: String,
    },
    /// A header is malformed.
    #[error("`--header` takes NAME:VALUE, for instance `X-Tenant: seven` ({detail})")]
    Header {
        /// What is wrong; never the value.
        detail: String,
    },
}

impl Target {
    /// Whether an upgrade can show a credential: a token, or an `Authorization` header that was given.
    #[must_use]
    pub fn has_credential(&self) -> bool {
        self.token.is_some() || self.headers.iter().any(|(name, _)| *name == AUTHORIZATION)
    }

    /// Reads a `ws` or `wss` URL.
    ///
    /// # Errors
    /// It is not one. Credentials in a URL are refused: they end up in logs (spec: SEC-C1).
    pub fn parse(url: &str) -> Result<Self, TargetError> {
        let shown = url.split(['?', '#']).next().unwrap_or_default().to_owned();
        let wrong = |detail: &str| TargetError::Url {
            url: shown.rsplit_once('@').map_or_else(|| shown.clone(), |(_, host)| format!("...@{host}")),
            detail: detail.to_owned(),
        };
        let uri: Uri = url.parse().map_err(|_| wrong("it cannot be read"))?;
        let tls = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            Some(_) => return Err(wrong("only ws and wss are WebSocket schemes")),
            None => return Err(wrong("it has no scheme")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("credentials do not belong into a URL; use --token or --header"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { tls, host, port, path, headers: Vec::new(), token: None, pid: None })
    }

    /// A subject of ours on a port of this machine.
    #[must_use]
    pub fn local(port: u16, path: &str) -> Self {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Self { tls: false, host: "127.0.0.1".into(), port, path, headers: Vec::new(), token: None, pid: None }
    }

    /// Adds a header given as `NAME:VALUE`.
    ///
    /// # Errors
    /// It has no colon, or name or value are no HTTP. The message does not repeat the value.
    pub fn add_header(&mut self, header: &str) -> Result<(), TargetError> {
        let wrong = |detail: String| TargetError::Header { detail };
        let (name, value) = header.split_once(':').ok_or_else(|| wrong("there is no colon".into()))?;
        let name: HeaderName = name.trim().parse().map_err(|_| wrong("the name is no header name".into()))?;
        let value: HeaderValue =
            value.trim().parse().map_err(|_| wrong(format!("the value of `{name}` is no header value")))?;
        self.headers.push((name, value));
        Ok(())
    }

    /// The address without query, headers or credentials.
    #[must_use]
    pub fn shown(&self) -> String {
        let scheme = if self.tls { "wss" } else { "ws" };
        let path = self.path.split('?').next().unwrap_or("/");
        format!("{scheme}://{}{path}", self.authority())
    }

    /// Host and port as the `Host` header has them.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.tls, self.port) {
            (false, 80) | (true, 443) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// Whether it is this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost") || self.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }

    /// Everything that must stand in no output: token, header values, values in the query.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let headers = self.headers.iter().filter_map(|(_, value)| value.to_str().ok()).flat_map(|value| {
            // `Bearer abc`: the credential itself must not show either.
            std::iter::once(value.to_owned()).chain(value.split_whitespace().nth(1).map(str::to_owned))
        });
        let query = self.path.split_once('?').map_or("", |(_, query)| query);
        let queries = query.split('&').filter_map(|pair| pair.split_once('=')).map(|(_, value)| value.to_owned());
        let mut secrets: Vec<String> = self.token.iter().cloned().chain(headers).chain(queries).collect();
        secrets.retain(|secret| secret.len() >= MIN_SECRET_BYTES);
        secrets
    }
}

/// Shorter values are no secrets, and hiding them would blacken half a report.
const MIN_SECRET_BYTES: usize = 4;

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("url", &self.shown()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_gives_host_port_path_and_tls() {
        let target = Target::parse("wss://stt.example/v1/listen?key=abcdef").expect("a URL");
        assert_eq!((target.tls, target.host.as_str(), target.port), (true, "stt.example", 443));
        assert_eq!(target.path, "/v1/listen?key=abcdef");
        assert_eq!(target.shown(), "wss://stt.example/v1/listen");
        assert!(!target.is_loopback());
        let six = Target::parse("ws://[::1]:9000").expect("a URL");
        assert_eq!((six.host.as_str(), six.authority().as_str()), ("::1", "[::1]:9000"));
        assert!(six.is_loopback());
    }

    #[test]
    fn what_is_no_websocket_url_is_refused_with_a_hint_and_without_its_secrets() {
        for url in ["http://a/b", "nonsense", "ws://", "", "ws://user:sesame@host/"] {
            let error = Target::parse(url).expect_err(url).to_string();
            assert!(error.contains("ws://127.0.0.1:8080/v1/listen"), "{error}");
            assert!(!error.contains("sesame"), "{error}");
        }
    }

    #[test]
    fn tokens_header_values_and_query_values_are_secret() {
        let mut target = Target::parse("ws://h/p?key=querysecret&n=1").expect("a URL");
        target.add_header("Authorization: Bearer headersecret").expect("a header");
        target.token = Some("tokensecret".into());
        let secrets = target.secrets();
        for secret in ["tokensecret", "Bearer headersecret", "headersecret", "querysecret"] {
            assert!(secrets.iter().any(|held| held == secret), "{secret}");
            assert!(!format!("{target:?}").contains(secret));
        }
        assert!(!secrets.iter().any(|secret| secret == "1"));
        let error = target.add_header("No colon sesame").expect_err("no colon").to_string();
        assert!(!error.contains("sesame"));
    }
}
