//! Every file under `tests/config/broken` has a mistake; what is said of it is a snapshot that was read by a
//! person.
//!
//! A line `# set: NAME=value` in a file adds to the environment that it is loaded with. To write the snapshots
//! anew: `INSTA_UPDATE=always cargo test --test broken_configurations`, then read what changed.

use std::fs;
use std::path::{Path, PathBuf};

use latimer::config::{self, LoadError};
use latimer::diag::{self, Diagnostic};

const FOLDER: &str = "tests/config/broken";
/// Texts that stand for secrets in the files and in the environment, and must not be shown.
const SECRETS: [&str; 6] = ["hunter2", "swordfish", "s3cr3t", "t0ken", "acme-key", "'admin'"];

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(FOLDER).expect("the folder is there");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    paths.sort();
    paths
}

fn environment(text: &str) -> Vec<(String, String)> {
    let fixed = [("HELPDESK_TOKEN", "t0ken"), ("ACME_KEY", "acme-key")];
    let own = text.lines().filter_map(|line| line.strip_prefix("# set: ")?.split_once('='));
    fixed.into_iter().chain(own).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn findings(path: &Path) -> Vec<Diagnostic> {
    let text = fs::read_to_string(path).expect("the case is there");
    match config::load(path, environment(&text).into_iter()) {
        Ok((_, warnings)) => warnings,
        Err(LoadError::Findings(findings)) => findings,
        Err(LoadError::Unreadable { source, .. }) => panic!("{}: {source}", path.display()),
    }
}

#[test]
fn every_broken_file_is_explained() {
    use std::os::unix::fs::PermissionsExt;
    // What a checkout makes of it depends on the machine.
    for (name, mode) in [
        ("secrets/readable", 0o644),
        ("secrets/two-lines", 0o600),
        ("tls/readable.key", 0o644),
        ("tls/good.key", 0o600),
        ("tls/expired.key", 0o600),
    ] {
        let rights = fs::Permissions::from_mode(mode);
        fs::set_permissions(format!("{FOLDER}/{name}"), rights).expect("the file is ours");
    }

    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("config/broken/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let cases = cases();
    assert!(cases.len() >= 65, "{} cases", cases.len());
    for path in cases {
        let findings = findings(&path);
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
        assert!(!findings.is_empty(), "{name}: nothing is found");
        let warning = name.starts_with("warning-");
        assert_eq!(diag::has_errors(&findings), !warning, "{name}");
        let text: Vec<String> =
            findings.iter().map(|finding| diag::render(finding, false)).collect();
        let text = text.join("\n");
        for secret in SECRETS {
            assert!(!text.contains(secret), "{name} shows a secret:\n{text}");
        }
        settings.bind(|| insta::assert_snapshot!(name, text));
    }
}
