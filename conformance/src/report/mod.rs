//! Owns the report of a run: one documented structure, and the forms in which it leaves the harness. It is made once, with
//! every secret hidden, and everything that is printed or written comes from it.

mod build;
mod human;
mod junit;
mod model;
mod progress;
mod sinks;
mod wirelog;

pub(crate) use build::finding_report;
pub use build::{Context, build};
pub use human::render;
pub(crate) use human::{finding_in_full, seconds, visible};
pub use junit::to_junit;
pub use model::{
    Announced, CaseReport, Counts, FindingReport, KnownReport, Measured, Report, RequirementReport, SubjectReport,
    TranscriptReport, TranscriptsReport, WireLine,
};
pub use progress::Progress;
pub use sinks::{SinkError, Sinks, write_all};
pub use wirelog::{all, tail};
