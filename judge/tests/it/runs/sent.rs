//! What a client sends: the length of its frames, its keepalives, and what it may not send where.

use super::super::scene::{FLUSH, KEEPALIVE, ended};
use super::*;

const PLAIN: &str = r#">{"type":"keepalive"}"#;

/// What is broken by frames of these lengths, each followed by others unless it is the last.
fn frames(all: &[&str]) -> Vec<String> {
    let events: Vec<(u64, &str)> = all.iter().enumerate().map(|(index, frame)| (10 + index as u64, *frame)).collect();
    broken(&program(&events))
}

#[test]
fn frames_last_20_to_100_ms_and_never_less_than_10_or_more_than_a_second() {
    for (bytes, ids) in [
        (288, vec!["AUD-C1"]),
        (320, vec!["AUD-C2"]),
        (608, vec!["AUD-C2"]),
        (640, vec![]),
        (3_200, vec![]),
        (3_232, vec!["AUD-C2"]),
        (32_000, vec!["AUD-C2"]),
        (32_032, vec!["AUD-C1"]),
        (64_000, vec!["AUD-C1"]),
        (64_002, vec!["LIM-C1"]),
    ] {
        assert_eq!(frames(&[&format!("audio {bytes}"), "audio 640"]), ids, "{bytes}");
    }
}

#[test]
fn the_last_frame_before_a_flush_or_the_end_may_be_short_and_not_long() {
    for short in ["audio 2", "audio 320"] {
        assert_eq!(frames(&["audio 640", short]), [""; 0], "{short}");
        assert_eq!(frames(&[short, FLUSH, "audio 640"]), [""; 0], "{short}");
        assert_eq!(frames(&[FLUSH, short, "audio 640"]).len(), 1, "{short}");
        assert_eq!(frames(&[short, "audio 640", FLUSH]).len(), 1, "{short}");
    }
    assert_eq!(frames(&["audio 640", "audio 3232"]), ["AUD-C2"]);
    assert_eq!(frames(&["audio 640", "audio 32032"]), ["AUD-C1"]);
}

