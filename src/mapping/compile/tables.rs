//! Tables: which words a wire text stands for, and what a row carries besides.

use std::sync::Arc;

use crate::diag::{Diagnostic, Location, SourceFile};
use crate::mapping::compile::{Compiler, Message, Position, TableOverride};
use crate::mapping::model::{Content, Table, TableRow};
use crate::mapping::syntax;
use crate::value::WordId;

impl Compiler<'_> {
    /// Compiles the file's tables, each replaced where the configuration says so.
    pub(super) fn tables(&mut self, declared: &[syntax::Table], overrides: &[TableOverride]) {
        for replaced in overrides {
            let name = &replaced.table.name;
            if !declared.iter().any(|table| table.name.text == name.text) {
                let at = Location { file: Arc::clone(&replaced.source), span: name.span };
                let message = format!("the mapping has no table named `{}`", name.text);
                let known = declared.iter().map(|table| table.name.text.as_str());
                let finding = Diagnostic::error("M003", at, message).suggest(&name.text, known);
                self.findings.list.push(finding);
            }
        }
        let mut chosen = Vec::new();
        for table in declared {
            let replaced =
                overrides.iter().find(|replaced| replaced.table.name.text == table.name.text);
            let (chosen_table, source) = match replaced {
                Some(replaced) => (&replaced.table, Arc::clone(&replaced.source)),
                None => (table, Arc::clone(&self.findings.file)),
            };
            // The rows are replaced; how they are read stays, unless the replacement says otherwise.
            let ignore_case = chosen_table.ignore_case.or(table.ignore_case).unwrap_or(false);
            let table = chosen_table;
            let words = self.within(&source, |compiler| compiler.table_words(table, ignore_case));
            self.tables.push(words);
            chosen.push((table, source));
        }
        // A second pass: the members of a row may name fields, settings and other tables.
        for (index, (table, source)) in chosen.into_iter().enumerate() {
            self.within(&source, |compiler| compiler.table_members(index, table));
        }
    }

    /// Compiles something whose places are those of another file.
    fn within<T>(&mut self, source: &Arc<SourceFile>, compile: impl FnOnce(&mut Self) -> T) -> T {
        let own = std::mem::replace(&mut self.findings.file, Arc::clone(source));
        let compiled = compile(self);
        self.findings.file = own;
        compiled
    }

    fn table_words(&mut self, table: &syntax::Table, ignore_case: bool) -> Table {
        let word_type = self.word_type_of(table);
        let words = self.vocabulary.types.get(word_type).map_or(0, |kind| kind.words.len());
        let name = table.name.text.clone();
        let mut compiled =
            Table::new(name, word_type, words, ignore_case, self.at(table.name.span));
        for row in &table.rows {
            for (member, _) in &row.with {
                if !compiled.members.contains(&member.text) {
                    compiled.members.push(member.text.clone());
                }
            }
        }
        for row in &table.rows {
            let reads = row.means.reads.as_ref().and_then(|word| self.word(word, word_type));
            let exact = row.means.exact;
            let writes = row.means.writes.iter().enumerate().filter_map(|(index, word)| {
                let known_already = index == 0 && exact == 1;
                let id = if known_already { reads } else { self.word(word, word_type) };
                Some((id?, index >= exact))
            });
            let writes = writes.collect();
            self.note_unverified(
                row.unverified,
                row.wire.span,
                format!("table {}: {}", table.name.text, row.wire.text),
            );
            compiled.push(TableRow {
                wire: row.wire.text.clone(),
                reads,
                writes,
                with: vec![None; compiled.members.len()],
                at: self.at(row.wire.span),
            });
        }
        compiled
    }

    /// The type whose words the table's rows name: the first type that has most of them.
    fn word_type_of(&self, table: &syntax::Table) -> usize {
        let named = |words: &[String]| {
            table
                .rows
                .iter()
                .flat_map(|row| row.means.reads.iter().chain(&row.means.writes))
                .filter(|word| words.contains(&word.text))
                .count()
        };
        let types = self.vocabulary.types.iter().enumerate();
        types
            .max_by_key(|(index, kind)| (named(&kind.words), usize::MAX - index))
            .map_or(0, |(index, _)| index)
    }

    pub(super) fn word(&mut self, word: &syntax::Named, word_type: usize) -> Option<WordId> {
        let kind = self.vocabulary.types.get(word_type);
        let index = kind
            .and_then(|kind| kind.words.iter().position(|known| *known == word.text))
            .and_then(|index| WordId::try_from(index).ok());
        if index.is_none() {
            let message = format!("no word named `{}` in the vocabulary", word.text);
            let known = kind.map(|kind| kind.words.as_slice()).unwrap_or_default();
            let known = known.iter().map(String::as_str);
            self.findings.unknown("M002", word.span, message, &word.text, known);
        }
        index
    }

    fn table_members(&mut self, index: usize, table: &syntax::Table) {
        // Members are written into requests, so they speak of a request's fields. Which operation
        // that is, the first one with every field decides.
        for (row_index, row) in table.rows.iter().enumerate() {
            for (name, value) in &row.with {
                let member = self.tables[index].members.iter().position(|m| *m == name.text);
                let content = self.member_content(value);
                if let (Some(member), Some(row)) =
                    (member, self.tables[index].rows.get_mut(row_index))
                {
                    row.with[member] = content;
                }
            }
        }
    }

    fn member_content(&mut self, value: &syntax::PlaceValue) -> Option<Content> {
        let before = self.findings.list.len();
        let operations = 0..self.vocabulary.operations.len().max(1);
        for operation in operations {
            self.findings.list.truncate(before);
            self.scope.operation = Some(operation);
            self.set_message(Message::Request);
            let content = self.content(value, Position::With);
            if self.findings.list.len() == before {
                self.scope.operation = None;
                return content.map(|(_, content)| content);
            }
        }
        self.scope.operation = None;
        None
    }
}
