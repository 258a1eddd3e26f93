//! The commands as somebody at a terminal, or a script, meets them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

#[path = "support/configuration.rs"]
mod configuration;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The configuration of a test, in a folder of its own.
fn folder(more: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    configuration::write(folder.path(), more);
    folder
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = configuration::program(folder);
    command.args(arguments).stdin(Stdio::null());
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

#[test]
fn what_test_finds_is_its_result_field_by_field() {
    let folder = tempfile::tempdir().unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    let vocabulary = std::fs::read_to_string(shipped.join("vocabulary.yaml")).unwrap();
    std::fs::write(folder.path().join("vocabulary.yaml"), vocabulary).unwrap();
    // The page's sample changes TICKET-1234567890-ABCD to resolved, as the member 987654321.
    let series = std::fs::read_to_string(shipped.join("series.yaml")).unwrap();
    let right = "means: {ticket: TICKET-1234567890-ABCD, status: resolved, actor: \"987654321\"}";
    let wrong = "means: {ticket: T-1, status: closed, comment: x}";
    assert!(series.contains(right));
    let series = series.replacen(right, wrong, 1);
    std::fs::write(folder.path().join("series.yaml"), series).unwrap();

    let done = command(folder.path(), &["test", "."]).output().unwrap();
    assert_eq!((done.status.code(), text(&done.stderr)), (Some(1), ""));
    let shown = text(&done.stdout);
    for difference in [
        "`ticket` is \"TICKET-1234567890-ABCD\", stated as \"T-1\"",
        "`status` is \"resolved\", stated as \"closed\"",
        "`comment` is not there, stated as \"x\"",
        "`actor` is \"987654321\", which is not stated",
    ] {
        assert!(shown.contains(difference), "no {difference} in\n{shown}");
    }
    assert!(!shown.contains("M101"), "what gets lost between systems is another matter:\n{shown}");
}

#[test]
fn a_key_is_hashed_whole_or_not_at_all() {
    use std::io::Write as _;

    let here = tempfile::tempdir().unwrap();
    std::fs::write(here.path().join("latimer.pepper"), "Jefe".repeat(8) + "\n").unwrap();
    let run = |arguments: &[&str], input: &[u8]| {
        let mut command = command(here.path(), arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    };
    let hash = |key: &[u8]| run(&["key", "hash"], key);
    // printf %s abc | openssl dgst -sha256 -hmac JefeJefeJefeJefeJefeJefeJefeJefe
    let abc = "hmac-sha256:b04890c58ed13d7e19fd44636fdb146f5d6b071e2c0f497638d7f56dc9bdce3e";
    check(&hash(b"abc"), 0, abc);
    check(&hash(b"abc\n"), 0, abc);
    check(&hash(b""), 2, "no key on standard input");
    check(&hash(&[b'a'; 64 * 1024 + 1]), 2, "the key has more than 65536 bytes");
    let weak = here.path().join("weak");
    std::fs::write(&weak, "Jefe\n").unwrap();
    check(
        &run(&["key", "hash", "--pepper", "weak"], b"abc"),
        2,
        "weak has less than 32 characters",
    );
}

/// The first key makes the pepper, in a file of its owner's alone, and a configuration with both lets it in.
#[test]
fn a_new_key_and_its_pepper_make_a_configuration() {
    use std::os::unix::fs::PermissionsExt as _;

    let here = folder("pepper: {file: safe/pepper}\n");
    std::fs::create_dir(here.path().join("safe")).unwrap();
    let new = ["key", "new", "--config", "latimer.yaml"];
    let first = command(here.path(), &new).output().unwrap();
    check(&first, 0, "Made safe/pepper");
    let pepper = here.path().join("safe/pepper");
    assert_eq!(std::fs::metadata(&pepper).unwrap().permissions().mode() & 0o777, 0o600);
    let kept = std::fs::read(&pepper).unwrap();
    assert_eq!(kept.len(), 65, "64 hexadecimal digits and the end of the line");
    let second = command(here.path(), &new).output().unwrap();
    assert!(!text(&second.stderr).contains("Made"), "there is one");
    assert_eq!(std::fs::read(&pepper).unwrap(), kept);
    assert_ne!(first.stdout, second.stdout);

    let lines = [&first, &second].map(|output| text(&output.stdout).lines().nth(1).unwrap());
    let [one, other] = lines.map(|line| line.trim_start_matches("NAME: "));
    let configuration = std::fs::read_to_string(here.path().join("latimer.yaml")).unwrap();
    let consumers = format!("consumers:\n  one: {one}\n  other: {other}\n");
    assert!(configuration.contains("consumers:"), "{configuration}");
    let rest = configuration.replace("consumers:\n", &consumers);
    std::fs::write(here.path().join("latimer.yaml"), rest).unwrap();
    let checked = command(here.path(), &["check", "--config", "latimer.yaml"]).output().unwrap();
    check(&checked, 0, "");
    std::fs::remove_file(&pepper).unwrap();
    let checked = command(here.path(), &["check", "--config", "latimer.yaml"]).output().unwrap();
    check(&checked, 1, "the file of the pepper is not there");
}

#[test]
fn a_password_is_hashed_as_its_clients_send_it() {
    use std::io::Write as _;

    let hash = |arguments: &[&str], password: &[u8]| {
        let mut command = command(Path::new("."), arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(password).unwrap();
        child.wait_with_output().unwrap()
    };
    let verifier = |output: &std::process::Output| {
        let line = text(&output.stdout);
        let hash = line.split('"').nth(1).unwrap_or_else(|| panic!("{line}"));
        latimer::secret::Password::parse(hash).unwrap()
    };
    let plain = hash(&["key", "password"], b"abc\n");
    check(&plain, 0, "{user: NAME, password: {hash: \"$argon2id$v=19$");
    assert!(verifier(&plain).is("abc"));
    let sent = hash(&["key", "password", "--sha512"], b"abc");
    // FIPS 180-2, appendix C.1.
    let sha512 = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                  2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
    assert!(verifier(&sent).is(sha512) && !verifier(&sent).is("abc"));
    check(&hash(&["key", "password"], b"\n"), 2, "no password on standard input");
}

#[test]
fn help_says_where_the_request_comes_from_and_its_sample_is_one() {
    use std::io::Write as _;

    let folder = folder("");
    let help = command(folder.path(), &["explain", "--help"]).output().unwrap();
    check(&help, 0, "read from standard input");
    let sample = text(&help.stdout).lines().filter_map(|line| line.strip_prefix("    "));
    let sample: Vec<&str> = sample.skip_while(|line| !line.starts_with("POST ")).collect();
    let (body, head) = sample.split_last().unwrap();
    let request = format!("{}\n\n{body}\n", head.join("\n")).replace("the-consumers-key", "k");

    let mut explain =
        command(folder.path(), &["explain", "--config", "latimer.yaml", "--route", "main"]);
    explain.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = explain.spawn().unwrap();
    child.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    // Arena's guids have twenty characters, so this one is not found; it was read, and its key let in.
    check(&done, 1, "not_found");
    check(&done, 1, "resolved");
}

#[test]
fn results_go_to_stdout_messages_to_stderr_and_the_code_tells_which() {
    let folder = folder("nonsense: 1\n");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let configured = |name: &'static str| vec![name, "--config", "latimer.yaml"];
    let configured_limits = |name: &'static str| vec!["limits", name, "--config", "latimer.yaml"];
    let sim = ["sim", "arena", "--listen", taken.as_str()].to_vec();
    for (arguments, code, on_stdout) in [
        (vec!["--version"], 0, true),
        (vec!["explain", "--help"], 0, true),
        (vec!["completions", "zsh"], 0, true),
        (configured("check"), 1, true),
        (configured("serve"), 1, false),
        ([configured("explain"), vec!["--route", "main"]].concat(), 1, false),
        (vec!["check", "--config", "none.yaml"], 2, false),
        (vec!["test", "nowhere"], 2, false),
        (vec!["matrix", "nowhere"], 2, false),
        (vec!["matrix", "--format", "xml"], 2, false),
        (vec!["completions", "tcsh"], 2, false),
        (vec!["limits", "show", "--help"], 0, true),
        (configured_limits("show"), 2, false),
        ([configured_limits("reset"), vec!["--limit", "a", "--all"]].concat(), 2, false),
        (vec!["limits", "show", "--config", "none.yaml"], 2, false),
        (vec!["limits", "reset", "--all"], 2, false),
        (vec!["journal", "export", "--help"], 0, true),
        (vec!["journal", "tail", "--config", "none.yaml"], 2, false),
        (vec!["journal", "find", "--call", "1", "--config", "latimer.yaml"], 2, false),
        (vec!["journal", "find", "--since", "today", "--config", "latimer.yaml"], 2, false),
        (vec!["journal", "export", "--outcome", "maybe", "--config", "latimer.yaml"], 2, false),
        (vec!["limits", "reset", "--limit", "a", "--all", "--consumer", "b"], 2, false),
        (vec!["sim", "arena", "--listen", "nowhere"], 2, false),
        (vec!["sim", "arena", "--listen", "127.0.0.1:0", "--fault", "reset,every=0"], 2, false),
        (sim, 2, false),
        (vec![], 2, false),
    ] {
        let done = command(folder.path(), &arguments).output().unwrap();
        let (shown, told) = (text(&done.stdout), text(&done.stderr));
        assert_eq!(done.status.code(), Some(code), "{arguments:?}\n{shown}{told}");
        assert_eq!((!shown.is_empty(), !told.is_empty()), (on_stdout, !on_stdout), "{arguments:?}");
    }
}
