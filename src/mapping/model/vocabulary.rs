//! What all mappings speak of: types, operations, fields, words, texts of faults.

use std::sync::Arc;

use crate::diag::SourceFile;
use crate::mapping::model::Pattern;
use crate::value::{Fault, IdKind, SecretId, WordId};

/// The vocabulary.
#[derive(Debug)]
pub struct Vocabulary {
    /// The file that it was read from.
    pub source: Arc<SourceFile>,
    /// Types whose values are words.
    pub types: Vec<WordType>,
    /// The operations.
    pub operations: Vec<OperationDef>,
    /// Names of the secrets; a name's index is its [`SecretId`].
    pub secrets: Vec<String>,
    /// The gateway's fields that mappings may use.
    pub gateway: Vec<GatewayField>,
    /// Default text per fault, by [`Fault::index`].
    pub texts: Vec<Option<Pattern>>,
}

/// A type whose values are words.
#[derive(Clone, Debug)]
pub struct WordType {
    /// Its name.
    pub name: String,
    /// Its words; a word's index is its [`WordId`].
    pub words: Vec<String>,
    /// Where each word stands.
    pub at: Vec<crate::diag::Location>,
}

/// An operation of the vocabulary.
#[derive(Clone, Debug)]
pub struct OperationDef {
    /// Its name.
    pub name: String,
    /// What it does.
    pub kind: OperationKind,
    /// Fields of the request.
    pub request: Vec<Field>,
    /// Fields of the answer.
    pub answer: Vec<Field>,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationKind {
    /// It changes something: its outcome may be unknown.
    Write,
    /// It changes nothing and may be repeated.
    Read,
    /// It begins a session.
    LogIn,
    /// It ends a session.
    LogOut,
    /// It prolongs a session.
    Renew,
}

/// A field of a request or an answer.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: Type,
    /// True if it must be there.
    pub required: bool,
}

/// The types of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Names one thing in its system: a ticket, or a person.
    Id(IdKind),
    /// Any text.
    Text,
    /// A whole number.
    Int,
    /// A point in time, to the second.
    Time,
    /// True or false.
    Bool,
    /// A word: index of the [`WordType`].
    Word(usize),
    /// A secret.
    Secret,
    /// Any JSON.
    Raw,
}

