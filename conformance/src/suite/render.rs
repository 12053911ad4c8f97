//! Owns the lines about the suite in the report for a person.

use std::fmt::Write as _;

use super::generate::Suite;
use super::result::{SuiteSummary, names};
use super::wording;

/// What the suite was, what came of it, and what that shows.
#[must_use]
pub fn render(suite: &SuiteSummary) -> String {
    let mut text = String::new();
    let inputs: Vec<&str> = suite.alphabet.iter().filter_map(|input| input.split(": ").next()).collect();
    let _ = writeln!(
        text,
        "m-complete suite (W-method): {} states of the table + {} more, {} inputs: {}",
        suite.states.len(),
        suite.extra_states,
        inputs.len(),
        inputs.join(", ")
    );
    let _ = writeln!(
        text,
        "  {} of {} sequences, {} inputs in {}.{:03} s: {} conforming, {} mismatching, {} not reached, {} undecided",
        suite.ran,
        suite.planned,
        suite.steps,
        suite.took_ms / 1_000,
        suite.took_ms % 1_000,
        suite.conforming,
        suite.mismatching,
        suite.not_reached,
        suite.undecided
    );
    let reached = suite.draining.saturating_sub(suite.not_reached);
    let _ = writeln!(text, "  {reached} of {} sequences into the drain were read before it was over", suite.draining);
    if suite.verdict == "PASS" {
        let _ = writeln!(text, "  {}: the subject {}", suite.verdict, suite.claim());
    } else {
        let why = suite.reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        let _ = writeln!(text, "  {}{why}", suite.verdict);
    }
    for one in suite.mismatches.iter().take(SHOWN) {
        let mut inputs = one.inputs.clone();
        if let Some(input) = inputs.get_mut(one.step) {
            *input = format!(">{input}<");
        }
        let _ = writeln!(text, "  sequence {}: {}", one.sequence, inputs.join(", "));
        let _ = writeln!(text, "    {}: {}", one.text, one.findings.join(", "));
    }
    text
}

/// What the suite is, whatever the subject, and how long for each number of extra states.
#[must_use]
pub fn explain() -> String {
    let mut text = String::from(
        "Sequences generated from the server's state table by the W-method, each on a connection of its own.\n\n",
    );
    let suite = Suite::generate(0);
    text.push_str("states (those that behave alike stand together):\n");
    for state in suite.machine.states() {
        let places: Vec<String> = state.places.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "  {}", places.join(" = "));
    }
    text.push_str("inputs:\n");
    for input in suite.machine.inputs() {
        let _ = writeln!(text, "  {:<18} {}", input.as_str(), wording::shown(*input));
    }
    let separators: Vec<String> = suite.separators.iter().map(|one| names(one).join(", ")).collect();
    let _ = writeln!(text, "told apart by: {}", separators.join("; "));
    for extra_states in 0..=2 {
        let suite = Suite::generate(extra_states);
        let (sequences, inputs) = (suite.tests.len(), suite.steps());
        let _ = writeln!(text, "--extra-states {extra_states}: {sequences} sequences, {inputs} inputs");
    }
    text.push_str("left out: oversize messages, the tenth bad message, timers, loss of the connection; results, speech events and progress\n");
    text
}

/// So many mismatches stand in the report for a person; all that are kept stand in the JSON.
const SHOWN: usize = 4;

#[cfg(test)]
mod tests {
    use super::super::result::MismatchSummary;
    use super::*;

    #[test]
    fn the_page_about_the_suite_names_its_states_inputs_and_sizes() {
        insta::assert_snapshot!(explain());
    }

    #[test]
    fn a_pass_says_what_it_shows_and_a_failure_where_it_arose() {
        let suite = Suite::generate(1);
        let mut summary = SuiteSummary::of(&suite, &[], Some("the subject has no room"), 1_234);
        assert_eq!(summary.verdict, "INCONCLUSIVE");
        summary.mismatches.push(MismatchSummary {
            sequence: 7,
            inputs: vec!["config".into(), "flush".into()],
            step: 1,
            text: "answered flush in Streaming with nothing, where the table wants flushed".into(),
            findings: vec!["UNANSWERED [FLU-1]".into()],
        });
        let open = render(&summary);
        summary.verdict = "PASS".into();
        summary.mismatches.clear();
        insta::assert_snapshot!(format!("{open}---\n{}", render(&summary)));
    }
}
