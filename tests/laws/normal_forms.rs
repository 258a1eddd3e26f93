//! L2: `R(P(wire)) = norm(wire)`. Other bytes that say the same read to the same record, and what is
//! written of that is the one normal form.

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use latimer::mapping::codecs::Codec;
use latimer::mapping::model::{Body, BodyKind, Content, Key, Shape};
use latimer::mapping::run::Reading;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::damage::{self, Dice, dice};
use crate::desk::{Input, desks, holds};
use crate::found;
use crate::records::{Sender, answers, requests};
use crate::round_trips::same;

const CASES: u32 = 80;

#[test]
fn a_damaged_request_reads_to_the_same_and_is_written_in_its_normal_form() {
    for desk in desks() {
        let strategy = (requests(&desk, Sender::Honest), dice());
        holds(&desk.name(), CASES, &strategy, |(input, mut dice)| {
            let Ok(wire) = desk.write_request(&input) else { return Ok(()) };
            let settings = desk.settings(&input);
            let request = &desk.operation().request;
            let target = damage::target(desk.operation(), &wire.target, &mut dice);
            let headers = damage::headers(&wire.headers, &mut dice);
            let body = match request.bodies.first() {
                Some(form) => damage::body(form, &wire.body, &mut dice),
                None => Vec::new(),
            };
            let shown = String::from_utf8_lossy(&body);
            let secrets = desk.read_secrets(&settings, (&target, &headers));
            prop_assert_eq!(&secrets, &desk.read_secrets(&settings, (&wire.target, &wire.headers)));
            let read = match desk.read_request(&settings, (&target, &headers), &body, false) {
                Ok(record) => record.into_owned(),
                Err(refusal) => {
                    return Err(TestCaseError::fail(format!("{target} {shown}: {refusal:?}")));
                }
            };
            let again = Input { record: read, secrets: secrets.unwrap(), ..input };
            let normal = desk.write_request(&again).unwrap();
            prop_assert_eq!(&normal.target, &wire.target);
            prop_assert_eq!(&normal.headers, &wire.headers);
            prop_assert_eq!(
                String::from_utf8(normal.body),
                String::from_utf8(wire.body),
                "{}",
                shown
            );
            Ok(())
        });
    }
}

#[test]
fn a_damaged_answer_reads_to_the_same_and_is_written_in_its_normal_form() {
    for desk in desks() {
        let strategy = (answers(&desk, Sender::Honest), dice());
        holds(&desk.name(), CASES, &strategy, |(input, mut dice)| {
            let wire = desk.write_answer(&input).unwrap();
            let settings = desk.settings(&input);
            let headers = damage::headers(&wire.headers, &mut dice);
            let body = match desk.operation().success.bodies.first() {
                Some(form) => damage::body(form, &wire.body, &mut dice),
                None => Vec::new(),
            };
            let reading =
                desk.read_answer(&settings, &input.record, (wire.status, &headers), &body);
            let Reading::Yes { record, unreadable: 0 } = reading else {
                let shown = String::from_utf8_lossy(&body);
                return Err(TestCaseError::fail(format!("{shown} reads to {reading:?}")));
            };
            let again = Input { answer: record.into_owned(), ..input };
            let normal = desk.write_answer(&again).unwrap();
            prop_assert_eq!(&normal.headers, &wire.headers);
            prop_assert_eq!(String::from_utf8(normal.body), String::from_utf8(wire.body));
            Ok(())
        });
    }
}

/// A form of the body that is only read is read as the written one is.
#[test]
fn a_request_as_xml_reads_to_the_same_as_json() {
    let mut tried = 0;
    for desk in desks() {
        let bodies = &desk.operation().request.bodies;
        let [json, xml] = bodies.as_slice() else { continue };
        let BodyKind::Xml { root, .. } = &xml.kind else { continue };
        tried += 1;
        let strategy = (requests(&desk, Sender::Honest), dice());
        holds(&desk.name(), CASES, &strategy, |(input, mut dice)| {
            let Ok(mut wire) = desk.write_request(&input) else { return Ok(()) };
            let texts = found::texts(json, &wire.body).unwrap();
            let forbidden = |letter: char| {
                matches!(letter, '\u{fffe}' | '\u{ffff}')
                    || (letter < ' ' && !"\t\n\r".contains(letter))
            };
            if texts.iter().flatten().any(|text| text.contains(forbidden)) {
                return Ok(());
            }
            let settings = desk.settings(&input);
            let target = wire.target.clone();
            let wanted = desk.read_request(&settings, (&target, &wire.headers), &wire.body, true);
            let wanted = wanted.unwrap().into_owned();
            let body = as_xml(xml, root, &texts, &mut dice);
            wire.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
            match desk.read_request(&settings, (&target, &wire.headers), body.as_bytes(), true) {
                Ok(record) => same(&desk, &wanted, &record),
                Err(refusal) => Err(TestCaseError::fail(format!("{body}: {refusal:?}"))),
            }
        });
    }
    assert!(tried > 0, "a mapping reads XML");
}

/// The members of a flat object as elements; a text of several lines may be an element each.
fn as_xml(body: &Body, root: &str, texts: &[Option<String>], dice: &mut Dice) -> String {
    let Shape::Object { members, .. } = &body.shape else { panic!("the root has members") };
    let mut out = format!("<{root}>");
    for (member, text) in members.iter().zip(texts) {
        let (Key::Fixed { name, .. }, Shape::Place(place), Some(text)) =
            (&member.key, &member.shape, text)
        else {
            continue;
        };
        let content = &body.places[usize::from(*place)].content;
        let lines = matches!(content, Content::Hole(hole) if hole.codec == Some(Codec::Lines));
        let parts = if lines { text.split('\n').collect() } else { vec![text.as_str()] };
        for part in parts {
            out.push_str(&format!("<{name}>"));
            damage::xml_text(part, dice, &mut out);
            out.push_str(&format!("</{name}>\n"));
        }
    }
    out + &format!("</{root}>")
}
