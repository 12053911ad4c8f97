//! Bounds what decodes at once. Owns: the worker threads, the queue before them, and the engine state that each of them keeps.
//! Must not know: whisper, sessions, audio beyond handing it on.
//!
//! First come, first served; a stream has at most one job here, so streams take turns. A worker that panics or fails answers
//! that job with an error, throws its state away and goes on with a new one: nobody waits for ever, and no worker is lost.

use std::collections::VecDeque;
use std::future::Future;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{DecodeFuture, DecodeRequest, Decoded, Decoder, EngineError, Tick};

/// Those that wait are told at most this often that the queue before them moves.
const QUEUE_TICK: Duration = Duration::from_millis(200);

/// What a worker decodes with. Made in the worker's own thread at its first job, used for one job at a time, kept for the next.
pub trait DecodeState {
    /// Decodes one window. May stop early, with any answer, once `control` says that nobody wants it.
    ///
    /// # Errors
    /// [`EngineError`]; the state is thrown away then.
    fn decode(&mut self, request: &DecodeRequest, control: &JobControl) -> Result<Decoded, EngineError>;
}

/// Makes a state for a worker.
pub type StateFactory = Arc<dyn Fn() -> Result<Box<dyn DecodeState>, EngineError> + Send + Sync>;

/// What a running decode can tell and learn.
#[derive(Clone)]
pub struct JobControl {
    tick: Tick,
    cancelled: Arc<AtomicBool>,
    pool: Arc<Shared>,
}

impl JobControl {
    /// For a decode outside a pool: nobody is told, and nobody cancels.
    #[must_use]
    pub fn detached() -> Self {
        Self { tick: Arc::new(|| {}), cancelled: Arc::default(), pool: Arc::default() }
    }

    /// A piece of the work is done.
    pub fn tick(&self) {
        (self.tick)();
        self.pool.tick_waiting();
    }

    /// Whether nobody waits for the answer any more.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }
}

struct Job {
    request: DecodeRequest,
    tick: Tick,
    cancelled: Arc<AtomicBool>,
    answer: oneshot::Sender<Result<Decoded, EngineError>>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    idle_workers: usize,
    shut_down: bool,
    ticked_at: Option<Instant>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing under this lock can leave the queue half changed.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The queue moves: that is work for everybody who waits in it.
    fn tick_waiting(&self) {
        let waiting: Vec<Tick> = {
            let mut queue = self.lock();
            if queue.jobs.is_empty() || queue.ticked_at.is_some_and(|at| at.elapsed() < QUEUE_TICK) {
                return;
            }
            queue.ticked_at = Some(Instant::now());
            queue.jobs.iter().map(|job| Arc::clone(&job.tick)).collect()
        };
        for tick in waiting {
            tick();
        }
    }
}

/// A fixed number of threads that decode. Dropping it lets each finish the job it has and refuses the ones that wait.
pub struct Pool {
    shared: Arc<Shared>,
}

impl Pool {
    /// Starts `workers` threads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(workers: NonZeroUsize, factory: &StateFactory) -> std::io::Result<Self> {
        let pool = Self { shared: Arc::default() };
        pool.shared.lock().idle_workers = workers.get();
        for number in 0..workers.get() {
            let (shared, factory) = (Arc::clone(&pool.shared), Arc::clone(factory));
            // A state need not be `Send`: it is made, used and dropped in this thread.
            let work = move || Worker { shared, factory, state: None }.run();
            std::thread::Builder::new().name(format!("decode-{number}")).spawn(work)?;
        }
        Ok(pool)
    }

    fn submit(&self, request: DecodeRequest, tick: Tick, only_if_idle: bool) -> Option<DecodeFuture> {
        let (answer, receiver) = oneshot::channel();
        let cancelled = Arc::new(AtomicBool::new(false));
        {
            let mut queue = self.shared.lock();
            if only_if_idle && queue.idle_workers <= queue.jobs.len() {
                return None;
            }
            queue.jobs.push_back(Job { request, tick, cancelled: Arc::clone(&cancelled), answer });
        }
        self.shared.changed.notify_one();
        Some(Box::pin(Pending { answer: receiver, cancelled }))
    }
}

impl Decoder for Pool {
    fn decode(&self, request: DecodeRequest, tick: Tick) -> DecodeFuture {
        self.submit(request, tick, false).unwrap_or_else(|| Box::pin(std::future::ready(Err(EngineError::ShutDown))))
    }

    fn decode_if_idle(&self, request: DecodeRequest, tick: Tick) -> Option<DecodeFuture> {
        self.submit(request, tick, true)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let refused = {
            let mut queue = self.shared.lock();
            queue.shut_down = true;
            std::mem::take(&mut queue.jobs)
        };
        self.shared.changed.notify_all();
        for job in refused {
            let _ = job.answer.send(Err(EngineError::ShutDown));
        }
    }
}

/// The answer to come. Dropping it cancels the job.
struct Pending {
    answer: oneshot::Receiver<Result<Decoded, EngineError>>,
    cancelled: Arc<AtomicBool>,
}

impl Future for Pending {
    type Output = Result<Decoded, EngineError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(context).map(|answer| answer.unwrap_or(Err(EngineError::ShutDown)))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Release);
    }
}

struct Worker {
    shared: Arc<Shared>,
    factory: StateFactory,
    state: Option<Box<dyn DecodeState>>,
}

impl Worker {
    fn run(mut self) {
        while let Some(job) = self.next() {
            self.work(job);
            self.shared.tick_waiting();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.shared.lock();
        loop {
            if queue.shut_down {
                return None;
            }
            if let Some(job) = queue.jobs.pop_front() {
                if job.cancelled.load(Ordering::Acquire) {
                    continue;
                }
                queue.idle_workers -= 1;
                return Some(job);
            }
            queue = self.shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work(&mut self, job: Job) {
        let control = JobControl { tick: job.tick, cancelled: job.cancelled, pool: Arc::clone(&self.shared) };
        let decoded = catch_unwind(AssertUnwindSafe(|| {
            let state = match &mut self.state {
                Some(state) => state,
                none => none.insert((self.factory)()?),
            };
            state.decode(&job.request, &control)
        }))
        // The panic hook has written what it was; a client is not told.
        .unwrap_or_else(|_panic| Err(EngineError::Decode("a worker panicked".to_owned())));
        if decoded.is_err() {
            self.state = None;
        }
        // Idle first: who has the answer may ask at once whether a worker is.
        self.shared.lock().idle_workers += 1;
        // Refused only when nobody waits any more.
        let _ = job.answer.send(decoded);
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
