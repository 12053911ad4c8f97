//! Work that is owed: how it is seen to get on, how long it may stand still or be silent, and what a harness that gives up on it
//! has seen.

use lastword_judge::{Judgement, Monitor, Motion, Options, judge};

use super::scene::{ACK, CONFIG, END, KEEPALIVE, READY, broken, broken_after_ready, error, scene};

fn progress(seq: u64, processed_ms: u64) -> String {
    format!(r#"<{{"type":"progress","seq":{seq},"audio_processed_ms":{processed_ms}}}"#)
}

fn judged(events: &[(u64, &str)]) -> Judgement {
    judge(&scene(&[&[(0, "open"), (0, CONFIG), (0, READY)], events].concat()), &Options::default())
}

#[test]
fn progress_that_advances_is_not_seen_to_run_in_place() {
    let motion = |audio: &'static str, told: &[&str]| {
        let mut events = vec![(0, "open"), (0, CONFIG), (0, READY), (10, audio), (20, END)];
        events.extend((1..).zip(told).map(|(second, text)| (second * 1_000, *text)));
        let trace = scene(&events);
        let mut monitor = Monitor::new(&trace.header, &Options::default());
        trace.events.iter().for_each(|event| monitor.observe(event));
        monitor.motion(0)
    };
    let (on, again) = (progress(1, 500), progress(2, 500));
    assert_eq!(motion("audio 32000", &[&on]), Some(Motion { advanced_us: 1_000_000, in_place_us: None }));
    assert_eq!(
        motion("audio 32000", &[&on, &again]),
        Some(Motion { advanced_us: 1_000_000, in_place_us: Some(34_000_000) })
    );
    let nothing = motion("audio 0", &[&progress(1, 0)]);
    assert_eq!(nothing, Some(Motion { advanced_us: 20_000, in_place_us: None }), "there is no audio to advance on");
}

#[test]
fn a_drain_of_no_audio_does_not_stand_still() {
    let found = |audio: &'static str| {
        let told: Vec<String> = (1..18).map(|seq| progress(seq, 0)).collect();
        let mut events = vec![(5, audio), (10, END)];
        events.extend((1..).zip(&told).map(|(step, text)| (step * 2_000, text.as_str())));
        broken_after_ready(&events)
    };
    assert_eq!(found("audio 32000"), ["PRG-S4"]);
    assert_eq!(found("audio 0"), [""; 0]);
}

#[test]
fn progress_is_asked_for_half_an_interval_after_the_work_began_and_no_sooner() {
    let shown = |told_ms| {
        let told = progress(1, 0);
        let judgement = judged(&[(10, "audio 32000"), (20, END), (told_ms, &told)]);
        judgement.exercised.iter().any(|id| id.as_str() == "PRG-S1")
    };
    assert!(!shown(1_019));
    assert!(shown(1_020));
}

#[test]
fn a_control_session_shows_that_a_silent_server_could_speak_if_it_ended_during_the_silence() {
    let told = progress(1, 500);
    let found = |control_ms| {
        let mut events = vec![(10, "audio 32000"), (20, END), (5_000, told.as_str())];
        events.push((control_ms, "control 10"));
        events.sort_by_key(|(ms, _)| *ms);
        broken_after_ready(&events)
    };
    assert_eq!(found(20), [""; 0], "it ended when the silence began");
    assert_eq!(found(21), ["PRG-S1"]);
}

#[test]
fn a_ready_that_is_late_altogether_was_not_silent_on_top_of_that() {
    let found = |ready_ms| broken(&[(0, "open"), (0, CONFIG), (5_000, "control 10"), (ready_ms, READY)]);
    assert_eq!(found(11_000), ["PRG-S1"]);
    assert_eq!(found(12_000), ["CFG-S1"]);
}

#[test]
fn a_harness_gives_up_once() {
    let found = |gave_up: &[u64]| {
        let mut events = vec![(10, "audio 32000"), (20, END)];
        events.extend(gave_up.iter().map(|ms| (*ms, "gave_up 1")));
        events.push((40_000, "control 10"));
        broken_after_ready(&events)
    };
    assert_eq!(found(&[30_000]), ["END-S2"]);
    assert_eq!(found(&[1_000, 30_000]), [""; 0]);
}

#[test]
fn who_tells_progress_stands_still_for_longer_than_a_step_or_not_at_all() {
    let told: Vec<String> = (1..17).map(|seq| progress(seq, 0)).collect();
    let found = |gave_up_ms| {
        let mut events = vec![(5, "audio 32000"), (10, END)];
        events.extend((1..).zip(&told).map(|(step, text)| (step * 2_000, text.as_str())));
        events.extend([(gave_up_ms, "gave_up 1"), (40_000, "control 10")]);
        broken_after_ready(&events)
    };
    // 30 s and a tenth after the sentinel; until then it only does not end.
    assert_eq!(found(33_010), ["END-S2"]);
    assert_eq!(found(33_011), ["PRG-S4"]);
}

#[test]
fn talk_is_no_work_once_two_intervals_have_passed_since_the_last() {
    let found = |gave_up_ms| {
        let last = [(gave_up_ms, "gave_up 1"), (5_000, "control 10")];
        broken_after_ready(&[&[(5, "audio 32000"), (8, KEEPALIVE), (10, END), (1_000, ACK)], &last[..]].concat())
    };
    assert_eq!(found(4_010), [""; 0]);
    assert_eq!(found(4_011), ["END-S2"]);
}

#[test]
fn a_server_that_answers_nobody_waits_for_no_work() {
    let judgement = judged(&[(10, "audio 32000"), (20, END), (30_000, "gave_up 1"), (31_000, "unanswered 900")]);
    let waits: Vec<&str> = judgement.suspicions[0].waits.iter().map(|edge| edge.why.as_str()).collect();
    assert_eq!(waits, ["the client waits for session_ended", "the subject as a whole does not answer"]);
}

#[test]
fn what_was_sent_before_ready_and_is_as_long_as_the_limits_may_not_end_a_session() {
    let ready = READY
        .replace(r#""max_frame_bytes":64000"#, r#""max_frame_bytes":32000"#)
        .replace(r#""max_text_bytes":65536"#, r#""max_text_bytes":4096"#);
    let found = |early: &str| {
        let (too_large, last) = (error("message_too_large", true, ""), failed("message_too_large"));
        broken(&[
            (0, "open"),
            (1, CONFIG),
            (2, early),
            (10, &ready),
            (20, &too_large),
            (21, &last),
            (22, "closed 1009"),
        ])
    };
    assert_eq!(found("audio 32000"), ["LIM-S2"]);
    assert_eq!(found("audio 32002"), [""; 0]);
    assert_eq!(found(&keepalive_of(4_096)), ["LIM-S3"]);
    assert_eq!(found(&keepalive_of(4_097)), [""; 0]);
}

/// `session_ended` of a session that an error ended before any audio was counted.
fn failed(code: &str) -> String {
    super::scene::ended(0, 0, 0).replace("completed", code).replace("true", "false")
}

/// A keepalive of so many bytes.
fn keepalive_of(bytes: usize) -> String {
    let frame = r#"{"type":"keepalive","x_pad":""}"#;
    format!(r#">{{"type":"keepalive","x_pad":"{}"}}"#, "a".repeat(bytes - frame.len()))
}
