//! Harmless damage: other bytes that say the same.

use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};
use latimer::mapping::codecs::Codec;
use latimer::mapping::model::{
    Body, BodyKind, Content, Key, Member, Operation, Place, Shape, Slot,
};
use proptest::collection::vec;
use proptest::prelude::*;
use roxmltree::{Document, Node};
use serde_json::Value;

/// Random decisions, one after the other; when they are used up they begin anew.
#[derive(Clone, Debug)]
pub(crate) struct Dice {
    throws: Vec<u8>,
    at: usize,
}

pub(crate) fn dice() -> impl Strategy<Value = Dice> {
    vec(any::<u8>(), 1..48).prop_map(|throws| Dice { throws, at: 0 })
}

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.at += 1;
        (usize::from(self.throws[self.at % self.throws.len()]) + self.at / self.throws.len())
            % sides
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.below(sides) == 0
    }

    fn blank(&mut self, out: &mut String) {
        out.push_str(["", "", "", " ", "\n", "\r\n\t"][self.below(6)]);
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in 1..items.len() {
            let other = self.below(at + 1);
            items.swap(at, other);
        }
    }
}

/// Another target with the same path and query.
pub(crate) fn target(operation: &Operation, target: &str, dice: &mut Dice) -> String {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut other = String::new();
    for (segment, pattern) in path[1..].split('/').zip(&operation.request.segments) {
        other.push('/');
        match pattern.as_literal() {
            Some(literal) => other.push_str(literal),
            None => percent(segment, dice, &mut other),
        }
    }
    let mut pairs: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            let mut other = format!("{name}=");
            percent(value, dice, &mut other);
            other
        })
        .collect();
    pairs.extend((0..dice.below(3)).map(|index| format!("x{index}=%26+1")));
    dice.shuffle(&mut pairs);
    if !pairs.is_empty() {
        other.push('?');
        other.push_str(&pairs.join("&"));
    }
    other
}

/// Some of the characters encoded, and the hexadecimal digits in another case.
fn percent(encoded: &str, dice: &mut Dice, out: &mut String) {
    let mut bytes = encoded.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digits: String = bytes.by_ref().take(2).map(char::from).collect();
                out.push('%');
                out.push_str(&if dice.one_in(2) { digits.to_lowercase() } else { digits });
            }
            _ if dice.one_in(4) => out.push_str(&format!("%{byte:02x}")),
            _ => out.push(char::from(byte)),
        }
    }
}

/// The same header fields with blanks around, and others beside them.
pub(crate) fn headers(headers: &HeaderMap, dice: &mut Dice) -> HeaderMap {
    let mut other = HeaderMap::new();
    other.insert("x-unknown", HeaderValue::from_static("one, two"));
    for (name, value) in headers {
        if name == COOKIE {
            cookies(std::str::from_utf8(value.as_bytes()).unwrap(), dice, &mut other);
            continue;
        }
        let ends = ["", " ", "\t "];
        let mut bytes = ends[dice.below(3)].as_bytes().to_vec();
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(ends[dice.below(3)].as_bytes());
        let value = HeaderValue::from_bytes(&bytes).unwrap();
        if dice.one_in(4) {
            other.append(name.clone(), value.clone());
        }
        other.append(HeaderName::from_bytes(name.as_str().as_bytes()).unwrap(), value);
    }
    // Two of them say nothing else, but for the media type, which must stand once.
    let media_type = other.get(http::header::CONTENT_TYPE).cloned();
    if let Some(value) = media_type {
        other.insert(http::header::CONTENT_TYPE, value);
    }
    other
}

fn cookies(line: &str, dice: &mut Dice, headers: &mut HeaderMap) {
    let mut pairs: Vec<String> = line.split("; ").map(str::to_owned).collect();
    pairs.extend((0..dice.below(3)).map(|index| format!("zz{index}=a=b")));
    pairs.push("flag".to_owned());
    dice.shuffle(&mut pairs);
    let at = dice.below(pairs.len() + 1);
    for part in [&pairs[..at], &pairs[at..]] {
        if !part.is_empty() {
            let line = part.join([";", "; ", " ;\t"][dice.below(3)]);
            headers.append(COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
    }
}

/// Another body that says the same.
pub(crate) fn body(body: &Body, bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let text = std::str::from_utf8(bytes).unwrap();
    let mut out = String::new();
    match &body.kind {
        BodyKind::Json => {
            let tree: Value = serde_json::from_str(text).unwrap();
            json(Some(&body.shape), &body.places, &tree, dice, &mut out);
        }
        BodyKind::Xml { .. } => {
            let document = Document::parse(text).unwrap();
            out.push_str(
                ["", "<?xml version=\"1.0\" encoding='UTF-8'?>\n", "\u{feff}"][dice.below(3)],
            );
            element(document.root_element(), true, dice, &mut out);
            out.push_str(["", "\n", "<!-- end -->"][dice.below(3)]);
        }
        BodyKind::Text => out = format!("{text}{}", ["", "\n", "\r\n"][dice.below(3)]),
        BodyKind::Form => {
            let mut pairs: Vec<String> = text
                .split('&')
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap();
                    let mut other = format!("{name}=");
                    percent(&value.replace('+', "%20"), dice, &mut other);
                    other
                })
                .collect();
            pairs.push(["", "x=1", "x"][dice.below(3)].to_owned());
            dice.shuffle(&mut pairs);
            out = pairs.join("&");
        }
    }
    out.into_bytes()
}

