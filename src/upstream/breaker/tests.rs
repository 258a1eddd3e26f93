use proptest::prelude::*;

use super::*;

const RULES: Rules = Rules {
    failures: 3,
    ratio_percent: 50,
    calls_min: 10,
    window: Duration::from_secs(10),
    open: Duration::from_secs(5),
    open_max: Duration::from_secs(20),
};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn breaker() -> (Breaker, Instant) {
    let start = Instant::now();
    (Breaker::new(RULES, start), start)
}

fn fail(breaker: &Breaker, now: Instant) {
    breaker.admit(now).expect("is admitted").failure(now);
}

fn succeed(breaker: &Breaker, now: Instant) {
    breaker.admit(now).expect("is admitted").success(now);
}

/// Opens a closed breaker.
fn open(breaker: &Breaker, now: Instant) {
    (0..RULES.failures).for_each(|_| fail(breaker, now));
    assert_eq!(breaker.state(now), State::Open);
}

fn wait(breaker: &Breaker, now: Instant) -> Duration {
    breaker.admit(now).expect_err("is refused").wait
}

#[test]
fn failures_in_a_row_open_it_and_a_success_breaks_the_row() {
    let (breaker, now) = breaker();
    for _ in 0..3 {
        fail(&breaker, now);
        fail(&breaker, now);
        succeed(&breaker, now);
    }
    assert_eq!(breaker.state(now), State::Closed, "9 calls are too few for a share");
    fail(&breaker, now);
    assert_eq!(breaker.state(now), State::Open, "the tenth call makes it 7 of 10");
}

#[test]
fn a_share_of_failures_opens_it() {
    let (breaker, now) = breaker();
    for call in 1..=9 {
        if call % 2 == 0 { fail(&breaker, now) } else { succeed(&breaker, now) }
    }
    assert_eq!(breaker.state(now), State::Closed);
    fail(&breaker, now);
    assert_eq!((breaker.state(now), breaker.openings()), (State::Open, 1), "5 of 10");
}

#[test]
fn what_the_window_has_left_behind_does_not_count() {
    let (breaker, now) = breaker();
    for _ in 0..4 {
        fail(&breaker, now);
        succeed(&breaker, now);
    }
    let later = now + RULES.window;
    (0..8).for_each(|_| succeed(&breaker, later));
    fail(&breaker, later);
    fail(&breaker, later);
    assert_eq!(breaker.state(later), State::Closed, "2 of 10, and no longer 6 of 18");
}

#[test]
fn an_open_one_refuses_until_its_time_is_over_and_then_takes_one_probe() {
    let (breaker, now) = breaker();
    open(&breaker, now);
    assert_eq!(wait(&breaker, now + ms(1)), ms(4_999));
    let due = now + RULES.open;
    assert_eq!(breaker.state(due), State::HalfOpen);
    let probe = breaker.admit(due).unwrap();
    assert!(probe.is_probe());
    assert_eq!(wait(&breaker, due), Duration::ZERO, "the probe may be back at any time");
    probe.success(due + ms(10));
    assert_eq!(breaker.state(due + ms(10)), State::Closed);
    assert!(!breaker.admit(due + ms(10)).unwrap().is_probe());
}

#[test]
fn a_probe_that_fails_opens_it_for_longer_up_to_a_cap() {
    let (breaker, mut now) = breaker();
    open(&breaker, now);
    for (length, next) in [(5, 10), (10, 20), (20, 20), (20, 20)] {
        assert_eq!(wait(&breaker, now), Duration::from_secs(length));
        now += Duration::from_secs(length);
        let probe = breaker.admit(now).unwrap();
        now += ms(300);
        probe.failure(now);
        assert_eq!(wait(&breaker, now), Duration::from_secs(next));
    }
    assert_eq!(breaker.openings(), 1, "it was never closed in between");
}

#[test]
fn one_that_closes_only_to_open_again_stays_open_for_longer() {
    let (breaker, mut now) = breaker();
    open(&breaker, now);
    now += RULES.open;
    succeed(&breaker, now);
    open(&breaker, now + ms(4_999));
    assert_eq!(wait(&breaker, now + ms(4_999)), ms(10_000), "well for less than it was shut");
    now += ms(14_999);
    succeed(&breaker, now);
    now += ms(10_000);
    open(&breaker, now);
    assert_eq!(wait(&breaker, now), ms(5_000), "well for as long");
    assert_eq!(breaker.openings(), 3);
}

#[test]
fn a_probe_that_is_dropped_leaves_its_place_to_the_next_call() {
    let (breaker, now) = breaker();
    open(&breaker, now);
    let due = now + RULES.open;
    for _ in 0..3 {
        let probe = breaker.admit(due).unwrap();
        assert!(probe.is_probe() && breaker.admit(due).is_err());
        drop(probe);
    }
    assert_eq!(breaker.state(due), State::HalfOpen);
    succeed(&breaker, due);
    assert_eq!(breaker.state(due), State::Closed);
}

