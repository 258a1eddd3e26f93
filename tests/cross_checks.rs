//! Checks that need more than one file: configuration with mappings, mappings with each other.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use latimer::catalog::{Catalog, LoadError};
use latimer::diag::{self, Diagnostic, SourceFile};
use latimer::{config, plan};

fn plan_findings(text: &str) -> Vec<Diagnostic> {
    let file = SourceFile::new("latimer.yaml", text);
    let environment = [("KEY".to_owned(), "k".to_owned()), ("TOKEN".to_owned(), "t".to_owned())];
    let (config, _) = config::load_text(&file, Path::new("."), environment.into_iter()).unwrap();
    plan::build(&config, &Catalog::shipped()).expect_err("something is wrong")
}

fn shown(found: &[Diagnostic], code: &str) -> String {
    assert!(found.iter().any(|finding| finding.code == code), "{found:#?}");
    let shown = found.iter().filter(|finding| finding.code == code);
    shown.map(|finding| diag::render(finding, false)).collect::<Vec<_>>().join("\n")
}

/// The texts that findings of the code mark, each once.
fn marked<'f>(found: &'f [Diagnostic], code: &str) -> BTreeSet<&'f str> {
    let found = found.iter().filter(|finding| finding.code == code);
    found.map(|one| &one.at.file.text[one.at.span.start..one.at.span.end]).collect()
}

fn read(path: &str) -> Arc<SourceFile> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    SourceFile::new(path, text)
}

fn shipped() -> Vec<Arc<SourceFile>> {
    let names = ["vocabulary", "akana", "arena", "series", "thalamus", "zstack"];
    names.iter().map(|name| read(&format!("mappings/{name}.yaml"))).collect()
}

const UPSTREAM: &str = "upstreams:\n  desk:\n    vendor: series\n    url: http://127.0.0.1:1\n    \
                        settings: {staff_user: 7}\n    credential: {token: {env: TOKEN}}\n\
                        consumers:\n  acme: {key: {env: KEY}}\n";

#[test]
fn m011_two_routes_for_one_request() {
    let text = format!(
        "{UPSTREAM}routes:\n  first:\n    client: series\n    upstream: desk\n    consumers: [acme]\n  \
         second:\n    client: series\n    upstream: desk\n    consumers: [acme]\n  elsewhere:\n    \
         client: series\n    upstream: desk\n    consumers: [acme]\n    match: {{host: other.test}}\n"
    );
    let found = plan_findings(&text);
    assert_eq!(marked(&found, "M011"), BTreeSet::from(["second"]));
    insta::assert_snapshot!(shown(&found, "M011"));
}

/// One path is one path, wherever the line between a route's prefix and a mapping's line runs.
#[test]
fn m011_a_prefix_and_a_line_that_begins_with_it() {
    let series = read("mappings/series.yaml").text.replace("/tickets/", "/v1/tickets/");
    let series = series.replace("vendor: series", "vendor: versioned");
    let mut sources = shipped();
    sources.push(SourceFile::new("mappings/versioned.yaml", series));
    let (catalog, _) = Catalog::of_sources(&sources).unwrap();
    let text = format!(
        "{UPSTREAM}routes:\n  first:\n    client: series\n    upstream: desk\n    consumers: [acme]\n    \
         match: {{path_prefix: /v1}}\n  second:\n    client: versioned\n    upstream: desk\n    \
         consumers: [acme]\n"
    );
    let file = SourceFile::new("latimer.yaml", text);
    let environment = [("KEY".to_owned(), "k".to_owned()), ("TOKEN".to_owned(), "t".to_owned())];
    let (config, _) = config::load_text(&file, Path::new("."), environment.into_iter()).unwrap();
    let found = plan::build(&config, &catalog).expect_err("both take the path");
    let message = "the routes `first` and `second` both take POST /v1/tickets/<ticket>/status";
    assert!(found.iter().any(|one| one.code == "M011" && one.message == message), "{found:#?}");
}

