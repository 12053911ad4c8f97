//! Owns the second life of a trace: it is judged again, without the subject, and told to a person. Reading files and
//! choosing an exit code for the command is the business of `cli`; what is right or wrong in a trace is the judge's.

mod judged;
mod render;

pub use judged::{Expectation, OpenDebt, REPLAY_VERSION, Replayed, replay};
pub use render::render;
