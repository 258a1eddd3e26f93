//! What was used of quotas: calls by limit, by caller and by part of time.
//!
//! Several gateways may add to one count, so a write says what was used since the last one, and learns the
//! total. An addition whose outcome is not known is told again under the number that it had: the batch of a
//! writer that was taken once is not added another time, and gives the totals all the same.

use super::connection::{Access, Connection, Operation, Param, Row};
use super::error::Fault;
use crate::bounds;

/// Calls of one caller in one part of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// What the limit is counted under.
    pub limit: String,
    /// The length that the limit counts over, in microseconds; 0 for days.
    pub span: u64,
    /// Whose calls.
    pub subject: u64,
    /// When the part of time begins, in microseconds since the epoch.
    pub start: u64,
    /// How many.
    pub calls: u64,
    /// When they count no more, in Unix milliseconds.
    pub expires: i64,
}

/// Who adds, and which of its batches it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// A gateway, for as long as it runs.
    pub writer: [u8; 16],
    /// Goes up with every one of its batches.
    pub number: u64,
    /// Until when it may be told again, in Unix milliseconds.
    pub expires: i64,
}

/// Adds to counts; gives the totals in the order of what is added.
pub(super) struct Add {
    pub(super) batch: Batch,
    pub(super) used: Vec<Used>,
}

/// Changes nothing if the batch was taken before.
pub(super) const TAKE_BATCH: &str = "
INSERT INTO limit_writers (writer, batch, expires) VALUES ($1, $2, $3)
ON CONFLICT (writer) DO UPDATE SET batch = excluded.batch, expires = excluded.expires
WHERE limit_writers.batch < excluded.batch";

pub(super) const ADD: &str = "
INSERT INTO limit_uses (name, span, subject, start, calls, expires)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (name, span, subject, start) DO UPDATE SET calls = limit_uses.calls + excluded.calls
RETURNING calls";

impl Operation for Add {
    type Answer = Vec<u64>;
    const ACCESS: Access = Access::Transaction;

    async fn run(&self, connection: &mut impl Connection) -> Result<Vec<u64>, Fault> {
        let Batch { writer, number, expires } = &self.batch;
        let values = [Param::Bytes(writer), Param::unsigned(*number), Param::Integer(*expires)];
        let is_new = connection.execute(TAKE_BATCH, &values).await? > 0;
        let values: Vec<Vec<Param<'_>>> = self
            .used
            .iter()
            .map(|used| {
                vec![
                    Param::Text(&used.limit),
                    Param::unsigned(used.span),
                    Param::Integer(used.subject.cast_signed()),
                    Param::unsigned(used.start),
                    Param::unsigned(if is_new { used.calls } else { 0 }),
                    Param::Integer(used.expires),
                ]
            })
            .collect();
        let totals = connection.query_each(ADD, &values).await?;
        totals.into_iter().map(|mut row| row.unsigned()).collect()
    }
}

/// A page of what was used of one limit, in the order of its callers and of time.
pub(super) struct Find {
    pub(super) limit: String,
    pub(super) span: u64,
    /// What the page before ended with: a caller and the beginning of a part of time.
    pub(super) after: Option<(u64, u64)>,
    pub(super) now: i64,
}

pub(super) const FIND: &str = "
SELECT subject, start, calls, expires FROM limit_uses
WHERE name = $1 AND span = $2 AND (subject, start) > ($3, $4) AND expires > $5
ORDER BY subject, start LIMIT $6";

impl Operation for Find {
    type Answer = Vec<Used>;
    const ACCESS: Access = Access::Read;

    async fn run(&self, connection: &mut impl Connection) -> Result<Vec<Used>, Fault> {
        let (subject, start) = match self.after {
            Some((subject, start)) => (subject.cast_signed(), Param::unsigned(start)),
            // No part of time begins before the epoch.
            None => (i64::MIN, Param::Integer(-1)),
        };
        let values = [
            Param::Text(&self.limit),
            Param::unsigned(self.span),
            Param::Integer(subject),
            start,
            Param::Integer(self.now),
            Param::Integer(bounds::LIMIT_USES_PAGE.into()),
        ];
        let used = |mut row: Row| {
            Ok(Used {
                limit: self.limit.clone(),
                span: self.span,
                subject: row.integer()?.cast_unsigned(),
                start: row.unsigned()?,
                calls: row.unsigned()?,
                expires: row.integer()?,
            })
        };
        connection.query(FIND, &values).await?.into_iter().map(used).collect()
    }
}

/// Forgets what was used of a limit, by one caller or by a batch of all of them.
pub(super) struct Forget {
    pub(super) limit: String,
    pub(super) subject: Option<u64>,
}

/// Those of one caller are few: the parts of one time or two.
pub(super) const FORGET: &str = "
DELETE FROM limit_uses WHERE (name, span, subject, start) IN (
  SELECT name, span, subject, start FROM limit_uses
  WHERE name = $1 AND subject BETWEEN $2 AND $3 LIMIT $4)";

impl Operation for Forget {
    type Answer = u64;
    const ACCESS: Access = Access::Statement;

    async fn run(&self, connection: &mut impl Connection) -> Result<u64, Fault> {
        let (first, last) = match self.subject {
            Some(subject) => (subject.cast_signed(), subject.cast_signed()),
            None => (i64::MIN, i64::MAX),
        };
        let values = [
            Param::Text(&self.limit),
            Param::Integer(first),
            Param::Integer(last),
            Param::Integer(bounds::STATE_SWEEP_ROWS_MAX.into()),
        ];
        connection.execute(FORGET, &values).await
    }
}

/// One batch of what counts no more.
pub(super) const SWEEP: &str = "
DELETE FROM limit_uses WHERE (name, span, subject, start) IN (
  SELECT name, span, subject, start FROM limit_uses WHERE expires <= $1 LIMIT $2)";

/// There are as many as gateways were started in a day.
pub(super) const SWEEP_WRITERS: &str = "
DELETE FROM limit_writers WHERE writer IN (
  SELECT writer FROM limit_writers WHERE expires <= $1 LIMIT $2)";
