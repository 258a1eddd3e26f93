//! Requests, answers and faults of one operation, as written.

use crate::diag::Span;
use crate::mapping::syntax::keys::{text_of, texts_of};
use crate::mapping::syntax::{
    Arrow, Arrowed, Findings, Keys, Literal, Named, PlaceValue, Template, Tree, parse_arrow_list,
};
use crate::yaml::{Kind, Node};

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

/// `success:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Success {
    /// Status codes, the written one first.
    pub codes: Vec<(u16, Span)>,
    /// Header fields.
    pub headers: Vec<(Template, PlaceValue)>,
    /// The body's forms.
    pub bodies: Bodies,
    /// What the answer says where no body says it.
    pub gives: Vec<(Named, Named)>,
    /// True if no page attests it.
    pub unverified: bool,
    /// The block's place.
    pub span: Span,
}

/// A condition of a fault row that may count in one direction only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Native {
    /// Whether it is demanded when reading and used when writing.
    pub arrow: Arrow,
    /// The vendor's code as it stands in the body.
    pub code: Literal,
    /// Its place.
    pub span: Span,
}

/// One row of `faults:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRow {
    /// Whether the status is demanded when reading and used when writing.
    pub http_arrow: Arrow,
    /// Status codes, the written one first.
    pub http: Vec<(u16, Span)>,
    /// The vendor's own code.
    pub native: Option<Native>,
    /// What `<message>` begins with.
    pub text: Option<Named>,
    /// A JSONPath that must select something that is not null.
    pub when: Option<Named>,
    /// What it means.
    pub means: Arrowed,
    /// What is written for `<message>`.
    pub say: Option<Template>,
    /// A body of its own.
    pub bodies: Bodies,
    /// Header fields of its own.
    pub headers: Vec<(Template, PlaceValue)>,
    /// True if no page attests it.
    pub unverified: bool,
    /// The row's place.
    pub span: Span,
}

/// `faults:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    /// The body of rows that have none of their own.
    pub bodies: Bodies,
    /// Header fields of every fault.
    pub headers: Vec<(Template, PlaceValue)>,
    /// Where the vendor's code sits, if the body does not say it.
    pub find: Option<Named>,
    /// True if native codes are compared without case.
    pub ignore_case: bool,
    /// The rows.
    pub rows: Vec<FaultRow>,
    /// The place of the key `rows:`, or of the block where it is missing.
    pub rows_span: Span,
}

/// One look-up before the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The name under which its values are known.
    pub name: Named,
    /// Verb and path.
    pub line: Option<Line>,
    /// Path of the list to search.
    pub list: Option<Named>,
    /// Member paths with the text that they must equal.
    pub conditions: Vec<(Named, Template)>,
    /// Names with the member paths that they take.
    pub take: Vec<(Named, Named)>,
    /// The fault if nothing is found.
    pub none: Option<Named>,
}

/// `poll:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// The status that says "ask again".
    pub code: Option<(u16, Span)>,
    /// Where the address sits.
    pub at: Option<Named>,
    /// How long to wait between two questions.
    pub every: Option<Named>,
    /// The status of an unfinished job.
    pub running: Option<(u16, Span)>,
    /// The status codes of a finished job.
    pub done: Vec<(u16, Span)>,
}

