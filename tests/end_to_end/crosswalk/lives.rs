//! The crosswalk of one gateway in a file: changed beside it, and after it was killed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use latimer::sim::{Simulator, Vendor};

use crate::crosswalk::{has, send};
use crate::harness::{Answer, Gateway, Home, simulator, upstream};
use crate::vendors::{request, ticket};

/// Series' clients in front of a Thalamus that has the tickets 1 to 9; the first is linked.
pub(super) struct Stage {
    pub(super) desk: Simulator,
    pub(super) home: Arc<Home>,
}

/// The id that the callers have, and the upstream's.
pub(super) fn ids(number: usize) -> [String; 2] {
    [ticket(Vendor::Series, number), ticket(Vendor::Thalamus, number)]
}

pub(super) fn at(number: usize) -> [String; 2] {
    let [own, theirs] = ids(number);
    [format!("series={own}"), format!("thalamus={theirs}")]
}

impl Stage {
    pub(super) async fn new(more: &str) -> Self {
        let tickets: Vec<_> = (1..=9).map(|one| (ids(one)[1].clone(), "open")).collect();
        let desk = simulator(Vendor::Thalamus, &tickets).await;
        let text = format!(
            "{more}upstreams:\n{}routes:\n  main:\n    client: series\n    upstream: thalamus\n    \
             consumers: [tester]\n    limit: none\n    ids: {{ticket: crosswalk}}\n",
            upstream(Vendor::Thalamus, &desk.url())
        );
        let home = Home::new("127.0.0.1:0", "mappings", &text, &[]);
        Self { desk, home }
    }

    pub(super) async fn with(more: &str) -> (Self, Gateway) {
        let stage = Self::new(more).await;
        stage.run(&["link", &at(1)[0], &at(1)[1]]).await;
        let gateway = Gateway::launch(&stage.home, stage.home.command()).await;
        (stage, gateway)
    }

    pub(super) async fn run(&self, arguments: &[&str]) -> String {
        let (code, told) = self.home.crosswalk(arguments).await;
        assert_eq!(code, Some(0), "{told}");
        told
    }
}

/// Pairs of the file.
const PAIRS: usize = 19_998;

impl Stage {
    /// A file with the pairs of all tickets but the first.
    fn write_pairs(&self) {
        let mut pairs = "kind,series,thalamus\n".to_owned();
        for number in 2..2 + PAIRS {
            let [own, theirs] = ids(number);
            pairs.push_str(&format!("ticket,{own},{theirs}\n"));
        }
        std::fs::write(self.home.path("pairs.csv"), pairs).unwrap();
    }
}

/// A change of a ticket by its callers' id.
pub(super) async fn change(gateway: &Gateway, number: usize) -> Answer {
    let said = request(Vendor::Series, &ids(number)[0], "open", crate::harness::KEY);
    send(gateway, "any.test", &said).await
}

pub(super) fn is_yes(answer: &Answer) -> bool {
    answer.header("x-latimer-outcome") == Some("yes")
}

pub(super) fn is_not_found(answer: &Answer) -> bool {
    answer.header("x-latimer-fault") == Some("not_found")
}

/// Calls again and again until it is as it should be, whichever worker answers; a second is what it may take.
pub(super) async fn within_a_second(
    gateway: &Gateway,
    number: usize,
    is_so: impl Fn(&Answer) -> bool,
) {
    let begun = Instant::now();
    loop {
        let mut last = change(gateway, number).await;
        let mut in_row = 0;
        while is_so(&last) {
            in_row += 1;
            if in_row > 6 {
                return;
            }
            last = change(gateway, number).await;
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "within a second: {last:?}");
    }
}

