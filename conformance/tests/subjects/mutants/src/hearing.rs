//! Owns what the pretended recogniser hears: energy endpointing, and one made-up word for each quarter of a second of voice.
//! What it hears depends on the samples alone: not on frames, not on time, not on what follows.

use crate::config::Endpointing;

pub(crate) const RATE_HZ: usize = 16_000;
const BLOCK_SAMPLES: usize = RATE_HZ / 100;
const BLOCK_BYTES: usize = 2 * BLOCK_SAMPLES;
/// Mean amplitude from which a block counts as voice.
const VOICED: u32 = 150;
const BLOCKS_OF_A_WORD: usize = 25;
/// A rest of voice shorter than this gives no word.
const LEAST_BLOCKS: usize = 5;
const WORDS: [&str; 16] = [
    "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "jolly", "kayak", "lemon",
    "maple", "north", "ocean", "pearl",
];

/// One word, with its place in the stream in milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) text: &'static str,
    pub(crate) start_ms: u64,
    pub(crate) end_ms: u64,
}

/// What is taken for the speech of a segment.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) segment_id: u64,
    pub(crate) revision: u64,
    pub(crate) words: Vec<Word>,
    pub(crate) start_ms: u64,
    pub(crate) end_ms: u64,
    pub(crate) confidence: f64,
}

/// What listening brings.
#[derive(Clone, Debug)]
pub(crate) enum Sound {
    Started { start_ms: u64 },
    Partial(Heard),
    Ended { end_ms: u64 },
    Final(Heard),
}

struct Segment {
    /// Given out with the first word: noise that becomes no word is no segment.
    id: Option<u64>,
    revision: u64,
    start: usize,
    /// Where voice was last heard.
    end: usize,
    /// Voiced blocks that are no word yet, and what they sum up to.
    blocks: usize,
    loudness: u64,
    crossings: usize,
    word_from: usize,
    words: Vec<Word>,
}

/// The listener of one stream.
pub(crate) struct Hearing {
    endpointing: Endpointing,
    rest: Vec<u8>,
    heard_samples: usize,
    next_id: u64,
    segment: Option<Segment>,
}

impl Hearing {
    pub(crate) fn new(endpointing: Endpointing) -> Self {
        Self { endpointing, rest: Vec::new(), heard_samples: 0, next_id: 0, segment: None }
    }

    pub(crate) fn set_endpointing(&mut self, endpointing: Endpointing) {
        self.endpointing = endpointing;
    }

    pub(crate) fn heard_samples(&self) -> usize {
        self.heard_samples + self.rest.len() / 2
    }

    pub(crate) fn listen(&mut self, pcm: &[u8], sounds: &mut Vec<Sound>) {
        self.rest.extend_from_slice(pcm);
        let rest = std::mem::take(&mut self.rest);
        let mut blocks = rest.chunks_exact(BLOCK_BYTES);
        for block in &mut blocks {
            self.block(block, sounds);
        }
        self.rest.extend_from_slice(blocks.remainder());
    }

    /// A flush or the end: what is left is heard as if silence followed it.
    pub(crate) fn close(&mut self, sounds: &mut Vec<Sound>) {
        let rest = std::mem::take(&mut self.rest);
        if !rest.is_empty() {
            self.block(&rest, sounds);
        }
        self.close_segment(sounds);
    }

    /// Takes the number of the next segment.
    pub(crate) fn next_segment_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// The words of the open segment.
    pub(crate) fn open_words(&self) -> Vec<&'static str> {
        self.segment.iter().flat_map(|segment| segment.words.iter().map(|word| word.text)).collect()
    }

    /// Cuts off the last word.
    pub(crate) fn clip(&mut self) {
        if let Some(segment) = &mut self.segment {
            segment.blocks = 0;
            if segment.words.len() > 1 {
                segment.words.pop();
            }
        }
    }

    /// Forgets the open segment.
    pub(crate) fn forget(&mut self) {
        self.segment = None;
    }

    fn block(&mut self, block: &[u8], sounds: &mut Vec<Sound>) {
        let start = self.heard_samples;
        self.heard_samples += block.len() / 2;
        let (mut sum, mut crossings, mut above) = (0_u32, 0, false);
        for pair in block.chunks_exact(2) {
            let sample = i16::from_le_bytes([pair[0], pair[1]]);
            sum += u32::from(sample.unsigned_abs());
            crossings += usize::from((sample > 0) != above);
            above = sample > 0;
        }
        let loudness = sum / BLOCK_SAMPLES as u32;
        if loudness >= VOICED {
            self.voice(start, loudness, crossings, sounds);
        }
        let Some(segment) = &self.segment else { return };
        let silent = self.endpointing.vad && self.heard_samples - segment.end >= samples(self.endpointing.silence_ms);
        let longest = samples(self.endpointing.max_segment_ms);
        if silent || self.heard_samples - segment.start + BLOCK_SAMPLES > longest {
            self.close_segment(sounds);
        }
    }

    fn voice(&mut self, start: usize, loudness: u32, crossings: usize, sounds: &mut Vec<Sound>) {
        let end = self.heard_samples;
        let segment = self.segment.get_or_insert_with(|| Segment {
            id: None,
            revision: 0,
            start,
            end,
            blocks: 0,
            loudness: 0,
            crossings: 0,
            word_from: start,
            words: Vec::new(),
        });
        if segment.blocks == 0 {
            segment.word_from = start;
        }
        segment.end = end;
        segment.blocks += 1;
        segment.loudness += u64::from(loudness);
        segment.crossings += crossings;
        if segment.blocks == BLOCKS_OF_A_WORD {
            segment.take_word(&mut self.next_id, sounds);
            segment.revision += 1;
            sounds.push(Sound::Partial(segment.heard()));
        }
    }

    fn close_segment(&mut self, sounds: &mut Vec<Sound>) {
        let Some(mut segment) = self.segment.take() else { return };
        if segment.blocks >= LEAST_BLOCKS {
            segment.take_word(&mut self.next_id, sounds);
        }
        if segment.id.is_some() {
            sounds.push(Sound::Ended { end_ms: ms(segment.end) });
            sounds.push(Sound::Final(segment.heard()));
        }
    }
}

impl Segment {
    fn take_word(&mut self, next_id: &mut u64, sounds: &mut Vec<Sound>) {
        if self.id.is_none() {
            self.id = Some(*next_id);
            *next_id += 1;
            sounds.push(Sound::Started { start_ms: ms(self.start) });
        }
        let loudness = (self.loudness / self.blocks as u64).ilog2() as usize;
        let pitch = self.crossings / self.blocks;
        let text = WORDS[(5 * pitch + loudness) % WORDS.len()];
        self.words.push(Word { text, start_ms: ms(self.word_from), end_ms: ms(self.end) });
        (self.blocks, self.loudness, self.crossings) = (0, 0, 0);
    }

    fn heard(&self) -> Heard {
        let voiced = self.words.len() * BLOCKS_OF_A_WORD;
        let all = (self.end - self.start).div_ceil(BLOCK_SAMPLES).max(1);
        Heard {
            segment_id: self.id.unwrap_or(0),
            revision: self.revision,
            words: self.words.clone(),
            start_ms: ms(self.start),
            end_ms: ms(self.end),
            confidence: (voiced.min(all) as f64) / (all as f64),
        }
    }
}

/// Whole milliseconds of so many samples.
pub(crate) fn ms(samples: usize) -> u64 {
    (samples as u64) * 1_000 / RATE_HZ as u64
}

fn samples(ms: u64) -> usize {
    usize::try_from(ms).unwrap_or(usize::MAX).saturating_mul(RATE_HZ / 1_000)
}
