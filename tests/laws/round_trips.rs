//! L1: `P(R(record)) = fit(record)`.

use std::cell::Cell;

use latimer::mapping::model::{Body, Operation, Slot};
use latimer::mapping::run::{Reading, fits_path, selects};
use latimer::value::{Record, Value};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::desk::{Desk, Input, desks, holds, request_head};
use crate::fit::{self, Fit};
use crate::found;
use crate::records::{Sender, answers, requests};

const CASES: u32 = 100;

#[test]
fn a_request_reads_to_what_its_vendor_can_be_told() {
    for desk in desks() {
        let (tried, written) = (Cell::new(0), Cell::new(0));
        holds(
            &desk.name(),
            CASES,
            &prop_oneof![requests(&desk, Sender::Any), requests(&desk, Sender::Honest)],
            |input| {
                tried.set(tried.get() + 1);
                match (desk.write_request(&input), fit::request(&desk, &input)) {
                    (Ok(request), Ok(fit)) => {
                        written.set(written.get() + 1);
                        target_is_legal(desk.operation(), &request.target)?;
                        body_holds(desk.operation().request.bodies.first(), &request.body, &fit)?;
                        request_reads(&desk, &input, &request, &fit)
                    }
                    (Err(refusal), Ok(fit)) => Err(TestCaseError::fail(format!(
                        "{refusal:?}, and yet it can carry {fit:?}"
                    ))),
                    (Ok(request), Err(_)) => {
                        Err(TestCaseError::fail(format!("{request:?} says what cannot be said")))
                    }
                    (Err(_), Err(_)) => Ok(()),
                }
            },
        );
        assert!(
            written.get() > tried.get() / 16,
            "{}: {} were written",
            desk.name(),
            written.get()
        );
    }
}

#[test]
fn an_answer_reads_to_what_its_vendor_can_say() {
    for desk in desks() {
        let (tried, written) = (Cell::new(0), Cell::new(0));
        holds(
            &desk.name(),
            CASES,
            &prop_oneof![answers(&desk, Sender::Any), answers(&desk, Sender::Honest)],
            |input| {
                tried.set(tried.get() + 1);
                match (desk.write_answer(&input), fit::answer(&desk, &input)) {
                    (Ok(answer), Ok(fit)) => {
                        written.set(written.get() + 1);
                        body_holds(desk.operation().success.bodies.first(), &answer.body, &fit)?;
                        let settings = desk.settings(&input);
                        let head = (answer.status, &answer.headers);
                        let reading =
                            desk.read_answer(&settings, &input.record, head, &answer.body);
                        let Reading::Yes { record, unreadable: 0 } = reading else {
                            return Err(TestCaseError::fail(format!("it reads to {reading:?}")));
                        };
                        same(&desk, &fit.record, &record)
                    }
                    (Err(refusal), Ok(fit)) => Err(TestCaseError::fail(format!(
                        "{refusal:?}, and yet it can carry {fit:?}"
                    ))),
                    (Ok(answer), Err(_)) => {
                        Err(TestCaseError::fail(format!("{answer:?} says what cannot be said")))
                    }
                    (Err(_), Err(_)) => Ok(()),
                }
            },
        );
        assert!(
            written.get() > tried.get() / 16,
            "{}: {} were written",
            desk.name(),
            written.get()
        );
    }
}

/// L4: with what the vocabulary requires and a request that this vendor's client could have made.
#[test]
fn an_answer_with_its_required_fields_can_always_be_written() {
    for desk in desks() {
        let fields = &desk.vocabulary.operations[desk.operation().id].answer;
        holds(&desk.name(), 50, &answers(&desk, Sender::Honest), |mut input| {
            for (index, _) in (0u8..).zip(fields).filter(|(_, field)| !field.required) {
                input.answer.set(index, None);
            }
            let written = desk.write_answer(&input);
            prop_assert!(written.is_ok(), "{:?}", written.err());
            Ok(())
        });
    }
}

