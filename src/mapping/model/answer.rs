//! Answers and faults, ready to read and to write.

use jsonpath_rust::parser::model::JpQuery;

use crate::diag::Location;
use crate::mapping::model::{Body, Content, Named, Pattern, Place};
use crate::mapping::syntax::Native;
use crate::value::{Fault, FieldId, SettingId};

/// An answer that says yes.
#[derive(Debug)]
pub struct Success {
    /// Status codes, the written one first.
    pub codes: Vec<u16>,
    /// Header fields.
    pub headers: Vec<Named>,
    /// Cookies that the client is given; nobody reads them.
    pub cookies: Vec<Named>,
    /// The body's forms, the written one first; empty for no body.
    pub bodies: Vec<Body>,
    /// What the answer says where no body says it.
    pub gives: Vec<(FieldId, Content)>,
    /// Fields of the answer with what stands for them where they are absent.
    pub stand_ins: Vec<(FieldId, StandIn)>,
    /// Where it stands.
    pub at: Location,
}

/// What `or request.field` and `or $setting` fill in when an answer is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandIn {
    /// A field of the request.
    Request(FieldId),
    /// A setting.
    Setting(SettingId),
}

impl Success {
    /// Every place of the answer, the header fields' first.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        let named = self.headers.iter().map(|named| &named.place);
        named.chain(self.bodies.iter().flat_map(|body| &body.places))
    }
}

/// All faults of an operation.
#[derive(Debug)]
pub struct FaultMap {
    /// The body of rows that have none of their own.
    pub bodies: Vec<Body>,
    /// Header fields of every fault.
    pub headers: Vec<Named>,
    /// Where the vendor's code sits, if the body does not say it.
    pub find: Option<JsonPath>,
    /// True if native codes are compared without case.
    pub ignore_case: bool,
    /// The rows in file order.
    pub rows: Vec<FaultRow>,
    /// Rows with a `when`, in the order in which they are tried.
    pub tried_first: Vec<u16>,
    /// The other readable rows, in the order in which they are tried.
    pub tried_last: Vec<u16>,
    /// The row that writes each fault, by [`Fault::index`]; parents already filled in.
    pub writing: Vec<Option<u16>>,
    /// Faults that have a row of their own, by [`Fault::index`].
    pub own: Vec<bool>,
    /// Where the rows stand.
    pub at: Location,
}

/// One row.
#[derive(Debug)]
pub struct FaultRow {
    /// Status codes, the written one first.
    pub http: Vec<u16>,
    /// True if one of them is demanded when reading.
    pub http_read: bool,
    /// The vendor's own code.
    pub native: Option<Native>,
    /// What the message begins with.
    pub text: Option<String>,
    /// What must be there.
    pub when: Option<JsonPath>,
    /// A body of its own; empty for the common one.
    pub bodies: Vec<Body>,
    /// Header fields of its own.
    pub headers: Vec<Named>,
    /// What is written for the message.
    pub say: Option<Pattern>,
    /// What it reads to.
    pub reads: Option<Fault>,
    /// What is written so.
    pub writes: Vec<Fault>,
    /// Where it stands.
    pub at: Location,
}

/// A JSONPath, parsed once.
#[derive(Debug)]
pub struct JsonPath {
    /// The path as written.
    pub text: String,
    /// The path as parsed.
    pub query: JpQuery,
    /// Where it stands.
    pub at: Location,
}

impl FaultMap {
    /// The row that writes a fault: its own, or that of the nearest parent that has one.
    pub fn row_for(&self, fault: Fault) -> Option<&FaultRow> {
        let row = (*self.writing.get(fault.index())?)?;
        self.rows.get(usize::from(row))
    }

    /// True if the vendor has a row of its own for the fault.
    pub fn has_own(&self, fault: Fault) -> bool {
        self.own.get(fault.index()).copied().unwrap_or(false)
    }

    /// The body that a row is read and written with.
    pub fn bodies_of<'a>(&'a self, row: &'a FaultRow) -> &'a [Body] {
        if row.bodies.is_empty() { &self.bodies } else { &row.bodies }
    }
}

impl FaultRow {
    /// How many things must fit for the row to fit.
    pub fn conditions(&self) -> usize {
        usize::from(self.http_read && !self.http.is_empty())
            + usize::from(self.native.as_ref().is_some_and(|native| native.arrow.reads()))
            + usize::from(self.text.is_some())
            + usize::from(self.when.is_some())
    }
}

impl JsonPath {
    /// What the path selects that is not null.
    pub fn select<'v>(&self, value: &'v serde_json::Value) -> Vec<&'v serde_json::Value> {
        jsonpath_rust::query::js_path_process(&self.query, value)
            .map(|found| found.into_iter().map(|found| found.val()).collect::<Vec<_>>())
            .unwrap_or_default()
            .into_iter()
            .filter(|value| !value.is_null())
            .collect()
    }
}
