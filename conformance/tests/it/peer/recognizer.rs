//! A pretended engine: it works off audio at a fixed speed and hears one word in each fifth of a second that is loud.

/// What has been fed and worked off, in bytes of mono s16le.
#[derive(Default)]
pub(super) struct Recognizer {
    rate_hz: usize,
    loud: Vec<bool>,
    /// Loud samples of the segment so far.
    loud_samples: usize,
    processed_bytes: usize,
    /// Where the segment that is being worked on begins.
    segment_from: usize,
    pub(super) finals: u64,
    revision: u64,
    told_words: usize,
}

/// What a stretch of work brought.
pub(super) struct Heard {
    pub(super) segment_id: u64,
    pub(super) revision: u64,
    pub(super) text: String,
    pub(super) start_ms: u64,
    pub(super) end_ms: u64,
}

/// So long is a word.
const WORDS_IN_A_SECOND: usize = 5;

impl Recognizer {
    /// An engine for audio of this rate.
    pub(super) fn new(rate_hz: u32) -> Self {
        Self { rate_hz: usize::try_from(rate_hz).expect("a rate"), ..Self::default() }
    }

    pub(super) fn feed(&mut self, pcm: &[u8]) {
        self.loud.extend(pcm.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]).unsigned_abs() > 150));
    }

    pub(super) fn received_bytes(&self) -> usize {
        self.loud.len() * 2
    }

    pub(super) fn received_ms(&self) -> u64 {
        self.ms(self.received_bytes())
    }

    pub(super) fn processed_ms(&self) -> u64 {
        self.ms(self.processed_bytes)
    }

    pub(super) fn backlog_ms(&self) -> u64 {
        self.ms(self.received_bytes() - self.processed_bytes)
    }

    /// Works off so many milliseconds of audio, not beyond `upto_bytes`. Hands out a partial when there is a new word.
    pub(super) fn work(&mut self, audio_ms: u64, upto_bytes: usize) -> Option<Heard> {
        let bytes = usize::try_from(audio_ms).unwrap_or(usize::MAX).saturating_mul(self.rate_hz / 1_000 * 2);
        let limit = upto_bytes.min(self.received_bytes());
        let from = self.processed_bytes;
        self.processed_bytes = from.saturating_add(bytes).min(limit).max(from);
        self.loud_samples += self.loud[from / 2..self.processed_bytes / 2].iter().filter(|loud| **loud).count();
        let words = self.words();
        if words <= self.told_words {
            return None;
        }
        self.told_words = words;
        self.revision += 1;
        Some(self.heard(words))
    }

    pub(super) fn is_done(&self, upto_bytes: usize) -> bool {
        self.processed_bytes >= upto_bytes
    }

    /// Closes the segment at the point that has been worked off; nothing where nothing was said.
    pub(super) fn close(&mut self) -> Option<Heard> {
        let words = self.words();
        let heard = (words > 0).then(|| self.heard(words));
        self.segment_from = self.processed_bytes;
        self.loud_samples = 0;
        self.told_words = 0;
        self.revision = 0;
        self.finals += u64::from(heard.is_some());
        heard
    }

    fn words(&self) -> usize {
        self.loud_samples.div_ceil(self.rate_hz / WORDS_IN_A_SECOND)
    }

    fn heard(&self, words: usize) -> Heard {
        let segment = self.finals;
        let names: Vec<String> = (1..=words).map(|number| format!("s{segment}w{number}")).collect();
        Heard {
            segment_id: self.finals,
            revision: self.revision,
            text: names.join(" "),
            start_ms: self.ms(self.segment_from),
            end_ms: self.ms(self.processed_bytes),
        }
    }

    fn ms(&self, bytes: usize) -> u64 {
        (bytes as u64 / 2) * 1_000 / self.rate_hz as u64
    }
}
