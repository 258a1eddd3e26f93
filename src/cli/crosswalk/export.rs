//! `latimer crosswalk export`.

use std::io::{self, BufWriter, ErrorKind, Write};

use clap::Args;
use serde_json::{Map, Value};

use super::{Access, FILES, Format, KindArg, parse_system};
use crate::cli::state::{Done, Opened, Place};
use crate::cli::told;
use crate::store::crosswalk::{Kind, Row};

/// Print the pairs of two systems.
#[derive(Debug, Args)]
#[command(after_help = FILES)]
pub(super) struct Export {
    #[command(flatten)]
    place: Place,
    /// How to print them
    #[arg(long, value_enum, default_value = "csv")]
    format: Format,
    /// Of what [default: tickets, then users]
    #[arg(long, value_enum)]
    kind: Option<KindArg>,
    /// The two systems [default: the two that there are]
    #[arg(long, value_name = "A,B", value_delimiter = ',', num_args = 1, value_parser = parse_system)]
    systems: Vec<String>,
}

/// Rows of one question to the store.
const PAGE: u32 = 1_000;

impl Export {
    pub(super) fn run(self) -> Done {
        let opened = self.place.open_crosswalk(Access::Look)?;
        let done = self.print(&opened);
        opened.close();
        done
    }

    fn print(&self, opened: &Opened) -> Done {
        let kinds = self.kind.map_or(Kind::ALL.to_vec(), |kind| vec![kind.into()]);
        let systems = self.systems(opened, &kinds)?;
        let out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
        let mut out = Output::new(self.format, &systems, out);
        let mut written = out.begin();
        for kind in kinds {
            let mut after = String::new();
            while written.is_ok() {
                let asked =
                    opened.store.crosswalk_page(kind, [&systems[0], &systems[1]], &after, PAGE);
                let page = opened.ask(asked)?;
                let Some(last) = page.last() else { break };
                after.clone_from(&last.ids[0]);
                written = page.iter().try_for_each(|row| out.row(kind, row));
            }
        }
        match written.and_then(|()| out.end()) {
            Ok(()) => Ok(0),
            // Nobody reads on.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(0),
            Err(error) => Err(told(format_args!("cannot write all of it: {error}"))),
        }
    }

    /// The systems that are named, or the two that there are.
    fn systems(&self, opened: &Opened, kinds: &[Kind]) -> Result<[String; 2], u8> {
        let mut systems = self.systems.clone();
        if systems.is_empty() {
            let counts = opened.ask(opened.store.crosswalk_counts())?;
            let known = counts.ids.into_iter().filter(|(kind, ..)| kinds.contains(kind));
            systems = known.map(|(_, system, _)| system).collect();
            systems.sort_unstable();
            systems.dedup();
        }
        systems.try_into().map_err(|systems: Vec<String>| {
            let there = if systems.is_empty() { "none".to_owned() } else { systems.join(", ") };
            told(format_args!(
                "an export is of two systems: write --systems A,B; there are {there}"
            ))
        })
    }
}

/// Where rows go, in one of the formats.
enum Output<'s, W: Write> {
    Csv(&'s [String; 2], Box<csv::Writer<W>>),
    Ndjson(&'s [String; 2], W),
}

impl<'s, W: Write> Output<'s, W> {
    fn new(format: Format, systems: &'s [String; 2], out: W) -> Self {
        match format {
            Format::Csv => Self::Csv(systems, Box::new(csv::Writer::from_writer(out))),
            Format::Ndjson => Self::Ndjson(systems, out),
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        match self {
            Self::Csv([one, other], out) => Ok(out.write_record(["kind", one, other, "note"])?),
            Self::Ndjson(..) => Ok(()),
        }
    }

    fn row(&mut self, kind: Kind, Row { ids: [mine, theirs], note }: &Row) -> io::Result<()> {
        match self {
            Self::Csv(_, out) => {
                let note = note.as_deref().unwrap_or_default();
                Ok(out.write_record([kind.name(), mine, theirs, note])?)
            }
            Self::Ndjson([one, other], out) => {
                let ids = [("kind", kind.name()), (one, mine), (other, theirs)];
                let all = ids.into_iter().chain(note.iter().map(|note| ("note", note.as_str())));
                let members = all.map(|(name, text)| (name.to_owned(), Value::from(text)));
                writeln!(out, "{}", Value::Object(Map::from_iter(members)))
            }
        }
    }

    fn end(self) -> io::Result<()> {
        match self {
            Self::Csv(_, mut out) => out.flush(),
            Self::Ndjson(_, mut out) => out.flush(),
        }
    }
}
