//! Owns the files of a report. Each is written even if another cannot be.

use std::fs;
use std::path::{Path, PathBuf};

use lastword_spec::trace::{self, Trace};

use super::build::trace_file;
use super::junit::to_junit;
use super::model::Report;
use crate::redact::Redactor;
use crate::run::{Confirmation, Run};

/// Where a report goes.
#[derive(Clone, Debug, Default)]
pub struct Sinks {
    /// The JSON report.
    pub json: Option<PathBuf>,
    /// The JUnit report.
    pub junit: Option<PathBuf>,
    /// The folder of the traces.
    pub logs: Option<PathBuf>,
}

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {cause}", path.display())]
pub struct SinkError {
    path: PathBuf,
    cause: String,
}

/// Writes everything there is to write; what failed is handed back.
#[must_use]
pub fn write_all(sinks: &Sinks, report: &Report, run: &Run, redactor: &Redactor) -> Vec<SinkError> {
    let mut failed = Vec::new();
    let mut attempt = |path: &Path, text: Result<String, String>| {
        let written = text.and_then(|text| write(path, &redactor.redact(&text)));
        if let Err(cause) = written {
            failed.push(SinkError { path: path.to_owned(), cause });
        }
    };
    if let Some(path) = &sinks.json {
        attempt(path, serde_json::to_string_pretty(report).map_err(|error| error.to_string()));
    }
    if let Some(path) = &sinks.junit {
        attempt(path, to_junit(report).map_err(|error| error.to_string()));
    }
    if let Some(folder) = &sinks.logs {
        for result in &run.results {
            let name = trace_file(&result.case.id);
            if let Some(evidence) = &result.evidence {
                attempt(&folder.join(&name), Ok(to_lines(&evidence.trace)));
            }
            if let Confirmation::NotRepeated(second) = &result.confirmation {
                attempt(&folder.join(name.replace(".jsonl", ".again.jsonl")), Ok(to_lines(&second.trace)));
            }
            if let Confirmation::Cleared(first) = &result.confirmation {
                attempt(&folder.join(name.replace(".jsonl", ".once.jsonl")), Ok(to_lines(&first.trace)));
            }
        }
    }
    failed
}

fn to_lines(trace: &Trace) -> String {
    trace::write(trace)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    }
    fs::write(path, text).map_err(|error| error.to_string())
}
