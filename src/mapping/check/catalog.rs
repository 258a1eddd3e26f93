//! What is seen only across mappings: M102, M103. And per mapping, what no example shows: M106, M013.

use std::sync::Arc;

use crate::diag::Diagnostic;
use crate::mapping::examples::ExamplesRun;
use crate::mapping::model::{FaultMap, Mapping, Table, Vocabulary};

/// Checks each client in front of each upstream that it shares an operation with.
pub fn check_catalog(vocabulary: &Vocabulary, mappings: &[Arc<Mapping>]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for upstream in mappings {
        let clients = mappings.iter().map(Arc::as_ref);
        let clients: Vec<_> = clients.filter(|one| one.vendor != upstream.vendor).collect();
        dropped(vocabulary, &clients, upstream, &mut found);
    }
    unsaid(vocabulary, mappings, &mut found);
    found
}

/// Checks only the clients that really stand in front of an upstream.
pub fn check_clients(
    vocabulary: &Vocabulary,
    clients: &[&Mapping],
    upstream: &Mapping,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    dropped(vocabulary, clients, upstream, &mut found);
    unreached(vocabulary, clients, upstream, &mut found);
    found
}

/// M102: fields that these clients say and the upstream cannot carry.
fn dropped(
    vocabulary: &Vocabulary,
    clients: &[&Mapping],
    upstream: &Mapping,
    found: &mut Vec<Diagnostic>,
) {
    for operation in upstream.operations.iter().filter(|known| !known.kind.is_ours()) {
        let fields = &vocabulary.operations[operation.id].request;
        for (index, field) in (0u8..).zip(fields) {
            if upstream.carries(operation, index) {
                continue;
            }
            let says = |client: &&&Mapping| {
                client.operation(operation.id).is_some_and(|known| known.request.says(index))
            };
            let clients: Vec<&str> =
                clients.iter().filter(says).map(|client| client.vendor.as_str()).collect();
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
    let tables: Vec<_> = mappings.iter().flat_map(|mapping| request_tables(mapping)).collect();
    for (word_type, kind) in vocabulary.types.iter().enumerate() {
        let used = tables.iter().any(|table| table.word_type == word_type);
        for (word, (name, at)) in (0u8..).zip(kind.words.iter().zip(&kind.at)) {
            if used && !reads(&tables, word_type, word) {
                let message = format!("no client can say `{name}`: no mapping reads it");
                found.push(Diagnostic::warning("M103", at.clone(), message));
            }
        }
    }
}

/// M103: words that the upstream has a text for, and that none of its clients can say.
fn unreached(
    vocabulary: &Vocabulary,
    clients: &[&Mapping],
    upstream: &Mapping,
    found: &mut Vec<Diagnostic>,
) {
    let tables: Vec<_> = clients.iter().flat_map(|client| request_tables(client)).collect();
    let mut seen: Vec<*const Table> = Vec::new();
    for table in request_tables(upstream) {
        // Several places may have one table.
        if seen.contains(&std::ptr::from_ref(table)) {
            continue;
        }
        seen.push(table);
        for row in &table.rows {
            let said = |(word, _): &(u8, bool)| reads(&tables, table.word_type, *word);
            let own = row.writes.iter().find(|(_, lossy)| !lossy);
            // A row that another word leads to is lossy, which M101 says.
            let Some((word, _)) = own.filter(|_| !row.writes.iter().any(said)) else { continue };
            let message = format!(
                "no client can say `{}` to {}: nothing in {} means it",
                vocabulary.word(table.word_type, *word),
                upstream.vendor,
                clients.iter().map(|client| client.vendor.as_str()).collect::<Vec<_>>().join(", ")
            );
            found.push(Diagnostic::warning("M103", row.at.clone(), message));
        }
    }
}

/// The tables of a mapping's requests.
fn request_tables(mapping: &Mapping) -> impl Iterator<Item = &Table> {
    let holes = mapping.operations.iter().flat_map(|operation| operation.request.holes());
    holes.filter_map(|hole| hole.table.map(|table| &mapping.tables[usize::from(table)]))
}

fn reads(tables: &[&Table], word_type: usize, word: u8) -> bool {
    let mut known = tables.iter().filter(|table| table.word_type == word_type);
    known.any(|table| table.rows.iter().any(|row| row.reads == Some(word)))
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
