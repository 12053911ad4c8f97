//! Owns what a person sees while a run goes on: a bar on a terminal, plain lines elsewhere, nothing when asked for quiet.
//! All of it goes to stderr; the report is on stdout.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use lastword_spec::finding::Verdict;

use crate::run::{Calibration, CaseResult, Observer};

/// Shows how a run goes on.
pub struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    cases: usize,
    /// What the cases came to that have run so far.
    ran: Mutex<Vec<(String, Verdict)>>,
}

/// A line of its own for each so many cases where there is no terminal.
const PLAIN_STEP: usize = 10;

impl Progress {
    /// For a run of so many cases.
    #[must_use]
    pub fn new(cases: usize, quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(cases as u64), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self { bar, quiet, cases, ran: Mutex::default() }
    }

    /// Takes the bar away; the report follows.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// What is known of a run that somebody ended before its end, in lines.
    #[must_use]
    pub fn interrupted(&self) -> String {
        self.clear();
        in_the_middle(&self.ran.lock().unwrap_or_else(PoisonError::into_inner), self.cases)
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None if self.quiet => {}
            None => eprintln!("{text}"),
        }
    }
}

impl Observer for Progress {
    fn calibrated(&self, calibration: &Calibration) {
        match (&calibration.broken, calibration.session_ms) {
            (Some(why), _) => self.line(&format!("no control session completes: {why}")),
            (None, Some(session_ms)) => self.line(&format!("a control session takes {session_ms} ms")),
            (None, None) => {}
        }
    }

    fn finished(&self, result: &CaseResult, done: usize, total: usize) {
        let mut ran = self.ran.lock().unwrap_or_else(PoisonError::into_inner);
        ran.push((result.case.id.clone(), result.verdict));
        drop(ran);
        if result.verdict.is_failure() {
            self.line(&format!("{} {}", result.verdict, result.case.id));
        }
        match &self.bar {
            Some(bar) => {
                bar.set_position(done as u64);
                bar.set_message(result.case.id.clone());
            }
            None if done.is_multiple_of(PLAIN_STEP) || done == total => {
                self.line(&format!("{done} of {total} cases decided"))
            }
            None => {}
        }
    }

    fn note(&self, what: &str) {
        self.line(what);
    }
}

/// The cases that have run, by what they came to at first. Nothing of it stands: failures are looked at again at the end of a run, and
/// a level is drawn from all cases.
fn in_the_middle(ran: &[(String, Verdict)], planned: usize) -> String {
    // A case that ran again has come to what it came to last.
    let last: BTreeMap<&str, Verdict> = ran.iter().map(|(case, verdict)| (case.as_str(), *verdict)).collect();
    let mut text = format!("interrupted: {} of {planned} cases had run, nothing was decided as a whole\n", last.len());
    let mut by_verdict: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (case, verdict) in last {
        by_verdict.entry(verdict.as_str()).or_default().push(case);
    }
    if by_verdict.keys().any(|verdict| *verdict != Verdict::Pass.as_str()) {
        text.push_str("what the cases had come to, without the second look that a failure gets at the end of a run:\n");
    }
    for (verdict, cases) in by_verdict {
        let named = if verdict == Verdict::Pass.as_str() { String::new() } else { format!(": {}", cases.join(", ")) };
        let noun = if cases.len() == 1 { "case" } else { "cases" };
        let _ = writeln!(text, "  {verdict} in {} {noun}{named}", cases.len());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_run_says_what_its_cases_had_come_to_and_that_nothing_is_decided() {
        let ran = [("a", Verdict::Pass), ("b", Verdict::Inconclusive), ("c", Verdict::Fail), ("b", Verdict::Pass)];
        let ran = ran.map(|(case, verdict)| (case.to_owned(), verdict));
        assert_eq!(
            in_the_middle(&ran, 9),
            "interrupted: 3 of 9 cases had run, nothing was decided as a whole\n\
             what the cases had come to, without the second look that a failure gets at the end of a run:\n  \
             FAIL in 1 case: c\n  PASS in 2 cases\n"
        );
        assert_eq!(in_the_middle(&[], 9), "interrupted: 0 of 9 cases had run, nothing was decided as a whole\n");
    }
}
