//! Owns the pretended recogniser as a worker: a queue of audio, flushes and the end, worked off in steps that take time. It
//! answers "what is done by now" and "when is the next step done", and knows nothing of messages or connections.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Bytes;

use crate::config::Endpointing;
use crate::hearing::{Hearing, RATE_HZ, Sound, ms};
use crate::options::Engine as Costs;

/// Audio is worked off in steps of so many bytes at most: 200 ms.
const STEP_BYTES: usize = RATE_HZ * 2 / 5;

enum Job {
    Audio(Bytes),
    Flush(String),
    /// Faults of what comes next: it cuts off the last word, or forgets what is open.
    Clip,
    Forget,
    Update(Endpointing),
    End,
}

/// What the worker has done.
pub(crate) enum Done {
    Sound(Sound),
    Flushed(String),
    Ended,
}

enum Step {
    Scan(Vec<Bytes>),
    Tell(Done),
}

pub(crate) struct Engine {
    costs: Costs,
    hearing: Hearing,
    jobs: VecDeque<Job>,
    /// Heard, and still to be decoded: each with what that takes.
    undecoded: VecDeque<(Duration, Done)>,
    current: Option<(Instant, Step)>,
    /// When the last step was done.
    free_at: Instant,
    waiting_bytes: usize,
    scanned_samples: usize,
    /// A worker that died takes no further step.
    dead: bool,
}

impl Engine {
    pub(crate) fn new(costs: Costs, endpointing: Endpointing, now: Instant) -> Self {
        Self {
            costs,
            hearing: Hearing::new(endpointing),
            jobs: VecDeque::new(),
            undecoded: VecDeque::new(),
            current: None,
            free_at: now,
            waiting_bytes: 0,
            scanned_samples: 0,
            dead: false,
        }
    }

    pub(crate) fn feed(&mut self, pcm: Bytes) {
        self.waiting_bytes += pcm.len();
        self.jobs.push_back(Job::Audio(pcm));
    }

    pub(crate) fn flush(&mut self, id: String) {
        self.jobs.push_back(Job::Flush(id));
    }

    pub(crate) fn update(&mut self, endpointing: Endpointing) {
        self.jobs.push_back(Job::Update(endpointing));
    }

    pub(crate) fn end(&mut self) {
        self.jobs.push_back(Job::End);
    }

    pub(crate) fn backlog_ms(&self) -> u64 {
        ms(self.waiting_bytes / 2)
    }

    pub(crate) fn processed_ms(&self) -> u64 {
        ms(self.scanned_samples)
    }

    pub(crate) fn die(&mut self) {
        self.dead = true;
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead
    }

    /// A fault: the last word is cut off instead of being waited for.
    pub(crate) fn clip(&mut self) {
        self.jobs.push_back(Job::Clip);
    }

    /// A fault: what is heard in the segment that is open is forgotten.
    pub(crate) fn forget(&mut self) {
        self.jobs.push_back(Job::Forget);
    }

    /// What is heard in the segment that is open.
    pub(crate) fn open_words(&self) -> Vec<&'static str> {
        self.hearing.open_words()
    }

    /// A fault: takes the number of a segment that there never was.
    pub(crate) fn next_segment_id(&mut self) -> u64 {
        self.hearing.next_segment_id()
    }

    /// When the step in hand is done.
    pub(crate) fn next_done(&self) -> Option<Instant> {
        self.current.as_ref().map(|(at, _)| *at).filter(|_| !self.dead)
    }

    /// Takes every step that is done by `now`.
    pub(crate) fn work(&mut self, now: Instant, done: &mut Vec<Done>) {
        if self.current.is_none() {
            self.free_at = now;
        }
        while !self.dead {
            if self.current.is_none() {
                self.current = self.next_step();
            }
            match self.current.take() {
                Some((at, step)) if at <= now => {
                    self.free_at = at;
                    self.finish(step, done);
                }
                not_yet => {
                    self.current = not_yet;
                    return;
                }
            }
        }
    }

    fn next_step(&mut self) -> Option<(Instant, Step)> {
        if let Some((cost, told)) = self.undecoded.pop_front() {
            return Some((self.free_at + cost, Step::Tell(told)));
        }
        match self.jobs.pop_front()? {
            Job::Audio(pcm) => {
                let (bytes, parts) = self.gather(pcm);
                let cost = Duration::from_millis(self.costs.cost_ms_per_audio_s) * u32::try_from(bytes).unwrap_or(0);
                Some((self.free_at + cost / (2 * RATE_HZ as u32), Step::Scan(parts)))
            }
            Job::Flush(id) => {
                self.close();
                self.undecoded.push_back((Duration::ZERO, Done::Flushed(id)));
                self.next_step()
            }
            Job::Clip => {
                self.hearing.clip();
                self.next_step()
            }
            Job::Forget => {
                self.hearing.forget();
                self.next_step()
            }
            Job::Update(endpointing) => {
                self.hearing.set_endpointing(endpointing);
                self.next_step()
            }
            Job::End => {
                self.close();
                self.undecoded.push_back((Duration::from_millis(self.costs.hangover_ms), Done::Ended));
                self.next_step()
            }
        }
    }

    /// As much audio as makes a step, beginning with `first`.
    fn gather(&mut self, mut first: Bytes) -> (usize, Vec<Bytes>) {
        if first.len() > STEP_BYTES {
            let rest = first.split_off(STEP_BYTES);
            self.jobs.push_front(Job::Audio(rest));
            return (STEP_BYTES, vec![first]);
        }
        let mut bytes = first.len();
        let mut parts = vec![first];
        while let Some(Job::Audio(next)) = self.jobs.front()
            && bytes + next.len() <= STEP_BYTES
        {
            bytes += next.len();
            parts
                .extend(self.jobs.pop_front().and_then(|job| if let Job::Audio(pcm) = job { Some(pcm) } else { None }));
        }
        (bytes, parts)
    }

    fn finish(&mut self, step: Step, done: &mut Vec<Done>) {
        match step {
            Step::Tell(told) => done.push(told),
            Step::Scan(parts) => {
                let mut sounds = Vec::new();
                for part in parts {
                    self.waiting_bytes -= part.len();
                    self.hearing.listen(&part, &mut sounds);
                }
                self.scanned_samples = self.hearing.heard_samples();
                self.decode(sounds);
            }
        }
    }

    fn close(&mut self) {
        let mut sounds = Vec::new();
        self.hearing.close(&mut sounds);
        self.decode(sounds);
    }

    fn decode(&mut self, sounds: Vec<Sound>) {
        for sound in sounds {
            let cost_ms = match &sound {
                Sound::Partial(_) => self.costs.window_ms,
                Sound::Final(heard) => {
                    let decode_ms = self.costs.decode_ms_per_audio_s * (heard.end_ms - heard.start_ms) / 1_000;
                    self.costs.window_ms + self.costs.cost_ms_per_segment + decode_ms
                }
                Sound::Started { .. } | Sound::Ended { .. } => 0,
            };
            self.undecoded.push_back((Duration::from_millis(cost_ms), Done::Sound(sound)));
        }
    }
}
