//! Writing header fields and cookies, of requests and of answers.

use http::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::codec::decimal::Decimal;
use crate::mapping::model::{Body, Content, GatewayField, Hole, Named, Piece, Place, Slot};
use crate::mapping::run::read::BLANKS;
use crate::mapping::run::render::{Rendered, Renderer};
use crate::mapping::run::{LimitFacts, Refusal, Sources};
use crate::secret::Secret;
use crate::value::Fault;

/// The name with its settings filled in; `None` if one is not set and the place may be absent.
pub(super) fn name_of(renderer: &Renderer<'_>, named: &Named) -> Result<Option<String>, Refusal> {
    if let Some(literal) = named.name.as_literal() {
        return Ok(Some(literal.to_owned()));
    }
    if !named.place.content.is_required() && !renderer.has_all(&named.name) {
        return Ok(None);
    }
    match renderer.pattern(&named.name) {
        Err(_) if !named.place.content.is_required() => Ok(None),
        name => name,
    }
}

/// Writes header fields in place of those of the same name.
pub(super) fn write_headers<'n>(
    renderer: &Renderer<'_>,
    named: impl Iterator<Item = &'n Named>,
    headers: &mut HeaderMap,
) -> Result<(), Refusal> {
    for named in named {
        let name = match &named.header {
            Some(name) => name.clone(),
            None => {
                let Some(name) = name_of(renderer, named)? else { continue };
                header_name(&name, &named.place)?
            }
        };
        if let Some(value) = made_header(renderer, &named.place) {
            headers.insert(name, value.clone());
            continue;
        }
        let Some(value) = renderer.content(&named.place.content)? else { continue };
        put_header(headers, name, &named.place, &value)?;
    }
    Ok(())
}

/// The value of a place that holds a secret as it is, which was made before the first call.
fn made_header<'r>(renderer: &Renderer<'r>, place: &Place) -> Option<&'r HeaderValue> {
    match &place.content {
        Content::Hole(hole) if hole.codec.is_none() && hole.format.is_none() => match hole.slot {
            Slot::Secret(secret) => renderer.sources.secrets?.header(secret),
            _ => None,
        },
        _ => None,
    }
}

/// A secret as a header's value; `None` if it cannot be one, which is then said where it is written.
pub(super) fn secret_header(secret: &Secret) -> Option<HeaderValue> {
    let text = secret.expose();
    if text.starts_with(BLANKS) || text.ends_with(BLANKS) {
        return None;
    }
    let mut header = HeaderValue::from_bytes(text.as_bytes()).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// An answer's header fields.
pub(super) fn answer_headers(
    renderer: &Renderer<'_>,
    named: &[Named],
) -> Result<HeaderMap, Refusal> {
    // With what stands on every answer.
    let mut headers = HeaderMap::with_capacity(named.len() + 8);
    write_headers(renderer, named.iter().filter(|named| named.place.arrow.writes()), &mut headers)?;
    Ok(headers)
}

fn header_name(name: &str, place: &Place) -> Result<HeaderName, Refusal> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| not_in_header("the name", place))
}

fn not_in_header(what: &str, place: &Place) -> Refusal {
    let reason = format!("{what} cannot stand in a header");
    Refusal::member(Fault::InvalidRequest, &place.member, reason)
}

fn put_header(
    headers: &mut HeaderMap,
    name: HeaderName,
    place: &Place,
    value: &Rendered<'_>,
) -> Result<(), Refusal> {
    // No reader keeps blanks at a value's ends: another value would arrive than the one that is meant.
    if value.text.starts_with(BLANKS) || value.text.ends_with(BLANKS) {
        return Err(not_in_header("a value with a blank at its end", place));
    }
    let mut header = HeaderValue::from_bytes(value.text.as_bytes())
        .map_err(|_| not_in_header("the value", place))?;
    header.set_sensitive(place.secret);
    headers.insert(name, header);
    Ok(())
}

/// Writes a request's cookies: one field for all of them, RFC 6265 section 5.4.
pub(super) fn write_cookies<'n>(
    renderer: &Renderer<'_>,
    cookies: impl Iterator<Item = &'n Named>,
    headers: &mut HeaderMap,
) -> Result<(), Refusal> {
    let mut line = String::new();
    for named in cookies {
        let Some((name, value)) = cookie_pair(renderer, named)? else { continue };
        if !line.is_empty() {
            line.push_str("; ");
        }
        line.push_str(&name);
        line.push('=');
        line.push_str(&value);
    }
    if line.is_empty() {
        return Ok(());
    }
    let mut value = HeaderValue::from_str(&line)
        .map_err(|_| Refusal::whole(Fault::InvalidRequest, "a cookie cannot stand in a header"))?;
    value.set_sensitive(true);
    headers.insert(COOKIE, value);
    Ok(())
}

/// RFC 6265 section 4.1. A client sends them with every path; what logs a client in is for no script.
pub(super) fn set_cookies(
    renderer: &Renderer<'_>,
    cookies: &[Named],
    headers: &mut HeaderMap,
) -> Result<(), Refusal> {
    for named in cookies.iter().filter(|named| named.place.arrow.writes()) {
        let Some((name, value)) = cookie_pair(renderer, named)? else { continue };
        let for_scripts = named.place.content.holes().any(|hole| hole.name == "auth.csrf");
        let rest = if for_scripts { "; Path=/" } else { "; Path=/; HttpOnly" };
        let mut line = HeaderValue::from_str(&format!("{name}={value}{rest}"))
            .map_err(|_| not_in_header("the cookie", &named.place))?;
        line.set_sensitive(true);
        headers.append(SET_COOKIE, line);
    }
    Ok(())
}

