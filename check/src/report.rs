//! Results as a table for people and as JSON for programs. Owns the columns. It must not know how anything was explored.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::course::{DEEP_STATES, DEFAULT_BOUND_TIME, Result};
use crate::mutants::Mutant;

/// A result as a program reads it.
#[derive(Debug, Serialize)]
pub struct Row {
    name: String,
    states: usize,
    steps: usize,
    complete: bool,
    took_ms: u128,
    violations: Vec<RowViolation>,
}

#[derive(Debug, Serialize)]
struct RowViolation {
    property: &'static str,
    length: usize,
    steps: Vec<String>,
}

impl Row {
    /// The row of a result.
    #[must_use]
    pub fn of(result: &Result) -> Self {
        let violations = result.violations.iter().map(|one| RowViolation {
            property: one.property.as_str(),
            length: one.length,
            steps: one.told.clone(),
        });
        Self {
            name: result.name.to_owned(),
            states: result.states,
            steps: result.edges,
            complete: result.complete,
            took_ms: result.took.as_millis(),
            violations: violations.collect(),
        }
    }
}

/// The head of the table.
#[must_use]
pub fn head() -> String {
    format!("{:<32} {:>11} {:>12} {:>9}  {}", "explored", "states", "steps", "time", "properties")
}

/// One line of the table.
#[must_use]
pub fn line(result: &Result) -> String {
    let properties = match () {
        () if !result.complete => "NOT EXPLORED TO THE END".to_owned(),
        () if result.violations.is_empty() => "all hold".to_owned(),
        () => violated(result),
    };
    let seconds = format!("{:.2} s", result.took.as_secs_f64());
    format!("{:<32} {:>11} {:>12} {seconds:>9}  {properties}", result.name, result.states, result.edges)
}

/// The sum of the table.
#[must_use]
pub fn sum(results: &[Result]) -> String {
    let states: usize = results.iter().map(|one| one.states).sum();
    let edges: usize = results.iter().map(|one| one.edges).sum();
    let seconds: f64 = results.iter().map(|one| one.took.as_secs_f64()).sum();
    let seconds = format!("{seconds:.2} s");
    format!("{:<32} {states:>11} {edges:>12} {seconds:>9}", "together")
}

/// What the default bound took beside what it may take, and whether that was kept. A busy machine breaks it without a fault of ours.
#[must_use]
pub fn default_bound_time(results: &[Result]) -> (String, bool) {
    let took: Duration = results.iter().map(|one| one.took).sum();
    let (seconds, most) = (took.as_secs_f64(), DEFAULT_BOUND_TIME.as_secs());
    let states: usize = results.iter().map(|one| one.states).sum();
    (format!("default bound: {states} states in {seconds:.2} s, at most {most} s"), took <= DEFAULT_BOUND_TIME)
}

/// How many states there are in all beside how many there must be, and whether it is enough.
#[must_use]
pub fn deep_states(results: &[Result]) -> (String, bool) {
    let states: usize = results.iter().map(|one| one.states).sum();
    let seconds: f64 = results.iter().map(|one| one.took.as_secs_f64()).sum();
    (format!("deep: {states} states in {seconds:.2} s, at least {DEEP_STATES} states"), states >= DEEP_STATES)
}

/// Every violation with its way, or nothing.
#[must_use]
pub fn details(result: &Result) -> String {
    let mut text = String::new();
    for one in &result.violations {
        let _ = writeln!(text, "\n{}: {} after {} steps", result.name, one.property.as_str(), one.length);
        for step in &one.told {
            let _ = writeln!(text, "    {step}");
        }
    }
    text
}

/// A mutant with what it was found to violate.
#[must_use]
pub fn mutant_line(mutant: &Mutant, result: &Result) -> String {
    let violated = if result.violations.is_empty() { "harmless".to_owned() } else { violated(result) };
    format!("{:<32} {:<7} {:<7} {violated}", mutant.name, mutant.guilty.as_str(), mutant.breaks.as_str())
}

fn violated(result: &Result) -> String {
    let each = result.violations.iter().map(|one| format!("{} [{}]", one.property.as_str(), one.length));
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(states: usize, took_ms: u64) -> Result {
        let took = Duration::from_millis(took_ms);
        Result { name: "some", states, edges: 0, complete: true, took, violations: Vec::new() }
    }

    #[test]
    fn the_default_bound_has_two_seconds_in_all() {
        let (told, kept) = default_bound_time(&[result(3, 1_000), result(4, 1_000)]);
        assert_eq!((told.as_str(), kept), ("default bound: 7 states in 2.00 s, at most 2 s", true));
        assert!(!default_bound_time(&[result(3, 1_000), result(4, 1_001)]).1);
    }

    #[test]
    fn deep_is_three_million_states_in_all() {
        let (told, enough) = deep_states(&[result(1_000_000, 500), result(2_000_000, 500)]);
        assert_eq!((told.as_str(), enough), ("deep: 3000000 states in 1.00 s, at least 3000000 states", true));
        assert!(!deep_states(&[result(1_000_000, 0), result(1_999_999, 0)]).1);
    }
}
