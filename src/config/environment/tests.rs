use super::*;
use crate::yaml;

const FILE: &str = "\
listen: 127.0.0.1:80
admin: ~
trusted_proxies: []
upstreams:
  help-desk: {vendor: thalamus, settings: {staff-user: 1}, tables: {}}
  a-b: {}
  a_b: {}
routes:
  main: {consumers: [acme], limit: {rate: 1/s}}
";

fn resolve(variables: &[(&str, &str)]) -> (Vec<Override>, Vec<Diagnostic>) {
    let file = yaml::load(&SourceFile::new("t.yaml", FILE), codes::YAML, yaml::Most::CONFIGURATION)
        .expect("is YAML");
    let environment = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    overrides(&environment, &file)
}

#[track_caller]
fn path(variable: &str) -> String {
    let (found, findings) = resolve(&[(variable, "x")]);
    assert_eq!(findings, []);
    found[0].path.join("/")
}

#[track_caller]
fn refused(variable: &str) -> (String, String) {
    let (_, findings) = resolve(&[(variable, "hunter2")]);
    assert!(!diag::render(&findings[0], false).contains("hunter2"), "the value may be a secret");
    (findings[0].message.clone(), findings[0].label.clone())
}

#[test]
fn names_lead_to_keys() {
    assert_eq!(path("LATIMER__LISTEN"), "listen");
    assert_eq!(path("LATIMER__BOUNDS__BODY_BYTES_MAX"), "bounds/body_bytes_max");
    assert_eq!(path("latimer__Drain"), "drain");
    assert_eq!(path("LATIMER__ADMIN__TOKEN__FILE"), "admin/token/file");
    assert_eq!(path("LATIMER__UPSTREAMS__HELP_DESK__URL"), "upstreams/help-desk/url");
    assert_eq!(
        path("LATIMER__UPSTREAMS__HELP_DESK__SETTINGS__STAFF_USER"),
        "upstreams/help-desk/settings/staff-user"
    );
    assert_eq!(
        path("LATIMER__UPSTREAMS__HELP_DESK__SETTINGS__NEW"),
        "upstreams/help-desk/settings/new"
    );
    assert_eq!(path("LATIMER__ROUTES__MAIN__LIMIT__BURST"), "routes/main/limit/burst");
}

#[test]
fn other_variables_are_left_alone() {
    for name in ["PATH", "LATIMER", "LATIMER_", "LATIMER_LOG", "XLATIMER__LISTEN", "é"] {
        let (found, findings) = resolve(&[(name, "x")]);
        assert!(found.is_empty() && findings.is_empty(), "{name}");
    }
}

#[test]
fn names_that_lead_nowhere_are_refused() {
    let unknown = |name: &str, what| format!("`{name}` names no {what} of the configuration");
    let name = "LATIMER__LISTN";
    assert_eq!(refused(name), (unknown(name, "key"), "did you mean `LISTEN`?".into()));
    let name = "LATIMER__UPSTREAMS__HELPDESK__URL";
    assert_eq!(refused(name), (unknown(name, "upstream"), "did you mean `HELP_DESK`?".into()));
    let name = "LATIMER__CONSUMERS__ACME__DISABLED";
    assert_eq!(
        refused(name),
        (unknown(name, "consumer"), "the file has no consumer to override".into())
    );
    assert_eq!(refused("LATIMER__").0, unknown("LATIMER__", "key"));
    assert_eq!(refused("LATIMER__LISTEN__ADDR").0, "`listen` is a text in the file");
    assert_eq!(refused("LATIMER__LISTEN__").0, unknown("LATIMER__LISTEN__", "key"));
    assert_eq!(refused("LATIMER__DRAIN__X").0, "`drain` has no keys below it");
}

#[test]
fn only_single_texts_are_set() {
    assert_eq!(refused("LATIMER__BOUNDS").0, "`bounds` holds several keys");
    assert_eq!(refused("LATIMER__UPSTREAMS").0, "`upstreams` holds several keys");
    assert_eq!(
        refused("LATIMER__UPSTREAMS__HELP_DESK").0,
        "`upstreams.help-desk` holds several keys"
    );
    assert_eq!(
        refused("LATIMER__TRUSTED_PROXIES").0,
        "`trusted_proxies` is a list, which no variable sets"
    );
    assert_eq!(
        refused("LATIMER__UPSTREAMS__HELP_DESK__TABLES__STATUS").0,
        "`upstreams.help-desk.tables` is a table, which no variable sets"
    );
    assert_eq!(
        refused("LATIMER__ROUTES__MAIN__CONSUMERS").0,
        "`routes.main.consumers` is more than one text in the file"
    );
    assert_eq!(
        refused("LATIMER__ROUTES__MAIN__LIMIT").0,
        "`routes.main.limit` is more than one text in the file",
        "it would take the file's other keys away"
    );
}

#[test]
fn a_secret_is_named_and_never_set() {
    let name = "LATIMER__UPSTREAMS__HELP_DESK__CREDENTIAL__TOKEN";
    assert_eq!(
        refused(name),
        (
            "`upstreams.help-desk.credential.token` is a secret and is never set directly".into(),
            format!("name the variable that holds it in `{name}__ENV`")
        )
    );
    assert_eq!(path(&format!("{name}__ENV")), "upstreams/help-desk/credential/token/env");
}

#[test]
fn a_name_that_means_two_is_refused() {
    let (message, _) = refused("LATIMER__UPSTREAMS__A_B__URL");
    assert_eq!(message, "`A_B` may mean the upstream `a-b` or `a_b`");
    let (_, findings) = resolve(&[("LATIMER__DRAIN", "1s"), ("latimer__drain", "2s")]);
    assert_eq!(findings[0].message, "two variables set `drain`");
}

#[test]
fn the_place_of_a_value_is_its_variable() {
    let (found, _) = resolve(&[("LATIMER__DRAIN", "1s")]);
    assert_eq!(found[0].at.short(), "environment variable LATIMER__DRAIN:1:1");
    assert_eq!(found[0].at.file.text, "1s");
}
