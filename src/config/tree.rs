//! The merged configuration before it is checked: texts, maps and lists, each with its place.
//!
//! A value's place is in the file, or in the environment variable that it came from. The tree knows nothing
//! of keys and forms.

use crate::diag::Location;

/// A value with the place that it was written at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands; for a default, where the section stands that leaves it out.
    pub at: Location,
}

/// A value of the merged tree.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) kind: Kind,
    /// The whole of a text; the first line of a map or list.
    pub(super) at: Location,
}

/// The kinds of value.
#[derive(Debug)]
pub(super) enum Kind {
    Map(Vec<Entry>),
    List(Vec<Item>),
    Text(String),
    Nothing,
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Spanned<String>,
    pub(super) item: Item,
}

impl<T> Spanned<T> {
    /// A value at a place.
    pub fn new(value: T, at: Location) -> Self {
        Self { value, at }
    }

    /// Another value at the same place.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned { value: change(self.value), at: self.at }
    }
}

impl Item {
    /// The value under a key, if this is a map.
    pub(super) fn entry(&self, key: &str) -> Option<&Self> {
        let Kind::Map(entries) = &self.kind else { return None };
        entries.iter().find(|entry| entry.name.value == key).map(|entry| &entry.item)
    }
}

impl Entry {
    /// The value under a key, if this one is a map.
    pub(super) fn get(&self, key: &str) -> Option<&Item> {
        self.item.entry(key)
    }
}

impl Item {
    /// What an operator calls such a value.
    pub(super) fn kind_name(&self) -> &'static str {
        match &self.kind {
            Kind::Map(_) => "a map",
            Kind::List(_) => "a list",
            Kind::Text(_) => "a text",
            Kind::Nothing => "nothing",
        }
    }
}
