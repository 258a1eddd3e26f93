//! What the fuzz targets feed: the same entry points as the property tests in `tests/laws`,
//! `tests/broken_mappings` and `tests/broken_configurations.rs`, and one promise each.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use http::{HeaderMap, HeaderValue};
use latimer::catalog::Catalog;
use latimer::diag::SourceFile;
use latimer::mapping::model::{Mapping, Operation};
use latimer::mapping::run::{
    AnswerHead, ReadOptions, Reading, RequestHead, Settings, read_answer, read_request,
};
use latimer::value::Record;

const VOCABULARY: &str = include_str!("../../../mappings/vocabulary.yaml");

static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::shipped);
static SOURCE: LazyLock<Arc<SourceFile>> =
    LazyLock::new(|| SourceFile::new("vocabulary.yaml", VOCABULARY));

/// A mapping file beside the shipped vocabulary: findings or a catalog, never a panic.
pub fn mapping(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let own = SourceFile::new("fuzz.yaml", text);
    let _ = Catalog::of_sources(&[Arc::clone(&SOURCE), own]);
}

/// A configuration: findings or a configuration, never a panic.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let file = SourceFile::new("fuzz.yaml", text);
    let environment = [("T".to_owned(), "token".to_owned())];
    let _ = latimer::config::load_text(&file, Path::new("/nonexistent"), environment.into_iter());
}

/// A JSON body of a request and of an answer: what is no JSON is never read as either.
pub fn json_body(data: &[u8]) {
    let is_json = serde_json::from_slice::<serde_json::Value>(data).is_ok();
    for (mapping, operation) in operations() {
        let read = read(mapping, operation, &path_of(operation), data, "application/json");
        // An empty body is no JSON and says nothing, which is another matter.
        assert!(is_json || data.is_empty() || !read, "{} took it", mapping.vendor);
        let success = operation.success.codes[0];
        let headers = typed("application/json");
        let head = AnswerHead { status: success, headers: &headers };
        let (settings, nothing) = (Settings::default(), Record::new());
        let vocabulary = &CATALOG.vocabulary;
        let reading =
            read_answer(vocabulary, mapping, operation, head, data, &settings, &nothing);
        let json_only = operation.success.bodies.iter().all(|body| body.kind.name() == "json");
        let yes = matches!(reading, Reading::Yes { .. });
        assert!(is_json || !json_only || !yes, "{} took it for a yes", mapping.vendor);
    }
}

/// An XML body, through every mapping that reads one.
pub fn xml_body(data: &[u8]) {
    for (mapping, operation) in operations() {
        read(mapping, operation, &path_of(operation), data, "application/xml");
    }
}

/// A path: nothing that is read out of one holds a separator.
pub fn path(data: &[u8]) {
    let Ok(path) = std::str::from_utf8(data) else { return };
    let options = ReadOptions { depth_max: 128, refuse_unknown: false };
    for (mapping, operation) in operations() {
        let headers = typed("application/json");
        let head = RequestHead { path, query: Some(path), headers: &headers };
        let settings = Settings::default();
        let vocabulary = &CATALOG.vocabulary;
        let read =
            read_request(vocabulary, mapping, operation, &head, b"", &settings, options);
        let Ok((record, _)) = read else { continue };
        let ticket = vocabulary.operations[operation.id].request_field("ticket");
        let text = ticket.and_then(|field| record.text(field)).unwrap_or_default();
        let moves = |letter: char| letter.is_control() || "/?#\\".contains(letter);
        assert!(!text.contains(moves) && text != "." && text != "..", "{text:?}");
    }
}

fn operations() -> impl Iterator<Item = (&'static Mapping, &'static Operation)> {
    CATALOG.mappings.iter().flat_map(|mapping| {
        mapping.operations.iter().map(move |operation| (mapping.as_ref(), operation))
    })
}

/// A path of the operation's with an id in it that every vendor takes.
fn path_of(operation: &Operation) -> String {
    let segments = operation.request.segments.iter().map(|segment| segment.as_literal());
    segments.map(|segment| format!("/{}", segment.unwrap_or("10"))).collect()
}

fn read(
    mapping: &Mapping,
    operation: &Operation,
    path: &str,
    body: &[u8],
    media_type: &'static str,
) -> bool {
    let headers = typed(media_type);
    let head = RequestHead { path, query: None, headers: &headers };
    let options = ReadOptions { depth_max: 128, refuse_unknown: false };
    let settings = Settings::default();
    read_request(&CATALOG.vocabulary, mapping, operation, &head, body, &settings, options).is_ok()
}

fn typed(media_type: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers
}
