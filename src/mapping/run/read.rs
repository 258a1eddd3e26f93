//! Reading a client's request.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::COOKIE;
use smallvec::SmallVec;

use crate::codec::form::FormPairs;
use crate::codec::json::{Duplicates, JsonReader, Kind, Limits};
use crate::codec::percent;
use crate::codec::xml::XmlDocument;
use crate::mapping::codecs::NodeKind;
use crate::mapping::compile::DEFAULT_PATH_FORMAT;
use crate::mapping::model::{
    Body, BodyKind, Content, Hole, Mapping, Named, Operation, OrElse, Pattern, Piece, Place,
    Request, Slot, Type, Vocabulary,
};
use crate::mapping::run::capture::{Captured, Captures, capture};
use crate::mapping::run::render::word_fault;
use crate::mapping::run::{Refusal, Settings, choose_body, media_type};
use crate::mapping::syntax::{LiteralKind, Select};
use crate::value::{Fault, Record, SecretId, Value};

/// What may stand around a header's value without being of it (RFC 9110 section 5.6.3). Other white space,
/// say a no-break space, is the value's own.
pub(super) const BLANKS: [char; 2] = [' ', '\t'];

/// A request's head, as the mapping sees it.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The path without the route's and the vendor's prefix, undecoded; begins with `/`.
    pub path: &'a str,
    /// The query, undecoded.
    pub query: Option<&'a str>,
    /// The header fields.
    pub headers: &'a HeaderMap,
}

/// How strictly a request is read.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions {
    /// Nesting that a body may have.
    pub depth_max: usize,
    /// True if a member that the mapping does not know is refused.
    pub refuse_unknown: bool,
}

/// Secrets that a client presented, by index.
#[derive(Debug, Default)]
pub struct Presented<'a>(SmallVec<[Option<Cow<'a, str>>; 5]>);

impl Presented<'_> {
    /// A secret, if the client presented it.
    pub fn get(&self, secret: SecretId) -> Option<&str> {
        self.0.get(usize::from(secret))?.as_deref()
    }
}

/// True if the path is one of this request's: literals equal, no hole empty.
pub fn fits_path(request: &Request, path: &str) -> bool {
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/');
    for pattern in &request.segments {
        let Some(segment) = segments.next() else { return false };
        let fits = match pattern.as_literal() {
            Some(literal) => literal == segment,
            None => !segment.is_empty(),
        };
        if !fits {
            return false;
        }
    }
    segments.next().is_none()
}

/// True if the request is this operation's, where several share a line. A body that cannot be read
/// is nobody's.
pub fn selects(request: &Request, head: &RequestHead<'_>, body: &[u8]) -> bool {
    match &request.select {
        None => true,
        Some(Select::Header(name, wanted)) => head
            .headers
            .get(name.text.as_str())
            .is_some_and(|value| value.as_bytes() == wanted.text.as_bytes()),
        Some(Select::Member(name)) => has_member(body, &name.text),
        Some(Select::Root(name)) => XmlDocument::parse(body, crate::codec::xml::Limits::default())
            .is_ok_and(|document| document.root().local_name() == name.text),
    }
}

fn has_member(body: &[u8], name: &str) -> bool {
    let limits = Limits { depth_max: usize::MAX, duplicates: Duplicates::KeepFirst };
    let Ok(mut reader) = JsonReader::new(body, limits) else { return false };
    if reader.peek().ok() != Some(Kind::Object) {
        return false;
    }
    let Ok(mut object) = reader.object() else { return false };
    while let Ok(Some(key)) = reader.key(&mut object) {
        if key == name {
            return true;
        }
        if reader.skip().is_err() {
            return false;
        }
    }
    false
}

