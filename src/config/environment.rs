//! Environment overrides: `LATIMER__SECTION__KEY=value` for one text of the file.
//!
//! A name is followed through the [`schema`](super::schema): keys by their names in any case, the operator's
//! own names where the file has them, `_` standing for `-` too. What leads nowhere is an error, because an
//! override that does nothing is worse than none. Lists, tables and secrets cannot be set this way.
//!
//! The findings about a name show the name and never the value: it may be a secret.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::schema::{self, Field, Shape};
use super::{codes, redact};
use crate::diag::{self, Diagnostic, Location, SourceFile, Span};
use crate::yaml::{Kind, Node};

/// What an override's name starts with.
const PREFIX: &str = "LATIMER__";
/// What stands between the keys in it.
const SEPARATOR: &str = "__";

/// A variable whose name leads to a key.
#[derive(Debug)]
pub(super) struct Override {
    pub(super) path: Vec<String>,
    pub(super) value: String,
    /// The value, in a file that is called after the variable.
    pub(super) at: Location,
}

/// The variables among `environment` that override a key of `file`; the others that look like it as findings.
pub(super) fn overrides(
    environment: &BTreeMap<String, String>,
    file: &Node,
) -> (Vec<Override>, Vec<Diagnostic>) {
    let (mut found, mut findings): (Vec<Override>, Vec<Diagnostic>) = (Vec::new(), Vec::new());
    for (name, value) in environment {
        let Some(keys) = keys_of(name) else { continue };
        let walk = Walk { variable: name, file: SourceFile::new("environment", name.as_str()) };
        match walk.resolve(keys, file) {
            Err(finding) => findings.push(*finding),
            Ok(path) => match found.iter().find(|other| other.path == path) {
                Some(other) => findings.push(walk.clash(other)),
                None => {
                    let at = value_location(name, value, &path);
                    found.push(Override { path, value: value.clone(), at });
                }
            },
        }
    }
    (found, findings)
}

/// The part of an override's name after the prefix; the prefix counts in any case, so that none is overlooked.
fn keys_of(name: &str) -> Option<&str> {
    let (prefix, keys) = name.split_at_checked(PREFIX.len())?;
    prefix.eq_ignore_ascii_case(PREFIX).then_some(keys)
}

fn value_location(name: &str, value: &str, path: &[String]) -> Location {
    let shown = redact::value(path, value);
    let span = Span::new(0, shown.len());
    Location { file: SourceFile::new(format!("environment variable {name}"), shown), span }
}

/// One name on its way through the keys.
struct Walk<'a> {
    variable: &'a str,
    file: Arc<SourceFile>,
}

