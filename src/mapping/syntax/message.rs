//! Requests, and the bodies of all messages.

use crate::diag::Span;
use crate::mapping::syntax::keys::{entries_of, texts_of};
use crate::mapping::syntax::{Findings, Keys, Named, PlaceValue, Template, Tree};
use crate::yaml::Node;

/// `line: METHOD /path/<hole>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The verb.
    pub method: Named,
    /// The path with its holes.
    pub path: Template,
    /// The whole line.
    pub span: Span,
}

/// A body's kind and tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyTree {
    /// `json:`
    Json(Tree),
    /// `xml: {root: Name, like: json}` or `xml: {Name: {…}}`.
    Xml {
        /// Name of the root element, prefix included.
        root: Named,
        /// The root's content; `None` for `like: json`, which takes the JSON tree.
        tree: Option<Tree>,
    },
    /// `text:`, the whole body.
    Text(PlaceValue),
    /// `form:`
    Form(Vec<(Template, PlaceValue)>),
}

/// One body with the place of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// Kind and tree.
    pub tree: BodyTree,
    /// The key's place.
    pub span: Span,
}

/// The forms that one body may take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bodies {
    /// In the author's order; the first is written.
    pub list: Vec<Body>,
    /// `accepts:` with braces expanded.
    pub accepts: Vec<Named>,
    /// `type:`, where an answer's media type differs from the kind's own; `none` for no header at all.
    pub media_type: Option<Named>,
}

/// What tells operations apart that share a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Select {
    /// `{member: NAME}`: the JSON body has that member.
    Member(Named),
    /// `{header: NAME, equals: TEXT}`.
    Header(Named, Named),
    /// `{root: NAME}`: the XML body's root element.
    Root(Named),
}

/// `request:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Verb and path.
    pub line: Option<Line>,
    /// Query parameters.
    pub query: Vec<(Template, PlaceValue)>,
    /// Header fields.
    pub headers: Vec<(Template, PlaceValue)>,
    /// Cookies.
    pub cookies: Vec<(Template, PlaceValue)>,
    /// The body's forms.
    pub bodies: Bodies,
    /// What tells this operation from others on its line.
    pub select: Option<Select>,
    /// Fields that are split over several places.
    pub parts: Vec<(Named, Template)>,
    /// True if no page attests it.
    pub unverified: bool,
    /// The block's place.
    pub span: Span,
}

impl Line {
    pub(super) fn parse(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Some(scalar) = node.scalar() else {
            let found = format!("a line is a text, found {}", node.kind_name());
            findings.error("M001", node.headline(&findings.file), found, "METHOD /path/<hole>");
            return None;
        };
        let text = &scalar.text;
        let Some((method, path)) = text.split_once(' ').filter(|(_, path)| path.starts_with('/'))
        else {
            let label = "a line is METHOD /path/<hole>";
            findings.error("M000", scalar.span, format!("`{text}` is no request line"), label);
            return None;
        };
        if http::Method::from_bytes(method.as_bytes()).is_err() || method.to_uppercase() != *method
        {
            let span = scalar.part(0, method.len());
            let message = format!("`{method}` is no HTTP method");
            findings.error("M000", span, message, "methods are written in capitals");
        }
        if let Some(mark) = path.find(['?', '#', ' ']) {
            let at = method.len() + 1 + mark;
            let span = scalar.part(at, at + 1);
            let label = "parameters stand under `query:`";
            let message = format!("`{}` in a line", &path[mark..=mark]);
            if !path[..mark].contains('<') || !inside_hole(path, mark) {
                findings.error("M000", span, message, label);
            }
        }
        Some(Self {
            method: Named::new(method, scalar.part(0, method.len())),
            path: Template::parse_from(scalar, method.len() + 1, findings),
            span: scalar.span,
        })
    }

    /// Reads the key `line` of a block.
    pub(super) fn take(keys: &mut Keys<'_>, findings: &mut Findings) -> Option<Self> {
        keys.take("line").and_then(|node| Self::parse(node, findings))
    }
}

fn inside_hole(path: &str, at: usize) -> bool {
    let open = path[..at].rfind('<');
    let close = path[..at].rfind('>');
    open > close || (open.is_some() && close.is_none())
}

impl Bodies {
    /// Reads the keys of a body; `row` for a fault row, where a `text` without a hole is a condition.
    pub(super) fn take(keys: &mut Keys<'_>, row: bool, findings: &mut Findings) -> Self {
        let mut bodies = Self::default();
        if let Some((key, node)) = keys.entry("json")
            && let Some(tree) = Tree::parse(node, findings)
        {
            bodies.list.push(Body { tree: BodyTree::Json(tree), span: key.span });
        }
        if let Some((key, node)) = keys.entry("xml")
            && let Some(tree) = xml_tree(node, findings)
        {
            bodies.list.push(Body { tree, span: key.span });
        }
        if let Some((key, node)) = keys.entry("text")
            && !(row && is_condition(node))
            && let Some(text) = PlaceValue::parse(node, findings)
        {
            bodies.list.push(Body { tree: BodyTree::Text(text), span: key.span });
        }
        if let Some((key, node)) = keys.entry("form") {
            let tree = BodyTree::Form(named_places(node, "form", findings));
            bodies.list.push(Body { tree, span: key.span });
        }
        bodies.list.sort_by_key(|body| body.span.start);
        if let Some(node) = keys.take("accepts") {
            bodies.accepts =
                texts_of(node, "accepts", findings).iter().flat_map(expand_braces).collect();
        }
        bodies.media_type = keys.text("type", findings);
        bodies
    }
}

