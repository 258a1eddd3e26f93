use super::net::{host_name, path_prefix, request_target, route_host};
use super::*;

fn found<T: fmt::Debug>(result: Result<T, Malformed>) -> String {
    result.expect_err("is refused").found
}

#[test]
fn sizes() {
    assert_eq!(size("32KiB"), Ok(32 * 1024));
    assert_eq!(size("1MiB"), Ok(1024 * 1024));
    assert_eq!(size("0KiB"), Ok(0), "ranges are the key's business");
    for text in
        ["", "1", "1MB", "1 MiB", "-1MiB", "1.5MiB", "MiB", "1mib", "+1KiB", "18014398509481984MiB"]
    {
        assert_eq!(found(size(text)), format!("`{text}` is not a size"));
    }
}

#[test]
fn durations() {
    assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
    assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
    assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
    assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
    for text in
        ["", "30", "s", "30 s", "-1s", "1.5s", "1d", "30S", "1h30m", "٣s", "99999999999999999999s"]
    {
        assert_eq!(found(duration(text)), format!("`{text}` is not a duration"));
    }
}

#[test]
fn rates() {
    assert_eq!(rate("25/s"), Ok(Rate { count: 25, per: Duration::from_secs(1) }));
    assert_eq!(rate("1/day"), Ok(Rate { count: 1, per: Duration::from_secs(86_400) }));
    assert_eq!(rate("60/m").unwrap().to_string(), "60/m");
    for text in ["", "25", "25/", "/s", "25/d", "25 / s", "-1/s", "2.5/s", "25/s/s"] {
        assert_eq!(found(rate(text)), format!("`{text}` is not a rate"));
    }
    assert_eq!(found(rate("0/s")), "`0/s` is out of range");
    assert_eq!(found(rate("1000001/s")), "`1000001/s` is out of range");
}

#[test]
fn counts() {
    assert_eq!(count_to(128)("128"), Ok(128));
    assert_eq!(found(count_to(128)("129")), "`129` is out of range");
    assert_eq!(found(count_to(128)("0")), "`0` is out of range");
    assert_eq!(found(count_to(128)("4294967297")), "`4294967297` is out of range");
    assert_eq!(found(count_to(128)("0x10")), "`0x10` is not a whole number");
}

#[test]
fn shares_have_a_percent_sign() {
    assert_eq!(percent_in((0, 100))("0%"), Ok(0));
    assert_eq!(percent_in((1, 100))("100%"), Ok(100));
    assert_eq!(found(percent_in((1, 100))("0%")), "`0%` is out of range");
    assert_eq!(found(percent_in((1, 100))("4294967297%")), "`4294967297%` is out of range");
    for text in ["", "%", "20", "0.2", "20 %", "-1%", "20%%", "1.5%"] {
        assert_eq!(found(percent_in((0, 100))(text)), format!("`{text}` is not a share"));
    }
}

#[test]
fn statuses_are_those_of_final_answers() {
    assert_eq!((status("200"), status("599")), (Ok(200), Ok(599)));
    for text in ["", "100", "199", "600", "2xx", "65736", "+200"] {
        assert!(status(text).is_err(), "{text}");
    }
}

#[test]
fn booleans_are_two_words() {
    assert_eq!((boolean("true"), boolean("false")), (Ok(true), Ok(false)));
    for text in ["yes", "no", "on", "True", "1", ""] {
        assert_eq!(found(boolean(text)), format!("`{text}` is neither true nor false"));
    }
}

#[test]
fn addresses_have_a_port() {
    assert!(address("127.0.0.1:0").is_ok() && address("[::1]:80").is_ok());
    assert_eq!(address("127.0.0.1").unwrap_err().hint, "add a port: `127.0.0.1:8080`");
    assert_eq!(address("::1").unwrap_err().hint, "add a port: `[::1]:8080`");
    assert!(address("localhost:80").is_err() && address(":80").is_err());
}

#[test]
fn names() {
    assert!(name("a").is_ok() && name("a-b_c9").is_ok());
    for text in ["", "A", "9a", "-a", "a b", "a.b", "ä"] {
        assert_eq!(found(name(text)), format!("`{text}` is not a name"));
    }
    assert!(name(&"a".repeat(128)).is_ok());
    assert_eq!(found(name(&"a".repeat(129))), "a name of 129 bytes is too long");
}

