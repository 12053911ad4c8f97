//! Messages of a server that are badly made, too long, not text, or come where nothing is judged any more; and what `ready` says of
//! options that were left out.

use lastword_judge::{Monitor, Options, judge};
use lastword_spec::trace::{Eof, EventKind, Side, Trace};

use super::scene::{CONFIG, END, FLUSH, FLUSHED, READY, broken, broken_after_ready, ended, heard, scene};

const WARNING: &str = r#"<{"type":"warning","code":"c","message":"m"}"#;
const BAD: &str = r#">{"type":"keepalive","seq":"x"}"#;

/// A scene after `ready` in which `<sound` is a binary message of the server and `<garbled` no WebSocket frame at all.
fn unusual(events: &[(u64, &str)]) -> Vec<String> {
    let mut all = vec![(0, "open"), (0, CONFIG), (0, READY)];
    all.extend_from_slice(events);
    let mut trace: Trace = scene(&all);
    for event in &mut trace.events {
        match &event.kind {
            EventKind::Text { text, .. } if text == "sound" => {
                event.kind = EventKind::Audio { from: Side::Server, bytes: 2, head: vec![1, 0] };
            }
            EventKind::Text { text, .. } if text == "garbled" => {
                event.kind = EventKind::Eof { from: Side::Server, how: Eof::Unreadable };
            }
            _ => {}
        }
    }
    let judgement = judge(&trace, &Options::default());
    judgement.findings.iter().map(|finding| finding.requirement.as_str().to_owned()).collect()
}

#[test]
fn what_is_no_text_is_a_breach_of_its_own_only_where_something_is_still_judged() {
    let last = ended(0, 0, 0);
    for (what, alone, late) in [("<sound", "MSG-1", "END-S3"), ("<garbled", "MSG-1", "CLO-S1")] {
        assert_eq!(unusual(&[(10, what)])[0], alone, "{what}");
        assert_eq!(unusual(&[(10, END), (20, &last), (30, what)])[0], late, "{what}");
        assert_eq!(unusual(&[(20, &last), (30, what)]), ["END-S10"], "after an end that nobody asked for: {what}");
        let closed = [(10, END), (20, &last), (30, "closed 1000"), (40, what)];
        assert_eq!(unusual(&closed), [""; 0], "after the close: {what}");
    }
}

#[test]
fn a_type_that_is_the_clients_is_wrong_until_the_end() {
    let last = ended(0, 0, 0);
    let ours = r#"<{"type":"keepalive","seq":1}"#;
    assert_eq!(broken_after_ready(&[(10, ours), (20, END), (30, &last), (40, "closed 1000")]), ["MSG-2"]);
    assert_eq!(broken_after_ready(&[(20, END), (30, &last), (35, ours), (40, "closed 1000")]), [""; 0]);
}

