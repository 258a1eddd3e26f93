//! Changes of tickets that the crosswalk translates: they are written down under both ids, and what is found out of
//! them later goes by the upstream's.

use latimer::sim::Vendor;
use serde_json::json;

use super::{export, send, until_sent, until_settled, yes};
use crate::enrich::akanas;
use crate::harness::{Gateway, Home, upstream};
use crate::scripted::{Act, Scripted};
use crate::vendors::ticket;

const CLIENT: Vendor = Vendor::Series;
const UPSTREAM: Vendor = Vendor::Akana;

#[tokio::test]
async fn a_change_has_the_ids_of_both_systems() {
    let scripted = Scripted::start(Act::Wait).await;
    let text = format!(
        "journal: full\nupstreams:\n{}routes:\n  main: {{client: {CLIENT}, upstream: {UPSTREAM}, consumers: [tester], \
         deadline: 2s, ids: {{ticket: crosswalk}}}}\n",
        upstream(UPSTREAM, &scripted.url)
    );
    let home = Home::new("127.0.0.1:0", "mappings", &text, &[]);
    let (own, theirs) = (ticket(CLIENT, 1), ticket(UPSTREAM, 2));
    let pair = [format!("{CLIENT}={own}"), format!("{UPSTREAM}={theirs}")];
    let gateway = Gateway::launch(&home, home.command()).await;

    // What has no counterpart is refused, and no change.
    let got = send(&gateway, CLIENT, "resolved").await;
    assert_eq!(got.header("x-latimer-fault"), Some("not_found"), "{got:?}");
    assert_eq!(scripted.seen_count(), 0, "nothing is sent");
    assert!(export(&home, &[]).await.is_empty());

    let (code, told) = home.crosswalk(&["link", &pair[0], &pair[1]]).await;
    assert_eq!(code, Some(0), "{told}");
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    scripted.act(yes());
    let got = send(&gateway, CLIENT, "resolved").await;
    assert_eq!(got.header("x-latimer-outcome"), Some("yes"), "{got:?}");
    let records = until_settled(&home).await;
    assert_eq!(records.len(), 1, "{records:#?}");
    assert_eq!(records[0]["client_ticket"], json!(own));
    assert_eq!(records[0]["upstream_ticket"], json!(theirs));
    for id in [&own, &theirs] {
        assert_eq!(export(&home, &["--ticket", id]).await.len(), 1, "it is found by {id}");
    }

    // Killed while the upstream has the call. Until the next one starts the pair is not linked any more.
    scripted.take_seen();
    scripted.act(Act::Wait);
    tokio::select! {
        _ = send(&gateway, CLIENT, "closed") => panic!("nobody has answered it"),
        () = until_sent(&scripted) => {}
    }
    gateway.stop().await;
    let (code, told) = home.crosswalk(&["unlink", &pair[0]]).await;
    assert_eq!(code, Some(0), "{told}");
    scripted.take_seen();
    scripted.act(akanas(r#""State":"CLOSED""#));
    let gateway = Gateway::launch(&home, home.command()).await;
    let records = until_settled(&home).await;
    assert_eq!(records.len(), 2, "{records:#?}");
    let last = &records[1];
    assert_eq!((&last["outcome"], &last["by"]), (&json!("yes"), &json!("recovered")), "{last}");
    assert_eq!(last["client_ticket"], json!(own), "as it was");
    let reads = scripted.take_seen();
    assert!(
        reads.iter().all(|read| read.starts_with("GET ") && read.contains(&theirs)),
        "{reads:#?}"
    );
    gateway.terminate().await;
}
