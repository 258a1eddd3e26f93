//! A mapping ready to run: names are indices, paths are split, tables are indexed.
//!
//! [`compile`](super::compile) makes these from the [`syntax`]; [`run`](super::run)
//! reads and writes messages with them. Nothing here knows YAML; every part keeps the
//! [`Location`] that set it, so that `explain` can name the line.

mod answer;
mod format;
mod pattern;
mod poll;
mod session;
mod shape;
mod table;
mod vocabulary;

use std::sync::Arc;

pub use answer::{FaultMap, FaultRow, JsonPath, StandIn, Success};
pub use format::{DEFAULT_PATH_FORMAT, Format, fits_default_path};
pub use pattern::{Content, Hole, OrElse, Pattern, Piece, Place, Slot};
pub use poll::{Accepted, JobId, Poll};
pub use session::{Expired, Life, LogIn, Session, Source};
pub use shape::{Body, BodyKind, Key, MediaType, Member, Shape};
pub use table::{Table, TableRow};
pub use vocabulary::{
    Field, GatewayField, OperationDef, OperationKind, Type, Vocabulary, WordType,
};

use crate::diag::{Location, SourceFile};
use crate::mapping::syntax;
use crate::value::{FieldId, SettingId};

/// One vendor's mapping.
#[derive(Debug)]
pub struct Mapping {
    /// The vendor's name.
    pub vendor: String,
    /// The vendor's name as people say it.
    pub title: String,
    /// The file that it was read from.
    pub source: Arc<SourceFile>,
    /// What an upstream or a route fills in; a setting's index is its [`SettingId`].
    pub settings: Vec<Setting>,
    /// What values look like.
    pub formats: Vec<Format>,
    /// Prefixes of the client's side; at least the empty one.
    pub prefixes: Vec<String>,
    /// Wire texts and words.
    pub tables: Vec<Table>,
    /// The operations that this vendor has.
    pub operations: Vec<Operation>,
    /// Faults of calls before their operation is known.
    pub faults: Arc<FaultMap>,
    /// How an upstream tells its limits, and a client learns of ours.
    pub limits: Vec<Named>,
    /// Sessions, if the vendor has them.
    pub session: Option<Session>,
    /// What no page attests: a place and what stands there.
    pub unverified: Vec<(Location, String)>,
}

/// A setting's declaration.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its name without `$`.
    pub name: String,
    /// Its type.
    pub kind: Type,
    /// Where it is declared.
    pub at: Location,
}

/// One operation of the vocabulary, as this vendor has it.
#[derive(Debug)]
pub struct Operation {
    /// Its index in the vocabulary.
    pub id: usize,
    /// Its name.
    pub name: String,
    /// What it does.
    pub kind: OperationKind,
    /// Its request.
    pub request: Request,
    /// Its answer.
    pub success: Success,
    /// Its faults.
    pub faults: Arc<FaultMap>,
    /// Look-ups before the call.
    pub steps: Vec<Step>,
    /// How to ask for its outcome, where the answer does not say it.
    pub poll: Option<Poll>,
    /// The names of its `raw.` holes; a name's index is its [`RawId`](crate::value::RawId).
    pub raw_names: Vec<String>,
    /// Where it stands.
    pub at: Location,
}

/// A request's shape, to be read or written.
#[derive(Debug)]
pub struct Request {
    /// The verb.
    pub method: http::Method,
    /// The path's segments, without prefix.
    pub segments: Vec<Pattern>,
    /// The same for people: `/tickets/<ticket>/status`.
    pub pattern: Box<str>,
    /// Query parameters.
    pub query: Vec<Named>,
    /// Header fields.
    pub headers: Vec<Named>,
    /// Cookies.
    pub cookies: Vec<Named>,
    /// The body's forms, the written one first; empty for no body.
    pub bodies: Vec<Body>,
    /// True if `accepts:` names the media types, and one of them must be there.
    pub type_required: bool,
    /// What tells this operation from others on its line.
    pub select: Option<syntax::Select>,
    /// Fields that are split over several places.
    pub parts: Vec<Part>,
    /// What must be there once all places were read.
    pub demands: Vec<Demand>,
    /// Where the line stands.
    pub at: Location,
}

/// A place with a name: a header, a cookie, a query parameter.
#[derive(Clone, Debug)]
pub struct Named {
    /// The name; holes in it are settings.
    pub name: Pattern,
    /// A header's name, where it is fixed.
    pub header: Option<http::HeaderName>,
    /// The place.
    pub place: Place,
}

