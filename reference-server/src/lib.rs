//! The Lastword reference server. It owns the speech engine and, over it, the transport of a session.
//! It must not know how a session is judged, nor keep a protocol rule of its own: those are in `lastword-session`.

pub mod audio;
pub mod cli;
pub mod recognizer;
mod rest;
mod rest_dialect;
pub mod server;
pub mod settings;
mod ws;
