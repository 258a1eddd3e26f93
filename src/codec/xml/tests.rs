use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Instant;

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<XmlDocument<'_>, XmlError> {
    XmlDocument::parse(text.as_bytes(), Limits::default())
}

fn refusal(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

fn nested(depth: usize) -> String {
    "<a>".repeat(depth) + &"</a>".repeat(depth)
}

fn refused_quickly(body: &str, error: &XmlError) {
    let start = Instant::now();
    assert_eq!(parse(body).err().as_ref(), Some(error));
    assert!(start.elapsed().as_secs() < 2, "took {:?}", start.elapsed());
}

#[test]
fn elements_are_found_by_local_names() {
    let body = r#"<?xml version="1.0" encoding="UTF-8"?>
        <s:Body xmlns:s="urn:s" xmlns="urn:d"><x>1</x><y/><s:x a='2' s:a="3" s:b="4">&lt;</s:x></s:Body>"#;
    let document = parse(body).unwrap();
    let root = document.root();
    assert_eq!(root.local_name(), "Body");
    let names: Vec<_> = root.children().map(|child| child.local_name()).collect();
    assert_eq!(names, ["x", "y", "x"]);
    let texts: Vec<_> = root.children_named("x").map(|child| child.text()).collect();
    assert_eq!(texts, ["1", "<"]);
    let last = root.children().last().unwrap();
    assert_eq!(last.attribute("a").as_deref(), Some("2"));
    assert_eq!(last.attribute("b").as_deref(), Some("4"));
    assert_eq!(last.attribute("c"), None);
    assert_eq!(root.attribute("s"), None, "a namespace declaration is no attribute");
}

#[test]
fn text_is_all_direct_text() {
    let text = |body: &'static str| parse(body).unwrap().root().text();
    assert!(matches!(text("<a>plain</a>"), Cow::Borrowed("plain")));
    assert_eq!(text("<a>1<!-- c -->2<b>no</b>3<?p i?>4</a>"), "1234");
    assert_eq!(text("<a> x <![CDATA[<&]]]]> y</a>"), " x <&]] y");
    assert_eq!(text("<a>&amp;&#x41;&#66;\r\nx</a>"), "&AB\nx");
    assert_eq!(text("<a/>"), "");
    assert_eq!(text("\u{feff}<a>é</a>"), "é");
}

#[test]
fn documents_outlive_nothing_but_the_body() {
    let body = "<a k='v'>t</a>".to_owned();
    let (text, value) = {
        let document = parse(&body).unwrap();
        let root = document.root();
        (root.text(), root.attribute("k"))
    };
    assert_eq!((text.as_ref(), value.as_deref()), ("t", Some("v")));
}

#[test]
fn only_utf_8_is_read() {
    let error = XmlDocument::parse(b"<a>\xff</a>", Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "invalid UTF-8 at byte 3");
    for name in ["UTF-8", "utf-8", "US-ASCII", "us-ascii"] {
        assert!(parse(&format!("<?xml version=\"1.0\" encoding='{name}'?><a/>")).is_ok());
    }
    for name in ["ISO-8859-1", "UTF-16", "utf-7", "", "utf-8 "] {
        let body = format!("<?xml version='1.0' encoding = \"{name}\" ?><a/>");
        assert_eq!(parse(&body).err(), Some(XmlError::Encoding));
        let hidden = body.replacen(' ', "\t", 1);
        assert_eq!(parse(&hidden).err(), Some(XmlError::Encoding));
        let marked = format!("\u{feff}{body}");
        assert_eq!(parse(&marked).err(), Some(XmlError::Encoding));
    }
    assert!(parse("<a>encoding='x'?></a>").is_ok());
}

#[test]
fn document_types_and_their_entities_are_refused() {
    assert_eq!(refusal("<!DOCTYPE a><a/>"), "a document type declaration");
    let bomb = "<!DOCTYPE a [<!ENTITY x \"xx\"><!ENTITY y \"&x;&x;\">]><a>&y;</a>";
    assert_eq!(parse(bomb).err(), Some(XmlError::DocumentType));
    let external = "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>";
    assert_eq!(parse(external).err(), Some(XmlError::DocumentType));
    assert!(parse("<a/><!DOCTYPE a>").is_err());
    assert_eq!(refusal("<a>&x;</a>"), "unknown entity at line 1, column 4");
    assert_eq!(refusal("<a b='&nbsp;'/>"), "unknown entity at line 1, column 7");
}

#[test]
fn what_is_malformed_is_refused() {
    let bodies = [
        "",
        " ",
        "x",
        "<",
        "<a",
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "<a/>x",
        "<a b/>",
        "<a b=c/>",
        "<a b='1' b='2'/>",
        "<a>&</a>",
        "<a>&#0;</a>",
        "<a>&#xD800;</a>",
        "<a>\u{1}</a>",
        "<a>\u{ffff}</a>",
        "<a>]]></a>",
        "<a b='<'/>",
        "<a><!-- -- --></a>",
        "<a><![CDATA[</a>",
        "<p:a/>",
        "<a p:b='1'/>",
        "</a>",
        "<a xmlns:='x'/>",
        "<a><?xml version='1.0'?></a>",
    ];
    for body in bodies {
        assert!(parse(body).is_err(), "{body:?}");
    }
    assert_eq!(refusal("<a>\n</b>"), "malformed at line 2, column 1");
}

#[test]
fn references_to_no_character_are_refused_not_mended() {
    for reference in ["&#xD800;", "&#xDFFF;", "&#55296;", "&#x110000;", "&#99999999999;"] {
        let in_text = format!("<a>{reference}</a>");
        assert_eq!(parse(&in_text).err(), Some(XmlError::BadReference { offset: 3 }));
        let in_value = format!("<a b='x&amp;{reference}'/>");
        assert_eq!(parse(&in_value).err(), Some(XmlError::BadReference { offset: 12 }));
        let in_data = format!("<a><![CDATA[{reference}]]><!--{reference}--></a>");
        assert_eq!(parse(&in_data).unwrap().root().text(), reference);
    }
    assert_eq!(parse("<a>&#xFFFD;&#x10FFFF;</a>").unwrap().root().text(), "\u{fffd}\u{10ffff}");
}

#[test]
fn depth_is_bounded() {
    assert!(parse(&nested(128)).is_ok());
    assert_eq!(parse(&nested(129)).err(), Some(XmlError::TooDeep));
    refused_quickly(&nested(200_000), &XmlError::TooDeep);
    refused_quickly(&"<a>".repeat(200_000), &XmlError::TooDeep);
    // Signs of depth that are none: text, attributes, comments, empty elements.
    let shallow = "<![CDATA[<a>]]><b c='<'/>".replace("'<'", "'>'") + "<!--> <a> --><?p <a>?><b/>";
    assert!(parse(&format!("<r>{}</r>", shallow.repeat(200))).is_ok());
}

#[test]
fn nodes_are_bounded() {
    let body = |count: usize| format!("<r>{}</r>", "<a/>".repeat(count));
    assert!(parse(&body(9_900)).is_ok());
    assert_eq!(parse(&body(10_000)).err(), Some(XmlError::TooManyNodes));
    let mixed = format!("<r>{}</r>", "<a/>x".repeat(5_100));
    assert_eq!(parse(&mixed).err(), Some(XmlError::TooManyNodes));
    refused_quickly(&"<".repeat(1_000_000), &parse("<<").unwrap_err());
}

#[test]
fn start_tags_are_bounded() {
    let tag = |count: usize, name: &str| {
        (0..count).fold(String::from("<r"), |mut tag, index| {
            write!(tag, " {name}{index} = 'u:{index}'").unwrap();
            tag
        }) + "/>"
    };
    assert!(parse(&tag(64, "a")).is_ok());
    refused_quickly(&tag(65, "a"), &XmlError::TooManyAttributes);
    refused_quickly(&tag(70_000, "a"), &XmlError::TooManyAttributes);
    assert!(parse(&tag(64, "xmlns:a")).is_ok());
    refused_quickly(&tag(70_000, "xmlns:a"), &XmlError::TooManyAttributes);
    let mut deep = String::new();
    for index in 0..100 {
        write!(deep, "<a\nxmlns:n{index}='u'>").unwrap();
    }
    refused_quickly(&deep, &XmlError::TooManyAttributes);
    // The same declaration on many siblings is what some systems write.
    let siblings = "<a xmlns='urn:d'/>".repeat(5_000);
    assert!(parse(&format!("<r>{siblings}</r>")).is_ok());
}

#[test]
fn the_slowest_body_within_the_limits_is_quick() {
    let mut body = String::from("<r");
    for index in 0..63 {
        write!(body, " xmlns:n{index}='u'").unwrap();
    }
    let child =
        format!("<a xmlns:x='u' {}/>", (0..60).map(|at| format!("a{at}='' ")).collect::<String>());
    write!(body, ">{}</r>", child.repeat(2_000)).unwrap();
    let start = Instant::now();
    assert!(parse(&body).is_ok());
    assert!(start.elapsed().as_secs() < 10, "took {:?}", start.elapsed());
}

#[test]
fn characters_that_xml_cannot_carry_are_refused() {
    for character in ['\0', '\u{1}', '\u{8}', '\u{b}', '\u{c}', '\u{1f}', '\u{fffe}', '\u{ffff}'] {
        let mut out = b"kept".to_vec();
        let text = format!("<é{character}");
        let expected = Err(NotXml { character, offset: 3 });
        assert_eq!(escape_text(&mut out, &text), expected);
        assert_eq!(escape_attribute(&mut out, &text), expected);
        assert_eq!(out, b"kept");
    }
    let error = escape_text(&mut Vec::new(), "\u{b}").unwrap_err();
    assert_eq!(error.to_string(), "U+000B at byte 0 cannot stand in XML");
    assert_eq!(escape_text(&mut Vec::new(), "\u{7f}\u{85}\u{fffd}\u{10ffff}"), Ok(()));
}

#[test]
fn escaping_is_what_it_says() {
    let mut out = Vec::new();
    escape_text(&mut out, "a<b>&\"'\t\n\r]]>é").unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "a&lt;b&gt;&amp;\"'\t\n&#13;]]&gt;é");
    let mut out = Vec::new();
    escape_attribute(&mut out, "a<b>&\"'\t\n\ré").unwrap();
    let expected = "a&lt;b&gt;&amp;&quot;&apos;&#9;&#10;&#13;é";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

/// Pieces of XML in any order: sometimes well-formed, never trusted to be.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "<a>",
        "</a>",
        "<a/>",
        "<a b='",
        "'",
        "\"",
        ">",
        "/>",
        "<",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "<?x ",
        "?>",
        "&amp;",
        "&#13;",
        "&#xD800;",
        "&#",
        ";",
        "&x;",
        " xmlns=",
        " xmlns:p='u'",
        "<p:a",
        "\r",
        "\n",
        "é",
        "<?xml version='1.0'",
        " encoding='utf-8'",
        "<!DOCTYPE a [",
        "\u{feff}",
        "=",
        "x",
        ":",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = XmlDocument::parse(&bytes, Limits::default());
    }

    #[test]
    fn no_pieces_panic_and_none_are_misjudged(body in pieces(), depth_max in 0..3_usize) {
        let limits = Limits { depth_max, ..Limits::default() };
        // What the measuring says about depth is what the parser would have found.
        let parsed = roxmltree::Document::parse(&body);
        let deepest = parsed.as_ref().ok().and_then(|document| {
            let elements = document.descendants().filter(roxmltree::Node::is_element);
            elements.map(|node| node.ancestors().filter(roxmltree::Node::is_element).count()).max()
        });
        match (XmlDocument::parse(body.as_bytes(), limits), deepest) {
            (Ok(_), Some(deepest)) => prop_assert!(deepest <= depth_max),
            (Err(XmlError::TooDeep), Some(deepest)) => prop_assert!(deepest > depth_max),
            (Ok(_), None) => prop_assert!(false, "the parser refuses it"),
            (Err(error), Some(_)) => {
                let stricter = matches!(error, XmlError::Encoding | XmlError::BadReference { .. });
                prop_assert!(stricter, "the parser accepts it: {error}");
            }
            (Err(_), None) => {}
        }
    }

    #[test]
    fn what_was_escaped_is_read_back(text: String, value: String, line_ends in "[\r\n\tx&]{0,8}") {
        let text = line_ends.clone() + &text;
        let value = value + &line_ends;
        let mut body = b"<a b=\"".to_vec();
        let attribute = escape_attribute(&mut body, &value);
        body.extend_from_slice(b"\">");
        let content = escape_text(&mut body, &text);
        body.extend_from_slice(b"</a>");
        let document = XmlDocument::parse(&body, Limits::default()).unwrap();
        let expected = |result: Result<(), NotXml>, text: String| result.map(|()| text).unwrap_or_default();
        prop_assert_eq!(document.root().text(), expected(content, text));
        prop_assert_eq!(document.root().attribute("b").unwrap(), expected(attribute, value));
    }
}
