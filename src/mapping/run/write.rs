//! Writing requests to an upstream and answers to a client.

use http::header::ALLOW;
use http::{HeaderMap, HeaderValue, Method};

use crate::codec::percent;
use crate::mapping::model::{
    Body, BodyKind, FaultMap, FaultRow, Named, Operation, Pattern, Piece, Place, Request,
};
use crate::mapping::run::body::write_body;
use crate::mapping::run::headers::{
    answer_headers, name_of, put_content_type, set_cookies, write_cookies, write_headers,
};
use crate::mapping::run::render::Renderer;
use crate::mapping::run::{Refusal, Sources, legible, preferred};
use crate::value::Fault;

/// What a body is expected to have, so that it seldom grows while it is written.
const BODY_BYTES_USUAL: usize = 256;

/// Header fields that a request usually has besides its mapping's: `Content-Type`, `Accept` and a trace. Few
/// enough that the map for most mappings is small; one more makes it grow.
const HEADERS_BESIDES: usize = 3;

/// A request for an upstream.
#[derive(Debug)]
pub struct Outgoing {
    /// The verb.
    pub method: Method,
    /// Path and query, to be put behind the upstream's base path.
    pub target: String,
    /// What the mapping writes, `Content-Type` included.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// Names of fields whose word was lost on the way.
    pub lossy: Vec<String>,
}

/// An answer for a client.
#[derive(Debug)]
pub struct WrittenAnswer {
    /// The status code.
    pub status: u16,
    /// What the mapping writes, `Content-Type` included.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

/// How the client wants its answer: its `Accept`, and the form that its own body had.
#[derive(Clone, Copy, Debug)]
pub struct RequestParts<'a> {
    /// The request's header fields.
    pub headers: &'a HeaderMap,
    /// The kind of its body.
    pub kind: Option<&'a BodyKind>,
}

/// The text of a fault.
#[derive(Clone, Copy, Debug)]
pub enum FaultText<'a> {
    /// The mapping's or the vocabulary's own.
    Own,
    /// The upstream's.
    Upstream(&'a str),
}

/// Writes a request.
///
/// # Errors
/// What the upstream cannot be told, or what it needs and nobody says.
pub fn write_request(operation: &Operation, sources: Sources<'_>) -> Result<Outgoing, Refusal> {
    write_bare_request(&operation.request, sources)
}

/// The same of a request that is no operation's.
///
/// # Errors
/// As [`write_request`].
pub fn write_bare_request(request: &Request, sources: Sources<'_>) -> Result<Outgoing, Refusal> {
    let parts = split_parts(request, &sources)?;
    let sources = Sources { parts: &parts, ..sources };
    let renderer = Renderer::new(sources);
    let mut target = write_path(&renderer, &request.segments)?;
    let mut headers = HeaderMap::with_capacity(request.headers.len() + HEADERS_BESIDES);
    write_some(&renderer, request, &mut target, &mut headers, |_| true)?;
    let mut body = Vec::with_capacity(BODY_BYTES_USUAL);
    if let Some(form) = request.bodies.first() {
        write_body(&renderer, form, &mut body)?;
        put_content_type(form, &mut headers);
    }
    let lossy = renderer.lossy.into_inner();
    Ok(Outgoing { method: request.method.clone(), target, headers, body, lossy })
}

/// Writes query, headers and cookies, those that are wanted.
pub(super) fn write_some(
    renderer: &Renderer<'_>,
    request: &Request,
    target: &mut String,
    headers: &mut HeaderMap,
    wanted: impl Fn(&Named) -> bool,
) -> Result<(), Refusal> {
    let wanted = |named: &&Named| named.place.arrow.writes() && wanted(named);
    write_query(renderer, request.query.iter().filter(wanted), target)?;
    write_headers(renderer, request.headers.iter().filter(wanted), headers)?;
    write_cookies(renderer, request.cookies.iter().filter(wanted), headers)
}

