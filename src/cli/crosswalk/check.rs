//! `latimer crosswalk check` and `backup`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::lines::{Line, Lines};
use super::one::contradicting;
use super::{Access, KindArg, Shown, parse_system, shown};
use crate::cli::state::{Done, Opened, Place};
use crate::cli::{FINDINGS, could_not, print, told};
use crate::config::StateConfig;
use crate::store::Reason;
use crate::store::crosswalk::{Kind, fit_id};

/// Look whether ids are linked, or whether the crosswalk is whole.
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    place: Place,
    /// A file of ids, one a line; `-` is standard input. Without one the store itself is checked
    #[arg(requires = "system")]
    file: Option<PathBuf>,
    /// The system whose ids they are
    #[arg(long, value_name = "S", requires = "file", value_parser = parse_system)]
    system: Option<String>,
    /// Of what they are
    #[arg(long, value_enum, value_name = "K", default_value = "ticket")]
    kind: KindArg,
}

/// Write a copy of the SQLite file.
#[derive(Debug, Args)]
pub(super) struct Backup {
    #[command(flatten)]
    place: Place,
    /// The copy, which must not be there yet
    file: PathBuf,
}

/// Ids that are looked for at a time.
const BATCH: usize = 1_000;

impl Check {
    pub(super) fn run(self) -> Done {
        let (Some(file), Some(system)) = (&self.file, &self.system) else {
            let opened = self.place.open_crosswalk(Access::Look)?;
            let done = whole(&opened);
            opened.close();
            return done;
        };
        let unreadable =
            |error: io::Error| told(format_args!("cannot read {}: {error}", file.display()));
        let mut lines = Lines::open(file).map_err(unreadable)?;
        let opened = self.place.open_crosswalk(Access::Look)?;
        let mut cover = Cover { kind: self.kind.into(), system, linked: 0, open: Shown::default() };
        let mut ids = Vec::new();
        loop {
            let text = match lines.next().map_err(unreadable)? {
                Some(Line::Text(text)) => Some(text.trim().to_owned()),
                Some(Line::Wrong(wrong)) => {
                    let line = lines.number;
                    cover.open.add(|| format!("line {line}: {wrong}"));
                    continue;
                }
                None => None,
            };
            let is_end = text.is_none();
            ids.extend(text.filter(|text| !text.is_empty()).map(|text| (lines.number, text)));
            if is_end || ids.len() >= BATCH {
                cover.look(&opened, &mut ids)?;
            }
            if is_end {
                break;
            }
        }
        lines.end();
        opened.close();
        Ok(cover.print())
    }
}

/// How many ids of a list are linked.
struct Cover<'c> {
    kind: Kind,
    system: &'c str,
    linked: u64,
    open: Shown,
}

impl Cover<'_> {
    fn look(&mut self, opened: &Opened, ids: &mut Vec<(u64, String)>) -> Result<(), u8> {
        // What cannot be an id is linked nowhere.
        let (fit, unfit): (Vec<_>, Vec<_>) = ids.drain(..).partition(|(_, id)| fit_id(id).is_ok());
        let (lines, fit): (Vec<u64>, Vec<String>) = fit.into_iter().unzip();
        let has = opened.ask(opened.store.crosswalk_has(self.kind, self.system, &fit))?;
        let found = lines.into_iter().zip(fit).zip(has);
        let mut open = unfit;
        for ((line, id), is_linked) in found {
            if is_linked {
                self.linked += 1;
            } else {
                open.push((line, id));
            }
        }
        open.sort_unstable();
        for (line, id) in open {
            self.open.add(|| format!("line {line}: {} is not linked", shown(&id)));
        }
        Ok(())
    }

    fn print(&self) -> u8 {
        self.open.print();
        let (linked, open) = (self.linked, self.open.count);
        let kind = self.kind.name();
        print(&format!("{linked} of {} {kind} ids of {} are linked\n", linked + open, self.system));
        if open > 0 { FINDINGS } else { 0 }
    }
}

/// Looks whether the store is whole, and what is there.
fn whole(opened: &Opened) -> Done {
    if let Err(error) = opened.runtime.block_on(opened.store.check()) {
        let code = could_not(&error);
        let is_damaged = matches!(error.reason(), Reason::Corrupt);
        return Err(if is_damaged { FINDINGS } else { code });
    }
    let counts = opened.ask(opened.store.crosswalk_counts())?;
    for (kind, system, count) in &counts.ids {
        print(&format!("{} ids of {system}: {count}\n", kind.name()));
    }
    let conflicts = opened.ask(opened.store.crosswalk_conflicts())?;
    for (kind, conflict) in &conflicts {
        print(&format!("{} {}\n", kind.name(), contradicting(conflict)));
    }
    print(&format!("whole; {} former ids, {} conflicts\n", counts.past, counts.conflicts));
    Ok(if counts.conflicts > 0 { FINDINGS } else { 0 })
}

impl Backup {
    pub(super) fn run(self) -> Done {
        match self.place.state()? {
            StateConfig::Postgres(_) => {
                return Err(told("a PostgreSQL database is copied by `pg_dump --schema latimer`"));
            }
            StateConfig::Sqlite(path) if !path.exists() => {
                return Err(told(format_args!("there is no {}", path.display())));
            }
            StateConfig::Sqlite(_) | StateConfig::Memory => {}
        }
        let shown = self.file.display();
        if self.file.exists() {
            return Err(told(format_args!("{shown} is there already")));
        }
        let opened = self.place.open_crosswalk(Access::Look)?;
        let mut part = self.file.clone().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        let unwritten = |error: io::Error| told(format_args!("cannot write {shown}: {error}"));
        create(&part).map_err(unwritten)?;
        let copied = copy(&opened, &part);
        opened.close();
        let named = copied.and_then(|()| {
            File::open(&part).and_then(|file| file.sync_all()).map_err(unwritten)?;
            fs::rename(&part, &self.file).map_err(unwritten)
        });
        if let Err(code) = named {
            // A part is no backup, and would be in the way of the next one.
            let _ = fs::remove_file(&part);
            return Err(code);
        }
        print(&format!("wrote {shown}\n"));
        Ok(0)
    }
}

/// Makes a file for its owner alone.
fn create(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn copy(opened: &Opened, to: &Path) -> Result<(), u8> {
    let Some(to) = to.to_str() else {
        return Err(told("the name of the copy is not UTF-8 text"));
    };
    opened.ask(opened.store.copy(to))
}
