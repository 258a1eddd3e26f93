//! How much may be called: `limits:`, and a route's `limit` and `limits`.

mod store;

use std::time::Duration;

pub use store::{LimitStore, OnStoreFailure, RedisConfig, SharedLimits};

use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::form::{self, Malformed, Rate, quote};
use super::gateway::TIMEOUT;
use super::section::{Reader, Section};
use super::tree::{Entry, Item, Kind, Spanned};
use super::{codes, schema};
use crate::bounds;

/// The rate of a route that says none; its burst is the same number.
pub const RATE: Rate = Rate { count: 25, per: Duration::from_secs(1) };

/// Calls from one address that show no key that is good: so many a second, and at once.
const UNAUTHENTICATED: Limit =
    Limit::Bucket { rate: Rate { count: 50, per: Duration::from_secs(1) }, burst: 500 };

/// How long a call may wait for room at its upstream: not at all, or as long as a deadline may be.
const WAIT: (Duration, Duration) = (Duration::ZERO, TIMEOUT.1);

/// Calls that a quota may have.
const QUOTA_MAX: u32 = 1_000_000_000;

/// How much may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// As much as anybody likes.
    None,
    /// At most `burst + rate × t` in any time t.
    Bucket {
        /// What comes back over time.
        rate: Rate,
        /// What may be used at once.
        burst: u32,
    },
}

/// How much may be sent to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamLimit {
    /// What comes back over time.
    pub rate: Rate,
    /// What may be sent at once.
    pub burst: u32,
    /// How long a call waits for room.
    pub wait: Duration,
}

/// What is counted, over all routes.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Limits that routes name.
    pub named: Vec<NamedLimit>,
    /// Calls from one address without a key that is good.
    pub unauthenticated: Limit,
    /// Where they are counted.
    pub store: LimitStore,
}

/// A limit that routes name.
#[derive(Clone, Debug)]
pub struct NamedLimit {
    /// Its name.
    pub name: Spanned<String>,
    /// Whose calls are counted together.
    pub scope: LimitScope,
    /// How.
    pub form: LimitForm,
}

/// Whose calls are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitScope {
    /// A consumer's.
    Consumer,
    /// Those with one key, or of one user who logged in.
    Key,
    /// A route's.
    Route,
    /// Those for one upstream.
    Upstream,
    /// Those from one address.
    Address,
}

/// How calls are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitForm {
    /// At most `burst + rate × t` in any time t.
    Rate {
        /// What comes back over time.
        rate: Rate,
        /// What may be used at once.
        burst: u32,
    },
    /// So many in a day.
    Daily {
        /// How many.
        calls: u32,
        /// When the day begins.
        begins: Time,
        /// Where.
        zone: TimeZone,
    },
    /// So many in any time of a length.
    Sliding {
        /// How many.
        calls: u32,
        /// The length.
        length: Duration,
    },
}

/// When a quota begins anew.
enum Resets {
    At(Time, TimeZone),
    Sliding,
}

/// `limits`.
pub(super) fn read(reader: &mut Reader<'_>, root: &Section<'_>) -> Limits {
    let default =
        Limits { named: Vec::new(), unauthenticated: UNAUTHENTICATED, store: LimitStore::Memory };
    let Some(section) = &reader.subsection(root, "limits", schema::LIMITS) else { return default };
    let unauthenticated = bucket(reader, section, "unauthenticated", UNAUTHENTICATED);
    let named = reader.named(section, "named");
    let named = named.into_iter().filter_map(|entry| one(reader, entry)).collect();
    Limits { named, unauthenticated, store: store::read(reader, section) }
}

