//! Sessions that wait for room: those that are told nothing until others end, to the millisecond.

use lastword_judge::{Options, judge, render};
use lastword_spec::trace::{Header, Side, Spoken, Trace};

use super::scene::{ACK, CONFIG, END, KEEPALIVE, READY, ended, scene};

/// A session as lines, each with its milliseconds.
type Lines = Vec<(u64, String)>;

const PROGRESS: &str = r#"<{"type":"progress","seq":1,"audio_processed_ms":0}"#;

/// A session that asks, is ready and ends at these times; `more` of it comes between.
fn session(asked_ms: u64, ready_ms: u64, end_ms: u64, more: &[(u64, &str)]) -> Lines {
    let last = ended(0, 0, 0);
    let mut lines = vec![(asked_ms, "open"), (asked_ms, CONFIG), (ready_ms, READY), (end_ms, END), (end_ms, &last)];
    lines.extend_from_slice(more);
    lines.extend([(end_ms, "closed 1000"), (end_ms, "close 1000")]);
    let mut lines: Lines = lines.into_iter().map(|(ms, what)| (ms, what.to_owned())).collect();
    lines.sort_by_key(|(ms, _)| *ms);
    lines
}

fn trace_of(sessions: &[Lines]) -> Trace {
    let mut events = Vec::new();
    for (conn, lines) in sessions.iter().enumerate() {
        let lines: Vec<(u64, &str)> = lines.iter().map(|(ms, what)| (*ms, what.as_str())).collect();
        let mut session = scene(&lines).events;
        session.iter_mut().for_each(|event| event.conn = u32::try_from(conn).expect("few sessions"));
        events.extend(session);
    }
    events.sort_by_key(|event| event.t_us);
    Trace { header: Header::new(Side::Server), events }
}

fn found_in(trace: &Trace) -> Vec<String> {
    judge(trace, &Options::default()).findings.iter().map(render).collect()
}

fn found(sessions: &[Lines]) -> Vec<String> {
    found_in(&trace_of(sessions))
}

/// A session that was served, and last answered so long before its end.
fn served(end_ms: u64, before_ms: u64) -> Lines {
    session(0, 1, end_ms, &[(end_ms - before_ms, KEEPALIVE), (end_ms - before_ms, ACK)])
}

/// Sessions that end at these times, and some that are asked for at 10 ms and told `ready` at those.
fn waited(ends_ms: &[u64], ready_ms: &[u64]) -> Vec<String> {
    let served = ends_ms.iter().map(|end_ms| served(*end_ms, 1_000));
    let waiting = ready_ms.iter().map(|ready_ms| session(10, *ready_ms, 9_000, &[]));
    found(&served.chain(waiting).collect::<Vec<Lines>>())
}

fn ids(findings: Vec<String>) -> Vec<String> {
    findings.into_iter().map(|text| text.rsplit('[').next().unwrap_or("").trim_end_matches(']').to_owned()).collect()
}

#[test]
fn two_that_are_told_nothing_until_others_end_wait_for_room_in_silence() {
    let found = waited(&[5_000, 5_500], &[5_010, 5_510]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("said nothing for 5000 ms, until another session was ended"), "{found:?}");
    assert!(found[0].contains("[CON-S4]"), "{found:?}");
}

#[test]
fn one_may_be_chance() {
    assert!(waited(&[5_000, 5_500], &[5_010]).is_empty());
    assert!(waited(&[5_000], &[5_010, 5_020]).is_empty(), "one end makes room for one");
    assert_eq!(ids(waited(&[5_000, 5_500, 6_000], &[5_010, 5_510, 6_010])), ["CON-S4"], "told once");
}

#[test]
fn who_is_told_something_within_four_seconds_did_not_wait_for_room() {
    assert_eq!(ids(waited(&[4_002, 4_005], &[4_010, 4_011])), ["CON-S4"]);
    assert!(waited(&[4_002, 4_005], &[4_009, 4_010]).is_empty());
    let told = |told_ms| {
        let waits = |end_ms: u64| session(10, end_ms + 10, 9_000, &[(told_ms, PROGRESS)]);
        found(&[served(5_000, 1_000), served(5_500, 1_000), waits(5_000), waits(5_500)])
    };
    assert_eq!(ids(told(1_010)), ["CON-S4"]);
    assert!(told(1_011).is_empty());
}

#[test]
fn what_comes_more_than_a_second_after_an_end_does_not_come_of_it() {
    assert_eq!(ids(waited(&[5_000, 5_500], &[6_000, 6_500])), ["CON-S4"]);
    assert!(waited(&[5_000, 5_000], &[6_001, 6_001]).is_empty());
    assert!(waited(&[5_020, 5_020], &[5_010, 5_010]).is_empty(), "nor what comes before");
}

#[test]
fn only_an_end_that_the_client_brought_about_makes_room() {
    // It had ended its stream before anything was ready, so nothing was held.
    let early = |end_ms: u64| {
        let mut lines = session(0, end_ms - 1, end_ms, &[]);
        lines.retain(|(_, what)| what != END);
        lines.insert(2, (1, END.to_owned()));
        lines
    };
    let waits = |end_ms: u64| session(10, end_ms + 10, 9_000, &[]);
    assert!(found(&[early(5_000), early(5_500), waits(5_000), waits(5_500)]).is_empty());
}

#[test]
fn where_nobody_was_served_the_whole_server_stood_still() {
    let waits = |end_ms: u64| session(10, end_ms + 10, 9_000, &[]);
    let heard = |before_ms| found(&[served(5_000, before_ms), served(5_500, before_ms), waits(5_000), waits(5_500)]);
    assert_eq!(ids(heard(2_000)), ["CON-S4"]);
    assert!(heard(2_001).is_empty());
}

#[test]
fn where_sessions_become_ready_one_after_the_other_anyway_no_end_makes_room() {
    let waits = |end_ms: u64| session(10, end_ms + 10, 9_000, &[]);
    let loaded = |ready_ms| {
        let slow = session(10, ready_ms, 9_000, &[]);
        found(&[served(5_000, 1_000), served(5_500, 1_000), slow, waits(5_000), waits(5_500)])
    };
    assert_eq!(ids(loaded(1_000)), ["CON-S4"]);
    assert!(loaded(1_001).is_empty());
}

#[test]
fn the_bounds_follow_the_clock_of_the_trace_and_a_wire_without_progress_has_none() {
    let mut trace = trace_of(&[
        served(5_000, 1_000),
        served(5_500, 1_000),
        session(10, 5_010, 9_000, &[]),
        session(10, 5_510, 9_000, &[]),
    ]);
    assert_eq!(ids(found_in(&trace)), ["CON-S4"]);
    trace.header.time_scale_percent = 126;
    assert!(found_in(&trace).is_empty());
    trace.header.time_scale_percent = 100;
    trace.header.dialect =
        Some(Spoken { name: "other".to_owned(), not_binding: vec!["PRG-S1".to_owned()], lacks: Vec::new() });
    assert!(found_in(&trace).is_empty());
}
