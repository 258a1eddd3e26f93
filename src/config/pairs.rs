//! Files of id pairs: which ticket of the client is which ticket of the upstream.
//!
//! CSV with the header `client_id,upstream_id`, one to one in both directions. The file is read as a stream
//! and may be large, so a finding shows the one line that it is about and not the file.
//!
//! A route names such a file by `ids: {ticket: {file: PATH}}`; the configuration keeps its path only.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;
use std::sync::Arc;

use csv::StringRecord;
use rustc_hash::FxBuildHasher;

use super::form::quote;
use super::{Spanned, codes};
use crate::bounds;
use crate::diag::{Diagnostic, Location, SourceFile, Span};

/// The header that such a file starts with.
const HEADER: [&str; 2] = ["client_id", "upstream_id"];

/// Ids of one side by those of the other.
pub type IdMap = HashMap<Arc<str>, Arc<str>, FxBuildHasher>;

/// Which ticket of the client is which ticket of the upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// The upstream's id by the client's.
    pub to_upstream: IdMap,
    /// The client's id by the upstream's.
    pub to_client: IdMap,
}

/// Reads a file of pairs that the configuration names.
///
/// # Errors
/// Everything that is wrong in it, up to [`bounds::PAIRS_FINDINGS_MAX`] findings; a file that cannot be read
/// is reported where the configuration names it.
pub fn load(path: &Spanned<PathBuf>) -> Result<Pairs, Vec<Diagnostic>> {
    let refuse = |message: String| {
        Err(vec![Diagnostic::error(codes::PAIRS, path.at.clone(), message).label("named here")])
    };
    let opened = File::open(&path.value).and_then(|file| Ok((file.metadata()?.len(), file)));
    match opened {
        Err(error) => refuse(format!("the file of pairs cannot be read: {error}")),
        Ok((bytes, _)) if bytes > bounds::PAIRS_BYTES_MAX => refuse(format!(
            "the file of pairs has {bytes} bytes, at most {} are read",
            bounds::PAIRS_BYTES_MAX
        )),
        Ok((_, file)) => read(&path.value.display().to_string(), BufReader::new(file)),
    }
}

/// Reads pairs from a stream under the name that findings give it.
///
/// # Errors
/// Everything that is wrong in it, up to [`bounds::PAIRS_FINDINGS_MAX`] findings.
pub fn read(name: &str, stream: impl Read) -> Result<Pairs, Vec<Diagnostic>> {
    let mut table = Table::new(name);
    // One byte more than is taken tells that there is more. The newline after it ends the last line in any
    // case, so that the reader's position after a record is always the start of the next line.
    let stream = stream.take(bounds::PAIRS_BYTES_MAX + 1).chain(&b"\n"[..]);
    let mut records = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .terminator(csv::Terminator::Any(b'\n'))
        .from_reader(stream);
    let mut record = StringRecord::new();
    let mut header = true;
    while !table.is_full() {
        let read = records.read_record(&mut record);
        table.line = records.position().line().saturating_sub(1).max(1);
        match read {
            Ok(false) => break,
            Ok(true) if records.position().byte() > bounds::PAIRS_BYTES_MAX + 1 => {
                table.too_much(&format!("{} bytes", bounds::PAIRS_BYTES_MAX));
            }
            Ok(true) if header => table.header(&fields(&record)),
            Ok(true) => table.pair(&fields(&record)),
            Err(error) => table.unreadable(&error),
        }
        header = false;
    }
    if header {
        table.report("", Span::default(), "the file of pairs is empty", HEADER_HINT);
    }
    if table.findings.is_empty() { Ok(table.pairs) } else { Err(table.findings) }
}

const HEADER_HINT: &str = "the first line is `client_id,upstream_id`";
const PAIR_HINT: &str = "a pair has two: `client_id,upstream_id`";

/// The fields of a line, without the carriage return that some tools end it with.
fn fields(record: &StringRecord) -> Vec<&str> {
    let mut fields: Vec<&str> = record.iter().collect();
    if let Some(last) = fields.last_mut() {
        *last = last.strip_suffix('\r').unwrap_or(last);
    }
    fields
}

