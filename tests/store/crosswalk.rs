//! The crosswalk, on both databases: what it does, by example.

use std::collections::BTreeSet;

use crate::{Fresh, all, crosswalk_model, runtime};
use latimer::bounds;
use latimer::store::crosswalk::{Counts, Entry, Found, Kind, Outcome, Pair, Row, State, SystemId};
use latimer::store::{Reason, Store};

/// `arena=1 series=2`.
fn pair(text: &str) -> Pair {
    let mut ids = text.split(' ').map(at);
    Pair { kind: Kind::Ticket, ids: [ids.next().unwrap(), ids.next().unwrap()], note: None }
}

fn at(text: &str) -> SystemId {
    let (system, id) = text.split_once('=').unwrap();
    SystemId::new(system, id)
}

async fn link(store: &Store, text: &str, now: i64) -> Outcome {
    store.link_crosswalk(&[pair(text)], "test", now).await.unwrap().remove(0)
}

async fn partner(store: &Store, of: &str, system: &str) -> Option<String> {
    store.crosswalk(Kind::Ticket, &at(of), system).await.unwrap()
}

async fn found(store: &Store, of: &str) -> Found {
    let of = at(of);
    store.find_crosswalk(&of.id, Some(&of.system)).await.unwrap().remove(0)
}

fn ids(entry: &Entry) -> Vec<String> {
    entry.ids.iter().map(|id| id.at.to_string()).collect()
}

/// Holds a store against the examples, and against the model in so many cases.
pub(crate) fn hold(fresh: &mut impl Fresh, cases: u32) {
    let runtime = runtime();
    runtime.block_on(pairs_are_found_from_both_sides(&fresh.store()));
    runtime.block_on(what_contradicts_is_kept_beside(&fresh.store()));
    runtime.block_on(entries_become_one(&fresh.store()));
    runtime.block_on(what_was_is_remembered(&fresh.store()));
    runtime.block_on(a_batch_is_as_its_pairs(&fresh.store()));
    runtime.block_on(pages_are_in_the_order_of_bytes(&fresh.store()));
    runtime.block_on(what_cannot_be_kept_is_refused(&fresh.store()));
    runtime.block_on(many_at_once_link_one_thing(&fresh.store()));
    crosswalk_model::hold(fresh, cases);
}

async fn pairs_are_found_from_both_sides(store: &Store) {
    assert_eq!(partner(store, "arena=1", "series").await, None);
    assert_eq!(link(store, "arena=1 series=2", 10).await, Outcome::Linked);
    assert_eq!(link(store, "series=2 arena=1", 20).await, Outcome::Known { since: 10 });
    assert_eq!(partner(store, "arena=1", "series").await.as_deref(), Some("2"));
    assert_eq!(partner(store, "series=2", "arena").await.as_deref(), Some("1"));
    assert_eq!(partner(store, "series=1", "arena").await, None);
    let people = Pair { kind: Kind::User, ..pair("arena=1 series=9") };
    store.link_crosswalk(&[people], "test", 10).await.unwrap();
    assert_eq!(partner(store, "arena=1", "series").await.as_deref(), Some("2"), "not a person's");
    let everywhere = store.find_crosswalk("1", None).await.unwrap();
    let places: Vec<_> = everywhere.iter().map(|one| (one.kind, one.at.system.as_str())).collect();
    assert_eq!(places, [(Kind::Ticket, "arena"), (Kind::User, "arena")]);
    assert!(store.alias_crosswalk(Kind::Ticket, &at("arena=1"), Some("#1")).await.unwrap());
    assert!(!store.alias_crosswalk(Kind::Ticket, &at("arena=7"), Some("#7")).await.unwrap());
    let entry = found(store, "series=2").await.entry.unwrap();
    assert_eq!(entry.ids[0].alias.as_deref(), Some("#1"));
    assert_eq!((entry.ids[1].source.as_str(), entry.ids[1].linked), ("test", 10));
}

