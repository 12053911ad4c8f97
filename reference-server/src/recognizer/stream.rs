//! One stream of audio through an engine. Owns: the task between the endpointer and the decoder, the order of its events,
//! and the account of what is buffered. Must not know: which engine decodes, sockets, protocol states.
//!
//! Samples are taken in at once, whatever the decoder is doing, so that speech is noticed while a window is decoded; windows
//! are decoded one after another. Nothing is dropped: what is neither decoded nor silence stays in the account of [`Backlog`].

use std::collections::VecDeque;
use std::future::pending;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::assemble::Assembly;
use super::endpoint::{EndpointEvent, Endpointer, WindowSpan};
use super::{DecodeFuture, DecodeRequest, Decoded, Decoder, EngineError, EngineEvent, EngineInfo, StreamOptions, Tick};
use crate::audio::{ms_to_samples, samples_to_ms};

/// New audio in the open window before it is decoded again for a partial.
const INTERIM_STEP_SAMPLES: u64 = ms_to_samples(500);
/// A partial may take one part in this many of the wall time: a slow model gives fewer partials, not later finals.
const INTERIM_DUTY: u32 = 4;
/// Events that wait to be taken. A reader that takes none stops the stream here, and the backlog grows.
const EVENT_CAPACITY: usize = 64;
/// Progress finer than this is of no use to anybody: in audio, and in time between two ticks.
const PROGRESS_STEP_MS: u64 = 100;
/// Audio kept beyond what is needed before the buffer is moved together.
const TRIM_SAMPLES: u64 = ms_to_samples(1_000);

enum Command {
    Audio(Vec<i16>),
    Flush(u64),
    Finish,
}

/// The account of one stream: audio handed over that is neither decoded nor known to be silence.
///
/// The window that is still being spoken does not count: it is bounded, and to stop reading because of it would keep its own
/// end away.
#[derive(Debug, Clone)]
pub struct Backlog(Arc<Account>);

#[derive(Debug, Default)]
struct Account {
    /// Handed over and not yet looked at.
    queued_samples: AtomicU64,
    /// In windows that are cut and not yet decoded.
    window_samples: AtomicU64,
    over: AtomicBool,
    fell: Notify,
}

impl Backlog {
    /// How much audio waits, in milliseconds, rounded down. 0 once the stream is over.
    #[must_use]
    pub fn ms(&self) -> u64 {
        if self.0.over.load(Ordering::Acquire) {
            return 0;
        }
        samples_to_ms(self.0.queued_samples.load(Ordering::Acquire) + self.0.window_samples.load(Ordering::Acquire))
    }

    /// Waits until at most `limit_ms` of audio wait, or the stream is over. Safe to cancel.
    pub async fn at_most(&self, limit_ms: u64) {
        loop {
            let fell = self.0.fell.notified();
            tokio::pin!(fell);
            fell.as_mut().enable();
            if self.ms() <= limit_ms {
                return;
            }
            fell.await;
        }
    }
}

/// Where a session puts the audio of its stream. Nothing here waits. Dropped before [`finish`](Self::finish): the stream is
/// cancelled.
#[derive(Debug)]
pub struct AudioInput {
    commands: mpsc::UnboundedSender<Command>,
    backlog: Backlog,
}

impl AudioInput {
    /// Hands over the next samples: 16 kHz, one channel. Never refused, never dropped; [`backlog`](Self::backlog) tells when
    /// to stop reading more. After the stream has failed they go nowhere.
    pub fn push(&self, samples: Vec<i16>) {
        self.backlog.0.queued_samples.fetch_add(samples.len() as u64, Ordering::AcqRel);
        // Refused only when the task is gone, which the reader of the events learns by `Failed`.
        let _ = self.commands.send(Command::Audio(samples));
    }

    /// Asks for the finals of all audio so far, then [`EngineEvent::Flushed`] with `token`.
    pub fn flush(&self, token: u64) {
        let _ = self.commands.send(Command::Flush(token));
    }

    /// Ends the audio: its last finals come, then [`EngineEvent::Drained`].
    pub fn finish(self) {
        let _ = self.commands.send(Command::Finish);
    }

    /// The account of this stream; may be kept after `finish`.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        self.backlog.clone()
    }
}

/// Where a session hears of its stream. Dropping it cancels the stream.
#[derive(Debug)]
pub struct EngineEvents {
    events: mpsc::Receiver<EngineEvent>,
    over: bool,
}

