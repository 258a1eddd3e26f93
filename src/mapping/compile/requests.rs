//! Operations: their requests, answers and steps.

use std::sync::Arc;

use crate::mapping::compile::{Compiler, Message, Position, Scope};
use crate::mapping::model::{
    Content, Demand, FaultMap, Hole, Operation, OrElse, Part, Request, Slot, StandIn, Step,
    Success, Type,
};
use crate::mapping::syntax::{self, Literal, Named, Template};
use crate::value::{Fault, FieldId};

impl Compiler<'_> {
    /// Compiles one operation; `None` if the vocabulary has none of that name.
    pub(super) fn operation(
        &mut self,
        operation: &syntax::Operation,
        shared: Option<&Arc<FaultMap>>,
    ) -> Option<Operation> {
        let name = &operation.name;
        let Some(id) = self.vocabulary.operation(&name.text) else {
            let message = format!("the vocabulary has no operation named `{}`", name.text);
            let known: Vec<&str> =
                self.vocabulary.operations.iter().map(|known| known.name.as_str()).collect();
            self.findings.unknown("M002", name.span, message, &name.text, known);
            return None;
        };
        self.scope = Scope { operation: Some(id), ..Scope::default() };
        self.set_message(Message::Request);
        // A step may speak of the parts of an id, the request of the values of a step.
        let parts = operation.request.as_ref().map(|request| self.parts(&request.parts));
        let steps = operation.steps.iter().filter_map(|step| self.step(step)).collect();
        let request = operation
            .request
            .as_ref()
            .and_then(|request| self.request(request, parts.unwrap_or_default()));
        // So may the line that asks for the outcome.
        let poll = operation.poll.as_ref();
        let mut poll = poll.and_then(|poll| self.poll(operation, poll, request.as_ref()));
        self.scope.parts.clear();
        self.set_message(Message::Answer);
        if let (Some(written), Some(compiled), Some(request)) =
            (&operation.poll, &mut poll, &request)
        {
            self.accepted(written, request, compiled);
        }
        let success = operation.success.as_ref().map(|success| self.success(success));
        let raw_names = std::mem::take(&mut self.scope.raw_names);
        let faults = match (&operation.faults, shared) {
            (Some(faults), _) => Arc::new(self.fault_map(faults)),
            (None, Some(shared)) => Arc::clone(shared),
            (None, None) => {
                let message = format!("the operation `{}` has no `faults:`", name.text);
                let label = "give it its own, or put `faults:` at the top of the file for all";
                self.findings.error("M001", name.span, message, label);
                Arc::new(self.empty_faults())
            }
        };
        Some(Operation {
            id,
            name: name.text.clone(),
            kind: self.vocabulary.operations[id].kind,
            request: request?,
            success: success?,
            faults,
            steps,
            poll,
            raw_names,
            at: self.at(name.span),
        })
    }

    pub(super) fn request(
        &mut self,
        request: &syntax::Request,
        parts: Vec<Part>,
    ) -> Option<Request> {
        let line = request.line.as_ref()?;
        self.note_unverified(request.unverified, line.span, "request");
        let method = http::Method::from_bytes(line.method.text.as_bytes()).ok()?;
        let segments = self.segments(&line.path);
        let mut compiled = Request {
            method,
            pattern: Request::path_pattern(&segments),
            segments,
            query: self.named_places(&request.query, Position::Query, "query"),
            headers: self.named_places(&request.headers, Position::Header, "header"),
            cookies: self.named_places(&request.cookies, Position::Cookie, "cookie"),
            bodies: self.bodies(&request.bodies),
            type_required: !request.bodies.accepts.is_empty(),
            select: request.select.clone(),
            parts,
            demands: Vec::new(),
            at: self.at(line.span),
        };
        compiled.demands = demands(&compiled);
        Some(compiled)
    }

    /// `parts: {ticket: "<project>#<number>"}`; the names become known to the request.
    pub(super) fn parts(&mut self, declared: &[(Named, Template)]) -> Vec<Part> {
        let mut parts = Vec::new();
        for (field, template) in declared {
            let operation = self.operation_def();
            let Some(index) = operation.and_then(|known| known.request_field(&field.text)) else {
                let message = format!("no field named `{}` to split", field.text);
                let known: Vec<String> = operation
                    .map(|known| known.request.iter().map(|field| field.name.clone()).collect())
                    .unwrap_or_default();
                let known = known.iter().map(String::as_str);
                self.findings.unknown("M002", field.span, message, &field.text, known);
                continue;
            };
            let names: Vec<String> = template.holes().map(|hole| hole.name.text.clone()).collect();
            self.scope.parts.extend(names.iter().cloned());
            let pattern = self.pattern(template, Position::Inner, true);
            parts.push(Part { field: index, pattern, names });
        }
        parts
    }

    fn success(&mut self, success: &syntax::Success) -> Success {
        self.note_unverified(success.unverified, success.span, "success");
        let gives =
            success.gives.iter().filter_map(|(field, value)| self.gives(field, value)).collect();
        let headers = self.named_places(&success.headers, Position::Header, "header");
        let cookies = self.named_places(&success.cookies, Position::Cookie, "cookie");
        let bodies = self.bodies(&success.bodies);
        let mut compiled = Success {
            codes: success.codes.iter().map(|(code, _)| *code).collect(),
            headers,
            cookies,
            bodies,
            gives,
            stand_ins: Vec::new(),
            at: self.at(success.span),
        };
        let holes = compiled.places().flat_map(|place| place.content.holes());
        let stand_ins = holes.filter_map(|hole| match (hole.slot, &hole.or) {
            (Slot::Field(field), OrElse::Request(source)) => {
                Some((field, StandIn::Request(*source)))
            }
            (Slot::Field(field), OrElse::Setting(setting)) => {
                Some((field, StandIn::Setting(*setting)))
            }
            _ => None,
        });
        compiled.stand_ins = stand_ins.collect();
        compiled
    }

    /// `gives: {status: request.status}`, or a literal.
    fn gives(&mut self, field: &Named, value: &Named) -> Option<(FieldId, Content)> {
        let operation = self.operation_def()?;
        let Some(index) = operation.answer_field(&field.text) else {
            let message = format!("the answer has no field named `{}`", field.text);
            let known: Vec<String> =
                operation.answer.iter().map(|field| field.name.clone()).collect();
            let known = known.iter().map(String::as_str);
            self.findings.unknown("M002", field.span, message, &field.text, known);
            return None;
        };
        let kind = operation.answer[usize::from(index)].kind;
        let Some(name) = value.text.strip_prefix("request.") else {
            if let Type::Word(word_type) = kind {
                self.word(value, word_type)?;
            }
            return Some((index, Content::Literal(Literal::text(&value.text))));
        };
        let Some(source) = operation.request_field(name) else {
            let message = format!("the request has no field named `{name}`");
            let known: Vec<String> =
                operation.request.iter().map(|field| field.name.clone()).collect();
            let known = known.iter().map(String::as_str);
            self.findings.unknown("M002", value.span, message, name, known);
            return None;
        };
        let hole = crate::mapping::model::Hole {
            slot: Slot::Request(source),
            name: value.text.clone(),
            kind,
            table: None,
            codec: None,
            or: crate::mapping::model::OrElse::Absent,
            format: None,
            in_path: false,
            at: self.at(value.span),
        };
        Some((index, Content::Hole(hole)))
    }

    fn step(&mut self, step: &syntax::Step) -> Option<Step> {
        let line = step.line.as_ref()?;
        let method = http::Method::from_bytes(line.method.text.as_bytes()).ok()?;
        if !method.is_safe() {
            let message = format!("a step with `{method}`");
            let label = "a step looks something up: it is a GET, and may be repeated";
            self.findings.error("M000", line.method.span, message, label);
        }
        let segments = self.segments(&line.path);
        let list = step.list.as_ref().and_then(|path| self.json_path(path));
        let conditions = step
            .conditions
            .iter()
            .map(|(path, text)| (member_path(path), self.pattern(text, Position::Inner, false)))
            .collect();
        let take: Vec<(String, Vec<String>)> =
            step.take.iter().map(|(name, path)| (name.text.clone(), member_path(path))).collect();
        let none = step.none.as_ref().and_then(|name| self.fault(name));
        let names = take.iter().map(|(name, _)| name.clone()).collect();
        self.scope.steps.push((step.name.text.clone(), names));
        Some(Step {
            name: step.name.text.clone(),
            method,
            segments,
            list: list?,
            conditions,
            take,
            none: none.unwrap_or(Fault::InvalidRequest),
            at: self.at(step.name.span),
        })
    }
}

fn member_path(path: &Named) -> Vec<String> {
    path.text.split('.').map(str::to_owned).collect()
}

/// What must be there once all places outside the path were read; the path has no empty places.
fn demands(request: &Request) -> Vec<Demand> {
    let demands = |hole: &Hole| matches!(hole.or, OrElse::Required | OrElse::Setting(_));
    let places = request.places().filter(|place| place.arrow.reads());
    let demanding = places.flat_map(|place| {
        let holes = place.content.holes().filter(|hole| demands(hole));
        holes.map(move |hole| (hole, &place.member))
    });
    demanding
        .filter_map(|(hole, member)| {
            let Slot::Field(field) = hole.slot else { return None };
            let setting = match hole.or {
                OrElse::Setting(setting) => Some(setting),
                _ => None,
            };
            let mut others = request.holes().filter(|other| other.slot == hole.slot);
            let elsewhere = others.any(|other| !demands(other));
            Some(Demand { field, setting, member: member.clone(), elsewhere })
        })
        .collect()
}
