//! The configuration: the operator's one YAML file and the environment, raw in, checked out.
//!
//! ```text
//! file ──yaml──▶ Node ─┐                     section, form, secrets
//!                      ├─ merge ─▶ Item tree ───────────────────────▶ Config
//! LATIMER__… ─────────┘  (config crate)      gateway, upstream, consumer, route ─▶ references
//! ```
//!
//! Everything that is wrong is reported at once, each finding with its line, or with its environment variable.
//! A [`Config`] is plain data: nothing is resolved or connected here; secrets and certificates are read.
//! What needs the mappings (does this vendor exist, do two routes collide) is checked by the planner; every
//! part that it may have to point at carries its place.
//!
//! The environment and the folder that paths start from are passed in. Findings never show a secret: they
//! point into a copy of the file in which literal secrets are stars.
//!
//! | code | what is wrong |
//! |---|---|
//! | C000 | the file is no YAML, or uses what is not used here |
//! | C001 | a key that is not known |
//! | C002 | a value of the wrong kind or form, or out of its range |
//! | C003 | a key that is missing |
//! | C004 | a name of something that the file does not have |
//! | C005 | a secret that is written literally, is not there, or cannot be used |
//! | C006 | an environment variable that overrides nothing |
//! | C007 | two parts that contradict each other: one key for two consumers, one port for two listeners, a route that forwards and translates, one URL and a list of them, a timeout above its interval |
//! | C009 | a credential that would be sent in plain text |
//! | C010 | a file of id pairs that is not right |
//! | C011 | a certificate, a private key or a bundle of roots that cannot be used |
//! | C101 | warning: a file with a secret that everybody can read |
//! | C102 | warning: a part that nothing uses |
//! | C103 | warning: a certificate that does not hold today |
//! | C104 | warning: a key that has expired |

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::bounds;
use crate::diag::{self, Diagnostic, Location, SourceFile, Span};
use crate::secret::Pepper;
use crate::tls::ServerSettings;
use crate::yaml;

mod codes;
mod consumer;
mod environment;
mod form;
mod forwarding;
mod gateway;
mod ids;
mod journal;
mod limits;
mod merge;
mod operator;
pub mod pairs;
mod pepper;
mod redact;
mod references;
mod resilience;
mod route;
mod schema;
mod secrets;
mod section;
mod settings;
mod state;
mod tls;
mod tree;
mod upstream;

use section::Reader;

pub use consumer::{Consumer, Key, Login};
pub use form::{Cidr, Rate, Scheme, Url};
pub use gateway::{Access, Admin, Bounds, Log, LogFormat};
pub use ids::{CrosswalkIds, Ids, Missing};
pub use journal::{Journal, Records};
pub use limits::{
    Limit, LimitForm, LimitScope, LimitStore, Limits, NamedLimit, OnStoreFailure, RATE,
    RedisConfig, SharedLimits, UpstreamLimit,
};
pub use operator::{AdminPlace, admin_place};
pub use pepper::{PepperPlace, pepper_place};
pub use resilience::{Balance, Breaker, Health, Resilience, RetryBudget};
pub use route::{Actor, Answers, Consumers, Messages, Policy, Route, Unmapped};
pub use settings::Setting;
pub use state::{PostgresConfig, StateConfig};
pub use tree::Spanned;
pub use upstream::{Credential, Http, RawYaml, Upstream};

