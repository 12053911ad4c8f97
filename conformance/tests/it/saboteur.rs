//! A man in the middle: passes on every byte between the harness and a correct server, until the client has sent what it is set to
//! dislike; from then on nothing comes through, in either direction. So any server can be given a hang.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex, split};

/// A message of the client, as far as a saboteur cares.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Text(String),
    Binary(usize),
    Other,
}

const BUFFER_BYTES: usize = 64 << 10;

/// Puts a saboteur before a server: gives the end that the server must serve. `hangs` is told every message in order.
pub(crate) fn before(harness: DuplexStream, mut hangs: impl FnMut(&Heard) -> bool + Send + 'static) -> DuplexStream {
    let (ours, theirs) = duplex(BUFFER_BYTES);
    let (mut from_harness, mut to_harness) = split(harness);
    let (mut from_server, mut to_server) = split(ours);
    tokio::spawn(async move {
        let back = async {
            let _ = tokio::io::copy(&mut from_server, &mut to_harness).await;
            let _ = to_harness.shutdown().await;
        };
        let forth = async {
            let mut unread = Vec::new();
            let mut upgraded = false;
            let mut chunk = vec![0; BUFFER_BYTES];
            while let Ok(count @ 1..) = from_harness.read(&mut chunk).await {
                unread.extend_from_slice(&chunk[..count]);
                while let Some(length) = next_piece(&unread, upgraded) {
                    let piece: Vec<u8> = unread.drain(..length).collect();
                    if upgraded && hangs(&heard(&piece)) {
                        return true;
                    }
                    upgraded = true;
                    if to_server.write_all(&piece).await.is_err() {
                        return false;
                    }
                }
            }
            let _ = to_server.shutdown().await;
            false
        };
        tokio::pin!(back, forth);
        tokio::select! {
            () = &mut back => return,
            // Both ends stay open, and nothing moves.
            true = &mut forth => std::future::pending().await,
            else => {}
        }
        back.await;
    });
    theirs
}

/// The length of the request, or of the next frame, once it is there as a whole.
fn next_piece(bytes: &[u8], upgraded: bool) -> Option<usize> {
    if !upgraded {
        return bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
    }
    let (header, payload) = lengths(bytes)?;
    (bytes.len() >= header + payload).then_some(header + payload)
}

/// The lengths of a masked frame's header and payload.
fn lengths(frame: &[u8]) -> Option<(usize, usize)> {
    let short = usize::from(frame.get(1)? & 0x7f);
    match short {
        126 => Some((8, usize::from(u16::from_be_bytes(frame.get(2..4)?.try_into().ok()?)))),
        127 => Some((14, usize::try_from(u64::from_be_bytes(frame.get(2..10)?.try_into().ok()?)).ok()?)),
        payload => Some((6, payload)),
    }
}

fn heard(frame: &[u8]) -> Heard {
    let Some((header, _)) = lengths(frame) else { return Heard::Other };
    let mask = &frame[header - 4..header];
    let payload = frame[header..].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    match frame[0] & 0x0f {
        1 => Heard::Text(String::from_utf8_lossy(&payload.collect::<Vec<u8>>()).into_owned()),
        2 => Heard::Binary(frame.len() - header),
        _ => Heard::Other,
    }
}
