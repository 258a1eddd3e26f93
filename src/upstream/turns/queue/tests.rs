use std::time::Duration;

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000;
const BOUNDS: Bounds = Bounds { all: 12, lane: 8 };

/// The same, as plainly as can be: whose turn comes when is found by trying.
#[derive(Clone)]
struct Model {
    /// Microseconds in which one turn comes back; none without a limit.
    period: Option<u64>,
    burst: u64,
    /// When the next turn is expected (ITU-T I.371's virtual scheduling).
    expected: u64,
    stopped: u64,
    /// In the order in which they came.
    waiting: Vec<(u64, Asking)>,
    /// Consumers that have somebody waiting, the next one first.
    turns: Vec<u32>,
}

impl Model {
    fn free_at(&self, now: u64) -> u64 {
        let begins = now.max(self.stopped);
        let Some(period) = self.period else { return begins };
        begins.max(self.expected.saturating_sub(period * (self.burst - 1)))
    }

    fn charge(&mut self, now: u64) {
        if let Some(period) = self.period {
            self.expected = self.expected.max(now) + period;
        }
    }

    fn push(&mut self, number: u64, asking: Asking) {
        if asking.rank != Rank::LogIn && !self.turns.contains(&asking.consumer) {
            self.turns.push(asking.consumer);
        }
        self.waiting.push((number, asking));
    }

    fn remove(&mut self, number: u64) -> Option<Asking> {
        let place = self.waiting.iter().position(|(known, _)| *known == number)?;
        let (_, asking) = self.waiting.remove(place);
        let waits = |consumer: &u32| {
            let mut lane = self.waiting.iter().filter(|(_, asking)| asking.rank != Rank::LogIn);
            lane.any(|(_, asking)| asking.consumer == *consumer)
        };
        let left: Vec<u32> = self.turns.iter().copied().filter(waits).collect();
        self.turns = left;
        Some(asking)
    }

    /// Who goes next, when that may be.
    fn take(&mut self, now: u64) -> Option<(u64, Asking)> {
        let find = |wanted: &dyn Fn(&Asking) -> bool| {
            self.waiting.iter().find(|(_, asking)| wanted(asking)).map(|(number, _)| *number)
        };
        let next = find(&|asking| asking.rank == Rank::LogIn).or_else(|| {
            let consumer = *self.turns.first()?;
            let own = |asking: &Asking| asking.consumer == consumer && asking.rank != Rank::LogIn;
            find(&|asking| own(asking) && asking.rank != Rank::Fresh).or_else(|| find(&own))
        })?;
        let asking = self.remove(next)?;
        self.charge(now);
        if asking.rank != Rank::LogIn && self.turns.first() == Some(&asking.consumer) {
            self.turns.rotate_left(1);
        }
        Some((next, asking))
    }

    /// When somebody who comes now would have a turn.
    fn turn_at(&self, asking: Asking, now: u64) -> u64 {
        let (mut tried, mut at) = (self.clone(), now);
        tried.push(u64::MAX, asking);
        loop {
            at = tried.free_at(at);
            if tried.take(at).unwrap().0 == u64::MAX {
                return at;
            }
        }
    }

    fn is_full(&self, asking: &Asking) -> bool {
        let own = |(_, other): &&(u64, Asking)| {
            other.consumer == asking.consumer && other.rank != Rank::LogIn
        };
        let own = self.waiting.iter().filter(own).count();
        let is_lane_full = asking.rank != Rank::LogIn && own >= BOUNDS.lane;
        self.waiting.len() >= BOUNDS.all || is_lane_full
    }
}

/// Both of them, with what has become of everybody.
struct Pair {
    queue: Queue<u64>,
    model: Model,
    now: u64,
    /// Holder, time and rank of every turn.
    turns: Vec<(u64, u64)>,
    asked: Vec<Asking>,
    /// By holder: the number that it waits under.
    numbers: BTreeMap<u64, u64>,
}

impl Pair {
    fn new(count: Option<u32>, burst: u32) -> Self {
        let pace = count.map(|count| Pace::new(count, Duration::from_secs(1), burst));
        let model = Model {
            period: count.map(|count| SECOND / u64::from(count)),
            burst: u64::from(burst),
            expected: 0,
            stopped: 0,
            waiting: Vec::new(),
            turns: Vec::new(),
        };
        let queue = Queue::new(pace, BOUNDS);
        let (turns, asked, numbers) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { queue, model, now: 0, turns, asked, numbers }
    }

