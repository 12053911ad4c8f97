//! What the judge says of a good trace in which one thing is different: an event left out, told twice, in the place of the
//! next one, or with everything from it on half a minute late. The table is a snapshot: no word of it is a rule, but a change
//! that nobody wanted shows in it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use lastword_judge::{Judgement, Monitor, Obligation, Options, judge};
use lastword_spec::trace::{self, Event, EventKind, Trace};

/// Longer traces hold the same things more often.
const MOST_EVENTS: usize = 40;
const LATE_US: u64 = 30_000_000;

fn good_traces() -> BTreeMap<String, Trace> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("traces/good");
    let mut traces = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).expect("the folder of traces") {
        let path = entry.expect("an entry of the folder").path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).expect("a trace is text");
            traces.insert(name.clone(), trace::read(&text).unwrap_or_else(|error| panic!("{name}: {error}")));
        }
    }
    traces
}

fn options() -> Options {
    Options { secrets: vec!["right-token".into()], ..Options::default() }
}

/// The ways in which one event can be different. `None` where this event cannot.
type Change = fn(&[Event], usize) -> Option<Vec<Event>>;

const CHANGES: [(&str, Change); 4] = [
    ("without", |events, index| {
        let mut events = events.to_vec();
        events.remove(index);
        Some(events)
    }),
    ("twice", |events, index| {
        let mut events = events.to_vec();
        events.insert(index, events[index].clone());
        Some(events)
    }),
    ("swapped", |events, index| {
        let mut events = events.to_vec();
        let next = index + 1;
        if next == events.len() || events[index].kind == events[next].kind {
            return None;
        }
        let (first_us, second_us) = (events[index].t_us, events[next].t_us);
        events.swap(index, next);
        (events[index].t_us, events[next].t_us) = (first_us, second_us);
        Some(events)
    }),
    ("late", |events, index| {
        let mut events = events.to_vec();
        for event in &mut events[index..] {
            event.t_us += LATE_US;
        }
        Some(events)
    }),
];

/// `END-S2/LATE x2` for each kind of finding, `END-S2?` for each doubt, and how many requirements were exercised.
fn summary(judgement: &Judgement) -> String {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for finding in &judgement.findings {
        *found.entry(format!("{}/{}", finding.requirement.as_str(), finding.kind.as_str())).or_default() += 1;
    }
    for id in judgement.undecided.keys() {
        found.insert(format!("{}?", id.as_str()), 1);
    }
    let mut text = judgement.exercised.len().to_string();
    for (what, count) in found {
        let _ = if count > 1 { write!(text, " {what} x{count}") } else { write!(text, " {what}") };
    }
    text
}

/// Indices as `3-5,9`.
fn ranges(indices: &[usize]) -> String {
    let mut text = String::new();
    for run in indices.chunk_by(|one, next| one + 1 == *next) {
        let comma = if text.is_empty() { "" } else { "," };
        let _ = match run {
            [one] => write!(text, "{comma}{one}"),
            _ => write!(text, "{comma}{}-{}", run[0], run[run.len() - 1]),
        };
    }
    text
}

#[test]
fn what_is_said_of_a_good_trace_with_one_difference_is_as_it_was() {
    let mut table = String::new();
    for (name, trace) in good_traces() {
        let unchanged = summary(&judge(&trace, &options()));
        let _ = writeln!(table, "{name}: {unchanged}");
        let longest = trace.events.len().min(MOST_EVENTS);
        for (change, apply) in CHANGES {
            let mut said: Vec<(String, Vec<usize>)> = Vec::new();
            for index in 0..longest {
                let Some(events) = apply(&trace.events, index) else { continue };
                let summary = summary(&judge(&Trace { header: trace.header.clone(), events }, &options()));
                if summary == unchanged {
                    continue;
                }
                match said.iter_mut().find(|(known, _)| *known == summary) {
                    Some((_, indices)) => indices.push(index),
                    None => said.push((summary, vec![index])),
                }
            }
            for (summary, indices) in said {
                let _ = writeln!(table, "  {change} {}: {summary}", ranges(&indices));
            }
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn what_is_owed_along_a_good_trace_is_as_it_was() {
    let line = |one: &Obligation| {
        let (since_ms, due_ms) = (one.since_us / 1_000, one.due_us / 1_000);
        format!("{} {} {since_ms}..{due_ms} {}", one.debtor.as_str(), one.what, one.requirement)
    };
    let mut table = String::new();
    for (name, trace) in good_traces() {
        let _ = writeln!(table, "{name}");
        let mut monitor = Monitor::new(&trace.header, &options());
        let mut before: BTreeMap<u32, String> = BTreeMap::new();
        for (index, event) in trace.events.iter().enumerate().take(2 * MOST_EVENTS) {
            monitor.observe(event);
            let owed = monitor.owed(event.conn).iter().map(line).collect::<Vec<_>>();
            let timers = monitor.timers(event.conn).iter().map(|one| format!("({})", line(one))).collect::<Vec<_>>();
            let motion = monitor.motion(event.conn).map(|motion| {
                let in_place = motion.in_place_us.map_or("-".to_owned(), |us| (us / 1_000).to_string());
                format!("at work since {}, in place from {in_place}", motion.advanced_us / 1_000)
            });
            let now = [owed, timers, motion.into_iter().collect()].concat().join("; ");
            // Each frame of audio moves the idle timer.
            let is_audio = matches!(event.kind, EventKind::Audio { .. });
            if before.get(&event.conn) != Some(&now) && !is_audio {
                let now_text = if now.is_empty() { "nothing" } else { &now };
                let _ = writeln!(table, "  {index} {}: {now_text}", monitor.state(event.conn).as_str());
                before.insert(event.conn, now);
            }
        }
    }
    insta::assert_snapshot!(table);
}
