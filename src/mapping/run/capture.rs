//! Walking a body along its shape, catching what its places hold.
//!
//! A JSON body is read in one pass without a tree of the whole: members that no place wants are
//! checked and skipped.

use std::borrow::Cow;

use smallvec::{SmallVec, smallvec};

use crate::codec::form::FormPairs;
use crate::codec::json::{Duplicates, JsonError, JsonReader, Kind, Limits, Scalar};
use crate::codec::xml::{XmlDocument, XmlElement};
use crate::mapping::codecs::Codec;
use crate::mapping::model::{Body, BodyKind, Content, Key, Member, Place, Shape, Slot};
use crate::mapping::run::Refusal;
use crate::mapping::syntax::LiteralKind;
use crate::value::Fault;

/// What a place holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Captured<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// A JSON number as it was written.
    Number(&'a str),
    /// A JSON boolean.
    Bool(bool),
    /// JSON null.
    Null,
    /// JSON of any kind, as it was written.
    Raw(&'a str),
    /// An object or a list where a single value belongs.
    Structure,
}

/// What was caught, by place.
#[derive(Debug, Default)]
pub(super) struct Captures<'a> {
    /// True if what is private to the vendor is wanted.
    pub(super) raws: bool,
    places: SmallVec<[Option<Captured<'a>>; 12]>,
    /// The first member that no place knows.
    pub(super) unknown: Option<Cow<'a, str>>,
    /// The first literal that should be there and is not.
    pub(super) missing_literal: Option<u16>,
    /// An element that stands more often than its place allows.
    pub(super) repeated: Option<String>,
}

impl<'a> Captures<'a> {
    /// A place for each of the body's. Made by whoever reads, so that it is not moved about.
    pub(super) fn of(body: &Body) -> Self {
        let mut captures = Self { raws: true, ..Self::default() };
        captures.places.resize(body.places.len(), None);
        captures
    }

    /// Takes what a place holds.
    pub(super) fn take(&mut self, place: usize) -> Option<Captured<'a>> {
        self.places.get_mut(place)?.take()
    }

    /// What a place holds.
    pub(super) fn get(&self, place: usize) -> Option<&Captured<'a>> {
        self.places.get(place)?.as_ref()
    }

    /// The first value counts; a repeated one is only seen where duplicates are let through.
    fn put(&mut self, place: u16, captured: Captured<'a>) {
        if let Some(slot) = self.places.get_mut(usize::from(place)) {
            slot.get_or_insert(captured);
        }
    }
}

/// Walks a body.
///
/// # Errors
/// [`Fault::InvalidRequest`] if the bytes are no message of the body's kind.
pub(super) fn capture<'a>(
    body: &Body,
    bytes: &'a [u8],
    depth_max: usize,
    duplicates: Duplicates,
    captures: &mut Captures<'a>,
) -> Result<(), Refusal> {
    match &body.kind {
        BodyKind::Json => {
            let limits = Limits { depth_max, duplicates };
            json_body(body, bytes, limits, captures)
                .map_err(|error| malformed(format!("the body is not valid JSON: {error}")))?;
        }
        BodyKind::Xml { root, .. } => xml_body(body, root, bytes, depth_max, captures)?,
        BodyKind::Text => {
            let text = std::str::from_utf8(bytes)
                .map_err(|_| malformed("the body is not UTF-8".to_owned()))?;
            let text = text.strip_suffix('\n').unwrap_or(text);
            let text = text.strip_suffix('\r').unwrap_or(text);
            captures.put(0, Captured::Text(Cow::Borrowed(text)));
        }
        BodyKind::Form => form_body(body, bytes, captures)?,
    }
    Ok(())
}

fn malformed(reason: String) -> Refusal {
    Refusal::whole(Fault::InvalidRequest, reason)
}

fn json_body<'a>(
    body: &Body,
    bytes: &'a [u8],
    limits: Limits,
    captures: &mut Captures<'a>,
) -> Result<(), JsonError> {
    let mut reader = JsonReader::new(bytes, limits)?;
    json_shape(&mut reader, &body.shape, &body.places, captures)?;
    reader.finish()
}

fn json_shape<'a>(
    reader: &mut JsonReader<'a>,
    shape: &Shape,
    places: &[Place],
    captures: &mut Captures<'a>,
) -> Result<(), JsonError> {
    match (shape, reader.peek()?) {
        (Shape::Place(place), _) => {
            let captured = json_place(reader, &places[usize::from(*place)])?;
            if let Some(captured) = captured {
                captures.put(*place, captured);
            }
        }
        (Shape::Object { members, .. }, Kind::Object) => {
            json_object(reader, members, places, captures)?;
        }
        (Shape::List { items, .. }, Kind::Array) => {
            let mut array = reader.array()?;
            let mut items = items.iter();
            while reader.item(&mut array)? {
                match items.next() {
                    Some(item) => json_shape(reader, item, places, captures)?,
                    None => {
                        reader.skip()?;
                    }
                }
            }
        }
        (Shape::Object { .. } | Shape::List { .. }, _) => {
            reader.skip()?;
        }
    }
    Ok(())
}

