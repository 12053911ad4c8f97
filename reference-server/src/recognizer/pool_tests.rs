//! What the pool promises: order, a bound, and an answer to everybody, whatever a worker does.

use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;

use super::*;

/// A state that does what the first sample says, and counts how many states were made.
struct Obedient {
    number: usize,
    gate: Arc<Gate>,
}

const ANSWER: i16 = 0;
const FAIL: i16 = 1;
const PANIC: i16 = 2;
const HOLD: i16 = 3;
const WAIT_FOR_CANCEL: i16 = 4;

struct Gate {
    states: AtomicUsize,
    entered: mpsc::SyncSender<i16>,
    open: Mutex<mpsc::Receiver<()>>,
}

impl DecodeState for Obedient {
    fn decode(&mut self, request: &DecodeRequest, control: &JobControl) -> Result<Decoded, EngineError> {
        self.gate.entered.send(request.samples[1]).expect("the test listens");
        match request.samples[0] {
            FAIL => return Err(EngineError::Decode("told to".to_owned())),
            PANIC => panic!("told to"),
            HOLD => self.gate.open.lock().expect("unpoisoned").recv().expect("the test opens"),
            WAIT_FOR_CANCEL => {
                while !control.is_cancelled() {
                    std::thread::yield_now();
                }
            }
            _ => {}
        }
        control.tick();
        Ok(Decoded { words: Vec::new(), confidence: Some(self.number as f64), language: None })
    }
}

struct Test {
    pool: Pool,
    entered: mpsc::Receiver<i16>,
    opener: mpsc::Sender<()>,
}

fn start(workers: usize) -> Test {
    let (entered_sender, entered) = mpsc::sync_channel(100);
    let (opener, open) = mpsc::channel();
    let gate = Arc::new(Gate { states: AtomicUsize::new(0), entered: entered_sender, open: Mutex::new(open) });
    let factory: StateFactory = Arc::new(move || {
        let number = gate.states.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Obedient { number, gate: Arc::clone(&gate) }))
    });
    let pool = Pool::start(NonZeroUsize::new(workers).expect("workers"), &factory).expect("threads");
    Test { pool, entered, opener }
}

fn request(what: i16, name: i16) -> DecodeRequest {
    DecodeRequest { samples: vec![what, name], speech_start: 0, language: None, interim: false }
}

fn no_tick() -> Tick {
    Arc::new(|| {})
}

impl Test {
    fn submit(&self, what: i16, name: i16) -> DecodeFuture {
        self.pool.decode(request(what, name), no_tick())
    }
}

#[tokio::test]
async fn jobs_are_started_in_the_order_in_which_they_came() {
    let test = start(1);
    let held = test.submit(HOLD, 0);
    let later: Vec<_> = (1..20).map(|name| test.submit(ANSWER, name)).collect();
    test.opener.send(()).expect("held");
    held.await.expect("answered");
    for job in later {
        job.await.expect("answered");
    }
    assert_eq!(test.entered.try_iter().collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_state_is_made_at_the_first_job_and_kept() {
    let test = start(1);
    for name in 0..3 {
        assert_eq!(test.submit(ANSWER, name).await.expect("answered").confidence, Some(0.0));
    }
}

#[tokio::test]
async fn as_many_jobs_run_at_once_as_there_are_workers_and_no_more() {
    let test = start(2);
    let jobs: Vec<_> = (0..3).map(|name| test.submit(HOLD, name)).collect();
    let mut entered = [test.entered.recv().expect("one"), test.entered.recv().expect("two")];
    entered.sort_unstable();
    assert_eq!(entered, [0, 1]);
    assert!(test.entered.try_recv().is_err(), "a third job runs on two workers");
    for _ in 0..3 {
        test.opener.send(()).expect("held");
    }
    for job in jobs {
        job.await.expect("answered");
    }
}

#[tokio::test]
async fn a_panic_and_a_failure_are_answers_and_the_worker_goes_on_with_a_new_state() {
    let test = start(1);
    assert_eq!(test.submit(FAIL, 0).await, Err(EngineError::Decode("told to".to_owned())));
    assert_eq!(test.submit(ANSWER, 0).await.expect("answered").confidence, Some(1.0));
    assert_eq!(test.submit(PANIC, 0).await, Err(EngineError::Decode("a worker panicked".to_owned())));
    assert_eq!(test.submit(ANSWER, 0).await.expect("answered").confidence, Some(2.0));
}

#[tokio::test]
async fn a_state_that_cannot_be_made_is_an_answer_too() {
    let factory: StateFactory = Arc::new(|| Err(EngineError::Decode("no memory".to_owned())));
    let pool = Pool::start(NonZeroUsize::MIN, &factory).expect("threads");
    for _ in 0..2 {
        let answer = pool.decode(request(ANSWER, 0), no_tick()).await;
        assert_eq!(answer, Err(EngineError::Decode("no memory".to_owned())));
    }
}

#[tokio::test]
async fn a_job_that_nobody_waits_for_is_skipped_and_a_running_one_is_told() {
    let test = start(1);
    let running = test.submit(WAIT_FOR_CANCEL, 0);
    assert_eq!(test.entered.recv().expect("it runs"), 0);
    drop(test.submit(ANSWER, 1));
    let last = test.submit(ANSWER, 2);
    drop(running);
    last.await.expect("the worker came free");
    assert_eq!(test.entered.try_iter().collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn an_interim_is_refused_while_anybody_would_have_to_wait_for_it() {
    let test = start(2);
    let first = test.submit(HOLD, 0);
    assert_eq!(test.entered.recv().expect("it runs"), 0);
    let second = test.pool.decode_if_idle(request(HOLD, 1), no_tick()).expect("one worker is idle");
    assert!(test.pool.decode_if_idle(request(ANSWER, 2), no_tick()).is_none(), "no worker is idle");
    for _ in 0..2 {
        test.opener.send(()).expect("held");
    }
    first.await.expect("answered");
    second.await.expect("answered");
    assert!(test.pool.decode_if_idle(request(ANSWER, 3), no_tick()).is_some(), "idle again as soon as it answered");
}

#[tokio::test]
async fn who_waits_in_the_queue_is_told_when_it_moves_and_not_before() {
    let test = start(1);
    let held = test.submit(HOLD, 0);
    test.entered.recv().expect("it runs");
    let (told, moved) = mpsc::channel();
    let second_hold = test.submit(HOLD, 1);
    let waiting = test.pool.decode(
        request(ANSWER, 2),
        Arc::new(move || {
            let _ = told.send(());
        }),
    );
    assert!(moved.try_recv().is_err(), "told although nothing was done");
    test.opener.send(()).expect("held");
    held.await.expect("answered");
    moved.recv().expect("told when the job before it was done");
    test.opener.send(()).expect("held");
    second_hold.await.expect("answered");
    waiting.await.expect("answered");
}

#[tokio::test]
async fn a_pool_that_is_dropped_answers_those_who_wait() {
    let test = start(1);
    let running = test.submit(HOLD, 0);
    test.entered.recv().expect("it runs");
    let waiting = test.submit(ANSWER, 1);
    drop(test.pool);
    assert_eq!(waiting.await, Err(EngineError::ShutDown));
    test.opener.send(()).expect("held");
    assert!(running.await.is_ok(), "what runs is finished");
}
