//! The client over real sockets on the loopback interface: upgrade, refusals, credentials, TLS, and the command.

use std::sync::Arc;
use std::time::Duration;

use lastword_client::{ConnectError, ConnectOptions, connect};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};

use crate::support::{Behaviour, Seen, serve};

/// Upgrades as a server of version 1 does, and serves one session.
#[expect(clippy::result_large_err, reason = "the callback's type is the library's")]
pub(crate) async fn accept<S>(stream: S, behaviour: Behaviour, token: Option<&'static str>) -> Seen
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let upgrade = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        let given = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        if token.is_some_and(|token| given != Some(&format!("Bearer {token}"))) {
            let mut refusal = ErrorResponse::new(None);
            *refusal.status_mut() = StatusCode::UNAUTHORIZED;
            return Err(refusal);
        }
        assert_eq!(request.headers()["sec-websocket-protocol"], "lastword.v1");
        response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("lastword.v1"));
        Ok(response)
    };
    match accept_hdr_async(stream, upgrade).await {
        Ok(socket) => serve(socket, behaviour).await,
        Err(_) => Seen::default(),
    }
}

pub(crate) async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/v1/listen", listener.local_addr().unwrap());
    (listener, url)
}

async fn server(behaviour: Behaviour, token: Option<&'static str>) -> (String, JoinHandle<Seen>) {
    let (listener, url) = listen().await;
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        accept(stream, behaviour, token).await
    });
    (url, task)
}

/// A server that answers every connection with these bytes.
async fn answering(answer: &'static [u8]) -> String {
    let (listener, url) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4_096]).await;
            let _ = stream.write_all(answer).await;
        }
    });
    url
}

async fn failure(url: &str, options: ConnectOptions) -> ConnectError {
    match connect(url, options).await {
        Ok(_) => panic!("connected to {url}"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_session_over_tcp() {
    let (url, server) = server(Behaviour::default(), Some("open sesame")).await;
    let options = ConnectOptions::default().token("open sesame").unwrap();
    let (mut audio, events) = connect(&url, options).await.unwrap();
    audio.push(&[1; 48_000]).await.unwrap();
    audio.finish();
    let transcript = events.transcript().await;
    assert_eq!((transcript.text().as_str(), transcript.outcome.is_complete()), ("word0 word1 word2", true));
    assert_eq!(server.await.unwrap().audio_bytes, 96_000);
}

#[tokio::test]
async fn refusals_are_told_apart_and_repeat_no_credential() {
    let (url, _server) = server(Behaviour::default(), Some("right")).await;
    let error = failure(&url, ConnectOptions::default().token("wrong secret").unwrap()).await;
    assert!(matches!(error, ConnectError::Refused { status: 401, .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("secret"));

    let url = answering(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n").await;
    let error = failure(&url, ConnectOptions::default()).await;
    assert!(matches!(error, ConnectError::Refused { status: 503, retry_after_s: Some(7) }), "{error:?}");
    assert!(error.to_string().contains("try again later"));

    let url = answering(b"SSH-2.0-other\r\n\r\n").await;
    let error = failure(&url, ConnectOptions::default()).await;
    assert!(matches!(error, ConnectError::Handshake(_)), "{error:?}");

    let nobody = listen().await.1;
    assert!(matches!(failure(&nobody, ConnectOptions::default()).await, ConnectError::Io(_)));
}

#[tokio::test]
async fn connecting_is_bounded() {
    let (listener, url) = listen().await;
    let holding = tokio::spawn(async move {
        let held = listener.accept().await.unwrap();
        std::future::pending::<()>().await;
        drop::<(TcpStream, _)>(held);
    });
    let bound = Duration::from_millis(200);
    let error = failure(&url, ConnectOptions::default().bound(bound)).await;
    assert!(matches!(error, ConnectError::Timeout { bound: given } if given == bound), "{error:?}");
    holding.abort();
}

#[tokio::test]
async fn a_session_over_tls_trusts_only_what_it_is_told_to() {
    let certificate = include_str!("certs/localhost.pem");
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("certs/localhost.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                accept(stream, Behaviour::default(), None).await;
            }
        }
    });
    let (mut audio, events) = connect(&url, ConnectOptions::default().extra_roots_pem(certificate)).await.unwrap();
    audio.push(&[1; 16_000]).await.unwrap();
    audio.finish();
    assert!(events.transcript().await.outcome.is_complete());

    let error = failure(&url, ConnectOptions::default()).await;
    assert!(matches!(&error, ConnectError::Io(_)), "an unknown issuer must not be trusted: {error:?}");
    let error = failure(&url, ConnectOptions::default().extra_roots_pem("nothing")).await;
    assert!(matches!(&error, ConnectError::Certificates(_)), "{error:?}");
}

#[cfg(feature = "cli")]
mod command {
    use super::*;
    use std::path::Path;
    use std::process::Output;
    use tokio::process::Command;

    fn wav(path: &Path, sample_rate: u32, samples: u32) {
        let spec =
            hound::WavSpec { channels: 1, sample_rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
        let mut writer = hound::WavWriter::create(path, spec).unwrap();
        for _ in 0..samples {
            writer.write_sample(1_i16).unwrap();
        }
        writer.finalize().unwrap();
    }

    async fn run(arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lastword-transcribe"));
        command.args(arguments).env_remove("LASTWORD_TOKEN").kill_on_drop(true).output().await.unwrap()
    }

    #[tokio::test]
    async fn it_prints_the_finals_and_exits_with_0_only_when_complete() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("speech.wav");
        wav(&file, 16_000, 24_000);
        let file = file.to_str().unwrap();

        let (url, _server) = server(Behaviour::default(), Some("token")).await;
        let output = run(&[file, &url, "--fast", "--token", "token"]).await;
        insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap(), @"
        final   [  0.00   1.00] word0
        final   [  1.00   1.50] word1
        ");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "complete: 1.5 s of audio, 2 finals\n");
        assert_eq!(output.status.code(), Some(0));

        let broken = Behaviour { drop_after_bytes: Some(10_000), ..Behaviour::default() };
        let (url, _server) = server(broken, None).await;
        let output = run(&[file, &url, "--fast"]).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8(output.stderr).unwrap().contains("INCOMPLETE"));
    }

    #[tokio::test]
    async fn it_prints_json_lines_when_asked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("speech.wav");
        wav(&file, 16_000, 8_000);
        let (url, _server) = server(Behaviour::default(), None).await;
        let output = run(&[file.to_str().unwrap(), &url, "--fast", "--json"]).await;
        let lines: Vec<serde_json::Value> =
            String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let types: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
        assert_eq!(types, ["ready", "final", "x_outcome"]);
        assert_eq!(lines[2]["outcome"], "complete");
        assert_eq!(lines[2]["session_ended"]["audio_received_ms"], 500);
    }

    #[tokio::test]
    async fn it_says_what_is_wrong_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("wrong.wav");
        wav(&file, 44_100, 100);
        let output = run(&[file.to_str().unwrap()]).await;
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("44100 Hz") && text.contains("ffmpeg"), "{text}");
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(run(&["--no-such-option"]).await.status.code(), Some(2));
        let nobody = listen().await.1;
        let right = folder.path().join("right.wav");
        wav(&right, 16_000, 100);
        let output = run(&[right.to_str().unwrap(), &format!("{nobody}?key=secret")]).await;
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("cannot connect") && !text.contains("secret"), "{text}");
    }
}
