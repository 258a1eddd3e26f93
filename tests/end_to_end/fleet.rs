//! Two gateways on one PostgreSQL: what one of them knows, the other one does.

mod renewal;

use std::sync::Arc;
use std::time::{Duration, Instant};

use latimer::sim::{Simulator, Vendor};
use serde_json::json;

use crate::harness::{
    ACCOUNT_PASSWORD, ACCOUNT_USER, Answer, Gateway, Home, KEY, PATIENCE, log_ins,
    simulator_with_account,
};
use crate::vendors::{crosswalk, request, ticket};

#[path = "../support/postgres.rs"]
pub(crate) mod postgres;

/// How often two gateways find out together: it goes wrong in one of the first five, where it does.
const ROUNDS: usize = 30;

/// ZStack's clients in front of an Arena that is logged in to.
struct Fleet {
    gateways: [Gateway; 2],
    arena: Simulator,
    _server: postgres::Server,
}

impl Fleet {
    async fn open() -> Self {
        let tickets: Vec<_> =
            (1..=9).map(|number| (ticket(Vendor::Arena, number), "NOT_STARTED")).collect();
        let arena = simulator_with_account(Vendor::Arena, &tickets).await;
        let started = tokio::task::spawn_blocking(|| {
            let server = postgres::Server::start();
            let state = server.database();
            (server, state)
        });
        let (server, state) = started.await.unwrap();
        let pairs = crosswalk(Vendor::Zstack, Vendor::Arena, 1..=9);
        let text = format!(
            "pepper: {{env: TEST_PEPPER}}\n\
             state: {{url: \"postgres://{}@{}:{}/{}\", password: {{env: STATE_PASSWORD}}}}\n\
             consumers:\n  tester:\n    key: {{env: TEST_KEY}}\n    \
             logins: [{{user: admin, password: {{env: ADMIN_PASSWORD}}}}]\n\
             upstreams:\n  desk:\n    vendor: arena\n    url: {}\n    breaker: off\n    \
             credential: {{user: {{env: DESK_USER}}, password: {{env: DESK_PASSWORD}}}}\n\
             routes:\n  main:\n    client: zstack\n    upstream: desk\n    consumers: all\n    async: jobs\n    \
             ids: {{ticket: {{file: pairs.csv}}}}\n",
            state.user,
            state.host,
            state.port,
            state.database,
            arena.url()
        );
        let password = state.password.as_ref().unwrap().expose().to_owned();
        let gateways = [(); 2].map(|()| {
            let files = [("pairs.csv".to_owned(), pairs.clone())];
            let home = Home::new("127.0.0.1:0", "mappings", &text, &files);
            start(home, password.clone())
        });
        let [one, other] = gateways;
        let gateways = [one.await, other.await];
        Self { gateways, arena, _server: server }
    }

    /// A change by one of the gateways, and where its outcome is, as a path.
    async fn change(&self, gateway: usize, number: usize, key: &str) -> String {
        let ticket = ticket(Vendor::Zstack, number);
        let request = request(Vendor::Zstack, &ticket, "reopen", key);
        let headers: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = self.gateways[gateway].call(&request.line, &headers, &request.body).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let place = answer.json()["location"].as_str().unwrap().to_owned();
        place.strip_prefix("http://gateway.test").unwrap().to_owned()
    }

    /// What one of the gateways says became of a call.
    async fn outcome(&self, gateway: usize, place: &str, key: &str) -> Answer {
        let authorization = format!("OAuth {key}");
        let began = Instant::now();
        loop {
            let headers = [("Authorization", authorization.as_str())];
            let answer = self.gateways[gateway].call(&format!("GET {place}"), &headers, "").await;
            if answer.status != 202 {
                return answer;
            }
            assert!(began.elapsed() < PATIENCE, "it is over in time");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn log_ins(&self) -> usize {
        log_ins(&self.arena)
    }

    async fn stop(self) {
        for gateway in self.gateways {
            gateway.terminate().await;
        }
    }
}

async fn start(home: Arc<Home>, password: String) -> Gateway {
    let mut command = home.command();
    command.env("DESK_USER", ACCOUNT_USER).env("DESK_PASSWORD", ACCOUNT_PASSWORD);
    command.env("STATE_PASSWORD", password).env("ADMIN_PASSWORD", "sha512-of-it");
    Gateway::launch(&home, command).await
}

/// With Arena a second log-in ends the first one's session: two gateways that log in by themselves would go on
/// shutting each other out.
#[tokio::test]
async fn a_fleet_has_one_session_at_an_upstream_and_one_memory_of_its_clients() {
    let fleet = Fleet::open().await;
    let places = [fleet.change(0, 1, KEY).await, fleet.change(1, 2, KEY).await];
    // Each is asked for at the other one.
    for (gateway, place) in [(1, &places[0]), (0, &places[1])] {
        let answer = fleet.outcome(gateway, place, KEY).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(fleet.log_ins(), 1, "{:#?}", fleet.arena.log());

    fleet.arena.end_sessions();
    for (gateway, number) in [(0, 3), (1, 4), (0, 5), (1, 6)] {
        let place = fleet.change(gateway, number, KEY).await;
        assert_eq!(fleet.outcome(gateway, &place, KEY).await.status, 200);
    }
    assert_eq!(fleet.log_ins(), 2, "one of them has found out, and logged in for both");

    // A client that logs in at one of them is known at the other one, and so is its log-out.
    let account = json!({"logInByAccount": {"accountName": "admin", "password": "sha512-of-it"}});
    let json = [("Content-Type", "application/json")];
    let line = "PUT /zstack/v1/accounts/login";
    let answer = fleet.gateways[0].call(line, &json, account.to_string()).await;
    let session = answer.json()["inventory"]["uuid"].as_str().unwrap().to_owned();
    let place = fleet.change(1, 7, &session).await;
    assert_eq!(fleet.outcome(0, &place, &session).await.status, 200);
    let line = format!("DELETE /v1/accounts/sessions/{session}");
    assert_eq!(fleet.gateways[0].call(&line, &[], "").await.status, 200);
    let began = Instant::now();
    loop {
        let place = fleet.change(1, 8, &session).await;
        let answer = fleet.outcome(1, &place, &session).await;
        if answer.status == 503 && answer.json()["error"]["code"] == "ID.1001" {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "it is noticed in time: {answer:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    fleet.stop().await;
}

/// One of them may look for a session just before the other one puts it, and get the right to log in just after.
#[tokio::test]
async fn gateways_that_find_out_together_log_in_once() {
    let fleet = Fleet::open().await;
    for log_ins in 1..=ROUNDS {
        let number = 1 + log_ins % 9;
        let places = tokio::join!(fleet.change(0, number, KEY), fleet.change(1, number, KEY));
        for (gateway, place) in [(0, &places.0), (1, &places.1)] {
            let answer = fleet.outcome(gateway, place, KEY).await;
            assert_eq!(answer.status, 200, "{log_ins}: {answer:?}");
        }
        assert_eq!(fleet.log_ins(), log_ins, "{:#?}", fleet.arena.log());
        fleet.arena.end_sessions();
    }
    fleet.stop().await;
}