/// In a fault row, `text:` without a hole is what the message begins with.
pub(super) fn is_condition(node: &Node) -> bool {
    node.scalar().is_some_and(|scalar| !scalar.text.contains('<'))
}

/// `a{1,2}b` is `a1b` and `a2b`.
fn expand_braces(text: &Named) -> Vec<Named> {
    let Some((head, (choices, tail))) =
        text.text.split_once('{').and_then(|(head, rest)| Some((head, rest.split_once('}')?)))
    else {
        return vec![text.clone()];
    };
    choices
        .split(',')
        .flat_map(|choice| {
            expand_braces(&Named::new(format!("{head}{}{tail}", choice.trim()), text.span))
        })
        .collect()
}

fn xml_tree(node: &Node, findings: &mut Findings) -> Option<BodyTree> {
    let entries = node.entries().unwrap_or(&[]);
    let like = entries.iter().any(|(key, _)| key.text == "like");
    if like {
        let mut keys = Keys::of(node, "an XML body", findings);
        let root = keys.text("root", findings);
        let like = keys.text("like", findings);
        keys.finish(findings);
        if let Some(like) = like
            && like.text != "json"
        {
            findings.error("M001", like.span, "`like:` takes `json`", "");
        }
        return Some(BodyTree::Xml { root: root?, tree: None });
    }
    let [(root, content)] = entries else {
        let label = "write {Root: {…}}, or {root: Root, like: json}";
        let span = node.headline(&findings.file);
        findings.error("M001", span, "an XML body has one root element", label);
        return None;
    };
    let tree = Tree::parse(content, findings)?;
    Some(BodyTree::Xml { root: Named::new(root.text.clone(), root.span), tree: Some(tree) })
}

/// A map of names to places: headers, cookies, query, form.
pub(super) fn named_places(
    node: &Node,
    what: &'static str,
    findings: &mut Findings,
) -> Vec<(Template, PlaceValue)> {
    entries_of(node, what, "write `name: value`", findings)
        .iter()
        .filter_map(|(key, value)| {
            let name = Template::parse(key, findings);
            Some((name, PlaceValue::parse(value, findings)?))
        })
        .collect()
}

pub(super) fn take_places(
    keys: &mut Keys<'_>,
    key: &'static str,
    findings: &mut Findings,
) -> Vec<(Template, PlaceValue)> {
    keys.take(key).map(|node| named_places(node, key, findings)).unwrap_or_default()
}

impl Select {
    pub(super) fn parse(node: &Node, findings: &mut Findings) -> Option<Self> {
        let mut keys = Keys::of(node, "`select`", findings);
        let member = keys.text("member", findings).map(Self::Member);
        let root = keys.text("root", findings).map(Self::Root);
        let header = keys.text("header", findings);
        let equals = keys.text("equals", findings);
        let span = keys.span;
        keys.finish(findings);
        let header = match (header, equals) {
            (Some(header), Some(equals)) => Some(Self::Header(header, equals)),
            (None, None) => None,
            _ => {
                findings.error("M001", span, "`header` and `equals` belong together", "");
                None
            }
        };
        let all: Vec<Self> = [member, root, header].into_iter().flatten().collect();
        if all.len() != 1 {
            let label = "one of {member: …}, {root: …}, {header: …, equals: …}";
            findings.error("M001", span, "`select` names one thing", label);
        }
        all.into_iter().next()
    }
}

impl Request {
    /// Reads `request:` or the like; keys that are not a request's are left in `keys`.
    pub(super) fn take(keys: &mut Keys<'_>, findings: &mut Findings) -> Self {
        let line = Line::take(keys, findings);
        let query = take_places(keys, "query", findings);
        let headers = take_places(keys, "headers", findings);
        let cookies = take_places(keys, "cookies", findings);
        let bodies = Bodies::take(keys, false, findings);
        let select = keys.take("select").and_then(|node| Select::parse(node, findings));
        let parts = keys.take("parts").map(|node| parts_of(node, findings)).unwrap_or_default();
        let unverified = keys.flag("unverified", findings);
        let span = keys.span;
        if line.is_none() {
            findings.error("M001", span, "a request without `line:`", "METHOD /path/<hole>");
        }
        Self { line, query, headers, cookies, bodies, select, parts, unverified, span }
    }

    /// Reads a whole block as a request.
    pub(super) fn parse(node: &Node, what: &'static str, findings: &mut Findings) -> Self {
        let mut keys = Keys::of(node, what, findings);
        let request = Self::take(&mut keys, findings);
        keys.finish(findings);
        request
    }
}

pub(super) fn parts_of(node: &Node, findings: &mut Findings) -> Vec<(Named, Template)> {
    let entries = node.entries().unwrap_or(&[]);
    if entries.is_empty() {
        let span = node.headline(&findings.file);
        findings.error("M001", span, "`parts` is a map", "{ticket: \"<project>#<number>\"}");
    }
    entries
        .iter()
        .filter_map(|(key, value)| {
            let scalar = value.scalar()?;
            let name = Named::new(key.text.clone(), key.span);
            Some((name, Template::parse(scalar, findings)))
        })
        .collect()
}
