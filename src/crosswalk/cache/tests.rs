//! The cache against a model that forgets nothing.

use std::collections::HashMap as Model;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Put(usize, usize, usize),
    Get(usize, usize),
    Raise,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (way, id) = (0..2_usize, 0..40_usize);
    let step = prop_oneof![
        6 => (way.clone(), id.clone(), 0..60_usize).prop_map(|(way, id, long)| Step::Put(way, id, long)),
        6 => (way, id).prop_map(|(way, id)| Step::Get(way, id)),
        1 => Just(Step::Raise),
    ];
    prop::collection::vec(step, 1..400)
}

const ENTRIES_MAX: usize = 24;
const BYTES_MAX: usize = 600;

fn linked(text: &str) -> Value {
    Value::Linked(text.into())
}

/// What is counted is what is there.
fn check(cache: &Cache) -> Result<(), TestCaseError> {
    let mut all = (0, 0);
    for generation in [&cache.young, &cache.old] {
        let entries = generation.ids.iter().flatten();
        let bytes = entries.clone().map(|(id, entry)| entry.bytes(id)).sum::<usize>();
        prop_assert_eq!((generation.entries, generation.bytes), (entries.count(), bytes));
        all = (all.0 + generation.entries, all.1 + bytes);
    }
    prop_assert!(all.0 <= ENTRIES_MAX && all.1 <= BYTES_MAX, "{:?}", all);
    Ok(())
}

proptest! {
    /// It knows nothing but what was put last in this epoch, and never more than there may be.
    #[test]
    fn it_is_bounded_and_never_wrong(steps in steps()) {
        let (mut cache, mut model) = (Cache::new(2, ENTRIES_MAX, BYTES_MAX), Model::new());
        let mut epoch = 1;
        for step in steps {
            match step {
                Step::Put(way, id, long) => {
                    let value = linked(&"x".repeat(long));
                    cache.put(way, &id.to_string(), epoch, value.clone());
                    model.insert((way, id), value);
                    prop_assert_eq!(cache.get(way, &id.to_string(), epoch), model.get(&(way, id)), "what was just put is there");
                }
                Step::Get(way, id) => {
                    if let Some(value) = cache.get(way, &id.to_string(), epoch) {
                        prop_assert_eq!(Some(value), model.get(&(way, id)));
                    }
                }
                Step::Raise => {
                    epoch += 1;
                    model.clear();
                }
            }
            check(&cache)?;
        }
    }
}

#[test]
fn what_is_used_stays_and_the_rest_goes() {
    let mut cache = Cache::new(1, 100, 1_000_000);
    cache.put(0, "used", 1, linked("a"));
    cache.put(0, "unused", 1, linked("b"));
    for one in 0..1_000 {
        cache.put(0, &one.to_string(), 1, Value::Missing(Instant::now()));
        assert_eq!(cache.get(0, "used", 1), Some(&linked("a")), "{one}");
    }
    assert_eq!(cache.get(0, "unused", 1), None);
}

#[test]
fn nothing_is_remembered_where_nothing_is_believed() {
    let mut cache = Cache::new(1, 100, 1_000);
    cache.put(0, "one", 1, linked("a"));
    cache.put(0, "one", 0, linked("b"));
    for epoch in [0, 1] {
        assert_eq!(cache.get(0, "one", epoch), None);
    }
    // One of an epoch that is over is not there, and is counted no more once it was looked for in the old part.
    cache.put(0, "two", 1, linked("a"));
    assert_eq!(cache.get(0, "two", 2), None);
    cache.put(0, "two", 2, linked("c"));
    assert_eq!(cache.get(0, "two", 2), Some(&linked("c")));
    assert_eq!(cache.young.entries + cache.old.entries, 1);
}
