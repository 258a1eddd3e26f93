//! From a record's values to wire texts.

use std::borrow::Cow;
use std::cell::RefCell;

use crate::codec::json::compacted;
use crate::mapping::codecs::NodeKind;
use crate::mapping::model::{
    Content, GatewayField, Hole, OrElse, Pattern, Piece, Slot, Type, fits_default_path,
};
use crate::mapping::run::{Refusal, Sources};
use crate::mapping::syntax::{Literal, LiteralKind};
use crate::value::{Fault, Record, Value};

/// What a text of several pieces is expected to have, so that it seldom grows while it is written.
const TEXT_BYTES_USUAL: usize = 64;

/// A value as it goes on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered<'a> {
    /// The text.
    pub text: Cow<'a, str>,
    /// How JSON carries it.
    pub kind: LiteralKind,
}

/// Renders with sources, noting which words were lost on the way.
pub(super) struct Renderer<'a> {
    pub(super) sources: Sources<'a>,
    /// The fault row's own code, when a fault is written.
    pub(super) native: Option<&'a Literal>,
    /// The fault's text, when a fault is written.
    pub(super) message: &'a str,
    /// Wire texts that stand for more than one word.
    pub(super) lossy: RefCell<Vec<String>>,
}

/// Renders what stands in one place, for `explain`.
///
/// # Errors
/// As the writing functions.
pub fn render_content<'a>(
    sources: Sources<'a>,
    content: &'a Content,
) -> Result<Option<Rendered<'a>>, Refusal> {
    Renderer::new(sources).content(content)
}

/// A text that is written by itself: the form of a secret that is given out.
///
/// # Errors
/// As the writing functions.
pub fn render_pattern<'a>(
    sources: Sources<'a>,
    pattern: &'a Pattern,
) -> Result<Option<String>, Refusal> {
    Renderer::new(sources).pattern(pattern)
}

impl<'a> Renderer<'a> {
    pub(super) fn new(sources: Sources<'a>) -> Self {
        Self { sources, native: None, message: "", lossy: RefCell::new(Vec::new()) }
    }

