//! `journal`, which changes are written down: for all routes, and for one.

use std::time::Duration;

use super::codes;
use super::form::{self, Malformed, quote};
use super::route::Route;
use super::schema::{self, Field};
use super::section::{Reader, Section, one_of};
use super::state::StateConfig;
use super::tree::{Kind, Spanned};
use crate::bounds;
use crate::diag::Diagnostic;

/// The least and the most days that records are kept.
const KEEP_DAYS: (u64, u64) = (1, 36_500);

/// Which changes of a route are written down.
#[derive(Clone, Debug)]
pub struct Journal {
    /// Of how many calls.
    pub records: Spanned<Records>,
    /// Whether the ticket is read before the change, for the status that it had.
    pub reads_before: Spanned<bool>,
}

/// Of how many calls the changes are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// Of none.
    Off,
    /// Of one in [`bounds::JOURNAL_SAMPLED_ONE_IN`].
    Sampled,
    /// Of all.
    Full,
}

const RECORDS: [(&str, Records); 3] =
    [("off", Records::Off), ("sampled", Records::Sampled), ("full", Records::Full)];
const FROM: [(&str, bool); 2] = [("none", false), ("read", true)];

/// `journal` of the file: what holds for routes that say nothing else, and how long records are kept.
pub(super) fn read(reader: &mut Reader<'_>, root: &Section<'_>) -> (Journal, Duration) {
    let none = Journal { records: root.default(Records::Off), reads_before: root.default(false) };
    let (journal, section) = under(reader, root, schema::JOURNAL, none);
    let keep = section.and_then(|section| reader.leaf(&section, "keep", days));
    (journal, keep.map_or(bounds::JOURNAL_KEPT, |keep| keep.value))
}

/// `journal` of a route; what it leaves out is as for all.
pub(super) fn of_route(reader: &mut Reader<'_>, route: &Section<'_>, all: &Journal) -> Journal {
    under(reader, route, schema::ROUTE_JOURNAL, all.clone()).0
}

/// A word, or `{records: …, from: …}`.
fn under<'t>(
    reader: &mut Reader<'_>,
    section: &Section<'t>,
    fields: &'static [Field],
    default: Journal,
) -> (Journal, Option<Section<'t>>) {
    let Some(item) = section.get("journal") else { return (default, None) };
    let records = |text: &str| one_of(text, &RECORDS);
    if !matches!(item.kind, Kind::Map(_)) {
        let records = reader.leaf(section, "journal", records).unwrap_or(default.records);
        return (Journal { records, ..default }, None);
    }
    let Some(long) = reader.subsection(section, "journal", fields) else { return (default, None) };
    let journal = Journal {
        records: reader.leaf(&long, "records", records).unwrap_or(default.records),
        reads_before: reader
            .leaf(&long, "from", |text| one_of(text, &FROM))
            .unwrap_or(default.reads_before),
    };
    (journal, Some(long))
}

/// Reports a journal that would not outlive its gateway.
pub(super) fn check(reader: &mut Reader<'_>, routes: &[Route], state: &Spanned<StateConfig>) {
    let StateConfig::Memory = state.value else { return };
    let mut kept = routes.iter().filter(|route| route.journal.records.value != Records::Off);
    let Some(first) = kept.next() else { return };
    let message =
        "a journal is there for what a gateway leaves behind, and `state: memory` leaves nothing";
    let at = first.journal.records.at.clone();
    let finding = Diagnostic::error(codes::CONFLICT, at, message)
        .label("write `off`, or another `state`")
        .also(state.at.clone(), "the state");
    reader.findings.push(finding);
}

fn days(text: &str) -> Result<Duration, Malformed> {
    let days = text.strip_suffix('d').and_then(form::whole);
    match days.filter(|days| (KEEP_DAYS.0..=KEEP_DAYS.1).contains(days)) {
        Some(days) => Ok(Duration::from_secs(days * 86_400)),
        None => Err(Malformed::new(
            format!("{} is no number of days", quote(text)),
            format!("write {}d to {}d", KEEP_DAYS.0, KEEP_DAYS.1),
        )),
    }
}
