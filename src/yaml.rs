//! YAML as its author wrote it: every scalar keeps its text, its style and its place.
//!
//! Built on the events of saphyr-parser, because a value tree would retype `1.10`, `007` and `yes` and
//! forget where they stood. What mapping and configuration files do not use is refused here: anchors,
//! aliases, tags, several documents, keys that are not scalars, duplicate keys, tabs.
//!
//! This module knows nothing of what the keys mean.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::bounds;
use crate::diag::{Diagnostic, Location, SourceFile, Span};

/// A node of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it stands; for a map or a list from its first to its last entry.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// The three kinds of node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Keys in the author's order.
    Map(Vec<(Scalar, Node)>),
    /// Items in order.
    List(Vec<Node>),
    /// A text.
    Scalar(Scalar),
}

/// A scalar with the text that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// The text after quotes and escapes.
    pub text: String,
    /// True if it was written without quotes and not as a block.
    pub plain: bool,
    /// Where it stands, quotes included.
    pub span: Span,
    /// Offset of the text's first byte, if the file holds the text as it is: then a part of the text
    /// has a place of its own.
    verbatim: Option<usize>,
}

impl Scalar {
    /// The place of a part of the text, or of the whole scalar where the file does not hold it as it is.
    pub fn part(&self, start: usize, end: usize) -> Span {
        match self.verbatim {
            Some(offset) => Span::new(offset + start, offset + end),
            None => self.span,
        }
    }

    /// True for an empty plain scalar, `~` and `null`.
    pub fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

impl Node {
    /// The scalar, if it is one.
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(scalar),
            Kind::Map(_) | Kind::List(_) => None,
        }
    }

    /// The entries, if it is a map.
    pub fn entries(&self) -> Option<&[(Scalar, Node)]> {
        match &self.kind {
            Kind::Map(entries) => Some(entries),
            Kind::List(_) | Kind::Scalar(_) => None,
        }
    }

    /// The value under a key, if it is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries()?.iter().find(|(name, _)| name.text == key).map(|(_, node)| node)
    }

    /// What an author calls such a node.
    pub fn kind_name(&self) -> &'static str {
        match &self.kind {
            Kind::Map(_) => "a map",
            Kind::List(_) => "a list",
            Kind::Scalar(scalar) if scalar.is_null() => "nothing",
            Kind::Scalar(_) => "a text",
        }
    }

    /// The span that a message about the node should mark: a map or a list by its first line only.
    pub fn headline(&self, file: &SourceFile) -> Span {
        let text = file.text.get(self.span.start..self.span.end).unwrap_or("");
        let line = text.split('\n').next().unwrap_or("").trim_end();
        Span::new(self.span.start, self.span.start + line.len())
    }
}

/// How much a file may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    /// Its size in bytes.
    pub bytes: usize,
    /// Its scalars, lists and maps.
    pub nodes: usize,
}

impl Most {
    /// Of a mapping or the vocabulary, which people write.
    pub const MAPPING: Self =
        Self { bytes: bounds::MAPPING_BYTES_MAX, nodes: bounds::MAPPING_NODES_MAX };
    /// Of a configuration, whose consumers may be many.
    pub const CONFIGURATION: Self =
        Self { bytes: bounds::CONFIGURATION_BYTES_MAX, nodes: bounds::CONFIGURATION_NODES_MAX };
}

/// Reads a file's text into a node.
///
/// # Errors
/// Everything that was found wrong, each under `code` and with its place. A syntax error ends the
/// reading; duplicate keys and the like are reported together.
pub fn load(
    file: &Arc<SourceFile>,
    code: &'static str,
    most: Most,
) -> Result<Node, Vec<Diagnostic>> {
    let (offsets, findings) = (Offsets::of(&file.text), Vec::new());
    let mut loader = Loader { file, code, offsets, findings, nodes: 0, nodes_max: most.nodes };
    if file.text.len() > most.bytes {
        let found =
            format!("the file has {} bytes, at most {} are read", file.text.len(), most.bytes);
        return Err(vec![loader.finding(Span::new(0, 0), found)]);
    }
    if let Some(tab) = indenting_tab(&file.text) {
        let finding = loader.finding(Span::new(tab, tab + 1), "a tab indents this line");
        return Err(vec![finding.label("YAML wants spaces here")]);
    }
    let node = loader.document();
    match node {
        Some(node) if loader.findings.is_empty() => Ok(node),
        _ => Err(loader.findings),
    }
}

/// The first tab among a line's leading blanks.
fn indenting_tab(text: &str) -> Option<usize> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let blanks = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(at) = line[..blanks].find('\t')
            && !line.trim().is_empty()
        {
            return Some(start + at);
        }
        start += line.len();
    }
    None
}

/// The parser's marks count characters; spans count bytes.
enum Offsets {
    Ascii,
    Table(Vec<usize>),
}

impl Offsets {
    fn of(text: &str) -> Self {
        if text.is_ascii() {
            return Self::Ascii;
        }
        let mut table: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        table.push(text.len());
        Self::Table(table)
    }

    fn byte(&self, index: usize) -> usize {
        match self {
            Self::Ascii => index,
            Self::Table(table) => table.get(index).or(table.last()).copied().unwrap_or(0),
        }
    }
}

struct Loader<'a> {
    file: &'a Arc<SourceFile>,
    code: &'static str,
    offsets: Offsets,
    findings: Vec<Diagnostic>,
    nodes: usize,
    nodes_max: usize,
}

type Events<'a> = Parser<'a, saphyr_parser::StrInput<'a>>;

impl<'a> Loader<'a> {
    fn finding(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(self.code, Location { file: Arc::clone(self.file), span }, message)
    }

