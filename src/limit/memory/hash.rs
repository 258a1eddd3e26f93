//! A hash of callers, who are numbers already: a multiplication by a secret, folded.
//!
//! Most of them are the beginnings of hashes, but addresses are chosen by who calls: without the secret nobody can
//! choose such as fall together. The standard library's hash, which is made for texts, costs half as much again of a
//! decision about three limits.

use std::hash::{BuildHasher, Hasher, RandomState};

/// What the numbers of one table are hashed by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keyed {
    mask: u64,
    factor: u64,
}

pub(super) struct Folded {
    keyed: Keyed,
    hash: u64,
}

impl Keyed {
    pub(super) fn new() -> Self {
        let secret = |number: u64| RandomState::new().hash_one(number);
        Self { mask: secret(0), factor: secret(1) | 1 }
    }
}

impl BuildHasher for Keyed {
    type Hasher = Folded;

    fn build_hasher(&self) -> Folded {
        Folded { keyed: *self, hash: 0 }
    }
}

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.hash
    }

    fn write_u64(&mut self, number: u64) {
        let product =
            u128::from(self.hash ^ number ^ self.keyed.mask) * u128::from(self.keyed.factor);
        self.hash = product as u64 ^ (product >> 64) as u64;
    }

    /// Whatever is no number is one after the other.
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Numbers in a row, those that differ in their upper half, and those that are multiples of a power of two: they
    /// are spread over a table's parts and places, and over the seven bits that it tells neighbours apart by.
    #[test]
    fn numbers_of_any_pattern_are_spread() {
        for shift in [0, 8, 16, 32, 48] {
            let keyed = Keyed::new();
            let hashes: Vec<u64> =
                (0..65_536u64).map(|number| keyed.hash_one(number << shift)).collect();
            let all: HashSet<u64> = hashes.iter().copied().collect();
            assert!(all.len() > 65_500, "{shift}: {}", all.len());
            for bits in [0, 32, 57] {
                let mut counts = [0u32; 64];
                hashes.iter().for_each(|hash| counts[(hash >> bits) as usize % 64] += 1);
                let (least, most) = (counts.iter().min(), counts.iter().max());
                assert!(least > Some(&512) && most < Some(&2_048), "{shift}, {bits}: {counts:?}");
            }
        }
    }

    #[test]
    fn each_table_has_a_secret_of_its_own() {
        let (one, other) = (Keyed::new(), Keyed::new());
        assert_ne!(one.hash_one(7u64), other.hash_one(7u64));
        assert_eq!(one.hash_one(7u64), one.hash_one(7u64));
    }
}
