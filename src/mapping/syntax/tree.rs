//! The trees of bodies: what the author pasted, with holes in it.

use crate::diag::Span;
use crate::mapping::syntax::{Arrow, Findings, Template};
use crate::yaml::{Kind, Node, Scalar};

/// A body's tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    /// Members in the author's order.
    Object(Vec<Member>, Span),
    /// Items in order.
    List(Vec<Tree>, Span),
    /// A literal or a text with holes.
    Value(PlaceValue),
}

/// One member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The name, which may have a hole.
    pub key: Template,
    /// The value.
    pub tree: Tree,
}

/// What stands in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaceValue {
    /// JSON as it is.
    Literal(Arrow, Literal, Span),
    /// A text with holes, or a literal text.
    Text(Arrow, Template),
    /// `{join: "…", as: codec}`: a text of several holes under one codec.
    Join {
        /// The text.
        text: Template,
        /// The codec's name.
        codec: super::Named,
        /// True with `or: none`: it may be absent.
        optional: bool,
    },
}

/// A JSON value that stands in a mapping, as compact text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    /// The JSON text; for a text the content without quotes.
    pub text: String,
    /// What it is.
    pub kind: LiteralKind,
}

/// The kinds of literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiteralKind {
    /// A text.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`.
    Null,
    /// `[]`, `{}` or anything deeper.
    Composite,
}

impl Literal {
    /// A literal text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), kind: LiteralKind::Text }
    }

    /// Reads JSON text as it may stand behind `or`.
    pub fn json(text: &str) -> Option<Self> {
        let value: serde_json::Value = serde_json::from_str(text).ok()?;
        let kind = match &value {
            serde_json::Value::String(content) => return Some(Self::text(content)),
            serde_json::Value::Null => LiteralKind::Null,
            serde_json::Value::Bool(_) => LiteralKind::Bool,
            serde_json::Value::Number(_) => LiteralKind::Number,
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => LiteralKind::Composite,
        };
        Some(Self { text: value.to_string(), kind })
    }

    /// What a scalar without holes stands for: JSON where it is plain and reads as JSON, else a text.
    pub fn of_text(text: &str, plain: bool) -> Self {
        if plain && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
            return Self { text: "null".to_owned(), kind: LiteralKind::Null };
        }
        let looks_json = plain && !text.starts_with(['"', '[', '{']);
        match looks_json.then(|| Self::json(text)).flatten() {
            Some(literal) => Self { text: text.to_owned(), ..literal },
            None => Self::text(text),
        }
    }
}

impl PlaceValue {
    /// Where it stands.
    pub fn span(&self) -> Span {
        match self {
            Self::Literal(_, _, span) => *span,
            Self::Text(_, template) | Self::Join { text: template, .. } => template.span,
        }
    }

    /// Reads a scalar, or the map of a join.
    pub fn parse(node: &Node, findings: &mut Findings) -> Option<Self> {
        if let Some(join) = Self::join(node, findings) {
            return Some(join);
        }
        let Some(scalar) = node.scalar() else {
            let found = format!("a text was expected here, found {}", node.kind_name());
            findings.error("M001", node.headline(&findings.file), found, "");
            return None;
        };
        Some(Self::of_scalar(scalar, findings))
    }

    /// A bare `$setting`, as the rows of a table write it.
    pub(super) fn setting(scalar: &Scalar) -> Self {
        let hole = super::Hole {
            name: super::Named::new(scalar.text.clone(), scalar.span),
            codec: None,
            table: None,
            or: None,
            span: scalar.span,
        };
        let parts = vec![super::Part::Hole(hole)];
        Self::Text(Arrow::Both, Template { parts, span: scalar.span })
    }

    fn of_scalar(scalar: &Scalar, findings: &mut Findings) -> Self {
        retyped(scalar, findings);
        let text = scalar.text.as_str();
        let (arrow, from) = match text {
            text if text.starts_with("-> ") => (Arrow::Read, 3),
            text if text.starts_with("<- ") => (Arrow::Write, 3),
            _ => (Arrow::Both, 0),
        };
        if !text[from..].contains('<') {
            let literal = Literal::of_text(&text[from..], scalar.plain);
            return Self::Literal(arrow, literal, scalar.span);
        }
        Self::Text(arrow, Template::parse_from(scalar, from, findings))
    }

    /// A map is a join if it has the key `join` and nothing that a join does not have.
    fn join(node: &Node, findings: &mut Findings) -> Option<Self> {
        let entries = node.entries()?;
        let joins = entries.iter().any(|(key, _)| key.text == "join")
            && entries.iter().all(|(key, _)| matches!(key.text.as_str(), "join" | "as" | "or"));
        if !joins {
            return None;
        }
        let text = Template::parse(node.get("join")?.scalar()?, findings);
        let codec = node.get("as").and_then(Node::scalar)?;
        let optional = match node.get("or").and_then(Node::scalar) {
            None => false,
            Some(or) if or.text == "none" => true,
            Some(or) => {
                findings.error("M001", or.span, "a join is optional with `or: none`", "");
                false
            }
        };
        let codec = super::Named::new(codec.text.clone(), codec.span);
        Some(Self::Join { text, codec, optional })
    }
}

impl Tree {
    /// Reads a body's tree.
    pub fn parse(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.kind {
            Kind::Map(entries) => {
                if let Some(join) = PlaceValue::join(node, findings) {
                    return Some(Self::Value(join));
                }
                let members = entries
                    .iter()
                    .filter_map(|(key, value)| {
                        let key = Template::parse(key, findings);
                        Some(Member { key, tree: Self::parse(value, findings)? })
                    })
                    .collect();
                Some(Self::Object(members, node.headline(&findings.file)))
            }
            Kind::List(items) => {
                let items = items.iter().filter_map(|item| Self::parse(item, findings)).collect();
                Some(Self::List(items, node.headline(&findings.file)))
            }
            Kind::Scalar(scalar) => Some(Self::Value(PlaceValue::of_scalar(scalar, findings))),
        }
    }
}

/// M105: plain scalars that YAML 1.1 tools read as something else than YAML 1.2 does.
pub(super) fn retyped(scalar: &Scalar, findings: &mut Findings) {
    if !scalar.plain {
        return;
    }
    let text = scalar.text.as_str();
    let as_bool =
        matches!(text.to_ascii_lowercase().as_str(), "y" | "yes" | "n" | "no" | "on" | "off");
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let leading_zero = digits.len() > 1
        && digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let underscored = digits.contains('_')
        && digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let sexagesimal = digits.contains(':')
        && digits
            .split(':')
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    if as_bool || leading_zero || underscored || sexagesimal {
        let message = format!("older YAML tools read `{text}` as something else than a text");
        findings.warning("M105", scalar.span, message, "put it in quotes");
    }
}
