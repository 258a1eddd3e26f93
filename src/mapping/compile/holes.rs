//! What a hole's name means, and whether its table, codec and default fit it.

use crate::mapping::codecs::Codec;
use crate::mapping::compile::{Compiler, Message, Position};
use crate::mapping::model::{GatewayField, Hole, OrElse, Slot, Type};
use crate::mapping::syntax::{self, LiteralKind, Named, OrValue};

/// A name that was found: where its value sits and of which type it is.
type Found = (Slot, Type);

impl Compiler<'_> {
    /// Resolves a hole; `None` and a finding if a name in it does not exist.
    pub(super) fn hole(&mut self, hole: &syntax::Hole, position: Position) -> Option<Hole> {
        let (slot, kind) = self.slot(hole, position)?;
        let table = match (&hole.table, slot) {
            (_, Slot::Words(table)) => Some(table),
            (Some(name), _) => Some(self.table_index(name)?),
            (None, _) => None,
        };
        let codec = match &hole.codec {
            Some(name) => Some(self.codec(name)?),
            None => None,
        };
        let or = self.or_else(hole, kind)?;
        let format = self.format_index(&hole.name.text);
        self.formats_used.extend(format);
        let resolved = Hole {
            slot,
            name: hole.name.text.clone(),
            kind,
            table,
            codec,
            or,
            format,
            in_path: position == Position::Path,
            at: self.at(hole.span),
        };
        self.check_secret(hole, &resolved, position);
        self.check_fit(hole, &resolved, position);
        Some(resolved)
    }

    fn slot(&mut self, hole: &syntax::Hole, position: Position) -> Option<Found> {
        let name = &hole.name;
        let found = match name.text.as_str() {
            "words of" => {
                let table = self.table_index(hole.table.as_ref()?)?;
                Some((Slot::Words(table), Type::Text))
            }
            text if text.starts_with('$') => return self.setting_slot(name),
            text => self.named_slot(text),
        };
        if found.is_some() {
            return found;
        }
        if position != Position::Name
            && let Some(json) = name.text.strip_prefix("raw.")
        {
            return self.raw_slot(json, name, position);
        }
        self.unknown_name(name);
        None
    }

    fn setting_slot(&mut self, name: &Named) -> Option<Found> {
        let wanted = &name.text[1..];
        match self.settings.iter().position(|setting| setting.name == wanted) {
            Some(index) => {
                Some((Slot::Setting(u8::try_from(index).ok()?), self.settings[index].kind))
            }
            None => {
                let message = format!("no setting named `{wanted}`");
                let known: Vec<String> =
                    self.settings.iter().map(|setting| setting.name.clone()).collect();
                let known = known.iter().map(String::as_str);
                self.findings.unknown("M003", name.span, message, wanted, known);
                None
            }
        }
    }

    fn named_slot(&self, text: &str) -> Option<Found> {
        if let Some(part) = self.scope.parts.iter().position(|part| part == text) {
            return Some((Slot::Part(u8::try_from(part).ok()?), Type::Text));
        }
        if let Some(secret) = self.vocabulary.secret(text) {
            return Some((Slot::Secret(secret), Type::Secret));
        }
        if let Some(field) = self.gateway_field(text) {
            return Some((Slot::Gateway(field), field.kind()));
        }
        if let Some((head, member)) = text.split_once('.')
            && let Some(found) = self.step_or_member(head, member)
        {
            return Some(found);
        }
        let operation = self.operation_def()?;
        match self.scope.message {
            Message::Request => {
                let field = operation.request_field(text)?;
                Some((Slot::Field(field), operation.request[usize::from(field)].kind))
            }
            Message::Answer => match text.strip_prefix("request.") {
                Some(text) => {
                    let field = operation.request_field(text)?;
                    Some((Slot::Request(field), operation.request[usize::from(field)].kind))
                }
                None => {
                    let field = operation.answer_field(text)?;
                    Some((Slot::Field(field), operation.answer[usize::from(field)].kind))
                }
            },
            Message::Fault => None,
        }
    }

    /// The gateway's fields belong to answers; of a request it knows the call's id, of sessions what
    /// belongs to the operations that have to do with one.
    fn gateway_field(&self, text: &str) -> Option<GatewayField> {
        let field = self.vocabulary.gateway.iter().copied().find(|field| field.name() == text)?;
        let fits = match self.scope.message {
            Message::Request => field == GatewayField::Call,
            Message::Answer => !field.is_of_session() || self.is_of_session(),
            Message::Fault => !field.is_of_session(),
        };
        fits.then_some(field)
    }

    /// True for what gets, keeps or ends a session.
    fn is_of_session(&self) -> bool {
        self.scope.session || self.operation_def().is_some_and(|known| known.kind.is_ours())
    }

    fn step_or_member(&self, head: &str, member: &str) -> Option<Found> {
        if let Some(step) = self.scope.steps.iter().position(|(name, _)| name == head) {
            let value = self.scope.steps[step].1.iter().position(|name| name == member)?;
            return Some((
                Slot::Step(u8::try_from(step).ok()?, u8::try_from(value).ok()?),
                Type::Text,
            ));
        }
        let table = self.tables.iter().position(|table| table.name == head)?;
        let member = self.tables[table].members.iter().position(|name| name == member)?;
        Some((Slot::Member(u8::try_from(table).ok()?, u8::try_from(member).ok()?), Type::Text))
    }

    fn raw_slot(&mut self, json: &str, name: &Named, position: Position) -> Option<Found> {
        if position != Position::Json || self.scope.message == Message::Fault {
            let message = format!("`raw.{json}` carries JSON and cannot stand here");
            let label = "a `raw.` hole fills a member of a JSON body";
            self.findings.error("M012", name.span, message, label);
            return None;
        }
        let names = &mut self.scope.raw_names;
        let index = names.iter().position(|known| known == json).unwrap_or_else(|| {
            names.push(json.to_owned());
            names.len() - 1
        });
        Some((Slot::Raw(u8::try_from(index).ok()?), Type::Raw))
    }

    fn unknown_name(&mut self, name: &Named) {
        let message = format!("no field named `{}` here", name.text);
        let mut known: Vec<String> = Vec::new();
        if let Some(operation) = self.operation_def() {
            let fields = match self.scope.message {
                Message::Request => &operation.request[..],
                Message::Answer => &operation.answer[..],
                Message::Fault => &[],
            };
            known.extend(fields.iter().map(|field| field.name.clone()));
        }
        match self.scope.message {
            Message::Request => {
                known.extend(self.vocabulary.secrets.iter().cloned());
                known.extend(self.gateway_field("call").map(|field| field.name().to_owned()));
            }
            Message::Answer | Message::Fault => {
                known.extend(self.vocabulary.gateway.iter().map(|field| field.name().to_owned()))
            }
        }
        known.extend(self.scope.parts.iter().cloned());
        for (step, values) in &self.scope.steps {
            known.extend(values.iter().map(|value| format!("{step}.{value}")));
        }
        let known = known.iter().map(String::as_str);
        self.findings.unknown("M002", name.span, message, &name.text, known);
    }

    /// The index of a table.
    pub(super) fn table_index(&mut self, name: &Named) -> Option<u8> {
        match self.tables.iter().position(|table| table.name == name.text) {
            Some(index) => u8::try_from(index).ok(),
            None => {
                let message = format!("no table named `{}`", name.text);
                let known: Vec<String> =
                    self.tables.iter().map(|table| table.name.clone()).collect();
                let known = known.iter().map(String::as_str);
                self.findings.unknown("M003", name.span, message, &name.text, known);
                None
            }
        }
    }

    /// The codec of a name.
    pub(super) fn codec(&mut self, name: &Named) -> Option<Codec> {
        let codec = Codec::by_name(&name.text);
        if codec.is_none() {
            let message = format!("no codec named `{}`", name.text);
            let known = Codec::ALL.iter().map(|codec| codec.name());
            self.findings.unknown("M003", name.span, message, &name.text, known);
        }
        codec
    }

    fn format_index(&self, name: &str) -> Option<u8> {
        let name = name.strip_prefix("request.").unwrap_or(name);
        let index = self.formats.iter().position(|format| format.name == name)?;
        u8::try_from(index).ok()
    }

    fn or_else(&mut self, hole: &syntax::Hole, kind: Type) -> Option<OrElse> {
        let Some(or) = &hole.or else { return Some(OrElse::Required) };
        match &or.value {
            OrValue::None => Some(OrElse::Absent),
            OrValue::Literal(literal) => {
                let structured =
                    matches!(literal.kind, LiteralKind::Composite) && kind != Type::Raw;
                if structured {
                    let message = "a list or an object cannot stand for this value";
                    self.findings.error("M012", or.span, message, "write none or a text");
                }
                Some(OrElse::Literal(literal.clone()))
            }
            OrValue::Setting(name) => {
                let name = Named::new(format!("${name}"), or.span);
                if let Type::Word(_) = kind {
                    let message = "a setting cannot stand for a word";
                    self.findings.error("M012", or.span, message, "settings are no words");
                }
                match self.setting_slot(&name)? {
                    (Slot::Setting(setting), _) => Some(OrElse::Setting(setting)),
                    _ => None,
                }
            }
            OrValue::Request(name) => self.or_request(name, or, kind),
        }
    }

    fn or_request(&mut self, name: &str, or: &syntax::Or, kind: Type) -> Option<OrElse> {
        let operation = self.operation_def().filter(|_| self.scope.message == Message::Answer);
        let Some(field) = operation.and_then(|operation| operation.request_field(name)) else {
            let message = match self.scope.message {
                Message::Answer => format!("the request has no field named `{name}`"),
                Message::Request | Message::Fault => {
                    "`request.` can only be used in an answer".to_owned()
                }
            };
            let known: Vec<String> = operation
                .map(|operation| operation.request.iter().map(|field| field.name.clone()).collect())
                .unwrap_or_default();
            let known = known.iter().map(String::as_str);
            self.findings.unknown("M002", or.span, message, name, known);
            return None;
        };
        let found = self.operation_def()?.request[usize::from(field)].kind;
        if found != kind {
            let message = format!("`request.{name}` is of another type than the hole");
            self.findings.error("M012", or.span, message, "");
        }
        Some(OrElse::Request(field))
    }

    /// M010: a secret may stand where an upstream expects its credential, and where a client that logs in
    /// is given one; and nowhere else.
    fn check_secret(&mut self, hole: &syntax::Hole, resolved: &Hole, position: Position) {
        if !matches!(resolved.slot, Slot::Secret(_)) {
            return;
        }
        let said = match self.scope.message {
            Message::Request => true,
            Message::Answer => self.is_of_session(),
            Message::Fault => false,
        };
        let fits = said
            && match position {
                Position::Header
                | Position::Cookie
                | Position::Query
                | Position::Json
                | Position::Xml
                | Position::Form => true,
                // Paths are not logged, and the gateway answers these itself.
                Position::Path => self.is_of_session(),
                Position::Text
                | Position::Name
                | Position::Spoken
                | Position::With
                | Position::Inner => false,
            };
        if !fits {
            let message =
                format!("the secret `{}` would flow to a place that is not secret", resolved.name);
            let label = "secrets stand in a request's headers, cookies, query or body";
            self.findings.error("M010", hole.span, message, label);
        }
    }

    /// M012: table and codec must fit the type.
    fn check_fit(&mut self, hole: &syntax::Hole, resolved: &Hole, position: Position) {
        if matches!(resolved.slot, Slot::Words(_)) {
            return;
        }
        match (resolved.kind, resolved.table) {
            (Type::Word(wanted), Some(table)) => {
                let table = &self.tables[usize::from(table)];
                if table.word_type != wanted {
                    let message = format!("the table `{}` is of another type", table.name);
                    let span = hole.table.as_ref().map_or(hole.span, |table| table.span);
                    self.findings.error("M012", span, message, "use a table of this field's words");
                }
            }
            (Type::Word(_), None) => {
                let message = format!("`{}` is a word and needs a table", resolved.name);
                let label = format!("write <{} via TABLE>", resolved.name);
                self.findings.error("M012", hole.span, message, &label);
            }
            (_, Some(_)) => {
                let message = format!("`{}` is no word: a table does not fit it", resolved.name);
                let span = hole.table.as_ref().map_or(hole.span, |table| table.span);
                self.findings.error("M012", span, message, "leave out `via`");
            }
            (_, None) => {}
        }
        if let Some(codec) = resolved.codec
            && !codec_fits(codec, resolved.kind)
        {
            let message = format!("the codec `{}` does not fit `{}`", codec.name(), resolved.name);
            let span = hole.codec.as_ref().map_or(hole.span, |codec| codec.span);
            self.findings.error("M012", span, message, &format!("it fits {}", fitting(codec)));
        }
        if resolved.kind == Type::Raw && position != Position::Json {
            self.findings.error("M012", hole.span, "JSON cannot stand here", "");
        }
    }
}

