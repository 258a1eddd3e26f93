//! Fault rows: M005, M007, M008.

use crate::diag::Diagnostic;
use crate::mapping::model::{FaultMap, FaultRow, Mapping};
use crate::value::Fault;

pub(super) fn check(mapping: &Mapping, found: &mut Vec<Diagnostic>) {
    let mut seen: Vec<*const FaultMap> = Vec::new();
    let own = mapping.operations.iter().map(|operation| &operation.faults);
    for faults in own.chain([&mapping.faults]) {
        let address = std::sync::Arc::as_ptr(faults);
        if !seen.contains(&address) {
            seen.push(address);
            check_map(faults, found);
        }
    }
}

fn check_map(faults: &FaultMap, found: &mut Vec<Diagnostic>) {
    for (index, row) in faults.rows.iter().enumerate() {
        for other in &faults.rows[..index] {
            same_fault(row, other, found);
            same_conditions(faults, row, other, found);
        }
    }
    for root in Fault::ALL.iter().filter(|fault| fault.is_root() && !faults.has_own(**fault)) {
        let message = format!("no row writes the fault `{root}`");
        let finding = Diagnostic::error("M008", faults.at.clone(), message)
            .label("add a row with `means:` of it");
        found.push(finding.note("a fault without a row of its own is written as its root"));
    }
}

/// M005: a fault that two rows write.
fn same_fault(row: &FaultRow, other: &FaultRow, found: &mut Vec<Diagnostic>) {
    for fault in row.writes.iter().filter(|fault| other.writes.contains(fault)) {
        let message = format!("the fault `{fault}` is written by two rows");
        let finding = Diagnostic::error("M005", row.at.clone(), message)
            .label("make one of them read only: `means: -> …`");
        found.push(finding.also(other.at.clone(), "the other row"));
    }
}

/// M007: two rows that are read under the same conditions.
fn same_conditions(
    faults: &FaultMap,
    row: &FaultRow,
    other: &FaultRow,
    found: &mut Vec<Diagnostic>,
) {
    if row.reads.is_none() || other.reads.is_none() || !overlap(faults, row, other) {
        return;
    }
    let message = "two rows that cannot be told apart";
    let finding = Diagnostic::error("M007", row.at.clone(), message)
        .label("make one of them written only: `means: <- …`");
    found.push(finding.also(other.at.clone(), "the same is seen here"));
}

fn overlap(faults: &FaultMap, row: &FaultRow, other: &FaultRow) -> bool {
    let native = |row: &FaultRow| {
        let native = row.native.as_ref().filter(|native| native.arrow.reads())?;
        let text = &native.code.text;
        Some(if faults.ignore_case { text.to_lowercase() } else { text.clone() })
    };
    let http = |row: &FaultRow| if row.http_read { row.http.clone() } else { Vec::new() };
    let (ours, theirs) = (http(row), http(other));
    let same_http =
        (ours.is_empty() && theirs.is_empty()) || ours.iter().any(|code| theirs.contains(code));
    let when = |row: &FaultRow| row.when.as_ref().map(|path| path.text.clone());
    let kinds = |row: &FaultRow| {
        let bodies = faults.bodies_of(row);
        bodies.iter().map(|body| body.kind.name()).collect::<Vec<_>>()
    };
    same_http
        && native(row) == native(other)
        && row.text == other.text
        && when(row) == when(other)
        && kinds(row) == kinds(other)
}
