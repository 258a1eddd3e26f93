//! The names already seen in one object: refuses the second of two equal names.
//!
//! Objects nest, and while one is open all those inside it have been closed, so the names of all open
//! objects are one stack: an object remembers only where its own begin, and small objects allocate
//! nothing. An object that grows past [`LINEAR_MAX`] names moves them into a hash set, so that a body of
//! nothing but names is not quadratic.

use std::borrow::Cow;
use std::collections::HashSet;

use smallvec::SmallVec;

/// Objects with up to so many names are searched name by name.
const LINEAR_MAX: usize = 16;

/// The names of all objects that are open.
#[derive(Debug, Default)]
pub(super) struct NameStack<'a> {
    names: SmallVec<[Cow<'a, str>; 8]>,
    /// Those of the objects that have many, the innermost last. The standard hasher is keyed at random, so
    /// a client cannot prepare collisions.
    sets: Vec<HashSet<Cow<'a, str>>>,
}

/// One object's part of the stack.
#[derive(Debug)]
pub(super) struct Seen {
    start: usize,
    /// One bit per fingerprint seen: a clear bit proves that a name is new without comparing it.
    fingerprints: u64,
    /// Whether the names have moved into a set of their own.
    is_set: bool,
}

impl<'a> NameStack<'a> {
    /// Begins an object inside those that are open.
    #[inline]
    pub(super) fn open(&self) -> Seen {
        Seen { start: self.names.len(), fingerprints: 0, is_set: false }
    }

    /// Forgets the object's names.
    #[inline]
    pub(super) fn close(&mut self, seen: &Seen) {
        self.names.truncate(seen.start);
        if seen.is_set {
            self.sets.pop();
        }
    }

    /// Whether `name` is new in the object; from now on it is not.
    #[inline]
    pub(super) fn insert(&mut self, seen: &mut Seen, name: Cow<'a, str>) -> bool {
        if seen.is_set {
            return self.insert_in_set(name);
        }
        let bit = 1 << fingerprint(&name);
        let own = self.names.get(seen.start..).unwrap_or_default();
        if seen.fingerprints & bit != 0 && own.contains(&name) {
            return false;
        }
        seen.fingerprints |= bit;
        if own.len() < LINEAR_MAX {
            self.names.push(name);
            return true;
        }
        seen.is_set = true;
        self.sets.push(self.names.drain(seen.start..).collect());
        self.insert_in_set(name)
    }

    #[cold]
    fn insert_in_set(&mut self, name: Cow<'a, str>) -> bool {
        let set = self.sets.last_mut();
        set.is_some_and(|set| set.insert(name))
    }
}

/// A number below 64 that equal names share and different names seldom do.
fn fingerprint(name: &str) -> u32 {
    let bytes = name.as_bytes();
    let first = bytes.first().copied().unwrap_or(0);
    let last = bytes.last().copied().unwrap_or(0);
    let mixed = u32::from(first)
        .wrapping_mul(7)
        .wrapping_add(u32::from(last).wrapping_mul(31))
        .wrapping_add((bytes.len() % 64) as u32);
    mixed % 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_of_equal_names_is_found_at_any_size() {
        for size in [1, 2, LINEAR_MAX, LINEAR_MAX + 1, 1000] {
            let mut stack = NameStack::default();
            let mut seen = stack.open();
            for index in 0..size {
                assert!(stack.insert(&mut seen, Cow::Owned(format!("n{index}"))));
            }
            for index in 0..size {
                assert!(!stack.insert(&mut seen, Cow::Owned(format!("n{index}"))));
            }
        }
    }

    #[test]
    fn inner_objects_do_not_share_names_with_outer_ones() {
        let mut stack = NameStack::default();
        let name = Cow::Borrowed("a");
        let mut outer = stack.open();
        assert!(stack.insert(&mut outer, name.clone()));
        let mut inner = stack.open();
        assert!(stack.insert(&mut inner, name.clone()));
        stack.close(&inner);
        assert!(!stack.insert(&mut outer, name.clone()));
    }
}
