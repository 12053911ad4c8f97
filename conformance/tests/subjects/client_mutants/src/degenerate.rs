//! Owns what is no client: each does one simple thing, whatever it meets. None of them may pass anything.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;

use crate::link::Dial;
use crate::options::Ending;

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
    Upgrade,
    Config,
    Garbage,
    Http,
    Stay,
    NeverStop,
}

const ALL: [Degenerate; 10] = [
    of("true", "exits with 0 at once", Does::True),
    of("false", "exits with 1 at once", Does::False),
    of("sleep", "sleeps for ever", Does::Sleep),
    of("connect-and-leave", "opens a connection and exits with 0", Does::Connect),
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
                self.connected(&dial, does).await;
                Ending::Code(0)
            }
        }
    }

    async fn connected(&self, dial: &Dial, does: Does) {
        let Ok(mut stream) = dial().await else { return };
        if does == Does::Connect {
            return;
        }
        if does == Does::Http {
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
            sleep(Duration::from_millis(200)).await;
            return;
        }
        let Ok((mut socket, _)) = tokio_tungstenite::client_async("ws://127.0.0.1/v1/listen", stream).await else {
            return;
        };
        match does {
            Does::Config => {
                let _ = socket.send(Message::text(r#"{"type":"config"}"#)).await;
            }
            Does::Garbage => {
                for text in ["hello", "[]", "{", "{\"type\":7}", "{\"type\":\"end\"}"] {
                    let _ = socket.send(Message::text(text)).await;
                    let _ = socket.send(Message::binary(vec![1, 2, 3])).await;
                }
                sleep(Duration::from_millis(200)).await;
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
    }
}
