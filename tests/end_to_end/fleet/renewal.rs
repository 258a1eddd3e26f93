//! A session that several gateways share is renewed by one of them. The clock is turned forward by turning back what
//! the database says, while no gateway runs that would know better.

use std::sync::Arc;

use latimer::config::PostgresConfig;
use latimer::sim::{Account, Options, Seen, Simulator, Vendor, serve};
use tokio::net::TcpListener;

use super::postgres;
use crate::harness::ACCOUNT_PASSWORD;
use crate::harness::{Gateway, Home, KEY};
use crate::vendors::{request, ticket};

/// An Akana that is logged in to, and the two homes of gateways in front of it.
struct Two {
    akana: Simulator,
    homes: [Arc<Home>; 2],
    at: PostgresConfig,
    _server: postgres::Server,
}

impl Two {
    async fn new() -> Self {
        let account = Account {
            user: "latimer@example.com".to_owned(),
            password: ACCOUNT_PASSWORD.to_owned(),
            session: None,
        };
        let tickets = (1..=9).map(|number| format!("{}=OPEN", ticket(Vendor::Akana, number)));
        let options = Options {
            account: Some(account),
            tickets: tickets.map(|seed| seed.parse().unwrap()).collect(),
            ..Options::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let akana = serve(Vendor::Akana, listener, options).unwrap();
        let started = tokio::task::spawn_blocking(|| {
            let server = postgres::Server::start();
            let at = server.database();
            (server, at)
        });
        let (server, at) = started.await.unwrap();
        let text = format!(
            "pepper: {{env: TEST_PEPPER}}\n\
             state: {{url: \"postgres://{}@{}:{}/{}\", password: {{env: STATE_PASSWORD}}}}\n\
             upstreams:\n  desk:\n    vendor: akana\n    url: {}\n    breaker: off\n    \
             settings: {{tenant: acmepaymentscorp}}\n    \
             credential: {{user: {{env: DESK_USER}}, password: {{env: DESK_PASSWORD}}}}\n\
             routes:\n  main:\n    client: series\n    upstream: desk\n    consumers: all\n    \
             ids: {{ticket: {{file: pairs.csv}}}}\n",
            at.user,
            at.host,
            at.port,
            at.database,
            akana.url()
        );
        let mut pairs = "client_id,upstream_id\n".to_owned();
        for number in 1..=9 {
            let (ours, theirs) = (ticket(Vendor::Series, number), ticket(Vendor::Akana, number));
            pairs.push_str(&format!("{ours},{theirs}\n"));
        }
        let homes = [(); 2].map(|()| {
            let files = [("pairs.csv".to_owned(), pairs.clone())];
            Home::new("127.0.0.1:0", "mappings", &text, &files)
        });
        Self { akana, homes, at, _server: server }
    }

    async fn start(&self, which: usize) -> Gateway {
        let password = self.at.password.as_ref().unwrap().expose().to_owned();
        super::start(Arc::clone(&self.homes[which]), password).await
    }

    /// So many minutes go by.
    async fn minutes_go_by(&self, minutes: u32) {
        let at = self.at.clone();
        let back = format!("UPDATE upstream_sessions SET expires = expires - {minutes} * 60000");
        let done = tokio::task::spawn_blocking(move || {
            postgres::Beside::connect(&at).execute(&back);
        });
        done.await.unwrap();
    }

    /// What Akana was told since this was last asked: the end of the path, and the cookie that was shown.
    fn told(&self) -> Vec<(String, Option<String>)> {
        let log = self.akana.log();
        self.akana.clear_log();
        let told = |seen: &Seen| {
            assert_eq!(seen.status, Some(200), "{seen:#?}");
            let end = seen.target.rsplit('/').next().unwrap().to_owned();
            (end, seen.header("cookie").map(str::to_owned))
        };
        log.iter().map(told).collect()
    }
}

async fn change(gateway: &Gateway, number: usize) {
    let ticket = ticket(Vendor::Series, number);
    let request = request(Vendor::Series, &ticket, "resolved", KEY);
    let headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = gateway.call(&request.line, &headers, &request.body).await;
    assert_eq!(answer.header("x-latimer-outcome"), Some("yes"), "{answer:?}");
}

/// FACTS §4: thirty minutes, and `renewToken` while they last.
#[tokio::test]
async fn a_session_of_a_fleet_is_renewed_by_one_for_all() {
    let two = Two::new().await;
    let gateway = two.start(0).await;
    change(&gateway, 1).await;
    let told = two.told();
    let [(log_in, None), (actions, Some(first))] = &told[..] else { panic!("{told:#?}") };
    assert_eq!((log_in.as_str(), actions.as_str()), ("login", "actions"));
    gateway.terminate().await;

    // Twenty-six of thirty minutes: it is as good as new.
    two.minutes_go_by(26).await;
    let gateway = two.start(0).await;
    for number in [2, 3] {
        change(&gateway, number).await;
        assert_eq!(two.told(), [("actions".to_owned(), Some(first.clone()))]);
    }
    gateway.terminate().await;

    // Twenty-eight: more than nine tenths. Whoever finds it has a look first, and renews it then.
    two.minutes_go_by(2).await;
    let gateway = two.start(0).await;
    change(&gateway, 4).await;
    change(&gateway, 5).await;
    let told = two.told();
    let [.., (renewal, Some(shown)), (_, Some(second))] = &told[..] else { panic!("{told:#?}") };
    assert_eq!((renewal.as_str(), shown), ("renewToken", first), "{told:#?}");
    assert_ne!(second, first);
    let all = told.iter().map(|(end, _)| end.as_str()).collect::<Vec<_>>();
    assert!(!all.contains(&"login"), "{all:?}");

    // The other one has it from the database, and so does this one as it goes on.
    let other = two.start(1).await;
    for (gateway, number) in [(&other, 6), (&gateway, 7), (&other, 8)] {
        change(gateway, number).await;
        assert_eq!(two.told(), [("actions".to_owned(), Some(second.clone()))]);
    }
    gateway.terminate().await;
    other.terminate().await;
}
