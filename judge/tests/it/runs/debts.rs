//! What a client owes, to the millisecond: at its bound with the grace nothing is late yet, a millisecond later it is.

use lastword_judge::{Judgement, Monitor, Options};
use lastword_spec::requirements::{ERR_C1, ERR_C2};

use super::super::scene::{FLUSH, KEEPALIVE, ended, heard};
use super::*;

/// Given up `bound_ms` after what happened at 10 ms, and a millisecond later.
fn owes(bound_ms: u64, id: &str, before: &[(u64, &str)]) {
    let gave_up_at = |ms| broken(&joined(&[before, &[(ms, "gave_up")]]));
    assert_eq!(gave_up_at(10 + bound_ms), [""; 0], "{id}: in time");
    assert_eq!(gave_up_at(10 + bound_ms + 1), [id], "{id}: late");
}

/// The same for a client with a driver, and for a program, which also has to exit.
fn either_owes(driven_ms: u64, program_ms: u64, id: &str, events: &[(u64, &str)]) {
    owes(driven_ms, id, &joined(&[&[(0, "driven")], events]));
    owes(program_ms, id, &joined(&[&[(0, "program")], events]));
}

const OPEN: (u64, &str) = (0, "open");
const ASKED: (u64, &str) = (1, CONFIG);
const ACCEPTED: (u64, &str) = (2, READY);

#[test]
fn before_ready_a_client_owes_its_config_and_then_an_end() {
    either_owes(11_000, 11_000, "CFG-C1", &[(10, "open")]);
    either_owes(12_100, 16_500, "CON-C2", &[OPEN, (10, CONFIG)]);
    either_owes(12_100, 16_500, "CON-C1", &[(10, "failed")]);
    either_owes(12_100, 16_500, "CON-C1", &[(10, "refused")]);
    // It may back off and dial again.
    either_owes(12_100, 16_500, "CON-C3", &[OPEN, ASKED, (10, "closed 1011")]);
    either_owes(12_100, 16_500, "CON-C3", &[OPEN, (10, "dropped")]);
    either_owes(12_100, 16_500, "ERR-C1", &[OPEN, ASKED, (10, &fatal("overloaded"))]);
}

#[test]
fn progress_extends_the_wait_for_ready_to_a_minute_in_all() {
    let waits = |told_ms: u64, bound_ms: u64| {
        let config_ms = 10;
        let events = [(0, "driven"), OPEN, (config_ms, CONFIG), (config_ms + told_ms, PROGRESS)];
        let late_at = |ms| broken(&joined(&[&events, &[(ms, "gave_up")]]));
        assert_eq!(late_at(config_ms + told_ms + bound_ms), [""; 0], "{told_ms}");
        assert_eq!(late_at(config_ms + told_ms + bound_ms + 1), ["CON-C2"], "{told_ms}");
    };
    waits(40_000, 12_100);
    waits(50_000, 12_100);
    // Five seconds are left of the minute, and a second to end.
    waits(55_000, 6_600);
    waits(70_000, 1_500);
}

#[test]
fn whoever_was_told_the_end_ends() {
    let last = ended(0, 0, 0);
    let told = [OPEN, ASKED, ACCEPTED, (3, END), (10, last.as_str())];
    owes(1_500, "END-C3", &joined(&[&[(0, "driven")], &told]));
    owes(1_500, "END-C3", &joined(&[&[(0, "program")], &told]));
    // After its Close a program has to exit; with a driver the end of the iterator counts, whatever was closed.
    let closed = [OPEN, ASKED, ACCEPTED, (3, END), (4, last.as_str()), (10, "close 1000")];
    owes(5_500, "END-C3", &joined(&[&[(0, "program")], &closed]));
    owes(1_494, "END-C3", &joined(&[&[(0, "driven")], &closed]));
    let lost = |driven_ms, program_ms, id, what: &[(u64, &str)]| {
        either_owes(driven_ms, program_ms, id, &joined(&[&[OPEN, ASKED, ACCEPTED], what]));
    };
    // After its sentinel and after a cancel nobody dials again, nor after an error that says so.
    lost(3_500, 7_700, "ERR-C1", &[(10, &fatal("auth_failed"))]);
    lost(3_500, 7_700, "CLO-C4", &[(10, "call 1 close"), (11, "close 1000")]);
    lost(3_500, 7_700, "CLO-C4", &[(10, "call 1 close"), (11, "leaves")]);
    lost(1_500, 5_500, "END-C5", &[(4, END), (10, "closed 1001")]);
    lost(1_500, 5_500, "END-C5", &[(4, END), (10, "dropped")]);
    // The first of the two that ended it counts.
    lost(3_500, 7_700, "CLO-C4", &[(10, "call 1 close"), (11, "close 1000"), (1_000, "leaves")]);
    lost(1_500, 5_500, "END-C5", &[(4, END), (10, "closed 1001"), (1_000, "dropped")]);
}

