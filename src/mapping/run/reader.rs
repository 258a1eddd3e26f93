//! What the places of a message hold, value by value: wire text to codec to table to record.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::codec::json::{compacted, compacts_to};
use crate::mapping::codecs::NodeKind;
use crate::mapping::model::{
    Body, BodyKind, Content, Hole, Mapping, OrElse, Pattern, Piece, Place, Slot, Type, Vocabulary,
    fits_default_path,
};
use crate::mapping::run::capture::{Captured, Captures};
use crate::mapping::run::render::word_fault;
use crate::mapping::run::{Refusal, Settings};
use crate::mapping::syntax::LiteralKind;
use crate::value::{Fault, RawId, Record, SecretId, Value};

/// Said of the second of two places that read one field.
pub(super) const TWICE: &str = "is said twice, differently";

/// Secrets that a client presented, by index.
#[derive(Debug, Default)]
pub struct Presented<'a>(pub(super) SmallVec<[Option<Cow<'a, str>>; 5]>);

impl Presented<'_> {
    /// A secret, if the client presented it.
    pub fn get(&self, secret: SecretId) -> Option<&str> {
        self.0.get(usize::from(secret))?.as_deref()
    }
}

/// Gathers what the places of a message hold.
pub(super) struct Reader<'m, 'a> {
    pub(super) vocabulary: &'m Vocabulary,
    pub(super) mapping: &'m Mapping,
    pub(super) settings: &'m Settings,
    pub(super) record: Record<'a>,
    pub(super) secrets: Presented<'a>,
    pub(super) parts: SmallVec<[Option<Cow<'a, str>>; 2]>,
    /// Name and text of gateway fields that were read: a fault's code and message.
    pub(super) native: Option<Cow<'a, str>>,
    pub(super) message: Option<Cow<'a, str>>,
    /// True while a JSON body is read: there a number is a number and a text a text.
    pub(super) json_only: bool,
}

impl<'m, 'a> Reader<'m, 'a> {
    pub(super) fn new(
        vocabulary: &'m Vocabulary,
        mapping: &'m Mapping,
        settings: &'m Settings,
    ) -> Self {
        Self {
            vocabulary,
            mapping,
            settings,
            record: Record::new(),
            secrets: Presented::default(),
            parts: SmallVec::new(),
            native: None,
            message: None,
            json_only: false,
        }
    }

    /// Takes what the places of a body hold.
    pub(super) fn body_places(
        &mut self,
        body: &Body,
        captures: &mut Captures<'a>,
        refuse_unknown: bool,
    ) -> Result<(), Refusal> {
        if let Some(name) = captures.repeated.take() {
            let reason = format!("{name} stands more than once");
            return Err(Refusal::member(Fault::InvalidRequest, &name, reason));
        }
        if let Some(place) = captures.missing_literal {
            return Err(missing(&body.places[usize::from(place)].member));
        }
        if let Some(name) = captures.unknown.take().filter(|_| refuse_unknown) {
            let reason = format!("{name} is not known here");
            return Err(Refusal::member(Fault::InvalidRequest, &name, reason));
        }
        self.json_only = body.kind == BodyKind::Json;
        for (index, place) in body.places.iter().enumerate() {
            if let Some(captured) = captures.take(index) {
                self.place(place, captured)?;
            }
        }
        self.json_only = false;
        Ok(())
    }

    /// Takes what one place holds.
    pub(super) fn place(&mut self, place: &Place, captured: Captured<'a>) -> Result<(), Refusal> {
        match &place.content {
            Content::Literal(literal) => {
                if literal_fits(literal, &captured) {
                    Ok(())
                } else {
                    Err(wrong(&place.member, "has another value here"))
                }
            }
            Content::Hole(hole) => self.hole(hole, captured, &place.member),
            Content::Text(pattern) => match captured {
                Captured::Text(text) => self.pattern(pattern, text, &place.member),
                _ => Err(wrong(&place.member, "is of the wrong type")),
            },
            Content::Join { pattern, codec, .. } => {
                let Captured::Text(text) = captured else {
                    return Err(wrong(&place.member, "is of the wrong type"));
                };
                match codec.read(&text) {
                    Some(inner) => {
                        self.pattern(pattern, Cow::Owned(inner.into_owned()), &place.member)
                    }
                    // A credential of another scheme is as good as none.
                    None if place.secret => Ok(()),
                    None => Err(wrong(&place.member, "does not fit its codec")),
                }
            }
        }
    }

