//! A whole mapping file, as written.

use std::sync::Arc;

use crate::diag::{Diagnostic, SourceFile, Span};
use crate::mapping::syntax::answer::pairs_of;
use crate::mapping::syntax::keys::{entries_of, texts_of};
use crate::mapping::syntax::message::take_places;
use crate::mapping::syntax::{
    Arrowed, Example, Faults, Findings, Keys, Named, PlaceValue, Poll, Request, Session, Step,
    Success, Template, parse_arrow_list, tree,
};
use crate::yaml::{Kind, Node};

/// The `mapping:` number that this program reads.
const VERSION: &str = "1";

/// One vendor's mapping file.
#[derive(Debug)]
pub struct File {
    /// The file itself.
    pub source: Arc<SourceFile>,
    /// The vendor's name.
    pub vendor: Named,
    /// The vendor's name as people say it.
    pub title: Option<Named>,
    /// What an upstream or a route fills in.
    pub settings: Vec<SettingDecl>,
    /// What values look like.
    pub formats: Vec<(Named, Named)>,
    /// Prefixes of the client's side.
    pub prefixes: Vec<Named>,
    /// XML prefixes with their namespaces.
    pub namespaces: Vec<(Named, Named)>,
    /// Wire texts and words.
    pub tables: Vec<Table>,
    /// The operations.
    pub operations: Vec<Operation>,
    /// Faults of operations that have none of their own, and of calls before their operation is known.
    pub faults: Option<Faults>,
    /// How an upstream tells its limits.
    pub limits: Option<Limits>,
    /// How to log in.
    pub session: Option<Session>,
    /// The vendor page's samples.
    pub examples: Vec<Example>,
}

/// `settings: {name: type}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingDecl {
    /// The name without `$`.
    pub name: Named,
    /// The type's name.
    pub kind: Named,
}

/// A table of wire texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: Named,
    /// True if wire texts are read without case; `None` if it does not say.
    pub ignore_case: Option<bool>,
    /// Its rows.
    pub rows: Vec<TableRow>,
}

/// `wire: word <- other words`, or the long form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRow {
    /// The text on the wire.
    pub wire: Named,
    /// The words.
    pub means: Arrowed,
    /// Further members that are written with the row.
    pub with: Vec<(Named, PlaceValue)>,
    /// True if no page attests it.
    pub unverified: bool,
}

/// One operation of the vocabulary, as this vendor has it.
#[derive(Debug)]
pub struct Operation {
    /// Its name in the vocabulary.
    pub name: Named,
    /// Its request.
    pub request: Option<Request>,
    /// Its answer.
    pub success: Option<Success>,
    /// Its faults.
    pub faults: Option<Faults>,
    /// Look-ups before the call.
    pub steps: Vec<Step>,
    /// How to ask for a later answer.
    pub poll: Option<Poll>,
}

/// `limits:`, the header fields that tell what is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Header and codec of the remaining calls.
    pub remaining: Option<(Named, Option<Named>)>,
    /// Header and codec of the reset time.
    pub reset: Option<(Named, Option<Named>)>,
    /// `headers:`, header fields of every answer.
    pub headers: Vec<(Template, PlaceValue)>,
}

impl File {
    /// Reads a mapping file. `None` if it cannot be read as one at all; findings say why.
    pub fn parse(source: &Arc<SourceFile>, findings: &mut Findings) -> Option<Self> {
        let root = findings.load(source)?;
        let mut keys = Keys::of(&root, "a mapping", findings);
        if !version_fits(&mut keys, findings) {
            return None;
        }
        let vendor = keys.text("vendor", findings);
        if vendor.is_none() {
            let start = Span::new(root.span.start, root.span.start);
            findings.error("M001", start, "a mapping without `vendor:`", "name the vendor");
        }
        let file = Self {
            source: Arc::clone(source),
            vendor: vendor.unwrap_or_else(|| Named::new("?", root.span)),
            title: keys.text("title", findings),
            settings: settings_of(keys.take("settings"), findings),
            formats: pairs_at(&mut keys, "formats", findings),
            prefixes: keys
                .take("prefixes")
                .map(|node| texts_of(node, "prefixes", findings))
                .unwrap_or_default(),
            namespaces: pairs_at(&mut keys, "ns", findings),
            tables: tables_of(keys.take("tables"), findings),
            faults: keys.take("faults").map(|node| Faults::parse(node, findings)),
            limits: keys.take("limits").map(|node| Limits::parse(node, findings)),
            session: keys
                .entry("session")
                .map(|(key, node)| Session::parse(node, key.span, findings)),
            examples: keys
                .take("examples")
                .map(|node| Example::parse_list(node, findings))
                .unwrap_or_default(),
            operations: keys
                .rest()
                .filter(|(_, node)| is_operation(node))
                .map(|(name, node)| {
                    Operation::parse(Named::new(name.text.clone(), name.span), node, findings)
                })
                .collect(),
        };
        report_unknown(&keys, findings);
        Some(file)
    }
}

