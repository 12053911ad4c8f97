//! The tests of the judge as a whole: traces in, findings out.

mod client;
mod ledger;
mod records;
mod release;
mod traces;
mod visited;
mod wide;