    /// Splits a text at the pattern's literals.
    pub(super) fn pattern(
        &mut self,
        pattern: &Pattern,
        text: Cow<'a, str>,
        member: &str,
    ) -> Result<(), Refusal> {
        let secret = pattern.holes().any(|hole| matches!(hole.slot, Slot::Secret(_)));
        let Some(values) = split(pattern, &text) else {
            // `Bearer x` where `OAuth x` belongs: the credential that is wanted is not there.
            return if secret {
                Ok(())
            } else {
                Err(wrong(member, "does not have the form that belongs here"))
            };
        };
        let values: SmallVec<[Cow<'a, str>; 2]> = match &text {
            Cow::Borrowed(whole) => {
                values.iter().map(|range| Cow::Borrowed(&whole[range.clone()])).collect()
            }
            Cow::Owned(whole) => {
                values.iter().map(|range| Cow::Owned(whole[range.clone()].to_owned())).collect()
            }
        };
        for (hole, value) in pattern.holes().zip(values) {
            self.hole(hole, Captured::Text(value), member)?;
        }
        Ok(())
    }

    fn hole(&mut self, hole: &Hole, captured: Captured<'a>, member: &str) -> Result<(), Refusal> {
        if let Slot::Raw(raw) = hole.slot {
            return self.raw(raw, hole, &captured, member);
        }
        // What a table's row, a look-up or the request fills in is written only: whatever stands there,
        // of whatever type, says nothing.
        let written_only = matches!(
            hole.slot,
            Slot::Member(..) | Slot::Step(..) | Slot::Request(_) | Slot::Words(_)
        );
        if written_only || self.stands_for_absent(hole, &captured) {
            return Ok(());
        }
        let textual = matches!(hole.slot, Slot::Gateway(_));
        let wire: Cow<'a, str> = match (captured, hole.node()) {
            (Captured::Null, _) => return Ok(()),
            (Captured::Text(text), NodeKind::Text) => text,
            (Captured::Number(number), NodeKind::Number) => Cow::Borrowed(number),
            (Captured::Bool(value), NodeKind::Bool) => {
                Cow::Borrowed(if value { "true" } else { "false" })
            }
            // A code or a status in an error may be a number here and a text there.
            (Captured::Number(number), _) if textual => Cow::Borrowed(number),
            (Captured::Text(text), _) if textual || self.reads_text(hole) => text,
            _ => return Err(wrong(member, "is of the wrong type")),
        };
        let value = self.decode(hole, wire, member)?;
        self.store(hole, value, member)
    }

    /// Outside JSON every value is a text; there a number's codec says what is one.
    fn reads_text(&self, hole: &Hole) -> bool {
        hole.in_path || !self.json_only
    }

    /// Vendor-private JSON: the first place counts, as for every field.
    fn raw(
        &mut self,
        raw: RawId,
        hole: &Hole,
        captured: &Captured<'a>,
        member: &str,
    ) -> Result<(), Refusal> {
        let Captured::Raw(json) = *captured else { return Ok(()) };
        if matches!(&hole.or, OrElse::Literal(absent) if compacts_to(json, &absent.text)) {
            return Ok(());
        }
        match self.record.raw(raw) {
            None => self.record.set_raw(raw, Some(Cow::Borrowed(json))),
            Some(known) if compacts_to(json, &compacted(known)) => {}
            Some(_) => return Err(wrong(member, TWICE)),
        }
        Ok(())
    }

    /// `or "-"`: the literal that is written for an absent value reads as one. In JSON its type counts:
    /// the text `"null"` is no `null`.
    fn stands_for_absent(&self, hole: &Hole, captured: &Captured<'_>) -> bool {
        let OrElse::Literal(literal) = &hole.or else { return false };
        let typed = self.json_only && literal.kind != LiteralKind::Text;
        literal_fits(literal, captured) && !(typed && matches!(captured, Captured::Text(_)))
    }