fn json_object<'a>(
    reader: &mut JsonReader<'a>,
    members: &[Member],
    places: &[Place],
    captures: &mut Captures<'a>,
) -> Result<(), JsonError> {
    let mut object = reader.object()?;
    let mut seen: SmallVec<[bool; 24]> = smallvec![false; members.len()];
    let mut expected = 0;
    loop {
        let written = written_name(members, expected);
        let index = if written.is_some_and(|name| reader.pass_expected(&mut object, name)) {
            expected
        } else {
            let Some(name) = reader.key(&mut object)? else { break };
            let Some(index) = find_member(members, &name, expected) else {
                reader.skip()?;
                captures.unknown.get_or_insert(name);
                continue;
            };
            index
        };
        expected = index + 1;
        let Member { shape, read, .. } = &members[index];
        // Of an object that stands twice the first counts as a whole, not member by member.
        let is_wanted = *read && !std::mem::replace(&mut seen[index], true);
        if is_wanted && (captures.raws || !is_raw(shape, places)) {
            json_shape(reader, shape, places, captures)?;
        } else {
            reader.skip()?;
        }
    }
    demand_literals(members, places, captures);
    Ok(())
}

/// The name of a member and its colon, as JSON has them, unless it may have any name.
fn written_name(members: &[Member], index: usize) -> Option<&[u8]> {
    match &members.get(index)?.key {
        Key::Fixed { json, .. } => Some(json),
        Key::Pattern(_) => None,
    }
}

/// The member of that name. Most vendors send members in the order of their page, which is that of the
/// mapping: so the search begins at the one that is expected.
fn find_member(members: &[Member], name: &str, expected: usize) -> Option<usize> {
    let fits = |member: &Member| match &member.key {
        Key::Fixed { name: fixed, .. } => **fixed == *name,
        Key::Pattern(_) => true,
    };
    match members.get(expected) {
        // A pattern fits everything, and gives way to a name of its own.
        Some(member) if fits(member) && matches!(member.key, Key::Fixed { .. }) => Some(expected),
        Some(_) | None => members.iter().position(fits),
    }
}

/// True if the vendor's own JSON stands there.
fn is_raw(shape: &Shape, places: &[Place]) -> bool {
    let Shape::Place(place) = shape else { return false };
    let content = &places[usize::from(*place)].content;
    matches!(content, Content::Hole(hole) if matches!(hole.slot, Slot::Raw(_)))
}

/// Where an object is there, its literals must be there too.
fn demand_literals(members: &[Member], places: &[Place], captures: &mut Captures<'_>) {
    for member in members {
        let Shape::Place(index) = &member.shape else { continue };
        let place = &places[usize::from(*index)];
        if matches!(place.content, Content::Literal(_))
            && place.arrow.reads()
            && captures.get(usize::from(*index)).is_none()
        {
            captures.missing_literal.get_or_insert(*index);
        }
    }
}

fn json_place<'a>(
    reader: &mut JsonReader<'a>,
    place: &Place,
) -> Result<Option<Captured<'a>>, JsonError> {
    if !place.arrow.reads() {
        reader.skip()?;
        return Ok(None);
    }
    let captured = match (wants(place), reader.peek()?) {
        (Wanted::Json, _) => Captured::Raw(reader.skip()?),
        (Wanted::Lines, Kind::Array) => json_lines(reader)?,
        (Wanted::Scalar | Wanted::Lines, Kind::Object | Kind::Array) => {
            reader.skip()?;
            Captured::Structure
        }
        (Wanted::Scalar | Wanted::Lines, _) => match reader.scalar()? {
            Scalar::Text(text) => Captured::Text(text),
            Scalar::Number(number) => Captured::Number(number),
            Scalar::Bool(value) => Captured::Bool(value),
            Scalar::Null => Captured::Null,
        },
    };
    Ok(Some(captured))
}

/// A list of texts as one text, a line each; anything else in the list makes it no such list.
fn json_lines<'a>(reader: &mut JsonReader<'a>) -> Result<Captured<'a>, JsonError> {
    let mut array = reader.array()?;
    let mut lines: Vec<Cow<'a, str>> = Vec::new();
    let mut texts_only = true;
    while reader.item(&mut array)? {
        if reader.peek()? == Kind::Text
            && let Scalar::Text(text) = reader.scalar()?
        {
            lines.push(text);
        } else {
            reader.skip()?;
            texts_only = false;
        }
    }
    Ok(match (texts_only, lines.is_empty()) {
        (false, _) => Captured::Structure,
        (true, true) => Captured::Null,
        (true, false) => Captured::Text(Cow::Owned(lines.join("\n"))),
    })
}

