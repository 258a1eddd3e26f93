//! Readers of one map of the configuration: its keys, the kinds and forms of its values, and what is missing.
//!
//! Every fault is pushed to the [`Reader`]'s findings and reading goes on, with `None` in place of the value:
//! one pass reports everything. No key's meaning is known here.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::codes;
use super::form::{self, Malformed, quote};
use super::schema::Field;
use super::tree::{Entry, Item, Kind, Spanned};
use crate::diag::{self, Diagnostic, Location, SourceFile, Span};
use crate::tls::Roots;
use crate::yaml;

/// What all readers share.
pub(super) struct Reader<'a> {
    /// The file as findings show it.
    pub(super) shown: Arc<SourceFile>,
    /// The file's own tree, for what another part of the program reads.
    pub(super) root: &'a yaml::Node,
    /// The folder that paths start from.
    pub(super) base: &'a Path,
    /// Where `{env: NAME}` is looked up.
    pub(super) environment: &'a BTreeMap<String, String>,
    /// The system's root certificates, once somebody wanted them; none inside if there are none.
    pub(super) system_roots: Option<Option<Roots>>,
    /// Everything that was found so far.
    pub(super) findings: Vec<Diagnostic>,
}

/// A map whose keys are known.
pub(super) struct Section<'t> {
    /// What an operator calls it: ``route `acme` ``, `` `bounds` ``.
    pub(super) title: String,
    /// Where to point when something is missing.
    pub(super) at: Location,
    /// What stands before a key's name in a message: `limit.`, or nothing in a part of its own.
    prefix: String,
    entries: &'t [Entry],
}

impl<'t> Section<'t> {
    /// The value under a key.
    pub(super) fn get(&self, key: &str) -> Option<&'t Item> {
        self.entries.iter().find(|entry| entry.name.value == key).map(|entry| &entry.item)
    }

    /// True if nothing stands in it but what is known.
    pub(super) fn has_only(&self, fields: &[Field]) -> bool {
        let known = |entry: &Entry| fields.iter().any(|field| field.name == entry.name.value);
        self.entries.iter().all(known)
    }

    /// A key as a message names it.
    pub(super) fn path(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// A value of a key that is left out: its place is the section.
    pub(super) fn default<T>(&self, value: T) -> Spanned<T> {
        Spanned::new(value, self.at.clone())
    }
}