async fn what_contradicts_is_kept_beside(store: &Store) {
    link(store, "arena=1 series=2", 10).await;
    let stands = vec![[at("arena=1"), at("series=2")]];
    assert_eq!(link(store, "arena=1 series=3", 20).await, Outcome::Contradicts { stands });
    let stands = vec![[at("series=2"), at("arena=1")]];
    assert_eq!(link(store, "series=2 arena=9", 30).await, Outcome::Contradicts { stands });
    assert_eq!(partner(store, "arena=1", "series").await.as_deref(), Some("2"), "it stands");
    let one = found(store, "arena=1").await;
    assert_eq!((one.state(), one.conflicts.len()), (State::Conflicted, 2));
    let loose = found(store, "series=3").await;
    assert_eq!((loose.entry, loose.conflicts.len()), (None, 1), "it is shown from its side too");
    // Told again it is the same one; told when nothing contradicts it, it is none any more.
    link(store, "series=3 arena=1", 40).await;
    assert_eq!(store.crosswalk_counts().await.unwrap().conflicts, 2);
    assert_eq!(found(store, "series=3").await.conflicts[0].told, 20);
    assert!(store.unlink_crosswalk(Kind::Ticket, &at("series=2"), 50).await.unwrap());
    assert_eq!(link(store, "arena=1 series=3", 60).await, Outcome::Joined);
    let ids = [at("series=2"), at("arena=9")];
    assert!(!store.dismiss_crosswalk(Kind::User, &ids).await.unwrap());
    assert!(store.dismiss_crosswalk(Kind::Ticket, &ids).await.unwrap());
    assert!(!store.dismiss_crosswalk(Kind::Ticket, &ids).await.unwrap());
    assert_eq!(found(store, "arena=1").await.state(), State::Linked);
}

async fn entries_become_one(store: &Store) {
    link(store, "arena=1 series=2", 10).await;
    link(store, "akana=3 zstack=4", 20).await;
    assert_eq!(link(store, "zstack=4 arena=1", 30).await, Outcome::Merged);
    let entry = found(store, "akana=3").await.entry.unwrap();
    assert_eq!(ids(&entry), ["akana=3", "arena=1", "series=2", "zstack=4"]);
    let before = found(store, "akana=3").await.before;
    let past: Vec<_> = before[0].past.iter().map(|past| (past.ended, past.merged_into)).collect();
    assert_eq!(past, [(30, Some(entry.number)); 2]);
    // What both have an id for cannot be one.
    link(store, "thalamus=5 akana=6", 40).await;
    let stands = vec![[at("arena=1"), at("akana=3")], [at("thalamus=5"), at("akana=6")]];
    assert_eq!(link(store, "arena=1 thalamus=5", 50).await, Outcome::Contradicts { stands });
    assert_eq!(partner(store, "thalamus=5", "arena").await, None);
}

async fn what_was_is_remembered(store: &Store) {
    link(store, "arena=1 series=2", 10).await;
    assert!(store.unlink_crosswalk(Kind::Ticket, &at("series=2"), 20).await.unwrap());
    assert!(!store.unlink_crosswalk(Kind::Ticket, &at("series=2"), 21).await.unwrap());
    assert_eq!(partner(store, "arena=1", "series").await, None);
    let gone = found(store, "series=2").await;
    assert_eq!((gone.state(), &gone.entry), (State::Retired, &None));
    let entry = &gone.before[0];
    assert_eq!(ids(entry), ["arena=1"], "whom it was linked with");
    let past = &entry.past[0];
    assert_eq!((past.id.at.clone(), past.id.linked, past.ended), (at("series=2"), 10, 20));
    // A ticket with a new id in one system stays the ticket that it was.
    assert_eq!(link(store, "arena=1 series=3", 30).await, Outcome::Joined);
    assert_eq!(found(store, "series=3").await.entry.unwrap().number, entry.number);
    // The number of one that is all gone is not given again.
    for id in ["arena=1", "series=3"] {
        store.unlink_crosswalk(Kind::Ticket, &at(id), 40).await.unwrap();
    }
    link(store, "arena=1 series=2", 50).await;
    assert_ne!(found(store, "arena=1").await.entry.unwrap().number, entry.number);
}

async fn a_batch_is_as_its_pairs(store: &Store) {
    let count = 1_000;
    let pairs: Vec<Pair> =
        (0..count).map(|one| pair(&format!("arena={one} series=s{one}"))).collect();
    let told = store.link_crosswalk(&pairs, "test", 10).await.unwrap();
    assert!(told.iter().all(|outcome| *outcome == Outcome::Linked));
    let told = store.link_crosswalk(&pairs, "test", 20).await.unwrap();
    assert!(told.iter().all(|outcome| *outcome == Outcome::Known { since: 10 }));
    let pairs = ["a=1 b=1", "c=1 d=1", "b=1 c=1", "a=1 c=2", "a=1 d=1", "e=1 a=1"].map(pair);
    let told = store.link_crosswalk(&pairs, "test", 30).await.unwrap();
    assert_eq!(told[..3], [Outcome::Linked, Outcome::Linked, Outcome::Merged]);
    assert!(matches!(told[3], Outcome::Contradicts { .. }), "{:?}", told[3]);
    assert_eq!(told[4..], [Outcome::Known { since: 30 }, Outcome::Joined]);
    assert_eq!(partner(store, "e=1", "d").await.as_deref(), Some("1"));
    let asked: Vec<String> = ["5", "x", "999", "1000"].map(str::to_owned).to_vec();
    let has = store.crosswalk_has(Kind::Ticket, "arena", &asked).await.unwrap();
    assert_eq!(has, [true, false, true, false]);
    store.unlink_crosswalk(Kind::Ticket, &at("series=s5"), 40).await.unwrap();
    let has = store.crosswalk_has(Kind::Ticket, "arena", &asked).await.unwrap();
    assert_eq!(has, [false, false, true, false], "one that is alone is not linked");
    let around = store.crosswalk_around(&["b=1 x=1", "arena=7 q=1"].map(pair)).await.unwrap();
    assert_eq!(around.len(), 4 + 1, "chains of five and of two: {around:?}");
}