/// What was read so far.
struct Table<'a> {
    name: &'a str,
    pairs: Pairs,
    /// The line of each pair by the client's id.
    lines: HashMap<Arc<str>, u64, FxBuildHasher>,
    findings: Vec<Diagnostic>,
    /// True if the file holds more than is taken.
    too_large: bool,
    /// The line that is looked at; of a record with newlines in it, which is refused, the last.
    line: u64,
}

impl<'a> Table<'a> {
    fn new(name: &'a str) -> Self {
        let (pairs, lines) = (Pairs::default(), HashMap::default());
        Self { name, pairs, lines, findings: Vec::new(), too_large: false, line: 1 }
    }

    /// True if reading on would say nothing new.
    fn is_full(&self) -> bool {
        self.too_large || self.findings.len() >= bounds::PAIRS_FINDINGS_MAX
    }

    fn header(&mut self, fields: &[&str]) {
        // A spreadsheet may write a byte order mark, which is no part of the first name.
        let names = fields.iter().map(|field| field.trim_start_matches('\u{feff}'));
        if !names.eq(HEADER) {
            let text = fields.join(",");
            let span = Span::new(0, text.len());
            self.report(&text, span, "the file of pairs has another header", HEADER_HINT);
        }
    }

    fn pair(&mut self, fields: &[&str]) {
        // The line as its fields say it; quotes that it needed are lost.
        let text = fields.join(",");
        match fields {
            [""] => {} // an empty line that ends in a carriage return
            [client, upstream] => {
                let places = [Span::new(0, client.len()), Span::new(client.len() + 1, text.len())];
                if let Err((side, message, label)) = self.check(client, upstream) {
                    self.report(&text, places[side], &message, &label);
                } else if self.lines.len() >= bounds::PAIRS_MAX {
                    self.too_much(&format!("{} pairs", bounds::PAIRS_MAX));
                } else {
                    self.add((*client).into(), (*upstream).into());
                }
            }
            wrong => {
                let plural = if wrong.len() == 1 { "" } else { "s" };
                let message = format!("a line with {} field{plural}", wrong.len());
                self.report(&text, Span::new(0, text.len()), &message, PAIR_HINT);
            }
        }
    }

    /// The side that is wrong, how, and what to do.
    fn check(&self, client: &str, upstream: &str) -> Result<(), (usize, String, String)> {
        for (side, id) in [client, upstream].into_iter().enumerate() {
            let name = HEADER[side];
            if id.trim().is_empty() {
                return Err((side, format!("an empty `{name}`"), "write the id".into()));
            }
            if id.trim() != id || id.chars().any(char::is_control) {
                let id = quote(id);
                let message =
                    format!("the `{name}` {id} has blanks around it or control characters");
                return Err((side, message, "write the id alone".into()));
            }
        }
        let clash = match (self.lines.contains_key(client), self.pairs.to_client.get(upstream)) {
            (true, _) => (0, client, client),
            (false, Some(other)) => (1, upstream, other.as_ref()),
            (false, None) => return Ok(()),
        };
        let (side, id, first) = clash;
        let line = self.lines.get(first).copied().unwrap_or_default();
        Err((
            side,
            format!("the `{}` {} stands twice", HEADER[side], quote(id)),
            format!("first in line {line}; each id has one partner"),
        ))
    }

    fn add(&mut self, client: Arc<str>, upstream: Arc<str>) {
        self.lines.insert(Arc::clone(&client), self.line);
        self.pairs.to_client.insert(Arc::clone(&upstream), Arc::clone(&client));
        self.pairs.to_upstream.insert(client, upstream);
    }

    fn too_much(&mut self, limit: &str) {
        self.too_large = true;
        let message = format!("the file of pairs has more than {limit}");
        self.report("", Span::default(), &message, "no more are read");
    }

    fn unreadable(&mut self, error: &csv::Error) {
        let message = match error.kind() {
            csv::ErrorKind::Utf8 { .. } => "the line is not UTF-8 text".to_owned(),
            _ => format!("the line cannot be read: {error}"),
        };
        self.report("", Span::default(), &message, "");
    }

