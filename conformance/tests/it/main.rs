//! The tests of the harness as a whole: in process, and as the command that people run.

mod certificate;
mod certify;
mod certify_client;
mod client_start;
mod command;
mod controls;
mod counterexamples;
mod dialect;
mod dialect_client;
mod dialect_http;
mod dialect_pulse;
mod every_dialect;
mod explore;
mod forge;
mod option_tables;
mod options;
mod peer;
mod replay;
mod reports;
mod saboteur;
mod suite;
mod virtual_time;
mod weather;
