//! Times that outlive the process, or that another one is told: Unix milliseconds.
//!
//! What only has to last within the process is measured by tokio's clock, which tests can pause.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time now.
pub fn now() -> i64 {
    milliseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// A length of time; the longest there is for one that is longer.
pub fn milliseconds(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}