    fn decode(&self, hole: &Hole, wire: Cow<'a, str>, member: &str) -> Result<Value<'a>, Refusal> {
        let text = match hole.codec {
            None => wire,
            Some(codec) => match codec.read_cow(wire) {
                Some(text) => text,
                None => return Err(unfit(hole, member)),
            },
        };
        if let Some(table) = hole.table {
            let table = &self.mapping.tables[usize::from(table)];
            return match table.read(&text) {
                Some(word) => Ok(Value::Word(word)),
                None => {
                    let reason = format!(
                        "{member} is not one of: {}",
                        table.readable().collect::<Vec<_>>().join(", ")
                    );
                    Err(Refusal::member(word_fault(&hole.name), member, reason))
                }
            };
        }
        let fits = match (hole.format, hole.kind) {
            (Some(format), _) => self.mapping.formats[usize::from(format)].fits(&text),
            (None, Type::Int) => crate::mapping::codecs::Codec::Int.read(&text).is_some(),
            (None, Type::Bool) => matches!(text.as_ref(), "true" | "false"),
            (None, Type::Time) => crate::mapping::codecs::Codec::IsoDate.read(&text).is_some(),
            (None, _) if hole.in_path => fits_default_path(&text),
            (None, _) => true,
        };
        let dots = hole.in_path && matches!(text.as_ref(), "." | "..");
        if fits && !dots { Ok(Value::Text(text)) } else { Err(unfit(hole, member)) }
    }

    fn store(&mut self, hole: &Hole, value: Value<'a>, member: &str) -> Result<(), Refusal> {
        let text = |value: Value<'a>| match value {
            Value::Text(text) => text,
            Value::Word(_) => Cow::Borrowed(""),
        };
        match hole.slot {
            Slot::Field(field) => match self.record.get(field) {
                None => self.record.set(field, Some(value)),
                Some(known) if *known == value => {}
                Some(_) => return Err(wrong(member, TWICE)),
            },
            Slot::Secret(secret) => {
                let slot = self.secrets.0.get_mut(usize::from(secret));
                let value = text(value);
                match slot {
                    Some(slot @ None) => *slot = Some(value),
                    Some(Some(known)) if *known != value => {
                        let reason = "two credentials, and they differ";
                        return Err(Refusal::whole(Fault::Unauthenticated, reason));
                    }
                    Some(Some(_)) | None => {}
                }
            }
            Slot::Part(part) => {
                let index = usize::from(part);
                if self.parts.len() <= index {
                    self.parts.resize(index + 1, None);
                }
                let value = text(value);
                if self.parts[index].as_ref().is_some_and(|known| *known != value) {
                    return Err(wrong(member, TWICE));
                }
                self.parts[index] = Some(value);
            }
            Slot::Gateway(crate::mapping::model::GatewayField::Native) => {
                self.native.get_or_insert(text(value));
            }
            Slot::Gateway(crate::mapping::model::GatewayField::Message) => {
                self.message.get_or_insert(text(value));
            }
            Slot::Setting(setting) => {
                let value = text(value);
                if self.settings.get(setting).is_some_and(|known| known != value) {
                    return Err(wrong(member, "has another value here"));
                }
            }
            Slot::Gateway(_)
            | Slot::Request(_)
            | Slot::Raw(_)
            | Slot::Step(..)
            | Slot::Member(..)
            | Slot::Words(_) => {}
        }
        Ok(())
    }
}

/// The ranges of the holes' values, if the text has the pattern's form.
fn split(pattern: &Pattern, text: &str) -> Option<SmallVec<[std::ops::Range<usize>; 2]>> {
    let mut values = SmallVec::new();
    let mut at = 0;
    let mut open: Option<usize> = None;
    for piece in &pattern.pieces {
        match piece {
            Piece::Hole(_) => open = Some(at),
            Piece::Text(literal) => match open.take() {
                None => {
                    at += text[at..].starts_with(literal.as_ref()).then_some(literal.len())?;
                }
                Some(start) => {
                    let found = text[start..].find(literal.as_ref())?;
                    values.push(start..start + found);
                    at = start + found + literal.len();
                }
            },
        }
    }
    match open {
        Some(start) => values.push(start..text.len()),
        None if at < text.len() => return None,
        None => {}
    }
    values.iter().all(|range: &std::ops::Range<usize>| !range.is_empty()).then_some(values)
}

fn literal_fits(literal: &crate::mapping::syntax::Literal, captured: &Captured<'_>) -> bool {
    match (literal.kind, captured) {
        (LiteralKind::Text, Captured::Text(text)) => literal.text == **text,
        (LiteralKind::Number, Captured::Number(number)) => literal.text == **number,
        (LiteralKind::Bool, Captured::Bool(value)) => literal.text == value.to_string(),
        (LiteralKind::Null, Captured::Null) => true,
        (LiteralKind::Composite, Captured::Raw(json)) => compacts_to(json, &literal.text),
        // Outside JSON every literal is a text.
        (_, Captured::Text(text)) => literal.text == **text,
        _ => false,
    }
}

pub(super) fn missing(member: &str) -> Refusal {
    Refusal::member(Fault::MissingField, member, format!("{member} is missing"))
}

pub(super) fn wrong(member: &str, why: &'static str) -> Refusal {
    Refusal::member(Fault::InvalidRequest, member, format!("{member} {why}"))
}

/// An id that is not of the vendor's form has a fault of its own.
fn unfit(hole: &Hole, member: &str) -> Refusal {
    let required_id = matches!(hole.kind, Type::Id(_)) && hole.is_required();
    let fault = if required_id { Fault::InvalidId } else { Fault::InvalidRequest };
    Refusal::member(fault, member, format!("{member} does not have the form that belongs here"))
}
