//! Sessions that end another way than by the sentinel: whose breach the end is, by what was special before it.

use super::scene::{CONFIG, END, FLUSH, READY, broken, broken_after_ready, error};

const KEEPALIVE: &str = r#">{"type":"keepalive"}"#;
/// Shows that a plain session works beside this one.
const CONTROL: (u64, &str) = (5, "control 10");

#[test]
fn a_close_in_the_middle_is_blamed_on_what_was_sent_last() {
    let closes = |events: &[(u64, &str)], how: &str| {
        let mut all = events.to_vec();
        all.push((10_000, how));
        broken_after_ready(&all)
    };
    assert_eq!(closes(&[(10, "audio 32000")], "closed 1011"), ["END-S11"]);
    assert_eq!(closes(&[(10, "audio 32000")], "dropped"), ["END-S11"]);
    assert_eq!(closes(&[(10, FLUSH)], "closed 1000"), ["FLU-S2"]);
    assert_eq!(closes(&[(10, "audio 0")], "closed 1000"), ["AUD-S3"]);
    assert_eq!(closes(&[(10, "audio 3201")], "closed 1000"), ["AUD-S2"]);
    assert_eq!(closes(&[(10, "audio 32000"), (11, "audio 318")], "closed 1000"), ["AUD-S4"]);
    assert_eq!(closes(&[(10, r#">{"type":"keepalive","seq":1}"#)], "closed 1000"), ["KA-S6"]);
    assert_eq!(closes(&[(10, r#">{"type":"strange"}"#)], "closed 1000"), ["MSG-S5"]);
    assert_eq!(closes(&[(10, r#">{"type":"update","id":"u"}"#)], "closed 1000"), ["UPD-S1"]);
    assert_eq!(closes(&[(10, "audio 32000"), (20, END)], "closed 1000"), ["END-S2"]);
    assert_eq!(closes(&[(20, END)], "closed 1000"), ["END-S6"]);
    assert_eq!(closes(&[(10, "audio 32000"), (20, END), (30, KEEPALIVE)], "closed 1011"), ["KA-S5"]);
    assert_eq!(closes(&["audio 32000"; 31].map(|frame| (10, frame)), "closed 1011"), ["BP-S1"]);
    assert_eq!(closes(&["audio 32000"; 30].map(|frame| (10, frame)), "closed 1011"), ["END-S11"]);
}

#[test]
fn a_close_for_idleness_is_blamed_on_the_timer_or_on_what_did_not_stop_it() {
    let closes = |activity: &str, ms: u64, how: &str| broken_after_ready(&[(10, activity), (10 + ms, how)]);
    // From nine tenths of the timeout on it is the timer.
    assert_eq!(closes("audio 32000", 26_999, "closed 1011"), ["END-S11"]);
    assert_eq!(closes("audio 32000", 27_000, "closed 1011"), ["KA-S2"]);
    assert_eq!(closes(KEEPALIVE, 20_000, "closed 4408"), ["KA-S3"]);
    assert_eq!(closes("audio 32000", 20_000, "closed 4408"), ["END-S11"]);
}

#[test]
fn a_close_as_too_large_needs_something_that_was_too_large() {
    let long = format!(r#">{{"type":"flush","id":"f","x_pad":"{}"}}"#, "a".repeat(65_536));
    assert_eq!(broken_after_ready(&[(10, &long), (20, "closed 1009")]), [""; 0]);
    assert_eq!(broken_after_ready(&[(10, "audio 64002"), (20, "closed 1009")]), [""; 0]);
    assert_eq!(broken_after_ready(&[(10, "audio 64000"), (20, "closed 1009")]), ["LIM-S2"]);
    let legal = format!(r#">{{"type":"flush","id":"f","x_pad":"{}"}}"#, "a".repeat(60_000));
    assert_eq!(broken_after_ready(&[(10, "audio 640"), (20, &legal), (30, "closed 1009")]), ["LIM-S3"]);
}

#[test]
fn a_close_that_a_library_may_have_made_is_nobodys_breach_unless_a_bad_message_waits_for_its_answer() {
    for code in ["1002", "1007"] {
        let closed = format!("closed {code}");
        assert_eq!(broken_after_ready(&[(10, "audio 32000"), (20, &closed)]), [""; 0], "{code}");
        assert_eq!(broken_after_ready(&[(10, "> "), (20, &closed)]), ["MSG-S4"], "{code}");
        assert_eq!(broken_after_ready(&[(10, "> \u{fffd}"), (20, &closed)]), [""; 0], "no text at all: {code}");
        assert_eq!(broken_after_ready(&[(10, "audio 32000"), (20, END), (30, &closed)]), ["END-S2"], "{code}");
    }
}

#[test]
fn a_close_before_ready_is_blamed_on_what_came_before_config_or_is_unusual_about_it() {
    let closes = |config: &str| broken(&[(0, "open"), (1, config), (20, "closed 1011")]);
    assert_eq!(closes(CONFIG), ["CFG-S1"]);
    for (members, id) in [
        (r#""audio":{"sample_rate_hz":8000}"#, "CFG-S6"),
        (r#""model":"no-such-model""#, "CFG-S7"),
        (r#""required":["words"]"#, "CFG-S9"),
        (r#""words":true"#, "CFG-S10"),
        (r#""vad_events":true"#, "CFG-S10"),
        (r#""keyterms":["alpha"]"#, "CFG-S10"),
        (r#""languages":["en","de"]"#, "CFG-S10"),
        (r#""task":"translate""#, "CFG-S10"),
        (r#""x_trace":1"#, "VER-3"),
        (r#""colour":"red""#, "MSG-3"),
        (r#""model":3"#, "CFG-S5"),
        (r#""sample_rate":8000"#, "CFG-S8"),
    ] {
        assert_eq!(closes(&format!(r#">{{"type":"config",{members}}}"#)), [id], "{members}");
    }
    let early = |message: &str| broken(&[(0, "open"), (1, message), (2, CONFIG), (20, "closed 1011")]);
    assert_eq!(early(FLUSH), ["STA-S2"]);
    assert_eq!(early("audio 640"), ["STA-S2"]);
    assert_eq!(early("> "), ["MSG-S4"]);
    assert_eq!(early("> \u{fffd}"), ["SEC-S3"]);
}

#[test]
fn a_good_config_is_not_refused_and_a_bad_one_with_its_own_code() {
    let refuses = |members: &str, code: &str, param: &str| {
        let config = format!(r#">{{"type":"config"{members}}}"#);
        let rest = if param.is_empty() { String::new() } else { format!(r#","param":"{param}""#) };
        broken(&[(0, "open"), (1, &config), (20, &error(code, true, &rest))])
    };
    for (members, code, param, id) in [
        ("", "invalid_config", "", "CFG-S4"),
        ("", "unsupported_audio", "", "AUD-S1"),
        (r#","audio":{"sample_rate_hz":16000}"#, "invalid_config", "", "AUD-S1"),
        (r#","words":true"#, "invalid_config", "", "CFG-S10"),
        (r#","language":"en""#, "invalid_config", "", "CFG-S10"),
        (r#","model":"small""#, "invalid_config", "", "CFG-S10"),
        (r#","words":true"#, "unsupported_option", "words", "CFG-S10"),
        (r#","x_trace":1"#, "invalid_config", "", "VER-3"),
        (r#","colour":"red""#, "bad_message", "", "MSG-3"),
        (r#","audio":{"sample_rate_hz":8000}"#, "invalid_config", "", "CFG-S6"),
        (r#","model":"no-such-model""#, "invalid_config", "", "CFG-S7"),
        (r#","required":["words"]"#, "invalid_config", "", "CFG-S9"),
        (r#","required":["words"]"#, "unsupported_option", "", "CFG-S9"),
        (r#","required":["words"]"#, "unsupported_option", "task", "CFG-S9"),
        (r#","model":3"#, "bad_message", "model", "CFG-S5"),
        (r#","model":3"#, "invalid_config", "task", "CFG-S5"),
        (r#","sample_rate":8000"#, "unsupported_audio", "", "CFG-S8"),
        ("", "config_timeout", "", ""),
    ] {
        let ids: &[&str] = if id.is_empty() { &[] } else { &[id] };
        assert_eq!(refuses(members, code, param), ids, "{members} {code} {param}");
    }
    for (members, code, param) in [
        (r#","audio":{"sample_rate_hz":8000}"#, "unsupported_audio", ""),
        (r#","audio":{"encoding":"strange"}"#, "invalid_config", "audio.encoding"),
        (r#","model":"small""#, "unknown_model", ""),
        (r#","required":["words"]"#, "unsupported_option", "words"),
        (r#","model":3"#, "invalid_config", "model"),
        (r#","sample_rate":8000"#, "invalid_config", ""),
        ("", "internal", ""),
        ("", "going_away", ""),
        ("", "unauthenticated", ""),
    ] {
        assert_eq!(refuses(members, code, param), [""; 0], "{members} {code} {param}");
    }
}

#[test]
fn an_error_that_may_not_be_fatal_is_blamed_on_what_it_answers() {
    let fatal = |events: &[(u64, &str)], code: &str| {
        let mut all = events.to_vec();
        let error = error(code, true, "");
        all.push((9_000, &error));
        broken_after_ready(&all)
    };
    let audio = (10, "audio 32000");
    for (events, code, id) in [
        (&[audio][..], "unknown_type", "MSG-S5"),
        (&[audio], "invalid_audio", "AUD-S2"),
        (&[audio, (20, "audio 0")], "invalid_audio", "AUD-S3"),
        (&[audio, (20, "audio 318")], "invalid_audio", "AUD-S4"),
        (&[audio, (20, "audio 3201")], "invalid_audio", "AUD-S2"),
        (&[audio, (20, END), (30, "audio 640")], "audio_after_end", "END-S4"),
        (&[audio, (20, END), (30, "audio 0")], "audio_after_end", "AUD-S3"),
        (&[audio, (20, END), (30, END)], "duplicate_end_of_stream", "END-S5"),
        (&[audio, (20, END), (30, KEEPALIVE)], "invalid_state", "KA-S5"),
        (&[audio], "invalid_state", "STA-S1"),
        (&[audio], "bad_message", "MSG-3"),
        (&[audio, (20, r#">{"type":"keepalive","x_trace":1}"#)], "bad_message", "VER-3"),
        (&[audio, (20, r#">{"type":"strange"}"#)], "bad_message", "MSG-S5"),
        (&[audio, (20, "> ")], "bad_message", "MSG-S4"),
        (&[audio], "unsupported_option", "UPD-S1"),
        (&[audio], "message_too_large", "LIM-S2"),
        (&[(10, FLUSH)], "message_too_large", "LIM-S3"),
        (&[audio], "config_timeout", "CON-S3"),
    ] {
        assert_eq!(fatal(events, code), [id], "{events:?} {code}");
    }
    for code in ["internal", "going_away", "max_duration", "strange"] {
        assert_eq!(fatal(&[audio], code), [""; 0], "{code}");
    }
    let flood = ["audio 32000"; 31].map(|frame| (10, frame));
    for (code, ids) in [("strange", &["BP-S1"][..]), ("going_away", &[]), ("internal", &[])] {
        assert_eq!(fatal(&flood, code), ids, "{code}");
    }
}

#[test]
fn a_failure_is_blamed_on_what_was_sent_last_where_plain_sessions_work() {
    let fails = |events: &[(u64, &str)]| {
        let mut all = events.to_vec();
        let internal = error("internal", true, "");
        all.extend([(9_000, internal.as_str()), (9_001, r#"<{"type":"session_ended","reason":"internal","complete":false,"audio_received_ms":0,"audio_processed_ms":0,"rejected_frames":0,"finals":0}"#), (9_002, "closed 1011")]);
        broken_after_ready(&all)
    };
    let audio = (10, "audio 32000");
    for (last, id) in [
        ("audio 0", "AUD-S3"),
        ("audio 3201", "AUD-S2"),
        ("audio 318", "AUD-S4"),
        (FLUSH, "FLU-S2"),
        (r#">{"type":"keepalive","seq":1}"#, "KA-S6"),
        (r#">{"type":"update","id":"u"}"#, "UPD-S1"),
        (r#">{"type":"strange"}"#, "MSG-S5"),
    ] {
        assert_eq!(fails(&[audio, CONTROL, (20, last)]), [id], "{last}");
        assert_eq!(fails(&[audio, (20, last)]), [""; 0], "nothing shows that others work: {last}");
    }
    assert_eq!(fails(&[CONTROL, (20, END)]), ["END-S6"]);
    assert_eq!(fails(&[CONTROL, audio, (20, END), (30, KEEPALIVE)]), ["KA-S5"]);
    assert_eq!(fails(&[CONTROL, audio]), [""; 0]);
    assert_eq!(fails(&[CONTROL, audio, (20, "audio 0"), (30, "audio 32000")]), [""; 0], "it was not the last thing");
}

#[test]
fn before_ready_all_that_is_early_may_be_what_a_failure_is_about() {
    let early = |message: &str| {
        broken(&[(0, "open"), (1, CONFIG), (2, message), CONTROL, (10, READY), (9_000, &error("internal", true, ""))])
    };
    assert_eq!(early("audio 32000"), ["STA-S3"]);
    assert_eq!(early(END), ["END-S1"]);
}

#[test]
fn a_fatal_error_behind_audio_that_nobody_works_on_is_a_standstill_of_the_work() {
    let says = |audio: &str, told: bool| {
        let bad = error("bad_message", false, "");
        let progress: Vec<String> =
            (1..20).map(|seq| format!(r#"<{{"type":"progress","seq":{seq},"audio_processed_ms":0}}"#)).collect();
        let mut events: Vec<(u64, &str)> = vec![(10, audio)];
        events.extend([(20, ">no JSON"); 10]);
        events.extend([(30, bad.as_str()); 9]);
        events.extend((1_u64..).zip(&progress).filter(|_| told).map(|(step, text)| (step * 1_900, text.as_str())));
        events.extend([(36_500, "control 10"), (36_600, "gave_up 100")]);
        broken_after_ready(&events)
    };
    assert_eq!(says("audio 32000", true), ["PRG-S4"]);
    assert_eq!(says("audio 0", true), ["MSG-S7"], "nothing is to be worked on");
    assert_eq!(says("audio 32000", false), ["MSG-S7"]);
}