macro_rules! gateway_fields {
    ($($(#[$doc:meta])* $variant:ident = $name:literal : $kind:expr,)*) => {
        /// What the gateway fills in.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum GatewayField {
            $($(#[$doc])* $variant,)*
        }

        impl GatewayField {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name that mappings use.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The value's type.
            pub const fn kind(self) -> Type {
                match self { $(Self::$variant => $kind,)* }
            }
        }
    };
}

gateway_fields! {
    /// The status code of the answer.
    Http = "http": Type::Int,
    /// The vendor's own code of the fault's row.
    Native = "native": Type::Text,
    /// The text of the fault.
    Message = "message": Type::Text,
    /// The client's own name of the member that is wrong.
    Field = "field": Type::Text,
    /// Why the request cannot be read.
    Reason = "reason": Type::Text,
    /// The path that the client asked for.
    Path = "path": Type::Text,
    /// The call's id.
    Call = "call": Type::Text,
    /// The methods that the path has.
    Allow = "allow": Type::Text,
    /// Calls that are left.
    RateRemaining = "rate.remaining": Type::Int,
    /// When the limit is whole again.
    RateReset = "rate.reset": Type::Time,
    /// Seconds to wait.
    RetryAfter = "retry_after": Type::Int,
    /// Where a client asks what came of its call: an absolute URL.
    JobLocation = "job.location": Type::Text,
    /// Milliseconds until that is known.
    JobTimeout = "job.timeout": Type::Int,
    /// Calls that there may be at most.
    RateLimit = "rate.limit": Type::Int,
    /// What the limit is called that says most to a client: the one that refused, or that is closest to it.
    LimitName = "limit.name": Type::Text,
    /// Calls that it takes.
    LimitCalls = "limit.calls": Type::Int,
    /// In how many seconds.
    LimitWindow = "limit.window": Type::Int,
    /// Calls that are left of them.
    LimitRemaining = "limit.remaining": Type::Int,
    /// Seconds until there are more, or all of them again.
    LimitSeconds = "limit.seconds": Type::Int,
    /// Who logged in.
    SessionUser = "session.user": Type::Text,
    /// Who logged in, as 32 hexadecimal digits that stay the same.
    SessionAccount = "session.account": Type::Id(IdKind::User),
    /// When the session began.
    SessionCreated = "session.created": Type::Time,
    /// When it ends, unless it is prolonged.
    SessionExpires = "session.expires": Type::Time,
    /// 128 random bits as hexadecimal digits, for a secret that is given out.
    SessionRandom = "session.random": Type::Id(IdKind::User),
}

impl GatewayField {
    /// The characters that its text has, where it has few.
    pub fn alphabet(self) -> Option<&'static str> {
        match self {
            // As the configuration has names.
            Self::LimitName => Some("abcdefghijklmnopqrstuvwxyz0123456789_-"),
            Self::Call | Self::SessionAccount | Self::SessionRandom => Some("0123456789abcdef"),
            _ if self.kind() == Type::Int => Some("0123456789"),
            _ => None,
        }
    }

    /// True if it is known of sessions only.
    pub fn is_of_session(self) -> bool {
        match self {
            Self::SessionUser
            | Self::SessionAccount
            | Self::SessionCreated
            | Self::SessionExpires
            | Self::SessionRandom => true,
            Self::Http
            | Self::Native
            | Self::Message
            | Self::Field
            | Self::Reason
            | Self::Path
            | Self::Call
            | Self::Allow
            | Self::RateRemaining
            | Self::RateReset
            | Self::RetryAfter
            | Self::JobLocation
            | Self::JobTimeout
            | Self::RateLimit
            | Self::LimitName
            | Self::LimitCalls
            | Self::LimitWindow
            | Self::LimitRemaining
            | Self::LimitSeconds => false,
        }
    }
}

impl OperationKind {
    /// All kinds with the names that the vocabulary uses.
    pub const ALL: [(&'static str, Self); 5] = [
        ("write", Self::Write),
        ("read", Self::Read),
        ("log_in", Self::LogIn),
        ("log_out", Self::LogOut),
        ("renew", Self::Renew),
    ];

    /// True if the gateway answers it itself, and no upstream is asked.
    pub fn is_ours(self) -> bool {
        match self {
            Self::LogIn | Self::LogOut | Self::Renew => true,
            Self::Write | Self::Read => false,
        }
    }

    /// The kind of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }
}

impl Vocabulary {
    /// The index of a secret.
    pub fn secret(&self, name: &str) -> Option<SecretId> {
        let index = self.secrets.iter().position(|secret| secret == name)?;
        SecretId::try_from(index).ok()
    }

    /// The word's name.
    pub fn word(&self, word_type: usize, word: WordId) -> &str {
        self.types
            .get(word_type)
            .and_then(|kind| kind.words.get(usize::from(word)))
            .map_or("?", String::as_str)
    }

    /// The text of a fault, or of the nearest parent that has one.
    pub fn text(&self, fault: Fault) -> Option<&Pattern> {
        fault.lineage().find_map(|fault| self.texts.get(fault.index())?.as_ref())
    }

    /// The index of an operation.
    pub fn operation(&self, name: &str) -> Option<usize> {
        self.operations.iter().position(|operation| operation.name == name)
    }

    /// The type of that name: one of the language's own, or a word type.
    pub fn type_by_name(&self, name: &str) -> Option<Type> {
        match name {
            "id" => Some(Type::Id(IdKind::Ticket)),
            "user_id" => Some(Type::Id(IdKind::User)),
            "text" => Some(Type::Text),
            "int" => Some(Type::Int),
            "time" => Some(Type::Time),
            "bool" => Some(Type::Bool),
            "secret" => Some(Type::Secret),
            "raw" => Some(Type::Raw),
            name => self.types.iter().position(|kind| kind.name == name).map(Type::Word),
        }
    }
}

impl OperationDef {
    /// The index of a request's field.
    pub fn request_field(&self, name: &str) -> Option<u8> {
        position(&self.request, name)
    }

    /// The index of an answer's field.
    pub fn answer_field(&self, name: &str) -> Option<u8> {
        position(&self.answer, name)
    }
}

fn position(fields: &[Field], name: &str) -> Option<u8> {
    let index = fields.iter().position(|field| field.name == name)?;
    u8::try_from(index).ok()
}