/// Writes a path: each value encoded for its segment.
pub(super) fn write_path(renderer: &Renderer<'_>, segments: &[Pattern]) -> Result<String, Refusal> {
    let mut target = Vec::with_capacity(64);
    for segment in segments {
        target.push(b'/');
        for piece in &segment.pieces {
            match piece {
                Piece::Text(text) => target.extend_from_slice(text.as_bytes()),
                Piece::Hole(hole) => {
                    let text = renderer.hole(hole)?.map(|value| value.text).unwrap_or_default();
                    let legal = percent::encode_segment(&mut target, &text).is_ok();
                    if !legal || text.len() > 4 * crate::bounds::PATH_VALUE_BYTES_MAX {
                        let reason = format!("{} cannot stand in a path", hole.name);
                        return Err(Refusal::member(Fault::InvalidRequest, &hole.name, reason));
                    }
                }
            }
        }
    }
    if target.is_empty() {
        target.push(b'/');
    }
    String::from_utf8(target)
        .map_err(|_| Refusal::whole(Fault::InvalidRequest, "the path is not UTF-8"))
}

fn write_query<'n>(
    renderer: &Renderer<'_>,
    query: impl Iterator<Item = &'n Named>,
    target: &mut String,
) -> Result<(), Refusal> {
    let mut separator = '?';
    for named in query {
        let (Some(name), Some(value)) =
            (name_of(renderer, named)?, renderer.content(&named.place.content)?)
        else {
            continue;
        };
        let mut encoded = Vec::new();
        percent::encode_query(&mut encoded, &name);
        encoded.push(b'=');
        percent::encode_query(&mut encoded, &value.text);
        target.push(separator);
        target.push_str(&String::from_utf8_lossy(&encoded));
        separator = '&';
    }
    Ok(())
}

/// The values of split fields, in the order of the parts' names.
pub(super) fn split_parts(
    request: &Request,
    sources: &Sources<'_>,
) -> Result<Vec<String>, Refusal> {
    let mut values = Vec::new();
    for part in &request.parts {
        let text = sources.record.text(part.field).unwrap_or("");
        let unfit = || {
            let name = part.pattern.to_string();
            Refusal::member(
                Fault::NotFound,
                "ticket",
                format!("the id does not have the form {name}"),
            )
        };
        let mut rest = text;
        let mut pieces = part.pattern.pieces.iter().peekable();
        while let Some(piece) = pieces.next() {
            match piece {
                Piece::Text(literal) => {
                    rest = rest.strip_prefix(literal.as_ref()).ok_or_else(unfit)?;
                }
                Piece::Hole(_) => {
                    let end = match pieces.peek() {
                        Some(Piece::Text(literal)) => {
                            rest.find(literal.as_ref()).ok_or_else(unfit)?
                        }
                        Some(Piece::Hole(_)) | None => rest.len(),
                    };
                    let (value, tail) = rest.split_at(end);
                    if value.is_empty() {
                        return Err(unfit());
                    }
                    values.push(value.to_owned());
                    rest = tail;
                }
            }
        }
        if !rest.is_empty() {
            return Err(unfit());
        }
    }
    Ok(values)
}

/// Writes an answer that says yes.
///
/// # Errors
/// What the client's vendor needs and nobody said.
pub fn write_answer(
    operation: &Operation,
    sources: Sources<'_>,
    wanted: RequestParts<'_>,
) -> Result<WrittenAnswer, Refusal> {
    let renderer = Renderer::new(sources);
    let success = &operation.success;
    let mut headers = answer_headers(&renderer, &success.headers)?;
    set_cookies(&renderer, &success.cookies, &mut headers)?;
    let mut body = Vec::with_capacity(BODY_BYTES_USUAL);
    if let Some(form) = preferred(&success.bodies, wanted.headers, wanted.kind) {
        write_body(&renderer, form, &mut body)?;
        put_content_type(form, &mut headers);
    }
    let status = success.codes.first().copied().unwrap_or(200);
    Ok(WrittenAnswer { status, headers, body })
}

