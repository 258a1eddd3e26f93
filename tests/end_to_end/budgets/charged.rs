//! Every request costs a turn, not only calls: with room for as many as a call needs, the next call is refused.

use std::time::{Duration, Instant};

use latimer::sim::Vendor;
use tokio::task::JoinSet;

use super::{call, gateway, is_yes, refused};
use crate::harness::{
    ACCOUNT_PASSWORD, ACCOUNT_USER, Answer, Gateway, Home, KEY, log_ins, simulator_with_account,
};
use crate::metrics::shows;
use crate::scripted::{Act, Scripted, answer, message};
use crate::vendors::{crosswalk, fresh, ticket};

/// A Series client in front of an Arena that is logged in to.
async fn logged_in(url: &str, limit: &str, deadline: &str) -> Gateway {
    let text = format!(
        "upstreams:\n  desk:\n    vendor: arena\n    url: {url}\n    breaker: off\n    limit: {limit}\n    credential: \
         {{user: {{env: DESK_USER}}, password: {{env: DESK_PASSWORD}}}}\nroutes:\n  main:\n    client: series\n    \
         upstream: desk\n    consumers: all\n    limit: none\n    deadline: {deadline}\n    ids: {{ticket: {{file: pairs.csv}}}}\n"
    );
    let files = [("pairs.csv".to_owned(), crosswalk(Vendor::Series, Vendor::Arena, 1..=9))];
    let home = Home::new("127.0.0.1:0", "mappings", &text, &files);
    let mut command = home.command();
    command.env("DESK_USER", ACCOUNT_USER).env("DESK_PASSWORD", ACCOUNT_PASSWORD);
    Gateway::launch(&home, command).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_in_is_charged_and_nobody_waits_for_it_in_vain() {
    let tickets = [(ticket(Vendor::Arena, 1), fresh(Vendor::Arena, ""))];
    let simulator = simulator_with_account(Vendor::Arena, &tickets).await;
    let gateway = logged_in(&simulator.url(), "{rate: 4/s, wait: 5s}", "30s").await;
    let began = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..6 {
        calls.spawn(call(gateway.address.clone(), Vendor::Series, KEY));
    }
    let answers = calls.join_all().await;
    assert!(answers.iter().all(is_yes), "{answers:?}");
    assert_eq!((log_ins(&simulator), simulator.log().len()), (1, 7));
    // Seven turns, of which the first one is there at once.
    assert!(began.elapsed() >= 6 * Duration::from_millis(250), "{:?}", began.elapsed());
    gateway.stop().await;
    simulator.stop().await;
}

/// No room for a log-in is no log-in that has failed: as soon as there is room again all is well.
#[tokio::test]
async fn no_room_for_a_log_in_is_no_failure() {
    let tickets = [(ticket(Vendor::Arena, 1), fresh(Vendor::Arena, ""))];
    let simulator = simulator_with_account(Vendor::Arena, &tickets).await;
    let gateway = logged_in(&simulator.url(), "{rate: 1/h, wait: 0s}", "30s").await;
    // The log-in has had the only turn.
    for _ in 0..2 {
        let got = call(gateway.address.clone(), Vendor::Series, KEY).await;
        assert!(refused(&got, "upstream.limit") > 3_000, "{got:?}");
    }
    assert_eq!((log_ins(&simulator), simulator.log().len()), (1, 1));
    gateway.stop().await;
    simulator.stop().await;
}

/// The upstream says so of the first log-in, and the second one comes too early.
#[tokio::test]
async fn a_log_in_that_the_upstream_does_not_want_yet_is_tried_again_when_it_does() {
    let session = r#"{"arenaSessionId":"LABS-0123456789|","workspaceId":200002}"#;
    let id = ticket(Vendor::Arena, 1);
    let changed = format!(r#"{{"guid":"{id}","status":{{"guid":"x","value":"Complete"}}}}"#);
    let scripted = Scripted::start(Act::InTurn(vec![
        answer("429 Too Many Requests", "Retry-After: 3\r\n", "{}"),
        message("200 OK", "application/json", session),
        message("201 Created", "application/json", &changed),
    ]))
    .await;
    let gateway = logged_in(&scripted.url, "{rate: 100/s, wait: 5s}", "1s").await;
    let first = call(gateway.address.clone(), Vendor::Series, KEY).await;
    assert_eq!(first.header("x-latimer-fault"), Some("upstream_failed"), "{first:?}");
    // After its rest of a second. A log-in waits as long as its call has time, which is another second.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let second = call(gateway.address.clone(), Vendor::Series, KEY).await;
    refused(&second, "upstream.stop");
    assert_eq!(scripted.seen_count(), 1);
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    let third = call(gateway.address.clone(), Vendor::Series, KEY).await;
    assert!(is_yes(&third), "{third:?}");
    assert_eq!(scripted.seen_count(), 3);
    gateway.stop().await;
}

/// Room for so many requests in an hour.
fn room(requests: u32) -> String {
    format!("    limit: {{rate: 1/h, burst: {requests}, wait: 0s}}\n")
}

#[tokio::test]
async fn questions_after_a_job_are_charged() {
    let running = || message("202 Accepted", "", "{}");
    let done = r#"{"inventory":{"uuid":"e9377476db3f375bbff78dc3b9200001","status":"IntermediateApproved"}}"#;
    let scripted = Scripted::start(Act::Wait).await;
    let location = format!("{}/zstack/v1/api-jobs/1", scripted.url);
    let accepted = format!(r#"{{"location":"{location}","apiTimeout":1800000}}"#);
    let acts = vec![message("202 Accepted", "", &accepted), running(), message("200 OK", "", done)];
    scripted.act(Act::InTurn(acts));
    let gateway = gateway(Vendor::Arena, Vendor::Zstack, &scripted.url, &room(3)).await;
    let got = call(gateway.address.clone(), Vendor::Arena, KEY).await;
    assert!(is_yes(&got), "{got:?}");
    let got = call(gateway.address.clone(), Vendor::Arena, KEY).await;
    refused(&got, "upstream.limit");
    let seen = scripted.take_seen();
    assert_eq!(seen.len(), 3, "{seen:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn look_ups_are_charged() {
    let transitions = r#"{"transitions":[{"id":"31","to":{"state":"6"}}]}"#;
    let scripted = Scripted::start(Act::InTurn(vec![
        message("200 OK", "application/json", transitions),
        message("204 No Content", "", ""),
        message("500 Oops", "", ""),
    ]))
    .await;
    let text = format!(
        "upstreams:\n  desk:\n    vendor: orbit\n    url: {}/rest\n    settings: {{zone: eu, staff: 7, close_code: \
         fixed}}\n{}    credential: {{token: {{env: ARENA_TOKEN}}, user: {{env: ORBIT_USER}}}}\nroutes:\n  main:\n    \
         client: orbit\n    upstream: desk\n    consumers: [tester]\n    settings: {{zone: us, staff: 7}}\n",
        scripted.url,
        room(2)
    );
    let gateway = Gateway::start_with("tests/mappings/sixth", &text, &[]).await;
    let shown = format!("joe@x.y/token:{KEY}");
    let basic = latimer::mapping::codecs::Codec::Basic.write(&shown).unwrap();
    let headers = [("Authorization", basic.as_ref()), ("Content-Type", "application/json")];
    let body = r#"{"transition":{"state":"6"},"comments":[{"text":"done"}],"kind":"transition"}"#;
    let line = "POST /rest/v2/us/projects/acme/issues/17/transitions";
    let got: Answer = gateway.call(line, &headers, body).await;
    assert!(is_yes(&got), "{got:?}");
    let got = gateway.call(line, &headers, body).await;
    assert_eq!(got.header("x-latimer-limit"), Some("upstream.limit"), "{got:?}");
    let seen = scripted.take_seen();
    assert_eq!(seen.len(), 2, "{seen:?}");
    gateway.stop().await;
}

/// The answer of Akana leaves out what Arena's clients are told.
#[tokio::test]
async fn reads_after_a_write_are_charged_and_left_out_where_there_is_no_room() {
    let read = r#"{"Title":"x","State":"RESOLVED"}"#;
    for (requests, result) in [(2, "read"), (1, "failed")] {
        let scripted = Scripted::start(Act::InTurn(vec![
            message("200 OK", "text/plain", "RESOLVED"),
            message("200 OK", "application/json", read),
        ]))
        .await;
        let text = format!(
            "upstreams:\n{}{}routes:\n  main:\n    client: arena\n    upstream: akana\n    consumers: [tester]\n    \
             limit: none\n    enrich: on\n    ids: {{ticket: {{file: ids.csv}}}}\n",
            crate::harness::upstream(Vendor::Akana, &scripted.url),
            room(requests)
        );
        let files = [("ids.csv".to_owned(), crosswalk(Vendor::Arena, Vendor::Akana, 1..=9))];
        let gateway = Gateway::start(&text, &files).await;
        let request =
            crate::vendors::request(Vendor::Arena, &ticket(Vendor::Arena, 1), "COMPLETE", KEY);
        let headers: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let got = gateway.call(&request.line, &headers, &request.body).await;
        assert!(is_yes(&got), "the write has its yes: {got:?}");
        let seen = scripted.take_seen().len();
        assert_eq!(seen, usize::try_from(requests).unwrap(), "{got:?}");
        let series = format!("latimer_read_backs_total{{route=\"main\",result=\"{result}\"}} 1");
        shows(&gateway, &series).await;
        let got = gateway.call(&request.line, &headers, &request.body).await;
        refused(&got, "upstream.limit");
        gateway.stop().await;
    }
}

/// They go whatever the budget says, and calls wait the longer.
#[tokio::test]
async fn health_checks_are_charged() {
    let scripted = Scripted::start(message("200 OK", "", "")).await;
    let health = format!("{}    health: {{path: /up, every: 1h}}\n", room(1));
    let gateway = gateway(Vendor::Series, Vendor::Thalamus, &scripted.url, &health).await;
    let looked = async {
        while scripted.seen_count() == 0 {
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(5), looked).await.is_err() {
        panic!("no check");
    }
    let got = call(gateway.address.clone(), Vendor::Series, KEY).await;
    refused(&got, "upstream.limit");
    gateway.stop().await;
}
