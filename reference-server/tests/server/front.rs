//! What is decided before a session, over loopback with the scripted engine: upgrades, credentials, capacity, health, and the
//! transcription of whole recordings.

use std::io::Cursor;

use crate::support::{CONFIG, END, Running, costly, instant, silence, speech, start, start_scripted};
use lastword_server::settings::Settings;
use lastword_session::Token;
use lastword_spec::message::ServerMessage;

const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
const PROTOCOL_HEADER: &str = "sec-websocket-protocol";

fn guarded() -> Settings {
    Settings { token: Some(Token::new("open sesame")), ..Settings::default() }
}

#[tokio::test]
async fn the_protocol_is_selected_where_it_is_offered_and_served_where_nothing_is() {
    let server = start_scripted().await;
    for offers in [
        vec![(PROTOCOL_HEADER, "lastword.v1")],
        vec![(PROTOCOL_HEADER, "chat, lastword.v1")],
        vec![(PROTOCOL_HEADER, "chat"), (PROTOCOL_HEADER, "lastword.v1,soap")],
    ] {
        // The client library takes an answer only for the offers that it knows: it sees the first header alone.
        let answer = raw_upgrade(&server, &[&offers[..], &[KEY]].concat()).await;
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        assert!(answer.to_ascii_lowercase().contains("sec-websocket-protocol: lastword.v1\r\n"), "{answer}");
    }
    let mut client = server.connect().await;
    assert_eq!(client.protocol, None);
    client.begin(CONFIG).await;
    assert_eq!(server.refusal(&[(PROTOCOL_HEADER, "chat, lastword.v2")]).await.0, 400);
}

/// The head of the answer to an upgrade with these headers.
async fn raw_upgrade(server: &Running, headers: &[(&str, &str)]) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(server.address).await.expect("a connection");
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!(
        "GET /v1/listen HTTP/1.1\r\nHost: test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.expect("a head"));
    }
    String::from_utf8(answer).expect("text")
}

#[tokio::test]
async fn a_request_without_upgrade_is_told_what_this_is() {
    let server = start_scripted().await;
    let (status, body) = server.http("GET", "/v1/listen", "", b"").await;
    assert_eq!(status, 426);
    assert!(body.contains("lastword.v1"), "{body}");
    let without_key = raw_upgrade(&server, &[]).await;
    assert!(without_key.starts_with("HTTP/1.1 400"), "{without_key}");
}

#[tokio::test]
async fn health_names_the_engine_and_counts_sessions() {
    let server = start_scripted().await;
    let (status, body) = server.http("GET", "/healthz", "", b"").await;
    assert_eq!(status, 200);
    let health: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let expected = serde_json::json!({"status": "ok", "engine": "scripted", "model": "scripted", "sessions": 0, "max_sessions": 64});
    assert_eq!(health, expected);
    let mut client = server.connect().await;
    client.begin(CONFIG).await;
    assert_eq!(server.sessions().await, 1);
}

#[tokio::test]
async fn a_full_server_refuses_with_503_and_has_room_again_when_the_client_learns_of_the_end() {
    let server = start(Settings { max_sessions: 1, ..Settings::default() }, costly(100)).await;
    for _ in 0..20 {
        let mut client = server.connect().await;
        client.begin(CONFIG).await;
        client.stream(&speech(1, 300)).await;
        let (status, headers) = server.refusal(&[]).await;
        assert_eq!(status, 503);
        assert!(headers.contains_key("retry-after"));
        client.send(END).await;
        while !matches!(client.next().await, ServerMessage::SessionEnded(_)) {}
        // The next round connects at once, while this connection is still open.
        tokio::spawn(async move { client.rest().await });
    }
}

