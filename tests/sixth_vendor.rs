//! Invented vendors and a new operation, by YAML alone.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::path::Path;

use latimer::catalog::{Catalog, LoadError};
use latimer::diag;
use latimer::mapping::examples::run_examples;
use latimer::mapping::laws::try_laws;

fn catalog() -> Catalog {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mappings/sixth");
    match Catalog::load(&folder) {
        Ok((catalog, _)) => catalog,
        Err(LoadError::Findings(found)) => {
            let shown: Vec<String> =
                found.iter().map(|finding| diag::render(finding, false)).collect();
            panic!("{}", shown.join("\n"));
        }
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn an_invented_vendor_with_every_feature_needs_no_rust() {
    let catalog = catalog();
    let orbit = catalog.mapping("orbit").unwrap();
    assert_eq!(orbit.operations.len(), 2);
    let examples = run_examples(&catalog.vocabulary, orbit, catalog.examples(orbit));
    assert!(examples.findings.is_empty(), "{:#?}", examples.findings);
    assert_eq!(examples.passed, 6);
    let laws = try_laws(&catalog.vocabulary, orbit, catalog.examples(orbit));
    assert!(laws.kept > 40, "{}", laws.kept);
    assert!(laws.broken.is_empty(), "{:#?}", laws.broken);
}

#[test]
fn a_new_operation_of_two_vendors_needs_no_rust() {
    let catalog = catalog();
    let known = catalog.vocabulary.operations.iter().position(|def| def.name == "add_comment");
    let with: Vec<&str> = catalog
        .mappings
        .iter()
        .filter(|mapping| mapping.operations.iter().any(|operation| Some(operation.id) == known))
        .map(|mapping| mapping.vendor.as_str())
        .collect();
    assert_eq!(with, ["orbit", "relay"]);
    let relay = catalog.mapping("relay").unwrap();
    let examples = run_examples(&catalog.vocabulary, relay, catalog.examples(relay));
    assert!(examples.findings.is_empty(), "{:#?}", examples.findings);
    assert_eq!(examples.passed, 2);
    let laws = try_laws(&catalog.vocabulary, relay, catalog.examples(relay));
    assert!(laws.kept > 20, "{}", laws.kept);
    assert!(laws.broken.is_empty(), "{:#?}", laws.broken);
}
