//! `latimer matrix`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::catalog::Catalog;
use crate::cli::{fail, print};
use crate::mapping::matrix::{Cell, matrix};

/// What cannot be said, is lossy or is dropped, for each client and upstream.
#[derive(Debug, Args)]
pub(super) struct Matrix {
    /// A folder of mappings [default: mappings]
    path: Option<PathBuf>,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Matrix {
    pub(super) fn run(self) -> u8 {
        let path = self.path.unwrap_or_else(|| PathBuf::from("mappings"));
        let catalog = match Catalog::load(&path) {
            Ok((catalog, _)) => catalog,
            Err(error) => return fail(&error.into()),
        };
        let cells = matrix(&catalog.vocabulary, &catalog.mappings);
        print(&match self.format {
            Format::Text => text(&cells),
            Format::Json => json(&cells),
        });
        0
    }
}

/// A grid of counts, and what they count below it.
fn text(cells: &[Cell]) -> String {
    let mut vendors: Vec<&str> = cells.iter().map(|cell| cell.client.as_str()).collect();
    vendors.sort_unstable();
    vendors.dedup();
    let mut operations: Vec<&str> = cells.iter().map(|cell| cell.operation.as_str()).collect();
    operations.sort_unstable();
    operations.dedup();
    let mut out = String::new();
    for operation in operations {
        // Writing to a text never fails.
        let _ = writeln!(out, "{operation}: client (down) to upstream (across)");
        let _ = writeln!(out, "cannot be said / lossy / dropped\n");
        let _ = write!(out, "{:10}", "");
        for upstream in &vendors {
            let _ = write!(out, "{upstream:>10}");
        }
        out.push('\n');
        for client in &vendors {
            let _ = write!(out, "{client:10}");
            for upstream in &vendors {
                let found = cells.iter().find(|cell| {
                    cell.operation == operation
                        && cell.client == *client
                        && cell.upstream == *upstream
                });
                let counts = found.map_or("-".to_owned(), |cell| {
                    let (unsayable, lossy) = (cell.unsayable.len(), cell.lossy.len());
                    format!("{unsayable}/{lossy}/{}", cell.dropped.len())
                });
                let _ = write!(out, "{counts:>10}");
            }
            out.push('\n');
        }
        out.push('\n');
        for cell in cells.iter().filter(|cell| cell.operation == operation) {
            out.push_str(&details(cell));
        }
    }
    out
}

fn details(cell: &Cell) -> String {
    let mut out = String::new();
    let lossy: Vec<String> =
        cell.lossy.iter().map(|(said, told)| format!("{said} as {told}")).collect();
    for (what, list) in
        [("cannot be said", &cell.unsayable), ("lossy", &lossy), ("dropped", &cell.dropped)]
    {
        if !list.is_empty() {
            let _ =
                writeln!(out, "{} -> {}  {what}: {}", cell.client, cell.upstream, list.join(", "));
        }
    }
    out
}

fn json(cells: &[Cell]) -> String {
    let lines = cells.iter().map(|cell| {
        let lossy: Vec<_> = cell
            .lossy
            .iter()
            .map(|(said, told)| serde_json::json!({"said": said, "told": told}))
            .collect();
        let line = serde_json::json!({
            "operation": cell.operation,
            "client": cell.client,
            "upstream": cell.upstream,
            "cannot_be_said": cell.unsayable,
            "lossy": lossy,
            "dropped": cell.dropped,
        });
        format!("{line}\n")
    });
    lines.collect()
}