/// A field that a request must say, or a setting for it.
#[derive(Clone, Debug)]
pub struct Demand {
    /// The field.
    pub field: FieldId,
    /// The setting that stands for it.
    pub setting: Option<SettingId>,
    /// The member's own name.
    pub member: String,
    /// True if another place of the field may be empty, so that this one need not be filled.
    pub elsewhere: bool,
}

/// A field that is split over several places.
#[derive(Clone, Debug)]
pub struct Part {
    /// The field.
    pub field: u8,
    /// How its parts make it.
    pub pattern: Pattern,
    /// The names of the parts in the order of the pattern; a part's index is its position here.
    pub names: Vec<String>,
}

/// A look-up before the call.
#[derive(Debug)]
pub struct Step {
    /// The name under which its values are known.
    pub name: String,
    /// The verb.
    pub method: http::Method,
    /// The path's segments.
    pub segments: Vec<Pattern>,
    /// The list to search.
    pub list: JsonPath,
    /// Member paths with the text that they must equal.
    pub conditions: Vec<(Vec<String>, Pattern)>,
    /// Names with the member paths that they take.
    pub take: Vec<(String, Vec<String>)>,
    /// The fault if nothing is found.
    pub none: crate::value::Fault,
    /// Where it stands.
    pub at: Location,
}

impl Mapping {
    /// The operation of a vocabulary index.
    pub fn operation(&self, id: usize) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.id == id)
    }

    /// True if an upstream of this vendor is told the field: in the request, in what a table's row adds
    /// to it, or in a look-up before it.
    pub fn carries(&self, operation: &Operation, field: u8) -> bool {
        let added = self.tables.iter().flat_map(|table| &table.rows).flat_map(|row| &row.with);
        let looked_up = operation.steps.iter().flat_map(|step| {
            let wanted = step.conditions.iter().map(|(_, pattern)| pattern);
            step.segments.iter().chain(wanted).flat_map(Pattern::holes)
        });
        operation.request.tells(field)
            || holds(added.flatten().flat_map(Content::holes), field)
            || holds(looked_up, field)
    }

    /// Where the setting stands in the path of a request, if it does: it is one segment there, or less.
    pub fn in_path(&self, setting: SettingId) -> Option<&Location> {
        let upstream = self.session.as_ref().and_then(|session| session.upstream.as_ref());
        let ours =
            upstream.into_iter().flat_map(|log_in| [Some(&log_in.request), log_in.renew.as_ref()]);
        let requests = self.operations.iter().map(|operation| &operation.request);
        let segments = requests.chain(ours.flatten()).flat_map(|request| request.segments.iter());
        let mut holes = segments.flat_map(Pattern::holes);
        holes.find(|hole| hole.slot == Slot::Setting(setting)).map(|hole| &hole.at)
    }

    /// The index of a setting.
    pub fn setting(&self, name: &str) -> Option<u8> {
        let index = self.settings.iter().position(|setting| setting.name == name)?;
        u8::try_from(index).ok()
    }
}

impl Request {
    /// Every place outside the path, with the kind of place that it is.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        let named = [&self.query, &self.headers, &self.cookies];
        named
            .into_iter()
            .flatten()
            .map(|named| &named.place)
            .chain(self.bodies.iter().flat_map(|body| &body.places))
    }

    /// Every hole of the request, the path's first.
    pub fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.segments
            .iter()
            .flat_map(Pattern::holes)
            .chain(self.places().flat_map(|place| place.content.holes()))
    }

    /// True if a client can say the field.
    pub fn says(&self, field: u8) -> bool {
        self.places().any(|place| place.arrow.reads() && holds(place.content.holes(), field))
            || self.in_path(field)
    }

    /// True if an upstream is told the field in the request itself. Of several body forms the first is
    /// written.
    fn tells(&self, field: u8) -> bool {
        let named = [&self.query, &self.headers, &self.cookies].into_iter().flatten();
        let body = self.bodies.first().into_iter().flat_map(|body| &body.places);
        named
            .map(|named| &named.place)
            .chain(body)
            .any(|place| place.arrow.writes() && holds(place.content.holes(), field))
            || self.in_path(field)
    }

    fn in_path(&self, field: u8) -> bool {
        self.parts.iter().any(|part| part.field == field)
            || holds(self.segments.iter().flat_map(Pattern::holes), field)
    }

    /// The path of these segments, as people write it.
    pub fn path_pattern(segments: &[Pattern]) -> Box<str> {
        let mut path = String::new();
        for segment in segments {
            path.push('/');
            path.push_str(&segment.to_string());
        }
        if path.is_empty() { "/".into() } else { path.into() }
    }
}

fn holds<'a>(mut holes: impl Iterator<Item = &'a Hole>, field: u8) -> bool {
    holes.any(|hole| hole.slot == Slot::Field(field))
}
