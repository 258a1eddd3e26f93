//! `latimer crosswalk`: which ticket of one system is which of another.
//!
//! All of it goes beside a gateway that runs, which follows what is changed. In an SQLite file a gateway waits while
//! something is written, so an import beside one goes in small steps and leaves it time between them.

mod check;
mod export;
mod import;
mod lines;
mod one;
mod record;

use std::path::Path;

use clap::{Args, Subcommand, ValueEnum};

use crate::bounds;
use crate::cli::state::{Opened, Place};
use crate::cli::{could_not, print, runtime, tell, told};
use crate::config::StateConfig;
use crate::store::crosswalk::{Kind, SystemId, fit_id, fit_system};
use crate::store::{self, Reason};

/// What the help of commands with files says about them.
const FILES: &str = "A file is CSV with the header `kind,SYSTEM,SYSTEM[,note]`, where a kind is `ticket` or `user` and \
                     the names of systems are free, or NDJSON with the same members: \
                     {\"kind\": \"ticket\", \"arena\": \"ABC\", \"series\": \"T-1\"}. \
                     What is imported may be compressed by gzip.";

/// Which ticket of one system is which of another.
#[derive(Debug, Args)]
pub(super) struct Crosswalk {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Merge the pairs of a file; what is there already is no change, so it may be run again
    Import(import::Import),
    /// Print the pairs of two systems, in the order of the first one's ids
    Export(export::Export),
    /// Show all that is known of an id
    Find(one::Find),
    /// Link two ids, unless that contradicts what is linked
    Link(one::Link),
    /// Take an id out of what it is linked with, or dismiss a conflict of two
    Unlink(one::Unlink),
    /// Look whether the ids of a file are linked, or without one whether the crosswalk is whole
    Check(check::Check),
    /// Write a copy of the SQLite file, also while a gateway uses it
    Backup(check::Backup),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Ndjson,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KindArg {
    Ticket,
    User,
}

/// What a command wants of the state.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Look,
    Change,
}

impl Crosswalk {
    pub(super) fn run(self) -> u8 {
        let done = match self.command {
            Command::Import(command) => command.run(),
            Command::Export(command) => command.run(),
            Command::Find(command) => command.run(),
            Command::Link(command) => command.run(),
            Command::Unlink(command) => command.run(),
            Command::Check(command) => command.run(),
            Command::Backup(command) => command.run(),
        };
        done.unwrap_or_else(|code| code)
    }
}

impl From<KindArg> for Kind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Ticket => Self::Ticket,
            KindArg::User => Self::User,
        }
    }
}

impl Format {
    /// By the end of a file's name.
    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        match name.rsplit_once('.')?.1 {
            "csv" => Some(Self::Csv),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            _ => None,
        }
    }
}

impl Place {
    fn open_crosswalk(&self, access: Access) -> Result<Opened, u8> {
        let state = self.state()?;
        // Where there is no file there is nothing, and looking makes none.
        let is_nothing = match &state {
            StateConfig::Sqlite(path) => access == Access::Look && !path.exists(),
            StateConfig::Postgres(_) => false,
            StateConfig::Memory => {
                return Err(told("`state: memory` keeps no crosswalk: name a file or a database"));
            }
        };
        let opened = match access {
            Access::Look if is_nothing => {
                store::open_within(&StateConfig::Memory, bounds::STATE_TIMEOUT)
                    .map(|one| (one, false))
            }
            Access::Look => store::open_reading(&state).map(|one| (one, false)),
            Access::Change => store::open_changing(&state),
        };
        match opened {
            Ok((store, beside)) => Ok(Opened { runtime: runtime()?, store, state, beside }),
            Err(error) => {
                let code = could_not(&error);
                if matches!(error.reason(), Reason::InUse { .. }) {
                    tell(IN_USE);
                }
                Err(code)
            }
        }
    }
}

const IN_USE: &str = "the gateway is of another version, and its file has another form: stop it for that, or use the \
                      program that it runs\n";

/// `SYSTEM=ID`.
fn parse_at(text: &str) -> Result<SystemId, String> {
    let (system, id) = text.split_once('=').ok_or("write SYSTEM=ID")?;
    parse_system(system)?;
    fit_id(id).map_err(|wrong| format!("the id {wrong}"))?;
    Ok(SystemId::new(system, id))
}

fn parse_system(text: &str) -> Result<String, String> {
    fit_system(text).map_err(|wrong| format!("the system's name {wrong}"))?;
    Ok(text.to_owned())
}

/// An id or another text of a file as messages show it: its end left out, on one line.
fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// A list of which only so many are printed.
#[derive(Default)]
struct Shown {
    lines: Vec<String>,
    count: u64,
}

impl Shown {
    fn add(&mut self, line: impl FnOnce() -> String) {
        self.count += 1;
        if self.lines.len() < bounds::CROSSWALK_SHOWN_MAX {
            self.lines.push(line());
        }
    }

    fn print(&self) {
        self.lines.iter().for_each(|line| print(&format!("{line}\n")));
        let more = self.count - self.lines.len() as u64;
        if more > 0 {
            print(&format!("… and {more} more\n"));
        }
    }
}
