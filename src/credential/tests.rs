use super::*;

fn keeper(seconds: u64, slides: bool) -> Arc<Keeper> {
    Keeper::new(Life { length: Duration::from_secs(seconds), slides })
}

fn log_in(keeper: &Arc<Keeper>, now: Instant) -> Session {
    match keeper.next(now) {
        Next::LogIn(work) => work.succeeded(Arc::default(), now),
        other => panic!("{other:?}"),
    }
}

fn used(keeper: &Arc<Keeper>, now: Instant) -> u64 {
    match keeper.next(now) {
        Next::Use(session) => session.generation,
        other => panic!("{other:?}"),
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn one_logs_in_and_the_others_wait() {
    let (keeper, now) = (keeper(7_200, false), Instant::now());
    let Next::LogIn(work) = keeper.next(now) else { panic!("the first one logs in") };
    let Next::Wait(mut ends) = keeper.next(now) else { panic!("the second one waits") };
    assert!(!ends.has_changed().unwrap());
    assert_eq!(work.succeeded(Arc::default(), now).generation, 1);
    assert!(ends.has_changed().unwrap());
    ends.mark_unchanged();
    assert_eq!(used(&keeper, now), 1);
}

#[test]
fn who_goes_away_leaves_the_work_to_the_next() {
    let (keeper, now) = (keeper(7_200, false), Instant::now());
    let Next::LogIn(work) = keeper.next(now) else { panic!("the first one logs in") };
    let Next::Wait(ends) = keeper.next(now) else { panic!("the second one waits") };
    drop(work);
    assert!(ends.has_changed().unwrap());
    assert!(matches!(keeper.next(now), Next::LogIn(_)));
}

#[test]
fn after_a_failure_nobody_tries_for_a_while_and_each_time_longer() {
    let (keeper, start) = (keeper(7_200, false), Instant::now());
    let mut now = start;
    let mut rests = Vec::new();
    for _ in 0..9 {
        let Next::LogIn(work) = keeper.next(now) else { panic!("it is time") };
        work.failed("no", now);
        let rest = (1..).map(|seconds| SECOND * seconds);
        let rest = rest.take(1_000).find(|rest| !matches!(keeper.next(now + *rest), Next::Rest(_)));
        let rest = rest.unwrap();
        assert!(matches!(keeper.next(now + rest - SECOND), Next::Rest(why) if &*why == "no"));
        rests.push(rest.as_secs());
        now += rest;
    }
    assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    log_in(&keeper, now);
    keeper.expired(1);
    let Next::LogIn(work) = keeper.next(now) else { panic!("a success ends the rest") };
    work.failed("no", now);
    assert!(matches!(keeper.next(now + SECOND), Next::LogIn(_)), "and it begins anew");
}

#[test]
fn a_fixed_session_is_seen_to_before_its_end() {
    let (keeper, start) = (keeper(1_000, false), Instant::now());
    log_in(&keeper, start);
    assert_eq!(used(&keeper, start + SECOND * 899), 1, "use does not prolong it");
    let Next::Renew(work, session) = keeper.next(start + SECOND * 900) else { panic!("it is due") };
    assert_eq!(session.generation, 1);
    assert_eq!(used(&keeper, start + SECOND * 900), 1, "the others go on with it");
    work.failed("no", start + SECOND * 900);
    assert_eq!(used(&keeper, start + SECOND * 900), 1, "it still holds");
    let Next::Renew(work, _) = keeper.next(start + SECOND * 901) else { panic!("tried again") };
    assert_eq!(work.succeeded(Arc::default(), start + SECOND * 901).generation, 2);
    assert_eq!(used(&keeper, start + SECOND * 1_500), 2);
    assert!(matches!(keeper.next(start + SECOND * 1_900), Next::LogIn(_)), "too late");
}

/// However short its life is, it is seen to before it is taken for over.
#[test]
fn a_short_session_is_used_too() {
    let (keeper, start) = (keeper(2, false), Instant::now());
    log_in(&keeper, start);
    assert_eq!(used(&keeper, start + SECOND * 17 / 10), 1);
    assert!(matches!(keeper.next(start + SECOND * 185 / 100), Next::Renew(..)));
    assert!(matches!(keeper.next(start + SECOND * 2), Next::LogIn(_)));
}

/// Of the fleet's sessions the number is known of the one that is held, and of one that is over.
#[test]
fn what_the_fleet_knows_a_session_by_is_kept() {
    let (keeper, now) = (keeper(1_000, false), Instant::now());
    let Next::LogIn(work) = keeper.next(now) else { panic!("there is none") };
    assert_eq!(work.known(), (None, None));
    // Made by another gateway, eight hundred seconds ago.
    work.given(Arc::default(), now - SECOND * 800, Some(7), now);
    let Next::Renew(work, _) = keeper.next(now + SECOND * 100) else { panic!("it is due") };
    assert_eq!(work.known(), (None, Some(7)));
    drop(work);
    keeper.expired(1);
    let Next::LogIn(work) = keeper.next(now) else { panic!("it is over") };
    assert_eq!(work.known(), (Some(7), None));
}

#[test]
fn a_sliding_session_lives_by_its_use() {
    let (keeper, start) = (keeper(5_400, true), Instant::now());
    log_in(&keeper, start);
    let mut now = start;
    for _ in 0..10 {
        now += SECOND * 5_000;
        assert_eq!(used(&keeper, now), 1);
    }
    assert!(matches!(keeper.next(now + SECOND * 5_400), Next::LogIn(_)));
}

#[test]
fn one_that_turns_out_to_be_over_is_left_and_no_later_one() {
    let (keeper, now) = (keeper(7_200, false), Instant::now());
    log_in(&keeper, now);
    keeper.expired(1);
    log_in(&keeper, now);
    // Another call that was under way with the first one comes back late.
    keeper.expired(1);
    assert_eq!(used(&keeper, now), 2);
}
