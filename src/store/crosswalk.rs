//! The crosswalk: the same ticket, or the same user, under its ids in several systems.
//!
//! ```text
//! pair ──▶ merge: decides against what is linked ──▶ ids       (kind, system, id) → entry
//!                                                ├─▶ conflicts pairs that contradict what is linked
//! unlink, merge of two entries ──────────────────┴─▶ past      who was in which entry, until when
//! ```
//!
//! An entry is one ticket, by a number of its own that goes up and is never given again. It has at most one id
//! in each system, and an id of a system is in one entry at most. A pair that contradicts that changes nothing
//! that is linked: it is kept beside it, until it is told again and contradicts nothing any more, or is
//! dismissed. Who decides is one at a time, in a fleet too: merging is one transaction that keeps others out.

mod change;
mod merge;
mod read;

use std::fmt;

use super::error::Fault;
use super::{Reason, Store, StoreError};
use crate::bounds;

pub use crate::value::{IdKind as Kind, fit_id, fit_system};
pub use merge::Outcome;
pub use read::{Counts, Entry, Found, Id, Past, Row, State};

/// An id with its system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SystemId {
    /// The system's name, which is free.
    pub system: String,
    /// Its id there.
    pub id: String,
}

/// Two ids of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// What they are of.
    pub kind: Kind,
    /// The ids, of two systems.
    pub ids: [SystemId; 2],
    /// What somebody has written beside it.
    pub note: Option<String>,
}

/// A pair that contradicts what is linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The pair, its systems in their order.
    pub ids: [SystemId; 2],
    /// Which file or command told it.
    pub source: String,
    /// When it was told first, in Unix milliseconds.
    pub told: i64,
    /// What stands beside it.
    pub note: Option<String>,
}

/// Where the history of the crosswalk and its conflicts are locked against other changes in a fleet.
const LOCK: &str = "crosswalk";

impl SystemId {
    /// An id in a system.
    pub fn new(system: impl Into<String>, id: impl Into<String>) -> Self {
        Self { system: system.into(), id: id.into() }
    }
}

impl fmt::Display for SystemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.system, self.id)
    }
}

impl Pair {
    /// The ids in the order of their systems, which is how pairs are told apart.
    fn ordered(&self) -> [&SystemId; 2] {
        let [one, other] = &self.ids;
        if one.system <= other.system { [one, other] } else { [other, one] }
    }

    fn is_fit(&self) -> bool {
        let [one, other] = &self.ids;
        let ids = self.ids.iter().all(SystemId::is_fit);
        ids && one.system != other.system
            && self.note.as_deref().is_none_or(|note| fit_note(note).is_ok())
    }
}

impl SystemId {
    fn is_fit(&self) -> bool {
        fit_system(&self.system).is_ok() && fit_id(&self.id).is_ok()
    }
}

/// Says what is wrong with a note.
///
/// # Errors
/// If it is too long or has control characters.
pub fn fit_note(note: &str) -> Result<(), &'static str> {
    match note {
        _ if note.len() > bounds::CROSSWALK_NOTE_BYTES_MAX => Err("is too long"),
        _ if note.chars().any(char::is_control) => Err("has control characters"),
        _ => Ok(()),
    }
}

/// The crosswalk.
impl Store {
    /// Merges pairs into what is linked, one after the other, all of them or none. What became of each is told
    /// in their order. A pair that is linked already is no change, so they may be told again.
    ///
    /// # Errors
    /// If they may not have been kept, or are more than [`bounds::CROSSWALK_BATCH_MAX`].
    pub async fn link_crosswalk(
        &self,
        pairs: &[Pair],
        source: &str,
        now: i64,
    ) -> Result<Vec<Outcome>, StoreError> {
        let fits = pairs.len() <= bounds::CROSSWALK_BATCH_MAX && pairs.iter().all(Pair::is_fit);
        if !fits {
            return Err(self.unfit());
        }
        self.fits([source])?;
        let (pairs, source) = (pairs.to_vec(), source.to_owned());
        self.run(merge::Merge { pairs, source, now }).await
    }

    /// Takes an id out of its entry, and keeps that it was there. False if it is in none.
    ///
    /// # Errors
    /// If it may still be there.
    pub async fn unlink_crosswalk(
        &self,
        kind: Kind,
        at: &SystemId,
        now: i64,
    ) -> Result<bool, StoreError> {
        self.fit(at)?;
        self.run(change::Unlink { kind, at: at.clone(), now }).await
    }

    /// Forgets a pair that contradicts what is linked. False if there is no such pair.
    ///
    /// # Errors
    /// If it may still be there.
    pub async fn dismiss_crosswalk(
        &self,
        kind: Kind,
        ids: &[SystemId; 2],
    ) -> Result<bool, StoreError> {
        ids.iter().try_for_each(|at| self.fit(at))?;
        let pair = Pair { kind, ids: ids.clone(), note: None };
        self.run(change::Dismiss(pair)).await
    }

    /// Says how an id is shown to people, or that it is shown as it is. False if it is in no entry.
    ///
    /// # Errors
    /// If that may not have been kept.
    pub async fn alias_crosswalk(
        &self,
        kind: Kind,
        at: &SystemId,
        alias: Option<&str>,
    ) -> Result<bool, StoreError> {
        self.fit(at)?;
        if alias.is_some_and(|alias| fit_id(alias).is_err()) {
            return Err(self.unfit());
        }
        let (at, alias) = (at.clone(), alias.map(str::to_owned));
        self.run(change::Alias { kind, at, alias }).await
    }

