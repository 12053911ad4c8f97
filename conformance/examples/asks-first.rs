//! A client of `tests/it/dialects/asks-first.toml`, as a program beside the tests: `asks-first HTTP_URL TOKEN [--without-end]`. It asks
//! by HTTP for its socket, streams what it reads as samples, and ends well if it was told that it has everything.

use std::error::Error;
use std::process::ExitCode;

use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, token, rest @ ..] = arguments.as_slice() else { return ExitCode::from(2) };
    match session(base.trim_start_matches("http://"), token, rest.is_empty()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the transcript is complete.
async fn session(base: &str, token: &str, tells_its_end: bool) -> Result<bool, Box<dyn Error>> {
    let url = socket_url(base, token).await?;
    let place = url.trim_start_matches("ws://").split('/').next().unwrap_or_default().to_owned();
    let (mut socket, _) = client_async(url, TcpStream::connect(place).await?).await?;
    socket.send(Message::text(r#"{"language":null,"sample_rate":16000,"task":"transcribe"}"#)).await?;
    let mut input = tokio::io::stdin();
    let mut chunk = vec![0; 3_200];
    let mut ready = false;
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message? else { continue };
        let message: Value = serde_json::from_str(&text)?;
        if message["type"] == "ready" && !ready {
            ready = true;
            loop {
                let count = input.read(&mut chunk).await?;
                if count == 0 {
                    break;
                }
                socket.send(Message::binary(chunk[..count].to_vec())).await?;
            }
            if tells_its_end {
                socket.send(Message::text(r#"{"type":"end_of_stream"}"#)).await?;
            }
        }
        if message["type"] == "session_ended" {
            socket.close(None).await?;
            while socket.next().await.is_some_and(|message| message.is_ok()) {}
            return Ok(true);
        }
    }
    Ok(false)
}

async fn socket_url(base: &str, token: &str) -> Result<String, Box<dyn Error>> {
    let (host, path) = base.split_at(base.find('/').unwrap_or(base.len()));
    let stream = TokioIo::new(TcpStream::connect(host).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    tokio::spawn(connection);
    let body = json!({ "rate": 16_000 }).to_string();
    let request = hyper::Request::post(format!("{path}/v1/live")).header("host", host).header("x-key", token);
    let answer = sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?;
    let answer: Value = serde_json::from_slice(&answer.into_body().collect().await?.to_bytes())?;
    Ok(answer["live"]["url"].as_str().ok_or("no URL in the answer")?.to_owned())
}
