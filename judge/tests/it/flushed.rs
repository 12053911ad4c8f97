//! Flushes and their answers, where the neighbours do not look: which of several is the one under suspicion, what a `flushed`
//! covers, and what is left of a flush when the session fails.

use lastword_judge::{Options, Suspicion, judge};
use lastword_spec::trace::{Event, EventKind, Open, Probe, Stimulus, Trace};

use super::scene::{CONFIG, END, FLUSH, FLUSHED, READY, broken, broken_after_ready, ended, error, heard, scene};

fn flush(id: &str) -> String {
    FLUSH.replace(r#""f""#, &format!("{id:?}"))
}

fn flushed(id: &str) -> String {
    FLUSHED.replace(r#""f""#, &format!("{id:?}"))
}

/// The suspicion on a session, by one probe that sends this and is owed something then.
fn suspected(session: &[(u64, &str)], probe: &[(u64, &str)]) -> Suspicion {
    let mut trace: Trace = scene(session);
    let mut repeated = scene(probe).events;
    let stimulus = EventKind::Stimulus(Stimulus::Nothing);
    let last_us = repeated.last().map_or(0, |event| event.t_us);
    repeated.push(Event::new(last_us + 1, 1, stimulus));
    repeated.push(Event::new(last_us + 2, 1, EventKind::GaveUp { after_ms: 1, quiescent: None }));
    let about = Probe { of: 0, stimulus: Stimulus::Nothing, round: 1 };
    repeated[0].kind = EventKind::Open(Open { probe: Some(about), ..Open::default() });
    repeated.iter_mut().for_each(|event| (event.conn, event.t_us) = (1, event.t_us + 100_000_000));
    trace.events.extend(repeated);
    judge(&trace, &Options::default()).suspicions.into_iter().next().expect("a suspicion")
}

#[test]
fn of_several_flushes_the_first_that_took_longest_is_the_one_under_suspicion() {
    let asked = ["a", "b", "c", "d"].map(|id| (flush(id), flushed(id)));
    let mut session = vec![(0, "open"), (0, CONFIG), (500, READY), (510, "audio 32000")];
    for ((asked, answer), (asked_ms, took_ms)) in
        asked.iter().zip([(1_000, 100), (2_000, 300), (3_000, 300), (4_000, 200)])
    {
        session.extend([(asked_ms, asked.as_str()), (asked_ms + took_ms, answer.as_str())]);
    }
    let probe = [(0, "open"), (0, CONFIG), (500, READY), (510, "audio 32000"), (1_000, FLUSH)];
    let suspicion = suspected(&session, &probe);
    assert_eq!(suspicion.what, "flushed");
    assert_eq!((suspicion.since_us, suspicion.paid_us), (2_000_000, Some(2_300_000)));
    let early = suspected(&[(0, "open"), (0, CONFIG), (10, FLUSH), (500, READY), (700, FLUSHED)], &probe);
    assert_eq!(
        (early.since_us, early.paid_us),
        (500_000, Some(700_000)),
        "what came before `ready` waits from `ready` on"
    );
}

#[test]
fn a_close_that_is_under_suspicion_is_owed_from_the_end_of_the_session_on() {
    let last = ended(1_000, 0, 0);
    let session = [(0, "open"), (5, CONFIG), (10, READY), (20, "audio 32000"), (500, END), (1_000, last.as_str())];
    let suspicion = suspected(&[&session[..], &[(2_000, "closed 1000")]].concat(), &session);
    assert_eq!(suspicion.what, "Close");
    assert_eq!((suspicion.since_us, suspicion.paid_us), (1_000_000, Some(2_000_000)));
}

#[test]
fn a_flush_is_owed_no_answer_after_a_fatal_error_and_an_answer_behind_the_end_is_illegal() {
    let (failed, last) = (error("internal", true, ""), ended(1_000, 0, 0).replace("completed", "internal"));
    let last = last.replace("true", "false");
    let events = [(10, "audio 32000"), (20, FLUSH), (30, failed.as_str()), (31, last.as_str())];
    assert_eq!(broken_after_ready(&[&events[..], &[(33, "closed 1011")]].concat()), [""; 0]);
    assert_eq!(broken_after_ready(&[&events[..], &[(32, FLUSHED), (33, "closed 1011")]].concat()), ["END-S3"]);
}

#[test]
fn what_lies_behind_a_flush_shows_that_the_session_goes_on_and_what_ends_there_does_not() {
    let shows = |end_ms| {
        let empty = heard(0, 500, end_ms).replace("word 0", "");
        let events = [(0, "open"), (0, CONFIG), (1, READY), (2, "audio 32000"), (3, FLUSH), (4, FLUSHED)];
        let trace = scene(&[&events[..], &[(5, "audio 32000"), (6, &empty)]].concat());
        judge(&trace, &Options::default()).exercised.iter().any(|id| id.as_str() == "FLU-1")
    };
    assert!(!shows(1_000));
    assert!(shows(1_001));
}

#[test]
fn text_that_was_told_again_stays_told_again_where_later_times_are_wrong() {
    let said = |id, text: &str, start_ms, end_ms| heard(id, start_ms, end_ms).replace(&format!("word {id}"), text);
    let (one, again, beyond) = (said(0, "one two", 0, 400), said(1, "one two", 0, 400), said(2, "six", 500, 1_200));
    let last = ended(1_000, 0, 3);
    let found = broken(&[
        (0, "open"),
        (0, CONFIG),
        (1, READY),
        (2, "audio 32000"),
        (10, FLUSH),
        (20, &one),
        (21, FLUSHED),
        (30, &again),
        (40, &beyond),
        (50, END),
        (60, &last),
        (61, "closed 1000"),
    ]);
    assert!(found.contains(&"FLU-S3".to_owned()) && found.contains(&"TIM-S1".to_owned()), "{found:?}");
}

/// What is found where partials stop at a second `config` that forgoes them; these events come before it.
fn falls_silent(before: &[(u64, &str)], audio_ms: u64, finals: u64) -> Vec<String> {
    falls_silent_before(before, audio_ms, finals, &heard(finals, audio_ms, audio_ms + 900))
}

/// The same before this final.
fn falls_silent_before(before: &[(u64, &str)], audio_ms: u64, finals: u64, word: &str) -> Vec<String> {
    let refused = error("invalid_state", false, "");
    let last = ended(audio_ms + 4_000, 0, finals + 1);
    let rest = [
        (1_000, r#">{"type":"config","interim_results":false}"#),
        (1_001, refused.as_str()),
        (1_010, "audio 64000"),
        (1_020, "audio 64000"),
        (1_100, word),
        (1_200, END),
        (1_300, last.as_str()),
        (1_301, "closed 1000"),
    ];
    broken_after_ready(&[before, &rest].concat())
}

fn partial(revision: u64, end_ms: u64) -> String {
    format!(
        r#"<{{"type":"partial","segment_id":0,"revision":{revision},"text":"one two","start_ms":0,"end_ms":{end_ms},"channel":0}}"#
    )
}

#[test]
fn partials_that_stop_at_a_second_config_say_something_only_where_all_before_it_was_flushed() {
    let (partials, word) = ([1, 2, 3].map(|revision| partial(revision, 900)), heard(0, 0, 900));
    let mut before = vec![(10, "audio 32000")];
    before.extend(partials.iter().map(|text| (20, text.as_str())));
    before.extend([(30, FLUSH), (40, word.as_str()), (41, FLUSHED)]);
    assert_eq!(falls_silent(&before, 1_000, 1), ["STA-S1"]);
    let one_word = heard(1, 1_000, 1_900).replace("word 1", "word");
    assert_eq!(falls_silent_before(&before, 1_000, 1, &one_word), [""; 0], "one word may have no partial");
    before.push((50, "audio 32000"));
    assert_eq!(falls_silent(&before, 2_000, 1), [""; 0], "a part of it was flushed");
    let nothing = [1, 2, 3].map(|revision| partial(revision, 0));
    let before: Vec<(u64, &str)> = nothing.iter().map(|text| (20, text.as_str())).collect();
    assert_eq!(falls_silent(&before, 0, 0), [""; 0], "nothing was flushed");
}
