//! Owns the course of a session: one connection after the other where a fault redials, and what the application is told in the
//! end. What happens on one connection is in `conversation`.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::conversation::Conversation;
use crate::fault::Fault;
use crate::handle::{Order, Shared};
use crate::link::{Dial, Incoming, Link};
use crate::options::Options;

/// One session of the client.
pub(crate) struct Session {
    pub(crate) options: Options,
    telling: mpsc::UnboundedSender<Value>,
    pub(crate) shared: Arc<Shared>,
    living: Arc<AtomicUsize>,
    /// How much audio earlier connections took, in milliseconds.
    pub(crate) offset_ms: u64,
}

/// How a session ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) outcome: &'static str,
    pub(crate) code: String,
    /// The code of the client's Close, where it closes.
    pub(crate) close: Option<u16>,
    pub(crate) close_ms: u64,
}

/// What follows a connection.
pub(crate) enum Next {
    End(End),
    /// Another connection.
    Again,
    /// The process dies.
    Crash,
}

/// How long connecting and upgrading may take together.
const CONNECT: Duration = Duration::from_secs(10);
/// How soon a client without patience dials again.
const REDIAL: Duration = Duration::from_millis(100);

impl Session {
    pub(crate) fn new(
        options: Options,
        telling: mpsc::UnboundedSender<Value>,
        shared: Arc<Shared>,
        living: Arc<AtomicUsize>,
    ) -> Self {
        Self { options, telling, shared, living, offset_ms: 0 }
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.options.has(fault)
    }

    pub(crate) fn tell(&self, one: Value) {
        let _ = self.telling.send(one);
    }

    /// Runs the session to its end.
    pub(crate) async fn run(
        mut self,
        dial: Dial,
        url: String,
        mut orders: mpsc::Receiver<Order>,
        mut cancelled: watch::Receiver<bool>,
    ) {
        loop {
            let opening = self.open(&dial, &url);
            let opened = tokio::select! {
                opened = opening => opened,
                _ = cancelled.wait_for(|is| *is) => return self.ended(&End::cancelled(0)),
            };
            let mut link = match opened {
                Ok(link) => link,
                Err(_) if self.has(Fault::RedialsWithoutEnd) => {
                    sleep(REDIAL).await;
                    continue;
                }
                Err(why) => return self.ended(&End::error(&why)),
            };
            match Conversation::new(&mut self).run(&mut link, &mut orders, &mut cancelled).await {
                Next::Again => sleep(REDIAL).await,
                Next::Crash => return,
                Next::End(end) if self.has(Fault::EndWaitsForHandshake) => {
                    self.hang_up(link, &end).await;
                    return self.ended(&end);
                }
                Next::End(end) => {
                    let is_late = self.has(Fault::WaitsForClose);
                    if is_late {
                        while !matches!(link.incoming.recv().await, Some(Incoming::Close(_) | Incoming::Lost) | None) {}
                    }
                    self.ended(&end);
                    return self.hang_up(link, &end).await;
                }
            }
        }
    }

    async fn open(&self, dial: &Dial, url: &str) -> Result<Link, String> {
        let token = self.options.token.as_deref();
        let (url, shown) = match token.filter(|_| self.has(Fault::TokenInUrl)) {
            Some(token) => (format!("{url}?token={token}"), None),
            None => (url.to_owned(), token),
        };
        let opening = Link::open(dial, &url, shown, &self.living);
        if self.has(Fault::ConnectsForEver) {
            return opening.await;
        }
        timeout(CONNECT, opening).await.unwrap_or_else(|_| Err("no connection within 10 s".to_owned()))
    }

    fn ended(&self, end: &End) {
        self.tell(json!({"what": "ended", "outcome": end.outcome, "code": end.code}));
    }

    /// The closing handshake, within its bound.
    async fn hang_up(&self, mut link: Link, end: &End) {
        let Some(code) = end.close else { return };
        let code = if self.has(Fault::ClosesWith1001) { 1_001 } else { code };
        let shaking = async {
            if let Some(room) = link.outgoing.room().await {
                room.send(Link::close_frame(code));
            }
            while !matches!(link.incoming.recv().await, Some(Incoming::Lost) | None) {}
        };
        if self.has(Fault::CloseHandshakeForEver) {
            shaking.await;
        } else {
            let _ = timeout(Duration::from_millis(end.close_ms), shaking).await;
        }
    }
}

impl End {
    pub(crate) fn new(outcome: &'static str, code: &str, close: Option<u16>, close_ms: u64) -> Self {
        Self { outcome, code: code.to_owned(), close, close_ms }
    }

    fn error(why: &str) -> Self {
        Self::new("error", &format!("connection_failed: {why}"), None, 0)
    }

    fn cancelled(close_ms: u64) -> Self {
        Self::new("cancelled", "cancelled", None, close_ms)
    }
}
