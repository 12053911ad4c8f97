//! What traces of one sequence prove, each written by hand.

use lastword_spec::close::CloseCode;
use lastword_spec::finding::FindingKind;
use lastword_spec::limits::Limits;
use lastword_spec::table::ServerInput::{
    self, Audio, BadMessage, BrokenAudio, Close, Config, EndOfStream, Flush, Keepalive, KeepaliveSeq, UnknownType,
};
use lastword_spec::table::Side;
use lastword_spec::trace::{Eof, Event, EventKind, Header, Open};
use serde_json::json;

use super::*;
use crate::suite::wording;
use crate::wire::Outgoing;

/// A trace in the making.
struct Script {
    trace: Trace,
    rejected: u64,
}

impl Script {
    fn new() -> Self {
        let mut script = Self { trace: Trace { header: Header::new(Side::Server), events: Vec::new() }, rejected: 0 };
        let open = Open {
            offered: vec!["lastword.v1".into()],
            selected: Some("lastword.v1".into()),
            label: None,
            speech: None,
            url: None,
            authorization: None,
            probe: None,
        };
        script.note(EventKind::Open(open));
        script
    }

    fn note(&mut self, kind: EventKind) {
        let t_us = self.trace.events.len() as u64 * 1_000;
        self.trace.events.push(Event::new(t_us, CONN, kind));
    }

    /// The harness sends this input of a sequence.
    fn sends(mut self, input: ServerInput, number: usize) -> Self {
        let from = Side::Client;
        let kind = match wording::message(input, number, None) {
            Outgoing::Text(text) => EventKind::Text { from, text },
            Outgoing::Binary(bytes) => {
                EventKind::Audio { from, bytes: bytes.len() as u64, head: bytes[..bytes.len().min(4)].to_vec() }
            }
            Outgoing::Close(code) => EventKind::Close { from, code: code.map(CloseCode), reason: String::new() },
            Outgoing::RawBinary(_) | Outgoing::RawText(_) | Outgoing::Fragmented(_) => {
                unreachable!("the suite sends no broken frames")
            }
        };
        self.note(kind);
        self
    }

    fn says(mut self, message: serde_json::Value) -> Self {
        self.note(EventKind::Text { from: Side::Server, text: message.to_string() });
        self
    }

    fn ready(self) -> Self {
        let limits = serde_json::to_value(Limits::DEFAULT).expect("limits");
        let config = json!({
            "audio": {"encoding": "pcm_s16le", "sample_rate_hz": 16_000, "channels": 1},
            "interim_results": true, "words": false, "vad_events": false,
            "endpointing": {"mode": "vad", "silence_ms": 500, "max_segment_ms": 30_000},
        });
        self.says(json!({
            "type": "ready", "session_id": "s", "protocol": "lastword.v1", "config": config, "limits": limits,
            "capabilities": {"encodings": ["pcm_s16le"]}, "ignored": [],
        }))
    }

    fn error(self, code: &str) -> Self {
        self.says(json!({"type": "error", "code": code, "message": "no", "fatal": false, "retryable": false}))
    }

    fn ended(mut self, received_ms: u64) -> Self {
        let complete = self.rejected == 0;
        let rejected = self.rejected;
        self = self.says(json!({
            "type": "session_ended", "reason": "completed", "complete": complete, "audio_received_ms": received_ms,
            "audio_processed_ms": received_ms, "rejected_frames": rejected, "finals": 0,
        }));
        self.closed(1_000)
    }

    fn closed(mut self, code: u16) -> Self {
        self.note(EventKind::Close { from: Side::Server, code: Some(CloseCode(code)), reason: String::new() });
        self.note(EventKind::Eof { from: Side::Server, how: Eof::Fin });
        self
    }

    fn examined(&self, sequence: &[ServerInput]) -> Outcome {
        examine(&Machine::of_the_table(), sequence, &self.trace, &Options::default()).0
    }
}

#[test]
fn a_session_that_is_answered_as_the_table_says_conforms() {
    let script = Script::new().sends(Config, 0).ready().sends(Keepalive, 1).sends(KeepaliveSeq, 2);
    let script = script.says(json!({"type": "keepalive_ack", "seq": 3})).sends(EndOfStream, 3).ended(0);
    assert_eq!(script.examined(&[Config, Keepalive, KeepaliveSeq, EndOfStream]), Outcome::Conforming);
}

#[test]
fn results_and_progress_are_no_answers() {
    let script = Script::new().sends(Config, 0).ready().sends(Audio, 1);
    let script = script.says(json!({"type": "progress", "seq": 1, "audio_processed_ms": 100}));
    let script = script.sends(Close, 2).closed(1_000);
    assert_eq!(script.examined(&[Config, Audio, Close]), Outcome::Conforming);
}

