//! A consumer's keys.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::config::secrets::{self, Found};
use crate::config::section::{Reader, Section};
use crate::config::tree::{Item, Spanned};
use crate::config::{codes, form, schema};
use crate::diag::Diagnostic;
use crate::secret::{KeyHash, Pepper};

/// A key that lets its consumer in.
#[derive(Clone, Debug)]
pub struct Key {
    /// What it hashes to; the key itself is not kept.
    pub hash: Spanned<KeyHash>,
    /// When it stops to let in, since the Unix epoch; `None` for never.
    pub expires: Option<Duration>,
}

/// How keys are hashed.
pub(super) struct Hashing<'p> {
    pub(super) pepper: &'p Pepper,
    /// True if the file says it, so that hashes of other times are under it.
    pub(super) given: bool,
}

/// `key`, or all of `keys`; none for a consumer that only logs in. `None` if one is wrong.
pub(super) fn read(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    hashing: &Hashing<'_>,
) -> Option<Vec<Key>> {
    match (section.get("key"), section.get("keys")) {
        (Some(item), None) => Some(vec![one(reader, item, "key", hashing)?]),
        (None, Some(_)) => {
            let items = reader.list(section, "keys");
            let keys: Vec<Option<Key>> =
                items.iter().map(|item| one(reader, item, "keys", hashing)).collect();
            keys.into_iter().collect()
        }
        (Some(_), Some(item)) => {
            let message = "a consumer has `key` or `keys`, and not both";
            reader.error(codes::CONFLICT, &item.at, message, "write all of them here");
            None
        }
        (None, None) => Some(Vec::new()),
    }
}

fn one(reader: &mut Reader<'_>, item: &Item, key: &str, hashing: &Hashing<'_>) -> Option<Key> {
    let found = secrets::read(reader, item, key, schema::CONSUMER_KEY)?;
    let expires = expiry(reader, item);
    let hash = match &found.value {
        Found::Text(secret) => hashing.pepper.hash(secret.expose()),
        Found::Hash(text) => {
            let Some(hash) = KeyHash::parse(text) else {
                let label =
                    "write `hmac-sha256:` and 64 hexadecimal digits; `latimer key hash` prints it";
                reader.error(codes::SECRET, &found.at, "`hash` is not the hash of a key", label);
                return None;
            };
            if !hashing.given {
                let message =
                    "the hash of a key tells nothing without the pepper that it was made under";
                let label = "add `pepper: {file: latimer.pepper}` at the top of the file";
                reader.error(codes::MISSING, &found.at, message, label);
                return None;
            }
            hash
        }
    };
    Some(Key { hash: Spanned::new(hash, found.at), expires: expires? })
}

/// When a key expires. One that did is a warning: it lets nobody in, and may go.
fn expiry(reader: &mut Reader<'_>, item: &Item) -> Option<Option<Duration>> {
    let Some(item) = item.entry("expires") else { return Some(None) };
    let expires = reader.parsed(item, "expires", form::moment)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if expires.value <= now {
        let finding = Diagnostic::warning(codes::EXPIRED, expires.at, "this key has expired")
            .label("it lets nobody in; leave it out");
        reader.findings.push(finding);
    }
    Some(Some(expires.value))
}