#[test]
fn two_vendors_share_a_place_as_long_as_their_lines_differ() {
    let text = format!(
        "{UPSTREAM}routes:\n  one:\n    client: series\n    upstream: desk\n    consumers: [acme]\n  \
         two:\n    client: arena\n    upstream: desk\n    consumers: [acme]\n"
    );
    let file = SourceFile::new("latimer.yaml", text);
    let environment = [("KEY".to_owned(), "k".to_owned()), ("TOKEN".to_owned(), "t".to_owned())];
    let (config, _) = config::load_text(&file, Path::new("."), environment.into_iter()).unwrap();
    assert!(plan::build(&config, &Catalog::shipped()).is_ok());
}

#[test]
fn m009_what_the_upstream_needs_and_nobody_says() {
    let text = UPSTREAM.replace("    settings: {staff_user: 7}\n", "")
        + "routes:\n  main:\n    client: arena\n    upstream: desk\n    consumers: [acme]\n";
    insta::assert_snapshot!("m009_setting", shown(&plan_findings(&text), "M009"));
    let text = UPSTREAM.replace("    credential: {token: {env: TOKEN}}\n", "")
        + "routes:\n  main:\n    client: arena\n    upstream: desk\n    consumers: [acme]\n";
    insta::assert_snapshot!("m009_credential", shown(&plan_findings(&text), "M009"));
}

/// The tenant is part of the names of the cookie and of the header in which Akana's clients have their key.
#[test]
fn m009_a_route_whose_callers_could_never_show_a_key() {
    let text = format!(
        "{UPSTREAM}routes:\n  desks:\n    client: akana\n    upstream: desk\n    consumers: [acme]\n"
    );
    insta::assert_snapshot!(shown(&plan_findings(&text), "M009"));
}

/// A credential of a consumer's own is one system's. That an upstream has one too is checked already, and with it
/// that nothing goes there in plain text.
#[test]
fn c007_a_consumers_credential_that_would_get_about() {
    let upstream = UPSTREAM.replace(
        "acme: {key: {env: KEY}}",
        "acme: {key: {env: KEY}, credential: {token: {env: TOKEN}}}",
    );
    let more = "  far: {vendor: series, url: \"http://127.0.0.1:2\", settings: {staff_user: 7}, credential: {token: {env: TOKEN}}}\n";
    let upstream = upstream.replace("upstreams:\n", &format!("upstreams:\n{more}"));
    let text = format!(
        "{upstream}routes:\n  first: {{client: series, upstream: desk, consumers: [acme]}}\n  \
         second: {{client: arena, upstream: far, consumers: all}}\n"
    );
    let found = plan_findings(&text);
    insta::assert_snapshot!(shown(&found, "C007"));
}

/// Where a vendor has sessions, a log-in will do as well.
#[test]
fn m009_a_system_that_could_be_logged_in_to() {
    let text = "mappings: mappings\nupstreams:\n  desk:\n    vendor: arena\n    url: http://127.0.0.1:1\n    \
                credential: {user: {env: KEY}}\nconsumers:\n  acme: {key: {env: KEY}}\n\
                routes:\n  main: {client: arena, upstream: desk, consumers: [acme]}\n";
    insta::assert_snapshot!(shown(&plan_findings(text), "M009"));
    let file = SourceFile::new(
        "latimer.yaml",
        text.replace("{env: KEY}}\ncons", "{env: KEY}, password: {env: KEY}}\ncons"),
    );
    let environment = [("KEY".to_owned(), "k".to_owned())];
    let (config, _) = config::load_text(&file, Path::new("."), environment.into_iter()).unwrap();
    let (plan, _) = plan::build(&config, &Catalog::shipped()).unwrap();
    assert!(plan.upstreams[0].own().log_in.is_some());
}

