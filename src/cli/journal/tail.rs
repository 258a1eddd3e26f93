//! `latimer journal tail`.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::Duration;

use clap::Args;

use super::PAGE;
use super::lines::{ndjson, shown};
use crate::cli::state::{Done, Opened, Place};
use crate::cli::{could_not, told_to_stop};
use crate::store::journal::{Entry, Filter, Outcome};

/// Time between two looks for more.
const LOOK: Duration = Duration::from_millis(500);
/// Changes that were printed as open and are looked at again.
const OPEN_MAX: usize = 256;

/// Print the last changes.
#[derive(Debug, Args)]
pub(super) struct Tail {
    #[command(flatten)]
    place: Place,
    /// So many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: u32,
    /// Go on with those that come, and with what becomes of those that are open, until told to stop
    #[arg(short, long)]
    follow: bool,
    /// Print JSON, one line each
    #[arg(long)]
    json: bool,
}

impl Tail {
    pub(super) fn run(self) -> Done {
        let opened = self.place.open_journal()?;
        let done = self.print(&opened);
        opened.close();
        done
    }

    fn print(&self, opened: &Opened) -> Done {
        let last =
            opened.ask(opened.store.journal_last(&Filter::default(), self.lines.min(PAGE)))?;
        if self.put(&last).is_err() || !self.follow {
            return Ok(0);
        }
        let mut seen = Seen::default();
        seen.add(&last);
        opened.runtime.block_on(async {
            let mut stop = std::pin::pin!(told_to_stop());
            loop {
                tokio::select! {
                    () = &mut stop => return Ok(0),
                    () = tokio::time::sleep(LOOK) => {}
                }
                let from = seen.open.front().map_or(seen.last, |first| first - 1);
                let page = opened.store.journal_after(&Filter::default(), from, PAGE).await;
                let page = page.map_err(|error| could_not(&error))?;
                let news: Vec<Entry> =
                    page.into_iter().filter(|entry| seen.is_news(entry)).collect();
                seen.add(&news);
                // Nobody reads on.
                if self.put(&news).is_err() {
                    return Ok(0);
                }
            }
        })
    }

    fn put(&self, entries: &[Entry]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for entry in entries {
            match self.json {
                true => writeln!(out, "{}", ndjson(entry))?,
                false => write!(out, "{}", shown(entry))?,
            }
        }
        out.flush()
    }
}

/// What was printed.
#[derive(Default)]
struct Seen {
    last: i64,
    /// Numbers of those that were open, in their order.
    open: VecDeque<i64>,
}

impl Seen {
    fn is_news(&self, entry: &Entry) -> bool {
        let was_open = self.open.contains(&entry.number);
        entry.number > self.last || (was_open && entry.outcome != Outcome::Open)
    }

    fn add(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.last = self.last.max(entry.number);
            let place = self.open.iter().position(|number| *number == entry.number);
            match (entry.outcome, place) {
                (Outcome::Open, None) => self.open.push_back(entry.number),
                (Outcome::Open, Some(_)) | (_, None) => {}
                (_, Some(place)) => drop(self.open.remove(place)),
            }
        }
        while self.open.len() > OPEN_MAX {
            self.open.pop_front();
        }
    }
}
