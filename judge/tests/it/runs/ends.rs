//! How a client's session ended, what it made of that, and how long it waited before.

use super::super::scene::{FLUSH, KEEPALIVE, ended, error, heard};
use super::*;

const OUTCOMES: [&str; 4] = ["complete", "incomplete", "error", "cancelled"];

/// By which requirement each outcome is wrong after these events; empty for the right one. The code is told with it.
fn blamed(events: &[(u64, &str)], code: &str) -> Vec<String> {
    let told = |outcome: &str| {
        let said = format!("told ended {outcome} {code}");
        broken(&joined(&[&[(0, "driven")], events, &[(40_000, said.trim_end())]])).join(" ")
    };
    OUTCOMES.iter().map(|outcome| told(outcome)).collect()
}

/// The same of an exit with 0 and with another code.
fn blamed_exits(events: &[(u64, &str)]) -> Vec<String> {
    let exits = |exit: &str| broken(&joined(&[&[(0, "program")], events, &[(40_000, exit)]])).join(" ");
    ["exit 0", "exit 1"].into_iter().map(exits).collect()
}

const OPEN: (u64, &str) = (0, "open");
const ASKED: (u64, &str) = (1, CONFIG);
const ACCEPTED: (u64, &str) = (2, READY);
const TAKEN: (u64, &str) = (10, "audio 3200");

/// What happened, and by which requirement it is wrong to call that complete, incomplete, an error, cancelled.
type Situation<'a> = (&'a str, Vec<(u64, &'a str)>, [&'a str; 4]);

const IS_COMPLETE: [&str; 4] = ["", "END-C7", "END-C7", "END-C7"];

fn is_incomplete(clause: &str) -> [&str; 4] {
    [clause, "", "END-C7", "END-C7"]
}

fn is_an_error(clause: &str) -> [&str; 4] {
    [clause, "END-C7", "", "END-C7"]
}

fn check(situations: Vec<Situation<'_>>) {
    for (name, events, wrong) in situations {
        assert_eq!(blamed(&events, "internal"), wrong, "{name}");
        if !events.iter().any(|(_, what)| what.starts_with("call")) {
            // An exit code says only whether all is there.
            let failed = if wrong == IS_COMPLETE { "END-C7" } else { "" };
            assert_eq!(blamed_exits(&events), [wrong[0], failed], "{name}");
        }
    }
}

