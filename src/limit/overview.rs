//! How limits stand for those whom they count, for the operator who looks, and who gives calls back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::limit::ledger;
use crate::limit::limits::Limits;
use crate::limit::memory::Memory;
use crate::limit::rule::{Rule, Scope, Subject};
use crate::limit::{Now, Room};
use crate::plan::Plan;
use crate::store::StoreError;

/// How a limit stands.
#[derive(Debug)]
pub struct Overview {
    /// Those with the fewest calls left, these first.
    pub callers: Vec<Counted>,
    /// How many more are counted.
    pub more: usize,
    /// When that was.
    pub now: Now,
}

/// Somebody who is counted.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// Who.
    pub subject: Subject,
    /// What there is room for.
    pub room: Room,
}

impl Limits {
    /// All limits of which somebody can look at the counts, by their index; the last one is that of calls without a
    /// key that is good, if there is one.
    pub fn all(&self) -> impl Iterator<Item = &Rule> {
        let guarded = self.guarded().into_iter().flat_map(|memory| memory.rules().iter());
        self.rules().iter().chain(guarded)
    }

    /// The limit with a name.
    pub fn named(&self, name: &str) -> Option<(usize, &Rule)> {
        self.all().enumerate().find(|(_, rule)| *rule.name == *name)
    }

    /// How one of them stands: for one caller, or for so many at most.
    pub fn overview(&self, limit: usize, only: Option<Subject>, most: usize) -> Option<Overview> {
        let (memory, rule) = self.table(limit)?;
        let now = self.now();
        let (mut callers, counted) = memory.standings(rule, only, most, now);
        callers.sort_by_key(|counted| (counted.room.calls, counted.subject.0));
        let more = counted - callers.len();
        Some(Overview { callers, more, now })
    }

    /// Forgets what one of them has counted, of one caller or of all; says of how many. What is kept of it in the
    /// state goes first.
    ///
    /// # Errors
    /// If the state cannot forget it; then nothing is forgotten.
    pub async fn reset(&self, limit: usize, only: Option<Subject>) -> Result<usize, StoreError> {
        let Some((memory, rule)) = self.table(limit) else { return Ok(0) };
        let is_quota = memory.rules()[rule].is_quota();
        match self.ledger().filter(|_| is_quota) {
            Some(ledger) => ledger.forget(memory, rule, only).await,
            None => Ok(ledger::forget(memory, rule, only)),
        }
    }

    fn table(&self, limit: usize) -> Option<(&Memory, usize)> {
        let own = self.rules().len();
        if limit < own {
            return Some((self.counts(), limit));
        }
        Some((self.guarded()?, limit - own)).filter(|(memory, rule)| *rule < memory.rules().len())
    }
}

impl Scope {
    /// What is counted together, as the configuration has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Key => "key",
            Self::Route => "route",
            Self::Upstream => "upstream",
            Self::Address => "address",
        }
    }

    /// Who that is. A key is told by the first digits of its hash, and so is a name that the plan does not have
    /// any more.
    pub fn who(self, subject: Subject, plan: &Plan) -> String {
        let mut names: Box<dyn Iterator<Item = &str>> = match self {
            Self::Consumer => Box::new(plan.consumers.iter().map(String::as_str)),
            Self::Route => Box::new(plan.routes.iter().map(|route| route.name.as_str())),
            Self::Upstream => Box::new(plan.upstreams.iter().map(|one| one.name.as_str())),
            Self::Address => return subject.shown_address(),
            Self::Key => return format!("{:012x}…", subject.0 >> 16),
        };
        match names.find(|name| Subject::named(name) == subject) {
            Some(name) => name.to_owned(),
            None => format!("{:012x}…", subject.0 >> 16),
        }
    }
}

impl Subject {
    /// The address, or the network of IPv6, that it stands for.
    fn shown_address(self) -> String {
        match u32::try_from(self.0) {
            Ok(bits) => IpAddr::V4(Ipv4Addr::from_bits(bits)).to_string(),
            Err(_) => format!("{}/64", Ipv6Addr::from_bits(u128::from(self.0) << 64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_as_they_are_counted() {
        for (address, shown) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ] {
            let subject = Subject::address(address.parse().unwrap());
            assert_eq!(subject.shown_address(), shown);
        }
    }
}
