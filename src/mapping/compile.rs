//! From a mapping as written to a mapping that runs.
//!
//! Every name is looked up here, once, and becomes an index; whatever does not exist or does not fit
//! is reported with its place, all of it together. What needs the whole mapping to be seen (words
//! without a row, faults that cannot be told apart) is left to [`check`](super::check).

mod bodies;
mod charset;
mod faults;
mod holes;
mod jsonpath;
mod places;
mod poll;
mod requests;
mod session;
mod tables;
mod vocabulary;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use charset::Charset;
pub use vocabulary::compile_vocabulary;

use crate::diag::{Diagnostic, Location, SourceFile, Span, has_errors};
use crate::mapping::model::{
    FaultMap, Format, Mapping, Operation, OperationDef, Setting, Table, Vocabulary,
};
use crate::mapping::syntax::{self, Findings, Named};

/// A table of the configuration that replaces all rows of a mapping's table.
#[derive(Clone, Debug)]
pub struct TableOverride {
    /// The table with its name and rows.
    pub table: syntax::Table,
    /// The file that it stands in.
    pub source: Arc<SourceFile>,
}

/// Compiles a mapping file.
///
/// Always gives a mapping; if an error was found it must not run.
pub fn compile(
    vocabulary: &Vocabulary,
    file: &syntax::File,
    overrides: &[TableOverride],
) -> (Mapping, Vec<Diagnostic>) {
    let mut compiler = Compiler {
        vocabulary,
        findings: Findings::new(&file.source),
        settings: Vec::new(),
        formats: Vec::new(),
        formats_used: BTreeSet::new(),
        tables: Vec::new(),
        namespaces: String::new(),
        unverified: Vec::new(),
        scope: Scope::default(),
    };
    let mapping = compiler.mapping(file, overrides);
    (mapping, compiler.findings.list)
}

/// What a name may be, at the place that is being compiled.
#[derive(Debug, Default)]
struct Scope {
    /// Index of the operation in the vocabulary.
    operation: Option<usize>,
    /// Which message it is.
    message: Message,
    /// Names of `parts`.
    parts: Vec<String>,
    /// Names of steps with those of their values.
    steps: Vec<(String, Vec<String>)>,
    /// `raw.` names of the operation so far.
    raw_names: Vec<String>,
    /// True for what `session:` has, which is no operation of the vocabulary.
    session: bool,
}

/// Which message a place belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Message {
    Request,
    Answer,
    #[default]
    Fault,
}

/// What kind of place a hole stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    Path,
    Query,
    Header,
    Cookie,
    Json,
    Xml,
    Text,
    Form,
    /// A header's or cookie's own name.
    Name,
    /// A text that is only ever written, such as `say`.
    Spoken,
    /// A member of a table's row.
    With,
    /// A part's pattern, or the text of a step's condition.
    Inner,
}

struct Compiler<'a> {
    vocabulary: &'a Vocabulary,
    findings: Findings,
    settings: Vec<Setting>,
    formats: Vec<Format>,
    /// The formats that a hole has asked for.
    formats_used: BTreeSet<u8>,
    tables: Vec<Table>,
    namespaces: String,
    unverified: Vec<(Location, String)>,
    scope: Scope,
}

