//! The rules, one module an area, each with the memory that it needs. A rule looks at what has been said on one connection;
//! only `con`, `room` and `security` also look across the connections of a trace.

pub(crate) mod answers;
pub(crate) mod aud;
pub(crate) mod blame;
pub(crate) mod cfg;
pub(crate) mod client;
pub(crate) mod close;
pub(crate) mod con;
pub(crate) mod counters;
pub(crate) mod end;
pub(crate) mod errors;
pub(crate) mod flush;
pub(crate) mod keepalive;
pub(crate) mod limits;
pub(crate) mod messages;
pub(crate) mod pieces;
pub(crate) mod progress;
pub(crate) mod refusal;
pub(crate) mod release;
pub(crate) mod results;
pub(crate) mod room;
pub(crate) mod security;
pub(crate) mod times;
pub(crate) mod vad;
