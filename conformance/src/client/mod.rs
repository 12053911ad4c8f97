//! Clients as subjects: the harness is the server. This module owns the scripted server, the client's process and the course of
//! a run; what a client's behaviour means is the judge's.

mod attempt;
mod catalogue;
mod completed;
mod confirm;
mod driver;
mod form;
mod gauge;
mod host;
mod launch;
mod reader;
mod reception;
mod run;
mod script;
mod serve;
mod stage;
mod tls;
mod tongue;

pub use catalogue::catalogue;
pub(crate) use catalogue::sources as case_sources;
pub(crate) use completed::doubt;
pub(crate) use confirm::settle_all;
pub use launch::{EndsAs, Launch, LaunchError, Program, Stdin, Surroundings};
pub(crate) use run::IDEAL_CLIENT_CASE;
pub use run::{ClientPlan, run};
pub use script::{Act, Form, Jam, Play, Script, Upgrade};
pub(crate) use tongue::NO_MESSAGE;

/// The credential that a driver is told where no other was given: it must stand in no URL and in no text.
pub const MADE_UP_TOKEN: &str = "made-up-credential-1b0c";