impl Compiler<'_> {
    fn mapping(&mut self, file: &syntax::File, overrides: &[TableOverride]) -> Mapping {
        self.settings = self.settings(&file.settings);
        self.formats(&file.formats);
        self.namespaces = file
            .namespaces
            .iter()
            .map(|(prefix, uri)| {
                let mut escaped = Vec::new();
                // A namespace with a character that XML cannot carry is simply not declared.
                let _ = crate::codec::xml::escape_attribute(&mut escaped, &uri.text);
                format!(" xmlns:{}=\"{}\"", prefix.text, String::from_utf8_lossy(&escaped))
            })
            .collect();
        self.tables(&file.tables, overrides);
        let shared = file.faults.as_ref().map(|faults| {
            self.scope = Scope::default();
            Arc::new(self.fault_map(faults))
        });
        let operations: Vec<Operation> = file
            .operations
            .iter()
            .filter_map(|operation| self.operation(operation, shared.as_ref()))
            .collect();
        let session = file.session.as_ref().and_then(|session| self.session(session));
        let faults = shared
            .or_else(|| operations.first().map(|operation| Arc::clone(&operation.faults)))
            .unwrap_or_else(|| Arc::new(self.empty_faults()));
        let limits = self.limits(file.limits.as_ref());
        self.check_formats(&file.formats);
        Mapping {
            vendor: file.vendor.text.clone(),
            title: file.title.as_ref().unwrap_or(&file.vendor).text.clone(),
            source: Arc::clone(&file.source),
            settings: std::mem::take(&mut self.settings),
            formats: std::mem::take(&mut self.formats),
            prefixes: self.prefixes(&file.prefixes),
            tables: std::mem::take(&mut self.tables),
            operations,
            faults,
            limits,
            session,
            unverified: std::mem::take(&mut self.unverified),
        }
    }

    fn at(&self, span: Span) -> Location {
        self.findings.at(span)
    }

    fn operation_def(&self) -> Option<&OperationDef> {
        self.vocabulary.operations.get(self.scope.operation?)
    }

    fn empty_faults(&self) -> FaultMap {
        FaultMap {
            bodies: Vec::new(),
            headers: Vec::new(),
            find: None,
            ignore_case: false,
            rows: Vec::new(),
            tried_first: Vec::new(),
            tried_last: Vec::new(),
            writing: Vec::new(),
            own: Vec::new(),
            at: self.at(Span::new(0, 0)),
        }
    }

    fn note_unverified(&mut self, unverified: bool, span: Span, what: impl Into<String>) {
        if unverified {
            let at = self.at(span);
            self.unverified.push((at, what.into()));
        }
    }

    fn settings(&mut self, declared: &[syntax::SettingDecl]) -> Vec<Setting> {
        declared
            .iter()
            .filter_map(|setting| {
                let kind = self.vocabulary.type_by_name(&setting.kind.text);
                if kind.is_none() {
                    let message = format!("no type named `{}`", setting.kind.text);
                    let known = ["id", "user_id", "text", "int", "time", "bool"];
                    let span = setting.kind.span;
                    self.findings.unknown("M002", span, message, &setting.kind.text, known);
                }
                Some(Setting {
                    name: setting.name.text.clone(),
                    kind: kind?,
                    at: self.at(setting.name.span),
                })
            })
            .collect()
    }

    fn formats(&mut self, declared: &[(Named, Named)]) {
        for (name, text) in declared {
            let at = self.at(text.span);
            match Format::new(name.text.clone(), text.text.clone(), at) {
                Ok(format) => self.formats.push(format),
                Err(error) => {
                    let why = error.to_string();
                    let why = why.lines().last().unwrap_or("").trim();
                    let message = format!("`{}` is no regular expression: {why}", text.text);
                    let label = "formats are linear-time expressions, anchored at both ends";
                    self.findings.error("M000", text.span, message, label);
                }
            }
        }
    }

    /// A format of a field that does not exist checks nothing, and the field is left without one.
    fn check_formats(&mut self, declared: &[(Named, Named)]) {
        if has_errors(&self.findings.list) {
            return;
        }
        let fields =
            self.vocabulary.operations.iter().flat_map(|def| def.request.iter().chain(&def.answer));
        let fields = fields.map(|field| field.name.as_str());
        let gateway = self.vocabulary.gateway.iter().map(|field| field.name());
        let secrets = self.vocabulary.secrets.iter().map(String::as_str);
        let known: BTreeSet<&str> = fields.chain(gateway).chain(secrets).collect();
        for (index, (name, _)) in (0u8..).zip(declared) {
            if !known.contains(name.text.as_str()) && !self.formats_used.contains(&index) {
                let message = format!("a format for `{}`, which no hole names", name.text);
                self.findings.unknown(
                    "M002",
                    name.span,
                    message,
                    &name.text,
                    known.iter().copied(),
                );
            }
        }
    }

    fn prefixes(&mut self, declared: &[Named]) -> Vec<String> {
        for prefix in declared {
            let text = &prefix.text;
            let well_formed = text.is_empty()
                || (text.starts_with('/')
                    && !text.ends_with('/')
                    && !text.contains(['?', '#', '<']));
            if !well_formed {
                let label = "a prefix begins with `/` and ends without one; \"\" is none";
                let message = format!("`{text}` is no path prefix");
                self.findings.error("M000", prefix.span, message, label);
            }
        }
        match declared {
            [] => vec![String::new()],
            declared => declared.iter().map(|prefix| prefix.text.clone()).collect(),
        }
    }

    /// `limits:` as header fields of every answer.
    fn limits(&mut self, limits: Option<&syntax::Limits>) -> Vec<crate::mapping::model::Named> {
        let Some(limits) = limits else { return Vec::new() };
        self.scope = Scope::default();
        self.set_message(Message::Answer);
        let headers = self.named_places(&limits.headers, Position::Header, "header");
        let both = [
            (&limits.remaining, crate::mapping::model::GatewayField::RateRemaining),
            (&limits.reset, crate::mapping::model::GatewayField::RateReset),
        ];
        let own = both.into_iter().filter_map(|(limit, field)| {
            let (header, codec) = limit.as_ref()?;
            self.limit_header(header, codec.as_ref(), field)
        });
        own.chain(headers).collect()
    }
}