#[test]
fn a_session_that_ends_before_all_is_read_was_not_reached_and_is_no_mismatch() {
    let sequence = [Config, EndOfStream, BadMessage, EndOfStream];
    let burst = || Script::new().sends(Config, 0).ready().sends(Audio, 0).sends(EndOfStream, 1).sends(BadMessage, 2);
    let none = burst().sends(EndOfStream, 3).ended(100);
    assert_eq!(none.examined(&sequence), Outcome::NotReached);
    let one = burst().sends(EndOfStream, 3).error("bad_message").ended(100);
    assert_eq!(one.examined(&sequence), Outcome::NotReached);
    let both = burst().sends(EndOfStream, 3).error("bad_message").error("duplicate_end_of_stream").ended(100);
    assert_eq!(both.examined(&sequence), Outcome::Conforming);
}

#[test]
fn a_close_cancels_what_stands_before_it_in_the_drain_and_only_there() {
    let draining = || Script::new().sends(Config, 0).ready().sends(Audio, 0).sends(EndOfStream, 1).sends(BadMessage, 2);
    let sequence = [Config, EndOfStream, BadMessage, Close];
    assert_eq!(draining().sends(Close, 3).closed(1_000).examined(&sequence), Outcome::Conforming);
    let answered = draining().sends(Close, 3).error("bad_message").closed(1_000);
    assert_eq!(answered.examined(&sequence), Outcome::Conforming);
    assert_eq!(draining().sends(Close, 3).ended(100).examined(&sequence), Outcome::NotReached);
    let streaming = Script::new().sends(Config, 0).ready().sends(BadMessage, 1).sends(Close, 2).closed(1_000);
    assert!(matches!(streaming.examined(&[Config, BadMessage, Close]), Outcome::Mismatch(_)));
}

#[test]
fn to_answer_the_second_input_of_the_drain_and_not_the_first_is_a_mismatch() {
    let script = Script::new().sends(Config, 0).ready().sends(Audio, 0).sends(EndOfStream, 1).sends(BadMessage, 2);
    let script = script.sends(EndOfStream, 3).error("duplicate_end_of_stream").ended(100);
    let Outcome::Mismatch(mismatch) = script.examined(&[Config, EndOfStream, BadMessage, EndOfStream]) else {
        panic!("no mismatch")
    };
    assert_eq!(mismatch.step, 2, "{mismatch:?}");
}

#[test]
fn an_answer_where_the_table_wants_silence_is_laid_to_the_silent_input() {
    let script = Script::new().sends(Config, 0).ready().sends(Keepalive, 1).sends(KeepaliveSeq, 2);
    let script = script.error("invalid_state").says(json!({"type": "keepalive_ack", "seq": 3}));
    let script = script.sends(EndOfStream, 3).ended(0);
    let Outcome::Mismatch(mismatch) = script.examined(&[Config, Keepalive, KeepaliveSeq, EndOfStream]) else {
        panic!("no mismatch")
    };
    assert_eq!(mismatch.step, 1, "{mismatch:?}");
    assert!(mismatch.text.contains("keepalive in Streaming with error(invalid_state)"), "{mismatch:?}");
}

#[test]
fn what_the_table_forbids_and_the_judge_lets_pass_is_found_all_the_same_with_the_id_of_the_row() {
    // A second `ready` is a breach to the judge too: then its finding stands.
    let script = Script::new().sends(Config, 0).ready().sends(Flush, 1);
    let script = script.says(json!({"type": "flushed", "id": "flush-1"})).ready().sends(EndOfStream, 2).ended(0);
    let Outcome::Mismatch(mismatch) = script.examined(&[Config, Flush, EndOfStream]) else { panic!("no mismatch") };
    let found: Vec<&str> = mismatch.findings.iter().map(|finding| finding.requirement.as_str()).collect();
    assert_eq!(found, ["CFG-S2"]);
    // The answer to a broken frame comes once a session; the row says so, whoever else does.
    let script = Script::new().sends(Config, 0).ready().sends(BrokenAudio, 1).sends(KeepaliveSeq, 2);
    let script = script.says(json!({"type": "keepalive_ack", "seq": 3})).sends(Close, 3).closed(1_000);
    let Outcome::Mismatch(mismatch) = script.examined(&[Config, BrokenAudio, KeepaliveSeq, Close]) else {
        panic!("no mismatch")
    };
    assert_eq!(mismatch.step, 1);
    assert_eq!(mismatch.findings[0].requirement.as_str(), "AUD-S2");
    assert!(
        mismatch.findings[0].kind == FindingKind::Unanswered || mismatch.findings[0].kind == FindingKind::WrongAnswer
    );
}

