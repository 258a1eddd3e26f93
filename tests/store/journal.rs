//! The journal, on both databases: what it does, by example and by a model.

use std::collections::BTreeMap;

use latimer::bounds;
use latimer::store::Store;
use latimer::store::journal::{By, Entry, Filter, Intent, Outcome, Settlement};
use proptest::prelude::*;

use crate::{Fresh, all, id, random, runtime};

/// One that is written down at that time, and cannot be under way ten milliseconds later.
fn intent(number: u32, began: i64) -> Intent {
    Intent {
        call: id(number),
        began,
        due: began + 10,
        route: "main".to_owned(),
        consumer: Some("acme".to_owned()),
        upstream: "desk".to_owned(),
        operation: "change_status".to_owned(),
        client_ticket: Some(format!("client-{number}")),
        upstream_ticket: Some(format!("upstream-{number}")),
        from: Some("open".to_owned()),
        to: Some("resolved".to_owned()),
        tells: true,
    }
}

fn settlement(number: u32, outcome: Outcome, by: By) -> Settlement {
    let fault = (outcome == Outcome::Unknown).then_some("outcome_unknown");
    let read = (by != By::Answered).then(|| "closed".to_owned());
    let why = (by == By::Recovered).then_some("another_status");
    Settlement { call: id(number), outcome, fault, settled: 77, by, read, why }
}

async fn add(store: &Store, owner: u32, intents: Vec<Intent>) {
    assert_eq!(store.write_journal(id(owner), intents, Vec::new()).await.unwrap(), 0);
}

async fn settle(store: &Store, settlement: Settlement) -> u64 {
    store.write_journal(id(0), Vec::new(), vec![settlement]).await.unwrap()
}

async fn found(store: &Store, filter: &Filter) -> Vec<Entry> {
    let found = store.journal_after(filter, 0, 1_000).await.unwrap();
    assert_eq!(store.journal_last(filter, 1_000).await.unwrap(), found, "from either end");
    found
}

fn calls(entries: &[Entry]) -> Vec<[u8; 16]> {
    entries.iter().map(|entry| entry.intent.call).collect()
}

async fn call(store: &Store, number: u32) -> Entry {
    let filter = Filter { call: Some(id(number)), ..Filter::default() };
    found(store, &filter).await.remove(0)
}

/// Holds a store against the examples, and against the model in so many cases.
pub(crate) fn hold(fresh: &mut impl Fresh, cases: u32) {
    let runtime = runtime();
    runtime.block_on(a_record_comes_back_as_it_was(&fresh.store()));
    runtime.block_on(what_is_added_may_be_settled_with_it(&fresh.store()));
    runtime.block_on(the_calls_own_word_stands(&fresh.store()));
    runtime.block_on(what_is_open_is_claimed_once_its_owner_is_no_more(&fresh.store()));
    runtime.block_on(of_many_at_once_one_claims_a_record(&fresh.store()));
    runtime.block_on(records_are_found_by_what_is_known_of_them(&fresh.store()));
    runtime.block_on(a_sweep_takes_what_is_old_and_settled(&fresh.store()));
    hold_model(fresh, cases);
}

async fn a_record_comes_back_as_it_was(store: &Store) {
    let whole = intent(1, 1_000);
    let bare = Intent {
        consumer: None,
        client_ticket: None,
        upstream_ticket: None,
        from: None,
        to: None,
        tells: false,
        ..intent(2, 1_001)
    };
    add(store, 0, vec![whole.clone(), bare.clone()]).await;
    for (number, intent) in [(1, whole), (2, bare)] {
        let entry = call(store, number).await;
        assert_eq!((&entry.intent, entry.outcome), (&intent, Outcome::Open));
        assert_eq!((entry.fault, entry.settled, entry.by), (None, None, None));
        assert_eq!((entry.read, entry.why), (None, None));
    }
    assert!(call(store, 1).await.number < call(store, 2).await.number);
    assert_eq!(settle(store, settlement(1, Outcome::Unknown, By::ReadBack)).await, 1);
    let entry = call(store, 1).await;
    assert_eq!((entry.outcome, entry.settled), (Outcome::Unknown, Some(77)));
    let texts = [entry.fault, entry.by, entry.read, entry.why].map(Option::unwrap_or_default);
    assert_eq!(texts, ["outcome_unknown", "read_back", "closed", ""]);
    assert_eq!(call(store, 2).await.outcome, Outcome::Open);
}

