//! Running a mapping's examples: the vendor page's own messages, read to what the author says they
//! mean, and written back.
//!
//! A request that reads to its record must be written so that it reads to the same record again (law
//! L2); an answer likewise. What fails is M014, at the example.

use std::borrow::Cow;
use std::collections::BTreeSet;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::bounds;
use crate::codec::json::compacted;
use crate::diag::{Diagnostic, Location, Span};
use crate::mapping::model::{Mapping, Operation, Slot, Type, Vocabulary};
use crate::mapping::run::{
    AnswerHead, Gateway, Presented, ReadOptions, Reading, RequestHead, RequestParts, Secrets,
    SessionFacts, Settings, Sources, fits_path, read_answer, read_credentials, read_request,
    read_secrets, selects, write_answer, write_request,
};
use crate::mapping::syntax::{Example, ExampleText, Named};
use crate::secret::Secret;
use crate::value::{Fault, Record, Value};

/// What running all examples of a mapping came to.
#[derive(Debug, Default)]
pub struct ExamplesRun {
    /// What failed.
    pub findings: Vec<Diagnostic>,
    /// How many messages were read and found right.
    pub passed: usize,
    /// Fault rows that an example has hit: the fault map's place and the row's index.
    pub rows_hit: BTreeSet<(usize, usize)>,
    /// Forms of request bodies that an example has: the operation's and the form's index.
    pub bodies_hit: BTreeSet<(usize, usize)>,
}

/// A message of an example, taken apart.
struct Message<'e> {
    /// The start line's parts.
    start: Vec<&'e str>,
    headers: HeaderMap,
    body: &'e [u8],
}

/// Runs the examples of a mapping.
pub fn run_examples(
    vocabulary: &Vocabulary,
    mapping: &Mapping,
    examples: &[Example],
) -> ExamplesRun {
    let mut run = ExamplesRun::default();
    for example in examples {
        let runner = Runner { vocabulary, mapping, example };
        for name in example.added.iter().filter(|name| !runner.has_header(&name.text)) {
            let file = std::sync::Arc::clone(&mapping.source);
            let message = format!("the example says that `{}` was added", name.text);
            let finding = Diagnostic::error("M014", Location { file, span: name.span }, message)
                .label("its messages have no header field of that name");
            run.findings.push(finding);
        }
        if let (Some(text), Some((pairs, span))) = (&example.send, &example.means) {
            let went = runner.request(text, pairs, &mut run.bodies_hit);
            run.take(went, &runner, *span);
        }
        if let (Some(text), Some((pairs, span))) = (&example.receive, &example.gives) {
            let went = runner.answer(text, pairs, &mut run.rows_hit);
            run.take(went, &runner, *span);
        }
    }
    run
}

impl ExamplesRun {
    fn take(&mut self, went: Result<(), String>, runner: &Runner<'_>, span: Span) {
        match went {
            Ok(()) => self.passed += 1,
            Err(why) => {
                let file = std::sync::Arc::clone(&runner.mapping.source);
                let name = &runner.example.name.text;
                let message = format!("the example `{name}` fails: {why}");
                self.findings.push(Diagnostic::error("M014", Location { file, span }, message));
            }
        }
    }
}

struct Runner<'a> {
    vocabulary: &'a Vocabulary,
    mapping: &'a Mapping,
    example: &'a Example,
}

