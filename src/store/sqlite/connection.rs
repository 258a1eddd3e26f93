//! A connection to SQLite, and what its faults mean.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, ErrorCode, ToSql, params_from_iter};

use crate::store::connection::{Connection, Param, Row, Value};
use crate::store::error::{Fault, Reason};

/// Statements that stay prepared: more than there are.
const STATEMENTS_MAX: usize = 64;

/// One connection.
pub(super) struct SqliteConnection(pub(super) rusqlite::Connection);

/// What an operation on SQLite comes to: nothing in it ever waits, so asking once is enough.
pub(super) fn now<F: Future>(operation: F) -> F::Output {
    match pin!(operation).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("statements of SQLite return when they are done"),
    }
}

impl SqliteConnection {
    pub(super) fn new(connection: rusqlite::Connection) -> Self {
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        Self(connection)
    }

    /// Statements without values.
    pub(super) fn batch(&self, sql: &str) -> Result<(), Fault> {
        self.0.execute_batch(sql).map_err(fault)
    }

    fn prepared(&self, sql: &'static str) -> Result<CachedStatement<'_>, Fault> {
        let statement = self.0.prepare_cached(sql).map_err(fault)?;
        debug_assert!(
            (1..=statement.parameter_count())
                .all(|index| statement.parameter_name(index) == Some(&format!("${index}"))),
            "parameters come up in their order: {sql}"
        );
        Ok(statement)
    }
}

impl ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn value(value: ValueRef<'_>) -> Result<Value, Fault> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Text(text) => Value::Text(
            String::from_utf8(text.to_vec())
                .map_err(|error| Fault::caused(Reason::Corrupt, error))?,
        ),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        ValueRef::Real(_) => return Err(Fault::corrupt()),
    })
}

fn rows_of(statement: &mut CachedStatement<'_>, with: &[Param<'_>]) -> Result<Vec<Row>, Fault> {
    let columns = statement.column_count();
    let mut found = statement.query(params_from_iter(with)).map_err(fault)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        let values: Result<Vec<Value>, Fault> =
            (0..columns).map(|at| value(row.get_ref(at).map_err(fault)?)).collect();
        rows.push(Row::new(values?));
    }
    Ok(rows)
}

impl Connection for SqliteConnection {
    async fn query(&mut self, sql: &'static str, with: &[Param<'_>]) -> Result<Vec<Row>, Fault> {
        rows_of(&mut self.prepared(sql)?, with)
    }

    async fn execute(&mut self, sql: &'static str, with: &[Param<'_>]) -> Result<u64, Fault> {
        let changed = self.prepared(sql)?.execute(params_from_iter(with)).map_err(fault)?;
        Ok(changed as u64)
    }

    async fn execute_each(
        &mut self,
        sql: &'static str,
        with: &[Vec<Param<'_>>],
    ) -> Result<(), Fault> {
        let mut statement = self.prepared(sql)?;
        for with in with {
            statement.execute(params_from_iter(with)).map_err(fault)?;
        }
        Ok(())
    }

    async fn query_each(
        &mut self,
        sql: &'static str,
        with: &[Vec<Param<'_>>],
    ) -> Result<Vec<Row>, Fault> {
        let mut statement = self.prepared(sql)?;
        let mut rows = Vec::with_capacity(with.len());
        for with in with {
            rows.extend(rows_of(&mut statement, with)?);
        }
        Ok(rows)
    }

    /// There is one writer, and its transactions begin with the file's lock.
    async fn exclude_others(&mut self, _: &str) -> Result<(), Fault> {
        Ok(())
    }

    /// The copy is no change of what is read, though SQLite takes it for one.
    async fn copy(&mut self, to: &str) -> Result<(), Fault> {
        self.batch("PRAGMA query_only = OFF")?;
        let copied = self.0.execute("VACUUM INTO $1", [to]).map(drop).map_err(fault);
        self.batch("PRAGMA query_only = ON")?;
        copied
    }

    async fn check(&mut self) -> Result<(), Fault> {
        let found: String =
            self.0.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(fault)?;
        if found == "ok" { Ok(()) } else { Err(Fault::caused(Reason::Corrupt, found)) }
    }
}

/// What a fault of SQLite means.
pub(super) fn fault(error: rusqlite::Error) -> Fault {
    let reason = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Reason::DiskFull,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Reason::Locked,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Reason::Corrupt,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            Reason::NotPermitted
        }
        Some(ErrorCode::SystemIoFailure | ErrorCode::FileLockingProtocolFailed) => {
            Reason::Unavailable
        }
        Some(ErrorCode::TooBig) => Reason::Unfit,
        Some(_) | None => Reason::Unexpected,
    };
    Fault::caused(reason, error)
}
