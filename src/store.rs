//! The state that outlives a call: sessions of clients, asynchronous jobs, sessions at upstreams, what was
//! used of quotas, the journal of changes, and the crosswalk.
//!
//! ```text
//! Store ── operation ──▶ sqlite:   a writer that commits in groups, a reader      one file, or memory
//!                   └──▶ postgres: one thread with some connections               a fleet's database
//! ```
//!
//! An operation is written once, in SQL that both databases read alike (`connection`), one file per family of
//! tables; the form of the tables comes about in steps (`migrations`). A [`Store`] is a handle that works from
//! any runtime: it leaves an operation in a bounded queue and waits for the answer. A queue that is full, a
//! database that is not there and a change whose outcome is not known are told apart, by [`Reason`].
//!
//! Every change that was answered is kept, whatever happens to the process or the machine after that. A future
//! that is dropped takes nothing back: what was queued is done.
//!
//! The clock is not read here: times are Unix milliseconds of the caller's. Tokens come as hashes, and what a
//! gateway shares of its sessions at upstreams it has encrypted before.

mod connection;
pub mod crosswalk;
mod error;
mod jobs;
pub mod journal;
mod limits;
mod migrations;
mod postgres;
mod sessions;
mod sqlite;
mod sweep;
#[cfg(test)]
mod tests;
mod upstreams;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::bounds;
use crate::config::StateConfig;

use connection::Operation;
use error::Fault;
use postgres::Postgres;
use sqlite::Sqlite;

pub use error::{Reason, StoreError};
pub use jobs::{AddedJob, Job, JobAnswer, NewJob};
pub use limits::{Batch, Used};
pub use sessions::{NewSession, Session};
pub use sweep::Swept;
pub use upstreams::SharedSession;

/// A handle to what is kept. Cheap to clone; for all workers.
#[derive(Clone)]
pub struct Store {
    database: Database,
    /// Where it is, as messages name it.
    place: Arc<str>,
}

#[derive(Clone)]
enum Database {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

/// Opens the store that a configuration names, makes it if it is not there, and brings its form up to date.
/// Blocks until then, so it is for the start, not for a thread that serves.
///
/// A file that another gateway still has is waited for, so that a restart may overlap.
///
/// # Errors
/// If it cannot be opened, is somebody else's, or is newer than this program.
pub fn open(config: &StateConfig) -> Result<Store, StoreError> {
    open_within(config, bounds::STATE_LOCK_WAIT)
}

/// The same with another time for a gateway that still has the file.
///
/// # Errors
/// As [`open`].
pub fn open_within(config: &StateConfig, lock_wait: Duration) -> Result<Store, StoreError> {
    let place: Arc<str> = config.to_string().into();
    let database = match config {
        StateConfig::Memory => Sqlite::in_memory().map(Database::Sqlite),
        StateConfig::Sqlite(path) => Sqlite::open(path, lock_wait).map(Database::Sqlite),
        StateConfig::Postgres(config) => Postgres::open(config).map(Database::Postgres),
    };
    match database {
        Ok(database) => Ok(Store { database, place }),
        Err(fault) => Err(fault.at(&place)),
    }
}

/// Opens what a configuration names for looking only, beside a gateway that may have it. What has no form yet,
/// or an older one than this program's, is opened as [`open`] does it, if nobody has it.
///
/// # Errors
/// As [`open`].
pub fn open_reading(config: &StateConfig) -> Result<Store, StoreError> {
    match config {
        StateConfig::Sqlite(path) => {
            let place: Arc<str> = config.to_string().into();
            match Sqlite::open_reading(path) {
                Ok(sqlite) => Ok(Store { database: Database::Sqlite(sqlite), place }),
                Err(fault) => Err(fault.at(&place)),
            }
        }
        StateConfig::Memory | StateConfig::Postgres(_) => open_within(config, Duration::ZERO),
    }
}

/// Opens what a configuration names for changing what gateways follow: the crosswalk. True if a gateway has the same
/// file, which then waits while something is changed.
///
/// # Errors
/// As [`open`]; also if a gateway has a file of another form.
pub fn open_changing(config: &StateConfig) -> Result<(Store, bool), StoreError> {
    let error = match open_within(config, Duration::ZERO) {
        Ok(store) => return Ok((store, false)),
        Err(error) => error,
    };
    match config {
        StateConfig::Sqlite(path) if matches!(error.reason(), Reason::InUse { .. }) => {
            match Sqlite::open_beside(path, true) {
                Ok(Some(sqlite)) => {
                    let place = config.to_string().into();
                    Ok((Store { database: Database::Sqlite(sqlite), place }, true))
                }
                Ok(None) => Err(error),
                Err(fault) => Err(fault.at(&config.to_string().into())),
            }
        }
        StateConfig::Sqlite(_) | StateConfig::Memory | StateConfig::Postgres(_) => Err(error),
    }
}

/// A store for trying things out, in a file that has no name and goes with it.
///
/// # Errors
/// If there is no room for one.
pub fn temporary() -> Result<Store, StoreError> {
    let place: Arc<str> = "a temporary file".into();
    match Sqlite::temporary() {
        Ok(sqlite) => Ok(Store { database: Database::Sqlite(sqlite), place }),
        Err(fault) => Err(fault.at(&place)),
    }
}

/// Sessions of clients.
impl Store {
    /// Keeps a session. Of those of one user in one realm that hold at its `created`, there are
    /// [`bounds::SESSIONS_PER_USER_MAX`] at most: the oldest goes. A token that is there already is written over,
    /// so that a log-in whose outcome is not known may be told again.
    ///
    /// # Errors
    /// If it may not have been kept.
    pub async fn add_session(&self, new: &NewSession) -> Result<(), StoreError> {
        let session = &new.session;
        self.fits([&session.consumer, &session.realm, &session.user].map(String::as_str))?;
        self.run(sessions::Add(new.clone())).await
    }

