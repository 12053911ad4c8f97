//! Owns the arguments that every certification has: which cases run, what is known of them, and where the report goes.

use std::path::PathBuf;

use clap::Args;

use super::UsageError;
use super::shell::print;
use crate::case::Case;
use crate::exit;
use crate::known::{self, KnownFailures};
use crate::report::{self, Context, Report, Sinks};
use crate::run::Run;

/// The seed of whoever gives none.
pub(super) const DEFAULT_SEED: u64 = 1;

/// Which cases run, and where the report goes.
#[derive(Args)]
pub(super) struct ReportArgs {
    /// Run only these cases: a name, a glob, or a requirement. May be given more than once.
    #[arg(long, value_name = "GLOB")]
    pub(super) only: Vec<String>,
    /// Leave these cases out. May be given more than once.
    #[arg(long, value_name = "GLOB")]
    pub(super) skip: Vec<String>,
    /// Failures that are known: [[known]] id, reason, issue, expires. What is listed and passes is an error.
    #[arg(long, value_name = "FILE")]
    known_failures: Option<PathBuf>,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the trace of every case into this folder.
    #[arg(long, value_name = "DIR")]
    pub(super) log_dir: Option<PathBuf>,
    /// From which the order of the cases is made.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_SEED)]
    pub(super) seed: u64,
    /// Print the report only, no progress.
    #[arg(long)]
    pub(super) quiet: bool,
}

impl ReportArgs {
    /// The failures that are known, of these cases.
    ///
    /// # Errors
    /// The file cannot be read, or names what does not exist.
    pub(super) fn known(&self, cases: &[&Case]) -> Result<KnownFailures, UsageError> {
        match &self.known_failures {
            Some(file) => KnownFailures::read(file, cases, known::today()).map_err(UsageError::from),
            None => Ok(KnownFailures::default()),
        }
    }

    /// Prints and writes a report, and only then says what it came to.
    pub(super) fn publish(&self, context: &Context, run: &Run) -> (Report, u8) {
        let report = report::build(run, context);
        print(&context.redactor.redact(&report::render(&report)));
        let sinks = Sinks { json: self.json.clone(), junit: self.junit.clone(), logs: self.log_dir.clone() };
        let failed = report::write_all(&sinks, &report, run, &context.redactor);
        for error in &failed {
            eprintln!("error: {error}");
        }
        // A report that is not there must not look like a report that is green.
        let written = if failed.is_empty() { exit::PASS } else { exit::USAGE };
        let code = exit::strongest([report.exit_code, written]);
        (report, code)
    }
}
