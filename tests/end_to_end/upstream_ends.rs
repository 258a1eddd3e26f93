//! How upstreams say that our session is over, in the forms that their pages and clients attest: there is one new
//! log-in, the call comes once more by the new session, and not a third time.

use latimer::sim::Vendor;
use serde_json::json;

use crate::edited::Edited;
use crate::logged_in::{Desk, LOGGED_IN_TO, given, read_answer};
use crate::scripted::{Act, field, message};

/// A way to say it.
struct Said {
    what: &'static str,
    act: Act,
}

fn said(what: &'static str, status: &str, media_type: &str, body: &str) -> Said {
    Said { what, act: message(status, media_type, body) }
}

/// Every form that is known of a vendor.
fn forms(vendor: Vendor) -> Vec<Said> {
    let json = "application/json";
    match vendor {
        // FACTS §2: the body is that of the page, with the text of the code's table.
        Vendor::Arena => vec![said(
            "401",
            "401 Unauthorized",
            json,
            r#"{"status":401,"errors":[{"code":401,"message":"There is no access token associated with this request or the access token is not valid."}]}"#,
        )],
        // FACTS §4: by the status; no page shows the body, so it may be any.
        Vendor::Akana => vec![
            said(
                "401 with a fault",
                "401 Unauthorized",
                json,
                r#"{"faultcode":"Client","faultstring":"Unauthorized"}"#,
            ),
            said("401 alone", "401 Unauthorized", "", ""),
            said("401 as a page", "401 Unauthorized", "text/html", "<html>log in</html>"),
        ],
        // FACTS §5: an object of codes, by itself or in the common envelope, under whatever name.
        Vendor::Thalamus => vec![
            said("a code", "400 Bad Request", json, r#"{"errors":{"token":"InvalidToken"}}"#),
            said(
                "a code in the envelope",
                "400 Bad Request",
                json,
                r#"{"links":[],"data":{"activities":[],"entity":{}},"errors":{"operator":"InvalidToken"}}"#,
            ),
            // Codes are written both ways, and compared without their case.
            said("in camel case", "400 Bad Request", json, r#"{"errors":{"token":"invalidToken"}}"#),
            said(
                "Error Version 2",
                "400 Bad Request",
                json,
                r#"{"error":{"code":"InvalidToken","description":"told by itself"}}"#,
            ),
        ],
        // FACTS §1.2: the code, that of newer releases, and that in a member of its own. No type is sent (§1.5).
        Vendor::Zstack => [
            ("ID.1001", r#""code":"ID.1001""#),
            ("the newer code", r#""code":"ORG_ZSTACK_IDENTITY_10020""#),
            (
                "a member of its own",
                r#""code":"ID.1000","globalErrorCode":"ORG_ZSTACK_IDENTITY_10020""#,
            ),
        ]
        .map(|(what, members)| {
            let body = format!(
                r#"{{"error":{{{members},"description":"Invalid session","details":"Session expired"}}}}"#
            );
            said(what, "503 Service Unavailable", "", &body)
        })
        .into(),
        Vendor::Series => panic!("nobody logs in there"),
    }
}

/// Jobs that are asked after at once.
fn mappings() -> Edited {
    Edited::new(&[("zstack", "every: 1s", "every: 50ms")])
}

/// A desk whose first session has been used.
async fn open(vendor: Vendor, mappings: &Edited) -> Desk {
    let desk = Desk::open(vendor, mappings).await;
    desk.scripted.act(Act::InTurn(vec![given(vendor, 1), read_answer(vendor)]));
    let got = desk.read(Vendor::Series).await;
    assert_eq!(got.status, 200, "{vendor}: {got:?}");
    assert_eq!(desk.told(), ["log in", "call 1"], "{vendor}");
    desk
}

/// What a system answers to a change: at once, or, as ZStack does, on the poll.
fn refusals(desk: &Desk, act: &Act) -> Vec<(&'static str, Vec<Act>, &'static [&'static str])> {
    let mut refusals = vec![("at once", vec![act.clone()], &["call"][..])];
    if desk.vendor == Vendor::Zstack {
        refusals.push(("on the poll", vec![desk.accepted(), act.clone()], &["call", "ask"]));
    }
    refusals
}

/// The same for every form of the vendor's.
fn every_refusal(desk: &Desk) -> Vec<(String, Vec<Act>, &'static [&'static str])> {
    let mut every = Vec::new();
    for Said { what, act } in forms(desk.vendor) {
        for (place, refusal, steps) in refusals(desk, &act) {
            every.push((format!("{}: {what} {place}", desk.vendor), refusal, steps));
        }
    }
    every
}

/// The requests of a try by a session.
fn tried(steps: &[&str], session: usize) -> Vec<String> {
    steps.iter().map(|step| format!("{step} {session}")).collect()
}

/// The requests of a try by a session that is over, and of another one by the next.
fn tried_again(steps: &[&str], session: usize, again: &[&str]) -> Vec<String> {
    let log_in = vec!["log in".to_owned()];
    [tried(steps, session), log_in, tried(again, session + 1)].concat()
}

#[tokio::test]
async fn a_change_comes_once_more_by_a_new_session() {
    let mappings = mappings();
    for vendor in LOGGED_IN_TO {
        let desk = open(vendor, &mappings).await;
        let taken: &[&str] = if vendor == Vendor::Zstack { &["call", "ask"] } else { &["call"] };
        for (session, (what, refusal, steps)) in (1..).zip(every_refusal(&desk)) {
            let again = vec![given(vendor, session + 1)];
            desk.scripted.act(Act::InTurn([refusal, again, desk.taken()].concat()));
            let got = desk.change(Vendor::Series).await;
            assert_eq!((got.status, &got.json()["success"]), (200, &json!(true)), "{what}");
            assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{what}: {got:?}");
            assert_eq!(got.header("x-latimer-fault"), None, "{what}: {got:?}");
            assert_eq!(desk.told(), tried_again(steps, session, taken), "{what}");
        }
        desk.gateway.terminate().await;
    }
}

#[tokio::test]
async fn a_read_comes_once_more_by_a_new_session() {
    let mappings = mappings();
    for vendor in LOGGED_IN_TO {
        let desk = open(vendor, &mappings).await;
        for (number, Said { what, act }) in (1..).zip(forms(vendor)) {
            let what = format!("{vendor}: {what}");
            let acts = vec![act, given(vendor, number + 1), read_answer(vendor)];
            desk.scripted.act(Act::InTurn(acts));
            let got = desk.read(Vendor::Series).await;
            assert_eq!(got.status, 200, "{what}: {got:?}");
            let status = if matches!(vendor, Vendor::Arena | Vendor::Zstack) {
                "in-progress"
            } else {
                "resolved"
            };
            assert_eq!(got.json()["data"]["Ticket"]["Status"], status, "{what}: {got:?}");
            let wanted =
                [format!("call {number}"), "log in".to_owned(), format!("call {}", number + 1)];
            assert_eq!(desk.told(), wanted, "{what}");
        }
        desk.gateway.terminate().await;
    }
}

/// FACTS §1.3: the id of a job works once, so the second try has one of its own.
#[tokio::test]
async fn a_job_that_comes_once_more_has_an_id_of_its_own() {
    let desk = open(Vendor::Zstack, &mappings()).await;
    let over = forms(Vendor::Zstack).remove(0).act;
    let acts = vec![desk.accepted(), over, given(Vendor::Zstack, 2)];
    desk.scripted.act(Act::InTurn([acts, desk.taken()].concat()));
    let got = desk.change(Vendor::Series).await;
    assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{got:?}");
    let seen = desk.scripted.take_seen();
    let ids: Vec<&str> = seen.iter().filter_map(|seen| field(seen, "x-job-uuid")).collect();
    let [first, second] = ids[..] else { panic!("two tries: {seen:#?}") };
    assert_ne!(first, second);
    for id in ids {
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    }
    desk.gateway.terminate().await;
}

/// FACTS §1.5: an error may say which other one has caused it, and that one may be of another session, such as one
/// between two parts of the system.
#[tokio::test]
async fn what_an_error_was_caused_by_is_no_end_of_our_session() {
    let desk = open(Vendor::Zstack, &mappings()).await;
    let inner = json!({"code": "ID.1001", "globalErrorCode": "ORG_ZSTACK_IDENTITY_10020"});
    for causes in [json!({"cause": inner}), json!({"causes": [inner, inner]})] {
        let mut error = json!({"code": "SYS.1005", "description": "Failed to change state"});
        error.as_object_mut().unwrap().extend(causes.as_object().unwrap().clone());
        let failed = json!({ "error": error }).to_string();
        let failed = message("503 Service Unavailable", "", &failed);
        for (place, said, steps) in refusals(&desk, &failed) {
            desk.scripted.act(Act::InTurn([said, vec![given(Vendor::Zstack, 2)]].concat()));
            let got = desk.change(Vendor::Series).await;
            assert_eq!(got.header("x-latimer-fault"), Some("conflict"), "{place}: {got:?}");
            assert_eq!(desk.told(), tried(steps, 1), "{place}");
        }
    }
    desk.gateway.terminate().await;
}

/// A system that takes no session at all is asked twice, and not for ever. LANGUAGE §8: what it says of our
/// credential is not the client's business, who is told in the words of the client's own vendor that it failed.
#[tokio::test]
async fn a_second_refusal_is_the_last_one() {
    let mappings = mappings();
    for vendor in LOGGED_IN_TO {
        let desk = open(vendor, &mappings).await;
        let mut session = 1;
        for (what, refusal, steps) in every_refusal(&desk) {
            for client in Vendor::ALL {
                let what = format!("{client}'s of {what}");
                let log_in = vec![given(vendor, session + 1)];
                // What would come then is a success, so that nothing but a third try could get it.
                let acts = [refusal.clone(), log_in, refusal.clone(), desk.taken()];
                desk.scripted.act(Act::InTurn(acts.concat()));
                let got = desk.change(client).await;
                assert_eq!(got.header("x-latimer-fault"), Some("upstream_failed"), "{what}");
                assert_eq!(got.header("x-latimer-outcome"), Some("no"), "{what}: {got:?}");
                is_a_failure_of(client, &got);
                assert_eq!(desk.told(), tried_again(steps, session, steps), "{what}");
                session += 1;
            }
        }
        desk.gateway.terminate().await;
    }
}

/// A failure of the system behind, in the shape that the client's vendor has for one.
fn is_a_failure_of(client: Vendor, got: &crate::harness::Answer) {
    for said in ["Session expired", "access token", "InvalidToken", "nauthorized", "log in"] {
        assert!(!got.body.contains(said), "{said} is not the client's business: {got:?}");
    }
    let body = got.json();
    match client {
        // FACTS §2: {"status", "errors": [{"code", "message"}]}; 3000 is a system error.
        Vendor::Arena => {
            assert_eq!((got.status, &body["status"]), (502, &json!(502)), "{got:?}");
            assert_eq!(body["errors"][0]["code"], 3000, "{got:?}");
            assert!(body["errors"][0]["message"].is_string(), "{got:?}");
        }
        // FACTS §3: the code is the status.
        Vendor::Series => {
            assert_eq!((got.status, &body["success"]), (500, &json!(false)), "{got:?}");
            assert_eq!(body["error"]["code"], 500, "{got:?}");
        }
        // FACTS §4: both keys in lower case, seen with 500.
        Vendor::Akana => {
            assert_eq!(got.status, 500, "{got:?}");
            assert!(body["faultcode"].is_string() && body["faultstring"].is_string(), "{got:?}");
        }
        // FACTS §5: codes by name. Of what is no mistake of the client's no page has an example.
        Vendor::Thalamus => {
            assert_eq!(got.status, 502, "{got:?}");
            assert!(body["errors"].as_object().is_some_and(|errors| !errors.is_empty()));
        }
        // FACTS §1.5: all errors are 503; SYS.1000 is internal.
        Vendor::Zstack => {
            assert_eq!((got.status, &body["error"]["code"]), (503, &json!("SYS.1000")), "{got:?}");
            assert_eq!(got.header("content-type"), None, "their server sends none");
        }
    }
}
