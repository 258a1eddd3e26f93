//! The laws that every mapping keeps, tried on every word and every fault.
//!
//! R writes, P reads. L1: `P(R(record)) = fit(record)`, where `fit` folds words that are lost on the
//! way. L4: every fault, and every answer with its required fields, can be written. L2 is tried on
//! the examples, by [`examples`](super::examples).

use std::borrow::Cow;

use http::HeaderMap;

use crate::bounds;
use crate::mapping::model::{Mapping, Operation, OperationKind, OrElse, Slot, Type, Vocabulary};
use crate::mapping::run::{
    AnswerHead, FaultText, Gateway, ReadOptions, Reading, RequestHead, RequestParts, Secrets,
    SessionFacts, Settings, Sources, WrittenAnswer, read_answer, read_request, write_answer,
    write_fault, write_request,
};
use crate::mapping::syntax::Example;
use crate::value::{Fault, Record, Value, WordId};

/// What trying the laws came to.
#[derive(Debug, Default)]
pub struct LawsRun {
    /// How many cases kept them.
    pub kept: usize,
    /// What did not: the law, the case, and how.
    pub broken: Vec<String>,
}

/// Tries the laws on a mapping, with values out of its examples.
pub fn try_laws(vocabulary: &Vocabulary, mapping: &Mapping, examples: &[Example]) -> LawsRun {
    let mut run = LawsRun::default();
    for operation in &mapping.operations {
        let trial = Trial::new(vocabulary, mapping, examples, operation);
        for word in trial.words() {
            run.take(trial.request(word), || {
                format!("L1 {} request {}", operation.name, trial.name(word))
            });
            run.take(trial.answer(word), || {
                format!("L1 {} answer {}", operation.name, trial.name(word))
            });
        }
        // Only who logs in can be refused it.
        let possible = |fault: &&Fault| {
            **fault != Fault::LogInRefused || operation.kind == OperationKind::LogIn
        };
        for fault in Fault::ALL.iter().filter(possible) {
            run.take(trial.fault(*fault), || format!("L4 {} fault {fault}", operation.name));
        }
    }
    run
}

impl LawsRun {
    fn take(&mut self, went: Result<(), String>, what: impl Fn() -> String) {
        match went {
            Ok(()) => self.kept += 1,
            Err(why) => self.broken.push(format!("{}: {why}", what())),
        }
    }
}

/// One operation with everything that a message of it may need.
struct Trial<'a> {
    vocabulary: &'a Vocabulary,
    mapping: &'a Mapping,
    examples: &'a [Example],
    operation: &'a Operation,
    settings: Settings,
    secrets: Secrets,
    steps: Vec<Vec<String>>,
}

impl<'a> Trial<'a> {
    fn new(
        vocabulary: &'a Vocabulary,
        mapping: &'a Mapping,
        examples: &'a [Example],
        operation: &'a Operation,
    ) -> Self {
        let settings = mapping.settings.iter().map(|setting| {
            let value = match setting.kind {
                Type::Int => "7",
                Type::Bool => "true",
                Type::Time => "2014-05-02T21:22:13Z",
                Type::Id(_) | Type::Text | Type::Word(_) | Type::Secret | Type::Raw => "setting",
            };
            (setting.name.as_str(), value)
        });
        let steps = operation.steps.iter();
        Self {
            settings: Settings::of(mapping, settings),
            secrets: Secrets::of_nobody(vocabulary),
            steps: steps.map(|step| vec!["1".to_owned(); step.take.len()]).collect(),
            vocabulary,
            mapping,
            examples,
            operation,
        }
    }

    /// The words of the operation's status, or one turn without a word.
    fn words(&self) -> Vec<Option<(usize, WordId)>> {
        let def = &self.vocabulary.operations[self.operation.id];
        let kind = def.request.iter().chain(&def.answer).find_map(|field| match field.kind {
            Type::Word(kind) => Some(kind),
            _ => None,
        });
        match kind {
            Some(kind) => {
                let words = &self.vocabulary.types[kind].words;
                (0u8..).zip(words).map(|(word, _)| Some((kind, word))).collect()
            }
            None => vec![None],
        }
    }

    fn name(&self, word: Option<(usize, WordId)>) -> &str {
        word.map_or("", |(kind, word)| self.vocabulary.word(kind, word))
    }

    /// A value of the field that fits its format, taken from the mapping's own examples.
    fn sample(&self, name: &str, kind: Type) -> String {
        let stated = self
            .examples
            .iter()
            .flat_map(|example| [&example.means, &example.gives])
            .flatten()
            .flat_map(|(pairs, _)| pairs)
            .find(|(known, _)| known.text == name);
        match (stated, kind) {
            (Some((_, value)), _) => value.text.clone(),
            (None, Type::Int) => "7".to_owned(),
            (None, Type::Bool) => "true".to_owned(),
            (None, Type::Time) => "2014-05-02T21:22:13Z".to_owned(),
            (None, _) => "7".to_owned(),
        }
    }

