//! Owns how a suspicion is told: the ladder of evidence, who waits for whom, and the table of the release probes, as data and as
//! lines for a person. What it comes to is the judge's.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lastword_judge::{Conclusion, Controls, Outcome, Ping, ProbeRow, Suspicion, WaitsFor};
use lastword_spec::trace::{EventKind, Side, Stimulus, Trace};
use serde_json::Value;

use super::model::FindingReport;
use super::suspicion::{ControlsReport, CpuReport, ProbeReport, SuspicionReport, TransportReport, WaitsForReport};

/// The report of a suspicion that was found in this trace.
#[must_use]
pub(crate) fn report(suspicion: &Suspicion, trace: &Trace) -> SuspicionReport {
    SuspicionReport {
        conn: suspicion.conn,
        requirement: suspicion.requirement.to_string(),
        state: suspicion.state.as_str().to_owned(),
        owes: suspicion.what.clone(),
        event: suspicion.event,
        since_us: suspicion.since_us,
        silent_us: suspicion.silent_us,
        paid_us: suspicion.paid_us,
        said: said(suspicion, trace),
        controls: controls(&suspicion.during),
        controls_afterwards: controls(&suspicion.afterwards),
        transport: suspicion.transport.map(|transport| TransportReport {
            unacknowledged_bytes: transport.unacknowledged_bytes,
            unread_bytes: transport.unread_bytes,
            retransmits: transport.retransmits,
        }),
        ping: match suspicion.ping {
            Ping::NotSent => "not sent".to_owned(),
            Ping::Answered(after_us) => format!("answered after {}", ms(after_us)),
            Ping::Unanswered => "not answered".to_owned(),
        },
        cpu: suspicion.cpu.map(|cpu| CpuReport { busy_ms: cpu.busy_ms, over_ms: cpu.over_ms, alone: cpu.alone }),
        waits: suspicion.waits.iter().map(wait).collect(),
        cycle: cycle(&suspicion.waits),
        probes: suspicion.probes.iter().map(row).collect(),
        conclusion: conclusion(&suspicion.conclusion, &suspicion.probes),
        is_proved: suspicion.conclusion.is_proved(),
        is_livelock: suspicion.conclusion == Conclusion::Livelock,
        is_slow: matches!(suspicion.conclusion, Conclusion::Slow { .. }),
    }
}

/// What the server said from the moment on that made the debt, until it paid or the harness gave up.
fn said(suspicion: &Suspicion, trace: &Trace) -> BTreeMap<String, usize> {
    let own = trace.events.iter().skip(suspicion.event).filter(|event| event.conn == suspicion.conn);
    let meanwhile = own
        .take_while(|event| !matches!(event.kind, EventKind::GaveUp { .. }))
        .take_while(|event| suspicion.paid_us.is_none_or(|paid_us| event.t_us < paid_us));
    let mut said = BTreeMap::new();
    let texts = meanwhile.filter_map(|event| match &event.kind {
        EventKind::Text { from: Side::Server, text } => Some(text),
        _ => None,
    });
    for text in texts.take(MOST_SAID) {
        let message: Option<Value> = serde_json::from_str(text).ok();
        let kind = message.as_ref().and_then(|message| message.get("type")).and_then(Value::as_str);
        let shown = kind.unwrap_or("no message of the protocol").chars().take(LONGEST_TYPE).collect();
        *said.entry(shown).or_default() += 1;
    }
    said
}

/// Of a flood so many messages are counted.
const MOST_SAID: usize = 1_000;

/// No type of the protocol is longer.
const LONGEST_TYPE: usize = 40;

fn controls(controls: &Controls) -> ControlsReport {
    ControlsReport {
        completed: controls.completed,
        answered: controls.answered,
        unanswered: controls.unanswered,
        took_ms: controls.took_ms.clone(),
    }
}

fn wait(edge: &WaitsFor) -> WaitsForReport {
    WaitsForReport { who: edge.who.to_string(), whom: edge.whom.to_string(), why: edge.why.clone() }
}

fn row(row: &ProbeRow) -> ProbeReport {
    ProbeReport {
        stimulus: row.stimulus.as_str().to_owned(),
        tried: row.tried(),
        released: row.released(),
        by_itself: row.by_itself(),
        outcome: outcomes(row),
    }
}

