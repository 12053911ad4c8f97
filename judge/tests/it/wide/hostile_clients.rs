//! Whatever is in the trace of a client, the judge does not panic: real runs with their numbers at their ends, their events in other
//! orders and strange ones between. That the rules about clients are entered is shown here too.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use lastword_judge::{Monitor, Options, render};
use lastword_spec::trace::{
    Call, Called, ClientOutcome, Event, EventKind, Exited, InputEnd, InputEnded, Returned, Side, Started, Told,
    ToldWhat, Trace,
};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::super::traces::{options, traces};
use super::hostile;

/// The runs of clients in the folders of traces, with and without a fault.
static RUNS: LazyLock<Vec<Trace>> = LazyLock::new(|| {
    let all = traces("traces/client").into_values().chain(traces("traces/good").into_values());
    all.filter(|trace| trace.header.subject == Side::Client).collect()
});

/// What is done to one event of a run.
#[derive(Clone, Debug)]
enum Change {
    /// Its time; the later ones are left as they are.
    Time(u64),
    /// So much later, with all that follow.
    Later(u64),
    /// One of its numbers, or all of them.
    Number(u64, Option<Index>),
    /// Its connection.
    Conn(u32),
    /// It stands where another one stood.
    Swapped(Index),
    /// It comes once more, there.
    Again(Index),
    /// It does not come.
    Missing,
    /// Another one comes before it.
    Before(EventKind),
}

fn number() -> impl Strategy<Value = u64> {
    let ends = vec![0, 1, 1_000, 100_000, (1 << 53) - 1, u64::MAX / 2_000, u64::MAX / 1_000, u64::MAX / 2, u64::MAX];
    prop_oneof![4 => prop::sample::select(ends), 1 => any::<u64>()]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => number().prop_map(Change::Time),
        2 => number().prop_map(Change::Later),
        6 => (number(), prop::option::weighted(0.8, any::<Index>())).prop_map(|(to, which)| Change::Number(to, which)),
        1 => (0_u32..3).prop_map(Change::Conn),
        2 => any::<Index>().prop_map(Change::Swapped),
        2 => any::<Index>().prop_map(Change::Again),
        1 => Just(Change::Missing),
        3 => kind().prop_map(Change::Before),
    ]
}

/// What only the trace of a client has, and everything else that a trace can have.
fn kind() -> impl Strategy<Value = EventKind> {
    let call = || prop::sample::select(Call::ALL);
    let length = || prop::option::of(number());
    let ends = prop::sample::select(vec![InputEnd::File, InputEnd::Stated, InputEnd::Stdin, InputEnd::Driver]);
    prop_oneof![
        4 => hostile::kind(),
        1 => (any::<bool>(), length()).prop_map(|(driven, audio_ms)| EventKind::Started(Started { driven, audio_ms })),
        1 => (ends, length()).prop_map(|(known_by, audio_ms)| EventKind::InputEnded(InputEnded { known_by, audio_ms })),
        1 => (0_u32..4, call(), length())
            .prop_map(|(number, what, audio_ms)| EventKind::Called(Called { number, what, audio_ms })),
        1 => (0_u32..4, call(), any::<bool>()).prop_map(|(number, what, fails)| EventKind::Returned(Returned {
            number, what, failed: fails.then(|| "no".to_owned()) })),
        2 => told().prop_map(EventKind::Told),
        1 => (prop::option::of(any::<i32>()), prop::option::of(any::<i32>()))
            .prop_map(|(code, signal)| EventKind::Exited(Exited { code, signal })),
        2 => any::<bool>().prop_map(|reads| EventKind::Reads { reads }),
    ]
}

fn told() -> impl Strategy<Value = Told> {
    let whats = vec![ToldWhat::Partial, ToldWhat::Final, ToldWhat::FlushFailed, ToldWhat::Error, ToldWhat::Ended];
    let outcomes = vec![ClientOutcome::Complete, ClientOutcome::Error, ClientOutcome::Incomplete];
    let optional = || prop::option::of(number());
    (prop::sample::select(whats), prop::sample::select(outcomes), optional(), optional(), optional()).prop_map(
        |(what, outcome, id, start_ms, end_ms)| Told {
            segment_id: id,
            text: Some("one".to_owned()),
            start_ms,
            end_ms,
            code: Some("internal".to_owned()),
            outcome: (what == ToldWhat::Ended).then_some(outcome),
            count: id,
            ..Told::new(what)
        },
    )
}

