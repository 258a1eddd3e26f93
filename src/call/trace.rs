//! The trace that a call belongs to, which goes on to the upstream (W3C Trace Context).

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Lengths of version, trace, parent and flags.
const PARTS: [usize; 4] = [2, 32, 16, 2];

/// The id of a trace: 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 32]);

/// Hands the client's trace on, if it has one and in the form that the page gives.
pub(super) fn pass(from: &HeaderMap, to: &mut HeaderMap) {
    if let Some(value) = trace(from) {
        to.insert(TRACEPARENT, value.clone());
    }
}

/// The id of the client's trace, if it has one and in the form that the page gives.
pub(super) fn id(from: &HeaderMap) -> Option<TraceId> {
    let digits = trace(from)?.as_bytes().get(3..35)?;
    digits.try_into().ok().map(TraceId)
}

fn trace(from: &HeaderMap) -> Option<&HeaderValue> {
    let mut values = from.get_all(&TRACEPARENT).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    is_trace(value).then_some(value)
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

/// Version 00; what later versions append is not known here, and a trace is no place for unknown text.
fn is_trace(value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else { return false };
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &&str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    parts.len() == PARTS.len()
        && parts.iter().zip(PARTS).all(|(part, length)| part.len() == length)
        && parts.iter().all(hex)
        && parts[0] != "ff"
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn passed(values: &[&str]) -> HeaderMap {
        let mut from = HeaderMap::new();
        for value in values {
            from.append(TRACEPARENT, value.parse().unwrap());
        }
        let mut to = HeaderMap::new();
        pass(&from, &mut to);
        to
    }

    #[test]
    fn a_trace_passes_and_nothing_else() {
        assert_eq!(passed(&[SAMPLE])[TRACEPARENT], SAMPLE);
        let id = id(&passed(&[SAMPLE])).map(|id| id.to_string());
        assert_eq!(id.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
        let more = format!("{SAMPLE}-x");
        let loud = SAMPLE.to_uppercase();
        let later = SAMPLE.replacen("00", "ff", 1);
        for other in ["", "x", &SAMPLE[..54], &more, &loud, &later] {
            assert!(passed(&[other]).is_empty(), "{other}");
        }
        assert!(passed(&[SAMPLE, SAMPLE]).is_empty());
    }
}
