//! Looks into the journal: pages of records, from the first on or from the last back.

use super::{Entry, Outcome, columns, entry};
use crate::store::connection::{Access, Connection, Operation, Param};
use crate::store::error::Fault;
use crate::store::{Store, StoreError};

/// Which records are looked for: those that are all of this.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this call.
    pub call: Option<[u8; 16]>,
    /// Of this ticket, in either system.
    pub ticket: Option<String>,
    /// Of this route.
    pub route: Option<String>,
    /// Of this consumer.
    pub consumer: Option<String>,
    /// With this outcome.
    pub outcome: Option<Outcome>,
    /// That began then or later, in Unix milliseconds.
    pub since: Option<i64>,
    /// That began before then.
    pub until: Option<i64>,
}

impl Store {
    /// Records after a number, in the order of their numbers.
    ///
    /// # Errors
    /// If that cannot be told.
    pub async fn journal_after(
        &self,
        filter: &Filter,
        after: i64,
        most: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let way = Way::After(after);
        self.run(Page { filter: filter.clone(), way, most }).await
    }

    /// The last records, in the order of their numbers.
    ///
    /// # Errors
    /// If that cannot be told.
    pub async fn journal_last(&self, filter: &Filter, most: u32) -> Result<Vec<Entry>, StoreError> {
        let page = Page { filter: filter.clone(), way: Way::Last, most };
        let mut entries = self.run(page).await?;
        entries.reverse();
        Ok(entries)
    }

    /// A number before those of all records that began then or later.
    ///
    /// # Errors
    /// If that cannot be told.
    pub async fn journal_before(&self, since: i64) -> Result<i64, StoreError> {
        self.run(Start { since: since.saturating_sub(SKEW_MS) }).await
    }
}

/// How much later a record may get its number than another one that began after it: it waits for its batch, and
/// in a fleet each gateway has its own clock.
const SKEW_MS: i64 = 60_000;

#[derive(Clone, Copy)]
enum Way {
    After(i64),
    Last,
}

struct Page {
    filter: Filter,
    way: Way,
    most: u32,
}

/// A statement for a page: with a key that has an index, or without one. The signs keep the index by time out of it,
/// by which a page would have to be sorted.
macro_rules! page {
    ($key:literal, $order:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM journal
WHERE number > $1 AND +began >= $2 AND +began < $3
  AND (route = $4 OR $4 IS NULL) AND (consumer = $5 OR $5 IS NULL) AND (outcome = $6 OR $6 IS NULL)",
            $key,
            " ORDER BY number",
            $order
        )
    };
}

/// In the order of [`Way`], and in these: all, of a call, of a ticket, of both.
pub(in crate::store) const PAGES: [[&str; 4]; 2] = [
    [
        page!("", " LIMIT $7"),
        page!(" AND call = $7", " LIMIT $8"),
        page!(" AND (client_ticket = $7 OR upstream_ticket = $7)", " LIMIT $8"),
        page!(" AND call = $7 AND (client_ticket = $8 OR upstream_ticket = $8)", " LIMIT $9"),
    ],
    [
        page!("", " DESC LIMIT $7"),
        page!(" AND call = $7", " DESC LIMIT $8"),
        page!(" AND (client_ticket = $7 OR upstream_ticket = $7)", " DESC LIMIT $8"),
        page!(" AND call = $7 AND (client_ticket = $8 OR upstream_ticket = $8)", " DESC LIMIT $9"),
    ],
];

impl Operation for Page {
    type Answer = Vec<Entry>;
    const ACCESS: Access = Access::Read;

    async fn run(&self, connection: &mut impl Connection) -> Result<Vec<Entry>, Fault> {
        let Filter { call, ticket, route, consumer, outcome, since, until } = &self.filter;
        let (way, after) = match self.way {
            Way::After(after) => (0, after),
            Way::Last => (1, i64::MIN),
        };
        let mut values = vec![
            Param::Integer(after),
            Param::Integer(since.unwrap_or(i64::MIN)),
            Param::Integer(until.unwrap_or(i64::MAX)),
            Param::text_or_null(route.as_deref()),
            Param::text_or_null(consumer.as_deref()),
            Param::text_or_null(outcome.map(Outcome::name)),
        ];
        values.extend(call.as_ref().map(|call| Param::Bytes(call)));
        values.extend(ticket.as_deref().map(Param::Text));
        values.push(Param::Integer(self.most.into()));
        let key = usize::from(call.is_some()) + 2 * usize::from(ticket.is_some());
        let found = connection.query(PAGES[way][key], &values).await?;
        found.into_iter().map(entry).collect()
    }
}

struct Start {
    since: i64,
}

pub(in crate::store) const START: &str =
    "SELECT number FROM journal WHERE began >= $1 ORDER BY began LIMIT 1";

/// Past the end of what there is.
const NONE: i64 = i64::MAX;

impl Operation for Start {
    type Answer = i64;
    const ACCESS: Access = Access::Read;

    async fn run(&self, connection: &mut impl Connection) -> Result<i64, Fault> {
        match connection.query(START, &[Param::Integer(self.since)]).await?.pop() {
            Some(mut row) => Ok(row.integer()?.saturating_sub(1)),
            None => Ok(NONE),
        }
    }
}
