//! What a driver sees: calls that come back or fail, and what the application is told of finals, flushes and errors.

use super::super::scene::{FLUSH, FLUSHED, ended, error, heard};
use super::*;

/// An orderly end by the driver after these events, at 9 s.
fn ends_well(events: &[(u64, &str)], finals: u64) -> Vec<String> {
    let last = ended(0, 0, finals);
    broken(&driven(&joined(&[
        events,
        &[(9_000, "call 9 end"), (9_001, END), (9_010, &last), (9_020, "told ended complete")],
    ])))
}

#[test]
fn audio_after_the_end_is_refused_aloud() {
    let push = |when: &[(u64, &str)]| broken(&driven(when));
    assert_eq!(push(&[(10, "call 2 end"), (11, END), (20, "call 3 push"), (21, "back 3 push")]), ["END-C6"]);
    assert_eq!(push(&[(10, "call 2 end"), (11, END), (20, "call 3 push"), (21, "fails 3 push late")]), [""; 0]);
    assert_eq!(push(&[(10, "call 2 end"), (11, END), (20, "call 3 push")]), [""; 0], "it may still fail");
    assert_eq!(push(&[(5, "call 3 push"), (10, "call 2 end"), (11, END), (21, "back 3 push")]), [""; 0]);
    assert_eq!(push(&[(10, "call 2 end"), (11, END), (20, "call 3 flush"), (21, "back 3 flush")]), [""; 0]);
    assert_eq!(push(&[(20, "call 3 push"), (21, "back 3 push")]), [""; 0]);
    let second = [(22, "call 4 push"), (23, "back 4 push")];
    let first_failed = [(10, "call 2 end"), (11, END), (20, "call 3 push"), (21, "fails 3 push late")];
    assert_eq!(push(&joined(&[&first_failed, &second])), ["END-C6"]);
}

#[test]
fn a_second_end_or_close_does_nothing_and_does_not_fail() {
    let calls = |one: &str, two: &str, outcome: &str| {
        let (one, two) = (format!("call 2 {one}"), format!("call 3 {two}"));
        broken(&driven(&[(10, END), (11, &one), (12, "back 2 end"), (13, &two), (14, outcome)]))
    };
    for what in ["end", "close"] {
        assert_eq!(calls(what, what, "fails 3 end again"), ["CLO-C3"], "{what}");
        assert_eq!(calls(what, what, "back 3 end"), [""; 0], "{what}");
        assert_eq!(calls(what, what, "fails 2 end first"), [""; 0], "the first may fail: {what}");
    }
    assert_eq!(calls("end", "close", "fails 3 close x"), [""; 0], "one of each");
    assert_eq!(calls("push", "push", "fails 3 push x"), [""; 0]);
    let last = ended(0, 0, 0);
    let told = [(10, END), (20, last.as_str()), (21, "told ended complete"), (22, "told ended complete")];
    assert_eq!(broken(&driven(&told)), ["CLO-C3"]);
    assert_eq!(broken(&program(&told)), [""; 0], "no driver tells");
}

#[test]
fn a_flush_is_sent_as_a_flush() {
    let flush = |more: &[(u64, &str)]| ends_well(more, 0);
    assert_eq!(flush(&[(10, "call 2 flush"), (11, FLUSH), (12, FLUSHED)]), [""; 0]);
    assert_eq!(flush(&[(10, "call 2 flush")]), ["FLU-C1"]);
    assert_eq!(flush(&[(10, "call 2 flush"), (11, FLUSH), (12, FLUSHED), (20, "call 3 flush")]), ["FLU-C1"]);
    assert_eq!(flush(&[(10, "call 2 flush"), (11, "fails 2 flush no")]), [""; 0], "it was refused");
    assert_eq!(flush(&[(10, "call 2 flush"), (11, "back 2 flush")]), ["FLU-C1"]);
    assert_eq!(broken(&driven(&[(10, "call 2 flush")])), [""; 0], "it may still come");
    assert_eq!(broken(&driven(&[(10, "call 2 end"), (11, "call 3 flush"), (12, END)])), [""; 0], "after the end");
    assert_eq!(broken(&driven(&[(10, "call 2 flush"), (11, FLUSH), (12, FLUSHED), (13, END)])), ["FLU-C2"]);
    assert_eq!(broken(&driven(&[(5, END), (10, "call 2 flush")])), ["FLU-C1"], "not its sentinel");
    let in_time = [(10, "call 2 flush"), (11, FLUSH), (12, FLUSHED), (13, "call 3 end"), (14, END)];
    assert_eq!(broken(&driven(&in_time)), [""; 0]);
    let too_soon = [(10, "call 2 flush"), (11, FLUSH), (12, FLUSHED), (13, END), (14, "call 3 end")];
    assert_eq!(broken(&driven(&too_soon)), ["FLU-C2"]);
}

