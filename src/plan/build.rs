//! From configuration and catalog to a plan, with the checks that need both.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::catalog::Catalog;
use crate::config::{self, Answers, Config, Consumers, RawYaml, Setting, Spanned, pairs};
use crate::diag::{self, Diagnostic};
use crate::mapping::compile::TableOverride;
use crate::mapping::model::{Mapping, Operation, OperationDef, OperationKind, OrElse, Type};
use crate::mapping::run::Settings;
use crate::mapping::syntax::{self, Findings, Named};
use crate::plan::ids::Ways;
use crate::plan::{
    Carrying, Keys, LogIns, OwnLimit, Pair, Plan, Route, Routing, Upstream, callers, credentials,
    identity, ids, limits,
};
use crate::value::SettingId;

/// What was found while building.
pub type Problem = Vec<Diagnostic>;

/// Builds the plan; gives warnings besides.
///
/// # Errors
/// Everything that was found, if an error is among it.
pub fn build(config: &Config, catalog: &Catalog) -> Result<(Plan, Problem), Problem> {
    let names = config.consumers.iter().map(|consumer| consumer.name.value.as_str());
    let numbers = names.zip(0..).collect();
    let (found, routing, ways) = (Vec::new(), Routing::default(), Ways::default());
    let mut builder = Builder { config, numbers, catalog, found, routing, ways };
    let upstreams: Vec<Option<Upstream>> =
        config.upstreams.iter().map(|upstream| builder.upstream(upstream)).collect();
    let mut routes = Vec::new();
    for (index, route) in config.routes.iter().enumerate() {
        let upstream =
            config.upstreams.iter().position(|known| known.name.value == route.upstream.value);
        let Some(upstream_plan) = upstream.and_then(|index| upstreams[index].as_ref()) else {
            builder.client(route);
            continue;
        };
        routes.extend(builder.route(route, index, upstream.unwrap_or(0), upstream_plan));
    }
    let mut found = builder.found;
    let (routing, ways) = (builder.routing, builder.ways.0);
    found.extend(callers::unknown_settings(config, catalog));
    diag::sort(&mut found);
    // A consumer's setting is held against each of its routes.
    found.dedup();
    if diag::has_errors(&found) {
        return Err(found);
    }
    let mut upstreams: Vec<Upstream> = upstreams.into_iter().flatten().collect();
    let (limits, by_route) = limits::of(config);
    for (route, limits) in routes.iter_mut().zip(by_route) {
        if !limits.is_empty() {
            route.limit = config::Limit::None;
        }
        route.limits = limits;
        route.own_limit = OwnLimit::of(&route.limit, &route.client.limits);
    }
    found.extend(credentials::assign(config, catalog, &mut routes, &mut upstreams));
    diag::sort(&mut found);
    if diag::has_errors(&found) {
        return Err(found);
    }
    found.append(&mut losses(catalog, &routes, &upstreams));
    diag::sort(&mut found);
    let plan = Plan {
        vocabulary: Arc::clone(&catalog.vocabulary),
        bounds: config.bounds,
        listens_by_tls: config.listen_tls.is_some(),
        routes,
        upstreams,
        consumers: config.consumers.iter().map(|consumer| consumer.name.value.clone()).collect(),
        routing,
        log_ins: LogIns::of(config),
        trusted_proxies: config.trusted_proxies.clone(),
        limits,
        ways,
        unauthenticated: config.limits.unauthenticated,
        keys: Keys::of(config),
    };
    Ok((plan, found))
}

struct Builder<'a> {
    config: &'a Config,
    /// The consumers' indexes, by name.
    numbers: FxHashMap<&'a str, usize>,
    catalog: &'a Catalog,
    found: Vec<Diagnostic>,
    routing: Routing,
    ways: Ways,
}

