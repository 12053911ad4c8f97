//! Corners of single rules: the last length, count or moment that is right, where a table of situations does not come by.

use lastword_judge::Controls;

use super::scene::{CONFIG, END, FLUSH, FLUSHED, READY, broken, broken_after_ready, ended, error, heard};

/// A keepalive of so many bytes.
fn keepalive_of(bytes: usize) -> String {
    let bare = r#"{"type":"keepalive","x_pad":""}"#.len();
    format!(r#">{{"type":"keepalive","x_pad":"{}"}}"#, "a".repeat(bytes - bare))
}

#[test]
fn what_was_too_large_is_the_longest_that_was_sent_and_of_two_alike_the_frame() {
    for (bytes, clause) in [(639, "LIM-S2"), (640, "LIM-S2"), (641, "LIM-S3")] {
        let (text, too_large) = (keepalive_of(bytes), error("message_too_large", false, ""));
        let fatal = error("message_too_large", true, "");
        let last = ended(20, 0, 0);
        let sent = [(10, "audio 640"), (20, text.as_str())];
        let after = |more: &[(u64, &str)]| broken_after_ready(&[&sent[..], more].concat());
        let whole = [(30, too_large.as_str()), (40, END), (50, &last), (60, "closed 1000")];
        assert_eq!(after(&whole), [clause], "refused: {bytes}");
        assert_eq!(after(&[(30, &fatal)]), [clause], "fatal: {bytes}");
        assert_eq!(after(&[(30, "closed 1009")]), [clause], "closed: {bytes}");
        let config = format!(r#">{{"type":"config","x_pad":"{}"}}"#, "a".repeat(bytes - 28));
        let early = [(0, "open"), (10, config.as_str()), (20, "audio 640"), (30, fatal.as_str())];
        assert_eq!(config.len() - 1, bytes);
        assert_eq!(broken(&early), [clause], "before `ready`: {bytes}");
    }
}

#[test]
fn a_server_whose_buffer_is_just_full_still_reads_a_close() {
    let after_close = |seconds: u64| {
        let mut events: Vec<(u64, &str)> = (0..seconds).map(|index| (10 + index, "audio 32000")).collect();
        let warning = r#"<{"type":"warning","code":"c","message":"m"}"#;
        events.extend([(100, "close 1000"), (2_101, warning)]);
        broken_after_ready(&events)
    };
    assert_eq!(after_close(30), ["CLO-S3"]);
    assert_eq!(after_close(31), [""; 0]);
}

#[test]
fn the_subject_spoke_in_the_control_sessions_that_it_answered_or_completed() {
    let controls = Controls { completed: 2, answered: 1, unanswered: 4, ..Controls::default() };
    assert_eq!(controls.spoke(), 3);
}

#[test]
fn a_final_before_the_idle_timeout_says_nothing_of_a_drain_that_began_before_ready() {
    let timeout = error("idle_timeout", true, "");
    let word = heard(0, 0, 500);
    let early = |end_ms| {
        let mut events = vec![(0, "open"), (0, CONFIG), (1, "audio 32000"), (end_ms, END), (3, READY)];
        events.sort_by_key(|(ms, _)| *ms);
        events.extend([(1_000, word.as_str()), (30_600, &timeout)]);
        broken(&events)
    };
    assert_eq!(early(2), ["END-S1"], "the audio ahead of `ready` was heard, the sentinel was not");
    assert_eq!(early(4), ["KA-S4"]);
}

#[test]
fn a_flush_whose_progress_has_stopped_is_forgotten() {
    let stopped_at = |ms: u64| {
        let timeout = error("idle_timeout", true, "");
        let progress = r#"<{"type":"progress","seq":1,"audio_processed_ms":10}"#;
        broken_after_ready(&[(10, "audio 32000"), (20, FLUSH), (ms, progress), (30_600, &timeout)])
    };
    // Two intervals and their grace.
    assert_eq!(stopped_at(30_600 - 4_500), ["KA-S4"]);
    assert_eq!(stopped_at(30_600 - 4_501), ["FLU-S2"]);
}

#[test]
fn whoever_still_answered_at_once_was_not_kept_from_ending_an_idle_session() {
    let answered_at = |ms: u64| {
        let (bad, timeout) = (error("bad_message", false, ""), error("idle_timeout", true, ""));
        broken_after_ready(&[(1_000, "audio 32000"), (1_000 + ms, "> "), (1_010 + ms, &bad), (38_000, &timeout)])
    };
    assert_eq!(answered_at(35_700), [""; 0]);
    assert_eq!(answered_at(35_701), ["KA-S2"]);
}

#[test]
fn keepalives_that_were_overtaken_are_told_once() {
    let keepalive = |seq: u64| format!(r#">{{"type":"keepalive","seq":{seq}}}"#);
    let ack = |seq: u64| format!(r#"<{{"type":"keepalive_ack","seq":{seq}}}"#);
    let order = |acks: &[u64]| {
        let sent: Vec<String> = (1..=4).map(keepalive).collect();
        let acks: Vec<String> = acks.iter().map(|seq| ack(*seq)).collect();
        let lines = sent.iter().chain(&acks).enumerate().map(|(index, line)| (10 + index as u64, line.as_str()));
        broken_after_ready(&lines.collect::<Vec<_>>())
    };
    assert_eq!(order(&[1, 2, 3, 4]), [""; 0]);
    assert_eq!(order(&[2, 1, 3, 4]), ["KA-S6"]);
    assert_eq!(order(&[3, 1, 2, 4]), ["KA-S6"]);
    assert_eq!(order(&[3, 2, 1, 4]), ["KA-S6"]);
    assert_eq!(order(&[2, 1, 4, 3]), ["KA-S6", "KA-S6"]);
}

#[test]
fn flushes_that_were_overtaken_are_told_once() {
    let order = |ids: &[&str]| {
        let sent = ["a", "b", "c", "d"].map(|id| FLUSH.replace(r#""f""#, &format!(r#""{id}""#)));
        let done: Vec<String> = ids.iter().map(|id| FLUSHED.replace(r#""f""#, &format!(r#""{id}""#))).collect();
        let lines = sent.iter().chain(&done).enumerate().map(|(index, line)| (10 + index as u64, line.as_str()));
        broken_after_ready(&lines.collect::<Vec<_>>())
    };
    assert_eq!(order(&["a", "b", "c", "d"]), [""; 0]);
    assert_eq!(order(&["b", "a", "c", "d"]), ["FLU-S2"]);
    assert_eq!(order(&["c", "b", "a", "d"]), ["FLU-S2"]);
    assert_eq!(order(&["b", "a", "d", "c"]), ["FLU-S2", "FLU-S2"]);
}

#[test]
fn a_second_answer_to_a_bad_message_is_no_answer_to_the_tenth() {
    let bad = error("bad_message", false, "");
    let answers = |count: usize| {
        let mut events: Vec<(u64, &str)> = Vec::new();
        for index in 0..10_u64 {
            events.push((100 + 10 * index, "> "));
            let count = if index == 0 { count } else { 1 };
            events.extend((0..count as u64).map(|again| (101 + 10 * index + again, bad.as_str())));
        }
        broken_after_ready(&events)
    };
    assert_eq!(answers(1), ["MSG-S7"], "the tenth had to be fatal");
    assert_eq!(answers(2), [""; 0], "one was answered twice: this may be the answer to another");
}

#[test]
fn a_config_that_cannot_be_read_may_count_as_activity_or_not() {
    let ends_at = |ms: u64| {
        let timeout = error("idle_timeout", true, "");
        let refused = error("invalid_state", false, "");
        let config = r#">{"type":"config","words":3}"#;
        broken_after_ready(&[(1_000, "audio 32000"), (20_000, config), (20_010, &refused), (ms, &timeout)])
    };
    assert_eq!(ends_at(31_010), [""; 0], "it did not count");
    assert_eq!(ends_at(50_010), [""; 0], "it did");
    assert_eq!(ends_at(60_000), ["KA-S2"]);
}

#[test]
fn a_flush_that_was_due_before_the_sentinel_is_missed_for_itself() {
    let never_flushed = |end_ms: u64| {
        let last = ended(1_000, 0, 0);
        broken_after_ready(&[
            (10, "audio 32000"),
            (20, FLUSH),
            (end_ms, END),
            (end_ms + 100, &last),
            (end_ms + 110, "closed 1000"),
        ])
    };
    assert_eq!(never_flushed(5_520), ["FLU-S4"], "the end had to bring it");
    assert_eq!(never_flushed(5_521), ["FLU-S2"]);
    assert_eq!(never_flushed(9_000), ["FLU-S2"]);
}

#[test]
fn a_flood_of_progress_that_tells_of_no_work_moves_nothing() {
    let flooded = |count: u64| {
        let told: Vec<String> =
            (1..=count).map(|seq| format!(r#"<{{"type":"progress","seq":{seq},"audio_processed_ms":0}}"#)).collect();
        let mut events = vec![(10, "audio 32000"), (20, END)];
        events.extend(told.iter().enumerate().map(|(index, line)| (30 + index as u64, line.as_str())));
        events.extend([(1_000, "gave_up 1"), (1_010, "control 10")]);
        broken_after_ready(&events)
    };
    assert_eq!(flooded(399), [""; 0]);
    assert_eq!(flooded(400), ["END-S2"]);
}

#[test]
fn the_same_words_without_any_length_after_a_flush_are_no_new_ones() {
    let text = |segment: u64, end_ms: u64| {
        format!(
            r#"<{{"type":"final","segment_id":{segment},"text":"one two","start_ms":100,"end_ms":{end_ms},"channel":0}}"#
        )
    };
    let (first, again) = (text(0, 900), text(1, 100));
    let events = [(10, "audio 32000"), (20, &first[..]), (30, FLUSH), (40, FLUSHED), (50, &again[..])];
    assert_eq!(broken_after_ready(&events), ["FLU-S3"]);
}

#[test]
fn sentences_for_people_hold_no_file_path_and_no_stack_trace() {
    let says = |sentence: &str| {
        let sentence = sentence.replace('\\', r"\\").replace('\n', r"\n").replace('"', r#"\""#);
        let text = error("strange", false, "").replace(r#""m""#, &format!(r#""{sentence}""#));
        broken_after_ready(&[(10, &text)])
    };
    for bad in [
        r"cannot open C:\models\base",
        "cannot open /srv/models/base",
        "/opt/x",
        "(/usr/lib/x)",
        "in models/base.bin",
        "src/main.rs:3:5",
        "'lib/a.py'",
        "thread panicked at x",
        "File \"x\"",
        "x\n    at y",
        "goroutine 7",
    ] {
        assert_eq!(says(bad), ["SEC-S4"], "{bad}");
    }
    for good in ["either/or", "see base.bin", "/v1/listen", "home/x", "/homely", "at C:", "a.rs", "main.rs/x"] {
        assert_eq!(says(good), [""; 0], "{good}");
    }
}

/// A whole session of a second of audio with these events, of which the server counts so much audio and so many refused frames.
fn counted(events: &[(u64, &str)], audio_ms: u64, refused: u64, finals: u64) -> Vec<String> {
    // Frames behind the sentinel are refused and belong to no session that would lack them.
    let last = ended(audio_ms, refused, finals).replace("false", "true");
    let mut all = vec![(10, "audio 32000")];
    all.extend_from_slice(events);
    if !events.iter().any(|(_, line)| *line == END) {
        all.push((1_000, END));
    }
    all.extend([(3_000, last.as_str()), (3_010, "closed 1000")]);
    broken_after_ready(&all)
}

#[test]
fn a_result_of_audio_after_the_end_shows_that_it_was_taken_unless_the_counters_say_otherwise() {
    let (refused, word) = (error("audio_after_end", false, ""), heard(0, 0, 1_500));
    let late = [(20, END), (30, "audio 32000"), (40, refused.as_str()), (50, &word)];
    assert_eq!(counted(&late, 1_000, 1, 1), ["TIM-S1"], "all of it was refused");
    assert_eq!(counted(&late, 2_000, 1, 1), ["END-S4", "END-S4"], "it was counted as well");
    assert_eq!(counted(&late, 1_000, 0, 1), ["END-S4", "END-S4"], "it was not refused");
}

#[test]
fn who_does_not_know_a_message_in_an_odd_form_fails_at_the_form() {
    let unknown = error("unknown_type", false, "");
    for (line, clause) in [
        (r#">{"type":"flush","id":"f"}"#, "FLU-S2"),
        (r#">{ "type":"flush","id":"f"}"#, "MSG-3"),
        (r#">{"type":"flush","id":"f","x_new":1}"#, "VER-3"),
        (r#">{"type":"keepalive","seq":1}"#, "KA-S6"),
        (r#">{ "type":"keepalive","seq":1}"#, "MSG-3"),
        (r#">{"type":"keepalive","seq":1,"x_new":1}"#, "VER-3"),
    ] {
        assert_eq!(counted(&[(20, line), (30, &unknown)], 1_000, 0, 0)[0], clause, "{line}");
    }
    // Who has shown that it does not know the type at all fails at that.
    let odd = [(20, FLUSH), (30, unknown.as_str()), (40, r#">{ "type":"flush","id":"g"}"#), (50, &unknown)];
    assert_eq!(counted(&odd, 1_000, 0, 0), ["FLU-S2", "FLU-S2"]);
}

#[test]
fn of_two_bad_messages_the_one_whose_member_is_named_is_answered() {
    let bad = |param: &str| error("bad_message", false, &format!(r#","param":"{param}""#));
    let (seq, id) = (bad("seq"), bad("id"));
    let answered = |one: &str, two: &str| {
        let (keepalive, flush) = (r#">{"type":"keepalive","seq":"x"}"#, r#">{"type":"flush","id":7}"#);
        counted(&[(20, keepalive), (21, flush), (30, one), (31, two)], 1_000, 0, 0)
    };
    assert_eq!(answered(&seq, &id), [""; 0]);
    assert_eq!(answered(&id, &seq), [""; 0], "each names its own");
    assert_eq!(answered(&seq, &seq), ["MSG-S6"]);
}