/// The nodes of the cycle in the wait-for graph, the first one again at its end; empty where what is known closes none.
fn cycle(waits: &[WaitsFor]) -> Vec<String> {
    for edge in waits {
        let mut path = vec![edge.who];
        while let Some(next) = waits.iter().find(|one| Some(&one.who) == path.last()).map(|one| one.whom) {
            let seen = path.iter().position(|node| *node == next);
            path.push(next);
            if let Some(from) = seen {
                return path[from..].iter().map(ToString::to_string).collect();
            }
        }
    }
    Vec::new()
}

fn conclusion(conclusion: &Conclusion, rows: &[ProbeRow]) -> String {
    let named = |stimuli: &[Stimulus]| {
        let names: Vec<&str> = stimuli.iter().map(|stimulus| words(stimulus.as_str())).collect();
        names.join(", ")
    };
    match conclusion {
        Conclusion::WaitsFor(stimuli) => format!("waits for: {}", named(stimuli)),
        Conclusion::Masked { timer_us, limit, forward } => {
            let follows = limit.map(|limit| format!(", as long as `{limit}`")).unwrap_or_default();
            let brought =
                if forward.is_empty() { String::new() } else { format!("; brought forward by: {}", named(forward)) };
            format!("masked by a timer of {:.1} s{follows}{brought}", *timer_us as f64 / 1e6)
        }
        Conclusion::Unreleasable => "nothing releases it".to_owned(),
        Conclusion::Slow { middle_us, .. } => {
            let sooner = brought_sooner(rows, *middle_us);
            if sooner.is_empty() {
                format!("comes after {} whatever the client does: slow, not stuck", ms(*middle_us))
            } else {
                let (after, sooner) = (ms(*middle_us), named(&sooner));
                format!(
                    "comes after {after} by itself and sooner behind: {sooner}; the controls are too few, or too unlike, to show a timer"
                )
            }
        }
        Conclusion::Livelock => "messages flow and nothing moves".to_owned(),
        Conclusion::Hung => "the subject answers nobody".to_owned(),
        Conclusion::Open(missing) => format!("not decided: {missing}"),
    }
}

/// The stimuli that brought it in every repetition, a fifth sooner than it comes by itself.
fn brought_sooner(rows: &[ProbeRow], middle_us: u64) -> Vec<Stimulus> {
    let sooner =
        |outcome: &Outcome| matches!(outcome, Outcome::Released { total_us, .. } if *total_us < middle_us / 5 * 4);
    let always = |row: &&ProbeRow| row.tried() > 1 && row.released() == row.tried();
    let rows = rows
        .iter()
        .filter(always)
        .filter(|row| row.outcomes.iter().filter(|one| **one != Outcome::Missing).all(sooner));
    rows.map(|row| row.stimulus).collect()
}

/// What came of the repetitions, in a few words.
fn outcomes(row: &ProbeRow) -> String {
    let us = |wanted: fn(&Outcome) -> Option<u64>| {
        let mut all: Vec<u64> = row.outcomes.iter().filter_map(wanted).collect();
        all.sort_unstable();
        all
    };
    let span = |all: &[u64]| match (all.first(), all.last()) {
        (Some(first), Some(last)) if ms(*first) == ms(*last) => ms(*first),
        (Some(first), Some(last)) => format!("{} to {}", ms(*first), ms(*last)),
        _ => String::new(),
    };
    let released = us(|outcome| match outcome {
        Outcome::Released { after_us, .. } => Some(*after_us),
        _ => None,
    });
    let by_itself = us(|outcome| match outcome {
        Outcome::ByItself { total_us, .. } => Some(*total_us),
        _ => None,
    });
    let ended = us(|outcome| match outcome {
        Outcome::Ended { after_us } => Some(*after_us),
        _ => None,
    });
    let nothing = us(|outcome| match outcome {
        Outcome::Nothing { watched_us } => Some(*watched_us),
        _ => None,
    });
    let missing = row.outcomes.len() - row.tried();
    let mut parts = Vec::new();
    if !released.is_empty() {
        parts.push(format!("came {} after it", span(&released)));
    }
    if !by_itself.is_empty() {
        parts.push(format!("came by itself {} after it was owed{}", span(&by_itself), times(by_itself.len())));
    }
    if !ended.is_empty() {
        parts.push(format!("the session ended without it{}", times(ended.len())));
    }
    if !nothing.is_empty() {
        parts.push(format!("nothing in {}", span(&nothing)));
    }
    if missing > 0 {
        parts.push(format!("{missing} could not be held"));
    }
    parts.join("; ")
}

