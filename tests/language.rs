//! What the language page promises, held against small mappings: each states what a message means, and
//! loads only if that is so.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::path::Path;

use latimer::catalog::Catalog;
use latimer::diag::{Severity, SourceFile};

const HEAD: &str = r#"mapping: 1
vendor: sample
title: A sample
settings: {staff: int, tenant: text}
formats: {ticket: "[A-Za-z0-9_-]{1,64}", number: "[0-9]{1,8}"}
tables:
  status:
    open: open
    in-progress: in_progress <- on_hold
    resolved: {means: resolved <- approved, with: {code: 5, note: <comment or "-">}}
    closed: closed <- cancelled, rejected
faults:
  json: {error: {code: <http>, message: <message>}}
  rows:
    - {http: 400, means: invalid_request}
    - {http: 401, means: unauthenticated}
    - {http: 403, means: forbidden}
    - {http: 404, means: not_found}
    - {http: 429, means: rate_limited}
    - {http: 500, means: upstream_failed}
    - {http: 504, means: outcome_unknown}
"#;

const REQUEST: &str = "    json: {status: <status via status>}";
const SUCCESS: &str = "    code: 200\n    json: {status: <status via status or request.status>}";

/// The errors of a mapping with one operation and the given examples.
fn errors(request: &str, success: &str, examples: &str) -> Vec<String> {
    let line = if request.contains("line: ") { "" } else { "    line: POST /tickets/<ticket>\n" };
    let project = "project: \"[A-Z]{1,8}\", number";
    let head = match request.contains("<project>") {
        true => HEAD.replace("number", project),
        false => HEAD.to_owned(),
    };
    let text = format!(
        "{head}change_status:\n  request:\n{line}{request}\n  success:\n{success}\nexamples:\n{examples}"
    );
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let vocabulary = folder.join("tests/mappings/vocabulary.yaml");
    let vocabulary =
        SourceFile::new("vocabulary.yaml", std::fs::read_to_string(vocabulary).unwrap());
    let found = match Catalog::of_sources(&[vocabulary, SourceFile::new("sample.yaml", text)]) {
        Ok((_, found)) | Err(found) => found,
    };
    let errors = found.iter().filter(|finding| finding.severity == Severity::Error);
    errors.map(|finding| format!("{} {}", finding.code, finding.message)).collect()
}

/// An example of a request that carries this body.
fn sent(body: &str, means: &str) -> String {
    sent_to("/tickets/A", body, means)
}

fn sent_to(path: &str, body: &str, means: &str) -> String {
    format!(
        "  - name: it\n    send: |\n      POST {path}\n      Content-Type: application/json\n\n      {body}\n    means: {means}\n"
    )
}

