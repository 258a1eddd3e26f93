//! `latimer crosswalk import`.
//!
//! Lines go in batches, each merged in one transaction, so that what was merged is kept when the rest does not
//! come: the same file again then changes nothing of it.

use std::path::{Path, PathBuf};

use clap::Args;
use tokio::time::Instant;

use super::lines::{Line, Lines};
use super::record::Records;
use super::{Access, FILES, Format, Shown, shown};
use crate::cli::state::{Done, Opened, Place};
use crate::cli::{FINDINGS, could_not, print, tell, told};
use crate::config::StateConfig;
use crate::store::crosswalk::{Outcome, Pair, SystemId};
use crate::store::{self, Store, StoreError};
use crate::{bounds, clock};

/// Merge the pairs of a file.
#[derive(Debug, Args)]
#[command(after_help = FILES)]
pub(super) struct Import {
    #[command(flatten)]
    place: Place,
    /// The file; `-` is standard input
    file: PathBuf,
    /// What it is, where its name does not end in .csv, .ndjson or .jsonl, with or without .gz
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Tell what would come of it, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// A batch of PostgreSQL's: well within the time that an answer has.
const POSTGRES_BATCH: usize = 500;

/// What came of a file so far.
#[derive(Default)]
struct Report {
    name: String,
    now: i64,
    linked: u64,
    joined: u64,
    merged: u64,
    known: u64,
    repeated: Shown,
    contradicting: Shown,
    bad: Shown,
}

impl Import {
    pub(super) fn run(self) -> Done {
        let Some(format) = self.format.or_else(|| Format::of(&self.file)) else {
            return Err(told("say what the file is: --format csv, or --format ndjson"));
        };
        let mut lines = Lines::open(&self.file)
            .map_err(|error| told(format_args!("cannot read {}: {error}", self.file.display())))?;
        let opened =
            self.place.open_crosswalk(if self.dry_run { Access::Look } else { Access::Change })?;
        let trial = match self.dry_run {
            true => Some(store::temporary().map_err(|error| could_not(&error))?),
            false => None,
        };
        let mut report = Report { name: name(&self.file), now: clock::now(), ..Report::default() };
        let read = report.read(&mut lines, format, &opened, trial.as_ref());
        lines.end();
        opened.close();
        report.print(self.dry_run);
        match read {
            Ok(()) if report.contradicting.count + report.bad.count > 0 => Ok(FINDINGS),
            Ok(()) => Ok(0),
            Err(code) => Err(code),
        }
    }
}

/// The name that lines and sources are told by.
fn name(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let mut name = name.filter(|name| name != "-").unwrap_or_else(|| "standard input".to_owned());
    name.retain(|character| !character.is_control());
    while name.len() > bounds::STATE_NAME_BYTES_MAX {
        name.pop();
    }
    name
}

impl Report {
    /// Reads and merges all of it; an error if that did not come to an end.
    fn read(
        &mut self,
        lines: &mut Lines,
        format: Format,
        opened: &Opened,
        trial: Option<&Store>,
    ) -> Result<(), u8> {
        let batch_max = match opened.state {
            StateConfig::Postgres(_) => POSTGRES_BATCH,
            StateConfig::Sqlite(_) if opened.beside => bounds::CROSSWALK_BESIDE_MAX,
            StateConfig::Sqlite(_) | StateConfig::Memory => bounds::CROSSWALK_BATCH_MAX,
        };
        let mut records = Records::new(format);
        let mut numbers = Vec::new();
        let mut pairs = Vec::new();
        loop {
            let line = match lines.next() {
                Ok(line) => line.map(|line| match line {
                    Line::Text(text) => records.read(text),
                    Line::Wrong(wrong) => Err(wrong),
                }),
                Err(error) => {
                    lines.end();
                    let at = lines.number;
                    let name = &self.name;
                    let code =
                        told(format_args!("{name} cannot be read behind line {at}: {error}"));
                    self.merge(opened, trial, &mut numbers, &mut pairs)?;
                    return Err(code);
                }
            };
            match line {
                Some(Ok(None)) => {}
                Some(Ok(Some(pair))) => {
                    numbers.push(lines.number);
                    pairs.push(pair);
                }
                Some(Err(wrong)) => {
                    self.bad(lines.number, &wrong);
                    // Without a header nobody knows whose ids they are.
                    if records.is_lost() {
                        return Ok(());
                    }
                }
                None if !records.has_begun() => {
                    self.bad(lines.number.max(1), "the file is empty");
                    return Ok(());
                }
                None => return self.merge(opened, trial, &mut numbers, &mut pairs),
            }
            if pairs.len() >= batch_max {
                self.merge(opened, trial, &mut numbers, &mut pairs)?;
            }
        }
    }

