//! The tests of the judge as a whole: traces in, findings out.

mod answers;
mod bounds;
mod client;
mod comparison;
mod corners;
mod counters;
mod edges;
mod endings;
mod fatal;
mod heard;
mod idle;
mod ledger;
mod meant;
mod options;
mod pairs;
mod probes;
mod records;
mod release;
mod room;
mod runs;
mod scene;
mod single;
mod suspicion;
mod traces;
mod visited;
mod wide;