fn times(count: usize) -> String {
    if count == 1 { String::new() } else { format!(" ({count} times)") }
}

/// What stands behind the verdict in the first line of a breach: ` (waits for more audio after end_of_stream)`.
#[must_use]
pub(crate) fn headline(finding: &FindingReport, suspicions: &[SuspicionReport]) -> String {
    let about = suspicions.iter().find(|suspicion| suspicion.conn == finding.conn && suspicion.is_proved);
    let Some(suspicion) = about.filter(|_| finding.verdict == "DEADLOCK") else { return String::new() };
    match finding.kind.as_str() {
        "UNBOUNDED_WAIT" => {
            let end = finding.message.find(", which").unwrap_or(finding.message.len());
            format!(" ({})", &finding.message[..end])
        }
        "MASKED_BY_TIMER" => {
            let end = suspicion.conclusion.find([',', ';']).unwrap_or(suspicion.conclusion.len());
            format!(" ({})", &suspicion.conclusion[..end])
        }
        _ => format!(" ({})", suspicion.conclusion),
    }
}

/// The ladder as lines, without indent.
#[must_use]
pub(crate) fn lines(report: &SuspicionReport) -> Vec<String> {
    let mut lines = Vec::new();
    let owed = format!(
        "{}: the server owes {} since {} (event {})",
        report.state,
        report.owes,
        s(report.since_us),
        report.event
    );
    lines.push(match report.paid_us {
        None if report.is_livelock => format!("{owed} and spoke without getting on"),
        None => format!("{owed} and was silent for {}", s(report.silent_us)),
        Some(paid_us) => format!("{owed}; it came after {}", s(paid_us.saturating_sub(report.since_us))),
    });
    lines.push(format!("meanwhile it said: {}", said_in_words(&report.said)));
    lines.push(match &report.transport {
        None if report.paid_us.is_some() => "E1 own bytes: not looked at, for it came".to_owned(),
        None => "E1 own bytes: not known whether they were acknowledged".to_owned(),
        Some(transport) => {
            let own = match transport.unacknowledged_bytes {
                Some(0) => "all written and acknowledged".to_owned(),
                Some(bytes) => format!("{bytes} not acknowledged"),
                None => "not known whether they were acknowledged".to_owned(),
            };
            let unread = match transport.unread_bytes {
                Some(0) => ", and read by the subject",
                Some(_) => ", and not all read by the subject",
                None => "",
            };
            format!("E1 own bytes: {own}{unread}")
        }
    });
    lines.push(format!("E2 {}", control_line(report)));
    let cpu = match &report.cpu {
        None if report.paid_us.is_some() => "the CPU time of its processes was not measured".to_owned(),
        None => "the CPU time of its processes is not known".to_owned(),
        Some(cpu) => {
            let others = if cpu.alone { "" } else { " (other sessions ran meanwhile)" };
            format!("its processes used {} ms of CPU in {} ms{others}", cpu.busy_ms, cpu.over_ms)
        }
    };
    let worth = if report.ping.starts_with("answered") { " (no proof of life)" } else { "" };
    lines.push(format!("E3 Ping {}{worth}; {cpu}", report.ping));
    if !report.cycle.is_empty() {
        lines.push(format!("E4 waiting in a circle: {}", report.cycle.join(" -> ")));
    } else {
        lines.push("E4 who waits for whom:".to_owned());
    }
    for edge in &report.waits {
        lines.push(format!("   {:<11} -> {:<12} {}", edge.who, edge.whom, edge.why));
    }
    if report.probes.is_empty() {
        lines.push("release probes: none were held for this case".to_owned());
    } else {
        lines.push("release probes (the same messages on fresh connections, then one stimulus; how often it brought what is owed):".to_owned());
    }
    for row in &report.probes {
        let released = format!("{} of {}", row.released, row.tried);
        lines.push(format!("   {:<22} {released:<7} {}", words(&row.stimulus), row.outcome));
    }
    lines.push(format!("so: {}", report.conclusion));
    lines
}

