//! One message that is a little out of the ordinary in an otherwise plain session, and what it must or must not bring.

use lastword_judge::{Monitor, Options};

use super::scene::{CONFIG, END, READY, broken_after_ready, ended, error, scene};

/// A whole session of a second of audio, with these events in its middle.
fn session_with(events: &[(u64, &str)], rejected_frames: u64) -> Vec<String> {
    let last = ended(1_000, rejected_frames, 0);
    let mut all = vec![(10, "audio 32000")];
    all.extend_from_slice(events);
    all.extend([(2_000, END), (2_100, last.as_str()), (2_101, "closed 1000"), (2_102, "close 1000")]);
    broken_after_ready(&all)
}

#[test]
fn a_plain_session_breaks_nothing() {
    assert_eq!(session_with(&[], 0), [""; 0]);
}

#[test]
fn a_text_that_is_too_long_may_be_called_so_or_bad() {
    let long = format!(r#">{{"type":"flush","id":"f","x_pad":"{}"}}"#, "a".repeat(65_536));
    for code in ["message_too_large", "bad_message"] {
        assert_eq!(session_with(&[(20, &long), (30, &error(code, false, ""))], 0), [""; 0], "{code}");
    }
    assert_eq!(session_with(&[(20, &long), (30, &error("invalid_audio", false, ""))], 0), ["LIM-S3"]);
}

#[test]
fn who_answers_a_broken_keepalive_accepted_it_and_who_answers_something_else_made_it_up() {
    let ack = r#"<{"type":"keepalive_ack","seq":7}"#;
    assert_eq!(broken_after_ready(&[(20, r#">{"type":"keepalive","seq":7"#), (30, ack)]), ["MSG-S4"]);
    assert_eq!(broken_after_ready(&[(20, r#">{"type":"flush","id":"f""#), (30, ack)]), ["KA-S6"]);
    assert_eq!(broken_after_ready(&[(30, ack)]), ["KA-S6"]);
}

#[test]
fn the_idle_timeout_is_due_by_the_clause_of_what_was_counted_wrongly() {
    let clause = |events: &[(u64, &str)]| {
        let mut all = vec![(0, "open"), (0, CONFIG), (0, READY)];
        all.extend_from_slice(events);
        let trace = scene(&all);
        let mut monitor = Monitor::new(&trace.header, &Options::default());
        trace.events.iter().for_each(|event| monitor.observe(event));
        monitor.timers(0)[0].requirement.as_str()
    };
    assert_eq!(clause(&[(10, "audio 32000"), (11, "audio 0")]), "KA-S7");
    assert_eq!(clause(&[(10, "audio 32000"), (10, "audio 0")]), "KA-S2", "at once is not later");
    assert_eq!(clause(&[(10, "audio 0"), (11, "audio 32000")]), "KA-S2");
}
