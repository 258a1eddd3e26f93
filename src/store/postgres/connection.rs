//! A connection to PostgreSQL, and what its faults mean.

use std::cell::Cell;
use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use bytes::BytesMut;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Statement};

use crate::store::connection::{Access, Connection, Param, Row, Value};
use crate::store::error::{Fault, Reason};

/// How far an operation is, for who has to tell what is known when it ends without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing was sent that changes anything.
    Begun,
    /// A statement was sent.
    Sent,
    /// A transaction's end was sent.
    Committing,
}

/// One connection with the statements that it has prepared: as many as there are in the program.
pub(super) struct PostgresConnection {
    pub(super) client: Client,
    prepared: HashMap<&'static str, Statement>,
    /// How far the operation is.
    phase: Phase,
    /// The connection broke, whether its task has noticed or not.
    broken: Cell<bool>,
}

impl PostgresConnection {
    pub(super) fn new(client: Client) -> Self {
        Self { client, prepared: HashMap::new(), phase: Phase::Begun, broken: Cell::new(false) }
    }

    /// True if nothing more can come of it.
    pub(super) fn is_lost(&self) -> bool {
        self.broken.get() || self.client.is_closed()
    }

    /// Begins to note how far an operation is.
    pub(super) fn begin(&mut self) {
        self.phase = Phase::Begun;
    }

    /// Commits what was begun by `BEGIN`.
    pub(super) async fn commit(&mut self) -> Result<(), Fault> {
        self.phase = Phase::Committing;
        self.batch("COMMIT").await
    }

    /// True if nobody here can know whether the operation was carried out, should nothing more be heard of it. The
    /// server rolls a transaction back whose connection goes before its end.
    pub(super) fn is_open(&self, access: Access) -> bool {
        match access {
            Access::Read => false,
            Access::Statement => self.phase != Phase::Begun,
            Access::Transaction => self.phase == Phase::Committing,
        }
    }

    /// What a fault means; without a word of the server's the connection is gone.
    fn fault(&self, error: tokio_postgres::Error) -> Fault {
        if error.code().is_none() {
            self.broken.set(true);
        }
        fault(error)
    }

    /// Statements without values.
    pub(super) async fn batch(&self, sql: &str) -> Result<(), Fault> {
        self.client.batch_execute(sql).await.map_err(|error| self.fault(error))
    }

    async fn statement(&mut self, sql: &'static str) -> Result<Statement, Fault> {
        if let Some(statement) = self.prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await.map_err(|error| self.fault(error))?;
        self.prepared.insert(sql, statement.clone());
        Ok(statement)
    }
}

impl ToSql for Param<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(number) => number.to_sql_checked(kind, out),
            Self::Text(text) => text.to_sql_checked(kind, out),
            Self::Bytes(bytes) => bytes.to_sql_checked(kind, out),
        }
    }

    /// Each kind says for itself, above.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        match *kind {
            Type::INT8 => i64::from_sql(kind, raw).map(Self::Integer),
            Type::BYTEA => Ok(Self::Bytes(raw.to_vec())),
            _ => String::from_sql(kind, raw).map(Self::Text),
        }
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::INT8 | Type::BYTEA | Type::TEXT)
    }
}

fn params<'a>(with: &'a [Param<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    with.iter().map(|param| param as &(dyn ToSql + Sync)).collect()
}

fn row_of(row: &tokio_postgres::Row) -> Result<Row, Fault> {
    let values: Result<Vec<Value>, _> =
        (0..row.len()).map(|at| row.try_get::<_, Value>(at)).collect();
    values.map(Row::new).map_err(|error| Fault::caused(Reason::Corrupt, error))
}

