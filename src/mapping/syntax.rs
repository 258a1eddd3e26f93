//! A mapping file as its author wrote it, every part with its place.
//!
//! Turning YAML into these types finds what can be found without knowing any names: unknown keys,
//! values of the wrong kind, malformed holes and arrows. What the names mean is settled by
//! [`compile`](super::compile).

mod answer;
mod examples;
mod file;
mod keys;
mod message;
mod session;
mod steps;
mod template;
mod tree;
mod vocabulary;

pub use answer::{FaultRow, Faults, Native, Success};
pub use examples::{Example, ExampleText};
pub use file::{File, Limits, Operation, SettingDecl, Table, TableRow};
pub use keys::{Findings, Keys};
pub use message::{Bodies, Body, BodyTree, Line, Request, Select};
pub use session::{Expired, LogIn, Session, Take};
pub use steps::{Poll, Step};
pub use template::{Arrow, Arrowed, Hole, Or, OrValue, Part, Template, parse_arrow_list};
pub use tree::{Literal, LiteralKind, Member, PlaceValue, Tree};
pub use vocabulary::{FieldDecl, OperationDecl, VocabularyFile, WordTypeDecl};

use crate::diag::Span;

/// A name or another text with the place where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The text.
    pub text: String,
    /// The place.
    pub span: Span,
}

impl Named {
    /// A text at a place.
    pub fn new(text: impl Into<String>, span: Span) -> Self {
        Self { text: text.into(), span }
    }
}
