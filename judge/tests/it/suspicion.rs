//! What is gathered about a server that seems stuck: the whole record of each suspicion, and where the lines are between idle and
//! working, between a timer and work, between a proof and something that may be chance.

use std::fmt::Write as _;

use lastword_judge::{Conclusion, Cpu, Outcome, Ping, ProbeRow, Suspicion, judge};
use lastword_spec::trace::{ControlOutcome, Event, EventKind, Side, Stimulus, Trace};

use super::traces::{options, traces};

fn suspicions(trace: &Trace) -> Vec<Suspicion> {
    judge(trace, &options()).suspicions
}

fn ms(us: u64) -> String {
    format!("{}.{:03}", us / 1_000, us % 1_000)
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Released { after_us, total_us } => format!("released {} {}", ms(*after_us), ms(*total_us)),
        Outcome::ByItself { total_us, gap_us, still_us, .. } => {
            format!("by itself {} {} {}", ms(*total_us), ms(*gap_us), ms(*still_us))
        }
        Outcome::Ended { after_us } => format!("ended {}", ms(*after_us)),
        Outcome::Nothing { watched_us } => format!("nothing {}", ms(*watched_us)),
        Outcome::Missing => "missing".to_owned(),
    }
}

fn record(one: &Suspicion) -> String {
    let mut text = format!(
        "  {}: {} in {} by {} since {} (event {}), silent for {}, paid at {}\n",
        one.conn,
        one.what,
        one.state.as_str(),
        one.requirement,
        ms(one.since_us),
        one.event,
        ms(one.silent_us),
        one.paid_us.map_or("-".to_owned(), ms)
    );
    for (when, controls) in [("during", &one.during), ("afterwards", &one.afterwards)] {
        let (completed, answered, unanswered) = (controls.completed, controls.answered, controls.unanswered);
        let _ = writeln!(text, "    {when}: {completed} {answered} {unanswered}, took {:?}", controls.took_ms);
    }
    let _ = writeln!(text, "    {:?}, {:?}, {:?}", one.ping, one.cpu, one.transport);
    for row in &one.probes {
        let outcomes: Vec<String> = row.outcomes.iter().map(outcome).collect();
        let _ = writeln!(
            text,
            "    {}: {} tried, {} released, {} by itself: {}",
            row.stimulus.as_str(),
            row.tried(),
            row.released(),
            row.by_itself(),
            outcomes.join("; ")
        );
    }
    let _ = writeln!(text, "    {:?}", one.conclusion);
    for edge in &one.waits {
        let _ = writeln!(text, "    {} -> {}: {}", edge.who, edge.whom, edge.why);
    }
    text
}

