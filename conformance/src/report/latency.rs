//! Owns the note that a subject was slow and conforming: how long the work took that a client waits for, and how much progress was
//! told on the way. A note is no verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use lastword_spec::trace::{EventKind, Side, Trace};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::model::CaseReport;

/// From here on a wait is worth a note, in microseconds.
const NOTABLE_US: u64 = 2_000_000;

/// The requirements that a wait breaks which is longer, or quieter, than it may be.
const ABOUT_WAITING: [&str; 3] = ["END-S7", "PRG-S1", "PRG-S4"];

/// The longest wait of a case for something that only work brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyReport {
    /// `ready`, `flushed` or `session_ended`.
    pub owes: String,
    /// How long it took from the moment on at which it was owed, in microseconds.
    pub took_us: u64,
    /// How many messages of progress came meanwhile.
    pub progress: usize,
}

/// A debt that work must pay: what, and the id of a flush.
type Debt = (&'static str, String);

#[derive(Default)]
struct Line {
    /// Since when each is owed, and how much progress had been told by then.
    open: BTreeMap<Debt, (u64, usize)>,
    progress: usize,
}

/// The longest wait in a trace, if it is worth a note. Release probes do not count.
#[must_use]
pub(super) fn longest(trace: &Trace) -> Option<LatencyReport> {
    let mut probes = BTreeSet::new();
    let mut lines: BTreeMap<u32, Line> = BTreeMap::new();
    let mut longest: Option<LatencyReport> = None;
    for event in &trace.events {
        match &event.kind {
            EventKind::Open(open) if open.probe.is_some() => {
                probes.insert(event.conn);
            }
            EventKind::Text { from, text } if !probes.contains(&event.conn) => {
                let Ok(message) = serde_json::from_str::<Value>(text) else { continue };
                let line = lines.entry(event.conn).or_default();
                let Some((owes, since_us, progress)) = line.heard(*from, &message, event.t_us) else { continue };
                let took_us = event.t_us.saturating_sub(since_us);
                if took_us >= NOTABLE_US && longest.as_ref().is_none_or(|longest| took_us > longest.took_us) {
                    longest = Some(LatencyReport { owes: owes.to_owned(), took_us, progress });
                }
            }
            _ => {}
        }
    }
    longest
}

impl Line {
    /// Keeps up with a message; what it pays, since when that was owed, and how much progress came meanwhile.
    fn heard(&mut self, from: Side, message: &Value, t_us: u64) -> Option<(&'static str, u64, usize)> {
        let text = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default();
        let (pays, id) = match (from, text("type")) {
            (Side::Client, "config") => return self.owes(("ready", String::new()), t_us),
            (Side::Client, "flush") => return self.owes(("flushed", text("id").to_owned()), t_us),
            (Side::Client, "end_of_stream") => return self.owes(("session_ended", String::new()), t_us),
            (Side::Server, "progress") => {
                self.progress += 1;
                return None;
            }
            (Side::Server, "ready") => ("ready", String::new()),
            (Side::Server, "flushed") => ("flushed", text("id").to_owned()),
            (Side::Server, "session_ended") => ("session_ended", String::new()),
            _ => return None,
        };
        let (since_us, progress) = self.open.remove(&(pays, id))?;
        if pays == "ready" {
            // What was sent earlier is owed from here on.
            self.open.values_mut().for_each(|since| *since = (t_us, self.progress));
        }
        Some((pays, since_us, self.progress - progress))
    }

    fn owes(&mut self, debt: Debt, t_us: u64) -> Option<(&'static str, u64, usize)> {
        self.open.entry(debt).or_insert((t_us, self.progress));
        None
    }
}

/// What was late once and not again, in lines.
#[must_use]
pub(super) fn late_once(cases: &[CaseReport]) -> String {
    let mut text = String::new();
    for case in cases {
        for finding in &case.late_once {
            let _ = writeln!(
                text,
                "late once: {}: {} [{}]: {}; not again in two further runs, alone: the line or the machine stood still",
                case.id, finding.kind, finding.requirement, finding.message
            );
        }
    }
    text
}

/// The notes of all cases in lines: for each debt the longest wait, and how many cases had one that is worth a note.
#[must_use]
pub(super) fn lines(cases: &[CaseReport]) -> String {
    let mut by_debt: BTreeMap<&str, Vec<(&CaseReport, &LatencyReport)>> = BTreeMap::new();
    for case in cases {
        if let Some(latency) = &case.latency {
            by_debt.entry(&latency.owes).or_default().push((case, latency));
        }
    }
    let found = cases.iter().filter(|case| case.failed).flat_map(|case| &case.findings);
    let verdict = verdict(found.map(|finding| finding.requirement.as_str()));
    let mut text = String::new();
    for (owes, cases) in by_debt {
        let Some((case, longest)) = cases.iter().max_by_key(|(_, latency)| latency.took_us) else { continue };
        let (seconds, progress, count) = (longest.took_us as f64 / 1e6, longest.progress, cases.len());
        let of = if count == 1 { String::new() } else { format!("; {count} cases waited for it for 2 s and more") };
        let _ = writeln!(
            text,
            "latency: {owes} came up to {seconds:.1} s after it was owed, with {progress} messages of progress on the way ({}{of}): {verdict}",
            case.id
        );
    }
    text
}

/// What a note may say of waits where this was found to be broken.
fn verdict<'a>(broken: impl Iterator<Item = &'a str>) -> String {
    let about: BTreeSet<&str> = broken.filter(|id| ABOUT_WAITING.contains(id)).collect();
    match about.is_empty() {
        true => "slow, and conforming".to_owned(),
        false => {
            let ids = about.into_iter().collect::<Vec<_>>().join(", ");
            format!("slow, and what is wrong with such waits stands below [{ids}]")
        }
    }
}

