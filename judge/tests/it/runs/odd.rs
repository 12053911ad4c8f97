//! A message that is none, in the second of two sessions: whatever goes wrong there and not in the first is its work.

use super::{CONFIG, END, READY, broken, ended, fatal};

/// A session of a program that hears this at 50 ms and ends as it says.
fn session(from_ms: u64, heard: Option<&'static str>, end: &[(u64, &'static str)]) -> Vec<(u64, String)> {
    let last = ended(100, 0, 0);
    let mut lines =
        vec![(0, "program 100"), (0, "open"), (0, CONFIG), (0, READY), (10, "audio 3200"), (100, "input 100")];
    lines.extend(heard.map(|heard| (50, heard)));
    lines.extend([(100, END), (900, last.as_str()), (900, "closed 1000")]);
    let until = end.first().map_or(u64::MAX, |(ms, _)| *ms);
    lines.retain(|(ms, _)| *ms <= until);
    lines.extend(end.iter().copied());
    lines.sort_by_key(|(ms, _)| *ms);
    lines.into_iter().map(|(ms, line)| (from_ms + ms, line.to_owned())).collect()
}

fn both(first: &[(u64, String)], second: &[(u64, String)]) -> Vec<String> {
    let numbered = |index: usize, lines: &[(u64, String)]| -> Vec<(u64, String)> {
        lines.iter().map(|(ms, line)| (*ms, format!("@{} {line}", index + 1))).collect()
    };
    let all: Vec<(u64, String)> = [numbered(0, first), numbered(1, second)].concat();
    broken(&all.iter().map(|(ms, line)| (*ms, line.as_str())).collect::<Vec<_>>())
}

const GARBAGE: Option<&str> = Some("<no {json");
const RIGHT: &[(u64, &str)] = &[(910, "close 1000"), (920, "exit 0")];
const LEAVES: &[(u64, &str)] = &[(110, "close 1000"), (120, "exit 1")];

#[test]
fn who_leaves_after_its_sentinel_only_where_garbage_came_fell_over_the_garbage() {
    assert_eq!(both(&session(0, None, RIGHT), &session(2_000, GARBAGE, RIGHT)), [""; 0]);
    assert_eq!(both(&session(0, None, RIGHT), &session(2_000, GARBAGE, LEAVES)), ["MSG-C1"]);
    assert_eq!(both(&session(0, None, RIGHT), &session(2_000, Some("sound"), LEAVES)), ["MSG-C1"], "a binary message");
}

#[test]
fn who_leaves_so_each_time_leaves_by_itself() {
    assert_eq!(both(&session(0, None, LEAVES), &session(2_000, GARBAGE, LEAVES)), ["CLO-C1", "CLO-C1"]);
    assert_eq!(both(&session(0, None, RIGHT), &session(2_000, None, LEAVES)), ["CLO-C1"], "nothing strange came");
}

#[test]
fn what_was_wrong_before_the_garbage_is_told_as_what_it_is() {
    let mut second = session(2_000, GARBAGE, LEAVES);
    second.insert(5, (2_020, "audio 3".to_owned()));
    assert_eq!(both(&session(0, None, RIGHT), &second), ["AUD-1", "MSG-C1"]);
}

#[test]
fn only_a_run_that_met_no_garbage_and_came_to_its_end_shows_that_the_garbage_was_at_fault() {
    let fell = session(2_000, GARBAGE, LEAVES);
    assert_eq!(both(&session(0, GARBAGE, RIGHT), &fell), ["CLO-C1"], "it met some as well");
    let cut: &[(u64, &str)] = &[(110, "dropped"), (120, "exit 1")];
    assert_eq!(both(&session(0, None, cut), &fell), ["CLO-C1"], "it came to no end");
    let mut wrong = session(0, None, RIGHT);
    wrong.insert(5, (20, "audio 3".to_owned()));
    assert_eq!(both(&wrong, &fell), ["AUD-1", "CLO-C1"], "it was wrong itself");
}

#[test]
fn a_crash_over_garbage_is_a_crash_too() {
    let dies = &[(110, "leaves"), (120, "signal 6")];
    assert_eq!(both(&session(0, None, RIGHT), &session(2_000, GARBAGE, dies)), ["MSG-C1", "SEC-C2"]);
}

#[test]
fn what_only_a_should_asks_for_neither_hides_the_fall_nor_is_one() {
    // A frame of 15 ms in the middle. [AUD-C2]
    let short = |mut lines: Vec<(u64, String)>, ms| {
        lines.retain(|(_, line)| !line.starts_with("audio"));
        lines.extend([
            (ms, "audio 1600".to_owned()),
            (ms + 50, "audio 480".to_owned()),
            (ms + 55, "audio 1120".to_owned()),
        ]);
        lines.sort_by_key(|(ms, _)| *ms);
        lines
    };
    let (first, right) = (session(0, None, RIGHT), session(2_000, GARBAGE, RIGHT));
    let fell = session(2_000, GARBAGE, LEAVES);
    assert_eq!(both(&short(first.clone(), 10), &fell), ["AUD-C2", "MSG-C1"]);
    assert_eq!(both(&first, &short(right, 2_010)), ["AUD-C2"]);
}

#[test]
fn garbage_in_a_session_that_never_began_or_was_ended_by_an_error_explains_nothing() {
    let met = |lines: &[(u64, &str)]| {
        let begun = [(2_000, "program 100"), (2_000, "open"), (2_000, CONFIG), (2_050, "<no {json")];
        let end = [(2_110, "close 1000"), (2_120, "exit 0")];
        let second: Vec<(u64, String)> =
            [&begun[..], lines, &end].concat().into_iter().map(|(ms, line)| (ms, line.to_owned())).collect();
        both(&session(0, None, RIGHT), &second)
    };
    let error = fatal("internal");
    assert_eq!(met(&[]), ["CON-C2"], "it says that all is there, without a `ready`");
    assert_eq!(met(&[(2_060, READY), (2_070, &error)]), ["ERR-C1"], "it says so, after a fatal error");
    assert_eq!(met(&[(2_060, READY)]), ["MSG-C1"]);
}