/// The numbers of an event that no text holds.
fn numbers(kind: &mut EventKind) -> Vec<&mut u64> {
    match kind {
        EventKind::Audio { bytes, .. } => vec![bytes],
        EventKind::Control { took_ms, .. } => vec![took_ms],
        EventKind::Cpu { busy_ms, over_ms, .. } => vec![busy_ms, over_ms],
        EventKind::GaveUp { after_ms, .. } => vec![after_ms],
        EventKind::LeftAlone { for_ms } => vec![for_ms],
        EventKind::Started(Started { audio_ms, .. })
        | EventKind::InputEnded(InputEnded { audio_ms, .. })
        | EventKind::Called(Called { audio_ms, .. }) => audio_ms.iter_mut().collect(),
        EventKind::Transport { unacknowledged_bytes, unread_bytes, unsent_bytes, waiting_bytes, .. } => {
            [unacknowledged_bytes, unread_bytes, unsent_bytes, waiting_bytes].into_iter().flatten().collect()
        }
        EventKind::Told(Told { segment_id, start_ms, end_ms, count, .. }) => {
            [segment_id, start_ms, end_ms, count].into_iter().flatten().collect()
        }
        EventKind::Open(_)
        | EventKind::Refused { .. }
        | EventKind::ConnectFailed { .. }
        | EventKind::Text { .. }
        | EventKind::Close { .. }
        | EventKind::Eof { .. }
        | EventKind::Ping { .. }
        | EventKind::Pong { .. }
        | EventKind::Stimulus(_)
        | EventKind::Reads { .. }
        | EventKind::Returned(_)
        | EventKind::Logged(_)
        | EventKind::Exited(_)
        | EventKind::Note(_) => Vec::new(),
    }
}

fn set(kind: &mut EventKind, to: u64, which: Option<Index>) {
    if let EventKind::Text { text, .. } = kind {
        *text = with_number(text, to, which);
        return;
    }
    let mut numbers = numbers(kind);
    let one = which.filter(|_| !numbers.is_empty()).map(|which| which.index(numbers.len()));
    for (index, number) in numbers.iter_mut().enumerate() {
        if one.is_none_or(|one| one == index) {
            **number = to;
        }
    }
}

/// The text with one of its members that are numbers changed, or with all of them.
fn with_number(text: &str, to: u64, which: Option<Index>) -> String {
    let is_number = |part: &str| part.starts_with(|first: char| first.is_ascii_digit());
    let parts: Vec<&str> = text.split(':').collect();
    let found: Vec<usize> = (1..parts.len()).filter(|index| is_number(parts[*index])).collect();
    let one = which.filter(|_| !found.is_empty()).map(|which| found[which.index(found.len())]);
    // A larger one is no number of a message.
    let to = to.min((1 << 53) - 1);
    let changed = parts.iter().enumerate().map(|(index, part)| match one {
        Some(one) if one != index => (*part).to_owned(),
        _ if found.contains(&index) => format!("{to}{}", part.trim_start_matches(|digit: char| digit.is_ascii_digit())),
        _ => (*part).to_owned(),
    });
    changed.collect::<Vec<String>>().join(":")
}

impl Change {
    fn apply(self, events: &mut Vec<Event>, at: Index) {
        if events.is_empty() {
            return;
        }
        let at = at.index(events.len());
        match self {
            Self::Time(t_us) => events[at].t_us = t_us,
            Self::Later(by_us) => {
                events[at..].iter_mut().for_each(|event| event.t_us = event.t_us.saturating_add(by_us));
            }
            Self::Number(to, which) => set(&mut events[at].kind, to, which),
            Self::Conn(conn) => events[at].conn = conn,
            Self::Swapped(other) => {
                let other = other.index(events.len());
                events.swap(at, other);
            }
            Self::Again(there) => {
                let (again, there) = (events[at].clone(), there.index(events.len()));
                events.insert(there, again);
            }
            Self::Missing => drop(events.remove(at)),
            Self::Before(kind) => {
                let Event { t_us, conn, .. } = events[at];
                events.insert(at, Event::new(t_us, conn, kind));
            }
        }
    }
}

fn run() -> impl Strategy<Value = Trace> {
    let changes = prop::collection::vec((any::<Index>(), change()), 0..8);
    let percent = prop_oneof![4 => Just(100_u64), 1 => Just(10_000), 1 => Just(u64::MAX)];
    (any::<Index>(), changes, percent, any::<bool>()).prop_map(|(which, changes, percent, is_in_order)| {
        let mut trace = RUNS[which.index(RUNS.len())].clone();
        for (at, change) in changes {
            change.apply(&mut trace.events, at);
        }
        if is_in_order {
            // As every file has them.
            let mut latest_us = 0;
            for event in &mut trace.events {
                latest_us = event.t_us.max(latest_us);
                event.t_us = latest_us;
            }
        }
        trace.header.time_scale_percent = percent;
        trace
    })
}

/// What a caller of the judge can ask for: what is owed after each event, and all that is said in the end.
fn judged(trace: &Trace, options: &Options) -> lastword_judge::Judgement {
    let mut monitor = Monitor::new(&trace.header, options);
    for event in &trace.events {
        monitor.observe(event);
        let _ = monitor.owed(event.conn);
    }
    monitor.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn no_run_of_a_client_makes_the_judge_panic(trace in run()) {
        let judgement = judged(&trace, &options());
        for finding in &judgement.findings {
            prop_assert!(finding.frames.iter().all(|frame| *frame < trace.events.len()), "{}", render(finding));
        }
    }
}

/// Otherwise the property above would hold for want of anything to judge.
#[test]
fn runs_by_chance_break_most_requirements_of_a_client() {
    let mut runner = TestRunner::deterministic();
    let mut broken = BTreeSet::new();
    for _ in 0..2_000 {
        let trace = run().new_tree(&mut runner).expect("a run").current();
        broken.extend(judged(&trace, &options()).findings.into_iter().map(|finding| finding.requirement.as_str()));
    }
    assert!(broken.len() >= 40, "{}: {broken:?}", broken.len());
}
