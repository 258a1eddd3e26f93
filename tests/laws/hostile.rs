//! Broken messages: no bytes panic, none take long, and none are read as what they are not.
//!
//! The codecs have such tests for themselves; these go through whole mappings, from right messages that were
//! broken and from bytes that never were one.

use std::time::{Duration, Instant};

use http::header::{CONTENT_TYPE, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};
use latimer::mapping::model::{BodyKind, Content, Hole, Operation, Slot, Type};
use latimer::mapping::run::{Reading, fits_path, read_step, selects};
use latimer::value::{Record, Value};
use percent_encoding::percent_decode_str;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestCaseError;

use crate::desk::{Desk, Input, desks, holds, request_head};
use crate::found;
use crate::records::{Sender, answers, requests, text};
use crate::round_trips::target_is_legal;

const CASES: u32 = 64;

/// What means something in a target.
const TARGET_PIECES: [&str; 26] = [
    "/",
    "%2F",
    "%2f",
    "..",
    "%2e%2E",
    ".",
    "?",
    "#",
    "%00",
    "%0a",
    "%",
    "%zz",
    "\\",
    "%5c",
    "%C3%A9",
    "%ff",
    "é",
    "//",
    ";",
    "&",
    "=",
    "+",
    "%25",
    "%2541",
    "touchpoint=",
    "as_user=",
];

/// A change to the bytes of a right message.
#[derive(Clone, Debug)]
enum Edit {
    Truncate(Index),
    Replace(Index, u8),
    Remove(Index),
    Insert(Index, Vec<u8>),
    Double(Index, Index),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let sign = || prop_oneof![any::<u8>(), select(b"{}[]\",:\\<>&;=%+/?#'!-\0\r\n 0e.".to_vec())];
    let piece = select(vec![
        &b"\"status\":\"open\","[..],
        b"null",
        b"{\"a\":",
        b"\\ud800",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
        b"&b;",
        b"&#0;",
        b"<a>",
        b"]]>",
        b"%2F..%2f",
        b"%00",
        b"1e999",
        b"-",
        b"\xff\xfe",
        b"\xed\xa0\x80",
    ]);
    let edit = prop_oneof![
        1 => any::<Index>().prop_map(Edit::Truncate),
        4 => (any::<Index>(), sign()).prop_map(|(at, byte)| Edit::Replace(at, byte)),
        3 => any::<Index>().prop_map(Edit::Remove),
        3 => (any::<Index>(), sign()).prop_map(|(at, byte)| Edit::Insert(at, vec![byte])),
        2 => (any::<Index>(), piece).prop_map(|(at, piece)| Edit::Insert(at, piece.to_vec())),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Edit::Double(from, to)),
    ];
    vec(edit, 0..5)
}

fn broken(right: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut bytes = right.to_vec();
    for edit in edits {
        let place = |at: &Index| at.index(bytes.len() + 1);
        match edit {
            Edit::Truncate(at) => bytes.truncate(place(at)),
            Edit::Replace(at, byte) => {
                let at = place(at);
                bytes.splice(at..(at + 1).min(bytes.len()), [*byte]);
            }
            Edit::Remove(at) => {
                let at = place(at);
                bytes.drain(at..(at + 1).min(bytes.len()));
            }
            Edit::Insert(at, piece) => {
                let at = place(at);
                bytes.splice(at..at, piece.iter().copied());
            }
            Edit::Double(from, to) => {
                let (from, to) = (place(from), place(to));
                let part = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.splice(from..from, part);
            }
        }
    }
    bytes
}

/// The media type of one of the forms that a body may have.
fn media_type(operation: &Operation, form: usize) -> HeaderValue {
    let bodies = &operation.request.bodies;
    let body = &bodies[form % bodies.len()];
    HeaderValue::from_str(body.media_type().unwrap()).unwrap()
}

/// What a request may be read to: values in their forms, and a path that stays within its segments.
fn record_is_sound(desk: &Desk, record: &Record<'_>, input: &Input) -> Result<(), TestCaseError> {
    let def = &desk.vocabulary.operations[desk.operation().id];
    for (index, field) in (0u8..).zip(&def.request) {
        let value = record.get(index);
        prop_assert!(value.is_some() || !field.required, "{}", field.name);
        let is_word = matches!(field.kind, Type::Word(_));
        prop_assert!(value.is_none_or(|value| matches!(value, Value::Word(_)) == is_word));
        let format = desk.mapping.formats.iter().find(|format| format.name == field.name);
        if let (Some(format), Some(text)) = (format, record.text(index)) {
            prop_assert!(format.fits(text), "{} is {:?}", field.name, text);
        }
    }
    // What was read can be written: to the same vendor, to its own path.
    let again = Input { record: record.clone().into_owned(), ..input.clone() };
    if let Ok(request) = desk.write_request(&again) {
        target_is_legal(desk.operation(), &request.target)?;
    }
    Ok(())
}

