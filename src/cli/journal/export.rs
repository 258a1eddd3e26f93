//! `latimer journal export`.

use std::io::{self, BufWriter, Write};

use clap::Args;

use super::Wanted;
use super::lines::ndjson;
use crate::cli::state::{Done, Place};

/// What the help says of the lines.
const MEMBERS: &str = "Each line has the members call, time, route, consumer, operation, client_ticket, upstream_ticket, \
                       from, to, outcome (yes, no, unknown, open), fault, upstream, settled, by, read and why; what is \
                       not known is null.";

/// Print changes as NDJSON.
#[derive(Debug, Args)]
#[command(after_help = MEMBERS)]
pub(super) struct Export {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    wanted: Wanted,
}

impl Export {
    pub(super) fn run(self) -> Done {
        let opened = self.place.open_journal()?;
        let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
        let done = opened.each(&self.wanted.filter(), |page| {
            page.iter().try_for_each(|entry| writeln!(out, "{}", ndjson(entry)))?;
            out.flush()
        });
        opened.close();
        done
    }
}
