//! Checks that need a whole mapping, or all of them, to be seen.
//!
//! What is wrong with a single name, hole or path was found while compiling. Here: words and faults
//! with two rows or none, rows that cannot be told apart, fields that nobody writes, operations that
//! one request fits; and, across mappings, what gets lost between two vendors.

mod catalog;
mod faults;
mod operations;
mod words;

pub use catalog::{check_catalog, check_clients};

use crate::diag::{Diagnostic, Location, Severity, has_errors};
use crate::mapping::examples::run_examples;
use crate::mapping::model::{Mapping, Vocabulary};
use crate::mapping::syntax::Example;

/// Codes that say that something is not there.
const ABSENCES: [&str; 4] = ["M008", "M009", "M016", "M017"];

/// Checks one mapping and, if it compiled without errors, runs its examples.
///
/// What is missing may be missing only because of an error further down: then the error is said, and
/// not what follows from it.
pub fn check_mapping(
    vocabulary: &Vocabulary,
    mapping: &Mapping,
    examples: &[Example],
    compiled: &[Diagnostic],
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if !has_errors(compiled) {
        let mut run = run_examples(vocabulary, mapping, examples);
        found.append(&mut run.findings);
        catalog::unshown(mapping, &run, &mut found);
    }
    words::check(vocabulary, mapping, &mut found);
    faults::check(mapping, &mut found);
    operations::check(vocabulary, mapping, &mut found);
    found.retain(|finding| !follows(finding, compiled));
    found
}

/// Checks the words of a mapping whose tables come from elsewhere; the rest was checked before.
pub fn check_tables(
    vocabulary: &Vocabulary,
    mapping: &Mapping,
    compiled: &[Diagnostic],
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    words::check(vocabulary, mapping, &mut found);
    found.retain(|finding| !follows(finding, compiled));
    found
}

/// M104: what a mapping says of its vendor and no page attests.
pub fn unverified(mapping: &Mapping) -> Vec<Diagnostic> {
    let finding = |(at, what): &(Location, String)| {
        Diagnostic::warning("M104", at.clone(), format!("no page attests this: {what}"))
    };
    mapping.unverified.iter().map(finding).collect()
}

/// True for something missing that an error further down may have taken away.
fn follows(finding: &Diagnostic, compiled: &[Diagnostic]) -> bool {
    ABSENCES.contains(&finding.code)
        && compiled.iter().any(|error| {
            error.severity == Severity::Error
                && error.at.file == finding.at.file
                && error.at.span.start >= finding.at.span.start
        })
}
