mod reference;

use proptest::prelude::*;

use super::*;

const VARIABLES: [(&str, &str); 2] = [("HELPDESK_TOKEN", "t0ken"), ("ACME_KEY", "acme-key")];
const MINIMAL: &str = include_str!("../../config/minimal.yaml");
const REFERENCE: &str = include_str!("../../config/reference.yaml");

type Loaded = Result<(Config, Vec<Diagnostic>), Vec<Diagnostic>>;

fn load_with(text: &str, more: &[(&str, &str)]) -> Loaded {
    let variables = VARIABLES.iter().chain(more).map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    load_text(&SourceFile::new("t.yaml", text), Path::new("base"), variables)
}

#[track_caller]
fn valid(text: &str, more: &[(&str, &str)]) -> Config {
    match load_with(text, more) {
        Ok((config, warnings)) if warnings.is_empty() => config,
        Ok((_, findings)) | Err(findings) => panic!("{}", rendered(&findings)),
    }
}

fn rendered(findings: &[Diagnostic]) -> String {
    findings.iter().map(|finding| diag::render(finding, false)).collect()
}

/// What the reference shows as defaults are the defaults: without them the same is read.
#[test]
fn the_reference_shows_the_defaults() {
    let reference = valid(REFERENCE, &[]);
    let minimal = valid(MINIMAL, &[]);
    assert_eq!(reference.listen.value, minimal.listen.value);
    assert_eq!(reference.admin.listen.value, minimal.admin.listen.value);
    assert_eq!(reference.bounds, minimal.bounds);
    assert_eq!(reference.trusted_proxies, minimal.trusted_proxies);
    assert_eq!((reference.drain, reference.log), (minimal.drain, minimal.log));
    let (shown, plain) = (&reference.upstreams[0], &minimal.upstreams[0]);
    assert_eq!(
        (shown.reply_bytes_max, shown.connect_timeout, shown.plaintext),
        (plain.reply_bytes_max, plain.connect_timeout, plain.plaintext)
    );
    assert_eq!(shown.resilience, plain.resilience);
    let (shown, plain) = (&reference.routes[0], &minimal.routes[0]);
    assert_eq!(shown.path_prefix.value, plain.path_prefix.value);
    assert_eq!((shown.limit, shown.deadline), (plain.limit, plain.deadline));
    assert_eq!(
        (shown.dropped_fields, shown.lossy_words, shown.unknown_members, shown.messages.value),
        (plain.dropped_fields, plain.lossy_words, plain.unknown_members, plain.messages.value)
    );
    assert_eq!(shown.unmapped.value, plain.unmapped.value);
}

#[test]
fn a_file_is_read_as_its_operator_means_it() {
    let config = valid(REFERENCE, &[]);
    let upstream = config.upstream("helpdesk").expect("is there");
    assert_eq!(upstream.url.value.to_string(), "http://127.0.0.1:7004");
    assert_eq!(upstream.endpoints, std::slice::from_ref(&upstream.url), "one URL is one endpoint");
    assert_eq!(upstream.credential.token.as_ref().map(|token| token.value.expose()), Some("t0ken"));
    assert_eq!(upstream.settings[0].name.value, "touchpoint");
    assert!(upstream.tables.is_some());
    let consumer = config.consumer("acme").expect("is there");
    assert_eq!(consumer.keys[0].hash.value, config.pepper.hash("acme-key"));
    let partner = config.consumer("old-partner").expect("is there");
    assert!(partner.keys.is_empty() && partner.disabled);
    assert_eq!(partner.logins[0].user.value, "partner@example.com");
    assert!(partner.logins[0].password.is("password"));
    let route = config.route("series-clients").expect("is there");
    assert_eq!(route.limit, Limit::Bucket { rate: RATE, burst: 25 });
    let span = route.upstream.at.span;
    assert!(REFERENCE[..span.start].ends_with(
        "client: series                  # the API that the callers speak\n    upstream: "
    ));
    assert_eq!(&REFERENCE[span.start..span.end], "helpdesk");
    assert_eq!(config.mappings.value, Path::new("base/../mappings"));
    assert!(!format!("{config:?}").contains("t0ken"));
}