    fn report(&mut self, text: &str, span: Span, message: &str, label: &str) {
        let line = usize::try_from(self.line).unwrap_or(usize::MAX);
        let at = Location { file: SourceFile::excerpt(self.name, text, line), span };
        self.findings.push(Diagnostic::error(codes::PAIRS, at, message).label(label));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Result<Pairs, Vec<(String, String, String)>> {
        read("p.csv", text.as_bytes()).map_err(|findings| {
            let row = |one: Diagnostic| (one.at.short(), one.message, one.label);
            findings.into_iter().map(row).collect()
        })
    }

    #[track_caller]
    fn wrong(text: &str) -> (String, String) {
        let (at, message, _) = pairs(text).expect_err("is refused").swap_remove(0);
        (at, message)
    }

    #[test]
    fn both_directions_are_read() {
        let pairs = pairs("client_id,upstream_id\nA-1,007\n\"a,b\",1.10\n").expect("loads");
        assert_eq!(pairs.to_upstream["A-1"].as_ref(), "007");
        assert_eq!(pairs.to_upstream["a,b"].as_ref(), "1.10");
        assert_eq!(pairs.to_client["007"].as_ref(), "A-1");
        assert_eq!((pairs.to_upstream.len(), pairs.to_client.len()), (2, 2));
    }

    #[test]
    fn what_spreadsheets_write_is_read() {
        let pairs = pairs("\u{feff}client_id,upstream_id\r\nA,B\r\n\r\nC,D").expect("loads");
        assert_eq!(pairs.to_upstream.len(), 2);
        assert_eq!(pairs.to_upstream["A"].as_ref(), "B");
        assert!(super::read("p", "client_id,upstream_id\n".as_bytes()).is_ok(), "no pair yet");
    }

    #[test]
    fn the_header_is_exact() {
        for text in
            ["", "A,B\n", "upstream_id,client_id\n", "client_id;upstream_id\n", "client_id\n"]
        {
            assert_eq!(wrong(text).0, "p.csv:1:1", "{text}");
        }
    }

    #[test]
    fn every_fault_has_its_line_and_column() {
        let text = "client_id,upstream_id\nA,1\nA,2\nB,1\nC,\n,3\nD,4,x\nE\n F,5\n";
        let found = pairs(text).expect_err("is refused");
        let row = |at: &str, message: &str| (at.to_owned(), message.to_owned());
        let found: Vec<_> = found.into_iter().map(|(at, message, _)| (at, message)).collect();
        assert_eq!(
            found,
            [
                row("p.csv:3:1", "the `client_id` `A` stands twice"),
                row("p.csv:4:3", "the `upstream_id` `1` stands twice"),
                row("p.csv:5:3", "an empty `upstream_id`"),
                row("p.csv:6:1", "an empty `client_id`"),
                row("p.csv:7:1", "a line with 3 fields"),
                row("p.csv:8:1", "a line with 1 field"),
                row("p.csv:9:1", "the `client_id` ` F` has blanks around it or control characters"),
            ]
        );
    }

    #[test]
    fn a_repeat_names_the_first_line() {
        let found = pairs("client_id,upstream_id\nA,1\n\nB,1\n").expect_err("is refused");
        assert_eq!(found[0].0, "p.csv:4:3");
        assert_eq!(found[0].2, "first in line 2; each id has one partner");
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let found = read("p.csv", &b"client_id,upstream_id\nA,\xff\n"[..]).expect_err("is refused");
        assert_eq!(found[0].at.short(), "p.csv:2:1");
    }

    #[test]
    fn findings_are_bounded() {
        let text = format!("client_id,upstream_id\n{}", "x\n".repeat(1_000));
        assert_eq!(pairs(&text).expect_err("is refused").len(), bounds::PAIRS_FINDINGS_MAX);
    }

    #[test]
    fn a_missing_file_is_reported_where_it_is_named() {
        let file = SourceFile::new("c.yaml", "file: nowhere.csv");
        let at = Location { file, span: Span::new(6, 17) };
        let found = load(&Spanned::new("/nowhere.csv".into(), at)).expect_err("is refused");
        assert_eq!(found[0].at.short(), "c.yaml:1:7");
    }
}
