use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Instant;

use super::*;

mod laws;

const UNWATCHED: Limits = Limits { depth_max: 128, duplicates: Duplicates::Unwatched };

/// A value as the pull reader gives it: numbers as text, members in order.
#[derive(Debug, PartialEq)]
enum Tree {
    Scalar(Scalar<'static>),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

fn walk(reader: &mut JsonReader<'_>) -> Result<Tree, JsonError> {
    match reader.peek()? {
        Kind::Object => {
            let mut object = reader.object()?;
            let mut members = Vec::new();
            while let Some(name) = reader.key(&mut object)? {
                members.push((name.into_owned(), walk(reader)?));
            }
            assert_eq!(reader.key(&mut object)?, None, "a closed object stays closed");
            Ok(Tree::Object(members))
        }
        Kind::Array => {
            let mut array = reader.array()?;
            let mut items = Vec::new();
            while reader.item(&mut array)? {
                items.push(walk(reader)?);
            }
            assert!(!reader.item(&mut array)?, "a closed array stays closed");
            Ok(Tree::Array(items))
        }
        _ => Ok(Tree::Scalar(match reader.scalar()? {
            Scalar::Null => Scalar::Null,
            Scalar::Bool(value) => Scalar::Bool(value),
            Scalar::Number(text) => Scalar::Number(String::leak(text.to_owned())),
            Scalar::Text(text) => Scalar::Text(Cow::Owned(text.into_owned())),
        })),
    }
}

fn read(bytes: &[u8], limits: Limits) -> Result<Tree, JsonError> {
    let mut reader = JsonReader::new(bytes, limits)?;
    let tree = walk(&mut reader)?;
    reader.finish()?;
    Ok(tree)
}

fn skip(bytes: &[u8], limits: Limits) -> Result<(), JsonError> {
    let mut reader = JsonReader::new(bytes, limits)?;
    reader.skip()?;
    reader.finish()
}

/// Reads by walking and by skipping, which must agree.
fn check(bytes: &[u8], limits: Limits) -> Result<Tree, JsonError> {
    let walked = read(bytes, limits);
    assert_eq!(
        walked.as_ref().err(),
        skip(bytes, limits).as_ref().err(),
        "walking and skipping differ for {}",
        String::from_utf8_lossy(bytes)
    );
    walked
}

fn refusal(text: &str) -> String {
    check(text.as_bytes(), Limits::default()).expect_err(text).to_string()
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    let mut reader = JsonReader::new(bytes, Limits::default()).unwrap();
    match reader.scalar().unwrap() {
        Scalar::Text(text) => text,
        other => panic!("not a text: {other:?}"),
    }
}

fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

fn compacted(raw: &str) -> String {
    let mut out = Vec::new();
    compact(raw, &mut out);
    String::from_utf8(out).unwrap()
}

fn written(text: &str) -> String {
    let mut out = Vec::new();
    write_text(&mut out, text);
    String::from_utf8(out).unwrap()
}

#[test]
fn refusals_say_what_and_where() {
    let rows = [
        ("", "unexpected end at byte 0"),
        ("  ", "unexpected end at byte 2"),
        ("\u{feff}{}", "a byte order mark at byte 0"),
        ("{,}", "expected a member name at byte 1"),
        ("{\"a\":1,}", "expected a member name at byte 7"),
        ("{a:1}", "expected a member name at byte 1"),
        ("{\"a\" 1}", "expected a colon at byte 5"),
        ("{\"a\":1 \"b\":2}", "expected a comma or a closing brace at byte 7"),
        ("{\"a\":1]", "expected a comma or a closing brace at byte 6"),
        ("{\"a\":}", "expected a value at byte 5"),
        ("[1 2]", "expected a comma or a closing bracket at byte 3"),
        ("[1,]", "expected a value at byte 3"),
        ("[,1]", "expected a value at byte 1"),
        ("[1}", "expected a comma or a closing bracket at byte 2"),
        ("1 2", "unexpected text after the value at byte 2"),
        ("{} {}", "unexpected text after the value at byte 3"),
        ("{}\0", "unexpected text after the value at byte 2"),
        ("[1]\u{a0}", "unexpected text after the value at byte 3"),
        ("\u{c}1", "expected a value at byte 0"),
        ("// c", "expected a value at byte 0"),
        ("'a'", "expected a value at byte 0"),
        ("NaN", "expected a value at byte 0"),
        ("nul", "unexpected end at byte 3"),
        ("nulL", "expected a value at byte 0"),
        ("truex", "unexpected text after the value at byte 4"),
        ("\"a\nb\"", "unescaped control character at byte 2"),
        ("\"a\0b\"", "unescaped control character at byte 2"),
        ("\"a", "unexpected end at byte 2"),
        ("\"a\\", "unexpected end at byte 3"),
        (r#""\x""#, "malformed escape at byte 2"),
        (r#""\U0041""#, "malformed escape at byte 2"),
        (r#""\u+123""#, "malformed escape at byte 3"),
        (r#""\u12g4""#, "malformed escape at byte 5"),
        (r#""\u12"#, "unexpected end at byte 5"),
        (r#""\ud800""#, "half of a surrogate pair at byte 1"),
        (r#""\udc00""#, "half of a surrogate pair at byte 1"),
        (r#""\udc00\ud800""#, "half of a surrogate pair at byte 1"),
        (r#""\ud800\ud800""#, "half of a surrogate pair at byte 1"),
        (r#""\ud800\n""#, "half of a surrogate pair at byte 1"),
        (r#""\ud800\u0041""#, "half of a surrogate pair at byte 1"),
        (r#""\ud800\"#, "unexpected end at byte 8"),
        ("{\"a\":1,\"a\":2}", "member name used twice at byte 7"),
        ("{\"a\":1,\"\\u0061\":2}", "member name used twice at byte 7"),
        ("[{\"b\":{\"a\":1,\"a\":2}}]", "member name used twice at byte 13"),
    ];
    for (input, message) in rows {
        assert_eq!(refusal(input), message, "{input:?}");
    }
    let error = check(b"\"ab\xff\"", Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "invalid UTF-8 at byte 3");
}

#[test]
fn numbers_keep_their_text() {
    let good = [
        "0",
        "-0",
        "1",
        "-1",
        "10",
        "0.0",
        "1.50",
        "1e5",
        "1E+5",
        "0e0",
        "-0.0e-0",
        "1e400",
        "1.56402555717E12",
        "1180591620717411303424",
    ];
    for number in good {
        let number: &'static str = number;
        let tree = check(number.as_bytes(), Limits::default());
        assert_eq!(tree, Ok(Tree::Scalar(Scalar::Number(number))));
    }
    let bad = [
        "01", "-01", "00", "1.", "1.e1", ".5", "-", "-a", "+1", "1e", "1e+", "1.2.3", "1-2", "0x1",
        "1_000", "--1", "1e1.5", "-.5", "Infinity",
    ];
    for number in bad {
        assert!(check(number.as_bytes(), Limits::default()).is_err(), "{number}");
    }
    assert_eq!(refusal("01"), "malformed number at byte 1");
    assert_eq!(refusal("[1.]"), "malformed number at byte 3");
    assert_eq!(refusal("-"), "unexpected end at byte 1");
}

#[test]
fn texts_are_borrowed_unless_escaped() {
    assert!(matches!(text(b"\"plain / \xc3\xa9 text\""), Cow::Borrowed("plain / é text")));
    assert_eq!(text(br#""\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00""#), "\"\\/\u{8}\u{c}\n\r\té😀");
    assert_eq!(text(br#""\u0000\uffff""#), "\0\u{ffff}");
}

#[test]
fn only_four_bytes_are_whitespace() {
    let tree = check(b" \t\r\n{ \"a\" :\n[ 1 , 2 ]\t} \n", Limits::default()).unwrap();
    let items = ["1", "2"].map(|number| Tree::Scalar(Scalar::Number(number)));
    let expected = Tree::Object(vec![("a".into(), Tree::Array(items.into()))]);
    assert_eq!(tree, expected);
    for space in ["\u{b}", "\u{c}", "\u{a0}", "\u{2003}", "\u{feff}"] {
        assert!(check(format!("[{space}1]").as_bytes(), Limits::default()).is_err());
    }
}

#[test]
fn skip_returns_the_raw_value() {
    let body = br#"{"a": [ {"x" : "\u00e9"} , null ] ,"b":1.50 }"#;
    let mut reader = JsonReader::new(body, Limits::default()).unwrap();
    let mut object = reader.object().unwrap();
    assert_eq!(reader.key(&mut object).unwrap().as_deref(), Some("a"));
    assert_eq!(reader.skip(), Ok(r#"[ {"x" : "\u00e9"} , null ]"#));
    assert_eq!(reader.key(&mut object).unwrap().as_deref(), Some("b"));
    assert_eq!(reader.skip(), Ok("1.50"));
    assert_eq!(reader.key(&mut object), Ok(None));
    assert_eq!(reader.finish(), Ok(()));
}

#[test]
fn asking_for_another_kind_is_an_error() {
    let error = |kind| Err(JsonError { kind, offset: 1 });
    let ask = || JsonReader::new(b" [1]", Limits::default()).unwrap();
    assert_eq!(ask().scalar(), error(JsonErrorKind::ExpectedScalar));
    let error = ask().object().unwrap_err();
    assert_eq!(error.to_string(), "expected an object at byte 1");
    let error = JsonReader::new(b"{}", Limits::default()).unwrap().array().unwrap_err();
    assert_eq!(error.to_string(), "expected an array at byte 0");
}

#[test]
fn a_value_left_unread_is_an_error_not_a_skip() {
    let mut reader = JsonReader::new(br#"{"a":1,"b":2}"#, Limits::default()).unwrap();
    let mut object = reader.object().unwrap();
    assert_eq!(reader.key(&mut object).unwrap().as_deref(), Some("a"));
    let error = reader.key(&mut object).unwrap_err();
    assert_eq!(error.kind, JsonErrorKind::ExpectedCommaOrBrace);
    let mut open = JsonReader::new(b"[", Limits::default()).unwrap();
    open.array().unwrap();
    assert_eq!(open.finish().unwrap_err().kind, JsonErrorKind::Ended);
}

#[test]
fn depth_is_bounded() {
    for limits in [Limits::default(), UNWATCHED] {
        assert!(check(nested(128).as_bytes(), limits).is_ok());
        let error = check(nested(129).as_bytes(), limits).unwrap_err();
        assert_eq!(error.to_string(), "nested too deep at byte 128");
        let objects = "{\"a\":".repeat(128) + "1" + &"}".repeat(128);
        assert!(check(objects.as_bytes(), limits).is_ok());
        assert!(check(format!("[{objects}]").as_bytes(), limits).is_err());
    }
    // Siblings do not add up.
    let wide = format!("[{}]", vec![nested(127); 50].join(","));
    assert!(check(wide.as_bytes(), Limits::default()).is_ok());
    // No depth costs stack in skipping, whatever the limit.
    let limits = Limits { depth_max: usize::MAX, ..UNWATCHED };
    assert_eq!(skip(nested(1_000_000).as_bytes(), limits), Ok(()));
}

#[test]
fn duplicates_are_handed_out_where_nobody_watches() {
    let body = br#"{"a":1,"\u0061":[],"b":true}"#;
    let expected = Tree::Object(vec![
        ("a".into(), Tree::Scalar(Scalar::Number("1"))),
        ("a".into(), Tree::Array(Vec::new())),
        ("b".into(), Tree::Scalar(Scalar::Bool(true))),
    ]);
    assert_eq!(check(body, UNWATCHED), Ok(expected));
    assert!(check(br#"{"a":1,"a":01}"#, UNWATCHED).is_err(), "what nobody wants is validated");
    for same_name_elsewhere in [r#"{"a":{"a":1},"b":{"a":1}}"#, r#"[{"a":1},{"a":2}]"#] {
        assert!(check(same_name_elsewhere.as_bytes(), Limits::default()).is_ok());
    }
}

#[test]
fn a_name_that_is_expected_is_passed_where_it_stands_as_it_is_written() {
    let (a, b) = (br#""a":"#, br#""b":"#);
    for (body, first, second) in [
        (&br#"{"a":1,"b":2}"#[..], true, true),
        (b" { \"a\":1 ,\n\"b\":2}", true, true),
        (br#"{"a" :1,"b":2}"#, false, true),
        (br#"{"\u0061":1,"b" :2}"#, false, false),
    ] {
        let mut reader = JsonReader::new(body, UNWATCHED).unwrap();
        let mut object = reader.object().unwrap();
        assert!(!reader.pass_expected(&mut object, b), "another name");
        for (name, written, wanted) in [("a", a, first), ("b", b, second)] {
            let passed = reader.pass_expected(&mut object, written);
            assert_eq!(passed, wanted, "{name} of {}", String::from_utf8_lossy(body));
            // What was not passed is still there.
            assert!(passed || reader.key(&mut object).unwrap().as_deref() == Some(name));
            assert!(!reader.pass_expected(&mut object, written), "before its value was read");
            assert!(reader.skip().is_ok());
        }
        assert!(!reader.pass_expected(&mut object, b), "none is left");
        assert_eq!(reader.key(&mut object), Ok(None));
        assert!(!reader.pass_expected(&mut object, b), "the object is closed");
        assert_eq!(reader.finish(), Ok(()));
    }
    // No comma, or two.
    for body in [&br#"{"a":1 "b":2}"#[..], br#"{"a":1,,"b":2}"#] {
        let mut reader = JsonReader::new(body, UNWATCHED).unwrap();
        let mut object = reader.object().unwrap();
        assert!(reader.pass_expected(&mut object, a) && reader.skip().is_ok());
        assert!(!reader.pass_expected(&mut object, b) && reader.key(&mut object).is_err());
    }
    let mut watching = JsonReader::new(br#"{"a":1}"#, Limits::default()).unwrap();
    let mut object = watching.object().unwrap();
    assert!(!watching.pass_expected(&mut object, a), "each name has to be seen");
}

#[test]
fn a_mebibyte_of_names_is_not_quadratic() {
    let mut body = String::from("{");
    for index in 0..100_000 {
        write!(body, "\"{index:x}\":1,").unwrap();
    }
    let distinct = body.clone() + "\"last\":1}";
    let repeated = body + "\"5\":1}";
    let start = Instant::now();
    assert!(check(distinct.as_bytes(), Limits::default()).is_ok());
    let error = check(repeated.as_bytes(), Limits::default()).unwrap_err();
    assert_eq!(error.kind, JsonErrorKind::DuplicateName);
    assert!(start.elapsed().as_secs() < 5, "took {:?}", start.elapsed());
}

#[test]
fn every_truncation_is_an_error() {
    let sample =
        r#" {"id": -12.5e+3, "t": "a\"\u00e9\ud83d\ude00\/é", "l": [true, false, null, {}, []]}"#;
    assert!(check(sample.as_bytes(), Limits::default()).is_ok());
    for length in 0..sample.len() {
        let error = check(&sample.as_bytes()[..length], Limits::default()).unwrap_err();
        let kind = error.kind;
        assert!(
            matches!(kind, JsonErrorKind::Ended | JsonErrorKind::NotUtf8),
            "{kind:?} at {length}"
        );
    }
}

#[test]
fn writing_escapes_what_must_be() {
    assert_eq!(written("plain"), "\"plain\"");
    assert_eq!(written(""), "\"\"");
    assert_eq!(written("a/é😀\u{7f}\u{2028}"), "\"a/é😀\u{7f}\u{2028}\"");
    assert_eq!(written("\"\\\u{8}\t\n\u{c}\r"), r#""\"\\\b\t\n\f\r""#);
    assert_eq!(written("\0\u{1}\u{b}\u{1f}x"), r#""\u0000\u0001\u000b\u001fx""#);
}

#[test]
fn compacting_keeps_texts_and_numbers() {
    let raw = "{ \"a b\" : [ 1.50 ,\n\t1E5 , \" \\\" \\\\\" ] ,\r\n\"é\" : { } }";
    assert_eq!(compacted(raw), "{\"a b\":[1.50,1E5,\" \\\" \\\\\"],\"é\":{}}");
    assert_eq!(compacted(" true "), "true");
    assert_eq!(compacted("\"cut \\"), "\"cut \\", "what is not JSON does not panic");
}
