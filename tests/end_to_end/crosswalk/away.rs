//! A state that cannot be asked.

use crate::crosswalk::lives::{Stage, at, change, is_yes};
use crate::harness::Answer;

/// Nobody is told that a ticket is not there because it cannot be looked up.
#[track_caller]
pub(super) fn overloaded(answer: &Answer) {
    assert_eq!(answer.header("x-latimer-fault"), Some("overloaded"), "{answer:?}");
    assert_eq!(answer.header("x-latimer-outcome"), Some("no"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.status, 503);
}

#[tokio::test]
async fn of_a_file_that_cannot_be_asked_what_is_known_goes_on() {
    let (stage, gateway) = Stage::with("workers: 1\n").await;
    stage.run(&["link", &at(2)[0], &at(2)[1]]).await;
    assert!(is_yes(&change(&gateway, 1).await));
    let file = rusqlite::Connection::open(stage.home.path("latimer.sqlite")).unwrap();
    file.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    for (table, away) in [("crosswalk_ids", "ids_away"), ("crosswalk_past", "past_away")] {
        file.execute_batch(&format!("ALTER TABLE {table} RENAME TO {away}")).unwrap();
    }
    gateway.until_logged("the crosswalk cannot be asked").await;
    stage.desk.clear_log();
    overloaded(&change(&gateway, 2).await);
    assert!(stage.desk.log().is_empty(), "nothing is sent");
    assert!(is_yes(&change(&gateway, 1).await), "it was known");
    for (table, away) in [("crosswalk_ids", "ids_away"), ("crosswalk_past", "past_away")] {
        file.execute_batch(&format!("ALTER TABLE {away} RENAME TO {table}")).unwrap();
    }
    gateway.until_logged("the crosswalk is followed again").await;
    assert!(is_yes(&change(&gateway, 2).await));
    gateway.stop().await;
}