#[test]
fn a_flood_is_one_of_messages_that_tell_of_no_work() {
    let flooded = |lines: Vec<String>| {
        let mut events = vec![(10, "audio 32000"), (20, END)];
        events.extend(lines.iter().enumerate().map(|(index, line)| (30 + index as u64, line.as_str())));
        events.extend([(1_000, "gave_up 1"), (1_010, "control 10")]);
        broken_after_ready(&events)
    };
    let progress = |seq: u64| format!(r#"<{{"type":"progress","seq":{seq},"audio_processed_ms":{seq}}}"#);
    assert_eq!(flooded(vec![WARNING.to_owned(); 399]), [""; 0]);
    assert_eq!(flooded(vec![WARNING.to_owned(); 400]), ["END-S2"]);
    assert_eq!(flooded((1..=401).map(progress).collect()), [""; 0], "it advances");
}

#[test]
fn a_second_ready_answers_a_second_config_and_nothing_else_that_is_illegal() {
    assert_eq!(broken_after_ready(&[(10, CONFIG), (20, WARNING), (30, READY)]), ["STA-S1"]);
    assert_eq!(broken_after_ready(&[(5, END), (10, FLUSH), (20, WARNING), (30, READY)]), ["CFG-S2"]);
}

#[test]
fn what_was_answered_before_ready_is_owed_no_more() {
    let owed = |events: &[(u64, &str)]| {
        let trace = scene(events);
        let mut monitor = Monitor::new(&trace.header, &Options::default());
        trace.events.iter().for_each(|event| monitor.observe(event));
        monitor
            .owed(0)
            .iter()
            .filter(|debt| debt.debtor == Side::Server)
            .map(|debt| debt.what.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(owed(&[(0, "open"), (1, CONFIG), (2, FLUSH), (4, READY)]).len(), 1);
    assert_eq!(owed(&[(0, "open"), (1, CONFIG), (2, FLUSH), (3, FLUSHED), (4, READY)]), [""; 0]);
}

#[test]
fn audio_is_dropped_without_need_only_where_the_buffer_was_full() {
    let dropped = |seconds: u64| {
        let mut events: Vec<(u64, &str)> = (0..seconds).map(|index| (10 + index, "audio 32000")).collect();
        events.push((100, r#"<{"type":"warning","code":"audio_dropped","message":"m"}"#));
        broken_after_ready(&events)
    };
    assert_eq!(dropped(30), [""; 0]);
    assert_eq!(dropped(31), ["BP-S1"]);
}

#[test]
fn an_acknowledgement_that_is_badly_made_accepts_a_bad_keepalive_all_the_same() {
    let answered = |answer: &str| broken_after_ready(&[(10, BAD), (20, answer)]);
    assert_eq!(answered(r#"<{"type":"keepalive_ack","seq":"x"}"#), ["MSG-S6"]);
    assert_eq!(answered(r#"<{"type":"keepalive_ack","seq":"x""#), ["MSG-S6"], "its type cannot be read");
    assert_eq!(answered(r#"<{"type":"flushed","id":7}"#), ["MSG-2"]);
    assert_eq!(answered(r#"<{"type":"flushed","id":7,"x_of":"keepalive_ack"}"#), ["MSG-2"]);
    assert_eq!(answered("<nonsense"), ["MSG-1"]);
}

#[test]
fn a_confidence_that_is_no_probability_breaks_its_own_clause() {
    let with = |more: &str| {
        let last = heard(0, 0, 500).trim_end_matches('}').to_owned() + more + "}";
        broken_after_ready(&[(10, "audio 32000"), (20, &last)])
    };
    assert_eq!(with(r#","confidence":1"#), [""; 0]);
    assert_eq!(with(r#","confidence":1.5"#), ["FIN-S8"]);
    assert_eq!(with(r#","confidence":"high""#), ["MSG-2"], "this is no number");
    assert_eq!(with(r#","language":7"#), ["MSG-2"]);
    assert_eq!(
        broken_after_ready(&[(10, r#"<{"type":"keepalive_ack","seq":-1}"#)]),
        ["MSG-2"],
        "another impossible value"
    );
}

/// Longer than any message may be, by a member that means nothing.
fn too_long(line: &str) -> String {
    let open = line.strip_suffix('}').expect("an object");
    format!(r#"{open},"x_pad":"{}"}}"#, "a".repeat(65_536))
}

#[test]
fn a_message_that_is_too_long_is_a_breach_and_still_says_what_it_says() {
    assert_eq!(broken(&[(0, "open"), (1, CONFIG), (2, &too_long(READY))]), ["MSG-2"]);
    let counted = |finals: u64| {
        let (word, last) = (too_long(&heard(0, 0, 500)), ended(1_000, 0, finals));
        broken_after_ready(&[(10, "audio 32000"), (20, &word), (30, END), (40, &last), (50, "closed 1000")])
    };
    assert_eq!(counted(1), ["MSG-2"]);
    assert_eq!(counted(0), ["MSG-2", "END-S9"]);
}

#[test]
fn nothing_is_owed_behind_a_ready_an_end_or_a_fatal_error_that_cannot_be_read() {
    let silent = |sent: &str, answer: &str| {
        broken_after_ready(&[(10, sent), (20, answer), (30_000, "gave_up 1"), (30_010, "control 10")])
    };
    let end = r#"<{"type":"session_ended","reason":"completed"}"#;
    assert_eq!(silent(END, end), ["MSG-2"]);
    assert_eq!(silent(FLUSH, r#"<{"type":"error","fatal":true}"#), ["ERR-1"]);
    assert_eq!(silent(FLUSH, r#"<{"type":"error","fatal":false}"#), ["ERR-1", "FLU-S2"], "the session goes on");
    let unready = r#"<{"type":"ready"}"#;
    let unready = [(0, "open"), (1, CONFIG), (2, unready), (30_000, "gave_up 1"), (30_010, "control 10")];
    assert_eq!(broken(&unready), ["MSG-2"]);
}

/// A `config` that asks for every option that has a default, but for `words` where it is left out.
fn config(words: &str) -> String {
    format!(
        r#">{{"type":"config","audio":{{"encoding":"pcm_s16le","sample_rate_hz":16000,"channels":1}},"interim_results":true{words},"vad_events":false,"endpointing":{{"mode":"vad","silence_ms":500,"max_segment_ms":30000}}}}"#
    )
}

#[test]
fn a_default_is_put_to_the_test_by_an_option_that_was_left_out() {
    let exercised = |words: &str| {
        let config = config(words);
        let judgement = judge(&scene(&[(0, "open"), (1, &config), (2, READY)]), &Options::default());
        assert!(judgement.findings.is_empty());
        judgement.exercised.iter().any(|id| id.as_str() == "CFG-S4")
    };
    assert!(exercised(""));
    assert!(!exercised(r#","words":false"#));
}

#[test]
fn an_option_that_the_capabilities_deny_is_ignored_where_it_was_asked_for() {
    let ready = READY.replace(r#""capabilities":{}"#, r#""capabilities":{"vad_events":false}"#);
    let in_force = ready.replace(r#""vad_events":false,"endpointing""#, r#""vad_events":true,"endpointing""#);
    let answered = |config: &str, ready: &str| broken(&[(0, "open"), (1, config), (2, ready)]);
    let asks = r#">{"type":"config","vad_events":true}"#;
    assert_eq!(answered(CONFIG, &ready), [""; 0]);
    assert_eq!(answered(CONFIG, &in_force), ["CFG-S4"], "nobody asked");
    assert_eq!(answered(asks, &ready), ["CFG-S10"]);
    assert_eq!(answered(asks, &in_force), ["CFG-S10"], "in force, and denied");
}