#[test]
fn a_flush_that_never_reaches_the_wire_is_missed_without_a_sentinel_too() {
    let flush = |more: &[(u64, &str)]| broken(&driven(&joined(&[&[(10, "call 2 flush")], more])));
    // Five seconds that the server has, one for the client, and the grace: then its caller knows nothing yet.
    assert_eq!(flush(&[(6_610, "gave_up")]), [""; 0]);
    assert_eq!(flush(&[(6_611, "gave_up")]), ["FLU-C1"]);
    assert_eq!(flush(&[(11, FLUSH), (12, FLUSHED), (6_611, "gave_up")]), [""; 0]);
    assert_eq!(flush(&[(11, FLUSH), (12, FLUSHED), (20, "call 3 flush"), (9_000, "gave_up")]), ["FLU-C1"]);
    assert_eq!(flush(&[(5_000, "audio 640"), (9_000, "gave_up")]), [""; 0], "audio was before it");
    // Whoever ends by itself sends none any more.
    assert_eq!(flush(&[(20, "told ended incomplete")]), ["FLU-C1"]);
    assert_eq!(flush(&[(20, "close 1000")]), ["FLU-C1"]);
    assert_eq!(flush(&[(20, "leaves")]), ["FLU-C1"]);
    assert_eq!(flush(&[(20, "close 1000"), (30, "closed 1000")]), ["FLU-C1"], "its Close was answered");
    assert_eq!(flush(&[(20, "told ended incomplete"), (30, "dropped")]), ["FLU-C1"], "the server let go of it later");
    // Whose session is over sends none either, and is right.
    assert_eq!(flush(&[(15, "dropped"), (20, "told ended incomplete")]), [""; 0]);
    assert_eq!(flush(&[(15, "closed 1011"), (20, "told ended incomplete")]), [""; 0]);
    assert_eq!(flush(&[(15, &fatal("internal")), (20, "told ended error internal")]), [""; 0]);
    assert_eq!(flush(&[(15, &ended(0, 0, 0)), (20, "told ended incomplete")]), [""; 0]);
    assert_eq!(flush(&[(15, "call 3 close"), (20, "told ended cancelled")]), [""; 0]);
    assert_eq!(flush(&[(6_611, "dropped"), (6_620, "told ended incomplete")]), ["FLU-C1"], "it had all the time");
    assert_eq!(broken(&driven(&[(5, "deaf"), (10, "call 2 flush"), (9_000, "gave_up")])), [""; 0], "nobody read");
    assert_eq!(
        broken(&driven(&[(5, "told ended incomplete"), (10, "call 2 flush")])),
        [""; 0],
        "called behind its end"
    );
    let unready =
        [(0, "driven"), (0, "call 1 start"), (0, "open"), (1, CONFIG), (5, "call 2 flush"), (9_000, "gave_up")];
    assert_eq!(broken(&unready), [""; 0], "there was no session yet");
    assert_eq!(broken(&program(&[(10, "call 2 flush"), (9_000, "gave_up")])), [""; 0], "no driver calls");
}

