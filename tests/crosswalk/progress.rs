//! What an import shows on a terminal while it runs: `script` (Debian's bsdutils, always there) has one.

use std::process::{Command, Stdio};

use crate::{Place, pairs, text};

/// All that is written on a terminal of so many columns while a file is imported.
fn shown(columns: u16) -> String {
    let place = Place::new();
    place.write("pairs.csv", pairs(100_000));
    let program = env!("CARGO_BIN_EXE_latimer");
    let import = format!(
        "stty rows 24 cols {columns} && '{program}' crosswalk import pairs.csv --dry-run --config latimer.yaml"
    );
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &import, "/dev/null"]);
    command.current_dir(place.path("")).stdin(Stdio::null());
    let done = command.env("DESK", "t").env("ACME_KEY", "k").output().unwrap();
    assert!(done.status.success(), "{}", text(&done.stdout));
    text(&done.stdout).to_owned()
}

/// The looks of the progress, one after the other: each takes the one before it off.
fn looks(shown: &str) -> Vec<&str> {
    let looks = shown.split("\r\x1b[K").skip(1);
    looks.take_while(|look| look.starts_with('[')).collect()
}

#[test]
fn a_terminal_shows_how_far_it_is() {
    let shown = shown(100);
    let looks = looks(&shown);
    let percents: Vec<u64> = looks
        .iter()
        .map(|look| {
            let (bar, rest) = look.split_once("] ").unwrap();
            let (percent, rest) = rest.split_once(" %  ").unwrap();
            let percent = percent.trim().parse().unwrap();
            let full = bar.bytes().filter(|byte| *byte == b'#').count();
            assert_eq!(full, usize::try_from(percent / 5).unwrap(), "{look}");
            assert!(rest.contains(" lines, ") && rest.ends_with(" a second"), "{look}");
            percent
        })
        .collect();
    assert!(percents.len() >= 2 && percents.is_sorted(), "{percents:?} in {shown:?}");
    assert!(percents.last() <= Some(&100));
    // It is gone when the report comes.
    let report = shown.rsplit("\r\x1b[K").next().unwrap();
    assert!(!report.contains("a second") && report.contains("100000"), "{report}");
}

#[test]
fn a_narrow_terminal_has_it_in_one_line() {
    let shown = shown(30);
    let looks = looks(&shown);
    assert!(looks.len() >= 2, "{shown:?}");
    assert!(looks.iter().all(|look| look.len() < 30), "{looks:?}");
}
