//! When something is due next, for many keys: the heap that takes the place of a scan over all DAGs.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use windrose_core::time::Timestamp;

/// One due time per key, earliest first. Each call costs the logarithm of the number of keys.
#[derive(Debug, Clone)]
pub struct DueTimes<K> {
    by_time: BTreeSet<(Timestamp, K)>,
    of_key: HashMap<K, Timestamp>,
}

impl<K> Default for DueTimes<K> {
    fn default() -> Self {
        Self { by_time: BTreeSet::new(), of_key: HashMap::new() }
    }
}

impl<K: Clone + Ord + Hash> DueTimes<K> {
    /// Sets when this key is due, in place of what was set before.
    pub fn set(&mut self, key: &K, at: Timestamp) {
        self.remove(key);
        self.of_key.insert(key.clone(), at);
        self.by_time.insert((at, key.clone()));
    }

    /// This key is not due at any time.
    pub fn remove(&mut self, key: &K) {
        if let Some((key, at)) = self.of_key.remove_entry(key) {
            self.by_time.remove(&(at, key));
        }
    }

    /// When the first key is due.
    #[must_use]
    pub fn first(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the key that has been due for longest; none, if none is due yet.
    pub fn pop(&mut self, now: Timestamp) -> Option<K> {
        self.first().filter(|at| *at <= now)?;
        let (_, key) = self.by_time.pop_first()?;
        self.of_key.remove(&key);
        Some(key)
    }
}
