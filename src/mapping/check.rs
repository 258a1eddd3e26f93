//! Checks that need a whole mapping, or all of them, to be seen.
//!
//! What is wrong with a single name, hole or path was found while compiling. Here: words and faults
//! with two rows or none, rows that cannot be told apart, fields that nobody writes, operations that
//! one request fits; and, across mappings, what gets lost between two vendors.

mod catalog;
mod faults;
mod operations;
mod words;

pub use catalog::check_catalog;

use crate::diag::Diagnostic;
use crate::mapping::examples::run_examples;
use crate::mapping::model::{Mapping, Vocabulary};

/// Checks one mapping, and runs its examples.
pub fn check_mapping(vocabulary: &Vocabulary, mapping: &Mapping) -> Vec<Diagnostic> {
    let mut run = run_examples(vocabulary, mapping);
    let mut found = std::mem::take(&mut run.findings);
    catalog::unshown(mapping, &run, &mut found);
    words::check(vocabulary, mapping, &mut found);
    faults::check(mapping, &mut found);
    operations::check(vocabulary, mapping, &mut found);
    found
}
