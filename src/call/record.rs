//! What there is to say about a call, once.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use http_body_util::Full;
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::call::Outcome;
use crate::call::trace::TraceId;
use crate::ident::CallId;
use crate::limit::Refuser;
use crate::upstream::{Departure, Spent};
use crate::value::{Fault, FieldId};

/// Indexes of request fields that an upstream could not carry: a few at most, and mostly none.
pub type DroppedFields = SmallVec<[FieldId; 8]>;

/// What there is to say about a call, once: metrics and log are written from it.
#[derive(Debug)]
pub struct CallRecord {
    /// Its id.
    pub call: CallId,
    /// Where its connection comes from.
    pub peer: Option<IpAddr>,
    /// The trace that it belongs to, if its client said one.
    pub trace: Option<TraceId>,
    /// When it came in.
    pub began: Instant,
    /// Index of its route in the plan.
    pub route: Option<usize>,
    /// Index of its consumer in the plan.
    pub consumer: Option<usize>,
    /// Index of its operation in the client's mapping.
    pub operation: Option<usize>,
    /// What its path is to the client's mapping.
    pub line: Option<CallLine>,
    /// What its limits said, if they were asked: the one that refused, or that none did.
    pub decision: Option<Result<(), Refuser>>,
    /// The status code that the client got.
    pub status: u16,
    /// Whether it took effect.
    pub outcome: Outcome,
    /// The fault that the client was told.
    pub fault: Option<Fault>,
    /// The translation that failed.
    pub translation: Option<Translation>,
    /// Why, for the log.
    pub cause: Option<Cow<'static, str>>,
    /// True if the upstream refused our own credential.
    pub credential_refused: bool,
    /// Fields of an answer that could not be read.
    pub unreadable: u32,
    /// Fields of the operation's request that the upstream could not carry.
    pub dropped: DroppedFields,
    /// What came of reading the ticket after it; none where it was not read.
    pub read_back: Option<ReadBack>,
    /// Its ids that the crosswalk was to translate.
    pub looked: Looked,
    /// How long it took.
    pub duration: Duration,
    /// What of that was the upstream's.
    pub spent: Spent,
    /// Whether a byte of its request to the upstream may have left; look-ups apart.
    pub departure: Departure,
    /// Bytes of the request's body as it came, once it was read.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
}

/// What a call's path is to the client's mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallLine {
    /// That of the operation with this index, and maybe of others.
    Operation(usize),
    /// None that it knows.
    Unmapped,
}

/// Ids of a call that the crosswalk was to translate, by how they were looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Those that were known.
    pub cached: u8,
    /// Those that were asked for.
    pub asked: u8,
    /// Those that were to be asked for, and could not be.
    pub failed: u8,
    /// Those known or asked for that have no counterpart.
    pub missing: u8,
}

/// What came of reading the ticket after a write.
#[derive(Debug, Default)]
pub enum ReadBack {
    /// It was read.
    #[default]
    Read,
    /// It was not.
    Failed {
        /// Why, for the log.
        cause: Cow<'static, str>,
        /// True if the upstream refused our own credential.
        credential_refused: bool,
    },
}

/// One of a call's four translations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Translation {
    /// Of the request, by the client's mapping.
    ReadRequest,
    /// Into the upstream's request, by its mapping.
    WriteRequest,
    /// Of the upstream's answer, by its mapping.
    ReadAnswer,
    /// Into the answer, by the client's mapping.
    WriteAnswer,
}

/// What the log has in place of a status that nobody got; nginx writes the same.
const CLIENT_CLOSED_REQUEST: u16 = 499;

impl CallRecord {
    /// The record of a call that has just come in.
    pub fn begun(call: CallId) -> Self {
        Self {
            call,
            peer: None,
            trace: None,
            began: Instant::now(),
            route: None,
            consumer: None,
            operation: None,
            line: None,
            decision: None,
            status: 0,
            outcome: Outcome::No,
            fault: None,
            translation: None,
            cause: None,
            credential_refused: false,
            unreadable: 0,
            dropped: DroppedFields::new(),
            read_back: None,
            looked: Looked::default(),
            duration: Duration::ZERO,
            spent: Spent::default(),
            departure: Departure::default(),
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// Closes the record of a call that was answered.
    pub(super) fn close(&mut self, response: &Response<Full<Bytes>>, outcome: Outcome) {
        self.status = response.status().as_u16();
        self.bytes_out = response.body().size_hint().lower();
        self.outcome = outcome;
        self.duration = self.began.elapsed();
    }

    /// Closes the record of a call that was given up before its answer: its client went away and nothing
    /// of it had left, the gateway ended, or it panicked.
    pub fn abandon(&mut self) {
        if self.departure.has_left() == Some(false) {
            self.outcome = Outcome::No;
        }
        let now = Instant::now();
        self.status = CLIENT_CLOSED_REQUEST;
        self.cause = Some("the call ended before its answer".into());
        self.duration = now.saturating_duration_since(self.began);
        self.spent.until(now);
    }

    /// True if the call ended without an answer.
    pub fn is_abandoned(&self) -> bool {
        self.status == CLIENT_CLOSED_REQUEST
    }

    /// True once the call was answered.
    pub fn is_closed(&self) -> bool {
        self.status != 0
    }

    /// What the gateway took for itself: waiting for room at the upstream is none of it.
    pub fn own_time(&self) -> Duration {
        self.duration.saturating_sub(self.spent.time + self.spent.waited)
    }
}

impl Translation {
    /// Every one, in the order of a call.
    pub const ALL: [Self; 4] =
        [Self::ReadRequest, Self::WriteRequest, Self::ReadAnswer, Self::WriteAnswer];

    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadRequest => "read_request",
            Self::WriteRequest => "write_request",
            Self::ReadAnswer => "read_answer",
            Self::WriteAnswer => "write_answer",
        }
    }

    /// True if the client's mapping does it, false if the upstream's.
    pub const fn is_clients(self) -> bool {
        match self {
            Self::ReadRequest | Self::WriteAnswer => true,
            Self::WriteRequest | Self::ReadAnswer => false,
        }
    }
}
