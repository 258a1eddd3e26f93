//! `examples:`, the vendor page's own samples and what they mean.

use crate::diag::Span;
use crate::mapping::syntax::answer::pairs_of;
use crate::mapping::syntax::keys::{text_of, texts_of};
use crate::mapping::syntax::{Findings, Keys, Named};
use crate::yaml::{Kind, Node};

/// One example: a request, an answer, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Its name.
    pub name: Named,
    /// The operation, where the messages do not tell.
    pub operation: Option<Named>,
    /// Settings for it.
    pub with: Vec<(Named, Named)>,
    /// Header fields that the vendor's page left out.
    pub added: Vec<Named>,
    /// A request: start line, headers, blank line, body.
    pub send: Option<ExampleText>,
    /// The record that it reads to, or `fault: name`.
    pub means: Option<(Vec<(Named, Named)>, Span)>,
    /// An answer: status, headers, blank line, body.
    pub receive: Option<ExampleText>,
    /// The record that it reads to, or `fault: name`.
    pub gives: Option<(Vec<(Named, Named)>, Span)>,
}

/// A message of an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExampleText {
    /// The message as it stands there.
    pub text: String,
    /// The place of its key.
    pub span: Span,
}

impl Example {
    /// Reads the list under `examples:`.
    pub(super) fn parse_list(node: &Node, findings: &mut Findings) -> Vec<Self> {
        match &node.kind {
            Kind::List(items) => items.iter().map(|item| Self::parse(item, findings)).collect(),
            Kind::Map(_) | Kind::Scalar(_) => {
                let found = format!("`examples` is a list, found {}", node.kind_name());
                let span = node.headline(&findings.file);
                findings.error("M001", span, found, "each example begins with `- name:`");
                Vec::new()
            }
        }
    }

    fn parse(node: &Node, findings: &mut Findings) -> Self {
        let mut keys = Keys::of(node, "an example", findings);
        let name = keys.text("name", findings);
        let operation = keys.text("operation", findings);
        let with = keys.take("with").map(|node| pairs_of(node, "with", findings));
        let added = keys.take("added").map(|node| texts_of(node, "added", findings));
        let send = message(&mut keys, "send", findings);
        let means = record(&mut keys, "means", findings);
        let receive = message(&mut keys, "receive", findings);
        let gives = record(&mut keys, "gives", findings);
        let span = keys.span;
        keys.finish(findings);
        for (left, right, there) in [
            ("send", "means", (send.is_some(), means.is_some())),
            ("receive", "gives", (receive.is_some(), gives.is_some())),
        ] {
            if there.0 != there.1 {
                let message = format!("`{left}` and `{right}` belong together");
                findings.error("M001", span, message, "the other one is missing");
            }
        }
        if send.is_none() && receive.is_none() {
            findings.error("M001", span, "an example has `send` or `receive`", "");
        }
        Self {
            name: name.unwrap_or_else(|| Named::new("an example", span)),
            operation,
            with: with.unwrap_or_default(),
            added: added.unwrap_or_default(),
            send,
            means,
            receive,
            gives,
        }
    }

    /// True if a fault is what the pairs speak of.
    pub fn fault_of(pairs: &[(Named, Named)]) -> Option<&Named> {
        pairs.iter().find(|(name, _)| name.text == "fault").map(|(_, value)| value)
    }
}

fn message(keys: &mut Keys<'_>, key: &'static str, findings: &mut Findings) -> Option<ExampleText> {
    let (name, node) = keys.entry(key)?;
    let text = text_of(node, key, findings)?;
    Some(ExampleText { text: text.text, span: name.span })
}

fn record(
    keys: &mut Keys<'_>,
    key: &'static str,
    findings: &mut Findings,
) -> Option<(Vec<(Named, Named)>, Span)> {
    let (name, node) = keys.entry(key)?;
    Some((pairs_of(node, key, findings), name.span))
}
