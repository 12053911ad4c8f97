//! Explores the shipped session machines exhaustively: client, server, two bounded channels, and everything that may go wrong between
//! them.
//!
//! Owns the exploration, its properties, and the mutants that show what it finds. It knows nothing of sockets, tasks or the judge.

mod alphabet;
mod chaos;
mod course;
mod explore;
mod fair;
mod monitor;
pub mod mutants;
mod pair;
pub mod report;
mod trace;
mod wire;

pub use course::{Course, Parties, Result, Violation, explore_pair};
pub use explore::{Breaches, Counterexample, Explored, Kind, Model, Owner, Property, Step, explore};
pub use lastword_session::State;
pub use monitor::Breach;
pub use pair::{Act, Faults, Honest, Pair, PairState, Setup, Stand, Twist};
pub use trace::{trace_of, traces};
pub use wire::{Wire, WireId};
