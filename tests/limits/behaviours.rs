//! What is documented of limits, with the very decisions, whoever counts.

use latimer::limit::Room;

use crate::{DAY, Fresh, HOUR, InMemory, InRedis, SECOND, THEN, server};
use crate::{charge, daily, rate, sliding, time};

#[test]
fn one_process_counts_as_is_documented() {
    hold(&mut InMemory);
}

#[test]
fn a_fleet_counts_as_is_documented() {
    hold(&mut InRedis(server::Server::start()));
}

fn hold(fresh: &mut impl Fresh) {
    twenty_five_a_second_with_a_burst_of_as_many(fresh);
    one_that_refuses_charges_none(fresh);
    a_day_ends_at_pacific_midnight_summer_and_winter(fresh);
    any_twenty_four_hours_have_the_quota(fresh);
    a_day_of_another_time_goes_on_with_the_day_that_had_begun(fresh);
    a_clock_that_went_back_counts_from_there(fresh);
    callers_are_counted_by_themselves_and_can_be_forgotten(fresh);
    who_looks_is_charged_nothing(fresh);
    large_numbers_are_exact(fresh);
}

fn twenty_five_a_second_with_a_burst_of_as_many(fresh: &mut impl Fresh) {
    let mut counts = fresh.counts(vec![rate("rate", 25, 1, 25)]);
    let one = [charge(0, 1)];
    for left in (0..25).rev() {
        let verdict = counts.charge(&one, THEN);
        assert_eq!(verdict.refused, None);
        let free_after = if left == 0 { 40_000 } else { 0 };
        let room = Room { calls: left, whole_after: (25 - left) * 40_000, free_after };
        assert_eq!(verdict.standings[0].room, room);
    }
    let verdict = counts.charge(&one, THEN);
    assert_eq!((verdict.refused, verdict.retry_after_seconds()), (Some(0), Some(1)));
    assert_eq!(verdict.standings[0].room.free_after, 40_000);
    assert!(counts.charge(&one, THEN + 39_999).refused.is_some());
    assert!(counts.charge(&one, THEN + 40_000).refused.is_none());
    assert!(counts.charge(&one, THEN + 40_000).refused.is_some());
    let passed = (0..2_000).filter(|at| {
        let at = THEN + SECOND + at * 10_000;
        counts.charge(&one, at).refused.is_none()
    });
    assert_eq!(passed.count(), 523, "25 a second in 20.95 seconds");
}

fn one_that_refuses_charges_none(fresh: &mut impl Fresh) {
    let rules = vec![rate("wide", 10, 1, 10), rate("narrow", 1, 1, 1), sliding("all", 5, DAY)];
    let mut counts = fresh.counts(rules);
    let all = [charge(0, 1), charge(1, 1), charge(2, 1)];
    assert_eq!(counts.charge(&all, THEN).refused, None);
    for _ in 0..20 {
        let verdict = counts.charge(&all, THEN);
        assert_eq!(verdict.refused, Some(1));
        let left: Vec<u64> = verdict.standings.iter().map(|one| one.room.calls).collect();
        assert_eq!(left, [9, 0, 4]);
    }
    let left = counts.charge(&all[..1], THEN).standings[0].room.calls;
    assert_eq!(left, 8, "what was refused has taken nothing");
}

/// Pacific time is UTC-8 until the second Sunday of March, and then UTC-7 until the first one of November.
fn a_day_ends_at_pacific_midnight_summer_and_winter(fresh: &mut impl Fresh) {
    for (begins, ends, hours) in [
        ("2026-01-15T08:00:00Z", "2026-01-16T08:00:00Z", 24),
        ("2026-03-08T08:00:00Z", "2026-03-09T07:00:00Z", 23),
        ("2026-07-03T07:00:00Z", "2026-07-04T07:00:00Z", 24),
        ("2026-11-01T07:00:00Z", "2026-11-02T08:00:00Z", 25),
    ] {
        let (begins, ends) = (time(begins), time(ends));
        let mut counts = fresh.counts(vec![daily("day", 2, "America/Los_Angeles")]);
        let one = [charge(0, 1)];
        assert!(counts.charge(&one, begins - 1).refused.is_none(), "the day before");
        for left in [1, 0] {
            let verdict = counts.charge(&one, begins);
            let room = verdict.standings[0].room;
            assert_eq!((verdict.refused, room.calls), (None, left));
            assert_eq!(room.whole_after, hours * HOUR);
        }
        let verdict = counts.charge(&one, ends - SECOND);
        assert_eq!((verdict.refused, verdict.retry_after_seconds()), (Some(0), Some(1)));
        assert!(counts.charge(&one, ends - 1).refused.is_some());
        assert!(counts.charge(&one, ends).refused.is_none());
    }
}

