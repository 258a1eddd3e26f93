//! Words and their rows: M005, M006, M016, M101.

use std::collections::BTreeSet;

use crate::diag::Diagnostic;
use crate::mapping::model::{Mapping, Table, TableRow, Vocabulary};

pub(super) fn check(vocabulary: &Vocabulary, mapping: &Mapping, found: &mut Vec<Diagnostic>) {
    for table in &mapping.tables {
        written_twice(vocabulary, table, found);
        read_twice(table, found);
        lossy(vocabulary, table, found);
    }
    let answering: BTreeSet<u8> = mapping
        .operations
        .iter()
        .flat_map(|operation| operation.success.places())
        .filter(|place| place.arrow.writes())
        .flat_map(|place| place.content.holes())
        .filter_map(|hole| hole.table)
        .collect();
    for index in answering {
        total(vocabulary, &mapping.tables[usize::from(index)], found);
    }
}

/// M005: a word that two rows write.
fn written_twice(vocabulary: &Vocabulary, table: &Table, found: &mut Vec<Diagnostic>) {
    for (index, row) in table.rows.iter().enumerate() {
        for (word, _) in &row.writes {
            let first = table.rows[..index]
                .iter()
                .find(|other| other.writes.iter().any(|(other, _)| other == word));
            if let Some(first) = first {
                let name = vocabulary.word(table.word_type, *word);
                let message = format!("the word `{name}` is written by two rows");
                let finding = Diagnostic::error("M005", row.at.clone(), message)
                    .label("make one of them read only: `-> word`");
                found.push(finding.also(first.at.clone(), "the other row"));
            }
        }
    }
}

/// M006: a wire text that stands twice, also by ignoring case.
fn read_twice(table: &Table, found: &mut Vec<Diagnostic>) {
    let folded = |row: &TableRow| {
        if table.ignore_case { row.wire.to_lowercase() } else { row.wire.clone() }
    };
    for (index, row) in table.rows.iter().enumerate().filter(|(_, row)| row.reads.is_some()) {
        let first = table.rows[..index]
            .iter()
            .find(|other| other.reads.is_some() && folded(other) == folded(row));
        if let Some(first) = first {
            let message = format!("`{}` is read by two rows", row.wire);
            let finding = Diagnostic::error("M006", row.at.clone(), message)
                .label("one wire text has one meaning");
            found.push(finding.also(first.at.clone(), "the other row"));
        }
    }
}

/// M016: an answer can always be written.
fn total(vocabulary: &Vocabulary, table: &Table, found: &mut Vec<Diagnostic>) {
    let Some(words) = vocabulary.types.get(table.word_type).map(|kind| &kind.words) else { return };
    let missing: Vec<&str> = (0u8..)
        .zip(words)
        .filter(|(word, _)| table.write(*word).is_none())
        .map(|(_, name)| name.as_str())
        .collect();
    if !missing.is_empty() {
        let message = format!(
            "the table `{}` stands in an answer and has no row that writes: {}",
            table.name,
            missing.join(", ")
        );
        let finding = Diagnostic::error("M016", table.at.clone(), message);
        found.push(finding.label("add the words behind `<-` of the rows that come nearest"));
    }
}

/// M101: a word that comes back as another one.
fn lossy(vocabulary: &Vocabulary, table: &Table, found: &mut Vec<Diagnostic>) {
    for row in &table.rows {
        let words: Vec<&str> = row
            .writes
            .iter()
            .filter(|(_, lossy)| *lossy)
            .map(|(word, _)| vocabulary.word(table.word_type, *word))
            .collect();
        if !words.is_empty() {
            let message = format!("{} is written as `{}`", words.join(", "), row.wire);
            let back = match row.reads {
                Some(word) => {
                    format!("it reads back as {}", vocabulary.word(table.word_type, word))
                }
                None => "it does not read back".to_owned(),
            };
            found.push(Diagnostic::warning("M101", row.at.clone(), message).label(back));
        }
    }
}
