//! Reading an upstream's answer: yes, a fault, or neither.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;

use http::HeaderMap;

use crate::bounds;
use crate::codec::json::Duplicates;
use crate::mapping::model::{
    Body, Content, FaultMap, FaultRow, GatewayField, JsonPath, Mapping, Operation, OperationKind,
    Place, Slot, StandIn, Success, Type, Vocabulary,
};
use crate::mapping::run::capture::{Captured, Captures, capture};
use crate::mapping::run::reader::Reader;
use crate::mapping::run::{Settings, Unreadable, choose_body, media_type};
use crate::value::{Fault, Record, Value};

/// An answer's head.
#[derive(Clone, Copy, Debug)]
pub struct AnswerHead<'a> {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: &'a HeaderMap,
}

/// What an answer says.
#[derive(Debug)]
pub enum Reading<'a> {
    /// Yes.
    Yes {
        /// What it says besides.
        record: Record<'a>,
        /// How many fields could not be read and count as absent.
        unreadable: u32,
    },
    /// No, and why.
    No {
        /// The canonical fault.
        fault: Fault,
        /// The upstream's text.
        message: Option<Cow<'a, str>>,
        /// Index of the row that fitted.
        row: usize,
    },
    /// Nothing that the mapping knows; why it is no success.
    Nothing(Mismatch),
}

/// Why an answer is no success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Another status code.
    Status,
    /// Another media type.
    MediaType,
    /// The body cannot be read.
    Body,
    /// A literal differs, or a member that must be there is not.
    Content,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Status => "the status code is none that the mapping knows",
            Self::MediaType => "the media type is another one",
            Self::Body => "the body cannot be read",
            Self::Content => "the content is not what the mapping says",
        })
    }
}

/// Everything that reading one answer needs.
pub(super) struct Answers<'m, 'a> {
    vocabulary: &'m Vocabulary,
    mapping: &'m Mapping,
    settings: &'m Settings,
    head: AnswerHead<'a>,
    media_type: Result<Option<Cow<'a, str>>, Unreadable>,
    body: &'a [u8],
    /// The body as a tree, for JSONPaths, made when the first one is a candidate.
    tree: OnceCell<Option<serde_json::Value>>,
    /// True if what is private to the vendor is wanted.
    raws: bool,
}

/// Reads an answer to an operation without what is private to its vendor.
pub fn read_public_answer<'a>(
    vocabulary: &Vocabulary,
    mapping: &Mapping,
    operation: &Operation,
    head: AnswerHead<'a>,
    body: &'a [u8],
    settings: &Settings,
    request: &Record<'_>,
) -> Reading<'a> {
    let answers = Answers::new(vocabulary, mapping, settings, head, body);
    Answers { raws: false, ..answers }.read(operation, request)
}

/// Reads an answer to an operation.
pub fn read_answer<'a>(
    vocabulary: &Vocabulary,
    mapping: &Mapping,
    operation: &Operation,
    head: AnswerHead<'a>,
    body: &'a [u8],
    settings: &Settings,
    request: &Record<'_>,
) -> Reading<'a> {
    Answers::new(vocabulary, mapping, settings, head, body).read(operation, request)
}

impl<'m, 'a> Answers<'m, 'a> {
    pub(super) fn new(
        vocabulary: &'m Vocabulary,
        mapping: &'m Mapping,
        settings: &'m Settings,
        head: AnswerHead<'a>,
        body: &'a [u8],
    ) -> Self {
        let (media_type, tree) = (media_type(head.headers), OnceCell::new());
        Self { vocabulary, mapping, settings, media_type, head, body, tree, raws: true }
    }

