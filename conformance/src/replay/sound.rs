//! Owns what is sent where a trace only tells the length of a binary message: a trace holds no samples. The clip that the
//! connection was opened for is spoken on from frame to frame, the built-in sentence where none is named; a frame that began with
//! zeros is silence, and every frame begins with the bytes that the trace has kept of it.

use std::sync::Arc;

use crate::speech::Speech;

/// The speech of one connection.
pub(super) struct Sound {
    pcm: Arc<[u8]>,
    position: usize,
}

impl Sound {
    /// The clip of this name.
    pub(super) fn new(speech: &Speech, name: Option<&str>) -> Self {
        Self { pcm: Arc::clone(&speech.clip(name.unwrap_or("sentence")).pcm), position: 0 }
    }

    /// The next frame, of this length and beginning.
    pub(super) fn frame(&mut self, bytes: u64, head: &[u8]) -> Vec<u8> {
        let length = usize::try_from(bytes).unwrap_or(usize::MAX).min(MAX_FRAME_BYTES);
        let is_silent = !head.is_empty() && head.iter().all(|byte| *byte == 0);
        let mut frame: Vec<u8> = if is_silent {
            vec![0; length]
        } else {
            (0..length).map(|offset| self.pcm[(self.position + offset) % self.pcm.len()]).collect()
        };
        // Whole samples only, or what follows would be noise.
        self.position = (self.position + (length & !1)) % self.pcm.len();
        let kept = head.len().min(frame.len());
        frame[..kept].copy_from_slice(&head[..kept]);
        frame
    }
}

/// No server takes more in one message, and no trace of ours says so.
const MAX_FRAME_BYTES: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_length_and_the_beginning_of_the_trace_and_go_on_where_the_last_ended() {
        let speech = Speech::built_in();
        let clip = Arc::clone(&speech.clip("word").pcm);
        let mut sound = Sound::new(&speech, Some("word"));
        assert_eq!(sound.frame(640, &clip[..4]), clip[..640]);
        assert_eq!(sound.frame(320, &[]), clip[640..960]);
        assert_eq!(sound.frame(6, &[0, 0, 0, 0]), [0; 6]);
        assert_eq!(&sound.frame(333, b"RIFF")[..4], b"RIFF");
        assert_eq!(sound.frame(3, &[9]).len(), 3);
        assert!(sound.frame(0, &[]).is_empty());
        let total = sound.frame(clip.len() as u64 * 2, &[]);
        assert_eq!(total.len(), clip.len() * 2);
    }
}
