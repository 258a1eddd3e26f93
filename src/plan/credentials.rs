//! By what the gateway is known to its upstreams: one credential for all, or a consumer's own.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use rustc_hash::FxHashMap;

use crate::catalog::Catalog;
use crate::config::{self, Config, Consumer, Setting};
use crate::diag::{Diagnostic, Location};
use crate::mapping::model::{LogIn, Mapping, OrElse, Pattern, Request, Slot, Source, Vocabulary};
use crate::mapping::run::{Secrets, Settings};
use crate::plan::{Credential, Route, Upstream, callers};
use crate::secret::Secret;
use crate::value::{SecretId, SettingId};

/// An upstream's own credential.
pub(super) fn own(
    vocabulary: &Vocabulary,
    mapping: &Mapping,
    credential: &config::Credential,
    settings: Settings,
) -> Credential {
    let secrets = secrets_of(vocabulary, credential);
    let log_in = log_in_of(mapping).filter(|log_in| logs_in(log_in, &settings, &secrets));
    let log_in = log_in.map(|log_in| shown(vocabulary, log_in, &settings, &secrets));
    Credential { index: 0, consumer: None, settings, secrets, log_in }
}

fn secrets_of(vocabulary: &Vocabulary, credential: &config::Credential) -> Secrets {
    let named = [
        ("auth.token", &credential.token),
        ("auth.user", &credential.user),
        ("auth.csrf", &credential.csrf),
        ("auth.session", &credential.session),
        ("auth.password", &credential.password),
    ];
    let secrets = named.into_iter().filter_map(|(name, secret)| {
        Some((name.to_owned(), Secret::new(secret.as_ref()?.value.expose())))
    });
    Secrets::of(vocabulary, secrets)
}

fn log_in_of(mapping: &Mapping) -> Option<&LogIn> {
    mapping.session.as_ref()?.upstream.as_ref()
}

/// True if a log-in can give what is not there: a token that was given by hand goes before. Where a setting says
/// how to log in, its absence says not to.
fn logs_in(log_in: &LogIn, settings: &Settings, secrets: &Secrets) -> bool {
    let lacks_token =
        log_in.takes.first().is_some_and(|(secret, _)| secrets.get(*secret).is_none());
    let needed = |slot| match slot {
        Slot::Secret(secret) => secrets.get(secret).is_some(),
        Slot::Setting(setting) => settings.get(setting).is_some(),
        _ => true,
    };
    lacks_token && required(&log_in.request).all(|(slot, _)| needed(slot))
}

/// All that a log-in and its session are made of: the secrets, and those settings that stand in its messages.
fn shown(
    vocabulary: &Vocabulary,
    log_in: &LogIn,
    settings: &Settings,
    secrets: &Secrets,
) -> Secret {
    let requests = || [&log_in.request].into_iter().chain(&log_in.renew);
    let named = requests().flat_map(|request| [&request.query, &request.headers, &request.cookies]);
    let names = named.flatten().map(|named| &named.name);
    let sources = log_in.takes.iter().flat_map(|(_, sources)| sources);
    let taken = sources.filter_map(|source| match source {
        Source::Cookie(name) => Some(name),
        _ => None,
    });
    let holes = names.chain(taken).flat_map(Pattern::holes);
    let holes = holes.chain(requests().flat_map(Request::holes));
    let used: BTreeSet<SettingId> = holes
        .filter_map(|hole| match hole.slot {
            Slot::Setting(setting) => Some(setting),
            _ => None,
        })
        .collect();
    let values = used.into_iter().map(|setting| settings.get(setting));
    let known = (0..).zip(&vocabulary.secrets).map(|(secret, _)| secrets.get(secret));
    // With their lengths, so that no two lists come out the same.
    let mut text = String::new();
    for value in values.chain(known.map(|secret| secret.map(Secret::expose))) {
        let length = value.map_or(0, |value| value.len() + 1);
        let _ = write!(text, "{length} {}", value.unwrap_or_default());
    }
    Secret::new(text)
}

/// What a request cannot be written without, and where it stands.
fn required(request: &Request) -> impl Iterator<Item = (Slot, &Location)> {
    let named = [&request.query, &request.headers, &request.cookies].into_iter().flatten();
    let named =
        named.filter(|named| named.place.arrow.writes() && named.place.content.is_required());
    let in_names = named.flat_map(|named| named.name.holes());
    let in_path = request.segments.iter().flat_map(crate::mapping::model::Pattern::holes);
    let places = request.places();
    let places = places.filter(|place| place.arrow.writes() && place.content.is_required());
    let written = places.flat_map(|place| place.content.holes());
    let holes = in_names.chain(in_path).chain(written).filter(|hole| hole.or == OrElse::Required);
    holes.map(|hole| (hole.slot, &hole.at))
}

