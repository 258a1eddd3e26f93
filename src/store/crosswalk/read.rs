//! Looks into the crosswalk: one partner, all of an id, pages of pairs, counts.

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use super::{Conflict, Kind, LIST, SystemId, listing, merge};
use crate::bounds;
use crate::store::connection::{self, Access, Connection, Operation, Param};
use crate::store::error::Fault;

/// How an id stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is in an entry with others, and nothing contradicts that.
    Linked,
    /// Pairs contradict each other about it.
    Conflicted,
    /// It was in an entry with others and is not any more, or not with others.
    Retired,
}

/// What is known of one id in one system. Of what contradicts it and of what was before, the first
/// [`bounds::CROSSWALK_SHOWN_MAX`] of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is an id of.
    pub kind: Kind,
    /// The id that was looked for.
    pub at: SystemId,
    /// The entry that it is in.
    pub entry: Option<Entry>,
    /// Entries that it was in before.
    pub before: Vec<Entry>,
    /// Pairs with an id of its entry that contradict what is linked.
    pub conflicts: Vec<Conflict>,
}

/// One thing under its ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its own number.
    pub number: u64,
    /// Its ids in the order of their systems.
    pub ids: Vec<Id>,
    /// Ids that it had before, in the order in which they went.
    pub past: Vec<Past>,
}

/// An id of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id {
    /// The id.
    pub at: SystemId,
    /// How it is shown to people, where that is otherwise.
    pub alias: Option<String>,
    /// Which file or command told it.
    pub source: String,
    /// When, in Unix milliseconds.
    pub linked: i64,
    /// What stands beside it.
    pub note: Option<String>,
}

/// An id that an entry had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// The id, as it was.
    pub id: Id,
    /// Until when.
    pub ended: i64,
    /// The entry that this one became part of, if that is why.
    pub merged_into: Option<u64>,
}

/// A pair of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The ids in the two systems.
    pub ids: [String; 2],
    /// What stands beside them.
    pub note: Option<String>,
}

/// How much there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Ids of a kind in a system.
    pub ids: Vec<(Kind, String, u64)>,
    /// Pairs that contradict what is linked.
    pub conflicts: u64,
    /// Ids that entries had before.
    pub past: u64,
}

impl Found {
    /// How it stands.
    pub fn state(&self) -> State {
        let ids = self.entry.as_ref().map_or(0, |entry| entry.ids.len());
        match ids {
            _ if !self.conflicts.is_empty() => State::Conflicted,
            0 | 1 => State::Retired,
            _ => State::Linked,
        }
    }
}

/// The id of a thing in another system.
pub(super) struct Partner {
    pub(super) kind: Kind,
    pub(super) at: SystemId,
    pub(super) system: String,
}

pub(super) const PARTNER: &str = "
SELECT theirs.id FROM crosswalk_ids AS own
JOIN crosswalk_ids AS theirs ON theirs.entry = own.entry
WHERE own.kind = $1 AND own.system = $2 AND own.id = $3 AND theirs.system = $4";

impl Operation for Partner {
    type Answer = Option<String>;
    const ACCESS: Access = Access::Read;

    async fn run(&self, connection: &mut impl Connection) -> Result<Option<String>, Fault> {
        let SystemId { system, id } = &self.at;
        let values = [self.kind.name(), system, id, &self.system].map(Param::Text);
        connection.query(PARTNER, &values).await?.pop().map(|mut row| row.text()).transpose()
    }
}

/// The last row of the history.
pub(super) struct LastGone;

pub(super) const LAST_GONE: &str = "SELECT max(number) FROM crosswalk_past";

impl Operation for LastGone {
    type Answer = Option<i64>;
    const ACCESS: Access = Access::Read;

    async fn run(&self, connection: &mut impl Connection) -> Result<Option<i64>, Fault> {
        let row = connection.query(LAST_GONE, &[]).await?.pop();
        row.ok_or_else(Fault::corrupt)?.integer_or_null()
    }
}

