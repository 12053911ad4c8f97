//! The tests of the harness as a whole: in process, and as the command that people run.

mod certify;
mod command;
mod peer;
mod replay;
mod reports;
mod suite;
mod virtual_time;
