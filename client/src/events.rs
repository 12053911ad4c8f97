//! Owns the application's handle for events. Knows nothing of sockets or of how a session is driven.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use lastword_session::{Outcome, Violation};
use lastword_spec::message::{ErrorMessage, Final, Partial, Ready, SpeechEnded, SpeechStarted, Warning};
use tokio::sync::futures::OwnedNotified;
use tokio::sync::watch;

use crate::shared::Shared;

/// What happens in a session, in order. [`Ended`](Self::Ended) comes exactly once, and is the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The session is ready; what is in force and the limits that hold.
    Ready(Box<Ready>),
    /// What an open segment sounds like so far. Untaken partials of one segment count as the last of them.
    Partial(Partial),
    /// What a segment is. At most one for each.
    Final(Final),
    /// Speech began.
    SpeechStarted(SpeechStarted),
    /// Speech ended.
    SpeechEnded(SpeechEnded),
    /// Something the operator may want to know. Changes nothing.
    Warning(Warning),
    /// The server complains. A fatal error ends the session.
    Error(ErrorMessage),
    /// The server broke the protocol; the session goes on as far as it can.
    Violation(Violation),
    /// The session is over. Only [`Outcome::Complete`] is success.
    Ended(Outcome),
}

/// The events of a session: a [`Stream`], and [`next`](Self::next) for those who have no use for that.
///
/// It always ends, without anything the application would have to do. An application that leaves it alone is no obstacle to the
/// session, up to 65,536 untaken events; then the session is cancelled. Dropped after [`AudioSender::finish`], it cancels the session
/// too; dropped before, the session goes on unheard.
///
/// [`AudioSender::finish`]: crate::AudioSender::finish
#[derive(Debug)]
pub struct Events {
    shared: Arc<Shared>,
    over: bool,
    waiting: Option<Pin<Box<OwnedNotified>>>,
    /// Nothing is ever sent on it; its other end goes with the session's task.
    task_over: watch::Receiver<()>,
}

/// All that a session said, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// The finals, in the order in which they came.
    pub finals: Vec<Final>,
    /// How it ended.
    pub outcome: Outcome,
}

impl Transcript {
    /// The texts of the finals, joined with spaces; empty ones left out.
    #[must_use]
    pub fn text(&self) -> String {
        let texts = self.finals.iter().map(|result| result.text.as_str()).filter(|text| !text.is_empty());
        texts.collect::<Vec<_>>().join(" ")
    }
}

impl Events {
    pub(crate) fn new(shared: Arc<Shared>, task_over: watch::Receiver<()>) -> Self {
        Self { shared, over: false, waiting: None, task_over }
    }

    /// The next event; `None` after [`Event::Ended`]. Safe to cancel.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Takes all events until the end, and keeps the finals.
    pub async fn transcript(mut self) -> Transcript {
        let mut finals = Vec::new();
        loop {
            match self.next().await {
                Some(Event::Final(result)) => finals.push(result),
                Some(Event::Ended(outcome)) => return Transcript { finals, outcome },
                Some(_) => {}
                // Only after `Ended` had been taken before.
                None => return Transcript { finals, outcome: Outcome::Cancelled },
            }
        }
    }

    /// Resolves when the connection is closed and the session's task is over, which is at most `close_ms` after the last event: for
    /// a program that exits then and owes the server its Close. Need not be awaited, and holds nothing.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut task_over = self.task_over.clone();
        async move { while task_over.changed().await.is_ok() {} }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            if self.over {
                return Poll::Ready(None);
            }
            if let Some(event) = self.shared.lock().events.pop_front() {
                self.waiting = None;
                self.over = matches!(event, Event::Ended(_));
                return Poll::Ready(Some(event));
            }
            match &mut self.waiting {
                Some(waiting) => match waiting.as_mut().poll(cx) {
                    Poll::Ready(()) => self.waiting = None,
                    Poll::Pending => return Poll::Pending,
                },
                // Looks once more before it waits: an event may have come between the look and the registration.
                None => {
                    let mut waiting = Box::pin(Arc::clone(&self.shared.news).notified_owned());
                    waiting.as_mut().enable();
                    self.waiting = Some(waiting);
                }
            }
        }
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll_event(cx)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.shared.change_always(|inner| {
            inner.listening = false;
            inner.events.clear();
            if !inner.sending {
                inner.cancel();
            }
        });
    }
}
