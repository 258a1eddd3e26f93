//! Asking for an outcome that the answer did not say.

use std::time::Duration;

use crate::diag::Location;
use crate::mapping::model::{JsonPath, Pattern};

/// `poll:`, where an answer may say that the work goes on.
#[derive(Debug)]
pub struct Poll {
    /// The status that says so.
    pub code: u16,
    /// Where its body names the address to ask at.
    pub location: JsonPath,
    /// Time between two questions.
    pub every: Duration,
    /// The status of a job that goes on.
    pub running: u16,
    /// The statuses of a job that is over; its answer then reads like any of the operation.
    pub done: Vec<u16>,
    /// The path's segments of the question by the call's own id, which needs no address.
    pub ask: Option<Vec<Pattern>>,
    /// Where it stands.
    pub at: Location,
}
