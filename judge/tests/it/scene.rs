//! Sessions of a server under test, written as lines, for the tests that change one number of them.

use lastword_judge::{Options, judge};
use lastword_spec::close::CloseCode;
use lastword_spec::trace::{ControlOutcome, Eof, Event, EventKind, Header, Open, Side, Trace};

pub(crate) const CONFIG: &str = r#">{"type":"config"}"#;
pub(crate) const END: &str = r#">{"type":"end_of_stream"}"#;
pub(crate) const FLUSH: &str = r#">{"type":"flush","id":"f"}"#;
pub(crate) const FLUSHED: &str = r#"<{"type":"flushed","id":"f"}"#;
pub(crate) const KEEPALIVE: &str = r#">{"type":"keepalive","seq":1}"#;
pub(crate) const ACK: &str = r#"<{"type":"keepalive_ack","seq":1}"#;
/// With the default limits and the default configuration.
pub(crate) const READY: &str = concat!(
    r#"<{"type":"ready","session_id":"s","protocol":"lastword.v1","config":{"audio":{"encoding":"pcm_s16le","#,
    r#""sample_rate_hz":16000,"channels":1},"interim_results":true,"words":false,"vad_events":false,"#,
    r#""endpointing":{"mode":"vad","silence_ms":500,"max_segment_ms":30000}},"limits":{"idle_timeout_ms":30000,"#,
    r#""keepalive_interval_ms":10000,"ready_ms":10000,"flush_ms":5000,"drain_ms":15000,"close_ms":2000,"#,
    r#""progress_interval_ms":2000,"max_step_ms":30000,"max_frame_bytes":64000,"max_text_bytes":65536,"#,
    r#""max_session_ms":3600000,"max_buffered_audio_ms":30000},"capabilities":{},"ignored":[]}"#
);

/// `session_ended` of a session that completed, with so much audio, refused frames and finals.
pub(crate) fn ended(audio_ms: u64, rejected_frames: u64, finals: u64) -> String {
    let complete = rejected_frames == 0;
    format!(
        r#"<{{"type":"session_ended","reason":"completed","complete":{complete},"audio_received_ms":{audio_ms},"audio_processed_ms":{audio_ms},"rejected_frames":{rejected_frames},"finals":{finals}}}"#
    )
}

/// An error; `rest` are further members, each with a comma before it.
pub(crate) fn error(code: &str, fatal: bool, rest: &str) -> String {
    let retryable = matches!(code, "idle_timeout" | "overloaded" | "internal" | "config_timeout" | "going_away");
    format!(r#"<{{"type":"error","code":"{code}","message":"m","fatal":{fatal},"retryable":{retryable}{rest}}}"#)
}

/// A final of two words.
pub(crate) fn heard(segment_id: u64, start_ms: u64, end_ms: u64) -> String {
    format!(
        r#"<{{"type":"final","segment_id":{segment_id},"text":"word {segment_id}","start_ms":{start_ms},"end_ms":{end_ms},"channel":0}}"#
    )
}

/// A trace of (milliseconds, what): `>` before a text is the client's, `<` the server's, `audio 640` is a frame of so many bytes,
/// `command 640` one that looks like a message, `close` without a number a Close without a code.
pub(crate) fn scene(events: &[(u64, &str)]) -> Trace {
    let events = events.iter().map(|(ms, what)| Event::new(ms * 1_000, 0, kind_of(what))).collect();
    Trace { header: Header::new(Side::Server), events }
}

fn kind_of(what: &str) -> EventKind {
    let (word, number) = what.split_once(' ').unwrap_or((what, ""));
    let code = || number.parse().ok().map(CloseCode);
    let number = || number.parse::<u64>().unwrap_or_else(|_| panic!("a number in {what:?}"));
    match word {
        "alone" => EventKind::LeftAlone { for_ms: number() },
        "refused" => EventKind::Refused {
            status: u16::try_from(number()).expect("a status"),
            retry_after: Some("1".to_owned()),
            offered: None,
            authorization: None,
        },
        "open" => {
            let token = || "lastword.v1".to_owned();
            EventKind::Open(Open { offered: vec![token()], selected: Some(token()), ..Open::default() })
        }
        "audio" => EventKind::Audio { from: Side::Client, bytes: number(), head: vec![1, 0, 253, 255] },
        "command" => EventKind::Audio { from: Side::Client, bytes: number(), head: b"{\"type\":".to_vec() },
        "close" => EventKind::Close { from: Side::Client, code: code(), reason: String::new() },
        "closed" => EventKind::Close { from: Side::Server, code: code(), reason: String::new() },
        "dropped" => EventKind::Eof { from: Side::Server, how: Eof::Reset },
        "control" => EventKind::Control { outcome: ControlOutcome::Completed, took_ms: number() },
        "unanswered" => EventKind::Control { outcome: ControlOutcome::Unanswered, took_ms: number() },
        "gave_up" => EventKind::GaveUp { after_ms: number(), quiescent: None },
        _ if what.starts_with('>') => EventKind::Text { from: Side::Client, text: what[1..].to_owned() },
        _ if what.starts_with('<') => EventKind::Text { from: Side::Server, text: what[1..].to_owned() },
        _ => panic!("no event: {what:?}"),
    }
}

/// The requirements that a scene breaks, in order.
pub(crate) fn broken(events: &[(u64, &str)]) -> Vec<String> {
    let judgement = judge(&scene(events), &Options::default());
    judgement.findings.iter().map(|finding| finding.requirement.as_str().to_owned()).collect()
}

/// As [`broken`], after an upgrade at 0, a `config` at 0 and `ready` at 0.
pub(crate) fn broken_after_ready(events: &[(u64, &str)]) -> Vec<String> {
    let mut all = vec![(0, "open"), (0, CONFIG), (0, READY)];
    all.extend_from_slice(events);
    broken(&all)
}
