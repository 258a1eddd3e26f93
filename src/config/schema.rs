//! Every key of the configuration, once: the list that unknown keys and environment names are held against. What a
//! key's value means is known by its reader only.

/// What stands under a key.
#[derive(Debug)]
pub(super) enum Shape {
    /// A text whose reader knows the form.
    Leaf,
    /// A map with these keys.
    Map(&'static [Field]),
    /// A text, or a map with these keys in its long form.
    LeafOrMap(&'static [Field]),
    /// A list of texts.
    List,
    /// A text, or a list of texts.
    LeafOrList,
    /// A map of the operator's own names, each with these keys; the text says what one of them is.
    Named(&'static str, &'static [Field]),
    /// A map of a vendor's settings, each a text.
    Settings,
    /// `{env: NAME}`, `{file: PATH}`, or with these keys.
    Secret(&'static [Field]),
    /// What another part of the program reads.
    Opaque,
    /// A list of maps with these keys. No variable reaches into a list, so that only its reader and the test of
    /// the reference ask for them.
    #[cfg_attr(not(test), expect(dead_code, reason = "what reads an item names its keys itself"))]
    ListOf(&'static [Field]),
}

/// A key and what stands under it.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
}

impl Field {
    const fn new(name: &'static str, shape: Shape) -> Self {
        Self { name, shape }
    }

    const fn leaf(name: &'static str) -> Self {
        Self::new(name, Shape::Leaf)
    }
}

/// The keys of the file.
pub(super) const ROOT: &[Field] = &[
    Field::new("listen", Shape::LeafOrMap(LISTEN)),
    Field::new("admin", Shape::Map(ADMIN)),
    Field::leaf("mappings"),
    Field::new("pepper", Shape::Secret(SECRET)),
    Field::new("bounds", Shape::Map(BOUNDS)),
    Field::new("trusted_proxies", Shape::List),
    Field::new("upstreams", Shape::Named("upstream", UPSTREAM)),
    Field::new("consumers", Shape::Named("consumer", CONSUMER)),
    Field::new("routes", Shape::Named("route", ROUTE)),
    Field::leaf("workers"),
    Field::leaf("drain"),
    Field::new("log", Shape::Map(LOG)),
    Field::new("state", Shape::LeafOrMap(STATE)),
    Field::new("limits", Shape::Map(LIMITS)),
    Field::new("journal", Shape::LeafOrMap(JOURNAL)),
];

/// The keys of the long form of `journal`.
pub(super) const JOURNAL: &[Field] =
    &[Field::leaf("records"), Field::leaf("from"), Field::leaf("keep")];

/// The same of a route: how long records are kept is one thing for all.
pub(super) const ROUTE_JOURNAL: &[Field] = &[Field::leaf("records"), Field::leaf("from")];

/// The keys of the long form of `listen`.
pub(super) const LISTEN: &[Field] =
    &[Field::leaf("addr"), Field::new("tls", Shape::Map(TLS)), Field::leaf("http2")];

/// The keys of `listen.tls`.
pub(super) const TLS: &[Field] =
    &[Field::leaf("cert"), Field::leaf("key"), Field::leaf("client_ca")];

/// The keys of the long form of `state`.
pub(super) const STATE: &[Field] =
    &[Field::leaf("url"), Field::new("password", Shape::Secret(SECRET)), Field::leaf("ca")];

/// The keys of `admin`.
pub(super) const ADMIN: &[Field] =
    &[Field::leaf("listen"), Field::new("token", Shape::Secret(ADMIN_TOKEN))];

/// The keys of the operator's token: every process of ours sees the environment.
pub(super) const ADMIN_TOKEN: &[Field] = &[Field::leaf("file")];

/// The keys of `bounds`.
pub(super) const BOUNDS: &[Field] = &[
    Field::leaf("body_bytes_max"),
    Field::leaf("head_bytes_max"),
    Field::leaf("depth_max"),
    Field::leaf("header_timeout"),
    Field::leaf("body_timeout"),
    Field::leaf("idle_timeout"),
    Field::leaf("concurrency_max"),
    Field::leaf("connections_max"),
    Field::leaf("streams_max"),
];

/// The keys of an upstream.
pub(super) const UPSTREAM: &[Field] = &[
    Field::leaf("vendor"),
    Field::leaf("url"),
    Field::new("urls", Shape::List),
    Field::leaf("balance"),
    Field::leaf("http"),
    Field::new("settings", Shape::Settings),
    Field::new("credential", Shape::Map(CREDENTIAL)),
    Field::leaf("reply_bytes_max"),
    Field::leaf("connect_timeout"),
    Field::new("tables", Shape::Opaque),
    Field::leaf("plaintext"),
    Field::leaf("ca"),
    Field::new("client_cert", Shape::Map(CLIENT_CERT)),
    Field::leaf("concurrency_max"),
    Field::new("retry_budget", Shape::Map(RETRY_BUDGET)),
    Field::new("breaker", Shape::LeafOrMap(BREAKER)),
    Field::new("health", Shape::LeafOrMap(HEALTH)),
    Field::new("limit", Shape::Map(UPSTREAM_LIMIT)),
];

/// The keys of an upstream's `retry_budget`.
pub(super) const RETRY_BUDGET: &[Field] = &[Field::leaf("ratio"), Field::leaf("per_second")];

/// The keys of an upstream's `breaker`.
pub(super) const BREAKER: &[Field] = &[
    Field::leaf("failures"),
    Field::leaf("ratio"),
    Field::leaf("calls_min"),
    Field::leaf("window"),
    Field::leaf("open"),
    Field::leaf("open_max"),
];

/// The keys of an upstream's `health`.
pub(super) const HEALTH: &[Field] = &[
    Field::leaf("path"),
    Field::leaf("every"),
    Field::leaf("timeout"),
    Field::leaf("healthy_after"),
    Field::leaf("unhealthy_after"),
    Field::new("expect", Shape::List),
];

/// The keys of an upstream's `limit`.
pub(super) const UPSTREAM_LIMIT: &[Field] =
    &[Field::leaf("rate"), Field::leaf("burst"), Field::leaf("wait")];

/// The keys of an upstream's `client_cert`.
pub(super) const CLIENT_CERT: &[Field] = &[Field::leaf("cert"), Field::leaf("key")];

/// The keys of a credential.
pub(super) const CREDENTIAL: &[Field] = &[
    Field::new("token", Shape::Secret(SECRET)),
    Field::new("user", Shape::Secret(SECRET)),
    Field::new("csrf", Shape::Secret(SECRET)),
    Field::new("session", Shape::Secret(SECRET)),
    Field::new("password", Shape::Secret(SECRET)),
];

/// The keys of a secret.
pub(super) const SECRET: &[Field] = &[Field::leaf("env"), Field::leaf("file")];

/// The keys of a consumer's key.
pub(super) const CONSUMER_KEY: &[Field] =
    &[Field::leaf("env"), Field::leaf("file"), Field::leaf("hash"), Field::leaf("expires")];

/// The keys of a log-in's password.
pub(super) const PASSWORD: &[Field] =
    &[Field::leaf("env"), Field::leaf("file"), Field::leaf("hash")];

/// The keys of a consumer.
pub(super) const CONSUMER: &[Field] = &[
    Field::new("key", Shape::Secret(CONSUMER_KEY)),
    Field::new("settings", Shape::Settings),
    Field::leaf("disabled"),
    Field::new("keys", Shape::ListOf(CONSUMER_KEY)),
    Field::new("logins", Shape::ListOf(LOGIN)),
    Field::new("credential", Shape::Map(CREDENTIAL)),
];

/// The keys of a log-in.
pub(super) const LOGIN: &[Field] =
    &[Field::leaf("user"), Field::new("password", Shape::Secret(PASSWORD))];

/// The keys of a route.
pub(super) const ROUTE: &[Field] = &[
    Field::leaf("client"),
    Field::leaf("upstream"),
    Field::new("consumers", Shape::LeafOrList),
    Field::new("match", Shape::Map(MATCH)),
    Field::new("limit", Shape::LeafOrMap(LIMIT)),
    Field::new("limits", Shape::List),
    Field::new("ids", Shape::Map(IDS)),
    Field::leaf("deadline"),
    Field::new("settings", Shape::Settings),
    Field::leaf("dropped_fields"),
    Field::leaf("lossy_words"),
    Field::leaf("unknown_members"),
    Field::leaf("messages"),
    Field::leaf("unmapped"),
    Field::leaf("async"),
    Field::leaf("enrich"),
    Field::leaf("read_back"),
    Field::leaf("actor"),
    Field::new("journal", Shape::LeafOrMap(ROUTE_JOURNAL)),
];

/// The keys of a route's `match`.
pub(super) const MATCH: &[Field] = &[Field::leaf("host"), Field::leaf("path_prefix")];

/// The keys of a route's `limit`.
pub(super) const LIMIT: &[Field] = &[Field::leaf("rate"), Field::leaf("burst")];

/// The keys of a route's `ids`.
pub(super) const IDS: &[Field] = &[
    Field::new("ticket", Shape::LeafOrMap(IDS_FILE)),
    Field::leaf("user"),
    Field::new("missing", Shape::LeafOrMap(MISSING)),
    Field::new("systems", Shape::Map(SYSTEMS)),
];

/// The keys of a file of pairs.
pub(super) const IDS_FILE: &[Field] = &[Field::leaf("file")];

/// The keys of the long form of `ids.missing`.
pub(super) const MISSING: &[Field] = &[Field::leaf("ticket"), Field::leaf("user")];

/// The keys of `ids.systems`.
pub(super) const SYSTEMS: &[Field] = &[Field::leaf("client"), Field::leaf("upstream")];

/// The keys of `log`.
pub(super) const LOG: &[Field] = &[Field::leaf("format"), Field::leaf("access")];

/// The keys of `limits`.
pub(super) const LIMITS: &[Field] = &[
    Field::new("named", Shape::Named("limit", NAMED_LIMIT)),
    Field::new("unauthenticated", Shape::LeafOrMap(LIMIT)),
    Field::new("store", Shape::LeafOrMap(LIMIT_STORE)),
    Field::leaf("on_store_failure"),
    Field::leaf("gateways"),
    Field::leaf("store_timeout"),
    Field::leaf("prefix"),
];

/// The keys of the long form of `limits.store`.
pub(super) const LIMIT_STORE: &[Field] =
    &[Field::leaf("url"), Field::new("password", Shape::Secret(SECRET)), Field::leaf("ca")];

/// The keys of a limit that routes name.
pub(super) const NAMED_LIMIT: &[Field] = &[
    Field::leaf("per"),
    Field::leaf("rate"),
    Field::leaf("burst"),
    Field::leaf("quota"),
    Field::leaf("resets"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fields: &[Field]) {
        for (position, field) in fields.iter().enumerate() {
            assert!(
                fields[..position].iter().all(|other| other.name != field.name),
                "{}",
                field.name
            );
            let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(
                field.name.chars().all(lower),
                "{}: environment names are upper case",
                field.name
            );
            assert!(!field.name.contains("__"), "{}: `__` separates keys", field.name);
            match &field.shape {
                Shape::Map(inner)
                | Shape::LeafOrMap(inner)
                | Shape::Named(_, inner)
                | Shape::Secret(inner)
                | Shape::ListOf(inner) => check(inner),
                Shape::Leaf | Shape::List | Shape::LeafOrList | Shape::Settings | Shape::Opaque => {
                }
            }
        }
    }

    #[test]
    fn keys_are_distinct_and_can_stand_in_an_environment_name() {
        check(ROOT);
    }
}