/// Name and value of a cookie; `None` if it may be absent and is.
fn cookie_pair(
    renderer: &Renderer<'_>,
    named: &Named,
) -> Result<Option<(String, String)>, Refusal> {
    let Some(name) = name_of(renderer, named)? else { return Ok(None) };
    let Some(value) = renderer.content(&named.place.content)? else { return Ok(None) };
    // RFC 6265 section 4.1.1: what would end the value cannot stand in it, and a name is a token, as
    // a header's is.
    let legal = HeaderName::from_bytes(name.as_bytes()).is_ok();
    if !legal || value.text.contains([';', ',', ' ', '\t', '"', '\\']) {
        let reason = format!("{} cannot stand in a cookie", named.place.member);
        return Err(Refusal::member(Fault::InvalidRequest, &named.place.member, reason));
    }
    Ok(Some((name, value.text.into_owned())))
}

pub(super) fn put_content_type(body: &Body, headers: &mut HeaderMap) {
    if let Some(value) = &body.content_type {
        headers.insert(CONTENT_TYPE, value.clone());
    }
}

/// If an upstream's answer says that no calls are left: when there are some again.
pub fn spent_until(limits: &[Named], headers: &HeaderMap) -> Option<jiff::Timestamp> {
    let told = |field: GatewayField| {
        let (name, hole) = limits.iter().find_map(|named| match &named.place.content {
            Content::Hole(hole)
                if hole.slot == Slot::Gateway(field) && named.place.arrow.reads() =>
            {
                Some((named.header.as_ref()?, hole))
            }
            _ => None,
        })?;
        // Two of them say nothing.
        let mut values = headers.get_all(name).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        let text = value.to_str().ok()?.trim();
        match &hole.codec {
            Some(codec) => codec.read(text),
            None => Some(text.into()),
        }
    };
    let left: i64 = told(GatewayField::RateRemaining)?.parse().ok()?;
    if left > 0 {
        return None;
    }
    told(GatewayField::RateReset)?.parse().ok()
}

/// Writes the header fields of `limits:`, which stand on every answer. `lasting` are those of them that were made
/// before the first call.
pub fn limit_headers(
    limits: &[Named],
    lasting: &[Option<HeaderValue>],
    sources: Sources<'_>,
    headers: &mut HeaderMap,
) {
    let renderer = Renderer::new(sources);
    for (index, named) in limits.iter().enumerate() {
        // Every answer has them, so those that are put together from numbers take no detour.
        let made = match (lasting.get(index), &sources.gateway.limit) {
            (Some(Some(value)), _) => Some(value.clone()),
            (_, Some(facts)) => limit_value(&named.place.content, facts),
            (_, None) => None,
        };
        if let (Some(name), Some(value)) = (&named.header, made) {
            headers.insert(name.clone(), value);
            continue;
        }
        // A field that cannot be written is left out: it is a courtesy.
        let _ = write_headers(&renderer, std::iter::once(named), headers);
    }
}

/// The header fields of `limits:` that tell the same of a limit on every answer; none for those that tell how it
/// stands.
pub fn lasting_limit_headers(limits: &[Named], facts: &LimitFacts<'_>) -> Vec<Option<HeaderValue>> {
    let lasts = |hole: &Hole| {
        use GatewayField::{LimitCalls, LimitName, LimitWindow};
        matches!(hole.slot, Slot::Gateway(LimitName | LimitCalls | LimitWindow))
    };
    let lasting = limits.iter().map(|named| {
        let content = &named.place.content;
        content.holes().all(lasts).then(|| limit_value(content, facts)).flatten()
    });
    lasting.collect()
}

/// What most of such texts are shorter than; a longer one is written like any other.
const LIMIT_BYTES_USUAL: usize = 96;

/// A text that has nothing in it but what is told of a limit; none for any other.
fn limit_value(content: &Content, facts: &LimitFacts<'_>) -> Option<HeaderValue> {
    let Content::Text(pattern) = content else { return None };
    let mut text = [0; LIMIT_BYTES_USUAL];
    let mut length = 0;
    let mut put = |piece: &[u8]| -> Option<()> {
        let end = length + piece.len();
        text.get_mut(length..end)?.copy_from_slice(piece);
        length = end;
        Some(())
    };
    for piece in &pattern.pieces {
        match piece {
            Piece::Text(literal) => put(literal.as_bytes())?,
            Piece::Hole(Hole { slot: Slot::Gateway(field), codec: None, format: None, .. }) => {
                match field {
                    GatewayField::LimitName => put(facts.name.as_bytes())?,
                    GatewayField::LimitCalls => put(Decimal::of(facts.calls).as_bytes())?,
                    GatewayField::LimitWindow => put(Decimal::of(facts.window).as_bytes())?,
                    GatewayField::LimitRemaining => put(Decimal::of(facts.remaining).as_bytes())?,
                    GatewayField::LimitSeconds => put(Decimal::of(facts.seconds).as_bytes())?,
                    _ => return None,
                }
            }
            Piece::Hole(_) => return None,
        }
    }
    HeaderValue::from_bytes(&text[..length]).ok()
}
