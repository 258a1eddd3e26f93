//! Imports go strictly downward, and a simulator shares nothing with the translator.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::path::{Path, PathBuf};

/// Modules by layer, the lowest first. A module may use those of its own layer and of lower ones.
const LAYERS: [&[&str]; 8] = [
    &["ident", "bounds", "secret", "diag", "clock", "alarm"],
    &["value", "codec", "yaml", "tls"],
    &["mapping", "config"],
    &["catalog", "plan"],
    &["limit", "store", "crosswalk", "journal", "session", "credential", "upstream"],
    &["call", "telemetry"],
    &["server", "admin", "sim", "systemd"],
    &["app", "cli"],
];

/// What the simulated vendors must not know.
const FORBIDDEN_TO_SIM: [&str; 6] = ["mapping", "call", "plan", "catalog", "config", "codec"];

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Each use of `crate::module`, with the module that it stands in and the line.
fn uses() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    let mut uses = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&root).unwrap();
        let first = relative.iter().next().unwrap().to_str().unwrap();
        let module = first.strip_suffix(".rs").unwrap_or(first).to_owned();
        if matches!(module.as_str(), "lib" | "main") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            for rest in code.split("crate::").skip(1) {
                let place = format!("{}:{}", relative.display(), number + 1);
                // `use crate::{a, b::c}` names several.
                let names: Vec<&str> = match rest.strip_prefix('{') {
                    Some(list) => list.split(',').map(str::trim).collect(),
                    None => vec![rest],
                };
                for name in names {
                    let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_'));
                    let name = &name[..end.unwrap_or(name.len())];
                    uses.push((module.clone(), name.to_owned(), place.clone()));
                }
            }
        }
    }
    uses
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

#[test]
fn every_module_has_a_layer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let text = fs::read_to_string(root).unwrap();
    let modules: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert!(modules.len() > 10, "{modules:?}");
    for module in modules {
        assert!(
            layer(module).is_some(),
            "put the new module `{module}` into a layer, here and in lib.rs"
        );
    }
}

#[test]
fn imports_go_downward() {
    let uses = uses();
    assert!(uses.len() > 100, "the test sees the imports");
    let wrong: Vec<String> = uses
        .iter()
        .filter_map(|(module, used, place)| {
            let (from, to) = (layer(module)?, layer(used)?);
            (to > from).then(|| format!("{place}: `{module}` (L{from}) uses `{used}` (L{to})"))
        })
        .collect();
    assert!(wrong.is_empty(), "move the shared part down, or pass it in:\n{}", wrong.join("\n"));
}

#[test]
fn a_simulator_shares_nothing_with_the_translator() {
    let wrong: Vec<String> = uses()
        .into_iter()
        .filter(|(module, used, _)| module == "sim" && FORBIDDEN_TO_SIM.contains(&used.as_str()))
        .map(|(_, used, place)| format!("{place} uses `{used}`"))
        .collect();
    assert!(wrong.is_empty(), "write it by hand from the vendor's page:\n{}", wrong.join("\n"));
}