impl EngineEvents {
    /// The next event, or `None` once `Drained` or `Failed` has been given. Safe to cancel.
    ///
    /// A stream always ends in one of these two: should its task die, that is told as `Failed`.
    pub async fn recv(&mut self) -> Option<EngineEvent> {
        if self.over {
            return None;
        }
        let event = self.events.recv().await.unwrap_or_else(|| EngineEvent::Failed {
            message: "the stream of the speech engine ended before its audio did".to_owned(),
        });
        self.over = matches!(event, EngineEvent::Drained { .. } | EngineEvent::Failed { .. });
        Some(event)
    }
}

/// Starts the task of one stream.
pub(super) fn open(info: &EngineInfo, decoder: Arc<dyn Decoder>, options: StreamOptions) -> (AudioInput, EngineEvents) {
    let (commands, incoming) = mpsc::unbounded_channel();
    let (events, outgoing) = mpsc::channel(EVENT_CAPACITY);
    let backlog = Backlog(Arc::default());
    let ticked = Arc::new(Notify::new());
    let notify = Arc::clone(&ticked);
    let task = StreamTask {
        decoder,
        endpointer: Endpointer::new(options.endpointing, info.windows),
        options,
        incoming,
        events,
        account: Settle(Arc::clone(&backlog.0)),
        tick: Arc::new(move || notify.notify_one()),
        ticked,
        audio: SampleBuffer::default(),
        decisions: Vec::new(),
        queue: VecDeque::new(),
        running: None,
        assembly: Assembly::default(),
        segments_closed: 0,
        finishing: false,
        interim: Interim::default(),
        told_ms: 0,
        told_at: Instant::now(),
    };
    tokio::spawn(task.run());
    (AudioInput { commands, backlog }, EngineEvents { events: outgoing, over: false })
}

/// Whoever waits for the backlog to fall is woken when the task ends, however it ends.
struct Settle(Arc<Account>);

impl Drop for Settle {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Release);
        self.0.fell.notify_waiters();
    }
}

/// The samples that may still be needed.
#[derive(Default)]
struct SampleBuffer {
    samples: Vec<i16>,
    /// The place of the first of them in the stream.
    base: u64,
}

impl SampleBuffer {
    fn copy(&self, range: Range<u64>) -> Vec<i16> {
        self.samples[(range.start - self.base) as usize..(range.end - self.base) as usize].to_vec()
    }

    fn forget_before(&mut self, needed_from: u64) {
        let spare = needed_from - self.base;
        if spare >= TRIM_SAMPLES {
            self.samples.drain(..spare as usize);
            self.base = needed_from;
        }
    }
}

/// What is still to be done, in order.
enum Item {
    Window {
        span: WindowSpan,
        samples: Vec<i16>,
    },
    /// All windows of this segment have been decoded.
    Segment {
        number: u64,
        speech: Range<u64>,
    },
    Flush {
        token: u64,
        at: u64,
    },
    Finish,
}

struct Running {
    decode: DecodeFuture,
    span: WindowSpan,
    interim: bool,
    started: Instant,
}

/// What is known about the partials of the open segment, and when the next one is due.
#[derive(Default)]
struct Interim {
    segment: u64,
    text: String,
    decoded_until: u64,
    not_before: Option<Instant>,
}

struct StreamTask {
    decoder: Arc<dyn Decoder>,
    options: StreamOptions,
    incoming: mpsc::UnboundedReceiver<Command>,
    events: mpsc::Sender<EngineEvent>,
    account: Settle,
    tick: Tick,
    ticked: Arc<Notify>,
    endpointer: Endpointer,
    audio: SampleBuffer,
    decisions: Vec<EndpointEvent>,
    queue: VecDeque<Item>,
    running: Option<Running>,
    /// The windows that have been decoded of the segment that is final next.
    assembly: Assembly,
    segments_closed: u64,
    finishing: bool,
    interim: Interim,
    told_ms: u64,
    told_at: Instant,
}

/// The stream is over: cancelled, drained or failed.
struct Over;

impl StreamTask {
    async fn run(mut self) {
        while let Ok(()) = self.step().await {}
    }

