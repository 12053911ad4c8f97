//! Fatal errors after `ready`: which of them had to come, and what those break that had not.

use super::scene::{END, broken_after_ready, error};

const ALIVE: &str = r#">{"type":"keepalive"}"#;

fn fatal(code: &str) -> String {
    error(code, true, "")
}

/// Nine bad messages, each answered, then these events from 1 s on.
fn after_nine(more: &[(u64, &str)]) -> Vec<String> {
    let bad = error("bad_message", false, "");
    let nine = (0..9_u64).flat_map(|index| [(10 + 10 * index, "> "), (11 + 10 * index, bad.as_str())]);
    broken_after_ready(&nine.chain(more.iter().copied()).collect::<Vec<_>>())
}

#[test]
fn the_tenth_bad_message_ends_the_session_by_its_own_code() {
    assert_eq!(after_nine(&[(1_000, "> "), (1_001, &fatal("bad_message"))]), [""; 0]);
    assert_eq!(after_nine(&[(1_000, "> "), (1_001, &fatal("unknown_type"))]), ["MSG-S7"]);
    assert_eq!(after_nine(&[(1_000, "> "), (1_001, &fatal("strange"))]), ["MSG-S7"]);
    assert_eq!(after_nine(&[(1_000, "> "), (1_001, &fatal("internal"))]), [""; 0], "a server may fail");
    assert_eq!(after_nine(&[(1_001, &fatal("bad_message"))]), ["MSG-S4"], "there was no tenth");
}

#[test]
fn another_fatal_condition_is_no_tenth_bad_message() {
    let oversize = |end: &str| broken_after_ready(&[(10, "audio 64002"), (11, end)]);
    assert_eq!(oversize(&fatal("message_too_large")), [""; 0]);
    assert_eq!(oversize(&fatal("strange")), [""; 0]);
    let bad_before = [(10, "> "), (20, "audio 64002"), (30_100, &fatal("idle_timeout")[..])];
    assert_eq!(broken_after_ready(&bad_before), ["LIM-S2"], "it went on past the long frame");
}

#[test]
fn a_client_is_not_cut_off_for_its_speed_where_the_server_need_not_read() {
    let cut_off = |seconds: u64, code: &str| {
        let mut events: Vec<(u64, &str)> = (0..seconds).map(|index| (10 + index, "audio 32000")).collect();
        let fatal = fatal(code);
        events.push((100, &fatal));
        broken_after_ready(&events)
    };
    assert_eq!(cut_off(30, "too_fast"), [""; 0]);
    assert_eq!(cut_off(31, "too_fast"), ["BP-S1"]);
    assert_eq!(cut_off(31, "going_away"), [""; 0]);
}

#[test]
fn a_fatal_invalid_state_is_blamed_on_the_keepalive_unless_something_illegal_was_sent() {
    let ends = |lines: &[&str]| {
        let fatal = fatal("invalid_state");
        let lines = [&["audio 32000", END], lines, &[fatal.as_str()]].concat().into_iter();
        broken_after_ready(&lines.enumerate().map(|(index, line)| (10 * index as u64, line)).collect::<Vec<_>>())
    };
    assert_eq!(ends(&[ALIVE]), ["KA-S5"]);
    assert_eq!(ends(&[ALIVE, "audio 640"]), ["KA-S5"], "late audio is not illegal, it is late");
    assert_eq!(ends(&[ALIVE, r#">{"type":"flush","id":"f"}"#]), ["STA-S1"]);
}
