//! Owns the session while it lives, behind one lock: the sender, the events and the driver meet here. What goes out to the wire is
//! left for the driver; knows nothing of sockets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use lastword_session::{ApiMisuse, ClientEvent, ClientOutput, ClientSession};
use lastword_spec::close::CloseCode;
use lastword_spec::message::ClientMessage;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::events::Event;
use crate::sender::FlushError;

/// More untaken events than this, partials of one segment counting as one, and nobody can be waiting for them any more.
const MAX_EVENTS: usize = 65_536;

/// One session and all who hold it.
#[derive(Debug)]
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    /// Room in the send buffer, or the end of the session.
    pub(crate) room: Notify,
    /// A new event, or the end of them.
    pub(crate) news: Arc<Notify>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    session: ClientSession,
    started: Instant,
    /// What the driver is to do, in order.
    pub(crate) wire: VecDeque<Wire>,
    pub(crate) driver: Option<Waker>,
    pub(crate) events: VecDeque<Event>,
    /// Events were queued that nobody has been told of.
    has_news: bool,
    /// A message left the buffer, and nobody has been told.
    has_room: bool,
    /// The last event has been queued.
    pub(crate) ended: bool,
    /// The application holds `Events`.
    pub(crate) listening: bool,
    /// The application holds `AudioSender`.
    pub(crate) sending: bool,
    flushes: BTreeMap<String, oneshot::Sender<Result<(), FlushError>>>,
    next_flush: u64,
}

/// Something for the socket.
#[derive(Debug)]
pub(crate) enum Wire {
    /// To be told when the transport has accepted it.
    Message(ClientMessage),
    /// To be told when the transport has accepted it.
    Audio(Vec<u8>),
    /// A Close of this side.
    Close(CloseCode),
    /// The connection is of no more use.
    Drop,
}

impl Shared {
    pub(crate) fn new(session: ClientSession) -> Arc<Self> {
        let mut inner = Inner {
            session,
            started: Instant::now(),
            wire: VecDeque::new(),
            driver: None,
            events: VecDeque::new(),
            has_news: false,
            has_room: false,
            ended: false,
            listening: true,
            sending: true,
            flushes: BTreeMap::new(),
            next_flush: 0,
        };
        inner.collect();
        Arc::new(Self { inner: Mutex::new(inner), room: Notify::new(), news: Arc::new(Notify::new()) })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves the session as it was before or after an input, never in between.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `change` for the application, takes what comes of it, and wakes whom it concerns. A refused change concerns nobody: a
    /// caller that waits for room and the driver must not wake each other without end.
    pub(crate) fn change<T, E>(&self, change: impl FnOnce(&mut Inner) -> Result<T, E>) -> Result<T, E> {
        let (result, driver) = {
            let mut inner = self.lock();
            let result = change(&mut inner)?;
            inner.collect();
            self.announce(&mut inner);
            (result, inner.driver.take())
        };
        if let Some(driver) = driver {
            driver.wake();
        }
        Ok(result)
    }

    /// [`change`](Self::change), for what cannot be refused.
    pub(crate) fn change_always(&self, change: impl FnOnce(&mut Inner)) {
        let Ok(()) = self.change::<(), std::convert::Infallible>(|inner| {
            change(inner);
            Ok(())
        });
    }

    /// Tells those who wait what there is for them.
    pub(crate) fn announce(&self, inner: &mut Inner) {
        if std::mem::take(&mut inner.has_news) {
            self.news.notify_waiters();
        }
        if std::mem::take(&mut inner.has_room) || inner.ended {
            self.room.notify_waiters();
        }
    }
}

impl Inner {
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// The moment of the session's clock as one of tokio's.
    pub(crate) fn instant(&self, at: Duration) -> Instant {
        self.started + at
    }

    pub(crate) fn session(&self) -> &ClientSession {
        &self.session
    }

    /// Gives the session an input and takes what comes of it. The outputs of the input before have been taken, so it takes this one.
    pub(crate) fn input(&mut self, input: impl FnOnce(&mut ClientSession, Duration) -> Result<(), ApiMisuse>) {
        let now = self.now();
        let taken = input(&mut self.session, now);
        debug_assert_eq!(taken, Ok(()), "outputs are taken after every input");
        self.collect();
    }

    pub(crate) fn push(&mut self, audio: &[u8]) -> Result<(), ApiMisuse> {
        self.session.push(audio)
    }

    /// Queues a flush behind all that was pushed.
    pub(crate) fn flush(&mut self) -> Result<(String, oneshot::Receiver<Result<(), FlushError>>), ApiMisuse> {
        let id = format!("flush-{}", self.next_flush);
        self.session.flush(id.clone())?;
        self.next_flush += 1;
        let (answer, answered) = oneshot::channel();
        self.flushes.insert(id.clone(), answer);
        Ok((id, answered))
    }

    /// Takes all outputs of the session.
    fn collect(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                ClientOutput::Send(message) => self.wire.push_back(Wire::Message(message)),
                ClientOutput::SendAudio(bytes) => {
                    self.has_room = true;
                    self.wire.push_back(Wire::Audio(bytes));
                }
                ClientOutput::Event(event) => self.tell(event),
                ClientOutput::Violation(violation) => {
                    if !self.ended {
                        self.queue(Event::Violation(violation));
                    }
                }
                ClientOutput::Close { code } => {
                    // What waits for the transport is not wanted any more; a message that is half written still goes first.
                    self.wire.clear();
                    self.wire.push_back(Wire::Close(code));
                }
                // The library answers a Close by itself.
                ClientOutput::EchoClose { .. } => {}
                ClientOutput::Drop => self.wire.push_back(Wire::Drop),
            }
        }
    }

    fn tell(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Flushed { id } => self.answer_flush(&id, Ok(())),
            ClientEvent::FlushFailed { id } => self.answer_flush(&id, Err(FlushError::NotAnswered)),
            ClientEvent::Ready(ready) => self.queue(Event::Ready(ready)),
            ClientEvent::Partial(partial) => self.queue(Event::Partial(partial)),
            ClientEvent::Final(result) => self.queue(Event::Final(result)),
            ClientEvent::SpeechStarted(speech) => self.queue(Event::SpeechStarted(speech)),
            ClientEvent::SpeechEnded(speech) => self.queue(Event::SpeechEnded(speech)),
            ClientEvent::Warning(warning) => self.queue(Event::Warning(warning)),
            ClientEvent::Error(error) => self.queue(Event::Error(error)),
            // This SDK sends no `update`, so this is no answer; the violation beside it says so.
            ClientEvent::Updated(_) => {}
            ClientEvent::Ended(outcome) => {
                self.ended = true;
                self.queue(Event::Ended(outcome));
            }
        }
    }

    fn answer_flush(&mut self, id: &str, answer: Result<(), FlushError>) {
        if let Some(caller) = self.flushes.remove(id) {
            // A caller that does not wait any more does not want the answer.
            let _ = caller.send(answer);
        }
    }

    /// Queues an event; a partial replaces an untaken one of its segment. Spec: FIN-C2.
    fn queue(&mut self, event: Event) {
        if !self.listening {
            return;
        }
        self.has_news = true;
        if let (Event::Partial(new), Some(Event::Partial(last))) = (&event, self.events.back_mut())
            && new.segment_id == last.segment_id
        {
            last.clone_from(new);
            return;
        }
        self.events.push_back(event);
        if self.events.len() >= MAX_EVENTS && !self.ended {
            let now = self.now();
            // Its outputs are taken by the loop that called this.
            let _ = self.session.cancel(now);
        }
    }
}
