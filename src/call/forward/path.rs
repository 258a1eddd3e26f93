//! Which requests go on unread: the verb, and a path that stays where it belongs.
//!
//! What must not happen: that a path leaves the upstream's base path, or that it is a line of the mapping
//! in other letters, which would get round what the route demands of such calls.

use http::Method;
use http::request::Parts;

use crate::call::Stop;
use crate::codec::percent;
use crate::mapping::model::{Operation, Request};
use crate::mapping::run::RequestHead;
use crate::plan::Route;
use crate::value::Fault;

/// The verbs that go on. TRACE would show a client our credential, and CONNECT is no request for a path.
const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// How often a path may be encoded, one time upon the other.
const ENCODINGS_MAX: usize = 3;

/// A request that goes on unread.
#[derive(Debug)]
pub(in crate::call) struct Unmapped {
    /// Bytes of the path that are prefix: the route's and the vendor's.
    prefix: usize,
}

/// Takes a request whose path, or whose method on its path, is no line of the mapping.
pub(in crate::call) fn take(route: &Route, head: &Parts) -> Result<Unmapped, Stop> {
    if !METHODS.contains(&head.method) {
        let allow = METHODS.each_ref().map(Method::as_str).join(", ");
        return Err(Stop { allow, ..Stop::because(Fault::MethodNotAllowed, "the method") });
    }
    let unknown = || Stop::because(Fault::UnknownPath, "the path");
    let whole = head.uri.path();
    let path = whole.strip_prefix(route.path_prefix.as_str()).ok_or_else(unknown)?;
    let names = segment_names(path).ok_or_else(unknown)?;
    let mapped = route.client.operations.iter().filter(|operation| route.maps(operation));
    if is_line_in_disguise(&route.client.prefixes, mapped, &head.method, &names) {
        return Err(unknown());
    }
    let query = head.uri.query().unwrap_or_default();
    if !query.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Stop::because(Fault::InvalidRequest, "the query has illegal characters"));
    }
    // As in calls that are mapped: the upstream's base path has its own version or context, or none.
    let stands_before = |prefix: &&String| {
        let behind = path.strip_prefix(prefix.as_str());
        behind.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let prefixes = route.client.prefixes.iter().filter(stands_before);
    let prefix = prefixes.map(String::len).max().unwrap_or(0);
    Ok(Unmapped { prefix: whole.len() - path.len() + prefix })
}

/// What the segments of a path say to whoever decodes them, once or more often, and takes their
/// parameters off; `None` if any of it could move a path, or is not legal at all.
fn segment_names(path: &str) -> Option<Vec<String>> {
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let Some(path) = path.strip_prefix('/') else {
        return path.is_empty().then(Vec::new);
    };
    let names: Vec<String> = path.split('/').map(segment_name).collect::<Option<_>>()?;
    let (last, before) = names.split_last()?;
    // Some servers take `//` for `/`; an empty segment at the end is a slash at the end.
    if before.iter().any(String::is_empty) {
        return None;
    }
    let named = if last.is_empty() { before } else { &names };
    Some(named.to_vec())
}

fn segment_name(segment: &str) -> Option<String> {
    let mut text = segment.to_owned();
    for round in 0..=ENCODINGS_MAX {
        let name = text.split(';').next().unwrap_or_default();
        let moves = |letter: char| letter.is_control() || matches!(letter, '/' | '\\');
        if matches!(name, "." | "..") || text.contains(moves) {
            return None;
        }
        match percent::decode_text(&text) {
            // `100%25` is legal and says `100%`, which is not encoded any more.
            None if round > 0 => return Some(name.to_owned()),
            None => return None,
            Some(decoded) if decoded == text => return Some(name.to_owned()),
            Some(decoded) => text = decoded.into_owned(),
        }
    }
    None
}