#[tokio::test]
async fn a_wrong_header_is_401_and_a_wrong_or_missing_token_is_unauthenticated_with_one_message() {
    let server = start(guarded(), instant()).await;
    for wrong in ["Bearer close sesame", "Basic b3Blbg==", "Bearer", "open sesame"] {
        assert_eq!(server.refusal(&[("authorization", wrong)]).await.0, 401, "{wrong}");
    }
    let mut messages = Vec::new();
    for config in [CONFIG, r#"{"type":"config","token":"x"}"#, r#"{"type":"config","token":"x","model":"no such"}"#] {
        let mut client = server.connect().await;
        client.send(config).await;
        let heard = client.rest().await;
        assert_eq!((heard.errors(), heard.close), (vec!["unauthenticated!".to_owned()], Some(4401)));
        let Some(ServerMessage::Error(error)) = heard.messages.first() else { panic!("{heard:?}") };
        assert!(!error.message.contains("sesame"));
        messages.push(error.message.clone());
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "{messages:?}");
    let by_header = [("authorization", "bearer open sesame")];
    server.upgrade(&by_header).await.expect("an upgrade").begin(CONFIG).await;
    server.connect().await.begin(r#"{"type":"config","token":"open sesame"}"#).await;
}

fn wav(channels: u16, rate_hz: u32, samples: &[i16]) -> Vec<u8> {
    let spec =
        hound::WavSpec { channels, sample_rate: rate_hz, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).expect("a header");
    for sample in samples {
        writer.write_sample(*sample).expect("a sample");
    }
    writer.finalize().expect("a file");
    bytes.into_inner()
}

/// Posts a form: the file under the name `file`, the other fields as given.
async fn post(server: &Running, headers: &str, file: Option<&[u8]>, fields: &[(&str, &str)]) -> (u16, String) {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part = format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    if let Some(file) = file {
        let head = "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\
                    Content-Type: audio/wav\r\n\r\n";
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(file);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--edge--\r\n");
    let headers = format!("Content-Type: multipart/form-data; boundary=edge\r\n{headers}");
    server.http("POST", "/v1/audio/transcriptions", &headers, &body).await
}

/// The error of an answer: param and code.
fn error(body: &str) -> (Option<String>, Option<String>) {
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    let error = &body["error"];
    assert!(error["message"].is_string() && error["type"].is_string(), "{error}");
    (error["param"].as_str().map(str::to_owned), error["code"].as_str().map(str::to_owned))
}

#[tokio::test]
async fn a_recording_is_transcribed_in_each_format() {
    let server = start_scripted().await;
    let samples = [silence(200), speech(1, 1_000), silence(300)].concat();
    let file = wav(1, 16_000, &samples);
    let (status, body) = post(&server, "", Some(&file), &[("model", "whisper-1")]).await;
    assert_eq!(status, 200, "{body}");
    let json: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let text = json["text"].as_str().expect("text").to_owned();
    assert_eq!((text.split(' ').count(), json.as_object().map(serde_json::Map::len)), (4, Some(1)));

    let (_, body) = post(&server, "", Some(&file), &[("response_format", "text"), ("prompt", "x")]).await;
    assert_eq!(body, format!("{text}\n"));

    let fields = [("response_format", "verbose_json"), ("timestamp_granularities[]", "word"), ("language", "en")];
    let (_, body) = post(&server, "", Some(&file), &fields).await;
    let verbose: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((&verbose["text"], &verbose["duration"]), (&text.into(), &1.5.into()));
    assert_eq!(verbose["words"][0]["start"], 0.2);
    assert_eq!(verbose["words"][3]["end"], 1.2);
    let (_, body) = post(&server, "", Some(&file), &[("response_format", "verbose_json")]).await;
    let verbose: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((&verbose["segments"][0]["start"], &verbose["segments"][0]["end"]), (&0.2.into(), &1.2.into()));
}

#[tokio::test]
async fn other_rates_and_channels_are_transcribed_too() {
    let server = start_scripted().await;
    let stereo: Vec<i16> = speech(1, 1_500).into_iter().flat_map(|sample| [sample, sample]).collect();
    let (status, body) = post(&server, "", Some(&wav(2, 24_000, &stereo)), &[]).await;
    let json: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, json["text"].as_str().map(|text| text.split(' ').count())), (200, Some(4)));
}

#[tokio::test]
async fn what_cannot_be_transcribed_is_refused_with_the_field_at_fault() {
    let server = start_scripted().await;
    let file = wav(1, 16_000, &speech(1, 100));
    let refused = |file: Option<&'static [u8]>, fields: &'static [(&str, &str)]| post(&server, "", file, fields);
    let (status, body) = refused(None, &[("model", "whisper-1")]).await;
    assert_eq!((status, error(&body).0.as_deref()), (400, Some("file")));
    let (status, body) = refused(Some(b"ID3 this is no WAV"), &[]).await;
    assert_eq!((status, error(&body).0.as_deref()), (400, Some("file")));
    let (status, body) = post(&server, "", Some(&file), &[("model", "gpt-9")]).await;
    assert_eq!((status, error(&body)), (404, (Some("model".to_owned()), Some("model_not_found".to_owned()))));
    let (status, body) = post(&server, "", Some(&file), &[("language", "tlh")]).await;
    assert_eq!((status, error(&body).0.as_deref()), (400, Some("language")));
    let (status, body) = post(&server, "", Some(&file), &[("response_format", "vtt")]).await;
    assert_eq!((status, error(&body).0.as_deref()), (400, Some("response_format")));
    let (status, body) =
        server.http("POST", "/v1/audio/transcriptions", "Content-Type: text/plain\r\n", b"hello").await;
    assert_eq!((status, error(&body)), (400, (None, None)));
}

#[tokio::test]
async fn a_recording_over_the_limit_is_413_and_one_without_credentials_401() {
    let server = start(Settings { max_upload_bytes: 10_000, ..guarded() }, instant()).await;
    let file = wav(1, 16_000, &speech(1, 1_000));
    let (status, body) = post(&server, "Authorization: Bearer open sesame\r\n", Some(&file), &[]).await;
    assert_eq!((status, error(&body)), (413, (None, None)));
    let (status, body) = post(&server, "", Some(&file[..44]), &[]).await;
    assert_eq!((status, error(&body).1.as_deref()), (401, Some("invalid_api_key")));
}