impl Runner<'_> {
    /// True if a message of the example has the header field.
    fn has_header(&self, name: &str) -> bool {
        let texts = [&self.example.send, &self.example.receive];
        let mut messages =
            texts.into_iter().flatten().filter_map(|text| Message::parse(&text.text).ok());
        messages.any(|message| message.headers.contains_key(name))
    }

    fn settings(&self) -> Settings {
        let with = self.example.with.iter();
        Settings::of(
            self.mapping,
            with.map(|(name, value)| (name.text.as_str(), value.text.as_str())),
        )
    }

    /// Reads a request, compares, writes it, and reads it again.
    fn request(
        &self,
        text: &ExampleText,
        pairs: &[(Named, Named)],
        bodies_hit: &mut BTreeSet<(usize, usize)>,
    ) -> Result<(), String> {
        let message = Message::parse(&text.text)?;
        let [method, target, ..] = message.start.as_slice() else {
            return Err("the first line is not `METHOD /path`".to_owned());
        };
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (*target, None),
        };
        let operation = self.operation_of(method, path, query, &message)?;
        let prefix = self.prefix_of(operation, path);
        let head = RequestHead { path: &path[prefix..], query, headers: &message.headers };
        let wanted = Example::fault_of(pairs);
        let (record, secrets) = match (self.read(operation, &head, message.body), wanted) {
            (Ok((record, secrets, form)), None) => {
                bodies_hit.extend(form.map(|form| (operation.id, form)));
                (record, secrets)
            }
            (Ok(_), Some(fault)) => {
                return Err(format!("it reads to a record, not to the fault {}", fault.text));
            }
            (Err(refusal), Some(fault)) if refusal.0.name() == fault.text => return Ok(()),
            (Err(refusal), _) => {
                return Err(format!("it reads to the fault {} ({})", refusal.0, refusal.1));
            }
        };
        let def = &self.vocabulary.operations[operation.id];
        compare(&self.pairs_of(&record, &def.request), pairs)?;
        self.write_and_read_again(operation, &record, &secrets)
    }

    fn read<'m>(
        &self,
        operation: &Operation,
        head: &RequestHead<'m>,
        body: &'m [u8],
    ) -> Result<(Record<'m>, Secrets, Option<usize>), (Fault, String)> {
        let told = |refusal: crate::mapping::run::Refusal| {
            (refusal.fault, format!("{} {}", refusal.field, refusal.reason))
        };
        let settings = self.settings();
        let (vocabulary, mapping) = (self.vocabulary, self.mapping);
        let options = ReadOptions { depth_max: bounds::BODY_DEPTH_MAX, refuse_unknown: false };
        let secrets = |presented: &Presented<'_>| {
            let named = (0u8..).zip(&vocabulary.secrets).filter_map(|(index, name)| {
                Some((name.clone(), Secret::new(presented.get(index)?)))
            });
            Secrets::of(vocabulary, named)
        };
        if operation.kind.is_ours() {
            let read =
                read_credentials(vocabulary, mapping, operation, head, body, &settings, options);
            let (record, presented, form) = read.map_err(told)?;
            return Ok((record, secrets(&presented), form));
        }
        let presented =
            read_secrets(vocabulary, mapping, &operation.request, head, &settings).map_err(told)?;
        let secrets = secrets(&presented);
        read_request(vocabulary, mapping, operation, head, body, &settings, options)
            .map(|(record, form)| (record, secrets, form))
            .map_err(told)
    }

    fn write_and_read_again(
        &self,
        operation: &Operation,
        record: &Record<'_>,
        secrets: &Secrets,
    ) -> Result<(), String> {
        let settings = self.settings();
        let gateway = Gateway { call: Gateway::NO_CALL, ..Gateway::default() };
        // Values that only a step could give stand as their own names.
        let steps: Vec<Vec<String>> = operation
            .steps
            .iter()
            .map(|step| step.take.iter().map(|(name, _)| name.clone()).collect())
            .collect();
        let sources = Sources {
            vocabulary: self.vocabulary,
            mapping: self.mapping,
            settings: &settings,
            record,
            request: None,
            secrets: Some(secrets),
            gateway: &gateway,
            steps: &steps,
            parts: &[],
        };
        let written = write_request(operation, sources)
            .map_err(|refusal| format!("it cannot be written back: {}", refusal.reason))?;
        let (path, query) = match written.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (written.target.as_str(), None),
        };
        let head = RequestHead { path, query, headers: &written.headers };
        let (again, _, _) =
            self.read(operation, &head, &written.body).map_err(|(fault, why)| {
                format!("written back, it reads to the fault {fault} ({why})")
            })?;
        let written_back = |raw| {
            operation
                .request
                .places()
                .filter(|place| place.arrow.writes())
                .any(|place| place.content.holes().any(|hole| hole.slot == Slot::Raw(raw)))
        };
        let mut wanted = record.clone();
        for raw in (0u8..).take(operation.raw_names.len()).filter(|raw| !written_back(*raw)) {
            if wanted.raw(raw).is_some() {
                wanted.set_raw(raw, None);
            }
        }
        if same_record(operation, &wanted, &again) {
            return Ok(());
        }
        let def = &self.vocabulary.operations[operation.id];
        let (was, is) = (self.pairs_of(record, &def.request), self.pairs_of(&again, &def.request));
        Err(format!("law L2: written back, it reads to {is:?} instead of {was:?}"))
    }

    /// Reads an answer, compares, writes it, and reads it again.
    fn answer(
        &self,
        text: &ExampleText,
        pairs: &[(Named, Named)],
        rows_hit: &mut BTreeSet<(usize, usize)>,
    ) -> Result<(), String> {
        let message = Message::parse(&text.text)?;
        let status = message.start.iter().find_map(|part| part.parse().ok());
        let Some(status) = status else {
            return Err("the first line has no status code".to_owned());
        };
        let operation = self.answering_operation()?;
        let settings = self.settings();
        let request = self.request_of(operation);
        let reading = read_answer(
            self.vocabulary,
            self.mapping,
            operation,
            AnswerHead { status, headers: &message.headers },
            message.body,
            &settings,
            &request,
        );
        match (reading, Example::fault_of(pairs)) {
            (Reading::No { fault, row, .. }, Some(wanted)) => {
                rows_hit.insert((operation.faults.at.span.start, row));
                if fault.name() == wanted.text {
                    return Ok(());
                }
                Err(format!("it reads to the fault {fault}, not to {}", wanted.text))
            }
            (Reading::Yes { .. }, Some(wanted)) => {
                Err(format!("it reads to a yes, not to the fault {}", wanted.text))
            }
            (Reading::No { fault, .. }, None) => Err(format!("it reads to the fault {fault}")),
            (Reading::Nothing(mismatch), _) => Err(format!("it reads to nothing: {mismatch}")),
            (Reading::Yes { record, unreadable }, None) => {
                if unreadable > 0 {
                    return Err(format!("{unreadable} of its members cannot be read"));
                }
                let def = &self.vocabulary.operations[operation.id];
                compare(&self.pairs_of(&record, &def.answer), pairs)?;
                self.answer_again(operation, &record, &request)
            }
        }
    }

    fn answer_again(
        &self,
        operation: &Operation,
        record: &Record<'_>,
        request: &Record<'_>,
    ) -> Result<(), String> {
        let settings = self.settings();
        let (session, secrets) = (SessionFacts::of_nobody(), Secrets::of_nobody(self.vocabulary));
        let gateway = Gateway { session: Some(&session), ..Gateway::default() };
        let sources = Sources {
            vocabulary: self.vocabulary,
            mapping: self.mapping,
            settings: &settings,
            record,
            request: Some(request),
            secrets: operation.kind.is_ours().then_some(&secrets),
            gateway: &gateway,
            steps: &[],
            parts: &[],
        };
        let nothing = HeaderMap::new();
        let wanted = RequestParts { headers: &nothing, kind: None };
        let written = write_answer(operation, sources, wanted)
            .map_err(|refusal| format!("it cannot be written back: {}", refusal.reason))?;
        let reading = read_answer(
            self.vocabulary,
            self.mapping,
            operation,
            AnswerHead { status: written.status, headers: &written.headers },
            &written.body,
            &settings,
            request,
        );
        match reading {
            Reading::Yes { record: again, .. } if same_record(operation, &again, record) => Ok(()),
            Reading::Yes { .. } | Reading::No { .. } | Reading::Nothing(_) => Err(format!(
                "law L2: written back as {} it does not read to the same record",
                String::from_utf8_lossy(&written.body)
            )),
        }
    }

    fn operation_of(
        &self,
        method: &str,
        path: &str,
        query: Option<&str>,
        message: &Message<'_>,
    ) -> Result<&Operation, String> {
        let operations = self.mapping.operations.iter();
        operations
            .filter(|operation| operation.request.method.as_str() == method)
            .find(|operation| {
                self.mapping.prefixes.iter().any(|prefix| {
                    path.strip_prefix(prefix.as_str()).is_some_and(|rest| {
                        let head = RequestHead { path: rest, query, headers: &message.headers };
                        fits_path(&operation.request, rest)
                            && (selects(&operation.request, &head, message.body)
                                || self.mapping.operations.len() == 1)
                    })
                })
            })
            .ok_or_else(|| format!("no operation has the line {method} {path}"))
    }

    fn prefix_of(&self, operation: &Operation, path: &str) -> usize {
        let fits = |prefix: &&String| {
            path.strip_prefix(prefix.as_str())
                .is_some_and(|rest| fits_path(&operation.request, rest))
        };
        self.mapping.prefixes.iter().find(fits).map_or(0, String::len)
    }

    /// The operation that an answer belongs to: the named one, that of the request beside it, or the
    /// file's first.
    fn answering_operation(&self) -> Result<&Operation, String> {
        let operations = &self.mapping.operations;
        if let Some(name) = &self.example.operation {
            return operations
                .iter()
                .find(|operation| operation.name == name.text)
                .ok_or_else(|| format!("no operation named `{}`", name.text));
        }
        if let Some(text) = &self.example.send {
            let message = Message::parse(&text.text)?;
            if let [method, target, ..] = message.start.as_slice() {
                let path = target.split('?').next().unwrap_or(target);
                return self.operation_of(method, path, None, &message);
            }
        }
        operations.first().ok_or_else(|| "the mapping has no operation".to_owned())
    }

    /// The record of the request beside the answer; without one, a request that says nothing.
    fn request_of(&self, operation: &Operation) -> Record<'static> {
        let Some((pairs, _)) = &self.example.means else { return Record::new() };
        let def = &self.vocabulary.operations[operation.id];
        let mut record = Record::new();
        for (name, value) in pairs {
            let Some(field) = def.request_field(&name.text) else { continue };
            let value = match def.request[usize::from(field)].kind {
                Type::Word(word_type) => {
                    let words = &self.vocabulary.types[word_type].words;
                    let word = words.iter().position(|word| *word == value.text);
                    word.and_then(|word| u8::try_from(word).ok()).map(Value::Word)
                }
                _ => Some(Value::Text(Cow::Owned(value.text.clone()))),
            };
            record.set(field, value);
        }
        record
    }

    /// A record's fields by name.
    fn pairs_of(
        &self,
        record: &Record<'_>,
        fields: &[crate::mapping::model::Field],
    ) -> Vec<(String, String)> {
        record
            .present()
            .filter_map(|(index, value)| {
                let field = fields.get(usize::from(index))?;
                let text = match (value, field.kind) {
                    (Value::Word(word), Type::Word(word_type)) => {
                        self.vocabulary.word(word_type, *word).to_owned()
                    }
                    (Value::Text(text), _) => text.to_string(),
                    (Value::Word(_), _) => String::new(),
                };
                Some((field.name.clone(), text))
            })
            .collect()
    }
}

