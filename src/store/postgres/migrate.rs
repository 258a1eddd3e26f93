//! Brings the form of the tables up to date, whoever else is at it.
//!
//! Everything is in a schema `latimer` of its own, so that a database may be shared.

use super::connect::Server;
use super::connection::PostgresConnection;
use crate::bounds;
use crate::store::error::{Fault, Reason};
use crate::store::migrations::{MIGRATIONS, known};

/// Whoever takes a step holds this lock: "latimer" as a number.
const LOCK: i64 = 0x006c_6174_696d_6572;

/// A connection to a database whose form is up to date.
pub(super) async fn connect(server: &Server) -> Result<PostgresConnection, Fault> {
    let connection = PostgresConnection::new(server.connect().await?);
    let steps = async {
        prepare(&connection).await?;
        while step(&connection).await? {}
        Ok(())
    };
    tokio::time::timeout(bounds::STATE_MIGRATION_TIMEOUT, steps)
        .await
        .unwrap_or_else(|late| Err(Fault::caused(Reason::Unavailable, late)))?;
    set_up(&connection).await?;
    Ok(connection)
}

/// What holds for every connection. The server ends what takes longer than anybody here waits.
pub(super) async fn set_up(connection: &PostgresConnection) -> Result<(), Fault> {
    let timeout = bounds::STATE_TIMEOUT.as_millis();
    connection
        .batch(&format!(
            "SET search_path TO latimer; SET statement_timeout = {timeout}; \
             SET idle_in_transaction_session_timeout = {timeout}"
        ))
        .await
}

async fn number(connection: &PostgresConnection, sql: &str) -> Result<i64, Fault> {
    let row = connection.client.query_one(sql, &[]).await;
    row.and_then(|row| row.try_get(0)).map_err(super::connection::fault)
}

/// Makes the schema and the table of the steps, if nobody has.
async fn prepare(connection: &PostgresConnection) -> Result<(), Fault> {
    connection.batch(&format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK})")).await?;
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'latimer'";
    // Who may use the schema need not be allowed to make one.
    if number(connection, schemas).await? == 0 {
        connection.batch("CREATE SCHEMA latimer").await?;
    }
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'latimer'";
    let steps =
        "SELECT count(*) FROM pg_tables WHERE schemaname = 'latimer' AND tablename = 'migrations'";
    if number(connection, steps).await? == 0 {
        if number(connection, tables).await? > 0 {
            return Err(Fault::new(Reason::Foreign));
        }
        connection.batch("CREATE TABLE latimer.migrations (version BIGINT PRIMARY KEY)").await?;
    }
    connection.batch("COMMIT").await
}

/// Takes the next step; false if there is none.
async fn step(connection: &PostgresConnection) -> Result<bool, Fault> {
    connection
        .batch(&format!(
            "BEGIN; SET LOCAL search_path TO latimer; SELECT pg_advisory_xact_lock({LOCK})"
        ))
        .await?;
    let found =
        number(connection, "SELECT coalesce(max(version), 0) FROM latimer.migrations").await?;
    if found > known() {
        return Err(Fault::new(Reason::Newer { found, known: known() }));
    }
    let taken = usize::try_from(found).map_err(|_| Fault::corrupt())?;
    let Some(migration) = MIGRATIONS.get(taken) else {
        connection.batch("COMMIT").await?;
        return Ok(false);
    };
    connection
        .batch(&format!(
            "{} INSERT INTO latimer.migrations VALUES ({}); COMMIT",
            migration.postgres,
            found + 1
        ))
        .await?;
    Ok(true)
}
