//! Writes down what was counted of quotas, so that a restart gives nobody a quota twice.
//!
//! ```text
//! a call ──▶ Memory: counts, and notes the caller
//! every second, and at the end ──▶ takes who was noted ──▶ state: adds, tells totals ──▶ Memory
//! ```
//!
//! No call waits for it, and a state that fails stops none: what could not be written is told again, under the number
//! that it had, until it is known to be there. What was counted since the last time is lost with a process that dies.
//! Gateways that share a state learn of each other's calls by the totals of callers whose calls they write down
//! themselves; between two writes each counts by itself.

use tokio::sync::Mutex;

use crate::limit::memory::kept::{self, Unwritten};
use crate::limit::memory::{Keep, Memory};
use crate::limit::rule::{Charge, Form, Now, Subject};
use crate::store::{Batch, Store, StoreError, Used};
use crate::{bounds, clock};

/// Time for which a batch may be told again, in milliseconds.
const BATCH_KEPT_MS: i64 = 24 * 60 * 60 * 1000;

/// Where counts are written down.
#[derive(Debug)]
pub struct Ledger {
    store: Store,
    writer: [u8; 16],
    is_shared: bool,
    writing: Mutex<Writing>,
}

/// What is not known to be written.
#[derive(Debug, Default)]
struct Writing {
    number: u64,
    batch: Vec<Unwritten>,
}

impl Ledger {
    /// One in a store; `is_shared` if other gateways have it too.
    ///
    /// # Errors
    /// If the operating system gives no random numbers.
    pub fn new(store: Store, is_shared: bool) -> Result<Self, getrandom::Error> {
        let mut writer = [0; 16];
        getrandom::fill(&mut writer)?;
        Ok(Self { store, writer, is_shared, writing: Mutex::default() })
    }

    /// How its counts are kept.
    pub fn keep(&self) -> Keep {
        if self.is_shared { Keep::Shared } else { Keep::Alone }
    }

    /// Reads what counts now.
    ///
    /// # Errors
    /// If not all of it could be read.
    pub async fn read(&self, memory: &Memory, now: Now) -> Result<(), StoreError> {
        let milliseconds = i64::try_from(now.wall / 1000).unwrap_or(i64::MAX);
        for (index, rule) in memory.rules().iter().enumerate() {
            let Form::Quota(quota) = &rule.form else { continue };
            let (mut after, mut callers) = (None, 0);
            // Those beyond as many as are counted by themselves have nothing here that could be theirs.
            while callers < bounds::LIMIT_CALLERS_MAX {
                let page =
                    self.store.uses(&rule.name, kept::span(quota), after, milliseconds).await?;
                for used in &page {
                    let subject = Subject(used.subject);
                    memory.restore(index, subject, used.start, used.calls, now);
                }
                let Some(last) = page.last() else { break };
                // One that is not full is the last.
                if page.len() < bounds::LIMIT_USES_PAGE as usize {
                    break;
                }
                after = Some((last.subject, last.start));
                callers = memory.callers(index);
            }
        }
        Ok(())
    }

    /// Writes down what was counted.
    ///
    /// # Errors
    /// If not all of it is known to be written; it is told again the next time.
    pub async fn write(&self, memory: &Memory) -> Result<(), StoreError> {
        let mut writing = self.writing.lock().await;
        loop {
            let is_told_again = !writing.batch.is_empty();
            if !is_told_again {
                writing.batch = memory.unwritten(bounds::LIMIT_WRITE_ROWS_MAX);
                writing.number += 1;
                sort(&mut writing.batch, memory);
            }
            if writing.batch.is_empty() {
                return Ok(());
            }
            let batch = Batch {
                writer: self.writer,
                number: writing.number,
                expires: clock::now().saturating_add(BATCH_KEPT_MS),
            };
            let used = writing.batch.iter().filter_map(|one| used(memory, one)).collect();
            // Whoever gives up here finds the batch as it was the next time.
            let totals = self.store.add_uses(batch, used).await?;
            let written = std::mem::take(&mut writing.batch);
            for (one, total) in written.iter().zip(totals) {
                memory.settle(one, total);
            }
            // What was counted since it was told first is not in it.
            if written.len() < bounds::LIMIT_WRITE_ROWS_MAX && !is_told_again {
                return Ok(());
            }
        }
    }

    /// Forgets what was counted of a limit, by one caller or by all of them, in the state first: what is there would
    /// be counted again.
    ///
    /// # Errors
    /// If the state could not forget it; then nothing is forgotten.
    pub async fn forget(
        &self,
        memory: &Memory,
        rule: usize,
        subject: Option<Subject>,
    ) -> Result<usize, StoreError> {
        let mut writing = self.writing.lock().await;
        let name = &memory.rules()[rule].name;
        self.store.forget_uses(name, subject.map(|subject| subject.0)).await?;
        writing.batch.retain(|one| {
            one.rule != rule || subject.is_some_and(|subject| one.subject != subject)
        });
        Ok(forget(memory, rule, subject))
    }
}

