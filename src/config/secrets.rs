//! Secrets by reference: `{env: NAME}` or `{file: PATH}`, never the secret itself.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::codes;
use super::form::{self, quote};
use super::schema::{self, Field};
use super::section::{Reader, Section};
use super::tree::{Item, Kind, Spanned};
use crate::bounds;
use crate::diag::{Diagnostic, Location};
use crate::secret::{PEPPER_CHARS_MIN, Secret};

/// What it means that others have rights on the file of a secret.
#[derive(Clone, Copy)]
enum Others {
    /// A warning, if they may read it.
    Warned,
    /// An error, whatever they may.
    Refused,
}

/// As `chmod` has them.
const READABLE_BY_ALL: u32 = 0o004;
const OF_OTHERS: u32 = 0o077;

/// Where a secret may be said to be. What else stands beside is about it.
const SOURCES: [&str; 3] = ["env", "file", "hash"];

/// What a reference leads to.
pub(super) enum Found {
    /// The secret.
    Text(Secret),
    /// What stands for it where it need only be recognised.
    Hash(String),
}

/// A secret under a key, if the key is there.
pub(super) fn under(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    key: &str,
) -> Option<Spanned<Secret>> {
    let found = read(reader, section.get(key)?, key, schema::SECRET)?;
    text_of(found)
}

/// The operator's token, from a file that nobody else may touch.
pub(super) fn private(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    key: &str,
) -> Option<Spanned<Secret>> {
    let item = section.get(key)?;
    let found = read_for(reader, item, key, schema::ADMIN_TOKEN, Others::Refused)?;
    text_of(found)
}

/// What the consumers' keys are hashed under, from a file that nobody else may touch, or a variable.
pub(super) fn pepper(reader: &mut Reader<'_>, root: &Section<'_>) -> Option<Spanned<Secret>> {
    let item = root.get("pepper")?;
    let missing = |path: &Spanned<PathBuf>| !path.value.exists();
    if let Some(file) =
        item.entry("file").and_then(|file| reader.path(file, "file")).filter(missing)
    {
        let message = "the file of the pepper is not there";
        let label = "`latimer key new --config FILE` makes it; paths start at this file's folder";
        reader.error(codes::SECRET, &file.at, message, label);
        return None;
    }
    let secret = text_of(read_for(reader, item, "pepper", schema::SECRET, Others::Refused)?)?;
    let length = secret.value.expose().chars().count();
    if length < PEPPER_CHARS_MIN {
        let message = format!("the pepper has {length} characters, of at least {PEPPER_CHARS_MIN}");
        let label = "`latimer key new` makes a file with a good one if there is none";
        reader.error(codes::SECRET, &secret.at, message, label);
        return None;
    }
    Some(secret)
}

fn text_of(found: Spanned<Found>) -> Option<Spanned<Secret>> {
    match found.value {
        Found::Text(secret) => Some(Spanned::new(secret, found.at)),
        // Its section has no `hash`, and a key that it has not is an error.
        Found::Hash(_) => None,
    }
}

/// A secret by reference; `fields` says whether a hash may stand in its place.
pub(super) fn read(
    reader: &mut Reader<'_>,
    item: &Item,
    key: &str,
    fields: &'static [Field],
) -> Option<Spanned<Found>> {
    read_for(reader, item, key, fields, Others::Warned)
}

fn read_for(
    reader: &mut Reader<'_>,
    item: &Item,
    key: &str,
    fields: &'static [Field],
    others: Others,
) -> Option<Spanned<Found>> {
    if let Kind::Text(_) = item.kind {
        let message = format!("`{key}` is a secret, and a secret does not stand in this file");
        let label = if fields.iter().any(|field| field.name == "hash") {
            "write `{env: NAME}`, `{file: PATH}` or `{hash: …}` instead"
        } else if fields.iter().any(|field| field.name == "env") {
            "write `{env: NAME}` or `{file: PATH}` instead"
        } else {
            "write `{file: PATH}` instead"
        };
        reader.error(codes::SECRET, &item.at, message, label);
        return None;
    }
    let section = reader.section(item, format!("`{key}`"), &item.at, fields)?;
    let sources = fields.iter().map(|field| field.name).filter(|name| SOURCES.contains(name));
    let sources: Vec<&str> = sources.collect();
    let given = sources.iter().filter_map(|name| section.get(name).map(|item| (*name, item)));
    let given: Vec<(&str, &Item)> = given.collect();
    match given.as_slice() {
        [(source, item)] => {
            from(reader, source, item, others).map(|found| Spanned::new(found, item.at.clone()))
        }
        // What stands there instead was just reported.
        [] if !section.has_only(fields) => None,
        wrong => {
            let message = match wrong {
                [] => format!("`{key}` does not say where the secret is"),
                [_, ..] => format!("`{key}` says twice where the secret is"),
            };
            let label = format!("write exactly one of `{}`", sources.join("`, `"));
            reader.error(codes::SECRET, &item.at, message, label);
            None
        }
    }
}

