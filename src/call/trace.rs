//! The trace that a call belongs to, which goes on to the upstream (W3C Trace Context, level 1).
//!
//! A client's trace goes on with the client's own parent id. The page lets a hop put its own span there
//! (section 3.2.2.4), and that would be right if anybody could look that span up; as long as the gateway
//! exports none, the upstream's spans would hang on a parent that nobody has. A client without a trace gets
//! one whose id is the call's (see `upstream::Request`).

use std::borrow::Cow;
use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::call::hop;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A `traceparent` of version 00.
const TRACE_BYTES: usize = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".len();
/// Members that a `tracestate` may have (section 3.3.1.1).
const STATE_MEMBERS_MAX: usize = 32;
/// Bytes of it that have to be carried on (section 3.3.1.5); longer ones are not.
const STATE_BYTES_MAX: usize = 512;

/// The id of a trace: 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 32]);

/// Hands the client's trace on, if it has one and in the form that the page gives; and its state, which
/// says nothing without a trace.
pub(super) fn pass(from: &HeaderMap, to: &mut HeaderMap) {
    let Some(trace) = clients(from) else { return };
    to.insert(TRACEPARENT, trace);
    let states: Vec<&str> =
        from.get_all(&TRACESTATE).iter().map(|value| value.to_str().unwrap_or("\0")).collect();
    let state = match states.as_slice() {
        [] => return,
        [one] => Cow::Borrowed(*one),
        several => Cow::Owned(several.join(",")),
    };
    if is_state(&state)
        && !hop::ends_here(from, &TRACESTATE)
        && let Ok(state) = HeaderValue::from_str(&state)
    {
        to.insert(TRACESTATE, state);
    }
}

/// The id of the client's trace, if it has one and in the form that the page gives.
pub(super) fn id(from: &HeaderMap) -> Option<TraceId> {
    clients(from)?.as_bytes().get(3..35)?.try_into().ok().map(TraceId)
}

/// The client's trace, which is for whoever is behind us.
fn clients(from: &HeaderMap) -> Option<HeaderValue> {
    let mut values = from.get_all(&TRACEPARENT).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    trace(value).filter(|_| !hop::ends_here(from, &TRACEPARENT))
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The trace in version 00. Of a later version that part is read that all versions have (section 3.2.4).
fn trace(value: &HeaderValue) -> Option<HeaderValue> {
    let text = value.to_str().ok()?;
    let (known, rest) = text.split_at_checked(TRACE_BYTES)?;
    let mut parts = known.split('-');
    let mut part = |length: usize| {
        let part = parts.next()?;
        let hex = part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (part.len() == length && hex).then_some(part)
    };
    let (version, trace, parent, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    if version == "ff" || is_zero(trace) || is_zero(parent) {
        return None;
    }
    match (version, rest) {
        ("00", "") => Some(value.clone()),
        ("00", _) => None,
        (_, rest) if rest.is_empty() || rest.starts_with('-') => {
            // The one flag that is known here is the lowest bit.
            let sampled = u8::from_str_radix(flags, 16).ok()? & 1;
            HeaderValue::from_str(&format!("00-{trace}-{parent}-0{sampled}")).ok()
        }
        (_, _) => None,
    }
}

/// A list of `key=value`, as far as that keeps other things out (section 3.3.1).
fn is_state(text: &str) -> bool {
    let is_key =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(&byte);
    let is_member = |member: &str| {
        let Some((key, value)) = member.split_once('=') else { return false };
        !key.is_empty()
            && key.bytes().all(is_key)
            && !value.is_empty()
            && value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=')
    };
    let mut members = text.split(',').map(|member| member.trim_matches([' ', '\t']));
    text.len() <= STATE_BYTES_MAX
        && text.split(',').count() <= STATE_MEMBERS_MAX
        // Empty ones may stand between them.
        && members.all(|member| member.is_empty() || is_member(member))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn passed(traces: &[&str], states: &[&str]) -> HeaderMap {
        let mut from = HeaderMap::new();
        for value in traces {
            from.append(TRACEPARENT, value.parse().unwrap());
        }
        for value in states {
            from.append(TRACESTATE, value.parse().unwrap());
        }
        let mut to = HeaderMap::new();
        pass(&from, &mut to);
        to
    }

    #[test]
    fn a_trace_passes_and_nothing_else() {
        let sample = passed(&[SAMPLE], &[]);
        assert_eq!(sample[TRACEPARENT], SAMPLE);
        let id = id(&sample).map(|id| id.to_string());
        assert_eq!(id.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
        let more = format!("{SAMPLE}-x");
        let loud = SAMPLE.to_uppercase();
        let never = SAMPLE.replacen("00", "ff", 1);
        let no_trace = SAMPLE.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32));
        let no_parent = SAMPLE.replace("b7ad6b7169203331", &"0".repeat(16));
        let shifted = "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-010";
        for other in
            ["", "x", &SAMPLE[..54], &more, &loud, &never, &no_trace, &no_parent, &shifted[..55]]
        {
            assert!(passed(&[other], &["a=b"]).is_empty(), "{other}");
        }
        assert!(passed(&[SAMPLE, SAMPLE], &[]).is_empty());
    }

    #[test]
    fn of_a_later_version_the_known_part_goes_on() {
        let later = SAMPLE.replacen("00", "cc", 1).replace("-01", "-07");
        assert_eq!(passed(&[&later], &[])[TRACEPARENT], SAMPLE);
        assert_eq!(passed(&[&format!("{later}-more")], &[])[TRACEPARENT], SAMPLE);
        assert!(passed(&[&format!("{later}more")], &[]).is_empty());
    }

    #[test]
    fn a_state_passes_with_its_trace_and_within_its_limits() {
        let state = |values: &[&str]| {
            let passed = passed(&[SAMPLE], values);
            passed.get(TRACESTATE).map(|value| value.to_str().unwrap().to_owned())
        };
        let same = |value: &str| assert_eq!(state(&[value]).as_deref(), Some(value));
        same("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
        same("1a@b=c d , ,x/y*-_=!");
        same(&["a=b"; 32].join(","));
        same(&format!("a={}", "x".repeat(510)));
        assert_eq!(state(&["a=b", "c=d"]).as_deref(), Some("a=b,c=d"));
        let (many, long) = (["a=b"; 33].join(","), format!("a={}", "x".repeat(511)));
        for other in ["a", "=b", "a=", "A=b", "a=b=c", "a b=c", "a=\u{e9}", &many, &long] {
            assert_eq!(state(&[other]), None, "{other}");
        }
    }
}