#[test]
fn the_outcome_is_what_the_wire_shows() {
    let (whole, partly, internal) = (ended(100, 0, 0), ended(100, 1, 0), fatal("internal"));
    let (whole, partly) = (whole.as_str(), partly.as_str());
    let late = 39_000;
    let streaming = |more: &[(u64, &'static str)]| joined(&[&[OPEN, ASKED, ACCEPTED, TAKEN], more]);
    let then = |events: Vec<(u64, &'static str)>, last| -> Vec<(u64, &str)> {
        let mut events: Vec<(u64, &str)> = events;
        events.push((late, last));
        events
    };
    check(vec![
        ("complete", then(streaming(&[(20, END)]), whole), IS_COMPLETE),
        ("not complete", then(streaming(&[(20, END)]), partly), is_incomplete("END-C7")),
        ("never connected", vec![(10, "failed")], is_an_error("CON-C1")),
        ("a fatal error", vec![OPEN, ASKED, ACCEPTED, (late, &internal)], ["ERR-C1", "ERR-C1", "", "ERR-C1"]),
        ("refused by a close", vec![OPEN, ASKED, (late, "closed 1013")], is_an_error("CON-C3")),
        ("never ready", vec![OPEN, ASKED], is_an_error("CON-C2")),
        ("no end came", streaming(&[(20, END)]), is_incomplete("END-C5")),
        ("cut", streaming(&[(20, "dropped")]), is_incomplete("ERR-C3")),
        ("cut once", streaming(&[(20, "dropped"), (21, "finished")]), is_incomplete("ERR-C3")),
        ("left", streaming(&[(20, "finished")]), is_incomplete("END-C5")),
        ("an early end", then(streaming(&[]), whole), is_incomplete("END-C8")),
        (
            "less is counted than was sent",
            then(streaming(&[(11, "audio 640"), (20, END)]), whole),
            is_incomplete("END-C8"),
        ),
    ]);
}

#[test]
fn who_is_closed_by_its_application_was_cancelled_unless_the_end_had_come() {
    let whole = ended(100, 0, 0);
    let cancelled = ["END-C7", "END-C7", "END-C7", ""];
    let with = |call_ms| {
        let mut events =
            vec![OPEN, ASKED, ACCEPTED, TAKEN, (20, END), (39_000, whole.as_str()), (call_ms, "call 2 close")];
        events.sort_by_key(|(ms, _)| *ms);
        events
    };
    check(vec![("before the end came", with(38_999), cancelled), ("after the end came", with(39_001), IS_COMPLETE)]);
    let streaming = |outcome: &str| {
        broken(&driven(&[(10, "call 2 close"), (11, "close 1000"), (20, &format!("told ended {outcome}"))])).join(" ")
    };
    assert_eq!(OUTCOMES.map(streaming), cancelled, "while it streamed");
}

#[test]
fn whoever_raises_says_that_it_is_not_complete_and_leaves_open_what_it_is() {
    let raises = |events: &[(u64, &str)], text: &str| {
        broken(&joined(&[&[(0, "driven")], events, &[(40_000, &format!("told raised {text}"))]])).join(" ")
    };
    let (whole, partly) = (ended(100, 0, 0), ended(100, 1, 0));
    let then = |last| [OPEN, ASKED, ACCEPTED, TAKEN, (20, END), (39_000, last)];
    assert_eq!(raises(&then(&whole), "the socket is closed"), "END-C7");
    for incomplete in [partly.as_str(), "closed 1000", "closed 1011", "dropped", "finished"] {
        assert_eq!(raises(&then(incomplete), "the socket is closed"), "", "{incomplete}");
    }
    assert_eq!(raises(&[(39_000, "failed")], "nobody is there"), "", "an error");
    let cancelled = [OPEN, ASKED, ACCEPTED, TAKEN, (20, END), (39_000, "call 2 close")];
    assert_eq!(raises(&cancelled, "CancelledError"), "", "cancelled");
}

#[test]
fn what_is_raised_tells_an_error_if_its_code_or_its_words_stand_in_it() {
    let error = error("internal", true, "").replace(r#""message":"m""#, r#""message":"the engine is gone""#);
    let raises = |text: &str| broken(&driven(&[(10, &error), (20, &format!("told raised {text}"))]));
    for told in ["internal", "ServerError: internal", "Failed: the engine is gone", "1011 (internal error): internal"] {
        assert_eq!(raises(told), [""; 0], "{told}");
    }
    for other in ["overloaded", "received 1011 (internal error)", "Failed"] {
        assert_eq!(raises(other), ["ERR-C1"], "{other}");
    }
    // An outcome is not raised, and words alone tell no code then. [ERR-C1]
    assert_eq!(broken(&driven(&[(10, &error), (20, "told ended error")])), ["ERR-C1"]);
    let mild = error.replace(r#""fatal":true"#, r#""fatal":false"#);
    let cut =
        |text: &str| broken(&driven(&[(10, &mild), (3_000, "closed 1011"), (3_010, &format!("told raised {text}"))]));
    assert_eq!(cut("closed after the engine is gone"), [""; 0]);
    assert_eq!(cut("closed"), ["ERR-C2"]);
}

#[test]
fn a_driver_that_ends_before_its_session_has_died_and_is_told_what_it_met() {
    let dies = |events: &[(u64, &str)]| {
        let found = verdict(&driven(events)).findings;
        found.into_iter().map(|one| format!("{} {}", one.requirement, one.message)).collect::<Vec<_>>()
    };
    let never = "and its application was never told the end of the session";
    let met = |what: &str| format!("{never}; the last unusual thing that it met, 1.00 s before, was {what}");
    for code in [0, 1, 134] {
        let exit = format!("exit {code}");
        assert_eq!(dies(&[(1_010, &exit)]), [format!("SEC-C2 exited with {code}, {never}")]);
    }
    let mild = error("internal", false, "");
    for (event, what) in [
        ("<no {json", "a message that is none"),
        (mild.as_str(), "the error `internal`"),
        ("closed 1011", "a Close with 1011"),
        ("closed", "a Close without a code"),
        ("dropped", "a reset"),
        ("call 4 push", "call 4, push"),
    ] {
        // Whatever else follows from it is not told.
        let found = dies(&[
            (5, "call 3 end"),
            (5, "back 3 end"),
            (6, "input 100"),
            (10, event),
            (1_005, "leaves"),
            (1_010, "exit 1"),
        ]);
        assert_eq!(found, [format!("SEC-C2 exited with 1, {}", met(what))], "{event}");
    }
    // What was wrong before stays.
    assert_eq!(broken(&driven(&[(5, "audio 1"), (1_000, "leaves"), (1_010, "exit 1")])), ["AUD-1", "SEC-C2"]);
    // Right after hello, before there is a connection.
    assert_eq!(broken(&[(0, "driven"), (0, "call 1 start"), (5, "exit 0")]), ["SEC-C2"]);
    // A program says by its code how its session ended, and a driver that was never asked for anything is none.
    assert_eq!(broken(&[(0, "driven"), (5, "exit 1")]), [""; 0]);
    assert_eq!(broken(&program(&[(10, "dropped"), (20, "exit 1")])), [""; 0]);
}

#[test]
fn a_driver_that_was_told_the_end_may_go_but_does_not_die() {
    let last = ended(100, 0, 0);
    let ends = |after: &[(u64, &str)]| {
        let session =
            [(11, "audio 3200"), (70, "input 100"), (71, END), (110, last.as_str()), (111, "told ended complete")];
        broken(&driven(&joined(&[&session, &[(112, "close 1000"), (113, "closed 1000")], after])))
    };
    assert_eq!(ends(&[(114, "told left 0"), (120, "exit 0")]), [""; 0]);
    assert_eq!(ends(&[(114, "told left 0"), (120, "exit 1")]), [""; 0], "it had nothing to say any more");
    assert_eq!(ends(&[(6_000, "exit 0")]), [""; 0], "slow to say what is left");
    assert_eq!(ends(&[(120, "exit 1")]), ["SEC-C2"]);
    assert_eq!(ends(&[(120, "gave_up"), (130, "exit 1")]), [""; 0], "the harness ended it");
}

#[test]
fn a_close_after_its_own_end_cancels_nothing() {
    // What was wrong is that it ended, not that it did not call it cancelled.
    let with = |call_ms, told_ms| {
        let mut events =
            vec![(20, "call 2 close"), (10, "told ended incomplete"), (30, "close 1000"), (40, "told left 0")];
        (events[0].0, events[1].0) = (call_ms, told_ms);
        events.sort_by_key(|(ms, _)| *ms);
        broken(&driven(&events))
    };
    assert_eq!(with(20, 25), ["END-C7"]);
    assert!(!with(20, 15).contains(&"END-C7".to_owned()), "{:?}", with(20, 15));
}

#[test]
fn audio_that_a_connection_took_before_it_was_lost_is_a_loss_whatever_the_next_one_took() {
    let (ready, whole, nothing) =
        (format!("@1 {READY}"), format!("@1 {}", ended(100, 0, 0)), format!("@1 {}", ended(0, 0, 0)));
    let (config, end) = (format!("@1 {CONFIG}"), format!("@1 {END}"));
    let audio = "@1 audio 3200".to_owned();
    let took = [(31, &config), (32, &ready), (33, &audio), (34, &end), (39_000, &whole)];
    let took_none = [(31, &config), (32, &ready), (34, &end), (39_000, &nothing)];
    let lost = [OPEN, ASKED, ACCEPTED, TAKEN, (20, "dropped")];
    let again = |first: &[(u64, &'static str)], second: &[(u64, &String)]| -> Vec<(u64, String)> {
        let first = first.iter().map(|(ms, what)| (*ms, (*what).to_owned()));
        let second = second.iter().map(|(ms, what)| (*ms, (*what).clone()));
        first.chain([(30, "@1 open".to_owned())]).chain(second).collect()
    };
    check(vec![
        ("both took audio", lines(&again(&lost, &took)), is_incomplete("REC-C4")),
        ("nothing was left for the second", lines(&again(&lost, &took_none)), is_incomplete("REC-C4")),
        ("the first took none", lines(&again(&[OPEN, ASKED, (20, "dropped")], &took)), IS_COMPLETE),
    ]);
}

#[test]
fn an_end_that_counts_less_audio_than_was_sent_answers_another_sentinel() {
    let of = |format: &str, bytes: &str, counted_ms| {
        let ready = READY.replace(r#""sample_rate_hz":16000,"channels":1"#, format);
        let last = ended(counted_ms, 0, 0);
        broken(&[
            (0, "driven"),
            OPEN,
            ASKED,
            (2, &ready),
            (10, bytes),
            (20, END),
            (30, &last),
            (40, "told ended complete"),
        ])
    };
    let mono = r#""sample_rate_hz":16000,"channels":1"#;
    assert_eq!(of(mono, "audio 3200", 100), [""; 0]);
    assert_eq!(of(mono, "audio 3200", 99), ["END-C8"]);
    // A rate that has no whole number of bytes in a millisecond.
    let music = r#""sample_rate_hz":44100,"channels":1"#;
    assert_eq!(of(music, "audio 8820", 100), [""; 0]);
    assert_eq!(of(music, "audio 8820", 99), ["END-C8"]);
}

#[test]
fn what_says_nothing_of_the_outcome_is_not_judged_as_one() {
    let cut = [OPEN, ASKED, ACCEPTED, TAKEN, (20, END), (30, "closed 1011")];
    let with = |start: &'static str, end: &'static str| broken(&joined(&[&[(0, start)], &cut, &[(40, end)]]));
    assert_eq!(with("driven", "exit 0"), [""; 0], "the driver's exit");
    assert_eq!(with("driven", "told ended"), [""; 0], "no outcome");
    assert_eq!(with("program", "told left 0"), [""; 0]);
    assert_eq!(with("program", "exit 0"), ["END-C5"]);
    assert_eq!(with("program", "signal 9"), ["SEC-C2"]);
    assert_eq!(broken(&joined(&[&[(0, "program")], &cut, &[(40, "gave_up"), (41, "exit 0")]])), [""; 0]);
    assert_eq!(broken(&joined(&[&[(0, "program")], &cut, &[(40, "exit 1"), (41, "exit 0")]])), [""; 0], "the first");
    let told_late = [(40, "gave_up"), (41, "told ended complete"), (42, "signal 9")];
    assert_eq!(broken(&joined(&[&[(0, "driven")], &cut, &told_late])), [""; 0]);
}

#[test]
fn who_leaves_after_its_sentinel_waits_first() {
    // The sentinel came 9 ms behind the `config`: so long it may have been on its way.
    for (left_ms, id) in [(299, "CLO-C1"), (300, "END-C4"), (14_990, "END-C4"), (14_991, ""), (20_000, "")] {
        for leaves in ["close 1000", "leaves"] {
            assert_eq!(broken(&driven(&[(10, END), (10 + left_ms, leaves)])).join(" "), id, "{left_ms} {leaves}");
        }
    }
    assert_eq!(broken(&driven(&[(10, END), (20, "told ended incomplete"), (20_000, "close 1000")])), ["CLO-C1"]);
    assert_eq!(broken(&driven(&[(10, END), (20, "closed 1000"), (30, "close 1000")])), [""; 0], "the server left");
    assert_eq!(broken(&driven(&[(10, END), (20, "close 1000"), (30, "closed 1000")])), ["CLO-C1"]);
    assert_eq!(broken(&driven(&[(10, END), (11, "call 2 close"), (20, "close 1000")])), [""; 0], "it was told to");
    let (last, internal) = (ended(0, 0, 0), fatal("internal"));
    assert_eq!(broken(&driven(&[(10, END), (15, &last), (20, "close 1000")])), [""; 0]);
    assert_eq!(broken(&driven(&[(10, END), (15, &internal), (20, "close 1000")])), [""; 0]);
    assert_eq!(broken(&driven(&[(10, "close 1000"), (11, END)])), [""; 0], "no sentinel before it left");
}

#[test]
fn a_sentinel_that_a_line_held_up_was_waited_on_for_longer_than_it_seems() {
    let left_after = |ms: u64, audio_ms: u64| {
        let audio = [(10, "audio 3200"), (audio_ms, "audio 3200"), (2_010, "audio 3200"), (2_011, END)];
        broken(&driven(&joined(&[&audio, &[(2_011 + ms, "close 1000")]])))
    };
    assert_eq!(left_after(13_009, 20), [""; 0], "it came in one go with audio, 2 s behind the last");
    assert_eq!(left_after(13_008, 20), ["END-C4"]);
    assert_eq!(left_after(13_009, 1_500), ["END-C4"], "something came 0.5 s before");
    let extended = |ms: u64| {
        let audio = [(10, "audio 3200"), (20, "audio 3200"), (2_010, "audio 3200"), (2_011, END)];
        broken(&driven(&joined(&[&audio, &[(3_000, PROGRESS), (ms, "close 1000")]])))
    };
    assert_eq!(extended(15_020), ["PRG-C1"], "its wait began again with the progress");
    assert_eq!(extended(18_000), [""; 0]);
    let alone = [(10, "audio 3200"), (2_011, END), (15_011, "close 1000")];
    assert_eq!(broken(&driven(&alone)), [""; 0]);
}

#[test]
fn a_last_word_that_a_line_held_up_while_the_client_waited_is_not_lost_by_it() {
    let (word, last) = (heard(0, 0, 100), ended(300, 0, 1));
    let told_at = |told_ms: u64, audio_ms: u64| {
        let audio = [(10, "audio 3200"), (audio_ms, "audio 3200"), (audio_ms, "deaf"), (14_009, "reads")];
        let come = [(14_010, "audio 3200"), (14_011, END), (14_012, word.as_str()), (14_013, &last)];
        let end = [(14_014, "closed 1000"), (told_ms, "told ended incomplete"), (told_ms, "close 1000")];
        broken(&driven(&joined(&[&audio, &come, &end])))
    };
    assert_eq!(told_at(15_020, 20), [""; 0]);
    assert_eq!(told_at(15_019, 20), ["END-C7", "FIN-C1"], "it cannot have waited for so long");
    assert_eq!(told_at(15_020, 21), ["END-C7", "FIN-C1"], "its sentinel was not under way for so long");
    // What lay before it all the time it has read.
    let in_time = [(10, END), (12, word.as_str()), (13, last.as_str()), (14, "closed 1000")];
    let left = [(15_010, "told ended incomplete"), (15_010, "close 1000")];
    assert_eq!(broken(&driven(&joined(&[&in_time, &left]))), ["END-C3", "END-C7", "FIN-C1"]);
}

#[test]
fn progress_after_the_sentinel_begins_the_wait_again() {
    let left_at = |told_ms: u64, left_ms: u64| {
        broken(&driven(&[(10, END), (10 + told_ms, PROGRESS), (10 + left_ms, "close 1000")]))
    };
    assert_eq!(left_at(10_000, 24_999), ["PRG-C1"]);
    assert_eq!(left_at(10_000, 25_000), [""; 0]);
    let before = |left_ms: u64| broken(&driven(&[(5, PROGRESS), (10, END), (10 + left_ms, "close 1000")]));
    assert_eq!(before(14_990), ["END-C4"]);
    assert_eq!(before(15_000), [""; 0], "before the sentinel it extends nothing");
    let afterwards = [(10, END), (15_010, "close 1000"), (15_011, PROGRESS)];
    assert_eq!(broken(&driven(&afterwards)), [""; 0]);
}

#[test]
fn a_message_that_is_none_ends_nothing() {
    for odd in ["sound", "<nothing", r#"<{"type":"x_later"}"#, r#"<{"type":"final"}"#] {
        assert_eq!(broken(&driven(&[(10, odd), (1_009, "close 1000")])), ["MSG-C1"], "{odd}");
        assert_eq!(broken(&driven(&[(10, odd), (1_010, "close 1000")])), [""; 0], "{odd}");
        assert_eq!(broken(&driven(&[(10, "close 1000"), (11, odd)])), [""; 0], "{odd}");
        let before_ready = [(0, "driven"), OPEN, ASKED, (10, odd), (20, "close 1000")];
        assert_eq!(broken(&before_ready), [""; 0], "{odd}");
    }
    assert_eq!(broken(&driven(&[(10, PROGRESS), (20, "close 1000")])), [""; 0]);
}

#[test]
fn nobody_dials_again_after_the_end() {
    let again = |first: &[(u64, &str)], dial: &str| broken(&driven(&joined(&[first, &[(1_000, dial)]])));
    let (lost, retryable) = (fatal("quota_exceeded"), fatal("overloaded"));
    for dial in ["@1 open", "@1 failed"] {
        assert_eq!(again(&[(10, END), (20, "dropped")], dial), ["REC-C3"]);
        assert_eq!(again(&[(10, "call 2 close"), (20, "close 1000")], dial), ["REC-C3"]);
        assert_eq!(again(&[(10, &lost), (20, "closed 4429")], dial), ["REC-C2"]);
        assert_eq!(again(&[(10, &retryable), (20, "closed 4503")], dial), [""; 0]);
        assert_eq!(again(&[(20, "dropped")], dial), [""; 0]);
    }
    let twice = [(20, "dropped"), (30, "@1 open"), (31, r#"@1 >{"type":"config"}"#)];
    let ready = format!("@1 {READY}");
    let sentinel = [(32, ready.as_str()), (33, r#"@1 >{"type":"end_of_stream"}"#), (34, "@1 dropped")];
    assert_eq!(broken(&driven(&joined(&[&twice, &sentinel, &[(50, "@2 open")]]))), ["REC-C3"]);
}

#[test]
fn all_of_the_input_is_sent_before_the_sentinel() {
    let cut = |rate: &str, bytes: u64, input: &'static str| {
        let (ready, audio) = (READY.replace("16000", rate), format!("audio {bytes}"));
        broken(&[(0, "driven"), OPEN, ASKED, (2, &ready), (5, &audio), (10, input), (11, END)])
    };
    assert_eq!(cut("16000", 95 * 32, "input 100"), [""; 0]);
    assert_eq!(cut("16000", 94 * 32, "input 100"), ["AUD-C3"]);
    assert_eq!(cut("16000", 94 * 32, "input"), [""; 0], "nobody knows how long it was");
    // Whoever resamples has an excuse for some milliseconds.
    assert_eq!(cut("8000", 40 * 16, "input 100"), [""; 0]);
    assert_eq!(cut("8000", 39 * 16, "input 100"), ["AUD-C3"]);
    let two = [(5, "dropped"), (6, "@1 open"), (7, r#"@1 >{"type":"config"}"#), (10, "input 9000")];
    let ready = format!("@1 {READY}");
    assert_eq!(broken(&driven(&joined(&[&two, &[(11, &ready), (12, r#"@1 >{"type":"end_of_stream"}"#)]]))), [""; 0]);
}

#[test]
fn whoever_leaves_when_its_input_is_over_leaves_a_sentinel() {
    for leaves in ["close 1000", "leaves"] {
        assert_eq!(broken(&driven(&[(10, "input"), (20, leaves)])), ["END-C1"]);
        let early = [(0, "driven"), OPEN, ASKED, (2, "input"), (3, READY), (20, leaves)];
        assert_eq!(broken(&early), ["STA-C1"]);
        assert_eq!(broken(&driven(&[(20, leaves)])), [""; 0], "its input is not over");
        assert_eq!(broken(&driven(&[(10, "input"), (11, "call 2 close"), (20, leaves)])), [""; 0]);
        assert_eq!(broken(&driven(&[(10, "input"), (11, &fatal("internal")), (20, leaves)])), [""; 0]);
        assert_eq!(broken(&driven(&[(10, "input"), (11, &ended(0, 0, 0)), (20, leaves)])), [""; 0]);
        assert_eq!(broken(&driven(&[(10, "input"), (11, "dropped"), (20, leaves)])), [""; 0]);
        assert_eq!(broken(&driven(&[(10, "input"), (20, leaves), (21, "dropped")])), ["END-C1"]);
        assert_eq!(broken(&[(0, "driven"), OPEN, ASKED, (10, "input"), (20, leaves)]), [""; 0], "there was no `ready`");
    }
}

#[test]
fn a_client_closes_with_1000_or_1002() {
    for (code, id) in
        [("close 1000", ""), ("close 1002", ""), ("close", ""), ("close 1001", "CLO-C5"), ("close 1011", "CLO-C5")]
    {
        assert_eq!(broken(&driven(&[(10, code)])).join(" "), id, "{code}");
        assert_eq!(broken(&driven(&[(5, "closed 1011"), (10, code)])), [""; 0], "it repeats the server's");
        assert_eq!(broken(&driven(&[(10, code), (11, "closed 1011")])).join(" "), id, "{code}");
    }
}

#[test]
fn the_end_follows_session_ended_within_two_seconds() {
    let last = ended(0, 0, 0);
    let takes = |sort: &[(u64, &'static str)], ms: u64, end: &'static str| {
        broken(&joined(&[sort, &[(10, END), (20, last.as_str()), (20 + ms, end)]]))
    };
    for (sort, end) in [(DRIVEN, "told ended complete"), (PROGRAM, "exit 0"), (PROGRAM, "close 1000")] {
        assert_eq!(takes(sort, 2_000, end), [""; 0], "{end}");
        assert_eq!(takes(sort, 2_001, end), ["END-C3"], "{end}");
    }
    let closed = [(10, END), (20, last.as_str()), (30, "close 1000"), (9_000, "exit 0")];
    assert_eq!(broken(&program(&closed)), [""; 0], "the Close is the end of the session");
    assert_eq!(broken(&driven(&[(10, END), (20, &last), (3_000, "close 1000")])), [""; 0], "its iterator went on");
}

#[test]
fn an_end_that_comes_at_the_same_time_whenever_the_word_comes_is_a_timers() {
    let one = |word_ms: u64, end_ms: u64| {
        let last = ended(0, 0, 0);
        let events = [(10, END.to_owned()), (10 + word_ms, last), (10 + end_ms, "told ended complete".to_owned())];
        DRIVEN.iter().map(|(ms, what)| (*ms, (*what).to_owned())).chain(events).collect::<Vec<_>>()
    };
    let two = |first: Vec<(u64, String)>, second: Vec<(u64, String)>| {
        let second =
            second.into_iter().map(|(ms, what)| (60_000 + ms, if what == "driven" { what } else { on_one(&what) }));
        let all: Vec<(u64, String)> = first.into_iter().chain(second).collect();
        broken(&all.iter().map(|(ms, what)| (*ms, what.as_str())).collect::<Vec<_>>())
    };
    assert_eq!(two(one(500, 1_600), one(1_500, 1_600)), ["END-C9"]);
    assert_eq!(two(one(501, 1_600), one(1_500, 1_600)), [""; 0], "the word did not move far enough");
    assert_eq!(two(one(500, 1_600), one(1_500, 1_849)), ["END-C9"]);
    assert_eq!(two(one(500, 1_600), one(1_500, 1_850)), [""; 0], "the end moved with it");
    assert_eq!(two(one(1_500, 1_600), one(500, 1_600)), ["END-C9"]);
    assert_eq!(broken(&lines(&one(500, 1_600))), [""; 0], "one run shows nothing");
}

/// The same on connection 1, where it is something on a connection.
fn on_one(what: &str) -> String {
    let is_apart = ["call", "told"].iter().any(|word| what.starts_with(word));
    if is_apart { what.to_owned() } else { format!("@1 {what}") }
}

fn lines(events: &[(u64, String)]) -> Vec<(u64, &str)> {
    events.iter().map(|(ms, what)| (*ms, what.as_str())).collect()
}

#[test]
fn a_run_that_never_connected_is_one_of_its_own() {
    let (first, second) = ([(0, "program"), (10, "exit 0")], [(100, "program"), (110, "@1 failed"), (120, "exit 1")]);
    assert_eq!(broken(&joined(&[&first, &second])), [""; 0]);
    let second = [(100, "program"), (110, "@1 failed"), (120, "exit 0")];
    assert_eq!(broken(&joined(&[&[(0, "program"), (10, "exit 1")], &second])), ["CON-C1"], "its own exit counts");
    // A session that only the wire shows, and then a run.
    let watched = [OPEN, ASKED, ACCEPTED, TAKEN, (20, END), (30, "dropped")];
    assert_eq!(broken(&joined(&[&watched, &second])), ["CON-C1"]);
}

#[test]
fn a_credential_is_in_no_url_in_no_log_and_in_nothing_that_is_told() {
    let url = format!("open ws://127.0.0.1/?token={SECRET}");
    let found = |events: &[(u64, &str)]| broken(&joined(&[&[(0, "driven")], events]));
    assert_eq!(found(&[(0, &url)]), ["SEC-C1"]);
    assert_eq!(found(&[(0, "open ws://127.0.0.1/?token=x")]), [""; 0]);
    let (told, code, failed) =
        (format!("told final 0 {SECRET}"), format!("told error {SECRET}"), format!("fails 1 start bad {SECRET}"));
    let logged = format!("logged debug: Bearer {SECRET}");
    for leak in [&told, &code, &failed, &logged] {
        assert_eq!(found(&[OPEN, (10, leak)]), ["SEC-C1"], "{leak}");
    }
    assert_eq!(found(&[OPEN, (10, "told final 0 right"), (10, "fails 1 start bad"), (11, "logged bad")]), [""; 0]);
}

#[test]
fn where_the_end_of_the_input_is_not_known_a_hang_shows_nothing() {
    let open_question = |events: &[(u64, &str)]| {
        let judgement = verdict(&program(events));
        assert!(judgement.findings.is_empty(), "{:?}", judgement.findings);
        judgement.undecided.keys().any(|id| id.as_str() == "END-C1")
    };
    assert!(open_question(&[(10, KEEPALIVE), (5_000, "gave_up")]));
    assert!(!open_question(&[(10, KEEPALIVE)]), "nobody gave up");
    assert!(!open_question(&[(10, "input"), (500, "gave_up")]));
    assert!(!open_question(&[(10, END), (5_000, "gave_up")]));
    assert!(!open_question(&[(10, "dropped"), (5_000, "gave_up")]));
    let never_ready = verdict(&[(0, "program"), OPEN, ASKED, (5_000, "gave_up")]);
    assert!(never_ready.undecided.is_empty());
    let blamed = verdict(&program(&[(10, FLUSH), (20_000, "gave_up")]));
    assert!(blamed.undecided.is_empty() && !blamed.findings.is_empty());
}