/// Reads the secrets out of a request's head, before its body.
///
/// # Errors
/// [`Fault::CredentialsMissing`] if a required one is not there, [`Fault::Unauthenticated`] if two
/// places hold different ones.
pub fn read_secrets<'a>(
    vocabulary: &Vocabulary,
    mapping: &Mapping,
    request: &Request,
    head: &RequestHead<'a>,
    settings: &Settings,
) -> Result<Presented<'a>, Refusal> {
    let mut reader = Reader::new(vocabulary, mapping, settings);
    reader.secrets.0.resize(vocabulary.secrets.len(), None);
    let wanted = |named: &&Named| named.place.content.is_secret() && named.place.arrow.reads();
    reader.head(request, head, wanted)?;
    let mut demanded: SmallVec<[&Hole; 4]> = SmallVec::new();
    for named in [&request.query, &request.headers, &request.cookies].into_iter().flatten() {
        let optional_join = matches!(named.place.content, Content::Join { optional: true, .. });
        if !optional_join {
            demanded.extend(named.place.content.holes().filter(|hole| hole.is_required()));
        }
    }
    for hole in demanded {
        let Slot::Secret(secret) = hole.slot else { continue };
        if reader.secrets.get(secret).is_none() {
            return Err(Refusal::whole(Fault::CredentialsMissing, "the credentials are missing"));
        }
    }
    Ok(reader.secrets)
}

/// Reads a request into a record.
///
/// # Errors
/// What is wrong with it, by the name that the client gave the member.
pub fn read_request<'a>(
    vocabulary: &Vocabulary,
    mapping: &Mapping,
    operation: &Operation,
    head: &RequestHead<'a>,
    body: &'a [u8],
    settings: &Settings,
    options: ReadOptions,
) -> Result<(Record<'a>, Option<usize>), Refusal> {
    let request = &operation.request;
    let mut reader = Reader::new(vocabulary, mapping, settings);
    reader.path(request, head.path)?;
    let wanted = |named: &&Named| !named.place.content.is_secret() && named.place.arrow.reads();
    reader.head(request, head, wanted)?;
    let form = reader.body(request, head, body, options)?;
    reader.join_parts(request);
    reader.settle(operation)?;
    Ok((reader.record, form))
}

