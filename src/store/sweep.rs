//! Takes away what has ended, so much at a time that others get their turn between.

use super::connection::{Access, Connection, Operation, Param};
use super::error::Fault;
use super::{jobs, limits, sessions, upstreams};
use crate::bounds;

/// How much was taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Sessions of clients that had ended.
    pub sessions: u64,
    /// Jobs that nobody may ask for any more.
    pub jobs: u64,
    /// Sessions at upstreams that ended long ago.
    pub upstream_sessions: u64,
    /// Calls of quotas that count no more, by caller and part of time, and who wrote them down.
    pub limit_uses: u64,
}

impl Swept {
    /// True if there may be more than one batch of something.
    pub(super) fn is_full(self) -> bool {
        let Self { sessions, jobs, upstream_sessions, limit_uses } = self;
        [sessions, jobs, upstream_sessions, limit_uses]
            .into_iter()
            .any(|count| count >= u64::from(bounds::STATE_SWEEP_ROWS_MAX))
    }

    pub(super) fn add(&mut self, more: Self) {
        self.sessions += more.sessions;
        self.jobs += more.jobs;
        self.upstream_sessions += more.upstream_sessions;
        self.limit_uses += more.limit_uses;
    }
}

/// One batch of each.
pub(super) struct Sweep {
    pub(super) now: i64,
}

impl Operation for Sweep {
    type Answer = Swept;
    const ACCESS: Access = Access::Transaction;

    async fn run(&self, connection: &mut impl Connection) -> Result<Swept, Fault> {
        connection.exclude_others("sweep").await?;
        let batch = Param::Integer(bounds::STATE_SWEEP_ROWS_MAX.into());
        let now = Param::Integer(self.now);
        let out_of_use = Param::Integer(upstreams::out_of_use(self.now));
        let writers = connection.execute(limits::SWEEP_WRITERS, &[now, batch]).await?;
        Ok(Swept {
            sessions: connection.execute(sessions::SWEEP, &[now, batch]).await?,
            jobs: connection.execute(jobs::SWEEP, &[now, batch]).await?,
            upstream_sessions: connection.execute(upstreams::SWEEP, &[out_of_use, batch]).await?,
            limit_uses: connection.execute(limits::SWEEP, &[now, batch]).await? + writers,
        })
    }
}

/// Writes a copy into a file.
pub(super) struct Copy(pub(super) String);

impl Operation for Copy {
    type Answer = ();
    const ACCESS: Access = Access::Read;

    async fn run(&self, connection: &mut impl Connection) -> Result<(), Fault> {
        connection.copy(&self.0).await
    }
}

/// Looks whether what is stored is whole.
pub(super) struct Check;

impl Operation for Check {
    type Answer = ();
    const ACCESS: Access = Access::Read;

    async fn run(&self, connection: &mut impl Connection) -> Result<(), Fault> {
        connection.check().await
    }
}
