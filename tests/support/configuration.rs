//! A configuration whose upstream nobody is to call, for the program's other commands.

use std::path::Path;
use std::process::Command;

/// Writes it into a folder, with more behind it.
pub(crate) fn write(folder: &Path, more: &str) {
    let mappings = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    let text = format!(
        "mappings: {}\nupstreams:\n  desk: {{vendor: arena, url: \"http://127.0.0.1:1\", \
         credential: {{token: {{env: DESK}}}}}}\nconsumers:\n  acme: {{key: {{env: ACME_KEY}}}}\n\
         routes:\n  main: {{client: series, upstream: desk, consumers: [acme]}}\n{more}",
        mappings.display()
    );
    std::fs::write(folder.join("latimer.yaml"), text).expect("there is room");
}

/// The program in that folder, with the secrets that the configuration names.
pub(crate) fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latimer"));
    command.current_dir(folder).env("DESK", "t").env("ACME_KEY", "k");
    command
}
