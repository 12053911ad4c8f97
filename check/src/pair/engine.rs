//! The engine of the model: it works off what it was given in order, and what it hears in it is open. Owns its queue and the account of
//! what it said, which is what the client is owed. It must not know sessions.

use std::collections::VecDeque;

use lastword_session::EngineResult;

use super::client::MAX_FLUSHES;
use super::setup::{FRAME_BYTES, Setup};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Engine {
    pub(crate) stage: Stage,
    pub(crate) work: VecDeque<Work>,
    /// The segment that is spoken.
    segment: u8,
    /// It has a partial and no final yet.
    open: bool,
    partials_left: u8,
    finals_left: u8,
    /// Finals that were given, a bit each, and which had been given when a flush was answered.
    pub(crate) said: u8,
    pub(crate) said_before: [u8; MAX_FLUSHES],
    pub(crate) consumed_bytes: u32,
    /// What had been worked off at the last flush: what is said later is about later audio.
    flushed_bytes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    Off,
    Starting,
    Running,
    Over,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Work {
    Audio(u32),
    Flush(u64),
    Finish,
}

impl Engine {
    pub(crate) fn new(setup: &Setup) -> Self {
        Self {
            stage: Stage::Off,
            work: VecDeque::new(),
            segment: 0,
            open: false,
            partials_left: setup.partials,
            finals_left: setup.finals.min(7),
            said: 0,
            said_before: [0; MAX_FLUSHES],
            consumed_bytes: 0,
            flushed_bytes: 0,
        }
    }

    pub(crate) fn cancel(&mut self) {
        self.work.clear();
        self.stage = Stage::Over;
    }

    /// Takes the frame in front.
    pub(crate) fn hear(&mut self) -> Option<u32> {
        match self.work.front() {
            Some(Work::Audio(bytes)) => {
                let bytes = *bytes;
                self.work.pop_front();
                self.consumed_bytes += bytes;
                Some(bytes)
            }
            Some(Work::Flush(_) | Work::Finish) | None => None,
        }
    }

    pub(crate) fn can_say_partial(&self) -> bool {
        self.partials_left > 0 && self.has_heard()
    }

    pub(crate) fn partial(&mut self) -> EngineResult {
        self.partials_left -= 1;
        self.open = true;
        self.result()
    }

    pub(crate) fn can_say_final(&self) -> bool {
        self.finals_left > 0 && self.has_heard()
    }

    pub(crate) fn final_(&mut self) -> EngineResult {
        self.finals_left -= 1;
        let result = self.result();
        self.said |= 1 << self.segment;
        self.segment += 1;
        self.open = false;
        result
    }

    /// All audio before the flush is final. A segment that it leaves open, the session closes.
    pub(crate) fn flush(&mut self, token: u64) {
        self.work.pop_front();
        self.said_before[token as usize] = self.said;
        self.flushed_bytes = self.consumed_bytes;
        self.segment += u8::from(std::mem::take(&mut self.open));
    }

    fn has_heard(&self) -> bool {
        self.consumed_bytes > self.flushed_bytes
    }

    /// Audio that has been worked off, in milliseconds.
    pub(crate) fn processed_ms(&self) -> u64 {
        u64::from(self.consumed_bytes / 32)
    }

    /// What it says waits for it.
    pub(crate) fn backlog_ms(&self, setup: &Setup) -> u64 {
        let audio = |work: &Work| if let Work::Audio(bytes) = work { *bytes } else { 0 };
        let bytes: u32 = self.work.iter().map(audio).sum();
        u64::from(bytes.div_ceil(FRAME_BYTES)) * setup.backlog_ms_per_frame
    }

    fn result(&self) -> EngineResult {
        EngineResult {
            segment: u64::from(self.segment),
            text: format!("w{}", self.segment),
            start_ms: u64::from(self.flushed_bytes / 32),
            end_ms: self.processed_ms(),
            ..EngineResult::default()
        }
    }
}