#[test]
fn a_broken_request_body_is_never_read_as_a_record() {
    for desk in desks() {
        // What has no body cannot have a broken one.
        if desk.operation().request.bodies.is_empty() {
            continue;
        }
        let bytes = prop_oneof![4 => Just(None), 1 => vec(any::<u8>(), 0..40).prop_map(Some)];
        let strategy = (requests(&desk, Sender::Honest), edits(), bytes, any::<Index>());
        holds(&desk.name(), CASES, &strategy, |(input, edits, bytes, form)| {
            let Ok(mut wire) = desk.write_request(&input) else { return Ok(()) };
            let request = &desk.operation().request;
            let form = form.index(request.bodies.len());
            if form > 0 || edits.len() == 1 {
                wire.headers.insert(CONTENT_TYPE, media_type(desk.operation(), form));
                wire.body = as_other(&wire.body, &request.bodies[form].kind);
            }
            let body = bytes.unwrap_or_else(|| broken(&wire.body, &edits));
            let settings = desk.settings(&input);
            let head = request_head(&wire.target, &wire.headers);
            let _ = selects(request, &head, &body);
            let read = desk.read_request(
                &settings,
                (&wire.target, &wire.headers),
                &body,
                edits.len() % 2 == 0,
            );
            let Ok(record) = read else { return Ok(()) };
            let shown = String::from_utf8_lossy(&body);
            let other = found::texts(&request.bodies[form], &body);
            prop_assert!(body.is_empty() || other.is_ok(), "{} is read: {:?}", shown, other);
            record_is_sound(&desk, &record, &input)
        });
    }
}

/// A JSON object of texts as XML with the same names, for the forms that are only read.
fn as_other(json: &[u8], kind: &BodyKind) -> Vec<u8> {
    let (BodyKind::Xml { root, .. }, Ok(tree)) =
        (kind, serde_json::from_slice::<serde_json::Value>(json))
    else {
        return json.to_vec();
    };
    let mut xml = format!("<{root}>");
    for (name, value) in tree.as_object().unwrap() {
        let text = found::plain(value).replace('&', "&amp;").replace('<', "&lt;");
        xml.push_str(&format!("<{name}>{text}</{name}>"));
    }
    (xml + &format!("</{root}>")).into_bytes()
}

#[test]
fn a_broken_answer_is_never_a_yes() {
    for desk in desks() {
        let bytes = prop_oneof![4 => Just(None), 1 => vec(any::<u8>(), 0..40).prop_map(Some)];
        let status = prop_oneof![3 => Just(None), 1 => (100..600_u16).prop_map(Some)];
        let strategy = (answers(&desk, Sender::Honest), edits(), bytes, status);
        holds(&desk.name(), CASES, &strategy, |(input, edits, bytes, status)| {
            let wire = desk.write_answer(&input).unwrap();
            let body = bytes.unwrap_or_else(|| broken(&wire.body, &edits));
            let settings = desk.settings(&input);
            let status = status.unwrap_or(wire.status);
            let head = (status, &wire.headers);
            let reading = desk.read_answer(&settings, &input.record, head, &body);
            let Reading::Yes { record, .. } = reading else { return Ok(()) };
            prop_assert!(desk.operation().success.codes.contains(&status));
            let Some(form) = desk.operation().success.bodies.first() else { return Ok(()) };
            let shown = String::from_utf8_lossy(&body);
            prop_assert!(found::texts(form, &body).is_ok(), "{} is a yes", shown);
            // A yes can always be handed on, with what the request said for what could not be read.
            let again = Input { answer: record.into_owned(), ..input };
            let written = desk.write_answer(&again);
            prop_assert!(written.is_ok(), "{}: {:?}", shown, written);
            Ok(())
        });
    }
}