enum Wanted {
    /// Any JSON, as it is.
    Json,
    /// A text or a list of texts.
    Lines,
    /// A single value.
    Scalar,
}

fn wants(place: &Place) -> Wanted {
    match &place.content {
        Content::Hole(hole) if matches!(hole.slot, Slot::Raw(_)) => Wanted::Json,
        Content::Hole(hole) if hole.codec == Some(Codec::Lines) => Wanted::Lines,
        Content::Literal(literal) if literal.kind == LiteralKind::Composite => Wanted::Json,
        Content::Hole(_) | Content::Literal(_) | Content::Text(_) | Content::Join { .. } => {
            Wanted::Scalar
        }
    }
}

fn xml_body<'a>(
    body: &Body,
    root: &str,
    bytes: &[u8],
    depth_max: usize,
    captures: &mut Captures<'a>,
) -> Result<(), Refusal> {
    let limits = crate::codec::xml::Limits { depth_max, ..crate::codec::xml::Limits::default() };
    let document = XmlDocument::parse(bytes, limits)
        .map_err(|error| malformed(format!("the body is not valid XML: {error}")))?;
    let element = document.root();
    if element.local_name() != local(root) {
        return Err(malformed("the body's root element is another one".to_owned()));
    }
    xml_shape(&[element], &body.shape, &body.places, captures);
    Ok(())
}

fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

/// Walks the elements that stand under one name.
fn xml_shape(
    elements: &[XmlElement<'_, '_>],
    shape: &Shape,
    places: &[Place],
    captures: &mut Captures<'_>,
) {
    match shape {
        Shape::List { items, .. } => {
            for (element, item) in elements.iter().zip(items) {
                xml_shape(std::slice::from_ref(element), item, places, captures);
            }
        }
        Shape::Object { members, .. } => {
            if let Some(element) = elements.first() {
                note_repeated(elements, captures);
                xml_object(element, members, places, captures);
            }
        }
        Shape::Place(index) => {
            let place = &places[usize::from(*index)];
            if elements.is_empty() || !place.arrow.reads() {
                return;
            }
            let texts = elements.iter().map(|element| element.text());
            let text = if matches!(wants(place), Wanted::Lines) {
                texts.collect::<Vec<_>>().join("\n")
            } else {
                note_repeated(elements, captures);
                elements[0].text().into_owned()
            };
            captures.put(*index, Captured::Text(Cow::Owned(text)));
        }
    }
}

/// An element that stands twice where one belongs says two things.
fn note_repeated(elements: &[XmlElement<'_, '_>], captures: &mut Captures<'_>) {
    if elements.len() > 1 {
        let name = elements[0].local_name();
        captures.repeated.get_or_insert_with(|| name.to_owned());
    }
}

fn xml_object(
    element: &XmlElement<'_, '_>,
    members: &[Member],
    places: &[Place],
    captures: &mut Captures<'_>,
) {
    for member in members {
        let Key::Fixed { name, .. } = &member.key else { continue };
        let text = match (name.strip_prefix('@'), name.as_ref()) {
            (Some(attribute), _) => element.attribute(local(attribute)).map(Cow::into_owned),
            (None, "#text") => Some(element.text().into_owned()),
            (None, name) => {
                let children: Vec<_> = element.children_named(local(name)).collect();
                xml_shape(&children, &member.shape, places, captures);
                continue;
            }
        };
        if let (Some(text), Shape::Place(index)) = (text, &member.shape)
            && places[usize::from(*index)].arrow.reads()
        {
            captures.put(*index, Captured::Text(Cow::Owned(text)));
        }
    }
    for child in element.children() {
        let known = members.iter().any(|member| match &member.key {
            Key::Fixed { name, .. } => local(name) == child.local_name(),
            Key::Pattern(_) => true,
        });
        if !known {
            let name = || Cow::Owned(child.local_name().to_owned());
            captures.unknown.get_or_insert_with(name);
        }
    }
    demand_literals(members, places, captures);
}

fn form_body<'a>(body: &Body, bytes: &'a [u8], captures: &mut Captures<'a>) -> Result<(), Refusal> {
    let Shape::Object { members, .. } = &body.shape else { return Ok(()) };
    for pair in FormPairs::new(bytes) {
        let (name, value) =
            pair.map_err(|error| malformed(format!("the body is no form: {error}")))?;
        let known = members.iter().find(
            |member| matches!(&member.key, Key::Fixed { name: fixed, .. } if **fixed == *name),
        );
        match known.map(|member| &member.shape) {
            Some(Shape::Place(place)) => {
                if body.places[usize::from(*place)].arrow.reads() {
                    captures.put(*place, Captured::Text(value));
                }
            }
            Some(Shape::Object { .. } | Shape::List { .. }) | None => {
                captures.unknown.get_or_insert(name);
            }
        }
    }
    demand_literals(members, &body.places, captures);
    Ok(())
}
