//! What of a record reaches a vendor's readers, worked out from the mapping's model alone.
//!
//! A second, slower reading of the language: which places write a value, whether each can carry it, and
//! what is read of it. Nothing of `mapping::run` is used; of the codecs only `write`, whose bijections
//! have tests of their own.

use std::borrow::Cow;

use latimer::mapping::codecs::Codec;
use latimer::mapping::model::{
    Body, BodyKind, Content, GatewayField, Hole, Mapping, Named, OrElse, Part, Pattern, Piece,
    Place, Slot, Table, Type,
};
use latimer::value::{Record, Value, WordId};
use regex::Regex;

use self::Unsayable::{Missing, Unfit};
use crate::desk::{CALL, Desk, Input};

/// A message that can be written, as it is read.
#[derive(Debug)]
pub(crate) struct Fit {
    pub(crate) record: Record<'static>,
    pub(crate) secrets: Vec<Option<String>>,
    /// What stands in each place of the written body.
    pub(crate) body: Vec<Option<String>>,
}

/// Why a message cannot be written.
pub(crate) enum Unsayable {
    /// It lacks something that this vendor needs.
    Missing,
    /// It has something that this vendor cannot be told.
    Unfit,
}

/// A hole's text in the message, and what is read of it.
struct Said {
    wire: String,
    reads: Option<Value<'static>>,
}

/// The holes of one place, in order.
type Holes<'p> = Vec<(&'p Hole, Said)>;

/// Where a text stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Path,
    Query,
    Header,
    Cookie,
    Body,
    Xml,
}

struct Writer<'a> {
    desk: &'a Desk,
    input: &'a Input,
    record: &'a Record<'static>,
    /// The request that an answer answers.
    request: Option<&'a Record<'static>>,
    fit: Fit,
}

/// The request as this vendor reads it.
pub(crate) fn request(desk: &Desk, input: &Input) -> Result<Fit, Unsayable> {
    let mut writer = Writer::new(desk, input, &input.record, None);
    let request = &desk.operation().request;
    for part in &request.parts {
        writer.part(part)?;
    }
    for segment in &request.segments {
        for hole in segment.holes() {
            let Some(said) = writer.hole(hole)? else { return Err(Missing) };
            carries(Carrier::Path, &said.wire)?;
            writer.read(hole, said);
        }
    }
    for (carrier, named) in [
        (Carrier::Query, &request.query),
        (Carrier::Header, &request.headers),
        (Carrier::Cookie, &request.cookies),
    ] {
        for named in named.iter().filter(|named| named.place.arrow.writes()) {
            writer.named(carrier, named)?;
        }
    }
    writer.body(request.bodies.first())?;
    Ok(writer.fit)
}

/// The answer as this vendor's readers read it.
pub(crate) fn answer(desk: &Desk, input: &Input) -> Result<Fit, Unsayable> {
    let mut writer = Writer::new(desk, input, &input.answer, Some(&input.record));
    let success = &desk.operation().success;
    for named in success.headers.iter().filter(|named| named.place.arrow.writes()) {
        writer.named(Carrier::Header, named)?;
    }
    writer.body(success.bodies.first())?;
    for (field, content) in &success.gives {
        let Content::Hole(Hole { slot: Slot::Request(source), .. }) = content else {
            panic!("only what the request said is given")
        };
        let value = input.record.get(*source).cloned();
        writer.fit.record.set(*field, value);
    }
    Ok(writer.fit)
}

impl<'a> Writer<'a> {
    fn new(
        desk: &'a Desk,
        input: &'a Input,
        record: &'a Record<'static>,
        request: Option<&'a Record<'static>>,
    ) -> Self {
        let secrets = vec![None; desk.vocabulary.secrets.len()];
        let fit = Fit { record: Record::new(), secrets, body: Vec::new() };
        Self { desk, input, record, request, fit }
    }

