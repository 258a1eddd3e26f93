//! `routes:`, which API is answered by which upstream, for whom, and under which rules.

use std::time::Duration;

use rustc_hash::FxHashSet;

use super::form::{self, Malformed, net, quote};
use super::gateway::TIMEOUT;
use super::ids::{self, Ids};
use super::journal::{self, Journal};
use super::limits::{self, Limit};
use super::section::{Reader, Section};
use super::settings::{self, Setting};
use super::tree::{Entry, Kind, Spanned};
use super::{codes, schema, upstream};
use crate::bounds;

/// A client's vendor and a place, and what happens to the calls that come there.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name, with the place of the name.
    pub name: Spanned<String>,
    /// The mapping that the callers speak; whether there is one is checked later.
    pub client: Spanned<String>,
    /// The upstream's name.
    pub upstream: Spanned<String>,
    /// Who is let in.
    pub consumers: Consumers,
    /// The host that calls must name, in lower case and without port; none takes every host.
    pub host: Option<Spanned<String>>,
    /// The path that is stripped before the client's lines are tried: `/`, or segments without a slash at
    /// the end.
    pub path_prefix: Spanned<String>,
    /// How much each consumer may call.
    pub limit: Limit,
    /// Limits by name that its calls count towards besides.
    pub limits: Vec<Spanned<String>>,
    /// How ids are carried over.
    pub ids: Ids,
    /// Time for one call, all in all.
    pub deadline: Duration,
    /// Values of the client's settings, before the upstream's.
    pub settings: Vec<Setting>,
    /// What happens to fields that the upstream cannot carry.
    pub dropped_fields: Policy,
    /// What happens to words that the target cannot say exactly.
    pub lossy_words: Policy,
    /// What happens to members of a body that the mapping does not name.
    pub unknown_members: Policy,
    /// Whose text a fault carries.
    pub messages: Spanned<Messages>,
    /// What happens to paths that the mapping does not know; forwarding wants the same vendor on both sides.
    pub unmapped: Spanned<Unmapped>,
    /// Whether clients are answered at once whose vendor has them ask.
    pub answers: Answers,
    /// Whether the ticket is read after a write, to fill in what the write's answer leaves out.
    pub enrich: Spanned<bool>,
    /// Whether the ticket is read after a write of which nobody knows, to settle what came of it.
    pub read_back: bool,
    /// Whom the upstream is told that a call is from.
    pub actor: Spanned<Actor>,
    /// Which changes are written down.
    pub journal: Journal,
}

/// Who is let in by a route.
#[derive(Clone, Debug)]
pub enum Consumers {
    /// Everybody with a key.
    All,
    /// These, by name.
    Named(Vec<Spanned<String>>),
}

/// What happens to what cannot be carried over as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It passes, is counted, and is reported where that is due.
    Allow,
    /// The call is refused.
    Refuse,
}

/// Whose text a fault carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Messages {
    /// The mapping's own.
    Own,
    /// The upstream's, cut and cleaned.
    Upstream,
}

/// When a call is answered whose vendor's clients expect to be told where to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// At once, with where to ask.
    Jobs,
    /// Once its outcome is known, with that.
    Direct,
}

/// What happens to a path that the client's mapping does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmapped {
    /// It is answered with a fault.
    Refuse,
    /// It goes to the upstream as it is.
    Forward,
}

/// Whom the upstream is told that a call is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Whomever the client names.
    Client,
    /// Always the same: what this setting of the upstream says.
    Setting(String),
}

/// All routes whose keys are right, in the file's order; with what is written down where they say nothing else.
pub(super) fn read(reader: &mut Reader<'_>, root: &Section<'_>, journal: &Journal) -> Vec<Route> {
    let Some(item) = reader.required(root, "routes", "add `routes:` with at least one route")
    else {
        return Vec::new();
    };
    let entries = reader.named(root, "routes");
    if entries.is_empty() && matches!(item.kind, Kind::Map(_)) {
        let message = "`routes` is empty, so nothing would be answered";
        reader.error(codes::MISSING, &item.at, message, "add at least one route");
    }
    entries.into_iter().filter_map(|entry| one(reader, entry, journal)).collect()
}

