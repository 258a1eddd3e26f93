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
        let examples = run_examples(&catalog.vocabulary, mapping, catalog.examples(mapping));
        assert!(examples.findings.is_empty(), "{:#?}", examples.findings);
        assert!(examples.passed >= 15, "{} has examples", mapping.vendor);
        let laws = try_laws(&catalog.vocabulary, mapping, catalog.examples(mapping));
        assert!(laws.broken.is_empty(), "{}: {:#?}", mapping.vendor, laws.broken);
        assert!(laws.kept > 30, "{} was tried", mapping.vendor);
    }
}

#[test]
fn the_readmes_first_mapping_is_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let from = readme.find("```yaml\nmapping: 1\n").unwrap() + "```yaml\n".len();
    let text = &readme[from..from + readme[from..].find("```").unwrap()];
    let own = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder.join("mappings")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, own.path().join(path.file_name().unwrap())).unwrap();
    }
    std::fs::write(own.path().join("desk.yaml"), text).unwrap();
    for command in ["check", "test"] {
        let (code, shown, told) = latimer(&[command, own.path().to_str().unwrap()]);
        assert_eq!(code, Some(0), "{command}: {shown}{told}");
    }
    std::fs::write(own.path().join("desk.yaml"), text.replace("via status>", "via statsu>"))
        .unwrap();
    let (code, shown, told) = latimer(&["check", own.path().to_str().unwrap()]);
    assert_eq!(code, Some(1), "{shown}{told}");
    assert!(format!("{shown}{told}").contains("did you mean `status`?"), "{shown}{told}");
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
    // Each call whole: what the client sent, what its upstream saw and answered, what the client got.
    for (part, count) in [
        ("-- the client sends\n", 5),
        (" sees\n", 5),
        (" answers\n", 5),
        ("-- the client gets\n", 5),
    ] {
        assert_eq!(shown.matches(part).count(), count, "{part}: {shown}");
    }
    assert!(
        shown.contains("-- akana answers\nHTTP/1.1 200 OK\ncontent-type: text/plain\n\nRESOLVED\n")
    );
    let (code, lines, _) = latimer(&["demo", "--once", "--format", "json"]);
    assert_eq!(code, Some(0));
    for line in lines.lines() {
        let call: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(call["well"], true, "{line}");
    }
    assert_eq!(lines.lines().count(), 5);
}

