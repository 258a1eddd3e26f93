//! What gets lost between each client and each upstream.

use std::sync::Arc;

use crate::mapping::model::{Mapping, Operation, Slot, Vocabulary};

/// One client in front of one upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The operation's name.
    pub operation: String,
    /// The client's vendor.
    pub client: String,
    /// The upstream's vendor.
    pub upstream: String,
    /// What the client says and the upstream cannot be told, in the client's words.
    pub unsayable: Vec<String>,
    /// What the client says and the upstream is told with less meaning: both texts.
    pub lossy: Vec<(String, String)>,
    /// Fields that the client may say and the upstream has no place for.
    pub dropped: Vec<String>,
}

/// All pairs of mappings that share an operation, clients first, in the order given.
pub fn matrix(vocabulary: &Vocabulary, mappings: &[Arc<Mapping>]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for client in mappings {
        for said in client.operations.iter().filter(|known| !known.kind.is_ours()) {
            for upstream in mappings {
                if let Some(told) = upstream.operation(said.id) {
                    cells.push(cell(vocabulary, (client, said), (upstream, told)));
                }
            }
        }
    }
    cells
}

fn cell(
    vocabulary: &Vocabulary,
    (client, said): (&Mapping, &Operation),
    (upstream, told): (&Mapping, &Operation),
) -> Cell {
    let mut cell = Cell {
        operation: said.name.clone(),
        client: client.vendor.clone(),
        upstream: upstream.vendor.clone(),
        unsayable: Vec::new(),
        lossy: Vec::new(),
        dropped: Vec::new(),
    };
    let fields = &vocabulary.operations[said.id].request;
    for (index, field) in (0u8..).zip(fields) {
        if said.request.says(index) && !upstream.carries(told, index) {
            cell.dropped.push(field.name.clone());
        }
        let table = |mapping: &'_ Mapping, operation: &Operation| {
            let hole = operation.request.holes().find(|hole| hole.slot == Slot::Field(index))?;
            hole.table.map(usize::from).filter(|table| *table < mapping.tables.len())
        };
        let (Some(ours), Some(theirs)) = (table(client, said), table(upstream, told)) else {
            continue;
        };
        for row in &client.tables[ours].rows {
            let Some(word) = row.reads else { continue };
            match upstream.tables[theirs].write(word) {
                None => cell.unsayable.push(row.wire.clone()),
                Some((target, true)) => cell.lossy.push((row.wire.clone(), target.wire.clone())),
                Some((_, false)) => {}
            }
        }
    }
    cell
}
