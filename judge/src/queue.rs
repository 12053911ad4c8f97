//! Debts in the order in which they arose, found by their key: an answer may come out of order, or for nothing at all, and must
//! cost no search through everything that is open. Knows nothing of what the debts are.

use std::collections::{BTreeMap, VecDeque};

/// A queue with an index. Several entries may have the same key: the oldest is found first.
#[derive(Debug)]
pub(crate) struct Queue<K, V> {
    entries: BTreeMap<u64, (K, V)>,
    by_key: BTreeMap<K, VecDeque<u64>>,
    next: u64,
}

impl<K, V> Default for Queue<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), by_key: BTreeMap::new(), next: 0 }
    }
}

impl<K: Ord + Clone, V> Queue<K, V> {
    pub(crate) fn push(&mut self, key: K, value: V) {
        self.by_key.entry(key.clone()).or_default().push_back(self.next);
        self.entries.insert(self.next, (key, value));
        self.next += 1;
    }

    /// Takes the oldest entry of this key; with it the oldest entry that was ahead of it, if any was.
    pub(crate) fn take(&mut self, key: &K) -> Option<(V, Option<&V>)> {
        let numbers = self.by_key.get_mut(key)?;
        let number = numbers.pop_front()?;
        if numbers.is_empty() {
            self.by_key.remove(key);
        }
        let (_, value) = self.entries.remove(&number)?;
        let ahead = self.entries.first_key_value().filter(|(first, _)| **first < number).map(|(_, (_, value))| value);
        Some((value, ahead))
    }

    /// Takes the oldest entry of all.
    pub(crate) fn take_front(&mut self) -> Option<V> {
        let key = self.entries.first_key_value().map(|(_, (key, _))| key.clone())?;
        self.take(&key).map(|(value, _)| value)
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.by_key.contains_key(key)
    }

    pub(crate) fn front(&self) -> Option<&V> {
        self.entries.first_key_value().map(|(_, (_, value))| value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.values().map(|(key, value)| (key, value))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.by_key.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;

    #[test]
    fn the_oldest_of_a_key_comes_first_and_what_it_overtook_is_told() {
        let mut queue = Queue::default();
        for (key, value) in [("a", 1), ("b", 2), ("a", 3)] {
            queue.push(key, value);
        }
        assert_eq!(queue.take(&"b"), Some((2, Some(&1))));
        assert_eq!(queue.take(&"a"), Some((1, None)));
        assert_eq!(queue.front(), Some(&3));
        assert_eq!(queue.take(&"b"), None);
        assert!(queue.contains(&"a"));
        assert_eq!(queue.take_front(), Some(3));
        assert_eq!(queue.take_front(), None);
    }
}
