//! Operations: M009, M017, M021.

use crate::diag::Diagnostic;
use crate::mapping::model::{Mapping, Operation, OperationKind, OrElse, Pattern, Slot, Vocabulary};

pub(super) fn check(vocabulary: &Vocabulary, mapping: &Mapping, found: &mut Vec<Diagnostic>) {
    for (index, operation) in mapping.operations.iter().enumerate() {
        required_fields(vocabulary, operation, found);
        status_of_write(vocabulary, operation, found);
        for other in &mapping.operations[..index] {
            same_line(operation, other, found);
        }
    }
}

/// M009: every required field has its place.
fn required_fields(vocabulary: &Vocabulary, operation: &Operation, found: &mut Vec<Diagnostic>) {
    let def = &vocabulary.operations[operation.id];
    let request = &operation.request;
    for (index, field) in (0u8..).zip(&def.request).filter(|(_, field)| field.required) {
        let held = request.holes().any(|hole| hole.slot == Slot::Field(index))
            || request.parts.iter().any(|part| part.field == index);
        if !held {
            let message = format!("the request has no place for `{}`", field.name);
            let finding = Diagnostic::error("M009", request.at.clone(), message);
            found
                .push(finding.label(format!("the vocabulary requires it: write <{}>", field.name)));
        }
    }
    let success = &operation.success;
    for (index, field) in (0u8..).zip(&def.answer).filter(|(_, field)| field.required) {
        let held = success
            .places()
            .any(|place| place.content.holes().any(|hole| hole.slot == Slot::Field(index)))
            || success.gives.iter().any(|(given, _)| *given == index);
        if !held {
            let message = format!("the answer has no place for `{}`", field.name);
            let finding = Diagnostic::error("M009", success.at.clone(), message);
            found.push(finding.label(format!("write <{}>, or say it under `gives:`", field.name)));
        }
    }
}

/// M017: a write that succeeded stays a success, whatever its answer leaves out.
fn status_of_write(vocabulary: &Vocabulary, operation: &Operation, found: &mut Vec<Diagnostic>) {
    if operation.kind != OperationKind::Write {
        return;
    }
    let def = &vocabulary.operations[operation.id];
    let holes = operation.success.places().flat_map(|place| place.content.holes());
    for hole in holes {
        let Slot::Field(field) = hole.slot else { continue };
        let Some(declared) = def.answer.get(usize::from(field)) else { continue };
        let in_request = def.request_field(&declared.name).is_some();
        if declared.required && in_request && !matches!(hole.or, OrElse::Request(_)) {
            let name = &declared.name;
            let message = format!("`{name}` in the success of a write has no `or request.{name}`");
            let finding = Diagnostic::error("M017", hole.at.clone(), message);
            found
                .push(finding.label("an answer that cannot be read must not turn a yes into a no"));
        }
    }
}

/// M021: two operations that one request fits.
fn same_line(operation: &Operation, other: &Operation, found: &mut Vec<Diagnostic>) {
    let (ours, theirs) = (&operation.request, &other.request);
    let same_segments = ours.segments.len() == theirs.segments.len()
        && ours.segments.iter().zip(&theirs.segments).all(|(one, two)| may_match(one, two));
    let told_apart = match (&ours.select, &theirs.select) {
        (Some(one), Some(two)) => !same_select(one, two),
        _ => false,
    };
    if ours.method != theirs.method || !same_segments || told_apart {
        return;
    }
    let message = format!(
        "one request fits both `{}` and `{}`: {} {}",
        other.name, operation.name, ours.method, ours.pattern
    );
    let finding = Diagnostic::error("M021", ours.at.clone(), message)
        .label("tell them apart with `select:` on both");
    found.push(finding.also(theirs.at.clone(), "the other line"));
}

fn may_match(one: &Pattern, two: &Pattern) -> bool {
    match (one.as_literal(), two.as_literal()) {
        (Some(one), Some(two)) => one == two,
        // A literal beats a hole where both could take a segment.
        (Some(_), None) | (None, Some(_)) => false,
        (None, None) => true,
    }
}

fn same_select(one: &crate::mapping::syntax::Select, two: &crate::mapping::syntax::Select) -> bool {
    use crate::mapping::syntax::Select;
    match (one, two) {
        (Select::Member(one), Select::Member(two)) | (Select::Root(one), Select::Root(two)) => {
            one.text == two.text
        }
        (Select::Header(one, ours), Select::Header(two, theirs)) => {
            !one.text.eq_ignore_ascii_case(&two.text) || ours.text == theirs.text
        }
        // A JSON member and an XML root are never there together.
        (Select::Member(_), Select::Root(_)) | (Select::Root(_), Select::Member(_)) => false,
        (Select::Header(..), _) | (_, Select::Header(..)) => true,
    }
}
