//! Sessions that the gateway has at its upstreams: one log-in for all calls, a new one when it is over, and no
//! more than that.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use latimer::sim::{Fault, FaultSwitch, Simulator, Vendor};
use tokio::process::Command;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::harness::{
    ACCOUNT_PASSWORD, ACCOUNT_USER, Answer, Gateway, Home, KEY, log_ins, simulator_with_account,
};
use crate::vendors::{crosswalk, fresh, reading, request, ticket, told};

/// Vendors that are logged in to.
const LOGGED_IN_TO: [Vendor; 4] = [Vendor::Arena, Vendor::Akana, Vendor::Thalamus, Vendor::Zstack];

/// Calls at once, where there are many.
const CALLS: usize = 1_000;
/// Tickets that a desk has: each is changed once.
const TICKETS: usize = 2 * CALLS;
/// Files that this process and the gateway need then, each: a socket for both ends of a call, and what other tests
/// have open.
const FILES: u64 = 4_096;
/// How late the upstream tells of a session that is over, so that all of the calls have been sent by then.
const LATENCY: Duration = Duration::from_secs(2);

struct Desk {
    upstream: Vendor,
    simulator: Simulator,
    gateway: Gateway,
}

impl Desk {
    /// A Series client in front of a system that is logged in to with this password. A thousand connections at once
    /// may have to be asked for again, a second or three later, where the machine is slow to take them.
    async fn open(upstream: Vendor, password: &str, consumers: &str) -> Self {
        let tickets: Vec<_> =
            (1..=TICKETS).map(|number| (ticket(upstream, number), fresh(upstream, ""))).collect();
        let simulator = simulator_with_account(upstream, &tickets).await;
        let settings = match upstream {
            Vendor::Akana => "{tenant: acmepaymentscorp}",
            Vendor::Thalamus => "{touchpoint: web, session_cookie: JSESSIONID, log_in_path: login}",
            _ => "{}",
        };
        // Thalamus wants its API's own token beside the operator's session.
        let token = match upstream {
            Vendor::Thalamus => "token: {env: DESK_TOKEN}, ",
            _ => "",
        };
        let text = format!(
            "{consumers}upstreams:\n  desk:\n    vendor: {upstream}\n    url: {}\n    settings: {settings}\n    \
             breaker: off\n    connect_timeout: 30s\n    \
             credential: {{{token}user: {{env: DESK_USER}}, password: {{env: DESK_PASSWORD}}}}\n\
             routes:\n  main:\n    client: series\n    upstream: desk\n    consumers: all\n    limit: none\n    \
             deadline: 60s\n    ids: {{ticket: {{file: pairs.csv}}}}\n",
            simulator.url()
        );
        let pairs = crosswalk(Vendor::Series, upstream, 1..=TICKETS);
        let files = [("pairs.csv".to_owned(), pairs)];
        let home = Home::new("127.0.0.1:0", "mappings", &text, &files);
        let mut command = home.command();
        command.env("DESK_USER", ACCOUNT_USER).env("DESK_PASSWORD", password);
        command.env("DESK_TOKEN", upstream.default_token());
        let gateway = Gateway::launch(&home, command).await;
        Self { upstream, simulator, gateway }
    }

    async fn change(&self, number: usize, key: &str) -> Answer {
        change(&self.gateway, number, key).await
    }

    fn log_ins(&self) -> usize {
        log_ins(&self.simulator)
    }

    /// Changes that have been sent to it, refused ones too.
    fn changes(&self) -> usize {
        let log = self.simulator.log();
        log.iter().filter(|seen| seen.method != "GET").count() - self.log_ins()
    }

    async fn stop(self) {
        let log = self.gateway.terminate().await;
        for secret in [ACCOUNT_USER, ACCOUNT_PASSWORD, "LABS-", "TokenID"] {
            assert!(!log.iter().any(|line| line.contains(secret)), "{secret} is logged: {log:#?}");
        }
    }
}

/// A word that each of the vendors can be told of a fresh ticket.
async fn change(gateway: &Gateway, number: usize, key: &str) -> Answer {
    let ticket = ticket(Vendor::Series, number);
    let request = request(Vendor::Series, &ticket, "resolved", key);
    let headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    gateway.call(&request.line, &headers, &request.body).await
}

#[tokio::test]
async fn all_calls_have_one_session() {
    for upstream in LOGGED_IN_TO {
        assert!(told(upstream, "resolved").is_some());
        let desk = Arc::new(Desk::open(upstream, ACCOUNT_PASSWORD, "").await);
        let mut calls = JoinSet::new();
        for number in 1..=10 {
            let desk = Arc::clone(&desk);
            calls.spawn(async move { desk.change(number, KEY).await });
        }
        for answer in calls.join_all().await {
            assert_eq!(answer.status, 200, "{upstream}: {answer:?}");
        }
        assert_eq!(desk.log_ins(), 1, "{upstream}: {:#?}", desk.simulator.log());
        let desk = Arc::into_inner(desk).unwrap();
        desk.stop().await;
    }
}

