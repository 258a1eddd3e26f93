//! The commands of the crosswalk, by the real program on a real file.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

#[path = "../end_to_end/authority.rs"]
mod authority;
#[path = "../support/configuration.rs"]
mod configuration;
mod postgres;
#[path = "../support/process.rs"]
mod process;
mod progress;
#[path = "../support/postgres.rs"]
mod server;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

/// A folder with a configuration and its state.
struct Place {
    folder: tempfile::TempDir,
    /// Of the state's database.
    password: String,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        configuration::write(folder.path(), "");
        Self { folder, password: String::new() }
    }

    /// Says where the state is.
    fn keep_in(&self, state: &str) {
        let path = self.path("latimer.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, text + state).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    /// `crosswalk WORD … --config latimer.yaml`.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = configuration::program(self.folder.path());
        command.arg("crosswalk").args(arguments).args(["--config", "latimer.yaml"]);
        command.stdin(Stdio::null()).env("STATE_PASSWORD", &self.password);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What it prints; it ends with this code.
    #[track_caller]
    fn prints(&self, arguments: &[&str], code: i32) -> String {
        let done = self.run(arguments);
        let (shown, told) = (text(&done.stdout), text(&done.stderr));
        assert_eq!(done.status.code(), Some(code), "{arguments:?}\n{shown}{told}");
        shown.to_owned()
    }

    /// What it tells on stderr; it could not do what it was to.
    #[track_caller]
    fn cannot(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert_eq!(done.status.code(), Some(2), "{arguments:?} {}", text(&done.stdout));
        assert_eq!(text(&done.stdout), "", "{arguments:?}");
        text(&done.stderr).to_owned()
    }

    fn export(&self) -> String {
        self.prints(&["export", "--systems", "arena,series"], 0)
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[track_caller]
fn has(shown: &str, wanted: &[&str]) {
    for wanted in wanted {
        assert!(shown.contains(wanted), "no `{wanted}` in\n{shown}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// So many pairs, with a header.
fn pairs(count: u32) -> String {
    let mut text = "kind,arena,series\n".to_owned();
    for one in 0..count {
        // In no order, as ids of another system are.
        let other = one.wrapping_mul(2_654_435_761);
        writeln!(text, "ticket,A-{one:07},S-{other:010}").unwrap();
    }
    text
}

#[test]
fn what_is_imported_is_exported_and_imported_elsewhere() {
    let place = Place::new();
    place.write(
        "pairs.csv",
        "kind,arena,series,note\nticket,b,2,\nuser,é,\"a \"\"b\"\", c\",from HR\nticket,a,1,\"x, y\"\n",
    );
    let shown = place.prints(&["import", "pairs.csv"], 0);
    assert_eq!(
        shown,
        "3 linked, 0 joined others, 0 made two one, 0 known before, 0 repeated, 0 conflicts, 0 bad lines\n"
    );
    let csv = "kind,arena,series,note\nticket,a,1,\"x, y\"\nticket,b,2,\nuser,é,\"a \"\"b\"\", c\",from HR\n";
    assert_eq!(place.prints(&["export"], 0), csv);
    let ndjson =
        "{\"kind\":\"user\",\"series\":\"a \\\"b\\\", c\",\"arena\":\"é\",\"note\":\"from HR\"}\n";
    let asked = ["export", "--format", "ndjson", "--kind", "user", "--systems", "series,arena"];
    assert_eq!(place.prints(&asked, 0), ndjson);
    has(&place.prints(&["import", "pairs.csv"], 0), &["0 linked", "3 known before"]);

    let all = place.prints(&["export", "--format", "ndjson"], 0);
    for (name, bytes) in [
        ("a.csv", csv.as_bytes().to_vec()),
        ("a.ndjson", all.clone().into_bytes()),
        ("a.csv.gz", gzip(csv.as_bytes())),
        // What it is compressed by is told by its bytes, not by its name.
        ("a.jsonl", gzip(all.as_bytes())),
        ("windows.csv", format!("\u{feff}{}", csv.replace('\n', "\r\n")).into_bytes()),
    ] {
        let other = Place::new();
        other.write(name, bytes);
        other.prints(&["import", name], 0);
        assert_eq!(other.prints(&["export"], 0), csv, "{name}");
    }
}

#[test]
fn standard_input_is_a_file_too() {
    let place = Place::new();
    has(&place.prints(&["import", "--help"], 0), &["`kind,SYSTEM,SYSTEM[,note]`", "gzip"]);
    has(&place.cannot(&["import", "-"]), &["--format csv"]);
    let mut command = place.command(&["import", "-", "--format", "csv"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&gzip(pairs(10).as_bytes())).unwrap();
    let done = child.wait_with_output().unwrap();
    has(text(&done.stdout), &["10 linked"]);
    has(&place.prints(&["find", "A-0000001"], 0), &["by standard input"]);
}

#[test]
fn bad_lines_are_told_by_their_number_and_clean_pairs_are_kept() {
    let place = Place::new();
    let long = "x".repeat(1024 * 1024);
    let id = "y".repeat(513);
    let csv = format!(
        "kind,arena,series\nticket,a,1\n\nticket,b\nticket,,2\nboat,c,3\nticket,\"d\n\",4\nticket,{long},5\n\
         ticket,e\t,6\nticket, f,7\nticket,{id},8\nticket,g,9,10\nticket,\u{1b}[2J,11\nticket,h,12"
    );
    let mut bytes = csv.into_bytes();
    bytes.extend(b"\nticket,\xff,13\nticket,i,14\n");
    place.write("pairs.csv", bytes);
    let shown = place.prints(&["import", "pairs.csv"], 1);
    has(
        &shown,
        &[
            "pairs.csv:4: 2 fields where the header has 3\n",
            "pairs.csv:5: the id \"\" of arena is empty\n",
            "pairs.csv:6: the kind \"boat\" is neither `ticket` nor `user`\n",
            "pairs.csv:7: a quote is not closed in its line\n",
            "pairs.csv:8: a quote is not closed in its line\n",
            "pairs.csv:9: the line has more than 16384 bytes\n",
            "pairs.csv:10: the id \"e\\t\" of arena has control characters\n",
            "pairs.csv:11: the id \" f\" of arena has blanks around it\n",
            "pairs.csv:12: the id \"yyyy",
            "pairs.csv:13: 4 fields where the header has 3\n",
            "pairs.csv:14: the id \"\\u{1b}[2J\" of arena has control characters\n",
            "pairs.csv:16: the line is not UTF-8 text\n",
            "3 linked",
            "12 bad lines",
        ],
    );
    assert!(!shown.contains('\u{1b}') && shown.len() < 4_000, "{shown}");
    let kept = "kind,arena,series,note\nticket,a,1,\nticket,h,12,\nticket,i,14,\n";
    assert_eq!(place.export(), kept);
}

#[test]
fn bad_objects_are_told_too() {
    let place = Place::new();
    let ndjson = "{\"kind\":\"ticket\",\"arena\":\"a\",\"series\":\"1\"}\n\n[1]\n\
        {\"kind\":\"ticket\",\"arena\":\"b\",\"series\":2}\n\
        {\"kind\":\"ticket\",\"arena\":\"c\",\"arena\":\"d\",\"series\":\"3\"}\n\
        {\"arena\":\"e\",\"series\":\"4\"}\n{\"kind\":\"ticket\",\"arena\":\"f\"}\n\
        {\"kind\":\"ticket\",\"arena\":\"g\",\"series\":\"a\\u0000b\"}\n";
    place.write("pairs.ndjson", ndjson);
    has(
        &place.prints(&["import", "pairs.ndjson"], 1),
        &[
            "pairs.ndjson:3: the line is no JSON object",
            "pairs.ndjson:4: \"series\" is no text",
            "pairs.ndjson:5: \"arena\" stands twice",
            "pairs.ndjson:6: no `kind`",
            "pairs.ndjson:7: ids of 1 systems",
            "pairs.ndjson:8: the id \"a\\0b\" of series has control characters",
            "1 linked",
            "6 bad lines",
        ],
    );
}

#[test]
fn a_file_with_another_header_changes_nothing() {
    let place = Place::new();
    place.write("empty.csv", "");
    has(&place.prints(&["import", "empty.csv"], 1), &["empty.csv:1: the file is empty"]);
    for header in [
        "arena,series",
        "kind,arena",
        "kind,arena,arena",
        "kind,note,series",
        "kind,a,b,c",
        "kind;a;b",
        "kind,a=b,c",
    ] {
        place.write("pairs.csv", format!("{header}\nticket,a,1\n"));
        let shown = place.prints(&["import", "pairs.csv"], 1);
        has(&shown, &["pairs.csv:1: ", "kind,SYSTEM,SYSTEM", "0 linked", "1 bad lines"]);
    }
    has(&place.cannot(&["import", "none.csv"]), &["cannot read none.csv"]);
    has(&place.prints(&["check"], 0), &["whole; 0 former ids, 0 conflicts"]);
}

#[test]
fn conflicts_and_repeats_are_told_and_what_is_linked_stands() {
    let place = Place::new();
    place.write("one.csv", "kind,arena,series\nticket,a,1\nticket,b,2\n");
    place.prints(&["import", "one.csv"], 0);
    place.write(
        "two.csv",
        "kind,arena,series\nticket,a,1\nticket,a,9\nticket,c,3\nticket,c,3\nticket,d,2\n",
    );
    let conflicts = [
        "two.csv:3: arena=\"a\" series=\"9\" contradicts arena=\"a\" series=\"1\", which stands",
        "two.csv:6: arena=\"d\" series=\"2\" contradicts series=\"2\" arena=\"b\", which stands",
        "two.csv:5: arena=\"c\" series=\"3\" is told twice",
        "1 linked, 0 joined others, 0 made two one, 1 known before, 1 repeated, 2 conflicts, 0 bad lines",
    ];
    let dry = place.prints(&["import", "--dry-run", "two.csv"], 1);
    has(&dry, &conflicts);
    has(&dry, &["dry run, nothing is changed"]);
    assert_eq!(place.export(), "kind,arena,series,note\nticket,a,1,\nticket,b,2,\n");
    has(&place.prints(&["check"], 0), &["0 conflicts"]);

    has(&place.prints(&["import", "two.csv"], 1), &conflicts);
    assert_eq!(place.export(), "kind,arena,series,note\nticket,a,1,\nticket,b,2,\nticket,c,3,\n");
    has(
        &place.prints(&["find", "9"], 0),
        &["ticket series=9: conflicted", "conflict: arena=a series=9"],
    );
    has(&place.prints(&["check"], 1), &["ticket conflict: arena=d series=2", "2 conflicts"]);
    has(&place.prints(&["unlink", "arena=d", "series=2"], 0), &["dismissed"]);
    has(&place.prints(&["unlink", "arena=d", "series=2"], 1), &["is no conflict"]);
    // What stood is taken out; then the other one may be linked, and is no conflict any more.
    has(&place.prints(&["unlink", "series=1"], 0), &["unlinked series=1"]);
    has(&place.prints(&["unlink", "series=1"], 1), &["series=1 is not linked"]);
    has(&place.prints(&["link", "arena=a", "series=9"], 0), &["linked"]);
    has(&place.prints(&["check"], 0), &["1 former ids, 0 conflicts"]);
}

#[test]
fn ids_are_linked_and_found_by_hand() {
    let place = Place::new();
    has(&place.prints(&["find", "1"], 1), &["nothing is known of \"1\""]);
    assert!(!place.path("latimer.sqlite").exists(), "looking makes no file");
    let link = ["link", "arena=a=b", "series=1", "--note", "by hand", "--alias", "series=#1"];
    has(&place.prints(&link, 0), &["linked arena=\"a=b\" series=\"1\""]);
    has(&place.prints(&link, 0), &["linked already"]);
    has(&place.prints(&["link", "--kind", "user", "arena=u", "series=1"], 0), &["linked"]);
    has(
        &place.prints(&["link", "arena=a=b", "series=2"], 1),
        &["contradicts", "kept as a conflict"],
    );
    let found = place.prints(&["find", "1"], 0);
    has(
        &found,
        &[
            "ticket series=1: conflicted",
            "series=1 shown as #1",
            "note \"by hand\"",
            "user series=1: linked",
        ],
    );
    has(&place.prints(&["find", "a=b", "--system", "arena"], 0), &["ticket arena=a=b: conflicted"]);
    place.prints(&["find", "a=b", "--system", "series"], 1);
    place.prints(&["link", "akana=7", "zstack=8"], 0);
    has(&place.prints(&["link", "akana=7", "arena=a=b"], 0), &["their entries are one now"]);
    has(&place.prints(&["find", "8"], 0), &["which became entry 1", "formerly entry"]);
    for wrong in [
        ["link", "arena=1", "arena=2"],
        ["link", "arena=1", "series"],
        ["link", "arena=1", "series="],
        ["link", "arena=1", "series=a\nb"],
        ["link", "arena=1", "note=1"],
    ] {
        assert!(!place.cannot(&wrong).is_empty());
    }
    has(&place.cannot(&["export"]), &["there are akana, arena, series, zstack"]);
}

#[test]
fn a_list_of_ids_is_held_against_what_is_linked() {
    let place = Place::new();
    place.write("ids.txt", "a\n");
    has(
        &place.prints(&["check", "ids.txt", "--system", "arena"], 1),
        &["0 of 1 ticket ids of arena"],
    );
    place.write("pairs.csv", pairs(2_500));
    place.prints(&["import", "pairs.csv"], 0);
    let mut ids: Vec<String> = (0..2_500).map(|one| format!("A-{one:07}")).collect();
    place.write("ids.txt", ids.join("\n"));
    let all = place.prints(&["check", "ids.txt", "--system", "arena"], 0);
    assert_eq!(all, "2500 of 2500 ticket ids of arena are linked\n");
    ids[2_000] = "'; DROP".to_owned();
    ids[1] = "x".repeat(600);
    ids.extend((0..100).map(|one| format!("none-{one}")));
    place.write("ids.txt", gzip(ids.join("\r\n").as_bytes()));
    let some = place.prints(&["check", "ids.txt", "--system", "arena"], 1);
    has(
        &some,
        &["line 2: \"xxx", "line 2001: \"'; DROP\" is not linked", "… and 52 more", "2498 of 2600"],
    );
    assert_eq!(some.lines().count(), 52);
    place.cannot(&["check", "ids.txt"]);
    has(&place.cannot(&["check", "none.txt", "--system", "arena"]), &["cannot read none.txt"]);
}

/// A process that holds the file as a gateway does.
struct Gateway(std::process::Child);

impl Gateway {
    fn start(place: &Place) -> Self {
        use std::io::{BufRead, BufReader};

        // An import whose input does not end.
        let mut command = place.command(&["import", "-", "--format", "csv"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(b"kind,arena,series\n").unwrap();
        child.stdin = Some(input);
        let end = Instant::now() + Duration::from_secs(30);
        let lock = place.path("latimer.sqlite.lock");
        let is_held = || {
            let file = std::fs::File::open(&lock).ok()?;
            let number = BufReader::new(file).lines().next()?.ok()?;
            (number == child.id().to_string()).then_some(())
        };
        while is_held().is_none() {
            assert!(Instant::now() < end, "it does not take the file");
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Self(child)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn everything_goes_beside_a_gateway() {
    let place = Place::new();
    place.write("pairs.csv", pairs(100));
    place.prints(&["import", "pairs.csv"], 0);
    let gateway = Gateway::start(&place);
    has(&place.prints(&["find", "A-0000001"], 0), &["linked"]);
    has(&place.prints(&["check"], 0), &["ticket ids of arena: 100"]);
    has(&place.prints(&["import", "--dry-run", "pairs.csv"], 0), &["100 known before"]);
    assert_eq!(place.export().lines().count(), 101);
    has(&place.prints(&["backup", "copy.sqlite"], 0), &["wrote copy.sqlite"]);
    has(&place.prints(&["unlink", "arena=A-0000001"], 0), &["unlinked"]);
    place.write("more.csv", pairs(2_000));
    // The other id of the one that was taken out is where it was, and it joins that again.
    let told = ["1900 linked, 1 joined others", "99 known before, 0 repeated, 0 conflicts"];
    has(&place.prints(&["import", "more.csv"], 0), &told);
    has(&place.prints(&["link", "arena=A-0000002", "akana=2"], 0), &["linked arena"]);
    has(&place.prints(&["import", "-", "--format", "csv"], 1), &["the file is empty"]);
    drop(gateway);
    assert_eq!(place.export().lines().count(), 2_001);
    has(&place.prints(&["check"], 0), &["whole"]);
}

/// What a gateway of another version has in a form of its own is left to it.
#[test]
fn a_file_of_another_form_is_not_changed_beside_a_gateway() {
    let place = Place::new();
    place.write("pairs.csv", pairs(10));
    place.prints(&["import", "pairs.csv"], 0);
    let file = rusqlite::Connection::open(place.path("latimer.sqlite")).unwrap();
    let form: i64 = file.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    let gateway = Gateway::start(&place);
    let process = format!("another gateway uses it, process {}", gateway.0.id());
    file.execute_batch(&format!("PRAGMA user_version = {}", form - 1)).unwrap();
    for change in [["import", "pairs.csv"], ["unlink", "arena=A-0000001"]] {
        has(&place.cannot(&change), &[&process, "its file has another form"]);
    }
    file.execute_batch(&format!("PRAGMA user_version = {}", form + 1)).unwrap();
    has(&place.cannot(&["unlink", "arena=A-0000001"]), &["a newer version"]);
    file.execute_batch(&format!("PRAGMA user_version = {form}")).unwrap();
    place.prints(&["unlink", "arena=A-0000001"], 0);
}

#[test]
fn a_backup_is_put_back() {
    use std::os::unix::fs::PermissionsExt as _;

    let place = Place::new();
    has(&place.cannot(&["backup", "copy.sqlite"]), &["there is no latimer.sqlite"]);
    place.write("pairs.csv", pairs(5_000));
    place.prints(&["import", "pairs.csv"], 0);
    let before = place.export();
    place.prints(&["backup", "copy.sqlite"], 0);
    let mode = std::fs::metadata(place.path("copy.sqlite")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    has(&place.cannot(&["backup", "copy.sqlite"]), &["copy.sqlite is there already"]);
    place.cannot(&["backup", "no/such/copy.sqlite"]);
    place.prints(&["unlink", "arena=A-0000001"], 0);
    assert_ne!(place.export(), before);
    // Damage is found, and the copy takes its place.
    let file = place.path("latimer.sqlite");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0x55);
    std::fs::write(&file, bytes).unwrap();
    has(&place.prints_on_stderr(&["check"], 1), &["it is damaged"]);
    std::fs::rename(place.path("copy.sqlite"), &file).unwrap();
    has(&place.prints(&["check"], 0), &["whole"]);
    assert_eq!(place.export(), before);
}

impl Place {
    #[track_caller]
    fn prints_on_stderr(&self, arguments: &[&str], code: i32) -> String {
        let done = self.run(arguments);
        assert_eq!(done.status.code(), Some(code), "{}", text(&done.stdout));
        text(&done.stderr).to_owned()
    }
}

#[test]
fn an_import_that_is_killed_goes_on_where_it_was() {
    let whole = Place::new();
    let file = pairs(60_000);
    whole.write("pairs.csv", &file);
    whole.prints(&["import", "pairs.csv"], 0);
    let wanted = whole.export();

    let place = Place::new();
    place.write("pairs.csv", &file);
    let lines: Vec<&str> = file.lines().collect();
    let mut last = 0;
    for part in [10_000, 35_000] {
        // What is written is read; then it waits for more, and is killed there.
        let mut command = place.command(&["import", "-", "--format", "csv"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all((lines[..part].join("\n") + "\n").as_bytes()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        drop(input);
        let there = place.export().lines().count() - 1;
        assert!(there >= last && there < lines.len() - 1, "{there}");
        last = there;
    }
    assert!(last > 0, "something was merged before it was killed");
    let shown = place.prints(&["import", "pairs.csv"], 0);
    has(&shown, &[&format!("{} linked", 60_000 - last), &format!("{last} known before")]);
    assert_eq!(place.export(), wanted);
    place.prints(&["check"], 0);
}

#[test]
fn a_file_that_is_cut_off_is_said_and_what_came_is_kept() {
    let place = Place::new();
    let whole = gzip(pairs(5_000).as_bytes());
    place.write("pairs.csv.gz", &whole[..whole.len() / 2]);
    let done = place.run(&["import", "pairs.csv.gz"]);
    assert_eq!(done.status.code(), Some(2));
    has(text(&done.stderr), &["pairs.csv.gz cannot be read behind line"]);
    assert!(place.export().lines().count() > 1_000);
    place.write("pairs.csv.gz", &whole);
    place.prints(&["import", "pairs.csv.gz"], 0);
    assert_eq!(place.export().lines().count(), 5_001);
}
