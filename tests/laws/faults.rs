//! L4: every fault can be written by every vendor, whatever the texts, and reads as itself or as the general
//! fault of those that look alike.

use http::header::{ACCEPT, ALLOW};
use http::{HeaderMap, HeaderValue};
use latimer::mapping::model::{BodyKind, GatewayField, Slot};
use latimer::mapping::run::{
    FaultText, Gateway, LimitFacts, Reading, RequestParts, limit_headers, media_type, write_fault,
};
use latimer::value::{Fault, Record};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestCaseError;

use crate::desk::{Desk, Input, desks, holds};
use crate::found;
use crate::records::{Sender, answers, text};

const CASES: u32 = 100;

/// What does not read as itself, by vendor and operation: what is written, and what it reads to. The vendors'
/// pages have one answer for several things; the gateway's own faults have no answer at all.
const GENERAL: [(&str, &[(&str, &str)]); 9] = [
    (
        "akana change_status",
        &[
            ("missing_field", "invalid_request"),
            ("invalid_status", "upstream_failed"),
            ("conflict", "upstream_failed"),
            ("already_closed", "upstream_failed"),
            ("invalid_id", "not_found"),
            ("unknown_path", "not_found"),
            ("not_acceptable", "not_found"),
            ("unsupported_media_type", "not_found"),
            ("credentials_missing", "unauthenticated"),
            ("upstream_timeout", "outcome_unknown"),
        ],
    ),
    (
        "arena change_status",
        &[
            ("not_acceptable", "invalid_request"),
            ("credentials_missing", "unauthenticated"),
            ("upstream_unreachable", "upstream_failed"),
            ("upstream_timeout", "outcome_unknown"),
        ],
    ),
    (
        "series change_status",
        &[
            ("missing_field", "invalid_request"),
            ("not_acceptable", "invalid_request"),
            ("conflict", "invalid_request"),
            ("already_closed", "invalid_request"),
            ("invalid_id", "not_found"),
            ("unknown_path", "not_found"),
            ("credentials_missing", "unauthenticated"),
            ("upstream_timeout", "outcome_unknown"),
        ],
    ),
    (
        "thalamus change_status",
        &[
            ("not_acceptable", "invalid_request"),
            ("conflict", "invalid_status"),
            ("invalid_id", "not_found"),
            ("forbidden", "not_found"),
            ("credentials_missing", "unauthenticated"),
            ("upstream_unreachable", "upstream_failed"),
            ("upstream_timeout", "outcome_unknown"),
        ],
    ),
    (
        "zstack change_status",
        &[
            ("missing_field", "invalid_request"),
            ("not_acceptable", "invalid_request"),
            ("already_closed", "conflict"),
            ("invalid_id", "not_found"),
            ("credentials_missing", "invalid_request"),
            ("upstream_unreachable", "upstream_failed"),
            ("upstream_timeout", "outcome_unknown"),
        ],
    ),
    // Its own rows: nothing is changed, so that nothing can be said of a change.
    (
        "zstack read_ticket",
        &[
            ("missing_field", "invalid_request"),
            ("invalid_status", "invalid_request"),
            ("method_not_allowed", "invalid_request"),
            ("not_acceptable", "invalid_request"),
            ("unsupported_media_type", "invalid_request"),
            ("too_large", "invalid_request"),
            ("conflict", "invalid_request"),
            ("already_closed", "invalid_request"),
            ("invalid_id", "not_found"),
            ("credentials_missing", "invalid_request"),
            ("upstream_unreachable", "upstream_failed"),
            ("upstream_timeout", "outcome_unknown"),
        ],
    ),
    ("orbit change_status", &[("upstream_timeout", "upstream_failed")]),
    ("orbit add_comment", &[("upstream_timeout", "upstream_failed")]),
    ("relay add_comment", &[("upstream_timeout", "upstream_failed")]),
];

/// Orbit and Relay have rows for the roots alone, and Orbit one word of its own.
const ROOTS: [(&str, &str); 13] = [
    ("missing_field", "invalid_request"),
    ("method_not_allowed", "invalid_request"),
    ("not_acceptable", "invalid_request"),
    ("unsupported_media_type", "invalid_request"),
    ("too_large", "invalid_request"),
    ("conflict", "invalid_request"),
    ("already_closed", "invalid_request"),
    ("invalid_id", "not_found"),
    ("unknown_path", "not_found"),
    ("credentials_missing", "unauthenticated"),
    ("overloaded", "rate_limited"),
    ("upstream_unreachable", "upstream_failed"),
    ("upstream_timeout", "upstream_failed"),
];

fn reads_as(desk: &Desk, fault: Fault, own_text: bool) -> &'static str {
    let name = desk.name();
    // Series has nothing but its text to tell the two apart.
    if desk.mapping.vendor == "series" && fault == Fault::InvalidStatus && !own_text {
        return "invalid_request";
    }
    // Where an operation has no rows of its own, those of the whole vendor count.
    let shared = name.replace("read_ticket", "change_status");
    let find = |name: &str| GENERAL.iter().find(|(known, _)| *known == name);
    let (_, general) = find(&name).or_else(|| find(&shared)).unwrap();
    let invented = ["orbit", "relay"].contains(&desk.mapping.vendor.as_str());
    let roots = if invented { &ROOTS[..] } else { &[] };
    if desk.operation().name == "add_comment" && fault == Fault::InvalidStatus {
        return "invalid_request";
    }
    let mut pairs = general.iter().chain(roots);
    pairs.find(|(written, _)| *written == fault.name()).map_or(fault.name(), |(_, read)| read)
}