    /// The session of a token, if it holds now.
    ///
    /// # Errors
    /// If that cannot be told.
    pub async fn session(&self, token: [u8; 32], now: i64) -> Result<Option<Session>, StoreError> {
        self.run(sessions::Find { token, now }).await
    }

    /// Moves the ends of sessions, all in one batch. None is moved to an earlier time; those that are gone stay
    /// gone.
    ///
    /// # Errors
    /// If they may not all have been moved.
    pub async fn extend_sessions(&self, ends: &[([u8; 32], i64)]) -> Result<(), StoreError> {
        if ends.is_empty() {
            return Ok(());
        }
        let mut ends = ends.to_vec();
        // Two gateways that change the same rows do it in one order, and so never wait for each other in a ring.
        ends.sort_unstable();
        self.run(sessions::Extend(ends)).await
    }

    /// Ends a session; says whether there was one.
    ///
    /// # Errors
    /// If it may still be there.
    pub async fn remove_session(&self, token: [u8; 32]) -> Result<bool, StoreError> {
        self.run(sessions::Remove(token)).await
    }
}

/// Asynchronous jobs.
impl Store {
    /// Keeps a job of a consumer's that has begun.
    ///
    /// # Errors
    /// If it may not have been kept.
    pub async fn add_job(&self, job: &NewJob) -> Result<AddedJob, StoreError> {
        self.fits([job.consumer.as_str()])?;
        self.run(jobs::Add(job.clone())).await
    }

    /// Says what came of a job, and until when that is kept. False if there is no such job, or it was said before:
    /// the first word stands.
    ///
    /// # Errors
    /// If it may not have been kept.
    pub async fn finish_job(
        &self,
        consumer: &str,
        id: [u8; 16],
        answer: &JobAnswer,
        expires: i64,
    ) -> Result<bool, StoreError> {
        self.fits([consumer])?;
        self.is_short(answer.len())?;
        let consumer = consumer.to_owned();
        self.run(jobs::Finish { consumer, id, answer: answer.clone(), expires }).await
    }

    /// A job of a consumer's, if it is still kept. Without an answer it is kept for
    /// [`bounds::JOB_LOST_KEPT`] after its deadline.
    ///
    /// # Errors
    /// If that cannot be told.
    pub async fn job(
        &self,
        consumer: &str,
        id: [u8; 16],
        now: i64,
    ) -> Result<Option<Job>, StoreError> {
        self.fits([consumer])?;
        self.run(jobs::Find { consumer: consumer.to_owned(), id, now }).await
    }
}

/// Sessions at upstreams.
impl Store {
    /// The session that was put last under a key, whether it has ended or not.
    ///
    /// # Errors
    /// If that cannot be told.
    pub async fn upstream_session(
        &self,
        key: [u8; 32],
    ) -> Result<Option<SharedSession>, StoreError> {
        self.run(upstreams::Find(key)).await
    }

    /// Takes the lease of a key until a time: true if nobody else has it now. Its holder may take it again for
    /// longer.
    ///
    /// # Errors
    /// If it may not have been taken.
    pub async fn lease_upstream_session(
        &self,
        key: [u8; 32],
        holder: [u8; 16],
        now: i64,
        until: i64,
    ) -> Result<bool, StoreError> {
        self.run(upstreams::Lease { key, holder, now, until }).await
    }