/// All that is known of an id.
pub(super) struct Find {
    pub(super) id: String,
    pub(super) system: Option<String>,
}

/// The next system in which there is something of a kind: each is one step in an index.
pub(super) const NEXT: [&str; 4] = [
    "SELECT min(system) FROM crosswalk_ids WHERE kind = $1 AND system > $2",
    "SELECT min(system) FROM crosswalk_past WHERE kind = $1 AND system > $2",
    "SELECT min(system) FROM crosswalk_conflicts WHERE kind = $1 AND system > $2",
    "SELECT min(other_system) FROM crosswalk_conflicts WHERE kind = $1 AND other_system > $2",
];

pub(super) const ENTRY: &str =
    "SELECT entry FROM crosswalk_ids WHERE kind = $1 AND system = $2 AND id = $3";

pub(super) const ENTRIES_BEFORE: &str = "
SELECT entry FROM crosswalk_past WHERE kind = $1 AND system = $2 AND id = $3
ORDER BY number LIMIT $4";

pub(super) const IDS: &str = "
SELECT system, id, alias, source, linked, note FROM crosswalk_ids
WHERE entry = $1 ORDER BY system";

pub(super) const PAST: &str = "
SELECT system, id, alias, source, linked, note, ended, merged_into FROM crosswalk_past
WHERE entry = $1 ORDER BY number LIMIT $2";

pub(super) const CONFLICTS: &str = "
SELECT system, id, other_system, other_id, source, told, note FROM crosswalk_conflicts
WHERE kind = $1 AND system = $2 AND id = $3 ORDER BY other_system, other_id LIMIT $4";

pub(super) const CONFLICTS_OTHER: &str = "
SELECT system, id, other_system, other_id, source, told, note FROM crosswalk_conflicts
WHERE kind = $1 AND other_system = $2 AND other_id = $3 ORDER BY system, id LIMIT $4";

const SHOWN: Param<'_> = Param::Integer(bounds::CROSSWALK_SHOWN_MAX as i64);

impl Operation for Find {
    type Answer = Vec<Found>;
    const ACCESS: Access = Access::Read;

    async fn run(&self, connection: &mut impl Connection) -> Result<Vec<Found>, Fault> {
        let mut found = Vec::new();
        for kind in Kind::ALL {
            let systems = match &self.system {
                Some(system) => BTreeSet::from([system.clone()]),
                None => systems(connection, kind).await?,
            };
            for system in systems {
                let at = SystemId { system, id: self.id.clone() };
                found.extend(look(connection, kind, at).await?);
            }
        }
        Ok(found)
    }
}

/// The systems that have something of a kind.
async fn systems(connection: &mut impl Connection, kind: Kind) -> Result<BTreeSet<String>, Fault> {
    let mut systems = BTreeSet::new();
    for next in NEXT {
        let mut last = String::new();
        loop {
            let values = [kind.name(), &last].map(Param::Text);
            let row = connection.query(next, &values).await?.pop();
            let system = row.map(|mut row| row.text_or_null()).transpose()?.flatten();
            let Some(system) = system else { break };
            systems.insert(system.clone());
            last = system;
        }
    }
    Ok(systems)
}

/// One id of one system; none if nothing is known of it.
async fn look(
    connection: &mut impl Connection,
    kind: Kind,
    at: SystemId,
) -> Result<Option<Found>, Fault> {
    let values = [kind.name(), &at.system, &at.id].map(Param::Text);
    let number = match connection.query(ENTRY, &values).await?.pop() {
        Some(mut row) => Some(row.integer()?),
        None => None,
    };
    let mut before = BTreeSet::new();
    let [first, second, third] = values;
    for mut row in connection.query(ENTRIES_BEFORE, &[first, second, third, SHOWN]).await? {
        before.insert(row.integer()?);
    }
    let entry = match number {
        Some(number) => Some(entry(connection, number).await?),
        None => None,
    };
    let mut found = Found { kind, at, entry, before: Vec::new(), conflicts: Vec::new() };
    for number in before.into_iter().filter(|before| number != Some(*before)) {
        found.before.push(self::entry(connection, number).await?);
    }
    found.conflicts = conflicts(connection, &found).await?;
    let nothing = found.entry.is_none() && found.before.is_empty() && found.conflicts.is_empty();
    Ok((!nothing).then_some(found))
}

