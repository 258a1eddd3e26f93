//! Asynchronous jobs, as a ZStack client knows them: a call is answered 202 at once, and its outcome is asked
//! for by the job's id until it is known.

use super::connection::{Access, Connection, Operation, Param};
use super::error::{Fault, Reason};
use crate::{bounds, clock};

/// A job that a call begins. Times are Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// Whose call it is; nobody else sees it.
    pub consumer: String,
    /// Its id, which its consumer may have chosen.
    pub id: [u8; 16],
    /// The call's id.
    pub call: [u8; 16],
    /// When it began.
    pub created: i64,
    /// When its outcome is known at the latest, or will never be.
    pub deadline: i64,
}

/// What came of [`NewJob`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddedJob {
    /// It is there now.
    Added,
    /// The consumer has a job of this id already; it is as it was.
    Exists,
    /// The consumer has as many unfinished jobs as it may have.
    Full,
}

/// A job that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The call's id.
    pub call: [u8; 16],
    /// When it began.
    pub created: i64,
    /// When its outcome is known at the latest. Without an answer after that, it is not known what became of it.
    pub deadline: i64,
    /// What its client is told, once that is known.
    pub answer: Option<JobAnswer>,
}

/// What a job's client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobAnswer {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl JobAnswer {
    /// Bytes of it, all in all.
    pub(super) fn len(&self) -> usize {
        let fields: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        fields + self.body.len()
    }
}

/// Adds a job, unless its consumer has it already or has too many.
pub(super) struct Add(pub(super) NewJob);

pub(super) const FORGET: &str =
    "DELETE FROM jobs WHERE consumer = $1 AND id = $2 AND expires <= $3";
pub(super) const EXISTS: &str = "SELECT created FROM jobs WHERE consumer = $1 AND id = $2";
/// Those whose time is over are no work any more, whatever became of them.
pub(super) const COUNT: &str = "
SELECT count(*) FROM (
  SELECT deadline FROM jobs WHERE status IS NULL AND consumer = $1 AND deadline > $2 LIMIT $3) AS unfinished";
pub(super) const ADD: &str = "
INSERT INTO jobs (consumer, id, call, created, deadline, expires) VALUES ($1, $2, $3, $4, $5, $6)";

impl Operation for Add {
    type Answer = AddedJob;
    const ACCESS: Access = Access::Transaction;

    async fn run(&self, connection: &mut impl Connection) -> Result<AddedJob, Fault> {
        let NewJob { consumer, id, call, created, deadline } = &self.0;
        connection.exclude_others(&format!("jobs of {consumer}")).await?;
        let (whose, id) = (Param::Text(consumer), Param::Bytes(id));
        connection.execute(FORGET, &[whose, id, Param::Integer(*created)]).await?;
        if !connection.query(EXISTS, &[whose, id]).await?.is_empty() {
            return Ok(AddedJob::Exists);
        }
        let most = i64::try_from(bounds::JOBS_PER_CONSUMER_MAX).unwrap_or(i64::MAX);
        let values = [whose, Param::Integer(*created), Param::Integer(most)];
        let unfinished = match connection.query(COUNT, &values).await?.pop() {
            Some(mut row) => row.integer()?,
            None => 0,
        };
        if unfinished >= most {
            return Ok(AddedJob::Full);
        }
        let kept = clock::milliseconds(bounds::JOB_LOST_KEPT);
        let values = [
            whose,
            id,
            Param::Bytes(call),
            Param::Integer(*created),
            Param::Integer(*deadline),
            Param::Integer(deadline.saturating_add(kept)),
        ];
        connection.execute(ADD, &values).await?;
        Ok(AddedJob::Added)
    }
}

/// Says what came of a job; the first word stands.
pub(super) struct Finish {
    pub(super) consumer: String,
    pub(super) id: [u8; 16],
    pub(super) answer: JobAnswer,
    pub(super) expires: i64,
}

pub(super) const FINISH: &str = "
UPDATE jobs SET status = $1, headers = $2, body = $3, expires = $4
WHERE consumer = $5 AND id = $6 AND status IS NULL";

impl Operation for Finish {
    type Answer = bool;
    const ACCESS: Access = Access::Statement;

    async fn run(&self, connection: &mut impl Connection) -> Result<bool, Fault> {
        let headers = serde_json::to_string(&self.answer.headers)
            .map_err(|error| Fault::caused(Reason::Unexpected, error))?;
        let values = [
            Param::Integer(self.answer.status.into()),
            Param::Text(&headers),
            Param::Bytes(&self.answer.body),
            Param::Integer(self.expires),
            Param::Text(&self.consumer),
            Param::Bytes(&self.id),
        ];
        Ok(connection.execute(FINISH, &values).await? > 0)
    }
}

/// A job of a consumer's, if it is still kept.
pub(super) struct Find {
    pub(super) consumer: String,
    pub(super) id: [u8; 16],
    pub(super) now: i64,
}

pub(super) const FIND: &str = "
SELECT call, created, deadline, status, headers, body
FROM jobs WHERE consumer = $1 AND id = $2 AND expires > $3";

impl Operation for Find {
    type Answer = Option<Job>;
    const ACCESS: Access = Access::Read;

    async fn run(&self, connection: &mut impl Connection) -> Result<Option<Job>, Fault> {
        let values =
            [Param::Text(&self.consumer), Param::Bytes(&self.id), Param::Integer(self.now)];
        let Some(mut row) = connection.query(FIND, &values).await?.pop() else { return Ok(None) };
        let (call, created, deadline) = (row.array()?, row.integer()?, row.integer()?);
        let answer = match row.integer_or_null()? {
            None => None,
            Some(status) => Some(JobAnswer {
                status: u16::try_from(status).map_err(|_| Fault::corrupt())?,
                headers: serde_json::from_str(&row.text()?)
                    .map_err(|error| Fault::caused(Reason::Corrupt, error))?,
                body: row.bytes()?,
            }),
        };
        Ok(Some(Job { call, created, deadline, answer }))
    }
}

/// One batch of jobs that nobody asks for any more.
pub(super) const SWEEP: &str = "
DELETE FROM jobs WHERE (consumer, id) IN (
  SELECT consumer, id FROM jobs WHERE expires <= $1 LIMIT $2)";
