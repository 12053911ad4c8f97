//! Owns what the application has given and the transport has not: audio in order with flushes and the end. Cuts audio into frames
//! when the transport can take one. Knows nothing of states.

use std::collections::VecDeque;

use lastword_spec::message::AudioFormat;

/// One thing to send, in the order of the application's calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Item {
    Audio(VecDeque<u8>),
    Flush(String),
    End,
}

/// What goes out next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Next {
    Audio(Vec<u8>),
    Flush(String),
    End,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Queue {
    items: VecDeque<Item>,
    audio_bytes: usize,
    capacity_bytes: usize,
    group_bytes: usize,
    bytes_per_second: u64,
}

/// A frame is at least this long, unless a flush or the end follows it. Spec: AUD-C1, AUD-C2.
const MIN_FRAME_MS: u64 = 20;
/// A frame is at most this long.
const MAX_FRAME_MS: u64 = 100;

impl Queue {
    pub(super) fn new(format: &AudioFormat, capacity_ms: u64) -> Option<Self> {
        let group = format.bytes_per_sample_group().filter(|bytes| *bytes > 0)?;
        let bytes_per_second = group * u64::from(format.sample_rate_hz);
        Some(Self {
            items: VecDeque::new(),
            audio_bytes: 0,
            capacity_bytes: whole_groups(bytes_per_second, capacity_ms, group),
            group_bytes: usize::try_from(group).ok()?,
            bytes_per_second,
        })
    }

    pub(super) fn group_bytes(&self) -> usize {
        self.group_bytes
    }

    pub(super) fn bytes_to_ms(&self, bytes: u64) -> u64 {
        let ms = u128::from(bytes) * 1_000 / u128::from(self.bytes_per_second.max(1));
        u64::try_from(ms).unwrap_or(u64::MAX)
    }

    // [BP-C1]
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.audio_bytes.saturating_add(bytes) <= self.capacity_bytes
    }

    pub(super) fn push_audio(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.audio_bytes += bytes.len();
        match self.items.back_mut() {
            Some(Item::Audio(audio)) => audio.extend(bytes),
            Some(Item::Flush(_) | Item::End) | None => {
                self.items.push_back(Item::Audio(bytes.iter().copied().collect()))
            }
        }
    }

    // [FLU-C1]
    pub(super) fn push_flush(&mut self, id: String) {
        self.items.push_back(Item::Flush(id));
    }

    pub(super) fn push_end(&mut self) {
        self.items.push_back(Item::End);
    }

    /// The next thing, if there is one: audio that is less than a frame waits for more, or for a flush or the end behind it.
    /// Spec: AUD-C3.
    pub(super) fn next(&mut self, max_frame_bytes: u64) -> Option<Next> {
        let alone = self.items.len() == 1;
        let min_bytes = self.frame_bytes(MIN_FRAME_MS);
        let limit = usize::try_from(max_frame_bytes).unwrap_or(usize::MAX);
        // [LIM-C1] [AUD-1]
        let frame_bytes = self.frame_bytes(MAX_FRAME_MS).min(limit / self.group_bytes * self.group_bytes);
        match self.items.front_mut()? {
            Item::Audio(audio) if alone && audio.len() < min_bytes => None,
            Item::Audio(audio) => {
                let frame: Vec<u8> = audio.drain(..audio.len().min(frame_bytes.max(self.group_bytes))).collect();
                self.audio_bytes -= frame.len();
                if audio.is_empty() {
                    self.items.pop_front();
                }
                Some(Next::Audio(frame))
            }
            Item::Flush(_) | Item::End => match self.items.pop_front()? {
                Item::Flush(id) => Some(Next::Flush(id)),
                Item::End => Some(Next::End),
                Item::Audio(_) => None,
            },
        }
    }

    /// Throws everything away and tells which flushes were never sent.
    pub(super) fn clear(&mut self) -> Vec<String> {
        self.audio_bytes = 0;
        let flush = |item| match item {
            Item::Flush(id) => Some(id),
            Item::Audio(_) | Item::End => None,
        };
        std::mem::take(&mut self.items).into_iter().filter_map(flush).collect()
    }

    pub(super) fn holds_flush(&self, id: &str) -> bool {
        self.items.iter().any(|item| matches!(item, Item::Flush(other) if other == id))
    }

    pub(super) fn flushes(&self) -> usize {
        self.items.iter().filter(|item| matches!(item, Item::Flush(_))).count()
    }

    fn frame_bytes(&self, ms: u64) -> usize {
        whole_groups(self.bytes_per_second, ms, self.group_bytes as u64)
    }
}

/// The bytes of whole sample groups in `ms`, at least one group.
fn whole_groups(bytes_per_second: u64, ms: u64, group_bytes: u64) -> usize {
    let bytes = u128::from(bytes_per_second) * u128::from(ms) / 1_000;
    let groups = (bytes / u128::from(group_bytes)).max(1);
    usize::try_from(groups * u128::from(group_bytes)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> Queue {
        Queue::new(&AudioFormat::default(), 1_000).unwrap()
    }

    fn lengths(queue: &mut Queue) -> Vec<usize> {
        std::iter::from_fn(|| queue.next(64_000))
            .map(|next| match next {
                Next::Audio(bytes) => bytes.len(),
                Next::Flush(_) | Next::End => 0,
            })
            .collect()
    }

    #[test]
    fn audio_leaves_in_frames_and_the_rest_with_what_follows() {
        let mut queue = queue();
        queue.push_audio(&[0; 3_300]);
        assert_eq!(lengths(&mut queue), [3_200]);
        queue.push_flush("a".into());
        assert_eq!(lengths(&mut queue), [100, 0]);
        queue.push_audio(&[0; 638]);
        assert!(lengths(&mut queue).is_empty());
        queue.push_end();
        assert_eq!(lengths(&mut queue), [638, 0]);
    }

    #[test]
    fn frames_keep_to_the_limit_in_whole_groups() {
        let mut queue = queue();
        queue.push_audio(&[0; 3_200]);
        queue.push_end();
        assert!(matches!(queue.next(1_001), Some(Next::Audio(bytes)) if bytes.len() == 1_000));
    }

    #[test]
    fn room_is_counted_in_bytes_that_wait() {
        let mut queue = queue();
        queue.push_audio(&[0; 32_000]);
        assert!(!queue.has_room(2));
        assert!(matches!(queue.next(64_000), Some(Next::Audio(_))));
        assert!(queue.has_room(3_200) && !queue.has_room(3_202));
    }
}
