//! Every key of the configuration, once: the list that unknown keys and environment names are held against.
//!
//! A key whose feature this version does not have is here too, marked as later: it is known, its form is
//! checked, and it is refused with a code of its own. What a key's value means is known by its reader only.

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
    /// What another part of the program reads, or no part yet.
    Opaque,
    /// A text of a key that is not supported yet.
    Later(Form),
    /// A list of maps with these keys. No variable reaches into a list, so that only its reader and the test of
    /// the reference ask for them.
    #[cfg_attr(not(test), expect(dead_code, reason = "what reads an item names its keys itself"))]
    ListOf(&'static [Field]),
}

/// The form of a text whose key is not supported yet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// Not empty.
    Text,
}

/// A key and what stands under it.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// True if this version knows the key and not its feature.
    pub(super) later: bool,
}

impl Field {
    const fn now(name: &'static str, shape: Shape) -> Self {
        Self { name, shape, later: false }
    }

    const fn leaf(name: &'static str) -> Self {
        Self::now(name, Shape::Leaf)
    }

    const fn later(name: &'static str, shape: Shape) -> Self {
        Self { name, shape, later: true }
    }
}

/// The keys of the file.
pub(super) const ROOT: &[Field] = &[
    Field::now("listen", Shape::LeafOrMap(LISTEN)),
    Field::now("admin", Shape::Map(ADMIN)),
    Field::leaf("mappings"),
    Field::now("pepper", Shape::Secret(SECRET)),
    Field::now("bounds", Shape::Map(BOUNDS)),
    Field::now("trusted_proxies", Shape::List),
    Field::now("upstreams", Shape::Named("upstream", UPSTREAM)),
    Field::now("consumers", Shape::Named("consumer", CONSUMER)),
    Field::now("routes", Shape::Named("route", ROUTE)),
    Field::leaf("workers"),
    Field::leaf("drain"),
    Field::now("log", Shape::Map(LOG)),
    Field::now("state", Shape::LeafOrMap(STATE)),
    Field::now("limits", Shape::Map(LIMITS)),
    Field::now("journal", Shape::LeafOrMap(JOURNAL)),
];

/// The keys of the long form of `journal`.
pub(super) const JOURNAL: &[Field] =
    &[Field::leaf("records"), Field::leaf("from"), Field::leaf("keep")];

/// The same of a route: how long records are kept is one thing for all.
pub(super) const ROUTE_JOURNAL: &[Field] = &[Field::leaf("records"), Field::leaf("from")];

/// The keys of the long form of `listen`.
pub(super) const LISTEN: &[Field] =
    &[Field::leaf("addr"), Field::now("tls", Shape::Map(TLS)), Field::leaf("http2")];

/// The keys of `listen.tls`.
pub(super) const TLS: &[Field] =
    &[Field::leaf("cert"), Field::leaf("key"), Field::leaf("client_ca")];

/// The keys of the long form of `state`.
pub(super) const STATE: &[Field] =
    &[Field::leaf("url"), Field::now("password", Shape::Secret(SECRET)), Field::leaf("ca")];

/// The keys of `admin`.
pub(super) const ADMIN: &[Field] =
    &[Field::leaf("listen"), Field::now("token", Shape::Secret(ADMIN_TOKEN))];

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
    Field::now("urls", Shape::List),
    Field::leaf("balance"),
    Field::leaf("http"),
    Field::now("settings", Shape::Settings),
    Field::now("credential", Shape::Map(CREDENTIAL)),
    Field::leaf("reply_bytes_max"),
    Field::leaf("connect_timeout"),
    Field::now("tables", Shape::Opaque),
    Field::leaf("plaintext"),
    Field::leaf("ca"),
    Field::now("client_cert", Shape::Map(CLIENT_CERT)),
    Field::leaf("concurrency_max"),
    Field::now("retry_budget", Shape::Map(RETRY_BUDGET)),
    Field::now("breaker", Shape::LeafOrMap(BREAKER)),
    Field::now("health", Shape::LeafOrMap(HEALTH)),
    Field::now("limit", Shape::Map(UPSTREAM_LIMIT)),
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
    Field::now("expect", Shape::List),
];