fn json(shape: Option<&Shape>, places: &[Place], value: &Value, dice: &mut Dice, out: &mut String) {
    dice.blank(out);
    match (shape, value) {
        (Some(Shape::Object { members, .. }), Value::Object(values)) => {
            object(members, places, values, dice, out);
        }
        (Some(Shape::List { items, .. }), Value::Array(values)) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                json(items.get(index), places, value, dice, out);
            }
            // One item more than the mapping has.
            out.push_str(if values.len() == items.len() && dice.one_in(2) {
                ",{\"x\":[]}"
            } else {
                ""
            });
            out.push(']');
        }
        (Some(Shape::Place(place)), value) => leaf(&places[usize::from(*place)], value, dice, out),
        // Private JSON keeps its members, its order and its numbers.
        (_, Value::Object(values)) => {
            out.push('{');
            for (index, (name, value)) in values.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                dice.blank(out);
                out.push_str(&Value::from(name.as_str()).to_string());
                dice.blank(out);
                out.push(':');
                json(None, places, value, dice, out);
            }
            out.push('}');
        }
        (_, Value::Array(values)) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                json(None, places, value, dice, out);
            }
            out.push(']');
        }
        (_, scalar) => out.push_str(&scalar.to_string()),
    }
    dice.blank(out);
}

fn object(
    members: &[Member],
    places: &[Place],
    values: &serde_json::Map<String, Value>,
    dice: &mut Dice,
    out: &mut String,
) {
    let mut parts: Vec<String> = values
        .iter()
        .map(|(name, value)| {
            let mut part = String::new();
            dice.blank(&mut part);
            json_text(name, dice, &mut part);
            dice.blank(&mut part);
            part.push(':');
            let known = members.iter().find(|member| match &member.key {
                Key::Fixed { name: fixed, .. } => **fixed == *name,
                Key::Pattern(_) => true,
            });
            json(known.map(|member| &member.shape), places, value, dice, &mut part);
            part
        })
        .collect();
    let others =
        ["null", "[[1e5,{}],\"\\ud83d\\ude00\"]", "{\"status\":\"open\",\"error\":1}", "-0.0"];
    let more = dice.below(3);
    parts.extend((0..more).map(|index| format!("\"x{index}\":{}", others[dice.below(4)])));
    dice.shuffle(&mut parts);
    out.push('{');
    out.push_str(&parts.join(","));
    out.push('}');
}

fn leaf(place: &Place, value: &Value, dice: &mut Dice, out: &mut String) {
    let (is_raw, is_lines) = match &place.content {
        Content::Hole(hole) => {
            (matches!(hole.slot, Slot::Raw(_)), hole.codec == Some(Codec::Lines))
        }
        _ => (false, false),
    };
    match value {
        Value::String(text) if is_lines && dice.one_in(2) => {
            let lines: Vec<String> = text
                .split('\n')
                .map(|line| {
                    let mut quoted = String::new();
                    json_text(line, dice, &mut quoted);
                    quoted
                })
                .collect();
            out.push_str(&format!("[{}]", lines.join(" ,")));
        }
        Value::String(text) if !is_raw => json_text(text, dice, out),
        value => json(None, &[], value, dice, out),
    }
}

/// A text with some of its characters escaped.
fn json_text(text: &str, dice: &mut Dice, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        if matches!(letter, '"' | '\\') || letter < ' ' || dice.one_in(4) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04X}"));
            }
        } else if letter == '/' && dice.one_in(2) {
            out.push_str("\\/");
        } else {
            out.push(letter);
        }
    }
    out.push('"');
}

/// An element under another prefix, with others between its own.
fn element(node: Node<'_, '_>, root: bool, dice: &mut Dice, out: &mut String) {
    let prefix = ["", "p:"][dice.below(2)];
    let name = format!("{prefix}{}", node.tag_name().name());
    out.push_str(&format!("<{name}"));
    if root || !prefix.is_empty() {
        out.push_str(" xmlns:p='urn:p'");
    }
    for attribute in node.attributes() {
        out.push_str(&format!(" {}='", attribute.name()));
        attribute.value().chars().for_each(|letter| out.push_str(&format!("&#{};", letter as u32)));
        out.push('\'');
    }
    out.push('>');
    let mut children: Vec<String> = node
        .children()
        .filter(Node::is_element)
        .map(|child| {
            let mut text = String::new();
            element(child, false, dice, &mut text);
            text
        })
        .collect();
    if children.is_empty() {
        node.children().filter_map(|node| node.text()).for_each(|text| xml_text(text, dice, out));
    } else {
        children.push(["<x><State>1</State></x>", "<!-- -->", "<?x y?>"][dice.below(3)].to_owned());
        dice.shuffle(&mut children);
        out.push_str(&children.join("\n "));
    }
    out.push_str(&format!("</{name}>"));
}

/// A text as characters, references and CDATA, with comments between them.
pub(crate) fn xml_text(text: &str, dice: &mut Dice, out: &mut String) {
    for letter in text.chars() {
        match (dice.below(6), letter) {
            (_, '\r') | (0, _) => out.push_str(&format!("&#x{:x};", letter as u32)),
            (1, _) => out.push_str(&format!("<![CDATA[{letter}]]>")),
            (2, _) => out.push_str(&format!("<!--c-->&#{};", letter as u32)),
            (_, '&') => out.push_str("&amp;"),
            (_, '<') => out.push_str("&lt;"),
            (_, '>') => out.push_str("&gt;"),
            _ => out.push(letter),
        }
    }
}
