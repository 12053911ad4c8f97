//! Owns one connection outside the cases: opening it, sending, waiting with a control session as witness, and leaving nothing
//! behind. Who uses it decides what is said; the record decides nothing.

use std::sync::Arc;
use std::time::Duration;

use lastword_spec::trace::{EventKind, Trace};
use tokio::time::{Instant, timeout};

use crate::case::Open;
use crate::record::Recorder;
use crate::run::control::Control;
use crate::run::env::Env;
use crate::run::player::Opened;
use crate::run::slot;
use crate::run::wait::{self, Wait, Waited};
use crate::wire::Outgoing;

/// The only connection of such a record.
pub(crate) const CONN: u32 = 0;

/// How long the end of a connection is waited for that is left; nothing is decided by it.
const LEAVE: Duration = Duration::from_millis(300);

/// A connection and its record.
pub(crate) struct Talk {
    env: Arc<Env>,
    recorder: Arc<Recorder>,
    opened: Opened,
    /// Whether a stall is looked into, with release probes.
    probing: bool,
    controls: Vec<Control>,
    gave_up: bool,
}

/// What is left of it.
pub(crate) struct Said {
    pub(crate) trace: Trace,
    /// The subject turned it away for want of capacity.
    pub(crate) overloaded: bool,
}

impl Talk {
    /// Waits for the right to connect, and connects. Whether that succeeded is in the record.
    pub(crate) async fn open(env: &Arc<Env>, name: &str) -> Self {
        let permit = env.gate.session().await;
        let header = env.header(name, env.controls.current_scale_percent());
        let recorder = Arc::new(Recorder::new(header, &env.options()));
        if let Some(before) = env.controls.last().filter(|control| control.ok) {
            recorder.note(wait::CONTROL_BEFORE, before.event());
        }
        let session = env.open(CONN, &Open::default(), None, &recorder, permit).await;
        let opened = Opened::new(Open::default(), session);
        Self { env: Arc::clone(env), recorder, opened, probing: false, controls: Vec::new(), gave_up: false }
    }

    /// The same, and if it is the first to stall in its way, release probes are held.
    pub(crate) fn probing(self) -> Self {
        Self { probing: true, ..self }
    }

    pub(crate) fn record(&self) -> &Recorder {
        &self.recorder
    }

    /// Whether it is still worth saying something.
    pub(crate) fn goes_on(&self) -> bool {
        self.opened.session.is_some() && !self.gave_up && !self.recorder.is_closed(CONN)
    }

    /// Sends these in one write, as far as they fit. A server that does not read is waited for as long as one that owes.
    pub(crate) async fn send(&mut self, messages: Vec<Outgoing>) {
        if messages.is_empty() || !self.goes_on() {
            return;
        }
        self.opened.keep(&messages, self.recorder.milestones(CONN));
        let Some(session) = self.opened.session.as_mut() else { return };
        let bound = wait::write_bound(&self.env, &self.recorder, CONN);
        let sent = wait::sending(&self.recorder, CONN, bound, session.link.send(messages)).await;
        if sent == Waited::GaveUp {
            self.gave_up = true;
            self.waiting().give_up().await;
        }
    }

    /// Waits until `done`, the end of the connection, or the end of patience.
    pub(crate) async fn until(&mut self, done: impl Fn(&Recorder) -> bool) -> Waited {
        if self.opened.session.is_none() {
            return Waited::Over;
        }
        if self.gave_up {
            return Waited::GaveUp;
        }
        let waited = self.waiting().until(done).await;
        self.gave_up |= waited == Waited::GaveUp;
        waited
    }

    /// Waits for the end of the connection.
    pub(crate) async fn end(&mut self) -> Waited {
        self.until(|recorder| recorder.is_over(CONN)).await
    }

    fn waiting(&mut self) -> Wait<'_> {
        let opened = self.probing.then_some(&mut self.opened);
        Wait::new(&self.env, &self.recorder, CONN, None, &mut self.controls, opened)
    }

    /// Leaves: what still stands is cancelled. Hands over the record.
    pub(crate) async fn leave(mut self) -> Said {
        if let Some(mut session) = self.opened.session.take()
            && !self.recorder.is_over(CONN)
        {
            if !self.recorder.is_closed(CONN) && !self.recorder.client_has_closed(CONN) {
                let _ = timeout(LEAVE, session.link.send(vec![Outgoing::Close(Some(1_000))])).await;
            }
            wait::quietly(&self.recorder, Instant::now() + LEAVE, |recorder| recorder.is_over(CONN)).await;
            if !self.recorder.is_over(CONN) {
                self.recorder.note(CONN, EventKind::Note("left without waiting for the end".to_owned()));
            }
        }
        self.opened.probe_afterwards(&self.env, &self.recorder).await;
        // Where no control session could be held beside the suspect, one is held now that it has been let go.
        if self.gave_up
            && self.controls.is_empty()
            && let Some(control) = self.env.controls.fresh().await
        {
            self.recorder.note(wait::CONTROL_AFTER, control.event());
        }
        let trace = self.recorder.trace();
        // A probe for which there was no room is missing evidence; the session itself was served.
        let overloaded = slot::is_overload(trace.events.iter().filter(|event| event.conn == CONN));
        Said { overloaded, trace }
    }
}
