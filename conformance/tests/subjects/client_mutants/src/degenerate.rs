//! Owns what is no client: each does one simple thing, whatever it meets. None of them may pass anything.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::link::Dial;
use crate::options::Ending;

/// How long those wait for an upgrade that do not wait for ever.
const PATIENCE: Duration = Duration::from_secs(5);

/// A kind of program that is no client.
#[derive(Debug)]
pub struct Degenerate {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it does, in one line.
    pub what: &'static str,
    does: Does,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    True,
    False,
    Sleep,
    Connect,
    Raise,
    ConfigAndFail,
    GiveUp,
    Upgrade,
    Config,
    Garbage,
    Http,
    Stay,
    NeverStop,
}

const ALL: [Degenerate; 13] = [
    of("true", "exits with 0 at once", Does::True),
    of("false", "exits with 1 at once", Does::False),
    of("sleep", "sleeps for ever", Does::Sleep),
    of("connect-and-leave", "opens a connection and exits with 0", Does::Connect),
    of("connect-and-raise", "upgrades and exits with 0, or with 1 where that fails or takes 5 s", Does::Raise),
    of("config-and-fail", "sends its config and exits with 1, as it does where it cannot", Does::ConfigAndFail),
    of(
        "give-up",
        "sends its config, reads until the server leaves or 20 s have passed, and exits with 1",
        Does::GiveUp,
    ),
    of("upgrade-and-leave", "upgrades and exits with 0", Does::Upgrade),
    of("config-and-leave", "sends its config and exits with 0", Does::Config),
    of("garbage", "sends texts and bytes without sense and exits with 0", Does::Garbage),
    of("http", "asks for a page and exits with 0", Does::Http),
    of("stay", "upgrades, reads everything and sends nothing", Does::Stay),
    of("never-stops", "sends its config and audio for ever, whatever comes", Does::NeverStop),
];

const fn of(name: &'static str, what: &'static str, does: Does) -> Degenerate {
    Degenerate { name, what, does }
}

/// Every such program.
#[must_use]
pub fn degenerates() -> &'static [Degenerate] {
    &ALL
}

impl Degenerate {
    /// Runs it to its end, if it has one.
    pub async fn run(&self, dial: Dial) -> Ending {
        match self.does {
            Does::True => Ending::Code(0),
            Does::False => Ending::Code(1),
            Does::Sleep => std::future::pending().await,
            does => {
                let is_upgraded = self.connected(&dial, does).await;
                let fails = match does {
                    Does::Raise => !is_upgraded,
                    does => matches!(does, Does::ConfigAndFail | Does::GiveUp),
                };
                Ending::Code(u8::from(fails))
            }
        }
    }

    /// Whether there was a WebSocket.
    async fn connected(&self, dial: &Dial, does: Does) -> bool {
        let Ok(mut stream) = dial().await else { return false };
        if does == Does::Connect {
            return false;
        }
        if does == Does::Http {
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
            sleep(Duration::from_millis(200)).await;
            return false;
        }
        let upgrading = tokio_tungstenite::client_async("ws://127.0.0.1/v1/listen", stream);
        let upgraded = match does {
            Does::Raise | Does::ConfigAndFail | Does::GiveUp => timeout(PATIENCE, upgrading).await.ok(),
            _ => Some(upgrading.await),
        };
        let Some(Ok((mut socket, _))) = upgraded else { return false };
        match does {
            Does::Config | Does::ConfigAndFail => {
                let _ = socket.send(Message::text(r#"{"type":"config"}"#)).await;
            }
            Does::Garbage => {
                for text in ["hello", "[]", "{", "{\"type\":7}", "{\"type\":\"end\"}"] {
                    let _ = socket.send(Message::text(text)).await;
                    let _ = socket.send(Message::binary(vec![1, 2, 3])).await;
                }
                sleep(Duration::from_millis(200)).await;
            }
            Does::GiveUp => {
                let _ = socket.send(Message::text(r#"{"type":"config"}"#)).await;
                let reading = async { while let Some(Ok(_)) = socket.next().await {} };
                let _ = timeout(4 * PATIENCE, reading).await;
            }
            Does::Stay => {
                while let Some(Ok(_)) = socket.next().await {}
                std::future::pending::<()>().await;
            }
            Does::NeverStop => {
                let _ = socket.send(Message::text(r#"{"type":"config"}"#)).await;
                let (mut sink, mut source) = socket.split();
                let reading = tokio::spawn(async move { while let Some(Ok(_)) = source.next().await {} });
                while sink.send(Message::binary(vec![0; 3_200])).await.is_ok() {
                    sleep(Duration::from_millis(100)).await;
                }
                let _ = reading.await;
                std::future::pending::<()>().await;
            }
            _ => {}
        }
        true
    }
}
