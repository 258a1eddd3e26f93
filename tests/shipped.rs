//! What is shipped works: mappings, configurations, the commands on them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::path::Path;
use std::process::Command;

use latimer::catalog::Catalog;
use latimer::mapping::examples::run_examples;
use latimer::mapping::laws::try_laws;

fn latimer(arguments: &[&str]) -> (Option<i32>, String, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_latimer"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("HELPDESK_TOKEN", "t")
        .env("ACME_KEY", "k")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (done.status.code(), text(done.stdout), text(done.stderr))
}

#[test]
fn the_shipped_mappings_are_those_of_the_folder_and_have_no_error() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    let (loaded, _) = Catalog::load(&folder).unwrap();
    let shipped = Catalog::shipped();
    let vendors = |catalog: &Catalog| {
        catalog.mappings.iter().map(|mapping| mapping.vendor.clone()).collect::<Vec<_>>()
    };
    assert_eq!(vendors(&loaded), ["akana", "arena", "series", "thalamus", "zstack"]);
    assert_eq!(vendors(&shipped), vendors(&loaded));
    for (one, other) in shipped.mappings.iter().zip(&loaded.mappings) {
        assert_eq!(one.source.text, other.source.text, "{}", one.vendor);
    }
}

#[test]
fn every_example_and_every_law_holds() {
    let catalog = Catalog::shipped();
    for mapping in &catalog.mappings {
        let examples = run_examples(&catalog.vocabulary, mapping);
        assert!(examples.findings.is_empty(), "{:#?}", examples.findings);
        assert!(examples.passed >= 15, "{} has examples", mapping.vendor);
        let laws = try_laws(&catalog.vocabulary, mapping);
        assert!(laws.broken.is_empty(), "{}: {:#?}", mapping.vendor, laws.broken);
        assert!(laws.kept > 30, "{} was tried", mapping.vendor);
    }
}

#[test]
fn the_shipped_configurations_would_start() {
    for path in ["config/minimal.yaml", "config/reference.yaml"] {
        let (code, _, told) = latimer(&["serve", "--check", "--config", path]);
        assert_eq!(code, Some(0), "{path}: {told}");
    }
    let (code, _, told) = latimer(&["check", "--config", "config/minimal.yaml", "mappings"]);
    assert_eq!(code, Some(0), "{told}");
}

#[test]
fn the_demo_goes_right() {
    let (code, shown, told) = latimer(&["demo", "--once"]);
    assert_eq!(code, Some(0), "{shown}{told}");
    assert_eq!(shown.matches(": ok\n").count(), 5, "{shown}");
    let (code, lines, _) = latimer(&["demo", "--once", "--format", "json"]);
    assert_eq!(code, Some(0));
    for line in lines.lines() {
        let call: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(call["well"], true, "{line}");
    }
    assert_eq!(lines.lines().count(), 5);
}

#[test]
fn commands_end_with_their_codes() {
    let broken = "tests/config/broken";
    let any = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(broken))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .unwrap();
    for (arguments, wanted) in [
        (vec!["check"], 0),
        (vec!["test"], 0),
        (vec!["matrix"], 0),
        (vec!["matrix", "--format", "json"], 0),
        (vec!["check", "--deny", "warnings"], 1),
        (vec!["serve", "--config", any.to_str().unwrap()], 1),
        (vec!["serve", "--config", "no-such-file.yaml"], 2),
        (vec!["check", "no-such-folder"], 2),
        (vec!["no-such-command"], 2),
        (vec!["--version"], 0),
        (vec!["--help"], 0),
        (vec!["completions", "bash"], 0),
        (vec!["key", "new"], 0),
    ] {
        let (code, shown, told) = latimer(&arguments);
        assert_eq!(code, Some(wanted), "{arguments:?}\n{shown}{told}");
    }
}

/// What `explain` shows of a request, for a desk of Thalamus and a route with these keys.
fn explained(route: &str, files: &[(&str, &str)], request: &str) -> String {
    use std::io::Write as _;
    use std::process::Stdio;

    let folder = tempfile::tempdir().unwrap();
    let mappings = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    let configuration = format!(
        "mappings: {}\nupstreams:\n  desk:\n    vendor: thalamus\n    url: http://127.0.0.1:1/base\n    \
         settings: {{touchpoint: web}}\n    credential: {{token: {{env: DESK}}}}\n\
         consumers:\n  acme: {{key: {{env: ACME_KEY}}}}\nroutes:\n  main:\n    \
         upstream: desk\n    consumers: [acme]\n{route}",
        mappings.display()
    );
    std::fs::write(folder.path().join("latimer.yaml"), configuration).unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_latimer"))
        .args(["explain", "--config", "latimer.yaml", "--route", "main", "--reply", "reply"])
        .current_dir(folder.path())
        .env("DESK", "the-secret-of-the-desk")
        .env("ACME_KEY", "the-key-of-acme")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    let shown = String::from_utf8(done.stdout).unwrap();
    assert_eq!(done.status.code(), Some(0), "{shown}{}", String::from_utf8_lossy(&done.stderr));
    for secret in ["the-secret-of-the-desk", "the-key-of-acme"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    shown
}

#[test]
fn explain_names_the_line_of_each_field_and_hides_secrets() {
    let reply = "201 Created\nContent-Type: application/json\n\n\
                 {\"context\":{},\"case\":{\"id\":10,\"status\":\"resolved\"}}\n";
    let request = "POST /tickets/T-1/status HTTP/1.1\napikey: the-key-of-acme\n\
                   Content-Type: application/json\n\n{\"status\":\"resolved\",\"staffUserId\":7}\n";
    let files = [("ids.csv", "client_id,upstream_id\nT-1,10\n"), ("reply", reply)];
    let route = "    client: series\n    ids: {ticket: {file: ids.csv}}\n";
    let shown = explained(route, &files, request);
    // The line of a field is where it stands in the file.
    let line_of = |file: &str, text: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings").join(file);
        let whole = std::fs::read_to_string(path).unwrap();
        whole.lines().position(|line| line.contains(text)).unwrap() + 1
    };
    let wanted = line_of("thalamus.yaml", "statusName: <status via");
    assert!(shown.contains(&format!("thalamus.yaml:{wanted}")), "{shown}");
    let wanted = line_of("series.yaml", "staffUserId: <actor");
    assert!(shown.contains(&format!("series.yaml:{wanted}")), "{shown}");
    assert!(shown.contains(r#"{"statusName":"resolved"}"#), "{shown}");
    assert!(shown.contains("Status changed to resolved"), "{shown}");
}

#[test]
fn explain_says_that_a_request_is_forwarded() {
    let request = "PATCH /items/7?token=the-key-of-acme&a=1 HTTP/1.1\nCookie: private\n\
                   Content-Type: text/plain\n\nas it is\n";
    let files = [("reply", "500 Oops\nSet-Cookie: private\n\ntold\n")];
    let route = "    client: thalamus\n    unmapped: forward\n";
    let shown = explained(route, &files, request);
    let wanted = "\
route
  route     main
  client    thalamus
  upstream  desk (thalamus)

key
  consumer  acme

forwarded
  path  no line of the mapping; `unmapped: forward`

upstream request
  line                        PATCH /base/items/7?a=1
  header thalamus-token       [secret]
  header thalamus-touchpoint  web
  header content-type         text/plain
  header accept               */*
  body                        as it is

client answer
  outcome  unknown
  status   500
  body     told

";
    assert_eq!(shown, wanted);
}