    fn bad(&mut self, line: u64, wrong: &str) {
        let name = &self.name;
        self.bad.add(|| format!("{name}:{line}: {wrong}"));
    }

    fn merge(
        &mut self,
        opened: &Opened,
        trial: Option<&Store>,
        numbers: &mut Vec<u64>,
        pairs: &mut Vec<Pair>,
    ) -> Result<(), u8> {
        if pairs.is_empty() {
            return Ok(());
        }
        let merged = opened.runtime.block_on(async {
            match trial {
                Some(trial) => self.try_out(&opened.store, trial, pairs).await,
                None if opened.beside => self.merge_beside(&opened.store, pairs).await,
                None => opened.store.link_crosswalk(pairs, &self.name, self.now).await,
            }
        });
        let outcomes = merged.map_err(|error| {
            let code = could_not(&error);
            if trial.is_none() {
                let first = numbers.first().copied().unwrap_or_default();
                tell(&format!(
                    "what stands before line {first} is kept; the file may be imported again, which changes \
                     nothing of that\n"
                ));
            }
            code
        })?;
        for ((line, pair), outcome) in numbers.drain(..).zip(pairs.drain(..)).zip(outcomes) {
            self.note(line, &pair, outcome);
        }
        Ok(())
    }

    /// Merges, and then leaves a gateway that waits to write as much time as that took: SQLite has it look from time
    /// to time, and would have it look in vain.
    async fn merge_beside(
        &self,
        store: &Store,
        pairs: &[Pair],
    ) -> Result<Vec<Outcome>, StoreError> {
        let begun = Instant::now();
        let merged = store.link_crosswalk(pairs, &self.name, self.now).await;
        tokio::time::sleep(begun.elapsed()).await;
        merged
    }

    /// Merges into a store of its own, where everything that decides over the pairs is as it is in the real one.
    async fn try_out(
        &self,
        store: &Store,
        trial: &Store,
        pairs: &[Pair],
    ) -> Result<Vec<Outcome>, StoreError> {
        let around = store.crosswalk_around(pairs).await?;
        for around in around.chunks(bounds::CROSSWALK_BATCH_MAX) {
            trial.link_crosswalk(around, &self.name, self.now - 1).await?;
        }
        trial.link_crosswalk(pairs, &self.name, self.now).await
    }

    fn note(&mut self, line: u64, pair: &Pair, outcome: Outcome) {
        let name = &self.name;
        match outcome {
            Outcome::Linked => self.linked += 1,
            Outcome::Joined => self.joined += 1,
            Outcome::Merged => self.merged += 1,
            Outcome::Known { since } if since == self.now => {
                self.repeated.add(|| format!("{name}:{line}: {} is told twice", both(&pair.ids)));
            }
            Outcome::Known { .. } => self.known += 1,
            Outcome::Contradicts { stands } => self.contradicting.add(|| {
                let stands: Vec<String> = stands.iter().map(both).collect();
                let told = both(&pair.ids);
                format!("{name}:{line}: {told} contradicts {}, which stands", stands.join(" and "))
            }),
        }
    }

    fn print(&self, is_dry: bool) {
        for list in [&self.bad, &self.contradicting, &self.repeated] {
            list.print();
        }
        let Self { linked, joined, merged, known, .. } = self;
        let would = if is_dry { "dry run, nothing is changed: " } else { "" };
        let [repeated, conflicts, bad] =
            [&self.repeated, &self.contradicting, &self.bad].map(|list| list.count);
        print(&format!(
            "{would}{linked} linked, {joined} joined others, {merged} made two one, {known} known before, \
             {repeated} repeated, {conflicts} conflicts, {bad} bad lines\n"
        ));
    }
}

/// A pair as messages show it.
pub(super) fn both([one, other]: &[SystemId; 2]) -> String {
    let at = |at: &SystemId| format!("{}={}", at.system, shown(&at.id));
    format!("{} {}", at(one), at(other))
}
