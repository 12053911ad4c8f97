//! Owns the course of a session: one connection after the other where a fault redials, and what the application is told in the
//! end. What happens on one connection is in `conversation`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::conversation::Conversation;
use crate::fault::Fault;
use crate::handle::{Order, Shared};
use crate::link::{Alive, Dial, Incoming, Link, Reads, Unopened};
use crate::options::Options;

/// One session of the client.
pub(crate) struct Session {
    pub(crate) options: Options,
    telling: mpsc::UnboundedSender<Value>,
    pub(crate) shared: Arc<Shared>,
    living: Arc<AtomicUsize>,
    /// How much audio earlier connections took, in milliseconds.
    pub(crate) offset_ms: u64,
    budget: Budget,
}

/// What is left of a client's patience with failures.
struct Budget {
    failures: u32,
    /// When the outage began.
    since: Option<Instant>,
    began: Instant,
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
/// How long a frame is.
const FRAME: Duration = Duration::from_millis(100);
/// How soon a client without patience dials again.
const REDIAL: Duration = Duration::from_millis(100);
/// The pause of a client that does not back off.
const STEADY: Duration = Duration::from_secs(1);
/// The first pause of a client that backs off; each doubles it.
const PAUSE: Duration = Duration::from_millis(200);
/// All attempts of one outage together.
const OUTAGE: Duration = Duration::from_secs(30);
/// What a client that counts the time of all outages together takes for them.
const OUTAGES: Duration = Duration::from_secs(6);

impl Session {
    pub(crate) fn new(
        options: Options,
        telling: mpsc::UnboundedSender<Value>,
        shared: Arc<Shared>,
        living: Arc<AtomicUsize>,
    ) -> Self {
        let budget = Budget { failures: 0, since: None, began: Instant::now() };
        Self { options, telling, shared, living, offset_ms: 0, budget }
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
                Err(_) if self.may_redial() => {
                    sleep(self.pause()).await;
                    continue;
                }
                Err(Unopened::Refused(401)) if self.has(Fault::RefusedIsComplete) => {
                    return self.ended(&End::new("complete", "completed", None, 0));
                }
                Err(Unopened::Cut(_)) if self.has(Fault::CutUpgradeHangs) => {
                    let _ = cancelled.wait_for(|is| *is).await;
                    return self.ended(&End::cancelled(0));
                }
                Err(unopened) => return self.ended(&End::error(&unopened.why())),
            };
            match Conversation::new(&mut self).run(&mut link, &mut orders, &mut cancelled).await {
                Next::Again => sleep(self.pause()).await,
                Next::Crash => return,
                Next::End(end) if self.has(Fault::EndWaitsForHandshake) => {
                    self.hang_up(link, &end).await;
                    return self.ended(&end);
                }
                Next::End(end) => {
                    let is_late = self.has(Fault::WaitsForClose);
                    if is_late {
                        while !matches!(
                            link.incoming.recv().await,
                            Some(Incoming::Close(_) | Incoming::Over | Incoming::Lost) | None
                        ) {}
                    }
                    self.ended(&end);
                    return self.hang_up(link, &end).await;
                }
            }
        }
    }

    /// Counts a failure and says whether the budget allows another attempt.
    pub(crate) fn may_redial(&mut self) -> bool {
        let now = Instant::now();
        let since = *self.budget.since.get_or_insert(now);
        self.budget.failures += 1;
        let in_time = if self.has(Fault::BudgetOfTimeForAll) {
            now - self.budget.began <= OUTAGES
        } else {
            now - since <= OUTAGE
        };
        self.budget.failures <= self.options.attempts && in_time
    }

    /// A connection stood for long enough, or a final came.
    pub(crate) fn restores_budget(&mut self, by_final: bool) {
        let is_restored = by_final || !self.has(Fault::BudgetRestoredByFinal);
        if is_restored && !self.has(Fault::BudgetNeverRestored) {
            self.budget.failures = 0;
            self.budget.since = None;
        }
    }

    fn pause(&self) -> Duration {
        if self.has(Fault::RedialsEverySecond) {
            return STEADY;
        }
        match self.budget.failures {
            0 => REDIAL,
            failures => PAUSE * 2_u32.pow(failures.min(6) - 1),
        }
    }

    async fn open(&self, dial: &Dial, url: &str) -> Result<Link, Unopened> {
        let token = self.options.token.as_deref();
        let (url, shown) = match token.filter(|_| self.has(Fault::TokenInUrl)) {
            Some(token) => (format!("{url}?token={token}"), None),
            None => (url.to_owned(), token),
        };
        if let Some(token) = shown.filter(|_| self.has(Fault::TokenLogged)) {
            self.options.log(&format!("debug: GET {url} Authorization: Bearer {token}"));
        }
        let opening = Link::open(dial, &url, shown, &self.living, self.reads());
        if self.has(Fault::ConnectsForEver) {
            return opening.await;
        }
        let in_vain = || Unopened::Otherwise("no connection within 10 s".to_owned());
        timeout(CONNECT, opening).await.unwrap_or_else(|_| Err(in_vain()))
    }

    fn reads(&self) -> Reads {
        match () {
            () if self.has(Fault::ReadsNothingWhileItWrites) => Reads::BetweenSends { queued: 0 },
            () if self.has(Fault::ReadsABitWhileItWrites) => Reads::BetweenSends { queued: 32 },
            () if self.has(Fault::ReadsWhenAllIsSent) => {
                Reads::AroundTheAudio { pause: FRAME.div_f64(self.options.pace) }
            }
            () => Reads::Always,
        }
    }

    fn ended(&self, end: &End) {
        if self.has(Fault::TaskLeftBehind) {
            let alive = Alive::new(&self.living);
            tokio::spawn(async move {
                let _alive = alive;
                std::future::pending::<()>().await;
            });
        }
        self.shared.is_over.store(true, Ordering::SeqCst);
        if self.has(Fault::CompleteTooEarly) && end.outcome == "complete" {
            return;
        }
        if self.has(Fault::RaisesWhenComplete) && end.outcome == "complete" {
            return self
                .tell(json!({"what": "ended", "outcome": "error", "raised": true, "text": "the socket is closed"}));
        }
        self.tell(json!({"what": "ended", "outcome": end.outcome, "code": end.code}));
    }

    /// The closing handshake, within its bound.
    async fn hang_up(&self, mut link: Link, end: &End) {
        let Some(code) = end.close else { return };
        let code = if self.has(Fault::ClosesWith1001) { 1_001 } else { code };
        let shaking = async {
            if end.outcome == "cancelled"
                && self.has(Fault::CancelEndsAgain)
                && let Some(room) = link.outgoing.room().await
            {
                room.send(Message::text(r#"{"type":"end_of_stream"}"#));
            }
            if let Some(room) = link.outgoing.room().await {
                room.send(Link::close_frame(code));
            }
            while !matches!(link.incoming.recv().await, Some(Incoming::Over | Incoming::Lost) | None) {}
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
