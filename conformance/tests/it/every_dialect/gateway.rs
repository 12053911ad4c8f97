//! A server of any dialect: it takes the wire of the dialect and hands it on, translated, to the test server of version 1, whose answers
//! it translates back. What a dialect cannot say is lost on the way, as it would be at a service that has nothing of it.

use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt as _, StreamExt as _};
use lastword_dialects::{Closer, Dialect, Frame, FromClient, HttpRequest, Output, Seed, ServerSide, Upgrade};
use lastword_spec::close::CloseCode;
use tokio::io::{AsyncWriteExt as _, DuplexStream, copy_bidirectional, duplex};
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async, client_async};

use crate::dialect_http::request;
use crate::peer::{self, Setup};

const PIPE_BYTES: usize = 64 << 10;

/// The server: what all its connections share.
#[derive(Clone)]
pub(super) struct Gateway {
    dialect: &'static Dialect,
    setup: Arc<Setup>,
    open: Arc<AtomicUsize>,
    /// Who has asked for a socket and not opened it yet.
    asked: Arc<Mutex<VecDeque<ServerSide<'static>>>>,
}

impl Gateway {
    pub(super) fn new(dialect: &'static Dialect, setup: Setup) -> Self {
        Self { dialect, setup: Arc::new(setup), open: Arc::default(), asked: Arc::default() }
    }

    /// Serves one connection, be it an HTTP request or a socket.
    pub(super) fn accept(&self, stream: DuplexStream) {
        drop(tokio::spawn(self.clone().serve(stream)));
    }

    async fn serve(self, mut stream: DuplexStream) {
        let asks_first = self.dialect.pre_request_path().is_some();
        let Some(text) = (if asks_first { request(&mut stream).await } else { Some(String::new()) }) else { return };
        if asks_first && !text.to_ascii_lowercase().contains("\r\nupgrade:") {
            let mut side = self.side();
            let answer = side.pre_request(&parsed(&text), "ws://in-memory/socket").expect("the request of the dialect");
            self.asked.lock().expect("no panic").push_back(side);
            let head = format!("HTTP/1.1 {} So\r\nContent-Length: {}\r\n\r\n", answer.status, answer.body.len());
            let _ = stream.write_all((head + &answer.body).as_bytes()).await;
            return;
        }
        // What was read already comes first.
        let (mut ours, theirs) = duplex(PIPE_BYTES);
        let replayed = async {
            let _ = ours.write_all(text.as_bytes()).await;
            let _ = copy_bidirectional(&mut stream, &mut ours).await;
        };
        tokio::join!(replayed, self.socket(theirs));
    }

    fn side(&self) -> ServerSide<'static> {
        ServerSide::new(self.dialect, Seed { uuid: "00000000-0000-4000-8000-0000000000aa".to_owned(), token: None })
    }

    #[expect(clippy::result_large_err, reason = "the type of the library's callback")]
    async fn socket(&self, stream: DuplexStream) {
        let asked = self.asked.lock().expect("no panic").pop_front();
        let mut side = asked.unwrap_or_else(|| self.side());
        let mut told = Vec::new();
        let take = |request: &Request, mut response: Response| {
            let upgrade = upgrade_of(request);
            if let Some(selected) = side.subprotocol(&upgrade) {
                let selected = HeaderValue::from_str(&selected).expect("a token");
                response.headers_mut().insert("sec-websocket-protocol", selected);
            }
            told = side.opened(&upgrade);
            Ok(response)
        };
        let Ok(near) = accept_hdr_async(stream, take).await else { return };
        let (ours, theirs) = duplex(PIPE_BYTES);
        tokio::spawn(peer::connection(theirs, Arc::clone(&self.setup), Arc::clone(&self.open)));
        let Ok((far, _)) = client_async("ws://in-memory/v1/listen", ours).await else { return };
        let mut session = Session { near, far, side, closes: self.dialect.closer() == Closer::Server };
        // Who is gone needs no answer.
        let _ = session.run(told).await;
        // Both libraries answer a Close as they read on.
        while session.near.next().await.is_some_and(|message| message.is_ok()) {}
        while session.far.next().await.is_some_and(|message| message.is_ok()) {}
    }
}

