//! The server over loopback with the scripted engine.

mod front;
mod session;
mod support;
