//! The server over loopback: with the scripted engine, and with the fixture model on real audio.

#[cfg(unix)]
mod command;
mod dialect;
mod front;
mod session;
#[cfg(feature = "whisper")]
mod speech;
mod support;
