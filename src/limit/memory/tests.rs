use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::limit::quota::slot_length;
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

const DAY: u64 = 86_400 * SECOND;

fn daily(calls: u64) -> Rule {
    let span = Span::Day { begins: jiff::civil::Time::midnight(), zone: jiff::tz::TimeZone::UTC };
    let form = Form::Quota(Quota { calls, span });
    Rule { name: "daily".into(), scope: Scope::Consumer, form }
}

/// What a state would have: calls by rule, caller and part of time.
type Written = HashMap<(usize, u64, u64), u64>;

fn write(memory: &Memory, written: &mut Written) {
    for one in memory.unwritten(usize::MAX) {
        let total = written.entry((one.rule, one.subject.0, one.addition.part)).or_default();
        *total += one.addition.calls;
        memory.settle(&one, *total);
    }
}

fn restored(rules: &[Rule], written: &Written, now: Now) -> Memory {
    let memory = Memory::kept(rules.to_vec().into(), Keep::Shared);
    for ((rule, subject, part), calls) in written {
        let start = match rules[*rule].form {
            Form::Quota(Quota { span: Span::Sliding(length), .. }) => part * slot_length(length),
            _ => *part,
        };
        memory.restore(*rule, Subject(*subject), start, *calls, now);
    }
    memory
}

#[test]
fn what_changes_is_noted_once_until_it_is_written() {
    let rules = [rate("rate", 100, 100), quota("sliding", 9, DAY), daily(9)];
    for (keep, noted) in [(Keep::Not, 0), (Keep::Alone, 4), (Keep::Shared, 4)] {
        let memory = Memory::kept(rules.to_vec().into(), keep);
        for caller in [1, 2, 1, 1] {
            memory.charge(&[charge(0, caller), charge(1, caller), charge(2, caller)], at(0));
        }
        let mut found = memory.unwritten(usize::MAX);
        found.sort_by_key(|one| (one.rule, one.subject.0));
        let calls: Vec<u64> = found.iter().map(|one| one.addition.calls).collect();
        assert_eq!(calls, [3, 1, 3, 1][..noted], "{keep:?}");
        assert_eq!(memory.unwritten(usize::MAX), [], "{keep:?}: nothing has changed since");
        memory.charge(&[charge(2, 1)], at(1));
        let more: Vec<_> = memory.unwritten(usize::MAX).iter().map(|one| one.addition).collect();
        let expected = more.first().map(|one| (one.calls, one.expected));
        assert_eq!(expected, (noted > 0).then_some((1, 4)), "{keep:?}: what came since");
    }
    let memory = Memory::kept(rules.to_vec().into(), Keep::Alone);
    (0..100).for_each(|caller| drop(memory.charge(&[charge(1, caller)], at(0))));
    let parts: Vec<usize> = (0..5).map(|_| memory.unwritten(30).len()).collect();
    assert_eq!(parts, [30, 30, 30, 10, 0], "so many at a time");
}

#[test]
fn a_table_that_is_swept_notes_nobody_who_is_gone() {
    let memory = Memory::kept([quota("short", 9, SECOND)].into(), Keep::Alone);
    for round in 0..100 {
        for caller in 0..100 {
            memory.charge(&[charge(0, caller)], at(round * 3 * SECOND));
        }
        memory.sweep(at(round * 3 * SECOND + 2 * SECOND));
    }
    assert_eq!(memory.callers(0), 0);
    let Table::Sliding { slots, .. } = &memory.tables[0] else { panic!("it slides") };
    let noted: usize = slots.parts.iter().map(|part| lock(part).noted.len()).sum();
    assert_eq!(noted, 0, "nobody is left to be written down");
    memory.charge(&[charge(0, 7)], at(0));
    assert!(memory.reset(charge(0, 7)) && !memory.reset(charge(0, 7)));
    assert_eq!(memory.unwritten(usize::MAX), []);
}

