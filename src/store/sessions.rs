//! Sessions of clients: who logged in, as which user of which vendor's API, and until when it holds.
//!
//! Tokens are kept as hashes: who reads the store cannot use one.

use super::connection::{Access, Connection, Operation, Param};
use super::error::Fault;
use crate::bounds;

/// A session that a log-in makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSession {
    /// The hash of its token.
    pub token: [u8; 32],
    /// What holds from then on.
    pub session: Session,
}

/// A session that holds. Times are Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The consumer that it speaks for.
    pub consumer: String,
    /// What it is good for: a vendor's API, and of several tenants of it one.
    pub realm: String,
    /// Who logged in.
    pub user: String,
    /// The hash of its CSRF token, where the vendor has one.
    pub csrf: Option<[u8; 32]>,
    /// When it was made.
    pub created: i64,
    /// When it ends.
    pub expires: i64,
    /// By how much each use moves its end, in milliseconds; none if its end is fixed.
    pub slides_ms: Option<u64>,
}

/// Adds a session, and takes the oldest of its user's away if there are too many.
pub(super) struct Add(pub(super) NewSession);

/// A token that is there already is the same log-in told twice: it is written over.
pub(super) const ADD: &str = "
INSERT INTO sessions (token, consumer, realm, user_name, csrf, created, expires, slides_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (token) DO UPDATE SET
  consumer = excluded.consumer, realm = excluded.realm, user_name = excluded.user_name,
  csrf = excluded.csrf, created = excluded.created, expires = excluded.expires,
  slides_ms = excluded.slides_ms";

/// The one that was just made is never the oldest, whatever the clocks of several gateways say.
pub(super) const TRIM: &str = "
DELETE FROM sessions WHERE token IN (
  SELECT token FROM sessions
  WHERE realm = $1 AND user_name = $2 AND token <> $3 AND expires > $4
  ORDER BY created DESC, token DESC LIMIT 1000000 OFFSET $5)";

impl Operation for Add {
    type Answer = ();
    const ACCESS: Access = Access::Transaction;

    async fn run(&self, connection: &mut impl Connection) -> Result<(), Fault> {
        let NewSession { token, session } = &self.0;
        let Session { consumer, realm, user, csrf, created, expires, slides_ms } = session;
        connection.exclude_others(&format!("sessions of {user} at {realm}")).await?;
        let values = [
            Param::Bytes(token),
            Param::Text(consumer),
            Param::Text(realm),
            Param::Text(user),
            Param::bytes_or_null(csrf.as_ref()),
            Param::Integer(*created),
            Param::Integer(*expires),
            slides_ms.map_or(Param::Null, Param::unsigned),
        ];
        connection.execute(ADD, &values).await?;
        let others = bounds::SESSIONS_PER_USER_MAX.saturating_sub(1);
        let values = [
            Param::Text(realm),
            Param::Text(user),
            Param::Bytes(token),
            Param::Integer(*created),
            Param::unsigned(others as u64),
        ];
        connection.execute(TRIM, &values).await.map(drop)
    }
}

/// The session of a token, if it holds.
pub(super) struct Find {
    pub(super) token: [u8; 32],
    pub(super) now: i64,
}

pub(super) const FIND: &str = "
SELECT consumer, realm, user_name, csrf, created, expires, slides_ms
FROM sessions WHERE token = $1 AND expires > $2";

impl Operation for Find {
    type Answer = Option<Session>;
    const ACCESS: Access = Access::Read;

    async fn run(&self, connection: &mut impl Connection) -> Result<Option<Session>, Fault> {
        let values = [Param::Bytes(&self.token), Param::Integer(self.now)];
        let Some(mut row) = connection.query(FIND, &values).await?.pop() else { return Ok(None) };
        Ok(Some(Session {
            consumer: row.text()?,
            realm: row.text()?,
            user: row.text()?,
            csrf: match row.bytes_or_null()? {
                Some(bytes) => Some(bytes.try_into().map_err(|_| Fault::corrupt())?),
                None => None,
            },
            created: row.integer()?,
            expires: row.integer()?,
            slides_ms: row.integer_or_null()?.map(i64::unsigned_abs),
        }))
    }
}

/// Moves the ends of sessions, never to an earlier time: several gateways may tell of the same session.
pub(super) struct Extend(pub(super) Vec<([u8; 32], i64)>);

pub(super) const EXTEND: &str =
    "UPDATE sessions SET expires = $1 WHERE token = $2 AND expires < $1";

impl Operation for Extend {
    type Answer = ();
    const ACCESS: Access = Access::Transaction;

    async fn run(&self, connection: &mut impl Connection) -> Result<(), Fault> {
        let values: Vec<Vec<Param<'_>>> = self
            .0
            .iter()
            .map(|(token, expires)| vec![Param::Integer(*expires), Param::Bytes(token)])
            .collect();
        connection.execute_each(EXTEND, &values).await
    }
}

/// Ends a session; says whether there was one.
pub(super) struct Remove(pub(super) [u8; 32]);

pub(super) const REMOVE: &str = "DELETE FROM sessions WHERE token = $1";

impl Operation for Remove {
    type Answer = bool;
    const ACCESS: Access = Access::Statement;

    async fn run(&self, connection: &mut impl Connection) -> Result<bool, Fault> {
        Ok(connection.execute(REMOVE, &[Param::Bytes(&self.0)]).await? > 0)
    }
}

/// One batch of sessions that have ended.
pub(super) const SWEEP: &str = "
DELETE FROM sessions WHERE token IN (SELECT token FROM sessions WHERE expires <= $1 LIMIT $2)";