impl Reader<'_> {
    /// A place in the file.
    pub(super) fn at(&self, span: Span) -> Location {
        Location { file: Arc::clone(&self.shown), span }
    }

    /// Adds an error.
    pub(super) fn error(
        &mut self,
        code: &'static str,
        at: &Location,
        message: impl Into<String>,
        label: impl Into<String>,
    ) {
        self.findings.push(Diagnostic::error(code, at.clone(), message).label(label));
    }

    /// Opens a map: unknown keys are errors.
    pub(super) fn section<'t>(
        &mut self,
        item: &'t Item,
        title: impl Into<String>,
        at: &Location,
        fields: &'static [Field],
    ) -> Option<Section<'t>> {
        let title = title.into();
        let entries = self.entries(item, &title, &such_as(fields))?;
        let known = || fields.iter().map(|field| field.name);
        for Entry { name, .. } in entries {
            if known().all(|known| known != name.value) {
                let message = format!("{title} has no key {}", quote(&name.value));
                let finding = Diagnostic::error(codes::UNKNOWN_KEY, name.at.clone(), message);
                self.findings.push(finding.suggest(&name.value, known()));
            }
        }
        Some(Section { title, at: at.clone(), prefix: String::new(), entries })
    }

    /// The section under a key of another one, if the key is there.
    pub(super) fn subsection<'t>(
        &mut self,
        section: &Section<'t>,
        key: &str,
        fields: &'static [Field],
    ) -> Option<Section<'t>> {
        let item = section.get(key)?;
        let path = section.path(key);
        let below = self.section(item, format!("`{path}`"), &item.at, fields)?;
        Some(Section { prefix: format!("{path}."), ..below })
    }

    /// The entries of a map; anything else is an error.
    fn entries<'t>(&mut self, item: &'t Item, title: &str, wanted: &str) -> Option<&'t [Entry]> {
        match &item.kind {
            Kind::Map(entries) => Some(entries),
            Kind::List(_) | Kind::Text(_) | Kind::Nothing => {
                self.wrong_kind(item, title, wanted);
                None
            }
        }
    }

    /// Reports a value of the wrong kind.
    pub(super) fn wrong_kind(&mut self, item: &Item, title: &str, wanted: &str) {
        let (message, label) = match item.kind {
            Kind::Nothing => {
                (format!("{title} has no value"), format!("write {wanted}, or leave the key out"))
            }
            Kind::Map(_) | Kind::List(_) | Kind::Text(_) => {
                let found = item.kind_name();
                (format!("{title} is {found}"), format!("write {wanted} here"))
            }
        };
        self.error(codes::FORM, &item.at, message, label);
    }

    /// A text in its form.
    pub(super) fn parsed<T>(
        &mut self,
        item: &Item,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, Malformed>,
    ) -> Option<Spanned<T>> {
        let Kind::Text(text) = &item.kind else {
            self.wrong_kind(item, &format!("`{key}`"), "a text");
            return None;
        };
        match parse(text) {
            Ok(value) => Some(Spanned::new(value, item.at.clone())),
            Err(Malformed { found, hint }) => {
                self.error(codes::FORM, &item.at, format!("`{key}`: {found}"), hint);
                None
            }
        }
    }

    /// The text under a key in its form, if the key is there.
    pub(super) fn leaf<T>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, Malformed>,
    ) -> Option<Spanned<T>> {
        self.parsed(section.get(key)?, &section.path(key), parse)
    }

    /// The value under a key that must be there; the hint says what to write.
    pub(super) fn required<'t>(
        &mut self,
        section: &Section<'t>,
        key: &str,
        hint: &str,
    ) -> Option<&'t Item> {
        let item = section.get(key);
        if item.is_none() {
            let message = format!("{} has no `{key}`", section.title);
            self.error(codes::MISSING, &section.at, message, hint);
        }
        item
    }

    /// One of a few words, or the default.
    pub(super) fn word<T: Copy>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        words: &[(&str, T)],
        default: T,
    ) -> T {
        self.leaf(section, key, |text| one_of(text, words)).map_or(default, |word| word.value)
    }

    /// A size within its range, in bytes, or the default.
    pub(super) fn size(
        &mut self,
        section: &Section<'_>,
        key: &str,
        range: (usize, usize),
        default: usize,
    ) -> usize {
        let parse = |text: &str| {
            let bytes = form::size(text)?;
            match usize::try_from(bytes) {
                Ok(bytes) if (range.0..=range.1).contains(&bytes) => Ok(bytes),
                Ok(_) | Err(_) => {
                    Err(out_of_range(text, &shown_size(range.0), &shown_size(range.1)))
                }
            }
        };
        self.leaf(section, key, parse).map_or(default, |size| size.value)
    }

    /// A duration within its range, or the default.
    pub(super) fn duration(
        &mut self,
        section: &Section<'_>,
        key: &str,
        range: (Duration, Duration),
        default: Duration,
    ) -> Duration {
        let parse = |text: &str| {
            let duration = form::duration(text)?;
            if (range.0..=range.1).contains(&duration) {
                return Ok(duration);
            }
            Err(out_of_range(text, &shown_duration(range.0), &shown_duration(range.1)))
        };
        self.leaf(section, key, parse).map_or(default, |duration| duration.value)
    }

    /// A whole number within its range, or the default.
    pub(super) fn count(
        &mut self,
        section: &Section<'_>,
        key: &str,
        range: (u32, u32),
        default: u32,
    ) -> u32 {
        self.leaf(section, key, form::count_in(range)).map_or(default, |count| count.value)
    }

    /// A share within its range, in percent, or the default.
    pub(super) fn percent(
        &mut self,
        section: &Section<'_>,
        key: &str,
        range: (u32, u32),
        default: u32,
    ) -> u32 {
        self.leaf(section, key, form::percent_in(range)).map_or(default, |share| share.value)
    }

    /// A path under a key, from the file's folder on.
    pub(super) fn path(&mut self, item: &Item, key: &str) -> Option<Spanned<PathBuf>> {
        let base = self.base;
        self.parsed(item, key, |text| form::text(text).map(|path| shortened(base.join(path))))
    }

    /// The items of a list; none if the key is left out.
    pub(super) fn list<'t>(&mut self, section: &Section<'t>, key: &str) -> &'t [Item] {
        let Some(item) = section.get(key) else { return &[] };
        match &item.kind {
            Kind::List(items) => items,
            Kind::Map(_) | Kind::Text(_) | Kind::Nothing => {
                self.wrong_kind(item, &format!("`{}`", section.path(key)), "a list");
                &[]
            }
        }
    }

    /// The entries of a map of the operator's own names, each name in its form.
    pub(super) fn named<'t>(&mut self, section: &Section<'t>, key: &str) -> Vec<&'t Entry> {
        let Some(entries) = section
            .get(key)
            .and_then(|item| self.entries(item, &format!("`{key}`"), "a map of names"))
        else {
            return Vec::new();
        };
        for Entry { name, .. } in entries {
            if let Err(Malformed { found, hint }) = form::name(&name.value) {
                self.error(codes::FORM, &name.at, format!("`{key}`: {found}"), hint);
            }
        }
        entries.iter().collect()
    }
}

