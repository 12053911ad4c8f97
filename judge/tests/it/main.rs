//! The tests of the judge as a whole: traces in, findings out.

mod bounds;
mod client;
mod edges;
mod ledger;
mod options;
mod probes;
mod records;
mod release;
mod scene;
mod single;
mod suspicion;
mod traces;
mod visited;
mod wide;