    /// The id that a thing has in another system.
    ///
    /// # Errors
    /// If that cannot be told.
    pub async fn crosswalk(
        &self,
        kind: Kind,
        at: &SystemId,
        system: &str,
    ) -> Result<Option<String>, StoreError> {
        self.fit(at)?;
        self.fits([system])?;
        let (at, system) = (at.clone(), system.to_owned());
        self.run(read::Partner { kind, at, system }).await
    }

    /// The number of the id that went last, of those that an entry had and has no more; none if all are where they
    /// were. While that number is the same, whatever was linked is still.
    ///
    /// # Errors
    /// If that cannot be told.
    pub async fn crosswalk_last_gone(&self) -> Result<Option<i64>, StoreError> {
        self.run(read::LastGone).await
    }

    /// All that is known of an id, in one system or in all of them, now or before.
    ///
    /// # Errors
    /// If that cannot be told.
    pub async fn find_crosswalk(
        &self,
        id: &str,
        system: Option<&str>,
    ) -> Result<Vec<Found>, StoreError> {
        self.fits([id, system.unwrap_or_default()])?;
        let (id, system) = (id.to_owned(), system.map(str::to_owned));
        self.run(read::Find { id, system }).await
    }

    /// The pairs of two systems in the order of the first one's ids, those behind an id, so many at most.
    ///
    /// # Errors
    /// If they cannot be told.
    pub async fn crosswalk_page(
        &self,
        kind: Kind,
        systems: [&str; 2],
        after: &str,
        rows_max: u32,
    ) -> Result<Vec<Row>, StoreError> {
        self.fits([systems[0], systems[1], after])?;
        let (systems, after) = (systems.map(str::to_owned), after.to_owned());
        self.run(read::Page { kind, systems, after, rows_max }).await
    }

    /// Pairs that contradict what is linked, the first [`bounds::CROSSWALK_SHOWN_MAX`] in their order.
    ///
    /// # Errors
    /// If they cannot be told.
    pub async fn crosswalk_conflicts(&self) -> Result<Vec<(Kind, Conflict)>, StoreError> {
        self.run(read::Conflicts).await
    }

    /// How much there is.
    ///
    /// # Errors
    /// If that cannot be told.
    pub async fn crosswalk_counts(&self) -> Result<Counts, StoreError> {
        self.run(read::Count).await
    }

    /// Of some ids of a system, whether each is linked with another one, in their order.
    ///
    /// # Errors
    /// If that cannot be told, or they are more than [`bounds::CROSSWALK_BATCH_MAX`].
    pub async fn crosswalk_has(
        &self,
        kind: Kind,
        system: &str,
        ids: &[String],
    ) -> Result<Vec<bool>, StoreError> {
        let fits =
            ids.len() <= bounds::CROSSWALK_BATCH_MAX && ids.iter().all(|id| fit_id(id).is_ok());
        if !fits {
            return Err(self.unfit());
        }
        self.fits([system])?;
        let (system, ids) = (system.to_owned(), ids.to_vec());
        self.run(read::Has { kind, system, ids }).await
    }

    /// Of what is linked as much as decides over some pairs, as pairs: merged into a store with nothing in it they
    /// make it decide alike.
    ///
    /// # Errors
    /// If that cannot be told, or they are more than [`bounds::CROSSWALK_BATCH_MAX`].
    pub async fn crosswalk_around(&self, pairs: &[Pair]) -> Result<Vec<Pair>, StoreError> {
        let fits = pairs.len() <= bounds::CROSSWALK_BATCH_MAX && pairs.iter().all(Pair::is_fit);
        if !fits {
            return Err(self.unfit());
        }
        self.run(merge::Around(pairs.to_vec())).await
    }

    fn fit(&self, at: &SystemId) -> Result<(), StoreError> {
        if at.is_fit() { Ok(()) } else { Err(Fault::new(Reason::Unfit).at(&self.place)) }
    }
}

/// Ids or entries that one statement looks for; a list that is shorter repeats its last one.
const LIST: usize = 64;

/// A statement that looks for a list of values, which follow those before it.
fn listing(before: &str, first: usize, after: &str) -> String {
    let numbers: Vec<String> = (first..first + LIST).map(|number| format!("${number}")).collect();
    format!("{before} IN ({}){after}", numbers.join(", "))
}

/// Every statement that looks for rows, for the tests.
#[cfg(test)]
pub(super) fn searches() -> Vec<&'static str> {
    [&merge::SEARCHES[..], &change::SEARCHES, &read::SEARCHES]
        .concat()
        .into_iter()
        .chain([merge::OF_IDS.as_str(), merge::OF_ENTRIES.as_str(), read::HAS.as_str()])
        .collect()
}

/// The others.
#[cfg(test)]
pub(super) const OTHERS: [&str; 7] = [
    merge::ADD,
    merge::CONTRADICT,
    merge::ANY_CONFLICT,
    read::CONFLICTS_ALL,
    read::COUNT,
    read::COUNT_CONFLICTS,
    read::COUNT_PAST,
];
