//! A server in this process and a bare client for it. Owns: starting, connecting, sending, collecting. Must not know: what any
//! test expects.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use lastword_server::recognizer::Recognizer;
use lastword_server::recognizer::scripted::{ScriptedCost, scripted};
use lastword_server::server::Server;
use lastword_server::settings::Settings;
use lastword_spec::codec::{self, Decoded};
use lastword_spec::message::{Final, ServerMessage, SessionEnded};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// Longer than anything here takes: it makes a hang a failure and decides nothing else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server on a port of its own.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) task: JoinHandle<std::io::Result<()>>,
}

pub(crate) async fn start(settings: Settings, recognizer: Recognizer) -> Running {
    let settings = Settings { listen: "127.0.0.1:0".to_owned(), ..settings };
    let server = Server::bind(settings, recognizer).await.expect("it starts");
    let address = server.address();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(server.run(async move {
        let _ = stopped.await;
    }));
    Running { address, stop: Some(stop), task }
}

/// A server with defaults and the scripted engine, which takes no time.
pub(crate) async fn start_scripted() -> Running {
    start(Settings::default(), instant()).await
}

pub(crate) fn instant() -> Recognizer {
    scripted(ScriptedCost::default())
}

pub(crate) fn costly(per_segment_ms: u64) -> Recognizer {
    scripted(ScriptedCost { per_segment_ms, per_audio_second_ms: 0 })
}

impl Running {
    pub(crate) fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).expect("the server runs");
        }
    }

    pub(crate) async fn connect(&self) -> Client {
        self.upgrade(&[]).await.expect("an upgrade")
    }

    /// Connects with these headers.
    pub(crate) async fn upgrade(&self, headers: &[(&'static str, &str)]) -> Result<Client, Box<Error>> {
        let stream = TcpStream::connect(self.address).await.expect("a connection");
        stream.set_nodelay(true).expect("nodelay");
        let mut request = format!("ws://{}/v1/listen", self.address).into_client_request().expect("a request");
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().expect("a header"));
        }
        let (socket, response) = client_async(request, stream).await?;
        let protocol = response.headers().get("sec-websocket-protocol");
        let protocol = protocol.map(|value| value.to_str().expect("text").to_owned());
        Ok(Client { socket, protocol })
    }

    /// The status with which an upgrade is refused, and the headers that came with it.
    pub(crate) async fn refusal(&self, headers: &[(&'static str, &str)]) -> (u16, http::HeaderMap) {
        let refused = self.upgrade(headers).await.err().map(|error| *error);
        let Some(Error::Http(response)) = refused else { panic!("not refused: {refused:?}") };
        (response.status().as_u16(), response.headers().clone())
    }

    /// A plain HTTP request: the status and the body.
    pub(crate) async fn http(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), body].concat()).await.expect("written");
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("in time").expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, body.to_owned())
    }

    /// Sessions that hold a slot.
    pub(crate) async fn sessions(&self) -> u64 {
        let (status, body) = self.http("GET", "/healthz", "", b"").await;
        assert_eq!(status, 200);
        let health: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        health["sessions"].as_u64().expect("a number")
    }

    /// Waits until no session holds a slot.
    pub(crate) async fn empty(&self) {
        let wait = async {
            while self.sessions().await > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, wait).await.expect("slots come back");
    }
}

pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<TcpStream>,
    pub(crate) protocol: Option<String>,
}

/// Everything that came until the end.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) messages: Vec<ServerMessage>,
    /// The code of the server's Close; `None` if the connection ended without one.
    pub(crate) close: Option<u16>,
}

impl Client {
    pub(crate) async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.expect("sent");
    }

    pub(crate) async fn audio(&mut self, samples: &[i16]) {
        self.socket.send(binary(samples)).await.expect("sent");
    }

    /// Sends audio in frames of 100 ms.
    pub(crate) async fn stream(&mut self, samples: &[i16]) {
        for frame in samples.chunks(1_600) {
            self.audio(frame).await;
        }
    }

    /// Sends `config` and takes `ready`.
    pub(crate) async fn begin(&mut self, config: &str) -> ServerMessage {
        self.send(config).await;
        let ready = self.next().await;
        assert!(matches!(ready, ServerMessage::Ready(_)), "{ready:?}");
        ready
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> ServerMessage {
        match self.take().await {
            Some(Message::Text(text)) => message(&text),
            other => panic!("no message: {other:?}"),
        }
    }

    /// The next frame, or `None` at the end of the connection.
    pub(crate) async fn take(&mut self) -> Option<Message> {
        match timeout(PATIENCE, self.socket.next()).await.expect("in time") {
            Some(Ok(message)) => Some(message),
            Some(Err(_)) | None => None,
        }
    }

    /// Everything up to the end of the connection.
    pub(crate) async fn rest(&mut self) -> Heard {
        let mut heard = Heard { messages: Vec::new(), close: None };
        while let Some(frame) = self.take().await {
            match frame {
                Message::Text(text) => heard.messages.push(message(&text)),
                Message::Close(close) => heard.close = Some(close.map_or(1005, |close| close.code.into())),
                _ => {}
            }
        }
        heard
    }
}

impl Heard {
    pub(crate) fn ended(&self) -> &SessionEnded {
        let mut ends = self.messages.iter().filter_map(|message| match message {
            ServerMessage::SessionEnded(ended) => Some(ended),
            _ => None,
        });
        let ended = ends.next().unwrap_or_else(|| panic!("no session_ended in {self:#?}"));
        assert!(ends.next().is_none(), "two session_ended in {self:#?}");
        assert!(matches!(self.messages.last(), Some(ServerMessage::SessionEnded(_))), "not the last: {self:#?}");
        ended
    }

    pub(crate) fn finals(&self) -> Vec<&Final> {
        let finals = self.messages.iter().filter_map(|message| match message {
            ServerMessage::Final(result) => Some(result),
            _ => None,
        });
        finals.collect()
    }

    pub(crate) fn text(&self) -> String {
        self.finals().iter().map(|result| result.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// The codes of the errors, with `!` behind the fatal ones.
    pub(crate) fn errors(&self) -> Vec<String> {
        let errors = self.messages.iter().filter_map(|message| match message {
            ServerMessage::Error(error) => {
                Some(format!("{}{}", error.code.as_str(), if error.fatal { "!" } else { "" }))
            }
            _ => None,
        });
        errors.collect()
    }
}

pub(crate) fn message(text: &str) -> ServerMessage {
    match codec::decode_server(text, 1 << 20) {
        Ok(Decoded::Message(message)) => message,
        other => panic!("{text}: {other:?}"),
    }
}

pub(crate) fn binary(samples: &[i16]) -> Message {
    Message::binary(samples.iter().flat_map(|sample| sample.to_le_bytes()).collect::<Vec<u8>>())
}

/// Noise, the same for the same seed: the scripted engine hears a word in each 250 ms.
pub(crate) fn speech(seed: u32, ms: usize) -> Vec<i16> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    (0..ms * 16)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 19) as i16 - 4_096
        })
        .collect()
}

pub(crate) fn silence(ms: usize) -> Vec<i16> {
    vec![0; ms * 16]
}

pub(crate) const CONFIG: &str = r#"{"type":"config"}"#;
pub(crate) const END: &str = r#"{"type":"end_of_stream"}"#;