/// Forgets what memory has counted; says of how many callers.
pub(super) fn forget(memory: &Memory, rule: usize, subject: Option<Subject>) -> usize {
    match subject {
        Some(subject) => usize::from(memory.reset(Charge { rule, subject })),
        None => memory.reset_all(rule),
    }
}

/// Two gateways that change the same rows do it in one order, and so never wait for each other in a ring.
fn sort(batch: &mut [Unwritten], memory: &Memory) {
    let name = |one: &Unwritten| &memory.rules()[one.rule].name;
    batch.sort_unstable_by(|one, other| {
        let place = |one: &Unwritten| (one.subject.0, one.addition.part);
        name(one).cmp(name(other)).then_with(|| place(one).cmp(&place(other)))
    });
}

fn used(memory: &Memory, one: &Unwritten) -> Option<Used> {
    let part = memory.part(one)?;
    Some(Used {
        limit: memory.rules()[one.rule].name.to_string(),
        span: part.span,
        subject: one.subject.0,
        start: part.start,
        calls: one.addition.calls,
        expires: i64::try_from(part.end.div_ceil(1000)).unwrap_or(i64::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StateConfig;
    use crate::limit::quota::{Quota, Span};
    use crate::limit::rule::{Rule, Scope};
    use crate::store;

    const NOW: Now = Now { steady: 0, wall: 1_000_000_000_000_000 };

    fn opened() -> (Store, Ledger, Memory) {
        let store = store::open(&StateConfig::Memory).expect("opens");
        let ledger = Ledger::new(store.clone(), true).expect("random numbers");
        let form = Form::Quota(Quota { calls: 9_999, span: Span::Sliding(86_400_000_000) });
        let rule = Rule { name: "sliding".into(), scope: Scope::Consumer, form };
        let memory = Memory::kept([rule].into(), ledger.keep());
        (store, ledger, memory)
    }

    fn call(memory: &Memory, caller: u64) {
        let charge = Charge { rule: 0, subject: Subject(caller) };
        assert_eq!(memory.charge(&[charge], NOW).refused, None);
    }

    async fn written(store: &Store) -> u64 {
        let found = store.uses("sliding", 86_400_000_000, None, 0).await.expect("read");
        found.iter().map(|one| one.calls).sum()
    }

    /// As if the first time had failed, before it did anything or after it had done all.
    #[tokio::test]
    async fn what_failed_is_told_again_once_and_the_rest_with_it() {
        for is_done in [false, true] {
            let (store, ledger, memory) = opened();
            (0..3).for_each(|caller| call(&memory, caller));
            {
                let mut writing = ledger.writing.lock().await;
                (writing.batch, writing.number) = (memory.unwritten(2), 1);
                let expires = i64::MAX;
                let batch = Batch { writer: ledger.writer, number: 1, expires };
                let all = writing.batch.iter().filter_map(|one| used(&memory, one)).collect();
                if is_done {
                    store.add_uses(batch, all).await.expect("added");
                }
            }
            call(&memory, 7);
            ledger.write(&memory).await.expect("written");
            assert_eq!(written(&store).await, 4, "done: {is_done}");
            assert!(ledger.writing.lock().await.batch.is_empty());
            (0..3).for_each(|caller| call(&memory, caller));
            ledger.write(&memory).await.expect("written");
            assert_eq!(written(&store).await, 7, "done: {is_done}");
        }
    }

    #[tokio::test]
    async fn a_state_that_fails_loses_nothing_and_forgets_nothing() {
        let (store, ledger, memory) = opened();
        (0..3).for_each(|caller| call(&memory, caller));
        store.close().await;
        for _ in 0..2 {
            ledger.write(&memory).await.expect_err("it is closed");
            assert_eq!(ledger.writing.lock().await.batch.len(), 3);
        }
        ledger.forget(&memory, 0, None).await.expect_err("it is closed");
        assert_eq!(memory.callers(0), 3);
    }

    #[tokio::test]
    async fn more_than_a_batch_is_written_and_read() {
        let (store, ledger, memory) = opened();
        let callers = bounds::LIMIT_WRITE_ROWS_MAX as u64 * 2 + 1;
        (0..callers).for_each(|caller| call(&memory, caller));
        ledger.write(&memory).await.expect("written");
        assert_eq!(written(&store).await, callers);
        let again = Memory::kept(memory.rules().clone(), Keep::Alone);
        ledger.read(&again, NOW).await.expect("read");
        assert_eq!(again.callers(0) as u64, callers);
        assert_eq!(again.look(Charge { rule: 0, subject: Subject(3) }, NOW).calls, 9_998);
        // What is forgotten while it waits is not written after that.
        call(&memory, 1);
        ledger.writing.lock().await.batch = memory.unwritten(9);
        assert_eq!(ledger.forget(&memory, 0, Some(Subject(1))).await.expect("forgotten"), 1);
        assert_eq!(ledger.forget(&memory, 0, Some(Subject(1))).await.expect("forgotten"), 0);
        ledger.write(&memory).await.expect("written");
        assert_eq!(written(&store).await, callers - 1);
        let all = ledger.forget(&memory, 0, None).await.expect("forgotten");
        assert_eq!((all as u64, written(&store).await), (callers - 1, 0));
    }
}
