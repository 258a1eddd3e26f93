//! The closed set of canonical errors, each with its parent.

use std::fmt;

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident = $name:literal -> $parent:ident,)*) => {
        /// A canonical error. A vendor without a row of its own for one writes the parent's.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Fault {
            $($(#[$doc])* $variant,)*
        }

        impl Fault {
            /// Every fault; a fault's discriminant is its index here.
            pub const ALL: &'static [Fault] = &[$(Fault::$variant,)*];

            /// The name that mappings, logs and metrics use.
            pub const fn name(self) -> &'static str {
                match self { $(Fault::$variant => $name,)* }
            }

            /// The more general fault; a root is its own parent.
            pub const fn parent(self) -> Fault {
                match self { $(Fault::$variant => Fault::$parent,)* }
            }
        }
    };
}

faults! {
    /// The message cannot be read, or says something that cannot be.
    InvalidRequest = "invalid_request" -> InvalidRequest,
    /// A required member is not there.
    MissingField = "missing_field" -> InvalidRequest,
    /// A status that does not exist, or that the upstream cannot be told.
    InvalidStatus = "invalid_status" -> InvalidRequest,
    /// The path is known, the verb is not.
    MethodNotAllowed = "method_not_allowed" -> InvalidRequest,
    /// No answer in a form that the client accepts.
    NotAcceptable = "not_acceptable" -> InvalidRequest,
    /// A body in a form that is not read.
    UnsupportedMediaType = "unsupported_media_type" -> InvalidRequest,
    /// A body over the cap.
    TooLarge = "too_large" -> InvalidRequest,
    /// The ticket is in a state that does not allow the change.
    Conflict = "conflict" -> InvalidRequest,
    /// The ticket is closed for good.
    AlreadyClosed = "already_closed" -> Conflict,
    /// There is no such ticket.
    NotFound = "not_found" -> NotFound,
    /// The id is not of the client vendor's form.
    InvalidId = "invalid_id" -> NotFound,
    /// The vendor's API has no such path.
    UnknownPath = "unknown_path" -> NotFound,
    /// There is no call of that id whose outcome could be told, or not any more.
    UnknownJob = "unknown_job" -> UnknownPath,
    /// The credential is wrong or expired.
    Unauthenticated = "unauthenticated" -> Unauthenticated,
    /// The user of a log-in, or the password, is wrong; or a key that was shown to be checked.
    LogInRefused = "log_in_refused" -> Unauthenticated,
    /// There is no credential.
    CredentialsMissing = "credentials_missing" -> Unauthenticated,
    /// The credential does not allow this.
    Forbidden = "forbidden" -> Forbidden,
    /// Too many calls.
    RateLimited = "rate_limited" -> RateLimited,
    /// The gateway sheds load.
    Overloaded = "overloaded" -> RateLimited,
    /// The upstream failed, and the call has not taken effect.
    UpstreamFailed = "upstream_failed" -> UpstreamFailed,
    /// Nothing was sent: the upstream cannot be reached.
    UpstreamUnreachable = "upstream_unreachable" -> UpstreamFailed,
    /// Nothing was sent: the deadline had passed.
    UpstreamTimeout = "upstream_timeout" -> UpstreamFailed,
    /// The call may or may not have taken effect.
    OutcomeUnknown = "outcome_unknown" -> OutcomeUnknown,
}

impl Fault {
    /// The fault of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|fault| fault.name() == name)
    }

    /// True for a fault that every mapping must be able to write.
    pub fn is_root(self) -> bool {
        self.parent() == self
    }

    /// The fault itself, its parent, and so on up to the root.
    pub fn lineage(self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self), |fault| (!fault.is_root()).then(|| fault.parent()))
    }

    /// The fault's place in [`Fault::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roots_are_those_of_the_language() {
        let roots: Vec<&str> =
            Fault::ALL.iter().filter(|fault| fault.is_root()).map(|fault| fault.name()).collect();
        assert_eq!(
            roots,
            [
                "invalid_request",
                "not_found",
                "unauthenticated",
                "forbidden",
                "rate_limited",
                "upstream_failed",
                "outcome_unknown"
            ]
        );
    }

    #[test]
    fn lineage_ends_at_a_root() {
        let names: Vec<&str> = Fault::AlreadyClosed.lineage().map(Fault::name).collect();
        assert_eq!(names, ["already_closed", "conflict", "invalid_request"]);
        assert!(Fault::ALL.iter().enumerate().all(|(index, fault)| fault.index() == index));
    }
}
