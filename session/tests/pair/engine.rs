//! A scripted engine for the pair: it works audio off at a fixed pace, tells each step, and hears one word a second. Its time is
//! virtual. It must not know sessions.

use core::time::Duration;
use std::collections::VecDeque;

/// What it reports.
#[derive(Clone, Debug)]
pub(crate) enum Report {
    Ready,
    Partial { segment: u64, text: String, start_ms: u64, end_ms: u64 },
    Final { segment: u64, text: String, start_ms: u64, end_ms: u64 },
    Progress { processed_ms: u64 },
    Flushed { token: u64 },
    Drained { processed_ms: u64 },
}

#[derive(Clone, Debug)]
enum Work {
    Start,
    Audio { ms: u64 },
    Flush { token: u64 },
    Finish,
}

/// How fast it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Until it is ready.
    pub(crate) start: Duration,
    /// For one millisecond of audio.
    pub(crate) per_ms: Duration,
    /// Between two steps that it tells of.
    pub(crate) step: Duration,
    /// Extra work for each flush and the end.
    pub(crate) settle: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self { start: ms(5), per_ms: Duration::from_micros(100), step: ms(500), settle: ms(1) }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Engine {
    pace: Pace,
    work: VecDeque<Work>,
    /// The work at hand: what is left of it, and when the next step of it ends.
    left: Duration,
    next_at: Option<Duration>,
    step: Duration,
    processed_ms: u64,
    segment: u64,
    segment_start_ms: u64,
    pub(crate) words: Vec<String>,
}

const SEGMENT_MS: u64 = 1_000;

impl Engine {
    pub(crate) fn new(pace: Pace) -> Self {
        Self {
            pace,
            work: VecDeque::new(),
            left: Duration::ZERO,
            next_at: None,
            step: Duration::ZERO,
            processed_ms: 0,
            segment: 0,
            segment_start_ms: 0,
            words: Vec::new(),
        }
    }

    pub(crate) fn start(&mut self, now: Duration) {
        self.push(now, Work::Start);
    }

    pub(crate) fn audio(&mut self, now: Duration, bytes: usize) {
        self.push(now, Work::Audio { ms: bytes as u64 / 32 });
    }

    pub(crate) fn flush(&mut self, now: Duration, token: u64) {
        self.push(now, Work::Flush { token });
    }

    pub(crate) fn finish(&mut self, now: Duration) {
        self.push(now, Work::Finish);
    }

    pub(crate) fn cancel(&mut self) {
        self.work.clear();
        self.next_at = None;
    }

    pub(crate) fn next_at(&self) -> Option<Duration> {
        self.next_at
    }

    /// What the step that ends now reports.
    pub(crate) fn step(&mut self, now: Duration) -> Vec<Report> {
        self.left -= self.step;
        let mut reports = Vec::new();
        if self.left > Duration::ZERO {
            reports.push(Report::Progress { processed_ms: self.processed_ms });
            self.begin_step(now);
            return reports;
        }
        match self.work.pop_front() {
            Some(Work::Start) => reports.push(Report::Ready),
            Some(Work::Audio { ms }) => {
                self.processed_ms += ms;
                self.hear(&mut reports);
                reports.push(Report::Progress { processed_ms: self.processed_ms });
            }
            Some(Work::Flush { token }) => {
                self.end_segment(&mut reports);
                reports.push(Report::Flushed { token });
            }
            Some(Work::Finish) => {
                self.end_segment(&mut reports);
                reports.push(Report::Drained { processed_ms: self.processed_ms });
            }
            None => {}
        }
        self.next_at = None;
        self.begin_work(now);
        reports
    }

    fn push(&mut self, now: Duration, work: Work) {
        self.work.push_back(work);
        if self.next_at.is_none() {
            self.begin_work(now);
        }
    }

    fn begin_work(&mut self, now: Duration) {
        self.left = match self.work.front() {
            Some(Work::Start) => self.pace.start,
            Some(Work::Audio { ms }) => self.pace.per_ms * u32::try_from(*ms).unwrap(),
            Some(Work::Flush { .. } | Work::Finish) => self.pace.settle,
            None => return,
        };
        self.begin_step(now);
    }

    fn begin_step(&mut self, now: Duration) {
        self.step = self.left.min(self.pace.step);
        self.next_at = Some(now + self.step);
    }

    fn hear(&mut self, reports: &mut Vec<Report>) {
        if self.processed_ms - self.segment_start_ms >= SEGMENT_MS {
            self.end_segment(reports);
        } else {
            reports.push(Report::Partial {
                segment: self.segment,
                text: format!("word {}", self.segment),
                start_ms: self.segment_start_ms,
                end_ms: self.processed_ms,
            });
        }
    }

    fn end_segment(&mut self, reports: &mut Vec<Report>) {
        if self.processed_ms == self.segment_start_ms {
            return;
        }
        let text = format!("word {}", self.segment);
        self.words.push(text.clone());
        reports.push(Report::Final {
            segment: self.segment,
            text,
            start_ms: self.segment_start_ms,
            end_ms: self.processed_ms,
        });
        self.segment += 1;
        self.segment_start_ms = self.processed_ms;
    }
}