fn from(reader: &mut Reader<'_>, source: &str, item: &Item, others: Others) -> Option<Found> {
    match source {
        "env" => variable(reader, item).map(Found::Text),
        "file" => file(reader, item, others).map(Found::Text),
        _ => hash(reader, item).map(Found::Hash),
    }
}

fn hash(reader: &mut Reader<'_>, item: &Item) -> Option<String> {
    let Kind::Text(text) = &item.kind else {
        reader.wrong_kind(item, "`hash`", "a text");
        return None;
    };
    Some(text.clone())
}

fn variable(reader: &mut Reader<'_>, item: &Item) -> Option<Secret> {
    let Kind::Text(name) = &item.kind else {
        reader.wrong_kind(item, "`env`", "a text");
        return None;
    };
    if !form::variable_name(name) {
        // Not repeated: it may be the secret itself.
        let label = "write the name of the variable that holds the secret";
        reader.error(codes::SECRET, &item.at, "`env` is not the name of a variable", label);
        return None;
    }
    let Some(value) = reader.environment.get(name) else {
        let message = format!("the environment has no variable {}", quote(name));
        reader.error(codes::SECRET, &item.at, message, "set it where the gateway is started");
        return None;
    };
    usable(reader, &item.at, value, &format!("the variable {}", quote(name)))
}

fn file(reader: &mut Reader<'_>, item: &Item, others: Others) -> Option<Secret> {
    let path = reader.path(item, "file")?;
    let (text, rights) = match read_file(&path.value) {
        Ok(read) => read,
        Err(error) => {
            let message = format!("the file of the secret cannot be read: {error}");
            reader.error(codes::SECRET, &item.at, message, "paths start at this file's folder");
            return None;
        }
    };
    match others {
        Others::Warned if rights & READABLE_BY_ALL != 0 => {
            let message = "everybody on this machine can read the file of the secret";
            let finding = Diagnostic::warning(codes::READABLE, item.at.clone(), message);
            reader.findings.push(finding.label("take the rights of others away: `chmod o= FILE`"));
        }
        Others::Refused if rights & OF_OTHERS != 0 => {
            let message = "others than its owner have rights on the file of the secret";
            reader.error(codes::SECRET, &item.at, message, "take them away: `chmod 600 FILE`");
            return None;
        }
        Others::Warned | Others::Refused => {}
    }
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    let secret = if secret.len() < text.len() {
        secret.strip_suffix('\r').unwrap_or(secret)
    } else {
        secret
    };
    usable(reader, &item.at, secret, "the file of the secret")
}

/// The file's text, and the rights on it.
fn read_file(path: &Path) -> std::io::Result<(Zeroizing<String>, u32)> {
    let file = File::open(path)?;
    let rights = rights(&file.metadata()?);
    let mut text = Zeroizing::new(String::new());
    let limit = bounds::SECRET_BYTES_MAX as u64 + 1;
    file.take(limit).read_to_string(&mut text)?;
    if text.len() > bounds::SECRET_BYTES_MAX {
        let message = format!("it has more than {} bytes", bounds::SECRET_BYTES_MAX);
        return Err(std::io::Error::other(message));
    }
    Ok((text, rights))
}

/// True if everybody on the machine can read a file.
pub(super) fn is_readable_by_all(metadata: &std::fs::Metadata) -> bool {
    rights(metadata) & READABLE_BY_ALL != 0
}

#[cfg(unix)]
fn rights(metadata: &std::fs::Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions())
}

#[cfg(not(unix))]
fn rights(_: &std::fs::Metadata) -> u32 {
    0
}

/// Refuses what can never be sent in a header.
fn usable(reader: &mut Reader<'_>, at: &Location, text: &str, what: &str) -> Option<Secret> {
    let wrong = if text.is_empty() {
        "is empty"
    } else if text.chars().any(char::is_control) {
        "holds a line break or another control character"
    } else if text.contains(char::REPLACEMENT_CHARACTER) {
        "is not UTF-8 text"
    } else {
        return Some(Secret::new(text));
    };
    reader.error(codes::SECRET, at, format!("{what} {wrong}"), "no secret can be taken from here");
    None
}