/// Anything with a request, success or faults is meant as an operation.
fn is_operation(node: &Node) -> bool {
    ["request", "success", "faults"].iter().any(|key| node.get(key).is_some())
}

fn report_unknown(keys: &Keys<'_>, findings: &mut Findings) {
    const KNOWN: [&str; 12] = [
        "mapping", "vendor", "title", "settings", "formats", "prefixes", "ns", "tables", "faults",
        "limits", "session", "examples",
    ];
    for (name, _) in keys.rest().filter(|(_, node)| !is_operation(node)) {
        let message = format!("unknown key `{}` in a mapping", name.text);
        let finding = Diagnostic::error("M001", findings.at(name.span), message)
            .suggest(&name.text, KNOWN)
            .note("an operation has `request:`, `success:` and `faults:`");
        findings.list.push(finding);
    }
}

/// M019: the number that says which language this is.
fn version_fits(keys: &mut Keys<'_>, findings: &mut Findings) -> bool {
    let span = Span::new(keys.span.start, keys.span.end);
    match keys.text("mapping", findings) {
        Some(number) if number.text == VERSION => true,
        Some(number) => {
            let message = format!("`mapping: {}` is not supported", number.text);
            findings.error("M019", number.span, message, "this program reads `mapping: 1`");
            false
        }
        None => {
            findings.error(
                "M019",
                span,
                "no `mapping:` number",
                "begin the file with `mapping: 1`",
            );
            false
        }
    }
}

fn pairs_at(
    keys: &mut Keys<'_>,
    key: &'static str,
    findings: &mut Findings,
) -> Vec<(Named, Named)> {
    keys.take(key).map(|node| pairs_of(node, key, findings)).unwrap_or_default()
}

fn settings_of(node: Option<&Node>, findings: &mut Findings) -> Vec<SettingDecl> {
    let Some(node) = node else { return Vec::new() };
    pairs_of(node, "settings", findings)
        .into_iter()
        .map(|(name, kind)| SettingDecl { name, kind })
        .collect()
}

fn tables_of(node: Option<&Node>, findings: &mut Findings) -> Vec<Table> {
    let Some(node) = node else { return Vec::new() };
    entries_of(node, "tables", "write `name: {wire: word}`", findings)
        .iter()
        .map(|(name, rows)| Table::parse(Named::new(name.text.clone(), name.span), rows, findings))
        .collect()
}

impl Table {
    /// Reads a table's rows, also where a configuration replaces them.
    pub fn parse(name: Named, node: &Node, findings: &mut Findings) -> Self {
        let Some(entries) = node.entries() else {
            let found = format!("a table is a map of rows, found {}", node.kind_name());
            findings.error("M001", node.headline(&findings.file), found, "write `wire: word`");
            return Self { name, ignore_case: None, rows: Vec::new() };
        };
        let mut ignore_case = None;
        let mut rows = Vec::new();
        for (wire, value) in entries {
            if wire.text == "ignore_case" {
                ignore_case = match value.scalar().map(|scalar| scalar.text.as_str()) {
                    Some("true") => Some(true),
                    Some("false") => Some(false),
                    Some(_) | None => {
                        let message = "`ignore_case` beside a table's rows is true or false";
                        findings.error("M001", value.headline(&findings.file), message, "");
                        None
                    }
                };
                continue;
            }
            tree::retyped(wire, findings);
            let wire = Named::new(wire.text.clone(), wire.span);
            rows.extend(TableRow::parse(wire, value, findings));
        }
        Self { name, ignore_case, rows }
    }
}