fn one(reader: &mut Reader<'_>, entry: &Entry) -> Option<NamedLimit> {
    const PER: &str = "write `per: consumer`, `key`, `route`, `upstream` or `address`";
    let title = format!("limit {}", quote(&entry.name.value));
    let section = &reader.section(&entry.item, title, &entry.name.at, schema::NAMED_LIMIT)?;
    reader.required(section, "per", PER)?;
    let words = [
        ("consumer", LimitScope::Consumer),
        ("key", LimitScope::Key),
        ("route", LimitScope::Route),
        ("upstream", LimitScope::Upstream),
        ("address", LimitScope::Address),
    ];
    let scope = reader.word(section, "per", &words, LimitScope::Consumer);
    let form = match (section.get("rate"), section.get("quota")) {
        (Some(_), None) => {
            useless(reader, section, "resets", "a rate has no time at which it begins anew");
            let Limit::Bucket { rate, burst } = rate_and_burst(reader, section, RATE) else {
                return None;
            };
            LimitForm::Rate { rate, burst }
        }
        (None, Some(item)) => {
            useless(reader, section, "burst", "a quota may be used at once");
            quota(reader, section, item)?
        }
        (Some(_), Some(quota)) => {
            let message = format!("{} has both a rate and a quota", section.title);
            reader.error(codes::CONFLICT, &quota.at, message, "make it two limits");
            return None;
        }
        (None, None) => {
            let message = format!("{} has neither `rate` nor `quota`", section.title);
            let hint = "add `rate: 25/s`, or `quota: 25000/day` and `resets`";
            reader.error(codes::MISSING, &section.at, message, hint);
            return None;
        }
    };
    Some(NamedLimit { name: entry.name.clone(), scope, form })
}

fn useless(reader: &mut Reader<'_>, section: &Section<'_>, key: &str, why: &str) {
    if let Some(item) = section.get(key) {
        let message = format!("`{key}` means nothing here");
        reader.error(codes::CONFLICT, &item.at, message, why);
    }
}

fn quota(reader: &mut Reader<'_>, section: &Section<'_>, item: &Item) -> Option<LimitForm> {
    const RESETS: &str = "add `resets: 00:00 America/Los_Angeles`, or `resets: sliding`";
    let quota = reader.parsed(item, "quota", |text| form::rate_to(QUOTA_MAX, text));
    let resets = reader.required(section, "resets", RESETS);
    let resets = resets.and_then(|item| reader.parsed(item, "resets", resets_at))?;
    let Rate { count: calls, per } = quota?.value;
    match resets.value {
        Resets::Sliding => Some(LimitForm::Sliding { calls, length: per }),
        Resets::At(begins, zone) if per == Duration::from_secs(86_400) => {
            Some(LimitForm::Daily { calls, begins, zone })
        }
        Resets::At(..) => {
            let message = "only a quota per day begins anew at a time of day";
            reader.error(codes::CONFLICT, &resets.at, message, "write `resets: sliding`");
            None
        }
    }
}

/// `sliding`, or a time of day and an IANA time zone.
fn resets_at(text: &str) -> Result<Resets, Malformed> {
    if text == "sliding" {
        return Ok(Resets::Sliding);
    }
    let hint = "write a time and an IANA time zone, such as `00:00 America/Los_Angeles`";
    let (time, zone) = text
        .split_once(' ')
        .ok_or_else(|| Malformed::new(format!("{} says no time and zone", quote(text)), hint))?;
    let begins = Time::strptime("%H:%M", time)
        .map_err(|_| Malformed::new(format!("{} is no time of day", quote(time)), hint))?;
    let zone = TimeZone::get(zone.trim())
        .map_err(|_| Malformed::new(format!("there is no time zone {}", quote(zone)), hint))?;
    Ok(Resets::At(begins, zone))
}

/// C003: keys that each gateway would count under another name.
pub(super) fn check(reader: &mut Reader<'_>, limits: &Limits, has_pepper: bool) {
    if has_pepper || matches!(limits.store, LimitStore::Memory) {
        return;
    }
    for limit in limits.named.iter().filter(|limit| limit.scope == LimitScope::Key) {
        let name = quote(&limit.name.value);
        let message = format!("{name} counts keys, which each gateway knows by hashes of its own");
        reader.error(codes::MISSING, &limit.name.at, message, "add the installation's `pepper:`");
    }
}

