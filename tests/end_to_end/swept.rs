//! What the state is rid of: sessions of clients that have ended, and jobs whose time is over. The clock is turned
//! forward by turning back what the file says, while nobody has it open.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use latimer::session::hash_token;
use latimer::sim::{Simulator, Vendor};
use rusqlite::{Connection, OpenFlags, named_params};
use serde_json::json;

use crate::harness::{Answer, Gateway, Home, KEY, PATIENCE, simulator, upstream};
use crate::log_in::SHA512;
use crate::vendors::ticket;

/// ZStack's clients, whose calls are jobs and who may log in.
struct Desk {
    home: Arc<Home>,
    gateway: Gateway,
    _system: Simulator,
}

impl Desk {
    async fn open() -> Self {
        let tickets = (1..=9).map(|number| (ticket(Vendor::Thalamus, number), "open"));
        let system = simulator(Vendor::Thalamus, &tickets.collect::<Vec<_>>()).await;
        let text = format!(
            "consumers:\n  tester:\n    key: {{env: TEST_KEY}}\n    \
             logins: [{{user: admin, password: {{env: SHA512}}}}]\nupstreams:\n{}routes:\n  main:\n    \
             client: zstack\n    upstream: thalamus\n    consumers: all\n    async: jobs\n    \
             ids: {{ticket: {{file: pairs.csv}}}}\n",
            upstream(Vendor::Thalamus, &system.url())
        );
        let mut pairs = "client_id,upstream_id\n".to_owned();
        for number in 1..=9 {
            let (ours, theirs) = (ticket(Vendor::Zstack, number), ticket(Vendor::Thalamus, number));
            pairs.push_str(&format!("{ours},{theirs}\n"));
        }
        let home = Home::new("127.0.0.1:0", "mappings", &text, &[("pairs.csv".to_owned(), pairs)]);
        let gateway = start(&home).await;
        Self { home, gateway, _system: system }
    }

    /// Changes the file while the gateway is down.
    async fn down_for(self, change: impl FnOnce(&Connection)) -> Self {
        let Self { home, gateway, _system } = self;
        gateway.terminate().await;
        change(&Connection::open(file(&home)).unwrap());
        let gateway = start(&home).await;
        Self { home, gateway, _system }
    }

    async fn log_in(&self) -> String {
        let account = json!({"logInByAccount": {"accountName": "admin", "password": SHA512}});
        let json = [("Content-Type", "application/json")];
        let line = "PUT /zstack/v1/accounts/login";
        let answer = self.gateway.call(line, &json, account.to_string()).await;
        answer.json()["inventory"]["uuid"].as_str().unwrap().to_owned()
    }

    /// A change that is accepted; gives the job's id.
    async fn change(&self, number: usize, key: &str) -> String {
        let line = format!("PUT /zstack/v1/tickets/{}/actions", ticket(Vendor::Zstack, number));
        let authorization = format!("OAuth {key}");
        let headers =
            [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        let body = r#"{"changeTicketStatus":{"statusEvent":"approve"}}"#;
        let answer = self.gateway.call(&line, &headers, body).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let location = answer.json()["location"].as_str().unwrap().to_owned();
        location.rsplit_once('/').unwrap().1.to_owned()
    }

    /// What became of a job, once it is over.
    async fn outcome(&self, job: &str) -> Answer {
        let began = Instant::now();
        loop {
            let line = format!("GET /zstack/v1/api-jobs/{job}");
            let authorization = format!("OAuth {KEY}");
            let headers = [("Authorization", authorization.as_str())];
            let answer = self.gateway.call(&line, &headers, "").await;
            if answer.status != 202 {
                return answer;
            }
            assert!(began.elapsed() < PATIENCE, "it is over in time");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sessions and jobs in the file, as whoever looks into it meanwhile sees them.
    fn kept(&self) -> (i64, i64) {
        let only_read = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let beside = Connection::open_with_flags(file(&self.home), only_read).unwrap();
        let count = "SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM jobs)";
        beside.query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    }
}

async fn start(home: &Arc<Home>) -> Gateway {
    let mut command = home.command();
    command.env("SHA512", SHA512);
    Gateway::launch(home, command).await
}

fn file(home: &Home) -> PathBuf {
    home.path("latimer.sqlite")
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// The id of a job as the file has it.
fn id(job: &str) -> [u8; 16] {
    u128::from_str_radix(job, 16).unwrap().to_be_bytes()
}

fn end_job(file: &Connection, job: &str) {
    let ended = "UPDATE jobs SET expires = :now WHERE id = :id";
    let changed = file.execute(ended, named_params! {":now": now(), ":id": id(job)}).unwrap();
    assert_eq!(changed, 1);
}

/// FACTS §1.4: finished jobs are kept for 10,800 s, and one that is gone is a 404 in plain text.
#[tokio::test]
async fn a_job_is_there_for_three_hours_and_then_it_has_been_expired() {
    let desk = Desk::open().await;
    let job = desk.change(1, KEY).await;
    assert_eq!(desk.outcome(&job).await.status, 200);
    let kept = |file: &Connection| {
        let end = "SELECT expires FROM jobs WHERE id = :id";
        let end: i64 =
            file.query_row(end, named_params! {":id": id(&job)}, |row| row.get(0)).unwrap();
        let left = end - now();
        assert!((10_740_000..=10_800_000).contains(&left), "{left} ms of three hours");
    };
    let desk = desk.down_for(kept).await;
    assert_eq!(desk.outcome(&job).await.status, 200);
    let desk = desk.down_for(|file| end_job(file, &job)).await;
    let gone = desk.outcome(&job).await;
    assert_eq!((gone.status, gone.body.as_str()), (404, "the job has been expired"), "{gone:?}");
    assert_eq!(gone.header("content-type"), None, "their server sends none");
    desk.gateway.terminate().await;
}

#[tokio::test]
async fn what_has_ended_is_taken_away_and_nothing_else() {
    let desk = Desk::open().await;
    let (over, holds) = (desk.log_in().await, desk.log_in().await);
    let (old, job) = (desk.change(1, KEY).await, desk.change(2, KEY).await);
    for job in [&old, &job] {
        assert_eq!(desk.outcome(job).await.status, 200);
    }
    assert_eq!(desk.kept(), (2, 2));
    let end = |file: &Connection| {
        end_job(file, &old);
        let ended = "UPDATE sessions SET expires = :now WHERE token = :token";
        let token = hash_token(&over);
        let changed = file.execute(ended, named_params! {":now": now(), ":token": token}).unwrap();
        assert_eq!(changed, 1);
    };
    let desk = desk.down_for(end).await;
    assert_eq!(desk.kept(), (2, 2), "nobody has looked yet");
    let began = Instant::now();
    while desk.kept() != (1, 1) {
        assert!(began.elapsed() < PATIENCE, "it is taken away in time: {:?}", desk.kept());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(desk.outcome(&job).await.status, 200);
    let by_session = desk.change(3, &holds).await;
    assert_eq!(desk.outcome(&by_session).await.status, 200);
    desk.gateway.terminate().await;
}
