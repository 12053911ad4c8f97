//! Owns the choice of the port on which a subject of ours is to listen. Knows nothing of the subject.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use super::ProcessError;

/// A loopback port that nobody listens on now, and that no other harness on this machine chooses as long as this lives.
///
/// Between the choice and the moment in which the subject listens the system may hand the same port to another harness. Both
/// would then certify the one subject that came first, and the other would end with "address already in use". Elsewhere than on
/// Linux this is not prevented. A program that knows nothing of us may take the port anywhere; the subject then says so.
pub struct FreePort {
    number: u16,
    _mark: Option<Mark>,
}

/// How often a port that another harness has chosen is passed over.
const TRIES: usize = 64;

impl FreePort {
    /// Chooses one. Keep it until the subject listens.
    ///
    /// # Errors
    /// The system has none.
    pub fn choose() -> Result<Self, ProcessError> {
        for _ in 0..TRIES {
            let number = offered().map_err(ProcessError::FreePort)?;
            match mark(number) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                // Where no marks are to be had, a port is as good as it was without them.
                marked => return Ok(Self { number, _mark: marked.ok() }),
            }
        }
        Err(ProcessError::FreePort(io::ErrorKind::AddrInUse.into()))
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }
}

fn offered() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A name that only one process can hold, which leaves nothing behind however that process ends.
#[cfg(target_os = "linux")]
type Mark = std::os::unix::net::UnixListener;

#[cfg(target_os = "linux")]
fn mark(number: u16) -> io::Result<Mark> {
    use std::os::linux::net::SocketAddrExt as _;
    let name = std::os::unix::net::SocketAddr::from_abstract_name(format!("lastword-port-{number}"))?;
    std::os::unix::net::UnixListener::bind_addr(&name)
}

#[cfg(not(target_os = "linux"))]
type Mark = ();

#[cfg(not(target_os = "linux"))]
fn mark(_number: u16) -> io::Result<Mark> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_chosen_is_chosen_by_nobody_else_until_it_is_given_back() {
        let port = FreePort::choose().expect("a port");
        assert!(mark(port.number()).is_err(), "it can be chosen twice");
        let number = port.number();
        drop(port);
        assert!(mark(number).is_ok(), "it is never given back");
    }
}
