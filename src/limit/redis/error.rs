//! Why the store that is shared decided nothing.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// The store decided nothing. Shows the message only; [`Error::source`] has the cause.
#[derive(Clone, Debug)]
pub struct Unavailable {
    reason: Reason,
    /// Host and port.
    place: Arc<str>,
    cause: Option<Cause>,
}

/// What is wrong, for who decides what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It cannot be reached, or went away.
    Unreachable,
    /// It does not answer in time.
    Late,
    /// Too many checks wait for it already.
    Overloaded,
    /// It does not let us in.
    Refused,
    /// No TLS connection can be made with it.
    Tls,
    /// It answers, but not with a decision.
    Unfit,
}

type Cause = Arc<dyn Error + Send + Sync>;

/// The same without the place, which is known to the handle.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) reason: Reason,
    cause: Option<Cause>,
}

/// What a server says of a log-in: the first word of it. The rest may repeat what it was sent, the password
/// too, where a proxy does not know the command.
#[derive(Debug)]
pub(super) struct Said(pub(super) String);

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

    pub(super) fn at(self, place: &Arc<str>) -> Unavailable {
        Unavailable { reason: self.reason, place: Arc::clone(place), cause: self.cause }
    }
}

impl Unavailable {
    /// What is wrong.
    pub fn reason(&self) -> Reason {
        self.reason
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "it cannot be reached",
            Self::Late => "it does not answer in time",
            Self::Overloaded => "too many checks wait for it",
            Self::Refused => "it does not let us in",
            Self::Tls => "no TLS connection can be made",
            Self::Unfit => "it does not decide",
        })
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the limits in Redis at {}: {}", self.place, self.reason)
    }
}

impl Error for Unavailable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let cause: &(dyn Error + 'static) = self.cause.as_deref()?;
        Some(cause)
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it says {}", self.0)
    }
}

impl Error for Said {}
