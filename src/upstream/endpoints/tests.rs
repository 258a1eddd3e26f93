use proptest::prelude::*;

use super::*;
use crate::config;

fn rules(balance: Balance) -> Resilience {
    let breaker = config::Breaker { failures: 1, ..config::Breaker::default() };
    let health = Health {
        target: "/up".to_owned(),
        every: Duration::from_secs(3),
        timeout: Duration::from_secs(1),
        healthy_after: 1,
        unhealthy_after: 1,
        expect: vec![200],
    };
    let (breaker, health) = (Some(breaker), Some(health));
    Resilience { balance, breaker, health, ..Resilience::default() }
}

fn endpoints(count: usize, balance: Balance) -> (Endpoints, Instant) {
    let start = Instant::now();
    (Endpoints::new(count, &rules(balance), start), start)
}

/// The endpoint that a fresh call gets.
fn index(endpoints: &Endpoints, now: Instant) -> usize {
    let pick = endpoints.pick(&mut Tried::default(), now).expect("there is one");
    let index = pick.index();
    pick.saw(Seen::Answered, now);
    index
}

/// Fails a call to one endpoint, which opens its breaker.
fn break_down(endpoints: &Endpoints, index: usize, now: Instant) {
    let mut tried = Tried(!bit(index));
    endpoints.pick(&mut tried, now).expect("it is well").saw(Seen::Lost, now);
}

#[test]
fn each_has_its_turn() {
    let (endpoints, now) = endpoints(3, Balance::RoundRobin);
    let picked: Vec<usize> = (0..7).map(|_| index(&endpoints, now)).collect();
    assert_eq!(picked, [0, 1, 2, 0, 1, 2, 0]);
}

#[test]
fn the_others_stand_by() {
    let (endpoints, now) = endpoints(3, Balance::Failover);
    assert_eq!((index(&endpoints, now), index(&endpoints, now)), (0, 0));
    break_down(&endpoints, 0, now);
    assert_eq!((index(&endpoints, now), index(&endpoints, now)), (1, 1));
    let due = now + bounds::BREAKER_OPEN;
    assert_eq!(index(&endpoints, due), 0, "the probe");
    assert_eq!(index(&endpoints, due), 0, "and back again");
}

#[test]
fn a_call_tries_each_once() {
    let (endpoints, now) = endpoints(3, Balance::Failover);
    let mut tried = Tried::default();
    for wanted in 0..3 {
        let pick = endpoints.pick(&mut tried, now).unwrap();
        assert_eq!((pick.index(), pick.is_probe()), (wanted, false));
        assert!(tried.contains(wanted) && !tried.contains(wanted + 1));
        pick.saw(Seen::ConnectFailed, now);
    }
    let none = endpoints.pick(&mut tried, now).unwrap_err();
    assert_eq!((none.retry_after, tried.count()), (None, 3));
}

#[test]
fn if_none_is_left_the_first_that_may_be_back_is_told() {
    let (endpoints, start) = endpoints(2, Balance::RoundRobin);
    break_down(&endpoints, 0, start);
    let now = start + Duration::from_secs(1);
    break_down(&endpoints, 1, now);
    let none = endpoints.pick(&mut Tried::default(), now).unwrap_err();
    assert_eq!(none.retry_after, Some(Duration::from_secs(4)), "of 4 s and 5 s");
    let mut tried = Tried(bit(0));
    let none = endpoints.pick(&mut tried, now).unwrap_err();
    assert_eq!(none.retry_after, Some(Duration::from_secs(5)), "the first was tried");
    assert!(endpoints.checked(1, false));
    let none = endpoints.pick(&mut tried, now).unwrap_err();
    assert_eq!(none.retry_after, Some(Duration::from_secs(3)), "not before the next check");
}

#[test]
fn one_that_the_checks_take_out_is_not_called_until_they_bring_it_back() {
    let (endpoints, now) = endpoints(2, Balance::RoundRobin);
    assert!(endpoints.checked(0, false) && !endpoints.checked(0, false));
    assert!((0..4).all(|_| index(&endpoints, now) == 1));
    assert!(!endpoints.shown(now).next().unwrap().is_healthy);
    assert!(endpoints.checked(0, true));
    assert!((0..2).any(|_| index(&endpoints, now) == 0));
    assert!(!endpoints.checked(2, false), "there is no such endpoint");
}

#[test]
fn a_check_does_not_close_a_breaker() {
    let (endpoints, now) = endpoints(1, Balance::RoundRobin);
    break_down(&endpoints, 0, now);
    endpoints.checked(0, true);
    assert!(endpoints.pick(&mut Tried::default(), now).is_err());
    let shown = endpoints.shown(now).next().unwrap();
    assert_eq!(shown, Shown { breaker: Some(State::Open), openings: 1, is_healthy: true });
}

#[test]
fn a_dropped_probe_is_given_back() {
    let (endpoints, now) = endpoints(1, Balance::RoundRobin);
    break_down(&endpoints, 0, now);
    let due = now + bounds::BREAKER_OPEN;
    let probe = endpoints.pick(&mut Tried::default(), due).unwrap();
    assert!(probe.is_probe());
    let none = endpoints.pick(&mut Tried::default(), due).unwrap_err();
    assert_eq!(none.retry_after, Some(Duration::ZERO));
    drop(probe);
    assert_eq!(index(&endpoints, due), 0);
}

