//! Media types: which form of a body came, and which one the other side wants.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

use crate::mapping::model::{Body, BodyKind};

/// A `Content-Type` that cannot be read, stands there twice, or names a character set that is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// The media type of a message in lower case, without parameters.
///
/// `Ok(None)` if there is none (RFC 9110 section 8.3).
///
/// # Errors
/// If it cannot be read.
pub fn media_type(headers: &HeaderMap) -> Result<Option<Cow<'_, str>>, Unreadable> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Unreadable);
    }
    let text = first.to_str().map_err(|_| Unreadable)?;
    if text == "application/json" {
        return Ok(Some(Cow::Borrowed(text)));
    }
    let mut parts = text.split(';');
    let media_type = parts.next().unwrap_or("").trim();
    let media_type = if media_type.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(media_type.to_ascii_lowercase())
    } else {
        Cow::Borrowed(media_type)
    };
    for parameter in parts {
        let Some((name, value)) = parameter.split_once('=') else { continue };
        let value = value.trim().trim_matches('"');
        let readable = ["utf-8", "utf8", "us-ascii"];
        if name.trim().eq_ignore_ascii_case("charset")
            && !readable.iter().any(|known| value.eq_ignore_ascii_case(known))
        {
            return Err(Unreadable);
        }
    }
    Ok(Some(media_type))
}

/// The body that a message of this media type is read with; without a media type the first one.
pub fn choose_body<'b>(bodies: &'b [Body], media_type: Option<&str>) -> Option<&'b Body> {
    match media_type {
        None => bodies.first(),
        Some(media_type) => {
            bodies.iter().find(|body| body.content_type.is_none() || body.accepts(media_type))
        }
    }
}

/// The body to answer with: the one that `Accept` prefers, or else one of the request's kind, or else
/// the first.
pub fn preferred<'b>(
    bodies: &'b [Body],
    headers: &HeaderMap,
    request: Option<&BodyKind>,
) -> Option<&'b Body> {
    let [_, _, ..] = bodies else { return bodies.first() };
    let qualities: Vec<u16> = bodies
        .iter()
        .map(|body| quality(headers, body.media_type().unwrap_or("*/*"), Some(&body.kind)))
        .collect();
    let best = qualities.iter().copied().max().unwrap_or(0);
    let candidates = || bodies.iter().zip(&qualities).filter(move |(_, q)| **q == best);
    let same_kind = |body: &Body| request.is_some_and(|kind| kind.name() == body.kind.name());
    candidates()
        .find(|(body, _)| same_kind(body))
        .or_else(|| candidates().next())
        .map(|(body, _)| body)
}

/// True if the client takes an answer of this media type (RFC 9110 section 12.5.1).
pub fn acceptable(headers: &HeaderMap, media_type: &str) -> bool {
    quality(headers, media_type, None) > 0
}

/// The quality in thousandths that `Accept` gives a media type; the most specific range decides.
/// With a kind, a range that names another type of that kind counts like the type itself.
fn quality(headers: &HeaderMap, media_type: &str, kind: Option<&BodyKind>) -> u16 {
    let mut values = headers.get_all(ACCEPT).iter().peekable();
    if values.peek().is_none() {
        return 1000;
    }
    let mut best: Option<(u8, u16)> = None;
    for value in values {
        for range in value.to_str().unwrap_or("").split(',') {
            let mut parts = range.split(';');
            let name = parts.next().unwrap_or("").trim().to_ascii_lowercase();
            let Some(precision) = precision(&name, media_type, kind) else { continue };
            let quality = parts
                .filter_map(|parameter| parameter.trim().strip_prefix("q="))
                .find_map(thousandths)
                .unwrap_or(1000);
            if best.is_none_or(|(known, q)| (precision, quality) > (known, q)) {
                best = Some((precision, quality));
            }
        }
    }
    best.map_or(0, |(_, quality)| quality)
}

fn precision(range: &str, media_type: &str, kind: Option<&BodyKind>) -> Option<u8> {
    let main = media_type.split('/').next().unwrap_or("");
    if range == media_type || kind.is_some_and(|kind| kind.holds(range)) {
        Some(2)
    } else if range.strip_suffix("/*").is_some_and(|prefix| prefix == main) {
        Some(1)
    } else {
        (range == "*/*").then_some(0)
    }
}

fn thousandths(quality: &str) -> Option<u16> {
    let (whole, part) = quality.trim().split_once('.').unwrap_or((quality.trim(), ""));
    let digits: String = format!("{part:0<3}").chars().take(3).collect();
    let whole: u16 = whole.parse().ok()?;
    Some((whole * 1000).saturating_add(digits.parse().ok()?).min(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        headers
    }

    #[test]
    fn accept_decides_by_the_most_specific_range() {
        for (accept, wanted) in [
            ("*/*", true),
            ("text/*", true),
            ("text/plain;q=0.1", true),
            ("application/json", false),
            ("text/plain;q=0, */*", false),
            ("text/html, application/xhtml+xml, */*;q=0.8", true),
            ("text/plain;q=0.0", false),
        ] {
            assert_eq!(acceptable(&headers(accept), "text/plain"), wanted, "{accept}");
        }
        assert!(acceptable(&HeaderMap::new(), "text/plain"));
    }

    #[test]
    fn a_foreign_character_set_is_not_read() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "Application/JSON; charset=\"UTF-8\"".parse().unwrap());
        assert_eq!(media_type(&headers), Ok(Some("application/json".into())));
        headers.insert(CONTENT_TYPE, "application/json; charset=utf-16".parse().unwrap());
        assert_eq!(media_type(&headers), Err(Unreadable));
    }
}