#[test]
fn the_environment_goes_before_the_file() {
    let more = [
        ("LATIMER__LISTEN", "[::1]:0"),
        ("LATIMER__ROUTES__SERIES_CLIENTS__DEADLINE", "5s"),
        ("LATIMER__ROUTES__SERIES_CLIENTS__LIMIT__RATE", "5/m"),
        ("LATIMER__UPSTREAMS__HELPDESK__SETTINGS__TOUCHPOINT", "007"),
        ("LATIMER__UPSTREAMS__HELPDESK__CREDENTIAL__TOKEN__ENV", "ACME_KEY"),
        ("LATIMER__CONSUMERS__ACME__DISABLED", "true"),
    ];
    let config = valid(REFERENCE, &more);
    assert_eq!(config.listen.value.to_string(), "[::1]:0");
    assert_eq!(config.routes[0].deadline, Duration::from_secs(5));
    let rate = Rate { count: 5, per: Duration::from_secs(60) };
    assert_eq!(config.routes[0].limit, Limit::Bucket { rate, burst: 25 });
    let setting = &config.upstreams[0].settings[0].value;
    assert_eq!(setting.value, "007");
    assert_eq!(
        setting.at.short(),
        "environment variable LATIMER__UPSTREAMS__HELPDESK__SETTINGS__TOUCHPOINT:1:1"
    );
    let token = config.upstreams[0].credential.token.as_ref();
    assert_eq!(token.map(|token| token.value.expose()), Some("acme-key"));
    assert!(config.consumers[0].disabled);
}

#[test]
fn short_forms_and_long_forms() {
    // A route that names limits has one of its own only if it is written there.
    let named = "limits: {named: {day: {per: consumer, quota: 9/day, resets: sliding}}}\n";
    for (own, wanted) in [
        ("", Limit::None),
        (
            "\n    limit: {rate: 1/s}",
            Limit::Bucket { rate: Rate { count: 1, per: RATE.per }, burst: 1 },
        ),
    ] {
        let routes = format!("consumers: all\n    limits: [day]{own}");
        let text = format!("{named}{}", MINIMAL.replace("consumers: [acme]", &routes));
        let config = valid(&text, &[]);
        assert_eq!(config.routes[0].limit, wanted);
        assert_eq!(config.routes[0].limits[0].value, "day");
    }
    let text = MINIMAL.replace("consumers: [acme]", "consumers: all\n    limit: none");
    let config = valid(&text, &[]);
    assert!(matches!(config.routes[0].consumers, Consumers::All));
    assert_eq!(config.routes[0].limit, Limit::None);
    let text = format!(
        "{MINIMAL}    limit: {{rate: 60/m}}\n    ids: {{ticket: {{file: p.csv}}}}\nlisten: {{addr: '[::1]:1'}}\n"
    );
    let config = valid(&text, &[]);
    let rate = Rate { count: 60, per: Duration::from_secs(60) };
    assert_eq!(
        config.routes[0].limit,
        Limit::Bucket { rate, burst: 60 },
        "burst is the rate's number"
    );
    assert_eq!(config.listen.value.port(), 1);
    let path = config.routes[0].ids.pairs.as_ref().expect("a file of pairs");
    assert_eq!(path.value, Path::new("base/p.csv"));
}

#[test]
fn what_belongs_to_tls_is_read_where_a_url_asks_for_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/broken/tls");
    let file = |name: &str| folder.join(name).display().to_string();
    let (cert, key) = (file("good.pem"), file("good.key"));
    let single = "    url: http://127.0.0.1:7001\n";
    let plain = valid(MINIMAL, &[]);
    assert!(plain.listen_tls.is_none() && plain.upstreams[0].tls.is_none());
    for urls in ["url: https://desk", "urls: [http://127.0.0.1:1, https://desk]"] {
        let secured =
            format!("    {urls}\n    ca: {cert}\n    client_cert: {{cert: {cert}, key: {key}}}\n");
        let text = MINIMAL.replace(single, &secured);
        let listen = format!("{{addr: '[::1]:1', tls: {{cert: {cert}, key: {key}}}}}");
        let text = format!("{text}listen: {listen}\n");
        // Who can read the key depends on the checkout.
        let (config, _) =
            load_with(&text, &[]).unwrap_or_else(|found| panic!("{}", rendered(&found)));
        let tls = config.upstreams[0].tls.as_ref().expect("it is there");
        let shown = tls.identity.as_ref().expect("it is there");
        assert_eq!((shown.files().cert.as_path(), config.listen.value.port()), (cert.as_ref(), 1));
        let listen = config.listen_tls.expect("it is there");
        assert!(listen.client_ca.is_none() && listen.identity.files().key == *Path::new(&key));
    }
}