impl Connection for PostgresConnection {
    async fn query(&mut self, sql: &'static str, with: &[Param<'_>]) -> Result<Vec<Row>, Fault> {
        let statement = self.statement(sql).await?;
        self.phase = Phase::Sent;
        let found = self
            .client
            .query(&statement, &params(with))
            .await
            .map_err(|error| self.fault(error))?;
        found.iter().map(row_of).collect()
    }

    async fn execute(&mut self, sql: &'static str, with: &[Param<'_>]) -> Result<u64, Fault> {
        let statement = self.statement(sql).await?;
        self.phase = Phase::Sent;
        self.client.execute(&statement, &params(with)).await.map_err(|error| self.fault(error))
    }

    /// All of them are sent before the first answer is waited for.
    async fn execute_each(
        &mut self,
        sql: &'static str,
        with: &[Vec<Param<'_>>],
    ) -> Result<(), Fault> {
        let statement = &self.statement(sql).await?;
        let client = &self.client;
        let sent = with
            .iter()
            .map(|with| async move { client.execute(statement, &params(with)).await.map(drop) });
        all(sent).await.map(drop).map_err(|error| self.fault(error))
    }

    /// As above, they are all sent before.
    async fn query_each(
        &mut self,
        sql: &'static str,
        with: &[Vec<Param<'_>>],
    ) -> Result<Vec<Row>, Fault> {
        let statement = &self.statement(sql).await?;
        self.phase = Phase::Sent;
        let client = &self.client;
        let sent =
            with.iter().map(|with| async move { client.query(statement, &params(with)).await });
        let found = all(sent).await.map_err(|error| self.fault(error))?;
        found.iter().flatten().map(row_of).collect()
    }

    /// Until the transaction ends. Two things with one hash only wait for each other without need.
    async fn exclude_others(&mut self, from: &str) -> Result<(), Fault> {
        let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
        let statement = self.statement(lock).await?;
        self.client.query(&statement, &[&from]).await.map(drop).map_err(|error| self.fault(error))
    }

    async fn copy(&mut self, _: &str) -> Result<(), Fault> {
        Err(Fault::new(Reason::Unfit))
    }

    /// The server looks after its files itself; that our tables are there is what can be told from here.
    async fn check(&mut self) -> Result<(), Fault> {
        let count = "SELECT count(*) FROM pg_tables WHERE schemaname = 'latimer'";
        let found = match self.query(count, &[]).await?.pop() {
            Some(mut row) => row.integer()?,
            None => 0,
        };
        if found >= TABLES { Ok(()) } else { Err(Fault::corrupt()) }
    }
}

/// Tables that the steps make, and the one of the steps.
const TABLES: i64 = 11;

/// Waits for all of them; their answers in their order, or the first fault if there is any.
async fn all<T, A, E>(futures: impl Iterator<Item = T>) -> Result<Vec<A>, E>
where
    T: Future<Output = Result<A, E>>,
{
    let mut waiting: Vec<(Pin<Box<T>>, Option<A>)> =
        futures.map(|future| (Box::pin(future), None)).collect();
    let mut first = None;
    let mut left: Vec<usize> = (0..waiting.len()).collect();
    std::future::poll_fn(|context| {
        left.retain(|index| {
            let (future, answer) = &mut waiting[*index];
            match future.as_mut().poll(context) {
                Poll::Ready(Ok(found)) => *answer = Some(found),
                Poll::Ready(Err(error)) => {
                    first.get_or_insert(error);
                }
                Poll::Pending => return true,
            }
            false
        });
        if left.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    match first {
        Some(error) => Err(error),
        None => Ok(waiting.into_iter().filter_map(|(_, answer)| answer).collect()),
    }
}

/// What a fault of PostgreSQL means. One without a word of the server's says that the connection went.
pub(super) fn fault(error: tokio_postgres::Error) -> Fault {
    let reason = match error.code() {
        None => Reason::Unavailable,
        Some(&SqlState::DISK_FULL) => Reason::DiskFull,
        Some(&SqlState::INSUFFICIENT_PRIVILEGE | &SqlState::READ_ONLY_SQL_TRANSACTION) => {
            Reason::NotPermitted
        }
        Some(&SqlState::LOCK_NOT_AVAILABLE | &SqlState::T_R_DEADLOCK_DETECTED) => Reason::Locked,
        Some(&SqlState::T_R_SERIALIZATION_FAILURE) => Reason::Locked,
        Some(&SqlState::DATA_CORRUPTED | &SqlState::INDEX_CORRUPTED) => Reason::Corrupt,
        Some(&SqlState::QUERY_CANCELED) => Reason::Unavailable,
        Some(&SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN) => Reason::OutcomeUnknown,
        // Connection exceptions, and a server that stops or has not started.
        Some(code) if code.code().starts_with("08") || code.code().starts_with("57P") => {
            Reason::Unavailable
        }
        Some(code) if code.code().starts_with("53") => Reason::Unavailable,
        Some(_) => Reason::Unexpected,
    };
    Fault::caused(reason, error)
}