/// A route's own limit; a route that names limits has none that nobody wrote.
pub(super) fn limit(reader: &mut Reader<'_>, section: &Section<'_>, names_others: bool) -> Limit {
    let default = match names_others {
        true => Limit::None,
        false => Limit::Bucket { rate: RATE, burst: RATE.count },
    };
    bucket(reader, section, "limit", default)
}

/// `none`, or a rate and a burst.
fn bucket(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    key: &'static str,
    default: Limit,
) -> Limit {
    let Some(item) = section.get(key) else { return default };
    if let Kind::Text(text) = &item.kind {
        if text == "none" {
            return Limit::None;
        }
        let message = format!("`{key}`: {} is neither `none` nor a limit", quote(text));
        reader.error(codes::FORM, &item.at, message, "write `{rate: 25/s, burst: 25}` or `none`");
        return default;
    }
    let Some(limit) = reader.subsection(section, key, schema::LIMIT) else { return default };
    let rate = match default {
        Limit::Bucket { rate, .. } => rate,
        Limit::None => RATE,
    };
    rate_and_burst(reader, &limit, rate)
}

fn rate_and_burst(reader: &mut Reader<'_>, section: &Section<'_>, default: Rate) -> Limit {
    let rate = reader.leaf(section, "rate", form::rate).map_or(default, |rate| rate.value);
    let parse = |text: &str| form::count(text).and_then(|burst| fills(text, burst, rate));
    let burst = reader.leaf(section, "burst", parse).map_or(rate.count, |burst| burst.value);
    Limit::Bucket { rate, burst }
}

/// An upstream's `limit`.
pub(super) fn of_upstream(
    reader: &mut Reader<'_>,
    upstream: &Section<'_>,
) -> Option<UpstreamLimit> {
    let section = &reader.subsection(upstream, "limit", schema::UPSTREAM_LIMIT)?;
    let hint = "add `rate:` with what the system allows, such as `25/s`";
    let rate = reader.required(section, "rate", hint);
    let rate = rate.and_then(|item| reader.parsed(item, &section.path("rate"), form::rate));
    let known = rate.as_ref().map_or(RATE, |rate| rate.value);
    let parse = |text: &str| form::count(text).and_then(|burst| fills(text, burst, known));
    // Whoever counts strictly sees no more than the rate at any time.
    let burst = reader.leaf(section, "burst", parse).map_or(1, |burst| burst.value);
    let wait = reader.duration(section, "wait", WAIT, bounds::UPSTREAM_WAIT);
    Some(UpstreamLimit { rate: rate?.value, burst, wait })
}

/// A burst that comes back within [`bounds::LIMIT_FILL_MAX`] at its rate.
fn fills(text: &str, burst: u32, rate: Rate) -> Result<u32, Malformed> {
    let longest = bounds::LIMIT_FILL_MAX.as_secs();
    let most = longest * u64::from(rate.count) / rate.per.as_secs();
    if u64::from(burst) <= most {
        return Ok(burst);
    }
    let years = longest / (365 * 86_400);
    Err(Malformed::new(
        format!("{} at `{rate}` would take more than {years} years to come back", quote(text)),
        format!("write 1 to {most}, or a higher rate"),
    ))
}

/// The names under a route's `limits`, each once.
pub(super) fn of_route(reader: &mut Reader<'_>, section: &Section<'_>) -> Vec<Spanned<String>> {
    let Some(item) = section.get("limits") else { return Vec::new() };
    let Kind::List(items) = &item.kind else {
        reader.wrong_kind(item, "`limits`", "a list of limits such as `[per-day]`");
        return Vec::new();
    };
    let mut names: Vec<Spanned<String>> = Vec::new();
    for item in items {
        let Some(name) = reader.parsed(item, "limits", form::text) else { continue };
        if names.iter().any(|known| known.value == name.value) {
            let message = format!("`limits` names {} twice", quote(&name.value));
            reader.error(codes::CONFLICT, &name.at, message, "once is enough");
            continue;
        }
        names.push(name);
    }
    names
}
