//! `consumers:`, who may call.

use rustc_hash::FxHashMap;

use super::form;
use super::section::{Reader, Section};
use super::settings::{self, Setting};
use super::tree::{Entry, Spanned};
use super::{codes, schema, secrets};
use crate::diag::Diagnostic;
use crate::secret::KeyHash;

/// Somebody who holds a key.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// Its name, with the place of the name.
    pub name: Spanned<String>,
    /// What its key hashes to; the key itself is not kept.
    pub key: Spanned<KeyHash>,
    /// Values of settings that go before the route's.
    pub settings: Vec<Setting>,
    /// True if its key is known and let in nowhere.
    pub disabled: bool,
}

/// All consumers whose keys are right, in the file's order; no two have one key.
pub(super) fn read(reader: &mut Reader<'_>, root: &Section<'_>) -> Vec<Consumer> {
    let mut consumers: Vec<Consumer> = Vec::new();
    let mut keys: FxHashMap<KeyHash, usize> = FxHashMap::default();
    for entry in reader.named(root, "consumers") {
        let Some(consumer) = one(reader, entry) else { continue };
        let first = *keys.entry(consumer.key.value).or_insert(consumers.len());
        if let Some(first) = consumers.get(first) {
            reader.findings.push(same_key(first, &consumer));
        }
        consumers.push(consumer);
    }
    consumers
}

fn one(reader: &mut Reader<'_>, entry: &Entry) -> Option<Consumer> {
    let title = format!("consumer {}", form::quote(&entry.name.value));
    let section = reader.section(&entry.item, title, &entry.name.at, schema::CONSUMER)?;
    let later = section.get("keys").is_some() || section.get("logins").is_some();
    let item = match section.get("key") {
        None if later => None,
        Some(_) | None => reader.required(
            &section,
            "key",
            "add `key: {env: NAME}`, `{file: PATH}` or `{hash: \"sha256:…\"}`",
        ),
    };
    let key = item.and_then(|item| secrets::read(reader, item, "key", schema::CONSUMER_KEY));
    let settings = settings::read(reader, &section);
    let disabled = reader.leaf(&section, "disabled", form::boolean);
    Some(Consumer {
        name: entry.name.clone(),
        key: key?.map(|found| found.hash()),
        settings,
        disabled: disabled.is_some_and(|disabled| disabled.value),
    })
}

fn same_key(first: &Consumer, second: &Consumer) -> Diagnostic {
    let message =
        format!("consumers `{}` and `{}` have the same key", first.name.value, second.name.value);
    Diagnostic::error(codes::CONFLICT, second.key.at.clone(), message)
        .label("give each consumer a key of its own: `latimer key new`")
        .also(first.key.at.clone(), "the key that it has too")
}