    /// Lets go who is due, in both.
    fn serve(&mut self) {
        let now = self.now;
        while let Some(holder) = self.queue.next(now) {
            assert!(self.model.free_at(now) <= now, "too early at {now}");
            let (wanted, _) = self.model.take(now).unwrap();
            assert_eq!(holder, wanted, "whose turn it is at {now}");
            assert!(self.numbers.remove(&holder).is_some());
            self.turns.push((holder, now));
        }
        assert!(self.model.waiting.is_empty() || self.model.free_at(now) > now, "late at {now}");
        while let Some((holder, refusal)) = self.queue.expired(now) {
            let asking = self.model.remove(holder).unwrap();
            assert_eq!(asking.until, now, "it is told when its time is over");
            assert_eq!(refusal.is_stopped, self.model.stopped > now);
            assert!(self.numbers.remove(&holder).is_some());
        }
        assert_eq!(self.queue.waiting(), self.model.waiting.len());
    }

    fn advance(&mut self, to: u64) {
        while let Some(wakes) = self.queue.wakes(self.now).filter(|wakes| *wakes <= to) {
            let ends = self.model.waiting.iter().map(|(_, asking)| asking.until).min().unwrap();
            assert_eq!(wakes, ends.min(self.model.free_at(self.now)), "when something happens");
            self.now = wakes;
            self.serve();
        }
        self.now = to;
    }

    fn arrive(&mut self, asking: Asking) -> Arrival {
        let (now, holder) = (self.now, self.asked.len() as u64);
        let turn_at = self.model.turn_at(asking, now);
        let arrival = self.queue.arrive(asking, now, || holder);
        match arrival {
            Arrival::Goes => {
                assert!(turn_at <= now && self.model.waiting.is_empty());
                self.model.charge(now);
                self.turns.push((holder, now));
            }
            Arrival::Waits(number) => {
                assert!(turn_at > now && turn_at <= asking.until && !self.model.is_full(&asking));
                self.model.push(holder, asking);
                self.numbers.insert(holder, number);
            }
            Arrival::Refused(refusal) => {
                assert!(turn_at > asking.until || self.model.is_full(&asking), "{asking:?}");
                let told = refusal.after;
                assert!(refusal.is_stopped || told == turn_at - now, "{told} for {turn_at}");
            }
        }
        self.asked.push(asking);
        arrival
    }

    fn leave(&mut self, which: usize) {
        let Some((&holder, &number)) = self.numbers.iter().nth(which % self.numbers.len().max(1))
        else {
            return;
        };
        let until = self.asked[usize::try_from(holder).unwrap()].until;
        assert_eq!(self.queue.leave(until, number), Some(holder));
        assert_eq!(self.queue.leave(until, number), None, "it has left already");
        self.model.remove(holder).unwrap();
        self.numbers.remove(&holder);
    }
}

fn fresh(consumer: u32, until: u64) -> Asking {
    Asking { consumer, rank: Rank::Fresh, until }
}

/// At most `burst + rate × t` turns in any time t.
fn is_within(turns: &[u64], count: u64, burst: u64) {
    for (first, start) in turns.iter().enumerate() {
        for (index, end) in turns.iter().enumerate().skip(first) {
            let most = burst + (end - start) * count / SECOND;
            assert!((index - first + 1) as u64 <= most, "{index} at {end}");
        }
    }
}