/// Sessions are shared by what logs in to them: the credential, and the settings that stand in the log-in's messages.
#[test]
fn a_consumers_setting_is_another_log_in_where_the_log_in_has_it() {
    let text = "upstreams:\n  desk:\n    vendor: thalamus\n    url: http://127.0.0.1:1\n    \
                settings: {touchpoint: web, session_cookie: JSESSIONID, log_in_path: login}\n    \
                credential: {token: {env: TOKEN}, user: {env: KEY}, password: {env: KEY}}\n\
                consumers:\n  plain: {key: {env: KEY}}\n  elsewhere:\n    key: {env: OTHER}\n    \
                settings: {session_cookie: OTHER}\n  same:\n    key: {env: THIRD}\n    \
                settings: {session_cookie: JSESSIONID}\n\
                routes:\n  main:\n    client: series\n    upstream: desk\n    consumers: all\n    \
                ids: {ticket: {file: pairs.csv}}\n";
    let file = SourceFile::new("latimer.yaml", text);
    let environment =
        ["KEY", "OTHER", "THIRD", "TOKEN"].map(|name| (name.to_owned(), name.to_lowercase()));
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("pairs.csv"), "client_id,upstream_id\n").unwrap();
    let (config, _) = config::load_text(&file, directory.path(), environment.into_iter()).unwrap();
    let (plan, _) = plan::build(&config, &Catalog::shipped()).unwrap();
    let route = &plan.routes[0];
    let log_in = |consumer: &str| {
        let consumer = plan.consumers.iter().position(|known| &**known == consumer);
        let credential = route.credential_for(&plan.upstreams[0], consumer);
        credential.log_in.as_ref().unwrap().expose()
    };
    assert_eq!(log_in("plain"), log_in("same"));
    assert_ne!(log_in("plain"), log_in("elsewhere"));
}

/// A mapping has one segment of a path for it: that it never fits, or goes out as `%2F`, nobody would find.
#[test]
fn c002_a_setting_that_is_no_segment_of_a_path() {
    let route = |path: &str| {
        format!(
            "{UPSTREAM}routes:\n  main:\n    client: thalamus\n    upstream: desk\n    consumers: [acme]\n    \
             settings: {{touchpoint: web, session_cookie: JSESSIONID, log_in_path: {path}}}\n"
        )
    };
    insta::assert_snapshot!(shown(&plan_findings(&route("auth/operators/login")), "C002"));
    assert_eq!(shown(&plan_findings(&route("'..'")), "C002").matches("error[C002]").count(), 1);
}

#[test]
fn c004_a_setting_that_no_client_of_the_consumer_has() {
    let upstream = UPSTREAM.replace(
        "acme: {key: {env: KEY}}",
        "acme: {key: {env: KEY}, settings: {touchpoint: web, touchpiont: web}}",
    );
    let text = format!(
        "{upstream}routes:\n  first: {{client: thalamus, upstream: desk, consumers: [acme]}}\n  \
         second: {{client: series, upstream: desk, consumers: all}}\n"
    );
    let found = plan_findings(&text);
    assert_eq!(found.iter().filter(|finding| finding.code == "C004").count(), 1, "{found:#?}");
    insta::assert_snapshot!(shown(&found, "C004"));
}

#[test]
fn what_is_wrong_with_a_setting_is_told_once() {
    let upstream = UPSTREAM.replace(
        "acme: {key: {env: KEY}}",
        "acme: {key: {env: KEY}, settings: {staff_user: nobody}}",
    );
    let text = format!(
        "{upstream}routes:\n  first: {{client: series, upstream: desk, consumers: all, settings: {{x: y}}}}\n  \
         second: {{client: series, upstream: desk, consumers: all, match: {{host: a.test}}}}\n"
    );
    let found = plan_findings(&text);
    let places: Vec<_> = found.iter().map(|finding| (finding.code, finding.at.span)).collect();
    assert_eq!(found.len(), 2, "{places:?}");
}