#[cfg(test)]
mod tests {
    use lastword_spec::trace;

    use super::*;

    fn of(events: &[(u64, &str, &str)]) -> Option<LatencyReport> {
        let mut text = "{\"lastword_trace\":1,\"subject\":\"server\"}\n".to_owned();
        for (t_us, from, message) in events {
            let text_of = Value::from(*message);
            let _ = writeln!(text, r#"{{"t_us":{t_us},"conn":0,"from":"{from}","text":{text_of}}}"#);
        }
        longest(&trace::read(&text).expect("a trace"))
    }

    #[test]
    fn the_longest_wait_for_work_is_noted_with_the_progress_on_the_way() {
        let (end, ended) = (r#"{"type":"end_of_stream"}"#, r#"{"type":"session_ended"}"#);
        let tells = r#"{"type":"progress"}"#;
        let slow = of(&[(0, "client", end), (1_000_000, "server", tells), (8_000_000, "server", ended)]);
        assert_eq!(slow, Some(LatencyReport { owes: "session_ended".into(), took_us: 8_000_000, progress: 1 }));
        assert_eq!(of(&[(0, "client", end), (1_000_000, "server", ended)]), None);
    }

    #[test]
    fn what_is_sent_before_ready_is_waited_for_from_ready_on() {
        let (config, ready) = (r#"{"type":"config"}"#, r#"{"type":"ready"}"#);
        let (end, ended) = (r#"{"type":"end_of_stream"}"#, r#"{"type":"session_ended"}"#);
        let events =
            [(0, "client", config), (0, "client", end), (5_000_000, "server", ready), (8_000_000, "server", ended)];
        assert_eq!(of(&events), Some(LatencyReport { owes: "ready".into(), took_us: 5_000_000, progress: 0 }));
    }

    #[test]
    fn a_wait_is_not_called_conforming_where_silence_was_found_to_break_a_rule() {
        assert_eq!(verdict(["FIN-S1", "AUD-S1"].into_iter()), "slow, and conforming");
        let said = "slow, and what is wrong with such waits stands below [END-S7, PRG-S1]";
        assert_eq!(verdict(["PRG-S1", "FIN-S1", "END-S7", "PRG-S1"].into_iter()), said);
    }
}