    fn read(&self, operation: &'m Operation, request: &Record<'_>) -> Reading<'a> {
        let faults = &operation.faults;
        if let Some(no) = self.first_fault(faults, &faults.tried_first) {
            return no;
        }
        let mismatch = match self.success(operation, &operation.success, request) {
            Ok((record, unreadable)) => return Reading::Yes { record, unreadable },
            Err(mismatch) => mismatch,
        };
        match self.first_fault(faults, &faults.tried_last) {
            Some(no) => no,
            None => Reading::Nothing(mismatch),
        }
    }

    fn first_fault(&self, faults: &FaultMap, rows: &[u16]) -> Option<Reading<'a>> {
        rows.iter().map(|row| usize::from(*row)).find_map(|index| {
            let row = &faults.rows[index];
            let message = self.fault_row(faults, row)?;
            Some(Reading::No { fault: row.reads?, message, row: index })
        })
    }

    /// The message of a row that fits; `None` if it does not fit.
    fn fault_row(&self, faults: &FaultMap, row: &FaultRow) -> Option<Option<Cow<'a, str>>> {
        if row.http_read && !row.http.is_empty() && !row.http.contains(&self.head.status) {
            return None;
        }
        if let Some(path) = &row.when
            && path.select(self.tree()?).is_empty()
        {
            return None;
        }
        let (natives, message) = match &faults.find {
            Some(_) => match self.found(faults) {
                Some(found) => found,
                // What the row has seen by itself needs no object that says it again.
                None if row.when.is_some() && row.native.is_none() && row.text.is_none() => {
                    (Vec::new(), None)
                }
                None => return None,
            },
            None => self.declared(faults.bodies_of(row))?,
        };
        if let Some(native) = row.native.as_ref().filter(|native| native.arrow.reads()) {
            let fits = |found: &String| {
                if faults.ignore_case {
                    found.eq_ignore_ascii_case(&native.code.text)
                } else {
                    *found == native.code.text
                }
            };
            if !natives.iter().any(fits) {
                return None;
            }
        }
        if let Some(text) = &row.text
            && !message.as_deref().is_some_and(|message| message.starts_with(text.as_str()))
        {
            return None;
        }
        Some(message)
    }

    fn tree(&self) -> Option<&serde_json::Value> {
        self.tree
            .get_or_init(|| {
                let small = self.body.len() <= bounds::JSONPATH_BYTES_MAX;
                small.then(|| serde_json::from_slice(self.body).ok()).flatten()
            })
            .as_ref()
    }

    /// Code and message of an answer that is a fault, whichever row it fits.
    pub(super) fn code_and_message(
        &self,
        faults: &FaultMap,
    ) -> Option<(Vec<String>, Option<Cow<'a, str>>)> {
        match &faults.find {
            Some(_) => self.found(faults),
            None => self.declared(&faults.bodies),
        }
    }

    /// True if a path selects something in the body.
    pub(super) fn has(&self, path: &JsonPath) -> bool {
        self.tree().is_some_and(|tree| !path.select(tree).is_empty())
    }

    /// Code and message by a row's body; `None` if the body does not fit.
    fn declared(&self, bodies: &[Body]) -> Option<(Vec<String>, Option<Cow<'a, str>>)> {
        if bodies.is_empty() {
            return Some((Vec::new(), None));
        }
        let came = self.media_type.as_ref().ok()?;
        let body = choose_body(bodies, came.as_deref())?;
        let mut captures = Captures::of(body);
        let (depth, unwatched) = (bounds::BODY_DEPTH_MAX, Duplicates::Unwatched);
        capture(body, self.body, depth, unwatched, &mut captures).ok()?;
        for (index, place) in body.places.iter().enumerate() {
            if place.arrow.reads() && place.content.is_required() && captures.get(index).is_none() {
                return None;
            }
        }
        let mut reader = Reader::new(self.vocabulary, self.mapping, self.settings);
        reader.body_places(body, &mut captures, false).ok()?;
        Some((reader.native.map(Cow::into_owned).into_iter().collect(), reader.message))
    }

    /// Codes and message by `find`; `None` if it selects nothing.
    fn found(&self, faults: &FaultMap) -> Option<(Vec<String>, Option<Cow<'a, str>>)> {
        let path = faults.find.as_ref()?;
        let found = path.select(self.tree()?);
        if found.is_empty() {
            return None;
        }
        let native = member_of(faults, GatewayField::Native);
        let message = member_of(faults, GatewayField::Message);
        let member = |value: &serde_json::Value, name: Option<&str>| match value {
            serde_json::Value::Object(members) => members.get(name?).and_then(scalar_text),
            _ => None,
        };
        let natives = found
            .iter()
            .filter_map(|value| scalar_text(value).or_else(|| member(value, native)))
            .collect();
        let text = found.iter().find_map(|value| member(value, message));
        Some((natives, text.map(Cow::Owned)))
    }

    fn success(
        &self,
        operation: &'m Operation,
        success: &'m Success,
        request: &Record<'_>,
    ) -> Result<(Record<'a>, u32), Mismatch> {
        if !success.codes.contains(&self.head.status) {
            return Err(Mismatch::Status);
        }
        let mut reader = Reader::new(self.vocabulary, self.mapping, self.settings);
        let mut unreadable = 0;
        if !success.bodies.is_empty() {
            unreadable = self.success_body(success, &mut reader)?;
        }
        unreadable += self.success_headers(success, &mut reader);
        let mut record = reader.record;
        self.fill(operation, &mut record, request);
        let def = &self.vocabulary.operations[operation.id];
        for (index, field) in (0u8..).zip(&def.answer) {
            let lost = field.required && record.get(index).is_none();
            if lost && operation.kind != OperationKind::Write {
                return Err(Mismatch::Content);
            }
        }
        Ok((record, unreadable))
    }

    fn success_body(
        &self,
        success: &Success,
        reader: &mut Reader<'m, 'a>,
    ) -> Result<u32, Mismatch> {
        let came = self.media_type.as_ref().map_err(|_| Mismatch::MediaType)?;
        let body = choose_body(&success.bodies, came.as_deref()).ok_or(Mismatch::MediaType)?;
        let mut captures = Captures::of(body);
        captures.raws = self.raws;
        let (depth, unwatched) = (bounds::BODY_DEPTH_MAX, Duplicates::Unwatched);
        capture(body, self.body, depth, unwatched, &mut captures).map_err(|_| Mismatch::Body)?;
        if captures.missing_literal.is_some() {
            return Err(Mismatch::Content);
        }
        let mut unreadable = 0;
        for (index, place) in body.places.iter().enumerate() {
            let Some(captured) = captures.take(index) else { continue };
            let literal = matches!(place.content, Content::Literal(_));
            let read = reader.answer_place(body, place, captured);
            if read.is_err() && literal {
                return Err(Mismatch::Content);
            }
            unreadable += u32::from(read.is_err());
        }
        Ok(unreadable)
    }

    /// The fields that header fields carry; how many cannot be read. Literals are not demanded: what
    /// stands between may take header fields away.
    fn success_headers(&self, success: &'m Success, reader: &mut Reader<'m, 'a>) -> u32 {
        let mut unreadable = 0;
        for named in success.headers.iter().filter(|named| named.place.arrow.reads()) {
            if named.place.content.holes().next().is_some() {
                let read = reader.header_field(self.head.headers, named);
                unreadable += u32::from(read.is_err());
            }
        }
        unreadable
    }

    /// What stands for fields that the answer does not say.
    fn fill(&self, operation: &Operation, record: &mut Record<'a>, request: &Record<'_>) {
        let success = &operation.success;
        for (field, content) in &success.gives {
            if record.get(*field).is_none() {
                let kind =
                    self.vocabulary.operations[operation.id].answer[usize::from(*field)].kind;
                let value = self.given(kind, content, request);
                record.set(*field, value);
            }
        }
        for (field, stand_in) in &success.stand_ins {
            if record.get(*field).is_none() {
                let value = match stand_in {
                    StandIn::Request(source) => request.get(*source).map(own),
                    StandIn::Setting(setting) => self
                        .settings
                        .get(*setting)
                        .map(|text| Value::Text(Cow::Owned(text.to_owned()))),
                };
                record.set(*field, value);
            }
        }
    }

    fn given(&self, kind: Type, content: &Content, request: &Record<'_>) -> Option<Value<'a>> {
        match content {
            Content::Hole(hole) => match hole.slot {
                Slot::Request(source) => request.get(source).map(own),
                _ => None,
            },
            Content::Literal(literal) => match kind {
                Type::Word(word_type) => {
                    let words = &self.vocabulary.types[word_type].words;
                    let word = words.iter().position(|word| *word == literal.text)?;
                    u8::try_from(word).ok().map(Value::Word)
                }
                _ => Some(Value::Text(Cow::Owned(literal.text.clone()))),
            },
            Content::Text(_) | Content::Join { .. } => None,
        }
    }
}

fn own<'a>(value: &Value<'_>) -> Value<'a> {
    match value {
        Value::Text(text) => Value::Text(Cow::Owned(text.to_string())),
        Value::Word(word) => Value::Word(*word),
    }
}

/// The member's own name under which the common body has a gateway field.
fn member_of(faults: &FaultMap, field: GatewayField) -> Option<&str> {
    faults
        .bodies
        .iter()
        .flat_map(|body| &body.places)
        .find(|place| place.content.holes().any(|hole| hole.slot == Slot::Gateway(field)))
        .map(|place| place.member.as_str())
}

fn scalar_text(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Bool(value) => Some(value.to_string()),
        serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
            None
        }
    }
}

impl<'a> Reader<'_, 'a> {
    /// One place of an answer.
    fn answer_place(
        &mut self,
        body: &crate::mapping::model::Body,
        place: &Place,
        captured: Captured<'a>,
    ) -> Result<(), crate::mapping::run::Refusal> {
        self.json_only = body.kind == crate::mapping::model::BodyKind::Json;
        let read = self.place(place, captured);
        self.json_only = false;
        read
    }
}
