//! Checks between the parts of one file: names that must exist, and parts that nothing uses.
//!
//! They look at the names that the file has, not at what was read without fault: a broken upstream is reported
//! once and not again by each route that leads to it, and a broken route still has its names checked.

use rustc_hash::FxHashSet;

use super::codes;
use super::form::quote;
use super::route::{Consumers, Route};
use super::section::{Reader, Section};
use super::tree::{Entry, Item, Kind, Spanned};
use crate::diag::{self, Diagnostic};

/// Reports names without a meaning; and if nothing else is wrong, parts without a use.
pub(super) fn check(reader: &mut Reader<'_>, root: &Section<'_>, routes: &[Route]) {
    let (upstreams, consumers) = (names(root, "upstreams"), names(root, "consumers"));
    let limits = limits(root);
    let there: FxHashSet<&str> = consumers.iter().map(|name| name.value.as_str()).collect();
    for route in entries(root, "routes") {
        // A file without upstreams is reported as such.
        if let Some(item) = route.get("upstream")
            && is_readable(root, "upstreams")
            && root.get("upstreams").is_some()
        {
            known(reader, "upstream", item, &upstreams);
        }
        if let Some(Item { kind: Kind::List(items), .. }) = route.get("consumers")
            && is_readable(root, "consumers")
        {
            let unknown = |item: &&Item| match &item.kind {
                Kind::Text(name) => !there.contains(name.as_str()),
                Kind::Map(_) | Kind::List(_) | Kind::Nothing => false,
            };
            items
                .iter()
                .filter(unknown)
                .for_each(|item| known(reader, "consumer", item, &consumers));
        }
        if let Some(Item { kind: Kind::List(items), .. }) = route.get("limits") {
            items.iter().for_each(|item| known(reader, "limit", item, &limits));
        }
    }
    // A part may seem unused only because a name that leads to it is wrong.
    if !diag::has_errors(&reader.findings) {
        unused_upstreams(reader, &upstreams, routes);
        unused_limits(reader, &limits, routes);
        unused_consumers(reader, root, &consumers, routes);
    }
}

/// False for a part of the wrong kind, which is reported once as such.
fn is_readable(root: &Section<'_>, key: &str) -> bool {
    root.get(key).is_none_or(|item| matches!(item.kind, Kind::Map(_)))
}

fn names<'t>(root: &Section<'t>, key: &str) -> Vec<&'t Spanned<String>> {
    entries(root, key).iter().map(|entry| &entry.name).collect()
}

fn entries<'t>(root: &Section<'t>, key: &str) -> &'t [Entry] {
    match root.get(key).map(|item| &item.kind) {
        Some(Kind::Map(entries)) => entries,
        Some(Kind::List(_) | Kind::Text(_) | Kind::Nothing) | None => &[],
    }
}

fn known(reader: &mut Reader<'_>, what: &str, item: &Item, names: &[&Spanned<String>]) {
    let Kind::Text(name) = &item.kind else { return };
    if name.is_empty() || names.iter().any(|known| known.value == *name) {
        return;
    }
    let message = format!("there is no {what} {}", quote(name));
    let finding = Diagnostic::error(codes::UNKNOWN_NAME, item.at.clone(), message);
    let finding = if names.is_empty() {
        finding.label(format!("the file has no {what}s"))
    } else {
        finding.suggest(name, names.iter().map(|known| known.value.as_str()))
    };
    reader.findings.push(finding);
}

fn unused_upstreams(reader: &mut Reader<'_>, names: &[&Spanned<String>], routes: &[Route]) {
    for name in names {
        if !routes.iter().any(|route| route.upstream.value == name.value) {
            unused(reader, "upstream", name, "no route leads to it");
        }
    }
}

/// The names under `limits.named`.
fn limits<'t>(root: &Section<'t>) -> Vec<&'t Spanned<String>> {
    let named = entries(root, "limits").iter().find(|entry| entry.name.value == "named");
    match named.map(|entry| &entry.item.kind) {
        Some(Kind::Map(entries)) => entries.iter().map(|entry| &entry.name).collect(),
        Some(Kind::List(_) | Kind::Text(_) | Kind::Nothing) | None => Vec::new(),
    }
}

fn unused_limits(reader: &mut Reader<'_>, names: &[&Spanned<String>], routes: &[Route]) {
    let used = routes.iter().flat_map(|route| &route.limits);
    for name in names {
        if !used.clone().any(|used| used.value == name.value) {
            unused(reader, "limit", name, "no route names it under `limits`");
        }
    }
}

fn unused_consumers(
    reader: &mut Reader<'_>,
    root: &Section<'_>,
    names: &[&Spanned<String>],
    routes: &[Route],
) {
    let all = routes.iter().find(|route| matches!(route.consumers, Consumers::All));
    if all.is_none() {
        let listed = routes.iter().filter_map(|route| match &route.consumers {
            Consumers::All => None,
            Consumers::Named(names) => Some(names),
        });
        let listed: FxHashSet<&str> = listed.flatten().map(|name| name.value.as_str()).collect();
        for entry in entries(root, "consumers") {
            if !listed.contains(entry.name.value.as_str()) && !disabled(entry) {
                unused(reader, "consumer", &entry.name, "no route lets it in");
            }
        }
    }
    if let (Some(route), true) = (all, names.is_empty()) {
        let message =
            format!("route {} lets in all consumers, and there is none", quote(&route.name.value));
        let finding = Diagnostic::warning(codes::UNUSED, route.name.at.clone(), message);
        reader
            .findings
            .push(finding.label("every call would be refused: add `consumers:` with keys"));
    }
}

/// A consumer that is switched off is kept on purpose.
fn disabled(entry: &Entry) -> bool {
    let value = entry.get("disabled").map(|item| &item.kind);
    matches!(value, Some(Kind::Text(text)) if text == "true")
}

fn unused(reader: &mut Reader<'_>, what: &str, name: &Spanned<String>, label: &str) {
    let message = format!("{what} {} is not used", quote(&name.value));
    let finding = Diagnostic::warning(codes::UNUSED, name.at.clone(), message);
    reader.findings.push(finding.label(label));
}
