//! Reading a client's request.

use std::borrow::Cow;

use http::header::{COOKIE, GetAll};
use http::{HeaderMap, HeaderValue};
use smallvec::{SmallVec, smallvec};

use crate::codec::form::FormPairs;
use crate::codec::json::{Duplicates, JsonReader, Kind, Limits};
use crate::codec::percent;
use crate::codec::xml::XmlDocument;
use crate::mapping::model::{
    Content, Hole, Mapping, Named, Operation, Pattern, Piece, Request, Slot, Vocabulary,
};
use crate::mapping::run::capture::{Captured, Captures, capture};
use crate::mapping::run::reader::{Presented, Reader, TWICE, missing, wrong};
use crate::mapping::run::{Refusal, Settings, choose_body, media_type};
use crate::mapping::syntax::Select;
use crate::value::{Fault, Record, Value};

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

/// The segments of a path, undecoded; one at least.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(path.strip_prefix('/').unwrap_or(path));
    std::iter::from_fn(move || {
        let text = rest?;
        let slash = memchr::memchr(b'/', text.as_bytes());
        rest = slash.map(|at| &text[at + 1..]);
        Some(slash.map_or(text, |at| &text[..at]))
    })
}

/// True if the path is one of this request's: literals equal, no hole empty.
pub fn fits_path(request: &Request, path: &str) -> bool {
    let mut segments = segments(path);
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
    let limits = Limits { depth_max: usize::MAX, duplicates: Duplicates::Unwatched };
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
    let wanted = |named: &&Named| named.place.secret && named.place.arrow.reads();
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
    let wanted = |named: &&Named| !named.place.secret && named.place.arrow.reads();
    reader.head(request, head, wanted)?;
    let form = reader.body(request, head, body, options)?;
    reader.join_parts(operation)?;
    reader.settle(operation)?;
    Ok((reader.record, form))
}

/// Reads a request that the gateway answers itself, with the secrets in it, wherever they stand; tells which
/// form its body came in.
///
/// # Errors
/// As [`read_request`].
pub fn read_credentials<'a>(
    vocabulary: &Vocabulary,
    mapping: &Mapping,
    operation: &Operation,
    head: &RequestHead<'a>,
    body: &'a [u8],
    settings: &Settings,
    options: ReadOptions,
) -> Result<(Record<'a>, Presented<'a>, Option<usize>), Refusal> {
    let request = &operation.request;
    let mut reader = Reader::new(vocabulary, mapping, settings);
    reader.secrets.0.resize(vocabulary.secrets.len(), None);
    reader.path(request, head.path)?;
    reader.head(request, head, |named| named.place.arrow.reads())?;
    let form = reader.body(request, head, body, options)?;
    reader.settle(operation)?;
    Ok((reader.record, reader.secrets, form))
}

impl<'m, 'a> Reader<'m, 'a> {
    fn path(&mut self, request: &Request, path: &'a str) -> Result<(), Refusal> {
        for (pattern, segment) in request.segments.iter().zip(segments(path)) {
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

    pub(super) fn head(
        &mut self,
        request: &'m Request,
        head: &RequestHead<'a>,
        wanted: impl Fn(&&Named) -> bool,
    ) -> Result<(), Refusal> {
        if request.query.iter().any(|named| wanted(&named)) {
            self.query(request, head.query.unwrap_or(""), &wanted)?;
        }
        for named in request.headers.iter().filter(&wanted) {
            self.header_field(head.headers, named)?;
        }
        for named in request.cookies.iter().filter(&wanted) {
            let Some(name) = self.name(&named.name) else { continue };
            match cookie(head.headers, &name) {
                Some(value) => self.place(&named.place, Captured::Text(Cow::Borrowed(value)))?,
                None => demand_literal(named)?,
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
        let mut seen: SmallVec<[bool; 8]> = smallvec![false; request.query.len()];
        for pair in FormPairs::new(query.as_bytes()) {
            let (name, value) = pair.map_err(|error| {
                Refusal::whole(Fault::InvalidRequest, format!("the query cannot be read: {error}"))
            })?;
            let known = request.query.iter().position(|named| {
                wanted(&named) && self.name(&named.name).is_some_and(|known| known == name)
            });
            if let Some(index) = known {
                seen[index] = true;
                self.place(&request.query[index].place, Captured::Text(value))?;
            }
        }
        let unseen = request.query.iter().zip(seen).filter(|(named, seen)| wanted(named) && !seen);
        unseen.map(|(named, _)| named).try_for_each(demand_literal)
    }

    /// One header field, whose name may hold settings.
    pub(super) fn header_field(
        &mut self,
        headers: &'a HeaderMap,
        named: &'m Named,
    ) -> Result<(), Refusal> {
        match (&named.header, self.name(&named.name)) {
            (Some(name), _) => self.header(headers.get_all(name), named),
            (None, Some(name)) => self.header(headers.get_all(&*name), named),
            (None, None) => Ok(()),
        }
    }

    fn header(&mut self, values: GetAll<'a, HeaderValue>, named: &Named) -> Result<(), Refusal> {
        let name = &named.place.member;
        let mut values = values.iter();
        let Some(first) = values.next() else {
            return demand_literal(named);
        };
        let secret = named.place.secret;
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
            let mut captures = Captures::of(body);
            capture(body, bytes, options.depth_max, Duplicates::Refuse, &mut captures)?;
            self.body_places(body, &mut captures, options.refuse_unknown)?;
        }
        Ok(request.bodies.iter().position(|known| std::ptr::eq(known, body)))
    }

    /// Puts split fields together.
    fn join_parts(&mut self, operation: &Operation) -> Result<(), Refusal> {
        let mut offset = 0;
        for part in &operation.request.parts {
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
            let joined = Value::Text(Cow::Owned(joined));
            // The id may stand whole in another place too.
            if self.record.get(part.field).is_some_and(|known| *known != joined) {
                let fields = &self.vocabulary.operations[operation.id].request;
                return Err(wrong(&fields[usize::from(part.field)].name, TWICE));
            }
            self.record.set(part.field, Some(joined));
        }
        Ok(())
    }

    /// Fills in settings for what is absent, and demands what is required.
    fn settle(&mut self, operation: &Operation) -> Result<(), Refusal> {
        for demand in &operation.request.demands {
            if self.record.get(demand.field).is_some() {
                continue;
            }
            match demand.setting.and_then(|setting| self.settings.get(setting)) {
                Some(value) => {
                    let value = Value::Text(Cow::Owned(value.to_owned()));
                    self.record.set(demand.field, Some(value));
                }
                None if demand.elsewhere => {}
                None => return Err(missing(&demand.member)),
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
}

/// A literal without an arrow must be there; what a hole demands is settled at the end.
fn demand_literal(named: &Named) -> Result<(), Refusal> {
    match &named.place.content {
        Content::Literal(_) => Err(missing(&named.place.member)),
        Content::Hole(_) | Content::Text(_) | Content::Join { .. } => Ok(()),
    }
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
