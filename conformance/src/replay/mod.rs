//! Owns the second life of a trace: it is judged again, without the subject or played to it once more, and told to a person.
//! Reading files and choosing an exit code for the command is the business of `cli`; what is right or wrong in a trace is the
//! judge's.

mod against;
mod judged;
mod play;
mod render;
mod sound;

pub use against::{Played, Repeats, against};
pub use judged::{Expectation, OpenDebt, REPLAY_VERSION, Replayed, replay};
pub use render::render;
