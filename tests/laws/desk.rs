//! One operation of one vendor, and how the tests read and write with it.

use std::path::Path;
use std::sync::Arc;

use http::HeaderMap;
use latimer::bounds;
use latimer::catalog::Catalog;
use latimer::mapping::model::{Mapping, Operation, Vocabulary};
use latimer::mapping::run::{
    AnswerHead, Gateway, Outgoing, ReadOptions, Reading, Refusal, RequestHead, RequestParts,
    Secrets, Settings, Sources, WrittenAnswer, read_answer, read_request, read_secrets,
    write_answer, write_request,
};
use latimer::secret::Secret;
use latimer::value::Record;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// The id of every call here.
pub(crate) const CALL: &str = "0123456789abcdef0123456789abcdef";

/// An operation with its mapping and vocabulary.
pub(crate) struct Desk {
    pub(crate) vocabulary: Arc<Vocabulary>,
    pub(crate) mapping: Arc<Mapping>,
    index: usize,
}

/// What one message is written from.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    /// The request; beside an answer, the one that it answers.
    pub(crate) record: Record<'static>,
    /// The answer.
    pub(crate) answer: Record<'static>,
    /// By index; secrets are neither empty nor do they hold control characters, as the configuration has it.
    pub(crate) settings: Vec<Option<String>>,
    pub(crate) secrets: Vec<Option<String>>,
    pub(crate) steps: Vec<Vec<String>>,
}

/// Every translated operation of the shipped mappings and of the invented vendors.
pub(crate) fn desks() -> Vec<Desk> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mappings/sixth");
    let (sixth, _) = Catalog::load(&folder).unwrap();
    let mut desks = Vec::new();
    for catalog in [Catalog::shipped(), sixth] {
        for mapping in &catalog.mappings {
            for (index, operation) in mapping.operations.iter().enumerate() {
                // What has to do with sessions goes to no other vendor.
                if operation.kind.is_ours() {
                    continue;
                }
                let (vocabulary, mapping) = (Arc::clone(&catalog.vocabulary), Arc::clone(mapping));
                desks.push(Desk { vocabulary, mapping, index });
            }
        }
    }
    assert_eq!(desks.len(), 13, "two operations of five vendors and of a sixth, one of a seventh");
    desks
}

/// Runs a property on random values; what fails is shrunk and named. `PROPTEST_CASES` asks for another number
/// of cases.
pub(crate) fn holds<S: Strategy>(
    what: &str,
    cases: u32,
    strategy: &S,
    property: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let asked = Config::default();
    let cases = std::env::var_os("PROPTEST_CASES").map_or(cases, |_| asked.cases);
    let config = Config { cases, failure_persistence: None, ..asked };
    if let Err(error) = TestRunner::new(config).run(strategy, property) {
        panic!("{what}: {error}");
    }
}

impl Desk {
    pub(crate) fn operation(&self) -> &Operation {
        &self.mapping.operations[self.index]
    }

    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.mapping.vendor, self.operation().name)
    }

    pub(crate) fn settings(&self, input: &Input) -> Settings {
        let names = self.mapping.settings.iter().map(|setting| setting.name.as_str());
        let pairs = names.zip(&input.settings);
        Settings::of(&self.mapping, pairs.filter_map(|(name, text)| Some((name, text.as_deref()?))))
    }

    /// Writes a request to this vendor.
    pub(crate) fn write_request(&self, input: &Input) -> Result<Outgoing, Refusal> {
        let named = self.vocabulary.secrets.iter().cloned().zip(&input.secrets);
        let named = named.filter_map(|(name, text)| Some((name, Secret::new(text.as_deref()?))));
        let secrets = Secrets::of(&self.vocabulary, named);
        let settings = self.settings(input);
        let gateway = Gateway { call: CALL, ..Gateway::default() };
        let sources = Sources {
            secrets: Some(&secrets),
            ..self.sources(&settings, &input.record, &gateway, &input.steps)
        };
        write_request(self.operation(), sources)
    }

    pub(crate) fn sources<'s>(
        &'s self,
        settings: &'s Settings,
        record: &'s Record<'s>,
        gateway: &'s Gateway<'s>,
        steps: &'s [Vec<String>],
    ) -> Sources<'s> {
        Sources {
            vocabulary: &self.vocabulary,
            mapping: &self.mapping,
            settings,
            record,
            request: None,
            secrets: None,
            gateway,
            steps,
            parts: &[],
        }
    }

    /// Reads a request as this vendor's API.
    pub(crate) fn read_request<'m>(
        &self,
        settings: &Settings,
        (target, headers): (&'m str, &'m HeaderMap),
        body: &'m [u8],
        refuse_unknown: bool,
    ) -> Result<Record<'m>, Refusal> {
        let options = ReadOptions { depth_max: bounds::BODY_DEPTH_MAX, refuse_unknown };
        let head = request_head(target, headers);
        let (vocabulary, mapping) = (&self.vocabulary, &self.mapping);
        read_request(vocabulary, mapping, self.operation(), &head, body, settings, options)
            .map(|(record, _)| record)
    }

    /// The secrets that a request presents, by index.
    pub(crate) fn read_secrets(
        &self,
        settings: &Settings,
        (target, headers): (&str, &HeaderMap),
    ) -> Result<Vec<Option<String>>, Refusal> {
        let head = request_head(target, headers);
        let request = &self.operation().request;
        let read = read_secrets(&self.vocabulary, &self.mapping, request, &head, settings)?;
        let secrets = (0u8..).take(self.vocabulary.secrets.len());
        Ok(secrets.map(|secret| read.get(secret).map(str::to_owned)).collect())
    }

    /// Writes an answer that says yes as this vendor's API.
    pub(crate) fn write_answer(&self, input: &Input) -> Result<WrittenAnswer, Refusal> {
        let settings = self.settings(input);
        let gateway = Gateway::default();
        let sources = Sources {
            request: Some(&input.record),
            ..self.sources(&settings, &input.answer, &gateway, &[])
        };
        let nothing = HeaderMap::new();
        write_answer(self.operation(), sources, RequestParts { headers: &nothing, kind: None })
    }

    /// Reads an answer of this vendor.
    pub(crate) fn read_answer<'m>(
        &self,
        settings: &Settings,
        request: &Record<'_>,
        (status, headers): (u16, &'m HeaderMap),
        body: &'m [u8],
    ) -> Reading<'m> {
        let head = AnswerHead { status, headers };
        let (vocabulary, mapping) = (&self.vocabulary, &self.mapping);
        read_answer(vocabulary, mapping, self.operation(), head, body, settings, request)
    }
}

pub(crate) fn request_head<'m>(target: &'m str, headers: &'m HeaderMap) -> RequestHead<'m> {
    match target.split_once('?') {
        Some((path, query)) => RequestHead { path, query: Some(query), headers },
        None => RequestHead { path: target, query: None, headers },
    }
}
