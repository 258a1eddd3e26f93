//! `mappings/vocabulary.yaml`, as written.

use std::sync::Arc;

use crate::diag::SourceFile;
use crate::mapping::syntax::keys::{text_of, texts_of};
use crate::mapping::syntax::{Findings, Keys, Named, Template};
use crate::yaml::Node;

/// The vocabulary file.
#[derive(Debug)]
pub struct VocabularyFile {
    /// Types whose values are words.
    pub types: Vec<WordTypeDecl>,
    /// The operations.
    pub operations: Vec<OperationDecl>,
    /// Fields that the gateway fills in.
    pub gateway: Vec<Named>,
    /// Fields that are secrets.
    pub secrets: Vec<Named>,
    /// The default text per fault.
    pub texts: Vec<(Named, Template)>,
}

/// `status: {words: […]}`.
#[derive(Debug)]
pub struct WordTypeDecl {
    /// The type's name.
    pub name: Named,
    /// Its words.
    pub words: Vec<Named>,
}

/// One operation of the vocabulary.
#[derive(Debug)]
pub struct OperationDecl {
    /// Its name.
    pub name: Named,
    /// Its kind's name.
    pub kind: Option<Named>,
    /// Fields of the request.
    pub request: Vec<FieldDecl>,
    /// Fields of the answer.
    pub answer: Vec<FieldDecl>,
}

/// `ticket: id!`.
#[derive(Debug)]
pub struct FieldDecl {
    /// The field's name.
    pub name: Named,
    /// The type's name, without `!`.
    pub kind: Named,
    /// True with `!`.
    pub required: bool,
}

impl VocabularyFile {
    /// Reads the vocabulary. `None` if it cannot be read as one at all; findings say why.
    pub fn parse(source: &Arc<SourceFile>, findings: &mut Findings) -> Option<Self> {
        let root = findings.load(source)?;
        let mut keys = Keys::of(&root, "the vocabulary", findings);
        let span = keys.span;
        match keys.text("vocabulary", findings) {
            Some(number) if number.text == "1" => {}
            Some(number) => {
                let message = format!("`vocabulary: {}` is not supported", number.text);
                findings.error("M019", number.span, message, "this program reads `vocabulary: 1`");
                return None;
            }
            None => {
                let label = "begin the file with `vocabulary: 1`";
                findings.error("M019", span, "no `vocabulary:` number", label);
                return None;
            }
        }
        let file = Self {
            types: entries(keys.take("types"))
                .map(|(name, node)| WordTypeDecl::parse(name, node, findings))
                .collect(),
            operations: entries(keys.take("operations"))
                .map(|(name, node)| OperationDecl::parse(name, node, findings))
                .collect(),
            gateway: list(keys.take("gateway"), "gateway", findings),
            secrets: list(keys.take("secrets"), "secrets", findings),
            texts: entries(keys.take("texts"))
                .filter_map(|(name, node)| Some((name, Template::parse(node.scalar()?, findings))))
                .collect(),
        };
        keys.finish(findings);
        Some(file)
    }
}

fn entries(node: Option<&Node>) -> impl Iterator<Item = (Named, &Node)> {
    node.and_then(Node::entries)
        .unwrap_or(&[])
        .iter()
        .map(|(name, node)| (Named::new(name.text.clone(), name.span), node))
}

fn list(node: Option<&Node>, what: &'static str, findings: &mut Findings) -> Vec<Named> {
    node.map(|node| texts_of(node, what, findings)).unwrap_or_default()
}

impl WordTypeDecl {
    fn parse(name: Named, node: &Node, findings: &mut Findings) -> Self {
        let mut keys = Keys::of(node, "a type", findings);
        let words = list(keys.take("words"), "words", findings);
        keys.finish(findings);
        if words.is_empty() || words.len() > 64 {
            findings.error("M001", name.span, "a type has from 1 to 64 words", "words: [open, …]");
        }
        Self { name, words }
    }
}

impl OperationDecl {
    fn parse(name: Named, node: &Node, findings: &mut Findings) -> Self {
        let mut keys = Keys::of(node, "an operation", findings);
        let kind = keys.text("kind", findings);
        let request = fields(keys.take("request"), findings);
        let answer = fields(keys.take("answer"), findings);
        keys.finish(findings);
        Self { name, kind, request, answer }
    }
}

fn fields(node: Option<&Node>, findings: &mut Findings) -> Vec<FieldDecl> {
    entries(node)
        .filter_map(|(name, node)| {
            let kind = text_of(node, "a field's type", findings)?;
            let required = kind.text.ends_with('!');
            let kind = Named::new(kind.text.trim_end_matches('!'), kind.span);
            Some(FieldDecl { name, kind, required })
        })
        .collect()
}
