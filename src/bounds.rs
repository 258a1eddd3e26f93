//! Every bound that is not a setting, as a named constant with its unit last.
//!
//! Bounds that an operator may want to move are settings (`bounds:` in the configuration); their
//! defaults stand here too, so that one page tells what the program takes at most.

use std::time::Duration;

/// A mapping file.
pub const MAPPING_BYTES_MAX: usize = 1024 * 1024;
/// A configuration file: 100,000 consumers have some 10 MiB.
pub const CONFIGURATION_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Nesting of a mapping or configuration file.
pub const FILE_DEPTH_MAX: usize = 64;
/// Entries of a mapping file.
pub const MAPPING_NODES_MAX: usize = 200_000;
/// Entries of a configuration file.
pub const CONFIGURATION_NODES_MAX: usize = 4_000_000;

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
/// Content codings of one body, one around the other.
pub const CODINGS_MAX: usize = 4;
/// A client's request head, unless `bounds.head_bytes_max` says otherwise.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// An upstream's answer, unless `reply_bytes_max` says otherwise.
pub const REPLY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// An upstream's answer's head.
pub const REPLY_HEAD_BYTES_MAX: usize = 64 * 1024;
/// Streams that a client may have open on one HTTP/2 connection, unless `bounds.streams_max` says otherwise.
/// RFC 9113 section 6.5.2 advises not to go below.
pub const HTTP2_STREAMS_MAX: u32 = 100;
/// An HTTP/2 frame: the least that the protocol allows as the most (RFC 9113 section 4.2).
pub const HTTP2_FRAME_BYTES_MAX: u32 = 16 * 1024;
/// Bytes of a body that a stream may send before they are read: the protocol's own default, nearly.
pub const HTTP2_STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// The same of all streams of a connection together, which bounds what one client can have us keep.
pub const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
/// Bytes of an answer that are kept for a stream beyond those that its receiver takes.
pub const HTTP2_SEND_BYTES_MAX: usize = 64 * 1024;
/// Streams that a client has reset before they were looked at; one more ends its connection
/// (CVE-2023-44487).
pub const HTTP2_PENDING_RESETS_MAX: usize = 20;
/// Streams that a client's own faults have us reset; one more ends its connection.
pub const HTTP2_ERROR_RESETS_MAX: usize = 100;
/// Calls that a client resets on one connection; one more ends it if that is more than were answered.
pub const HTTP2_RESETS_MAX: u64 = 100;
/// Streams that we open on one HTTP/2 connection to an upstream at most; then another one is opened.
pub const HTTP2_UPSTREAM_STREAMS_MAX: usize = 100;
/// Bytes of an answer that an upstream may send before they are read.
pub const HTTP2_REPLY_WINDOW_BYTES: u32 = 256 * 1024;
/// The same of all answers on one connection together.
pub const HTTP2_REPLIES_WINDOW_BYTES: u32 = 1024 * 1024;
/// Silence after which a client that speaks HTTP/2 is asked whether it is there.
pub const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(20);
/// Time for its answer.
pub const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for which a client that speaks HTTP/2 may take nothing of what is sent to it.
pub const HTTP2_TAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// Time between two questions about a job: the least that a mapping may say.
pub const POLL_INTERVAL_MIN: Duration = Duration::from_millis(50);
/// Time for one question about a job.
pub const POLL_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for reading a ticket after a write: the answer to the write waits for it.
pub const READ_BACK_TIMEOUT: Duration = Duration::from_secs(5);
/// Time of a call that is kept for asking what became of it, if its vendor can be asked; a quarter of the
/// deadline where that is less.
pub const ASK_RESERVE_MAX: Duration = Duration::from_secs(5);
/// An address that an upstream names to ask at.
pub const LOCATION_BYTES_MAX: usize = 2048;
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
/// Time for workers to let go of what is cut off when the gateway is told to stop at once.
pub const CUT_OFF: Duration = Duration::from_secs(1);
/// Sockets that a service manager hands over: one for clients, one for the operator.
pub const HANDED_SOCKETS_MAX: usize = 2;
/// Time for the service manager to take a word of ours.
pub const NOTIFY_TIMEOUT: Duration = Duration::from_secs(1);
/// Calls in flight.
pub const CONCURRENCY_MAX: usize = 10_000;
/// Connections that wait to be accepted; the system's own limit may be lower.
pub const BACKLOG: i32 = 4096;
/// Connections of clients, idle ones too.
pub const CONNECTIONS_MAX: usize = 50_000;
/// URLs of one upstream: those that a call has tried are kept as the bits of one number.
pub const ENDPOINTS_MAX: usize = 64;
/// Calls in flight to one upstream, unless its `concurrency_max` says otherwise.
pub const UPSTREAM_CONCURRENCY_MAX: usize = 1_000;
/// Time that a call waits for room at its upstream, unless `limit.wait` says otherwise.
pub const UPSTREAM_WAIT: Duration = Duration::from_secs(1);
/// Requests that wait for room at one upstream.
pub const UPSTREAM_WAITING_MAX: usize = 10_000;
/// The same of one consumer.
pub const UPSTREAM_WAITING_PER_CONSUMER_MAX: usize = 1_000;
/// Time for which one answer of an upstream can have it left alone. It may be wrong, or not the system's: then it is
/// asked again, which costs little if it was right.
pub const UPSTREAM_STOP_MAX: Duration = Duration::from_secs(5 * 60);
/// Share of an upstream's calls that may be tried again, unless `retry_budget.ratio` says otherwise.
pub const RETRY_RATIO_PERCENT: u32 = 20;
/// Tries that are allowed beside that share, unless `retry_budget.per_second` says otherwise.
pub const RETRIES_PER_SECOND: u32 = 10;
/// Time over which calls and further tries are counted against each other.
pub const RETRY_WINDOW: Duration = Duration::from_secs(10);
/// Failures in a row that open a breaker, unless `breaker.failures` says otherwise.
pub const BREAKER_FAILURES: u32 = 5;
/// Share of failures that opens a breaker, unless `breaker.ratio` says otherwise.
pub const BREAKER_RATIO_PERCENT: u32 = 50;
/// Calls below which a share says nothing, unless `breaker.calls_min` says otherwise.
pub const BREAKER_CALLS_MIN: u32 = 20;
/// Time over which the share is taken, unless `breaker.window` says otherwise.
pub const BREAKER_WINDOW: Duration = Duration::from_secs(10);
/// Time that a breaker stays open at first, unless `breaker.open` says otherwise.
pub const BREAKER_OPEN: Duration = Duration::from_secs(5);
/// The same at most, however often it opens, unless `breaker.open_max` says otherwise.
pub const BREAKER_OPEN_MAX: Duration = Duration::from_secs(60);
/// Time between two health checks, unless `health.every` says otherwise.
pub const HEALTH_EVERY: Duration = Duration::from_secs(10);
/// Time for a health check, unless `health.timeout` says otherwise.
pub const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
/// Good checks in a row that bring an endpoint back, unless `health.healthy_after` says otherwise.
pub const HEALTHY_AFTER: u32 = 2;
/// Bad checks in a row that take an endpoint out, unless `health.unhealthy_after` says otherwise.
pub const UNHEALTHY_AFTER: u32 = 3;
/// Statuses of a healthy endpoint, unless `health.expect` says otherwise.
pub const HEALTH_EXPECT: [u16; 2] = [200, 204];
/// Time for which a connection to an upstream is used, so that a name that points elsewhere is followed.
pub const CONNECTION_AGE_MAX: Duration = Duration::from_secs(5 * 60);
/// What an upstream's `Retry-After` comes to at most before it is told to a client.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);
/// Threads that serve.
pub const WORKERS_MAX: u32 = 1024;
/// Idle connections that one worker keeps to one upstream.
pub const UPSTREAM_IDLE_MAX: usize = 256;
/// Time in which an empty bucket of a limit must be full again: 100 years, which the limiter's clock
/// counts in nanoseconds of 64 bits many times over.
pub const LIMIT_FILL_MAX: Duration = Duration::from_secs(36_500 * 86_400);
/// Callers that one limit counts, each by itself.
pub const LIMIT_CALLERS_MAX: usize = 1_000_000;
/// Counts that callers beyond them share, in each of the parts of a limit's table.
pub const LIMIT_COUNTS_SHARED: usize = 64;
/// Time for a check of limits that a fleet shares, unless the store's `deadline` says otherwise.
pub const LIMIT_STORE_TIMEOUT: Duration = Duration::from_millis(50);
/// Connections to that store, unless its `connections` says otherwise; checks are sent over them one behind the other.
pub const LIMIT_STORE_CONNECTIONS: usize = 2;
/// Checks that wait for that store; one more is not sent.
pub const LIMIT_STORE_IN_FLIGHT_MAX: usize = 4_096;
/// Time for a connection to that store, log-in included.
pub const LIMIT_STORE_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Time in which a connection must show that it is alive once a check came to nothing on it.
pub const LIMIT_STORE_PATIENCE: Duration = Duration::from_secs(1);
/// Time before that store is connected to again, at most.
pub const LIMIT_STORE_BACK_OFF_MAX: Duration = Duration::from_secs(1);
/// Time without a check by that store after one that failed.
pub const LIMIT_STORE_REST: Duration = Duration::from_secs(1);
/// Time between two looks for calls of quotas that are not in the state yet.
pub const LIMIT_WRITE_INTERVAL: Duration = Duration::from_secs(1);
/// Calls of quotas, by caller and part of time, that are written down together.
pub const LIMIT_WRITE_ROWS_MAX: usize = 500;
/// The same that are read together.
pub const LIMIT_USES_PAGE: u32 = 10_000;
/// Callers of one limit that an operator is shown.
pub const LIMIT_CALLERS_SHOWN_MAX: usize = 1_000;
/// What an operator sends.
pub const ADMIN_BODY_BYTES_MAX: usize = 4 * 1024;
/// Time for an operator's request to come whole.
pub const ADMIN_BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// Log lines that wait to be written.
pub const LOG_BYTES_MAX: usize = 1024 * 1024;
/// Time for them when the program ends.
pub const LOG_END: Duration = Duration::from_secs(1);
/// Time between two sweeps of what is kept: full buckets of limits, and idle connections.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// Sessions of one user at one vendor that hold at a time: as many as ZStack allows; one more ends the oldest.
pub const SESSIONS_PER_USER_MAX: usize = 500;
/// Asynchronous jobs of one consumer that are not finished.
pub const JOBS_PER_CONSUMER_MAX: usize = 1_000;
/// Time for which a job is kept after its deadline if nobody said what became of it.
pub const JOB_LOST_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// Time for which the outcome of a call is kept for whoever asks for it; ZStack keeps it as long.
pub const JOB_KEPT: Duration = Duration::from_secs(3 * 60 * 60);
/// Sessions of clients that are known without a question to the state.
pub const SESSIONS_CACHED_MAX: usize = 100_000;
/// Time between two looks for sessions whose end has moved.
pub const SESSIONS_FLUSH_INTERVAL: Duration = Duration::from_secs(5);
/// Time without a log-in to an upstream after one that failed; each one after it doubles that.
pub const LOG_IN_REST: Duration = Duration::from_secs(1);
/// The most that it doubles to.
pub const LOG_IN_REST_MAX: Duration = Duration::from_secs(60);
/// Time for a log-in to an upstream, within the deadline of the call that needs it.
pub const UPSTREAM_LOG_IN_TIMEOUT: Duration = Duration::from_secs(10);
/// Log-ins to one account within a minute.
pub const LOG_INS_PER_ACCOUNT_MAX: u32 = 10;
/// Log-ins from one address, or network of IPv6, within a minute.
pub const LOG_INS_PER_ADDRESS_MAX: u32 = 60;
/// Accounts, and addresses, whose log-ins are counted; those beyond share one count.
pub const LOG_IN_KEYS_MAX: usize = 50_000;
/// Bytes of the body of a log-in.
pub const LOG_IN_BYTES_MAX: usize = 64 * 1024;
/// Passwords that are checked at a time; each takes some 20 MiB meanwhile.
pub const PASSWORD_CHECKS_MAX: usize = 4;
/// Log-ins that wait for their password to be checked, or are at it.
pub const PASSWORD_CHECKS_WAITING_MAX: usize = 64;
/// Time for which a session at an upstream is kept after its end: a gateway must not see its generation begin
/// anew while it remembers it.
pub const UPSTREAM_SESSION_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// A name in the configuration; in the store some stand together.
pub const NAME_BYTES_MAX: usize = 128;
/// A name in the store: a consumer, a vendor, a user.
pub const STATE_NAME_BYTES_MAX: usize = 512;
/// What is kept as it is: a job's answer, a session at an upstream.
pub const STATE_VALUE_BYTES_MAX: usize = 1024 * 1024;
/// Pairs of the crosswalk that are merged in one transaction, and ids that are looked for at a time.
pub const CROSSWALK_BATCH_MAX: usize = 8_192;
/// A note beside a pair of the crosswalk.
pub const CROSSWALK_NOTE_BYTES_MAX: usize = 1_024;
/// A line of a crosswalk file: two ids and a note, each character escaped.
pub const CROSSWALK_LINE_BYTES_MAX: usize = 16 * 1024;
/// What is shown of a list of findings, of conflicts, or of what was before.
pub const CROSSWALK_SHOWN_MAX: usize = 50;
/// Ids that one worker knows without a question to the crosswalk.
pub const CROSSWALK_CACHED_MAX: usize = 100_000;
/// Bytes of their texts and their partners'.
pub const CROSSWALK_CACHED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Time between two looks for ids of the crosswalk that have gone.
pub const CROSSWALK_LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Time for which what is known of ids is believed after the last look that came to something.
pub const CROSSWALK_TRUST: Duration = Duration::from_secs(30);
/// Time for which it is known that an id is not linked.
pub const CROSSWALK_MISSING_KEPT: Duration = Duration::from_millis(500);
/// Pairs that are merged in one transaction beside a gateway, which waits for it.
pub const CROSSWALK_BESIDE_MAX: usize = 256;
/// Questions to the store that wait, and changes that wait.
pub const STATE_QUEUE_MAX: usize = 4_096;
/// Changes that are committed together.
pub const STATE_GROUP_MAX: usize = 256;
/// Rows of a kind that one step of a sweep takes away.
pub const STATE_SWEEP_ROWS_MAX: u32 = 500;
/// Time for an answer of the state's database, waiting included; for SQLite, for another program's lock.
pub const STATE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a connection to PostgreSQL, log-in included.
pub const STATE_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Connections to PostgreSQL.
pub const STATE_CONNECTIONS: usize = 4;
/// Time before a server that cannot be reached is tried again, at most.
pub const STATE_BACK_OFF_MAX: Duration = Duration::from_secs(5);
/// Time for bringing tables in PostgreSQL up to date.
pub const STATE_MIGRATION_TIMEOUT: Duration = Duration::from_secs(60);
/// Time for another gateway to let go of the file: more than `drain`, less than a service manager waits.
pub const STATE_LOCK_WAIT: Duration = Duration::from_secs(25);
/// Of calls on a route with `journal: sampled`, one in so many is written down.
pub const JOURNAL_SAMPLED_ONE_IN: u64 = 16;
/// Time for which records of the journal are kept, unless `journal.keep` says otherwise.
pub const JOURNAL_KEPT: Duration = Duration::from_secs(400 * 86_400);
/// Changes that wait to be written down; one more is refused.
pub const JOURNAL_INTENTS_MAX: usize = 4_096;
/// Outcomes of changes that wait to be written down; those beyond are looked into later.
pub const JOURNAL_SETTLEMENTS_MAX: usize = 65_536;
/// Outcomes that are written down together, beside all changes that wait.
pub const JOURNAL_BATCH_MAX: usize = 1_024;
/// Time between two looks for changes that were left open, and between two signs of life to other gateways.
pub const JOURNAL_INTERVAL: Duration = Duration::from_secs(2);
/// Time for which a sign of life holds.
pub const JOURNAL_OWNED: Duration = Duration::from_secs(10);
/// Time that a call is given beyond its deadline before its change is looked into: a request that has left may still
/// be under way, and other machines have other clocks.
pub const JOURNAL_GRACE: Duration = Duration::from_secs(1);
/// Time after which a gateway looks into a change of its own whose outcome was lost.
pub const JOURNAL_STALE: Duration = Duration::from_secs(60);
/// Changes that were left open and are looked into at a time, and those that wait for that.
pub const JOURNAL_RECOVERIES: usize = 4;
/// The same that one gateway has taken over.
pub const JOURNAL_CLAIMED_MAX: usize = 256;
/// Time for which an upstream that is away is asked again what came of a change.
pub const JOURNAL_RECOVERY_MAX: Duration = Duration::from_secs(10 * 60);
/// Time between two such questions at most.
pub const JOURNAL_BACK_OFF_MAX: Duration = Duration::from_secs(30);