proptest! {
    /// However many come, go away, wait for long or short, and whatever the upstream says.
    #[test]
    fn turns_are_those_of_the_naive_model(
        count in prop::option::of(prop::sample::select(vec![1u32, 2, 5, 20, 100])),
        burst in 1u32..5,
        steps in prop::collection::vec((0u64..400_000, 0u32..12, 0u32..5, 0u64..3_000_000), 1..150),
    ) {
        let mut pair = Pair::new(count, burst);
        for (waits, what, consumer, patience) in steps {
            let waits = if what % 2 == 0 { waits } else { waits % 20_000 };
            pair.advance(pair.now + waits);
            let rank = match what {
                0 => Rank::LogIn,
                1 => Rank::After,
                2 | 3 => Rank::Begun,
                _ => Rank::Fresh,
            };
            match what {
                10 => pair.leave(usize::try_from(patience).unwrap()),
                11 if consumer == 0 => {
                    pair.queue.stop(pair.now, patience, SECOND);
                    pair.model.stopped = pair.model.stopped.max(pair.now + patience.min(SECOND));
                }
                _ => {
                    let asking = Asking { consumer, rank, until: pair.now + patience };
                    pair.arrive(asking);
                }
            }
        }
        // Nobody starves: everybody who still waits has a turn, or is told that there is none.
        pair.advance(pair.now + 5 * SECOND);
        prop_assert!(pair.numbers.is_empty() && pair.queue.waiting() == 0);
        prop_assert!(pair.queue.lanes.is_empty() && pair.queue.wakes(pair.now).is_none());
        if let Some(count) = count {
            let turns: Vec<u64> = pair.turns.iter().map(|(_, at)| *at).collect();
            is_within(&turns, u64::from(count), u64::from(burst));
        }
    }

    /// Whatever else waits: a consumer that has nobody waiting waits for one turn of each other one at most.
    #[test]
    fn a_flood_delays_others_by_one_turn_each(
        floods in prop::collection::vec(1usize..60, 1..6),
        quiet in 1usize..30,
    ) {
        let bounds = Bounds { all: 1_000, lane: 1_000 };
        let pace = Pace::new(20, Duration::from_secs(1), 1);
        let mut queue: Queue<u32> = Queue::new(Some(pace), bounds);
        let flooding = u32::try_from(floods.len()).unwrap();
        for (consumer, calls) in (0..).zip(&floods) {
            for _ in 0..*calls {
                let _ = queue.arrive(fresh(consumer, u64::MAX), 0, || consumer);
            }
        }
        let mut now = 0;
        for _ in 0..quiet {
            let arrival = queue.arrive(fresh(flooding, u64::MAX), now, || flooding);
            if arrival == Arrival::Goes {
                continue;
            }
            let mut before = Vec::new();
            loop {
                now = queue.wakes(now).unwrap();
                let Some(consumer) = queue.next(now) else { continue };
                if consumer == flooding {
                    break;
                }
                prop_assert!(!before.contains(&consumer), "{consumer} has gone twice");
                before.push(consumer);
            }
        }
    }
}

#[test]
fn a_log_in_goes_first_and_what_has_begun_before_what_has_not() {
    let pace = Pace::new(1, Duration::from_secs(1), 1);
    let mut queue = Queue::new(Some(pace), BOUNDS);
    assert_eq!(queue.arrive(fresh(1, u64::MAX), 0, || "gone"), Arrival::Goes);
    let ask = |consumer, rank| Asking { consumer, rank, until: u64::MAX };
    for (asking, name) in [
        (ask(1, Rank::Fresh), "fresh"),
        (ask(2, Rank::Fresh), "other"),
        (ask(1, Rank::Begun), "begun"),
        (ask(1, Rank::After), "after"),
        (ask(1, Rank::LogIn), "log-in"),
    ] {
        assert!(matches!(queue.arrive(asking, 0, || name), Arrival::Waits(_)), "{name}");
    }
    let names = (1..=5).map(|second| queue.next(second * SECOND).unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["log-in", "begun", "other", "after", "fresh"]);
}

#[test]
fn a_stop_holds_as_long_as_it_is_obeyed_and_tells_as_long_as_it_was_said() {
    let mut queue = Queue::new(None, BOUNDS);
    queue.stop(0, 100 * SECOND, 10 * SECOND);
    // A shorter word does not end it.
    queue.stop(0, SECOND, 10 * SECOND);
    let refused = queue.arrive(fresh(1, 9 * SECOND), 0, || ());
    let refusal = Refusal { after: 100 * SECOND, is_stopped: true };
    assert_eq!(refused, Arrival::Refused(refusal));
    assert_eq!(queue.arrive(fresh(1, 10 * SECOND), SECOND, || ()), Arrival::Waits(0));
    assert_eq!(queue.wakes(SECOND), Some(10 * SECOND));
    assert_eq!(queue.next(10 * SECOND - 1), None);
    assert_eq!(queue.next(10 * SECOND), Some(()));
    assert_eq!(queue.arrive(fresh(1, 0), 10 * SECOND, || ()), Arrival::Goes);
}

/// A health check goes whatever the bucket says, and what comes behind it has to wait for it.
#[test]
fn what_leaves_unasked_is_paid_for_by_what_comes_later() {
    let pace = Pace::new(2, Duration::from_secs(1), 1);
    let mut queue = Queue::new(Some(pace), BOUNDS);
    (0..3).for_each(|_| queue.charge(0));
    assert_eq!(queue.arrive(fresh(1, u64::MAX), 0, || ()), Arrival::Waits(0));
    assert_eq!(queue.wakes(0), Some(3 * SECOND / 2));
}
