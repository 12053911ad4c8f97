//! A wire whose sockets are asked for by HTTP first, on loopback: servers that answer that rightly and wrongly, and a client that asks.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lastword::case::Credential;
use lastword::dialect;
use lastword::exit;
use lastword::subject::Target;
use lastword::wire::{Dialler, Opened, Roots};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::command::{code, lastword, text};
use crate::dialect::{self as service, Fault};

const DIALECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/dialects/asks-first.toml");
const TOKEN: &str = "sesame-and-more";
const TICKET: &str = "ticket-of-the-service";

/// What the service makes of an HTTP request.
#[derive(Clone, Debug)]
enum Desk {
    /// It asks for the credential and gives the URL of a socket, which is good once.
    Right,
    /// It answers everything so: status and body.
    Says(u16, String),
    /// It answers with something that is no HTTP.
    Mumbles,
    /// It closes without an answer.
    Closes,
    /// It never answers.
    Sleeps,
}

/// The port of a service: sockets are on another one.
async fn service(desk: Desk) -> u16 {
    let (http, sockets) = (listener().await, listener().await);
    let (port, socket_port) = (port(&http), port(&sockets));
    let (given, taken) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let admitted = Arc::clone(&given);
    tokio::spawn(async move {
        while let Ok((stream, _)) = sockets.accept().await {
            let (given, taken) = (Arc::clone(&given), Arc::clone(&taken));
            tokio::spawn(service::serve(stream, Fault::None, move |uri| {
                assert_eq!(uri, format!("/somewhere/else?ticket={TICKET}"));
                let taken = taken.fetch_add(1, Ordering::SeqCst) + 1;
                assert!(taken <= given.load(Ordering::SeqCst), "a socket that nobody asked for");
            }));
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = http.accept().await {
            let (desk, admitted) = (desk.clone(), Arc::clone(&admitted));
            tokio::spawn(async move {
                let Some(request) = request(&mut stream).await else { return };
                let (status, body) = match desk {
                    Desk::Right => right(&request, socket_port, &admitted),
                    Desk::Says(status, body) => (status, body),
                    Desk::Mumbles => return drop(stream.write_all(b"SSH-2.0-mumble\r\n\r\n").await),
                    Desk::Closes => return,
                    Desk::Sleeps => std::future::pending().await,
                };
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status} So\r\nRetry-After: 7\r\nContent-Length: {length}\r\n\r\n{body}");
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    port
}

fn right(request: &str, socket_port: u16, admitted: &AtomicU32) -> (u16, String) {
    let line = request.lines().next().unwrap_or_default();
    if line != "POST /v1/live HTTP/1.1" || !request.ends_with(r#"{"rate":16000}"#) {
        return (404, format!("what is {line}?"));
    }
    if request.to_lowercase().contains("authorization") || !request.contains(&format!("x-key: {TOKEN}\r\n")) {
        return (401, "who are you?".to_owned());
    }
    admitted.fetch_add(1, Ordering::SeqCst);
    let url = format!("ws://127.0.0.1:{socket_port}/somewhere/else?ticket={TICKET}");
    (201, serde_json::json!({ "live": { "url": url } }).to_string())
}

/// A whole request, body and all; `None` where the connection ends before.
pub(crate) async fn request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let fields = head.lines().filter_map(|line| line.split_once(':'));
            let length = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            let length = length.map(|(_, value)| value.trim().parse::<usize>().expect("a length")).next();
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a port")
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("an address").port()
}

async fn opened(port: u16, credential: Credential) -> Opened {
    let target = Target { token: Some(TOKEN.to_owned()), ..Target::local(port, "/") };
    let dialler = Dialler::new(target, &Roots::Public).expect("no roots are needed");
    let dialler = dialler.speaking(dialect::choose(DIALECT).expect("a dialect"));
    dialler.open(&[], credential, Duration::from_secs(2)).await
}

/// What came of the attempt, in a line.
async fn told(desk: Desk) -> String {
    match opened(service(desk).await, Credential::Good).await {
        Opened::Socket { .. } => "a socket".to_owned(),
        Opened::Refused { status, retry_after, told } => {
            format!("{status} {} {}", retry_after.unwrap_or_default(), told.unwrap_or_default())
        }
        Opened::Failed(error) => error,
    }
}

#[tokio::test]
async fn the_socket_is_where_the_answer_says_and_only_for_who_shows_the_credential() {
    let port = service(Desk::Right).await;
    assert!(matches!(opened(port, Credential::Good).await, Opened::Socket { .. }));
    for credential in [Credential::Wrong, Credential::None] {
        let Opened::Refused { status: 401, retry_after, told } = opened(port, credential).await else {
            panic!("{credential:?} was let in")
        };
        assert_eq!(retry_after.as_deref(), Some("7"));
        let told = told.expect("what was refused");
        assert!(told.contains("POST") && told.contains("status 401") && told.contains("who are you?"), "{told}");
    }
}

#[tokio::test]
async fn each_wrong_answer_is_told_for_what_it_is_and_without_secrets() {
    let says = |status: u16, body: &str| Desk::Says(status, body.to_owned());
    let gives = |url: &str| Desk::Says(201, serde_json::json!({ "live": { "url": url } }).to_string());
    let closed = port(&listener().await);
    let long = format!("{}{TOKEN}", "x".repeat(195));
    for (desk, expected) in [
        (says(500, "<h1>Traceback</h1>"), &["500 7", "got status 500 with the body \"<h1>Traceback</h1>\""][..]),
        (says(503, ""), &["503 7", "with an empty body"]),
        (says(302, ""), &["302 7"]),
        (says(403, &format!("no such key: {TOKEN}")), &["no such key: [hidden]"]),
        (says(400, &long), &["[hid"]),
        (says(200, "{}"), &["status 200, where 201 stands for success"]),
        (says(201, "<html>"), &["the body is no JSON"]),
        (says(201, r#"{"live":{}}"#), &["`/live/url`", "there is nothing"]),
        (says(201, r#"{"live":{"url":7}}"#), &["`/live/url`", "there is a number"]),
        (gives("/relative"), &["`/relative` is no URL"]),
        (gives(&format!("ftp://me:{TICKET}@host/?{TICKET}")), &["`...@host/` is no URL"]),
        (gives(&format!("ws://me:{TICKET}@host/?{TICKET}")), &["the URL of the socket cannot be used", "...@host"]),
        (gives("ws://127.0.0.1/a b"), &["the URL of the socket cannot be used", "it cannot be read"]),
        (gives(&format!("ws://127.0.0.1:{closed}/?{TICKET}")), &["refused"]),
        (Desk::Mumbles, &["the HTTP request before the upgrade", "HTTP"]),
        (Desk::Closes, &["the HTTP request before the upgrade", "closed"]),
        (Desk::Sleeps, &["no answer to the HTTP request before the upgrade within 2 s"]),
    ] {
        let which = format!("{desk:?}");
        let told = told(desk).await;
        for part in expected {
            assert!(told.contains(part), "{which}: {told}");
        }
        assert!(!told.contains(TOKEN) && !told.contains("sesame") && !told.contains(TICKET), "{which}: {told}");
    }
    let nobody = match opened(closed, Credential::Good).await {
        Opened::Failed(error) => error,
        _ => panic!("nobody listens"),
    };
    assert!(nobody.contains("the HTTP request before the upgrade") && nobody.contains("refused"), "{nobody}");
}

/// The heads of the HTTP request and of the upgrade behind it, where the socket is at the same address as the service or at another one.
async fn heads(is_same_place: bool) -> [String; 2] {
    let (http, elsewhere) = (listener().await, listener().await);
    let port_of_socket = port(if is_same_place { &http } else { &elsewhere });
    let target = Target {
        token: Some(TOKEN.to_owned()),
        headers: vec![("x-extra".parse().expect("a name"), "of-mine".parse().expect("a value"))],
        ..Target::local(port(&http), "/")
    };
    let serving = async {
        let (mut stream, _) = http.accept().await.expect("the request");
        let asked = request(&mut stream).await.expect("a request");
        let body = serde_json::json!({ "live": { "url": format!("ws://127.0.0.1:{port_of_socket}/") } }).to_string();
        let answer = format!("HTTP/1.1 201 So\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.expect("it is read");
        let (mut socket, _) = if is_same_place { &http } else { &elsewhere }.accept().await.expect("the upgrade");
        [asked, request(&mut socket).await.expect("an upgrade")]
    };
    let dialler = Dialler::new(target, &Roots::Public).expect("no roots are needed");
    let dialler = dialler.speaking(dialect::choose(DIALECT).expect("a dialect"));
    let (heads, _) = tokio::join!(serving, dialler.open(&[], Credential::Good, Duration::from_secs(2)));
    heads
}

#[tokio::test]
async fn headers_of_the_command_line_go_to_the_service_and_to_nobody_elses_socket() {
    let is_there = |head: &String| head.contains("x-extra: of-mine");
    assert_eq!(heads(true).await.each_ref().map(is_there), [true, true]);
    assert_eq!(heads(false).await.each_ref().map(is_there), [true, false]);
}

/// A service on a thread of its own, for the command.
fn apart(desk: Desk) -> u16 {
    let (tell, hear) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            tell.send(service(desk).await).expect("somebody waits");
            std::future::pending::<()>().await;
        });
    });
    hear.recv().expect("a port")
}

const PASSES_NOTHING: &str = ": 0 PASS, 0 NON_STRICT, 0 failed";

fn certified(desk: Desk) -> (u8, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let logs = folder.path().join("logs");
    let url = format!("ws://127.0.0.1:{}", apart(desk));
    let only = ["--only", "server/end/*", "--only", "server/security/*"];
    let options = ["--dialect", DIALECT, "--token", TOKEN, "--log-dir", logs.to_str().expect("a plain path")];
    let output = lastword(&[&["certify", "server", &url], &only[..], &options].concat());
    let mut all = text(&output.stdout) + &text(&output.stderr);
    for log in std::fs::read_dir(&logs).into_iter().flatten() {
        all += &std::fs::read_to_string(log.expect("a log").path()).expect("it was written");
    }
    for secret in [TOKEN, TICKET] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
    (code(&output), all)
}

#[test]
fn a_right_server_is_certified_and_one_that_answers_wrongly_passes_nothing() {
    let (code, report) = certified(Desk::Right);
    assert_eq!(code, exit::PASS, "{report}");
    let (code, report) = certified(Desk::Says(201, r#"{"live":{"address":"ws://127.0.0.1/"}}"#.to_owned()));
    assert_eq!(code, exit::UNDECIDED, "{report}");
    let why = "control failed: the answer to the HTTP request before the upgrade: the URL of the socket";
    assert!(report.contains(why) && report.contains("`/live/url`") && report.contains(PASSES_NOTHING), "{report}");
    let (code, report) = certified(Desk::Says(500, format!("no account for {TOKEN}")));
    assert_eq!(code, exit::UNDECIDED, "{report}");
    let why = r#"control failed: the HTTP request before the upgrade (POST) got status 500 with the body "no account for [hidden]""#;
    assert!(report.contains(why) && report.contains(PASSES_NOTHING), "{report}");
}

#[test]
fn a_client_asks_the_scripted_server_for_its_socket() {
    let name = format!("asks-first{}", std::env::consts::EXE_SUFFIX);
    let client = Path::new(env!("CARGO_BIN_EXE_lastword")).with_file_name("examples").join(name);
    let client = client.to_str().expect("a plain path");
    let only = [
        "--only",
        "client/end/ideal",
        "--only",
        "client/end/reset-at-the-sentinel",
        "--only",
        "client/start/slow-ready",
    ];
    let certify_at = |url: &str, options: &[&str]| {
        let head = ["certify", "client", "--dialect", DIALECT, "--stdin", "pcm", "--token", TOKEN];
        lastword(&[&head[..], &only, &["--", client, url], options].concat())
    };
    let certify = |options: &[&str]| certify_at("{http_url}", options);
    let output = certify_at("{http_url}/v2", &[TOKEN]);
    assert_eq!(code(&output), exit::UNDECIDED, "{}", text(&output.stdout));
    let why =
        "it never connected: the client asked by HTTP for POST /v2/v1/live, where the dialect has POST /v1/live: ";
    assert!(text(&output.stdout).contains(why), "{}", text(&output.stdout));
    let output = certify(&[TOKEN]);
    assert_eq!(code(&output), exit::PASS, "{}{}", text(&output.stdout), text(&output.stderr));
    let output = certify(&[TOKEN, "--without-end"]);
    assert_eq!(code(&output), exit::VIOLATION, "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("END-C1"), "{}", text(&output.stdout));
}
