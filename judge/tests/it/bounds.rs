//! The last moment at which something is in time, and the first at which it is late or early: each bound to the millisecond.
//! A bound has a grace of a tenth, half a second at least.

use lastword_judge::{Options, judge};

use super::scene::{
    ACK, CONFIG, END, FLUSH, FLUSHED, KEEPALIVE, READY, broken, broken_after_ready, ended, error, heard, scene,
};

/// What is told at 10 ms is answered at the bound and a millisecond beyond it.
fn holds_until(bound_ms: u64, id: &str, broken_at: impl Fn(u64) -> Vec<String>) {
    assert_eq!(broken_at(10 + bound_ms), [""; 0], "{id}: in time");
    assert_eq!(broken_at(10 + bound_ms + 1), [id], "{id}: late");
}

#[test]
fn an_answer_is_late_only_beyond_its_bound_and_the_grace() {
    holds_until(11_000, "CFG-S1", |ms| broken(&[(0, "open"), (10, CONFIG), (ms, READY)]));
    holds_until(11_000, "KA-S6", |ms| broken_after_ready(&[(10, KEEPALIVE), (ms, ACK)]));
    holds_until(5_500, "FLU-S2", |ms| broken_after_ready(&[(10, FLUSH), (ms, FLUSHED)]));
    holds_until(16_500, "END-S2", |ms| broken_after_ready(&[(10, END), (ms, &ended(0, 0, 0))]));
    holds_until(2_500, "CLO-S2", |ms| broken_after_ready(&[(5, END), (10, &ended(0, 0, 0)), (ms, "closed 1000")]));
    holds_until(2_500, "CLO-S3", |ms| broken_after_ready(&[(10, "close 1000"), (ms, "closed 1000")]));
}

#[test]
fn what_came_before_ready_is_owed_from_ready_on() {
    for (early, answer, bound_ms, id) in [(KEEPALIVE, ACK, 11_000, "KA-S6"), (FLUSH, FLUSHED, 5_500, "FLU-S2")] {
        holds_until(bound_ms, id, |ms| broken(&[(0, "open"), (0, CONFIG), (1, early), (10, READY), (ms, answer)]));
    }
    let early_end = |ms| broken(&[(0, "open"), (0, CONFIG), (1, END), (10, READY), (ms, &ended(0, 0, 0))]);
    holds_until(16_500, "END-S2", early_end);
    let early_close = |ms| broken(&[(0, "open"), (0, CONFIG), (1, "close 1000"), (10, READY), (ms, "closed 1000")]);
    holds_until(2_500, "CLO-S3", early_close);
}

