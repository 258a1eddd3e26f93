//! Checks between the parts of one file: names that must exist, and parts that nothing uses.
//!
//! They look at the names that the file has, not at what was read without fault, so that a broken upstream is
//! reported once and not again by each route that leads to it.

use super::codes;
use super::form::quote;
use super::route::{Consumers, Route};
use super::section::{Reader, Section};
use super::tree::{Entry, Kind, Spanned};
use crate::diag::Diagnostic;

/// Reports names without a meaning and parts without a use.
pub(super) fn check(reader: &mut Reader<'_>, root: &Section<'_>, routes: &[Route]) {
    let (upstreams, consumers) = (names(root, "upstreams"), names(root, "consumers"));
    for route in routes {
        known(reader, "upstream", &route.upstream, &upstreams);
        if let Consumers::Named(listed) = &route.consumers {
            listed.iter().for_each(|name| known(reader, "consumer", name, &consumers));
        }
    }
    // A route that was not read may use anything.
    if names(root, "routes").len() == routes.len() {
        unused_upstreams(reader, &upstreams, routes);
        unused_consumers(reader, root, &consumers, routes);
    }
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

fn known(reader: &mut Reader<'_>, what: &str, name: &Spanned<String>, names: &[&Spanned<String>]) {
    if names.iter().any(|known| known.value == name.value) {
        return;
    }
    let message = format!("there is no {what} {}", quote(&name.value));
    let finding = Diagnostic::error(codes::UNKNOWN_NAME, name.at.clone(), message);
    let finding = if names.is_empty() {
        finding.label(format!("the file has no {what}s"))
    } else {
        finding.suggest(&name.value, names.iter().map(|known| known.value.as_str()))
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

fn unused_consumers(
    reader: &mut Reader<'_>,
    root: &Section<'_>,
    names: &[&Spanned<String>],
    routes: &[Route],
) {
    let lets_in = |route: &Route, name: &str| match &route.consumers {
        Consumers::All => true,
        Consumers::Named(listed) => listed.iter().any(|listed| listed.value == name),
    };
    for name in names {
        if !routes.iter().any(|route| lets_in(route, &name.value)) && !disabled(root, &name.value) {
            unused(reader, "consumer", name, "no route lets it in");
        }
    }
    let all = routes.iter().find(|route| matches!(route.consumers, Consumers::All));
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
fn disabled(root: &Section<'_>, name: &str) -> bool {
    let entry = entries(root, "consumers").iter().find(|entry| entry.name.value == name);
    let Some(Kind::Map(keys)) = entry.map(|entry| &entry.item.kind) else { return false };
    keys.iter().any(|key| {
        key.name.value == "disabled" && matches!(&key.item.kind, Kind::Text(text) if text == "true")
    })
}

fn unused(reader: &mut Reader<'_>, what: &str, name: &Spanned<String>, label: &str) {
    let message = format!("{what} {} is not used", quote(&name.value));
    let finding = Diagnostic::warning(codes::UNUSED, name.at.clone(), message);
    reader.findings.push(finding.label(label));
}