#[test]
fn a_table_of_the_configuration_is_checked_like_the_mappings() {
    let text = UPSTREAM.replace(
        "    settings:",
        "    tables: {status: {open: opened}, state: {x: open}}\n    settings:",
    ) + "routes:\n  main:\n    client: arena\n    upstream: desk\n    consumers: [acme]\n";
    let found = plan_findings(&text);
    insta::assert_snapshot!("tables_m002", shown(&found, "M002"));
    insta::assert_snapshot!("tables_m003", shown(&found, "M003"));
}

#[test]
fn m012_a_vocabularys_text_knows_words_for_what_is_absent_and_no_more() {
    let text = read("mappings/vocabulary.yaml").text.replace(
        r#"<field or "the ticket system does not say which">"#,
        "<field as lower via status or $staff>",
    );
    let vocabulary = SourceFile::new("vocabulary.yaml", text);
    insta::assert_snapshot!(shown(&Catalog::of_sources(&[vocabulary]).unwrap_err(), "M012"));
}

#[test]
fn m020_two_files_for_one_vendor() {
    let series = read("mappings/series.yaml");
    let again = SourceFile::new("mappings/series-again.yaml", series.text.clone());
    let sources = [read("mappings/vocabulary.yaml"), series, again];
    let found = Catalog::of_sources(&sources).unwrap_err();
    assert_eq!(marked(&found, "M020"), BTreeSet::from(["series"]));
    insta::assert_snapshot!(shown(&found, "M020"));
}

/// What a gateway does not run it does not keep, but is as strict with.
#[test]
fn mappings_that_are_not_wanted_are_checked_and_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    for file in shipped() {
        let name = Path::new(&file.name).file_name().unwrap();
        std::fs::write(folder.path().join(name), &file.text).unwrap();
    }
    let wanted = |vendor: &str| vendor == "series";
    let (catalog, warnings) = Catalog::load_those(folder.path(), wanted).unwrap();
    let kept: Vec<_> = catalog.mappings.iter().map(|mapping| &mapping.vendor).collect();
    assert_eq!(kept, ["series"]);
    assert_eq!(catalog.vendors, ["akana", "arena", "series", "thalamus", "zstack"]);
    assert!(!catalog.examples(&catalog.mappings[0]).is_empty());
    let (whole, all) = Catalog::load(folder.path()).unwrap();
    assert_eq!(whole.mappings.len(), 5);
    assert_eq!(shown(&warnings, "M101"), shown(&all, "M101"), "those of the others as well");

    let again = read("mappings/zstack.yaml").text.clone();
    std::fs::write(folder.path().join("again.yaml"), again).unwrap();
    let found = match Catalog::load_those(folder.path(), wanted) {
        Err(LoadError::Findings(found)) => found,
        other => panic!("{other:?}"),
    };
    assert_eq!(marked(&found, "M020"), BTreeSet::from(["zstack"]));
}

#[test]
fn warnings_of_the_shipped_mappings() {
    let (catalog, mut found) = Catalog::of_sources(&shipped()).unwrap();
    found.append(&mut catalog.losses());
    found.append(&mut catalog.unverified());
    diag::sort(&mut found);
    assert_eq!(
        marked(&found, "M102"),
        BTreeSet::from(["change_status", "read_ticket"]),
        "the upstream's operation"
    );
    assert_eq!(marked(&found, "M103"), BTreeSet::from(["on_hold"]), "the word");
    for code in ["M101", "M102", "M103", "M104"] {
        insta::assert_snapshot!(format!("shipped_{code}"), shown(&found, code));
    }
}

type Built = Result<(plan::Plan, Vec<Diagnostic>), Vec<Diagnostic>>;

/// What gets lost with these routes, each `client -> upstream`.
fn losses(routes: &[(&str, &str)]) -> Vec<Diagnostic> {
    joined(routes).unwrap().1
}