/// Gathers what the places of a message hold.
pub(super) struct Reader<'m, 'a> {
    vocabulary: &'m Vocabulary,
    mapping: &'m Mapping,
    settings: &'m Settings,
    pub(super) record: Record<'a>,
    secrets: Presented<'a>,
    parts: SmallVec<[Option<Cow<'a, str>>; 2]>,
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

    fn path(&mut self, request: &Request, path: &'a str) -> Result<(), Refusal> {
        let segments = path.strip_prefix('/').unwrap_or(path).split('/');
        for (pattern, segment) in request.segments.iter().zip(segments) {
            if pattern.as_literal().is_some() {
                continue;
            }
            let name = pattern.holes().next().map_or("", |hole| hole.name.as_str());
            let Some(decoded) = percent::decode_segment(segment) else {
                return Err(Refusal::member(
                    Fault::InvalidId,
                    name,
                    format!("{name} is not a legal path segment"),
                ));
            };
            self.pattern(pattern, decoded, name)?;
        }
        Ok(())
    }

    fn head(
        &mut self,
        request: &Request,
        head: &RequestHead<'a>,
        wanted: impl Fn(&&Named) -> bool,
    ) -> Result<(), Refusal> {
        if let Some(query) = head.query
            && request.query.iter().any(|named| wanted(&named))
        {
            self.query(request, query, &wanted)?;
        }
        for named in request.headers.iter().filter(&wanted) {
            let Some(name) = self.name(&named.name) else { continue };
            self.header(&name, named, head.headers)?;
        }
        for named in request.cookies.iter().filter(&wanted) {
            let Some(name) = self.name(&named.name) else { continue };
            if let Some(value) = cookie(head.headers, &name) {
                self.place(&named.place, Captured::Text(Cow::Borrowed(value)))?;
            }
        }
        Ok(())
    }

    fn query(
        &mut self,
        request: &Request,
        query: &'a str,
        wanted: &impl Fn(&&Named) -> bool,
    ) -> Result<(), Refusal> {
        for pair in FormPairs::new(query.as_bytes()) {
            let (name, value) = pair.map_err(|error| {
                Refusal::whole(Fault::InvalidRequest, format!("the query cannot be read: {error}"))
            })?;
            let known = request
                .query
                .iter()
                .filter(wanted)
                .find(|named| self.name(&named.name).is_some_and(|known| known == name));
            if let Some(named) = known {
                self.place(&named.place, Captured::Text(value))?;
            }
        }
        Ok(())
    }

    fn header(&mut self, name: &str, named: &Named, headers: &'a HeaderMap) -> Result<(), Refusal> {
        let mut values = headers.get_all(name).iter();
        let Some(first) = values.next() else {
            return match &named.place.content {
                Content::Literal(_) => Err(missing(&named.place.member)),
                Content::Hole(_) | Content::Text(_) | Content::Join { .. } => Ok(()),
            };
        };
        let secret = named.place.content.is_secret();
        let fault = if secret { Fault::Unauthenticated } else { Fault::InvalidRequest };
        if values.any(|other| other != first) {
            return Err(Refusal::member(fault, name, format!("{name} says two things")));
        }
        let text = std::str::from_utf8(first.as_bytes())
            .map_err(|_| Refusal::member(fault, name, format!("{name} is not UTF-8")))?;
        self.place(&named.place, Captured::Text(Cow::Borrowed(text.trim_matches(BLANKS))))
    }

    /// A header's or cookie's name with its settings filled in; `None` if one is not set.
    pub(super) fn name(&self, pattern: &'m Pattern) -> Option<Cow<'m, str>> {
        if let Some(literal) = pattern.as_literal() {
            return Some(Cow::Borrowed(literal));
        }
        let mut name = String::new();
        for piece in &pattern.pieces {
            match piece {
                Piece::Text(text) => name.push_str(text),
                Piece::Hole(hole) => match hole.slot {
                    Slot::Setting(setting) => name.push_str(self.settings.get(setting)?),
                    _ => return None,
                },
            }
        }
        Some(Cow::Owned(name))
    }

    /// Reads the body; tells which of its forms it came in.
    fn body(
        &mut self,
        request: &Request,
        head: &RequestHead<'_>,
        bytes: &'a [u8],
        options: ReadOptions,
    ) -> Result<Option<usize>, Refusal> {
        if request.bodies.is_empty() {
            return Ok(None);
        }
        let unsupported = |reason| Refusal::whole(Fault::UnsupportedMediaType, reason);
        let came = media_type(head.headers)
            .map_err(|_| unsupported("the media type or its character set is not read"))?;
        if came.is_none() && request.type_required && !bytes.is_empty() {
            return Err(unsupported("the Content-Type is missing"));
        }
        let body = choose_body(&request.bodies, came.as_deref())
            .ok_or_else(|| unsupported("this media type is not read"))?;
        if !bytes.is_empty() {
            let captures = capture(body, bytes, options.depth_max, Duplicates::Refuse)?;
            self.body_places(body, captures, options.refuse_unknown)?;
        }
        Ok(request.bodies.iter().position(|known| std::ptr::eq(known, body)))
    }

    /// Takes what the places of a body hold.
    pub(super) fn body_places(
        &mut self,
        body: &Body,
        mut captures: Captures<'a>,
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
                    None if place.content.is_secret() => Ok(()),
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
            if let Captured::Raw(json) = captured
                && !self.stands_for_absent(hole, &json)
            {
                self.record.set_raw(raw, Some(json));
            }
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
        if self.stands_for_absent(hole, &wire) {
            return Ok(());
        }
        let value = self.decode(hole, wire, member)?;
        self.store(hole, value, member)
    }

    /// Outside JSON every value is a text; there a number's codec says what is one.
    fn reads_text(&self, hole: &Hole) -> bool {
        hole.in_path || !self.json_only
    }

    /// `or "-"`: the literal that is written for an absent value reads as one.
    fn stands_for_absent(&self, hole: &Hole, wire: &str) -> bool {
        matches!(&hole.or, OrElse::Literal(literal) if literal.text == wire)
    }

    fn decode(&self, hole: &Hole, wire: Cow<'a, str>, member: &str) -> Result<Value<'a>, Refusal> {
        let text = match hole.codec {
            None => wire,
            Some(codec) => match read_codec(codec, wire) {
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
            (Some(format), _) => self.mapping.formats[usize::from(format)].regex.is_match(&text),
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
                Some(_) => return Err(wrong(member, "is said twice, differently")),
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
                self.parts[index] = Some(text(value));
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

    /// Puts split fields together.
    fn join_parts(&mut self, request: &Request) {
        let mut offset = 0;
        for part in &request.parts {
            let values = self.parts.get(offset..offset + part.names.len()).unwrap_or(&[]);
            offset += part.names.len();
            if values.len() < part.names.len() || values.iter().any(Option::is_none) {
                continue;
            }
            let mut joined = String::new();
            let mut values = values.iter().flatten();
            for piece in &part.pattern.pieces {
                match piece {
                    Piece::Text(text) => joined.push_str(text),
                    Piece::Hole(_) => joined.push_str(values.next().map_or("", |value| value)),
                }
            }
            self.record.set(part.field, Some(Value::Text(Cow::Owned(joined))));
        }
    }

    /// Fills in settings for what is absent, and demands what is required.
    fn settle(&mut self, operation: &Operation) -> Result<(), Refusal> {
        let request = &operation.request;
        for place in request.places().filter(|place| place.arrow.reads()) {
            for hole in place.content.holes() {
                self.settle_hole(hole, &place.member, request)?;
            }
        }
        let fields = &self.vocabulary.operations[operation.id].request;
        for (index, field) in (0u8..).zip(fields) {
            if field.required && self.record.get(index).is_none() {
                return Err(missing(&field.name));
            }
        }
        Ok(())
    }

    fn settle_hole(&mut self, hole: &Hole, member: &str, request: &Request) -> Result<(), Refusal> {
        let Slot::Field(field) = hole.slot else { return Ok(()) };
        if self.record.get(field).is_some() {
            return Ok(());
        }
        if let OrElse::Setting(setting) = hole.or
            && let Some(value) = self.settings.get(setting)
        {
            let value = Value::Text(Cow::Owned(value.to_owned()));
            self.record.set(field, Some(value));
            return Ok(());
        }
        let lenient = request.holes().any(|other| other.slot == hole.slot && !demands(other));
        if demands(hole) && !lenient { Err(missing(member)) } else { Ok(()) }
    }
}

/// A hole with `or $setting` demands a value where the setting is not set.
fn demands(hole: &Hole) -> bool {
    matches!(hole.or, OrElse::Required | OrElse::Setting(_))
}

fn read_codec<'a>(
    codec: crate::mapping::codecs::Codec,
    wire: Cow<'a, str>,
) -> Option<Cow<'a, str>> {
    match wire {
        Cow::Borrowed(wire) => codec.read(wire),
        Cow::Owned(wire) => Some(Cow::Owned(codec.read(&wire)?.into_owned())),
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

/// The cookie of that name; of several the first counts.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get_all(COOKIE).iter().find_map(|line| {
        let line = std::str::from_utf8(line.as_bytes()).ok()?;
        line.split(';').find_map(|pair| {
            let (key, value) = pair.trim_matches(BLANKS).split_once('=')?;
            (key == name).then_some(value)
        })
    })
}

fn literal_fits(literal: &crate::mapping::syntax::Literal, captured: &Captured<'_>) -> bool {
    match (literal.kind, captured) {
        (LiteralKind::Text, Captured::Text(text)) => literal.text == **text,
        (LiteralKind::Number, Captured::Number(number)) => literal.text == **number,
        (LiteralKind::Bool, Captured::Bool(value)) => literal.text == value.to_string(),
        (LiteralKind::Null, Captured::Null) => true,
        (LiteralKind::Composite, Captured::Raw(json)) => literal.text == **json,
        // Outside JSON every literal is a text.
        (_, Captured::Text(text)) => literal.text == **text,
        _ => false,
    }
}

pub(super) fn fits_default_path(text: &str) -> bool {
    debug_assert!(DEFAULT_PATH_FORMAT.ends_with("{1,128}"));
    (1..=crate::bounds::PATH_VALUE_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte))
}

fn missing(member: &str) -> Refusal {
    Refusal::member(Fault::MissingField, member, format!("{member} is missing"))
}

fn wrong(member: &str, why: &'static str) -> Refusal {
    Refusal::member(Fault::InvalidRequest, member, format!("{member} {why}"))
}

/// An id that is not of the vendor's form has a fault of its own.
fn unfit(hole: &Hole, member: &str) -> Refusal {
    let required_id = hole.kind == Type::Id && hole.is_required();
    let fault = if required_id { Fault::InvalidId } else { Fault::InvalidRequest };
    Refusal::member(fault, member, format!("{member} does not have the form that belongs here"))
}