#[test]
fn an_upstream_has_several_endpoints_and_rules_for_them() {
    let single = "    url: http://127.0.0.1:7001\n";
    assert!(MINIMAL.contains(single));
    let several = "    urls: [http://127.0.0.1:7001/a/, http://localhost/a]\n    balance: failover\n    \
                   concurrency_max: 7\n    limit: {rate: 20/m, wait: 0s}\n    retry_budget: {ratio: 0%, per_second: 0}\n    \
                   breaker: {failures: 3, ratio: 100%, calls_min: 1, window: 1m, open: 90s}\n    \
                   health: {path: '/up?deep=1', every: 1s, expect: [302]}\n";
    let upstream = &valid(&MINIMAL.replace(single, several), &[]).upstreams[0];
    let endpoints: Vec<String> =
        upstream.endpoints.iter().map(|url| url.value.to_string()).collect();
    assert_eq!(endpoints, ["http://127.0.0.1:7001/a", "http://localhost/a"]);
    assert_eq!(upstream.url, upstream.endpoints[0]);
    let seconds = Duration::from_secs;
    let wanted = Resilience {
        balance: Balance::Failover,
        concurrency_max: 7,
        limit: Some(UpstreamLimit {
            rate: Rate { count: 20, per: seconds(60) },
            burst: 1,
            wait: Duration::ZERO,
        }),
        retry_budget: RetryBudget { ratio_percent: 0, per_second: 0 },
        breaker: Some(Breaker {
            failures: 3,
            ratio_percent: 100,
            calls_min: 1,
            window: seconds(60),
            open: seconds(90),
            open_max: seconds(90),
        }),
        health: Some(Health {
            target: "/up?deep=1".to_owned(),
            every: seconds(1),
            timeout: seconds(1),
            healthy_after: 2,
            unhealthy_after: 3,
            expect: vec![302],
        }),
    };
    assert_eq!(upstream.resilience, wanted);
}

#[test]
fn the_environment_sets_the_rules_of_endpoints() {
    let more = [
        ("LATIMER__BOUNDS__CONNECTIONS_MAX", "7"),
        ("LATIMER__UPSTREAMS__HELPDESK__BALANCE", "failover"),
        ("LATIMER__UPSTREAMS__HELPDESK__CONCURRENCY_MAX", "9"),
        ("LATIMER__UPSTREAMS__HELPDESK__RETRY_BUDGET__RATIO", "5%"),
        ("LATIMER__UPSTREAMS__HELPDESK__LIMIT__RATE", "9/s"),
        ("LATIMER__UPSTREAMS__HELPDESK__BREAKER__FAILURES", "8"),
        ("LATIMER__UPSTREAMS__HELPDESK__HEALTH__PATH", "/up"),
    ];
    let config = valid(MINIMAL, &more);
    let Resilience { balance, concurrency_max, limit, retry_budget, breaker, health } =
        &config.upstreams[0].resilience;
    assert_eq!((config.bounds.connections_max, *concurrency_max), (7, 9));
    assert_eq!(*balance, Balance::Failover);
    let (rate, wait) = (Rate { count: 9, per: Duration::from_secs(1) }, Duration::from_secs(1));
    assert_eq!(*limit, Some(UpstreamLimit { rate, burst: 1, wait }));
    assert_eq!(*retry_budget, RetryBudget { ratio_percent: 5, per_second: 10 });
    assert_eq!(*breaker, Some(Breaker { failures: 8, ..Breaker::default() }));
    assert_eq!(health.as_ref().map(|health| health.target.as_str()), Some("/up"));
    let off = [("LATIMER__UPSTREAMS__HELPDESK__BREAKER", "off")];
    assert_eq!(valid(REFERENCE, &[]).upstreams[0].resilience.breaker, Some(Breaker::default()));
    assert_eq!(valid(MINIMAL, &off).upstreams[0].resilience.breaker, None);
}