    async fn step(&mut self) -> Result<(), Over> {
        self.start_next().await?;
        enum Woken {
            Command(Option<Command>),
            Decoded(Result<Decoded, EngineError>),
            Ticked,
            Cancelled,
        }
        let woken = tokio::select! {
            biased;
            () = self.events.closed() => Woken::Cancelled,
            decoded = running(&mut self.running) => Woken::Decoded(decoded),
            command = self.incoming.recv(), if !self.finishing => Woken::Command(command),
            () = self.ticked.notified() => Woken::Ticked,
        };
        match woken {
            Woken::Command(Some(command)) => self.take(command).await,
            Woken::Command(None) | Woken::Cancelled => Err(Over),
            Woken::Decoded(decoded) => self.decoded(decoded).await,
            Woken::Ticked => {
                self.tell_tick();
                Ok(())
            }
        }
    }

    async fn take(&mut self, command: Command) -> Result<(), Over> {
        match command {
            Command::Audio(samples) => {
                self.endpointer.push(&samples, &mut self.decisions);
                self.audio.samples.extend_from_slice(&samples);
                self.cut().await?;
                self.account.0.queued_samples.fetch_sub(samples.len() as u64, Ordering::AcqRel);
                self.account.0.fell.notify_waiters();
            }
            Command::Flush(token) => {
                self.endpointer.flush(&mut self.decisions);
                self.cut().await?;
                self.queue.push_back(Item::Flush { token, at: self.endpointer.position() });
            }
            Command::Finish => {
                self.endpointer.flush(&mut self.decisions);
                self.cut().await?;
                self.queue.push_back(Item::Finish);
                self.finishing = true;
            }
        }
        self.audio.forget_before(self.endpointer.needed_from());
        self.tell_progress();
        Ok(())
    }

    /// Tells what the endpointer decided and queues the windows that it cut.
    async fn cut(&mut self) -> Result<(), Over> {
        for decision in std::mem::take(&mut self.decisions) {
            match decision {
                EndpointEvent::SpeechStarted(at) => {
                    self.send(EngineEvent::SpeechStarted { start_ms: samples_to_ms(at) }).await?;
                }
                EndpointEvent::Window(span) => {
                    let samples = self.audio.copy(span.audio.clone());
                    self.account.0.window_samples.fetch_add(samples.len() as u64, Ordering::AcqRel);
                    self.queue.push_back(Item::Window { span, samples });
                }
                EndpointEvent::SpeechEnded(speech) => {
                    self.send(EngineEvent::SpeechEnded { end_ms: samples_to_ms(speech.end) }).await?;
                    self.queue.push_back(Item::Segment { number: self.segments_closed, speech });
                    self.segments_closed += 1;
                }
            }
        }
        Ok(())
    }