/// Lets this process have so many files open, and the gateways that it starts; the usual limit is lower than what
/// the system allows.
async fn room_for_sockets() {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let limit = files.split_whitespace().next().unwrap();
    if limit.parse().is_ok_and(|limit: u64| limit < FILES) {
        let (process, files) =
            (format!("--pid={}", std::process::id()), format!("--nofile={FILES}:"));
        let raised = Command::new("prlimit").args([process, files]).status().await;
        assert!(
            raised.is_ok_and(|ended| ended.success()),
            "{FILES} files must be allowed (ulimit -Hn)"
        );
    }
}

/// Changes these tickets at once, each on a connection of its own.
async fn change_all(desk: &Arc<Desk>, numbers: Range<usize>) {
    let start = Arc::new(Barrier::new(numbers.len()));
    let mut calls = JoinSet::new();
    for number in numbers {
        let (desk, start) = (Arc::clone(desk), Arc::clone(&start));
        calls.spawn(async move {
            start.wait().await;
            desk.change(number, KEY).await
        });
    }
    for answer in calls.join_all().await {
        assert_eq!(answer.status, 200, "{}: {answer:?}", desk.upstream);
        assert_eq!(answer.header("x-latimer-outcome"), Some("yes"), "{}", desk.upstream);
    }
}

/// First there is no session, then all of the calls find out that theirs is over.
#[tokio::test]
async fn a_thousand_calls_make_one_log_in() {
    room_for_sockets().await;
    for upstream in LOGGED_IN_TO {
        let desk = Arc::new(Desk::open(upstream, ACCOUNT_PASSWORD, "").await);
        change_all(&desk, 1..CALLS + 1).await;
        assert_eq!((desk.log_ins(), desk.changes()), (1, CALLS), "{upstream}");

        desk.simulator.clear_log();
        desk.simulator.end_sessions();
        // ZStack says so on the poll, which is late enough.
        let late = FaultSwitch::always(Fault::Latency(LATENCY));
        desk.simulator.set_faults(if upstream == Vendor::Zstack { vec![] } else { vec![late] });
        let sent = async {
            while desk.changes() < CALLS {
                sleep(Duration::from_millis(50)).await;
            }
            desk.simulator.set_faults(Vec::new());
        };
        tokio::join!(change_all(&desk, CALLS + 1..TICKETS + 1), sent);
        let refused = desk.changes() - CALLS;
        assert_eq!(desk.log_ins(), 1, "{upstream}: for {refused} calls that were refused");
        // All of them, unless the machine is so slow that many have not left before the first answer.
        assert!(refused > CALLS / 10, "{upstream}: {refused} have met a session that is over");
        let desk = Arc::into_inner(desk).unwrap();
        desk.stop().await;
    }
}

/// The system was restarted, or somebody else logged in: the call that finds out is sent again, once.
#[tokio::test]
async fn a_session_that_is_over_is_followed_by_another_one() {
    for upstream in LOGGED_IN_TO {
        let desk = Desk::open(upstream, ACCOUNT_PASSWORD, "").await;
        assert_eq!(desk.change(1, KEY).await.status, 200, "{upstream}");
        desk.simulator.end_sessions();
        let answer = desk.change(2, KEY).await;
        assert_eq!(answer.status, 200, "{upstream}: {answer:?}");
        assert_eq!(answer.header("x-latimer-outcome"), Some("yes"));
        assert_eq!(desk.log_ins(), 2, "{upstream}");
        let (wire, _) = told(upstream, "resolved").unwrap();
        let changed = |seen: &&latimer::sim::Seen| {
            let of_ticket = seen.target.contains(&ticket(upstream, 2))
                || seen.body.contains(&ticket(upstream, 2));
            of_ticket && seen.body.contains(wire)
        };
        let log = desk.simulator.log();
        assert_eq!(log.iter().filter(changed).count(), 2, "{upstream}: refused, and taken");
        assert_eq!(desk.change(3, KEY).await.status, 200, "{upstream}");
        assert_eq!(desk.log_ins(), 2, "{upstream}");
        desk.stop().await;
    }
}

#[tokio::test]
async fn a_password_that_is_refused_is_not_tried_with_every_call() {
    for upstream in LOGGED_IN_TO {
        let desk = Desk::open(upstream, "another", "").await;
        for number in 1..=10 {
            let answer = desk.change(number, KEY).await;
            // LANGUAGE §8: what the upstream says of our credential is not the client's business.
            assert_eq!(answer.status, 500, "{upstream}: {answer:?}");
            assert_eq!(answer.header("x-latimer-fault"), Some("upstream_failed"));
            assert_eq!(answer.header("x-latimer-outcome"), Some("no"));
        }
        assert!((1..=3).contains(&desk.log_ins()), "{upstream}: {} log-ins", desk.log_ins());
        assert_eq!(desk.simulator.log().len(), desk.log_ins(), "{upstream}: nothing else was sent");
        desk.gateway.until_logged("cannot log in: the log-in was answered").await;
        desk.stop().await;
    }
}

