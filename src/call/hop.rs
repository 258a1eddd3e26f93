//! Header fields that end with the connection that they came on (RFC 9110 section 7.6.1).
//!
//! Most never cross because only named fields do. What is left to ask is whether a field that may cross was
//! named by `Connection` in this message.

use http::header::CONNECTION;
use http::{HeaderMap, HeaderName};

/// True if the message says of the field that it is for this connection only.
pub(super) fn ends_here(headers: &HeaderMap, name: &HeaderName) -> bool {
    let values = headers.get_all(CONNECTION).iter();
    let mut options = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{CONTENT_LANGUAGE, CONTENT_TYPE};

    use super::*;

    #[test]
    fn a_field_ends_here_if_it_is_named() {
        let mut headers = HeaderMap::new();
        assert!(!ends_here(&headers, &CONTENT_LANGUAGE));
        headers.append(CONNECTION, HeaderValue::from_static("close, x-content-language"));
        assert!(!ends_here(&headers, &CONTENT_LANGUAGE));
        headers.append(CONNECTION, HeaderValue::from_static("keep-alive ,\tContent-LANGUAGE"));
        assert!(ends_here(&headers, &CONTENT_LANGUAGE));
        assert!(!ends_here(&headers, &CONTENT_TYPE));
    }
}
