//! Owns the words for a level and for the share of the state table: what a subject is certified for, or exactly what stands
//! in the way.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::certificate::{Aside, Hindrance, LevelReport};
use crate::coverage::Coverage;

/// So many things that stand in the way are told one by one.
const MOST: usize = 12;

/// The level in lines, each after this indent.
#[must_use]
pub(crate) fn level_lines(report: &LevelReport, indent: &str) -> String {
    let mut text = String::new();
    match report.level {
        Some(level) => {
            let _ = writeln!(text, "{indent}certified: {}", level.as_str());
        }
        None => {
            let _ = writeln!(text, "{indent}not certified:");
        }
    }
    if let Some(why) = report.at_most.as_ref().filter(|_| report.level.is_some()) {
        let _ = writeln!(text, "{indent}  no higher: {why}");
    }
    for hindrance in report.hindrances.iter().take(MOST) {
        let _ = writeln!(text, "{indent}  {}", in_words(hindrance));
    }
    if let Some(more) = report.hindrances.len().checked_sub(MOST).filter(|more| *more > 0) {
        let _ = writeln!(text, "{indent}  ... and {more} more");
    }
    if let Some(suite) = &report.suite {
        let _ = writeln!(
            text,
            "{indent}  W-method suite, k={}: {} of {} sequences over {} inputs as the state table says",
            suite.extra_states,
            suite.conforming,
            suite.sequences,
            suite.alphabet.len()
        );
    }
    asides(&mut text, indent, "watched in every session, not shown", &report.never_arose);
    asides(&mut text, indent, "not binding on this subject", &report.not_applicable);
    text
}

fn in_words(hindrance: &Hindrance) -> String {
    let ids = match hindrance.requirements.len() {
        0 => String::new(),
        _ => format!(" [{}]", hindrance.requirements.join(", ")),
    };
    let remedy = hindrance.remedy.as_ref().map(|remedy| format!(" -> {remedy}")).unwrap_or_default();
    format!("{}{ids}{remedy}", hindrance.what)
}

fn asides(text: &mut String, indent: &str, what: &str, asides: &[Aside]) {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for aside in asides {
        by_reason.entry(aside.why.as_str()).or_default().push(&aside.requirement);
    }
    for (why, ids) in by_reason {
        let _ = writeln!(text, "{indent}  {what}: {} ({why})", ids.join(", "));
    }
}

/// The transitions that were not visited, a line for each state.
#[must_use]
pub fn unvisited(coverage: &Coverage) -> String {
    let mut by_state: Vec<(&str, Vec<&str>)> = Vec::new();
    for transition in &coverage.unvisited {
        match by_state.last_mut().filter(|(state, _)| *state == transition.state) {
            Some((_, inputs)) => inputs.push(&transition.input),
            None => by_state.push((&transition.state, vec![&transition.input])),
        }
    }
    let mut text = String::new();
    if !by_state.is_empty() {
        text.push_str("transitions not visited:\n");
    }
    for (state, inputs) in by_state {
        let _ = writeln!(text, "  {state:<12} {}", inputs.join(", "));
    }
    text
}
