//! The vocabulary, ready for mappings to refer to.

use std::sync::Arc;

use crate::diag::{Diagnostic, SourceFile};
use crate::mapping::model::{
    Field, GatewayField, Hole, OperationDef, OperationKind, OrElse, Pattern, Piece, Slot, Type,
    Vocabulary, WordType,
};
use crate::mapping::syntax::{
    self, FieldDecl, Findings, LiteralKind, OrValue, Part, Template, VocabularyFile,
};
use crate::value::Fault;

/// Fields of one request or answer; a field's index fits a byte with room to spare.
const FIELDS_MAX: usize = 64;

/// Reads and compiles `vocabulary.yaml`.
///
/// # Errors
/// Everything that is wrong with it, if there is an error among it.
pub fn compile_vocabulary(source: &Arc<SourceFile>) -> Result<Vocabulary, Vec<Diagnostic>> {
    let mut findings = Findings::new(source);
    let Some(file) = VocabularyFile::parse(source, &mut findings) else {
        return Err(findings.list);
    };
    let vocabulary = vocabulary(&file, source, &mut findings);
    if crate::diag::has_errors(&findings.list) { Err(findings.list) } else { Ok(vocabulary) }
}

fn vocabulary(
    file: &VocabularyFile,
    source: &Arc<SourceFile>,
    findings: &mut Findings,
) -> Vocabulary {
    let mut vocabulary = Vocabulary {
        source: Arc::clone(source),
        types: file
            .types
            .iter()
            .map(|declared| WordType {
                name: declared.name.text.clone(),
                words: declared.words.iter().map(|word| word.text.clone()).collect(),
                at: declared.words.iter().map(|word| findings.at(word.span)).collect(),
            })
            .collect(),
        operations: Vec::new(),
        secrets: file.secrets.iter().map(|name| name.text.clone()).collect(),
        gateway: file.gateway.iter().filter_map(|name| gateway_field(name, findings)).collect(),
        texts: vec![None; Fault::ALL.len()],
    };
    for declared in &file.operations {
        let operation = operation(&vocabulary, declared, findings);
        vocabulary.operations.push(operation);
    }
    for (name, template) in &file.texts {
        let Some(fault) = Fault::by_name(&name.text) else {
            let message = format!("no fault named `{}`", name.text);
            let known = Fault::ALL.iter().map(|fault| fault.name());
            findings.unknown("M002", name.span, message, &name.text, known);
            continue;
        };
        vocabulary.texts[fault.index()] = Some(text(&vocabulary, template, findings));
    }
    for fault in Fault::ALL.iter().filter(|fault| fault.is_root()) {
        if vocabulary.texts[fault.index()].is_none() {
            let at = findings.at(crate::diag::Span::new(0, 0));
            let message = format!("`texts:` has no text for the fault `{fault}`");
            findings.list.push(Diagnostic::error("M008", at, message));
        }
    }
    vocabulary
}

fn gateway_field(name: &syntax::Named, findings: &mut Findings) -> Option<GatewayField> {
    let field = GatewayField::ALL.iter().copied().find(|field| field.name() == name.text);
    if field.is_none() {
        let message = format!("the gateway has no field named `{}`", name.text);
        let known = GatewayField::ALL.iter().map(|field| field.name());
        findings.unknown("M002", name.span, message, &name.text, known);
    }
    field
}

fn operation(
    vocabulary: &Vocabulary,
    declared: &syntax::OperationDecl,
    findings: &mut Findings,
) -> OperationDef {
    let kinds = OperationKind::ALL.iter().map(|(name, _)| *name);
    let kind = match &declared.kind {
        Some(name) => {
            let kind = OperationKind::by_name(&name.text);
            if kind.is_none() {
                let message = format!("no kind of operation named `{}`", name.text);
                findings.unknown("M002", name.span, message, &name.text, kinds);
            }
            kind
        }
        None => {
            let message = format!("the operation `{}` has no `kind:`", declared.name.text);
            findings.error("M001", declared.name.span, message, "write, read, log_in, …");
            None
        }
    };
    OperationDef {
        name: declared.name.text.clone(),
        kind: kind.unwrap_or(OperationKind::Write),
        request: fields(vocabulary, &declared.request, findings),
        answer: fields(vocabulary, &declared.answer, findings),
    }
}

fn fields(vocabulary: &Vocabulary, declared: &[FieldDecl], findings: &mut Findings) -> Vec<Field> {
    if let Some(extra) = declared.get(FIELDS_MAX) {
        let message = format!("more than {FIELDS_MAX} fields");
        findings.error("M001", extra.name.span, message, "");
    }
    declared
        .iter()
        .take(FIELDS_MAX)
        .map(|field| {
            let kind = vocabulary.type_by_name(&field.kind.text);
            if kind.is_none() {
                let message = format!("no type named `{}`", field.kind.text);
                let own = ["id", "user_id", "text", "int", "time", "bool", "secret", "raw"];
                let words = vocabulary.types.iter().map(|kind| kind.name.as_str());
                let known = own.into_iter().chain(words);
                findings.unknown("M002", field.kind.span, message, &field.kind.text, known);
            }
            Field {
                name: field.name.text.clone(),
                kind: kind.unwrap_or(Type::Text),
                required: field.required,
            }
        })
        .collect()
}

/// The text of a fault: only the gateway's fields stand in it.
fn text(vocabulary: &Vocabulary, template: &Template, findings: &mut Findings) -> Pattern {
    let mut pieces = Vec::new();
    for part in &template.parts {
        match part {
            Part::Literal(text) => pieces.push(Piece::Text(text.text.as_str().into())),
            Part::Hole(hole) => {
                let name = &hole.name.text;
                let known = &vocabulary.gateway;
                let Some(field) = known.iter().copied().find(|field| field.name() == name) else {
                    let message = format!("no field of the gateway is named `{name}`");
                    let known = known.iter().map(|field| field.name());
                    findings.unknown("M002", hole.name.span, message, name, known);
                    continue;
                };
                pieces.push(Piece::Hole(Hole {
                    slot: Slot::Gateway(field),
                    name: name.clone(),
                    kind: field.kind(),
                    table: None,
                    codec: None,
                    or: text_or(hole, findings),
                    format: None,
                    in_path: false,
                    at: findings.at(hole.span),
                }));
            }
        }
    }
    Pattern { pieces, at: findings.at(template.span) }
}

/// What stands in a fault's text for a field that is not known.
fn text_or(hole: &syntax::Hole, findings: &mut Findings) -> OrElse {
    for name in [&hole.codec, &hole.table].into_iter().flatten() {
        let message = format!("`{}` cannot be used in the text of a fault", name.text);
        findings.error("M012", name.span, message, "write the hole without it");
    }
    let Some(or) = &hole.or else { return OrElse::Absent };
    match &or.value {
        OrValue::None => OrElse::Absent,
        OrValue::Literal(literal) if literal.kind == LiteralKind::Text => {
            OrElse::Literal(literal.clone())
        }
        OrValue::Literal(_) | OrValue::Setting(_) | OrValue::Request(_) => {
            let message = "only a text or `none` can stand for a field in the text of a fault";
            findings.error("M012", or.span, message, "write a text between quotes");
            OrElse::Absent
        }
    }
}
