//! Random calls of the crosswalk, on a store and on a plain model of it; what they answer is the same.

use std::collections::{BTreeMap, BTreeSet};

use latimer::store::Store;
use latimer::store::crosswalk::{
    Conflict, Counts, Entry, Found, Id, Kind, Outcome, Pair, Past, Row, SystemId,
};
use proptest::prelude::*;

use crate::{Fresh, random};

#[derive(Clone, Debug)]
enum Call {
    Link(Vec<Pair>),
    Unlink(Kind, SystemId),
    Dismiss(Kind, [SystemId; 2]),
    Alias(Kind, SystemId, Option<String>),
    Partner(Kind, SystemId, String),
    Find(String, Option<String>),
    Page(Kind, [String; 2], String),
    Counts,
    Has(Kind, String, Vec<String>),
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let kind = prop_oneof![4 => Just(Kind::Ticket), 1 => Just(Kind::User)];
    let system = prop::sample::select(vec!["a", "b", "c", "d"]).prop_map(str::to_owned);
    let id = prop::sample::select(vec!["1", "2", "3"]).prop_map(str::to_owned);
    let some = (system.clone(), id.clone()).prop_map(|(system, id)| SystemId { system, id });
    let two = (some.clone(), some.clone())
        .prop_filter("two systems", |(one, other)| one.system != other.system);
    let two = two.prop_map(|(one, other)| [one, other]).boxed();
    let note = prop::option::of(Just("n".to_owned()));
    let one =
        (kind.clone(), two.clone(), note).prop_map(|(kind, ids, note)| Pair { kind, ids, note });
    let call = prop_oneof![
        6 => prop::collection::vec(one, 1..5).prop_map(Call::Link),
        3 => (kind.clone(), some.clone()).prop_map(|(kind, at)| Call::Unlink(kind, at)),
        1 => (kind.clone(), two.clone()).prop_map(|(kind, ids)| Call::Dismiss(kind, ids)),
        1 => (kind.clone(), some.clone(), prop::option::of(id.clone()))
            .prop_map(|(kind, at, alias)| Call::Alias(kind, at, alias)),
        2 => (kind.clone(), some, system.clone())
            .prop_map(|(kind, at, system)| Call::Partner(kind, at, system)),
        3 => (id.clone(), prop::option::of(system.clone())).prop_map(|(id, system)| Call::Find(id, system)),
        1 => (kind.clone(), two, id.clone()).prop_map(|(kind, [one, other], after)| Call::Page(
            kind,
            [one.system, other.system],
            after
        )),
        1 => Just(Call::Counts),
        1 => (kind, system, prop::collection::vec(id, 0..4))
            .prop_map(|(kind, system, ids)| Call::Has(kind, system, ids)),
    ];
    prop::collection::vec(call, 1..40)
}

#[derive(Debug, PartialEq)]
enum Answer {
    Told(Vec<Told>),
    Yes(bool),
    Partner(Option<String>),
    Found(Vec<Found>),
    Page(Vec<Row>),
    Counts(Counts),
    Has(Vec<bool>),
}

/// An outcome; of one that contradicts only that it does.
#[derive(Debug, PartialEq)]
enum Told {
    As(Outcome),
    Contradicts,
}

type Own = BTreeMap<String, Id>;

#[derive(Default)]
struct Model {
    entries: BTreeMap<u64, (Kind, Own)>,
    past: Vec<(u64, Kind, Past)>,
    conflicts: Vec<(Kind, Conflict)>,
    last: u64,
}

fn sorted(ids: &[SystemId; 2]) -> [SystemId; 2] {
    let mut ids = ids.clone();
    ids.sort();
    ids
}

impl Model {
    fn entry_of(&self, kind: Kind, at: &SystemId) -> Option<u64> {
        let has = |own: &Own| own.get(&at.system).is_some_and(|id| id.at == *at);
        self.entries
            .iter()
            .find(|(_, (of, own))| *of == kind && has(own))
            .map(|(number, _)| *number)
    }

