//! A client that leaves before its server's last word, and one whose Close nobody answers: what it cannot have read it was not told,
//! and what nobody announces bounds nothing.

use lastword_judge::{Options, judge};
use lastword_spec::trace;

const ENDED: &str = r#"{"type":"session_ended","reason":"completed","complete":true,"audio_received_ms":0,"audio_processed_ms":0,"rejected_frames":0,"finals":0}"#;

/// The requirements that a command breaks whose session is told by these lines, behind its sentinel at 0 ms. `%` stands for the
/// members of every line.
fn found(is_foreign: bool, lines: &[(u64, &str)]) -> Vec<String> {
    let dialect = if is_foreign { r#","dialect":{"name":"d","not_binding":[],"lacks":[]}"# } else { "" };
    let mut text = format!("{{\"lastword_trace\":1,\"subject\":\"client\"{dialect}}}\n");
    let quoted = |text: &str| text.replace('"', "\\\"");
    let ready = quoted(r#"{"type":"ready","session_id":"s","protocol":"lastword.v1"}"#);
    let session = [
        r#""started":{"driven":false,"audio_ms":1000}"#.to_owned(),
        r#""open":{"offered":["lastword.v1"],"selected":"lastword.v1"}"#.to_owned(),
        format!(r#""from":"client","text":"{}""#, quoted(r#"{"type":"config"}"#)),
        format!(r#""from":"server","text":"{ready}""#),
        format!(r#""from":"client","text":"{}""#, quoted(r#"{"type":"end_of_stream"}"#)),
    ];
    for line in session {
        text.push_str(&format!("{{\"t_us\":0,\"conn\":0,{line}}}\n"));
    }
    for (ms, what) in lines {
        let line = match *what {
            "close" => r#""from":"client","close":{"code":1000,"reason":""}"#.to_owned(),
            "ended" => format!(r#""from":"server","text":"{}""#, quoted(ENDED)),
            "deaf" => r#""reads":false"#.to_owned(),
            "exits with 0" => r#""exited":{"code":0}"#.to_owned(),
            "exits with 1" => r#""exited":{"code":1}"#.to_owned(),
            _ => r#""gave_up":{"after_ms":1}"#.to_owned(),
        };
        text.push_str(&format!("{{\"t_us\":{},\"conn\":0,{line}}}\n", ms * 1_000));
    }
    let trace = trace::read(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let findings = judge(&trace, &Options::default()).findings;
    findings.iter().map(|finding| finding.requirement.as_str().to_owned()).collect()
}

#[test]
fn a_client_that_left_before_session_ended_was_written_has_not_read_it() {
    let gives_up_at = |ms, exits| [(ms, "close"), (ms + 1_000, "ended"), (ms + 1_500, exits)];
    assert_eq!(found(false, &gives_up_at(100, "exits with 1")), ["CLO-C1"]);
    assert_eq!(found(false, &gives_up_at(5_000, "exits with 1")), ["END-C4"], "it says what it knows");
    assert_eq!(found(false, &gives_up_at(5_000, "exits with 0")), ["END-C4", "END-C5"]);
    assert_eq!(found(false, &gives_up_at(20_000, "exits with 1")), [""; 0], "the bound has passed");
    assert_eq!(found(false, &gives_up_at(20_000, "exits with 0")), ["END-C5"]);
    assert_eq!(found(false, &[(20_000, "ended"), (20_001, "close"), (20_100, "exits with 0")]), [""; 0]);
}

#[test]
fn an_unanswered_close_is_given_longer_where_no_wire_announces_how_long() {
    let hangs_until = |ms| [(100, "ended"), (101, "deaf"), (ms, "gave up")];
    assert_eq!(found(false, &hangs_until(12_000)), ["CLO-C4"], "close_ms is 2 s");
    assert_eq!(found(true, &hangs_until(30_000)), [""; 0]);
    assert_eq!(found(true, &hangs_until(45_000)), ["CLO-C4"]);
}