/// What a name may address below the keys that were followed so far.
enum Below {
    Fields(&'static [Field]),
    LeafOrFields(&'static [Field]),
    Secret(&'static [Field]),
    Names(&'static str, &'static [Field]),
    Settings,
    Leaf,
    Refused(&'static str),
}

type Step<T> = Result<T, Box<Diagnostic>>;

impl Walk<'_> {
    fn resolve(&self, keys: &str, file: &Node) -> Step<Vec<String>> {
        let mut below = Below::Fields(schema::ROOT);
        let mut node = Some(file);
        let mut path = Vec::new();
        let mut offset = PREFIX.len();
        for key in keys.split(SEPARATOR) {
            let span = Span::new(offset, offset + key.len());
            let (name, next) = self.step(&below, key, span, node, &path)?;
            node = match node {
                Some(node) => self.descend(node, &name, &path)?,
                None => None,
            };
            path.push(name);
            below = next;
            offset += key.len() + SEPARATOR.len();
        }
        self.arrive(&below, node, &path)?;
        Ok(path)
    }

    /// The key that a part of the name means, and what lies below it.
    fn step(
        &self,
        below: &Below,
        key: &str,
        span: Span,
        node: Option<&Node>,
        path: &[String],
    ) -> Step<(String, Below)> {
        match below {
            Below::Fields(fields) | Below::LeafOrFields(fields) | Below::Secret(fields) => {
                match fields.iter().find(|field| field.name.eq_ignore_ascii_case(key)) {
                    Some(field) => Ok((field.name.to_owned(), below_of(&field.shape))),
                    None => {
                        let known: Vec<String> =
                            fields.iter().map(|field| field.name.to_ascii_uppercase()).collect();
                        Err(self.unknown(key, span, "key", &known))
                    }
                }
            }
            Below::Names(what, fields) => {
                let name = self.named(what, key, span, &names_of(node))?;
                Ok((name, Below::Fields(fields)))
            }
            Below::Settings => {
                let names = names_of(node);
                let known = names.iter().any(|name| spelled(name).eq_ignore_ascii_case(key));
                let name = if known {
                    self.named("setting", key, span, &names)?
                } else {
                    key.to_ascii_lowercase()
                };
                Ok((name, Below::Leaf))
            }
            Below::Leaf => {
                let message = format!("`{}` has no keys below it", path.join("."));
                Err(self.finding(span, message, "end the name before this"))
            }
            Below::Refused(why) => Err(self.finding(
                span,
                format!("`{}` {why}", path.join(".")),
                "write it in the file",
            )),
        }
    }

    /// The one of the operator's names that is written so in the environment.
    fn named(&self, what: &str, key: &str, span: Span, names: &[&str]) -> Step<String> {
        let meant: Vec<&&str> =
            names.iter().filter(|name| spelled(name).eq_ignore_ascii_case(key)).collect();
        match meant.as_slice() {
            [] => {
                let known: Vec<String> = names.iter().map(|name| spelled(name)).collect();
                Err(self.unknown(key, span, what, &known))
            }
            [name] => Ok((**name).to_owned()),
            [first, second, ..] => Err(self.finding(
                span,
                format!("`{key}` may mean the {what} `{first}` or `{second}`"),
                "set it in the file: `_` in a variable stands for `_` and `-`",
            )),
        }
    }

    /// The file's value under a key; a text or a list on the way to an override is a contradiction.
    fn descend<'n>(&self, node: &'n Node, name: &str, path: &[String]) -> Step<Option<&'n Node>> {
        match &node.kind {
            Kind::Map(_) => Ok(node.get(name)),
            Kind::Scalar(scalar) if scalar.is_null() => Ok(None),
            Kind::Scalar(_) | Kind::List(_) => {
                let message = format!("`{}` is {} in the file", path.join("."), node.kind_name());
                Err(self.finding(self.whole(), message, "it has no keys to override"))
            }
        }
    }

    /// Checks that the name ends at something that is one text.
    fn arrive(&self, below: &Below, node: Option<&Node>, path: &[String]) -> Step<()> {
        let key = path.join(".");
        let refuse =
            |message: String, label: String| Err(self.finding(self.whole(), message, label));
        match below {
            Below::Refused(why) => refuse(format!("`{key}` {why}"), "write it in the file".into()),
            Below::Secret(_) => refuse(
                format!("`{key}` is a secret and is never set directly"),
                format!("name the variable that holds it in `{}__ENV`", self.variable),
            ),
            Below::Fields(fields) => {
                let example = fields.first().map_or("", |field| field.name).to_ascii_uppercase();
                refuse(
                    format!("`{key}` holds several keys"),
                    format!("name one of them, such as `{}__{example}`", self.variable),
                )
            }
            Below::Names(what, _) => refuse(
                format!("`{key}` holds several keys"),
                format!("go on with the name of a {what}"),
            ),
            Below::Settings => refuse(
                format!("`{key}` holds several keys"),
                "go on with the name of a setting".into(),
            ),
            Below::Leaf | Below::LeafOrFields(_) => match node.map(|node| &node.kind) {
                Some(Kind::Map(_) | Kind::List(_)) => refuse(
                    format!("`{key}` is more than one text in the file"),
                    "a variable overrides single texts only".into(),
                ),
                Some(Kind::Scalar(_)) | None => Ok(()),
            },
        }
    }

    fn whole(&self) -> Span {
        Span::new(0, self.variable.len())
    }

    fn finding(&self, span: Span, message: String, label: impl Into<String>) -> Box<Diagnostic> {
        let at = Location { file: Arc::clone(&self.file), span };
        Box::new(Diagnostic::error(codes::ENVIRONMENT, at, message).label(label))
    }

    fn unknown(&self, key: &str, span: Span, what: &str, known: &[String]) -> Box<Diagnostic> {
        let message = format!("`{}` names no {what} of the configuration", self.variable);
        let finding = self.finding(span, message, "");
        let label = match diag::nearest(key, &known.iter().map(String::as_str).collect::<Vec<_>>())
        {
            Some(name) => format!("did you mean `{name}`?"),
            None if known.is_empty() => format!("the file has no {what} to override"),
            None => format!("known here: {}", known.join(", ")),
        };
        Box::new(finding.label(label))
    }

    fn clash(&self, other: &Override) -> Diagnostic {
        let message = format!("two variables set `{}`", other.path.join("."));
        let other = other.at.file.name.clone();
        *self.finding(self.whole(), message, format!("{other} sets it too"))
    }
}

fn below_of(shape: &'static Shape) -> Below {
    match shape {
        Shape::Leaf | Shape::LeafOrList => Below::Leaf,
        Shape::Map(fields) => Below::Fields(fields),
        Shape::LeafOrMap(fields) => Below::LeafOrFields(fields),
        Shape::Secret(fields) => Below::Secret(fields),
        Shape::Named(what, fields) => Below::Names(what, fields),
        Shape::Settings => Below::Settings,
        Shape::List | Shape::ListOf(_) => Below::Refused("is a list, which no variable sets"),
        Shape::Opaque => Below::Refused("is a table, which no variable sets"),
    }
}

fn names_of(node: Option<&Node>) -> Vec<&str> {
    let entries = node.and_then(Node::entries).unwrap_or_default();
    entries.iter().map(|(name, _)| name.text.as_str()).collect()
}

/// How a name is written in a variable: upper case, and `_` for `-`, which no shell takes.
fn spelled(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests;
