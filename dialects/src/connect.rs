//! How a client gets in: URL, header fields, subprotocols, and an HTTP request before them. Owns the making and the reading of both;
//! it opens nothing.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::field::Field;
use crate::pointer::Pointer;
use crate::template::{Json, Leaf, Scope, Text, Values};

/// The WebSocket upgrade that a client asks for. As a client: what to send. As a server: what came, with the URL as path and query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upgrade {
    /// The URL: absolute as a client; path and query as a server.
    pub url: String,
    /// Header fields beside those of WebSocket itself. Values may hold secrets.
    pub headers: Vec<(String, String)>,
    /// The subprotocols offered. They may hold secrets.
    pub subprotocols: Vec<String>,
}

/// An HTTP request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method.
    pub method: String,
    /// The URL: absolute as a client; path and query as a server.
    pub url: String,
    /// Header fields. Values may hold secrets.
    pub headers: Vec<(String, String)>,
    /// The body, which is JSON; empty for none.
    pub body: String,
}

/// The answer to an [`HttpRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status.
    pub status: u16,
    /// The body, which is JSON.
    pub body: String,
}

/// Why a connection cannot be asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL given cannot be used.
    #[error("`{url}` is no URL: write one such as ws://127.0.0.1:8000 or wss://host/path")]
    BadUrl {
        /// It, as it was given, without its query and without credentials.
        url: String,
    },
    /// The HTTP request that comes first must be made before.
    #[error(
        "this dialect asks by HTTP for its socket first: make the request of `pre_request` and give its answer to `pre_response`"
    )]
    PreRequestDue,
    /// The answer to the HTTP request is not what the dialect says.
    #[error("the answer to the HTTP request before the upgrade: {0}")]
    PreResponse(String),
    /// A header value that HTTP cannot carry.
    #[error("the header field `{0}` has a value with line ends or other characters that HTTP cannot carry")]
    BadHeader(String),
}

/// What is escaped in a query: everything but the unreserved characters of RFC 3986.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// In a path `/` and `:` stand for themselves.
const PATH: &AsciiSet = &QUERY.remove(b'/').remove(b':');

