//! Reading a map key by key, so that an unknown key is found and a known one is read once.

use std::sync::Arc;

use crate::diag::{Diagnostic, Location, SourceFile, Span};
use crate::mapping::syntax::Named;
use crate::yaml::{self, Kind, Node, Scalar};

/// Collects findings about one file.
#[derive(Debug)]
pub struct Findings {
    /// The file that spans belong to.
    pub file: Arc<SourceFile>,
    /// What was found so far.
    pub list: Vec<Diagnostic>,
}

impl Findings {
    /// An empty list for a file.
    pub fn new(file: &Arc<SourceFile>) -> Self {
        Self { file: Arc::clone(file), list: Vec::new() }
    }

    /// Reads a file as YAML. M000: what is none, or more than a mapping may be.
    pub(super) fn load(&mut self, source: &Arc<SourceFile>) -> Option<Node> {
        yaml::load(source, "M000", yaml::Most::MAPPING).map_err(|list| self.list.extend(list)).ok()
    }

    /// A place in the file.
    pub fn at(&self, span: Span) -> Location {
        Location { file: Arc::clone(&self.file), span }
    }

    /// Reports an error with a label.
    pub fn error(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        label: &str,
    ) {
        let finding = Diagnostic::error(code, self.at(span), message).label(label);
        self.list.push(finding);
    }

    /// Reports a warning with a label.
    pub fn warning(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        label: &str,
    ) {
        let finding = Diagnostic::warning(code, self.at(span), message).label(label);
        self.list.push(finding);
    }

    /// Reports an unknown name with the nearest known one.
    pub fn unknown<'a>(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        wrong: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) {
        let finding = Diagnostic::error(code, self.at(span), message).suggest(wrong, known);
        self.list.push(finding);
    }
}

/// A map that is read key by key.
#[derive(Debug)]
pub struct Keys<'n> {
    entries: &'n [(Scalar, Node)],
    /// What the map is, for messages: `a fault row`.
    what: &'static str,
    known: Vec<&'static str>,
    /// The place of the whole map.
    pub span: Span,
}

impl<'n> Keys<'n> {
    /// Takes a node that should be a map; reports it and gives an empty one if it is not.
    pub fn of(node: &'n Node, what: &'static str, findings: &mut Findings) -> Self {
        let span = node.headline(&findings.file);
        let entries = match &node.kind {
            Kind::Map(entries) => entries.as_slice(),
            Kind::List(_) | Kind::Scalar(_) => {
                let found = format!("{what} is a map, found {}", node.kind_name());
                findings.error("M001", span, found, "write `key: value` here");
                &[]
            }
        };
        Self { entries, what, known: Vec::new(), span }
    }

    /// The value of a key, if it is there.
    pub fn take(&mut self, key: &'static str) -> Option<&'n Node> {
        self.entry(key).map(|(_, node)| node)
    }

    /// The key's own scalar and its value, if it is there.
    pub fn entry(&mut self, key: &'static str) -> Option<(&'n Scalar, &'n Node)> {
        self.known.push(key);
        self.entries.iter().find(|(name, _)| name.text == key).map(|(name, node)| (name, node))
    }

    /// The text of a key, if it is there.
    pub fn text(&mut self, key: &'static str, findings: &mut Findings) -> Option<Named> {
        let node = self.take(key)?;
        text_of(node, key, findings)
    }

    /// A key that says `true` or `false`; `false` where it is not there.
    pub fn flag(&mut self, key: &'static str, findings: &mut Findings) -> bool {
        let Some(text) = self.text(key, findings) else { return false };
        match text.text.as_str() {
            "true" => true,
            "false" => false,
            other => {
                let found = format!("`{key}` is true or false, found `{other}`");
                findings.error("M001", text.span, found, "");
                false
            }
        }
    }

    /// The entries that no call has asked for.
    pub fn rest(&self) -> impl Iterator<Item = &'n (Scalar, Node)> + '_ {
        self.entries.iter().filter(|(name, _)| !self.known.contains(&name.text.as_str()))
    }

    /// Reports every key that no call has asked for.
    pub fn finish(self, findings: &mut Findings) {
        for (name, node) in self.rest() {
            let message = format!("unknown key `{}` in {}", name.text, self.what);
            let mut finding = Diagnostic::error("M001", findings.at(name.span), message)
                .suggest(&name.text, self.known.iter().copied());
            if node.scalar().is_some_and(Scalar::is_null) {
                finding = finding.note(
                    "a row with a comma must be quoted in YAML's flow style: \
                     {closed: \"closed <- cancelled, rejected\"}",
                );
            }
            findings.list.push(finding);
        }
    }
}

/// The node's text, or a finding if it is none.
pub(super) fn text_of(node: &Node, what: &str, findings: &mut Findings) -> Option<Named> {
    match node.scalar() {
        Some(scalar) => Some(Named::new(scalar.text.clone(), scalar.span)),
        None => {
            let found = format!("`{what}` is a text, found {}", node.kind_name());
            findings.error("M001", node.headline(&findings.file), found, "");
            None
        }
    }
}

/// The node's entries, or a finding and none if it is no map.
pub(super) fn entries_of<'n>(
    node: &'n Node,
    what: &str,
    label: &str,
    findings: &mut Findings,
) -> &'n [(Scalar, Node)] {
    node.entries().unwrap_or_else(|| {
        let found = format!("`{what}` is a map, found {}", node.kind_name());
        findings.error("M001", node.headline(&findings.file), found, label);
        &[]
    })
}

/// One text or a list of texts.
pub(super) fn texts_of(node: &Node, what: &str, findings: &mut Findings) -> Vec<Named> {
    match &node.kind {
        Kind::List(items) => {
            items.iter().filter_map(|item| text_of(item, what, findings)).collect()
        }
        Kind::Scalar(_) | Kind::Map(_) => text_of(node, what, findings).into_iter().collect(),
    }
}