async fn what_is_added_may_be_settled_with_it(store: &Store) {
    let settlements = vec![
        settlement(1, Outcome::No, By::GivenUp),
        // It is nobody's.
        settlement(9, Outcome::Yes, By::Answered),
    ];
    let intents = vec![intent(1, 1_000), intent(2, 1_000)];
    assert_eq!(store.write_journal(id(0), intents, settlements).await.unwrap(), 1);
    assert_eq!(call(store, 1).await.outcome, Outcome::No);
    assert_eq!(call(store, 2).await.outcome, Outcome::Open);
    // All of it or nothing.
    let again = vec![intent(3, 1_000), intent(1, 1_000)];
    let settlements = vec![settlement(2, Outcome::Yes, By::Answered)];
    store.write_journal(id(0), again, settlements).await.unwrap_err();
    assert_eq!(found(store, &Filter::default()).await.len(), 2);
    assert_eq!(call(store, 2).await.outcome, Outcome::Open);
}

async fn the_calls_own_word_stands(store: &Store) {
    add(store, 0, vec![intent(1, 1_000)]).await;
    assert_eq!(store.claim_journal(id(1), 2_000, 0, 9).await.unwrap().len(), 1);
    let recovered = settlement(1, Outcome::Unknown, By::Recovered);
    assert!(!store.settle_claimed(id(2), recovered.clone()).await.unwrap(), "another's");
    assert!(store.settle_claimed(id(1), recovered.clone()).await.unwrap());
    assert!(!store.settle_claimed(id(1), recovered.clone()).await.unwrap(), "it is settled");
    // Its gateway was only late.
    assert_eq!(settle(store, settlement(1, Outcome::Yes, By::Answered)).await, 1);
    let entry = call(store, 1).await;
    assert_eq!((entry.outcome, entry.by.as_deref()), (Outcome::Yes, Some("answered")));
    assert_eq!((entry.fault, entry.why), (None, None));
    assert_eq!(settle(store, settlement(1, Outcome::No, By::GivenUp)).await, 0, "once");
    assert!(!store.settle_claimed(id(1), recovered).await.unwrap());
    assert_eq!(call(store, 1).await.outcome, Outcome::Yes);
}

async fn what_is_open_is_claimed_once_its_owner_is_no_more(store: &Store) {
    let claim = |owner, now, stale| async move {
        calls(&store.claim_journal(id(owner), now, stale, 9).await.unwrap())
    };
    store.own_journal(id(1), 2_000).await.unwrap();
    add(store, 1, vec![intent(1, 1_000), intent(2, 1_500)]).await;
    // Owner 2 has never said that it is there.
    add(store, 2, vec![intent(3, 900)]).await;
    assert_eq!(claim(3, 909, 0).await, calls(&[]), "it may be under way");
    assert_eq!(claim(3, 910, 0).await, [id(3)]);
    assert_eq!(claim(3, 1_100, 0).await, calls(&[]), "it is this owner's now");
    assert_eq!(claim(3, 1_600, 0).await, calls(&[]), "the others' owner is there");
    store.own_journal(id(1), 1_700).await.unwrap();
    store.own_journal(id(3), 9_000).await.unwrap();
    assert_eq!(claim(3, 1_700, 0).await, [id(1), id(2)], "it is there no more");
    assert_eq!(claim(4, 1_800, 0).await, calls(&[]), "and the new one is");
    // What an owner has lost sight of is found again, from when it was claimed on.
    assert_eq!(claim(3, 1_800, 909).await, calls(&[]));
    assert_eq!(claim(3, 1_800, 910).await, [id(3)]);
    assert_eq!(claim(3, 1_900, 1_000).await, calls(&[]), "it is due anew");
    store.disown_journal(id(3)).await.unwrap();
    assert_eq!(claim(4, 1_900, 0).await.len(), 3);
    settle(store, settlement(1, Outcome::Yes, By::Answered)).await;
    assert_eq!(claim(5, 1_901, 0).await.len(), 2, "what is settled is not claimed");
    assert_eq!(store.claim_journal(id(6), 1_902, 0, 1).await.unwrap().len(), 1, "so many at most");
}