#[test]
fn secret_files_lose_one_newline() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    let text = MINIMAL.replace("{env: HELPDESK_TOKEN}", "{file: secret}");
    let load = |content: &[u8], mode: u32| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(&secret, content).expect("writes");
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(mode)).expect("sets");
        let variables = VARIABLES.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        let found = load_text(&SourceFile::new("t.yaml", text.as_str()), folder.path(), variables);
        found.map(|(config, warnings)| {
            let token = config.upstreams[0].credential.token.as_ref().expect("a token");
            (
                token.value.expose().to_owned(),
                warnings.iter().map(|one| one.code).collect::<Vec<_>>(),
            )
        })
    };
    assert_eq!(load(b"abc\n", 0o600), Ok(("abc".into(), vec![])));
    assert_eq!(load(b"abc\r\n", 0o640), Ok(("abc".into(), vec![])));
    assert_eq!(load(b" abc ", 0o604), Ok((" abc ".into(), vec!["C101"])));
    for wrong in [&b""[..], b"\n", b"abc\n\n", b"a\nb", b"\xff", &[b'a'; 70_000]] {
        let findings = load(wrong, 0o600).expect_err("is refused");
        assert_eq!(findings[0].code, "C005");
    }
}

#[test]
fn a_file_that_is_not_there_is_unreadable() {
    let error =
        load(Path::new("/nowhere/latimer.yaml"), std::iter::empty()).expect_err("is refused");
    assert!(matches!(error, LoadError::Unreadable { .. }));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("c.yaml");
    std::fs::write(&path, b"listen: 1\n# \xff\n").expect("writes");
    let Err(LoadError::Findings(findings)) = load(&path, std::iter::empty()) else {
        panic!("findings")
    };
    assert_eq!(
        (findings[0].code, findings[0].at.line()),
        ("C000", format!("{}:2", path.display()))
    );
}

#[test]
fn faults_in_all_parts_are_reported_at_once() {
    let text = "listen: 1\nbounds: {depth_max: 0}\nupstreams: {a: {}}\nconsumers: {b: {}}\nroutes: {c: {}}\nlog: 1\n";
    let findings = load_with(text, &[("LATIMER__DRIAN", "1s")]).expect_err("is refused");
    let codes: Vec<&str> = findings.iter().map(|finding| finding.code).collect();
    let missing = ["C003"; 6];
    assert_eq!(codes[..3], ["C006", "C002", "C002"], "{}", rendered(&findings));
    assert_eq!(codes[3..9], missing);
    assert_eq!(codes[9..], ["C002"]);
}

/// Every finding shows a place that is there, and its text can be rendered.
fn check_places(loaded: Loaded) {
    let findings = match loaded {
        Ok((_, warnings)) => warnings,
        Err(findings) => {
            assert!(diag::has_errors(&findings));
            findings
        }
    };
    for finding in findings {
        let span = finding.at.span;
        let length = finding.at.file.text.len();
        assert!(
            span.start <= span.end && span.start <= length && span.end <= length + 1,
            "{finding:?}"
        );
        assert!(!finding.message.is_empty() && !diag::render(&finding, false).is_empty());
    }
}

/// What may happen to a file in an editor or on a disk.
#[derive(Clone, Debug)]
enum Mutation {
    Flip(usize, u8),
    Truncate(usize),
    Repeat(usize),
    Remove(usize),
    Swap(usize, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        (any::<usize>(), 0u8..128).prop_map(|(at, byte)| Mutation::Flip(at, byte)),
        any::<usize>().prop_map(Mutation::Truncate),
        any::<usize>().prop_map(Mutation::Repeat),
        any::<usize>().prop_map(Mutation::Remove),
        any::<(usize, usize)>().prop_map(|(one, other)| Mutation::Swap(one, other)),
    ]
}

