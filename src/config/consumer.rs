//! `consumers:`, who may call.

mod key;
mod login;

use rustc_hash::FxHashMap;

use super::form;
use super::section::{Reader, Section};
use super::settings::{self, Setting};
use super::tree::{Entry, Spanned};
use super::upstream::{self, Credential};
use super::{codes, schema};
use crate::diag::{Diagnostic, Location};
use crate::secret::{KeyHash, Pepper};

pub use key::Key;
pub use login::Login;

/// Somebody who holds a key, or may log in.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// Its name, with the place of the name.
    pub name: Spanned<String>,
    /// Its keys, of which each lets it in.
    pub keys: Vec<Key>,
    /// Its log-ins.
    pub logins: Vec<Login>,
    /// Values of settings that go before the route's, or the upstream's.
    pub settings: Vec<Setting>,
    /// By what its calls are known to the upstream, in place of the upstream's own credential.
    pub credential: Option<Spanned<Credential>>,
    /// True if its keys and log-ins are known and let in nowhere.
    pub disabled: bool,
}

/// All consumers whose keys and log-ins are right, in the file's order. No key is there twice, nor the user
/// of a log-in.
pub(super) fn read(reader: &mut Reader<'_>, root: &Section<'_>, pepper: &Pepper) -> Vec<Consumer> {
    let mut consumers: Vec<Consumer> = Vec::new();
    let hashing = key::Hashing { pepper, given: root.get("pepper").is_some() };
    for entry in reader.named(root, "consumers") {
        consumers.extend(one(reader, entry, &hashing));
    }
    same_keys(reader, &consumers);
    same_users(reader, &consumers);
    consumers
}

fn one(reader: &mut Reader<'_>, entry: &Entry, hashing: &key::Hashing<'_>) -> Option<Consumer> {
    let title = format!("consumer {}", form::quote(&entry.name.value));
    let section = reader.section(&entry.item, title, &entry.name.at, schema::CONSUMER)?;
    let keys = key::read(reader, &section, hashing);
    let logins = login::read(reader, &section);
    let settings = settings::read(reader, &section);
    let credential = upstream::own_credential(reader, &section);
    let disabled = reader.leaf(&section, "disabled", form::boolean);
    let (keys, logins) = (keys?, logins?);
    if keys.is_empty() && logins.is_empty() {
        let message = format!("{} has neither a key nor a log-in", section.title);
        let label = "add `key: {env: NAME}`, `{file: PATH}` or `{hash: \"hmac-sha256:…\"}`";
        reader.error(codes::MISSING, &section.at, message, label);
        return None;
    }
    Some(Consumer {
        name: entry.name.clone(),
        keys,
        logins,
        settings,
        credential,
        disabled: disabled.is_some_and(|disabled| disabled.value),
    })
}

/// Reports each key that somebody had before.
fn same_keys(reader: &mut Reader<'_>, consumers: &[Consumer]) {
    let mut owners: FxHashMap<KeyHash, (&Consumer, &Location)> = FxHashMap::default();
    for consumer in consumers {
        for key in &consumer.keys {
            let this = (consumer, &key.hash.at);
            let Some((first, there)) = owners.insert(key.hash.value, this) else { continue };
            // The first of several is the one that each is held against.
            owners.insert(key.hash.value, (first, there));
            let (one, other) = (&first.name.value, &consumer.name.value);
            let message = match one == other {
                true => format!("consumer `{one}` has the same key twice"),
                false => format!("consumers `{one}` and `{other}` have the same key"),
            };
            let finding = Diagnostic::error(codes::CONFLICT, key.hash.at.clone(), message)
                .label("give each consumer a key of its own: `latimer key new`")
                .also(there.clone(), "the key that it has too");
            reader.findings.push(finding);
        }
    }
}

/// Reports each user whom a consumer had before: a log-in names nobody but its user.
fn same_users(reader: &mut Reader<'_>, consumers: &[Consumer]) {
    let mut owners: FxHashMap<&str, &Location> = FxHashMap::default();
    for login in consumers.iter().flat_map(|consumer| &consumer.logins) {
        let user = &login.user;
        let Some(there) = owners.insert(&user.value, &user.at) else { continue };
        owners.insert(&user.value, there);
        let message = format!("two log-ins of the user {}", form::quote(&user.value));
        let finding = Diagnostic::error(codes::CONFLICT, user.at.clone(), message)
            .label("a user logs in as one consumer, with one password")
            .also(there.clone(), "the other one");
        reader.findings.push(finding);
    }
}