#[test]
fn no_target_leads_out_of_its_path() {
    for desk in desks() {
        let piece = prop_oneof![
            3 => select(TARGET_PIECES.to_vec()).prop_map(str::to_owned),
            1 => text(),
            2 => "[A-Za-z0-9._~-]{1,20}",
        ];
        let strategy = (requests(&desk, Sender::Honest), vec((any::<Index>(), piece), 0..4));
        holds(&desk.name(), CASES * 2, &strategy, |(input, pieces)| {
            let Ok(wire) = desk.write_request(&input) else { return Ok(()) };
            let mut target = wire.target.clone();
            for (at, piece) in pieces {
                let letters: Vec<usize> = target.char_indices().map(|(at, _)| at).collect();
                let at = letters.get(at.index(letters.len() + 1)).copied().unwrap_or(target.len());
                target.insert_str(at, &piece);
            }
            let settings = desk.settings(&input);
            let head = request_head(&target, &wire.headers);
            let _ = desk.read_secrets(&settings, (&target, &wire.headers));
            let read = desk.read_request(&settings, (&target, &wire.headers), &wire.body, false);
            if !fits_path(&desk.operation().request, head.path) {
                return Ok(());
            }
            let Ok(record) = read else { return Ok(()) };
            record_is_sound(&desk, &record, &input)?;
            // Decoded once, and nothing in it that would be a separator elsewhere.
            let separators = |letter: char| "/?#\\%".contains(letter) || letter.is_control();
            let patterns = &desk.operation().request.segments;
            for (segment, pattern) in head.path[1..].split('/').zip(patterns) {
                let slot = pattern.holes().next().map(|hole| hole.slot);
                let Some(Slot::Field(field)) = slot else { continue };
                let text = record.text(field).unwrap();
                prop_assert!(!text.contains(separators), "{:?} was read of {}", text, target);
                let decoded = percent_decode_str(segment).decode_utf8().unwrap();
                prop_assert_eq!(text, decoded, "{}", target);
            }
            Ok(())
        });
    }
}