fn joined(routes: &[(&str, &str)]) -> Built {
    let mut text = "upstreams:\n".to_owned();
    for (vendor, settings) in [("series", "{staff_user: 7}"), ("zstack", "{}")] {
        text.push_str(&format!(
            "  {vendor}:\n    vendor: {vendor}\n    url: http://127.0.0.1:1\n    \
             settings: {settings}\n    credential: {{token: {{env: TOKEN}}}}\n"
        ));
    }
    text.push_str("consumers:\n  acme: {key: {env: KEY}}\nroutes:\n");
    for (client, upstream) in routes {
        text.push_str(&format!(
            "  {client}-{upstream}:\n    client: {client}\n    upstream: {upstream}\n    \
             consumers: [acme]\n    match: {{host: {client}.{upstream}.test}}\n"
        ));
    }
    let file = SourceFile::new("latimer.yaml", text);
    let environment = [("KEY".to_owned(), "k".to_owned()), ("TOKEN".to_owned(), "t".to_owned())];
    let (config, _) = config::load_text(&file, Path::new("."), environment.into_iter()).unwrap();
    plan::build(&config, &named_as_files())
}

/// The shipped mappings under the names that they have in the folder.
fn named_as_files() -> Catalog {
    Catalog::of_sources(&shipped()).unwrap().0
}

#[test]
fn a_configuration_is_told_only_of_losses_between_systems_that_its_routes_join() {
    let found = losses(&[("arena", "zstack"), ("series", "zstack"), ("zstack", "series")]);
    insta::assert_snapshot!("routes_M102", shown(&found, "M102"));
    insta::assert_snapshot!("routes_M103", shown(&found, "M103"));
    // Each vendor in front of itself loses nothing.
    assert_eq!(losses(&[("series", "series"), ("zstack", "zstack")]), []);
}

#[test]
fn a_place_that_is_only_read_carries_nothing_to_an_upstream() {
    let arena = read("mappings/arena.yaml");
    let akana = read("mappings/akana.yaml");
    let comment = |place: &str| {
        let text = arena.text.replacen(
            "      status: <status via status>\n",
            &format!("      status: <status via status>\n      {place}\n"),
            1,
        );
        assert_ne!(text, arena.text, "the sample has the line");
        let arena = SourceFile::new("arena.yaml", text);
        let sources = [read("mappings/vocabulary.yaml"), Arc::clone(&akana), arena];
        let (catalog, _) = Catalog::of_sources(&sources).unwrap();
        let lost = catalog.losses().into_iter();
        lost.filter(|finding| finding.message.contains("`comment`"))
            .map(|finding| finding.message)
            .collect::<Vec<_>>()
    };
    assert_eq!(comment("note: <comment or none>"), [""; 0]);
    let dropped = |client: &str, upstream: &str| {
        format!("`comment` from {client} clients is dropped: {upstream} has no place for it")
    };
    assert_eq!(comment("note: -> <comment or none>"), [dropped("akana", "arena")]);
    assert_eq!(comment("note: <- <comment or none>"), [""; 0]);
}

#[test]
fn a_look_up_carries_what_it_looks_for() {
    let orbit = read("tests/mappings/sixth/orbit.yaml");
    let plain = orbit.text.split("\nexamples:").next().unwrap();
    let client = orbit.text.replacen("vendor: orbit", "vendor: client", 1);
    let is_lost = |searched: &str| {
        // Its examples were written for a vendor whose request says the status itself.
        let upstream = plain
            .replacen("        state: <status", "        state: -> <status", 1)
            .replacen("where: {to.state: <status via state>}", searched, 1);
        assert_eq!(upstream.len(), plain.len() + 3 + searched.len() - 37, "both are there");
        let sources = [
            read("tests/mappings/sixth/vocabulary.yaml"),
            SourceFile::new("client.yaml", client.as_str()),
            SourceFile::new("orbit.yaml", upstream),
        ];
        let (catalog, _) = Catalog::of_sources(&sources).unwrap();
        catalog.losses().iter().any(|finding| finding.message.starts_with("`status` from client"))
    };
    assert!(!is_lost("where: {to.state: <status via state>}"));
    assert!(is_lost("where: {to.state: \"6\"}"));
}

