//! Whatever is charged in whatever order, at whatever times: a process, a fleet and the model decide the same.

use latimer::limit::memory::Memory;
use latimer::limit::{Charge, Rule, Verdict};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::model::{Model, Wanted};
use crate::server::Server;
use crate::{Counts, DAY, HOUR, SECOND, THEN, charge, open, runtime};

const LIMITS: [Wanted; 12] = [
    Wanted::Rate { count: 25, seconds: 1, burst: 25 },
    Wanted::Rate { count: 3, seconds: 1, burst: 1 },
    Wanted::Rate { count: 7, seconds: 60, burst: 3 },
    Wanted::Rate { count: 700_000, seconds: 1, burst: 4 },
    Wanted::Rate { count: 1_000_000, seconds: 86_400, burst: 5 },
    Wanted::Rate { count: 999_983, seconds: 86_400, burst: 1_000_000 },
    Wanted::Rate { count: 999_983, seconds: 1_000, burst: 9_000_000 },
    Wanted::Day { calls: 4, zone: "America/Los_Angeles" },
    Wanted::Day { calls: 1_000_000, zone: "UTC" },
    Wanted::Sliding { calls: 5, length: DAY },
    Wanted::Sliding { calls: 2, length: 25 },
    Wanted::Sliding { calls: 3, length: 90 * SECOND + 1 },
];
const SUBJECTS: u64 = 3;

#[derive(Clone, Debug)]
enum Step {
    /// Limits by their bits.
    Charge(u16, u64),
    /// The same at the same time, often.
    Burst(u16, u64, u8),
    Look(usize, u64),
    Reset(usize, u64),
    Wait(u64),
    /// The clock is set back.
    Back(u64),
}

fn limits() -> impl Strategy<Value = u16> {
    prop_oneof![
        (0..LIMITS.len()).prop_map(|only| 1 << only),
        (0..LIMITS.len(), 0..LIMITS.len()).prop_map(|(one, other)| 1 << one | 1 << other),
        1u16..1 << LIMITS.len(),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let subject = 0..SUBJECTS;
    let far = || prop_oneof![0..30u64, 0..SECOND, 0..2 * HOUR, 0..3 * DAY, 0..400 * DAY];
    prop_oneof![
        6 => (limits(), subject.clone()).prop_map(|(limits, subject)| Step::Charge(limits, subject)),
        2 => (limits(), subject.clone(), 1..30u8).prop_map(|(a, b, c)| Step::Burst(a, b, c)),
        1 => (0..LIMITS.len(), subject.clone()).prop_map(|(rule, subject)| Step::Look(rule, subject)),
        1 => (0..LIMITS.len(), subject).prop_map(|(rule, subject)| Step::Reset(rule, subject)),
        4 => prop_oneof![4 => 0..100_000u64, 2 => far()].prop_map(Step::Wait),
        1 => far().prop_map(Step::Back),
    ]
}

fn rules() -> Vec<Rule> {
    LIMITS.iter().zip(0..).map(|(one, number)| one.rule(&format!("limit-{number}"))).collect()
}

/// All of them must say what the model says.
struct Together {
    model: Model,
    counts: Vec<(&'static str, Box<dyn Counts>)>,
    now: u64,
    /// Callers of one run are not those of another.
    first: u64,
}

impl Together {
    fn charges(&self, limits: u16, subject: u64) -> Vec<Charge> {
        let chosen = (0..LIMITS.len()).filter(|index| limits >> index & 1 == 1);
        chosen.map(|index| charge(index, self.first + subject)).collect()
    }

    fn charge(&mut self, limits: u16, subject: u64) -> Result<(), TestCaseError> {
        let charges = self.charges(limits, subject);
        let (refused, rooms) = self.model.charge(&charges, self.now);
        for (name, counts) in &mut self.counts {
            let verdict: Verdict = counts.charge(&charges, self.now);
            let found: Vec<_> = verdict.standings.iter().map(|one| one.room).collect();
            prop_assert_eq!(&found, &rooms, "{} at {}: {:?}", name, self.now, &charges);
            prop_assert_eq!(verdict.refused, refused, "{} at {}: {:?}", name, self.now, &charges);
            let rules = verdict.standings.iter().map(|one| one.rule);
            prop_assert!(rules.eq(charges.iter().map(|one| one.rule)));
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Charge(limits, subject) => self.charge(limits, subject)?,
            Step::Burst(limits, subject, calls) => {
                for _ in 0..calls {
                    self.charge(limits, subject)?;
                }
            }
            Step::Look(rule, subject) => {
                let charge = charge(rule, self.first + subject);
                let room = self.model.look(charge, self.now);
                for (name, counts) in &mut self.counts {
                    prop_assert_eq!(counts.look(charge, self.now), room, "{}", name);
                }
            }
            Step::Reset(rule, subject) => {
                let charge = charge(rule, self.first + subject);
                self.model.reset(charge);
                self.counts.iter_mut().for_each(|(_, counts)| counts.reset(charge));
            }
            Step::Wait(time) => self.now += time,
            Step::Back(time) => self.now -= time,
        }
        Ok(())
    }
}

fn hold(
    cases: u32,
    mut counts: impl FnMut() -> Vec<(&'static str, Box<dyn Counts>)>,
) -> impl FnMut() {
    move || {
        let mut runner =
            TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
        let first = std::cell::Cell::new(0);
        let counts = std::cell::RefCell::new(&mut counts);
        let held = runner.run(&prop::collection::vec(step(), 1..120), |steps| {
            first.set(first.get() + SUBJECTS);
            let (model, counts) = (Model::new(&LIMITS), counts.borrow_mut()());
            // Far enough from the beginning of time for a clock that is set back again and again.
            let now = THEN + 20_000 * DAY;
            let mut together = Together { model, counts, now, first: first.get() };
            steps.iter().try_for_each(|step| together.step(step))
        });
        held.unwrap_or_else(|failed| panic!("{failed}"));
    }
}

fn memory() -> (&'static str, Box<dyn Counts>) {
    ("memory", Box::new(Memory::new(rules().into())))
}

#[test]
fn a_process_decides_as_the_definitions_do() {
    hold(1_000, || vec![memory()])();
}

#[test]
fn a_fleet_decides_as_the_definitions_and_a_process_do() {
    let server = Server::start();
    let redis = std::rc::Rc::new((open(&server.settings(), rules()), runtime()));
    hold(80, || vec![memory(), ("redis", Box::new(std::rc::Rc::clone(&redis)))])();
}

/// One connection for all runs.
impl Counts for std::rc::Rc<(latimer::limit::Redis, tokio::runtime::Runtime)> {
    fn charge(&mut self, charges: &[Charge], at: u64) -> Verdict {
        self.1.block_on(self.0.charge(charges, Some(at))).unwrap()
    }

    fn look(&mut self, charge: Charge, at: u64) -> latimer::limit::Room {
        self.1.block_on(self.0.look(charge, Some(at))).unwrap()
    }

    fn reset(&mut self, charge: Charge) {
        self.1.block_on(self.0.reset(charge)).unwrap();
    }
}
