//! Owns what a person sees while a run goes on: a bar on a terminal, plain lines elsewhere, nothing when asked for quiet.
//! All of it goes to stderr; the report is on stdout.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::run::{Calibration, CaseResult, Observer};

/// Shows how a run goes on.
pub struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
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
        Self { bar, quiet }
    }

    /// Takes the bar away; the report follows.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
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