/// True if an upstream that is less exact than we are could take the path for a line of the mapping.
fn is_line_in_disguise<'m>(
    prefixes: &[String],
    mapped: impl Iterator<Item = &'m Operation>,
    method: &Method,
    names: &[String],
) -> bool {
    let mut requests =
        mapped.map(|operation| &operation.request).filter(|request| request.method == *method);
    requests.any(|request| prefixes.iter().any(|prefix| says_line(prefix, request, names)))
}

fn says_line(prefix: &str, request: &Request, names: &[String]) -> bool {
    let prefix = prefix.split('/').filter(|segment| !segment.is_empty()).map(Some);
    let line = prefix.chain(request.segments.iter().map(|segment| segment.as_literal()));
    let line: Vec<Option<&str>> = line.collect();
    let says = |(wanted, name): (&Option<&str>, &String)| {
        wanted.is_none_or(|literal| literal.eq_ignore_ascii_case(name))
    };
    line.len() == names.len() && line.iter().zip(names).all(says)
}

impl Unmapped {
    /// The path that goes on.
    pub(super) fn path<'a>(&self, head: &'a Parts) -> &'a str {
        head.uri.path().get(self.prefix..).unwrap_or_default()
    }

    /// The head as the mapping sees it.
    pub(super) fn head<'a>(&self, head: &'a Parts, known_query: &'a str) -> RequestHead<'a> {
        let query = (!known_query.is_empty()).then_some(known_query);
        RequestHead { path: self.path(head), query, headers: &head.headers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn a_line_is_known_in_other_letters_and_behind_the_vendors_prefix() {
        let catalog = Catalog::shipped();
        for (vendor, method, path, known) in [
            ("arena", Method::POST, "/%761/tickets/statuschanges", true),
            ("arena", Method::POST, "/Tickets/StatusChanges/", true),
            ("arena", Method::PUT, "/v1/tickets/statuschanges/", false),
            ("arena", Method::POST, "/v2/tickets/statuschanges", false),
            ("arena", Method::POST, "/v1/tickets", false),
            ("zstack", Method::PUT, "/zstack/v1/tickets/any;x/action%73", true),
            ("zstack", Method::PUT, "/v1/tickets/any/more/actions", false),
        ] {
            let names = segment_names(path).unwrap();
            let mapping = catalog.mapping(vendor).unwrap();
            let (prefixes, all) = (&mapping.prefixes, mapping.operations.iter());
            let is_line = is_line_in_disguise(prefixes, all, &method, &names);
            assert_eq!(is_line, known, "{vendor} {path}");
        }
    }

    #[test]
    fn a_path_that_could_move_is_none() {
        let many = format!("/a%{}2e", "25".repeat(ENCODINGS_MAX + 1));
        for path in [
            "/..",
            "/a/../b",
            "/a/.",
            "/./a",
            "/%2e%2e/a",
            "/.%2E/a",
            "/%252e%252e/a",
            "/..;/a",
            "/..;x=1/a",
            "/%2e%2e%3b/a",
            "/a%2Fb",
            "/a%252fb",
            "/a%5Cb",
            "/a\\b",
            "/a%00",
            "/a%0d%0ab",
            "/a%7f",
            "/a\u{7f}",
            "/\u{e9}",
            "/a%ff",
            "/a%zz",
            "/a%",
            "/a//b",
            "//a",
            "a",
            "*",
            many.as_str(),
        ] {
            assert_eq!(segment_names(path), None, "{path}");
        }
    }

    #[test]
    fn other_paths_say_what_they_say() {
        for (path, names) in [
            ("", &[][..]),
            ("/", &[]),
            ("/a/b", &["a", "b"]),
            ("/a/b/", &["a", "b"]),
            ("/...", &["..."]),
            ("/100%25", &["100%"]),
            ("/a%3Fb%23c", &["a?b#c"]),
            ("/%61;v=1/%2561", &["a", "a"]),
        ] {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(segment_names(path), Some(names), "{path}");
        }
    }
}
