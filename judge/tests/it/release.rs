//! What release probes come to: the kind of finding, who waits for whom, and in which words. The traces are those of `traces/`.

use lastword_judge::{Conclusion, Judgement, Options, Suspicion, judge};
use lastword_spec::finding::{FindingKind, Verdict};
use lastword_spec::trace::{self, Event, EventKind, Stimulus, Trace};

fn read(name: &str) -> Trace {
    let path = format!("{}/traces/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    trace::read(&std::fs::read_to_string(path).expect("the trace is there")).expect("a trace")
}

fn judged(trace: &Trace) -> Judgement {
    judge(trace, &Options::default())
}

fn kinds(trace: &Trace) -> Vec<FindingKind> {
    judged(trace).findings.iter().map(|finding| finding.kind).collect()
}

/// The trace without the events that `drop` names.
fn without(trace: &Trace, mut drop: impl FnMut(&Event) -> bool) -> Trace {
    let events = trace.events.iter().filter(|event| !drop(event)).cloned().collect();
    Trace { header: trace.header.clone(), events }
}

fn suspicion(trace: &Trace) -> Suspicion {
    judged(trace).suspicions.into_iter().next().expect("a suspicion")
}

const PROVED: &[(&str, FindingKind, Verdict)] = &[
    ("END-S2--waits-for-audio", FindingKind::UnboundedWait, Verdict::Deadlock),
    ("END-S2--waits-for-any-message", FindingKind::UnboundedWait, Verdict::Deadlock),
    ("END-S2--waits-for-the-end-of-the-connection", FindingKind::UnboundedWait, Verdict::Deadlock),
    ("END-S2--stuck", FindingKind::Stuck, Verdict::Deadlock),
    ("END-S7--masked-by-a-timer", FindingKind::MaskedByTimer, Verdict::Deadlock),
    ("END-S7--follows-the-idle-timeout", FindingKind::MaskedByTimer, Verdict::Deadlock),
    ("END-S2--floods-acknowledgements", FindingKind::NoProgress, Verdict::Livelock),
    ("CFG-S1--waits-for-audio", FindingKind::UnboundedWait, Verdict::Deadlock),
    ("FLU-S2--waits-for-audio", FindingKind::UnboundedWait, Verdict::Deadlock),
    ("CLO-S2--waits-for-the-clients-close", FindingKind::UnboundedWait, Verdict::Deadlock),
    ("END-S2--never-ends", FindingKind::Stalled, Verdict::Fail),
];

#[test]
fn each_way_to_be_stuck_has_its_kind_and_its_verdict() {
    for (name, kind, verdict) in PROVED {
        assert_eq!(kinds(&read(name)), [*kind], "{name}");
        assert_eq!(kind.verdict(), *verdict, "{name}");
    }
}

#[test]
fn what_waits_for_what_is_said_in_words() {
    let mut text = String::new();
    for (name, ..) in PROVED {
        let suspicion = suspicion(&read(name));
        text.push_str(&format!("{name}: {:?}\n", suspicion.conclusion));
        for row in &suspicion.probes {
            let (name, released, tried) = (row.stimulus.as_str(), row.released(), row.tried());
            text.push_str(&format!("    {name:<14} {released} of {tried}  {:?}\n", row.outcomes[0]));
        }
        for edge in &suspicion.waits {
            text.push_str(&format!("    {} -> {}: {}\n", edge.who, edge.whom, edge.why));
        }
    }
    insta::assert_snapshot!("waits", text);
}

#[test]
fn one_repetition_that_the_stimulus_did_not_release_takes_the_proof_away() {
    let trace = read("END-S2--waits-for-audio");
    // The answer to the third frame is cut out: four of five are not enough.
    let third = trace.events.iter().find_map(|event| match &event.kind {
        EventKind::Open(open) if open.probe.is_some_and(|p| p.stimulus == Stimulus::Audio && p.round == 3) => {
            Some(event.conn)
        }
        _ => None,
    });
    let cut = without(&trace, |event| {
        Some(event.conn) == third
            && event.kind.from() == Some(trace::Side::Server)
            && event_says(event, "session_ended")
    });
    assert_eq!(kinds(&cut), [FindingKind::Stalled]);
}

/// The trace with everything later by so many milliseconds that the probes of a stimulus show after it.
fn later_after(trace: &Trace, stimulus: Stimulus, later_ms: impl Fn(u32) -> u64) -> Trace {
    let mut delays: Vec<(u32, u64)> = Vec::new();
    let mut stimulated: Vec<u32> = Vec::new();
    let mut changed = trace.clone();
    for event in &mut changed.events {
        match &event.kind {
            EventKind::Open(open) => {
                let probe = open.probe.filter(|probe| probe.stimulus == stimulus);
                delays.extend(probe.map(|probe| (event.conn, later_ms(probe.round))));
            }
            EventKind::Stimulus(_) => stimulated.push(event.conn),
            _ if stimulated.contains(&event.conn) => {
                let later_ms = delays.iter().find(|(conn, _)| *conn == event.conn).map_or(0, |(_, ms)| *ms);
                event.t_us += later_ms * 1_000;
            }
            _ => {}
        }
    }
    changed.events.sort_by_key(|event| event.t_us);
    changed
}

#[test]
fn what_a_stimulus_releases_may_be_work_and_takes_its_time() {
    let waits = later_after(&read("END-S2--waits-for-audio"), Stimulus::Audio, |_| 900);
    assert_eq!(kinds(&waits), [FindingKind::UnboundedWait]);
    let masked = later_after(&read("END-S7--masked-by-a-timer"), Stimulus::Audio, |_| 900);
    assert_eq!(kinds(&masked), [FindingKind::MaskedByTimer]);
}

#[test]
fn what_comes_without_a_stimulus_too_was_not_released_after_a_delay_that_differs() {
    let trace = later_after(&read("END-S7--masked-by-a-timer"), Stimulus::Audio, |round| u64::from(round) * 330);
    assert_eq!(kinds(&trace), []);
    assert!(matches!(suspicion(&trace).conclusion, Conclusion::Slow { .. }));
}

#[test]
fn a_control_in_which_it_comes_too_takes_the_proof_away() {
    let trace = read("END-S2--waits-for-audio");
    let mut changed = trace.clone();
    let of_audio = trace.events.iter().find(|event| event.conn >= 2000 && event_says(event, "session_ended"));
    let ended = of_audio.expect("the first release").kind.clone();
    for event in &mut changed.events {
        let is_control = event.conn == 2000;
        if is_control && matches!(event.kind, EventKind::GaveUp { .. }) {
            event.kind = ended.clone();
        }
    }
    assert_eq!(kinds(&changed), [FindingKind::Stalled]);
    assert!(matches!(suspicion(&changed).conclusion, Conclusion::Open(_)));
}

#[test]
fn a_control_that_was_watched_for_less_time_than_the_release_took_proves_nothing() {
    let trace = read("END-S2--waits-for-audio");
    let short = without(&trace, |event| event.conn == 2000 && matches!(event.kind, EventKind::GaveUp { .. }));
    assert_eq!(kinds(&short), [FindingKind::Stalled]);
}

#[test]
fn a_silence_that_nothing_releases_is_no_deadlock_while_something_else_may_explain_it() {
    let trace = read("END-S2--stuck");
    let busy = |event: &mut Event| {
        if let EventKind::Cpu { busy_ms, over_ms, .. } = &mut event.kind {
            *busy_ms = *over_ms;
        }
    };
    let unacknowledged = |event: &mut Event| {
        if let EventKind::Transport { unacknowledged_bytes, unread_bytes, .. } = &mut event.kind {
            (*unacknowledged_bytes, *unread_bytes) = (Some(4_000), None);
        }
    };
    let changes: [&dyn Fn(&mut Event); 2] = [&busy, &unacknowledged];
    for change in changes {
        let mut changed = trace.clone();
        changed.events.iter_mut().for_each(change);
        assert_eq!(kinds(&changed), [FindingKind::Stalled], "{:?}", suspicion(&changed).conclusion);
    }
    let mut controls = 0;
    let few = without(&trace, |event| {
        controls += usize::from(matches!(event.kind, EventKind::Control { .. }));
        matches!(event.kind, EventKind::Control { .. }) && controls > 2
    });
    assert_eq!(kinds(&few), [FindingKind::Stalled]);
}

#[test]
fn the_silence_of_a_subject_that_answers_nobody_is_a_hang_of_the_whole() {
    let mut trace = read("END-S2--never-ends");
    for event in &mut trace.events {
        if let EventKind::Control { outcome, .. } = &mut event.kind {
            *outcome = trace::ControlOutcome::Unanswered;
        }
    }
    assert_eq!(kinds(&trace), [FindingKind::Unresponsive]);
    assert_eq!(suspicion(&trace).conclusion, Conclusion::Hung);
}

#[test]
fn what_comes_whatever_the_client_does_is_slow_and_no_fault() {
    for name in ["good/constant-hangover", "good/released-by-chance"] {
        let trace = read(name);
        assert!(matches!(suspicion(&trace).conclusion, Conclusion::Slow { .. }), "{name}");
    }
}

fn event_says(event: &Event, kind: &str) -> bool {
    matches!(&event.kind, EventKind::Text { text, .. } if text.contains(&format!("\"type\":\"{kind}\"")))
}
