//! What is seen only across mappings: M102, M103. And per mapping, what no example shows: M106, M013.

use std::sync::Arc;

use crate::diag::Diagnostic;
use crate::mapping::examples::ExamplesRun;
use crate::mapping::model::{FaultMap, Mapping, Operation, Slot, Vocabulary};

/// Checks all mappings together.
pub fn check_catalog(vocabulary: &Vocabulary, mappings: &[Arc<Mapping>]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for mapping in mappings {
        dropped(vocabulary, mappings, mapping, &mut found);
    }
    unsaid(vocabulary, mappings, &mut found);
    found
}

fn says(operation: &Operation, field: u8) -> bool {
    operation.request.holes().any(|hole| hole.slot == Slot::Field(field))
        || operation.request.parts.iter().any(|part| part.field == field)
}

/// M102: fields that clients of other vendors say and this upstream cannot carry.
fn dropped(
    vocabulary: &Vocabulary,
    mappings: &[Arc<Mapping>],
    upstream: &Mapping,
    found: &mut Vec<Diagnostic>,
) {
    for operation in &upstream.operations {
        let fields = &vocabulary.operations[operation.id].request;
        for (index, field) in (0u8..).zip(fields) {
            if says(operation, index) {
                continue;
            }
            let clients: Vec<&str> = mappings
                .iter()
                .filter(|client| client.vendor != upstream.vendor)
                .filter(|client| {
                    client.operation(operation.id).is_some_and(|known| says(known, index))
                })
                .map(|client| client.vendor.as_str())
                .collect();
            if !clients.is_empty() {
                let message = format!(
                    "`{}` from {} clients is dropped: {} has no place for it",
                    field.name,
                    clients.join(", "),
                    upstream.vendor
                );
                found.push(Diagnostic::warning("M102", operation.at.clone(), message));
            }
        }
    }
}

/// M103: words that no mapping reads in a request.
fn unsaid(vocabulary: &Vocabulary, mappings: &[Arc<Mapping>], found: &mut Vec<Diagnostic>) {
    let tables: Vec<_> = mappings
        .iter()
        .flat_map(|mapping| {
            mapping
                .operations
                .iter()
                .flat_map(|operation| operation.request.holes())
                .filter_map(|hole| hole.table.map(|table| &mapping.tables[usize::from(table)]))
        })
        .collect();
    for (word_type, kind) in vocabulary.types.iter().enumerate() {
        let used = tables.iter().any(|table| table.word_type == word_type);
        for (word, (name, at)) in (0u8..).zip(kind.words.iter().zip(&kind.at)) {
            let said = tables.iter().any(|table| {
                table.word_type == word_type && table.rows.iter().any(|row| row.reads == Some(word))
            });
            if used && !said {
                let message = format!("no client can say `{name}`: no mapping reads it");
                found.push(Diagnostic::warning("M103", at.clone(), message));
            }
        }
    }
}

/// M106 and M013: rows, paths and body forms that no example shows.
pub(super) fn unshown(mapping: &Mapping, run: &ExamplesRun, found: &mut Vec<Diagnostic>) {
    let mut seen: Vec<*const FaultMap> = Vec::new();
    for faults in mapping.operations.iter().map(|operation| &operation.faults) {
        if seen.contains(&Arc::as_ptr(faults)) {
            continue;
        }
        seen.push(Arc::as_ptr(faults));
        for (index, row) in faults.rows.iter().enumerate() {
            if row.reads.is_none() || run.rows_hit.contains(&(faults.at.span.start, index)) {
                continue;
            }
            match &row.when {
                Some(path) => {
                    let message = format!("no example hits `{}`", path.text);
                    let finding = Diagnostic::error("M013", path.at.clone(), message);
                    found.push(finding.label("a path that nothing was tried on is a guess"));
                }
                None => {
                    let message = "a fault row without an example";
                    found.push(Diagnostic::warning("M106", row.at.clone(), message));
                }
            }
        }
    }
    for operation in &mapping.operations {
        for (index, body) in operation.request.bodies.iter().enumerate() {
            if !run.bodies_hit.contains(&(operation.id, index)) {
                let message =
                    format!("the {} form of the request has no example", body.kind.name());
                found.push(Diagnostic::warning("M106", body.at.clone(), message));
            }
        }
    }
}