async fn of_many_at_once_one_claims_a_record(store: &Store) {
    add(store, 0, (0..40).map(|number| intent(number, 1_000)).collect()).await;
    for owner in 1..=8 {
        store.own_journal(id(owner), 9_000).await.unwrap();
    }
    let claims = (1..=8).map(|owner| store.claim_journal(id(owner), 2_000, 0, 10));
    let claimed = all(claims.collect()).await;
    let mut numbers: Vec<i64> =
        claimed.iter().flatten().flatten().map(|entry| entry.number).collect();
    numbers.sort_unstable();
    let count = numbers.len();
    numbers.dedup();
    assert_eq!((count, numbers.len()), (40, 40));
}

async fn records_are_found_by_what_is_known_of_them(store: &Store) {
    let other = Intent {
        route: "other".to_owned(),
        consumer: None,
        client_ticket: Some("upstream-1".to_owned()),
        ..intent(4, 4_000)
    };
    add(store, 0, vec![intent(1, 1_000), intent(2, 2_000), intent(3, 3_000), other]).await;
    settle(store, settlement(2, Outcome::Unknown, By::Answered)).await;
    let none = Filter::default();
    let text = |text: &str| Some(text.to_owned());
    for (filter, wanted) in [
        (none.clone(), vec![1, 2, 3, 4]),
        (Filter { call: Some(id(2)), ..none.clone() }, vec![2]),
        (Filter { call: Some(id(9)), ..none.clone() }, vec![]),
        (Filter { ticket: text("upstream-1"), ..none.clone() }, vec![1, 4]),
        (Filter { ticket: text("client-3"), ..none.clone() }, vec![3]),
        (Filter { ticket: text("client-3"), call: Some(id(3)), ..none.clone() }, vec![3]),
        (Filter { ticket: text("client-3"), call: Some(id(2)), ..none.clone() }, vec![]),
        (Filter { route: text("other"), ..none.clone() }, vec![4]),
        (Filter { consumer: text("acme"), ..none.clone() }, vec![1, 2, 3]),
        (Filter { consumer: text("acme"), ticket: text("upstream-1"), ..none.clone() }, vec![1]),
        (Filter { outcome: Some(Outcome::Unknown), ..none.clone() }, vec![2]),
        (Filter { outcome: Some(Outcome::Open), ..none.clone() }, vec![1, 3, 4]),
        (Filter { since: Some(2_000), ..none.clone() }, vec![2, 3, 4]),
        (Filter { until: Some(3_000), ..none.clone() }, vec![1, 2]),
        (Filter { since: Some(2_000), until: Some(3_000), ..none.clone() }, vec![2]),
    ] {
        let wanted: Vec<[u8; 16]> = wanted.into_iter().map(id).collect();
        assert_eq!(calls(&found(store, &filter).await), wanted, "{filter:?}");
    }
    let first = store.journal_after(&none, 0, 3).await.unwrap();
    assert_eq!(calls(&first), [id(1), id(2), id(3)], "page by page");
    let rest = store.journal_after(&none, first[2].number, 3).await.unwrap();
    assert_eq!(calls(&rest), [id(4)]);
    let last = store.journal_last(&none, 2).await.unwrap();
    assert_eq!(calls(&last), [id(3), id(4)], "in their order");
    // A minute is left for what got its number late.
    add(store, 0, vec![intent(5, 100_000)]).await;
    let before = store.journal_before(100_000).await.unwrap();
    assert_eq!(before, rest[0].number);
    assert_eq!(store.journal_before(60_000).await.unwrap(), first[0].number - 1);
    assert_eq!(store.journal_before(999_999).await.unwrap(), i64::MAX);
}

