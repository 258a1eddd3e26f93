//! One connection and what is done on it: transactions, deadlines, and what is known when it breaks.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::connect::Server;
use super::connection::PostgresConnection;
use super::migrate;
use crate::bounds;
use crate::store::connection::{Access, Operation};
use crate::store::error::{Fault, Reason};

/// Time before the server is tried again after the first failure; it doubles up to a bound.
const BACK_OFF_MIN: Duration = Duration::from_millis(50);
/// Tries of what the server has rolled back to let another transaction pass, or of a read that broke.
const TRIES_MAX: u32 = 3;

/// A connection, or the time before which none is tried.
pub(super) struct Lane {
    server: Arc<Server>,
    connection: Option<PostgresConnection>,
    failed: Option<Failed>,
}

/// The last failure to connect.
struct Failed {
    fault: Fault,
    back_off: Duration,
    until: Instant,
}

impl Lane {
    pub(super) fn new(server: &Arc<Server>, connection: Option<PostgresConnection>) -> Self {
        Self { server: Arc::clone(server), connection, failed: None }
    }

    /// Runs an operation, if its time is not over yet.
    pub(super) async fn carry<O: Operation>(
        &mut self,
        operation: &O,
        deadline: Instant,
    ) -> Result<O::Answer, Fault> {
        let mut tries = 0;
        loop {
            tries += 1;
            if Instant::now() >= deadline {
                return Err(Fault::new(Reason::Unavailable));
            }
            let connection = self.connected(deadline).await?;
            let attempt = timeout_at(deadline, attempt(connection, operation)).await;
            let fault = match attempt {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(fault)) => fault,
                Err(late) => Fault::caused(Reason::Unavailable, late),
            };
            let (is_late, is_lost) = (Instant::now() >= deadline, connection.is_lost());
            let is_open = (is_late || is_lost) && connection.is_open(O::ACCESS);
            if is_late {
                // Nobody knows how far it is: what comes next begins anew.
                self.connection = None;
            }
            if is_open {
                return Err(fault.with(Reason::OutcomeUnknown));
            }
            let again = is_lost || fault.reason == Reason::Locked;
            if is_late || !again || tries >= TRIES_MAX {
                return Err(fault);
            }
        }
    }

    /// The connection; a new one if it is gone.
    async fn connected(&mut self, deadline: Instant) -> Result<&mut PostgresConnection, Fault> {
        if self.connection.as_ref().is_some_and(|one| one.is_lost()) {
            self.connection = None;
        }
        if self.connection.is_none() {
            if let Some(failed) = &self.failed
                && Instant::now() < failed.until
            {
                return Err(failed.fault.clone());
            }
            match timeout_at(deadline, connect(&self.server)).await {
                Ok(Ok(connection)) => {
                    self.connection = Some(connection);
                    self.failed = None;
                }
                Ok(Err(fault)) => return Err(self.back_off(fault)),
                Err(late) => {
                    return Err(self.back_off(Fault::caused(Reason::Unavailable, late)));
                }
            }
        }
        self.connection.as_mut().ok_or_else(|| Fault::new(Reason::Unavailable))
    }

    fn back_off(&mut self, fault: Fault) -> Fault {
        let back_off = match &self.failed {
            Some(failed) => (failed.back_off * 2).min(bounds::STATE_BACK_OFF_MAX),
            None => BACK_OFF_MIN,
        };
        let until = Instant::now() + back_off;
        self.failed = Some(Failed { fault: fault.clone(), back_off, until });
        fault
    }
}

async fn connect(server: &Server) -> Result<PostgresConnection, Fault> {
    let connection = PostgresConnection::new(server.connect().await?);
    migrate::set_up(&connection).await?;
    Ok(connection)
}

/// Runs an operation once. Where it does not go well, the connection says how far it was.
async fn attempt<O: Operation>(
    connection: &mut PostgresConnection,
    operation: &O,
) -> Result<O::Answer, Fault> {
    connection.begin();
    match O::ACCESS {
        Access::Read | Access::Statement => operation.run(connection).await,
        Access::Transaction => {
            connection.batch("BEGIN").await?;
            match operation.run(connection).await {
                Ok(answer) => connection.commit().await.map(|()| answer),
                Err(fault) => {
                    // Where this fails the connection is gone, and the transaction with it.
                    let _ = connection.batch("ROLLBACK").await;
                    Err(fault)
                }
            }
        }
    }
}
