//! Single conditions of single rules: what a session that was cancelled, refused or spoilt before no longer shows.

use lastword_judge::{Options, judge};
use lastword_spec::trace::Event;

use super::scene::{CONFIG, END, READY, broken, broken_after_ready, ended, error, heard, scene};

const PARTIAL: &str =
    r#"<{"type":"partial","segment_id":1,"revision":1,"text":"one","start_ms":1000,"end_ms":1900,"channel":0}"#;

#[test]
fn an_open_segment_is_not_lost_by_the_end_of_a_session_that_the_client_cancelled() {
    let (word, last) = (heard(0, 0, 900), ended(2_000, 0, 1));
    let ends = |cancel: &[(u64, &str)]| {
        let before = [(10, "audio 64000"), (15, word.as_str()), (20, PARTIAL), (25, END)];
        broken_after_ready(&[&before[..], cancel, &[(31, last.as_str()), (32, "closed 1000")]].concat())
    };
    assert!(!ends(&[(30, "close 1000")]).contains(&"FIN-S2".to_owned()), "{:?}", ends(&[(30, "close 1000")]));
    assert!(ends(&[]).contains(&"FIN-S2".to_owned()), "{:?}", ends(&[]));
}

#[test]
fn the_token_of_a_second_config_is_not_what_the_session_was_let_in_with() {
    let options = Options { secrets: vec!["right-token".to_owned()], ..Options::default() };
    let says = |first: &str| {
        let other = r#">{"type":"config","token":"other-token"}"#;
        let judgement = judge(&scene(&[(0, "open"), (0, first), (10, READY), (20, other)]), &options);
        judgement.findings.iter().any(|finding| finding.message.contains("let a wrong token in"))
    };
    assert!(!says(CONFIG));
    assert!(says(r#">{"type":"config","token":"wrong-token"}"#));
}

#[test]
fn a_speech_event_that_could_not_be_read_may_have_been_the_one_that_is_missing() {
    let config = r#">{"type":"config","vad_events":true}"#;
    let ready = READY.replace(r#""vad_events":false"#, r#""vad_events":true"#);
    let found = |unread: &[(u64, &str)]| {
        let before = [(0, "open"), (0, config), (1, ready.as_str()), (10, "audio 32000")];
        let after = [(30, r#"<{"type":"speech_ended","channel":0,"end_ms":900}"#)];
        broken(&[&before[..], unread, &after].concat())
    };
    assert!(found(&[]).contains(&"VAD-S1".to_owned()), "{:?}", found(&[]));
    let unread = found(&[(20, r#"<{"type":"speech_started","channel":"#)]);
    assert!(!unread.contains(&"VAD-S1".to_owned()), "{unread:?}");
}

#[test]
fn a_text_beyond_every_limit_before_config_is_answered_by_the_end_that_lim_s3_allows() {
    let text = format!(r#">{{"type":"config","x":"{}"}}"#, "a".repeat(70_000));
    let refused = error("message_too_large", true, "");
    let last = ended(1_000, 0, 0);
    let mut trace = scene(&[(0, "open"), (10, &text), (11, &refused), (12, "closed 1009")]);
    // What a server does before `ready` shows something only where it serves others.
    let session = [(20, "open"), (20, CONFIG), (21, READY), (22, "audio 32000"), (23, END)];
    let served = scene(&[&session[..], &[(30, last.as_str()), (31, "closed 1000")]].concat());
    trace.events.extend(served.events.into_iter().map(|event| Event { conn: 1, ..event }));
    let judgement = judge(&trace, &Options::default());
    let found: Vec<&str> = judgement.findings.iter().map(|finding| finding.requirement.as_str()).collect();
    assert_eq!(found, [""; 0]);
    assert!(judgement.exercised.iter().any(|id| id.as_str() == "LIM-S3"), "{:?}", judgement.exercised);
}

#[test]
fn who_has_no_room_lets_the_client_try_again() {
    let refused = |retryable: bool| {
        let text = error("overloaded", true, "").replace("true}", &format!("{retryable}}}"));
        broken(&[(0, "open"), (0, CONFIG), (10, &text), (11, "closed 1013")])
    };
    assert!(!refused(true).contains(&"CON-S4".to_owned()), "{:?}", refused(true));
    assert!(refused(false).contains(&"CON-S4".to_owned()), "{:?}", refused(false));
}
