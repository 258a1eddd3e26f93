//! The commands as somebody at a terminal, or a script, meets them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The configuration of a test, in a folder of its own.
fn folder(more: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mappings = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    let text = format!(
        "mappings: {}\nupstreams:\n  desk: {{vendor: arena, url: \"http://127.0.0.1:1\", \
         credential: {{token: {{env: DESK}}}}}}\nconsumers:\n  acme: {{key: {{env: ACME_KEY}}}}\n\
         routes:\n  main: {{client: series, upstream: desk, consumers: [acme]}}\n{more}",
        mappings.display()
    );
    std::fs::write(folder.path().join("latimer.yaml"), text).unwrap();
    folder
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latimer"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.env("DESK", "t").env("ACME_KEY", "k");
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn check(done: &Output, code: i32, told: &str) {
    let shown = format!("{}{}", text(&done.stdout), text(&done.stderr));
    assert_eq!(done.status.code(), Some(code), "{shown}");
    assert!(shown.contains(told), "no `{told}` in\n{shown}");
}

#[test]
fn an_environment_that_is_no_text_stops_nothing_but_what_uses_it() {
    let folder = folder("");
    let no_text = OsStr::from_bytes(b"\xff\xfe");
    let run = |name: &str| {
        let mut command = command(folder.path(), &["serve", "--check", "--config", "latimer.yaml"]);
        command.env(name, no_text).output().unwrap()
    };
    check(&run("SOMETHING_ELSE"), 0, "ok\n");
    check(&run("DESK"), 1, "the variable `DESK` is not UTF-8 text");
    check(&run("LATIMER__DRAIN"), 1, "is not a duration");
}
