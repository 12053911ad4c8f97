//! Clients that dial again: whose budget was restored, who gave up although it was, and who may.

use super::super::scene::heard;
use super::*;

/// A connection that announces an idle timeout of 1 s.
fn ready() -> String {
    READY.replace(r#""idle_timeout_ms":30000"#, r#""idle_timeout_ms":1000"#)
}

/// One that is ready at `from`, takes audio for `lived` milliseconds, from 8 ms later on, and ends so.
fn session(conn: u32, from: u64, lived: u64, end: &str) -> Vec<(u64, String)> {
    let at = |ms: u64, what: &str| (ms, format!("@{conn} {what}"));
    let mut events = vec![at(from, "open"), at(from + 1, CONFIG), at(from + 2, &ready())];
    events.extend((from + 10..from + 10 + lived).step_by(500).map(|ms| at(ms, "audio 3200")));
    events.push(at(from + 10 + lived, end));
    events
}

/// Two connections that live for so long and end so, half a second apart.
fn two(first: (u64, &str), second: (u64, &str)) -> Vec<(u64, String)> {
    let next = 10 + first.0 + 500;
    [session(0, 0, first.0, first.1), session(1, next, second.0, second.1)].concat()
}

/// Two of 1.5 s in a row.
fn two_from(conn: u32, from: u64) -> Vec<(u64, String)> {
    [session(conn, from, 1_500, "dropped"), session(conn + 1, from + 2_010, 1_500, "dropped")].concat()
}

const LOST: (u64, &str) = (1_500, "dropped");
/// When the second of two such connections is lost.
const LAST_MS: u64 = 3_520;

/// What is broken when these stand in the order of their times, in a driven run or a program's.
fn told(first: &str, parts: &[&[(u64, String)]], more: &[(u64, &str)]) -> Vec<String> {
    let mut events: Vec<(u64, &str)> = parts.iter().copied().flatten().map(|(ms, what)| (*ms, what.as_str())).collect();
    events.extend_from_slice(more);
    events.sort_by_key(|(ms, _)| *ms);
    let begin: &[(u64, &str)] = if first == "driven" { &[(0, "driven"), (0, "call 1 start")] } else { &[(0, first)] };
    broken(&joined(&[begin, &events]))
}

fn driven_two(more: &[(u64, &str)]) -> Vec<String> {
    told("driven", &[&two(LOST, LOST)], more)
}

const ENDED: (u64, &str) = (3_600, "@1 told ended incomplete");

#[test]
fn who_dialled_again_once_and_gives_up_at_the_next_such_loss_did_not_restore_its_budget() {
    assert_eq!(driven_two(&[ENDED]), ["REC-C5"]);
    let by_close = two((1_500, "closed 1011"), (1_500, "closed 1011"));
    assert_eq!(told("driven", &[&by_close], &[ENDED]), ["REC-C5"]);
    let answered = [(1_511, "@0 close 1011"), (3_521, "@1 close 1011"), ENDED];
    assert_eq!(told("driven", &[&by_close], &answered), ["REC-C5"], "to answer a Close is not to leave");
    // Longer by what a client may need to see `ready`.
    assert_eq!(told("driven", &[&two(LOST, (1_250, "dropped"))], &[ENDED]), ["REC-C5"]);
    assert_eq!(told("driven", &[&two((1_250, "dropped"), LOST)], &[ENDED]), ["REC-C5"]);
    // What came later belongs to nothing any more.
    for late in ["@1 input 100", "@1 call 2 end"] {
        assert_eq!(driven_two(&[ENDED, (3_700, late)]), ["REC-C5"], "{late}");
    }
}

#[test]
fn its_words_say_what_was_lost_and_since_when() {
    let events = two(LOST, LOST);
    let lines: Vec<(u64, &str)> = events.iter().map(|(ms, what)| (*ms, what.as_str())).collect();
    let judgement = verdict(&joined(&[&[(0, "driven")], &lines, &[ENDED]]));
    let [finding] = judgement.findings.as_slice() else { panic!("{:?}", judgement.findings) };
    let lived =
        "ready and lived for 1.50 s, longer than idle_timeout_ms (1.00 s), although it had dialled again after 1 such";
    assert!(finding.message.contains(lived), "{}", finding.message);
    assert_eq!((finding.conn, finding.t_us, finding.frames.as_slice()), (1, 3_600_000, [10, 14, 15].as_slice()));
}

#[test]
fn nobody_is_blamed_for_a_loss_that_restores_nothing_or_is_another() {
    let none: [&str; 0] = [];
    assert_eq!(
        told("driven", &[&session(0, 0, 1_500, "dropped")], &[(1_600, "told ended incomplete")]),
        none,
        "it dials never"
    );
    assert_eq!(told("driven", &[&two(LOST, (1_249, "dropped"))], &[ENDED]), none, "it lived too short");
    assert_eq!(told("driven", &[&two((1_249, "dropped"), LOST)], &[ENDED]), none, "another loss before");
    assert_eq!(told("driven", &[&two(LOST, (1_500, "closed 1011"))], &[ENDED]), none, "a Close");
    assert_eq!(told("driven", &[&two((1_500, "closed 1001"), (1_500, "closed 1011"))], &[ENDED]), none, "another code");
    let last = heard(0, 0, 100);
    let with_final = format!("@0 {last}");
    assert_eq!(driven_two(&[(700, &with_final), (3_590, "@1 told final 0 one"), ENDED]), none, "a final before");
    let retryable = fatal("internal");
    let on = |conn: u32, what: &str| format!("@{conn} {what}");
    let said = [(3_550, "@1 told error internal"), (3_600, "@1 told ended error internal")];
    let once = on(1, &retryable);
    assert_eq!(driven_two(&[&[(3_400, once.as_str())], said.as_slice()].concat()), none, "an error before");
    let both = [(1_400, on(0, &retryable)), (3_400, on(1, &retryable))];
    let both: Vec<(u64, &str)> = both.iter().map(|(ms, what)| (*ms, what.as_str())).collect();
    assert_eq!(driven_two(&[&both, said.as_slice()].concat()), ["REC-C5"], "the same error before");
    let silent = |conn, from: u64| {
        let mut events = session(conn, from, 1_500, "dropped");
        events.retain(|(_, what)| !what.contains("audio 3200"));
        let keepalive = format!("@{conn} >{{\"type\":\"keepalive\"}}");
        events.insert(3, (from + 500, keepalive));
        events
    };
    assert_eq!(told("driven", &[&silent(0, 0), &silent(1, 2_010)], &[ENDED]), none, "it shows not that it saw ready");
}

#[test]
fn nobody_is_blamed_who_had_another_reason_to_end() {
    let none: [&str; 0] = [];
    for reason in ["@1 input 100", "@1 call 2 end"] {
        assert_eq!(driven_two(&[(3_550, reason), ENDED]), none, "{reason}");
    }
    assert_eq!(driven_two(&[(3_550, "@1 call 2 close"), (3_600, "@1 told ended cancelled")]), none, "a cancel");
    let end = format!("@1 {END}");
    assert_eq!(driven_two(&[(3_400, "@1 input 800"), (3_450, &end), ENDED]), none, "its sentinel");
    let last = format!("@1 {}", ended(300, 0, 0));
    assert_eq!(driven_two(&[(3_450, &last), ENDED]), none, "session_ended");
    let (again, never) = (format!("@0 {}", fatal("internal")), format!("@1 {}", fatal("forbidden")));
    let said = [(3_550, "@1 told error forbidden"), (3_600, "@1 told ended error forbidden")];
    let both = [(1_400, again.as_str()), (3_400, never.as_str())];
    assert_eq!(driven_two(&[both, said].concat()), none, "not to be retried");
    assert_eq!(driven_two(&[(3_510, "@1 leaves"), ENDED]), none, "it left by itself");
    assert_eq!(driven_two(&[(3_300, "@1 deaf"), (3_400, "@1 reads"), ENDED]), none, "nobody read");
    assert_eq!(driven_two(&[(3_560, "@2 failed"), (3_600, "@2 told ended error")]), none, "it tried");
    assert_eq!(driven_two(&[(3_600, "@1 exit 1")]), ["SEC-C2"], "its driver ended and said nothing");
    assert_eq!(driven_two(&[(3_590, "@1 gave_up"), ENDED]), none, "the harness ended it");
    assert_eq!(driven_two(&[(3_500, "@1 told ended incomplete")]), none, "it ended before");
}

#[test]
fn connections_side_by_side_are_no_attempts() {
    let none: [&str; 0] = [];
    let both = |first: u64, second: u64| [session(0, 0, first, "dropped"), session(1, 5, second, "dropped")].concat();
    assert_eq!(
        told("driven", &[&both(1_500, 2_500)], &[(2_600, "@1 told ended incomplete")]),
        none,
        "it never dialled again"
    );
    let three = |of_first: u64| [session(0, 0, of_first, "dropped"), two_from(1, 5)].concat();
    let ends = [(3_700, "@2 told ended incomplete")];
    assert_eq!(told("driven", &[&three(3_200)], &ends), ["REC-C5"]);
    let mut stands = three(3_200);
    stands.retain(|(_, what)| what != "@0 dropped");
    assert_eq!(told("driven", &[&stands], &ends), none, "one stands still");
}

/// It had dialled long before.
#[test]
fn a_cancel_forbids_no_connection_that_came_before_it() {
    let cancelled = [(3_000, "@1 call 2 close"), (3_010, "@1 told ended cancelled")];
    assert_eq!(told("driven", &[&two(LOST, LOST)], &cancelled), [""; 0]);
    let before = [(1_600, "call 2 close"), (3_010, "@1 told ended cancelled")];
    assert_eq!(told("driven", &[&two(LOST, LOST)], &before), ["REC-C3"]);
}

/// Its buffer may be full where an outage is longer than all before; the earlier one lasted 500 ms.
#[test]
fn refused_audio_excuses_the_end_of_a_longer_outage_and_of_no_other() {
    let none: [&str; 0] = [];
    let push = [(3_530, "@1 call 2 push"), (3_540, "@1 fails 2 push full")];
    let ends = |at: u64| (at, "@1 told ended incomplete");
    let with = |more: &[(u64, &'static str)], at| driven_two(&[more, &[ends(at)]].concat());
    assert_eq!(with(&push, LAST_MS + 501), none);
    assert_eq!(with(&push, LAST_MS + 500), ["REC-C5"]);
    assert_eq!(with(&[], LAST_MS + 501), ["REC-C5"]);
    assert_eq!(with(&[(3_530, "@1 call 2 push"), (3_540, "@1 back 2 push")], LAST_MS + 501), ["REC-C5"]);
    assert_eq!(with(&[(3_530, "@1 call 2 flush"), (3_540, "@1 fails 2 flush full")], LAST_MS + 501), ["REC-C5"]);
    assert_eq!(with(&[(3_500, "@1 call 2 push"), (3_510, "@1 fails 2 push full")], LAST_MS + 501), ["REC-C5"]);
    let late = [ends(4_100), (4_110, "@1 call 2 push"), (4_120, "@1 fails 2 push over")];
    assert_eq!(driven_two(&late), ["REC-C5"]);
}

/// What is left of a program's input only its length tells.
#[test]
fn a_program_is_blamed_only_while_it_has_audio_for_certain() {
    let none: [&str; 0] = [];
    let exits = [(3_600, "@1 exit 1")];
    let given = |ms: u64, parts: &[(u64, String)]| told(&format!("program {ms}"), &[parts], &exits);
    assert_eq!(told("program", &[&two(LOST, LOST)], &exits), none, "its length is not known");
    // Twice the time that passed, and 30 s for each loss.
    assert_eq!(given(67_200, &two(LOST, LOST)), none);
    assert_eq!(given(67_201, &two(LOST, LOST)), ["REC-C5"]);
    assert_eq!(told("program 240000", &[&two(LOST, LOST)], &[(3_550, "@1 input 240000"), exits[0]]), none);
    assert_eq!(told("program 240000", &[&two(LOST, LOST)], &[(3_600, "@1 signal 9")]), ["SEC-C2"]);
    // The first connection takes 6 s within 1.5 s: 398 percent, from `ready` to its last audio.
    let mut fast = two(LOST, LOST);
    fast.extend(std::iter::repeat_n((1_509, "@0 audio 3200".to_owned()), 57));
    let more_ms = 2 * 3_600 * 398 / 100;
    assert_eq!(given(60_000 + more_ms - 100, &fast), none);
    assert_eq!(given(60_000 + more_ms + 100, &fast), ["REC-C5"]);
    // The second, from the end of the first on: 300 percent. It may have kept what came meanwhile.
    let mut kept = two(LOST, LOST);
    kept.extend(std::iter::repeat_n((3_510, "@1 audio 3200".to_owned()), 57));
    let more_ms = 2 * 3_600 * 300 / 100;
    assert_eq!(given(60_000 + more_ms - 100, &kept), none);
    assert_eq!(given(60_000 + more_ms + 100, &kept), ["REC-C5"]);
    // What came in one go at its start is no pace.
    let mut burst = session(0, 0, 1_500, "dropped");
    burst.extend(session(1, 2_010, 1_500, "dropped"));
    burst.extend(session(2, 4_020, 5, "dropped"));
    let after = session(3, 4_540, 1_500, "dropped");
    let exits = [(6_060, "@3 exit 1")];
    let all = [burst, after].concat();
    assert_eq!(told(&format!("program {}", 2 * 6_060 + 120_000), &[&all], &exits), none);
    assert_eq!(told(&format!("program {}", 2 * 6_060 + 120_001), &[&all], &exits), ["REC-C5"]);
}

#[test]
fn twelve_losses_behind_each_of_which_it_dialled_again_show_a_budget_that_is_restored() {
    let shows = |losses: u32, lived: u64| {
        let connections = (0..losses).map(|conn| session(conn, u64::from(conn) * 2_010, lived, "dropped"));
        let mut events: Vec<(u64, String)> = connections.flatten().collect();
        events.extend(session(losses, u64::from(losses) * 2_010, 100, "dropped"));
        let events: Vec<(u64, &str)> = events.iter().map(|(ms, what)| (*ms, what.as_str())).collect();
        let judgement = verdict(&joined(&[&[(0, "program 240000")], &events]));
        assert_eq!(judgement.findings.len(), 0, "{:?}", judgement.findings);
        judgement.exercised.iter().any(|id| id.as_str() == "REC-C5")
    };
    assert!(shows(12, 1_500));
    assert!(shows(13, 1_250));
    assert!(!shows(11, 1_500));
    assert!(!shows(12, 1_249));
}

#[test]
fn who_dials_again_with_the_same_pause_each_time_does_not_back_off() {
    let dials = |pauses: &[u64]| {
        let mut at = 100;
        let mut events = vec![(0, "driven".to_owned()), (0, "call 1 start".to_owned()), (at, "refused".to_owned())];
        for (index, pause) in pauses.iter().enumerate() {
            at += pause;
            events.push((at, format!("@{} refused", index + 1)));
        }
        events.push((at + 10, "told ended error".to_owned()));
        broken(&events.iter().map(|(ms, what)| (*ms, what.as_str())).collect::<Vec<_>>())
    };
    assert_eq!(dials(&[1_000; 10]), ["REC-C1"]);
    assert_eq!(dials(&[1_000; 9]), [""; 0], "too few to tell");
    assert_eq!(dials(&[1_000, 1_050, 1_000, 1_250, 1_000, 1_000, 1_000, 1_000, 1_000, 1_100]), ["REC-C1"]);
    assert_eq!(dials(&[1_000, 1_050, 1_000, 1_251, 1_000, 1_000, 1_000, 1_000, 1_000, 1_100]), [""; 0], "it jitters");
    let grown = [200, 400, 800, 1_600, 2_000, 2_000, 2_000, 2_000, 2_000, 2_000, 2_000, 2_000, 2_000, 2_000, 2_000];
    assert_eq!(dials(&grown), [""; 0], "it has grown to its most");
}
