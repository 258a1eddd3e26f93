//! How limits stand for those whom they count, for the operator who looks, and who gives calls back.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::limit::ledger;
use crate::limit::limits::Limits;
use crate::limit::memory::Memory;
use crate::limit::redis::Unavailable;
use crate::limit::rule::{Charge, Rule, Scope, Subject};
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
    /// False if those who are counted cannot be listed, but for one that is asked for.
    pub is_listed: bool,
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

/// Why nothing was given back.
#[derive(Debug)]
pub enum CannotReset {
    /// The state does not forget it.
    State(StoreError),
    /// Where a fleet counts it is not forgotten.
    Shared(Unavailable),
    /// Nobody knows the keys and addresses that a fleet has counted.
    Unnamed,
}

impl fmt::Display for CannotReset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(error) => error.fmt(f),
            Self::Shared(error) => error.fmt(f),
            Self::Unnamed => {
                f.write_str("the keys and addresses that a fleet counts are not listed: name one")
            }
        }
    }
}

impl std::error::Error for CannotReset {}

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

    /// How one of them stands: for one caller, or for so many at most. Where a fleet counts, those are looked at whom
    /// the configuration names, and no keys and addresses but the one that is asked for.
    ///
    /// # Errors
    /// If the store that a fleet shares does not say.
    pub async fn overview(
        &self,
        limit: usize,
        only: Option<Subject>,
        most: usize,
    ) -> Result<Overview, Unavailable> {
        let now = self.now();
        let Some((memory, rule)) = self.table(limit) else {
            let mut callers = Vec::new();
            for subject in self.subjects(limit, only) {
                let Some(shared) = self.shared() else { break };
                let room = shared.look(Charge { rule: limit, subject }, now).await?;
                let is_counted = room.calls < self.rules()[limit].calls();
                callers.extend(is_counted.then_some(Counted { subject, room }));
            }
            callers.sort_by_key(|counted| (counted.room.calls, counted.subject.0));
            let more = callers.len().saturating_sub(most);
            callers.truncate(most);
            let scope = self.rules().get(limit).map(|rule| rule.scope);
            let is_listed = only.is_some() || !matches!(scope, Some(Scope::Key | Scope::Address));
            return Ok(Overview { callers, more, is_listed, now });
        };
        let (mut callers, counted) = memory.standings(rule, only, most, now);
        callers.sort_by_key(|counted| (counted.room.calls, counted.subject.0));
        let more = counted - callers.len();
        Ok(Overview { callers, more, is_listed: true, now })
    }

    /// Whom a limit that a fleet counts may be about.
    fn subjects(&self, limit: usize, only: Option<Subject>) -> Vec<Subject> {
        match (only, self.rules().get(limit)) {
            (Some(only), _) => vec![only],
            (None, Some(rule)) => self.named_subjects(rule.scope).to_vec(),
            (None, None) => Vec::new(),
        }
    }

    /// Forgets what one of them has counted, of one caller or of all; says of how many. What is kept of it in the
    /// state goes first.
    ///
    /// # Errors
    /// If the state, or the store that a fleet shares, cannot forget it; of one caller nothing is forgotten then.
    pub async fn reset(&self, limit: usize, only: Option<Subject>) -> Result<usize, CannotReset> {
        let Some((memory, rule)) = self.table(limit) else {
            return self.reset_shared(limit, only).await;
        };
        let is_quota = memory.rules()[rule].is_quota();
        match self.ledger().filter(|_| is_quota) {
            Some(ledger) => ledger.forget(memory, rule, only).await.map_err(CannotReset::State),
            None => Ok(ledger::forget(memory, rule, only)),
        }
    }

    async fn reset_shared(
        &self,
        limit: usize,
        only: Option<Subject>,
    ) -> Result<usize, CannotReset> {
        let Some(shared) = self.shared() else { return Ok(0) };
        let scope = self.rules().get(limit).map(|rule| rule.scope);
        if only.is_none() && matches!(scope, Some(Scope::Key | Scope::Address)) {
            return Err(CannotReset::Unnamed);
        }
        let mut reset = 0;
        for subject in self.subjects(limit, only) {
            let charge = Charge { rule: limit, subject };
            let room = shared.look(charge, self.now()).await.map_err(CannotReset::Shared)?;
            if room.calls < self.rules()[limit].calls() {
                shared.reset(charge).await.map_err(CannotReset::Shared)?;
                reset += 1;
            }
        }
        Ok(reset)
    }

    fn table(&self, limit: usize) -> Option<(&Memory, usize)> {
        let own = self.rules().len();
        if limit < own {
            return Some((self.counts()?, limit));
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
