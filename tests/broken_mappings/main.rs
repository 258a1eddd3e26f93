//! Broken mappings: every fault of a file at once, with its line and column, and never a panic.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod marked;

use std::path::Path;
use std::sync::Arc;

use latimer::catalog::Catalog;
use latimer::diag::{self, Diagnostic, SourceFile};
use proptest::prelude::*;

fn read(path: &str) -> Arc<SourceFile> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    SourceFile::new(path, text)
}

fn check(file: Arc<SourceFile>) -> Vec<Diagnostic> {
    match Catalog::of_sources(&[read("tests/mappings/vocabulary.yaml"), file]) {
        Ok((catalog, mut found)) => {
            found.extend(catalog.losses());
            found.extend(catalog.unverified());
            diag::sort(&mut found);
            found
        }
        Err(found) => found,
    }
}

#[test]
fn every_fault_of_a_file_is_shown_where_it_stands() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mappings/broken");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() >= 60, "{} broken mappings", names.len());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../mappings/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for name in names {
            let mut found = check(read(&format!("tests/mappings/broken/{name}")));
            // The case is named after its code; what the sample warns of besides is not the point.
            let code = name.split('_').next().unwrap().to_uppercase();
            if code != "MANY" {
                let hit = found.iter().any(|finding| finding.code == code);
                assert!(hit, "{name} is to show {code}, shows {:?}", codes(&found));
            }
            let ignored = ["M101", "M102", "M103", "M104", "M106"];
            found.retain(|finding| !ignored.contains(&finding.code) || finding.code == code);
            let shown: Vec<String> =
                found.iter().map(|finding| diag::render(finding, false)).collect();
            insta::assert_snapshot!(name.trim_end_matches(".yaml"), shown.join("\n"));
        }
    });
}

#[test]
fn every_code_of_the_language_has_a_snapshot_of_what_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut shown = String::new();
    for folder in ["tests/mappings/snapshots", "tests/snapshots"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            shown.push_str(&std::fs::read_to_string(entry.unwrap().path()).unwrap());
        }
    }
    let errors = (0..=21).map(|number| format!("error[M{number:03}]: "));
    let warnings = (101..=106).map(|number| format!("warning[M{number}]: "));
    let missing: Vec<String> =
        errors.chain(warnings).filter(|start| !shown.contains(start.as_str())).collect();
    assert!(missing.is_empty(), "no snapshot shows {missing:?}");
}

fn codes(found: &[Diagnostic]) -> Vec<&'static str> {
    found.iter().map(|finding| finding.code).collect()
}

const SHIPPED: [&str; 5] = ["akana", "arena", "series", "thalamus", "zstack"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// A shipped mapping with a few of its characters, lines or words changed: either it loads, or
    /// something is found, and every place lies inside its file.
    #[test]
    fn damaged_mappings_never_panic(
        which in 0usize..5,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), 0u8..6, any::<char>()), 1..6),
    ) {
        let mut text = read(&format!("mappings/{}.yaml", SHIPPED[which])).text.clone();
        for (index, change, letter) in changes {
            let letters: Vec<(usize, char)> = text.char_indices().collect();
            if letters.is_empty() {
                break;
            }
            let (at, old) = letters[index.index(letters.len())];
            match change {
                0 => text.replace_range(at..at + old.len_utf8(), &letter.to_string()),
                1 => text.replace_range(at..at + old.len_utf8(), ""),
                2 => text.insert_str(at, ["<", ">", ": ", "\n", "{", "$", "\"", "-> "][usize::from(letter as u32 as u8 % 8)]),
                3 => text.truncate(at),
                4 => {
                    let line = text[..at].matches('\n').count();
                    let lines: Vec<&str> = text.lines().collect();
                    let doubled = lines.get(line).map(|line| format!("{line}\n")).unwrap_or_default();
                    text.insert_str(text[..at].rfind('\n').map_or(0, |at| at + 1), &doubled);
                }
                _ => text.insert(at, letter),
            }
        }
        let file = SourceFile::new("damaged.yaml", text);
        for finding in check(Arc::clone(&file)) {
            let span = finding.at.span;
            prop_assert!(span.start <= span.end, "{finding:?}");
            prop_assert!(span.start <= finding.at.file.text.len(), "{finding:?}");
            let shown = diag::render(&finding, false);
            prop_assert!(shown.contains(finding.code));
        }
    }
}
