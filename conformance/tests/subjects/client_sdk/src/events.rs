//! Owns the SDK's events, and the answers of its flushes among them, as the lines of the driver protocol tell them.

use std::future::Future;
use std::pin::Pin;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use lastword_client::{Event, Events, FlushError, Flushed, IncompleteReason, Outcome};
use lastword_driver::{ClientOutcome, Ended, Told, ToldWhat};
use tokio::sync::{mpsc, oneshot};

/// A flush whose answer the application waits for.
pub(crate) struct Asked {
    pub(crate) number: u32,
    pub(crate) answer: Pin<Box<dyn Future<Output = Result<Flushed, FlushError>> + Send>>,
}

type Answers = FuturesUnordered<Pin<Box<dyn Future<Output = Told> + Send>>>;

/// The events of one session.
pub struct SdkEvents {
    /// Until the application drops them.
    events: Option<Events>,
    asked: mpsc::UnboundedReceiver<Asked>,
    answers: Answers,
    leaves: oneshot::Receiver<()>,
    outcome: Option<Outcome>,
}

/// What woke the application.
enum News {
    Left,
    Event(Option<Event>),
    Asked(Asked),
    Answer(Told),
}

impl SdkEvents {
    pub(crate) fn new(events: Events, asked: mpsc::UnboundedReceiver<Asked>, leaves: oneshot::Receiver<()>) -> Self {
        Self { events: Some(events), asked, answers: Answers::new(), leaves, outcome: None }
    }

    async fn news(&mut self) -> Option<News> {
        let events = self.events.as_mut()?;
        Some(tokio::select! {
            biased;
            Ok(()) = &mut self.leaves => News::Left,
            // The finals of a flush are among the events before its answer.
            event = events.next() => News::Event(event),
            Some(asked) = self.asked.recv() => News::Asked(asked),
            Some(told) = self.answers.next() => News::Answer(told),
        })
    }

    /// The answers of flushes that came with the end: each was answered or failed before it.
    async fn rest(&mut self) -> Option<Told> {
        while let Ok(asked) = self.asked.try_recv() {
            self.answers.push(answered(asked));
        }
        self.answers.next().await
    }
}

impl lastword_driver::Events for SdkEvents {
    async fn next(&mut self) -> Option<Result<Told, String>> {
        loop {
            match self.news().await {
                None => return self.rest().await.map(Ok),
                Some(News::Left) => {
                    self.events = None;
                    self.outcome = Some(Outcome::Cancelled);
                }
                Some(News::Event(Some(Event::Ended(outcome)))) => self.outcome = Some(outcome),
                Some(News::Event(None)) => self.events = None,
                Some(News::Event(Some(event))) => return Some(Ok(told(event))),
                Some(News::Asked(asked)) => self.answers.push(answered(asked)),
                Some(News::Answer(told)) => return Some(Ok(told)),
            }
        }
    }

    fn ended(&mut self) -> Ended {
        // `Event::Ended` comes exactly once, and is the last: an end without it has no outcome that could be told as good.
        let Some(outcome) = &self.outcome else {
            return Ended { outcome: ClientOutcome::Incomplete, code: None, retryable: None };
        };
        let (kind, code) = match outcome {
            Outcome::Complete(_) => (ClientOutcome::Complete, None),
            Outcome::Error { code, .. } => (ClientOutcome::Error, Some(code.as_str().to_owned())),
            Outcome::Cancelled => (ClientOutcome::Cancelled, None),
            Outcome::Incomplete { reason, .. } => (ClientOutcome::Incomplete, Some(code_of(reason).to_owned())),
        };
        Ended { outcome: kind, code, retryable: Some(outcome.is_retryable()) }
    }
}

fn answered(Asked { number, answer }: Asked) -> Pin<Box<dyn Future<Output = Told> + Send>> {
    Box::pin(async move {
        let what = if answer.await.is_ok() { ToldWhat::Flushed } else { ToldWhat::FlushFailed };
        Told { number: Some(number), ..Told::new(what) }
    })
}

fn told(event: Event) -> Told {
    let result = |what, segment_id, text: String, start_ms, end_ms| Told {
        segment_id: Some(segment_id),
        text: Some(text),
        start_ms: Some(start_ms),
        end_ms: Some(end_ms),
        ..Told::new(what)
    };
    match event {
        Event::Ready(_) => Told::new(ToldWhat::Ready),
        Event::Partial(one) => result(ToldWhat::Partial, one.segment_id, one.text, one.start_ms, one.end_ms),
        Event::Final(one) => result(ToldWhat::Final, one.segment_id, one.text, one.start_ms, one.end_ms),
        Event::Error(error) => Told {
            code: Some(error.code.as_str().to_owned()),
            text: Some(error.message),
            fatal: Some(error.fatal),
            retryable: Some(error.retryable),
            ..Told::new(ToldWhat::Error)
        },
        Event::Violation(violation) => Told { text: Some(violation.to_string()), ..Told::new(ToldWhat::Other) },
        Event::SpeechStarted(_) | Event::SpeechEnded(_) | Event::Warning(_) | Event::Ended(_) => {
            Told::new(ToldWhat::Other)
        }
    }
}

fn code_of(reason: &IncompleteReason) -> &'static str {
    match reason {
        IncompleteReason::NotComplete => "not_complete",
        IncompleteReason::EndedEarly => "ended_early",
        IncompleteReason::AccountContradicts => "account_contradicts",
        IncompleteReason::Closed { .. } => "closed",
        IncompleteReason::DrainTimeout => "drain_timeout",
        IncompleteReason::AudioReplaced => "audio_replaced",
        IncompleteReason::ConnectionLost(_) => "connection_lost",
        IncompleteReason::AudioLost => "audio_lost",
    }
}
