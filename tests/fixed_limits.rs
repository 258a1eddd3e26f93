//! Every limit of `src/bounds.rs` is a setting, is told in docs/operations.md, or is nobody's business outside.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::time::Duration;

use latimer::bounds::*;

const PAGE: &str = include_str!("../docs/operations.md");
const SOURCE: &str = include_str!("../src/bounds.rs");

/// Defaults and ranges of settings, which the reference shows.
const SETTINGS: [&str; 12] = [
    // Of a mapping: docs/mapping-language.md.
    "POLL_INTERVAL_MIN",
    "HEADER_TIMEOUT",
    "BODY_TIMEOUT",
    "IDLE_TIMEOUT",
    "DEADLINE",
    "CONNECT_TIMEOUT",
    "DRAIN",
    "CONCURRENCY_MAX",
    "CONNECTIONS_MAX",
    "BODY_DEPTH_MAX",
    "JOURNAL_SAMPLED_ONE_IN",
    "JOURNAL_KEPT",
];

/// What an operator or a client does not come upon.
const INSIDE: [&str; 22] = [
    "FILE_DEPTH_MAX",
    "MAPPING_NODES_MAX",
    "CONFIGURATION_NODES_MAX",
    "PAIRS_FINDINGS_MAX",
    "FORMAT_BYTES_MAX",
    "CUT_OFF",
    "HANDED_SOCKETS_MAX",
    "NOTIFY_TIMEOUT",
    "RETRY_WINDOW",
    "LIMIT_FILL_MAX",
    "LIMIT_STORE_PATIENCE",
    "ADMIN_BODY_BYTES_MAX",
    "ADMIN_BODY_TIMEOUT",
    "LIMIT_WRITE_ROWS_MAX",
    "LIMIT_USES_PAGE",
    "SWEEP_INTERVAL",
    "UPSTREAM_SESSION_KEPT",
    "STATE_GROUP_MAX",
    "CROSSWALK_BATCH_MAX",
    "CROSSWALK_BESIDE_MAX",
    "STATE_SWEEP_ROWS_MAX",
    "JOURNAL_BATCH_MAX",
];

fn size(bytes: usize) -> String {
    const MIB: usize = 1024 * 1024;
    if bytes > MIB { format!("{} MiB", bytes / MIB) } else { format!("{} KiB", bytes / 1024) }
}

fn time(duration: Duration) -> String {
    format!("{} s", duration.as_secs())
}

