//! The wire of another service at its own path: the same sessions, in other words.

use futures_util::{SinkExt as _, StreamExt as _};
use lastword_dialects::Dialect;
use lastword_server::settings::Settings;
use lastword_session::Token;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::support::{PATIENCE, Running, binary, costly, instant, speech, start, start_scripted};

const CONFIG: &str = r#"{"language":null,"sample_rate":16000,"task":"transcribe"}"#;
const END: &str = r#"{"type":"end_of_stream"}"#;

async fn connect(server: &Running, token: Option<&str>) -> Result<WebSocketStream<TcpStream>, Box<Error>> {
    let stream = TcpStream::connect(server.address).await.expect("a connection");
    let mut request = format!("ws://{}/ws/transcribe", server.address).into_client_request().expect("a request");
    if let Some(token) = token {
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    }
    Ok(client_async(request, stream).await?.0)
}

/// Everything up to the Close, and its code.
async fn rest(socket: &mut WebSocketStream<TcpStream>) -> (Vec<Value>, Option<u16>) {
    let mut said = Vec::new();
    while let Some(Ok(frame)) = timeout(PATIENCE, socket.next()).await.expect("in time") {
        match frame {
            Message::Text(text) => said.push(serde_json::from_str(&text).expect("JSON")),
            Message::Close(close) => return (said, close.map(|close| close.code.into())),
            _ => {}
        }
    }
    (said, None)
}

fn types(said: &[Value]) -> Vec<&str> {
    said.iter().map(|message| message["type"].as_str().expect("a type")).collect()
}

async fn say(socket: &mut WebSocketStream<TcpStream>, text: &str) {
    socket.send(Message::text(text)).await.expect("sent");
}

#[tokio::test]
async fn a_session_is_configured_without_a_type_and_brings_finals_in_seconds_and_ends_with_1000() {
    let server = start_scripted().await;
    let mut socket = connect(&server, None).await.expect("an upgrade");
    say(&mut socket, CONFIG).await;
    let samples = speech(1, 1_000);
    for frame in samples.chunks(1_600) {
        socket.send(binary(frame)).await.expect("sent");
    }
    say(&mut socket, r#"{"type":"keepalive"}"#).await;
    say(&mut socket, END).await;
    let (said, code) = rest(&mut socket).await;
    assert_eq!(types(&said), ["ready", "final", "session_ended"], "{said:?}");
    assert_eq!(said[0], json!({ "type": "ready" }));
    let last = said[1].as_object().expect("an object");
    assert!(last["text"].as_str().is_some_and(|text| text.split(' ').count() == 4), "{last:?}");
    let (start_s, end_s) = (last["start"].as_f64().expect("seconds"), last["end"].as_f64().expect("seconds"));
    assert!((0.0..1.0).contains(&start_s) && start_s < end_s && end_s <= 1.0, "{last:?}");
    let log_probability = last["confidence"].as_f64();
    assert!(log_probability.is_none_or(|value| value <= 0.0), "{last:?}");
    assert_eq!(code, Some(1000));
}

#[tokio::test]
async fn what_the_session_refuses_is_an_error_and_the_session_goes_on() {
    let server = start(Settings::default(), costly(200)).await;
    let mut socket = connect(&server, None).await.expect("an upgrade");
    say(&mut socket, CONFIG).await;
    say(&mut socket, "no JSON").await;
    say(&mut socket, r#"{"type":"bark"}"#).await;
    socket.send(binary(&speech(1, 1_000))).await.expect("sent");
    say(&mut socket, END).await;
    socket.send(binary(&speech(2, 100))).await.expect("sent");
    say(&mut socket, END).await;
    let (said, code) = rest(&mut socket).await;
    assert_eq!(types(&said).iter().filter(|kind| **kind == "error").count(), 4, "{said:?}");
    assert_eq!(types(&said).iter().filter(|kind| **kind == "session_ended").count(), 1, "{said:?}");
    assert_eq!(
        types(&said).iter().filter(|kind| **kind == "final").count(),
        1,
        "nothing of what was heard is lost: {said:?}"
    );
    assert_eq!(code, Some(1000));
}

#[tokio::test]
async fn a_configuration_that_cannot_be_served_is_refused_aloud() {
    let server = start_scripted().await;
    let mut socket = connect(&server, None).await.expect("an upgrade");
    say(&mut socket, r#"{"language":"en","sample_rate":44100,"task":"transcribe"}"#).await;
    let (said, code) = rest(&mut socket).await;
    assert_eq!(types(&said), ["error"], "{said:?}");
    assert!(said[0]["message"].as_str().is_some_and(|text| !text.is_empty()));
    assert_eq!(code, Some(4422));
}

#[tokio::test]
async fn where_a_credential_is_asked_for_the_header_is_its_place() {
    let settings = Settings { token: Some(Token::new("open sesame")), ..Settings::default() };
    let server = start(settings, instant()).await;
    for wrong in [None, Some("close sesame")] {
        let refused = connect(&server, wrong).await.map_err(|error| *error);
        assert!(matches!(&refused, Err(Error::Http(answer)) if answer.status() == 401), "{refused:?}");
    }
    let mut socket = connect(&server, Some("open sesame")).await.expect("an upgrade");
    say(&mut socket, CONFIG).await;
    say(&mut socket, END).await;
    let (said, code) = rest(&mut socket).await;
    assert_eq!((types(&said), code), (vec!["ready", "session_ended"], Some(1000)));
}

#[tokio::test]
async fn a_recording_is_transcribed_in_the_words_of_that_service() {
    let server = start_scripted().await;
    let mut wav = std::io::Cursor::new(Vec::new());
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::new(&mut wav, spec).expect("a header");
    for sample in speech(1, 1_000) {
        writer.write_sample(sample).expect("a sample");
    }
    writer.finalize().expect("a file");
    let body = form("file", &wav.into_inner());
    let headers = "Content-Type: multipart/form-data; boundary=xx\r\n";
    let (status, answer) = server.http("POST", "/transcribe", headers, &body).await;
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(status, 200, "{answer}");
    let names: Vec<&String> = answer.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["duration", "language", "segments", "text"]);
    assert_eq!(answer["duration"], json!(1.0));
    assert_eq!(answer["text"], answer["segments"][0]["text"]);
    assert!(answer["segments"][0]["end"].as_f64().is_some_and(|end| end <= 1.0));
    let (status, answer) = server.http("POST", "/transcribe", headers, &form("nothing", b"")).await;
    assert_eq!(status, 400);
    assert!(answer.contains("\"detail\""), "{answer}");
}

fn form(name: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("--xx\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a.wav\"\r\n\r\n");
    [head.as_bytes(), content, b"\r\n--xx--\r\n"].concat()
}

#[tokio::test]
async fn a_dialect_is_served_only_if_it_is_chosen_and_can_be() {
    let server = start(Settings { dialects: Vec::new(), ..Settings::default() }, instant()).await;
    let refused = connect(&server, None).await.map_err(|error| *error);
    assert!(matches!(&refused, Err(Error::Http(answer)) if answer.status() == 404), "{refused:?}");
    let twice = Dialect::builtin("whisper-fastapi").expect("built in");
    let settings = Settings { dialects: vec![twice, twice], ..Settings::default() };
    let Err(error) = lastword_server::server::Server::bind(settings, instant()).await else { panic!("it started") };
    assert_eq!(
        error.to_string(),
        "the dialect whisper-fastapi has the path /ws/transcribe, which is taken; give it another one in its [connect]"
    );
}