#[test]
fn a_flush_that_is_not_answered_fails() {
    // Five seconds that the server has, one for the client, and the grace.
    let ends_at = |more: &[(u64, &str)], ms: u64| {
        let events = [(ms - 1, "dropped"), (ms, "told ended incomplete")];
        broken(&driven(&joined(&[&[(10, FLUSH)], more, &events])))
    };
    assert_eq!(ends_at(&[], 6_610), [""; 0]);
    assert_eq!(ends_at(&[], 6_611), ["FLU-C3"]);
    assert_eq!(ends_at(&[(20, FLUSHED)], 9_000), [""; 0]);
    assert_eq!(ends_at(&[(20, "told flush_failed")], 9_000), [""; 0]);
    assert_eq!(ends_at(&[(20, FLUSHED), (30, FLUSH)], 9_000), ["FLU-C3"], "the second one");
    assert_eq!(ends_at(&[(1_010, PROGRESS)], 7_610), [""; 0]);
    assert_eq!(ends_at(&[(1_010, PROGRESS)], 7_611), ["FLU-C3"]);
    let before =
        [(5, "told flush_failed"), (6, PROGRESS), (10, FLUSH), (6_610, "dropped"), (6_611, "told ended incomplete")];
    assert_eq!(broken(&driven(&before)), ["FLU-C3"], "what came before the flush says nothing of it");
    // The server's end counts where the client tells none, and the harness's patience where there is no end at all.
    assert_eq!(broken(&driven(&[(10, FLUSH), (6_610, "dropped")])), [""; 0]);
    assert_eq!(broken(&driven(&[(10, FLUSH), (6_611, "dropped")])), ["FLU-C3"]);
    assert_eq!(broken(&driven(&[(10, FLUSH), (9_000, "gave_up")])), ["FLU-C3"]);
    assert_eq!(broken(&driven(&[(10, FLUSH), (9_000, "audio 640")])), [""; 0], "nothing is over yet");
    assert_eq!(broken(&program(&[(10, FLUSH), (9_000, "dropped")])), [""; 0], "no driver would see it");
}

#[test]
fn every_final_reaches_the_application_once() {
    let (zero, one) = (heard(0, 0, 0), heard(1, 0, 0));
    let (zero, one) = (zero.as_str(), one.as_str());
    let told = |more: &[(u64, &str)]| ends_well(more, 2);
    assert_eq!(told(&[(10, zero), (11, one), (20, "told final 0 word 0"), (21, "told final 1 word 1")]), [""; 0]);
    assert_eq!(told(&[(10, zero), (11, one), (20, "told final 0 word 0")]), ["FIN-C1"]);
    assert_eq!(told(&[(10, zero), (11, one), (21, "told final 1 word 1")]), ["FIN-C1"]);
    let twice = [(10, zero), (20, "told final 0 word 0"), (21, "told final 0 word 0")];
    assert_eq!(told(&twice), ["FIN-C1"]);
    assert_eq!(told(&[(10, zero), (12, zero), (20, "told final 0 word 0")]), [""; 0], "the same again is no other");
    // Who does not pass on the segment is known by its text.
    assert_eq!(told(&[(10, zero), (11, one), (20, "told final - word 0"), (21, "told final - word 1")]), [""; 0]);
    assert_eq!(told(&[(10, zero), (20, "told final - word 1")]), ["FIN-C1"]);
    assert_eq!(told(&[(10, zero), (20, "told final - word 0"), (21, "told final - word 0")]), ["FIN-C1"]);
    assert_eq!(told(&[(10, zero), (20, "told final 0 other words")]), [""; 0], "its number is enough");
    // Partials stop where the final is.
    assert_eq!(told(&[(10, zero), (20, "told final 0 word 0"), (21, "told partial 0 wo")]), ["FIN-C1"]);
    assert_eq!(told(&[(10, zero), (19, "told partial 0 wo"), (20, "told final 0 word 0")]), [""; 0]);
    assert_eq!(told(&[(10, zero), (20, "told final 0 word 0"), (21, "told partial 1 wo")]), [""; 0]);
    assert_eq!(told(&[(10, zero), (20, "told final - word 0"), (21, "told partial - wo")]), [""; 0], "of which?");
}

#[test]
fn finals_that_nobody_owes_the_application_are_not_missed() {
    let (zero, last) = (heard(0, 0, 0), ended(0, 0, 0));
    let late = [(10, END), (20, last.as_str()), (21, zero.as_str()), (22, "told ended complete")];
    assert_eq!(broken(&driven(&late)), [""; 0], "it came after the end");
    let cut = [(10, zero.as_str()), (20, "dropped"), (22, "told ended incomplete")];
    assert_eq!(broken(&driven(&cut)), [""; 0], "the end did not come");
    let open = [(10, zero.as_str()), (11, END), (20, last.as_str())];
    assert_eq!(broken(&driven(&open)), [""; 0], "it may still tell");
}

