//! Runs of a client at the edges of single rules: the last moment, count or length that is right, and what an end is called in words.

use super::super::scene::{KEEPALIVE, ended};
use super::*;

/// Whether a run shows this requirement.
fn shows(events: &[(u64, &str)], id: &str) -> bool {
    verdict(events).exercised.iter().any(|one| one.as_str() == id)
}

/// The requirements that a run breaks, each with its words.
fn words(events: &[(u64, &str)]) -> Vec<String> {
    let found = verdict(events).findings;
    found.iter().map(|finding| format!("{} {}", finding.requirement.as_str(), finding.message)).collect()
}

#[test]
fn a_crash_before_anybody_gave_up_is_the_clients_own() {
    assert_eq!(broken(&program(&[(20, "signal 11"), (30, "gave_up")])), ["SEC-C2"]);
    assert_eq!(broken(&program(&[(20, "gave_up"), (30, "signal 11")])), [""; 0]);
}

#[test]
fn an_end_that_crosses_the_sentinel_is_an_early_one() {
    let last = ended(0, 0, 0);
    let told = |outcome: &'static str, end: &[(u64, &'static str)]| {
        let mut events = vec![(20, last.as_str()), (40, outcome)];
        events.extend_from_slice(end);
        events.sort_by_key(|(ms, _)| *ms);
        broken(&driven(&events))
    };
    assert_eq!(told("told ended complete", &[(30, END)]), ["END-C8"]);
    assert_eq!(told("told ended incomplete", &[(30, END)]), [""; 0]);
    assert_eq!(told("told ended complete", &[(10, END)]), [""; 0]);
    assert_eq!(told("told ended complete", &[]), ["END-C8"]);
}