async fn entry(connection: &mut impl Connection, number: i64) -> Result<Entry, Fault> {
    let mut ids = Vec::new();
    for mut row in connection.query(IDS, &[Param::Integer(number)]).await? {
        ids.push(id(&mut row)?);
    }
    let mut past = Vec::new();
    for mut row in connection.query(PAST, &[Param::Integer(number), SHOWN]).await? {
        let id = id(&mut row)?;
        let (ended, merged_into) = (row.integer()?, row.integer_or_null()?);
        past.push(Past { id, ended, merged_into: merged_into.map(i64::unsigned_abs) });
    }
    Ok(Entry { number: number.unsigned_abs(), ids, past })
}

fn id(row: &mut connection::Row) -> Result<Id, Fault> {
    Ok(Id {
        at: SystemId { system: row.text()?, id: row.text()? },
        alias: row.text_or_null()?,
        source: row.text()?,
        linked: row.integer()?,
        note: row.text_or_null()?,
    })
}

/// What contradicts an id or another one of its entry.
async fn conflicts(
    connection: &mut impl Connection,
    found: &Found,
) -> Result<Vec<Conflict>, Fault> {
    let entry = found.entry.iter().flat_map(|entry| &entry.ids).map(|id| &id.at);
    let ids: BTreeSet<&SystemId> = entry.chain([&found.at]).collect();
    let mut conflicts = Vec::new();
    let mut seen = HashSet::new();
    for at in ids {
        for sql in [CONFLICTS, CONFLICTS_OTHER] {
            let [kind, system, id] = [found.kind.name(), &at.system, &at.id].map(Param::Text);
            for mut row in connection.query(sql, &[kind, system, id, SHOWN]).await? {
                let conflict = conflict(&mut row)?;
                if seen.insert(conflict.ids.clone()) {
                    conflicts.push(conflict);
                }
            }
        }
    }
    conflicts.truncate(bounds::CROSSWALK_SHOWN_MAX);
    Ok(conflicts)
}

fn conflict(row: &mut connection::Row) -> Result<Conflict, Fault> {
    let one = SystemId { system: row.text()?, id: row.text()? };
    let other = SystemId { system: row.text()?, id: row.text()? };
    let (source, told, note) = (row.text()?, row.integer()?, row.text_or_null()?);
    Ok(Conflict { ids: [one, other], source, told, note })
}

/// The first pairs that contradict what is linked.
pub(super) struct Conflicts;

pub(super) const CONFLICTS_ALL: &str = "
SELECT kind, system, id, other_system, other_id, source, told, note FROM crosswalk_conflicts
ORDER BY kind, system, id, other_system, other_id LIMIT $1";

impl Operation for Conflicts {
    type Answer = Vec<(Kind, Conflict)>;
    const ACCESS: Access = Access::Read;

    async fn run(&self, connection: &mut impl Connection) -> Result<Vec<(Kind, Conflict)>, Fault> {
        let mut conflicts = Vec::new();
        for mut row in connection.query(CONFLICTS_ALL, &[SHOWN]).await? {
            let kind = Kind::named(&row.text()?).ok_or_else(Fault::corrupt)?;
            conflicts.push((kind, conflict(&mut row)?));
        }
        Ok(conflicts)
    }
}

/// A page of pairs.
pub(super) struct Page {
    pub(super) kind: Kind,
    pub(super) systems: [String; 2],
    pub(super) after: String,
    pub(super) rows_max: u32,
}

