//! Sessions that were seen lately. Bounded; what is not here is in the store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use super::{Live, TokenHash};
use crate::bounds;

/// So that workers seldom wait for each other.
const SHARDS: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Cache([Mutex<Shard>; SHARDS]);

type Shard = FxHashMap<TokenHash, Arc<Live>>;

impl Cache {
    /// A token's hash is spread evenly by itself.
    fn shard(&self, token: &TokenHash) -> MutexGuard<'_, Shard> {
        let shard = &self.0[usize::from(token[0]) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, token: &TokenHash) -> Option<Arc<Live>> {
        self.shard(token).get(token).map(Arc::clone)
    }

    pub(super) fn put(&self, token: TokenHash, live: Live, now: i64) -> Arc<Live> {
        let live = Arc::new(live);
        let mut shard = self.shard(&token);
        if shard.len() >= bounds::SESSIONS_CACHED_MAX / SHARDS {
            shard.retain(|_, known| known.expires() > now);
            // Any will do: they are random, and the store has it.
            if let Some(any) = shard.keys().next().copied()
                && shard.len() >= bounds::SESSIONS_CACHED_MAX / SHARDS
            {
                shard.remove(&any);
            }
        }
        shard.insert(token, Arc::clone(&live));
        live
    }

    pub(super) fn remove(&self, token: &TokenHash) {
        self.shard(token).remove(token);
    }

    /// Shows all of them.
    pub(super) fn each(&self, mut show: impl FnMut(&TokenHash, &Live)) {
        for shard in &self.0 {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.iter().for_each(|(token, live)| show(token, live));
        }
    }

    /// Forgets what has ended.
    pub(super) fn sweep(&self, now: i64) {
        for shard in &self.0 {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|_, known| known.expires() > now);
            shard.shrink_to_fit();
        }
    }
}