/// The keys of an upstream's `limit`.
pub(super) const UPSTREAM_LIMIT: &[Field] =
    &[Field::leaf("rate"), Field::leaf("burst"), Field::leaf("wait")];

/// The keys of an upstream's `client_cert`.
pub(super) const CLIENT_CERT: &[Field] = &[Field::leaf("cert"), Field::leaf("key")];

/// The keys of a credential.
pub(super) const CREDENTIAL: &[Field] = &[
    Field::now("token", Shape::Secret(SECRET)),
    Field::now("user", Shape::Secret(SECRET)),
    Field::now("csrf", Shape::Secret(SECRET)),
    Field::now("session", Shape::Secret(SECRET)),
    Field::now("password", Shape::Secret(SECRET)),
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
    Field::now("key", Shape::Secret(CONSUMER_KEY)),
    Field::now("settings", Shape::Settings),
    Field::leaf("disabled"),
    Field::now("keys", Shape::ListOf(CONSUMER_KEY)),
    Field::now("logins", Shape::ListOf(LOGIN)),
    Field::now("credential", Shape::Map(CREDENTIAL)),
];

/// The keys of a log-in.
pub(super) const LOGIN: &[Field] =
    &[Field::leaf("user"), Field::now("password", Shape::Secret(PASSWORD))];

/// The keys of a route.
pub(super) const ROUTE: &[Field] = &[
    Field::leaf("client"),
    Field::leaf("upstream"),
    Field::now("consumers", Shape::LeafOrList),
    Field::now("match", Shape::Map(MATCH)),
    Field::now("limit", Shape::LeafOrMap(LIMIT)),
    Field::now("limits", Shape::List),
    Field::now("ids", Shape::Map(IDS)),
    Field::leaf("deadline"),
    Field::now("settings", Shape::Settings),
    Field::leaf("dropped_fields"),
    Field::leaf("lossy_words"),
    Field::leaf("unknown_members"),
    Field::leaf("messages"),
    Field::leaf("unmapped"),
    Field::leaf("async"),
    Field::leaf("enrich"),
    Field::leaf("read_back"),
    Field::leaf("actor"),
    Field::now("journal", Shape::LeafOrMap(ROUTE_JOURNAL)),
];

/// The keys of a route's `match`.
pub(super) const MATCH: &[Field] = &[Field::leaf("host"), Field::leaf("path_prefix")];

/// The keys of a route's `limit`.
pub(super) const LIMIT: &[Field] = &[Field::leaf("rate"), Field::leaf("burst")];

/// The keys of a route's `ids`.
pub(super) const IDS: &[Field] = &[
    Field::now("ticket", Shape::LeafOrMap(IDS_FILE)),
    Field::later("systems", Shape::Map(SYSTEMS)),
];

/// The keys of a file of pairs.
pub(super) const IDS_FILE: &[Field] = &[Field::leaf("file")];

const SYSTEMS: &[Field] = &[
    Field::now("client", Shape::Later(Form::Text)),
    Field::now("upstream", Shape::Later(Form::Text)),
];

/// The keys of `log`.
pub(super) const LOG: &[Field] = &[Field::leaf("format"), Field::leaf("access")];

/// The keys of `limits`.
pub(super) const LIMITS: &[Field] = &[
    Field::now("named", Shape::Named("limit", NAMED_LIMIT)),
    Field::now("unauthenticated", Shape::LeafOrMap(LIMIT)),
    Field::now("store", Shape::LeafOrMap(LIMIT_STORE)),
    Field::leaf("on_store_failure"),
    Field::leaf("gateways"),
    Field::leaf("store_timeout"),
    Field::leaf("prefix"),
];

/// The keys of the long form of `limits.store`.
pub(super) const LIMIT_STORE: &[Field] =
    &[Field::leaf("url"), Field::now("password", Shape::Secret(SECRET)), Field::leaf("ca")];

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
                Shape::Leaf
                | Shape::List
                | Shape::LeafOrList
                | Shape::Settings
                | Shape::Opaque
                | Shape::Later(_) => {}
            }
        }
    }

    #[test]
    fn keys_are_distinct_and_can_stand_in_an_environment_name() {
        check(ROOT);
    }
}