    fn report(&mut self, span: Span, message: impl Into<String>, label: &str) {
        let finding = self.finding(span, message).label(label);
        self.findings.push(finding);
    }

    fn document(&mut self) -> Option<Node> {
        let text: &'a str = &self.file.text;
        let mut events = Parser::new_from_str(text);
        let mut root = None;
        loop {
            let (event, span) = self.next(&mut events)?;
            match event {
                Event::StreamEnd => break,
                Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(_) if root.is_some() => {
                    self.report(
                        span,
                        "a second document starts here",
                        "one file holds one document",
                    );
                    return None;
                }
                Event::DocumentStart(_) => {}
                event => root = Some(self.node(event, span, &mut events, 0)?),
            }
        }
        if root.is_none() {
            self.report(Span::new(0, 0), "the file is empty", "");
        }
        root
    }

    /// The next event with its span in bytes; `None` after a syntax error, which is then reported.
    fn next(&mut self, events: &mut Events<'a>) -> Option<(Event<'a>, Span)> {
        match events.next_event()? {
            Ok((event, span)) => {
                let start = self.offsets.byte(span.start.index());
                let end = self.offsets.byte(span.end.index());
                Some((event, Span::new(start, end.max(start))))
            }
            Err(error) => {
                let at = self.offsets.byte(error.marker().index()).min(self.file.text.len());
                self.report(
                    Span::new(at, at + 1),
                    format!("this is not YAML: {}", error.info()),
                    "",
                );
                None
            }
        }
    }

    fn node(
        &mut self,
        event: Event<'a>,
        span: Span,
        events: &mut Events<'a>,
        depth: usize,
    ) -> Option<Node> {
        self.nodes += 1;
        if depth > bounds::FILE_DEPTH_MAX || self.nodes > self.nodes_max {
            self.report(span, "the file is nested too deeply or has too many entries", "");
            return None;
        }
        match event {
            Event::Alias(_) => {
                self.report(span, "an alias", "write the value out: aliases are not used here");
                Some(Node { span, kind: Kind::List(Vec::new()) })
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_decoration(span, anchor, tag.is_some());
                let scalar = self.scalar(&text, style, span);
                Some(Node { span: scalar.span, kind: Kind::Scalar(scalar) })
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_decoration(span, anchor, tag.is_some());
                self.list(span, events, depth)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_decoration(span, anchor, tag.is_some());
                self.map(span, events, depth)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => {
                self.report(span, "a value was expected here", "");
                None
            }
        }
    }

    fn refuse_decoration(&mut self, span: Span, anchor: usize, tagged: bool) {
        if anchor != 0 {
            self.report(
                span,
                "an anchor",
                "anchors are not used here: write the value where it is needed",
            );
        }
        if tagged {
            self.report(span, "a tag", "tags are not used here");
        }
    }

    fn list(&mut self, start: Span, events: &mut Events<'a>, depth: usize) -> Option<Node> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next(events)?;
            if matches!(event, Event::SequenceEnd) {
                let end = items.last().map_or(span.end, |item: &Node| item.span.end);
                let end = if self.closes_flow(span) { span.end } else { end };
                return Some(Node { span: Span::new(start.start, end), kind: Kind::List(items) });
            }
            items.push(self.node(event, span, events, depth + 1)?);
        }
    }

    fn map(&mut self, start: Span, events: &mut Events<'a>, depth: usize) -> Option<Node> {
        let mut entries: Vec<(Scalar, Node)> = Vec::new();
        // A map may have as many keys as a gateway has consumers.
        let mut indexes: FxHashMap<String, usize> = FxHashMap::default();
        loop {
            let (event, span) = self.next(events)?;
            if matches!(event, Event::MappingEnd) {
                let end = entries.last().map_or(span.end, |(_, node)| node.span.end);
                let end = if self.closes_flow(span) { span.end } else { end };
                // Most maps of a large file have an entry or two.
                entries.shrink_to_fit();
                return Some(Node { span: Span::new(start.start, end), kind: Kind::Map(entries) });
            }
            let key = self.node(event, span, events, depth + 1)?;
            let (event, span) = self.next(events)?;
            let value = self.node(event, span, events, depth + 1)?;
            let Kind::Scalar(name) = key.kind else {
                self.report(key.span, "a key that is not a text", "keys are texts");
                continue;
            };
            let index = *indexes.entry(name.text.clone()).or_insert(entries.len());
            match entries.get(index) {
                Some((first, _)) => {
                    let first = Location { file: Arc::clone(self.file), span: first.span };
                    let finding =
                        self.finding(name.span, format!("the key `{}` stands twice", name.text));
                    self.findings.push(finding.label("again here").also(first, "first here"));
                }
                None => entries.push((name, value)),
            }
        }
    }

    /// True if the end event stands on a closing bracket rather than on the end of a block.
    fn closes_flow(&self, span: Span) -> bool {
        matches!(self.file.text.get(span.start..span.end), Some("}" | "]"))
    }

    fn scalar(&self, text: &str, style: ScalarStyle, span: Span) -> Scalar {
        let source = self.file.text.get(span.start..span.end).unwrap_or("");
        let trimmed = source.trim_end();
        let span = Span::new(span.start, span.start + trimmed.len());
        let verbatim = match style {
            ScalarStyle::Plain => (trimmed == text).then_some(span.start),
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                let inner = trimmed.get(1..trimmed.len().saturating_sub(1)).unwrap_or("");
                (inner == text).then_some(span.start + 1)
            }
            ScalarStyle::Literal | ScalarStyle::Folded => None,
        };
        Scalar { text: text.to_owned(), plain: matches!(style, ScalarStyle::Plain), span, verbatim }
    }
}

#[cfg(test)]
mod tests;
