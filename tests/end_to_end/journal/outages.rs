//! A journal that cannot be written, and what is found out of changes that were left open.

use std::sync::Arc;
use std::time::{Duration, Instant};

use latimer::config::PostgresConfig;
use latimer::sim::Vendor;
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{CLIENTS, Stage, export, gone, send, until_sent, until_settled, yes};
use crate::enrich::akanas;
use crate::fleet::postgres::Server;
use crate::harness::{Gateway, Home, PATIENCE, upstream};
use crate::scripted::{Act, Scripted, message};
use crate::vendors::{crosswalk, ticket};

/// Another program keeps the file locked: nothing is sent, and the client may come again.
#[tokio::test]
async fn a_change_that_cannot_be_written_down_is_not_sent() {
    let stage = Stage::open(Vendor::Series, "journal: full\n", "").await;
    stage.scripted.act(yes());
    let beside = Connection::open(stage.home.path("latimer.sqlite")).unwrap();
    beside.execute_batch("BEGIN IMMEDIATE").unwrap();
    let got = send(&stage.gateway, Vendor::Series, "resolved").await;
    assert_eq!(got.header("x-latimer-fault"), Some("overloaded"), "{got:?}");
    assert_eq!(got.header("x-latimer-outcome"), Some("no"), "{got:?}");
    assert!(got.header("retry-after").is_some(), "{got:?}");
    assert_eq!(stage.scripted.seen_count(), 0, "nothing is sent");
    stage.gateway.until_logged("changes cannot be written down").await;
    beside.execute_batch("ROLLBACK").unwrap();
    let got = send(&stage.gateway, Vendor::Series, "resolved").await;
    assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{got:?}");
    let records = until_settled(&stage.home).await;
    assert_eq!(records.len(), 1, "what was refused is no change: {records:#?}");
    stage.gateway.terminate().await;
}

/// A call has its own time for it. Its intent may be kept after that, and then it is no change either.
#[tokio::test]
async fn a_change_that_is_not_written_down_in_time_is_not_sent() {
    let stage = Stage::open(Vendor::Series, "journal: full\n", "    deadline: 300ms\n").await;
    stage.scripted.act(yes());
    let beside = Connection::open(stage.home.path("latimer.sqlite")).unwrap();
    beside.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = Instant::now();
    let got = send(&stage.gateway, Vendor::Series, "resolved").await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(got.header("x-latimer-fault"), Some("overloaded"), "{got:?}");
    beside.execute_batch("ROLLBACK").unwrap();
    stage.gateway.terminate().await;
    assert_eq!(stage.scripted.seen_count(), 0, "nothing is sent");
    let records = export(&stage.home, &[]).await;
    assert_eq!(records.len(), 1, "{records:#?}");
    assert_eq!((&records[0]["outcome"], &records[0]["by"]), (&json!("no"), &json!("given_up")));
}

/// What came of a call is written down late rather than not at all.
#[tokio::test]
async fn an_outcome_waits_for_a_state_that_is_away() {
    let stage = Stage::open(Vendor::Series, "journal: full\n", "").await;
    let told = Arc::new(tokio::sync::Notify::new());
    let Act::Say(bytes) = yes() else { unreachable!() };
    stage.scripted.act(Act::Hold(Arc::clone(&told), bytes));
    let beside = Connection::open(stage.home.path("latimer.sqlite")).unwrap();
    let (got, ()) = tokio::join!(send(&stage.gateway, Vendor::Series, "resolved"), async {
        until_sent(&stage.scripted).await;
        beside.execute_batch("BEGIN IMMEDIATE").unwrap();
        told.notify_one();
    });
    assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "its client does not wait: {got:?}");
    stage.gateway.until_logged("changes cannot be written down").await;
    assert_eq!(export(&stage.home, &[]).await[0]["outcome"], "open");
    beside.execute_batch("ROLLBACK").unwrap();
    let records = until_settled(&stage.home).await;
    assert_eq!((&records[0]["outcome"], &records[0]["by"]), (&json!("yes"), &json!("answered")));
    stage.gateway.terminate().await;
}