    /// What stands in a place; `None` if it is absent.
    pub(super) fn content(&self, content: &'a Content) -> Result<Option<Rendered<'a>>, Refusal> {
        match content {
            Content::Literal(literal) => Ok(Some(Rendered::literal(literal))),
            Content::Hole(hole) => self.hole(hole),
            Content::Text(pattern) => Ok(self.pattern(pattern)?.map(Rendered::text)),
            Content::Join { pattern, optional: true, .. } if !self.has_all(pattern) => Ok(None),
            Content::Join { pattern, codec, optional } => match self.pattern(pattern) {
                Ok(Some(text)) => match codec.write_cow(Cow::Owned(text)) {
                    Some(wire) => Ok(Some(Rendered::text(wire))),
                    None => Err(unfit(pattern_name(pattern), "it does not fit its codec")),
                },
                Ok(None) if *optional => Ok(None),
                // What is there and does not fit is not left out in silence.
                Err(refusal) if *optional && refusal.fault == Fault::MissingField => Ok(None),
                Ok(None) => Err(missing(pattern_name(pattern))),
                Err(refusal) => Err(refusal),
            },
        }
    }

    /// True unless a hole has no value; far cheaper than the refusal that says which. A value before it
    /// that does not fit is refused all the same, so that counts as one that is there.
    pub(super) fn has_all(&self, pattern: &'a Pattern) -> bool {
        for hole in pattern.holes() {
            let absent = matches!(self.value(hole), Ok(None));
            if absent && matches!(hole.or, OrElse::Required | OrElse::Absent) {
                return false;
            }
            if !absent && self.hole(hole).is_err() {
                return true;
            }
        }
        true
    }

    /// A text of literals and holes; `None` if a hole that may be absent is.
    pub(super) fn pattern(&self, pattern: &'a Pattern) -> Result<Option<String>, Refusal> {
        let mut text = String::with_capacity(TEXT_BYTES_USUAL);
        for piece in &pattern.pieces {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Hole(hole) => match self.hole(hole)? {
                    Some(rendered) => text.push_str(&rendered.text),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(text))
    }

    /// A text for people: what is absent is simply left out.
    pub(super) fn spoken(&self, pattern: &'a Pattern) -> String {
        let mut text = String::with_capacity(TEXT_BYTES_USUAL);
        for piece in &pattern.pieces {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Hole(hole) => {
                    if let Ok(Some(rendered)) = self.hole(hole) {
                        text.push_str(&rendered.text);
                    }
                }
            }
        }
        text
    }

    /// A hole's wire text; `None` if it may be absent and is.
    pub(super) fn hole(&self, hole: &'a Hole) -> Result<Option<Rendered<'a>>, Refusal> {
        let value = self.value(hole)?;
        let value = match (value, &hole.or) {
            (Some(value), _) => Some(value),
            (None, OrElse::Setting(setting)) => {
                let text = self.sources.settings.get(*setting);
                text.map(|text| Rendered::text(Cow::Borrowed(text)))
            }
            (None, OrElse::Request(field)) => match self.sources.request {
                Some(request) => self.record_value(request, *field, hole)?,
                None => None,
            },
            (None, OrElse::Literal(literal)) => return Ok(Some(Rendered::literal(literal))),
            (None, OrElse::Absent) => return Ok(None),
            (None, OrElse::Required) => None,
        };
        let Some(value) = value else { return Err(missing(&hole.name)) };
        self.encode(hole, value).map(Some)
    }

    /// Format and codec.
    fn encode(&self, hole: &Hole, value: Rendered<'a>) -> Result<Rendered<'a>, Refusal> {
        if value.kind != LiteralKind::Text {
            return Ok(value);
        }
        if !self.fits_format(hole, &value.text) {
            return Err(unfit(&hole.name, "the upstream's format cannot hold it"));
        }
        let text = match hole.codec {
            None => value.text,
            Some(codec) => match codec.write_cow(value.text) {
                Some(wire) => wire,
                None => return Err(unfit(&hole.name, "it does not fit its codec")),
            },
        };
        let kind = match hole.node() {
            NodeKind::Text => LiteralKind::Text,
            NodeKind::Number => LiteralKind::Number,
            NodeKind::Bool => LiteralKind::Bool,
        };
        let fits = match kind {
            // A codec writes what is of its kind.
            _ if hole.codec.is_some() => true,
            LiteralKind::Number => crate::mapping::codecs::Codec::Int.read(&text).is_some(),
            LiteralKind::Bool => matches!(text.as_ref(), "true" | "false"),
            LiteralKind::Text | LiteralKind::Null | LiteralKind::Composite => true,
        };
        if fits {
            Ok(Rendered { text, kind })
        } else {
            Err(unfit(&hole.name, "it is of the wrong type"))
        }
    }

    /// What is written has the form that reading demands.
    fn fits_format(&self, hole: &Hole, text: &str) -> bool {
        match (hole.format, hole.kind) {
            (Some(format), _) => self.sources.mapping.formats[usize::from(format)].fits(text),
            // A table and a codec say themselves what they carry.
            (None, Type::Int | Type::Bool | Type::Time) => true,
            (None, _) => !hole.in_path || hole.table.is_some() || fits_default_path(text),
        }
    }

    /// The value before format and codec.
    fn value(&self, hole: &'a Hole) -> Result<Option<Rendered<'a>>, Refusal> {
        let sources = &self.sources;
        let text = match hole.slot {
            Slot::Field(field) => return self.record_value(sources.record, field, hole),
            Slot::Request(field) => match sources.request {
                Some(request) => return self.record_value(request, field, hole),
                None => None,
            },
            Slot::Raw(raw) => {
                let json = sources.record.raw(raw);
                return Ok(json
                    .map(|json| Rendered { text: compacted(json), kind: LiteralKind::Composite }));
            }
            Slot::Secret(secret) => {
                let secrets = sources.secrets;
                secrets
                    .and_then(|secrets| secrets.get(secret))
                    .map(|secret| Cow::Borrowed(secret.expose()))
            }
            Slot::Setting(setting) => sources.settings.get(setting).map(Cow::Borrowed),
            Slot::Gateway(GatewayField::Native) => return Ok(self.native.map(Rendered::literal)),
            Slot::Gateway(GatewayField::Message) => {
                (!self.message.is_empty()).then_some(Cow::Borrowed(self.message))
            }
            Slot::Gateway(field) => sources.gateway.text(field),
            Slot::Part(part) => {
                sources.parts.get(usize::from(part)).map(|text| Cow::Borrowed(text.as_str()))
            }
            Slot::Step(step, value) => sources
                .steps
                .get(usize::from(step))
                .and_then(|values| values.get(usize::from(value)))
                .map(|text| Cow::Borrowed(text.as_str())),
            Slot::Member(table, member) => return self.member(table, member),
            Slot::Words(table) => {
                let words: Vec<&str> =
                    sources.mapping.tables[usize::from(table)].readable().collect();
                Some(Cow::Owned(words.join(", ")))
            }
        };
        Ok(text.map(Rendered::text))
    }

    fn record_value(
        &self,
        record: &'a Record<'a>,
        field: u8,
        hole: &Hole,
    ) -> Result<Option<Rendered<'a>>, Refusal> {
        match record.get(field) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(Rendered::text(Cow::Borrowed(text.as_ref())))),
            Some(Value::Word(word)) => {
                let mapping = self.sources.mapping;
                let Some(table) = hole.table.map(|table| &mapping.tables[usize::from(table)])
                else {
                    return Err(missing(&hole.name));
                };
                let Some((row, lossy)) = table.write(*word) else {
                    let name = self.sources.vocabulary.word(table.word_type, *word);
                    let reason = format!("`{name}` cannot be said in this system");
                    let fault = word_fault(&hole.name);
                    return Err(Refusal::member(fault, &hole.name, reason));
                };
                if lossy {
                    self.lossy.borrow_mut().push(hole.name.clone());
                }
                Ok(Some(Rendered::text(Cow::Borrowed(row.wire.as_str()))))
            }
        }
    }

    /// What the row of the record's word carries besides.
    fn member(&self, table: u8, member: u8) -> Result<Option<Rendered<'a>>, Refusal> {
        let sources = &self.sources;
        let table = &sources.mapping.tables[usize::from(table)];
        let word = sources.record.present().find_map(|(_, value)| match value {
            Value::Word(word) => Some(*word),
            Value::Text(_) => None,
        });
        let row = word.and_then(|word| table.write(word)).map(|(row, _)| row);
        match row.and_then(|row| row.with.get(usize::from(member))?.as_ref()) {
            Some(content) => self.content(content),
            None => Ok(None),
        }
    }
}