    fn mapping(&self) -> &'a Mapping {
        &self.desk.mapping
    }

    /// A field that is split over several places: it must have the form of its parts.
    fn part(&mut self, part: &Part) -> Result<(), Unsayable> {
        let mut expression = String::from("^");
        for piece in &part.pattern.pieces {
            match piece {
                Piece::Text(text) => expression.push_str(&regex::escape(text)),
                Piece::Hole(hole) => {
                    let format =
                        hole.format.map(|format| &self.mapping().formats[usize::from(format)]);
                    expression.push_str(&format!("(?:{})", format.unwrap().text));
                }
            }
        }
        let form = Regex::new(&(expression + "$")).unwrap();
        let text = self.record.text(part.field).filter(|text| form.is_match(text));
        let value = Value::Text(Cow::Owned(text.ok_or(Unfit)?.to_owned()));
        self.fit.record.set(part.field, Some(value));
        Ok(())
    }

    fn named(&mut self, carrier: Carrier, named: &Named) -> Result<(), Unsayable> {
        let place = &named.place;
        let Some(name) = self.name(&named.name) else {
            return if place.content.is_required() { Err(Missing) } else { Ok(()) };
        };
        let Some(wire) = self.place(place)? else { return Ok(()) };
        carries(carrier, &wire)?;
        let token =
            |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
        let legal = carrier == Carrier::Query || (!name.is_empty() && name.chars().all(token));
        if legal { Ok(()) } else { Err(Unfit) }
    }

    /// A name with its settings; `None` if one is not set.
    fn name(&self, pattern: &Pattern) -> Option<String> {
        let pieces = pattern.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => Some(text.to_string()),
            Piece::Hole(hole) => match hole.slot {
                Slot::Setting(setting) => self.setting(setting),
                _ => panic!("a name is made of settings"),
            },
        });
        pieces.collect()
    }

    fn body(&mut self, body: Option<&Body>) -> Result<(), Unsayable> {
        let Some(body) = body else { return Ok(()) };
        let carrier = match body.kind {
            BodyKind::Xml { .. } => Carrier::Xml,
            BodyKind::Json | BodyKind::Text | BodyKind::Form => Carrier::Body,
        };
        for place in &body.places {
            let wire = if place.arrow.writes() { self.place(place)? } else { None };
            if let Some(wire) = &wire {
                carries(carrier, wire)?;
            }
            self.fit.body.push(wire);
        }
        // A text is the whole body, so there is always one.
        if body.kind == BodyKind::Text && self.fit.body == [None] {
            self.fit.body = vec![Some(String::new())];
        }
        Ok(())
    }

    /// The text of a place; what is read of it goes into the record.
    fn place(&mut self, place: &Place) -> Result<Option<String>, Unsayable> {
        let said = match &place.content {
            Content::Literal(literal) => return Ok(Some(literal.text.clone())),
            Content::Hole(hole) => match self.hole(hole)? {
                Some(said) => vec![(hole, said)],
                None => return Ok(None),
            },
            Content::Text(pattern) => match self.pattern(pattern)? {
                Some(said) => said,
                None => return Ok(None),
            },
            Content::Join { pattern, codec, optional } => {
                return match (self.join(pattern, *codec), optional) {
                    (Ok((wire, said)), _) => {
                        said.into_iter().for_each(|(hole, said)| self.read(hole, said));
                        Ok(Some(wire))
                    }
                    (Err(Unsayable::Missing), true) => Ok(None),
                    (Err(unsayable), _) => Err(unsayable),
                };
            }
        };
        let wire = match &place.content {
            Content::Text(pattern) => together(pattern, &said),
            _ => said[0].1.wire.clone(),
        };
        if place.arrow.reads() {
            said.into_iter().for_each(|(hole, said)| self.read(hole, said));
        }
        Ok(Some(wire))
    }

    fn pattern<'p>(&self, pattern: &'p Pattern) -> Result<Option<Holes<'p>>, Unsayable> {
        let mut all = Vec::new();
        for hole in pattern.holes() {
            match self.hole(hole)? {
                Some(said) => all.push((hole, said)),
                None => return Ok(None),
            }
        }
        Ok(Some(all))
    }

    fn join<'p>(
        &self,
        pattern: &'p Pattern,
        codec: Codec,
    ) -> Result<(String, Holes<'p>), Unsayable> {
        let said = self.pattern(pattern)?.ok_or(Missing)?;
        let wire = codec.write(&together(pattern, &said)).ok_or(Unfit)?.into_owned();
        Ok((wire, said))
    }

    fn read(&mut self, hole: &Hole, said: Said) {
        match (hole.slot, said.reads) {
            (Slot::Field(field), Some(value)) => self.fit.record.set(field, Some(value)),
            (Slot::Secret(secret), Some(Value::Text(text))) => {
                self.fit.secrets[usize::from(secret)] = Some(text.into_owned());
            }
            (Slot::Raw(raw), Some(Value::Text(json))) => self.fit.record.set_raw(raw, Some(json)),
            _ => {}
        }
    }

    fn setting(&self, setting: u8) -> Option<String> {
        self.input.settings[usize::from(setting)].clone()
    }

    fn hole(&self, hole: &Hole) -> Result<Option<Said>, Unsayable> {
        let value = match hole.slot {
            Slot::Field(field) => self.record.get(field).cloned(),
            Slot::Raw(raw) => {
                return Ok(match (self.record.raw(raw), &hole.or) {
                    // What is written for nothing is read as nothing.
                    (Some(json), OrElse::Literal(literal)) if json == literal.text => {
                        Some(Said { wire: json.to_owned(), reads: None })
                    }
                    (Some(json), _) => Some(said(json, json)),
                    (None, OrElse::Literal(literal)) => {
                        Some(Said { wire: literal.text.clone(), reads: None })
                    }
                    (None, _) => None,
                });
            }
            Slot::Secret(secret) => own(self.input.secrets[usize::from(secret)].clone()),
            Slot::Setting(setting) => own(self.setting(setting)),
            Slot::Member(table, member) => return self.member(table, member),
            // The parts are checked as a whole, and what a look-up found is never read back.
            Slot::Part(_) | Slot::Step(..) => {
                return Ok(Some(Said { wire: "1".to_owned(), reads: None }));
            }
            // Read back by nobody.
            Slot::Gateway(GatewayField::Call) => {
                return Ok(Some(Said { wire: CALL.to_owned(), reads: None }));
            }
            Slot::Request(_) | Slot::Gateway(_) | Slot::Words(_) => panic!("not in these messages"),
        };
        let value = match (value, &hole.or) {
            (Some(value), _) => value,
            (None, OrElse::Setting(setting)) => own(self.setting(*setting)).ok_or(Missing)?,
            (None, OrElse::Request(field)) => {
                self.request.and_then(|request| request.get(*field)).cloned().ok_or(Missing)?
            }
            (None, OrElse::Literal(literal)) => {
                return Ok(Some(Said { wire: literal.text.clone(), reads: None }));
            }
            (None, OrElse::Absent) => return Ok(None),
            (None, OrElse::Required) => return Err(Missing),
        };
        match value {
            Value::Word(word) => self.word(hole, word).map(Some),
            Value::Text(text) => self.text(hole, &text).map(Some),
        }
    }

    fn text(&self, hole: &Hole, text: &str) -> Result<Said, Unsayable> {
        let default_path = |text: &str| {
            let plain = |letter: char| letter.is_ascii_alphanumeric() || "._~-".contains(letter);
            (1..=128).contains(&text.len()) && text.chars().all(plain)
        };
        let fits = match hole.format {
            Some(format) => {
                let expression = &self.mapping().formats[usize::from(format)].text;
                Regex::new(&format!(r"\A(?:{expression})\z")).unwrap().is_match(text)
            }
            None => !hole.in_path || default_path(text),
        };
        let number =
            hole.codec == Some(Codec::Int) || (hole.codec.is_none() && hole.kind == Type::Int);
        let is_number = || {
            let form = Regex::new("^-?(0|[1-9][0-9]*)$").unwrap();
            form.is_match(text) && text.parse::<i64>().is_ok()
        };
        if !fits || (number && !is_number()) {
            return Err(Unfit);
        }
        let wire = match hole.codec {
            Some(codec) => codec.write(text).ok_or(Unfit)?,
            None => Cow::Borrowed(text),
        };
        Ok(said(&wire, text))
    }

    /// A word goes out as its row has it, and comes back as the word of the row that reads that.
    fn word(&self, hole: &Hole, word: WordId) -> Result<Said, Unsayable> {
        let table = &self.mapping().tables[usize::from(hole.table.unwrap())];
        let wire = &row_of(table, word).ok_or(Unfit)?.wire;
        let same = |other: &str| {
            if table.ignore_case { other.eq_ignore_ascii_case(wire) } else { other == wire }
        };
        let read = table.rows.iter().find(|row| row.reads.is_some() && same(&row.wire));
        let reads = read.and_then(|row| row.reads).map(Value::Word);
        Ok(Said { wire: wire.clone(), reads })
    }

    /// What the row of the record's word carries besides; it is not read back.
    fn member(&self, table: u8, member: u8) -> Result<Option<Said>, Unsayable> {
        let table = &self.mapping().tables[usize::from(table)];
        let word = self.record.present().find_map(|(_, value)| match value {
            Value::Word(word) => Some(*word),
            Value::Text(_) => None,
        });
        let row = word.and_then(|word| row_of(table, word));
        match row.and_then(|row| row.with[usize::from(member)].as_ref()) {
            Some(Content::Hole(hole)) => {
                Ok(self.hole(hole)?.map(|said| Said { reads: None, ..said }))
            }
            Some(_) => panic!("a row carries holes"),
            None => Ok(None),
        }
    }
}