/// A gateway is killed while the upstream has its call; the one after it reads the ticket.
#[tokio::test]
async fn a_change_that_was_left_open_is_settled_by_its_ticket() {
    let page = || message("503 Service Unavailable", "text/html", "<html>");
    let state = |word: &str| akanas(&format!(r#""State":"{word}""#));
    let refused = r#"{"faultcode":"Client","faultstring":"Not Authorized"}"#;
    let refused = message("401 Unauthorized", "application/json", refused);
    let yes = |(client, wire)| {
        let reads = vec![state("RESOLVED")];
        ((client, wire), reads, ["yes", "resolved", ""])
    };
    let series = (Vendor::Series, "resolved");
    let others = [
        (series, vec![state("CLOSED")], ["unknown", "closed", "another_status"]),
        (series, vec![gone()], ["unknown", "", "not_found"]),
        (series, vec![refused], ["unknown", "", "credential_refused"]),
        // It is away at first, and then it is not.
        (series, vec![page(), Act::Reset, state("RESOLVED")], ["yes", "resolved", ""]),
    ];
    let mut cases = JoinSet::new();
    for ((client, wire), reads, wanted) in CLIENTS.into_iter().map(yes).chain(others) {
        cases.spawn(async move {
            let record = left_open(client, wire, reads, |text| text).await;
            let told = ["outcome", "read", "why"];
            let told = told.map(|key| record[key].as_str().unwrap_or_default().to_owned());
            assert_eq!(told, wanted, "{client}: {record}");
            assert_eq!(record["by"], "recovered", "{client}: {record}");
        });
    }
    cases.join_all().await;
}

/// What is gone from the configuration is not guessed at.
#[tokio::test]
async fn a_change_of_a_route_that_is_no_more_is_in_doubt() {
    for (change, why) in [
        (["  main:", "  another:"], "route_gone"),
        (["  akana:", "  elsewhere:"], "upstream_changed"),
        (["deadline: 2s", "read_back: off"], "nothing_to_read"),
    ] {
        let [old, new] = change;
        let record = left_open(Vendor::Series, "resolved", vec![yes()], |text| {
            assert!(text.contains(old), "{text}");
            text.replace(old, new).replace(
                "upstream: akana\n",
                match why {
                    "upstream_changed" => "upstream: elsewhere\n",
                    _ => "upstream: akana\n",
                },
            )
        });
        let record = record.await;
        assert_eq!(
            (&record["outcome"], &record["why"]),
            (&json!("unknown"), &json!(why)),
            "{record}"
        );
    }
}

/// Kills a gateway whose upstream does not answer, starts another one that may have another configuration, and gives
/// the record once it is settled; the upstream's answers are to what that one asks.
async fn left_open(
    client: Vendor,
    wire: &str,
    reads: Vec<Act>,
    change: impl FnOnce(String) -> String,
) -> Value {
    // Long enough for a machine that does much else, and no longer: the change is looked into after it.
    let stage = Stage::open(client, "journal: full\n", "    deadline: 2s\n").await;
    let Stage { scripted, home, gateway, .. } = stage;
    // The reset is answered by a read, which waits: by then nobody has said anything of the change.
    scripted.act(Act::InTurn(vec![Act::Reset, Act::Wait]));
    tokio::select! {
        () = until_sent(&scripted) => {}
        got = send(&gateway, client, wire) => panic!("nobody answers: {got:?}"),
    }
    gateway.stop().await;
    scripted.act(Act::InTurn(reads));
    let path = home.path("latimer.yaml");
    let text = change(std::fs::read_to_string(&path).unwrap());
    std::fs::write(&path, text).unwrap();
    let gateway = Gateway::launch(&home, home.command()).await;
    let mut records = until_settled(&home).await;
    assert_eq!(records.len(), 1, "{records:#?}");
    gateway.terminate().await;
    records.remove(0)
}

/// Two gateways on one PostgreSQL: one is killed, and the other one finds out what came of its change. While the
/// server is away nothing is sent.
#[test]
fn another_gateway_finds_out_what_one_has_left_open() {
    // It ends with the thread that has started it.
    let mut server = Server::start_own();
    let state = server.database();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (scripted, other) = runtime.block_on(left_to_another(&state));
    server.stop();
    scripted.take_seen();
    scripted.act(yes());
    runtime.block_on(async {
        let got = send(&other, Vendor::Series, "resolved").await;
        assert_eq!(got.header("x-latimer-fault"), Some("overloaded"), "{got:?}");
        assert_eq!(scripted.seen_count(), 0, "nothing is sent");
    });
    server.start_again();
    runtime.block_on(async {
        let began = Instant::now();
        while send(&other, Vendor::Series, "resolved").await.status != 200 {
            assert!(began.elapsed() < PATIENCE, "it is written down again in time");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        other.terminate().await;
    });
}

/// Kills one of two gateways while its upstream has a call, and gives the other one once that is settled.
async fn left_to_another(state: &PostgresConfig) -> (Scripted, Gateway) {
    let scripted = Scripted::start(Act::InTurn(vec![Act::Reset, Act::Wait])).await;
    let text = format!(
        "state: {{url: \"postgres://{}@{}:{}/{}\", password: {{env: STATE_PASSWORD}}}}\njournal: full\n\
         upstreams:\n{}routes:\n  main:\n    client: series\n    upstream: akana\n    consumers: [tester]\n    \
         deadline: 2s\n    ids: {{ticket: {{file: ids.csv}}}}\n",
        state.user,
        state.host,
        state.port,
        state.database,
        upstream(Vendor::Akana, &scripted.url)
    );
    let password = state.password.as_ref().unwrap().expose().to_owned();
    let files = [("ids.csv".to_owned(), crosswalk(Vendor::Series, Vendor::Akana, [1]))];
    let homes = [(); 2].map(|()| Home::new("127.0.0.1:0", "mappings", &text, &files));
    let [one, other] = [0, 1].map(|index: usize| {
        let mut command = homes[index].command();
        command.env("STATE_PASSWORD", &password);
        Gateway::launch(&homes[index], command)
    });
    let (one, other) = (one.await, other.await);
    tokio::select! {
        () = until_sent(&scripted) => {}
        got = send(&one, Vendor::Series, "resolved") => panic!("nobody answers: {got:?}"),
    }
    one.stop().await;
    scripted.act(akanas(r#""State":"RESOLVED""#));
    let began = Instant::now();
    let record = loop {
        let mut command = homes[1].command_for(&["journal", "find", "--json"]);
        command.args(["--ticket", &ticket(Vendor::Series, 1)]).env("STATE_PASSWORD", &password);
        let done = command.output().await.unwrap();
        let record: Value =
            serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{done:?}"));
        if record["outcome"] != "open" {
            break record;
        }
        assert!(began.elapsed() < 2 * PATIENCE, "it is settled in time: {record}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(
        (&record["outcome"], &record["by"]),
        (&json!("yes"), &json!("recovered")),
        "{record}"
    );
    (scripted, other)
}
