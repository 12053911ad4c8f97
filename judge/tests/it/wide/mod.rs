//! Every trace with every change, every pair of short texts, and traces by chance: what takes seconds, not milliseconds.
//! Its name is the last one, so that where the first failure ends the run the quick tests have had their turn.

mod blamed;
mod changed;
mod closes;
mod counted;
mod cut;
mod hostile;
mod hostile_clients;
mod idles;
mod lost;
mod opens;
mod refused;
mod said;
mod silences;
mod unusual;