#[test]
fn urls() {
    let url = Url::parse("HTTP://Tickets.example.com:8080/base/").unwrap();
    assert_eq!(url.to_string(), "http://tickets.example.com:8080/base");
    assert_eq!(Url::parse("http://h").unwrap().base_path, "");
    assert_eq!(Url::parse("http://h/").unwrap().to_string(), "http://h");
    assert_eq!(Url::parse("https://h").unwrap().port, 443);
    assert_eq!(Url::parse("http://[::1]:7004/a").unwrap().to_string(), "http://[::1]:7004/a");
    for (text, expected) in [
        ("", "this is not a URL"),
        ("127.0.0.1:80", "this is not a URL"),
        ("ftp://h", "`ftp` is not a scheme that is spoken here"),
        ("http://", "the URL names no host"),
        ("http:///a", "the URL names no host"),
        ("http://u:secret@h/", "the URL carries a user or a password"),
        ("http://h/?a=1", "the URL carries a query"),
        ("http://h?a=1", "the URL carries a query"),
        ("http://h/a#b", "the URL carries a fragment"),
        ("http://h:0", "`0` is not a port"),
        ("http://h:65536", "`65536` is not a port"),
        ("http://h:", "`` is not a port"),
        ("http://h_o st", "`h_o st` is not a host name"),
        ("http://[::g]", "`::g` is not an IPv6 address"),
        ("http://[::1]x", "`x` follows the address"),
        ("http://h/a/../b", "`/a/../b` has an empty, `.` or `..` segment"),
        ("http://h/a//b", "`/a//b` has an empty, `.` or `..` segment"),
        ("http://h/a b", "`/a b` has a character that no path holds"),
    ] {
        assert_eq!(found(Url::parse(text)), expected, "{text}");
    }
}

#[test]
fn loopback_is_told_by_address() {
    for text in [
        "http://127.0.0.1",
        "http://127.9.9.9",
        "http://[::1]",
        "http://localhost",
        "http://[::ffff:127.0.0.1]",
    ] {
        assert!(Url::parse(text).unwrap().is_loopback(), "{text}");
    }
    for text in
        ["http://10.0.0.1", "http://localhost.example.com", "http://[::2]", "http://0.0.0.0"]
    {
        assert!(!Url::parse(text).unwrap().is_loopback(), "{text}");
    }
}

#[test]
fn ranges_of_addresses() {
    let range = Cidr::parse("10.0.0.0/8").unwrap();
    assert!(range.contains("10.255.0.1".parse().unwrap()));
    assert!(range.contains("::ffff:10.1.2.3".parse().unwrap()));
    assert!(!range.contains("11.0.0.0".parse().unwrap()));
    assert!(!range.contains("::1".parse().unwrap()));
    assert!(Cidr::parse("0.0.0.0/0").unwrap().contains("1.2.3.4".parse().unwrap()));
    assert_eq!(Cidr::parse("::1").unwrap().prefix, 128);
    assert_eq!(
        Cidr::parse("10.1.0.0/8").unwrap_err().hint,
        "did you mean `10.0.0.0/8`, or `10.1.0.0` alone?"
    );
    for text in ["", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/", "10.0.0.0/-1", "::/129", "all"] {
        assert_eq!(found(Cidr::parse(text)), format!("`{text}` is not a range of addresses"));
    }
}

#[test]
fn hosts() {
    assert_eq!(host_name("Tickets.Example.COM"), Ok("tickets.example.com".into()));
    assert_eq!(route_host("[::1]"), Ok("[::1]".into()));
    for text in
        ["", "a..b", "-a", "a-", "a b", "1.2.3", "1.2.3.256", &"a".repeat(64), &"a.".repeat(127)]
    {
        assert!(host_name(text).is_err(), "{text}");
    }
    for text in ["a:80", "http://a", "*.a", "a/b"] {
        assert!(route_host(text).is_err(), "{text}");
    }
}

#[test]
fn prefixes_are_whole_segments() {
    assert_eq!(path_prefix("/"), Ok("/".into()));
    assert_eq!(path_prefix("/a/b/"), Ok("/a/b".into()));
    assert_eq!(path_prefix("/a%20b"), Ok("/a%20b".into()));
    for text in [
        "", "a", "/a?b", "/a#b", "//", "/a//b", "/..", "/%2e%2E", "/a\\b", "/ä", "/a b", "/%2",
        "/%zz",
    ] {
        assert!(path_prefix(text).is_err(), "{text}");
    }
}

#[test]
fn a_quoted_value_is_short_and_harmless() {
    assert_eq!(quote("a\u{1b}[31m\n"), "`a\\u{1b}[31m\\n`");
    assert_eq!(quote(&"x".repeat(500)).chars().count(), 63);
}

#[test]
fn targets_are_paths_with_or_without_a_query() {
    for text in ["/", "/up", "/up/", "/up?", "/up?a=1&b=%20", "/?x?y"] {
        assert_eq!(request_target(text), Ok(text.to_owned()), "as it is written");
    }
    for text in ["", "up", "?a", "//h", "/a/../b", "/up?a b", "/up?a#b", "/up#b", "/up?%2", "/é"] {
        assert!(request_target(text).is_err(), "{text}");
    }
}