/// One session between its two wires.
struct Session {
    near: WebSocketStream<DuplexStream>,
    far: WebSocketStream<DuplexStream>,
    side: ServerSide<'static>,
    /// The server closes when the session has ended.
    closes: bool,
}

impl Session {
    async fn run(&mut self, told: Vec<Output<FromClient>>) -> Result<(), Error> {
        self.hand_on(told).await?;
        loop {
            tokio::select! {
                biased;
                message = self.far.next() => match message {
                    Some(Ok(Message::Text(text))) => {
                        let outputs = self.side.send_v1(&Frame::text(text.as_str()));
                        self.answer(outputs).await?;
                    }
                    Some(Ok(Message::Close(close))) => {
                        let code = close.map_or(CloseCode::NO_STATUS, |close| CloseCode(close.code.into()));
                        if !self.closes && code == CloseCode::NORMAL {
                            return Ok(());
                        }
                        let Frame::Close { code, .. } = self.side.close(code) else { return Ok(()) };
                        return self.near.close(code.map(|code| close_frame(code.0))).await;
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Ok(()),
                },
                message = self.near.next() => {
                    let frame = match message {
                        Some(Ok(Message::Text(text))) => Frame::text(text.as_str()),
                        Some(Ok(Message::Binary(bytes))) => Frame::Binary(bytes.to_vec()),
                        Some(Ok(Message::Close(close))) => {
                            let code = close.map(|close| CloseCode(close.code.into()));
                            let outputs = self.side.receive(&Frame::Close { code, reason: String::new() });
                            if outputs.is_empty() {
                                return self.far.close(code.map(|code| close_frame(code.0))).await;
                            }
                            self.hand_on(outputs).await?;
                            continue;
                        }
                        Some(Ok(_)) => continue,
                        Some(Err(Error::Utf8(_))) => return self.near.close(Some(close_frame(1007))).await,
                        Some(Err(_)) | None => return self.far.close(None).await,
                    };
                    let outputs = self.side.receive(&frame);
                    self.hand_on(outputs).await?;
                }
            }
        }
    }

    /// Hands on what the client said.
    async fn hand_on(&mut self, outputs: Vec<Output<FromClient>>) -> Result<(), Error> {
        for output in outputs {
            let v1 = match output {
                Output::Heard(heard) => heard.v1,
                Output::Unmatched(unmatched) => unmatched.as_v1(),
                other => {
                    self.answer(vec![other]).await?;
                    continue;
                }
            };
            match v1 {
                Frame::Text(text) => self.far.send(Message::text(text)).await?,
                Frame::Binary(bytes) => self.far.send(Message::binary(bytes)).await?,
                Frame::Close { .. } => {}
            }
        }
        Ok(())
    }

    async fn answer<M>(&mut self, outputs: Vec<Output<M>>) -> Result<(), Error> {
        for output in outputs {
            match output {
                Output::Send(Frame::Text(text)) => self.near.send(Message::text(text)).await?,
                Output::Send(Frame::Binary(bytes)) => self.near.send(Message::binary(bytes)).await?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn close_frame(code: u16) -> CloseFrame {
    CloseFrame { code: code.into(), reason: "".into() }
}

fn upgrade_of(request: &Request) -> Upgrade {
    let headers = request.headers().iter();
    let headers: Vec<(String, String)> =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned())).collect();
    let offered = headers.iter().filter(|(name, _)| name == "sec-websocket-protocol");
    let subprotocols = offered.flat_map(|(_, value)| value.split(',')).map(|one| one.trim().to_owned()).collect();
    Upgrade { url: request.uri().to_string(), headers, subprotocols }
}

fn parsed(text: &str) -> HttpRequest {
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let mut first = head.lines().next().expect("a line").split(' ');
    let (method, url) = (first.next().expect("a method").to_owned(), first.next().expect("a place").to_owned());
    let headers = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    HttpRequest { method, url, headers, body: body.to_owned() }
}