/// A configuration in which nothing is wrong that can be told without the mappings.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file, literal secrets starred out.
    pub file: Arc<SourceFile>,
    /// Where clients are served.
    pub listen: Spanned<SocketAddr>,
    /// What they are shown there; none for plain text.
    pub listen_tls: Option<ServerSettings>,
    /// True if they may speak HTTP/2.
    pub listen_http2: bool,
    /// The listener for operators.
    pub admin: Admin,
    /// The folder of the mappings.
    pub mappings: Spanned<PathBuf>,
    /// What is taken from a client at most.
    pub bounds: Bounds,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// The systems that answer, in the file's order.
    pub upstreams: Vec<Upstream>,
    /// What consumers' keys are hashed under.
    pub pepper: Pepper,
    /// True if the file says what the pepper is.
    pub has_pepper: bool,
    /// Who may call, in the file's order.
    pub consumers: Vec<Consumer>,
    /// What is counted, over all routes.
    pub limits: Limits,
    /// What is answered, in the file's order.
    pub routes: Vec<Route>,
    /// Threads that serve.
    pub workers: NonZeroUsize,
    /// Time for calls in flight at a stop.
    pub drain: Duration,
    /// How the log is written.
    pub log: Log,
    /// Where what outlives a call is kept. Nobody opens it who does not need it.
    pub state: Spanned<StateConfig>,
    /// How long records of the journal are kept.
    pub journal_keep: Duration,
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum LoadError {
    /// The file could not be read: nothing can be said of it.
    Unreadable {
        /// The path as it was given.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What is wrong in it, in the order of the file, warnings included.
    Findings(Vec<Diagnostic>),
}

/// Reads the file at `path` with the overrides and secrets of an environment; warnings come with the result.
///
/// # Errors
/// [`LoadError::Unreadable`] if the file could not be read, else everything that is wrong in it.
pub fn load(
    path: &Path,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<(Config, Vec<Diagnostic>), LoadError> {
    let base = path.parent().unwrap_or(Path::new(""));
    load_text(&read_file(path)?, base, environment).map_err(LoadError::Findings)
}

fn read_file(path: &Path) -> Result<Arc<SourceFile>, LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // One byte more than is taken, so that the reader can tell that there is more.
    let limit = bounds::CONFIGURATION_BYTES_MAX as u64 + 1;
    file.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    let name = path.display().to_string();
    let text = String::from_utf8(bytes).map_err(|error| not_utf8(&name, &error))?;
    Ok(SourceFile::new(name, text))
}

/// The same for a text that was read already; relative paths in it start at `base`.
///
/// # Errors
/// Everything that is wrong in it, in the order of the file, warnings included.
pub fn load_text(
    file: &Arc<SourceFile>,
    base: &Path,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<(Config, Vec<Diagnostic>), Vec<Diagnostic>> {
    let environment: BTreeMap<String, String> = environment.collect();
    let root = yaml::load(file, codes::YAML, yaml::Most::CONFIGURATION)?;
    let shown = redact::file(file, &root);
    let (overrides, findings) = environment::overrides(&environment, &root);
    let reader = &mut Reader {
        shown,
        root: &root,
        base,
        environment: &environment,
        findings,
        system_roots: None,
    };
    let config = match merge::merge(&reader.shown, &root, &overrides) {
        Ok(merged) => checked(reader, &merged),
        Err(error) => {
            let at = reader.at(Span::default());
            reader.error(
                codes::ENVIRONMENT,
                &at,
                format!("the overrides do not merge: {error}"),
                "",
            );
            None
        }
    };
    let mut findings = std::mem::take(&mut reader.findings);
    diag::sort(&mut findings);
    match config {
        Some(config) if !diag::has_errors(&findings) => Ok((config, findings)),
        Some(_) | None => Err(findings),
    }
}

/// Reads every part, whatever is wrong with the others.
fn checked(reader: &mut Reader<'_>, merged: &tree::Item) -> Option<Config> {
    let start = reader.at(Span::default());
    let root = &reader.section(merged, "the file", &start, schema::ROOT)?;
    let gateway::Listen { address: listen, tls: listen_tls, http2: listen_http2 } =
        gateway::listen(reader, root);
    let pepper = pepper::read(reader, root)?;
    let (journal, journal_keep) = journal::read(reader, root);
    let config = Config {
        file: Arc::clone(&reader.shown),
        admin: gateway::admin(reader, root, &listen),
        listen,
        listen_tls,
        listen_http2,
        mappings: gateway::mappings(reader, root),
        bounds: gateway::bounds(reader, root),
        trusted_proxies: gateway::trusted_proxies(reader, root),
        upstreams: upstream::read(reader, root),
        consumers: consumer::read(reader, root, &pepper),
        pepper,
        has_pepper: root.get("pepper").is_some(),
        limits: limits::read(reader, root),
        routes: route::read(reader, root, &journal),
        workers: gateway::workers(reader, root),
        drain: gateway::drain(reader, root),
        log: gateway::log(reader, root),
        state: state::read(reader, root),
        journal_keep,
    };
    references::check(reader, root, &config.routes);
    limits::check(reader, &config.limits, config.has_pepper);
    forwarding::check(reader, &config.upstreams, &config.routes);
    ids::check(reader, &config.state, &config.routes);
    journal::check(reader, &config.routes, &config.state);
    Some(config)
}

fn not_utf8(name: &str, error: &std::string::FromUtf8Error) -> LoadError {
    let start = error.utf8_error().valid_up_to();
    let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
    let at = Location { file: SourceFile::new(name, text), span: Span::new(start, start + 1) };
    let message = "the file is not UTF-8 text";
    LoadError::Findings(vec![
        Diagnostic::error(codes::YAML, at, message).label("this is no character"),
    ])
}

impl Config {
    /// The vendors whose APIs its clients speak and its upstreams answer to, some more than once.
    pub fn vendors(&self) -> Vec<&str> {
        let clients = self.routes.iter().map(|route| &route.client);
        let upstreams = self.upstreams.iter().map(|upstream| &upstream.vendor);
        clients.chain(upstreams).map(|vendor| vendor.value.as_str()).collect()
    }

    /// The upstream of a name.
    pub fn upstream(&self, name: &str) -> Option<&Upstream> {
        self.upstreams.iter().find(|upstream| upstream.name.value == name)
    }

    /// The consumer of a name.
    pub fn consumer(&self, name: &str) -> Option<&Consumer> {
        self.consumers.iter().find(|consumer| consumer.name.value == name)
    }

    /// The route of a name.
    pub fn route(&self, name: &str) -> Option<&Route> {
        self.routes.iter().find(|route| route.name.value == name)
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, .. } => write!(f, "cannot read {}", path.display()),
            Self::Findings(findings) => {
                let errors =
                    findings.iter().filter(|one| one.severity == diag::Severity::Error).count();
                let plural = if errors == 1 { "" } else { "s" };
                write!(f, "the configuration has {errors} error{plural}")
            }
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::Findings(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