/// A consumer's own credential goes in place of the upstream's, and each has a session of its own.
#[tokio::test]
async fn a_consumer_has_its_own_credential_and_its_own_session() {
    let consumers = "consumers:\n  tester: {key: {env: TEST_KEY}}\n  other:\n    key: {env: OTHER_KEY}\n    \
                     credential: {token: {env: ARENA_TOKEN}}\n";
    let desk = Desk::open(Vendor::Arena, ACCOUNT_PASSWORD, consumers).await;
    assert_eq!(desk.change(1, "another-key").await.status, 200);
    assert_eq!(desk.log_ins(), 0, "its token was given by hand");
    let seen = desk.simulator.log();
    let shown = seen[0].headers.iter().find(|(name, _)| name == "arena_session_id").unwrap();
    assert_eq!(shown.1, Vendor::Arena.default_token());
    assert_eq!(desk.change(2, KEY).await.status, 200);
    assert_eq!(desk.log_ins(), 1);
    assert_eq!(desk.upstream, Vendor::Arena);
    desk.stop().await;
}

/// One account that is named twice: with Arena a second log-in would end the first one's session, and so on.
#[tokio::test]
async fn who_logs_in_alike_has_the_same_session() {
    let consumers = "consumers:\n  tester: {key: {env: TEST_KEY}}\n  other:\n    key: {env: OTHER_KEY}\n    \
                     credential: {user: {env: DESK_USER}, password: {env: DESK_PASSWORD}}\n";
    let desk = Desk::open(Vendor::Arena, ACCOUNT_PASSWORD, consumers).await;
    for (number, key) in [(1, KEY), (2, "another-key"), (3, KEY), (4, "another-key")] {
        assert_eq!(desk.change(number, key).await.status, 200, "{key}");
    }
    assert_eq!((desk.log_ins(), desk.changes()), (1, 4), "{:#?}", desk.simulator.log());
    desk.stop().await;

    // Who only says that it is that account has nothing of the session.
    let desk = Desk::open(
        Vendor::Arena,
        ACCOUNT_PASSWORD,
        &consumers.replace("DESK_PASSWORD", "OTHER_KEY"),
    )
    .await;
    assert_eq!(desk.change(1, KEY).await.status, 200);
    let answer = desk.change(2, "another-key").await;
    assert_eq!(answer.header("x-latimer-fault"), Some("upstream_failed"), "{answer:?}");
    assert_eq!(desk.change(3, KEY).await.status, 200);
    assert_eq!((desk.log_ins(), desk.changes()), (2, 2), "{:#?}", desk.simulator.log());
    desk.stop().await;
}

/// The password is for the log-in alone, also where a vendor would take it with every call.
#[tokio::test]
async fn a_session_is_shown_in_place_of_the_password() {
    let desk = Desk::open(Vendor::Thalamus, ACCOUNT_PASSWORD, "").await;
    assert_eq!(desk.change(1, KEY).await.status, 200);
    let log = desk.simulator.log();
    let [log_in, change] = &log[..] else { panic!("{log:#?}") };
    assert!(log_in.body.contains(ACCOUNT_PASSWORD));
    let header = |name: &str| change.headers.iter().find(|(known, _)| known == name);
    assert!(header("authorization").is_none(), "{change:#?}");
    assert!(header("cookie").is_some_and(|(_, value)| value.starts_with("JSESSIONID=")));
    assert_eq!(
        header("thalamus-token").map(|(_, value)| value.as_str()),
        Some(Vendor::Thalamus.default_token()).as_deref()
    );
    desk.stop().await;
}

/// What is read at once is refused at once, also by a system whose changes are jobs.
#[tokio::test]
async fn a_read_is_made_again_where_the_session_is_over() {
    for upstream in LOGGED_IN_TO {
        let desk = Desk::open(upstream, ACCOUNT_PASSWORD, "").await;
        let id = ticket(Vendor::Series, 1);
        let reading = reading(Vendor::Series, &id, KEY);
        let headers: Vec<(&str, &str)> =
            reading.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for log_ins in 1..=3 {
            let got = desk.gateway.call(&reading.line, &headers, "").await;
            assert_eq!(got.status, 200, "{upstream}: {got:?}");
            assert_eq!(got.json()["data"]["Ticket"]["TicketId"], id.as_str(), "{upstream}");
            assert_eq!(desk.log_ins(), log_ins, "{upstream}");
            desk.simulator.end_sessions();
        }
        desk.stop().await;
    }
}
