//! Merges pairs: what is linked around them is read, each is decided in turn without the database, and what
//! they change is written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

use rustc_hash::FxBuildHasher;

use super::{Kind, LIST, LOCK, Pair, SystemId, listing};
use crate::store::connection::{Access, Connection, Operation, Param, Row};
use crate::store::error::Fault;

/// What became of a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Neither id was known: there is a new entry.
    Linked,
    /// One id was known: the other one joined its entry.
    Joined,
    /// Both were known, and their entries are one now.
    Merged,
    /// They were linked already.
    Known {
        /// Since when the younger one is there, in Unix milliseconds.
        since: i64,
    },
    /// It contradicts what is linked, and is kept beside it.
    Contradicts {
        /// The pairs that stand.
        stands: Vec<[SystemId; 2]>,
    },
}

/// Merges pairs.
pub(super) struct Merge {
    pub(super) pairs: Vec<Pair>,
    pub(super) source: String,
    pub(super) now: i64,
}

pub(super) static OF_IDS: LazyLock<String> = LazyLock::new(|| {
    listing("SELECT entry FROM crosswalk_ids WHERE kind = $1 AND system = $2 AND id", 3, "")
});

pub(super) static OF_ENTRIES: LazyLock<String> = LazyLock::new(|| {
    listing("SELECT kind, system, id, entry, linked FROM crosswalk_ids WHERE entry", 1, "")
});

pub(super) const LAST: &str = "SELECT max(entry) FROM crosswalk_ids";

/// A number that was given stays in the history when its entry is gone.
pub(super) const LAST_PAST: &str = "SELECT max(entry) FROM crosswalk_past";

pub(super) const ADD: &str = "
INSERT INTO crosswalk_ids (kind, system, id, entry, source, linked, note)
VALUES ($1, $2, $3, $4, $5, $6, $7)";

pub(super) const REMEMBER: &str = "
INSERT INTO crosswalk_past
  (kind, system, id, entry, alias, source, linked, ended, merged_into, note)
SELECT kind, system, id, entry, alias, source, linked,
  CAST($1 AS BIGINT), CAST($2 AS BIGINT), note
FROM crosswalk_ids WHERE entry = $3";

pub(super) const MOVE: &str = "UPDATE crosswalk_ids SET entry = $1 WHERE entry = $2";

pub(super) const CONTRADICT: &str = "
INSERT INTO crosswalk_conflicts
  (kind, system, id, other_system, other_id, source, told, note)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (kind, system, id, other_system, other_id) DO NOTHING";

pub(super) const ANY_CONFLICT: &str = "SELECT kind FROM crosswalk_conflicts LIMIT 1";

pub(super) const SETTLE: &str = "
DELETE FROM crosswalk_conflicts
WHERE kind = $1 AND system = $2 AND id = $3 AND other_system = $4 AND other_id = $5";

#[cfg(test)]
pub(super) const SEARCHES: [&str; 5] = [LAST, LAST_PAST, REMEMBER, MOVE, SETTLE];

/// What is linked around some pairs, and what they change of it.
#[derive(Default)]
struct View<'a> {
    places: HashMap<(Kind, SystemId), Place, FxBuildHasher>,
    /// The ids of an entry.
    entries: HashMap<i64, Vec<SystemId>, FxBuildHasher>,
    kinds: HashMap<i64, Kind, FxBuildHasher>,
    /// The number given last.
    last: i64,
    changes: Changes<'a>,
}

#[derive(Clone, Copy)]
struct Place {
    entry: i64,
    linked: i64,
}

#[derive(Default)]
struct Changes<'a> {
    added: Vec<(&'a Pair, &'a SystemId, i64)>,
    /// Entries that became part of another one, in their order.
    merged: Vec<(i64, i64)>,
    contradicting: Vec<&'a Pair>,
    /// Pairs that contradict nothing.
    agreeing: Vec<&'a Pair>,
}

