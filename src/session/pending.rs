//! Ends of sessions that have moved and are not in the store yet.

use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashMap;

use super::TokenHash;

/// By token; the latest end counts.
#[derive(Debug, Default)]
pub(super) struct Pending(Mutex<FxHashMap<TokenHash, i64>>);

impl Pending {
    pub(super) fn put(&self, token: TokenHash, end: i64) {
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = ends.entry(token).or_insert(end);
        *known = (*known).max(end);
    }

    pub(super) fn put_back(&self, ends: Vec<(TokenHash, i64)>) {
        for (token, end) in ends {
            self.put(token, end);
        }
    }

    pub(super) fn take(&self) -> Vec<(TokenHash, i64)> {
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *ends).into_iter().collect()
    }
}