/// A call counts until the hour that it was in is a day ago.
fn any_twenty_four_hours_have_the_quota(fresh: &mut impl Fresh) {
    let mut counts = fresh.counts(vec![sliding("day", 3, DAY)]);
    let (one, hour) = ([charge(0, 1)], time("2026-01-15T08:00:00Z"));
    for (at, left) in [(0, 2), (HOUR / 2, 1), (5 * HOUR, 0)] {
        assert_eq!(counts.charge(&one, hour + at).standings[0].room.calls, left);
    }
    let verdict = counts.charge(&one, hour + 6 * HOUR);
    let room = Room { calls: 0, whole_after: 24 * HOUR, free_after: 19 * HOUR };
    assert_eq!((verdict.refused, verdict.standings[0].room), (Some(0), room));
    assert!(counts.charge(&one, hour + 25 * HOUR - 1).refused.is_some());
    for left in [1, 0] {
        let room = counts.charge(&one, hour + 25 * HOUR).standings[0].room;
        assert_eq!(room.calls, left, "both of the first hour are past");
    }
    assert!(counts.charge(&one, hour + 25 * HOUR).refused.is_some());
}

fn a_day_of_another_time_goes_on_with_the_day_that_had_begun(fresh: &mut impl Fresh) {
    let mut counts = fresh.counts(vec![daily("day", 1, "UTC")]);
    let (one, midnight) = ([charge(0, 1)], time("2026-01-15T00:00:00Z"));
    assert!(counts.charge(&one, midnight).refused.is_none());
    assert!(counts.charge(&one, midnight - HOUR).refused.is_some(), "no quota twice");
    assert!(counts.charge(&one, midnight + HOUR).refused.is_some());
    assert!(counts.charge(&one, midnight - 10 * DAY).refused.is_none(), "it was wrong");
}

fn a_clock_that_went_back_counts_from_there(fresh: &mut impl Fresh) {
    let mut counts = fresh.counts(vec![rate("rate", 1, 1, 2), sliding("hour", 2, HOUR)]);
    let all = [charge(0, 1), charge(1, 1)];
    assert!(counts.charge(&all, THEN).refused.is_none());
    let back = THEN - DAY;
    assert!(counts.charge(&all, back).refused.is_none());
    let verdict = counts.charge(&all, back);
    assert_eq!(verdict.refused, Some(1));
    assert_eq!(verdict.standings[0].room.free_after, SECOND);
    let waits = verdict.standings[1].room.free_after;
    assert!(waits > HOUR && waits <= HOUR + HOUR / 24, "{waits}");
    assert!(counts.charge(&all, back + waits).refused.is_none());
}

fn callers_are_counted_by_themselves_and_can_be_forgotten(fresh: &mut impl Fresh) {
    let mut counts = fresh.counts(vec![rate("rate", 1, 1, 1), daily("day", 1, "UTC")]);
    for subject in [0, 1, u64::MAX] {
        let both = [charge(0, subject), charge(1, subject)];
        assert!(counts.charge(&both, THEN).refused.is_none(), "{subject}");
        assert!(counts.charge(&both, THEN).refused.is_some(), "{subject}");
    }
    counts.reset(charge(0, 1));
    assert!(counts.charge(&[charge(0, 1)], THEN).refused.is_none());
    assert!(counts.charge(&[charge(1, 1)], THEN).refused.is_some(), "by another rule");
    assert!(counts.charge(&[charge(0, 0)], THEN).refused.is_some(), "of another caller");
}

fn who_looks_is_charged_nothing(fresh: &mut impl Fresh) {
    let mut counts =
        fresh.counts(vec![rate("rate", 1, 1, 2), daily("day", 2, "UTC"), sliding("any", 2, DAY)]);
    for rule in 0..3 {
        for _ in 0..5 {
            assert_eq!(counts.look(charge(rule, 1), THEN).calls, 2);
        }
        counts.charge(&[charge(rule, 1)], THEN);
        for _ in 0..5 {
            assert_eq!(counts.look(charge(rule, 1), THEN).calls, 1);
        }
    }
}

/// A million a day, and what nearly fills the digits of a double.
fn large_numbers_are_exact(fresh: &mut impl Fresh) {
    let most = 9_000_000;
    let rules = vec![rate("day", 1_000_000, 86_400, 1_000_000), rate("odd", 999_983, 1_000, most)];
    let mut counts = fresh.counts(rules);
    let all = [charge(0, 1), charge(1, 1)];
    for call in 1..=200 {
        let rooms = counts.charge(&all, THEN).standings;
        assert_eq!(
            (rooms[0].room.calls, rooms[1].room.calls),
            (1_000_000 - call, 9_000_000 - call)
        );
        assert_eq!(rooms[0].room.whole_after, call * 86_400);
        assert_eq!(rooms[1].room.whole_after, (call * 1_000_000_000).div_ceil(999_983));
    }
    let rooms = counts.charge(&all, THEN + 1).standings;
    assert_eq!(rooms[0].room.whole_after, 201 * 86_400 - 1);
    assert_eq!(rooms[1].room.whole_after, 201_000_000_000_u64.div_ceil(999_983) - 1);
}