#[test]
fn errors_reach_the_application_by_their_code_and_soon() {
    let internal = fatal("internal");
    let failed = |told: &[(u64, &str)]| {
        broken(&driven(&joined(&[&[(10, internal.as_str())], told, &[(2_000, "told ended error")]])))
    };
    assert_eq!(failed(&[(20, "told error internal")]), [""; 0]);
    assert_eq!(failed(&[(20, "told error overloaded")]), ["ERR-C1"]);
    assert_eq!(failed(&[]), ["ERR-C1"]);
    assert_eq!(failed(&[(20, "told other internal")]), ["ERR-C1"]);
    assert_eq!(failed(&[(20, "told error internal x again")]), [""; 0]);
    assert_eq!(failed(&[(20, "told error internal x never")]), ["ERR-C1"], "it may be retried");
    assert_eq!(failed(&[(1_510, "told error internal")]), [""; 0]);
    assert_eq!(failed(&[(1_511, "told error internal")]), ["ERR-C1"], "late");
    assert_eq!(broken(&driven(&[(10, &internal), (20, "told ended error internal")])), [""; 0], "with the end");
    assert_eq!(broken(&driven(&[(5, "told error internal"), (10, &internal), (20, "told ended error")])), ["ERR-C1"]);
    assert_eq!(broken(&driven(&[(10, &internal), (20, "closed 4500")])), [""; 0], "it has not ended yet");

    let refused = error("bad_message", false, "");
    let (one, two) = ((10, refused.as_str()), error("invalid_state", false, ""));
    assert_eq!(ends_well(&[one, (20, "told error bad_message")], 0), [""; 0]);
    assert_eq!(ends_well(&[one], 0), ["ERR-C2"]);
    assert_eq!(ends_well(&[one, (11, &two), (20, "told error bad_message")], 0), ["ERR-C2"]);
    assert_eq!(ends_well(&[(5, "told error bad_message"), one], 0), ["ERR-C2"]);
    assert_eq!(ends_well(&[one, (20, "told error - m")], 0), [""; 0], "by its text");
    assert_eq!(ends_well(&[one, (20, "told error - other")], 0), ["ERR-C2"]);
    assert_eq!(ends_well(&[one, (20, "told error invalid_state m")], 0), ["ERR-C2"], "by a wrong code");
    assert_eq!(ends_well(&[(5, "told error - m"), one], 0), ["ERR-C2"]);
}

/// A second connection, ready at half a second, that meets a fatal error of this code at 1.21 s; the first met `internal` at 10 ms.
fn two_fatal(second: &str, told: &[(u64, &str)]) -> Vec<String> {
    let (one, config, ready) = (fatal("internal"), format!("@1 {CONFIG}"), format!("@1 {READY}"));
    let two = format!("@1 {}", fatal(second));
    let first = [(10, one.as_str()), (20, "closed 1011")];
    let again = [(500, "@1 open"), (501, config.as_str()), (502, ready.as_str()), (600, "@1 audio 3200")];
    let mut events = joined(&[&first, &again, &[(1_210, two.as_str()), (1_220, "@1 closed 1011")], told]);
    events.sort_by_key(|(ms, _)| *ms);
    broken(&driven(&events))
}

#[test]
fn a_telling_is_of_one_fatal_error_and_who_dials_again_tells_each() {
    let ends = (1_300, "@1 told ended error");
    let (first, last) = ((15, "told error internal"), (1_215, "@1 told error internal"));
    assert_eq!(two_fatal("internal", &[first, last, ends]), [""; 0]);
    assert_eq!(two_fatal("internal", &[last, ends]), ["ERR-C1"], "only the last");
    assert_eq!(two_fatal("internal", &[first, ends]), ["ERR-C1"], "only the first");
    assert_eq!(
        two_fatal("internal", &[first, (1_300, "@1 told ended error internal")]),
        [""; 0],
        "the last by the end"
    );
    let late = [(1_212, "@1 told error internal"), last, ends];
    assert_eq!(two_fatal("internal", &late), [""; 0], "both on the second connection, and both in time");
    assert_eq!(two_fatal("internal", &[last, (1_511, "@1 told error internal"), (1_600, ends.1)]), [""; 0]);
    assert_eq!(two_fatal("internal", &[(1_511, last.1), (1_512, last.1), (1_600, ends.1)]), ["ERR-C1"], "late");
    // Where the codes differ nothing has to be counted.
    let other = (1_215, "@1 told error going_away");
    assert_eq!(two_fatal("going_away", &[first, other, ends]), [""; 0]);
    assert_eq!(two_fatal("going_away", &[other, (1_300, "@1 told ended error going_away")]), ["ERR-C1"]);
    assert_eq!(two_fatal("going_away", &[first, (1_300, "@1 told ended error internal")]), ["ERR-C1"]);
}