/// The URL of the socket: the base given, the path of the dialect where the base has none, and the query.
pub(crate) fn url(
    base: &str,
    scheme_of: Scheme,
    path: &Text,
    query: &[(String, Text)],
    scope: &Scope<'_>,
) -> Result<String, ConnectError> {
    let bad = || ConnectError::BadUrl { url: without_secrets(base) };
    let (scheme, rest) = base.split_once("://").ok_or_else(bad)?;
    let secure = match scheme {
        "ws" | "http" => false,
        "wss" | "https" => true,
        _ => return Err(bad()),
    };
    let scheme = match (scheme_of, secure) {
        (Scheme::Socket, false) => "ws",
        (Scheme::Socket, true) => "wss",
        (Scheme::Http, false) => "http",
        (Scheme::Http, true) => "https",
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let (place, given_query) = rest.split_once('?').unwrap_or((rest, ""));
    let (host, given_path) = place.split_once('/').map_or((place, ""), |(host, path)| (host, path));
    if host.is_empty() {
        return Err(bad());
    }
    let own = path.fill(scope).unwrap_or_default();
    // An HTTP request has its own place; the path of the socket gives way to one that was given.
    let path = if given_path.is_empty() || scheme_of == Scheme::Http {
        utf8_percent_encode(&own, PATH).to_string()
    } else {
        format!("/{given_path}")
    };
    let mut pairs: Vec<String> = given_query.split('&').filter(|pair| !pair.is_empty()).map(str::to_owned).collect();
    for (name, text) in query {
        let given = |pair: &String| pair.split('=').next() == Some(name);
        if let Some(value) = text.fill(scope).filter(|_| !pairs.iter().any(given)) {
            pairs.push(format!("{}={}", utf8_percent_encode(name, QUERY), utf8_percent_encode(&value, QUERY)));
        }
    }
    let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
    let path = if path.is_empty() { "/".to_owned() } else { path };
    Ok(format!("{scheme}://{host}{path}{query}"))
}

/// A URL without its query and without the credentials before its host.
fn without_secrets(url: &str) -> String {
    let shown = url.split(['?', '#']).next().unwrap_or_default();
    shown.rsplit_once('@').map_or_else(|| shown.to_owned(), |(_, host)| format!("...@{host}"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Socket,
    Http,
}

/// Header fields filled; one without a value is left out.
pub(crate) fn headers(templates: &[(String, Text)], scope: &Scope<'_>) -> Result<Vec<(String, String)>, ConnectError> {
    let mut found = Vec::new();
    for (name, text) in templates {
        if let Some(value) = text.fill(scope) {
            if value.chars().any(|c| c.is_control()) || !value.is_ascii() {
                return Err(ConnectError::BadHeader(name.clone()));
            }
            found.push((name.clone(), value));
        }
    }
    Ok(found)
}

/// What a client told by its upgrade: the fields by the members of `config`, and what the session keeps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    pub(crate) config: Vec<(Field, Value)>,
    pub(crate) session: Vec<(&'static str, Value)>,
    /// What is not as the dialect says, for a person.
    pub(crate) remarks: Vec<String>,
}

impl Shown {
    fn take(&mut self, found: Vec<(Field, Value)>, values: &Values) {
        for (field, wire) in found {
            match values.read(&field, &wire) {
                Ok(value) if field.name == "token" => self.session.push(("token", value)),
                Ok(value) if field.member.is_empty() => self.session.push((field.name, value)),
                Ok(value) => self.config.push((field, value)),
                Err(why) => self.remarks.push(format!("`{}` in the upgrade: {why}", field.name)),
            }
        }
    }

    /// Reads one text against its template.
    fn read(&mut self, what: &str, template: &Text, text: &str, values: &Values) {
        match template.unfill(text) {
            Some(found) => self.take(found, values),
            None => self.remarks.push(format!("{what} is not as the dialect says")),
        }
    }

    pub(crate) fn read_query(&mut self, url: &str, query: &[(String, Text)], values: &Values) {
        let given: Vec<(String, String)> = url
            .split_once('?')
            .map_or("", |(_, query)| query)
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (decoded(name), decoded(value)))
            .collect();
        for (name, template) in query {
            if let Some((_, value)) = given.iter().find(|(given, _)| given == name) {
                self.read(&format!("the query parameter `{name}`"), template, value, values);
            }
        }
    }

    pub(crate) fn read_headers(&mut self, given: &[(String, String)], headers: &[(String, Text)], values: &Values) {
        for (name, template) in headers {
            if let Some((_, value)) = given.iter().find(|(given, _)| given.eq_ignore_ascii_case(name)) {
                self.read(&format!("the header field `{name}`"), template, value, values);
            }
        }
    }

    /// Reads a body against its template: where its slots stand.
    pub(crate) fn read_json(&mut self, body: &Value, template: &Json, values: &Values) {
        for (pointer, leaf) in template.leaves() {
            let (Leaf::Slot(slot), Ok(at)) = (leaf, Pointer::parse(&pointer)) else { continue };
            if let Some(value) = at.get(body) {
                self.take(vec![(slot.field, value.clone())], values);
            }
        }
    }

    /// Reads what was offered, one by one; what follows a constant is read by the template that follows it.
    pub(crate) fn read_subprotocols(&mut self, given: &[String], templates: &[Text], values: &Values) {
        for (offered, template) in given.iter().zip(templates) {
            if template.as_constant().is_none() {
                self.read("a subprotocol", template, offered, values);
            }
        }
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// The string at a pointer of an answer.
pub(crate) fn text_at(pointer: &Pointer, document: &Value, what: &str) -> Result<String, ConnectError> {
    let stands = match pointer.get(document) {
        Some(Value::String(text)) => return Ok(text.clone()),
        None => "nothing",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "a boolean",
        Some(Value::Number(_)) => "a number",
        Some(Value::Array(_)) => "an array",
        Some(Value::Object(_)) => "an object",
    };
    Err(ConnectError::PreResponse(format!("{what} should stand at `{pointer}` as a string, and there is {stands}")))
}

/// An answer that holds these values at these pointers, besides what else it holds.
pub(crate) fn answer(besides: Option<Value>, parts: &[(Option<&Pointer>, Option<Value>)]) -> String {
    let mut document = besides.unwrap_or_else(|| Value::Object(Map::new()));
    for (pointer, value) in parts {
        if let (Some(pointer), Some(value)) = (pointer, value) {
            pointer.put(&mut document, value.clone());
        }
    }
    document.to_string()
}
