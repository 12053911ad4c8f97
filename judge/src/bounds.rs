//! How long is too long: the caller's options, and bounds turned into microseconds of the trace. Knows no state and no rule.

use lastword_spec::trace::Header;

/// What the caller tells the judge beside the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What every bound is multiplied with, in percent, on top of the trace's own `time_scale_percent`. More than 100 where the
    /// machine was measured to be slower than usual.
    pub time_scale_percent: u32,
    /// Credentials that no message of the server may repeat, and that tell a right token from a wrong one.
    pub secrets: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { time_scale_percent: 100, secrets: Vec::new() }
    }
}

/// The scale of time in one trace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    percent: u64,
}

/// Milliseconds within which two things count as one moment: what was sent so shortly before may not have been read.
const IN_FLIGHT_MS: u64 = 500;
/// How soon an answer follows the stimulus that released it.
const RELEASE_MS: u64 = 250;
/// How long a server surely takes at most to read a small message, while it proves that it runs.
const SURELY_READ_MS: u64 = 1_000;

impl Scale {
    /// A machine that is not busy.
    pub(crate) const UNHURRIED: Self = Self { percent: 100 };

    pub(crate) fn new(header: &Header, options: &Options) -> Self {
        let percent = header.time_scale_percent.saturating_mul(u64::from(options.time_scale_percent)) / 100;
        Self { percent: percent.clamp(1, 10_000) }
    }

    /// A bound of the protocol, scaled.
    pub(crate) fn us(self, ms: u64) -> u64 {
        (ms.saturating_mul(1_000) / 100).saturating_mul(self.percent)
    }

    /// A bound and the grace beyond it in which a late message is blamed on the path.
    pub(crate) fn patience_us(self, ms: u64) -> u64 {
        self.us(ms).saturating_add(self.us(ms / 10).max(self.us(IN_FLIGHT_MS)))
    }

    /// See [`IN_FLIGHT_MS`].
    pub(crate) fn in_flight_us(self) -> u64 {
        self.us(IN_FLIGHT_MS)
    }

    /// See [`RELEASE_MS`].
    pub(crate) fn release_us(self) -> u64 {
        RELEASE_MS * 1_000
    }

    /// See [`SURELY_READ_MS`].
    pub(crate) fn surely_read_us(self) -> u64 {
        self.us(SURELY_READ_MS)
    }
}

/// Milliseconds as microseconds, as they are.
pub(crate) const fn us(ms: u64) -> u64 {
    ms.saturating_mul(1_000)
}

/// A sum of what a trace says, which need not add up.
pub(crate) fn total(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

/// Microseconds as whole milliseconds.
pub(crate) const fn ms(us: u64) -> u64 {
    us / 1_000
}