impl Builder<'_> {
    fn vendor(&mut self, name: &Spanned<String>) -> Option<Arc<Mapping>> {
        let mapping = self.catalog.mapping(&name.value).map(Arc::clone);
        if mapping.is_none() {
            let message = format!("no mapping for the vendor `{}`", name.value);
            let known = self.catalog.vendors.iter().map(String::as_str);
            let finding = Diagnostic::error("C004", name.at.clone(), message);
            self.found.push(finding.suggest(&name.value, known));
        }
        mapping
    }

    fn upstream(&mut self, upstream: &config::Upstream) -> Option<Upstream> {
        let mapping = self.vendor(&upstream.vendor)?;
        let (tables, parsed) = upstream.tables.as_ref().map(tables).unwrap_or_default();
        let mapping = match self.catalog.with_tables(&mapping, &tables, parsed) {
            Ok((mapping, mut warnings)) => {
                self.found.append(&mut warnings);
                mapping
            }
            Err(mut found) => {
                self.found.append(&mut found);
                return None;
            }
        };
        let settings = self.settings(&mapping, &[&upstream.settings]);
        let own =
            credentials::own(&self.catalog.vocabulary, &mapping, &upstream.credential, settings);
        let at = &upstream.name.at;
        self.found.extend(credentials::lacking(&self.catalog.vocabulary, &mapping, &own, at));
        Some(Upstream {
            name: upstream.name.value.clone(),
            mapping,
            credentials: vec![own],
            url: upstream.url.value.clone(),
            endpoints: upstream.endpoints.iter().map(|url| url.value.clone()).collect(),
            resilience: upstream.resilience.clone(),
            tls: upstream.tls.clone(),
            http: upstream.http,
            reply_bytes_max: upstream.reply_bytes_max,
            connect_timeout: upstream.connect_timeout,
        })
    }

    /// Settings of a mapping; of several lists a later one counts.
    fn settings(&mut self, mapping: &Mapping, lists: &[&Vec<Setting>]) -> Settings {
        for setting in lists.iter().copied().flatten() {
            let name = &setting.name.value;
            let Some(index) = mapping.setting(name) else {
                let message = format!("{} has no setting named `{name}`", mapping.vendor);
                let known = mapping.settings.iter().map(|setting| setting.name.as_str());
                let finding = Diagnostic::error("C004", setting.name.at.clone(), message);
                self.found.push(finding.suggest(name, known));
                continue;
            };
            let kind = mapping.settings[usize::from(index)].kind;
            let value = &setting.value.value;
            let fits = match kind {
                Type::Int => crate::mapping::codecs::Codec::Int.read(value).is_some(),
                Type::Bool => matches!(value.as_str(), "true" | "false"),
                Type::Time => crate::mapping::codecs::Codec::IsoDate.read(value).is_some(),
                Type::Id(_) | Type::Text | Type::Word(_) | Type::Secret | Type::Raw => true,
            };
            if !fits {
                let message = format!("`{value}` does not fit the setting `{name}`");
                let wanted = if kind == Type::Int { "a whole number" } else { "see the mapping" };
                let finding = Diagnostic::error("C002", setting.value.at.clone(), message);
                self.found.push(finding.label(wanted));
            }
            let at = mapping.in_path(index);
            if let Some(at) =
                at.filter(|_| value.contains('/') || matches!(&**value, "" | "." | ".."))
            {
                let message = format!("`{value}` is not one segment of a path");
                let finding = Diagnostic::error("C002", setting.value.at.clone(), message)
                    .label("the mapping has one segment for it: no `/`, and not empty");
                self.found.push(finding.also(at.clone(), "it stands here"));
            }
        }
        let values = lists.iter().copied().flatten();
        Settings::of(
            mapping,
            values.map(|setting| (setting.name.value.as_str(), setting.value.value.as_str())),
        )
    }

    fn client(&mut self, route: &config::Route) -> Option<Arc<Mapping>> {
        self.vendor(&route.client)
    }

    fn route(
        &mut self,
        route: &config::Route,
        index: usize,
        upstream_index: usize,
        upstream: &Upstream,
    ) -> Option<Route> {
        let client = self.client(route)?;
        let settings = self.settings(&client, &[&route.settings]);
        // With tables of its own an upstream speaks other words, and has another mapping.
        let forwards_reads = route.unmapped.value == config::Unmapped::Forward
            && Arc::ptr_eq(&client, &upstream.mapping);
        self.enter_lines(route, index, (&client, &settings), forwards_reads);
        let keyless = callers::without_a_place_for_the_key(self.catalog, route, &client, &settings);
        self.found.extend(keyless);
        let consumers = match &route.consumers {
            Consumers::All => None,
            Consumers::Named(names) => Some(
                names
                    .iter()
                    .filter_map(|name| self.numbers.get(name.value.as_str()))
                    .copied()
                    .collect(),
            ),
        };
        let same_vendor = client.vendor == upstream.mapping.vendor;
        let ids = route.ids.pairs.as_ref().and_then(|path| match pairs::load(path) {
            Ok(pairs) => Some(Arc::new(pairs)),
            Err(mut found) => {
                self.found.append(&mut found);
                None
            }
        });
        let vocabulary = &self.catalog.vocabulary;
        self.found.extend(identity::without_reading(vocabulary, route, upstream));
        let actor = identity::actor(vocabulary, route, upstream);
        let actor = actor.map_err(|finding| self.found.push(finding)).ok().flatten();
        let operations = client.operations.iter();
        let pairs = operations
            .map(|operation| self.pair(route, operation, (upstream_index, upstream), actor))
            .collect();
        self.check_supplied(route, &client, upstream);
        let consumer_settings = self.consumer_settings(route, &client);
        Some(Route {
            name: route.name.value.clone(),
            realm: callers::realm(&client, &settings),
            settings,
            consumer_settings,
            upstream: upstream_index,
            credentials: FxHashMap::default(),
            consumers,
            limit: route.limit,
            own_limit: None,
            limits: Vec::new(),
            ids,
            deadline: route.deadline,
            dropped_fields: route.dropped_fields,
            lossy_words: route.lossy_words,
            unknown_members: route.unknown_members,
            messages: route.messages.value,
            unmapped: route.unmapped.value,
            answers: route.answers,
            forwards_reads,
            path_prefix: route.path_prefix.value.trim_end_matches('/').to_owned(),
            journal: identity::journaled(route),
            passes_raw: same_vendor && route.ids.crosswalk.is_none(),
            pairs,
            client,
        })
    }

    fn consumer_settings(
        &mut self,
        route: &config::Route,
        client: &Mapping,
    ) -> FxHashMap<usize, Settings> {
        let consumers = self.config.consumers.iter().enumerate();
        let own: Vec<_> = consumers.filter(|(_, consumer)| !consumer.settings.is_empty()).collect();
        own.into_iter()
            .map(|(index, consumer)| {
                // A consumer may use routes of several vendors: a setting counts where it is known.
                let known: Vec<Setting> = consumer
                    .settings
                    .iter()
                    .filter(|setting| client.setting(&setting.name.value).is_some())
                    .cloned()
                    .collect();
                (index, self.settings(client, &[&route.settings, &known]))
            })
            .collect()
    }

    /// Enters the lines of the route's clients into the routing. M011: two routes for one request.
    fn enter_lines(
        &mut self,
        route: &config::Route,
        index: usize,
        (client, settings): (&Mapping, &Settings),
        forwards_reads: bool,
    ) {
        let host = route.host.as_ref().map(|host| host.value.as_str());
        let prefix = route.path_prefix.value.as_str();
        self.routing.own(host, prefix, index);
        let is_mapped = |known: &Operation| !(forwards_reads && known.kind == OperationKind::Read);
        let direct = route.answers == Answers::Direct;
        let operations = client.operations.iter().enumerate();
        let operations = operations.filter(|(_, known)| is_mapped(known));
        let lines = operations.flat_map(|(operation, mapped)| {
            let accepted = mapped.poll.as_ref().and_then(|poll| poll.accepted.as_ref());
            let question = accepted.filter(|_| !direct).map(|accepted| (&accepted.question, true));
            std::iter::once((&mapped.request, false))
                .chain(question)
                .map(move |(request, asks)| (operation, request, asks))
        });
        for (operation, request, asks) in lines {
            for vendor_prefix in &client.prefixes {
                let target = (index, operation, asks);
                let inserted =
                    self.routing.insert(host, prefix, vendor_prefix, (request, settings), target);
                if let Err(other) = inserted {
                    let other = &self.config.routes[other];
                    let message = format!(
                        "the routes `{}` and `{}` both take {} {}{}",
                        other.name.value,
                        route.name.value,
                        request.method,
                        vendor_prefix,
                        request.pattern
                    );
                    let finding = Diagnostic::error("M011", route.name.at.clone(), message)
                        .label("give one of them another `match:`")
                        .also(other.name.at.clone(), "the other route");
                    self.found.push(finding);
                    return;
                }
            }
        }
    }

    fn pair(
        &mut self,
        route: &config::Route,
        operation: &Operation,
        (upstream_index, upstream): (usize, &Upstream),
        actor: Option<SettingId>,
    ) -> Option<Pair> {
        if operation.kind.is_ours() {
            return None;
        }
        let index =
            upstream.mapping.operations.iter().position(|known| known.id == operation.id)?;
        let target = &upstream.mapping.operations[index];
        let def = &self.catalog.vocabulary.operations[operation.id];
        let is_dropped = |field: &u8| {
            operation.request.says(*field) && !upstream.mapping.carries(target, *field)
        };
        let dropped: Vec<u8> =
            (0u8..).zip(&def.request).map(|(field, _)| field).filter(is_dropped).collect();
        let actor = def
            .request_field("actor")
            .filter(|field| upstream.mapping.carries(target, *field))
            .zip(actor);
        let read_back = identity::read_back(&self.catalog.vocabulary, route, operation, upstream);
        let read_back = read_back.map_err(|finding| self.found.push(finding)).ok().flatten();
        let read_back = read_back.map(Box::new);
        let asking = ids::asking(&self.catalog.vocabulary, route, operation, upstream);
        let asking = asking.map_err(|finding| self.found.push(finding)).ok().flatten();
        let crosswalk = route.ids.crosswalk.as_ref().map(|crosswalk| {
            // What the upstream does not get, or gets from a setting of its own, is nobody's to translate.
            let goes_on = |field: u8| {
                !dropped.contains(&field) && actor.is_none_or(|(actor, _)| actor != field)
            };
            let fields = (&def.request[..], &def.answer[..]);
            let carrying = self.ways.carrying(crosswalk, upstream_index, fields, goes_on);
            Box::new(Carrying { asking, ..carrying })
        });
        let ticket = ticket_field(def);
        Some(Pair { upstream: index, dropped, ticket, actor, crosswalk, read_back })
    }

    /// M009: what the upstream needs and this route's callers never say.
    fn check_supplied(&mut self, route: &config::Route, client: &Mapping, upstream: &Upstream) {
        for operation in client.operations.iter().filter(|known| !known.kind.is_ours()) {
            let Some(target) = upstream.mapping.operation(operation.id) else { continue };
            let def = &self.catalog.vocabulary.operations[operation.id];
            for (field, declared) in (0u8..).zip(&def.request) {
                let says = operation.request.says(field);
                let needs = identity::needed(target, field, upstream);
                let Some(hole) = needs.filter(|_| !says) else { continue };
                let message = format!(
                    "the upstream `{}` needs `{}`, which {} clients never say",
                    upstream.name, declared.name, client.vendor
                );
                let mut finding = Diagnostic::error("M009", route.upstream.at.clone(), message);
                if let OrElse::Setting(setting) = hole.or {
                    let name = &upstream.mapping.settings[usize::from(setting)].name;
                    finding =
                        finding.label(format!("set upstreams.{}.settings.{name}", upstream.name));
                }
                self.found.push(finding.also(hole.at.clone(), "needed here"));
            }
        }
    }
}

