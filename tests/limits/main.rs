//! The limits: one suite for what one process counts and for what a fleet counts in Redis, both held against a model
//! that is written from the definitions; and what holds while Redis is away.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

#[path = "../end_to_end/authority.rs"]
mod authority;
mod behaviours;
mod model;
mod outages;
#[path = "../support/process.rs"]
mod process;
mod property;
#[path = "../support/redis.rs"]
mod server;
mod store;

use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use latimer::config::RedisConfig;
use latimer::limit::memory::Memory;
use latimer::limit::{
    Charge, Form, Now, Pace, Quota, Redis, Room, Rule, Scope, Span, Subject, Verdict,
};

pub(crate) const SECOND: u64 = 1_000_000;
pub(crate) const HOUR: u64 = 3_600 * SECOND;
pub(crate) const DAY: u64 = 24 * HOUR;
/// 14 November 2023, some time before the tests were written.
pub(crate) const THEN: u64 = 1_700_000_000 * SECOND;

/// Whoever counts by rules.
pub(crate) trait Counts {
    fn charge(&mut self, charges: &[Charge], at: u64) -> Verdict;
    fn look(&mut self, charge: Charge, at: u64) -> Room;
    fn reset(&mut self, charge: Charge);
}

/// Whatever gives counts with nothing in them, as often as it is asked.
pub(crate) trait Fresh {
    fn counts(&mut self, rules: Vec<Rule>) -> Box<dyn Counts>;
}

pub(crate) struct InMemory;

/// One server for all of them, with another prefix each.
pub(crate) struct InRedis(pub(crate) server::Server);

struct Stored {
    redis: Redis,
    runtime: tokio::runtime::Runtime,
}

impl Fresh for InMemory {
    fn counts(&mut self, rules: Vec<Rule>) -> Box<dyn Counts> {
        Box::new(Memory::new(rules.into()))
    }
}

impl Fresh for InRedis {
    fn counts(&mut self, rules: Vec<Rule>) -> Box<dyn Counts> {
        let redis = open(&self.0.settings(), rules);
        Box::new(Stored { redis, runtime: runtime() })
    }
}

impl Counts for Memory {
    fn charge(&mut self, charges: &[Charge], at: u64) -> Verdict {
        Self::charge(self, charges, now(at))
    }

    fn look(&mut self, charge: Charge, at: u64) -> Room {
        Self::look(self, charge, now(at))
    }

    fn reset(&mut self, charge: Charge) {
        Self::reset(self, charge);
    }
}

impl Counts for Stored {
    fn charge(&mut self, charges: &[Charge], at: u64) -> Verdict {
        self.runtime.block_on(self.redis.charge(charges, Some(at))).unwrap()
    }

    fn look(&mut self, charge: Charge, at: u64) -> Room {
        self.runtime.block_on(self.redis.look(charge, Some(at))).unwrap()
    }

    fn reset(&mut self, charge: Charge) {
        self.runtime.block_on(self.redis.reset(charge)).unwrap();
    }
}

pub(crate) fn open(settings: &RedisConfig, rules: Vec<Rule>) -> Redis {
    Redis::new(settings, rules.into()).unwrap()
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The same time on both clocks.
pub(crate) fn now(at: u64) -> Now {
    Now { steady: at, wall: at }
}

pub(crate) fn charge(rule: usize, subject: u64) -> Charge {
    Charge { rule, subject: Subject(subject) }
}

fn rule(name: &str, form: Form) -> Rule {
    Rule { name: name.into(), scope: Scope::Consumer, form }
}

/// So many calls in so many seconds.
pub(crate) fn rate(name: &str, count: u32, seconds: u64, burst: u32) -> Rule {
    let per = Duration::from_secs(seconds);
    rule(name, Form::Rate { pace: Pace::new(count, per, burst), per })
}

pub(crate) fn sliding(name: &str, calls: u64, length: u64) -> Rule {
    rule(name, Form::Quota(Quota { calls, span: Span::Sliding(length) }))
}

/// So many calls from midnight to midnight.
pub(crate) fn daily(name: &str, calls: u64, zone: &str) -> Rule {
    let zone = TimeZone::get(zone).unwrap();
    rule(name, Form::Quota(Quota { calls, span: Span::Day { begins: Time::midnight(), zone } }))
}

pub(crate) fn time(text: &str) -> u64 {
    u64::try_from(text.parse::<jiff::Timestamp>().unwrap().as_microsecond()).unwrap()
}