/// Equal but for blanks in JSON that is passed on as it came.
fn same_record(operation: &Operation, one: &Record<'_>, other: &Record<'_>) -> bool {
    let mut raws = (0u8..).take(operation.raw_names.len());
    one.present().eq(other.present())
        && raws.all(|raw| one.raw(raw).map(compacted) == other.raw(raw).map(compacted))
}

/// The whole record is compared, and every difference told: what is there and not stated is one too.
fn compare(found: &[(String, String)], stated: &[(Named, Named)]) -> Result<(), String> {
    let missed = stated.iter().filter_map(
        |(Named { text: name, .. }, Named { text: value, .. })| match found
            .iter()
            .find(|(known, _)| known == name)
        {
            Some((_, text)) if text == value => None,
            Some((_, text)) => Some(format!("`{name}` is {text:?}, stated as {value:?}")),
            None => Some(format!("`{name}` is not there, stated as {value:?}")),
        },
    );
    let extra =
        found.iter().filter(|(name, _)| !stated.iter().any(|(known, _)| known.text == *name));
    let extra = extra.map(|(name, text)| format!("`{name}` is {text:?}, which is not stated"));
    let differences: Vec<String> = missed.chain(extra).collect();
    if differences.is_empty() { Ok(()) } else { Err(differences.join("; ")) }
}

impl<'e> Message<'e> {
    /// Start line, header fields, blank line, body; one final newline of the body is dropped.
    fn parse(text: &'e str) -> Result<Self, String> {
        let (head, body) = match text.split_once("\n\n") {
            Some((head, body)) => (head, body.strip_suffix('\n').unwrap_or(body)),
            None => (text.trim_end_matches('\n'), ""),
        };
        let mut lines = head.lines();
        let start = lines.next().unwrap_or("").split_whitespace().collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) =
                line.split_once(':').ok_or_else(|| format!("`{line}` is no header field"))?;
            let name = HeaderName::from_bytes(name.trim().as_bytes())
                .map_err(|_| format!("`{name}` is no header's name"))?;
            let value = HeaderValue::from_str(value.trim())
                .map_err(|_| format!("`{name}` has a value that no header can have"))?;
            headers.append(name, value);
        }
        Ok(Self { start, headers, body: body.as_bytes() })
    }
}
