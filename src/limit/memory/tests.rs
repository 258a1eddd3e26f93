use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::limit::rule::Scope;

const SECOND: u64 = 1_000_000;

fn rate(name: &str, count: u32, burst: u32) -> Rule {
    let per = Duration::from_secs(1);
    let form = Form::Rate { pace: Pace::new(count, per, burst), per };
    Rule { name: name.into(), scope: Scope::Consumer, form }
}

fn quota(name: &str, calls: u64, length: u64) -> Rule {
    let form = Form::Quota(Quota { calls, span: Span::Sliding(length) });
    Rule { name: name.into(), scope: Scope::Consumer, form }
}

fn at(micros: u64) -> Now {
    Now { steady: micros, wall: 1_000_000 * SECOND + micros }
}

fn charge(rule: usize, subject: u64) -> Charge {
    Charge { rule, subject: Subject(subject) }
}

#[test]
fn all_are_checked_before_any_is_charged() {
    let rules = [rate("wide", 10, 10), rate("narrow", 1, 1), quota("day", 5, 86_400 * SECOND)];
    let memory = Memory::new(rules.into());
    let charges = [charge(0, 1), charge(1, 1), charge(2, 1)];
    let first = memory.charge(&charges, at(0));
    assert_eq!(first.refused, None);
    assert_eq!(first.tightest().map(|one| (one.rule, one.room.calls)), Some((1, 0)));
    for _ in 0..100 {
        let verdict = memory.charge(&charges, at(0));
        assert_eq!(verdict.refused, Some(1), "by the narrow one");
        assert_eq!(verdict.retry_after_seconds(), Some(1));
        let left: Vec<u64> = verdict.standings.iter().map(|one| one.room.calls).collect();
        assert_eq!(left, [9, 0, 4], "what refused calls leave");
    }
    assert_eq!(memory.charge(&[charge(0, 1)], at(0)).standings[0].room.calls, 8);
}

/// Who waits as long as told is refused by none of them.
#[test]
fn of_several_that_refuse_the_longest_is_told() {
    let rules = [rate("fast", 10, 1), rate("slow", 1, 1), rate("open", 100, 100)];
    let memory = Memory::new(rules.into());
    let charges = [charge(0, 1), charge(1, 1), charge(2, 1)];
    assert_eq!(memory.charge(&charges, at(0)).refused, None);
    let verdict = memory.charge(&charges, at(1));
    assert_eq!(verdict.refused, Some(1));
    let waited = verdict.standings[1].room.free_after;
    assert_eq!(memory.charge(&charges, at(1 + waited)).refused, None);
}

#[test]
fn callers_are_counted_by_themselves_and_forgotten_when_nothing_counts() {
    let memory = Memory::new([rate("one", 1, 1), quota("day", 1, 24 * SECOND)].into());
    for caller in 0..1_000 {
        assert_eq!(memory.charge(&[charge(0, caller), charge(1, caller)], at(0)).refused, None);
        assert!(memory.charge(&[charge(0, caller)], at(0)).refused.is_some());
    }
    memory.reset(charge(0, 7));
    assert_eq!(memory.charge(&[charge(0, 7)], at(SECOND / 2)).refused, None);
    memory.sweep(at(SECOND));
    assert_eq!((memory.callers(0), memory.callers(1)), (1, 1_000), "the one that called later");
    memory.sweep(at(26 * SECOND));
    assert_eq!((memory.callers(0), memory.callers(1)), (0, 0));
}

/// However many there are: nobody is forgotten for others, and nobody calls without a limit.
#[test]
fn callers_beyond_the_most_share_what_is_left() {
    let memory = Memory::new([rate("one", 1, 1)].into());
    let known = bounds::LIMIT_CALLERS_MAX as u64 / 2;
    for caller in 0..known {
        memory.charge(&[charge(0, caller)], at(0));
    }
    let flood = known..2 * bounds::LIMIT_CALLERS_MAX as u64;
    let admitted =
        flood.filter(|caller| memory.charge(&[charge(0, *caller)], at(1)).refused.is_none());
    let most = bounds::LIMIT_CALLERS_MAX + SHARDS * bounds::LIMIT_COUNTS_SHARED;
    assert!(admitted.count() + known as usize <= most);
    assert!(memory.callers(0) <= most);
    for caller in 0..1_000 {
        assert!(memory.charge(&[charge(0, caller)], at(2)).refused.is_some(), "{caller} is known");
    }
}

/// Threads that charge the same limits at once never admit more than there is, and never wait for each other for good.
#[test]
fn threads_admit_together_what_one_would() {
    let rules =
        [rate("all", 1, 5_000), rate("each", 1, 1_000), quota("day", 4_000, 86_400 * SECOND)];
    let (memory, admitted) = (Memory::new(rules.into()), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (memory, admitted) = (&memory, &admitted);
            scope.spawn(move || {
                for call in 0..10_000u64 {
                    let charges = [charge(0, 0), charge(1, (thread + call) % 8), charge(2, 0)];
                    let verdict = memory.charge(&charges, at(0));
                    admitted.fetch_add(u64::from(verdict.refused.is_none()), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(admitted.load(Ordering::Relaxed), 4_000);
    assert_eq!(memory.look(charge(0, 0), at(0)).calls, 1_000);
}