async fn a_sweep_takes_what_is_old_and_settled(store: &Store) {
    let batch = bounds::STATE_SWEEP_ROWS_MAX;
    let old = 2 * batch + 3;
    let mut intents: Vec<Intent> = (0..old).map(|number| intent(number, 1_000)).collect();
    intents.extend([intent(old, 1_999), intent(old + 1, 2_000)]);
    add(store, 0, intents).await;
    for numbers in (0..=old + 1).collect::<Vec<u32>>().chunks(200) {
        // The first one stays open.
        let settled = numbers.iter().filter(|number| **number > 0);
        let settled = settled.map(|number| settlement(*number, Outcome::Yes, By::Answered));
        store.write_journal(id(0), Vec::new(), settled.collect()).await.unwrap();
    }
    store.own_journal(id(1), 1_999).await.unwrap();
    store.own_journal(id(2), 2_000).await.unwrap();
    assert_eq!(store.sweep_journal(2_000, 2_000).await.unwrap(), u64::from(old));
    assert_eq!(calls(&found(store, &Filter::default()).await), [id(0), id(old + 1)]);
    assert_eq!(store.sweep_journal(2_000, 2_000).await.unwrap(), 0);
}

/// A step, over so few calls, owners and times that they meet.
#[derive(Clone, Debug)]
enum Step {
    Add { call: u32, owner: u32, length: i64 },
    Settle { call: u32, outcome: usize },
    Claim { owner: u32, most: u32, stale: i64 },
    SettleClaimed { call: u32, owner: u32 },
    Own { owner: u32, length: i64 },
    Disown { owner: u32 },
    Find { outcome: usize, ticket: Option<u32>, most: u32 },
    Sweep { age: i64 },
}

/// What a step answers: the calls, or how many.
type Told = Result<Vec<u32>, u64>;

#[derive(Clone)]
struct Known {
    call: u32,
    began: i64,
    due: i64,
    owner: u32,
    outcome: Outcome,
    is_recovered: bool,
}

#[derive(Default)]
struct Model {
    /// In the order of their numbers.
    records: Vec<Known>,
    owners: BTreeMap<u32, i64>,
}

const ENDS: [Outcome; 3] = [Outcome::Yes, Outcome::No, Outcome::Unknown];

fn steps() -> impl Strategy<Value = Vec<(i64, Step)>> {
    let (call, owner, length) = (0..12_u32, 20..23_u32, 0..30_i64);
    let step = prop_oneof![
        4 => (call.clone(), owner.clone(), length.clone())
            .prop_map(|(call, owner, length)| Step::Add { call, owner, length }),
        3 => (call.clone(), 0..3_usize).prop_map(|(call, outcome)| Step::Settle { call, outcome }),
        3 => (owner.clone(), 1..4_u32, length.clone())
            .prop_map(|(owner, most, stale)| Step::Claim { owner, most, stale }),
        2 => (call.clone(), owner.clone())
            .prop_map(|(call, owner)| Step::SettleClaimed { call, owner }),
        1 => (owner.clone(), length.clone()).prop_map(|(owner, length)| Step::Own { owner, length }),
        1 => owner.prop_map(|owner| Step::Disown { owner }),
        2 => (0..4_usize, prop::option::of(call), 1..5_u32)
            .prop_map(|(outcome, ticket, most)| Step::Find { outcome, ticket, most }),
        1 => length.prop_map(|age| Step::Sweep { age }),
    ];
    prop::collection::vec((1..10_i64, step), 1..60)
}

