//! Diagnostics as data: what is wrong, where, and what to do about it.
//!
//! Every fault that is found in a file before start is a [`Diagnostic`]: a stable code, a severity, a
//! span of the file that was read, and the words for it. Finding and showing are apart, so the same
//! list is rendered for a terminal ([`render`]) and for a machine ([`to_json`]).
//!
//! This module knows nothing of mappings or configuration; it knows files, spans and text.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// A file that was read, with the name that its author knows it by.
#[derive(PartialEq, Eq)]
pub struct SourceFile {
    /// The path as it is shown to the author.
    pub name: String,
    /// The whole text, or the excerpt that is kept of it.
    pub text: String,
    /// The number of the text's first line: 1 unless it is an excerpt.
    pub first_line: usize,
}

/// A range of bytes in a [`SourceFile`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset after the last byte.
    pub end: usize,
}

/// A span together with the file that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub file: Arc<SourceFile>,
    /// The place in it.
    pub span: Span,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing starts with it.
    Error,
    /// Worth knowing; `--deny warnings` makes it count.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The stable code, such as `M003`.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// What was found and what was wanted, in one sentence without a full stop.
    pub message: String,
    /// Where.
    pub at: Location,
    /// What stands under the marked span: usually what to do.
    pub label: String,
    /// Other places that belong to the finding.
    pub also: Vec<(Location, String)>,
    /// Sentences below the snippet.
    pub notes: Vec<String>,
}

impl fmt::Debug for SourceFile {
    /// The name alone: a file's text would bury what is being looked at.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceFile({})", self.name)
    }
}

impl SourceFile {
    /// Takes a text under the name that its author knows.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Self::excerpt(name, text, 1)
    }

    /// Takes a few lines of a file that is too large to keep, the first of them with its number.
    pub fn excerpt(
        name: impl Into<String>,
        text: impl Into<String>,
        first_line: usize,
    ) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: text.into(), first_line })
    }

    /// Line and column, both from 1, the column in characters.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..floor_boundary(&self.text, offset)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + self.first_line;
        (line, before[line_start..].chars().count() + 1)
    }
}

impl Span {
    /// The span from `start` up to `end`.
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// As a range of bytes, cut to what the text holds.
    fn range(self, text: &str) -> Range<usize> {
        let start = floor_boundary(text, self.start);
        start..floor_boundary(text, self.end).max(start)
    }
}

impl Location {
    /// `file:line:column`.
    pub fn short(&self) -> String {
        let (line, column) = self.file.line_column(self.span.start);
        format!("{}:{line}:{column}", self.file.name)
    }

