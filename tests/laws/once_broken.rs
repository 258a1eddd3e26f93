//! What the properties have found once, each as the one case that shows it.

use std::borrow::Cow;

use http::header::{ACCEPT, CONTENT_TYPE, COOKIE};
use http::{HeaderMap, HeaderValue};
use latimer::mapping::run::{FaultText, Gateway, Reading, RequestParts, write_fault};
use latimer::value::{Fault, Record, Value};

use crate::desk::{Desk, Input, desks};

fn desk(name: &str) -> Desk {
    desks().into_iter().find(|desk| desk.name() == name).unwrap()
}

fn own(text: &str) -> Option<Value<'static>> {
    Some(Value::Text(Cow::Owned(text.to_owned())))
}

/// A request for `resolved` to a ticket, with a token and these settings.
fn input(desk: &Desk, ticket: &str, settings: &[(&str, &str)]) -> Input {
    let def = &desk.vocabulary.operations[desk.operation().id];
    let mut record = Record::new();
    record.set(def.request_field("ticket").unwrap(), own(ticket));
    record.set(def.request_field("status").unwrap(), Some(Value::Word(3)));
    let named = |name: &str| {
        let found = settings.iter().find(|(known, _)| *known == name);
        found.map(|(_, text)| (*text).to_owned())
    };
    let secrets = desk.vocabulary.secrets.iter();
    Input {
        record,
        answer: Record::new(),
        settings: desk.mapping.settings.iter().map(|setting| named(&setting.name)).collect(),
        secrets: secrets.map(|name| (name == "auth.token").then(|| "t".to_owned())).collect(),
        steps: desk
            .operation()
            .steps
            .iter()
            .map(|step| vec!["1".to_owned(); step.take.len()])
            .collect(),
    }
}

#[test]
fn private_json_that_is_written_for_nothing_reads_as_nothing() {
    let thalamus = desk("thalamus change_status");
    let mut input = input(&thalamus, "10", &[]);
    input.answer.set(1, Some(Value::Word(3)));
    let written = thalamus.write_answer(&input).unwrap();
    let wire = r#"{"context":{},"case":{"id":10,"status":"resolved"}}"#;
    assert_eq!(String::from_utf8(written.body).unwrap(), wire);
    for (context, wanted) in [("{}", None), ("{ }", None), ("{\"a\": 1}", Some("{\"a\": 1}"))] {
        let body = wire.replace("{}", context);
        let head = (written.status, &written.headers);
        let settings = thalamus.settings(&input);
        let reading = thalamus.read_answer(&settings, &input.record, head, body.as_bytes());
        let Reading::Yes { record, .. } = reading else { panic!("{reading:?}") };
        assert_eq!(record.raw(0), wanted, "{context}");
    }
}

#[test]
fn a_header_keeps_every_character_of_its_value_or_is_not_written() {
    let thalamus = desk("thalamus change_status");
    let def = &thalamus.vocabulary.operations[thalamus.operation().id];
    let touchpoint = def.request_field("touchpoint").unwrap();
    let written = |text: &str| {
        let mut input = input(&thalamus, "10", &[]);
        input.record.set(touchpoint, own(text));
        (thalamus.settings(&input), thalamus.write_request(&input))
    };
    for text in ["\u{a0}web", "web\u{3000}", "a b", ""] {
        let (settings, request) = written(text);
        let request = request.unwrap();
        let wire = (request.target.as_str(), &request.headers);
        let read = thalamus.read_request(&settings, wire, &request.body, true).unwrap();
        assert_eq!(read.text(touchpoint), Some(text));
    }
    // No reader would see these.
    for text in [" web", "web ", "\tweb", " "] {
        assert_eq!(written(text).1.unwrap_err().fault, Fault::InvalidRequest, "{text:?}");
    }
}

#[test]
fn a_cookie_ends_where_it_should() {
    let akana = desk("akana change_status");
    let written = |tenant: &str, token: &str| {
        let mut input = input(&akana, "T-1", &[("tenant", tenant)]);
        input.secrets[0] = Some(token.to_owned());
        akana.write_request(&input).map(|request| request.headers[COOKIE].clone())
    };
    assert_eq!(written("acme", "a|b").unwrap(), "AtmoAuthToken_acme=a|b");
    // A name that would be two, or another one, and a value that readers would trim.
    for (tenant, token) in
        [("a=b; x", "t"), ("a b", "t"), ("a;b", "t"), ("é", "t"), ("acme", "t\t")]
    {
        assert!(written(tenant, token).is_err(), "{tenant:?} {token:?}");
    }
}

#[test]
fn a_value_in_a_path_has_the_form_that_readers_demand() {
    let orbit = desk("orbit change_status");
    let input = |zone| {
        let settings = [("zone", zone), ("staff", "7"), ("close_code", "fixed")];
        let mut input = input(&orbit, "acme#17", &settings);
        let user = usize::from(orbit.vocabulary.secret("auth.user").unwrap());
        input.secrets[user] = Some("joe".to_owned());
        input
    };
    // All of them can stand in a header's name, where the zone stands too.
    let long = "a".repeat(129);
    for zone in ["a!b", "a%2Fb", "a|b", "..", &long] {
        let refusal = orbit.write_request(&input(zone));
        assert!(refusal.is_err(), "{zone:?}: {refusal:?}");
    }
    assert!(orbit.write_request(&input("eu-1")).is_ok());
}

#[test]
fn an_optional_credential_that_does_not_fit_is_not_left_out_in_silence() {
    let thalamus = desk("thalamus change_status");
    let written = |user: Option<&str>, password: Option<&str>| {
        let mut input = input(&thalamus, "10", &[("touchpoint", "web")]);
        for (name, text) in [("auth.user", user), ("auth.password", password)] {
            let secret = usize::from(thalamus.vocabulary.secret(name).unwrap());
            input.secrets[secret] = text.map(str::to_owned);
        }
        thalamus.write_request(&input).map(|request| request.headers.contains_key("authorization"))
    };
    assert_eq!(written(Some("joe"), Some("p")), Ok(true));
    assert_eq!(written(None, Some("p")), Ok(false));
    assert_eq!(written(Some("joe"), None), Ok(false));
    // The colon would make another user of it.
    assert!(written(Some("joe:x"), Some("p")).is_err());
    assert!(written(Some("joe:x"), None).is_err());
}

#[test]
fn a_fault_has_its_body_whatever_a_client_called_its_member() {
    let akana = desk("akana change_status");
    let gateway = Gateway {
        field: "a\u{1}b",
        reason: "a\u{1}b\u{fffe} is not known here",
        ..Gateway::default()
    };
    let (record, settings) = (Record::new(), latimer::mapping::run::Settings::default());
    let sources = akana.sources(&settings, &record, &gateway, &[]);
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/xml"));
    let wanted = RequestParts { headers: &headers, kind: None };
    for text in [FaultText::Own, FaultText::Upstream("a\u{1}b\u{fffe} is not known here")] {
        let faults = &akana.operation().faults;
        let written = write_fault(faults, Fault::InvalidRequest, text, sources, wanted);
        assert_eq!(written.headers[CONTENT_TYPE], "application/xml");
        let body = String::from_utf8(written.body).unwrap();
        assert!(body.contains("a\u{fffd}b\u{fffd} is not known here"), "{body:?}");
        let head = (written.status, &written.headers);
        let reading = akana.read_answer(&settings, &record, head, body.as_bytes());
        assert!(matches!(reading, Reading::No { fault: Fault::InvalidRequest, .. }), "{reading:?}");
    }
}
