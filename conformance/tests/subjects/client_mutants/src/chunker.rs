//! Owns the frames that a client makes of what it is given, and what its chunker holds.

use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::conversation::Conversation;
use crate::fault::Fault;

const FRAME_BYTES: usize = 3_200;

impl Conversation<'_> {
    pub(crate) fn takes_audio(&mut self, pcm: &[u8]) {
        self.audio_since_flush = true;
        let limit = usize::try_from(self.limits.max_frame_bytes).unwrap_or(usize::MAX);
        let bytes = if self.has(Fault::HugeFrames) {
            38_400
        } else if self.has(Fault::FramesAboveLimit) {
            67_200
        } else if self.has(Fault::TinyFrames) {
            160
        } else if self.has(Fault::NeverEndsAndKeepsTail) {
            5_120
        } else {
            FRAME_BYTES.min(limit)
        };
        self.chunk.extend_from_slice(pcm);
        let is_whole = self.has(Fault::HugeFrames) || self.has(Fault::FramesAboveLimit) || self.keeps_tail();
        while self.chunk.len() >= bytes || (!is_whole && !self.chunk.is_empty()) {
            let rest = self.chunk.split_off(bytes.min(self.chunk.len()));
            let frame = std::mem::replace(&mut self.chunk, rest);
            self.frame(frame);
        }
    }

    fn frame(&mut self, mut frame: Vec<u8>) {
        if self.has(Fault::OddBytes) {
            frame.push(0);
        }
        self.sent_bytes += frame.len() as u64;
        self.unanswered_bytes += frame.len() as u64;
        self.spoke = Instant::now();
        self.outbox.push_back(Message::binary(frame));
    }

    pub(crate) fn empties_chunker(&mut self) {
        let rest = std::mem::take(&mut self.chunk);
        if !rest.is_empty() && !self.keeps_tail() {
            self.frame(rest);
        }
    }

    fn keeps_tail(&self) -> bool {
        self.has(Fault::TailKept) || self.has(Fault::NeverEndsAndKeepsTail)
    }
}