#[test]
fn an_error_that_a_reset_cut_off_need_not_have_been_read() {
    let (internal, forbidden, refused) = (fatal("internal"), fatal("forbidden"), error("bad_message", false, ""));
    let cut = |error: &str, reset: u64, ended: &'static str| {
        broken(&driven(&[(10, error), (reset, "dropped"), (reset + 10, ended)]))
    };
    for error in [&internal, &forbidden] {
        assert_eq!(cut(error, 20, "told ended incomplete"), [""; 0], "it did not read it");
        assert_eq!(cut(error, 20, "told ended error internal"), [""; 0], "it did");
        assert_eq!(cut(error, 1_510, "told ended incomplete"), [""; 0]);
        assert_eq!(cut(error, 1_511, "told ended incomplete"), ["ERR-C1"], "it had all the time");
    }
    assert_eq!(cut(&internal, 20, "told ended complete"), ["ERR-C3"], "a reset is no end");
    assert_eq!(cut(&refused, 20, "told ended incomplete"), [""; 0]);
    assert_eq!(cut(&refused, 1_510, "told ended incomplete"), [""; 0]);
    assert_eq!(cut(&refused, 1_511, "told ended incomplete"), ["ERR-C2"]);
    let closed = [(10, internal.as_str()), (20, "closed 1011"), (30, "told ended incomplete")];
    assert_eq!(broken(&driven(&closed)), ["ERR-C1"], "a Close cuts nothing off");
    // Who has not read that it must not dial again may do so, and has until then.
    let again = |how: &str| {
        let (config, ready, end) = (format!("@1 {CONFIG}"), format!("@1 {READY}"), format!("@1 {END}"));
        let last = format!("@1 {}", ended(0, 0, 0));
        let more = [(10, forbidden.as_str()), (20, how), (400, "@1 open"), (401, &config), (402, &ready), (410, &end)];
        broken(&driven(&joined(&[&more, &[(420, &last), (430, "@1 told ended complete")]])))
    };
    assert_eq!(again("dropped"), [""; 0]);
    assert_eq!(again("closed 4403"), ["REC-C2", "ERR-C1"]);
    let waits = |how: &str| broken(&driven(&[(10, forbidden.as_str()), (20, how), (9_000, "gave_up")]));
    assert_eq!(waits("dropped"), [""; 0]);
    assert_eq!(waits("closed 4403"), ["ERR-C1"]);
}

#[test]
fn an_application_that_cancels_is_told_no_error_any_more() {
    let (internal, refused) = (fatal("internal"), error("bad_message", false, ""));
    let cancelled = |error: &str, close: u64| {
        let mut events = vec![(10, error), (close, "call 2 close"), (2_000, "told ended cancelled")];
        events.sort_by_key(|(ms, _)| *ms);
        broken(&driven(&events))
    };
    for error in [&internal, &refused] {
        assert_eq!(cancelled(error, 5), [""; 0], "it crossed it");
        assert_eq!(cancelled(error, 1_510), [""; 0]);
    }
    assert_eq!(cancelled(&internal, 1_511), ["ERR-C1"]);
    assert_eq!(cancelled(&refused, 1_511), ["ERR-C2"]);
    // Nor is one who had left.
    let left = |error: &str, left: u64| {
        let mut events = vec![(10, error), (left, "leaves"), (2_000, "told ended incomplete")];
        events.sort_by_key(|(ms, _)| *ms);
        broken(&driven(&events))
    };
    assert_eq!((left(&internal, 5), left(&refused, 5)), (vec![], vec![]));
    assert_eq!(left(&internal, 15), ["ERR-C1"]);
    assert_eq!(left(&refused, 15), ["END-C1", "ERR-C2"], "that ended nothing");
}