    /// Starts the next decode, and tells what has nothing left before it: finals, answers to flushes, the end.
    async fn start_next(&mut self) -> Result<(), Over> {
        if !self.queue.is_empty() && self.running.as_ref().is_some_and(|run| run.interim) {
            // A final never waits for a partial of its own stream.
            self.running = None;
        }
        while self.running.is_none() {
            match self.queue.pop_front() {
                Some(Item::Window { span, samples }) => {
                    let decode = self.decoder.decode(self.request(&span, samples, false), Arc::clone(&self.tick));
                    self.running = Some(Running { decode, span, interim: false, started: Instant::now() });
                }
                Some(Item::Segment { number, speech }) => {
                    let assembly = std::mem::take(&mut self.assembly);
                    let heard = assembly.result(number, &speech, self.options.words);
                    self.send(EngineEvent::Final(Box::new(heard))).await?;
                    self.tell_progress();
                }
                Some(Item::Flush { token, at }) => {
                    self.tell_progress_until(at);
                    self.send(EngineEvent::Flushed { token }).await?;
                }
                Some(Item::Finish) => {
                    let audio_processed_ms = samples_to_ms(self.endpointer.position());
                    self.send(EngineEvent::Drained { audio_processed_ms }).await?;
                    return Err(Over);
                }
                None => {
                    self.start_interim();
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn start_interim(&mut self) {
        let Some(span) = self.endpointer.open_window() else { return };
        if !self.options.interim_results {
            return;
        }
        let decoded_until = self.interim.decoded_until.max(span.audio.start);
        let too_soon = self.interim.not_before.is_some_and(|instant| Instant::now() < instant);
        if too_soon || span.audio.end - decoded_until < INTERIM_STEP_SAMPLES {
            return;
        }
        let request = self.request(&span, self.audio.copy(span.audio.clone()), true);
        if let Some(decode) = self.decoder.decode_if_idle(request, Arc::clone(&self.tick)) {
            self.interim.decoded_until = span.audio.end;
            self.running = Some(Running { decode, span, interim: true, started: Instant::now() });
        }
    }

    fn request(&self, span: &WindowSpan, samples: Vec<i16>, interim: bool) -> DecodeRequest {
        let speech_start = (span.speech.start - span.audio.start) as usize;
        DecodeRequest { samples, speech_start, language: self.options.language.clone(), interim }
    }

    async fn decoded(&mut self, decoded: Result<Decoded, EngineError>) -> Result<(), Over> {
        let Some(run) = self.running.take() else { return Ok(()) };
        let decoded = match decoded {
            Ok(decoded) => decoded,
            Err(error) => {
                self.send(EngineEvent::Failed { message: error.to_string() }).await?;
                return Err(Over);
            }
        };
        if run.interim {
            self.interim.not_before = Some(Instant::now() + run.started.elapsed() * (INTERIM_DUTY - 1));
            let mut so_far = self.assembly.clone();
            so_far.add(decoded, run.span.audio.start, &run.span.speech);
            self.tell_partial(so_far, run.span.speech.end);
            return Ok(());
        }
        self.assembly.add(decoded, run.span.audio.start, &run.span.speech);
        self.account.0.window_samples.fetch_sub(run.span.audio.end - run.span.audio.start, Ordering::AcqRel);
        self.account.0.fell.notify_waiters();
        if self.queue.is_empty() && self.options.interim_results {
            self.tell_partial(self.assembly.clone(), run.span.speech.end);
        }
        // Where the final is due it comes first.
        if !matches!(self.queue.front(), Some(Item::Segment { .. })) {
            self.tell_progress();
        }
        Ok(())
    }

    /// Tells what the open segment sounds like. Nothing that was cut waits to be decoded.
    fn tell_partial(&mut self, so_far: Assembly, until: u64) {
        let Some(start) = self.endpointer.open_segment() else { return };
        let heard = so_far.result(self.segments_closed, &(start..until), self.options.words);
        if self.interim.segment != heard.segment {
            self.interim.segment = heard.segment;
            self.interim.text.clear();
        }
        if !heard.text.is_empty() && heard.text != self.interim.text {
            self.interim.text.clone_from(&heard.text);
            // A partial that finds no room is not owed.
            let _ = self.events.try_send(EngineEvent::Partial(Box::new(heard)));
        }
    }

    /// All audio before this is decoded or holds no speech.
    fn settled_until(&self) -> u64 {
        let running = self.running.iter().filter(|run| !run.interim).map(|run| run.span.speech.start);
        let queued = self.queue.iter().filter_map(|item| match item {
            Item::Window { span, .. } => Some(span.speech.start),
            Item::Segment { .. } | Item::Flush { .. } | Item::Finish => None,
        });
        running.chain(queued).next().unwrap_or_else(|| self.endpointer.settled_until())
    }

    fn tell_progress(&mut self) {
        let until = self.settled_until();
        if samples_to_ms(until) >= self.told_ms + PROGRESS_STEP_MS {
            self.tell_progress_until(until);
        }
    }

    fn tell_progress_until(&mut self, until: u64) {
        let audio_processed_ms = samples_to_ms(until).max(self.told_ms);
        // Progress that finds no room tells nothing that the events before it in the channel do not.
        if self.events.try_send(EngineEvent::Progress { audio_processed_ms }).is_ok() {
            self.told_ms = audio_processed_ms;
            self.told_at = Instant::now();
        }
    }

    /// The decoder did a piece of work for this stream, or one that this stream waits behind.
    fn tell_tick(&mut self) {
        if self.told_at.elapsed() >= Duration::from_millis(PROGRESS_STEP_MS) {
            self.tell_progress_until(self.settled_until());
        }
    }

    async fn send(&mut self, event: EngineEvent) -> Result<(), Over> {
        self.events.send(event).await.map_err(|_| Over)
    }
}

async fn running(running: &mut Option<Running>) -> Result<Decoded, EngineError> {
    match running {
        Some(run) => run.decode.as_mut().await,
        None => pending().await,
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