#[test]
fn whoever_lost_its_connection_in_the_middle_may_back_off_before_it_dials_again() {
    for (id, what) in [("CLO-C4", "close 1000"), ("CLO-C4", "leaves"), ("END-C5", "closed 1001"), ("END-C5", "dropped")]
    {
        either_owes(12_100, 16_500, id, &[OPEN, ASKED, ACCEPTED, (10, what)]);
    }
    either_owes(12_100, 16_500, "ERR-C1", &[OPEN, ASKED, ACCEPTED, (10, &fatal("internal"))]);
    // What the server says of its end after such an error ends the session, and not the client.
    let last = ended(0, 0, 0);
    either_owes(12_100, 16_500, "ERR-C1", &[OPEN, ASKED, ACCEPTED, (10, &fatal("internal")), (20, &last)]);
    let patient = READY.replace(r#""close_ms":2000"#, r#""close_ms":20000"#);
    either_owes(23_100, 27_500, "CLO-C4", &[OPEN, ASKED, (2, &patient), (10, "leaves")]);
}

#[test]
fn who_may_dial_again_after_an_error_need_not_end_with_what_the_server_says_of_its_end() {
    let last = ended(0, 0, 0);
    let ends = |code: &str| {
        let told = format!("told error {code}");
        broken(&driven(&[(10, &fatal(code)), (20, &last), (30, &told), (6_000, "told ended error")]))
    };
    assert_eq!(ends("internal"), [""; 0]);
    assert_eq!(ends("auth_failed"), ["END-C3"]);
}

#[test]
fn pauses_between_upgrades_that_nobody_answers_are_learnt_from_the_dials() {
    let silent = |again_ms: u64, after_ms: u64| {
        let end_ms = again_ms + after_ms;
        broken(&[(0, "driven"), (0, "deaf"), (again_ms, "@1 deaf"), (end_ms, "@1 gave_up")])
    };
    // A second to end, ten to connect, and the pause.
    assert_eq!(silent(3_000, 23_100), [""; 0]);
    assert_eq!(silent(3_000, 23_101), ["CON-C1"]);
    assert_eq!(silent(5_000, 28_600), [""; 0]);
    assert_eq!(silent(5_000, 28_601), ["CON-C1"]);
}

#[test]
fn a_pause_between_two_dials_may_be_three_times_the_longest_before() {
    let (config, ready) = (format!("@1 {CONFIG}"), format!("@1 {READY}"));
    let waits = |pause_ms: u64, bound_ms: u64, over: &str| {
        let again_ms = 10 + pause_ms;
        let second =
            [(0, "@1 open"), (1, &config), (2, &ready), (3, "@1 dropped")].map(|(ms, what)| (again_ms + ms, what));
        let gave_up_at = |ms| broken(&driven(&joined(&[&[(10, over)], &second, &[(again_ms + 3 + ms, "@1 gave_up")]])));
        assert_eq!(gave_up_at(bound_ms), [""; 0], "{pause_ms} {over}: in time");
        assert_eq!(gave_up_at(bound_ms + 1), ["END-C5"], "{pause_ms} {over}: late");
    };
    waits(100, 12_100, "dropped");
    waits(3_333, 12_100, "dropped");
    waits(5_000, 17_600, "dropped");
    waits(5_000, 17_600, "leaves");
    waits(5_000, 17_600, "close 1000");
}

#[test]
fn whoever_waits_for_the_end_waits_as_long_as_announced_and_no_longer() {
    either_owes(17_600, 22_000, "END-C5", &[OPEN, ASKED, ACCEPTED, (10, END)]);
    let final_0 = heard(0, 0, 0);
    for moves in [PROGRESS, &final_0, r#"<{"type":"flushed","id":"f"}"#] {
        either_owes(17_600, 22_000, "END-C5", &[OPEN, ASKED, ACCEPTED, (5, END), (10, moves)]);
        either_owes(17_600, 22_000, "END-C5", &[OPEN, ASKED, ACCEPTED, (5, moves), (10, END)]);
    }
    let warning = r#"<{"type":"warning","code":"c","message":"m"}"#;
    either_owes(17_600, 22_000, "END-C5", &[OPEN, ASKED, ACCEPTED, (10, END), (1_000, warning)]);
    let patient = READY.replace(r#""drain_ms":15000"#, r#""drain_ms":20000"#);
    either_owes(23_100, 27_500, "END-C5", &[OPEN, ASKED, (2, &patient), (10, END)]);
}

#[test]
fn the_end_of_the_input_is_passed_on_within_a_second() {
    owes(1_500, "END-C1", &driven(&[(10, "input")]));
    owes(1_500, "END-C1", &program(&[(10, "input 100")]));
    owes(1_500, "END-C1", &program(&[(10, "input"), (900, "input")]));
    // Input that was over before `ready` came counts from there.
    owes(1_500, "STA-C1", &[(0, "driven"), OPEN, ASKED, (5, "input"), (10, READY)]);
    // A sentinel that nobody reads may have been sent.
    assert_eq!(broken(&driven(&[(5, "deaf"), (10, "input"), (3_000, "gave_up")])), [""; 0]);
    assert_eq!(broken(&driven(&[(5, "deaf"), (10, "input"), (20, "reads"), (3_000, "gave_up")])), ["END-C1"]);
}

#[test]
fn a_silent_client_owes_a_keepalive_and_a_deaf_session_its_end() {
    owes(11_000, "KA-C1", &driven(&[(10, "audio 640")]));
    owes(11_000, "KA-C1", &driven(&[(10, KEEPALIVE)]));
    owes(11_000, "KA-C1", &program(&[(10, KEEPALIVE), (500, FLUSH)]));
    // What was sent while nobody read is noted only when it is read.
    owes(11_000, "KA-C1", &driven(&[(3, KEEPALIVE), (4, "deaf"), (10, "reads")]));
    owes(11_000, "KA-C1", &driven(&[(3, "deaf"), (4, "reads"), (10, KEEPALIVE)]));
    let speaks: Vec<(u64, &str)> = (1..=8).map(|count| (count * 9_000, KEEPALIVE)).collect();
    // Twice the idle timeout, and a second to end; from the last that was heard, a Ping included.
    owes(67_100, "KA-C4", &driven(&joined(&[&[(10, PROGRESS)], &speaks])));
    owes(67_100, "KA-C4", &driven(&joined(&[&[(10, "pong")], &speaks])));
    owes(67_100, "KA-C4", &driven(&joined(&[&[(10, "ping")], &speaks])));
    owes(67_100, "KA-C4", &driven(&joined(&[&[(10, "sound")], &speaks])));
    owes(71_500, "KA-C4", &program(&joined(&[&[(10, PROGRESS)], &speaks])));
    // When it leaves nobody sees, nor whether it backs off.
    owes(78_100, "KA-C4", &driven(&[(10, PROGRESS), (20, "deaf")]));
    // Whoever is cancelled ends, whether its Close is read or not.
    owes(3_500, "CLO-C4", &driven(&[(10, "call 2 close"), (11, PROGRESS), (20, "deaf")]));
}

#[test]
fn who_is_cancelled_owes_its_end_wherever_the_session_is() {
    let cancelled = |before: &[(u64, &str)]| owes(3_500, "CLO-C4", &joined(&[before, &[(10, "call 2 close")]]));
    let begun = [(0, "driven"), (0, "call 1 start"), (0, "back 1 start")];
    cancelled(&joined(&[&begun, &[(1, "deaf")]]));
    cancelled(&joined(&[&begun, &[OPEN]]));
    cancelled(&joined(&[&begun, &[OPEN, ASKED]]));
    cancelled(&joined(&[&begun, &[OPEN, ASKED, ACCEPTED]]));
    cancelled(&joined(&[&begun, &[OPEN, ASKED, ACCEPTED, (3, "audio 640"), (4, END)]]));
    // Where the session begins later, the close is made later; where it never does, or the close is refused, nothing is cancelled.
    let waits = [(0, "driven"), (0, "call 1 start"), OPEN, ASKED];
    owes(3_500, "CLO-C4", &joined(&[&waits, &[(5, "call 2 close"), (10, "back 1 start")]]));
    owes(3_500, "CLO-C4", &joined(&[&waits, &[(5, "call 2 close"), (10, READY)]]));
    owes(12_091, "CON-C2", &joined(&[&waits, &[(5, "call 2 close")]]));
    owes(12_091, "CON-C2", &joined(&[&begun, &[OPEN, ASKED, (5, "call 2 close"), (6, "fails 2 close why")]]));
    let told = verdict(&joined(&[&begun, &[OPEN, ASKED, (10, "call 2 close"), (9_000, "gave_up")]]));
    assert_eq!(told.findings[0].message, "did not end although its application cancelled at 0.01 s");
}

#[test]
fn who_is_cancelled_ends_within_the_closing_bound() {
    let ends = |ms| broken(&driven(&[(10, "call 2 close"), (11, "close 1000"), (ms, "told ended cancelled")]));
    assert_eq!(ends(4_010), [""; 0]);
    assert_eq!(ends(4_011), ["CLO-C4"]);
}

#[test]
fn a_push_waits_for_room_and_not_for_nothing() {
    let waits = |since: &[(u64, &str)]| owes(5_500, "BP-C1", &driven(since));
    waits(&[(10, "call 2 push")]);
    waits(&[(3, "call 2 push"), (10, "audio 640")]);
    waits(&[(3, "call 2 push"), (4, "deaf"), (10, "reads")]);
    let gave_up = |events: &[(u64, &str)]| broken(&driven(&joined(&[events, &[(8_500, "gave_up")]])));
    assert_eq!(gave_up(&[(3, "call 2 push"), (4, "back 2 push")]), [""; 0]);
    assert_eq!(gave_up(&[(3, "call 2 push"), (4, "deaf")]), [""; 0], "nobody reads");
    // One that says nothing at all owes the keepalive first, and one that was lost its end.
    assert_eq!(broken(&driven(&[(10, "call 2 push"), (90_000, "gave_up")])), ["BP-C1"], "an interval of 10 s");
    let hasty = READY.replace(r#""keepalive_interval_ms":10000"#, r#""keepalive_interval_ms":2000"#);
    assert_ne!(hasty, READY);
    assert_eq!(broken(&[(0, "driven"), OPEN, ASKED, (2, &hasty), (10, "call 2 push"), (9_000, "gave_up")]), ["KA-C1"]);
    assert_eq!(broken(&driven(&[(3, "call 2 push"), (10, "dropped"), (90_000, "gave_up")])), ["END-C5"]);
    let told = verdict(&driven(&[(10, "call 2 push"), (8_500, "gave_up")]));
    let words =
        "its application has waited for a push since t=0.01 s, although the server reads and no audio is on its way";
    assert_eq!(told.findings[0].message, words);
}

#[test]
fn who_is_silent_and_hears_nothing_owes_the_keepalive_first() {
    // Both would be due at the same moment where the last word lies two idle timeouts less one interval behind the last heard.
    let at = |spoke_ms: u64| {
        let speaks: Vec<(u64, &str)> = (1..=5).map(|count| (count * 9_000, KEEPALIVE)).collect();
        broken(&driven(&joined(&[&[(10, PROGRESS)], &speaks, &[(spoke_ms, KEEPALIVE), (62_000, "gave_up")]])))
    };
    assert_eq!(at(50_009), ["KA-C1"]);
    assert_eq!(at(50_010), [""; 0]);
}

#[test]
fn where_only_the_wire_is_known_little_is_owed() {
    owes(11_000, "CFG-C1", &[(10, "open")]);
    owes(11_000, "KA-C1", &[OPEN, ASKED, (10, READY)]);
    owes(11_000, "KA-C1", &[OPEN, ASKED, ACCEPTED, (10, "audio 640")]);
    let last = ended(0, 0, 0);
    owes(2_500, "END-C3", &[OPEN, ASKED, ACCEPTED, (3, END), (10, &last)]);
    let hasty = READY.replace(r#""close_ms":2000"#, r#""close_ms":500"#);
    owes(1_500, "END-C3", &[OPEN, ASKED, (2, &hasty), (3, END), (10, &last)]);
    for nothing in [CONFIG, "leaves", "closed 1000"] {
        assert_eq!(broken(&[OPEN, (10, nothing), (90_000, "gave_up")]), [""; 0], "{nothing}");
    }
    for nothing in [END, "close 1000", "dropped"] {
        assert_eq!(broken(&[OPEN, ASKED, ACCEPTED, (10, nothing), (90_000, "gave_up")]), [""; 0], "{nothing}");
    }
}

#[test]
fn who_has_ended_owes_nothing_and_who_was_given_up_is_not_asked_again() {
    for (over, id) in [("exit 1", "SEC-C2"), ("told ended incomplete", "END-C1")] {
        assert_eq!(broken(&driven(&[(10, "input"), (100, over), (90_000, "gave_up")])), [id], "{over}");
        let found = verdict(&driven(&[(10, "input"), (100, over), (90_000, "gave_up")])).findings;
        assert_eq!(found[0].t_us, 100_000, "not when the harness gave up: {over}");
    }
    assert_eq!(broken(&driven(&[(10, "input"), (100, "gave_up"), (90_000, "gave_up")])), [""; 0]);
    // What follows was brought about by the harness.
    assert_eq!(broken(&driven(&[(10, END), (100, "gave_up"), (101, END), (102, "signal 9")])), [""; 0]);
    assert_eq!(broken(&driven(&[(10, END), (100, END)])), ["END-C2"]);
}

#[test]
fn what_is_owed_stands_in_the_ledger_with_its_bound() {
    let owed = |events: &[(u64, &str)]| {
        let trace = run(events);
        let mut monitor = Monitor::new(&trace.header, &Options::default());
        trace.events.iter().for_each(|event| monitor.observe(event));
        let client = monitor.owed(0).into_iter().find(|debt| debt.debtor == Side::Client);
        client.map(|debt| (debt.what, debt.since_us / 1_000, debt.due_us / 1_000, debt.event))
    };
    let last = ended(0, 0, 0);
    let owes = |what: &str, since_ms, due_ms, event| Some((what.to_owned(), since_ms, due_ms, event));
    assert_eq!(owed(&driven(&[(10, "input")])), owes("end_of_stream", 10, 1_510, 6));
    assert_eq!(owed(&driven(&[(10, END), (20, &last)])), owes("the end of its iterator", 20, 1_520, 7));
    assert_eq!(owed(&program(&[(10, END), (20, &last)])), owes("its Close", 20, 1_520, 5));
    assert_eq!(owed(&program(&[(10, END), (20, &last), (30, "close 1000")])), owes("its end", 30, 5_530, 6));
    // Whoever may dial again is told so.
    let again = "the end of its iterator, or a new connection";
    assert_eq!(owed(&driven(&[(10, "dropped")])), owes(again, 10, 12_110, 6));
    assert_eq!(owed(&program(&[(10, "dropped")])), owes("its end, or a new connection", 10, 16_510, 4));
    assert_eq!(owed(&driven(&[(5, END), (10, "dropped")])), owes("the end of its iterator", 10, 1_510, 7));
    assert_eq!(owed(&program(&[(5, END), (10, "dropped")])), owes("its end", 10, 5_510, 5));
    // Audio that was still on its way comes before the sentinel.
    assert_eq!(owed(&driven(&[(10, "input"), (500, "audio 640")])), owes("end_of_stream", 500, 2_000, 7));
    assert_eq!(owed(&driven(&[(5, "audio 640"), (10, "input")])), owes("end_of_stream", 10, 1_510, 7));
    let early = |last: (u64, &'static str)| {
        let mut events = vec![(0, "driven"), OPEN, ASKED, (5, "input"), (10, READY), last];
        events.sort_by_key(|(ms, _)| *ms);
        owed(&events)
    };
    assert_eq!(early((500, "audio 640")), owes("end_of_stream", 500, 2_000, 5));
    assert_eq!(early((7, "audio 640")), owes("end_of_stream", 10, 1_510, 5));
    assert_eq!(owed(&program(&[(10, "exit 0")])), None);
    assert_eq!(owed(&driven(&[(10, "told ended complete")])), None);
    assert_eq!(owed(&[(0, "driven")]), None);
    // A second run on another connection does not hide what the first one owes.
    assert_eq!(owed(&driven(&[(10, "input"), (20, "program"), (21, "@1 open")])), owes("end_of_stream", 10, 1_510, 6));
}

#[test]
fn who_dials_again_and_tells_the_gap_shows_what_it_made_of_the_loss() {
    let (config, ready) = (format!("@1 {CONFIG}"), format!("@1 {READY}"));
    let (end, last) = (format!("@1 {END}"), format!("@1 {}", ended(0, 0, 0)));
    let shows = |lost: &[(u64, &str)], again_ms: u64, outcome: &str| -> Vec<String> {
        let told = format!("@1 told ended {outcome}");
        let rest: [(u64, &str); 6] =
            [(0, "@1 open"), (1, &config), (2, &ready), (600, &end), (700, &last), (710, &told)];
        let rest = rest.map(|(ms, what)| (again_ms + ms, what));
        let judgement = verdict(&driven(&joined(&[&[(10, "audio 3200")], lost, &rest])));
        let of_losses = ["END-C5", "ERR-C3", "KA-C4", "KA-C5"];
        let seen = judgement.exercised.iter().map(|id| id.as_str().to_owned());
        seen.filter(|id| of_losses.contains(&id.as_str())).collect()
    };
    assert_eq!(shows(&[(20, "dropped")], 500, "incomplete"), ["END-C5", "ERR-C3", "KA-C5"]);
    assert_eq!(shows(&[(20, "dropped")], 500, "complete"), [""; 0], "it did not tell the gap");
    assert_eq!(shows(&[(20, "dropped"), (30, "call 5 push")], 500, "incomplete"), ["END-C5", "ERR-C3"]);
    assert_eq!(shows(&[(20, "closed 1011")], 500, "incomplete"), ["END-C5"]);
    assert_eq!(shows(&[(20, &fatal("overloaded")), (30, "dropped")], 500, "incomplete"), [""; 0], "an error ended it");
    // Twice the 30 s that a silence may last, a second more and its grace, and the pause before it dials.
    let deaf = [(12, "deaf")];
    assert_eq!(shows(&deaf, 30_001, "incomplete"), [""; 0], "it had no reason yet");
    assert_eq!(shows(&deaf, 30_002, "incomplete"), ["KA-C4"]);
    assert_eq!(shows(&deaf, 69_102, "incomplete"), ["KA-C4"]);
    assert_eq!(shows(&deaf, 69_103, "incomplete"), [""; 0]);
}

#[test]
fn a_fatal_error_reaches_the_application_also_of_who_dials_again_behind_it() {
    let (config, ready) = (format!("@1 {CONFIG}"), format!("@1 {READY}"));
    let (end, last) = (format!("@1 {END}"), format!("@1 {}", ended(0, 0, 0)));
    let judged = |end_of_first: &str, told: &str, outcome: &str| {
        let outcome = format!("@1 told ended {outcome}");
        let fatal = fatal("internal");
        let lost = [(10, "audio 3200"), (20, &fatal), (30, told), (40, end_of_first)];
        let second: [(u64, &str); 6] =
            [(500, "@1 open"), (501, &config), (502, &ready), (600, &end), (700, &last), (710, &outcome)];
        verdict(&driven(&joined(&[&lost, &second])))
    };
    let broke = |judgement: &Judgement| -> Vec<String> {
        judgement.findings.iter().map(|finding| finding.requirement.to_string()).collect()
    };
    let shows = |judgement: &Judgement| judgement.exercised.contains(&ERR_C1) && judgement.exercised.contains(&ERR_C2);
    let told = judged("closed 1011", "told error internal", "incomplete");
    assert_eq!((broke(&told), shows(&told)), (vec![], true));
    let other = judged("closed 1011", "told error overloaded", "incomplete");
    assert_eq!(broke(&other), ["ERR-C1"]);
    // It took what it sent again to be nothing lost: then it says nothing of the error either.
    assert!(!shows(&judged("closed 1011", "told error internal", "complete")));
    // The reset may have cut the error off.
    let reset = judged("dropped", "told error overloaded", "incomplete");
    assert_eq!((broke(&reset), shows(&reset)), (vec![], false));
}

#[test]
fn who_has_dialled_again_owes_nothing_on_a_connection_that_nobody_reads() {
    let silent = [(10, "audio 3200"), (12, "deaf")];
    assert_eq!(broken(&driven(&joined(&[&silent, &[(100_000, "gave_up")]]))), ["KA-C4"]);
    assert_eq!(broken(&driven(&joined(&[&silent, &[(70_000, "@1 open"), (100_000, "gave_up")]]))), [""; 0]);
}

#[test]
fn only_keepalives_are_owed_to_a_lost_transport_while_the_input_is_open() {
    let lost = |input: &[(u64, &'static str)]| {
        let mut events = driven(&[&[(10, "audio 3200"), (20, "dropped"), (100_000, "gave_up")], input].concat());
        events.sort_by_key(|(ms, _)| *ms);
        broken(&events)
    };
    assert_eq!(lost(&[]), ["KA-C5"]);
    assert_eq!(lost(&[(15, "input")]), ["END-C5"]);
    assert_eq!(lost(&[(30, "input")]), ["KA-C5"]);
    assert_eq!(lost(&[(30, "call 5 push")]), ["END-C5"]);
    assert_eq!(lost(&[(15, "call 5 push")]), ["KA-C5"]);
    assert_eq!(lost(&[(30, "call 5 flush")]), ["KA-C5"]);
}
