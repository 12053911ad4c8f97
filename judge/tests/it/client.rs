//! A client as the subject: what is held against it and what is not. The connection is told as the harness, its server, notes it.

use lastword_judge::{Monitor, Options, judge};
use lastword_spec::finding::Culprit;
use lastword_spec::trace::{self, Side, Trace};

const CONFIG: &str = r#"{"type":"config"}"#;
/// With members missing, as a harness sends it on purpose; keepalives are due every 10 s then.
const READY: &str = r#"{"type":"ready","session_id":"s","protocol":"lastword.v1"}"#;
const KEEPALIVE: &str = r#"{"type":"keepalive"}"#;
const FLUSH: &str = r#"{"type":"flush","id":"a"}"#;
const END: &str = r#"{"type":"end_of_stream"}"#;
const FATAL: &str = r#"{"type":"error","code":"internal","message":"m","fatal":true,"retryable":false}"#;
const ENDED: &str = r#"{"type":"session_ended","reason":"completed","complete":true,"audio_received_ms":0,"audio_processed_ms":0,"rejected_frames":0,"finals":0}"#;

/// A trace of (milliseconds, what): `>` before a text is the client's, `<` the server's, the rest are words of this file.
fn trace_of(events: &[(u64, &str)]) -> Trace {
    let mut text = String::from("{\"lastword_trace\":1,\"subject\":\"client\"}\n");
    for (ms, what) in events {
        let t_us = ms * 1_000;
        let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let member = match *what {
            "open" => r#""open":{"offered":["lastword.v1"],"selected":"lastword.v1"}"#.to_owned(),
            "audio" => r#""from":"client","audio":{"bytes":640}"#.to_owned(),
            "close" => r#""from":"client","close":{"code":1000,"reason":""}"#.to_owned(),
            "server closes" => r#""from":"server","close":{"code":1000,"reason":""}"#.to_owned(),
            "gave up" => r#""gave_up":{"after_ms":1}"#.to_owned(),
            text if text.starts_with('>') => format!(r#""from":"client","text":{}"#, quoted(&text[1..])),
            text => format!(r#""from":"server","text":{}"#, quoted(&text[1..])),
        };
        text.push_str(&format!("{{\"t_us\":{t_us},\"conn\":0,{member}}}\n"));
    }
    trace::read(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn findings(events: &[(u64, &str)]) -> Vec<(String, String)> {
    let judgement = judge(&trace_of(events), &Options::default());
    assert!(judgement.findings.iter().all(|finding| finding.culprit == Culprit::Client));
    let found = judgement.findings.iter();
    found.map(|finding| (finding.requirement.as_str().to_owned(), finding.message.clone())).collect()
}

/// The requirements broken by what follows an orderly beginning.
fn after_ready(events: &[(u64, &str)]) -> Vec<String> {
    let (config, ready) = (format!(">{CONFIG}"), format!("<{READY}"));
    let mut all = vec![(0, "open"), (1, config.as_str()), (2, ready.as_str())];
    all.extend_from_slice(events);
    findings(&all).into_iter().map(|(requirement, _)| requirement).collect()
}

#[test]
fn a_whole_session_is_free_of_findings() {
    let whole = [
        (100, "audio"),
        (200, concat!(">", r#"{"type":"flush","id":"a"}"#)),
        (9_000, concat!(">", r#"{"type":"keepalive"}"#)),
        (12_000, "audio"),
        (12_001, concat!(">", r#"{"type":"end_of_stream"}"#)),
        (60_000, &format!("<{ENDED}")),
        (60_001, "close"),
        (90_000, "gave up"),
    ];
    assert_eq!(after_ready(&whole), [""; 0]);
}

#[test]
fn config_comes_first_and_once() {
    let early = format!(">{KEEPALIVE}");
    assert_eq!(findings(&[(0, "open"), (1, &early)])[0].0, "CFG-C1");
    assert_eq!(findings(&[(0, "open"), (1, "audio")])[0].0, "CFG-C1");
    assert_eq!(after_ready(&[(3, &format!(">{CONFIG}"))]), ["CFG-C1"]);
    let silent = findings(&[(0, "open"), (12_000, "gave up")]);
    assert_eq!(
        silent,
        [("CFG-C1".to_owned(), "owes config since t=0.00 s (AwaitConfig), silent for 12.00 s".to_owned())]
    );
    assert_eq!(findings(&[(0, "open"), (9_000, "gave up")]), []);
}

#[test]
fn nothing_comes_between_config_and_ready() {
    let config = format!(">{CONFIG}");
    for early in ["audio", &format!(">{KEEPALIVE}"), &format!(">{FLUSH}"), &format!(">{END}")] {
        let found = findings(&[(0, "open"), (1, &config), (2, early), (3, &format!("<{READY}"))]);
        assert_eq!(found.len(), 1, "{early}");
        assert_eq!(found[0].0, "CFG-C2", "{early}");
    }
    // A sentinel that came early is one all the same.
    let twice =
        [(0, "open"), (1, &config[..]), (2, &format!(">{END}")), (3, &format!("<{READY}")), (4, &format!(">{END}"))];
    let found: Vec<String> = findings(&twice).into_iter().map(|(requirement, _)| requirement).collect();
    assert_eq!(found, ["CFG-C2", "END-C2"]);
}

#[test]
fn nothing_but_a_close_follows_the_sentinel_even_when_the_server_is_through() {
    let end = format!(">{END}");
    let ended = format!("<{ENDED}");
    for (late, id) in [
        ("audio", "END-C6"),
        (&format!(">{FLUSH}"), "END-C6"),
        (&format!(">{KEEPALIVE}"), "KA-C3"),
        (r#">{"type":"keepalive","seq":1}"#, "KA-C3"),
        (&end, "END-C2"),
    ] {
        assert_eq!(after_ready(&[(3, &end), (4, late), (5, late)]), [id], "told once: {late}");
        assert_eq!(after_ready(&[(3, &end), (4, &ended), (5, late), (6, "close")]), [id], "{late}");
    }
}

#[test]
fn what_may_have_crossed_the_servers_last_words_is_no_breach() {
    for last in [format!("<{FATAL}"), format!("<{ENDED}"), "server closes".to_owned()] {
        assert_eq!(after_ready(&[(3, &last), (4, "audio"), (5, &format!(">{END}")), (6, "close")]), [""; 0], "{last}");
    }
}

#[test]
fn a_silent_client_owes_audio_a_keepalive_or_the_end() {
    let silent = [(100, "audio"), (11_500, "gave up")];
    assert_eq!(after_ready(&silent), ["KA-C1"]);
    assert_eq!(after_ready(&[(100, "audio"), (10_500, "gave up")]), [""; 0]);
    // A flush does not count.
    assert_eq!(after_ready(&[(100, "audio"), (9_000, &format!(">{FLUSH}")), (11_500, "gave up")]), ["KA-C1"]);
    assert_eq!(after_ready(&[(100, "audio"), (9_000, &format!(">{KEEPALIVE}")), (11_500, "gave up")]), [""; 0]);
    // Draining it owes nothing, failing neither, and not to a server that has closed.
    for quiet in [format!(">{END}"), format!("<{FATAL}"), "server closes".to_owned()] {
        assert_eq!(after_ready(&[(100, &quiet), (90_000, "gave up")]), [""; 0], "{quiet}");
    }
}

#[test]
fn a_client_that_was_told_the_end_owes_its_close() {
    let ended = format!("<{ENDED}");
    let end = format!(">{END}");
    assert_eq!(after_ready(&[(3, &end), (4, &ended), (5, "server closes"), (9_000, "gave up")]), ["END-C3"]);
    assert_eq!(after_ready(&[(3, &end), (4, &ended), (2_000, "gave up")]), [""; 0]);
    assert_eq!(after_ready(&[(3, &end), (4, &ended), (5, "close"), (9_000, "gave up")]), [""; 0]);
}

#[test]
fn a_text_that_is_no_message_is_malformed_and_one_of_a_later_version_is_not() {
    assert_eq!(after_ready(&[(3, ">[]")]), ["MSG-1"]);
    assert_eq!(after_ready(&[(3, r#">{"type":"keepalive","seq":"1"}"#)]), ["MSG-2"]);
    assert_eq!(after_ready(&[(3, r#">{"type":"x_later"}"#)]), [""; 0]);
}

#[test]
fn the_ledger_holds_what_either_side_owes() {
    let (config, ready, flush) = (format!(">{CONFIG}"), format!("<{READY}"), format!(">{FLUSH}"));
    let trace = trace_of(&[(0, "open"), (1, &config), (2, &ready), (100, "audio"), (200, &flush)]);
    let mut monitor = Monitor::new(&trace.header, &Options::default());
    let mut books = Vec::new();
    for event in &trace.events {
        monitor.observe(event);
        let book = monitor
            .owed(0)
            .into_iter()
            .map(|debt| (debt.debtor, debt.what, debt.since_us / 1_000, debt.due_us / 1_000));
        books.push(book.collect::<Vec<_>>());
    }
    let client = |what: &str, since_ms, due_ms| (Side::Client, what.to_owned(), since_ms, due_ms);
    let speaks = "audio, keepalive or end_of_stream";
    assert_eq!(books[0], [client("config", 0, 11_000)]);
    assert!(books[1].iter().all(|(debtor, what, ..)| *debtor == Side::Server && what == "ready or a fatal error"));
    assert_eq!(books[2], [client(speaks, 2, 11_002)]);
    assert_eq!(books[3], [client(speaks, 100, 11_100)]);
    assert_eq!(books[4].len(), 2);
    assert_eq!((books[4][0].clone(), &books[4][1].1[..]), (client(speaks, 100, 11_100), "flushed"));
}

#[test]
fn the_connections_of_a_client_are_in_the_record() {
    let judgement = judge(&trace_of(&[(0, "open"), (1, &format!(">{CONFIG}"))]), &Options::default());
    assert_eq!(judgement.connections.iter().map(|one| one.opened_us).collect::<Vec<_>>(), [Some(0)]);
}