fn row_of(table: &Table, word: WordId) -> Option<&latimer::mapping::model::TableRow> {
    table.rows.iter().find(|row| row.writes.iter().any(|(written, _)| *written == word))
}

fn own(text: Option<String>) -> Option<Value<'static>> {
    text.map(|text| Value::Text(Cow::Owned(text)))
}

fn said(wire: &str, text: &str) -> Said {
    Said { wire: wire.to_owned(), reads: Some(Value::Text(Cow::Owned(text.to_owned()))) }
}

fn together(pattern: &Pattern, said: &[(&Hole, Said)]) -> String {
    let mut said = said.iter();
    let pieces = pattern.pieces.iter().map(|piece| match piece {
        Piece::Text(text) => text.as_ref(),
        Piece::Hole(_) => said.next().map_or("", |(_, said)| said.wire.as_str()),
    });
    pieces.collect()
}

/// Whether a text comes out of its place as it went in.
fn carries(carrier: Carrier, text: &str) -> Result<(), Unsayable> {
    let blank = [' ', '\t'];
    let carried = match carrier {
        Carrier::Path => !matches!(text, "" | "." | ".."),
        Carrier::Query | Carrier::Body => true,
        Carrier::Header => {
            let control = |byte: u8| (byte < 0x20 && byte != b'\t') || byte == 0x7f;
            !text.bytes().any(control) && !text.starts_with(blank) && !text.ends_with(blank)
        }
        // RFC 6265 section 4.1.1, but for letters beyond ASCII.
        Carrier::Cookie => {
            let ends = |letter: char| letter.is_ascii_control() || "; ,\"\\".contains(letter);
            !text.contains(ends)
        }
        Carrier::Xml => text.chars().all(|letter| {
            matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
        }),
    };
    if carried { Ok(()) } else { Err(Unfit) }
}