/// The gateway's texts, as wild as a client could make them.
#[derive(Clone, Debug)]
struct Texts {
    fault: Fault,
    texts: Vec<String>,
    allow: String,
    upstream: Option<String>,
    accept: Option<&'static str>,
    wait: Option<u64>,
}

fn texts() -> impl Strategy<Value = Texts> {
    let accepts = [
        "application/json",
        "application/xml",
        "*/*",
        "text/html",
        "application/xml;q=0.1, */*",
        ";,",
    ];
    let texts = prop::collection::vec(text(), 5..=5);
    (
        // Nobody is refused a log-in who does not log in, and nobody asks after a job by a call.
        select(Fault::ALL).prop_filter("of a call", |fault| {
            !matches!(fault, Fault::LogInRefused | Fault::UnknownJob)
        }),
        (texts, "[A-Z]{3,6}(, [A-Z]{3,6})?"),
        option::of(text()),
        option::of(select(accepts.to_vec())),
        any::<Option<u64>>(),
    )
        .prop_map(|(fault, (texts, allow), upstream, accept, wait)| {
            // A text that is the vendor's own for another fault, or an error of its own, says that.
            let upstream = upstream.map(|text| format!("so: {text}"));
            Texts { fault, texts, allow, upstream, accept, wait }
        })
}

#[test]
fn every_fault_can_be_written_and_reads_as_itself_or_as_its_general_one() {
    for desk in desks() {
        let strategy = (texts(), answers(&desk, Sender::Any), any::<bool>());
        holds(&desk.name(), CASES, &strategy, |(texts, input, as_xml)| {
            let written = write(&desk, &texts, &input, as_xml);
            let is_gone = matches!(texts.fault, Fault::NotFound | Fault::InvalidId);
            match desk.name().as_str() {
                // A query that finds nothing is answered, and with an empty list.
                "zstack read_ticket" if is_gone => prop_assert_eq!(written.status, 200),
                _ => prop_assert!((400..600).contains(&written.status), "{}", written.status),
            }
            let faults = &desk.operation().faults;
            let row = faults.row_for(texts.fault).unwrap();
            let came = media_type(&written.headers).unwrap();
            let body =
                faults.bodies_of(row).iter().find(|body| body.media_type() == came.as_deref());
            let body = body.unwrap();
            if let Some(accept) = texts.accept.filter(|accept| accept.starts_with("application/")) {
                let other = if accept == "application/json" { "xml" } else { "json" };
                let has_choice = faults.bodies_of(row).len() > 1;
                prop_assert!(!has_choice || body.kind.name() != other || accept.contains("q="));
            }
            let shown = String::from_utf8_lossy(&written.body);
            let found = found::texts(body, &written.body);
            prop_assert!(found.is_ok(), "{}: {:?}", shown, found);
            for (place, found) in body.places.iter().zip(found.unwrap()) {
                let mut holes = place.content.holes();
                let is_message =
                    holes.any(|hole| hole.slot == Slot::Gateway(GatewayField::Message));
                if let (Some(text), true) = (&texts.upstream, is_message) {
                    prop_assert_eq!(found, Some(legible(text)));
                }
            }
            let settings = desk.settings(&input);
            let head = (written.status, &written.headers);
            let reading = desk.read_answer(&settings, &Record::new(), head, &written.body);
            let Reading::No { fault, .. } = reading else {
                return Err(TestCaseError::fail(format!("{shown} reads to {reading:?}")));
            };
            prop_assert_eq!(
                fault.name(),
                reads_as(&desk, texts.fault, texts.upstream.is_none()),
                "{} as {}",
                texts.fault,
                shown
            );
            Ok(())
        });
    }
}

/// Control characters do not reach a client, whose XML could not carry them.
fn legible(text: &str) -> String {
    let mut letters = String::new();
    for letter in text.chars() {
        let kept = "\t\n\r".contains(letter);
        let lost = matches!(letter, '\u{fffe}' | '\u{ffff}') || (!kept && letter.is_control());
        letters.push(if lost { '\u{fffd}' } else { letter });
    }
    letters
}

fn write(
    desk: &Desk,
    texts: &Texts,
    input: &Input,
    as_xml: bool,
) -> latimer::mapping::run::WrittenAnswer {
    let [path, call, field, reason, reset] = texts.texts.as_slice() else { panic!("five") };
    let allow = &texts.allow;
    let gateway = Gateway {
        http: 0,
        path,
        call,
        allow,
        field,
        reason,
        rate_remaining: texts.wait,
        rate_reset: Some(reset),
        retry_after: texts.wait,
        rate_limit: texts.wait,
        limit: Some(LimitFacts { name: call, calls: 1, window: 1, remaining: 1, seconds: 1 }),
        session: None,
        job: None,
    };
    let settings = desk.settings(input);
    let record = Record::new();
    let sources = desk.sources(&settings, &record, &gateway, &[]);
    let mut headers = HeaderMap::new();
    if let Some(accept) = texts.accept {
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
    }
    let kind = BodyKind::Xml { root: String::new(), namespaces: String::new() };
    let wanted = RequestParts { headers: &headers, kind: as_xml.then_some(&kind) };
    let text = texts.upstream.as_deref().map_or(FaultText::Own, FaultText::Upstream);
    // What stands on every answer is left out where it cannot be written.
    limit_headers(&desk.mapping.limits, &[], sources, &mut HeaderMap::new());
    let written = write_fault(&desk.operation().faults, texts.fault, text, sources, wanted);
    let allowed = written.headers.get(ALLOW).map(HeaderValue::as_bytes);
    let wanted = (texts.fault == Fault::MethodNotAllowed).then_some(allow.as_bytes());
    assert_eq!(allowed, wanted, "Allow");
    written
}
