//! What can go wrong with the store, as facts.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Why the store did not do what it was asked to. Shows the message only; [`Error::source`] has the cause.
#[derive(Clone, Debug)]
pub struct StoreError {
    reason: Reason,
    /// The file or the URL, without a password.
    place: Arc<str>,
    cause: Option<Cause>,
}

/// What is wrong, for who decides what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It cannot be reached, or does not answer in time. Nothing was changed.
    Unavailable,
    /// Too much waits for it already. Nothing was changed.
    Overloaded,
    /// The connection went, or the time ran out, after a change was sent: it may have been made or not.
    OutcomeUnknown,
    /// There is no room for more. Nothing was changed.
    DiskFull,
    /// It is there and may not be written, or may not be made where it is said to be.
    NotPermitted,
    /// Another gateway has the file.
    InUse {
        /// Its process, if that is known.
        process: Option<u32>,
    },
    /// Another program kept it locked for too long. Nothing was changed.
    Locked,
    /// What is there cannot be read.
    Corrupt,
    /// A newer version of this program has changed its form.
    Newer {
        /// The version of its form.
        found: i64,
        /// The last one that this program knows.
        known: i64,
    },
    /// Another application's data is there.
    Foreign,
    /// The server does not let us in.
    Refused,
    /// No TLS connection can be made with the server.
    Tls,
    /// A value cannot be kept: too long, or with a NUL in a name.
    Unfit,
    /// It was closed.
    Closed,
    /// What should not happen: a defect of ours, or a fault that is not told apart.
    Unexpected,
}

/// What went wrong below, kept for the log.
type Cause = Arc<dyn Error + Send + Sync>;

/// The same without the place, which is known to the handle.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) reason: Reason,
    cause: Option<Cause>,
}

impl Fault {
    pub(super) fn new(reason: Reason) -> Self {
        Self { reason, cause: None }
    }

    pub(super) fn caused(
        reason: Reason,
        cause: impl Into<Box<dyn Error + Send + Sync + 'static>>,
    ) -> Self {
        Self { reason, cause: Some(Arc::from(cause.into())) }
    }

    /// What is stored is not what this program writes.
    pub(super) fn corrupt() -> Self {
        Self::new(Reason::Corrupt)
    }

    /// The same cause, seen as something else.
    pub(super) fn with(self, reason: Reason) -> Self {
        Self { reason, ..self }
    }

    pub(super) fn at(self, place: &Arc<str>) -> StoreError {
        StoreError { reason: self.reason, place: Arc::clone(place), cause: self.cause }
    }
}

impl StoreError {
    /// What is wrong.
    pub fn reason(&self) -> Reason {
        self.reason
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "it cannot be reached",
            Self::Overloaded => "too much waits for it",
            Self::OutcomeUnknown => "it is not known whether the change was made",
            Self::DiskFull => "there is no room left",
            Self::NotPermitted => "it may not be written",
            Self::InUse { process: Some(process) } => {
                return write!(f, "another gateway uses it, process {process}");
            }
            Self::InUse { process: None } => "another gateway uses it",
            Self::Locked => "another program keeps it locked",
            Self::Corrupt => "it is damaged",
            Self::Newer { found, known } => {
                return write!(
                    f,
                    "a newer version of this program has used it: its form is {found}, and {known} is \
                     the last one known here"
                );
            }
            Self::Foreign => "another application's data is there",
            Self::Refused => "the server does not let us in",
            Self::Tls => "no TLS connection can be made",
            Self::Unfit => "a value is too long, or holds what cannot be kept",
            Self::Closed => "it is closed",
            Self::Unexpected => "something unexpected happened",
        })
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the state in {}: {}", self.place, self.reason)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let cause: &(dyn Error + 'static) = self.cause.as_deref()?;
        Some(cause)
    }
}
