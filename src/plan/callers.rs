//! What a route's callers need of the configuration: a place for their key, settings that exist.

use std::collections::BTreeSet;

use crate::catalog::Catalog;
use crate::config::{Config, Consumer, Consumers, Route, Spanned};
use crate::diag::Diagnostic;
use crate::mapping::model::{Hole, Mapping, Request, Slot};
use crate::mapping::run::Settings;

/// M009: a setting without which no caller can show a key, because it is part of the name of every place
/// that has one. The consumer is not known before the key, so only the route can give it.
pub(super) fn without_a_place_for_the_key(
    catalog: &Catalog,
    route: &Route,
    client: &Mapping,
    settings: &Settings,
) -> Option<Diagnostic> {
    let token = Slot::Secret(catalog.vocabulary.secret("auth.token")?);
    let missing = |hole: &&Hole| match hole.slot {
        Slot::Setting(setting) => settings.get(setting).is_none(),
        _ => false,
    };
    client.operations.iter().find_map(|operation| {
        let places = names_of(&operation.request, token);
        let lacking: Vec<&Hole> =
            places.iter().filter_map(|name| name.iter().copied().find(missing)).collect();
        if lacking.len() < places.len() {
            return None;
        }
        let hole = lacking.first()?;
        let Slot::Setting(setting) = hole.slot else { return None };
        let name = &client.settings[usize::from(setting)].name;
        let message =
            format!("no caller of the route could show a key without the setting `{name}`");
        let finding = Diagnostic::error("M009", route.name.at.clone(), message)
            .label(format!("add `settings: {{{name}: …}}`"));
        Some(finding.also(hole.at.clone(), "part of the name of the place"))
    })
}

/// What sessions of the route's clients are good for: the vendor's API, and those settings that the names of the
/// places of their secrets have, as a tenant's.
pub(super) fn realm(client: &Mapping, settings: &Settings) -> String {
    let given = client.session.iter().flat_map(|session| &session.gives);
    let requests = || client.operations.iter().map(|operation| &operation.request);
    let names = given.flat_map(|(secret, _)| {
        requests().flat_map(|request| names_of(request, Slot::Secret(*secret)))
    });
    let used = names.flatten().filter_map(|hole| match hole.slot {
        Slot::Setting(setting) => Some((hole.name.as_str(), settings.get(setting)?)),
        _ => None,
    });
    let used: BTreeSet<(&str, &str)> = used.collect();
    let used = used.into_iter().map(|(name, value)| format!(" {name}={value}"));
    std::iter::once(client.vendor.clone()).chain(used).collect()
}

/// The holes in the names of the places from which a secret is read, by place.
fn names_of(request: &Request, secret: Slot) -> Vec<Vec<&Hole>> {
    [&request.query, &request.headers, &request.cookies]
        .into_iter()
        .flatten()
        .filter(|named| named.place.arrow.reads())
        .filter(|named| named.place.content.holes().any(|hole| hole.slot == secret))
        .map(|named| named.name.holes().collect())
        .collect()
}

/// C004: settings of a consumer that neither a client of its routes has nor the system behind.
pub(super) fn unknown_settings(config: &Config, catalog: &Catalog) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    // Most consumers have none, and there may be many.
    for consumer in config.consumers.iter().filter(|consumer| !consumer.settings.is_empty()) {
        let routes = config.routes.iter().filter(|route| admits(route, &consumer.name));
        // A setting is the client's, or the upstream's.
        let vendors = routes.flat_map(|route| {
            let upstream = config.upstream(&route.upstream.value).map(|known| &known.vendor);
            [Some(&route.client), upstream]
        });
        let clients: Vec<&Mapping> = vendors
            .flatten()
            .filter_map(|vendor| catalog.mapping(&vendor.value))
            .map(AsRef::as_ref)
            .collect();
        found.extend(unknown_to(&clients, consumer));
    }
    found
}

pub(super) fn admits(route: &Route, consumer: &Spanned<String>) -> bool {
    match &route.consumers {
        Consumers::All => true,
        Consumers::Named(names) => names.iter().any(|name| name.value == consumer.value),
    }
}

fn unknown_to<'c>(
    clients: &'c [&Mapping],
    consumer: &'c Consumer,
) -> impl Iterator<Item = Diagnostic> + 'c {
    let settings = consumer.settings.iter().map(|setting| &setting.name);
    let unknown = settings
        .filter(|name| clients.iter().all(|client| client.setting(&name.value).is_none()))
        // Of a consumer without a route there is another finding.
        .filter(|_| !clients.is_empty());
    unknown.map(move |name| {
        let message = format!(
            "no client of the consumer `{}`, and no system behind it, has a setting named `{}`",
            consumer.name.value, name.value
        );
        let known = clients.iter().flat_map(|client| &client.settings);
        let finding = Diagnostic::error("C004", name.at.clone(), message);
        finding.suggest(&name.value, known.map(|setting| setting.name.as_str()))
    })
}