#[test]
fn the_end_follows_a_fatal_error_within_the_bound_of_a_close() {
    let internal = error("internal", true, "");
    let ended = internal_end();
    holds_until(2_500, "ERR-S3", |ms| broken_after_ready(&[(10, &internal), (ms, &ended)]));
    let refused = error("invalid_config", true, r#","param":"model""#);
    let config = r#">{"type":"config","model":3}"#;
    holds_until(2_500, "ERR-S3", |ms| broken(&[(0, "open"), (1, config), (10, &refused), (ms, "closed 4400")]));
}

fn internal_end() -> String {
    ended(0, 0, 0).replace("completed", "internal").replace("true", "false")
}

#[test]
fn progress_moves_the_bound_of_what_is_owed() {
    let progress = |seq: u64| format!(r#"<{{"type":"progress","seq":{seq},"audio_processed_ms":{}}}"#, seq * 10);
    // The bound begins again where work advances.
    let drain = |ms| broken_after_ready(&[(0, "audio 32000"), (0, END), (10, &progress(1)), (ms, &ended(1_000, 0, 0))]);
    holds_until(16_500, "END-S2", drain);
    let flush = |ms| broken_after_ready(&[(0, "audio 32000"), (0, FLUSH), (10, &progress(1)), (ms, FLUSHED)]);
    holds_until(5_500, "FLU-S2", flush);
    let by_final = |ms| broken_after_ready(&[(0, "audio 32000"), (0, FLUSH), (10, &heard(0, 0, 900)), (ms, FLUSHED)]);
    holds_until(5_500, "FLU-S2", by_final);
}

#[test]
fn before_ready_any_progress_moves_the_bound_but_never_beyond_a_minute() {
    let progress = |seq: u64| format!(r#"<{{"type":"progress","seq":{seq},"audio_processed_ms":0}}"#);
    let first = progress(1);
    holds_until(11_000, "CFG-S1", |ms| broken(&[(0, "open"), (0, CONFIG), (10, &first), (ms, READY)]));
    let told: Vec<String> = (1..=34).map(progress).collect();
    let for_a_minute = |ms| {
        let mut events = vec![(0, "open"), (10, CONFIG)];
        events.extend(told.iter().enumerate().map(|(index, text)| (10 + 1_900 * (index as u64 + 1), text.as_str())));
        events.push((ms, READY));
        broken(&events)
    };
    // A minute and its tenth.
    holds_until(66_000, "CFG-S1", for_a_minute);
}

#[test]
fn a_server_waits_for_config_for_a_second_at_least_and_ten_at_most() {
    let timeout = error("config_timeout", true, "");
    let gives_up_at = |ms| broken(&[(0, "open"), (ms, timeout.as_str())]);
    // Its clock may have started 300 ms before the client saw the upgrade.
    assert_eq!(gives_up_at(699), ["CON-S3"]);
    assert_eq!(gives_up_at(700), [""; 0]);
    assert_eq!(gives_up_at(11_000), [""; 0]);
    assert_eq!(gives_up_at(11_001), ["CON-S3"]);
}

#[test]
fn an_idle_session_ends_when_the_timeout_has_passed_and_not_much_later() {
    let timeout = error("idle_timeout", true, "");
    let ends_at = |ms: u64| broken_after_ready(&[(10_000, "audio 32000"), (10_000 + ms, timeout.as_str())]);
    // A fiftieth and 50 ms for the clocks; two intervals of progress to say so, and a tenth.
    assert_eq!(ends_at(29_349), ["KA-S2"]);
    assert_eq!(ends_at(29_350), [""; 0]);
    assert_eq!(ends_at(37_400), [""; 0]);
    assert_eq!(ends_at(37_401), ["KA-S2"]);
}

#[test]
fn what_was_under_way_when_the_client_closed_is_no_breach() {
    let late = |ms| broken_after_ready(&[(10, "close 1000"), (ms, r#"<{"type":"warning","code":"c","message":"m"}"#)]);
    holds_until(2_000, "CLO-S3", late);
}

#[test]
fn giving_up_is_a_fault_only_once_the_bound_has_passed_and_where_a_control_session_was_answered() {
    let scene = |ms, control: u64| {
        let mut events = vec![(10, KEEPALIVE), (ms, "gave_up 1")];
        if control > 0 {
            events.push((ms + control, "control 10"));
        }
        broken_after_ready(&events)
    };
    assert_eq!(scene(10 + 10_999, 1), [""; 0]);
    assert_eq!(scene(10 + 11_000, 1), ["KA-S6"]);
    assert_eq!(scene(10 + 11_000, 0), [""; 0]);
}

#[test]
fn who_must_speak_may_be_silent_for_two_intervals() {
    let draining = |ms| broken_after_ready(&[(0, "audio 32000"), (10, END), (ms, "gave_up 1"), (ms + 1, "control 10")]);
    holds_until(4_000, "END-S2", draining);
    let flushing =
        |ms| broken_after_ready(&[(0, "audio 32000"), (10, FLUSH), (ms, "gave_up 1"), (ms + 1, "control 10")]);
    holds_until(4_000, "FLU-S2", flushing);
    // Where nobody is answered, so little is enough for any debt.
    let nobody = |ms| broken_after_ready(&[(10, KEEPALIVE), (ms, "gave_up 1"), (ms + 1, "unanswered 10")]);
    holds_until(4_000, "KA-S6", nobody);
}

#[test]
fn a_silence_is_too_long_from_two_intervals_on_and_longer_where_the_control_session_was_slow() {
    let progress = r#"<{"type":"progress","seq":1,"audio_processed_ms":10}"#;
    let silent_until = |ms, took: &str| {
        broken_after_ready(&[(0, "audio 32000"), (10, END), (11, took), (ms, progress), (ms + 1, &ended(1_000, 0, 0))])
    };
    holds_until(4_000, "PRG-S1", |ms| silent_until(ms, "control 0"));
    holds_until(4_700, "PRG-S1", |ms| silent_until(ms, "control 700"));
    assert_eq!(silent_until(6_000, "unanswered 0"), [""; 0], "nobody could speak");
}

#[test]
fn work_may_stand_still_for_the_step_that_was_announced() {
    let told: Vec<(u64, String)> = (1..=18)
        .map(|seq| (10 + 1_900 * seq, format!(r#"<{{"type":"progress","seq":{seq},"audio_processed_ms":0}}"#)))
        .filter(|(ms, _)| *ms < 33_000)
        .collect();
    let stands_still_until = |ms| {
        let mut events = vec![(0, "audio 32000"), (10, END)];
        events.extend(told.iter().map(|(ms, text)| (*ms, text.as_str())));
        let (seq, at) = (told.len() + 1, ms);
        let last = format!(r#"<{{"type":"progress","seq":{seq},"audio_processed_ms":0}}"#);
        events.push((at, last.as_str()));
        broken_after_ready(&events)
    };
    holds_until(33_000, "PRG-S4", stands_still_until);
}

#[test]
fn a_silence_between_one_progress_interval_and_two_is_told_and_not_held_against_anybody() {
    let tolerated = |silent_ms: u64| {
        let last = ended(0, 0, 0);
        let plan = [(0, "open"), (0, CONFIG), (0, READY), (10, END), (10 + silent_ms, last.as_str())];
        let judgement = judge(&scene(&plan), &Options::default());
        assert_eq!(judgement.findings.len(), 0, "{silent_ms}");
        judgement.tolerated.into_iter().map(|(id, what)| format!("{id} {what}")).collect::<Vec<_>>()
    };
    assert_eq!(tolerated(2_000), [""; 0]);
    let said = tolerated(3_000);
    assert!(said[0].starts_with("PRG-S1 was silent for 3000 ms"), "{said:?}");
    assert_eq!(tolerated(4_000).len(), 1);
    assert_eq!(tolerated(4_001), [""; 0], "longer than two");
}