async fn pages_are_in_the_order_of_bytes(store: &Store) {
    for (arena, series) in [("b", "1"), ("B", "2"), ("ä", "3"), ("a", "4"), ("10", "5"), ("9", "6")]
    {
        link(store, &format!("arena={arena} series={series}"), 10).await;
    }
    link(store, "arena=c akana=1", 10).await;
    let mut shown = Vec::new();
    let mut after = String::new();
    loop {
        let page =
            store.crosswalk_page(Kind::Ticket, ["arena", "series"], &after, 4).await.unwrap();
        let Some(Row { ids, .. }) = page.last() else { break };
        after.clone_from(&ids[0]);
        shown.extend(page.into_iter().map(|row| row.ids[0].clone()));
    }
    assert_eq!(shown, ["10", "9", "B", "a", "b", "ä"]);
}

async fn what_cannot_be_kept_is_refused(store: &Store) {
    let long = "x".repeat(bounds::STATE_NAME_BYTES_MAX + 1);
    for (system, id) in [
        ("", "1"),
        ("arena", ""),
        ("arena", "a\0"),
        ("arena", " a"),
        ("a\n", "1"),
        ("note", "1"),
        ("arena", &long),
    ] {
        let one = Pair { ids: [SystemId::new(system, id), at("series=1")], ..pair("a=1 b=1") };
        let error = store.link_crosswalk(&[one], "test", 1).await.expect_err(id);
        assert_eq!(error.reason(), Reason::Unfit, "{system} {id}");
    }
    let error =
        store.link_crosswalk(&[pair("a=1 a=2")], "test", 1).await.expect_err("of one system");
    assert_eq!(error.reason(), Reason::Unfit);
    let many = vec![pair("a=1 b=1"); bounds::CROSSWALK_BATCH_MAX + 1];
    assert_eq!(
        store.link_crosswalk(&many, "t", 1).await.expect_err("many").reason(),
        Reason::Unfit
    );
    assert_eq!(store.crosswalk_counts().await.unwrap(), Counts::default(), "nothing is there");
    // What databases might take for something else comes back as it was.
    let most = "名".repeat(bounds::STATE_NAME_BYTES_MAX / 3);
    for id in ["'; DROP TABLE crosswalk_ids; --", "%_\\\"", "\u{202e}é", &most] {
        let note = Some("ein \"Zettel\"".to_owned());
        let one = Pair {
            ids: [SystemId::new("arena", id), SystemId::new("series", id)],
            note,
            ..pair("a=1 b=1")
        };
        store.link_crosswalk(&[one], "test", 1).await.unwrap();
        let found = store.crosswalk(Kind::Ticket, &SystemId::new("arena", id), "series").await;
        assert_eq!(found.unwrap().as_deref(), Some(id));
    }
}

/// However many tell of one thing at a time, it is one entry, and numbers are given once.
async fn many_at_once_link_one_thing(store: &Store) {
    let same = pair("arena=1 series=1");
    let told =
        all((0..20).map(|_| store.link_crosswalk(std::slice::from_ref(&same), "t", 1)).collect())
            .await;
    let new = told.iter().filter(|one| one.as_ref().unwrap()[0] == Outcome::Linked).count();
    assert_eq!(new, 1);
    let pairs: Vec<Pair> = (2..60).map(|one| pair(&format!("arena={one} series={one}"))).collect();
    let told = all(pairs
        .iter()
        .map(|one| store.link_crosswalk(std::slice::from_ref(one), "t", 1))
        .collect())
    .await;
    assert!(told.iter().all(|one| one.as_ref().unwrap()[0] == Outcome::Linked));
    let mut numbers = BTreeSet::new();
    for one in 1..60 {
        numbers.insert(found(store, &format!("arena={one}")).await.entry.unwrap().number);
    }
    assert_eq!(numbers.len(), 59);
}
