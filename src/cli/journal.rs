//! `latimer journal`: what calls were about to change, and what came of it.
//!
//! All of it only looks, and goes beside a gateway that runs.

mod export;
mod find;
mod lines;
mod tail;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;

use crate::cli::state::{Done, Opened, Place};
use crate::cli::{could_not, runtime, told};
use crate::config::StateConfig;
use crate::ident::CallId;
use crate::store;
use crate::store::journal::{Filter, Outcome, fitted};

/// What calls were about to change, and what came of it.
#[derive(Debug, Args)]
pub(super) struct Journal {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the last changes
    Tail(tail::Tail),
    /// Print the changes of a ticket, a call, or whatever else is known of them
    Find(find::Find),
    /// Print changes as NDJSON, in the order in which they were written down
    Export(export::Export),
}

/// Which changes are looked for: those that are all of this.
#[derive(Debug, Args)]
struct Wanted {
    /// Of this ticket, in either system
    #[arg(long, value_name = "ID")]
    ticket: Option<String>,
    /// Of this call, as `X-Request-Id` has it
    #[arg(long, value_name = "ID", value_parser = parse_call)]
    call: Option<[u8; 16]>,
    /// Of this consumer
    #[arg(long, value_name = "NAME")]
    consumer: Option<String>,
    /// Of this route
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// With this outcome
    #[arg(long, value_enum, value_name = "O")]
    outcome: Option<OutcomeArg>,
    /// Of which nobody knows whether they took effect; the same as `--outcome unknown`
    #[arg(long, conflicts_with = "outcome")]
    in_doubt: bool,
    /// That began then or later, such as 2026-11-21T14:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<i64>,
    /// That began before then
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<i64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OutcomeArg {
    Open,
    Yes,
    No,
    Unknown,
}

/// Records of one question to the store.
const PAGE: u32 = 1_000;

impl Journal {
    pub(super) fn run(self) -> u8 {
        let done = match self.command {
            Command::Tail(command) => command.run(),
            Command::Find(command) => command.run(),
            Command::Export(command) => command.run(),
        };
        done.unwrap_or_else(|code| code)
    }
}

impl From<OutcomeArg> for Outcome {
    fn from(outcome: OutcomeArg) -> Self {
        match outcome {
            OutcomeArg::Open => Self::Open,
            OutcomeArg::Yes => Self::Yes,
            OutcomeArg::No => Self::No,
            OutcomeArg::Unknown => Self::Unknown,
        }
    }
}

impl Wanted {
    fn filter(&self) -> Filter {
        let outcome = self.outcome.map(Outcome::from);
        Filter {
            call: self.call,
            // As it was written down.
            ticket: self.ticket.as_deref().map(fitted),
            route: self.route.as_deref().map(fitted),
            consumer: self.consumer.as_deref().map(fitted),
            outcome: outcome.or(self.in_doubt.then_some(Outcome::Unknown)),
            since: self.since,
            until: self.until,
        }
    }
}

impl Place {
    fn open_journal(&self) -> Result<Opened, u8> {
        let state = self.state()?;
        if let StateConfig::Memory = &state {
            return Err(told("`state: memory` keeps no journal"));
        }
        if let StateConfig::Sqlite(path) = &state
            && !path.exists()
        {
            return Err(told(format_args!(
                "there is no journal yet: {} is not there",
                path.display()
            )));
        }
        let store = store::open_reading(&state).map_err(|error| could_not(&error))?;
        Ok(Opened { runtime: runtime()?, store, state, beside: false })
    }
}

impl Opened {
    /// Hands over all records that are looked for, page by page; ends early where that says so.
    fn each(
        &self,
        filter: &Filter,
        mut take: impl FnMut(&[store::journal::Entry]) -> std::io::Result<()>,
    ) -> Done {
        let mut after = match filter.since {
            Some(since) => self.ask(self.store.journal_before(since))?,
            None => 0,
        };
        loop {
            let page = self.ask(self.store.journal_after(filter, after, PAGE))?;
            let Some(last) = page.last() else { return Ok(0) };
            after = last.number;
            match take(&page) {
                Ok(()) => {}
                // Nobody reads on.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(0),
                Err(error) => return Err(told(format_args!("cannot write all of it: {error}"))),
            }
        }
    }
}

fn parse_call(text: &str) -> Result<[u8; 16], String> {
    CallId::parse(text).map(CallId::bytes).ok_or_else(|| "write 32 hexadecimal digits".to_owned())
}

fn parse_time(text: &str) -> Result<i64, String> {
    let time: Timestamp = text
        .parse()
        .map_err(|_| "write a date, a time and its offset, such as 2026-11-21T14:00:00Z")?;
    Ok(time.as_millisecond())
}
