//! Keeps secrets that stand where they must not out of what a finding shows.
//!
//! A finding prints its line of the file. An operator who wrote a secret literally gets an error for it, and
//! that error, or one about the same line, must not carry the secret to a log. So all findings but those of
//! broken YAML point into a copy of the file whose secrets are stars, byte for byte: places stay the same.

use std::ops::Range;
use std::sync::Arc;

use super::form;
use crate::diag::{SourceFile, Span};
use crate::secret::KeyHash;
use crate::yaml::{Kind, Node, Scalar};

/// Keys whose texts are secrets, wherever they stand and whatever is wrong around them.
const SECRET_KEYS: [&str; 8] =
    ["credential", "key", "keys", "logins", "password", "secret", "token", "tokens"];
/// Keys whose texts may carry a user and a password before an `@`.
const URL_KEYS: [&str; 4] = ["url", "urls", "state", "store"];

/// The file with stars in place of the secrets in it.
pub(super) fn file(file: &Arc<SourceFile>, root: &Node) -> Arc<SourceFile> {
    let mut spans = Vec::new();
    collect(root, &mut Vec::new(), &mut spans);
    if spans.is_empty() {
        return Arc::clone(file);
    }
    let mut bytes = file.text.clone().into_bytes();
    for span in spans {
        for byte in bytes.get_mut(span.start..span.end).unwrap_or_default() {
            if *byte != b'\n' {
                *byte = b'*';
            }
        }
    }
    // Whole scalars were replaced, so no character was cut.
    let text = String::from_utf8_lossy(&bytes).into_owned();
    SourceFile::new(file.name.clone(), text)
}

/// A text under a key as a finding may show it.
pub(super) fn value(path: &[String], text: &str) -> String {
    let keys: Vec<&str> = path.iter().map(String::as_str).collect();
    match hidden(&keys, text) {
        Some(range) => {
            let stars = "*".repeat(text[range.clone()].chars().count());
            format!("{}{stars}{}", &text[..range.start], &text[range.end..])
        }
        None => text.to_owned(),
    }
}

fn collect<'n>(node: &'n Node, path: &mut Vec<&'n str>, spans: &mut Vec<Span>) {
    match &node.kind {
        Kind::Map(entries) => {
            for (name, value) in entries {
                path.push(&name.text);
                collect(value, path, spans);
                path.pop();
            }
        }
        Kind::List(items) => items.iter().for_each(|item| collect(item, path, spans)),
        Kind::Scalar(scalar) => spans.extend(hidden_span(path, scalar)),
    }
}

fn hidden_span(path: &[&str], scalar: &Scalar) -> Option<Span> {
    hidden(path, &scalar.text).map(|range| scalar.part(range.start, range.end))
}

/// The part of a text that nobody may see.
fn hidden(path: &[&str], text: &str) -> Option<Range<usize>> {
    let whole = (!text.is_empty()).then_some(0..text.len());
    let (last, before) = path.split_last()?;
    // Where a path belongs somebody may have put the key itself.
    if text.contains("PRIVATE KEY") {
        return whole;
    }
    if path.iter().any(|key| SECRET_KEYS.contains(key)) && !is_tls_key(path) {
        return match *last {
            "file" => None,
            "env" if form::variable_name(text) => None,
            "hash" if KeyHash::parse(text).is_some() => None,
            "user" if before.contains(&"logins") => None,
            "expires" if before.iter().any(|key| matches!(*key, "key" | "keys")) => None,
            _ => whole,
        };
    }
    let is_url = path.iter().any(|key| URL_KEYS.contains(key)) || text.contains("://");
    if !is_url {
        return None;
    }
    let start = text.find("://").map_or(0, |scheme| scheme + 3);
    // What an option says may go on behind everything else; all from there, or from the user, is hidden.
    if let Some(option) = text.find("password=") {
        let from = if text.contains('@') { start } else { option };
        return Some(from..text.len());
    }
    let at = text.rfind('@')?;
    (start < at).then_some(start..at)
}

/// `tls: {key: PATH}` and `client_cert: {key: PATH}` name files.
fn is_tls_key(path: &[&str]) -> bool {
    path.ends_with(&["tls", "key"]) || path.ends_with(&["client_cert", "key"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn shown(text: &str) -> String {
        let source = SourceFile::new("t.yaml", text);
        let root = yaml::load(&source, "C000", yaml::Most::CONFIGURATION).expect("is YAML");
        file(&source, &root).text.clone()
    }

    #[test]
    fn what_is_no_reference_becomes_stars() {
        assert_eq!(
            shown("credential: {token: abc, usr: 'd'}"),
            "credential: {token: ***, usr: '*'}"
        );
        assert_eq!(shown("key: abc\n"), "key: ***\n");
        assert_eq!(shown("keys: [abc, {env: A}]\n"), "keys: [***, {env: A}]\n");
        assert_eq!(shown("key: {env: A, expires: 2027}"), "key: {env: A, expires: 2027}");
        assert_eq!(shown("password: {hash: $argon2id}"), "password: {hash: *********}");
        assert_eq!(shown("token: {env: s3cr-t, file: a b}"), "token: {env: ******, file: a b}");
        assert_eq!(shown("token: {evn: ABC}"), "token: {evn: ***}");
        assert_eq!(shown("key: {hash: hunter2}"), "key: {hash: *******}");
        assert_eq!(shown("key: |\n  ab\n  cd\nx: 1\n").lines().last(), Some("x: 1"));
        assert!(!shown("key: |\n  ab\n  cd\nx: 1\n").contains("ab"));
    }

    #[test]
    fn a_path_of_a_key_is_shown_and_a_key_is_not() {
        assert_eq!(shown("tls: {key: a.pem}"), "tls: {key: a.pem}");
        let key = "client_cert:\n  key: |\n    -----BEGIN PRIVATE KEY-----\n    MIGH\n";
        assert!(!shown(key).contains("MIGH"));
        assert!(!shown(&key.replace("key", "cert")).contains("MIGH"));
    }

    #[test]
    fn passwords_in_urls_become_stars() {
        assert_eq!(shown("url: http://u:p@h/x"), "url: http://***@h/x");
        assert_eq!(shown("state: postgres://u:p@h"), "state: postgres://***@h");
        assert_eq!(shown("x: ftp://u:p@h"), "x: ftp://***@h");
        assert_eq!(shown("url: u:p@h"), "url: ***@h");
        assert_eq!(shown("url: http://h"), "url: http://h");
        assert_eq!(
            shown("state: {url: a://h/d?password=b&c=d}"),
            "state: {url: a://h/d?**************}"
        );
    }

    #[test]
    fn places_stay_the_same() {
        let text = "credential: {token: äöü, x: 1}\nb: 2\n";
        let shown = shown(text);
        assert_eq!(shown.len(), text.len());
        assert_eq!(shown.find("b: 2"), text.find("b: 2"));
    }
}
