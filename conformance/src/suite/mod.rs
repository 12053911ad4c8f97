//! The m-complete suite: sequences of inputs, generated from the state table by the W-method, such that a subject that answers
//! all of them as the table says, and has at most so many states more than the table, answers every sequence over the same
//! alphabet as the table says. This module owns the abstraction, the generation and what a sequence's trace proves; it knows
//! nothing of how a case is judged beside it.

mod generate;
mod machine;
mod minimise;
#[cfg(test)]
mod proof;
mod response;

pub use generate::{Suite, Test};
pub use machine::{ALPHABET, Abstract, Completion, Machine, Place, Transition};
pub use response::{Output, Response};