/// M102, M103: what gets lost between systems that a route joins; of others nobody here needs to know.
fn losses(catalog: &Catalog, routes: &[Route], upstreams: &[Upstream]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (index, upstream) in upstreams.iter().enumerate() {
        let same = |other: &Upstream| Arc::ptr_eq(&other.mapping, &upstream.mapping);
        // Upstreams of one mapping are spoken of together.
        if upstreams[..index].iter().any(same) {
            continue;
        }
        let mut clients: Vec<&Mapping> = Vec::new();
        for route in routes.iter().filter(|route| same(&upstreams[route.upstream])) {
            if clients.iter().all(|known| known.vendor != route.client.vendor) {
                clients.push(&route.client);
            }
        }
        if !clients.is_empty() {
            found.append(&mut catalog.losses_between(&clients, &upstream.mapping));
        }
    }
    found
}

/// Tables of an upstream, and what was found while they were read.
fn tables(tables: &RawYaml) -> (Vec<TableOverride>, Vec<Diagnostic>) {
    let mut findings = Findings::new(&tables.file);
    let entries = tables.node.entries().unwrap_or(&[]).iter();
    let overrides = entries
        .map(|(name, node)| {
            let name = Named::new(name.text.clone(), name.span);
            let table = syntax::Table::parse(name, node, &mut findings);
            TableOverride { table, source: Arc::clone(&tables.file) }
        })
        .collect();
    (overrides, findings.list)
}

/// The field that a route's `ids` translate: the one that is called `ticket`.
fn ticket_field(def: &OperationDef) -> Option<u8> {
    def.request_field("ticket")
}
