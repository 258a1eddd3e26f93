//! The reference shows every key that the reader knows, at its place, and no other: those of the file, and
//! those in its comments.

use std::collections::BTreeSet;

use super::REFERENCE;
use crate::config::schema::{Field, ROOT, Shape};

/// A key that a line shows: its column, and its name; with those in braces behind it.
struct Line<'t> {
    column: usize,
    path: Vec<Vec<&'t str>>,
}

/// `name` of `name: …`.
fn key(text: &str) -> Option<&str> {
    let (name, rest) = text.split_once(':')?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    let is_key = !name.is_empty() && name.chars().all(plain);
    (is_key && (rest.is_empty() || rest.starts_with(' '))).then_some(name)
}

/// Keys in braces, each with those that it stands in: in `{a: b, c: {d: e}}` a, c, and d in c.
fn braced<'t>(text: &'t str, above: &[&'t str], found: &mut Vec<Vec<&'t str>>) {
    let (mut depth, mut stack, mut last) = (0_usize, above.to_vec(), None);
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => {
                stack.extend(if depth > 0 { last.take() } else { None });
                depth += 1;
            }
            '}' if depth > 0 => {
                depth -= 1;
                stack.truncate(above.len() + depth.saturating_sub(1));
            }
            _ => {}
        }
        let begins = depth > 0 && matches!(letter, '{' | ',');
        if let Some(name) = begins.then(|| key(text[at + 1..].trim_start())).flatten() {
            found.push(stack.iter().copied().chain([name]).collect());
            last = Some(name);
        }
    }
}

/// The keys of a line, also of one that is a comment.
fn read(line: &str) -> Option<Line<'_>> {
    let bare = line.trim_start();
    let (column, text) = match bare.strip_prefix('#') {
        None => (line.len() - bare.len(), bare),
        // As it would stand without the mark: `# key:`, and a key below it `#   key:`.
        Some(rest) => {
            let text = rest.trim_start();
            (line.len() - bare.len() + (rest.len() - text.len()).checked_sub(1)?, text)
        }
    };
    let name = key(text)?;
    let mut path = vec![vec![name]];
    braced(&text[name.len()..], &[name], &mut path);
    Some(Line { column, path })
}

/// Every key that the text shows, with those that it stands in.
fn shown(text: &str) -> BTreeSet<Vec<&str>> {
    let mut above: Vec<(usize, &str)> = Vec::new();
    let mut found = BTreeSet::new();
    for line in text.lines().filter_map(read) {
        above.retain(|(column, _)| *column < line.column);
        let stack: Vec<&str> = above.iter().map(|(_, name)| *name).collect();
        for path in &line.path {
            found.insert(stack.iter().chain(path).copied().collect());
        }
        above.push((line.column, line.path[0][0]));
    }
    found
}

/// The one name of a key in the schema; `Err` if there is none, `None` for what is the operator's own.
fn named(path: &[&str]) -> Result<Option<String>, ()> {
    let (mut fields, mut place) = (ROOT, String::new());
    let mut names = path.iter();
    while let Some(name) = names.next() {
        let field = fields.iter().find(|field| field.name == *name).ok_or(())?;
        place = format!("{place}.{name}");
        fields = match &field.shape {
            Shape::Map(below) | Shape::LeafOrMap(below) => below,
            Shape::ListOf(below) if !below.iter().any(is_source) => below,
            Shape::Secret(below) | Shape::ListOf(below) => {
                if names.as_slice().is_empty() {
                    return Ok(Some(place));
                }
                place = secret(below);
                below
            }
            Shape::Named(_, below) => {
                if names.next().is_none() {
                    break;
                }
                if names.as_slice().is_empty() {
                    return Ok(None);
                }
                below
            }
            Shape::Settings | Shape::Opaque if !names.as_slice().is_empty() => return Ok(None),
            Shape::Settings | Shape::Opaque | Shape::Leaf | Shape::List | Shape::LeafOrList => &[],
        };
    }
    Ok(Some(place))
}

/// What a secret has, and a list of them.
fn is_source(field: &Field) -> bool {
    field.name == "env"
}

/// Where a secret is from is shown once for all that may come from the same places.
fn secret(fields: &[Field]) -> String {
    let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
    format!("<secret of {}>", names.join(", "))
}

/// Every key of the schema by the same names.
fn known(fields: &[Field], above: &str, found: &mut BTreeSet<String>) {
    for field in fields {
        let place = format!("{above}.{}", field.name);
        match &field.shape {
            Shape::Map(below) | Shape::LeafOrMap(below) | Shape::Named(_, below) => {
                known(below, &place, found)
            }
            Shape::ListOf(below) if !below.iter().any(is_source) => known(below, &place, found),
            Shape::Secret(below) | Shape::ListOf(below) => known(below, &secret(below), found),
            Shape::Leaf | Shape::List | Shape::LeafOrList | Shape::Settings | Shape::Opaque => {}
        }
        found.insert(place);
    }
}

/// What a text shows, by the names of the schema; and what it shows that there is not.
fn compared(text: &str) -> (BTreeSet<String>, Vec<String>) {
    let (mut good, mut unknown) = (BTreeSet::new(), Vec::new());
    for path in shown(text) {
        match named(&path) {
            Ok(name) => good.extend(name),
            Err(()) => unknown.push(path.join(".")),
        }
    }
    (good, unknown)
}

/// The schema is what the reader refuses unknown keys by, so it has every key.
#[test]
fn the_reference_shows_every_key_and_no_other() {
    let mut wanted = BTreeSet::new();
    known(ROOT, "", &mut wanted);
    let (good, unknown) = compared(REFERENCE);
    assert_eq!(unknown, Vec::<String>::new(), "config/reference.yaml shows what there is not");
    let missing: Vec<&String> = wanted.difference(&good).collect();
    assert!(missing.is_empty(), "config/reference.yaml does not show {missing:#?}");
    assert_eq!(good.difference(&wanted).next(), None, "both sides name keys alike");
    assert!(wanted.len() > 90, "{} keys", wanted.len());
}

/// The test above would see a key that is missing, stands in another section, or is misspelt.
#[test]
fn a_key_that_is_left_out_is_noticed() {
    let lines: Vec<&str> = REFERENCE.lines().collect();
    let all = compared(REFERENCE);
    let mut keys = 0;
    for (index, line) in lines.iter().enumerate() {
        let Some(name) = read(line).map(|line| line.path[0][0]) else { continue };
        let misspelt = line.replacen(&format!("{name}:"), &format!("{name}x:"), 1);
        let mut other = lines.clone();
        other[index] = &misspelt;
        let other = compared(&other.join("\n"));
        // The operator's own names are theirs.
        let own = [
            "helpdesk",
            "acme",
            "old-partner",
            "series-clients",
            "touchpoint",
            "per-day",
            "per-address",
        ];
        assert_eq!(other == all, own.contains(&name), "{line}");
        keys += 1;
    }
    assert!(keys > 70, "{keys} lines with a key");
}
