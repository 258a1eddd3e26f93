//! Two gateways on one PostgreSQL.

use crate::crosswalk::away::overloaded;
use crate::crosswalk::lives::{Stage, at, change, is_not_found, is_yes, within_a_second};
use crate::fleet::postgres::Server;
use crate::harness::Gateway;

/// The server, a stage on it, and two gateways.
async fn start(more: &str) -> (Server, Stage, [Gateway; 2]) {
    let started = tokio::task::spawn_blocking(|| {
        let server = Server::start_own();
        let state = server.database();
        (server, state)
    });
    let (server, at_server) = started.await.unwrap();
    let state = format!(
        "{more}state: {{url: \"postgres://{}@{}:{}/{}\", password: {{env: STATE_PASSWORD}}}}\n",
        at_server.user, at_server.host, at_server.port, at_server.database
    );
    let (stage, one) = Stage::with(&state).await;
    let other = Gateway::launch(&stage.home, stage.home.command()).await;
    (server, stage, [one, other])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_is_told_both_follow_within_a_second() {
    let (_server, stage, gateways) = start("").await;
    for round in 0..3 {
        for gateway in &gateways {
            assert!(is_yes(&change(gateway, 1).await), "{round}");
            assert!(is_yes(&change(gateway, 1).await), "{round}");
        }
        stage.run(&["unlink", &at(1)[0]]).await;
        let [one, other] = &gateways;
        tokio::join!(
            within_a_second(one, 1, is_not_found),
            within_a_second(other, 1, is_not_found)
        );
        stage.run(&["link", &at(1)[0], &at(1)[1]]).await;
        tokio::join!(within_a_second(one, 1, is_yes), within_a_second(other, 1, is_yes));
    }
    for gateway in gateways {
        gateway.terminate().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_server_that_is_away_what_is_known_goes_on() {
    let (mut server, stage, [gateway, other]) = start("workers: 1\n").await;
    stage.run(&["link", &at(2)[0], &at(2)[1]]).await;
    assert!(is_yes(&change(&gateway, 1).await));
    server = tokio::task::spawn_blocking(move || {
        server.stop();
        server
    })
    .await
    .unwrap();
    gateway.until_logged("the crosswalk cannot be asked").await;
    stage.desk.clear_log();
    overloaded(&change(&gateway, 2).await);
    overloaded(&change(&other, 1).await);
    assert!(stage.desk.log().is_empty(), "nothing is sent");
    assert!(is_yes(&change(&gateway, 1).await), "it was known");
    server = tokio::task::spawn_blocking(move || {
        server.start_again();
        server
    })
    .await
    .unwrap();
    gateway.until_logged("the crosswalk is followed again").await;
    assert!(is_yes(&change(&gateway, 2).await));
    for gateway in [gateway, other] {
        gateway.stop().await;
    }
    drop(server);
}
