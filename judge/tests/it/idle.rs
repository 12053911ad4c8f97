//! The idle timer: what stops it, what it may cross, and by which clause it is wrong.

use lastword_judge::{Options, judge};

use super::scene::{ACK, CONFIG, END, FLUSH, KEEPALIVE, READY, broken, broken_after_ready, ended, error, heard, scene};

const PROGRESS: &str = r#"<{"type":"progress","seq":1,"audio_processed_ms":10}"#;

/// What is broken by these events and an idle timeout at that time.
fn idle_at(events: &[(u64, &str)], ms: u64) -> Vec<String> {
    let mut all = events.to_vec();
    let timeout = error("idle_timeout", true, "");
    all.push((ms, &timeout));
    broken_after_ready(&all)
}

#[test]
fn a_drain_stops_the_timer_and_who_does_not_even_drain_lost_the_sentinel() {
    let (audio, word) = ((10, "audio 32000"), heard(0, 0, 900));
    assert_eq!(idle_at(&[audio, (20, END)], 30_600), ["END-S2"]);
    assert_eq!(idle_at(&[(20, END)], 30_600), ["END-S6"]);
    assert_eq!(idle_at(&[audio, (20, END), (30, PROGRESS)], 30_600), ["KA-S4"]);
    assert_eq!(idle_at(&[audio, (20, END), (30, &word)], 30_600), ["KA-S4"]);
    assert_eq!(idle_at(&[audio, (20, END), (30_099, &word)], 30_600), ["KA-S4"]);
    assert_eq!(idle_at(&[audio, (20, END), (30_100, &word)], 30_600), ["END-S2"], "the finals that the end demands");
    assert_eq!(idle_at(&[audio, (15, &word), (20, END)], 30_600), ["END-S2"]);
}

#[test]
fn the_timer_and_the_sentinel_may_cross() {
    assert_eq!(idle_at(&[(10, "audio 32000"), (29_509, END)], 30_600), ["END-S2"]);
    assert_eq!(idle_at(&[(10, "audio 32000"), (29_510, END)], 30_600), [""; 0]);
}

#[test]
fn an_open_flush_stops_the_timer() {
    let audio = (10, "audio 32000");
    assert_eq!(idle_at(&[audio, (20, FLUSH)], 30_600), ["FLU-S2"]);
    assert_eq!(idle_at(&[audio, (20, FLUSH), (30_000, PROGRESS)], 30_600), ["KA-S4"]);
    assert_eq!(idle_at(&[audio, (20, FLUSH), (30, PROGRESS)], 30_600), ["FLU-S2"], "progress has stopped");
    assert_eq!(idle_at(&[audio, (15, PROGRESS), (20, FLUSH)], 30_600), ["FLU-S2"], "it told before");
    let early = [(0, "open"), (0, CONFIG), (1, FLUSH), (2, READY), (30_600, &error("idle_timeout", true, ""))];
    assert_eq!(broken(&early), ["FLU-S2"], "no flush at all is answered");
    // So late that it may not have been read.
    assert_eq!(idle_at(&[audio, (29_500, FLUSH)], 29_999), [""; 0]);
}

#[test]
fn what_is_no_activity_does_not_keep_a_session_alive() {
    let since = |idle: &str, ms| idle_at(&[(10, "audio 32000"), (20_000, idle)], ms);
    // It was counted where the timeout, but for a tenth, passed once more.
    assert_eq!(since("audio 0", 46_999), ["KA-S2"]);
    assert_eq!(since("audio 0", 47_000), ["KA-S7"]);
    assert_eq!(since("audio 0", 37_410), [""; 0]);
    assert_eq!(since("audio 3201", 50_000), ["AUD-S2"], "it was taken for audio");
    assert_eq!(since("audio 3201", 37_410), [""; 0]);
}