/// Writes an answer of a body alone.
///
/// # Errors
/// As [`write_answer`].
pub fn write_body_answer(
    status: u16,
    bodies: &[Body],
    sources: Sources<'_>,
    wanted: RequestParts<'_>,
) -> Result<WrittenAnswer, Refusal> {
    let renderer = Renderer::new(sources);
    let (mut headers, mut body) = (HeaderMap::new(), Vec::new());
    if let Some(form) = preferred(bodies, wanted.headers, wanted.kind) {
        write_body(&renderer, form, &mut body)?;
        put_content_type(form, &mut headers);
    }
    Ok(WrittenAnswer { status, headers, body })
}

/// Writes a fault in the vendor's own shape.
///
/// Never fails: a hole that cannot be filled is left out, and a mapping without a row answers the
/// bare status, which the checks have ruled out before start.
pub fn write_fault(
    faults: &FaultMap,
    fault: Fault,
    text: FaultText<'_>,
    sources: Sources<'_>,
    wanted: RequestParts<'_>,
) -> WrittenAnswer {
    let written = with_fault_renderer(faults, fault, text, sources, |row, renderer| {
        let mut headers = answer_headers(renderer, &faults.headers).unwrap_or_default();
        headers.extend(answer_headers(renderer, &row.headers).unwrap_or_default());
        if fault == Fault::MethodNotAllowed
            && let Ok(allow) = HeaderValue::from_str(sources.gateway.allow)
        {
            headers.insert(ALLOW, allow);
        }
        let mut body = Vec::with_capacity(BODY_BYTES_USUAL);
        if let Some(form) = preferred(faults.bodies_of(row), wanted.headers, wanted.kind) {
            if write_body(renderer, form, &mut body).is_err() {
                body.clear();
            }
            put_content_type(form, &mut headers);
        }
        WrittenAnswer { status: renderer.sources.gateway.http, headers, body }
    });
    written.unwrap_or(WrittenAnswer { status: 500, headers: HeaderMap::new(), body: Vec::new() })
}

/// What stands in each place that [`write_fault`] fills, for `explain`.
pub fn fault_places<'m>(
    faults: &'m FaultMap,
    fault: Fault,
    text: FaultText<'_>,
    sources: Sources<'_>,
    wanted: RequestParts<'_>,
) -> Vec<(&'m Place, String)> {
    let places = with_fault_renderer(faults, fault, text, sources, |row, renderer| {
        let headers = faults.headers.iter().chain(&row.headers).map(|named| &named.place);
        let form = preferred(faults.bodies_of(row), wanted.headers, wanted.kind);
        let in_body = form.into_iter().flat_map(|form| &form.places);
        let written = headers.chain(in_body).filter(|place| place.arrow.writes());
        let filled = written.filter_map(|place| {
            let value = renderer.content(&place.content).ok()??;
            Some((place, value.text.into_owned()))
        });
        filled.collect()
    });
    places.unwrap_or_default()
}

/// Renders with the row that writes a fault; `None` if the vendor has none.
fn with_fault_renderer<'m, T>(
    faults: &'m FaultMap,
    fault: Fault,
    text: FaultText<'_>,
    sources: Sources<'_>,
    render: impl FnOnce(&'m FaultRow, &Renderer<'_>) -> T,
) -> Option<T> {
    let row = faults.row_for(fault)?;
    let status = row.http.first().copied().unwrap_or(500);
    let gateway = super::Gateway { http: status, ..sources.gateway.clone() };
    let sources = Sources { gateway: &gateway, ..sources };
    let speaker = Renderer::new(sources);
    let message = match (text, &row.say) {
        (FaultText::Upstream(text), _) => text.to_owned(),
        // What a parent's row says would be wrong for its child; the vocabulary knows better.
        (FaultText::Own, Some(say)) if row.writes.contains(&fault) => speaker.spoken(say),
        (FaultText::Own, _) => {
            sources.vocabulary.text(fault).map(|text| speaker.spoken(text)).unwrap_or_default()
        }
    };
    let message = legible(&message);
    let mut renderer = Renderer::new(sources);
    renderer.native = row.native.as_ref().filter(|native| native.arrow.writes()).map(|n| &n.code);
    renderer.message = &message;
    Some(render(row, &renderer))
}
