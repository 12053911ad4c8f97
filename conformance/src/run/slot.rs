//! Owns how long a subject that says that it has no room, although nothing else runs, is left alone until it is asked again.

use std::time::Duration;

/// A session that was let go of mostly frees its slot at once.
const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);
/// In all these are more than five seconds, which a server may need to see that a session is lost.
// [REC-S2]
const PAUSES: u32 = 10;

/// The pauses that are left.
#[derive(Debug, Default)]
pub(crate) struct SlotPauses {
    taken: u32,
}

impl SlotPauses {
    /// The next pause, each twice as long as the one before; `None` where the subject has had its time.
    fn next(&mut self) -> Option<Duration> {
        let pause = FIRST.saturating_mul(2_u32.saturating_pow(self.taken)).min(LONGEST);
        self.taken += 1;
        (self.taken <= PAUSES).then_some(pause)
    }

    /// Leaves the subject alone for a while; `false` at once where it has had its time.
    pub(crate) async fn pause(&mut self) -> bool {
        let Some(pause) = self.next() else { return false };
        tokio::time::sleep(pause).await;
        true
    }

    /// There was room: the next lack of it is another one.
    pub(crate) fn begin_anew(&mut self) {
        self.taken = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_asked_for_soon_and_for_more_than_the_five_seconds_of_rec_s2() {
        let mut pauses = SlotPauses::default();
        let all: Vec<Duration> = std::iter::from_fn(|| pauses.next()).collect();
        assert_eq!(all[0], Duration::from_millis(20));
        let total: Duration = all.iter().sum();
        assert!((5..7).contains(&total.as_secs()), "{total:?}");
        assert_eq!(pauses.next(), None);
        pauses.begin_anew();
        assert_eq!(pauses.next(), Some(Duration::from_millis(20)));
    }
}