fn mutated(text: &str, mutation: &Mutation) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let count = lines.len().max(1);
    match mutation {
        Mutation::Flip(at, byte) => {
            let mut characters: Vec<char> = text.chars().collect();
            let count = characters.len().max(1);
            if let Some(character) = characters.get_mut(at % count) {
                *character = char::from(*byte);
            }
            return characters.into_iter().collect();
        }
        Mutation::Truncate(at) => {
            let characters = text.chars().count();
            return text.chars().take(at % (characters + 1)).collect();
        }
        Mutation::Repeat(at) if !lines.is_empty() => lines.insert(at % count, lines[at % count]),
        Mutation::Remove(at) if !lines.is_empty() => drop(lines.remove(at % count)),
        Mutation::Swap(one, other) if !lines.is_empty() => lines.swap(one % count, other % count),
        Mutation::Repeat(_) | Mutation::Remove(_) | Mutation::Swap(..) => {}
    }
    lines.join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_damaged_file_loads_or_says_where(
        reference in any::<bool>(),
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        let mut text = if reference { REFERENCE } else { MINIMAL }.to_owned();
        for mutation in &mutations {
            text = mutated(&text, mutation);
        }
        check_places(load_with(&text, &[]));
    }

    #[test]
    fn any_variable_is_taken_or_refused(
        keys in prop::collection::vec("[A-Za-z_]{0,8}|UPSTREAMS|HELPDESK|ROUTES|LISTEN|SETTINGS", 0..5),
        value in ".{0,40}",
    ) {
        let name = format!("LATIMER__{}", keys.join("__"));
        check_places(load_with(REFERENCE, &[(&name, &value)]));
    }
}

fn state(line: &str) -> StateConfig {
    valid(&format!("{line}\n{MINIMAL}"), &[("STATE_PASSWORD", "hunter2")]).state.value
}

fn postgres(line: &str) -> PostgresConfig {
    match state(line) {
        StateConfig::Postgres(postgres) => *postgres,
        other => panic!("{line}: {other}"),
    }
}

#[test]
fn state_is_kept_where_the_operator_says() {
    let place = |line: &str| state(line).to_string();
    assert_eq!(place(""), "sqlite://base/latimer.sqlite");
    assert_eq!(place("state: sqlite://latimer.sqlite"), place(""), "the default, written out");
    assert_eq!(place("state: sqlite://x/../y.db"), "sqlite://base/x/../y.db");
    assert_eq!(place("state: sqlite:///var/lib/y.db"), "sqlite:///var/lib/y.db");
    assert_eq!(place("state: {url: sqlite://y.db}"), "sqlite://base/y.db");
    assert_eq!(place("state: memory"), "memory");
    let long =
        "state: {url: 'postgres://latimer@[::1]:5433/kept', password: {env: STATE_PASSWORD}}";
    assert_eq!(place(long), "postgres://latimer@[::1]:5433/kept");
    let server = postgres(long);
    assert_eq!(server.password.as_ref().map(|one| one.expose()), Some("hunter2"));
    assert!(!format!("{server:?}").contains("hunter2"));
    assert_eq!((server.host.as_str(), server.port), ("::1", 5433));
    assert_eq!((server.user.as_str(), server.database.as_str()), ("latimer", "kept"));
    let found = valid(MINIMAL, &[("LATIMER__STATE", "memory")]).state.value;
    assert_eq!(found.to_string(), "memory", "from the environment");
}

/// Beyond this machine nothing goes in plain text unless it is said.
#[test]
fn a_server_elsewhere_is_spoken_to_over_tls() {
    let encrypted = |url: &str| postgres(&format!("state: {url}")).tls.is_some();
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        assert!(!encrypted(&format!("postgres://a@{host}/d")), "{host}");
        assert!(encrypted(&format!("postgres://a@{host}/d?sslmode=verify-full")), "{host}");
    }
    for host in ["db.example.com", "10.0.0.1", "localhost.example.com"] {
        assert!(encrypted(&format!("postgres://a@{host}/d")), "{host}");
        assert!(!encrypted(&format!("postgres://a@{host}/d?sslmode=disable")), "{host}");
    }
}