#[test]
fn the_record_of_each_suspicion_is_as_it_was() {
    let mut text = String::new();
    for folder in ["traces", "traces/good"] {
        for (name, trace) in traces(folder) {
            let records: String = suspicions(&trace).iter().map(record).collect();
            if !records.is_empty() {
                let _ = write!(text, "{name}\n{records}");
            }
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn less_than_a_twentieth_of_a_core_is_idle_and_a_fifth_alone_is_work() {
    let cpu = |busy_ms, over_ms, alone| Cpu { busy_ms, over_ms, alone };
    for (busy_ms, idle, working) in [(0, true, false), (25, true, false), (26, false, false), (99, false, false)] {
        let cpu = cpu(busy_ms, 500, true);
        assert_eq!((cpu.is_idle(), cpu.is_working()), (idle, working), "{busy_ms} of 500 ms");
    }
    assert!(cpu(100, 500, true).is_working());
    assert!(!cpu(500, 500, false).is_working(), "others work for it");
    assert!(!cpu(0, 0, true).is_idle(), "nothing was measured");
}

#[test]
fn a_probe_that_did_not_get_so_far_counts_as_none() {
    let outcomes = vec![
        Outcome::Missing,
        Outcome::Released { after_us: 1, total_us: 2 },
        Outcome::ByItself { total_us: 1, gap_us: 1, still_us: 1, at_us: 1 },
        Outcome::ByItself { total_us: 1, gap_us: 1, still_us: 1, at_us: 1 },
        Outcome::Ended { after_us: 1 },
        Outcome::Nothing { watched_us: 1 },
    ];
    let row = ProbeRow { stimulus: Stimulus::Audio, outcomes };
    assert_eq!((row.tried(), row.released(), row.by_itself()), (5, 1, 2));
}

/// A trace of the folder with each event changed, or left out.
fn changed(name: &str, change: impl Fn(&mut Event) -> bool) -> Suspicion {
    let mut trace = traces("traces").remove(name).expect("a trace of this name");
    trace.events.retain_mut(change);
    suspicions(&trace).into_iter().next().expect("a suspicion")
}

#[test]
fn a_pong_answers_the_ping_before_it_and_no_other() {
    let ping = |keep: fn(&EventKind) -> bool| changed("END-S2--stuck", move |event| keep(&event.kind)).ping;
    assert_eq!(ping(|_| true), Ping::Answered(1_000));
    assert_eq!(ping(|kind| !matches!(kind, EventKind::Pong { .. })), Ping::Unanswered);
    assert_eq!(ping(|kind| !matches!(kind, EventKind::Ping { .. })), Ping::NotSent, "a Pong that nobody asked for");
    let mut trace = traces("traces").remove("END-S2--stuck").expect("the trace");
    let pong = trace.events.iter().position(|event| matches!(event.kind, EventKind::Pong { .. })).expect("a Pong");
    let again = Event { kind: EventKind::Ping { from: Side::Client }, ..trace.events[pong].clone() };
    trace.events.insert(pong + 1, again);
    assert_eq!(suspicions(&trace)[0].ping, Ping::Unanswered, "the last one counts");
}

#[test]
fn nothing_is_stuck_for_good_before_its_bound_has_passed() {
    // The sentinel came at 2,011 ms; the bound is 15 s and a tenth.
    for (gave_up_ms, stuck) in [(18_510, false), (18_511, true)] {
        let suspicion = changed("END-S2--stuck", |event| {
            if event.conn == 0 && event.t_us > 18_000_000 {
                event.t_us = gave_up_ms * 1_000;
            }
            true
        });
        assert_eq!(suspicion.conclusion.is_proved(), stuck, "{gave_up_ms} ms: {:?}", suspicion.conclusion);
    }
}

#[test]
fn a_line_with_unacknowledged_bytes_explains_a_silence_unless_the_subject_left_them_unread() {
    for (unacknowledged, unread, stuck) in
        [(None, None, true), (Some(0), None, true), (Some(1), None, false), (Some(1), Some(1), true)]
    {
        let suspicion = changed("END-S2--stuck", |event| {
            if let EventKind::Transport { unacknowledged_bytes, unread_bytes, .. } = &mut event.kind {
                (*unacknowledged_bytes, *unread_bytes) = (unacknowledged, unread);
            }
            true
        });
        assert_eq!(suspicion.conclusion.is_proved(), stuck, "{unacknowledged:?} {unread:?}");
        let leaves_unread = suspicion.waits.iter().any(|edge| edge.why.contains("unread"));
        assert_eq!(leaves_unread, unread == Some(1));
    }
}

#[test]
fn a_control_session_counts_from_the_moment_after_which_nothing_came() {
    let trace = traces("traces").remove("END-S2--stuck").expect("the trace");
    let sentinel_us = suspicions(&trace)[0].since_us;
    for (control_us, during, afterwards) in
        [(sentinel_us, 0, 0), (sentinel_us + 1, 3, 0), (18_619_000, 3, 0), (18_619_001, 0, 3)]
    {
        let suspicion = changed("END-S2--stuck", |event| {
            if let EventKind::Control { .. } = event.kind {
                event.t_us = control_us;
            }
            true
        });
        assert_eq!((suspicion.during.spoke(), suspicion.afterwards.spoke()), (during, afterwards), "{control_us}");
    }
}

#[test]
fn an_end_that_was_asked_for_before_ready_is_owed_from_ready_on() {
    let mut trace = traces("traces/good").remove("constant-hangover").expect("the trace");
    let says = |event: &Event, what: &str| {
        event.conn == 0 && matches!(&event.kind, EventKind::Text { text, .. } if text.contains(what))
    };
    let ready = trace.events.iter().position(|event| says(event, "\"ready\"")).expect("ready");
    let mut event = trace.events.remove(ready);
    let end = trace.events.iter().position(|event| says(event, "end_of_stream")).expect("the sentinel");
    event.t_us = trace.events[end].t_us + 5_000;
    let ready_us = event.t_us;
    trace.events.insert(end + 1, event);
    let suspicion = suspicions(&trace).into_iter().next().expect("a suspicion");
    assert_eq!((suspicion.what.as_str(), suspicion.since_us), ("session_ended", ready_us));
}

#[test]
fn who_answers_nobody_hangs_as_a_whole_and_only_what_was_tried_since_the_silence_tells() {
    let unanswered_at = |t_us: u64| {
        changed("END-S2--stuck", |event| {
            if let EventKind::Control { outcome, .. } = &mut event.kind {
                *outcome = ControlOutcome::Unanswered;
                event.t_us = t_us;
            }
            true
        })
        .conclusion
    };
    let silent_from_us = 2_011_000;
    assert!(matches!(unanswered_at(silent_from_us), Conclusion::Open(_)));
    assert_eq!(unanswered_at(silent_from_us + 1), Conclusion::Hung);
}