/// The entry of a block or flow map that begins here: its line, and those that are indented under it.
fn entry(text: &str, start: usize) -> String {
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let before = &text[line_start..start];
    // The keys of a row stand beneath its first one; those of an entry are indented.
    let indent = before.len() + usize::from(!before.ends_with("- "));
    let mut lines = text[start..].lines();
    let first = lines.next().unwrap();
    let under = lines.take_while(|line| line.len() - line.trim_start().len() >= indent);
    std::iter::once(first).chain(under).collect::<Vec<_>>().join("\n")
}

#[test]
fn m104_points_at_each_entry_that_is_marked_and_at_no_other() {
    let (catalog, _) = Catalog::of_sources(&shipped()).unwrap();
    for mapping in &catalog.mappings {
        let text = &mapping.source.text;
        let found = catalog.unverified().into_iter().filter(|one| one.at.file == mapping.source);
        let found: Vec<Diagnostic> = found.collect();
        assert_eq!(found.len(), text.matches("unverified: true").count(), "{}", mapping.vendor);
        for finding in found {
            // Of a request its line is shown, and the mark is beside it.
            let start = finding.at.span.start;
            let start = match finding.message.ends_with(": request") {
                true => {
                    let above = &text[..start];
                    above.rfind("request:").max(above.rfind("log_in:\n    ")).unwrap()
                }
                false => start,
            };
            let marked = entry(text, start);
            assert_eq!(marked.matches("unverified: true").count(), 1, "{finding:?}\n{marked}");
        }
    }
}

#[test]
fn a_configuration_is_told_only_of_what_is_unverified_in_its_own_systems() {
    let found = joined(&[("series", "zstack")]).unwrap().0.unverified();
    let mut files: Vec<&str> = found.iter().map(|one| one.at.file.name.as_str()).collect();
    files.dedup();
    assert_eq!(files, ["mappings/series.yaml", "mappings/zstack.yaml"]);
}

/// What is found with these mappings in place of the shipped ones.
fn found_with(sources: &[Arc<SourceFile>], text: &str) -> Vec<Diagnostic> {
    let (catalog, _) = Catalog::of_sources(sources).unwrap();
    let file = SourceFile::new("latimer.yaml", text);
    let environment = [("KEY".to_owned(), "k".to_owned()), ("TOKEN".to_owned(), "t".to_owned())];
    let (config, _) = config::load_text(&file, Path::new("."), environment.into_iter()).unwrap();
    plan::build(&config, &catalog).err().unwrap_or_default()
}

/// The shipped mappings with another text of Series.
fn with_series(change: impl Fn(&str) -> String) -> Vec<Arc<SourceFile>> {
    let series = |source: &Arc<SourceFile>| source.name.ends_with("series.yaml");
    let changed = |source: Arc<SourceFile>| match series(&source) {
        true => SourceFile::new(source.name.clone(), change(&source.text)),
        false => source,
    };
    shipped().into_iter().map(changed).collect()
}

/// In place of `enrich: on`.
const ASKS: &str = "ids: {ticket: crosswalk, missing: ask_upstream}";
const ENRICHED: &str =
    "routes:\n  main: {client: arena, upstream: desk, consumers: [acme], enrich: on}\n";

/// The same need, in place of `enrich: on`.
const JOURNALED: &str = "journal: {records: full, from: read}";