fn codec_fits(codec: Codec, kind: Type) -> bool {
    match codec {
        Codec::Int => matches!(kind, Type::Id(_) | Type::Text | Type::Int | Type::Word(_)),
        Codec::Uuid32 => matches!(kind, Type::Id(_) | Type::Text),
        Codec::Basic | Codec::Base64 | Codec::Percent | Codec::Lower => {
            matches!(kind, Type::Id(_) | Type::Text | Type::Secret | Type::Word(_))
        }
        Codec::Lines => matches!(kind, Type::Text),
        Codec::HttpDate | Codec::IsoDate | Codec::ArenaDate | Codec::UsDate | Codec::UnixMs => {
            kind == Type::Time
        }
        Codec::BoolText => kind == Type::Bool,
    }
}

fn fitting(codec: Codec) -> &'static str {
    match codec {
        Codec::Int => "id, text, int and words",
        Codec::Uuid32 => "id and text",
        Codec::Basic | Codec::Base64 | Codec::Percent | Codec::Lower => {
            "id, text, secrets and words"
        }
        Codec::Lines => "text",
        Codec::HttpDate | Codec::IsoDate | Codec::ArenaDate | Codec::UsDate | Codec::UnixMs => {
            "time"
        }
        Codec::BoolText => "bool",
    }
}