    fn link(&mut self, pair: &Pair, now: i64) -> Told {
        let [one, other] = &pair.ids;
        let numbers = [one, other].map(|at| self.entry_of(pair.kind, at));
        let own = |number: Option<u64>| {
            number.map_or(Own::new(), |number| self.entries[&number].1.clone())
        };
        let [mut first, second] = numbers.map(own);
        let new = |at: &SystemId| Id {
            at: at.clone(),
            alias: None,
            source: "model".to_owned(),
            linked: now,
            note: pair.note.clone(),
        };
        let same = numbers[0].is_some() && numbers[0] == numbers[1];
        let since = |at: &SystemId| first[&at.system].linked;
        let known = same.then(|| Outcome::Known { since: since(one).max(since(other)) });
        let mut whole: Vec<Id> = first.values().chain(second.values()).cloned().collect();
        whole.extend(
            [one, other]
                .into_iter()
                .zip(numbers)
                .filter(|(_, number)| number.is_none())
                .map(|(at, _)| new(at)),
        );
        first.clear();
        for id in &whole {
            let before = first.insert(id.at.system.clone(), id.clone());
            if before.is_some_and(|before| before.at != id.at) {
                let conflict = Conflict {
                    ids: sorted(&pair.ids),
                    source: "model".to_owned(),
                    told: now,
                    note: pair.note.clone(),
                };
                if !self
                    .conflicts
                    .iter()
                    .any(|(kind, known)| *kind == pair.kind && known.ids == conflict.ids)
                {
                    self.conflicts.push((pair.kind, conflict));
                }
                return Told::Contradicts;
            }
        }
        self.dismiss(pair.kind, &pair.ids);
        if let Some(known) = known {
            return Told::As(known);
        }
        let outcome = match numbers {
            [None, None] => Outcome::Linked,
            [Some(_), Some(_)] => Outcome::Merged,
            _ => Outcome::Joined,
        };
        let known: Vec<u64> = numbers.into_iter().flatten().collect();
        let number = known.iter().min().copied().unwrap_or(self.last + 1);
        self.last = self.last.max(number);
        if let Some(younger) = known.iter().find(|known| **known != number) {
            let (kind, own) = self.entries.remove(younger).unwrap();
            for id in own.into_values() {
                self.past.push((
                    *younger,
                    kind,
                    Past { id, ended: now, merged_into: Some(number) },
                ));
            }
        }
        self.entries.insert(number, (pair.kind, first));
        Told::As(outcome)
    }

    fn dismiss(&mut self, kind: Kind, ids: &[SystemId; 2]) -> bool {
        let before = self.conflicts.len();
        self.conflicts.retain(|(of, conflict)| *of != kind || conflict.ids != sorted(ids));
        self.conflicts.len() < before
    }

    fn unlink(&mut self, kind: Kind, at: &SystemId, now: i64) -> bool {
        let Some(number) = self.entry_of(kind, at) else { return false };
        let (_, own) = self.entries.get_mut(&number).unwrap();
        let id = own.remove(&at.system).unwrap();
        self.past.push((number, kind, Past { id, ended: now, merged_into: None }));
        true
    }

    fn entry(&self, number: u64) -> Entry {
        let ids = self.entries.get(&number).map(|(_, own)| own.values().cloned().collect());
        let past = self.past.iter().filter(|(of, ..)| *of == number).map(|(.., past)| past.clone());
        Entry { number, ids: ids.unwrap_or_default(), past: past.collect() }
    }

    fn find(&self, id: &str, system: Option<&str>) -> Vec<Found> {
        let mut found = Vec::new();
        for (kind, system) in
            Kind::ALL.into_iter().flat_map(|kind| ["a", "b", "c", "d"].map(|one| (kind, one)))
        {
            let at = SystemId::new(system, id);
            let number = self.entry_of(kind, &at);
            let before: BTreeSet<u64> = self
                .past
                .iter()
                .filter(|(of, past_kind, past)| {
                    *past_kind == kind && past.id.at == at && Some(*of) != number
                })
                .map(|(of, ..)| *of)
                .collect();
            let entry = number.map(|number| self.entry(number));
            let own: Vec<SystemId> = entry
                .iter()
                .flat_map(|one| &one.ids)
                .map(|id| id.at.clone())
                .chain([at.clone()])
                .collect();
            let conflicts = self
                .conflicts
                .iter()
                .filter(|(of, one)| *of == kind && one.ids.iter().any(|at| own.contains(at)));
            let conflicts: Vec<_> = conflicts.map(|(_, one)| one.clone()).collect();
            let before: Vec<Entry> = before.into_iter().map(|number| self.entry(number)).collect();
            let is_known = entry.is_some() || !before.is_empty() || !conflicts.is_empty();
            found.extend(is_known.then_some(Found { kind, at, entry, before, conflicts }));
        }
        found
            .into_iter()
            .filter(|one| system.is_none_or(|system| one.at.system == system))
            .map(in_order)
            .collect()
    }

    fn counts(&self) -> Counts {
        let mut ids = BTreeMap::new();
        for (kind, own) in self.entries.values() {
            own.keys().for_each(|system| *ids.entry((*kind, system.clone())).or_default() += 1);
        }
        let ids = ids.into_iter().map(|((kind, system), count)| (kind, system, count)).collect();
        let [conflicts, past] = [self.conflicts.len(), self.past.len()].map(|count| count as u64);
        Counts { ids, conflicts, past }
    }