/// Ids of any form at all, as a file of pairs could bring them: refused, or within their segment.
#[test]
fn no_value_leaves_its_place_in_a_target() {
    for desk in desks() {
        let strategy = (requests(&desk, Sender::Honest), vec(text(), 8..=8));
        holds(&desk.name(), CASES, &strategy, |(mut input, texts)| {
            let def = &desk.vocabulary.operations[desk.operation().id];
            for ((index, field), text) in (0u8..).zip(&def.request).zip(&texts) {
                if !matches!(field.kind, Type::Word(_)) {
                    input.record.set(index, Some(Value::Text(text.clone().into())));
                }
            }
            let settings = desk.mapping.settings.len();
            input.settings = texts.iter().rev().take(settings).cloned().map(Some).collect();
            let Ok(request) = desk.write_request(&input) else { return Ok(()) };
            target_is_legal(desk.operation(), &request.target)?;
            for value in request.headers.values() {
                let bytes = value.as_bytes();
                prop_assert!(!bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
            }
            Ok(())
        });
    }
}

#[test]
fn no_header_or_cookie_panics_or_is_cut_short() {
    for desk in desks() {
        let bytes = prop_oneof![
            text().prop_map(String::into_bytes),
            vec(any::<u8>(), 0..24),
            "(Basic|OAuth|basic) ?[A-Za-z0-9+/=:| ]{0,24}".prop_map(String::into_bytes),
        ];
        let strategy = (requests(&desk, Sender::Honest), vec((any::<Index>(), bytes), 1..4));
        holds(&desk.name(), CASES, &strategy, |(input, values)| {
            let Ok(mut wire) = desk.write_request(&input) else { return Ok(()) };
            let names: Vec<HeaderName> = wire.headers.keys().cloned().chain([COOKIE]).collect();
            for (at, bytes) in values {
                let Ok(value) = HeaderValue::from_bytes(&bytes) else { continue };
                let name = at.get(&names);
                if bytes.len() % 2 == 0 {
                    wire.headers.append(name.clone(), value);
                } else {
                    wire.headers.insert(name.clone(), value);
                }
            }
            let settings = desk.settings(&input);
            if let Ok(secrets) = desk.read_secrets(&settings, (&wire.target, &wire.headers)) {
                // A secret is a part of what was sent, or comes out of base64 or a percent-encoding.
                let plain =
                    desk.operation().request.headers.iter().filter_map(|named| {
                        match &named.place.content {
                            Content::Hole(Hole {
                                slot: Slot::Secret(secret), codec: None, ..
                            }) => Some((*secret, named.place.member.clone())),
                            _ => None,
                        }
                    });
                for (secret, member) in plain {
                    let mut values = wire.headers.get_all(&member).iter();
                    let first = values.next();
                    let agree = values.all(|value| Some(value) == first);
                    prop_assert!(agree, "{} says two things, and one was taken", member);
                    let sent = wire.headers.get(&member).map(|value| value.as_bytes().trim_ascii());
                    let Some(sent) = sent else { continue };
                    let read = secrets[usize::from(secret)].as_deref().map(str::as_bytes);
                    prop_assert_eq!(read, Some(sent), "{}", member);
                }
            }
            let read =
                desk.read_request(&settings, (&wire.target, &wire.headers), &wire.body, true);
            match read {
                Ok(record) => record_is_sound(&desk, &record, &input),
                Err(_) => Ok(()),
            }
        });
    }
}

#[test]
fn no_look_up_panics() {
    let found = br#"{"transitions":[{"id":"31","to":{"state":"6"}},{"id":41,"to":{"state":"1"}}]}"#;
    for desk in desks() {
        for step in &desk.operation().steps {
            let strategy = (requests(&desk, Sender::Honest), edits());
            holds(&desk.name(), CASES, &strategy, |(input, edits)| {
                let body = broken(found, &edits);
                let settings = desk.settings(&input);
                let gateway = latimer::mapping::run::Gateway::default();
                let sources = desk.sources(&settings, &input.record, &gateway, &[]);
                if let Ok(taken) = read_step(step, &body, sources) {
                    prop_assert_eq!(taken.len(), step.take.len());
                    prop_assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
                }
                Ok(())
            });
        }
    }
}

/// Nesting without end, where the mapping looks and where it does not.
#[test]
fn depth_and_length_cost_neither_stack_nor_time() {
    let deep = 100_000;
    let nested = |open: &str, close: &str| open.repeat(deep) + &close.repeat(deep);
    let bodies = [
        nested("[", "]"),
        nested("{\"a\":", "}"),
        format!("{{\"changeTicketStatus\":{}}}", nested("[", "]")),
        format!("{{\"x\":{},\"changeTicketStatus\":{{}}}}", nested("[", "]")),
        format!("{{\"Comments\":{}}}", nested("[", "]")),
        format!("{{\"Comments\":[{}\"\"]}}", "\"\",".repeat(deep)),
        format!(
            "{{{}\"status\":\"open\"}}",
            (0..20_000).map(|at| format!("\"{at}\":0,")).collect::<String>()
        ),
        format!("{{\"case\":{{\"id\":{}}}}}", "9".repeat(deep)),
        nested("<Action>", "</Action>"),
        format!("<Action>{}</Action>", "<Comments/>".repeat(deep)),
        format!("<Action{}/>", " a='b'".repeat(20_000)),
        "status=open&".repeat(deep),
        (0..20_000).map(|at| format!("{at}=%41&")).collect(),
        "\u{3000}".repeat(deep),
    ];
    let began = Instant::now();
    for desk in desks() {
        let request = Record::new();
        let settings = latimer::mapping::run::Settings::default();
        for body in bodies.iter().map(String::as_bytes) {
            for form in &desk.operation().request.bodies {
                let mut headers = HeaderMap::new();
                let media_type = form.media_type().unwrap();
                headers.insert(CONTENT_TYPE, HeaderValue::from_str(media_type).unwrap());
                let wire = ("/a/b/c/d/e/f/g", &headers);
                let _ = selects(&desk.operation().request, &request_head(wire.0, wire.1), body);
                assert!(desk.read_request(&settings, wire, body, false).is_err());
            }
            for status in [200, 201, 400, 503] {
                let headers = HeaderMap::new();
                let reading = desk.read_answer(&settings, &request, (status, &headers), body);
                // The other parsers have no bounds, so they see only what was let through.
                if let (Reading::Yes { .. }, Some(form)) =
                    (reading, desk.operation().success.bodies.first())
                {
                    assert!(found::texts(form, body).is_ok(), "{}", desk.name());
                }
            }
        }
    }
    // Debug mode on a busy machine; what is quadratic would take minutes.
    assert!(began.elapsed() < Duration::from_secs(20), "took {:?}", began.elapsed());
}