#[test]
fn a_call_of_an_earlier_phase_says_nothing() {
    let (breaker, now) = breaker();
    let late: Vec<Permit<'_>> = (0..9).map(|_| breaker.admit(now).unwrap()).collect();
    let good = breaker.admit(now).unwrap();
    open(&breaker, now);
    good.success(now);
    assert_eq!(breaker.state(now), State::Open, "only a probe closes it");
    let due = now + RULES.open;
    let probe = breaker.admit(due).unwrap();
    let mut late = late.into_iter();
    late.by_ref().take(4).for_each(|permit| permit.failure(due));
    probe.success(due);
    late.for_each(|permit| permit.failure(due));
    assert_eq!(breaker.state(due), State::Closed, "they were sent before it opened");
}

#[test]
fn closing_forgets_what_opened_it() {
    let (breaker, now) = breaker();
    for _ in 0..5 {
        succeed(&breaker, now);
        fail(&breaker, now);
    }
    assert_eq!(breaker.state(now), State::Open);
    let due = now + RULES.open;
    succeed(&breaker, due);
    fail(&breaker, due);
    fail(&breaker, due);
    assert_eq!(breaker.state(due), State::Closed);
}

#[test]
fn threads_send_one_probe_at_a_time() {
    use std::sync::atomic::AtomicBool;

    let (breaker, now) = breaker();
    open(&breaker, now);
    let due = now + RULES.open;
    let (probing, probes) = (AtomicBool::new(false), AtomicU32::new(0));
    let ask = || {
        for _ in 0..5_000 {
            let Ok(probe) = breaker.admit(due) else { continue };
            assert!(probe.is_probe() && !probing.swap(true, Ordering::SeqCst), "two at once");
            probes.fetch_add(1, Ordering::Relaxed);
            std::thread::yield_now();
            probing.store(false, Ordering::SeqCst);
            drop(probe);
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(ask))));
    assert!(probes.load(Ordering::Relaxed) > 0);
    succeed(&breaker, due);
    assert_eq!(breaker.state(due), State::Closed);
}

#[test]
fn threads_open_it_once() {
    let (breaker, now) = breaker();
    let call = || (0..100).filter_map(|_| breaker.admit(now).ok()).for_each(|p| p.failure(now));
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(call))));
    assert_eq!((breaker.state(now), breaker.openings()), (State::Open, 1));
    assert_eq!(wait(&breaker, now), RULES.open);
}

#[test]
fn a_thread_that_comes_late_to_open_it_changes_nothing() {
    let (breaker, now) = breaker();
    breaker.open(0, now);
    breaker.open(0, now + ms(1));
    assert_eq!((wait(&breaker, now), breaker.openings()), (RULES.open, 1));
    let due = now + RULES.open;
    succeed(&breaker, due);
    breaker.open(0, due);
    assert_eq!(breaker.state(due), State::Closed, "its phase is over");
}

/// The breaker as a list of what happened, without atomics, slots of its own or shortcuts.
struct Model {
    rules: Rules,
    now: u64,
    /// Calls of this closed phase: when, and whether they failed.
    seen: Vec<(u64, bool)>,
    closed: bool,
    /// Which closed phase it is.
    phase: u32,
    until: u64,
    probing: bool,
    length: u64,
    closed_at: u64,
}

impl Model {
    fn new(rules: Rules) -> Self {
        Self {
            rules,
            now: 0,
            seen: Vec::new(),
            closed: true,
            phase: 0,
            until: 0,
            probing: false,
            length: 0,
            closed_at: 0,
        }
    }

    /// The phase of the call and whether it is a probe, or the time to wait.
    fn admit(&mut self) -> Result<(u32, bool), u64> {
        if self.closed {
            return Ok((self.phase, false));
        }
        let wait = self.until.saturating_sub(self.now);
        if self.probing || wait > 0 {
            return Err(wait);
        }
        self.probing = true;
        Ok((self.phase, true))
    }

    fn end(&mut self, (phase, is_probe): (u32, bool), failed: Option<bool>) {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap();
        let (open, most) = (millis(self.rules.open), millis(self.rules.open_max));
        match (is_probe, failed) {
            (true, None) => self.probing = false,
            (true, Some(false)) => {
                self.phase += 1;
                (self.closed, self.probing, self.closed_at) = (true, false, self.now);
                self.seen.clear();
            }
            (true, Some(true)) => {
                self.length = (self.length * 2).min(most);
                (self.probing, self.until) = (false, self.now + self.length);
            }
            (false, Some(failed)) if self.closed && phase == self.phase => {
                self.seen.push((self.now, failed));
                if failed && self.is_too_much() {
                    let fresh = self.now - self.closed_at >= self.length;
                    self.length = if fresh { open } else { (self.length * 2).min(most) };
                    (self.closed, self.until) = (false, self.now + self.length);
                }
            }
            (false, _) => {}
        }
    }

    fn is_too_much(&self) -> bool {
        let slot = |at: u64| at / (u64::try_from(self.rules.window.as_millis()).unwrap() / 10);
        let recent: Vec<bool> = self
            .seen
            .iter()
            .filter(|(at, _)| slot(*at) + 10 > slot(self.now))
            .map(|(_, failed)| *failed)
            .collect();
        let in_row = self.seen.iter().rev().take_while(|(_, failed)| *failed).count();
        let failures = recent.iter().filter(|failed| **failed).count();
        let share = failures * 100 >= recent.len() * self.rules.ratio_percent as usize;
        in_row >= self.rules.failures as usize
            || (recent.len() >= self.rules.calls_min as usize && share)
    }