impl TableRow {
    fn parse(wire: Named, node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.kind {
            Kind::Scalar(scalar) if scalar.is_null() => {
                let message = format!("unknown key `{}` in a table: a row needs a word", wire.text);
                let finding = Diagnostic::error("M001", findings.at(wire.span), message).note(
                    "a row with a comma must be quoted in YAML's flow style: \
                     {closed: \"closed <- cancelled, rejected\"}",
                );
                findings.list.push(finding);
                None
            }
            Kind::Scalar(scalar) => {
                let means = parse_arrow_list(scalar, findings);
                Some(Self { wire, means, with: Vec::new(), unverified: false })
            }
            Kind::Map(_) => {
                let mut keys = Keys::of(node, "a table row", findings);
                let means = keys.take("means").and_then(Node::scalar);
                let means = means.map(|scalar| parse_arrow_list(scalar, findings));
                let with = keys.take("with").map(|node| with_of(node, findings));
                let unverified = keys.flag("unverified", findings);
                let span = keys.span;
                keys.finish(findings);
                if means.is_none() {
                    findings.error("M001", span, "a table row without `means:`", "name a word");
                }
                Some(Self { wire, means: means?, with: with.unwrap_or_default(), unverified })
            }
            Kind::List(_) => {
                let span = node.headline(&findings.file);
                let label = "write `wire: word <- other, another`";
                findings.error("M001", span, "a table row is a text or a map", label);
                None
            }
        }
    }
}

fn with_of(node: &Node, findings: &mut Findings) -> Vec<(Named, PlaceValue)> {
    node.entries()
        .unwrap_or(&[])
        .iter()
        .filter_map(|(name, value)| {
            let value = match value.scalar() {
                // `$setting` without brackets is short for the hole `<$setting>`.
                Some(scalar) if scalar.text.starts_with('$') => PlaceValue::setting(scalar),
                _ => PlaceValue::parse(value, findings)?,
            };
            Some((Named::new(name.text.clone(), name.span), value))
        })
        .collect()
}

impl Operation {
    fn parse(name: Named, node: &Node, findings: &mut Findings) -> Self {
        let mut keys = Keys::of(node, "an operation", findings);
        let request = keys.take("request").map(|node| Request::parse(node, "`request`", findings));
        let success = keys.take("success").map(|node| Success::parse(node, findings));
        let faults = keys.take("faults").map(|node| Faults::parse(node, findings));
        let steps = keys.take("steps").and_then(Node::entries).unwrap_or(&[]);
        let steps = steps
            .iter()
            .map(|(name, node)| {
                Step::parse(Named::new(name.text.clone(), name.span), node, findings)
            })
            .collect();
        let poll = keys.take("poll").map(|node| Poll::parse(node, findings));
        keys.finish(findings);
        for (block, missing) in [("request", request.is_none()), ("success", success.is_none())] {
            if missing {
                let message = format!("the operation `{}` has no `{block}:`", name.text);
                findings.error("M001", name.span, message, "");
            }
        }
        Self { name, request, success, faults, steps, poll }
    }
}

impl Limits {
    fn parse(node: &Node, findings: &mut Findings) -> Self {
        let mut keys = Keys::of(node, "`limits`", findings);
        let remaining = keys.take("remaining").and_then(|node| header_of(node, findings));
        let reset = keys.take("reset").and_then(|node| header_of(node, findings));
        let headers = take_places(&mut keys, "headers", findings);
        keys.finish(findings);
        Self { remaining, reset, headers }
    }
}

fn header_of(node: &Node, findings: &mut Findings) -> Option<(Named, Option<Named>)> {
    let mut keys = Keys::of(node, "a limit's header", findings);
    let header = keys.text("header", findings);
    let codec = keys.text("as", findings);
    let span = keys.span;
    keys.finish(findings);
    if header.is_none() {
        findings.error("M001", span, "`header:` is missing", "name the header field");
    }
    Some((header?, codec))
}
