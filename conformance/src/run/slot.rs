//! Owns what a subject says that has no room for a session, and how long it is left alone until it is asked again where nothing else
//! runs.

use std::collections::BTreeSet;
use std::time::Duration;

use lastword_spec::trace::{Event, EventKind, Side};
use serde_json::Value;

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

/// Whether the subject said that it has no room for a session. What it says of a session that it has taken is for the judge.
pub(crate) fn is_overload<'a>(mut events: impl Iterator<Item = &'a Event>) -> bool {
    let mut taken = BTreeSet::new();
    events.any(|event| match &event.kind {
        EventKind::Refused { status, .. } => matches!(status, 503 | 429),
        EventKind::Close { from: Side::Server, code, .. } if !taken.contains(&event.conn) => {
            code.is_some_and(|code| code.0 == 1013)
        }
        EventKind::Text { from: Side::Server, text } if !taken.contains(&event.conn) => {
            if text.contains("\"ready\"") {
                taken.insert(event.conn);
            }
            is_overload_error(text)
        }
        _ => false,
    })
}

fn is_overload_error(text: &str) -> bool {
    let Ok(Value::Object(message)) = serde_json::from_str(text) else { return false };
    message.get("type").is_some_and(|kind| kind == "error")
        && message.get("code").is_some_and(|code| code == "overloaded" || code == "rate_limited")
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
