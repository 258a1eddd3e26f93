//! Every bound that is not a setting, as a named constant with its unit last.
//!
//! Bounds that an operator may want to move are settings (`bounds:` in the configuration); their
//! defaults stand here too, so that one page tells what the program takes at most.

use std::time::Duration;

/// A mapping or configuration file.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Nesting of a mapping or configuration file.
pub const FILE_DEPTH_MAX: usize = 64;
/// Entries of a mapping or configuration file.
pub const FILE_NODES_MAX: usize = 200_000;

/// A file that holds a secret.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;
/// A file of certificates: room for all roots that a system has.
pub const TLS_FILE_BYTES_MAX: usize = 1024 * 1024;
/// Time between two looks for a new certificate.
pub const TLS_RENEW_INTERVAL: Duration = Duration::from_secs(2);
/// A file of id pairs.
pub const PAIRS_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Pairs of one file.
pub const PAIRS_MAX: usize = 1_000_000;
/// Findings that are kept of one file of id pairs.
pub const PAIRS_FINDINGS_MAX: usize = 20;

/// Nesting of a message body, JSON or XML: this many levels are read, one more is refused.
pub const BODY_DEPTH_MAX: usize = 128;
/// Nodes of an XML body.
pub const XML_NODES_MAX: u32 = 10_000;
/// An upstream's answer that a JSONPath is evaluated on.
pub const JSONPATH_BYTES_MAX: usize = 64 * 1024;
/// A client's body, unless `bounds.body_bytes_max` says otherwise.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// A client's request head, unless `bounds.head_bytes_max` says otherwise.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// An upstream's answer, unless `reply_bytes_max` says otherwise.
pub const REPLY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// An upstream's answer's head.
pub const REPLY_HEAD_BYTES_MAX: usize = 64 * 1024;
/// Header fields of one message.
pub const HEADERS_MAX: usize = 100;
/// Characters of an upstream's text that `messages: upstream` lets through.
pub const MESSAGE_CHARS_MAX: usize = 256;
/// Length of an id or of another value in a path, where no format says less.
pub const PATH_VALUE_BYTES_MAX: usize = 128;

/// Compiled size of a `formats:` expression.
pub const FORMAT_BYTES_MAX: usize = 256 * 1024;

/// Time for a client's request head.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a client's body.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Time that a connection may stand idle.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// Time for one call, all in all.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// Time for a connection to an upstream.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for calls in flight when the gateway stops.
pub const DRAIN: Duration = Duration::from_secs(20);
/// Connections of clients.
pub const CONCURRENCY_MAX: usize = 10_000;
/// Time for which a connection to an upstream is used, so that a name that points elsewhere is followed.
pub const CONNECTION_AGE_MAX: Duration = Duration::from_secs(5 * 60);
/// Threads that serve.
pub const WORKERS_MAX: u32 = 1024;
/// Connections of clients.
pub const CONNECTIONS_MAX: usize = 50_000;
/// Idle connections that one worker keeps to one upstream.
pub const UPSTREAM_IDLE_MAX: usize = 256;
/// Time in which an empty bucket of a limit must be full again: 100 years, which the limiter's clock
/// counts in nanoseconds of 64 bits many times over.
pub const LIMIT_FILL_MAX: Duration = Duration::from_secs(36_500 * 86_400);
/// Time between two sweeps of what is kept: full buckets of limits, and idle connections.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(10);