    fn state(&self) -> State {
        match (self.closed, self.now < self.until) {
            (true, _) => State::Closed,
            (false, true) => State::Open,
            (false, false) => State::HalfOpen,
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Call,
    /// One of the calls in flight: it failed, it did not, it was dropped.
    End(prop::sample::Index, Option<bool>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => prop_oneof![0u64..50, 0u64..3_000, 4_900u64..5_100].prop_map(Step::Wait),
        4 => Just(Step::Call),
        2 => any::<prop::sample::Index>().prop_map(|at| Step::End(at, Some(true))),
        1 => any::<prop::sample::Index>().prop_map(|at| Step::End(at, Some(false))),
        1 => any::<prop::sample::Index>().prop_map(|at| Step::End(at, None)),
    ]
}

fn rules() -> impl Strategy<Value = Rules> {
    (1u32..6, 1u32..=100, 1u32..12, 1u64..4, 1u64..3, 0u64..4).prop_map(
        |(failures, ratio_percent, calls_min, window, open, more)| Rules {
            failures,
            ratio_percent,
            calls_min,
            window: Duration::from_secs(window),
            open: Duration::from_secs(open),
            open_max: Duration::from_secs(open + more),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn it_does_what_the_model_does(
        rules in rules(),
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let start = Instant::now();
        let breaker = Breaker::new(rules, start);
        let mut model = Model::new(rules);
        let mut calls: Vec<(Permit<'_>, (u32, bool))> = Vec::new();
        for step in steps {
            let now = start + ms(model.now);
            match step {
                Step::Wait(millis) => model.now += millis,
                Step::Call => match (breaker.admit(now), model.admit()) {
                    (Ok(permit), Ok(modelled)) => {
                        prop_assert_eq!(permit.is_probe(), modelled.1);
                        calls.push((permit, modelled));
                    }
                    (Err(refused), Err(wait)) => prop_assert_eq!(refused.wait, ms(wait)),
                    (one, other) => prop_assert!(false, "{one:?}, the model {other:?}"),
                },
                Step::End(at, failed) if !calls.is_empty() => {
                    let (permit, modelled) = calls.swap_remove(at.index(calls.len()));
                    match failed {
                        Some(true) => permit.failure(now),
                        Some(false) => permit.success(now),
                        None => drop(permit),
                    }
                    model.end(modelled, failed);
                }
                Step::End(..) => {}
            }
            prop_assert_eq!(breaker.state(start + ms(model.now)), model.state());
        }
    }
}

/// splitmix64, so that a seed is a whole run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// Calls at every 100 ms, each of some length, to an endpoint that is well, then ill, then well again.
///
/// What must hold is told from outside: an endpoint that is ill is hardly called, and one that is well again
/// is called as before after at most the longest wait, one call, and the time to the next.
#[test]
fn an_outage_costs_few_calls_and_ends_soon() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let (breaker, start) = breaker();
        let ill = 5_000 + random.below(5_000)..0;
        let ill = ill.start..ill.start + 1_000 + random.below(120_000);
        let longest_call = 1 + random.below(2_000);
        let end = ill.end + 60_000;
        let mut flying: Vec<(u64, bool, Permit<'_>)> = Vec::new();
        let (mut sent_when_ill, mut refused_late) = (0, 0);
        for now in (0..end).step_by(100) {
            let moment = start + ms(now);
            let (done, still) = flying.into_iter().partition(|(ends, ..)| *ends <= now);
            flying = still;
            for (ends, fails, permit) in Vec::from_iter::<Vec<(u64, bool, Permit<'_>)>>(done) {
                let moment = start + ms(ends);
                match random.below(20) {
                    0 => drop(permit), // its client went away
                    _ if fails => permit.failure(moment),
                    _ => permit.success(moment),
                }
            }
            match breaker.admit(moment) {
                Ok(permit) => {
                    sent_when_ill += u64::from(ill.contains(&now));
                    let ends = now + 1 + random.below(longest_call);
                    flying.push((ends, ill.contains(&now), permit));
                }
                Err(_) => {
                    let settled = ill.end + 20_000 + 10 * longest_call + 1_000;
                    refused_late += u64::from(now >= settled);
                }
            }
            let probes = flying.iter().filter(|(.., permit)| permit.is_probe()).count();
            assert!(probes <= 1, "seed {seed}: {probes} probes at {now}");
        }
        // The row of three, what was in flight by then, and a probe for each time that it was open; a few more
        // for probes whose clients went away.
        let in_flight = longest_call / 100 + 1;
        let most = 2 * (3 + in_flight) + (ill.end - ill.start) / 5_000 + 10;
        assert!(sent_when_ill <= most, "seed {seed}: {sent_when_ill} of at most {most}");
        assert_eq!(refused_late, 0, "seed {seed}: refused long after the end of the outage");
    }
}
