//! Everything about dialects that can be shown from outside: documented exchanges, round trips, errors, and how far the grammar reaches.

mod batch;
mod binds;
mod errors;
mod exchange;
mod fixtures;
mod round_trip;
mod schema;