#[test]
fn the_demo_serves_until_it_is_told_to_stop() {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::process::Stdio;

    /// Ends with the test, also where that fails.
    struct Demo(std::process::Child);
    impl Drop for Demo {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    let demo = Command::new(env!("CARGO_BIN_EXE_latimer"))
        .arg("demo")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut demo = Demo(demo);
    let mut lines = BufReader::new(demo.0.stdout.take().unwrap()).lines();
    let mut line = || lines.next().expect("the demo goes on").unwrap();
    while line() != "Try it:" {}
    // The first of the lines to try, spoken by hand.
    line();
    let curl = line();
    let url = curl.split(' ').nth(4).unwrap().strip_prefix("http://").unwrap().to_owned();
    let (address, path) = url.split_once('/').unwrap();
    let (key, json, body) = (line(), line(), line());
    let quoted = |line: &str| line.split('\'').nth(1).unwrap().to_owned();
    let body = quoted(&body);
    let message = format!(
        "POST /{path} HTTP/1.1\r\nHost: {address}\r\n{}\r\n{}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        quoted(&key),
        quoted(&json),
        body.len()
    );
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(message.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    // The demo's own call has resolved it already, and Thalamus lets that be said twice.
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{curl}: {answer}");
    while line() != "Ctrl-C ends." {}
    let interrupt = Command::new("kill").args(["-INT", &demo.0.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    assert_eq!(demo.0.wait().unwrap().code(), Some(0));
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

/// Findings as `check --format json` gives them.
fn findings(arguments: &[&str]) -> Vec<serde_json::Value> {
    let (_, lines, _) = latimer(&[&["check", "--format", "json"], arguments].concat());
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_is_no_fault_takes_a_line_each_and_nothing_of_it_is_left_out() {
    let found = findings(&["--unverified"]);
    assert!(found.len() > 60, "{}", found.len());
    let (code, shown, told) = latimer(&["check", "--unverified"]);
    assert_eq!((code, told.as_str()), (Some(0), ""), "results go to stdout");
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), found.len() + 1, "a line each, and how many:\n{shown}");
    for (line, finding) in lines.iter().zip(&found) {
        let text = |key: &str| finding[key].as_str().unwrap();
        let code = format!("warning[{}]: {}", text("code"), text("message"));
        let (file, at) = (text("file"), (&finding["line"], &finding["column"]));
        let place = format!(" --> {file}:{}:{}", at.0, at.1);
        assert!(line.starts_with(&code) && line.ends_with(&place), "{line}\n{finding}");
        assert!(line.contains(text("label")), "{line}\n{finding}");
    }
    let count = format!("{} warnings, nothing to mend: ", found.len());
    assert!(lines[found.len()].starts_with(&count), "{}", lines[found.len()]);
}

#[test]
fn what_is_to_be_mended_is_shown_with_its_lines() {
    let (code, shown, _) = latimer(&["check", "tests/mappings/sixth"]);
    assert_eq!(code, Some(0));
    let lines: Vec<&str> = shown.lines().collect();
    // Of its two kinds of warnings, a row without an example can be mended, and comes first.
    assert!(lines[0].starts_with("warning[M106]: a fault row without an example"), "{shown}");
    assert!(lines[1].starts_with("  --> tests/mappings/sixth/orbit.yaml:"), "{shown}");
    assert!(lines[3].contains("| ") && lines[3].contains("means: "), "{shown}");
    assert!(!shown.contains("nothing to mend"), "{shown}");
    let remark = |line: &&str| line.starts_with("warning[M101]") && line.contains(" --> ");
    assert!(lines.iter().any(remark), "{shown}");
}

#[test]
fn a_configuration_is_checked_for_its_own_systems() {
    let config = ["--config", "config/minimal.yaml", "--unverified"];
    let own = findings(&config);
    let has = |found: &[serde_json::Value], code: &str, file: &str| {
        found.iter().any(|one| one["code"] == code && one["file"].as_str().unwrap().ends_with(file))
    };
    // Series.hr in front of Arena.
    for (code, file) in [("M102", "arena.yaml"), ("M104", "arena.yaml"), ("M104", "series.yaml")] {
        assert!(has(&own, code, file), "{code} {file}: {own:#?}");
    }
    for (code, file) in
        [("M102", "series.yaml"), ("M103", "vocabulary.yaml"), ("M104", "zstack.yaml")]
    {
        assert!(!has(&own, code, file), "{code} {file}: {own:#?}");
        assert!(has(&findings(&["--unverified"]), code, file), "{code} {file}");
    }
    // A folder that is both the configuration's and an argument is told of once.
    let both = findings(&[&config[..], &["mappings"]].concat());
    let folder = findings(&["mappings", "--unverified"]);
    let place = |one: &serde_json::Value| {
        let file = one["file"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        format!("{} {file}:{}:{} {}", one["code"], one["line"], one["column"], one["message"])
    };
    let mut places: Vec<String> = both.iter().map(place).collect();
    places.sort();
    let count = places.len();
    places.dedup();
    assert_eq!(places.len(), count, "{both:#?}");
    assert!(folder.iter().all(|one| places.contains(&place(one))));
}

/// What `explain` shows of a request, for a desk of Thalamus and a route with these keys.
fn explained(route: &str, files: &[(&str, &str)], request: &str, code: i32) -> String {
    explained_at("vendor: thalamus\n    settings: {touchpoint: web}", route, files, request, code)
}

/// The same for a desk with these keys.
fn explained_at(
    desk: &str,
    route: &str,
    files: &[(&str, &str)],
    request: &str,
    code: i32,
) -> String {
    use std::io::Write as _;
    use std::process::Stdio;

    let folder = tempfile::tempdir().unwrap();
    let mappings = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    let configuration = format!(
        "mappings: {}\nupstreams:\n  desk:\n    {desk}\n    url: http://127.0.0.1:1/base\n    \
         credential: {{token: {{env: DESK}}}}\n\
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
    assert_eq!(done.status.code(), Some(code), "{shown}{}", String::from_utf8_lossy(&done.stderr));
    for secret in ["the-secret-of-the-desk", "the-key-of-acme"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    shown
}

/// The same of a Series client's call, for an answer of the upstream's.
fn explain(status: &str, reply: &str, code: i32) -> String {
    let reply = format!("{status}\nContent-Type: application/json\n\n{reply}\n");
    let request = "POST /tickets/T-1/status HTTP/1.1\napikey: the-key-of-acme\n\
                   Content-Type: application/json\n\n{\"status\":\"resolved\",\"staffUserId\":7}\n";
    let files = [("ids.csv", "client_id,upstream_id\nT-1,10\n"), ("reply", &*reply)];
    let route = "    client: series\n    ids: {ticket: {file: ids.csv}}\n";
    explained(route, &files, request, code)
}

/// `what  value   <- file:line`, where the line is the one that has the text, or has that comment above it.
fn names_line(shown: &str, what: &str, value: &str, file: &str, text: &str) {
    let mappings = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    let whole = std::fs::read_to_string(mappings.join(file)).unwrap();
    let comment = usize::from(text.starts_with('#'));
    let line = whole.lines().position(|line| line.contains(text)).unwrap() + 1 + comment;
    let found = shown.lines().any(|shown| {
        let shown = shown.trim();
        shown.starts_with(what)
            && shown[what.len()..].trim_start().starts_with(value)
            && shown.ends_with(&format!("/{file}:{line}"))
    });
    assert!(found, "no `{what} {value}` of {file}:{line} in\n{shown}");
}

#[test]
fn explain_names_the_line_of_each_field_and_hides_secrets() {
    let shown = explain("201 Created", r#"{"context":{},"case":{"id":10,"status":"resolved"}}"#, 0);
    names_line(&shown, "json statusName", "resolved", "thalamus.yaml", "statusName: <status via");
    names_line(&shown, "actor", "7", "series.yaml", "staffUserId: <actor");
    names_line(&shown, "ticket", "T-1", "series.yaml", "line: POST /tickets/");
    let message = "json data.message";
    names_line(
        &shown,
        message,
        "Status changed to resolved",
        "series.yaml",
        "message: Status changed",
    );
    assert!(shown.contains(r#"{"statusName":"resolved"}"#), "{shown}");
    assert!(shown.contains("[secret]"), "{shown}");
}

/// Without the state it is not known what an id is in the upstream.
#[test]
fn explain_says_what_the_crosswalk_would_be_asked() {
    let reply = "201 Created\nContent-Type: application/json\n\n\
                 {\"context\":{},\"case\":{\"id\":10,\"status\":\"resolved\"}}\n";
    for (ticket, missing, shows) in [
        // Thalamus' ids are numbers.
        ("T-1", "refuse", "not shown  it has the upstream's id"),
        ("17", "ask_upstream", "PUT /base/api/v4/cases/17/transitions"),
    ] {
        let request = format!(
            "POST /tickets/{ticket}/status HTTP/1.1\napikey: the-key-of-acme\n\
             Content-Type: application/json\n\n{{\"status\":\"resolved\",\"staffUserId\":7}}\n"
        );
        let route =
            format!("    client: series\n    ids: {{ticket: crosswalk, missing: {missing}}}\n");
        let shown = explained(&route, &[("reply", reply)], &request, 0);
        let then = if missing == "refuse" { "refused" } else { "asked for at the upstream" };
        let asks = format!(
            "ticket series={ticket} asks the crosswalk for its id of desk; if it has none: {then}"
        );
        assert!(shown.contains(&asks) && shown.contains(shows), "{shown}");
        assert!(shown.contains("Status changed to resolved"), "{shown}");
    }
}

#[test]
fn explain_names_the_row_that_reads_a_fault_and_the_one_that_writes_it() {
    let shown = explain("400 Bad Request", r#"{"errors":{"caseInstanceId":"invalidId"}}"#, 1);
    // A row begins with its first key.
    let comment = "# Says also that the operator or the touchpoint has no right to the case.";
    names_line(&shown, "fault", "not_found", "thalamus.yaml", comment);
    names_line(&shown, "fault", "not_found", "series.yaml", "{http: 404, means: not_found");
    names_line(&shown, "status", "404", "series.yaml", "{http: 404, means: not_found");
    names_line(
        &shown,
        "json error.message",
        "Ticket not found",
        "series.yaml",
        "message: <message>",
    );
    let body = r#"{"success":false,"error":{"code":404,"message":"Ticket not found"}}"#;
    assert!(shown.contains(body), "{shown}");
    let unknown = explain("502 Bad Gateway", "<html>", 1);
    assert!(unknown.contains("outcome  unknown\n"), "{unknown}");
}

/// A job's id is a call's, and a call that is only explained has none.
#[test]
fn explain_says_where_the_outcome_is_asked_for() {
    let ticket = "e9377476db3f375bbff78dc3b9204f00";
    let request = format!(
        "POST /tickets/{ticket}/status HTTP/1.1\napikey: the-key-of-acme\n\
         Content-Type: application/json\n\n{{\"status\":\"resolved\",\"staffUserId\":7}}\n"
    );
    let at = |location: &str, code| {
        let reply =
            format!("202 Accepted\n\n{{\"location\":\"{location}\",\"apiTimeout\":1800000}}\n");
        let files = [("reply", &*reply)];
        explained_at("vendor: zstack", "    client: series\n", &files, &request, code)
    };
    let shown = at("http://127.0.0.1:1/zstack/v1/api-jobs/1f", 0);
    let asked = "GET /zstack/v1/api-jobs/1f of 127.0.0.1:1";
    let from = "code: 202";
    names_line(&shown, "asked after", asked, "zstack.yaml", from);
    let header = "X-Job-UUID: <call>";
    names_line(&shown, "header X-Job-UUID", "0123456789abcdef", "zstack.yaml", header);
    let shown = at("http://192.0.2.1:1/zstack/v1/api-jobs/1f", 1);
    assert!(shown.contains("the address to ask at is not the upstream's"), "{shown}");
    assert!(shown.contains("outcome_unknown"), "{shown}");
}

#[test]
fn explain_says_that_a_request_is_forwarded() {
    let request = "PATCH /items/7?token=the-key-of-acme&a=1 HTTP/1.1\nCookie: private\n\
                   Content-Type: text/plain\n\nas it is\n";
    let files = [("reply", "500 Oops\nSet-Cookie: private\n\ntold\n")];
    let route = "    client: thalamus\n    unmapped: forward\n";
    let shown = explained(route, &files, request, 0);
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

/// The same desk speaks Akana, whose answers are a word.
const AKANA: &str = "vendor: akana\n    settings: {tenant: acme}";

#[test]
fn explain_shows_a_read_and_its_lines() {
    let request =
        "GET /v1/tickets/1J3M5I3UHK1GZI1K31L4 HTTP/1.1\narena_session_id: the-key-of-acme\n\n";
    let ids = "client_id,upstream_id\n1J3M5I3UHK1GZI1K31L4,ticket7.acme\n";
    let reply =
        "200 OK\nContent-Type: application/json\n\n{\"Title\":\"Lag\",\"State\":\"REOPEN\"}\n";
    let files = [("ids.csv", ids), ("reply", reply)];
    let route = "    client: arena\n    ids: {ticket: {file: ids.csv}}\n    enrich: on\n";
    let shown = explained_at(AKANA, route, &files, request, 0);
    names_line(&shown, "operation", "read_ticket", "arena.yaml", "line: GET /tickets/<ticket>");
    let line = "GET /base/api/tickets/ticket7.acme";
    names_line(&shown, "line", line, "akana.yaml", "line: GET /api/tickets/<ticket>");
    names_line(&shown, "title", "Lag", "akana.yaml", "Title: <title or none>");
    let body = r#"{"guid":"1J3M5I3UHK1GZI1K31L4","title":"Lag","status":{"value":"Not Started"}}"#;
    assert!(shown.contains(body), "{shown}");
    assert!(!shown.contains("read after the write"), "{shown}");
}

#[test]
fn explain_shows_what_is_read_after_a_write() {
    let request = "POST /tickets/statuschanges HTTP/1.1\narena_session_id: the-key-of-acme\n\
                   Content-Type: application/json\n\n\
                   {\"ticket\":{\"guid\":\"1J3M5I3UHK1GZI1K31L4\"},\"status\":\"COMPLETE\"}\n";
    let ids = "client_id,upstream_id\n1J3M5I3UHK1GZI1K31L4,ticket7.acme\n";
    let shown = |desk: &str, reply: &str, enrich: &str| {
        let files = [("ids.csv", ids), ("reply", reply)];
        let route = format!("    client: arena\n    ids: {{ticket: {{file: ids.csv}}}}\n{enrich}");
        explained_at(desk, &route, &files, request, 0)
    };
    let reply = "200 OK\nContent-Type: text/plain\n\nRESOLVED\n";
    let on = shown(AKANA, reply, "    enrich: on\n");
    let read = &on[on.find("read after the write\n").unwrap()..];
    names_line(
        read,
        "line",
        "GET /base/api/tickets/ticket7.acme",
        "akana.yaml",
        "line: GET /api/tickets/<ticket>",
    );
    assert!(read.contains("  missing") && read.contains("title, description\n"), "{read}");
    let off = shown(AKANA, reply, "");
    assert!(!off.contains("read after the write"), "{off}");
}