#[track_caller]
fn holds(request: &str, success: &str, examples: &str) {
    let found = errors(request, success, examples);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn what_a_row_carries_besides_is_ignored_on_reading_whatever_its_type() {
    let request = "    json: {status: <status via status>, code: <status.code or none>, note: <status.note or none>}";
    let means = "{ticket: A, status: resolved}";
    holds(request, SUCCESS, &sent(r#"{"status": "resolved", "code": 5, "note": "-"}"#, means));
    holds(request, SUCCESS, &sent(r#"{"status": "resolved", "code": {}, "note": [1]}"#, means));
}

#[test]
fn the_literal_behind_or_reads_as_absent_and_only_in_its_own_type() {
    for (hole, absent) in [
        (r#"<actor as int or "">"#, r#""""#),
        ("<actor as int or 0>", "0"),
        ("<comment or 0>", "0"),
        ("<comment or false>", "false"),
        ("<comment or null>", "null"),
    ] {
        let request = format!("    json: {{status: <status via status>, other: '{hole}'}}");
        let body = format!(r#"{{"status": "open", "other": {absent}}}"#);
        holds(&request, SUCCESS, &sent(&body, "{ticket: A, status: open}"));
    }
    let request = "    json: {status: <status via status>, other: <comment or null>}";
    let body = r#"{"status": "open", "other": "null"}"#;
    holds(request, SUCCESS, &sent(body, r#"{ticket: A, status: open, comment: "null"}"#));
}

#[test]
fn two_places_of_one_field_that_differ_are_refused_whatever_they_hold() {
    let refused = "{fault: invalid_request}";
    let raw =
        "    json: {status: <status via status>, one: <raw.x or none>, two: -> <raw.x or none>}"
            .replace("-> <raw.x or none>", "'-> <raw.x or none>'");
    holds(&raw, SUCCESS, &sent(r#"{"status": "open", "one": [1], "two": [2]}"#, refused));
    let means = "{ticket: A, status: open}";
    holds(&raw, SUCCESS, &sent(r#"{"status": "open", "one": [1], "two": [ 1 ]}"#, means));

    let parts = "    line: POST /<project>/tickets/<number>\n    parts: {ticket: '<project>#<number>'}\n    json: {status: <status via status>, project: '-> <project or none>'}";
    let means = "{ticket: 'ACME#7', status: open}";
    let path = "/ACME/tickets/7";
    holds(parts, SUCCESS, &sent_to(path, r#"{"status": "open", "project": "ACME"}"#, means));
    holds(parts, SUCCESS, &sent_to(path, r#"{"status": "open", "project": "OTHER"}"#, refused));

    let whole = "    line: POST /<project>/tickets/<number>\n    parts: {ticket: '<project>-<number>'}\n    json: {status: <status via status>, id: '-> <ticket or none>'}";
    let means = "{ticket: ACME-7, status: open}";
    holds(whole, SUCCESS, &sent_to(path, r#"{"status": "open", "id": "ACME-7"}"#, means));
    holds(whole, SUCCESS, &sent_to(path, r#"{"status": "open", "id": "ACME-8"}"#, refused));
}

#[test]
fn a_literal_without_an_arrow_is_demanded_in_every_place() {
    for place in ["query: {v: '2'}", "headers: {x-v: '2'}", "cookies: {v: '2'}"] {
        let request = format!("    {place}\n    json: {{status: <status via status>}}");
        holds(&request, SUCCESS, &sent(r#"{"status": "open"}"#, "{fault: missing_field}"));
        let request = request.replace("'2'", "'<- 2'");
        holds(&request, SUCCESS, &sent(r#"{"status": "open"}"#, "{ticket: A, status: open}"));
    }
    let request = "    query: {v: '2'}\n    json: {status: <status via status>}";
    let body = r#"{"status": "open"}"#;
    holds(request, SUCCESS, &sent_to("/tickets/A?v=2", body, "{ticket: A, status: open}"));
    holds(request, SUCCESS, &sent_to("/tickets/A?v=3", body, "{fault: invalid_request}"));
}

/// An answer and what it gives.
fn received(answer: &str, gives: &str) -> String {
    let answer = answer.replace('\n', "\n      ");
    format!(
        "  - name: it\n    with: {{tenant: acme}}\n    receive: |\n      {answer}\n    gives: {gives}\n"
    )
}

#[test]
fn an_answer_s_header_fields_are_read() {
    let success = format!("{SUCCESS}\n    headers: {{X-Number: <number or none>}}");
    let answer = "200\nX-Number: 77\nContent-Type: application/json\n\n{\"status\": \"open\"}";
    holds(REQUEST, &success, &received(answer, "{status: open, number: '77'}"));
    let answer = answer.replace("77", "seven");
    // It stays a yes, and what cannot be read is counted; an example says so.
    let found = errors(REQUEST, &success, &received(&answer, "{status: open}"));
    assert_eq!(found, ["M014 the example `it` fails: 1 of its members cannot be read"]);

    let success = "    code: 204\n    headers: {X-Status: <status via status or none>}";
    let found = errors(REQUEST, success, &received("204", "{}"));
    assert!(found.iter().any(|found| found.starts_with("M017")), "{found:?}");
}

#[test]
fn a_setting_fills_in_for_what_an_answer_does_not_say() {
    let success = "    code: 200\n    json: {status: <status via status or request.status>, title: <title or $tenant>}";
    let answer = "200\nContent-Type: application/json\n\n{\"status\": \"open\"}";
    holds(REQUEST, success, &received(answer, "{status: open, title: acme}"));
    let request = "    json: {status: <status via status or $tenant>}";
    let found =
        errors(request, SUCCESS, &sent(r#"{"status": "open"}"#, "{ticket: A, status: open}"));
    assert_eq!(found, ["M012 a setting cannot stand for a word"]);
}

#[test]
fn what_an_answer_gives_is_of_its_field_s_type() {
    let found = errors(REQUEST, "    code: 204\n    gives: {status: opne}", &received("204", "{}"));
    assert_eq!(found, ["M002 no word named `opne` in the vocabulary"]);
    let success = "    code: 204\n    gives: {status: open, title: closed}";
    holds(REQUEST, success, &received("204", "{status: open, title: closed}"));
}

#[test]
fn a_list_without_items_says_that_it_is_empty() {
    let request = "    json: {status: <status via status>, tags: []}";
    let with = |tags: &str| format!(r#"{{"status": "open"{tags}}}"#);
    let means = "{ticket: A, status: open}";
    for empty in [r#", "tags": []"#, r#", "tags": [ ]"#] {
        holds(request, SUCCESS, &sent(&with(empty), means));
    }
    for other in ["[1]", "[[]]", "{}", "null", r#""""#, "0"] {
        let body = with(&format!(r#", "tags": {other}"#));
        holds(request, SUCCESS, &sent(&body, "{fault: invalid_request}"));
    }
    holds(request, SUCCESS, &sent(&with(""), "{fault: missing_field}"));
    // Behind the items of one that has some, anything may stand.
    let request = "    json: {status: <status via status>, tags: [a]}";
    holds(request, SUCCESS, &sent(&with(r#", "tags": ["a", 1]"#), means));
}