#[test]
fn nothing_of_a_session_outlives_it() {
    let last = ended(0, 0, 0);
    let left = |told: &str| broken(&driven(&[(10, END), (20, &last), (30, "told ended complete"), (40, told)]));
    assert_eq!(left("told left 0"), [""; 0]);
    assert_eq!(left("told left 1"), ["END-C3"]);
    assert_eq!(left("told left"), [""; 0], "not counted");
    let cancelled = [(10, "call 2 close"), (20, "close 1000"), (30, "told ended cancelled"), (40, "told left 2")];
    assert_eq!(broken(&driven(&cancelled)), ["END-C3"]);
    let given_up = [(10, "gave_up"), (20, "told ended cancelled"), (40, "told left 2")];
    assert_eq!(broken(&driven(&given_up)), [""; 0], "who was given up could not clean up");
}

/// What is broken by so many connections with 100 ms of audio each, of which every one but the last is lost, and by these finals that
/// the application is told at the end.
fn told_over(connections: u32, finals: &[&str]) -> Vec<String> {
    let mut events = vec![(0, "driven".to_owned()), (0, "call 1 start".to_owned())];
    let mut at_ms = 0;
    for conn in 0..connections {
        let mut on = |ms: u64, what: &str| events.push((at_ms + ms, format!("@{conn} {what}")));
        on(0, "open");
        on(1, CONFIG);
        on(2, READY);
        on(10, "audio 3200");
        if conn + 1 < connections {
            on(20, "dropped");
        } else {
            on(20, "call 9 end");
            on(21, END);
            finals.iter().enumerate().for_each(|(index, _)| on(30, &heard(index as u64, 0, 100)));
            on(31, &ended(100, 0, finals.len() as u64));
            finals.iter().for_each(|one| on(40, &format!("told final {one}")));
            on(50, if connections > 1 { "told ended incomplete" } else { "told ended complete" });
        }
        at_ms += 500;
    }
    broken(&events.iter().map(|(ms, what)| (*ms, what.as_str())).collect::<Vec<_>>())
}

#[test]
fn times_go_on_where_they_were_on_every_connection_that_follows() {
    let (first, next, back) = ("0@0-100 word 0", "1@100-200 word 1", "1@99-200 word 1");
    for connections in [2, 3] {
        assert_eq!(told_over(connections, &[first, next]), [""; 0], "{connections}");
        assert_eq!(told_over(connections, &[first, back]), ["TIM-C1"], "{connections}");
    }
    assert_eq!(told_over(1, &[first, back]), [""; 0], "nothing was dialled again: the times are the server's");
}

#[test]
fn a_close_of_what_is_over_fails_nobody() {
    let told = [(20, "told ended incomplete")];
    let closes = |events: &[(u64, &str)]| broken(&driven(&joined(&[&[(10, "dropped")], &told, events])));
    assert_eq!(closes(&[(30, "call 2 close"), (31, "back 2 close")]), [""; 0]);
    assert_eq!(closes(&[(30, "call 2 close"), (31, "fails 2 close why")]), ["CLO-C3"]);
    let message = |events: &[(u64, &str)]| verdict(&driven(events)).findings.first().map(|one| one.message.clone());
    let dropped = [(10, "dropped"), (20, "told ended incomplete"), (30, "call 2 close"), (31, "fails 2 close why")];
    assert_eq!(message(&dropped).as_deref(), Some("a close after the end of the session failed"));
    let twice = [(10, "call 2 close"), (11, "close 1000"), (20, "call 3 close"), (21, "fails 3 close why")];
    assert_eq!(message(&twice).as_deref(), Some("a second close failed"));
    // One that is refused while the session stands cancels nothing.
    let refused = [(10, "call 2 close"), (11, "fails 2 close why"), (12, "dropped"), (20, "told ended incomplete")];
    assert_eq!(broken(&driven(&refused)), [""; 0]);
    let shown = verdict(&driven(&joined(&[&[(10, "dropped")], &told, &[(30, "call 2 close"), (31, "back 2 close")]])));
    assert!(shown.exercised.iter().any(|id| id.as_str() == "CLO-C3"));
}