impl Model {
    fn step(&mut self, step: &Step, now: i64) -> Told {
        match step {
            Step::Add { call, owner, length } => {
                if self.records.iter().any(|one| one.call == *call) {
                    return Err(0);
                }
                let (due, outcome) = (now + length, Outcome::Open);
                let (call, owner) = (*call, *owner);
                self.records.push(Known {
                    call,
                    began: now,
                    due,
                    owner,
                    outcome,
                    is_recovered: false,
                });
                Ok(Vec::new())
            }
            Step::Settle { call, outcome } => {
                let known = self.records.iter_mut().find(|one| one.call == *call);
                let known = known.filter(|one| one.outcome == Outcome::Open || one.is_recovered);
                let Some(known) = known else { return Err(0) };
                (known.outcome, known.is_recovered) = (ENDS[*outcome], false);
                Err(1)
            }
            Step::Claim { owner, most, stale } => Ok(self.claim(*owner, *most, now, now - stale)),
            Step::SettleClaimed { call, owner } => {
                let known = self.records.iter_mut().find(|one| {
                    one.call == *call && one.owner == *owner && one.outcome == Outcome::Open
                });
                let Some(known) = known else { return Err(0) };
                (known.outcome, known.is_recovered) = (Outcome::Unknown, true);
                Err(1)
            }
            Step::Own { owner, length } => {
                self.owners.insert(*owner, now + length);
                Ok(Vec::new())
            }
            Step::Disown { owner } => {
                self.owners.remove(owner);
                Ok(Vec::new())
            }
            Step::Find { outcome, ticket, most } => {
                let outcome = Outcome::ALL[*outcome];
                let found = self.records.iter().filter(|one| {
                    one.outcome == outcome && ticket.is_none_or(|ticket| ticket == one.call)
                });
                Ok(found.map(|one| one.call).take(*most as usize).collect())
            }
            Step::Sweep { age } => {
                let before = now - age;
                let count = self.records.len();
                self.records.retain(|one| one.began >= before || one.outcome == Outcome::Open);
                self.owners.retain(|_, until| *until >= before);
                Err((count - self.records.len()) as u64)
            }
        }
    }

    fn claim(&mut self, owner: u32, most: u32, now: i64, stale: i64) -> Vec<u32> {
        let owners = &self.owners;
        let is_there = |owner: &u32| owners.get(owner).is_some_and(|until| *until > now);
        let mut found: Vec<&mut Known> = self
            .records
            .iter_mut()
            .filter(|one| one.outcome == Outcome::Open && one.due <= now)
            .filter(|one| match one.owner == owner {
                true => one.due <= stale,
                false => !is_there(&one.owner),
            })
            .collect();
        found.sort_by_key(|one| one.due);
        found.truncate(most as usize);
        for one in &mut found {
            (one.owner, one.due) = (owner, now);
        }
        found.into_iter().map(|one| one.call).collect()
    }
}

async fn real(store: &Store, step: &Step, now: i64) -> Told {
    let calls = |entries: Vec<Entry>| {
        let number = |entry: &Entry| (0..12).find(|call| id(*call) == entry.intent.call);
        Ok(entries.iter().filter_map(number).collect())
    };
    match step {
        Step::Add { call, owner, length } => {
            let intent = Intent { due: now + length, ..intent(*call, now) };
            match store.write_journal(id(*owner), vec![intent], Vec::new()).await {
                Ok(_) => Ok(Vec::new()),
                Err(_) => Err(0),
            }
        }
        Step::Settle { call, outcome } => {
            Err(settle(store, settlement(*call, ENDS[*outcome], By::Answered)).await)
        }
        Step::Claim { owner, most, stale } => {
            calls(store.claim_journal(id(*owner), now, now - stale, *most).await.unwrap())
        }
        Step::SettleClaimed { call, owner } => {
            let settlement = settlement(*call, Outcome::Unknown, By::Recovered);
            Err(store.settle_claimed(id(*owner), settlement).await.unwrap().into())
        }
        Step::Own { owner, length } => {
            store.own_journal(id(*owner), now + length).await.unwrap();
            Ok(Vec::new())
        }
        Step::Disown { owner } => {
            store.disown_journal(id(*owner)).await.unwrap();
            Ok(Vec::new())
        }
        Step::Find { outcome, ticket, most } => {
            let ticket = ticket.map(|ticket| format!("upstream-{ticket}"));
            let outcome = Some(Outcome::ALL[*outcome]);
            let filter = Filter { outcome, ticket, ..Filter::default() };
            calls(store.journal_after(&filter, 0, *most).await.unwrap())
        }
        Step::Sweep { age } => Err(store.sweep_journal(now - age, now - age).await.unwrap()),
    }
}

fn hold_model(fresh: &mut impl Fresh, cases: u32) {
    random::hold(fresh, cases, &steps(), async |store, steps| {
        let mut model = Model::default();
        let mut now = 1_000;
        for (time, step) in steps {
            now += time;
            prop_assert_eq!(real(store, step, now).await, model.step(step, now), "{:?}", step);
        }
        Ok(())
    });
}