pub(super) const PAGE: &str = "
SELECT own.id, theirs.id, coalesce(theirs.note, own.note) FROM crosswalk_ids AS own
JOIN crosswalk_ids AS theirs ON theirs.entry = own.entry AND theirs.system = $1
WHERE own.kind = $2 AND own.system = $3 AND own.id > $4 ORDER BY own.id LIMIT $5";

impl Operation for Page {
    type Answer = Vec<Row>;
    const ACCESS: Access = Access::Read;

    async fn run(&self, connection: &mut impl Connection) -> Result<Vec<Row>, Fault> {
        let [own, theirs] = &self.systems;
        let values = [
            Param::Text(theirs),
            Param::Text(self.kind.name()),
            Param::Text(own),
            Param::Text(&self.after),
            Param::Integer(self.rows_max.into()),
        ];
        let mut rows = Vec::new();
        for mut row in connection.query(PAGE, &values).await? {
            rows.push(Row { ids: [row.text()?, row.text()?], note: row.text_or_null()? });
        }
        Ok(rows)
    }
}

/// How much there is.
pub(super) struct Count;

pub(super) const COUNT: &str =
    "SELECT kind, system, count(*) FROM crosswalk_ids GROUP BY kind, system ORDER BY kind, system";
pub(super) const COUNT_CONFLICTS: &str = "SELECT count(*) FROM crosswalk_conflicts";
pub(super) const COUNT_PAST: &str = "SELECT count(*) FROM crosswalk_past";

impl Operation for Count {
    type Answer = Counts;
    const ACCESS: Access = Access::Read;

    async fn run(&self, connection: &mut impl Connection) -> Result<Counts, Fault> {
        let mut counts = Counts::default();
        for mut row in connection.query(COUNT, &[]).await? {
            let kind = Kind::named(&row.text()?).ok_or_else(Fault::corrupt)?;
            counts.ids.push((kind, row.text()?, row.unsigned()?));
        }
        for (sql, count) in
            [(COUNT_CONFLICTS, &mut counts.conflicts), (COUNT_PAST, &mut counts.past)]
        {
            let row = connection.query(sql, &[]).await?.pop();
            *count = row.ok_or_else(Fault::corrupt)?.unsigned()?;
        }
        Ok(counts)
    }
}

/// Which of some ids are linked.
pub(super) struct Has {
    pub(super) kind: Kind,
    pub(super) system: String,
    pub(super) ids: Vec<String>,
}

pub(super) static HAS: LazyLock<String> = LazyLock::new(|| {
    listing(
        "SELECT own.id FROM crosswalk_ids AS own \
         WHERE own.kind = $1 AND own.system = $2 AND own.id",
        3,
        " AND EXISTS (SELECT 1 FROM crosswalk_ids AS theirs \
         WHERE theirs.entry = own.entry AND theirs.system <> own.system)",
    )
});

impl Operation for Has {
    type Answer = Vec<bool>;
    const ACCESS: Access = Access::Read;

    async fn run(&self, connection: &mut impl Connection) -> Result<Vec<bool>, Fault> {
        let mut linked = HashSet::new();
        for ids in self.ids.chunks(LIST) {
            let values = merge::ids(self.kind, &self.system, ids);
            for mut row in connection.query(&HAS, &values).await? {
                linked.insert(row.text()?);
            }
        }
        Ok(self.ids.iter().map(|id| linked.contains(id)).collect())
    }
}

#[cfg(test)]
pub(super) const SEARCHES: [&str; 13] = [
    PARTNER,
    LAST_GONE,
    NEXT[0],
    NEXT[1],
    NEXT[2],
    NEXT[3],
    ENTRY,
    ENTRIES_BEFORE,
    IDS,
    PAST,
    CONFLICTS,
    CONFLICTS_OTHER,
    PAGE,
];