#[test]
fn words_that_are_not_raised_tell_no_error() {
    let fatal = error("internal", true, "").replace(r#""message":"m""#, r#""message":"the engine is gone""#);
    let ends = |raised: Option<bool>| {
        let mut trace = run(&driven(&[(10, &fatal), (20, "told ended error")]));
        let text = Some("Failed: the engine is gone".to_owned());
        let told = Told { outcome: Some(ClientOutcome::Error), raised, text, ..Told::new(ToldWhat::Ended) };
        trace.events.last_mut().expect("an event").kind = EventKind::Told(told);
        let found = judge(&trace, &Options::default()).findings;
        found.iter().map(|one| one.requirement.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(ends(Some(true)), [""; 0]);
    for raised in [None, Some(false)] {
        assert_eq!(ends(raised), ["ERR-C1"], "{raised:?}");
    }
}

#[test]
fn a_close_of_a_session_whose_start_failed_cancels_nothing() {
    let begun = |start: &str| {
        let start = [(0, "driven"), (0, "call 1 start"), (0, "open"), (1, CONFIG), (2, READY), (3, start)];
        let closed = [(10, "call 2 close"), (11, "back 2 close"), (20, "told ended complete")];
        broken(&joined(&[&start, &closed]))
    };
    assert_eq!(begun("back 1 start"), ["END-C7"]);
    assert_eq!(begun("fails 1 start why"), ["END-C5"]);
}

#[test]
fn a_call_that_does_not_come_back_with_the_session_outlives_it() {
    let waits = |call: &str, left_ms: u64, more: &[(u64, &str)]| {
        let events = [(5, call), (10, "dropped"), (20, "told ended incomplete"), (left_ms, "told left 0")];
        let mut events = joined(&[&events, more]);
        events.sort_by_key(|(ms, _)| *ms);
        broken(&driven(&joined(&[&[(3, "back 1 start")], &events])))
    };
    for call in ["call 2 push", "call 2 flush", "call 2 end"] {
        assert_eq!(waits(call, 1_520, &[]), [""; 0], "{call}");
        assert_eq!(waits(call, 1_521, &[]), ["END-C3"], "{call}");
        let back = format!("fails 2 {} why", &call[7..]);
        assert_eq!(waits(call, 3_000, &[(2_900, &back)]), [""; 0], "{call}: it came back, however late");
    }
    // One that was made later has its time from there.
    assert_eq!(waits("call 2 push", 3_020, &[(6, "back 2 push"), (1_520, "call 3 close")]), [""; 0]);
    assert_eq!(waits("call 2 push", 3_021, &[(6, "back 2 push"), (1_520, "call 3 close")]), ["END-C3"]);
}

#[test]
fn a_flush_is_answered_by_the_server_and_not_by_the_client() {
    let asked = [(10, "call 2 flush"), (11, FLUSH)];
    let told = |told_ms: u64, answered_ms: u64| {
        let mut events =
            vec![(answered_ms, FLUSHED), (told_ms, "told flushed 2"), (90, "dropped"), (91, "told ended incomplete")];
        events.sort_by_key(|(ms, _)| *ms);
        broken(&driven(&joined(&[&asked, &events])))
    };
    assert_eq!(told(21, 20), [""; 0]);
    assert_eq!(told(20, 21), ["FLU-C3"]);
    assert_eq!(
        broken(&driven(&joined(&[&asked, &[(12, "told flushed 2"), (90, "dropped"), (91, "told ended incomplete")]]))),
        ["FLU-C3"]
    );
}

#[test]
fn a_fatal_error_is_told_as_it_came() {
    let error = error("internal", true, "");
    let tells = |fatal: Option<bool>, retryable: Option<bool>| {
        let mut trace =
            run(&driven(&[(10, error.as_str()), (20, "told error internal"), (30, "told ended error internal")]));
        let mut told = Told::new(ToldWhat::Error);
        (told.code, told.fatal, told.retryable) = (Some("internal".to_owned()), fatal, retryable);
        let at = trace.events.len() - 2;
        trace.events[at].kind = EventKind::Told(told);
        let found = judge(&trace, &Options::default()).findings;
        found.iter().map(|finding| finding.requirement.as_str().to_owned()).collect::<Vec<_>>()
    };
    let is_retryable = error.contains(r#""retryable":true"#);
    assert_eq!(tells(None, None), [""; 0], "what is not passed on is not wrong");
    assert_eq!(tells(Some(true), Some(is_retryable)), [""; 0]);
    assert_eq!(tells(Some(false), Some(is_retryable)), ["ERR-C1"]);
    assert_eq!(tells(Some(true), Some(!is_retryable)), ["ERR-C1"]);
}
