//! `unmapped: forward`: what the mapping does not know goes on as it came, and what must not go on does not.

use latimer::sim::Vendor;
use tokio::net::TcpListener;

use crate::harness::{Answer, Gateway, KEY, exchange, upstream};
use crate::scripted::{Act, Scripted, answer, message};

/// A consumer's key that is good, and not on this route.
const KEY_ELSEWHERE: &str = "another-key";

/// A client of the vendor in front of a system of the same, with more keys of the route, each on its line.
async fn start(vendor: Vendor, url: &str, more: &[&str]) -> Gateway {
    let mut text = "log: {format: json, access: full}\nbounds: {body_bytes_max: 1KiB}\n".to_owned();
    text.push_str(&format!("upstreams:\n{}", upstream(vendor, url)));
    let settings = if vendor == Vendor::Akana { "{tenant: acmepaymentscorp}" } else { "{}" };
    text.push_str(&format!(
        "routes:\n  main:\n    client: {vendor}\n    upstream: {vendor}\n    consumers: [tester]\n    \
         settings: {settings}\n    unmapped: forward\n"
    ));
    more.iter().for_each(|key| text.push_str(&format!("    {key}\n")));
    Gateway::start(&text, &[]).await
}

/// The request that came to the upstream; there is one.
fn seen(scripted: &Scripted) -> String {
    let seen = scripted.take_seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    let mut request = seen.into_iter().next().unwrap();
    // A parent that was made is another one each time.
    if let Some(at) =
        request.find("traceparent: 00-").filter(|at| request[at + 65..].starts_with("-00"))
    {
        request.replace_range(at + 49..at + 65, MADE);
    }
    request
}

/// What stands for a parent that was made.
const MADE: &str = "0000000000000000";

/// What the upstream must have seen: a line, header lines, and those of ours that stand on every request.
fn wanted(line: &str, headers: &str, scripted: &Scripted, got: &Answer, body: &str) -> String {
    let host = scripted.url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    let call = got.header("x-request-id").unwrap();
    let length = match body {
        "" => String::new(),
        body => format!("content-length: {}\r\n", body.len()),
    };
    let trace = match headers.contains("traceparent: ") {
        true => String::new(),
        false => format!("traceparent: 00-{call}-{MADE}-00\r\n"),
    };
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "{line} HTTP/1.1\r\nhost: {host}\r\nuser-agent: latimer/{version}\r\nvia: 1.1 latimer\r\n\
         x-request-id: {call}\r\n{trace}{headers}{length}\r\n{body}"
    )
}

/// All header fields but those of every answer, in the order of their names.
fn own_headers(got: &Answer) -> Vec<(&str, &str)> {
    let every = ["connection", "content-length", "date", "via", "x-request-id"];
    let headers = got.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut own: Vec<(&str, &str)> =
        headers.filter(|(name, _)| !every.contains(&name.to_lowercase().as_str())).collect();
    own.sort_unstable();
    own
}