impl<'a> View<'a> {
    async fn read(connection: &mut impl Connection, pairs: &[Pair]) -> Result<Self, Fault> {
        let mut wanted: BTreeMap<(Kind, &str), BTreeSet<&str>> = BTreeMap::new();
        for (pair, at) in pairs.iter().flat_map(|pair| pair.ids.iter().map(move |at| (pair, at))) {
            wanted.entry((pair.kind, &at.system)).or_default().insert(&at.id);
        }
        let mut found = BTreeSet::new();
        for ((kind, system), ids) in wanted {
            let ids: Vec<Param<'_>> = ids.into_iter().map(Param::Text).collect();
            for ids in ids.chunks(LIST) {
                let values = list(&[Param::Text(kind.name()), Param::Text(system)], ids);
                for mut row in connection.query(&OF_IDS, &values).await? {
                    found.insert(row.integer()?);
                }
            }
        }
        let mut view = Self::default();
        let found: Vec<Param<'_>> = found.into_iter().map(Param::Integer).collect();
        for entries in found.chunks(LIST) {
            for row in connection.query(&OF_ENTRIES, &list(&[], entries)).await? {
                view.take(row)?;
            }
        }
        Ok(view)
    }

    fn take(&mut self, mut row: Row) -> Result<(), Fault> {
        let kind = Kind::named(&row.text()?).ok_or_else(Fault::corrupt)?;
        let at = SystemId { system: row.text()?, id: row.text()? };
        let place = Place { entry: row.integer()?, linked: row.integer()? };
        self.entries.entry(place.entry).or_default().push(at.clone());
        self.kinds.insert(place.entry, kind);
        self.places.insert((kind, at), place);
        Ok(())
    }

    /// Decides over one pair, and holds that from then on.
    fn decide(&mut self, pair: &'a Pair, now: i64) -> Outcome {
        let [one, other] = &pair.ids;
        let place = |at: &SystemId| self.places.get(&(pair.kind, at.clone())).copied();
        let outcome = match (place(one), place(other)) {
            (None, None) => {
                self.last += 1;
                self.add(pair, one, self.last, now);
                self.add(pair, other, self.last, now);
                Outcome::Linked
            }
            (Some(known), None) => self.join(pair, [one, other], known.entry, now),
            (None, Some(known)) => self.join(pair, [other, one], known.entry, now),
            (Some(first), Some(second)) if first.entry == second.entry => {
                Outcome::Known { since: first.linked.max(second.linked) }
            }
            (Some(first), Some(second)) => self.unite(pair, [first.entry, second.entry]),
        };
        match outcome {
            Outcome::Contradicts { .. } => self.changes.contradicting.push(pair),
            _ => self.changes.agreeing.push(pair),
        }
        outcome
    }

    fn add(&mut self, pair: &'a Pair, at: &'a SystemId, entry: i64, now: i64) {
        self.places.insert((pair.kind, at.clone()), Place { entry, linked: now });
        self.entries.entry(entry).or_default().push(at.clone());
        self.kinds.insert(entry, pair.kind);
        self.changes.added.push((pair, at, entry));
    }

    /// The id that an entry has in a system.
    fn id_in(&self, entry: i64, system: &str) -> Option<&SystemId> {
        self.entries.get(&entry)?.iter().find(|at| at.system == system)
    }