/// A map as a message asks for it, with one of its keys.
fn such_as(fields: &[Field]) -> String {
    let key = fields.first().map_or("", |field| field.name);
    format!("a map such as `{{{key}: …}}`")
}

/// The meaning of one of a few words.
pub(super) fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, Malformed> {
    if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*meaning);
    }
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let all: Vec<String> = known.iter().map(|word| format!("`{word}`")).collect();
    let hint = match diag::nearest(text, &known) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("write one of {}", all.join(", ")),
    };
    Err(Malformed::new(format!("{} is not one of its values", quote(text)), hint))
}

fn out_of_range(text: &str, least: &str, most: &str) -> Malformed {
    Malformed::new(format!("{} is out of range", quote(text)), format!("write {least} to {most}"))
}

fn shown_size(bytes: usize) -> String {
    const MIB: usize = 1024 * 1024;
    if bytes >= MIB && bytes.is_multiple_of(MIB) {
        format!("{}MiB", bytes / MIB)
    } else {
        format!("{}KiB", bytes / 1024)
    }
}

/// A duration as the file writes it.
pub(super) fn shown_duration(duration: Duration) -> String {
    match (duration.as_secs(), duration.subsec_millis()) {
        (0, 0) => "0s".to_owned(),
        (0, milliseconds) => format!("{milliseconds}ms"),
        (seconds, 0) if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        (seconds, 0) if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        (seconds, _) => format!("{seconds}s"),
    }
}

/// The path without `folder/..` in it, as people would write it; as it is where a link makes that another
/// place.
fn shortened(path: PathBuf) -> PathBuf {
    let mut short = PathBuf::new();
    for part in path.components() {
        let into_folder = matches!(short.components().next_back(), Some(Component::Normal(_)));
        if part == Component::ParentDir && into_folder {
            short.pop();
        } else {
            short.push(part);
        }
    }
    let same = |one: std::io::Result<PathBuf>, other: std::io::Result<PathBuf>| matches!((one, other), (Ok(one), Ok(other)) if one == other);
    if same(path.canonicalize(), short.canonicalize()) { short } else { path }
}