impl Line {
    fn parse(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Some(scalar) = node.scalar() else {
            let found = format!("`line` is a text, found {}", node.kind_name());
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
    fn take(keys: &mut Keys<'_>, row: bool, findings: &mut Findings) -> Self {
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
fn is_condition(node: &Node) -> bool {
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
fn named_places(
    node: &Node,
    what: &'static str,
    findings: &mut Findings,
) -> Vec<(Template, PlaceValue)> {
    let Some(entries) = node.entries() else {
        let found = format!("`{what}` is a map, found {}", node.kind_name());
        findings.error("M001", node.headline(&findings.file), found, "write `name: value`");
        return Vec::new();
    };
    entries
        .iter()
        .filter_map(|(key, value)| {
            let name = Template::parse(key, findings);
            Some((name, PlaceValue::parse(value, findings)?))
        })
        .collect()
}

fn take_places(
    keys: &mut Keys<'_>,
    key: &'static str,
    findings: &mut Findings,
) -> Vec<(Template, PlaceValue)> {
    keys.take(key).map(|node| named_places(node, key, findings)).unwrap_or_default()
}

/// One status code or a list of them.
fn codes_of(node: &Node, findings: &mut Findings) -> (Arrow, Vec<(u16, Span)>) {
    let texts = texts_of(node, "code", findings);
    let mut arrow = Arrow::Both;
    let codes = texts.into_iter().filter_map(|text| {
        let digits = match (text.text.strip_prefix("<- "), text.text.strip_prefix("-> ")) {
            (Some(digits), _) => {
                arrow = Arrow::Write;
                digits
            }
            (None, Some(digits)) => {
                arrow = Arrow::Read;
                digits
            }
            (None, None) => text.text.as_str(),
        };
        match digits.parse() {
            Ok(code @ 200..=599) => Some((code, text.span)),
            _ => {
                let message = format!("`{digits}` is no status code of an answer");
                findings.error("M001", text.span, message, "a number from 200 to 599");
                None
            }
        }
    });
    let codes = codes.collect();
    (arrow, codes)
}

impl Select {
    fn parse(node: &Node, findings: &mut Findings) -> Option<Self> {
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

fn parts_of(node: &Node, findings: &mut Findings) -> Vec<(Named, Template)> {
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

impl Success {
    pub(super) fn parse(node: &Node, findings: &mut Findings) -> Self {
        let mut keys = Keys::of(node, "`success`", findings);
        let codes = keys.take("code").map(|node| codes_of(node, findings).1).unwrap_or_default();
        let headers = take_places(&mut keys, "headers", findings);
        let bodies = Bodies::take(&mut keys, false, findings);
        let gives = keys.take("gives").map(|node| pairs_of(node, "gives", findings));
        let unverified = keys.flag("unverified", findings);
        let span = keys.span;
        keys.finish(findings);
        if codes.is_empty() {
            findings.error("M001", span, "`success` needs a `code:`", "such as `code: 200`");
        }
        Self { codes, headers, bodies, gives: gives.unwrap_or_default(), unverified, span }
    }
}

/// A map of names to texts.
pub(super) fn pairs_of(
    node: &Node,
    what: &'static str,
    findings: &mut Findings,
) -> Vec<(Named, Named)> {
    let Some(entries) = node.entries() else {
        let found = format!("`{what}` is a map, found {}", node.kind_name());
        findings.error("M001", node.headline(&findings.file), found, "write `name: value`");
        return Vec::new();
    };
    entries
        .iter()
        .filter_map(|(key, value)| {
            let name = Named::new(key.text.clone(), key.span);
            Some((name, text_of(value, what, findings)?))
        })
        .collect()
}

impl FaultRow {
    fn parse(node: &Node, findings: &mut Findings) -> Option<Self> {
        let mut keys = Keys::of(node, "a fault row", findings);
        let (http_arrow, http) = match keys.take("http") {
            Some(node) => codes_of(node, findings),
            None => (Arrow::Both, Vec::new()),
        };
        let native = keys.take("native").and_then(|node| native_of(node, findings));
        let bodies = Bodies::take(&mut keys, true, findings);
        let text = keys
            .take("text")
            .filter(|node| is_condition(node))
            .and_then(|node| text_of(node, "text", findings));
        let when = keys.text("when", findings);
        let means = keys.take("means");
        let say = keys
            .take("say")
            .and_then(|node| node.scalar().map(|scalar| Template::parse(scalar, findings)));
        let headers = take_places(&mut keys, "headers", findings);
        let unverified = keys.flag("unverified", findings);
        let span = keys.span;
        keys.finish(findings);
        let Some(means) = means.and_then(Node::scalar) else {
            findings.error("M001", span, "a fault row without `means:`", "say which fault it is");
            return None;
        };
        let means = parse_arrow_list(means, findings);
        Some(Self {
            http_arrow,
            http,
            native,
            text,
            when,
            means,
            say,
            bodies,
            headers,
            unverified,
            span,
        })
    }

    /// True if the row is tried when an answer is read.
    pub fn reads(&self) -> bool {
        self.means.reads.is_some()
    }
}

fn native_of(node: &Node, findings: &mut Findings) -> Option<Native> {
    match PlaceValue::parse(node, findings)? {
        PlaceValue::Literal(arrow, code, span) => Some(Native { arrow, code, span }),
        PlaceValue::Text(..) | PlaceValue::Join { .. } => {
            let span = node.headline(&findings.file);
            findings.error("M001", span, "`native` is a code of the vendor's", "without holes");
            None
        }
    }
}

impl Faults {
    pub(super) fn parse(node: &Node, findings: &mut Findings) -> Self {
        let mut keys = Keys::of(node, "`faults`", findings);
        let bodies = Bodies::take(&mut keys, false, findings);
        let headers = take_places(&mut keys, "headers", findings);
        let find = keys.text("find", findings);
        let ignore_case = keys.flag("ignore_case", findings);
        let span = keys.span;
        let rows = keys.entry("rows");
        keys.finish(findings);
        let rows_span = rows.map_or(span, |(key, _)| key.span);
        let rows = match rows.map(|(_, node)| (node, &node.kind)) {
            Some((_, Kind::List(items))) => {
                items.iter().filter_map(|item| FaultRow::parse(item, findings)).collect()
            }
            Some((node, Kind::Map(_) | Kind::Scalar(_))) => {
                let found = format!("`rows` is a list, found {}", node.kind_name());
                findings.error("M001", rows_span, found, "each row begins with `- `");
                Vec::new()
            }
            None => Vec::new(),
        };
        Self { bodies, headers, find, ignore_case, rows, rows_span }
    }
}

impl Step {
    pub(super) fn parse(name: Named, node: &Node, findings: &mut Findings) -> Self {
        let mut keys = Keys::of(node, "a step", findings);
        let line = Line::take(&mut keys, findings);
        let list = keys.text("list", findings);
        let conditions = keys.take("where").map(|node| parts_of(node, findings));
        let take = keys.take("take").map(|node| pairs_of(node, "take", findings));
        let none = keys.text("none", findings);
        let span = keys.span;
        keys.finish(findings);
        if line.is_none() || list.is_none() || take.is_none() {
            let label = "the other keys are `where` and `none`";
            findings.error("M001", span, "a step needs `line`, `list` and `take`", label);
        }
        Self {
            name,
            line,
            list,
            conditions: conditions.unwrap_or_default(),
            take: take.unwrap_or_default(),
            none,
        }
    }
}

impl Poll {
    pub(super) fn parse(node: &Node, findings: &mut Findings) -> Self {
        let mut keys = Keys::of(node, "`poll`", findings);
        let code = keys.take("code").map(|node| codes_of(node, findings).1);
        let at = keys.text("at", findings);
        let every = keys.text("every", findings);
        let running = keys.take("running").map(|node| codes_of(node, findings).1);
        let done = keys.take("done").map(|node| codes_of(node, findings).1).unwrap_or_default();
        let span = keys.span;
        keys.finish(findings);
        let code = code.and_then(|codes| codes.first().copied());
        let running = running.and_then(|codes| codes.first().copied());
        if code.is_none() || at.is_none() || done.is_empty() {
            let label = "{code: 202, at: $.location, every: 1s, running: 202, done: [200, 503]}";
            findings.error("M001", span, "`poll` needs `code`, `at` and `done`", label);
        }
        Self { code, at, every, running, done }
    }
}
