//! Owns what a run knows of its suspects: which debts are being looked into, which have been looked into, and with what result,
//! so that each kind of hang is waited for and probed once. Knows nothing of sockets or verdicts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lastword_judge::Obligation;
use lastword_spec::registry::RequirementId;
use lastword_spec::table::State;
use tokio::sync::{Notify, watch};

/// A kind of debt: where the session stands, what is owed there, and by which clause.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    state: State,
    what: String,
    clause: RequirementId,
}

/// What release probes are held for; the answer to a single message is not among it, for a session goes on without it.
const PROBED: &[&str] = &["session_ended", "ready", "flushed", "Close"];

impl Key {
    pub(super) fn of(debt: &Obligation) -> Self {
        let what = debt.what.split(' ').next().unwrap_or_default().to_owned();
        Self { state: debt.state, what, clause: debt.requirement }
    }

    /// Whether release probes can say anything about it.
    pub(super) fn is_probed(&self) -> bool {
        PROBED.contains(&self.what.as_str())
    }
}

/// How far one kind of debt has been looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Somebody waits for the whole bound, and holds the probes.
    LookedInto,
    /// The bound passed: what comes later need not wait as long.
    NeverCame,
    /// It came in the end.
    Came,
}

/// The suspects of a run.
pub(super) struct Suspects {
    known: Mutex<BTreeMap<Key, Known>>,
    /// The kinds that were looked into because what was owed came after a conspicuous silence.
    masked: Mutex<BTreeSet<(Key, bool)>>,
    /// The kinds that a case looked into which is about them.
    aimed: Mutex<BTreeSet<Key>>,
    changed: watch::Sender<u64>,
    /// How many waits for `ready` were cut short by a flood.
    floods: AtomicUsize,
}

/// So many floods before `ready` show that the next session will be flooded too.
const FLOODS: usize = 3;

impl Default for Suspects {
    fn default() -> Self {
        let (known, masked, aimed) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { known, masked, aimed, changed: watch::Sender::new(0), floods: AtomicUsize::new(0) }
    }
}

impl Suspects {
    /// Whether whoever asks is the first to suspect this: then the probes are held by him. A case that is about it looks for itself,
    /// once.
    pub(super) fn claim(&self, key: &Key, aimed: bool) -> bool {
        let mut known = self.lock();
        if known.contains_key(key) {
            return aimed
                && key.what == "session_ended"
                && self.aimed.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        }
        known.insert(key.clone(), Known::LookedInto);
        if aimed {
            self.aimed.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        }
        true
    }

    /// The whole bound passed in vain.
    pub(super) fn never_came(&self, key: Key) {
        self.lock().insert(key, Known::NeverCame);
        self.changed.send_modify(|count| *count += 1);
    }

    /// What was claimed came in the end.
    pub(super) fn came(&self, key: Key) {
        self.lock().insert(key, Known::Came);
    }

    /// Whether somebody has waited for this for the whole bound in vain.
    pub(super) fn is_known(&self, key: &Key) -> bool {
        self.lock().get(key) == Some(&Known::NeverCame)
    }

    /// Whether somebody has waited for `ready` for the whole bound in vain.
    pub(super) fn never_becomes_ready(&self) -> bool {
        let known = self.lock();
        known.iter().any(|(key, known)| key.state == State::Configuring && *known == Known::NeverCame)
    }

    /// Whether whoever asks is the first to ask whether a timer hides this, or the first whose case is about it.
    pub(super) fn claim_mask(&self, key: &Key, aimed: bool) -> bool {
        self.masked.lock().unwrap_or_else(PoisonError::into_inner).insert((key.clone(), aimed))
    }

    /// A wait for `ready` was cut short by a flood.
    pub(super) fn flooded(&self) {
        self.floods.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether sessions are flooded before `ready`, as several have shown: to read a further one takes time and no care.
    pub(super) fn flood(&self) -> bool {
        self.floods.load(Ordering::Acquire) >= FLOODS
    }

    /// Forgets all: the next of each kind is looked into anew.
    pub(super) fn forget(&self) {
        self.lock().clear();
        self.masked.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.aimed.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Something to wait on: it changes when one more kind is known.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many cases do nothing but wait for a suspect: others may run in their place meanwhile.
#[derive(Default)]
pub(super) struct Parking {
    parked: AtomicUsize,
    changed: Notify,
}

/// A case that is parked, until this is dropped.
pub(super) struct Parked<'a>(&'a Parking);

impl Parking {
    pub(super) fn park(&self) -> Parked<'_> {
        self.parked.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_one();
        Parked(self)
    }

    pub(super) fn count(&self) -> usize {
        self.parked.load(Ordering::Acquire)
    }

    /// Ends when one more case has been parked since the last time.
    pub(super) async fn grown(&self) {
        self.changed.notified().await;
    }
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.0.parked.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use lastword_spec::requirements::{AUD_S2, END_S2, END_S6, STA_S1};
    use lastword_spec::table::Side;

    use super::*;

    fn debt(what: &str, requirement: RequirementId) -> Obligation {
        Obligation {
            debtor: Side::Server,
            what: what.to_owned(),
            state: State::Draining,
            since_us: 0,
            due_us: 1,
            requirement,
            conn: 0,
            event: 0,
        }
    }

    #[test]
    fn one_looks_into_a_kind_of_debt_and_the_others_learn_of_it() {
        let suspects = Suspects::default();
        let key = Key::of(&debt("session_ended", END_S2));
        assert!(suspects.claim(&key, false));
        assert!(!suspects.claim(&key, false));
        assert!(suspects.claim(&key, true), "a case that is about it looks for itself");
        assert!(!suspects.claim(&key, true), "and once");
        assert!(suspects.claim(&Key::of(&debt("session_ended", END_S6)), false), "another clause is another kind");
        assert!(!suspects.is_known(&key));
        suspects.never_came(key.clone());
        assert!(suspects.is_known(&key));
        assert!(key.is_probed());
    }

    #[test]
    fn answers_to_single_messages_are_told_apart_by_their_clause_and_not_probed() {
        let one = Key::of(&debt("error `invalid_audio`", AUD_S2));
        let other = Key::of(&debt("error `invalid_state`", STA_S1));
        assert_ne!(one, other);
        assert!(!one.is_probed());
    }

    #[test]
    fn who_is_parked_counts_until_he_goes_on() {
        let parking = Parking::default();
        let first = parking.park();
        let second = parking.park();
        assert_eq!(parking.count(), 2);
        drop(first);
        drop(second);
        assert_eq!(parking.count(), 0);
    }
}