    fn record(
        &self,
        fields: &[crate::mapping::model::Field],
        word: Option<(usize, WordId)>,
        held: impl Fn(u8) -> bool,
    ) -> Record<'static> {
        let mut record = Record::new();
        for (index, field) in (0u8..).zip(fields).filter(|(index, _)| held(*index)) {
            let value = match (field.kind, word) {
                (Type::Word(kind), Some((wanted, word))) if kind == wanted => Value::Word(word),
                (Type::Word(_), _) => Value::Word(0),
                (kind, _) => Value::Text(Cow::Owned(self.sample(&field.name, kind))),
            };
            record.set(index, Some(value));
        }
        record
    }

    fn sources<'s>(&'s self, record: &'s Record<'s>, gateway: &'s Gateway<'s>) -> Sources<'s> {
        Sources {
            vocabulary: self.vocabulary,
            mapping: self.mapping,
            settings: &self.settings,
            record,
            request: None,
            secrets: Some(&self.secrets),
            gateway,
            steps: &self.steps,
            parts: &[],
        }
    }

    /// L1 for requests: what is written reads to the same, a lost word to the one it folds to.
    fn request(&self, word: Option<(usize, WordId)>) -> Result<(), String> {
        let def = &self.vocabulary.operations[self.operation.id];
        let request = &self.operation.request;
        let held = |field: u8| {
            request.parts.iter().any(|part| part.field == field)
                || request.holes().any(|hole| hole.slot == Slot::Field(field))
        };
        let record = self.record(&def.request, word, held);
        let gateway = Gateway { call: Gateway::NO_CALL, ..Gateway::default() };
        let written = match write_request(self.operation, self.sources(&record, &gateway)) {
            Ok(written) => written,
            // A word that cannot be said is refused, which is no loss.
            Err(refusal) if refusal.fault == Fault::InvalidStatus => return Ok(()),
            Err(refusal) => return Err(format!("it cannot be written: {}", refusal.reason)),
        };
        let (path, query) = match written.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (written.target.as_str(), None),
        };
        let head = RequestHead { path, query, headers: &written.headers };
        let options = ReadOptions { depth_max: bounds::BODY_DEPTH_MAX, refuse_unknown: true };
        let read = read_request(
            self.vocabulary,
            self.mapping,
            self.operation,
            &head,
            &written.body,
            &self.settings,
            options,
        );
        let (again, _) = match read {
            Ok(read) => read,
            // A row that is written only cannot come back.
            Err(refusal) if refusal.fault == Fault::InvalidStatus => {
                return Err(format!("what was written does not read: {}", refusal.reason));
            }
            Err(refusal) => return Err(format!("written, it does not read: {}", refusal.reason)),
        };
        let tables = request.holes().filter_map(|hole| match hole.slot {
            Slot::Field(field) => Some((field, hole.table?)),
            _ => None,
        });
        self.compare(&record, &again, tables)
    }

    fn read_back<'w>(&self, written: &'w WrittenAnswer, request: &Record<'_>) -> Reading<'w> {
        read_answer(
            self.vocabulary,
            self.mapping,
            self.operation,
            AnswerHead { status: written.status, headers: &written.headers },
            &written.body,
            &self.settings,
            request,
        )
    }

    fn compare(
        &self,
        record: &Record<'_>,
        again: &Record<'_>,
        tables: impl Iterator<Item = (u8, u8)>,
    ) -> Result<(), String> {
        let mut wanted = record.clone();
        for (field, table) in tables {
            let Some(word) = record.word(field) else { continue };
            let table = &self.mapping.tables[usize::from(table)];
            let folded = table.write(word).and_then(|(row, _)| table.read(&row.wire));
            wanted.set(field, folded.map(Value::Word));
        }
        if wanted.present().eq(again.present()) {
            Ok(())
        } else {
            Err(format!("it reads back as {again:?} instead of {wanted:?}"))
        }
    }

    /// L1 and L4 for answers: every word can be written, and reads to what it folds to.
    fn answer(&self, word: Option<(usize, WordId)>) -> Result<(), String> {
        let def = &self.vocabulary.operations[self.operation.id];
        let success = &self.operation.success;
        let holes: Vec<_> = success
            .bodies
            .iter()
            .take(1)
            .flat_map(|body| &body.places)
            .filter(|place| place.arrow.reads() && place.arrow.writes())
            .flat_map(|place| place.content.holes())
            .collect();
        let held = |field: u8| holes.iter().any(|hole| hole.slot == Slot::Field(field));
        let record = self.record(&def.answer, word, held);
        let request = Record::new();
        let session = SessionFacts::of_nobody();
        let gateway = Gateway { session: Some(&session), ..Gateway::default() };
        let sources = Sources { request: Some(&request), ..self.sources(&record, &gateway) };
        let nothing = HeaderMap::new();
        let wanted = RequestParts { headers: &nothing, kind: None };
        let written = write_answer(self.operation, sources, wanted)
            .map_err(|refusal| format!("it cannot be written: {}", refusal.reason))?;
        let reading = self.read_back(&written, &request);
        let Reading::Yes { record: again, unreadable: 0 } = reading else {
            return Err(format!("written, it does not read: {reading:?}"));
        };
        let tables = holes.iter().filter_map(|hole| match hole.slot {
            Slot::Field(field) if !matches!(hole.or, OrElse::Literal(_)) => {
                Some((field, hole.table?))
            }
            _ => None,
        });
        self.compare(&record, &again, tables)
    }

    /// L4 for faults: each can be written, and is read as itself, as one of its parents, or as the
    /// general fault of those that look alike.
    fn fault(&self, fault: Fault) -> Result<(), String> {
        let record = Record::new();
        let gateway = Gateway {
            path: "/path",
            call: Gateway::NO_CALL,
            allow: "POST",
            field: "member",
            reason: "a reason",
            retry_after: Some(1),
            ..Gateway::default()
        };
        let sources = Sources { secrets: None, ..self.sources(&record, &gateway) };
        let nothing = HeaderMap::new();
        let wanted = RequestParts { headers: &nothing, kind: None };
        let faults = &self.operation.faults;
        let written = write_fault(faults, fault, FaultText::Own, sources, wanted);
        if faults.row_for(fault).is_none() {
            return Err("no row writes it".to_owned());
        }
        match self.read_back(&written, &record) {
            Reading::Yes { .. } => Err("written, it reads to a yes".to_owned()),
            // A row that is written only need not read.
            Reading::No { .. } | Reading::Nothing(_) => Ok(()),
        }
    }
}