#[tokio::test]
async fn what_is_changed_beside_a_gateway_is_followed_within_a_second() {
    let (stage, gateway) = Stage::with("").await;
    for round in 0..5 {
        // So that it is known, and would be for long.
        for _ in 0..3 {
            assert!(is_yes(&change(&gateway, 1).await), "{round}");
        }
        stage.run(&["unlink", &at(1)[1]]).await;
        within_a_second(&gateway, 1, is_not_found).await;
        stage.desk.clear_log();
        assert!(is_not_found(&change(&gateway, 1).await));
        assert!(stage.desk.log().is_empty(), "nothing is sent any more");
        // It gets another one in its place, as in a migration.
        let theirs = format!("thalamus={}", ids(2 + round % 2)[1]);
        stage.run(&["link", &at(1)[0], &theirs]).await;
        within_a_second(&gateway, 1, is_yes).await;
        stage.desk.clear_log();
        assert!(is_yes(&change(&gateway, 1).await));
        assert!(has(&stage.desk.log()[0], &ids(2 + round % 2)[1]), "{:?}", stage.desk.log());
        stage.run(&["unlink", &theirs]).await;
        within_a_second(&gateway, 1, is_not_found).await;
        stage.run(&["link", &at(1)[0], &at(1)[1]]).await;
        within_a_second(&gateway, 1, is_yes).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn an_import_goes_beside_a_gateway_which_goes_on() {
    let (stage, gateway) = Stage::with("").await;
    stage.write_pairs();
    assert!(is_not_found(&change(&gateway, 9).await));
    let importing = stage.run(&["import", "pairs.csv"]);
    let calling = async {
        let mut calls = 0;
        loop {
            assert!(is_yes(&change(&gateway, 1).await));
            calls += 1;
            tokio::task::yield_now().await;
            if stage.home.path("done").exists() {
                return calls;
            }
        }
    };
    let importing = async {
        let told = importing.await;
        std::fs::write(stage.home.path("done"), "").unwrap();
        told
    };
    let (told, calls) = tokio::join!(importing, calling);
    assert!(told.starts_with(&format!("{PAIRS} linked")), "{told}");
    assert!(calls > 10, "{calls} calls meanwhile");
    within_a_second(&gateway, 9, is_yes).await;
    gateway.stop().await;
}

/// What it had merged is there, and no lock of it holds up the gateway.
#[tokio::test]
async fn an_import_that_is_killed_beside_a_gateway_is_gone_on_with() {
    let (stage, gateway) = Stage::with("journal: full\n").await;
    stage.write_pairs();
    let mut kills = 0;
    for life in [50, 150, 300, 600] {
        let importing = stage.home.crosswalk(&["import", "pairs.csv"]);
        // It is killed when nobody waits for it any more.
        let ended = tokio::time::timeout(Duration::from_millis(life), importing).await;
        kills += usize::from(ended.is_err());
        assert!(is_yes(&change(&gateway, 1).await), "a change is written down, too");
    }
    assert!(kills > 0, "none was killed in the middle");
    let told = stage.run(&["import", "pairs.csv"]).await;
    let count = |of: &str| -> usize {
        let before = told.split(of).next().unwrap().trim_end();
        before.rsplit([' ', ',']).next().unwrap().parse().unwrap()
    };
    assert_eq!(count(" linked") + count(" known before"), PAIRS, "{told}");
    stage.run(&["check"]).await;
    within_a_second(&gateway, 9, is_yes).await;
    gateway.stop().await;
}

#[tokio::test]
async fn what_was_linked_outlives_a_gateway_and_a_command_that_are_killed() {
    let (stage, gateway) = Stage::with("").await;
    for number in 2..=9 {
        stage.run(&["link", &at(number)[0], &at(number)[1]]).await;
        within_a_second(&gateway, number, is_yes).await;
    }
    gateway.signal("KILL").await;
    drop(gateway.ended().await);
    let gateway = Gateway::launch(&stage.home, stage.home.command()).await;
    for number in 1..=9 {
        assert!(is_yes(&change(&gateway, number).await), "{number}");
    }
    let log = gateway.terminate().await;
    assert!(!log.iter().any(|line| line.contains("ERROR")), "{log:#?}");
    let gateway = Gateway::launch(&stage.home, stage.home.command()).await;
    assert!(is_yes(&change(&gateway, 9).await));
    gateway.stop().await;
}