/// M009: settings and secrets that every request to the upstream needs.
pub(super) fn lacking(
    vocabulary: &Vocabulary,
    mapping: &Mapping,
    credential: &Credential,
    at: &Location,
) -> Vec<Diagnostic> {
    let log_in = log_in_of(mapping).filter(|_| credential.log_in.is_some());
    let given = |secret: SecretId| {
        log_in.is_some_and(|log_in| log_in.takes.iter().any(|(taken, _)| *taken == secret))
    };
    let operations = mapping.operations.iter().filter(|known| !known.kind.is_ours());
    let requests = operations.map(|operation| &operation.request);
    let mut found: Vec<Diagnostic> = Vec::new();
    for (slot, place) in requests.chain(log_in.map(|log_in| &log_in.request)).flat_map(required) {
        let missing = match slot {
            Slot::Setting(setting) if credential.settings.get(setting).is_none() => {
                let name = &mapping.settings[usize::from(setting)].name;
                format!("the upstream needs the setting `{name}`: add `settings: {{{name}: …}}`")
            }
            Slot::Secret(secret) if credential.secrets.get(secret).is_none() && !given(secret) => {
                let name = &vocabulary.secrets[usize::from(secret)];
                let key = name.trim_start_matches("auth.");
                format!(
                    "the upstream needs a credential: add `credential: {{{key}: {{env: NAME}}}}`{}",
                    if log_in_of(mapping).is_some() {
                        ", or one that logs in: `user` and `password`"
                    } else {
                        ""
                    }
                )
            }
            _ => continue,
        };
        // Once is enough, however many operations need it.
        if !found.iter().any(|known| known.message == missing) {
            let finding = Diagnostic::error("M009", at.clone(), missing);
            found.push(finding.also(place.clone(), "needed here"));
        }
    }
    found
}

/// Gives consumers that have one their own credential, or settings of their own, on each of their routes.
pub(super) fn assign(
    config: &Config,
    catalog: &Catalog,
    routes: &mut [Route],
    upstreams: &mut [Upstream],
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (index, consumer) in config.consumers.iter().enumerate() {
        // Most consumers have neither, and there may be many.
        if consumer.credential.is_none() && consumer.settings.is_empty() {
            continue;
        }
        found.extend(several_upstreams(config, consumer));
        for (route, configured) in routes.iter_mut().zip(&config.routes) {
            if !callers::admits(configured, &consumer.name) {
                continue;
            }
            let upstream = &mut upstreams[route.upstream];
            let Some(credential) = credential_of(catalog, config, route, upstream, consumer) else {
                continue;
            };
            let credential = Credential {
                index: upstream.credentials.len(),
                consumer: Some(index),
                ..credential
            };
            let at = consumer.credential.as_ref().map_or(&consumer.name.at, |own| &own.at);
            found.extend(lacking(&catalog.vocabulary, &upstream.mapping, &credential, at));
            route.credentials.insert(index, credential.index);
            upstream.credentials.push(credential);
        }
    }
    found
}

/// What a consumer's calls on a route are known by; `None` for the upstream's own.
fn credential_of(
    catalog: &Catalog,
    config: &Config,
    route: &Route,
    upstream: &Upstream,
    consumer: &Consumer,
) -> Option<Credential> {
    let mapping = &upstream.mapping;
    // What the client's vendor knows by that name is meant for the client's side.
    let theirs = consumer.settings.iter().filter(|setting| {
        let name = &setting.name.value;
        route.client.setting(name).is_none() && mapping.setting(name).is_some()
    });
    let theirs: Vec<&Setting> = theirs.collect();
    if consumer.credential.is_none() && theirs.is_empty() {
        return None;
    }
    let known = config.upstreams.iter().find(|known| known.name.value == upstream.name)?;
    let values = known.settings.iter().chain(theirs);
    let values = values.map(|setting| (setting.name.value.as_str(), setting.value.value.as_str()));
    let settings = Settings::of(mapping, values);
    let credential = consumer.credential.as_ref().map_or(&known.credential, |own| &own.value);
    Some(own(&catalog.vocabulary, mapping, credential, settings))
}

/// C007: a credential that would be shown to systems that it is not for.
fn several_upstreams(config: &Config, consumer: &Consumer) -> Option<Diagnostic> {
    let credential = consumer.credential.as_ref()?;
    let mut upstreams: FxHashMap<&str, &Location> = FxHashMap::default();
    let routes = config.routes.iter().filter(|route| callers::admits(route, &consumer.name));
    for route in routes {
        upstreams.entry(&route.upstream.value).or_insert(&route.upstream.at);
    }
    let mut places: Vec<_> = upstreams.into_iter().collect();
    places.sort_by_key(|(_, at)| at.span.start);
    let [(first, _), (second, at), ..] = places[..] else { return None };
    let message = format!(
        "the credential of the consumer `{}` would be shown to `{first}` and to `{second}`",
        consumer.name.value
    );
    let finding = Diagnostic::error("C007", credential.at.clone(), message)
        .label("it is one system's: give the consumer routes to one upstream");
    Some(finding.also(at.clone(), "the second upstream"))
}
