//! Which answer belongs to which message: ids that come twice, answers that name no id, answers to what had to be refused.

use super::scene::{CONFIG, END, READY, broken, ended, error};

const FLUSH_A: &str = r#">{"type":"flush","id":"a"}"#;
const FLUSH_B: &str = r#">{"type":"flush","id":"b"}"#;
const UPDATE: &str = r#">{"type":"update","id":"u","language":"de"}"#;

/// What is broken by a session with these events before its `config` and after `ready`, which offers updates, and a whole end.
fn session(before: &[(u64, &str)], after: &[(u64, &str)]) -> Vec<String> {
    session_with(READY, before, after)
}

fn session_with(ready: &str, before: &[(u64, &str)], after: &[(u64, &str)]) -> Vec<String> {
    let last = ended(1_000, 0, 0);
    let mut events = vec![(0, "open")];
    events.extend_from_slice(before);
    events.extend([(10, CONFIG), (20, ready), (30, "audio 32000")]);
    events.extend_from_slice(after);
    events.extend([(9_000, END), (9_100, last.as_str()), (9_101, "closed 1000"), (9_102, "close 1000")]);
    broken(&events)
}

fn refused(code: &str, id: &str) -> String {
    error(code, false, &format!(r#","id":"{id}""#))
}

#[test]
fn an_id_may_be_used_again_and_what_had_to_be_refused_comes_first() {
    let (state, flushed) = (refused("invalid_state", "a"), r#"<{"type":"flushed","id":"a"}"#);
    assert_eq!(session(&[(1, FLUSH_A), (2, &state)], &[(40, FLUSH_A), (50, flushed)]), [""; 0]);
    assert_eq!(session(&[(1, FLUSH_A)], &[(40, FLUSH_A), (41, &state), (50, flushed)]), [""; 0]);
    assert_eq!(session(&[(1, FLUSH_A), (2, &state)], &[(40, FLUSH_A), (50, &state)]), ["FLU-S2"]);
    assert_eq!(
        session(&[(1, FLUSH_A)], &[(40, FLUSH_B), (41, &refused("invalid_state", "b"))]),
        ["FLU-S2", "STA-S2"],
        "the other one is still to be refused"
    );
}

#[test]
fn an_error_that_names_no_id_answers_nothing_that_has_one() {
    assert_eq!(session(&[(1, FLUSH_A), (2, &error("invalid_state", false, ""))], &[]), ["STA-S2"]);
    assert_eq!(session(&[(1, FLUSH_A), (2, &refused("bad_message", "a"))], &[]), ["STA-S2"]);
    assert_eq!(session(&[(1, FLUSH_A)], &[]), ["STA-S2"]);
    assert_eq!(session(&[(1, "audio 640"), (2, FLUSH_A), (3, &refused("invalid_state", "a"))], &[]), ["STA-S2"]);
}

#[test]
fn a_bad_message_before_config_is_bad_or_illegal_there() {
    let bad = r#">{"type":"keepalive","seq":"x"}"#;
    let named = error("bad_message", false, r#","param":"seq""#);
    assert_eq!(session(&[(1, bad), (2, &named)], &[]), [""; 0]);
    assert_eq!(session(&[(1, bad), (2, &error("invalid_state", false, ""))], &[]), [""; 0]);
    assert_eq!(session(&[(1, "> "), (2, &error("bad_message", false, ""))], &[]), [""; 0]);
    assert_eq!(session(&[(1, "> "), (2, &error("invalid_state", false, ""))], &[]), ["MSG-S4"]);
    // Behind `ready` it is bad and no more.
    assert_eq!(session(&[], &[(40, bad), (41, &named)]), [""; 0]);
    assert_eq!(session(&[], &[(40, bad), (41, &error("invalid_state", false, ""))]), ["MSG-S6"]);
}

#[test]
fn who_answers_what_had_to_be_refused_accepted_it() {
    let pad = "a".repeat(65_536);
    let long_keepalive = format!(r#">{{"type":"keepalive","seq":5,"x_pad":"{pad}"}}"#);
    let long_flush = format!(r#">{{"type":"flush","id":"f","x_pad":"{pad}"}}"#);
    let ack = |seq: u64| format!(r#"<{{"type":"keepalive_ack","seq":{seq}}}"#);
    let flushed = |id: &str| format!(r#"<{{"type":"flushed","id":"{id}"}}"#);
    let too_large = error("message_too_large", false, "");
    assert_eq!(session(&[], &[(40, &long_keepalive), (41, &ack(5))]), ["LIM-S3"]);
    assert_eq!(session(&[], &[(40, &long_keepalive), (41, &ack(6)), (42, &too_large)]), ["KA-S6"]);
    assert_eq!(session(&[], &[(40, &long_flush), (41, &flushed("f"))]), ["LIM-S3"]);
    assert_eq!(session(&[], &[(40, &long_flush), (41, &flushed("g")), (42, &too_large)]), ["FLU-S5"]);
    // A broken one would have any id.
    let bad_flush = r#">{"type":"flush","id":7}"#;
    assert_eq!(session(&[], &[(40, bad_flush), (41, &flushed("7"))]), ["MSG-S6"]);
    assert_eq!(
        session(&[], &[(40, bad_flush), (41, &ack(7)), (42, &error("bad_message", false, r#","param":"id""#))]),
        ["KA-S6"]
    );
    assert_eq!(session(&[], &[(40, r#">{"type":"keepalive","seq":1.5}"#), (41, &ack(1))]), ["MSG-S6"]);
}

#[test]
fn an_update_is_answered_once_with_its_id() {
    let updated = r#"<{"type":"updated","id":"u","config":{"audio":{"encoding":"pcm_s16le","sample_rate_hz":16000,"channels":1},"interim_results":true,"words":false,"vad_events":false,"endpointing":{"mode":"vad","silence_ms":500,"max_segment_ms":30000},"language":"de"}}"#;
    let unsupported = refused("unsupported_option", "u");
    let served = READY.replace(r#""capabilities":{}"#, r#""capabilities":{"update":true}"#);
    for (ready, answer) in
        [(served.as_str(), updated), (&served, &refused("invalid_config", "u")), (READY, &unsupported)]
    {
        assert_eq!(session_with(ready, &[], &[(40, UPDATE), (41, answer)]), [""; 0], "{answer}");
        assert_eq!(
            session_with(ready, &[], &[(40, UPDATE), (41, answer), (42, answer)]),
            ["UPD-S1"],
            "twice: {answer}"
        );
    }
    assert_eq!(session(&[], &[(40, UPDATE), (41, &refused("invalid_config", "u"))]), ["UPD-S1"], "not served at all");
    assert_eq!(session(&[], &[(40, UPDATE), (41, &error("unsupported_option", false, ""))]), ["UPD-S1"], "no id");
    assert_eq!(session(&[], &[(40, UPDATE), (41, &error("unknown_type", false, ""))]), ["UPD-S1"], "unknown");
    assert_eq!(session(&[], &[(40, UPDATE)]), ["UPD-S1"], "never");
    assert_eq!(session_with(&served, &[], &[(41, updated)]), ["UPD-S1"], "unasked");
    assert_eq!(session(&[(1, UPDATE)], &[(41, updated)]), ["STA-S2"], "served though it had to be refused");
    let strange = r#">{"type":"strange"}"#;
    let unknown = error("unknown_type", false, "");
    assert_eq!(
        session(&[], &[(40, UPDATE), (41, strange), (42, &unknown), (43, &unsupported)]),
        [""; 0],
        "the unknown type is another message's"
    );
}

#[test]
fn a_message_of_an_unknown_type_is_answered_as_such_once() {
    let strange = r#">{"type":"strange"}"#;
    let unknown = error("unknown_type", false, "");
    assert_eq!(session(&[], &[(40, strange), (41, &unknown)]), [""; 0]);
    assert_eq!(session(&[], &[(40, strange), (41, &unknown), (42, &unknown)]), ["MSG-S5"]);
    assert_eq!(session(&[], &[(40, strange), (41, &error("bad_message", false, ""))]), ["MSG-S5"]);
    assert_eq!(session(&[], &[(40, strange)]), ["MSG-S5"]);
    assert_eq!(session(&[], &[(41, &unknown)]), ["MSG-3"]);
}

#[test]
fn codes_that_nobody_knows_and_codes_of_the_service_answer_nothing() {
    for code in ["strange", "going_away", "max_duration", "internal"] {
        assert_eq!(session(&[], &[(41, &error(code, false, ""))]), [""; 0], "{code}");
    }
    for (code, id) in [
        ("bad_message", "MSG-3"),
        ("invalid_audio", "AUD-S1"),
        ("message_too_large", "LIM-S2"),
        ("audio_after_end", "END-S10"),
        ("duplicate_end_of_stream", "END-S10"),
    ] {
        assert_eq!(session(&[], &[(41, &error(code, false, ""))]), [id], "{code}");
    }
}

#[test]
fn an_error_after_the_end_is_late_and_no_less_an_answer() {
    let last = ended(1_000, 0, 0);
    let late = |more: &[(u64, &str)], answer: &str| {
        let mut events = vec![(0, "open"), (10, CONFIG), (20, READY), (30, "audio 32000")];
        events.extend_from_slice(more);
        events.extend([(9_000, END), (9_100, last.as_str()), (9_101, answer), (9_102, "closed 1000")]);
        broken(&events)
    };
    assert_eq!(late(&[(40, r#">{"type":"strange"}"#)], &error("unknown_type", false, "")), ["END-S3"]);
    assert_eq!(late(&[(40, UPDATE)], &refused("unsupported_option", "u")), ["END-S3"]);
    assert_eq!(late(&[(40, UPDATE)], &refused("unsupported_option", "v")), ["UPD-S1", "END-S3"]);
}