#[tokio::test]
async fn line_and_body_pass_byte_for_byte_and_nothing_else_crosses() {
    let mut scripted = Scripted::start(answer(
        "207 Multi-Status",
        "Content-Type: text/plain; charset=utf-8\r\nContent-Language: de\r\nRetry-After: 7\r\n\
         Date: Tue, 16 Jul 2013 20:42:52 GMT\r\nRateLimit-Remaining: 3\r\nSet-Cookie: a=b\r\n\
         WWW-Authenticate: Basic\r\nServer: private\r\nLocation: http://private/\r\n\
         Content-Location: http://private/\r\nAccess-Control-Allow-Origin: *\r\nETag: \"1\"\r\n\
         Via: 1.1 private\r\nX-Request-Id: theirs\r\nX-Latimer-Outcome: unknown\r\n\
         X-Latimer-Fault: forbidden\r\nX-Anything: else\r\n",
        "\u{0}told \r\n as it is\n",
    ))
    .await;
    scripted.url.push_str("/base/v2");
    let gateway =
        start(Vendor::Series, &scripted.url, &["match: {path_prefix: /desk}", "deadline: 10s"])
            .await;
    let headers = [
        ("apikey", KEY),
        ("Content-Type", "application/json;  odd=\"1\""),
        ("Content-Language", "en"),
        ("Content-Range", "bytes 0-9/20"),
        ("Accept", "text/plain"),
        ("Accept", "application/json; q=0.5"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("Cookie", "session=private"),
        ("Authorization", "Bearer private"),
        ("Proxy-Authorization", "Basic private"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Request-Ip", "192.0.2.1"),
        ("X-Web-Hook", "http://192.0.2.1/"),
        ("X-Http-Method-Override", "DELETE"),
        ("X-Request-Id", "mine"),
        ("Via", "1.0 private"),
        ("User-Agent", "private"),
        ("Range", "bytes=0-9"),
    ];
    let body = "{\"a\" : 1,\t\"a\":\u{0}2}\r\n é  ";
    let target = "/items;v=1/a%20B%7e(x)'!*,/100%25/?q=%2e%2e/%2F&&b=+&q={}|`&apikey=x";
    let got = gateway.call(&format!("PATCH /desk{target}"), &headers, body).await;

    assert_eq!((got.status, got.body.as_str()), (207, "\u{0}told \r\n as it is\n"), "{got:?}");
    let own = format!(
        "apikey: sim-series-token\r\ncontent-type: application/json;  odd=\"1\"\r\n\
         content-language: en\r\ncontent-range: bytes 0-9/20\r\naccept: text/plain\r\n\
         accept: application/json; q=0.5\r\n\
         traceparent: {}\r\n",
        headers[6].1
    );
    let line = format!("PATCH /base/v2{target}");
    assert_eq!(seen(&scripted), wanted(&line, &own, &scripted, &got, body));

    let passing = [
        ("Content-Language", "de"),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Ratelimit", r#""default";r=24;t=1"#),
        ("Ratelimit-Policy", r#""default";q=25;w=1"#),
        ("Ratelimit-Remaining", "3"),
        ("Retry-After", "7"),
        ("X-Latimer-Outcome", "yes"),
    ];
    assert_eq!(own_headers(&got), passing);
    let fixed = ["via", "date", "content-length"].map(|name| got.header(name).unwrap());
    assert_eq!(fixed, ["1.1 latimer", "Tue, 16 Jul 2013 20:42:52 GMT", "18"]);
    assert_eq!(got.header("x-request-id").unwrap().len(), 32);

    check_log(&gateway.terminate().await);
}

/// A call that no mapping knows has no operation, and its path could hold anything.
fn check_log(log: &[String]) {
    let line = log.iter().find(|line| line.contains("latimer::access")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let said = ["route", "consumer", "operation", "path", "outcome", "fault"].map(|key| &line[key]);
    assert_eq!(said, ["main", "tester", "-", "(unmapped)", "yes", "-"]);
    for private in ["items", "private", KEY, "sim-series-token"] {
        assert!(!log.join("\n").contains(private), "{private} in {log:?}");
    }
}

/// Where a client has its key, and what the upstream is then sent: line and header lines.
struct Place {
    vendor: Vendor,
    line: String,
    header: Option<(&'static str, String)>,
    sent: &'static str,
    headers: &'static str,
}

fn places() -> Vec<Place> {
    let place = |vendor, line: &str, header: Option<(&'static str, &str)>, sent, headers| {
        let line = line.replace("KEY", KEY);
        let header = header.map(|(name, value)| (name, value.replace("KEY", KEY)));
        Place { vendor, line, header, sent, headers }
    };
    let arena = "arena_session_id: sim-arena-token\r\naccept: */*\r\n";
    let series = "apikey: sim-series-token\r\naccept: */*\r\n";
    let akana = "cookie: AtmoAuthToken_acmepaymentscorp=sim-akana-token\r\naccept: */*\r\n";
    let zstack = "authorization: OAuth sim-zstack-token\r\naccept: */*\r\n";
    let web = "thalamus-token: sim-thalamus-token\r\nthalamus-touchpoint: web\r\naccept: */*\r\n";
    let app = "thalamus-token: sim-thalamus-token\r\nthalamus-touchpoint: app\r\naccept: */*\r\n";
    use Vendor::{Akana, Arena, Series, Thalamus, Zstack};
    vec![
        place(Arena, "GET /x?a=1", Some(("arena_session_id", "KEY")), "GET /x?a=1", arena),
        // The version is in the upstream's base address, as in a call that is mapped.
        place(Arena, "GET /v1/x?", Some(("Cookie", "a=b; arena_session_id=KEY")), "GET /x?", arena),
        place(Arena, "GET /v1", Some(("arena_session_id", "KEY")), "GET /", arena),
        place(Arena, "GET /v12", Some(("arena_session_id", "KEY")), "GET /v12", arena),
        place(Series, "GET /", Some(("apikey", "KEY")), "GET /", series),
        place(Series, "GET /x", Some(("X-Api-Key", "KEY")), "GET /x", series),
        place(
            Akana,
            "GET /x",
            Some(("Cookie", "AtmoAuthToken_acmepaymentscorp=KEY; z=1")),
            "GET /x",
            akana,
        ),
        place(
            Zstack,
            "GET /zstack/v1/vms",
            Some(("Authorization", "OAuth KEY")),
            "GET /v1/vms",
            zstack,
        ),
        place(Zstack, "GET /v1/vms", Some(("Authorization", "OAuth KEY")), "GET /v1/vms", zstack),
        place(
            Thalamus,
            "GET /x?id=1&id=2",
            Some(("Thalamus-Token", "KEY")),
            "GET /x?id=1&id=2",
            web,
        ),
        place(Thalamus, "GET /x?a=%2f&token=KEY&b", None, "GET /x?a=%2f&b", web),
        place(Thalamus, "GET /x?tok%65n=KEY", None, "GET /x", web),
        place(Thalamus, "GET /x?touchpoint=app&token=KEY", None, "GET /x?touchpoint=app", app),
    ]
}

#[tokio::test]
async fn the_key_is_where_the_vendor_has_it_and_ours_takes_its_place() {
    for vendor in Vendor::ALL {
        let scripted = Scripted::start(message("200 OK", "text/plain", "well")).await;
        let gateway = start(vendor, &scripted.url, &[]).await;
        let places: Vec<Place> =
            places().into_iter().filter(|place| place.vendor == vendor).collect();
        assert!(!places.is_empty(), "{vendor}");
        for place in places {
            let headers: Vec<(&str, &str)> =
                place.header.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let got = gateway.call(&place.line, &headers, "").await;
            assert_eq!((got.status, got.body.as_str()), (200, "well"), "{}: {got:?}", place.line);
            assert_eq!(seen(&scripted), wanted(place.sent, place.headers, &scripted, &got, ""));
        }
        gateway.stop().await;
    }
}

#[tokio::test]
async fn what_a_vendor_says_on_every_answer_is_said() {
    let scripted = Scripted::start(message("200 OK", "text/plain", "well")).await;
    let gateway = start(Vendor::Arena, &scripted.url, &["limit: {rate: 1/h, burst: 3}"]).await;
    for (status, outcome, left, seconds) in
        [("200 OK", "yes", "2", 3_600), ("409 Conflict", "no", "1", 7_200)]
    {
        scripted.act(answer(status, "Server: private\r\n", "said"));
        let got = gateway.call("POST /v1/x", &[("arena_session_id", KEY)], "").await;
        let reset = got.header("x-arena-next-request-limit-reset").unwrap().to_owned();
        assert!(reset.contains(" GMT-0"), "{reset}");
        let limit = format!(r#""default";r={left};t={seconds}"#);
        let wanted = [
            ("Ratelimit", limit.as_str()),
            ("Ratelimit-Policy", r#""default";q=3;w=10800"#),
            ("Server", "ArenaSolutions"),
            ("X-Arena-Next-Request-Limit-Reset", reset.as_str()),
            ("X-Arena-Requests-Remaining", left),
            ("X-Latimer-Outcome", outcome),
        ];
        assert_eq!(own_headers(&got), wanted, "{status}");
        assert_eq!(got.body, "said");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_hostile_path_and_a_line_in_other_letters_are_unknown() {
    let scripted = Scripted::start(message("200 OK", "text/plain", "well")).await;
    let gateway = start(Vendor::Series, &format!("{}/base", scripted.url), &["limit: none"]).await;
    let paths = [
        "/..",
        "/../x",
        "/x/../y",
        "/x/.",
        "/./x",
        "/%2e%2e/x",
        "/.%2E/x",
        "/%252e%252e/x",
        "/%25252e%25252e/x",
        "/..;/x",
        "/x%2Fy",
        "/x%252Fy",
        "/x%5Cy",
        "/x\\y",
        "/x%00",
        "/x%0d%0aX:1",
        "/x%7f",
        "/x%ff",
        "/x%zz",
        "/x%",
        "/x//y",
        "//x",
        "/tickets/T-1/status/",
        "/tickets/T-1/stat%75s",
        "/%2574ickets/T-1/status",
        "/Tickets/T-1/STATUS",
        "/tickets/T-1;a=b/status;c",
    ];
    for path in paths {
        let got = gateway.call(&format!("POST {path}"), &[("apikey", KEY)], "{}").await;
        assert_eq!(got.header("x-latimer-fault"), Some("unknown_path"), "{path}: {got:?}");
        assert_eq!(got.status, 404, "{path}");
        let said =
            serde_json::json!({"success": false, "error": {"code": 404, "message": "Not found"}});
        assert_eq!(got.json(), said, "{path}");
    }
    assert_eq!(scripted.take_seen(), Vec::<String>::new());
    // What is merely odd goes on.
    for path in ["/...", "/.x", "/x%3Fy%23z", "/100%25", "/x/", "/tickets/T-1/status/more"] {
        let got = gateway.call(&format!("POST {path}"), &[("apikey", KEY)], "{}").await;
        assert_eq!(got.status, 200, "{path}: {got:?}");
        assert!(seen(&scripted).starts_with(&format!("POST /base{path} HTTP/1.1\r\n")), "{path}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn what_the_mapping_knows_is_not_forwarded_and_what_cannot_be_is_refused() {
    let scripted = Scripted::start(message("200 OK", "text/plain", "well")).await;
    let gateway = start(Vendor::Series, &scripted.url, &[]).await;
    let json = ("Content-Type", "application/json");
    let line = "POST /tickets/T-1/status";
    let got = gateway.call(line, &[("apikey", KEY), json], r#"{"status":"no such"}"#).await;
    assert_eq!(got.header("x-latimer-fault"), Some("invalid_status"), "{got:?}");

    for method in ["TRACE", "CONNECT", "TRACK", "get"] {
        let got = gateway.call(&format!("{method} /x"), &[("apikey", KEY)], "").await;
        // What is no request at all gets a bare 400.
        assert!(matches!(got.status, 400 | 405), "{method}: {got:?}");
        if got.status == 405 {
            let allow = got.header("allow");
            assert_eq!(allow, Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"), "{method}");
        }
    }
    // Without its condition it would be another write.
    for condition in ["If-Match", "If-None-Match", "If-Unmodified-Since"] {
        let headers = [("apikey", KEY), (condition, "\"1\"")];
        let got = gateway.call("PUT /x", &headers, "").await;
        assert_eq!(got.header("x-latimer-fault"), Some("invalid_request"), "{condition}: {got:?}");
    }
    assert_eq!(scripted.take_seen(), Vec::<String>::new());
    // Another verb on a path of the mapping is none of its lines.
    let got = gateway.call("GET /tickets/T-1/status", &[("apikey", KEY)], "").await;
    assert_eq!((got.status, got.body.as_str()), (200, "well"));
    assert!(seen(&scripted).starts_with("GET /tickets/T-1/status HTTP/1.1\r\n"));
    let got = gateway.call("GET /x", &[("apikey", KEY), ("If-None-Match", "\"1\"")], "").await;
    assert_eq!(got.status, 200, "a read is one without its condition too");
    gateway.stop().await;
}

/// A head that announces more than is taken, and nothing behind it: who reads the body waits for it.
async fn announce(gateway: &Gateway, key: &str) -> Answer {
    let message = format!(
        "POST /x HTTP/1.1\r\nHost: gateway.test\r\n{key}Content-Length: 20000000\r\nConnection: close\r\n\r\n"
    );
    Answer::parse(&exchange(&gateway.address, message.as_bytes()).await)
}

#[tokio::test]
async fn key_then_limit_then_body() {
    let scripted = Scripted::start(message("200 OK", "text/plain", "well")).await;
    let gateway = start(Vendor::Series, &scripted.url, &["limit: {rate: 1/h, burst: 3}"]).await;
    for (key, fault) in [
        (String::new(), "credentials_missing"),
        ("Cookie: apikey=test\r\n".to_owned(), "credentials_missing"),
        ("apikey: wrong\r\n".to_owned(), "unauthenticated"),
        (format!("apikey: {KEY_ELSEWHERE}\r\n"), "unauthenticated"),
        (format!("apikey: {KEY}\r\nx-api-key: {KEY_ELSEWHERE}\r\n"), "unauthenticated"),
    ] {
        let got = announce(&gateway, &key).await;
        assert_eq!(got.header("x-latimer-fault"), Some(fault), "{key}: {got:?}");
        assert_eq!(got.status, 401, "{key}");
    }
    // The third is charged although its body is refused, and the fourth is told before its body is looked at.
    let right = format!("apikey: {KEY}\r\n");
    let fits = gateway.call("POST /x", &[("apikey", KEY)], [b'x'; 1024]).await;
    assert_eq!(fits.status, 200, "{fits:?}");
    assert!(seen(&scripted).ends_with(&format!("\r\n\r\n{}", "x".repeat(1024))));
    let over = gateway.call("POST /x", &[("apikey", KEY)], [b'x'; 1025]).await;
    assert_eq!((over.status, over.header("x-latimer-fault")), (413, Some("too_large")), "{over:?}");
    let announced = announce(&gateway, &right).await;
    assert_eq!(announced.header("x-latimer-fault"), Some("too_large"), "{announced:?}");
    let limited = announce(&gateway, &right).await;
    assert_eq!(limited.header("x-latimer-fault"), Some("rate_limited"), "{limited:?}");
    assert_eq!(limited.status, 429);
    assert_eq!(scripted.take_seen(), Vec::<String>::new());
    gateway.stop().await;
}

/// What a write and a read come to.
async fn come_to(
    gateway: &Gateway,
    what: &str,
    write: (&str, Option<&str>),
    read: (&str, Option<&str>),
) {
    for (line, (outcome, fault)) in [("POST /x", write), ("GET /x", read)] {
        let got = gateway.call(line, &[("apikey", KEY)], "").await;
        let seen = (got.header("x-latimer-outcome"), got.header("x-latimer-fault"));
        assert_eq!(seen, (Some(outcome), fault), "{line}, {what}: {got:?}");
        assert_eq!(got.header("location"), None, "{what}");
        // What is not the upstream's own answer has the vendor's shape.
        assert_eq!(fault.is_some(), got.body.starts_with(r#"{"success":false"#), "{what}: {got:?}");
    }
}

#[tokio::test]
async fn the_outcome_hangs_on_the_status_which_passes_with_its_body() {
    let scripted = Scripted::start(Act::Wait).await;
    let gateway = start(Vendor::Series, &scripted.url, &["limit: none"]).await;
    for (status, write) in [
        (200, "yes"),
        (202, "yes"),
        (400, "no"),
        (404, "no"),
        (408, "unknown"),
        (409, "no"),
        (422, "no"),
        (429, "no"),
        (500, "unknown"),
        (501, "no"),
        (502, "unknown"),
        (503, "no"),
        (504, "unknown"),
        (505, "no"),
        (507, "unknown"),
    ] {
        scripted.act(message(&format!("{status} Said"), "text/html", "<b>told</b>"));
        let read = if write == "unknown" { "no" } else { write };
        for (line, outcome) in [("POST /x", write), ("DELETE /x", write), ("GET /x", read)] {
            let got = gateway.call(line, &[("apikey", KEY)], "").await;
            assert_eq!((got.status, got.body.as_str()), (status, "<b>told</b>"), "{line} {status}");
            let headers = [("Content-Type", "text/html"), ("X-Latimer-Outcome", outcome)];
            assert_eq!(own_headers(&got), headers, "{line} {status}");
        }
    }
    // Of a HEAD the length is all there is.
    scripted.act(Act::Say(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 77\r\n\r\n".to_vec(),
    ));
    let got = gateway.call("HEAD /x", &[("apikey", KEY)], "").await;
    assert_eq!(
        (got.status, got.header("content-length"), got.body.as_str()),
        (200, Some("77"), "")
    );
    gateway.stop().await;
}

#[tokio::test]
async fn an_answer_that_cannot_pass_is_told_in_the_clients_own_shape() {
    let scripted = Scripted::start(Act::Wait).await;
    let more = ["limit: none", "deadline: 1s"];
    let gateway = start(Vendor::Series, &scripted.url, &more).await;
    let unknown = ("unknown", Some("outcome_unknown"));
    let failed = ("no", Some("upstream_failed"));
    let short = |status: &str| {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: 900\r\n\r\n{{");
        Act::Say(head.into_bytes())
    };
    let huge = "x".repeat(5 * 1024 * 1024);
    let away = |status| answer(status, "Location: http://192.0.2.1/\r\n", "");
    for (what, act, write) in [
        ("a reset", Act::Reset, unknown),
        ("nothing", Act::Say(Vec::new()), unknown),
        ("no HTTP", Act::Say(b"\x00\x01 no HTTP\r\n\r\n".to_vec()), unknown),
        ("late", Act::Wait, unknown),
        ("a truncated success", short("200 OK"), unknown),
        ("a truncated 500", short("500 Oops"), unknown),
        ("a truncated 404", short("404 Not Found"), failed),
        ("5 MB", message("200 OK", "text/plain", &huge), unknown),
        ("moved", away("301 Moved"), failed),
        ("found", away("302 Found"), failed),
        ("see other", away("303 See Other"), unknown),
        ("not modified", away("304 Not Modified"), failed),
        ("permanent", away("308 Permanent"), failed),
        ("no status of HTTP", message("700 Odd", "text/plain", "odd"), unknown),
    ] {
        scripted.act(act);
        come_to(&gateway, what, write, failed).await;
    }
    gateway.stop().await;

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let gateway = start(Vendor::Series, &url, &[]).await;
    let unreachable = ("no", Some("upstream_unreachable"));
    come_to(&gateway, "nobody listens", unreachable, unreachable).await;
    gateway.stop().await;
}

#[tokio::test]
async fn that_our_credential_is_refused_is_told_to_the_operator_and_not_to_the_client() {
    for (vendor, key, status, body) in [
        (Vendor::Series, "apikey", "401 Unauthorized", "any body"),
        (
            Vendor::Thalamus,
            "Thalamus-Token",
            "400 Bad Request",
            r#"{"errors":{"token":"InvalidToken"}}"#,
        ),
    ] {
        let challenge = "WWW-Authenticate: Basic\r\nContent-Type: application/json\r\n";
        let scripted = Scripted::start(answer(status, challenge, body)).await;
        let gateway = start(vendor, &scripted.url, &[]).await;
        let got = gateway.call("POST /x", &[(key, KEY)], "").await;
        let fault = (got.header("x-latimer-fault"), got.header("x-latimer-outcome"));
        assert_eq!(fault, (Some("upstream_failed"), Some("no")), "{vendor}: {got:?}");
        assert_eq!(got.header("www-authenticate"), None, "{vendor}");
        assert!(!got.body.contains(body), "{vendor}: {got:?}");
        let log = gateway.terminate().await.join("\n");
        assert!(log.contains("the upstream refused our credential"), "{vendor}: {log}");
    }
}
