//! Owns the report of a run: one documented structure, and the forms in which it leaves the harness. It is made once, with
//! every secret hidden, and everything that is printed or written comes from it.

mod build;
mod human;
mod junit;
mod latency;
mod level;
mod model;
mod progress;
mod sinks;
mod stall;
mod suspicion;
mod unmatched;
mod wirelog;

pub use build::{Context, build};
pub(crate) use build::{finding_report, requirement_reports};
pub use human::render;
pub(crate) use human::{finding_in_full, seconds, visible};
pub use junit::to_junit;
pub use latency::LatencyReport;
pub(crate) use level::level_lines;
pub use level::unvisited;
pub use model::{
    Announced, CaseReport, Counts, FindingReport, KnownReport, Measured, Report, RequirementReport, SubjectReport,
    TranscriptReport, TranscriptsReport, WireLine,
};
pub use progress::Progress;
pub use sinks::{SinkError, Sinks, write_all};
pub(crate) use stall::{headline, ladder, lines as stall_lines, report as suspicion_report};
pub use suspicion::{ControlsReport, CpuReport, ProbeReport, SuspicionReport, TransportReport, WaitsForReport};
pub use unmatched::UnmatchedReport;
pub(crate) use wirelog::probes;
pub use wirelog::{all, tail};
