//! Clients as subjects: the harness is the server. This module owns the scripted server, the client's process and the course of
//! a run; what a client's behaviour means is the judge's.

mod attempt;
mod catalogue;
mod driver;
mod host;
mod launch;
mod run;
mod script;
mod serve;
mod stage;

pub use catalogue::catalogue;
pub use launch::{EndsAs, Launch, LaunchError, Program, Stdin, Surroundings};
pub use run::{ClientPlan, run};
pub use script::{Act, Play, Script, Upgrade};
