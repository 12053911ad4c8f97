//! Owns what a client is told at its start, and how its program ends.

use tokio::sync::mpsc;

use crate::catalogue::Mutant;
use crate::fault::Fault;

/// What a client is told at its start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its fault, if it has one.
    pub mutant: Option<&'static Mutant>,
    /// The credential that it shows, in `Authorization`.
    pub token: Option<String>,
    /// How many times faster than speech it sends a file.
    pub pace: f64,
    /// How often it dials again after a failure, until its budget is restored; 0: never.
    pub attempts: u32,
    /// Whether it prints what it is told.
    pub prints: bool,
    /// Where its log goes, line by line; standard error where this is nobody.
    pub log: Option<mpsc::UnboundedSender<String>>,
}

impl Default for Options {
    fn default() -> Self {
        Self { mutant: None, token: None, pace: 4.0, attempts: 0, prints: false, log: None }
    }
}

impl Options {
    /// Writes a line into its log.
    pub(crate) fn log(&self, line: &str) {
        match &self.log {
            Some(log) => {
                let _ = log.send(line.to_owned());
            }
            None => eprintln!("{line}"),
        }
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.mutant.is_some_and(|mutant| mutant.fault == fault)
    }
}

/// How the program of a client ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With this code.
    Code(u8),
    /// By a crash of the whole process.
    Abort,
}