#[test]
fn a_frame_holds_whole_sample_groups() {
    let of = |format: &str, bytes: u64| {
        let ready = READY.replace(r#""pcm_s16le","sample_rate_hz":16000,"channels":1"#, format);
        broken(&[(0, "program"), (0, "open"), (1, CONFIG), (2, &ready), (10, &format!("audio {bytes}"))])
    };
    assert_eq!(of(r#""pcm_s16le","sample_rate_hz":16000,"channels":1"#, 1_601), ["AUD-1"]);
    assert_eq!(of(r#""pcm_s16le","sample_rate_hz":16000,"channels":2"#, 1_602), ["AUD-1"]);
    assert_eq!(of(r#""pcm_s16le","sample_rate_hz":16000,"channels":2"#, 1_604), [""; 0]);
    // Rates that have no whole number of bytes in a millisecond.
    assert_eq!(of(r#""pcm_s16le","sample_rate_hz":11025,"channels":1"#, 1_001), ["AUD-1"]);
    assert_eq!(of(r#""pcm_s16le","sample_rate_hz":44100,"channels":1"#, 8_820), [""; 0]);
    assert_eq!(of(r#""pcm_s16le","sample_rate_hz":44100,"channels":1"#, 8_910), ["AUD-C2"]);
    assert_eq!(of(r#""pcm_mulaw","sample_rate_hz":8000,"channels":1"#, 801), [""; 0]);
    assert_eq!(of(r#""opus","sample_rate_hz":16000,"channels":1"#, 1), [""; 0], "of no fixed size");
    let early = [(0, "program"), (0, "open"), (1, "audio 1")];
    assert_eq!(broken(&early), ["CFG-C1"], "the form is not known yet");
}

#[test]
fn keepalives_come_no_more_often_than_four_times_an_interval() {
    let twice = |gap_ms: u64| broken(&program(&[(10, PLAIN), (10 + gap_ms, PLAIN)]));
    assert_eq!(twice(2_499), ["KA-C2"]);
    assert_eq!(twice(2_500), [""; 0]);
    assert_eq!(broken(&program(&[(10, PLAIN), (20, "audio 640"), (30, PLAIN)])), ["KA-C2"]);
    assert_eq!(broken(&program(&[(10, PLAIN), (11, END), (20, PLAIN)])), ["KA-C3"], "that is another breach");
    let third = [(10, PLAIN), (5_010, PLAIN), (5_020, PLAIN)];
    assert_eq!(broken(&program(&third)), ["KA-C2"]);
    // Half an interval beyond the first of them a line may have held up both.
    let behind = |silent_ms: u64| broken(&program(&[(10, PLAIN), (10 + silent_ms, PLAIN), (11 + silent_ms, PLAIN)]));
    assert_eq!(behind(14_999), ["KA-C2"]);
    assert_eq!(behind(15_000), [""; 0]);
    let short = READY.replace(r#""keepalive_interval_ms":10000"#, r#""keepalive_interval_ms":4000"#);
    let at_once = [(0, "program"), (0, "open"), (1, CONFIG), (2, short.as_str()), (10, PLAIN), (1_010, PLAIN)];
    assert_eq!(broken(&at_once), [""; 0]);
}

#[test]
fn keepalives_that_a_line_held_up_and_brought_in_one_go_are_in_time() {
    // The interval is 10 s, with a grace of 1 s.
    let late = |events: &[(u64, &str)]| broken(&program(events));
    assert_eq!(late(&[(10, PLAIN), (20_010, PLAIN)]), ["KA-C1"], "one that comes late may have been sent late");
    assert_eq!(late(&[(10, PLAIN), (20_010, PLAIN), (20_011, PLAIN)]), [""; 0], "two stand for two intervals");
    assert_eq!(late(&[(10, PLAIN), (40_010, PLAIN), (40_011, PLAIN)]), ["KA-C1"], "and for no more");
    assert_eq!(late(&[(10, PLAIN), (10_010, PLAIN), (10_011, PLAIN)]), ["KA-C2"], "there was no silence before them");
    let mut audio = vec![(10, PLAIN)];
    audio.extend((0..20).map(|index| (12_010 + index, "audio 3200")));
    assert_eq!(late(&audio), [""; 0], "2 s of audio in one go behind 12 s");
    assert_eq!(late(&audio[..5]), ["KA-C1"], "a few frames do not fill the silence");
    let ends = |silent_ms: u64| late(&[(10, "audio 3200"), (10 + silent_ms, "audio 3200"), (11 + silent_ms, END)]);
    assert_eq!(ends(21_100), [""; 0], "the sentinel stands for an interval");
    assert_eq!(ends(21_101), ["KA-C1"]);
    let spread: Vec<(u64, &str)> = audio.iter().map(|(ms, what)| (*ms + (*ms % 100) * 100, *what)).collect();
    assert_eq!(late(&spread), ["KA-C1"], "what comes at the pace of speech was sent at that pace");
}

#[test]
fn no_keepalive_follows_a_fatal_error() {
    let internal = fatal("internal");
    let after = |ms: u64| broken(&program(&[(10, &internal), (10 + ms, PLAIN)]));
    assert_eq!(after(1_000), [""; 0], "it may have crossed");
    assert_eq!(after(1_001), ["KA-C3"]);
    assert_eq!(broken(&program(&[(5, PLAIN), (10, &internal), (5_000, "close 1000")])), [""; 0]);
}

#[test]
fn nobody_is_silent_for_longer_than_the_interval() {
    for speaks in ["audio 640", PLAIN, KEEPALIVE, END] {
        assert_eq!(broken(&program(&[(11_002, speaks)])), [""; 0], "{speaks}");
        assert_eq!(broken(&program(&[(11_003, speaks)])), ["KA-C1"], "{speaks}");
        assert_eq!(broken(&program(&[(10, "audio 640"), (9_000, FLUSH), (11_011, speaks)])), ["KA-C1"], "{speaks}");
    }
    for over in ["close 1000", "closed 1000"] {
        assert_eq!(broken(&program(&[(11_002, over)])), [""; 0], "{over}");
        assert_eq!(broken(&program(&[(11_003, over)])), ["KA-C1"], "{over}");
    }
    assert_eq!(broken(&program(&[(10, END), (12_000, "closed 1000")])), [""; 0], "draining it owes nothing");
    assert_eq!(broken(&program(&[(10, "closed 1000"), (12_000, "audio 640")])), [""; 0], "nor after the end");
    assert_eq!(broken(&program(&[(10, "close 1000"), (12_000, "closed 1000")])), [""; 0]);
    // Nobody read: what was sent meanwhile is noted afterwards.
    assert_eq!(broken(&program(&[(10, "deaf"), (12_000, "reads"), (12_001, "audio 640")])), [""; 0]);
    assert_eq!(broken(&program(&[(10, "deaf"), (20, "reads"), (30, PLAIN), (12_001, "audio 640")])), ["KA-C1"]);
    assert_eq!(broken(&program(&[(12_000, "audio 640"), (12_001, "deaf")])), ["KA-C1"]);
    assert_eq!(broken(&program(&[(10, "deaf"), (12_000, "audio 640")])), [""; 0], "it still does not read");
    // Whose input is over owes the sentinel and nothing else.
    assert_eq!(broken(&program(&[(11_900, "input"), (12_000, END)])), [""; 0]);
    assert_eq!(broken(&program(&[(12_000, END), (12_001, "input")])), ["KA-C1"]);
}

#[test]
fn what_is_sent_out_of_place_is_told_once_a_kind() {
    let kinds = |events: &[(u64, &str)]| {
        let found = verdict(events).findings;
        found.iter().map(|one| format!("{} {}", one.requirement.as_str(), one.kind.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&program(&[(10, END), (20, END), (21, END)])), ["END-C2 DUPLICATE_SENTINEL"]);
    assert_eq!(kinds(&program(&[(10, END), (20, "audio 640"), (21, "audio 640")])), ["END-C6 AUDIO_AFTER_END"]);
    assert_eq!(kinds(&program(&[(10, END), (20, PLAIN)])), ["KA-C3 KEEPALIVE_AFTER_END"]);
    assert_eq!(kinds(&program(&[(10, END), (20, KEEPALIVE)])), ["KA-C3 KEEPALIVE_AFTER_END"]);
    assert_eq!(kinds(&program(&[(10, END), (20, FLUSH)])), ["END-C6 ILLEGAL_MESSAGE"]);
    assert_eq!(
        kinds(&program(&[(10, END), (20, "audio 640"), (21, FLUSH)])),
        ["END-C6 AUDIO_AFTER_END", "END-C6 ILLEGAL_MESSAGE"]
    );
    assert_eq!(kinds(&program(&[(10, CONFIG)])), ["CFG-C1 ILLEGAL_MESSAGE"]);
    assert_eq!(kinds(&[(0, "open"), (1, CONFIG), (2, "audio 640")]), ["CFG-C2 ILLEGAL_MESSAGE"]);
    assert_eq!(
        kinds(&[(0, "open"), (1, CONFIG), (2, END), (3, END)]),
        ["CFG-C2 ILLEGAL_MESSAGE", "END-C2 DUPLICATE_SENTINEL"]
    );
    assert_eq!(kinds(&program(&[(10, ">{}")])), ["MSG-1 MALFORMED_MESSAGE"]);
    assert_eq!(kinds(&program(&[(10, &ended(0, 0, 0)), (11, "audio 640"), (12, END)])), [""; 0], "it may have crossed");
}

#[test]
fn a_config_may_have_crossed_what_ended_the_connection_and_a_second_one_may_not() {
    for end in ["closed 1000", "dropped"] {
        let crossed = [(0, "program"), (0, "open"), (1, end), (2, CONFIG), (3, "leaves"), (9, "exit 1")];
        assert_eq!(broken(&crossed), [""; 0], "{end}");
        let twice = [(0, "program"), (0, "open"), (1, CONFIG), (2, end), (3, CONFIG), (4, "leaves"), (9, "exit 1")];
        assert_eq!(broken(&twice), ["CFG-C1"], "{end}");
    }
}

#[test]
fn a_connection_stands_where_what_was_said_on_it_leads() {
    let state = |events: &[(u64, &str)]| {
        let late: Vec<(u64, &str)> = joined(&[events, &[(90_000, ">[]")]]);
        verdict(&late).findings.iter().find(|one| one.requirement.as_str() == "MSG-1").map(|one| one.state.as_str())
    };
    let (last, internal) = (ended(0, 0, 0), fatal("internal"));
    assert_eq!(state(&[(0, "open")]), Some("AwaitConfig"));
    assert_eq!(state(&[(0, "open"), (1, CONFIG)]), Some("Configuring"));
    assert_eq!(state(&[(0, "open"), (1, CONFIG), (2, READY)]), Some("Streaming"));
    let lacking = r#"<{"type":"ready","session_id":"s","protocol":"lastword.v1"}"#;
    assert_eq!(state(&[(0, "open"), (1, CONFIG), (2, lacking)]), Some("Streaming"));
    assert_eq!(state(&program(&[(10, END)])), Some("Draining"));
    assert_eq!(state(&[(0, "open"), (1, CONFIG), (2, END)]), Some("Draining"));
    assert_eq!(state(&program(&[(10, &internal)])), Some("Failing"));
    assert_eq!(state(&program(&[(10, END), (20, &last)])), Some("Ended"));
    assert_eq!(state(&program(&[(10, END), (20, &last), (30, "closed 1000")])), Some("Ended"));
    assert_eq!(state(&program(&[(10, END), (20, &last), (30, "dropped")])), Some("Ended"));
    assert_eq!(state(&program(&[(30, "closed 1000")])), Some("Closed"));
    assert_eq!(state(&program(&[(30, "dropped")])), Some("Closed"));
}

#[test]
fn audio_that_does_not_add_up_is_very_much_audio() {
    let (huge, last) = (format!("audio {}", u64::MAX), ended(0, 0, 0));
    let events = [(10, huge.as_str()), (20, &huge), (30, END), (40, &last), (50, "exit 0")];
    // The end counts less than it sent.
    assert_eq!(broken(&program(&events)), ["AUD-1", "LIM-C1", "END-C8"]);
    let left = [(10, huge.as_str()), (20, &huge), (25, "input 1000"), (30, "leaves"), (40, "exit 1")];
    assert_eq!(broken(&program(&left)), ["AUD-1", "LIM-C1", "END-C1"]);
}

#[test]
fn a_tail_is_no_full_buffer_where_ready_came_before_the_config() {
    let last = ended(100, 0, 0);
    let begin = [(0, "driven"), (0, "call 1 start"), (0, "open"), (1, READY), (5, CONFIG), (10, "audio 3200")];
    let end = [(2_000, "input 5000"), (2_001, END), (2_010, &last), (2_020, "told ended complete")];
    assert_eq!(broken(&joined(&[&begin, &end])), ["CFG-C2", "AUD-C3"]);
}