    /// Adds an id to the entry of another one, unless that has an id in its system.
    fn join(
        &mut self,
        pair: &'a Pair,
        [known, new]: [&'a SystemId; 2],
        entry: i64,
        now: i64,
    ) -> Outcome {
        if let Some(instead) = self.id_in(entry, &new.system) {
            return Outcome::Contradicts { stands: vec![[known.clone(), instead.clone()]] };
        }
        self.add(pair, new, entry, now);
        Outcome::Joined
    }

    /// Makes two entries one, the elder, unless both have an id in one system.
    fn unite(&mut self, pair: &'a Pair, [first, second]: [i64; 2]) -> Outcome {
        let [one, other] = &pair.ids;
        let mut stands = Vec::new();
        for mine in self.entries.get(&first).into_iter().flatten() {
            let Some(theirs) = self.id_in(second, &mine.system) else { continue };
            // Of the two ids that it is about, what stands is told by the partner of each.
            if mine != one {
                stands.push([one.clone(), mine.clone()]);
            }
            if theirs != other {
                stands.push([other.clone(), theirs.clone()]);
            }
        }
        if !stands.is_empty() {
            return Outcome::Contradicts { stands };
        }
        let (elder, younger) = (first.min(second), first.max(second));
        let moved = self.entries.remove(&younger).unwrap_or_default();
        for at in &moved {
            if let Some(place) = self.places.get_mut(&(pair.kind, at.clone())) {
                place.entry = elder;
            }
        }
        self.entries.entry(elder).or_default().extend(moved);
        self.changes.merged.push((younger, elder));
        Outcome::Merged
    }
}

/// Values before a list, and the list, filled up.
fn list<'p>(before: &[Param<'p>], list: &[Param<'p>]) -> Vec<Param<'p>> {
    let last = list.last().copied().unwrap_or(Param::Null);
    let filling = std::iter::repeat_n(last, LIST - list.len());
    before.iter().chain(list).copied().chain(filling).collect()
}

/// The same for who looks for ids elsewhere.
pub(super) fn ids<'p>(kind: Kind, system: &'p str, ids: &'p [String]) -> Vec<Param<'p>> {
    let ids: Vec<Param<'p>> = ids.iter().map(|id| Param::Text(id)).collect();
    list(&[Param::Text(kind.name()), Param::Text(system)], &ids)
}

impl Changes<'_> {
    async fn write(
        &self,
        connection: &mut impl Connection,
        Merge { source, now, .. }: &Merge,
    ) -> Result<(), Fault> {
        let note = |pair: &Pair| pair.note.clone();
        let notes: Vec<Option<String>> = self.added.iter().map(|(pair, ..)| note(pair)).collect();
        let rows: Vec<Vec<Param<'_>>> = self
            .added
            .iter()
            .zip(&notes)
            .map(|((pair, at, entry), note)| {
                vec![
                    Param::Text(pair.kind.name()),
                    Param::Text(&at.system),
                    Param::Text(&at.id),
                    Param::Integer(*entry),
                    Param::Text(source),
                    Param::Integer(*now),
                    Param::text_or_null(note.as_deref()),
                ]
            })
            .collect();
        connection.execute_each(ADD, &rows).await?;
        for (younger, elder) in &self.merged {
            let [younger, elder] = [*younger, *elder].map(Param::Integer);
            connection.execute(REMEMBER, &[Param::Integer(*now), elder, younger]).await?;
            connection.execute(MOVE, &[elder, younger]).await?;
        }
        // Before this batch there was none of its own: one that ended in it had begun before.
        if !connection.query(ANY_CONFLICT, &[]).await?.is_empty() {
            let rows: Vec<_> = self.agreeing.iter().map(|pair| pair_values(pair)).collect();
            connection.execute_each(SETTLE, &rows).await?;
        }
        let rows: Vec<Vec<Param<'_>>> = self
            .contradicting
            .iter()
            .map(|pair| {
                let mut row = pair_values(pair);
                row.extend([Param::Text(source), Param::Integer(*now)]);
                row.push(Param::text_or_null(pair.note.as_deref()));
                row
            })
            .collect();
        connection.execute_each(CONTRADICT, &rows).await
    }
}

/// What tells a pair from others.
pub(super) fn pair_values(pair: &Pair) -> Vec<Param<'_>> {
    let ids = pair.ordered().into_iter();
    let ids = ids.flat_map(|at| [Param::Text(&at.system), Param::Text(&at.id)]);
    std::iter::once(Param::Text(pair.kind.name())).chain(ids).collect()
}

impl Operation for Merge {
    type Answer = Vec<Outcome>;
    const ACCESS: Access = Access::Transaction;

    async fn run(&self, connection: &mut impl Connection) -> Result<Vec<Outcome>, Fault> {
        connection.exclude_others(LOCK).await?;
        let mut view = View::read(connection, &self.pairs).await?;
        for last in [LAST, LAST_PAST] {
            let Some(mut row) = connection.query(last, &[]).await?.pop() else { continue };
            view.last = view.last.max(row.integer_or_null()?.unwrap_or_default());
        }
        let outcomes = self.pairs.iter().map(|pair| view.decide(pair, self.now)).collect();
        view.changes.write(connection, self).await?;
        Ok(outcomes)
    }
}

/// What decides over some pairs.
pub(super) struct Around(pub(super) Vec<Pair>);

impl Operation for Around {
    type Answer = Vec<Pair>;
    const ACCESS: Access = Access::Read;

    async fn run(&self, connection: &mut impl Connection) -> Result<Vec<Pair>, Fault> {
        let view = View::read(connection, &self.0).await?;
        let mut pairs = Vec::new();
        for (entry, ids) in &view.entries {
            let kind = *view.kinds.get(entry).ok_or_else(Fault::corrupt)?;
            pairs.extend(ids.windows(2).filter_map(|two| {
                let ids = [two.first()?.clone(), two.last()?.clone()];
                Some(Pair { kind, ids, note: None })
            }));
        }
        Ok(pairs)
    }
}
