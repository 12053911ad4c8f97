//! Owns the words for a person about an exploration.

use std::fmt::Write as _;

use lastword_spec::finding::Verdict;
use lastword_spec::requirements;

use super::conduct::{Exploration, Failure, REPETITIONS};
use crate::redact::Redactor;
use crate::report::{self, visible};
use crate::verdict;

/// What came of it. `again` is the command line without seed, number of cases and the `command` behind the subject; `saved` the
/// file of the transcript.
#[must_use]
pub fn render(
    exploration: &Exploration,
    again: &str,
    command: Option<&str>,
    saved: Option<&str>,
    redactor: &Redactor,
) -> String {
    let command = command.map(|command| format!(" -- {command}")).unwrap_or_default();
    let again = |seed: u64| format!("{again} --seed {seed} --cases 1{command}");
    let mut text = String::new();
    let Exploration { ran, steps, seed, took_ms, .. } = exploration;
    let _ = writeln!(
        text,
        "{ran} random sequences, {steps} steps, from seed {seed}, in {}.{:03} s",
        took_ms / 1_000,
        took_ms % 1_000
    );
    if let Some(why) = &exploration.unreachable {
        let _ = writeln!(text, "nothing was explored: {}", redactor.redact(why));
    }
    if let Some(why) = &exploration.why_undecided {
        let _ = writeln!(text, "{} of them undecided: {}", exploration.undecided, redactor.redact(why));
    }
    for seed in &exploration.unrepeated {
        let _ = writeln!(text, "seed {seed} failed once and not again alone; again: {}", again(*seed));
    }
    match &exploration.failure {
        Some(failure) => failed(&mut text, failure, &again(failure.seed), saved, redactor),
        None if exploration.unreachable.is_some() => {}
        None if exploration.unrepeated.is_empty() => text.push_str("none of them failed\n"),
        None => text.push_str("none of them failed twice\n"),
    }
    visible(&text)
}

fn failed(text: &mut String, failure: &Failure, again: &str, saved: Option<&str>, redactor: &Redactor) {
    let flaky = if failure.is_flaky() { " (flaky)" } else { "" };
    let findings: Vec<_> = failure.findings.iter().map(|finding| report::finding_report(finding, redactor)).collect();
    let suspicions: Vec<_> =
        failure.suspicions.iter().map(|suspicion| report::suspicion_report(suspicion, &failure.trace)).collect();
    let worst = verdict::worst(&failure.findings).map_or("FAIL", Verdict::as_str);
    let stall = findings.iter().map(|finding| report::headline(finding, &suspicions)).max_by_key(String::len);
    let stall = stall.unwrap_or_default();
    let _ = writeln!(
        text,
        "\n{worst}{stall}{flaky} with seed {}: {} steps, shrunk to {} in {} executions; fails {} of {REPETITIONS} times",
        failure.seed,
        failure.drawn.steps.len(),
        failure.minimal.steps.len(),
        failure.executions,
        failure.repeats
    );
    let how = if failure.minimal.together { "in one write between waits" } else { "each in a write of its own" };
    let _ = writeln!(text, "  the steps, {how}:");
    for (number, step) in failure.minimal.steps.iter().enumerate() {
        let _ = writeln!(text, "    {:>2}  {step}", number + 1);
    }
    let mut told = Vec::new();
    for (finding, told_as) in failure.findings.iter().zip(&findings) {
        let _ = writeln!(text, "  {}", redactor.redact(&lastword_judge::render(finding)));
        text.push_str(&report::ladder(told_as, &suspicions, "    "));
        if !told.contains(&finding.requirement)
            && let Some(requirement) = requirements::find(finding.requirement.as_str())
        {
            let _ = writeln!(text, "    ({}) {}", requirement.level.as_str(), requirement.text);
            told.push(finding.requirement);
        }
    }
    text.push_str("  wire log:\n");
    let probes = report::probes(&failure.trace);
    for line in report::all(&failure.trace, redactor).iter().filter(|line| !probes.contains(&line.conn)) {
        let seconds = line.t_us as f64 / 1_000_000.0;
        let _ = writeln!(text, "    {:>4} {seconds:>8.3} s {}", line.event, line.text);
    }
    if let Some(file) = saved {
        let _ = writeln!(text, "  saved: {file}; judge it again with lastword replay {file}");
    }
    let _ = writeln!(text, "  again: {again}");
}
