//! The m-complete suite: sequences of inputs, generated from the state table by the W-method, such that a subject that answers
//! all of them as the table says, and has at most so many states more than the table, answers every sequence over the same
//! alphabet as the table says. This module owns the abstraction, the generation, the carrying out and what a trace proves; it
//! knows nothing of how cases are judged beside it.

mod align;
mod conduct;
mod examine;
mod execute;
mod generate;
mod machine;
mod minimise;
mod observe;
#[cfg(test)]
mod proof;
mod render;
mod response;
mod result;
mod wording;

pub use conduct::{CASE_ID, DEFAULT_EXTRA_STATES, MOST_EXTRA_STATES, SuitePlan, case};
pub(crate) use conduct::{conclude, conduct};
pub use examine::{Mismatch, Outcome, examine};
pub use generate::{Suite, Test};
pub use machine::{ALPHABET, Abstract, Completion, Machine, Place, Transition};
pub use render::{explain, render};
pub use response::{Output, Response};
pub(crate) use result::settle_all;
pub use result::{MismatchSummary, SequenceResult, SuiteRun, SuiteSummary, verdict_of};
