//! Results as a table for people and as JSON for programs. Owns the columns. It must not know how anything was explored.

use std::fmt::Write as _;

use serde::Serialize;

use crate::course::Result;
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
