//! Texts with holes, and the places that hold them.

use std::fmt;

use crate::diag::Location;
use crate::mapping::codecs::{Codec, NodeKind};
use crate::mapping::model::{GatewayField, Type};
use crate::mapping::syntax::{Arrow, Literal, LiteralKind};
use crate::value::{FieldId, RawId, SecretId, SettingId};

/// Where a hole's value comes from and goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// A field of the record at hand.
    Field(FieldId),
    /// A field of the request, in an answer.
    Request(FieldId),
    /// Vendor-private JSON.
    Raw(RawId),
    /// A secret.
    Secret(SecretId),
    /// A setting of this mapping.
    Setting(SettingId),
    /// What the gateway fills in.
    Gateway(GatewayField),
    /// A part of a split field.
    Part(u8),
    /// A value of a step: the step's and the value's index.
    Step(u8, u8),
    /// A member that a table's row carries: the table's and the member's index.
    Member(u8, u8),
    /// The readable wire texts of a table.
    Words(u8),
}

/// What stands for an absent value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrElse {
    /// Nothing: the value is required.
    Required,
    /// `none`.
    Absent,
    /// A literal.
    Literal(Literal),
    /// A setting.
    Setting(SettingId),
    /// A field of the request.
    Request(FieldId),
}

/// A hole.
#[derive(Clone, Debug)]
pub struct Hole {
    /// Source and target of the value.
    pub slot: Slot,
    /// The name as written, for people.
    pub name: String,
    /// The value's type.
    pub kind: Type,
    /// The table between word and wire text.
    pub table: Option<u8>,
    /// The codec between value and wire text.
    pub codec: Option<Codec>,
    /// What stands for an absent value.
    pub or: OrElse,
    /// The format that the value must have.
    pub format: Option<u8>,
    /// True in a path, where the default format holds if there is no other.
    pub in_path: bool,
    /// Where it stands.
    pub at: Location,
}

/// A piece of a [`Pattern`].
#[derive(Clone, Debug)]
pub enum Piece {
    /// Text as it is.
    Text(Box<str>),
    /// A value's place.
    Hole(Hole),
}

/// A text out of literal pieces and holes, read and written as a whole.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// The pieces; no two texts stand side by side.
    pub pieces: Vec<Piece>,
    /// Where it stands.
    pub at: Location,
}

/// What stands in a place.
#[derive(Clone, Debug)]
pub enum Content {
    /// A literal.
    Literal(Literal),
    /// One hole that fills the place.
    Hole(Hole),
    /// A text of literals and holes.
    Text(Pattern),
    /// A text of several holes under one codec.
    Join {
        /// The text.
        pattern: Pattern,
        /// The codec.
        codec: Codec,
        /// True if it may be absent.
        optional: bool,
    },
}

/// One place of a message.
#[derive(Clone, Debug)]
pub struct Place {
    /// Where in the message, for people: `header apikey`, `json status`.
    pub label: String,
    /// The member's own name: `status`.
    pub member: String,
    /// In which directions it counts.
    pub arrow: Arrow,
    /// What stands there.
    pub content: Content,
    /// True if it reads or writes a secret.
    pub secret: bool,
    /// The mapping's place.
    pub at: Location,
}

impl Place {
    /// A place.
    pub fn new(
        label: String,
        member: String,
        arrow: Arrow,
        content: Content,
        at: Location,
    ) -> Self {
        let secret = content.holes().any(|hole| matches!(hole.slot, Slot::Secret(_)));
        Self { label, member, arrow, content, secret, at }
    }
}

impl Hole {
    /// How a JSON body carries the hole's wire text.
    pub fn node(&self) -> NodeKind {
        match (self.codec, self.table, self.kind) {
            (Some(codec), _, _) => codec.node(),
            (None, None, Type::Int) => NodeKind::Number,
            (None, None, Type::Bool) => NodeKind::Bool,
            _ => NodeKind::Text,
        }
    }

    /// True if a message without it is refused.
    pub fn is_required(&self) -> bool {
        self.or == OrElse::Required
    }
}

impl Pattern {
    /// A pattern without holes.
    pub fn literal(text: &str, at: Location) -> Self {
        Self { pieces: vec![Piece::Text(text.into())], at }
    }

    /// The holes in order.
    pub fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Hole(hole) => Some(hole),
            Piece::Text(_) => None,
        })
    }

    /// The text, if there is no hole.
    pub fn as_literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }
}

impl fmt::Display for Pattern {
    /// As people read it: `/tickets/<ticket>/status`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => f.write_str(text)?,
                Piece::Hole(hole) => write!(f, "<{}>", hole.name)?,
            }
        }
        Ok(())
    }
}

impl Content {
    /// The holes in order.
    pub fn holes(&self) -> impl Iterator<Item = &Hole> {
        let (single, pattern) = match self {
            Self::Literal(_) => (None, None),
            Self::Hole(hole) => (Some(hole), None),
            Self::Text(pattern) | Self::Join { pattern, .. } => (None, Some(pattern)),
        };
        single.into_iter().chain(pattern.into_iter().flat_map(Pattern::holes))
    }

    /// True if a message without the place is refused.
    pub fn is_required(&self) -> bool {
        match self {
            Self::Literal(_) => true,
            Self::Hole(hole) => hole.is_required(),
            Self::Text(pattern) => pattern.holes().any(Hole::is_required),
            Self::Join { optional, .. } => !optional,
        }
    }
}

impl Literal {
    /// The JSON text of the literal.
    pub fn to_json(&self) -> String {
        match self.kind {
            LiteralKind::Text => serde_json::Value::from(self.text.as_str()).to_string(),
            LiteralKind::Number
            | LiteralKind::Bool
            | LiteralKind::Null
            | LiteralKind::Composite => self.text.clone(),
        }
    }
}