#[test]
fn without_a_breaker_and_checks_every_endpoint_is_taken() {
    let rules = Resilience { breaker: None, ..Resilience::default() };
    let now = Instant::now();
    let endpoints = Endpoints::new(1, &rules, now);
    for _ in 0..100 {
        endpoints.pick(&mut Tried::default(), now).unwrap().saw(Seen::Late, now);
    }
    assert!(!endpoints.checked(0, false), "nobody asked for checks");
    let shown = endpoints.shown(now).next().unwrap();
    assert_eq!(shown, Shown { breaker: None, openings: 0, is_healthy: true });
}

#[test]
fn all_sixty_four_are_told_apart() {
    let (endpoints, now) = endpoints(1_000, Balance::Failover);
    let mut tried = Tried::default();
    let picks: Vec<Pick<'_>> =
        std::iter::from_fn(|| endpoints.pick(&mut tried, now).ok()).collect();
    assert!(picks.iter().map(Pick::index).eq(0..bounds::ENDPOINTS_MAX));
    assert!(!tried.contains(64) && !tried.contains(usize::MAX));
}

#[test]
fn only_an_answer_speaks_for_an_endpoint() {
    let all = [Seen::Answered, Seen::ConnectFailed, Seen::Lost, Seen::Late, Seen::Unavailable];
    assert_eq!(all.map(Seen::is_failure), [false, true, true, true, true]);
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    /// A call with these answers, one for each endpoint; none is a call that goes away.
    Call(Vec<Option<Seen>>),
    Check(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let seen = prop_oneof![
        2 => Just(Some(Seen::Answered)),
        2 => Just(Some(Seen::ConnectFailed)),
        1 => Just(None),
    ];
    prop_oneof![
        (0u64..3_000).prop_map(Step::Wait),
        prop::collection::vec(seen, 4).prop_map(Step::Call),
        (0usize..4, any::<bool>()).prop_map(|(index, good)| Step::Check(index, good)),
    ]
}

/// One endpoint of the model: ill by the checks, or shut until a time, and for how long.
#[derive(Clone, Debug, Default)]
struct Modelled {
    ill: bool,
    shut: bool,
    until: u64,
    length: u64,
    closed_at: u64,
}

impl Modelled {
    /// Time until it may be called.
    fn wait(&self, now: u64) -> Option<u64> {
        let due = if self.shut { self.until.saturating_sub(now) } else { 0 };
        match (self.ill, due) {
            (true, _) => Some(3_000),
            (false, 0) => None,
            (false, wait) => Some(wait),
        }
    }

    /// One failure opens it, twice as long if it was well for less than it had been shut.
    fn saw(&mut self, seen: Option<Seen>, now: u64) {
        match seen {
            None => {}
            Some(Seen::Answered) => {
                let closes = std::mem::take(&mut self.shut);
                self.closed_at = if closes { now } else { self.closed_at };
            }
            Some(_) => {
                let fresh = !self.shut && now - self.closed_at >= self.length;
                self.length = if fresh { 5_000 } else { (self.length * 2).min(60_000) };
                (self.shut, self.until) = (true, now + self.length);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn picks_are_those_of_the_model(
        count in 1usize..=4,
        failover in any::<bool>(),
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let balance = if failover { Balance::Failover } else { Balance::RoundRobin };
        let (endpoints, start) = endpoints(count, balance);
        let mut model = vec![Modelled::default(); count];
        let (mut now, mut turn) = (0, 0);
        for step in steps {
            let moment = start + Duration::from_millis(now);
            match step {
                Step::Wait(millis) => now += millis,
                Step::Check(index, good) => {
                    let turned = endpoints.checked(index, good);
                    let wanted = model.get_mut(index).is_some_and(|one| {
                        std::mem::replace(&mut one.ill, !good) == good
                    });
                    prop_assert_eq!(turned, wanted);
                }
                Step::Call(answers) => {
                    let mut tried = Tried::default();
                    let mut left: Vec<usize> = (0..count).collect();
                    loop {
                        let first = if failover { 0 } else { turn % count };
                        turn += 1;
                        let free = |index: &usize| model[*index].wait(now).is_none();
                        let order = |index: &usize| (index + count - first) % count;
                        let wanted = left.iter().copied().filter(free).min_by_key(order);
                        let waits = left.iter().filter_map(|index| model[*index].wait(now));
                        let wait = waits.min().map(Duration::from_millis);
                        let picked = endpoints.pick(&mut tried, moment);
                        prop_assert_eq!(picked.as_ref().map(Pick::index).ok(), wanted);
                        let (Ok(pick), Some(index)) = (&picked, wanted) else {
                            let none = picked.unwrap_err();
                            prop_assert_eq!(none.retry_after, wait);
                            break;
                        };
                        prop_assert_eq!(pick.is_probe(), model[index].shut);
                        match answers[index] {
                            Some(seen) => picked.unwrap().saw(seen, moment),
                            None => drop(picked),
                        }
                        model[index].saw(answers[index], now);
                        left.retain(|other| *other != index);
                        if answers[index] != Some(Seen::ConnectFailed) {
                            break;
                        }
                    }
                }
            }
        }
    }
}