fn request_reads(
    desk: &Desk,
    input: &Input,
    request: &latimer::mapping::run::Outgoing,
    fit: &Fit,
) -> Result<(), TestCaseError> {
    let settings = desk.settings(input);
    let wire = (request.target.as_str(), &request.headers);
    let head = request_head(wire.0, wire.1);
    prop_assert!(fits_path(&desk.operation().request, head.path), "{}", head.path);
    prop_assert!(selects(&desk.operation().request, &head, &request.body));
    let secrets = desk.read_secrets(&settings, wire);
    prop_assert_eq!(secrets.as_ref(), Ok(&fit.secrets));
    match desk.read_request(&settings, wire, &request.body, true) {
        Ok(record) => same(desk, &fit.record, &record),
        Err(refusal) => Err(TestCaseError::fail(format!("written, it does not read: {refusal:?}"))),
    }
}

/// The same fields and the same private JSON.
pub(crate) fn same(
    desk: &Desk,
    wanted: &Record<'_>,
    found: &Record<'_>,
) -> Result<(), TestCaseError> {
    let fields = |record: &Record<'_>| -> Vec<(u8, Value<'static>)> {
        let record = record.clone().into_owned();
        record.present().map(|(field, value)| (field, value.clone())).collect()
    };
    prop_assert_eq!(fields(wanted), fields(found));
    for (raw, name) in (0u8..).zip(&desk.operation().raw_names) {
        prop_assert_eq!(wanted.raw(raw), found.raw(raw), "raw.{}", name);
    }
    Ok(())
}

/// An upstream sees as many segments as the line has, and nothing but what a target may hold.
pub(crate) fn target_is_legal(operation: &Operation, target: &str) -> Result<(), TestCaseError> {
    let uri: Result<http::Uri, _> = target.parse();
    let Ok(uri) = uri else {
        return Err(TestCaseError::fail(format!("{target:?} is no target")));
    };
    prop_assert_eq!(uri.path_and_query().map(ToString::to_string), Some(target.to_owned()));
    let segments: Vec<&str> = uri.path()[1..].split('/').collect();
    prop_assert_eq!(segments.len(), operation.request.segments.len(), "{}", target);
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
    for (segment, pattern) in segments.iter().zip(&operation.request.segments) {
        let hole = pattern.as_literal().is_none();
        prop_assert!(!hole || segment.bytes().all(unreserved), "{}", target);
        prop_assert!(!matches!(*segment, "" | "." | ".."), "{}", target);
    }
    Ok(())
}

/// Another parser finds in each place what was said there.
fn body_holds(body: Option<&Body>, bytes: &[u8], fit: &Fit) -> Result<(), TestCaseError> {
    let Some(body) = body else {
        prop_assert!(bytes.is_empty());
        return Ok(());
    };
    let found = match found::texts(body, bytes) {
        Ok(found) => found,
        Err(error) => {
            let text = String::from_utf8_lossy(bytes);
            return Err(TestCaseError::fail(format!("{text} is refused: {error}")));
        }
    };
    for ((place, found), wanted) in body.places.iter().zip(found).zip(&fit.body) {
        // What a look-up found has no value in the model.
        let holes = || place.content.holes();
        if holes().any(|hole| matches!(hole.slot, Slot::Step(..))) {
            prop_assert!(found.is_some());
            continue;
        }
        // An object without a value is left out together with its literals.
        if holes().next().is_none() && found.is_none() {
            continue;
        }
        if holes().any(|hole| matches!(hole.slot, Slot::Raw(_))) {
            let json =
                wanted.as_deref().map(|json| found::plain(&serde_json::from_str(json).unwrap()));
            prop_assert_eq!(found, json, "{}", place.label);
            continue;
        }
        prop_assert_eq!(found.as_ref(), wanted.as_ref(), "{}", place.label);
    }
    Ok(())
}