fn milliseconds(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

fn both(one: String, other: String) -> String {
    format!("{one}, {other}")
}

/// Names of limits, the beginning of their row, and what it says.
fn told() -> Vec<(Vec<&'static str>, &'static str, String)> {
    vec![
        (vec!["HEADERS_MAX"], "header fields", HEADERS_MAX.to_string()),
        (vec!["REPLY_HEAD_BYTES_MAX"], "head of an upstream's", size(REPLY_HEAD_BYTES_MAX)),
        (vec!["CODINGS_MAX"], "content codings", CODINGS_MAX.to_string()),
        (vec!["XML_NODES_MAX"], "nodes of an XML", XML_NODES_MAX.to_string()),
        (vec!["JSONPATH_BYTES_MAX"], "an upstream's answer that a", size(JSONPATH_BYTES_MAX)),
        (vec!["PATH_VALUE_BYTES_MAX"], "an id or", format!("{PATH_VALUE_BYTES_MAX} bytes")),
        (
            vec!["MESSAGE_CHARS_MAX"],
            "an upstream's text",
            format!("{MESSAGE_CHARS_MAX} characters"),
        ),
        (vec!["RETRY_AFTER_MAX"], "an upstream's `Retry-After`", time(RETRY_AFTER_MAX)),
        (vec!["UPSTREAM_STOP_MAX"], "one answer of an upstream", time(UPSTREAM_STOP_MAX)),
        (
            vec!["UPSTREAM_WAITING_MAX", "UPSTREAM_WAITING_PER_CONSUMER_MAX"],
            "requests that wait for room",
            both(UPSTREAM_WAITING_MAX.to_string(), UPSTREAM_WAITING_PER_CONSUMER_MAX.to_string()),
        ),
        (vec!["BACKLOG"], "connections that wait", BACKLOG.to_string()),
        (vec!["ENDPOINTS_MAX"], "URLs of one", ENDPOINTS_MAX.to_string()),
        (vec!["UPSTREAM_IDLE_MAX"], "idle connections", UPSTREAM_IDLE_MAX.to_string()),
        (
            vec!["POLL_TIMEOUT", "ASK_RESERVE_MAX"],
            "one question after",
            both(time(POLL_TIMEOUT), time(ASK_RESERVE_MAX)),
        ),
        (vec!["READ_BACK_TIMEOUT"], "reading a ticket", time(READ_BACK_TIMEOUT)),
        (vec!["LOCATION_BYTES_MAX"], "address that", size(LOCATION_BYTES_MAX)),
        (vec!["CONNECTION_AGE_MAX"], "time for which", time(CONNECTION_AGE_MAX)),
        (vec!["LOG_BYTES_MAX", "LOG_END"], "log lines", both(size(LOG_BYTES_MAX), time(LOG_END))),
        (
            vec!["CONFIGURATION_BYTES_MAX", "NAME_BYTES_MAX"],
            "configuration file",
            both(size(CONFIGURATION_BYTES_MAX), format!("{NAME_BYTES_MAX} bytes")),
        ),
        (vec!["MAPPING_BYTES_MAX"], "mapping file", size(MAPPING_BYTES_MAX)),
        (vec!["SECRET_BYTES_MAX"], "file with a secret", size(SECRET_BYTES_MAX)),
        (
            vec!["TLS_FILE_BYTES_MAX", "TLS_RENEW_INTERVAL"],
            "file of certificates",
            both(size(TLS_FILE_BYTES_MAX), time(TLS_RENEW_INTERVAL)),
        ),
        (
            vec!["PAIRS_BYTES_MAX", "PAIRS_MAX"],
            "file of id pairs",
            both(size(usize::try_from(PAIRS_BYTES_MAX).unwrap()), PAIRS_MAX.to_string()),
        ),
        (vec!["WORKERS_MAX"], "threads that serve", WORKERS_MAX.to_string()),
    ]
}

fn told_of_crosswalk() -> Vec<(Vec<&'static str>, &'static str, String)> {
    vec![
        (
            vec!["CROSSWALK_NOTE_BYTES_MAX", "CROSSWALK_LINE_BYTES_MAX", "CROSSWALK_SHOWN_MAX"],
            "crosswalk, a note",
            both(
                both(format!("{CROSSWALK_NOTE_BYTES_MAX} bytes"), size(CROSSWALK_LINE_BYTES_MAX)),
                CROSSWALK_SHOWN_MAX.to_string(),
            ),
        ),
        (
            vec!["CROSSWALK_CACHED_MAX", "CROSSWALK_CACHED_BYTES_MAX"],
            "crosswalk, ids that a worker knows",
            both(CROSSWALK_CACHED_MAX.to_string(), size(CROSSWALK_CACHED_BYTES_MAX)),
        ),
        (
            vec!["CROSSWALK_LOOK_INTERVAL", "CROSSWALK_TRUST"],
            "crosswalk, time between two looks",
            both(milliseconds(CROSSWALK_LOOK_INTERVAL), time(CROSSWALK_TRUST)),
        ),
        (
            vec!["CROSSWALK_MISSING_KEPT"],
            "crosswalk, time for which it is known",
            milliseconds(CROSSWALK_MISSING_KEPT),
        ),
    ]
}

fn told_of_state() -> Vec<(Vec<&'static str>, &'static str, String)> {
    vec![
        (vec!["JOB_KEPT"], "outcome of a call that finishes later", time(JOB_KEPT)),
        (
            vec!["LOG_INS_PER_ACCOUNT_MAX", "LOG_INS_PER_ADDRESS_MAX"],
            "log-ins to one account",
            both(LOG_INS_PER_ACCOUNT_MAX.to_string(), LOG_INS_PER_ADDRESS_MAX.to_string()),
        ),
        (vec!["LOG_IN_KEYS_MAX"], "accounts, and addresses", LOG_IN_KEYS_MAX.to_string()),
        (vec!["LOG_IN_BYTES_MAX"], "body of a log-in", format!("{} KiB", LOG_IN_BYTES_MAX / 1024)),
        (
            vec!["PASSWORD_CHECKS_MAX", "PASSWORD_CHECKS_WAITING_MAX"],
            "passwords that are checked",
            both(PASSWORD_CHECKS_MAX.to_string(), PASSWORD_CHECKS_WAITING_MAX.to_string()),
        ),
        (
            vec!["SESSIONS_CACHED_MAX", "SESSIONS_FLUSH_INTERVAL"],
            "sessions that are known",
            both(SESSIONS_CACHED_MAX.to_string(), time(SESSIONS_FLUSH_INTERVAL)),
        ),
        (
            vec!["UPSTREAM_LOG_IN_TIMEOUT", "LOG_IN_REST", "LOG_IN_REST_MAX"],
            "a log-in to an upstream",
            both(both(time(UPSTREAM_LOG_IN_TIMEOUT), time(LOG_IN_REST)), time(LOG_IN_REST_MAX)),
        ),
        (vec!["SESSIONS_PER_USER_MAX"], "state, sessions", SESSIONS_PER_USER_MAX.to_string()),
        (vec!["JOBS_PER_CONSUMER_MAX"], "state, unfinished", JOBS_PER_CONSUMER_MAX.to_string()),
        (vec!["JOB_LOST_KEPT"], "state, time for which a job", time(JOB_LOST_KEPT)),
        (
            vec!["STATE_NAME_BYTES_MAX", "STATE_VALUE_BYTES_MAX"],
            "state, a name",
            both(
                format!("{STATE_NAME_BYTES_MAX} bytes"),
                format!("{} MiB", STATE_VALUE_BYTES_MAX / 1024 / 1024),
            ),
        ),
        (vec!["STATE_QUEUE_MAX"], "state, changes", STATE_QUEUE_MAX.to_string()),
        (
            vec!["STATE_TIMEOUT", "STATE_LOCK_WAIT"],
            "state, time for an answer",
            both(time(STATE_TIMEOUT), time(STATE_LOCK_WAIT)),
        ),
        (
            vec!["STATE_CONNECTIONS", "STATE_CONNECT_TIMEOUT"],
            "state, connections",
            both(STATE_CONNECTIONS.to_string(), time(STATE_CONNECT_TIMEOUT)),
        ),
        (
            vec!["STATE_BACK_OFF_MAX", "STATE_MIGRATION_TIMEOUT"],
            "state, time before",
            both(time(STATE_BACK_OFF_MAX), time(STATE_MIGRATION_TIMEOUT)),
        ),
    ]
}

fn told_of_journal() -> Vec<(Vec<&'static str>, &'static str, String)> {
    vec![
        (
            vec!["JOURNAL_INTENTS_MAX", "JOURNAL_SETTLEMENTS_MAX"],
            "journal, changes that wait",
            both(JOURNAL_INTENTS_MAX.to_string(), JOURNAL_SETTLEMENTS_MAX.to_string()),
        ),
        (
            vec!["JOURNAL_INTERVAL", "JOURNAL_OWNED"],
            "journal, time between two looks",
            both(time(JOURNAL_INTERVAL), time(JOURNAL_OWNED)),
        ),
        (
            vec!["JOURNAL_GRACE", "JOURNAL_STALE"],
            "journal, time beyond",
            both(time(JOURNAL_GRACE), time(JOURNAL_STALE)),
        ),
        (
            vec!["JOURNAL_RECOVERIES", "JOURNAL_CLAIMED_MAX"],
            "journal, changes that are looked into",
            both(JOURNAL_RECOVERIES.to_string(), JOURNAL_CLAIMED_MAX.to_string()),
        ),
        (
            vec!["JOURNAL_RECOVERY_MAX", "JOURNAL_BACK_OFF_MAX"],
            "journal, time for which an upstream",
            both(time(JOURNAL_RECOVERY_MAX), time(JOURNAL_BACK_OFF_MAX)),
        ),
    ]
}

fn told_of_limits() -> Vec<(Vec<&'static str>, &'static str, String)> {
    vec![
        (
            vec!["LIMIT_STORE_IN_FLIGHT_MAX"],
            "limits, checks",
            LIMIT_STORE_IN_FLIGHT_MAX.to_string(),
        ),
        (
            vec!["LIMIT_STORE_CONNECT_TIMEOUT", "LIMIT_STORE_BACK_OFF_MAX"],
            "limits, time for a connection",
            both(time(LIMIT_STORE_CONNECT_TIMEOUT), time(LIMIT_STORE_BACK_OFF_MAX)),
        ),
        (vec!["LIMIT_STORE_REST"], "limits, time without", time(LIMIT_STORE_REST)),
    ]
}

fn told_of_http2() -> Vec<(Vec<&'static str>, &'static str, String)> {
    let window = |bytes: u32| size(usize::try_from(bytes).unwrap());
    vec![
        (vec!["HTTP2_FRAME_BYTES_MAX"], "HTTP/2, frame", window(HTTP2_FRAME_BYTES_MAX)),
        (
            vec!["HTTP2_STREAM_WINDOW_BYTES", "HTTP2_CONNECTION_WINDOW_BYTES"],
            "HTTP/2, bytes of a body",
            both(window(HTTP2_STREAM_WINDOW_BYTES), window(HTTP2_CONNECTION_WINDOW_BYTES)),
        ),
        (vec!["HTTP2_SEND_BYTES_MAX"], "HTTP/2, bytes of an answer", size(HTTP2_SEND_BYTES_MAX)),
        (
            vec!["HTTP2_PENDING_RESETS_MAX"],
            "HTTP/2, streams that a client has reset",
            HTTP2_PENDING_RESETS_MAX.to_string(),
        ),
        (
            vec!["HTTP2_ERROR_RESETS_MAX"],
            "HTTP/2, streams that a client's faults",
            HTTP2_ERROR_RESETS_MAX.to_string(),
        ),
        (vec!["HTTP2_RESETS_MAX"], "HTTP/2, calls that", HTTP2_RESETS_MAX.to_string()),
        (
            vec!["HTTP2_UPSTREAM_STREAMS_MAX"],
            "HTTP/2, streams that we open",
            HTTP2_UPSTREAM_STREAMS_MAX.to_string(),
        ),
        (
            vec!["HTTP2_REPLY_WINDOW_BYTES", "HTTP2_REPLIES_WINDOW_BYTES"],
            "HTTP/2, bytes of an upstream's",
            both(window(HTTP2_REPLY_WINDOW_BYTES), window(HTTP2_REPLIES_WINDOW_BYTES)),
        ),
        (
            vec!["HTTP2_PING_INTERVAL", "HTTP2_PING_TIMEOUT"],
            "HTTP/2, silence",
            both(time(HTTP2_PING_INTERVAL), time(HTTP2_PING_TIMEOUT)),
        ),
        (vec!["HTTP2_TAKE_TIMEOUT"], "HTTP/2, time for which", time(HTTP2_TAKE_TIMEOUT)),
        (
            vec!["LIMIT_CALLERS_MAX", "LIMIT_COUNTS_SHARED"],
            "callers that one limit counts",
            both(LIMIT_CALLERS_MAX.to_string(), (64 * LIMIT_COUNTS_SHARED).to_string()),
        ),
        (
            vec!["LIMIT_CALLERS_SHOWN_MAX"],
            "callers of one limit that `latimer limits show` shows",
            LIMIT_CALLERS_SHOWN_MAX.to_string(),
        ),
        (
            vec!["LIMIT_WRITE_INTERVAL"],
            "time between two looks for calls",
            time(LIMIT_WRITE_INTERVAL),
        ),
    ]
}

fn all_told() -> impl Iterator<Item = (Vec<&'static str>, &'static str, String)> {
    told()
        .into_iter()
        .chain(told_of_http2())
        .chain(told_of_state())
        .chain(told_of_crosswalk())
        .chain(told_of_journal())
        .chain(told_of_limits())
}

#[test]
fn the_documentation_has_every_limit_as_it_is() {
    let start = PAGE.find("## Limits that are no settings").unwrap();
    let table = PAGE[start..].split("\n## ").next().unwrap();
    for (names, begins, value) in all_told() {
        let begins = format!("| {begins}");
        let rows: Vec<&str> = table.lines().filter(|line| line.starts_with(&begins)).collect();
        let [row] = rows[..] else { panic!("{names:?}: one row, not {rows:#?}") };
        assert!(row.ends_with(&format!(" | {value} |")), "{names:?} is {value}: {row}");
    }
}

#[test]
fn no_limit_is_forgotten() {
    let told: Vec<&str> = all_told().flat_map(|(names, ..)| names).collect();
    let mut doc = String::new();
    let mut names = 0;
    for line in SOURCE.lines() {
        if line.starts_with("///") {
            doc.push_str(line);
        } else if let Some(rest) = line.strip_prefix("pub const ") {
            let name = rest.split(':').next().unwrap();
            let is_setting = SETTINGS.contains(&name) || doc.contains("says otherwise");
            let places =
                [is_setting, told.contains(&name), INSIDE.contains(&name)].map(usize::from);
            assert_eq!(places.iter().sum::<usize>(), 1, "{name}: in one place, not {places:?}");
            doc.clear();
            names += 1;
        } else {
            doc.clear();
        }
    }
    assert!(names > 60, "{names}");
}