#[test]
fn several_that_write_to_one_place_agree_and_forget_together() {
    for rules in [[daily(9)], [quota("sliding", 9, DAY)]] {
        let mut written = Written::new();
        let (one, other) = (
            Memory::kept(rules.to_vec().into(), Keep::Shared),
            Memory::kept(rules.to_vec().into(), Keep::Shared),
        );
        let left = |memory: &Memory| memory.look(charge(0, 1), at(0)).calls;
        let call = |memory: &Memory| memory.charge(&[charge(0, 1)], at(0)).refused.is_none();
        (0..3).for_each(|_| assert!(call(&one)));
        (0..4).for_each(|_| assert!(call(&other)));
        write(&one, &mut written);
        write(&other, &mut written);
        assert_eq!((left(&one), left(&other)), (6, 2), "who wrote first does not know yet");
        assert!(call(&one));
        write(&one, &mut written);
        assert_eq!(left(&one), 1);
        // Counted while the total is on its way: it is neither lost nor counted twice.
        assert!(call(&one));
        let sent = one.unwritten(usize::MAX);
        assert!(!call(&one) && left(&one) == 0);
        *written.values_mut().next().unwrap() += sent[0].addition.calls;
        one.settle(&sent[0], 9);
        assert!(call(&other), "it has not written since");
        write(&other, &mut written);
        assert!(!call(&other) && !call(&one), "ten of nine: one too many in a second");
        // Forgotten by the one, and in the state.
        written.clear();
        assert!(one.reset(charge(0, 1)) && call(&one));
        write(&one, &mut written);
        assert!(!call(&other), "it has not asked yet");
        write(&other, &mut written);
        assert_eq!((left(&one), left(&other)), (8, 8));
    }
}

#[test]
fn what_was_written_goes_on_after_a_start() {
    let rules = [daily(5), quota("sliding", 5, 24 * SECOND)];
    let mut written = Written::new();
    let memory = restored(&rules, &written, at(0));
    for second in [0, 1, 1] {
        memory.charge(&[charge(0, 1), charge(1, 1)], at(second * SECOND));
    }
    write(&memory, &mut written);
    assert_eq!(written.len(), 3, "one day, two slots");
    let memory = restored(&rules, &written, at(2 * SECOND));
    let left = |rule, micros| memory.look(charge(rule, 1), at(micros)).calls;
    assert_eq!((left(0, 2 * SECOND), left(1, 2 * SECOND)), (2, 2));
    assert_eq!(memory.unwritten(usize::MAX), [], "it is there already");
    assert_eq!(left(1, 25 * SECOND), 3, "the first slot is past");
    assert_eq!((left(0, DAY), left(1, DAY)), (5, 5), "and so is the day");
    memory.charge(&[charge(0, 1)], at(2 * SECOND));
    write(&memory, &mut written);
    assert_eq!(memory.look(charge(0, 1), at(2 * SECOND)).calls, 1);
    // A clock that was years ahead for a while has left a day that nobody is in.
    written.insert((0, 1, at(4_000 * DAY).wall), 5);
    let memory = restored(&rules, &written, at(2 * SECOND));
    assert_eq!(memory.look(charge(0, 1), at(2 * SECOND)).calls, 1);
}

/// What counts from another time on, after the clock was set back, is written down for that time.
#[test]
fn slots_that_move_are_written_where_they_have_moved_to() {
    let memory = Memory::kept([quota("sliding", 9, 24 * SECOND)].into(), Keep::Alone);
    let mut written = Written::new();
    (0..3).for_each(|_| drop(memory.charge(&[charge(0, 1)], at(10 * SECOND))));
    write(&memory, &mut written);
    memory.charge(&[charge(0, 1)], at(0));
    write(&memory, &mut written);
    assert_eq!(memory.look(charge(0, 1), at(0)).calls, 5, "none is given back");
    let then = at(0).wall / SECOND;
    assert_eq!((written[&(0, 1, then)], written[&(0, 1, then + 10)]), (4, 3));
}

#[test]
fn of_many_callers_those_with_the_fewest_calls_are_told() {
    for rule in [rate("rate", 1, 1_000), quota("sliding", 1_000, DAY), daily(1_000)] {
        let memory = Memory::new([rule].into());
        for caller in 0..200 {
            (0..=caller).for_each(|_| drop(memory.charge(&[charge(0, caller)], at(0))));
        }
        let (mut found, counted) = memory.standings(0, None, 10, at(0));
        found.sort_by_key(|one| one.room.calls);
        let left: Vec<u64> = found.iter().map(|one| one.room.calls).collect();
        assert_eq!((left, counted), ((800..810).collect(), 200));
        let (found, counted) = memory.standings(0, Some(Subject(7)), 10, at(0));
        assert_eq!((found[0].room.calls, found.len(), counted), (992, 1, 1));
        assert_eq!(memory.standings(0, Some(Subject(200)), 10, at(0)).1, 0);
        assert_eq!(memory.reset_all(0), 200);
        assert_eq!(memory.callers(0), 0);
    }
}
