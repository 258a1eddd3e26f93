//! What a worker remembers of the crosswalk: bounded in entries and in bytes.
//!
//! Two generations: what is new or used goes into the young one. When that has half of what there may be, it becomes
//! the old one, and what was in the old one and not used since is forgotten. So what is used stays, at the price of
//! one more move for each generation, and nothing has to be kept in an order.
//!
//! An entry holds for one epoch. One of another epoch is not there, and is taken away when somebody comes by.

use std::collections::HashMap;

use tokio::time::Instant;

/// What is remembered of an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Its partner.
    Linked(Box<str>),
    /// That the upstream has one of that very id; when that was known.
    Upstreams(Instant),
    /// That there is nothing of it; when that was known.
    Missing(Instant),
}

/// The ids of all questions, and what is remembered of each.
pub(super) struct Cache {
    young: Generation,
    old: Generation,
    /// Of a generation.
    entries_max: usize,
    /// Of its ids' and partners' texts.
    bytes_max: usize,
}

#[derive(Default)]
struct Generation {
    /// By question. Ids are clients' texts: std's hasher has a key that nobody knows.
    ids: Vec<HashMap<Box<str>, Entry>>,
    entries: usize,
    bytes: usize,
}

struct Entry {
    epoch: u64,
    value: Value,
}

impl Entry {
    fn bytes(&self, id: &str) -> usize {
        let partner = match &self.value {
            Value::Linked(partner) => partner.len(),
            Value::Upstreams(_) | Value::Missing(_) => 0,
        };
        id.len() + partner
    }
}

impl Generation {
    fn new(ways: usize) -> Self {
        Self { ids: (0..ways).map(|_| HashMap::new()).collect(), ..Self::default() }
    }

    fn take(&mut self, way: usize, id: &str) -> Option<(Box<str>, Entry)> {
        let (id, entry) = self.ids[way].remove_entry(id)?;
        self.entries -= 1;
        self.bytes -= entry.bytes(&id);
        Some((id, entry))
    }
}

impl Cache {
    /// For so many questions, entries and bytes of text.
    pub(super) fn new(ways: usize, entries_max: usize, bytes_max: usize) -> Self {
        Self {
            young: Generation::new(ways),
            old: Generation::new(ways),
            entries_max: entries_max / 2,
            bytes_max: bytes_max / 2,
        }
    }

    /// What is remembered of an id.
    pub(super) fn get(&mut self, way: usize, id: &str, epoch: u64) -> Option<&Value> {
        if !self.young.ids[way].contains_key(id) {
            let (id, entry) = self.old.take(way, id)?;
            if entry.epoch == epoch {
                self.insert(way, id, entry);
            }
        }
        let entry = self.young.ids[way].get(id)?;
        (entry.epoch == epoch).then_some(&entry.value)
    }

    /// Remembers something of an id. In the epoch 0 nothing is.
    pub(super) fn put(&mut self, way: usize, id: &str, epoch: u64, value: Value) {
        let known = self.young.take(way, id).or_else(|| self.old.take(way, id));
        if epoch > 0 {
            let id = known.map_or_else(|| id.into(), |(id, _)| id);
            self.insert(way, id, Entry { epoch, value });
        }
    }

    /// Puts in what is in neither generation.
    fn insert(&mut self, way: usize, id: Box<str>, entry: Entry) {
        let bytes = entry.bytes(&id);
        let is_full =
            self.young.entries >= self.entries_max || self.young.bytes + bytes > self.bytes_max;
        if is_full {
            let ways = self.young.ids.len();
            self.old = std::mem::replace(&mut self.young, Generation::new(ways));
        }
        self.young.entries += 1;
        self.young.bytes += bytes;
        self.young.ids[way].insert(id, entry);
    }
}

#[cfg(test)]
mod tests;