#[test]
fn c004_enrich_where_nothing_can_be_read() {
    let cut = |text: &str, from: &str, to: &str| {
        let (start, end) = (text.find(from).unwrap(), text.find(to).unwrap());
        format!("{}{}", &text[..start], &text[end..])
    };
    let sources = with_series(|text| {
        let text = cut(text, "read_ticket:\n", "# Whether a key holds");
        cut(&text, "  - name: reading\n", "  - name: a status that does not exist\n")
    });
    let text = format!("{UPSTREAM}{ENRICHED}");
    insta::assert_snapshot!(shown(&found_with(&sources, &text), "C004"));
    assert_eq!(found_with(&sources, &text.replace("enrich: on", "enrich: off")).len(), 0);
    let asks = text.replace("enrich: on", ASKS);
    insta::assert_snapshot!("ask_upstream_c004", shown(&found_with(&sources, &asks), "C004"));
    assert_eq!(found_with(&shipped(), &asks).len(), 0);
    assert_eq!(found_with(&shipped(), &text).len(), 0);
    let text = text.replace("enrich: on", JOURNALED);
    insta::assert_snapshot!("journal_c004", shown(&found_with(&sources, &text), "C004"));
    assert_eq!(found_with(&sources, &text.replace("full", "off")).len(), 0);
    assert_eq!(found_with(&sources, &text.replace("read", "none")).len(), 0);
    assert_eq!(found_with(&shipped(), &text).len(), 0);
}

#[test]
fn m009_enrich_where_the_read_needs_what_the_write_does_not_say() {
    let place = "    line: GET /tickets/get/<ticket>\n    headers:\n";
    let sources = with_series(|text| {
        assert!(text.contains(place));
        let text = text.replace(place, &format!("{place}      x-touchpoint: <touchpoint>\n"));
        let header = "      GET /tickets/get/TICKET-1234567890-ABCD\n";
        text.replace(header, &format!("{header}      x-touchpoint: web\n")).replace(
            "    means: {ticket: TICKET-1234567890-ABCD}\n",
            "    means: {ticket: TICKET-1234567890-ABCD, touchpoint: web}\n",
        )
    });
    let text = format!("{UPSTREAM}{ENRICHED}");
    let found = found_with(&sources, &text);
    let own = |finding: &&Diagnostic| finding.message.starts_with("`enrich: on`");
    assert_eq!(found.iter().filter(own).count(), 1, "{found:#?}");
    insta::assert_snapshot!(shown(&found, "M009"));
    let asks = text.replace("enrich: on", ASKS);
    insta::assert_snapshot!("ask_upstream_m009", shown(&found_with(&sources, &asks), "M009"));
    let found = found_with(&sources, &text.replace("enrich: on", JOURNALED));
    insta::assert_snapshot!("journal_m009", shown(&found, "M009"));
}

#[test]
fn an_actor_is_a_setting_that_the_upstream_has_and_can_tell() {
    let route = |client: &str, actor: &str| {
        format!(
            "routes:\n  main: {{client: {client}, upstream: desk, consumers: [acme], actor: {actor}}}\n"
        )
    };
    let misspelt = format!("{UPSTREAM}{}", route("arena", "$staf_user"));
    insta::assert_snapshot!("actor_c004", shown(&plan_findings(&misspelt), "C004"));
    // Series' own clients say who they are, so nothing but the actor wants the setting.
    let unset =
        UPSTREAM.replace("    settings: {staff_user: 7}\n", "") + &route("series", "$staff_user");
    insta::assert_snapshot!("actor_m009", shown(&plan_findings(&unset), "M009"));
    let nowhere = UPSTREAM
        .replace("vendor: series", "vendor: thalamus")
        .replace("{staff_user: 7}", "{touchpoint: web}")
        + &route("arena", "$touchpoint");
    insta::assert_snapshot!("actor_c007", shown(&plan_findings(&nowhere), "C007"));
    let right = format!("{UPSTREAM}{}", route("arena", "$staff_user"));
    assert_eq!(found_with(&shipped(), &right).len(), 0);
}

/// `GET /v1/tickets/<ticket>` reads one of Arena's and one of ZStack's.
#[test]
fn m011_arena_and_zstack_at_one_place() {
    let text = format!(
        "{UPSTREAM}routes:\n  one: {{client: arena, upstream: desk, consumers: [acme]}}\n  \
         two: {{client: zstack, upstream: desk, consumers: [acme]}}\n"
    );
    let found = plan_findings(&text);
    let message = "the routes `one` and `two` both take GET /v1/tickets/<ticket>";
    let one: Vec<&str> = found.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(one, [message]);
}
