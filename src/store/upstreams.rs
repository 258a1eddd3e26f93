//! Sessions at upstreams that several gateways share, so that a fleet logs in once.
//!
//! Who finds no session that holds takes the lease, logs in and puts what it got; the others wait and look
//! again. A lease that is over may be taken by another holder; what its former holder puts then is refused.

use super::connection::{Access, Connection, Operation, Param};
use super::error::Fault;
use crate::{bounds, clock};

/// A session that somebody has put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedSession {
    /// The session, encrypted by who put it.
    pub sealed: Vec<u8>,
    /// When it ends, in Unix milliseconds; it is given out all the same.
    pub expires: i64,
    /// Goes up with every session that is put.
    pub generation: u64,
}

/// The session under a key.
pub(super) struct Find(pub(super) [u8; 32]);

pub(super) const FIND: &str = "SELECT sealed, expires, generation FROM upstream_sessions WHERE key = $1 AND sealed IS NOT NULL";

impl Operation for Find {
    type Answer = Option<SharedSession>;
    const ACCESS: Access = Access::Read;

    async fn run(&self, connection: &mut impl Connection) -> Result<Option<SharedSession>, Fault> {
        let rows = connection.query(FIND, &[Param::Bytes(&self.0)]).await;
        let Some(mut row) = rows?.pop() else { return Ok(None) };
        let (sealed, expires, generation) = (row.bytes()?, row.integer()?, row.unsigned()?);
        Ok(Some(SharedSession { sealed, expires, generation }))
    }
}

/// Takes the lease, unless somebody else has it.
pub(super) struct Lease {
    pub(super) key: [u8; 32],
    pub(super) holder: [u8; 16],
    pub(super) now: i64,
    pub(super) until: i64,
}

pub(super) const LEASE: &str = "
INSERT INTO upstream_sessions AS kept (key, holder, leased_until, expires, generation)
VALUES ($1, $2, $3, 0, 0)
ON CONFLICT (key) DO UPDATE SET holder = excluded.holder, leased_until = excluded.leased_until
WHERE kept.holder IS NULL OR kept.holder = excluded.holder OR kept.leased_until <= $4";

impl Operation for Lease {
    type Answer = bool;
    const ACCESS: Access = Access::Statement;

    async fn run(&self, connection: &mut impl Connection) -> Result<bool, Fault> {
        let values = [
            Param::Bytes(&self.key),
            Param::Bytes(&self.holder),
            Param::Integer(self.until),
            Param::Integer(self.now),
        ];
        Ok(connection.execute(LEASE, &values).await? > 0)
    }
}

/// Puts a session and gives the lease back; only its holder may.
pub(super) struct Put {
    pub(super) key: [u8; 32],
    pub(super) holder: [u8; 16],
    pub(super) sealed: Vec<u8>,
    pub(super) expires: i64,
}

pub(super) const PUT: &str = "
UPDATE upstream_sessions
SET sealed = $1, expires = $2, generation = generation + 1, holder = NULL
WHERE key = $3 AND holder = $4";

impl Operation for Put {
    type Answer = bool;
    const ACCESS: Access = Access::Statement;

    async fn run(&self, connection: &mut impl Connection) -> Result<bool, Fault> {
        let values = [
            Param::Bytes(&self.sealed),
            Param::Integer(self.expires),
            Param::Bytes(&self.key),
            Param::Bytes(&self.holder),
        ];
        Ok(connection.execute(PUT, &values).await? > 0)
    }
}

/// Gives the lease back without a session.
pub(super) struct Release {
    pub(super) key: [u8; 32],
    pub(super) holder: [u8; 16],
}

pub(super) const RELEASE: &str =
    "UPDATE upstream_sessions SET holder = NULL WHERE key = $1 AND holder = $2";

impl Operation for Release {
    type Answer = ();
    const ACCESS: Access = Access::Statement;

    async fn run(&self, connection: &mut impl Connection) -> Result<(), Fault> {
        let values = [Param::Bytes(&self.key), Param::Bytes(&self.holder)];
        connection.execute(RELEASE, &values).await.map(drop)
    }
}

/// One batch of rows that nobody has used for long: a generation must not begin anew while somebody may still
/// remember the last one.
pub(super) const SWEEP: &str = "
DELETE FROM upstream_sessions WHERE key IN (
  SELECT key FROM upstream_sessions WHERE expires <= $1 AND leased_until <= $1 LIMIT $2)";

/// The time before which a row must have been out of use to be swept.
pub(super) fn out_of_use(now: i64) -> i64 {
    now.saturating_sub(clock::milliseconds(bounds::UPSTREAM_SESSION_KEPT))
}