    /// `file:line`.
    pub fn line(&self) -> String {
        let (line, _) = self.file.line_column(self.span.start);
        format!("{}:{line}", self.file.name)
    }
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(code: &'static str, at: Location, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            at,
            label: String::new(),
            also: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// A warning at a place.
    pub fn warning(code: &'static str, at: Location, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, at, message) }
    }

    /// Adds the text that stands under the marked span.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds another place.
    #[must_use]
    pub fn also(mut self, at: Location, label: impl Into<String>) -> Self {
        self.also.push((at, label.into()));
        self
    }

    /// Adds a sentence below the snippet.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Labels the span with the nearest of the known names, or else lists them.
    #[must_use]
    pub fn suggest<'a>(self, wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        match nearest(wrong, &known) {
            Some(name) => self.label(format!("did you mean `{name}`?")),
            None if known.is_empty() => self,
            None => self.label(format!("known here: {}", known.join(", "))),
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// The name out of `known` that `wrong` was most likely meant to be.
pub fn nearest<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    let wrong_lower = wrong.to_lowercase();
    known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&wrong_lower, &name.to_lowercase()), *name))
        .filter(|(distance, name)| *distance <= 1 + name.len().min(wrong.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Sorts as an author reads: by file, then by place, errors before warnings, and drops exact repeats.
pub fn sort(findings: &mut Vec<Diagnostic>) {
    findings.sort_by(|a, b| {
        (&a.at.file.name, a.at.span.start, a.severity, a.code, &a.message).cmp(&(
            &b.at.file.name,
            b.at.span.start,
            b.severity,
            b.code,
            &b.message,
        ))
    });
    findings.dedup();
}

/// True if one of them is an error.
pub fn has_errors(findings: &[Diagnostic]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

/// One finding as text with its lines of the file, in colour if asked for; ends with a newline.
pub fn render(finding: &Diagnostic, color: bool) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = level
        .primary_title(finding.message.as_str())
        .id(finding.code)
        .element(snippet(finding, &finding.at.file));
    for (at, _) in other_files(finding) {
        group = group.element(snippet(finding, &at.file));
    }
    for note in &finding.notes {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut text = renderer.render(&[group]);
    text.push('\n');
    text
}

/// One finding in one line, without its lines of the file; for what only has to be known.
pub fn render_line(finding: &Diagnostic) -> String {
    let label = if finding.label.is_empty() { "" } else { "; " };
    format!(
        "{}[{}]: {}{label}{} --> {}",
        finding.severity,
        finding.code,
        finding.message,
        finding.label,
        finding.at.short()
    )
}

/// One finding as a JSON object: code, severity, message, file, line, column, end, label, notes.
pub fn to_json(finding: &Diagnostic) -> serde_json::Value {
    let (line, column) = finding.at.file.line_column(finding.at.span.start);
    let (end_line, end_column) = finding.at.file.line_column(finding.at.span.end);
    serde_json::json!({
        "code": finding.code,
        "severity": finding.severity.to_string(),
        "message": finding.message,
        "file": finding.at.file.name,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
        "label": finding.label,
        "also": finding.also.iter().map(|(at, label)| {
            let (line, column) = at.file.line_column(at.span.start);
            serde_json::json!({"file": at.file.name, "line": line, "column": column, "label": label})
        }).collect::<Vec<_>>(),
        "notes": finding.notes,
    })
}

/// The first place in each further file that the finding names.
fn other_files(finding: &Diagnostic) -> Vec<&(Location, String)> {
    let mut seen: Vec<&str> = vec![&finding.at.file.name];
    finding
        .also
        .iter()
        .filter(|(at, _)| {
            let new = !seen.contains(&at.file.name.as_str());
            seen.push(&at.file.name);
            new
        })
        .collect()
}

fn snippet<'a>(
    finding: &'a Diagnostic,
    file: &'a Arc<SourceFile>,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let mut snippet =
        Snippet::source(file.text.as_str()).path(file.name.as_str()).line_start(file.first_line);
    if finding.at.file == *file {
        let span = AnnotationKind::Primary.span(finding.at.span.range(&file.text));
        snippet = snippet.annotation(match finding.label.as_str() {
            "" => span,
            label => span.label(label),
        });
    }
    for (at, label) in finding.also.iter().filter(|(at, _)| at.file == *file) {
        let span = AnnotationKind::Context.span(at.span.range(&file.text));
        snippet = snippet.annotation(span.label(label.as_str()));
    }
    snippet
}

/// The nearest character boundary at or before `offset`.
fn floor_boundary(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, start: usize, end: usize) -> Location {
        Location { file: SourceFile::new("a.yaml", text), span: Span::new(start, end) }
    }

    #[test]
    fn renders_the_form_of_the_language_page() {
        let text = "x:\n  status: <status via statsu>\n";
        let start = text.find("statsu").unwrap();
        let finding =
            Diagnostic::error("M003", at(text, start, start + 6), "no table named `statsu`")
                .suggest("statsu", ["status", "other"]);
        assert_eq!(
            render(&finding, false),
            "error[M003]: no table named `statsu`\n \
             --> a.yaml:2:23\n  \
             |\n\
             2 |   status: <status via statsu>\n  \
             |                       ^^^^^^ did you mean `status`?\n"
        );
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(at("é: ü\nb", 4, 6).short(), "a.yaml:1:4");
        assert_eq!(at("é: ü\nb", 7, 8).short(), "a.yaml:2:1");
    }

    #[test]
    fn a_span_past_the_end_does_not_panic() {
        let finding = Diagnostic::warning("M101", at("é", 1, 99), "x");
        assert!(render(&finding, false).starts_with("warning[M101]: x"));
    }

    #[test]
    fn an_excerpt_counts_from_its_own_line() {
        let file = SourceFile::excerpt("pairs.csv", "a,b\n", 41);
        let finding = Diagnostic::error("C010", Location { file, span: Span::new(2, 3) }, "m");
        assert_eq!(finding.at.short(), "pairs.csv:41:3");
        assert!(render(&finding, false).contains("pairs.csv:41:3\n"));
        assert!(render(&finding, false).contains("41 | a,b\n"));
    }

    #[test]
    fn far_names_are_listed_instead_of_guessed() {
        let finding =
            Diagnostic::error("M003", at("zzz", 0, 3), "m").suggest("zzz", ["status", "state"]);
        assert_eq!(finding.label, "known here: status, state");
    }
}
