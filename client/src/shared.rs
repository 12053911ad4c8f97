//! Owns the session while it lives, behind one lock: the sender, the events and the driver meet here. What goes out to the wire is
//! left for the driver; knows nothing of sockets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use lastword_session::{ApiMisuse, ClientEvent, ClientOptions, ClientOutput, ClientSession, Outcome};
use lastword_spec::close::CloseCode;
use lastword_spec::message::{ClientMessage, Ready};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::carried::Carried;
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
    /// When its connection was open; without one its clock stands still.
    started: Option<Instant>,
    /// What is taken over to the next connection, where there may be one.
    going_on: Option<GoingOn>,
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

/// What a session needs to go on with a lost connection on another.
#[derive(Debug)]
struct GoingOn {
    options: ClientOptions,
    carried: Carried,
    /// The sentinel is on its way or gone. [REC-C3]
    sentinel: bool,
    /// The connection is lost, and the next session has not begun: what the application wants waits.
    lost: Option<Loss>,
}

/// A connection that was lost.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    /// How the session ends if there is no other.
    pub(crate) outcome: Outcome,
    /// It was ready and lived for `idle_timeout_ms`. Spec: REC-C5.
    pub(crate) has_lived: bool,
    /// How long the server wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
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
        Self::with(session, None)
    }

    /// A session that a loss need not end.
    pub(crate) fn going_on(session: ClientSession, options: ClientOptions) -> Arc<Self> {
        Self::with(session, Some(GoingOn { options, carried: Carried::default(), sentinel: false, lost: None }))
    }

    fn with(session: ClientSession, going_on: Option<GoingOn>) -> Arc<Self> {
        let mut inner = Inner {
            session,
            started: Some(Instant::now()),
            going_on,
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

    /// Begins the next session after a loss, before there is a connection for it: audio can be pushed. `None` where nothing was lost.
    pub(crate) fn begin_anew(&self) -> Option<Loss> {
        let mut inner = self.lock();
        let loss = inner.begin_anew();
        self.announce(&mut inner);
        loss
    }

    /// There is a connection for it.
    pub(crate) fn connected(&self) {
        self.lock().started = Some(Instant::now());
    }

    /// There will be none.
    pub(crate) fn give_up(&self, outcome: Outcome) {
        self.change_always(|inner| {
            inner.end(outcome);
            inner.cancel();
        });
    }

    /// When the last event has been queued.
    pub(crate) async fn over(&self) {
        loop {
            let changed = self.room.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.lock().ended {
                return;
            }
            changed.await;
        }
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
        self.started.map_or(Duration::ZERO, |started| started.elapsed())
    }

    /// The moment of the session's clock as one of tokio's.
    pub(crate) fn instant(&self, at: Duration) -> Instant {
        self.started.unwrap_or_else(Instant::now) + at
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
        if self.is_lost() {
            return Err(ApiMisuse::BufferFull);
        }
        self.session.push(audio)?;
        if let Some(going_on) = &mut self.going_on {
            going_on.carried.pushed(audio);
        }
        Ok(())
    }

    /// The application does not want the rest.
    pub(crate) fn cancel(&mut self) {
        self.input(|session, now| session.cancel(now));
        if self.is_lost() {
            self.end(Outcome::Cancelled);
        }
    }

    fn is_lost(&self) -> bool {
        self.going_on.as_ref().is_some_and(|going_on| going_on.lost.is_some())
    }

    /// Queues a flush behind all that was pushed.
    pub(crate) fn flush(&mut self) -> Result<(String, oneshot::Receiver<Result<(), FlushError>>), ApiMisuse> {
        let id = format!("flush-{}", self.next_flush);
        let (answer, answered) = oneshot::channel();
        // Between two connections there is nobody who could answer it.
        if !self.is_lost() {
            self.session.flush(id.clone())?;
            self.flushes.insert(id.clone(), answer);
        }
        self.next_flush += 1;
        Ok((id, answered))
    }

    /// Takes all outputs of the session.
    fn collect(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                ClientOutput::Send(message) => {
                    if let Some(going_on) = &mut self.going_on {
                        going_on.sentinel |= message == ClientMessage::EndOfStream;
                    }
                    self.wire.push_back(Wire::Message(message));
                }
                ClientOutput::SendAudio(bytes) => {
                    self.has_room = true;
                    if let Some(going_on) = &mut self.going_on {
                        going_on.carried.sent(bytes.len());
                    }
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
            ClientEvent::Ended(outcome) => self.session_ended(outcome),
        }
    }

    /// The session on this connection is over, and with it the whole, unless it goes on. [REC-C2] [REC-C3]
    fn session_ended(&mut self, outcome: Outcome) {
        let now = self.now();
        let may_go_on = !self.ended && outcome.is_retryable();
        match &mut self.going_on {
            Some(going_on) if may_go_on && !going_on.sentinel => {
                let lives = |ready: &Ready| now >= Duration::from_millis(ready.limits.idle_timeout_ms);
                let retry_after = match &outcome {
                    Outcome::Error { retry_after_ms, .. } => retry_after_ms.map(Duration::from_millis),
                    _ => None,
                };
                let has_lived = self.session.ready().is_some_and(lives);
                going_on.lost = Some(Loss { outcome, has_lived, retry_after });
            }
            _ => self.end(outcome),
        }
    }

    /// The last event.
    fn end(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let outcome = self.going_on.as_ref().map_or(outcome.clone(), |going_on| going_on.carried.outcome(outcome));
        self.queue(Event::Ended(outcome));
    }

    fn begin_anew(&mut self) -> Option<Loss> {
        let loss = self.going_on.as_mut()?.lost.take()?;
        let going_on = self.going_on.as_mut().filter(|_| !self.ended)?;
        let Ok(session) = ClientSession::new(going_on.options.clone()) else {
            self.end(loss.outcome);
            return None;
        };
        let unsent = going_on.carried.lose(self.session.audio_sent_ms(), self.session.has_sent_audio());
        (self.session, self.started, self.driver) = (session, None, None);
        self.wire.clear();
        self.collect();
        self.has_room = true;
        // It had room in a buffer of this size.
        let taken = if unsent.is_empty() { Ok(()) } else { self.push(&unsent) };
        debug_assert_eq!(taken, Ok(()), "what was taken once has room");
        if !self.sending {
            self.input(|session, now| session.end(now));
        }
        Some(loss)
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
        let event = match &mut self.going_on {
            Some(going_on) => going_on.carried.event(event),
            None => event,
        };
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
