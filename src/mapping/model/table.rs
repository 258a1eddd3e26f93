//! Tables between wire texts and words.

use rustc_hash::FxHashMap;

use crate::diag::Location;
use crate::mapping::model::Content;
use crate::value::WordId;

/// A table of wire texts for the words of one type.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Index of the word type in the vocabulary.
    pub word_type: usize,
    /// Its rows in file order.
    pub rows: Vec<TableRow>,
    /// Names of the members that rows carry.
    pub members: Vec<String>,
    /// True if wire texts are read without case.
    pub ignore_case: bool,
    /// Wire text, folded if case does not count, to the row that reads it.
    reading: FxHashMap<Box<str>, u16>,
    /// Word to the row that writes it, and whether the word is lost on the way.
    writing: Vec<Option<(u16, bool)>>,
    /// Where it stands.
    pub at: Location,
}

/// A row.
#[derive(Clone, Debug)]
pub struct TableRow {
    /// The text on the wire.
    pub wire: String,
    /// The word that it reads to.
    pub reads: Option<WordId>,
    /// The words that are written so, with whether the word is lost on the way.
    pub writes: Vec<(WordId, bool)>,
    /// Values of the members, by the table's member index.
    pub with: Vec<Option<Content>>,
    /// Where it stands.
    pub at: Location,
}

impl Table {
    /// Indexes the rows; of two rows for one thing the first counts, as the checks have said.
    pub fn new(
        name: String,
        word_type: usize,
        words: usize,
        ignore_case: bool,
        at: Location,
    ) -> Self {
        Self {
            name,
            word_type,
            rows: Vec::new(),
            members: Vec::new(),
            ignore_case,
            reading: FxHashMap::default(),
            writing: vec![None; words],
            at,
        }
    }

    /// Adds a row.
    pub fn push(&mut self, row: TableRow) {
        let index = u16::try_from(self.rows.len()).unwrap_or(u16::MAX);
        if row.reads.is_some() {
            let wire = if self.ignore_case { row.wire.to_lowercase() } else { row.wire.clone() };
            self.reading.entry(wire.into()).or_insert(index);
        }
        for (word, lossy) in &row.writes {
            if let Some(entry) = self.writing.get_mut(usize::from(*word)) {
                entry.get_or_insert((index, *lossy));
            }
        }
        self.rows.push(row);
    }

    /// The word of a wire text.
    pub fn read(&self, wire: &str) -> Option<WordId> {
        // Most systems answer in the lower case that the keys are folded to.
        let index = match self.reading.get(wire) {
            None if self.ignore_case => self.reading.get(wire.to_lowercase().as_str()),
            found => found,
        };
        self.rows[usize::from(*index?)].reads
    }

    /// The words of its type.
    pub fn words(&self) -> impl Iterator<Item = WordId> {
        (0..).take(self.writing.len())
    }

    /// The row that writes a word, and whether the word is lost on the way.
    pub fn write(&self, word: WordId) -> Option<(&TableRow, bool)> {
        let (row, lossy) = (*self.writing.get(usize::from(word))?)?;
        Some((&self.rows[usize::from(row)], lossy))
    }

    /// The wire texts that are read, in file order.
    pub fn readable(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().filter(|row| row.reads.is_some()).map(|row| row.wire.as_str())
    }
}
