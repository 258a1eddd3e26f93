//! `latimer test`.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;

use crate::catalog::{Catalog, LoadError};
use crate::cli::{FINDINGS, fail, listed, print};
use crate::diag::{Diagnostic, Severity};
use crate::mapping::examples::run_examples;
use crate::mapping::laws::try_laws;

/// Examples and laws of mappings.
#[derive(Debug, Args)]
pub(super) struct Test {
    /// Folders of mappings [default: mappings]
    paths: Vec<PathBuf>,
}

impl Test {
    pub(super) fn run(self) -> u8 {
        let default = [PathBuf::from("mappings")];
        let paths: &[PathBuf] = if self.paths.is_empty() { &default } else { &self.paths };
        let mut code = 0;
        for path in paths {
            match Catalog::load(path) {
                Ok((catalog, _)) => code = code.max(test(&catalog)),
                Err(LoadError::Findings(mut found)) => {
                    // What gets lost between systems is another command's matter.
                    found.retain(|finding| finding.severity == Severity::Error);
                    show(&found);
                    code = code.max(FINDINGS);
                }
                Err(error) => code = code.max(fail(&error.into())),
            }
        }
        code
    }
}

/// What the command was asked for is its result, and goes where results go.
fn show(found: &[Diagnostic]) {
    print(&listed(found, std::io::stdout().is_terminal()));
}

fn test(catalog: &Catalog) -> u8 {
    let mut code = 0;
    for mapping in &catalog.mappings {
        let examples = run_examples(&catalog.vocabulary, mapping, catalog.examples(mapping));
        let laws = try_laws(&catalog.vocabulary, mapping, catalog.examples(mapping));
        let well = examples.findings.is_empty() && laws.broken.is_empty();
        print(&format!(
            "{}: {} of examples, {} cases of laws, {}\n",
            mapping.vendor,
            examples.passed,
            laws.kept,
            if well { "ok" } else { "DIFFERENT" }
        ));
        show(&examples.findings);
        for broken in &laws.broken {
            print(&format!("  {broken}\n"));
        }
        if !well {
            code = FINDINGS;
        }
    }
    code
}