    fn call(&mut self, call: &Call, now: i64) -> Answer {
        match call {
            Call::Link(pairs) => {
                Answer::Told(pairs.iter().map(|pair| self.link(pair, now)).collect())
            }
            Call::Unlink(kind, at) => Answer::Yes(self.unlink(*kind, at, now)),
            Call::Dismiss(kind, ids) => Answer::Yes(self.dismiss(*kind, ids)),
            Call::Alias(kind, at, alias) => {
                let number = self.entry_of(*kind, at);
                if let Some(number) = number {
                    let (_, own) = self.entries.get_mut(&number).unwrap();
                    own.get_mut(&at.system).unwrap().alias.clone_from(alias);
                }
                Answer::Yes(number.is_some())
            }
            Call::Partner(kind, at, system) => {
                let number = self.entry_of(*kind, at);
                let own = number.and_then(|number| self.entries[&number].1.get(system));
                Answer::Partner(own.map(|id| id.at.id.clone()))
            }
            Call::Find(id, system) => Answer::Found(self.find(id, system.as_deref())),
            Call::Page(kind, [one, other], after) => {
                let own = self.entries.values().filter(|(of, _)| of == kind).map(|(_, own)| own);
                let rows = own.filter_map(|own| Some((own.get(one)?, own.get(other)?)));
                let rows = rows.filter(|(mine, _)| mine.at.id > *after).map(|(mine, theirs)| Row {
                    ids: [mine, theirs].map(|id| id.at.id.clone()),
                    note: theirs.note.clone().or_else(|| mine.note.clone()),
                });
                let mut rows: Vec<Row> = rows.collect();
                rows.sort_by(|one, other| one.ids.cmp(&other.ids));
                Answer::Page(rows)
            }
            Call::Counts => Answer::Counts(self.counts()),
            Call::Has(kind, system, ids) => Answer::Has(
                ids.iter()
                    .map(|id| self.entry_of(*kind, &SystemId::new(system, id)))
                    .map(|number| number.is_some_and(|number| self.entries[&number].1.len() > 1))
                    .collect(),
            ),
        }
    }
}

/// What is in no order of its own, in one.
fn in_order(mut found: Found) -> Found {
    for entry in found.entry.iter_mut().chain(&mut found.before) {
        entry.past.sort_by(|one, other| (one.ended, &one.id.at).cmp(&(other.ended, &other.id.at)));
    }
    found.conflicts.sort_by(|one, other| one.ids.cmp(&other.ids));
    found
}

async fn real(store: &Store, call: &Call, now: i64) -> Answer {
    match call {
        Call::Link(pairs) => {
            let told = store.link_crosswalk(pairs, "model", now).await.unwrap();
            Answer::Told(
                told.into_iter()
                    .map(|one| match one {
                        Outcome::Contradicts { stands } => {
                            assert!(!stands.is_empty());
                            Told::Contradicts
                        }
                        outcome => Told::As(outcome),
                    })
                    .collect(),
            )
        }
        Call::Unlink(kind, at) => {
            Answer::Yes(store.unlink_crosswalk(*kind, at, now).await.unwrap())
        }
        Call::Dismiss(kind, ids) => Answer::Yes(store.dismiss_crosswalk(*kind, ids).await.unwrap()),
        Call::Alias(kind, at, alias) => {
            Answer::Yes(store.alias_crosswalk(*kind, at, alias.as_deref()).await.unwrap())
        }
        Call::Partner(kind, at, system) => {
            Answer::Partner(store.crosswalk(*kind, at, system).await.unwrap())
        }
        Call::Find(id, system) => {
            let found = store.find_crosswalk(id, system.as_deref()).await.unwrap();
            Answer::Found(found.into_iter().map(in_order).collect())
        }
        Call::Page(kind, [one, other], after) => {
            Answer::Page(store.crosswalk_page(*kind, [one, other], after, 100).await.unwrap())
        }
        Call::Counts => Answer::Counts(store.crosswalk_counts().await.unwrap()),
        Call::Has(kind, system, ids) => {
            Answer::Has(store.crosswalk_has(*kind, system, ids).await.unwrap())
        }
    }
}

/// Holds a store against the model, in so many cases.
pub(crate) fn hold(fresh: &mut impl Fresh, cases: u32) {
    random::hold(fresh, cases, &calls(), async |store, calls| {
        let mut model = Model::default();
        for (now, call) in (0..).zip(calls) {
            prop_assert_eq!(real(store, call, now).await, model.call(call, now), "{:?}", call);
        }
        Ok(())
    });
}
