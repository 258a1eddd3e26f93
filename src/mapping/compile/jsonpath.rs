//! JSONPath, cut down to what cannot be misread.
//!
//! The library answers some malformed filters with nothing instead of an error (`@.x in [..]` selects
//! nothing, silently), so a path is first held against the small grammar that mappings may use.

use jsonpath_rust::parser::parse_json_path;

use crate::mapping::compile::Compiler;
use crate::mapping::model::JsonPath;
use crate::mapping::syntax::Named;

impl Compiler<'_> {
    /// Parses a path; `None` and M013 if it is outside the subset.
    pub(super) fn json_path(&mut self, path: &Named) -> Option<JsonPath> {
        let parsed = match subset(&path.text) {
            Ok(()) => parse_json_path(&path.text).map_err(|error| error.to_string()),
            Err(rest) => Err(format!("`{rest}` cannot stand in a path")),
        };
        match parsed {
            Ok(query) => Some(JsonPath { text: path.text.clone(), query, at: self.at(path.span) }),
            Err(why) => {
                let message = format!("`{}` is no JSONPath of this language: {why}", path.text);
                let label = "use .name, .*, [n], [*] and [?@.x == literal]";
                self.findings.error("M013", path.span, message, label);
                None
            }
        }
    }
}

/// `Err` with the rest of the path that is not understood.
fn subset(path: &str) -> Result<(), &str> {
    let mut rest = path.strip_prefix('$').ok_or(path)?;
    while !rest.is_empty() {
        rest = segment(rest).ok_or(rest)?;
    }
    Ok(())
}

fn segment(rest: &str) -> Option<&str> {
    if let Some(rest) = rest.strip_prefix(".*").or_else(|| rest.strip_prefix("[*]")) {
        return Some(rest);
    }
    if let Some(rest) = rest.strip_prefix('.') {
        return name(rest);
    }
    if let Some(filter) = rest.strip_prefix("[?@") {
        return filter_end(filter);
    }
    let digits = rest.strip_prefix('[')?;
    let (digits, rest) = digits.split_once(']')?;
    (!digits.is_empty() && digits.len() < 10 && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then_some(rest)
}

fn name(rest: &str) -> Option<&str> {
    let end = rest.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
    let first = name.chars().next()?;
    (first.is_ascii_alphabetic() || first == '_').then_some(rest)
}

/// What follows `.x == literal]`.
fn filter_end(mut filter: &str) -> Option<&str> {
    filter = name(filter.strip_prefix('.')?)?;
    while let Some(more) = filter.strip_prefix('.') {
        filter = name(more)?;
    }
    let literal = filter.trim_start().strip_prefix("==")?.trim_start();
    let end = match literal.chars().next()? {
        quote @ ('\'' | '"') => 2 + literal[1..].find(quote)?,
        _ => literal.find(']')?,
    };
    let (literal, rest) = literal.split_at(end);
    let literal = literal.trim_end();
    let quoted = literal.starts_with(['\'', '"']) && !literal.contains('\\');
    let plain = matches!(literal, "true" | "false" | "null") || literal.parse::<i64>().is_ok();
    (quoted || plain).then(|| rest.trim_start().strip_prefix(']'))?
}

#[cfg(test)]
mod tests {
    use super::subset;

    #[test]
    fn the_subset_is_what_the_language_page_names() {
        for path in [
            "$",
            "$.error",
            "$.errors.*",
            "$.errors[*].code",
            "$.a[0].b",
            "$.a[?@.x == 'y']",
            "$.a[?@.x.y == 7].z",
            "$.a[?@.x==\"y]\"]",
            "$.a[?@.x == true]",
        ] {
            assert_eq!(subset(path), Ok(()), "{path}");
        }
        for path in [
            "error",
            "$..x",
            "$.a[-1]",
            "$.a[0:2]",
            "$.a[?@.x in ['y']]",
            "$.a[?@.x > 1]",
            "$['a']",
            "$.a[?(@.x == 1)]",
            "$.",
            "$.a[?@.x == ]",
            "$.a[?length(@.x) == 1]",
        ] {
            assert!(subset(path).is_err(), "{path}");
        }
    }
}
