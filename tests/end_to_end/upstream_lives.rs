//! How long sessions at upstreams last: one is renewed, or made anew, before its end, and one that slides lives as
//! long as it is used. The mappings are the shipped ones with shorter lives.

use std::time::Duration;

use latimer::sim::{Account, Options, Simulator, Vendor, serve};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use crate::edited::Edited;
use crate::harness::Gateway;
use crate::logged_in::{Desk, PASSWORD, USER, gateway, given, read, read_answer};
use crate::scripted::{Act, message};
use crate::vendors::{fresh, ticket};

/// An Akana whose sessions live so short, and yet so long that there is a second between the time for a renewal, after
/// nine tenths, and the time from which it would be too late, a second before the end.
struct Akana(Desk);

const RENEWED: Duration = Duration::from_secs(20);

impl Akana {
    /// One whose first session has been given a moment ago.
    async fn open() -> Self {
        let mappings = Edited::new(&[("akana", "lives: 30m fixed", "lives: 20s fixed")]);
        let akana = Self(Desk::open(Vendor::Akana, &mappings).await);
        let told = akana.read(vec![given(Vendor::Akana, 1), read_answer(Vendor::Akana)]).await;
        assert_eq!(told, ["log in", "call 1"]);
        akana
    }

    /// A read that goes well; gives what the system was told.
    async fn read(&self, acts: Vec<Act>) -> Vec<String> {
        self.0.scripted.act(Act::InTurn(acts));
        let got = self.0.read(Vendor::Series).await;
        assert_eq!(got.status, 200, "{got:?}");
        assert_eq!(got.json()["data"]["Ticket"]["Status"], "resolved", "{got:?}");
        self.0.told()
    }

    /// Waits until nine tenths of the first session's life are over.
    async fn until_due(&self) {
        sleep(RENEWED * 9 / 10 + Duration::from_millis(50)).await;
    }
}

/// FACTS §4: `renewToken` while the session is still valid, with its cookie and no body; the answer has the next
/// cookies.
#[tokio::test]
async fn akanas_session_is_renewed_before_its_end() {
    let akana = Akana::open().await;
    let read_answer = || read_answer(Vendor::Akana);
    assert_eq!(akana.read(vec![read_answer()]).await, ["call 1"], "it is not due");
    akana.until_due().await;
    let desk = &akana.0;
    desk.scripted.act(Act::InTurn([vec![given(Vendor::Akana, 2)], desk.taken()].concat()));
    let got = desk.change(Vendor::Series).await;
    assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{got:?}");
    let seen = desk.scripted.take_seen();
    assert!(seen[0].starts_with("POST /api/login/renewToken HTTP/1.1\r\n"), "{seen:#?}");
    assert!(seen[0].ends_with("\r\n\r\n"), "it has no body: {seen:#?}");
    let told: Vec<String> = seen.iter().map(|seen| desk.in_short(seen)).collect();
    assert_eq!(told, ["renew 1", "call 2"]);
    assert_eq!(akana.read(vec![read_answer()]).await, ["call 2"], "nobody logs in again");
    akana.0.gateway.terminate().await;
}

/// FACTS §4: a session that is over has to be logged in to again; the account's password holds all the same.
#[tokio::test]
async fn a_renewal_that_is_refused_is_followed_by_a_log_in() {
    let akana = Akana::open().await;
    akana.until_due().await;
    let refused = message("401 Unauthorized", "", "");
    let acts = vec![refused, given(Vendor::Akana, 2), read_answer(Vendor::Akana)];
    assert_eq!(akana.read(acts).await, ["renew 1", "log in", "call 2"]);
    assert_eq!(akana.read(vec![read_answer(Vendor::Akana)]).await, ["call 2"]);
    akana.0.gateway.terminate().await;
}

/// A simulated system whose sessions end, and calls of one client's.
struct Timed {
    system: Simulator,
    gateway: Gateway,
    began: Instant,
}

/// How long sessions live there, as the mapping has it.
const LIFE: Duration = Duration::from_secs(4);
/// In the system they live a little shorter, so that one that is used to the last is refused.
const SHORTER: Duration = Duration::from_millis(3_800);

impl Timed {
    async fn open(vendor: Vendor, life: &str) -> Self {
        let account = Account {
            user: USER.to_owned(),
            password: PASSWORD.to_owned(),
            session: Some(SHORTER),
        };
        let seed = format!("{}={}", ticket(vendor, 1), fresh(vendor, ""));
        let options = Options {
            account: Some(account),
            tickets: vec![seed.parse().unwrap()],
            ..Options::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let system = serve(vendor, listener, options).unwrap();
        let short = life.replace("2h", "4s").replace("90m", "4s");
        let mappings = Edited::new(&[(vendor.name(), life, &short)]);
        let gateway = gateway(vendor, &system.url(), &mappings).await;
        Self { system, gateway, began: Instant::now() }
    }

    /// Reads many times a second until so much time has passed.
    async fn in_use(&self, time: Duration) {
        while self.began.elapsed() < time {
            self.read().await;
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn read(&self) {
        let got = read(&self.gateway, Vendor::Series).await;
        assert_eq!(got.status, 200, "{got:?}");
    }

    /// How often there was a log-in, where the system has never refused a call.
    fn log_ins(&self) -> usize {
        let log = self.system.log();
        let refused: Vec<_> = log.iter().filter(|seen| seen.status != Some(200)).collect();
        assert!(refused.is_empty(), "{refused:#?}");
        log.iter().filter(|seen| seen.target.ends_with("/login")).count()
    }
}

/// FACTS §1.2: fixed from the log-in, and use does not prolong it.
#[tokio::test]
async fn a_fixed_session_that_cannot_be_renewed_is_followed_by_another_one_before_its_end() {
    let zstack = Timed::open(Vendor::Zstack, "lives: 2h fixed").await;
    zstack.in_use(LIFE + Duration::from_millis(500)).await;
    assert_eq!(zstack.log_ins(), 2);
    zstack.gateway.terminate().await;
}

/// FACTS §2: it ends so long after the last action.
#[tokio::test]
async fn a_sliding_session_lives_as_long_as_it_is_used() {
    let arena = Timed::open(Vendor::Arena, "lives: 90m sliding").await;
    arena.in_use(LIFE + Duration::from_secs(1)).await;
    assert_eq!(arena.log_ins(), 1);
    sleep(LIFE + Duration::from_millis(100)).await;
    arena.read().await;
    arena.read().await;
    assert_eq!(arena.log_ins(), 2, "the pause was longer than its life");
    arena.gateway.terminate().await;
}
