//! `latimer journal find`.

use std::io::{self, Write};

use clap::Args;

use super::Wanted;
use super::lines::{ndjson, shown};
use crate::cli::state::{Done, Place};
use crate::cli::{FINDINGS, print};

/// Print the changes of a ticket, a call, or whatever else is known of them.
#[derive(Debug, Args)]
pub(super) struct Find {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    wanted: Wanted,
    /// Print JSON, one line each
    #[arg(long)]
    json: bool,
}

impl Find {
    pub(super) fn run(self) -> Done {
        let opened = self.place.open_journal()?;
        let mut is_found = false;
        let done = opened.each(&self.wanted.filter(), |page| {
            is_found = true;
            let mut out = io::stdout().lock();
            page.iter().try_for_each(|entry| match self.json {
                true => writeln!(out, "{}", ndjson(entry)),
                false => write!(out, "{}", shown(entry)),
            })
        });
        opened.close();
        if done == Ok(0) && !is_found {
            if !self.json {
                print("there is no such change\n");
            }
            return Ok(FINDINGS);
        }
        done
    }
}