#[test]
fn an_idle_timeout_is_retryable() {
    let timeout = error("idle_timeout", true, "").replace(r#""retryable":true"#, r#""retryable":false"#);
    assert_eq!(broken_after_ready(&[(10, "audio 32000"), (30_010, &timeout)]), ["KA-S2"]);
}

#[test]
fn keepalives_are_shown_to_count_when_a_session_outlives_the_timeout_by_a_tenth() {
    let credited = |ms, kept: &str| {
        let events = [
            (0, "open"),
            (0, CONFIG),
            (0, READY),
            (10, "audio 32000"),
            (9_000, kept),
            (18_000, kept),
            (27_000, kept),
            (ms - 5, KEEPALIVE),
            (ms, ACK),
        ];
        let judgement = judge(&scene(&events), &Options::default());
        let credit = |id: &str| judgement.exercised.iter().any(|one| one.as_str() == id);
        (credit("KA-S3"), credit("KA-S7"))
    };
    let (keepalive, strange) = (r#">{"type":"keepalive"}"#, r#">{"type":"strange"}"#);
    assert_eq!(credited(33_009, keepalive), (false, false));
    assert_eq!(credited(33_010, keepalive), (true, false));
    assert_eq!(credited(33_009, strange), (false, false));
    assert_eq!(credited(33_010, strange), (false, true));
}

#[test]
fn what_is_told_at_the_very_moment_of_the_sentinel_or_of_the_flush_was_told_before_it() {
    let (audio, word) = ((10, "audio 32000"), heard(0, 0, 900));
    assert_eq!(idle_at(&[audio, (20, PROGRESS), (20, END)], 30_600), ["END-S2"]);
    assert_eq!(idle_at(&[audio, (20, &word), (20, END)], 30_600), ["END-S2"]);
    assert_eq!(idle_at(&[audio, (28_000, PROGRESS), (28_000, FLUSH)], 30_600), ["FLU-S2"]);
    assert_eq!(idle_at(&[audio, (28_000, FLUSH), (28_001, PROGRESS)], 30_600), ["KA-S4"]);
}

#[test]
fn who_tells_progress_before_the_timeout_has_passed_took_notice_of_a_sentinel_in_an_odd_form() {
    let (audio, word, odd) = ((10, "audio 32000"), heard(0, 0, 900), r#">{"type": "end_of_stream"}"#);
    assert_eq!(idle_at(&[audio, (20, odd)], 30_600), ["MSG-3"]);
    assert_eq!(idle_at(&[audio, (20, odd), (30, PROGRESS)], 30_600), ["KA-S4"]);
    assert_eq!(idle_at(&[audio, (20, odd), (30_009, PROGRESS)], 30_600), ["KA-S4"]);
    assert_eq!(idle_at(&[audio, (20, odd), (30_010, PROGRESS)], 30_600), ["MSG-3"], "it ends the session as idle");
    assert_eq!(idle_at(&[audio, (15, PROGRESS), (20, odd), (30, &word)], 30_600), ["MSG-3"], "it told before");
}

#[test]
fn what_may_still_be_under_way_does_not_make_a_timeout_too_soon() {
    let two = |first_ms| idle_at(&[(first_ms, "audio 640"), (first_ms + 10, "audio 640")], 29_400);
    assert_eq!(two(29_000), [""; 0]);
    assert_eq!(two(28_000), ["KA-S7"]);
}

#[test]
fn a_kind_of_activity_is_not_counted_where_the_timeout_passed_since_another_kind() {
    let keepalive = r#">{"type":"keepalive"}"#;
    let kept = |ms| idle_at(&[(20_000, "audio 640"), (30_000, keepalive)], ms);
    assert_eq!(kept(40_000), ["KA-S2"], "only the timer is too short");
    assert_eq!(kept(50_000), ["KA-S3"]);
}

#[test]
fn a_keepalive_is_unanswered_by_an_idle_timeout_only_after_its_bound() {
    let ready = READY
        .replace(r#""idle_timeout_ms":30000"#, r#""idle_timeout_ms":3000"#)
        .replace(r#""keepalive_interval_ms":10000"#, r#""keepalive_interval_ms":1000"#);
    let timeout = error("idle_timeout", true, "");
    let last = ended(1_000, 0, 0).replace("completed", "idle_timeout").replace("true", "false");
    let ends = |ms| {
        broken(&[
            (0, "open"),
            (0, CONFIG),
            (0, &ready),
            (10, "audio 32000"),
            (2_900, KEEPALIVE),
            (3_200, &timeout),
            (ms, &last),
            (ms + 1, "closed 4408"),
        ])
    };
    // A second and half a second of grace.
    assert_eq!(ends(4_400), [""; 0]);
    assert_eq!(ends(4_401), ["KA-S6"]);
}
