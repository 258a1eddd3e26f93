//! Faults: rows that are tried in order, and the row that writes each fault.

use crate::mapping::compile::{Compiler, Message, Position};
use crate::mapping::model::{FaultMap, FaultRow};
use crate::mapping::syntax::{self, Named};
use crate::value::Fault;

impl Compiler<'_> {
    /// Compiles `faults:`.
    pub(super) fn fault_map(&mut self, faults: &syntax::Faults) -> FaultMap {
        self.set_message(Message::Fault);
        let bodies = self.bodies(&faults.bodies);
        let headers = self.named_places(&faults.headers, Position::Header, "header");
        let find = faults.find.as_ref().and_then(|path| self.json_path(path));
        let rows: Vec<FaultRow> = faults.rows.iter().map(|row| self.fault_row(row)).collect();
        let (tried_first, tried_last) = trial_order(&rows);
        let (writing, own) = writing(&rows);
        FaultMap {
            bodies,
            headers,
            find,
            ignore_case: faults.ignore_case,
            rows,
            tried_first,
            tried_last,
            writing,
            own,
            at: self.at(faults.rows_span),
        }
    }

    fn fault_row(&mut self, row: &syntax::FaultRow) -> FaultRow {
        let reads = row.means.reads.as_ref().and_then(|name| self.fault(name));
        let exact = row.means.exact;
        let writes = row.means.writes.iter().enumerate();
        let writes: Vec<Fault> = writes
            .filter_map(|(index, name)| if index < exact { reads } else { self.fault(name) })
            .collect();
        let what = row.means.writes.first().or(row.means.reads.as_ref());
        let what = what.map_or_else(String::new, |name| format!("fault {}", name.text));
        self.note_unverified(row.unverified, row.span, what);
        if !writes.is_empty() && (row.http.is_empty() || !row.http_arrow.writes()) {
            let message = "a row that is written needs a status";
            let label = "add `http:`, or `http: <- 503` to write it without demanding it";
            self.findings.error("M001", row.span, message, label);
        }
        FaultRow {
            http: row.http.iter().map(|(code, _)| *code).collect(),
            http_read: row.http_arrow.reads(),
            native: row.native.clone(),
            text: row.text.as_ref().map(|text| text.text.clone()),
            when: row.when.as_ref().and_then(|path| self.json_path(path)),
            bodies: self.bodies(&row.bodies),
            headers: self.named_places(&row.headers, Position::Header, "header"),
            say: row.say.as_ref().map(|say| self.pattern(say, Position::Spoken, false)),
            reads,
            writes,
            at: self.at(row.span),
        }
    }

    /// The fault of a name.
    pub(super) fn fault(&mut self, name: &Named) -> Option<Fault> {
        let fault = Fault::by_name(&name.text);
        if fault.is_none() {
            let message = format!("no fault named `{}`", name.text);
            let known = Fault::ALL.iter().map(|fault| fault.name());
            self.findings.unknown("M002", name.span, message, &name.text, known);
        }
        fault
    }
}

/// Rows with `when`, then the others; within each, those with more conditions first.
fn trial_order(rows: &[FaultRow]) -> (Vec<u16>, Vec<u16>) {
    let mut readable: Vec<u16> =
        (0u16..).zip(rows).filter(|(_, row)| row.reads.is_some()).map(|(index, _)| index).collect();
    readable.sort_by_key(|index| std::cmp::Reverse(rows[usize::from(*index)].conditions()));
    readable.into_iter().partition(|index| rows[usize::from(*index)].when.is_some())
}

/// The row of each fault, its parent's where it has none; and whether it has one of its own.
fn writing(rows: &[FaultRow]) -> (Vec<Option<u16>>, Vec<bool>) {
    let row_of = |fault: Fault| {
        (0u16..).zip(rows).find(|(_, row)| row.writes.contains(&fault)).map(|(index, _)| index)
    };
    let own = Fault::ALL.iter().map(|fault| row_of(*fault).is_some()).collect();
    let writing = Fault::ALL.iter().map(|fault| fault.lineage().find_map(row_of)).collect();
    (writing, own)
}
