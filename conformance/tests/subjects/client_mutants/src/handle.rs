//! Owns the public face of a session: the calls of an application and the events that it gets. What the session does is in
//! `session`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::fault::Fault;
use crate::link::{Alive, Dial};
use crate::options::Options;
use crate::session::Session;

/// What an application asks of its session, in order.
pub(crate) enum Order {
    Audio(Vec<u8>),
    Flush(u64),
    End,
}

/// One session, as its application holds it.
pub(crate) struct Handle {
    orders: mpsc::Sender<Order>,
    cancel: watch::Sender<bool>,
    options: Options,
    is_ended: bool,
    shared: Arc<Shared>,
    living: Arc<AtomicUsize>,
    last_pcm: Vec<u8>,
    pushed: u64,
}

/// Cancels a session. Doing so twice is no fault, nor is doing so when it is over.
pub(crate) struct Canceller {
    cancel: watch::Sender<bool>,
    shared: Arc<Shared>,
    options: Options,
}

impl Canceller {
    pub(crate) fn cancel(&self) -> Result<(), String> {
        let again = self.cancel.send_replace(true);
        if again && self.options.has(Fault::SecondCancelRaises) {
            return Err("the session is cancelled already".to_owned());
        }
        if self.shared.is_over.load(Ordering::SeqCst) && self.options.has(Fault::CancelWhenOverRaises) {
            return Err("there is nothing to be cancelled".to_owned());
        }
        Ok(())
    }
}

/// What the handle and the session both know.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) is_ready: AtomicBool,
    /// The application was told the end.
    pub(crate) is_over: AtomicBool,
    /// Audio that a faulty client holds before `ready`, in bytes.
    pub(crate) held_bytes: AtomicUsize,
}

/// How many pieces of audio wait in the client: more than 10 s of them.
const BUFFERED: usize = 128;
/// What a client with too small a buffer holds: 2 s.
const SMALL_BUFFER_BYTES: usize = 64_000;

impl Handle {
    /// Begins a session; its events come out of the receiver, the last of them `ended`.
    pub(crate) fn start(dial: Dial, url: String, options: Options) -> (Self, mpsc::UnboundedReceiver<Value>) {
        let (orders, ordered) = mpsc::channel(BUFFERED);
        let (telling, told) = mpsc::unbounded_channel();
        let (cancel, cancelled) = watch::channel(false);
        let shared = Arc::new(Shared::default());
        let living = Arc::new(AtomicUsize::new(0));
        let alive = Alive::new(&living);
        let session = Session::new(options.clone(), telling, Arc::clone(&shared), Arc::clone(&living));
        tokio::spawn(async move {
            let _alive = alive;
            session.run(dial, url, ordered, cancelled).await;
        });
        (Self { orders, cancel, options, is_ended: false, shared, living, last_pcm: Vec::new(), pushed: 0 }, told)
    }

    /// Hands over audio, and waits while the client holds as much as it may.
    pub(crate) async fn push(&mut self, pcm: Vec<u8>) -> Result<(), String> {
        if self.is_ended {
            // The right client refuses aloud.
            let accepts = self.options.has(Fault::PushAfterEndAccepted);
            return if accepts { Ok(()) } else { Err("the input has ended".to_owned()) };
        }
        if self.options.has(Fault::FullBufferDrops) && !self.shared.is_ready.load(Ordering::SeqCst) {
            let held = self.shared.held_bytes.fetch_add(pcm.len(), Ordering::SeqCst);
            if held >= SMALL_BUFFER_BYTES {
                return Ok(());
            }
        }
        self.last_pcm.clone_from(&pcm);
        self.pushed += 1;
        if self.pushed > 4 && self.options.has(Fault::PushWaitsForEver) {
            return std::future::pending().await;
        }
        let taken = self.orders.send(Order::Audio(pcm)).await;
        if taken.is_err() && self.options.has(Fault::PushOutlivesTheSession) {
            return std::future::pending().await;
        }
        taken.map_err(|_| "the session is over".to_owned())
    }

    pub(crate) async fn flush(&mut self, number: u64) -> Result<(), String> {
        if self.is_ended {
            return Err("the input has ended".to_owned());
        }
        self.orders.send(Order::Flush(number)).await.map_err(|_| "the session is over".to_owned())
    }

    /// The input is over; saying so twice is no fault.
    pub(crate) async fn end(&mut self) -> Result<(), String> {
        let again = std::mem::replace(&mut self.is_ended, true);
        if again && self.options.has(Fault::SecondEndRaises) {
            return Err("the input has ended already".to_owned());
        }
        if again {
            return Ok(());
        }
        if self.options.has(Fault::EarlyEndForgotten) && !self.shared.is_ready.load(Ordering::SeqCst) {
            return Ok(());
        }
        let _ = self.orders.send(Order::End).await;
        if self.options.has(Fault::AudioAfterEnd) && !self.last_pcm.is_empty() {
            let _ = self.orders.send(Order::Audio(self.last_pcm.clone())).await;
        }
        Ok(())
    }

    /// What cancels, also while a call has not come back.
    pub(crate) fn canceller(&self) -> Canceller {
        Canceller { cancel: self.cancel.clone(), shared: Arc::clone(&self.shared), options: self.options.clone() }
    }

    /// The application hands over no more.
    pub(crate) fn closes(&mut self) {
        self.is_ended = true;
    }

    /// Something that tells how many tasks of the session are alive.
    pub(crate) fn living(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.living)
    }

    /// Waits until the session has let go of its connection, which it does within its bounds.
    pub(crate) async fn closed(&self) {
        self.orders.closed().await;
    }
}
