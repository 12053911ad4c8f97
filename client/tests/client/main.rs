//! The client as an application sees it: over an in-memory pipe under a paused clock, and over real sockets.

mod loopback;
mod memory;
mod redial;
mod support;