fn one(reader: &mut Reader<'_>, entry: &Entry, journal: &Journal) -> Option<Route> {
    let title = format!("route {}", quote(&entry.name.value));
    let section = &reader.section(&entry.item, title, &entry.name.at, schema::ROUTE)?;
    let client = upstream::vendor(reader, section, "client", "the API that the callers speak");
    let upstream = reader
        .required(section, "upstream", "add `upstream:` with the name of the one that answers")
        .and_then(|item| reader.parsed(item, "upstream", form::text));
    let consumers = consumers(reader, section);
    let (host, path_prefix) = place(reader, section);
    let limits = limits::of_route(reader, section);
    let limit = limits::limit(reader, section, !limits.is_empty());
    let deadline = reader.duration(section, "deadline", TIMEOUT, bounds::DEADLINE);
    let ids = ids::read(reader, section, client.as_ref(), upstream.as_ref());
    let settings = settings::read(reader, section);
    let allow = [("allow", Policy::Allow), ("refuse", Policy::Refuse)];
    let report = [("report", Policy::Allow), ("refuse", Policy::Refuse)];
    let answers = [("jobs", Answers::Jobs), ("direct", Answers::Direct)];
    let messages = [("own", Messages::Own), ("upstream", Messages::Upstream)];
    Some(Route {
        dropped_fields: reader.word(section, "dropped_fields", &report, Policy::Allow),
        lossy_words: reader.word(section, "lossy_words", &allow, Policy::Allow),
        unknown_members: reader.word(section, "unknown_members", &allow, Policy::Allow),
        messages: spanned_word(reader, section, "messages", &messages, Messages::Own),
        unmapped: unmapped(reader, section),
        answers: reader.word(section, "async", &answers, Answers::Jobs),
        enrich: enrich(reader, section),
        read_back: reader.word(section, "read_back", &[("on", true), ("off", false)], true),
        actor: actor(reader, section),
        journal: journal::of_route(reader, section, journal),
        name: entry.name.clone(),
        client: client?,
        upstream: upstream?,
        consumers: consumers?,
        host,
        path_prefix,
        limit,
        limits,
        ids: ids?,
        deadline,
        settings,
    })
}

fn consumers(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Consumers> {
    const HINT: &str = "write `all`, or a list of consumers such as `[acme]`";
    let item = reader.required(section, "consumers", HINT)?;
    match &item.kind {
        Kind::Text(text) if text == "all" => Some(Consumers::All),
        Kind::Text(text) => {
            let message = format!("`consumers`: {} is neither `all` nor a list", quote(text));
            reader.error(codes::FORM, &item.at, message, HINT);
            None
        }
        Kind::List(items) if items.is_empty() => {
            let message = "`consumers` is empty, so nobody could call the route";
            reader.error(codes::FORM, &item.at, message, HINT);
            None
        }
        Kind::Map(_) | Kind::Nothing => {
            reader.wrong_kind(item, "`consumers`", "`all` or a list");
            None
        }
        Kind::List(items) => {
            let mut names: Vec<Spanned<String>> = Vec::new();
            let mut seen: FxHashSet<String> = FxHashSet::default();
            for item in items {
                let Some(name) = reader.parsed(item, "consumers", form::text) else { continue };
                if !seen.insert(name.value.clone()) {
                    let message = format!("`consumers` names {} twice", quote(&name.value));
                    reader.error(codes::CONFLICT, &name.at, message, "once is enough");
                }
                names.push(name);
            }
            Some(Consumers::Named(names))
        }
    }
}

fn place(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
) -> (Option<Spanned<String>>, Spanned<String>) {
    let everywhere = || section.default("/".to_owned());
    let Some(place) = reader.subsection(section, "match", schema::MATCH) else {
        return (None, everywhere());
    };
    let host = reader.leaf(&place, "host", net::route_host);
    let prefix = reader.leaf(&place, "path_prefix", net::path_prefix);
    (host, prefix.unwrap_or_else(everywhere))
}

fn unmapped(reader: &mut Reader<'_>, section: &Section<'_>) -> Spanned<Unmapped> {
    let words = [("refuse", Unmapped::Refuse), ("forward", Unmapped::Forward)];
    spanned_word(reader, section, "unmapped", &words, Unmapped::Refuse)
}

fn enrich(reader: &mut Reader<'_>, section: &Section<'_>) -> Spanned<bool> {
    spanned_word(reader, section, "enrich", &[("off", false), ("on", true)], false)
}

/// One of a few words, or the default, with its place or the section's.
fn spanned_word<T: Copy>(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    key: &str,
    words: &[(&str, T)],
    default: T,
) -> Spanned<T> {
    let value = reader.word(section, key, words, default);
    let at = section.get(key).map_or(&section.at, |item| &item.at);
    Spanned::new(value, at.clone())
}

fn actor(reader: &mut Reader<'_>, section: &Section<'_>) -> Spanned<Actor> {
    let parse = |text: &str| match (text, text.strip_prefix('$')) {
        ("client", _) => Ok(Actor::Client),
        (_, Some(setting)) if !setting.is_empty() => Ok(Actor::Setting(setting.to_owned())),
        (_, _) => Err(Malformed::new(
            format!("{} is neither `client` nor a setting", quote(text)),
            "write `client`, or `$` and a setting of the upstream, such as `$staff_user`",
        )),
    };
    let actor = reader.leaf(section, "actor", parse);
    actor.unwrap_or_else(|| section.default(Actor::Client))
}
