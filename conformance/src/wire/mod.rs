//! Owns the sockets: dialling, TLS, the HTTP request before the socket, the WebSocket upgrade, and one connection's reading and writing. Every frame is written
//! down before anybody looks at it, in the words of version 1 whatever the wire says. Knows nothing of what a message means.

mod ask;
mod connect;
mod link;
mod pipe;
mod rate;
mod tls;
mod tongue;
mod upgrade;

pub(crate) use connect::WRONG_TOKEN;
pub use connect::{Dialler, OPENING, Opened, Socket, Transport};
pub use link::{Link, Outgoing};
pub use pipe::Pipe;
pub use tls::{Roots, TlsError};
pub use tongue::Tongue;