impl<'a> Rendered<'a> {
    /// A text.
    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self { text: text.into(), kind: LiteralKind::Text }
    }

    fn literal(literal: &'a Literal) -> Self {
        Self { text: Cow::Borrowed(&literal.text), kind: literal.kind }
    }

    /// Appends the value as JSON.
    pub(super) fn write_json(&self, out: &mut Vec<u8>) {
        match self.kind {
            LiteralKind::Text => crate::codec::json::write_text(out, &self.text),
            LiteralKind::Number
            | LiteralKind::Bool
            | LiteralKind::Null
            | LiteralKind::Composite => out.extend_from_slice(self.text.as_bytes()),
        }
    }
}

/// A word that cannot be said: of a status the fault has a name of its own.
pub(super) fn word_fault(name: &str) -> Fault {
    if name == "status" { Fault::InvalidStatus } else { Fault::InvalidRequest }
}

fn pattern_name(pattern: &Pattern) -> &str {
    pattern.holes().next().map_or("", |hole| hole.name.as_str())
}

fn missing(name: &str) -> Refusal {
    Refusal::member(Fault::MissingField, name, format!("{name} is missing"))
}

fn unfit(name: &str, why: &'static str) -> Refusal {
    Refusal::member(Fault::InvalidRequest, name, format!("{name}: {why}"))
}