#[test]
fn a_wait_given_up_without_a_word_of_the_judge_decides_nothing() {
    let mut script = Script::new().sends(Config, 0).ready().sends(Flush, 1);
    script.note(EventKind::GaveUp { after_ms: 10, quiescent: None });
    let outcome = script.examined(&[Config, Flush, EndOfStream]);
    assert!(matches!(outcome, Outcome::Undecided(_)), "{outcome:?}");
}

#[test]
fn no_connection_is_no_session() {
    let mut script = Script { trace: Trace { header: Header::new(Side::Server), events: Vec::new() }, rejected: 0 };
    script.note(EventKind::ConnectFailed { error: "refused".into() });
    assert!(matches!(script.examined(&[Config]), Outcome::Undecided(_)));
}

#[test]
fn a_drop_without_a_close_is_a_mismatch() {
    let mut script = Script::new().sends(Config, 0).ready().sends(KeepaliveSeq, 1);
    script.note(EventKind::Eof { from: Side::Server, how: Eof::Reset });
    let outcome = script.examined(&[Config, KeepaliveSeq, EndOfStream]);
    assert!(matches!(outcome, Outcome::Mismatch(_)), "{outcome:?}");
}

#[test]
fn a_timer_of_the_subject_that_fires_on_a_slow_line_decides_nothing_where_the_judge_allows_it() {
    let mut script = Script::new().sends(Config, 0).ready();
    // The line delivered the broken frame too late.
    let sent_us = 31_000_000;
    script.trace.events.push(Event::new(
        sent_us,
        CONN,
        EventKind::Audio { from: Side::Client, bytes: 333, head: vec![0; 4] },
    ));
    let ended = json!({
        "type": "session_ended", "reason": "idle_timeout", "complete": false, "audio_received_ms": 0,
        "audio_processed_ms": 0, "rejected_frames": 0, "finals": 0,
    });
    let idle = json!({"type": "error", "code": "idle_timeout", "message": "idle", "fatal": true, "retryable": true});
    for (number, text) in [idle, ended].into_iter().enumerate() {
        let kind = EventKind::Text { from: Side::Server, text: text.to_string() };
        script.trace.events.push(Event::new(sent_us + 1 + number as u64, CONN, kind));
    }
    let close = EventKind::Close { from: Side::Server, code: Some(CloseCode(4_408)), reason: String::new() };
    script.trace.events.push(Event::new(sent_us + 3, CONN, close));
    let sequence = [Config, BrokenAudio, EndOfStream];
    let outcome = script.examined(&sequence);
    assert!(matches!(outcome, Outcome::OutOfTime(_)), "{outcome:?}");
    // The same frame half a minute before the timer fires was read, and not answered.
    script.trace.events[3].t_us = 1_000_000;
    let outcome = script.examined(&sequence);
    assert!(matches!(outcome, Outcome::Mismatch(_)), "{outcome:?}");
}

#[test]
fn a_config_timer_that_ran_while_the_line_held_the_upgrade_decides_nothing_and_one_that_fires_at_once_does() {
    let sequence = [Config, Keepalive, EndOfStream];
    let ended_at = |t_us: u64| {
        let mut script = Script::new().sends(Config, 0);
        let text =
            json!({"type": "error", "code": "config_timeout", "message": "late", "fatal": true, "retryable": true});
        let fatal = EventKind::Text { from: Side::Server, text: text.to_string() };
        let close = EventKind::Close { from: Side::Server, code: Some(CloseCode(4_408)), reason: String::new() };
        for kind in [fatal, close] {
            script.trace.events.push(Event::new(0, CONN, kind));
        }
        for event in &mut script.trace.events {
            event.t_us = t_us;
        }
        script.examined(&sequence)
    };
    // The answer to the upgrade and the end came in the same moment, 2 s after the connection was dialled.
    assert!(matches!(ended_at(2_000_000), Outcome::OutOfTime(_)), "{:?}", ended_at(2_000_000));
    assert!(matches!(ended_at(20_000), Outcome::Mismatch(_)), "{:?}", ended_at(20_000));
}

#[test]
fn a_timer_that_fires_while_the_line_holds_an_answer_back_decides_nothing_about_what_was_not_sent_any_more() {
    let text = |message: serde_json::Value| EventKind::Text { from: Side::Server, text: message.to_string() };
    let mut script = Script::new().sends(UnknownType, 0);
    let error = |code: &str, fatal: bool| {
        text(json!({"type": "error", "code": code, "message": "m", "fatal": fatal, "retryable": fatal}))
    };
    let close = EventKind::Close { from: Side::Server, code: Some(CloseCode(4_408)), reason: String::new() };
    for kind in [error("unknown_type", false), error("config_timeout", true), close] {
        script.trace.events.push(Event::new(3_400_000, CONN, kind));
    }
    let outcome = script.examined(&[UnknownType, EndOfStream, Close]);
    assert!(matches!(outcome, Outcome::OutOfTime(_)), "{outcome:?}");
}