#[test]
fn an_end_in_an_odd_form_or_with_extensions_that_is_not_understood_is_blamed_on_the_form() {
    let forms = [
        ("END-C7", ended(0, 0, 0)),
        ("MSG-3", ended(0, 0, 0).replace(',', ",\n")),
        ("MSG-3", ended(0, 0, 0).replace("completed", r"\u0063ompleted")),
        ("VER-3", ended(0, 0, 0).replace('}', r#","x_new":1}"#)),
    ];
    for (clause, whole) in forms {
        let told = |last: &str, outcome: &str| broken(&driven(&[(10, END), (20, last), (30, outcome)]));
        assert_eq!(told(&whole, "told ended incomplete"), [clause], "{whole}");
        assert_eq!(told(&whole, "told ended complete"), [""; 0], "{whole}");
        // Who is wrong about an end that is not complete is so in whatever form it came.
        let partly = whole.replace("true", "false").replace(r#""rejected_frames":0"#, r#""rejected_frames":1"#);
        assert_eq!(told(&partly, "told ended error"), ["END-C7"], "{partly}");
        assert_eq!(told(&partly, "told ended complete"), ["END-C7"], "{partly}");
    }
}

#[test]
fn who_left_first_is_told_that_it_left_and_not_that_nothing_came() {
    let left = "END-C5 exited with 0, which says complete although it left before session_ended came: it is incomplete";
    let none = "END-C5 exited with 0, which says complete although no session_ended came: it is incomplete";
    let said = |ends: &[(u64, &'static str)]| {
        words(&program(&joined(&[&[(10, "audio 3200"), (20, END)], ends, &[(20_010, "exit 0")]])))
    };
    assert_eq!(said(&[(20_000, "close 1000")]), [left]);
    assert_eq!(said(&[(20_000, "close 1000"), (20_001, "closed 1011")]), [left]);
    assert_eq!(said(&[(20_000, "closed 1011"), (20_001, "close 1011")]), [none]);
    assert_eq!(said(&[(20_000, "closed 1011")]), [none]);
}

#[test]
fn who_leaves_by_itself_after_the_upgrade_had_to_send_a_config_first() {
    let owed = "CFG-C1 left 0.50 s after its upgrade and sent no config";
    let opened = |start: &'static str, more: &[(u64, &'static str)]| {
        words(&joined(&[&[(0, start), (0, "open")], more, &[(500, "close 1000")]]))
    };
    for start in ["driven", "program"] {
        assert_eq!(opened(start, &[]), [owed]);
        assert_eq!(opened(start, &[(100, CONFIG)]), [""; 0]);
        assert_eq!(opened(start, &[(100, "deaf")]), [""; 0], "what it sent nobody has read");
        assert_eq!(opened(start, &[(100, "deaf"), (200, "reads")]), [owed]);
        assert_eq!(opened(start, &[(100, "closed 1011")]), [""; 0], "the server left");
    }
    assert_eq!(opened("driven", &[(100, "call 2 close")]), [""; 0], "it was told to");
    let both = [(0, "driven"), (0, "open"), (500, "close 1000"), (501, "closed 1000")];
    assert_eq!(words(&both), [owed], "the server left after it");
    assert_eq!(words(&[(0, "open"), (500, "close 1000")]), [""; 0], "it was not watched from its start");
}

#[test]
fn sixteen_dials_within_five_seconds_are_no_backoff() {
    let dials = |count: u64, took_ms: u64| {
        let mut events = vec![(0, "driven".to_owned())];
        // Each pause is longer than the one before.
        let upto = |conn: u64| conn * (conn + 1);
        events.extend((0..count).map(|conn| (took_ms * upto(conn) / upto(count - 1), format!("@{conn} failed"))));
        broken(&events.iter().map(|(ms, what)| (*ms, what.as_str())).collect::<Vec<_>>())
    };
    assert_eq!(dials(16, 4_999), ["REC-C1"]);
    assert_eq!(dials(16, 5_000), [""; 0]);
    assert_eq!(dials(15, 1_000), [""; 0]);
}

#[test]
fn three_to_eleven_dials_show_a_backoff() {
    let shown = |count: u64| {
        let mut events = vec![(0, "program".to_owned())];
        events.extend((0..count).map(|conn| (1_000 * conn, format!("@{conn} failed"))));
        events.push((20_000, "exit 1".to_owned()));
        shows(&events.iter().map(|(ms, what)| (*ms, what.as_str())).collect::<Vec<_>>(), "REC-C1")
    };
    let counts: Vec<u64> = (1..=14).filter(|count| shown(*count)).collect();
    assert_eq!(counts, (3..=11).collect::<Vec<_>>());
}

#[test]
fn the_sentinel_follows_the_end_of_the_input_within_a_second_and_its_grace() {
    let after = |ms: u64, between: &[(u64, &'static str)]| {
        broken(&driven(&joined(&[&[(5, "audio 640"), (10, "input")], between, &[(10 + ms, END)]])))
    };
    assert_eq!(after(1_500, &[]), [""; 0]);
    assert_eq!(after(1_501, &[]), ["END-C1"]);
    assert_eq!(after(2_000, &[(1_000, "audio 640")]), [""; 0], "audio was still on its way");
    assert_eq!(after(1_501, &[(11, "audio 640")]), [""; 0]);
    let early = |ms: u64, between: &[(u64, &'static str)]| {
        let begin = [(0, "driven"), (0, "open"), (1, CONFIG), (2, "input"), (100, READY)];
        broken(&joined(&[&begin, between, &[(100 + ms, END)]]))
    };
    assert_eq!(early(1_500, &[]), [""; 0]);
    assert_eq!(early(1_501, &[]), ["STA-C1"]);
    assert_eq!(early(1_501, &[(101, "audio 640")]), [""; 0]);
}

#[test]
fn what_is_short_by_more_than_a_second_was_dropped_where_ready_took_more_than_a_second() {
    let cut = |ready_ms: u64, input: &'static str| {
        let begin = [(0, "driven"), (0, "open"), (1, CONFIG), (1 + ready_ms, READY)];
        let rest = [(3_000, "audio 3200"), (3_010, input), (3_020, END)];
        broken(&joined(&[&begin, &rest]))
    };
    assert_eq!(cut(1_001, "input 1101"), ["BP-C1"]);
    assert_eq!(cut(1_000, "input 1101"), ["AUD-C3"]);
    assert_eq!(cut(1_001, "input 1100"), ["AUD-C3"]);
    assert_eq!(cut(500, "input 5000"), ["AUD-C3"]);
}

#[test]
fn a_whole_input_that_waited_five_seconds_for_ready_shows_a_buffer() {
    let waited = |ready_ms: u64, rest: &[(u64, &'static str)]| {
        let begin = [(0, "program"), (0, "open"), (1, CONFIG), (1 + ready_ms, READY)];
        shows(&joined(&[&begin, rest]), "BP-C1")
    };
    let (one, two) = ((6_010, "audio 3200"), (6_020, "audio 3200"));
    let (input, end) = ((6_030, "input 200"), (6_031, END));
    assert!(waited(5_001, &[one, two, input, end]));
    assert!(!waited(5_000, &[one, two, input, end]), "it did not wait long enough");
    assert!(!waited(5_001, &[one, two, end]), "nobody knows whether that was all");
    assert!(!waited(5_001, &[one, two, input]), "it is not through");
    assert!(!waited(5_001, &[one, input, end]), "one frame needs no buffer");
    assert!(!waited(5_001, &[input, end]));
}

#[test]
fn a_program_that_sent_all_of_its_file_before_it_left_owed_the_sentinel() {
    // That its input was over is noted when it is gone.
    let left = |start: &'static str, audio: &'static str, input: &'static str| {
        broken(&joined(&[&[(0, start)], &PROGRAM[1..], &[(10, audio), (20, "leaves"), (30, input)]]))
    };
    assert_eq!(left("program", "audio 3200", "input 100"), ["END-C1"]);
    assert_eq!(left("program", "audio 3200", "input 160"), ["END-C1"], "a resampler holds back so much");
    assert_eq!(left("program", "audio 3200", "input 161"), [""; 0]);
    assert_eq!(left("program", "audio 3200", "input"), [""; 0], "nobody knows how long it was");
    assert_eq!(left("driven", "audio 3200", "input 100"), [""; 0]);
}

#[test]
fn an_end_before_the_sentinel_shows_what_a_client_makes_of_it_and_one_behind_it_does_not() {
    let last = ended(0, 0, 0);
    let shown = |end: &[(u64, &'static str)]| {
        let mut events = vec![(20, last.as_str()), (40, "told ended incomplete")];
        events.extend_from_slice(end);
        events.sort_by_key(|(ms, _)| *ms);
        shows(&driven(&events), "END-C8")
    };
    assert!(shown(&[]));
    assert!(shown(&[(30, END)]));
    assert!(!shown(&[(10, END)]));
}

#[test]
fn two_flushes_that_are_passed_on_show_that_flushes_are() {
    let flush = |id: &str| format!(r#">{{"type":"flush","id":"{id}"}}"#);
    let shown = |calls: &[(u64, &'static str)], flushes: usize| {
        let ids: Vec<String> = ["f1", "f2"].iter().take(flushes).map(|id| flush(id)).collect();
        let sent: Vec<(u64, &str)> = ids.iter().map(|id| (30, id.as_str())).collect();
        shows(&driven(&joined(&[calls, &sent, &[(40, END)]])), "FLU-C1")
    };
    assert!(shown(&[(20, "call 2 flush"), (21, "call 3 flush")], 2));
    assert!(!shown(&[(20, "call 2 flush"), (21, "call 3 flush")], 1), "one was not passed on");
    assert!(!shown(&[(20, "call 2 flush")], 2), "one may be all that it ever passes on");
    assert!(!shown(&[(20, "call 2 flush"), (21, "call 3 push"), (22, "call 4 push")], 2));
}

#[test]
fn a_config_that_is_malformed_was_meant_as_one_and_is_told_once() {
    let (no_config, no_json) = (r#">{"type":"config","audio":5}"#, ">config");
    let whole = |first: &'static str, rest: &[(u64, &str)]| {
        broken(&joined(&[&[(0, "driven"), (0, "open"), (1, first)], rest, &[(5, READY), (10, "audio 3200")]]))
    };
    assert_eq!(whole(no_config, &[]), ["MSG-2"]);
    assert_eq!(whole(no_json, &[(2, CONFIG)]), ["MSG-1"], "what is no message is no config");
    assert_eq!(whole(no_json, &[]), ["MSG-1", "CFG-C1"]);
}

#[test]
fn audio_before_the_config_is_told_once_whatever_is_missing_besides() {
    assert_eq!(broken(&[(0, "driven"), (0, "open"), (5, "audio 3200"), (500, "close 1000")]), ["CFG-C1"]);
}

#[test]
fn a_late_end_is_late_whether_anybody_reads_where_a_driver_tells_it() {
    let last = ended(0, 0, 0);
    let late = |late_ms: u64, end: &'static str| [(10, END), (15, "deaf"), (20, last.as_str()), (late_ms, end)];
    assert_eq!(broken(&driven(&late(2_020, "told ended complete"))), [""; 0]);
    assert_eq!(broken(&driven(&late(2_021, "told ended complete"))), ["END-C3"]);
    assert_eq!(broken(&program(&late(2_021, "exit 0"))), [""; 0], "it may have waited for an answer to its Close");
}

#[test]
fn what_an_application_is_told_may_be_noted_before_the_sentinel_that_was_sent_first() {
    let ends_at = |end: &[(u64, &str)]| {
        let told = [(10, "audio 3200"), (100, "call 2 end"), (100, "input 100"), (110, "told ended incomplete")];
        broken(&driven(&joined(&[&told, end])))
    };
    assert_eq!(ends_at(&[(112, END), (115, "close 1000")]), ["CLO-C1"]);
    assert_eq!(ends_at(&[(409, END), (415, "close 1000")]), ["CLO-C1"], "not later than a wait would be");
    assert_eq!(ends_at(&[(410, END), (415, "close 1000")]), [""; 0], "who has left sends it late");
    let told = [(10, "audio 3200"), (100, "input 100"), (105, "finished"), (110, "told ended incomplete"), (112, END)];
    assert_eq!(broken(&driven(&told)), [""; 0], "the server had left");
    // An input that goes on: it left for another reason, and the sentinel is part of its leaving.
    let early = [(10, "audio 3200"), (110, "told ended incomplete"), (112, END), (115, "close 1000")];
    assert_eq!(broken(&driven(&early)), [""; 0]);
    // All of it came in one go, and was held up on its way for as long as the server may take: it has waited.
    let audio: Vec<(u64, &str)> = (0..5).map(|at| (16_000 + at, "audio 3200")).collect();
    let held = [(10, "audio 3200"), (100, "call 2 end"), (100, "input 600"), (15_990, "told ended incomplete")];
    let late = |sentinel| broken(&driven(&joined(&[&held, &audio, &[(sentinel, END), (16_020, "close 1000")]])));
    assert_eq!(late(16_010), [""; 0]);
}

#[test]
fn an_error_that_is_not_fatal_ends_nothing() {
    let degraded = super::super::scene::error("x_degraded", false, "");
    let then = |more: &[(u64, &'static str)]| {
        let events = joined(&[&[(10, "audio 3200"), (1_000, degraded.as_str())], more]);
        (broken(&driven(&events)), broken(&program(&events)))
    };
    let named = |clause: &str| vec![clause.to_owned()];
    // A program may have had no more to say, where nobody knows what it was given.
    let leaves = [(1_999, "close 1000")];
    assert_eq!(then(&leaves), (named("END-C1"), vec![]));
    let given = joined(&[&[(0, "program 3000"), (0, "open"), (1, CONFIG), (2, READY)], &[(10, "audio 3200")]]);
    assert_eq!(broken(&joined(&[&given, &[(1_000, &degraded)], &leaves])), ["END-C1"]);
    assert_eq!(broken(&joined(&[&given, &[(1_000, "<{}")], &leaves])), ["MSG-C1"]);
    assert_eq!(broken(&joined(&[&given, &leaves])), [""; 0], "it came to no harm");
    assert_eq!(then(&[(2_000, "close 1000")]).0, [""; 0], "not for that");
    assert_eq!(then(&[(1_500, "dropped"), (1_600, "told ended incomplete")]).0, [""; 0], "the server left");
    assert_eq!(then(&[(1_500, "call 5 close"), (1_600, "close 1000")]).0, [""; 0], "its application cancels");
}

#[test]
fn what_never_came_of_an_input_is_told_with_the_end_that_never_came() {
    let hangs = |whole_frames: usize, last: &str| {
        let given = [(0, "program 3000"), (0, "open"), (1, CONFIG), (2, READY)];
        let frames = vec![(10, "audio 3200"); whole_frames];
        let rest = [(12, last), (9_000, "input 3000"), (9_500, KEEPALIVE), (12_000, "gave_up")];
        let judgement = verdict(&joined(&[&given, &frames, &rest]));
        judgement
            .findings
            .iter()
            .map(|one| format!("{} {}", one.requirement, one.message))
            .collect::<Vec<_>>()
            .join("; ")
    };
    let always = "END-C1 sent no end_of_stream although its input ended at 3.00 s";
    let on = ", a keepalive followed: each waits for the other";
    assert_eq!(hangs(28, "audio 2560"), format!("{always}, of which 120 ms never came{on}"));
    assert_eq!(hangs(29, "audio 1280"), format!("{always}{on}"), "so much a resampler may hold");
}

#[test]
fn who_tells_complete_before_session_ended_came_was_told_without_it() {
    let last = ended(100, 0, 0);
    let with = |told_ms: u64| {
        let mut events = vec![
            (11, "audio 3200"),
            (70, "input 100"),
            (71, END),
            (110, last.as_str()),
            (112, "close 1000"),
            (told_ms, "told ended complete"),
        ];
        events.sort_by_key(|(ms, _)| *ms);
        broken(&driven(&events))
    };
    assert_eq!(with(111), [""; 0]);
    assert!(with(90).contains(&"END-C5".to_owned()), "{:?}", with(90));
    let told = words(&driven(&[(70, "input 0"), (71, END), (90, "told ended complete"), (110, &ended(0, 0, 0))]));
    assert!(told.iter().any(|one| one.contains("although session_ended had not come")), "{told:?}");
}