    /// Puts a session under a key and gives the lease back. False, and nothing done, if it is not this holder's.
    ///
    /// # Errors
    /// If it may not have been put.
    pub async fn put_upstream_session(
        &self,
        key: [u8; 32],
        holder: [u8; 16],
        sealed: Vec<u8>,
        expires: i64,
    ) -> Result<bool, StoreError> {
        self.is_short(sealed.len())?;
        self.run(upstreams::Put { key, holder, sealed, expires }).await
    }

    /// Gives the lease back without a session, if it is this holder's.
    ///
    /// # Errors
    /// If it may not have been given back; it ends by itself.
    pub async fn release_upstream_session(
        &self,
        key: [u8; 32],
        holder: [u8; 16],
    ) -> Result<(), StoreError> {
        self.run(upstreams::Release { key, holder }).await
    }
}

/// What was used of quotas.
impl Store {
    /// Adds calls, all in one batch, and gives the totals in their order: what others have added is in them. A
    /// batch that was added before is not added again.
    ///
    /// # Errors
    /// If they may not all have been added; the same batch may be told again.
    pub async fn add_uses(&self, batch: Batch, used: Vec<Used>) -> Result<Vec<u64>, StoreError> {
        for one in &used {
            self.fits([one.limit.as_str()])?;
        }
        self.run(limits::Add { batch, used }).await
    }

    /// What counts of a limit now, for callers and times after these: [`bounds::LIMIT_USES_PAGE`] at most.
    ///
    /// # Errors
    /// If that cannot be told.
    pub async fn uses(
        &self,
        limit: &str,
        span: u64,
        after: Option<(u64, u64)>,
        now: i64,
    ) -> Result<Vec<Used>, StoreError> {
        self.fits([limit])?;
        self.run(limits::Find { limit: limit.to_owned(), span, after, now }).await
    }

    /// Forgets what was used of a limit, by one caller or by all.
    ///
    /// # Errors
    /// If not all of it is forgotten.
    pub async fn forget_uses(&self, limit: &str, subject: Option<u64>) -> Result<(), StoreError> {
        self.fits([limit])?;
        let batch = u64::from(bounds::STATE_SWEEP_ROWS_MAX);
        while self.run(limits::Forget { limit: limit.to_owned(), subject }).await? >= batch {}
        Ok(())
    }
}

/// The store as a whole.
impl Store {
    /// Takes away what has ended, in batches of [`bounds::STATE_SWEEP_ROWS_MAX`] rows between which others get
    /// their turn.
    ///
    /// # Errors
    /// If not all of it was taken away; what is left goes another time.
    pub async fn sweep(&self, now: i64) -> Result<Swept, StoreError> {
        let mut all = Swept::default();
        loop {
            let batch = self.run(sweep::Sweep { now }).await?;
            all.add(batch);
            if !batch.is_full() {
                return Ok(all);
            }
        }
    }

    /// Looks whether what is stored is whole. A file is read from its beginning to its end, and no other question
    /// is answered meanwhile.
    ///
    /// # Errors
    /// If it is not, or that cannot be told.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.run(sweep::Check).await
    }

    /// Writes all of it, as it is at this moment, into an SQLite file that is empty or not there yet, while others
    /// use it. A server is not copied: it has its own way.
    ///
    /// # Errors
    /// If the file is no whole copy.
    pub async fn copy(&self, to: &str) -> Result<(), StoreError> {
        self.run(sweep::Copy(to.to_owned())).await
    }

    /// Does what waits, and lets go of the file or the connections. Whoever asks for something after that is told
    /// that it is closed.
    pub async fn close(&self) {
        match &self.database {
            Database::Sqlite(sqlite) => sqlite.close().await,
            Database::Postgres(postgres) => postgres.close().await,
        }
    }

    async fn run<O: Operation>(&self, operation: O) -> Result<O::Answer, StoreError> {
        let answer = match &self.database {
            Database::Sqlite(sqlite) => sqlite.run(operation).await,
            Database::Postgres(postgres) => postgres.run(operation).await,
        };
        answer.map_err(|fault| fault.at(&self.place))
    }

    /// Refuses names that one of the databases cannot keep.
    fn fits<const N: usize>(&self, names: [&str; N]) -> Result<(), StoreError> {
        let fits = |name: &str| name.len() <= bounds::STATE_NAME_BYTES_MAX && !name.contains('\0');
        if names.into_iter().all(fits) { Ok(()) } else { Err(self.unfit()) }
    }

    fn is_short(&self, bytes: usize) -> Result<(), StoreError> {
        if bytes <= bounds::STATE_VALUE_BYTES_MAX { Ok(()) } else { Err(self.unfit()) }
    }

    fn unfit(&self) -> StoreError {
        Fault::new(Reason::Unfit).at(&self.place)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.place)
    }
}