fn said_in_words(said: &BTreeMap<String, usize>) -> String {
    if said.is_empty() {
        return "nothing".to_owned();
    }
    let mut words = String::new();
    for (kind, count) in said {
        let comma = if words.is_empty() { "" } else { ", " };
        let _ = write!(words, "{comma}{kind} ({count})");
    }
    words
}

/// The evidence behind a finding, as lines after this indent; nothing where the finding is no stall.
#[must_use]
pub(crate) fn ladder(finding: &FindingReport, suspicions: &[SuspicionReport], indent: &str) -> String {
    let about = |suspicion: &&SuspicionReport| suspicion.conn == finding.conn && !suspicion.is_slow;
    let suspicion = suspicions.iter().find(about).filter(|_| is_stall(finding));
    suspicion.map(lines).unwrap_or_default().iter().fold(String::new(), |text, line| text + indent + line + "\n")
}

/// Whether the finding is about a debt that was not paid, or not by work.
#[must_use]
pub(super) fn is_stall(finding: &FindingReport) -> bool {
    STALLS.contains(&finding.kind.as_str())
}

/// The kinds of finding that the evidence about a stall belongs to.
const STALLS: &[&str] = &["STALLED", "STUCK", "UNBOUNDED_WAIT", "MASKED_BY_TIMER", "NO_PROGRESS", "UNRESPONSIVE"];

fn control_line(report: &SuspicionReport) -> String {
    let told = |controls: &ControlsReport| {
        let mut parts = Vec::new();
        for (count, word) in [
            (controls.completed, "completed"),
            (controls.answered, "answered and not completed"),
            (controls.unanswered, "not answered"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {word}"));
            }
        }
        let took: Vec<String> = controls.took_ms.iter().map(u64::to_string).collect();
        format!("{} (in {} ms)", parts.join(", "), took.join(", "))
    };
    let count = |controls: &ControlsReport| controls.completed + controls.answered + controls.unanswered;
    match (count(&report.controls), count(&report.controls_afterwards)) {
        (0, 0) => "control sessions: none".to_owned(),
        (0, _) => {
            let after = told(&report.controls_afterwards);
            format!(
                "control sessions beside it: missing (none was held, or there was no room for one); afterwards: {after}"
            )
        }
        (_, 0) => format!("control sessions that it outlived: {}", told(&report.controls)),
        (_, _) => {
            let (during, after) = (told(&report.controls), told(&report.controls_afterwards));
            format!("control sessions that it outlived: {during}; afterwards: {after}")
        }
    }
}

/// A stimulus for a person.
fn words(stimulus: &str) -> &str {
    match stimulus {
        "nothing" => "nothing (the control)",
        "audio" => "one more audio frame",
        "end_of_stream" => "an end_of_stream",
        "keepalive" => "a keepalive",
        "half_close" => "end of our half of TCP",
        "close" => "Close 1000",
        other => other,
    }
}

fn ms(us: u64) -> String {
    if us < 10_000 { format!("{:.1} ms", us as f64 / 1e3) } else { format!("{} ms", us / 1_000) }
}

fn s(us: u64) -> String {
    format!("{:.2} s", us as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stimulus_brings_sooner_each_time_does_not_come_whatever_the_client_does() {
        let slow = Conclusion::Slow { middle_us: 2_000_000, too_silent: false };
        let behind = |total_us: u64| {
            let outcome = Outcome::Released { after_us: 1_000, total_us };
            let row = ProbeRow { stimulus: Stimulus::Keepalive, outcomes: vec![outcome; 5] };
            conclusion(&slow, &[row])
        };
        assert!(behind(1_599_999).starts_with("comes after 2000 ms by itself and sooner behind: a keepalive"));
        assert_eq!(behind(1_600_000), "comes after 2000 ms whatever the client does: slow, not stuck");
    }
}
