//! `latimer crosswalk find`, `link` and `unlink`.

use std::fmt::Write as _;

use clap::Args;
use jiff::Timestamp;

use super::import::both;
use super::{Access, KindArg, parse_at, parse_system, shown};
use crate::cli::state::{Done, Place};
use crate::cli::{FINDINGS, print, told};
use crate::clock;
use crate::store::crosswalk::{
    Conflict, Entry, Found, Id, Outcome, Pair, State, SystemId, fit_note,
};

/// Which command told a pair.
const SOURCE: &str = "latimer crosswalk link";

/// Show all that is known of an id.
#[derive(Debug, Args)]
pub(super) struct Find {
    #[command(flatten)]
    place: Place,
    /// The id
    id: String,
    /// The system that it is of [default: any]
    #[arg(long, value_name = "S", value_parser = parse_system)]
    system: Option<String>,
}

/// Link two ids.
#[derive(Debug, Args)]
pub(super) struct Link {
    #[command(flatten)]
    place: Place,
    /// Of what they are
    #[arg(long, value_enum, value_name = "K", default_value = "ticket")]
    kind: KindArg,
    /// The ids, of two systems
    #[arg(value_name = "SYSTEM=ID", num_args = 2, required = true, value_parser = parse_at)]
    ids: Vec<SystemId>,
    /// What shall stand beside them
    #[arg(long, value_name = "N")]
    note: Option<String>,
    /// How one of the ids is shown to people
    #[arg(long = "alias", value_name = "SYSTEM=TEXT", value_parser = parse_at)]
    aliases: Vec<SystemId>,
}

/// Take an id out, or dismiss a conflict.
#[derive(Debug, Args)]
pub(super) struct Unlink {
    #[command(flatten)]
    place: Place,
    /// Of what it is
    #[arg(long, value_enum, value_name = "K", default_value = "ticket")]
    kind: KindArg,
    /// The id; or both ids of a pair that contradicts what is linked, to forget that pair
    #[arg(value_name = "SYSTEM=ID", num_args = 1..=2, required = true, value_parser = parse_at)]
    ids: Vec<SystemId>,
}

impl Find {
    pub(super) fn run(self) -> Done {
        let opened = self.place.open_crosswalk(Access::Look)?;
        let found = opened.ask(opened.store.find_crosswalk(&self.id, self.system.as_deref()));
        opened.close();
        let found = found?;
        if found.is_empty() {
            print(&format!("nothing is known of {}\n", shown(&self.id)));
            return Ok(FINDINGS);
        }
        found.iter().for_each(|found| print(&told_of(found)));
        Ok(0)
    }
}

/// All that is known of an id, as text.
fn told_of(found: &Found) -> String {
    let Found { kind, at, entry, before, conflicts } = found;
    let state = match found.state() {
        State::Linked => "linked",
        State::Conflicted => "conflicted",
        State::Retired => "retired",
    };
    // Writing to a text never fails.
    let mut out = format!("{} {at}: {state}\n", kind.name());
    if let Some(entry) = entry {
        out.push_str(&of_entry("entry", entry));
    }
    for entry in before {
        out.push_str(&of_entry("formerly entry", entry));
    }
    for conflict in conflicts {
        let _ = writeln!(out, "  {}", contradicting(conflict));
    }
    out
}

/// A pair that contradicts what is linked, on one line.
pub(super) fn contradicting(conflict: &Conflict) -> String {
    let Conflict { ids: [one, other], source, told, note } = conflict;
    format!("conflict: {one} {other}  (since {}, by {source}{})", time(*told), noted(note.as_ref()))
}

fn of_entry(word: &str, entry: &Entry) -> String {
    let mut out = format!("  {word} {}\n", entry.number);
    for id in &entry.ids {
        let _ = writeln!(out, "    {}", of_id(id, ""));
    }
    for past in &entry.past {
        let why = match past.merged_into {
            Some(entry) => format!(", which became entry {entry}"),
            None => String::new(),
        };
        let until = format!(" until {}{why}", time(past.ended));
        let _ = writeln!(out, "    {}", of_id(&past.id, &until));
    }
    out
}

fn of_id(Id { at, alias, source, linked, note }: &Id, until: &str) -> String {
    let alias = alias.as_ref().map(|alias| format!(" shown as {alias}")).unwrap_or_default();
    format!("{at}{alias}  (since {}{until}, by {source}{})", time(*linked), noted(note.as_ref()))
}

fn noted(note: Option<&String>) -> String {
    note.map(|note| format!(", note {note:?}")).unwrap_or_default()
}

fn time(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds)
        .map_or_else(|_| milliseconds.to_string(), |time| time.to_string())
}

impl Link {
    pub(super) fn run(self) -> Done {
        let ids: [SystemId; 2] =
            self.ids.try_into().map_err(|_| told("a pair has two ids: SYSTEM=ID SYSTEM=ID"))?;
        if ids[0].system == ids[1].system {
            return Err(told(format_args!("both ids are of {}", ids[0].system)));
        }
        if let Some(Err(wrong)) = self.note.as_deref().map(fit_note) {
            return Err(told(format_args!("the note {wrong}")));
        }
        if let Some(alias) =
            self.aliases.iter().find(|alias| ids.iter().all(|at| at.system != alias.system))
        {
            return Err(told(format_args!("the alias is of {}, and no id is", alias.system)));
        }
        let note = self.note.filter(|note| !note.is_empty());
        let pair = Pair { kind: self.kind.into(), ids, note };
        let opened = self.place.open_crosswalk(Access::Change)?;
        let pairs = std::slice::from_ref(&pair);
        let outcome = opened.ask(opened.store.link_crosswalk(pairs, SOURCE, clock::now()))?.pop();
        let shown = both(&pair.ids);
        let (text, code) = match outcome {
            Some(Outcome::Contradicts { stands }) => {
                let stands: Vec<String> = stands.iter().map(both).collect();
                let stands = stands.join(" and ");
                (
                    format!("{shown} contradicts {stands}, which stands; kept as a conflict"),
                    FINDINGS,
                )
            }
            Some(Outcome::Known { .. }) => (format!("{shown} were linked already"), 0),
            Some(Outcome::Merged) => (format!("linked {shown}; their entries are one now"), 0),
            Some(Outcome::Linked | Outcome::Joined) | None => (format!("linked {shown}"), 0),
        };
        if code == 0 {
            for SystemId { system, id: alias } in &self.aliases {
                let Some(at) = pair.ids.iter().find(|at| at.system == *system) else { continue };
                opened.ask(opened.store.alias_crosswalk(pair.kind, at, Some(alias)))?;
            }
        }
        opened.close();
        print(&format!("{text}\n"));
        Ok(code)
    }
}

impl Unlink {
    pub(super) fn run(self) -> Done {
        let opened = self.place.open_crosswalk(Access::Change)?;
        let (kind, store) = (self.kind.into(), &opened.store);
        let (is_done, done, nothing) = match <[SystemId; 2]>::try_from(self.ids) {
            Ok(ids) => {
                let shown = both(&ids);
                let done = format!("dismissed the conflict {shown}");
                let nothing = format!("{shown} is no conflict; to take an id out, name it alone");
                (opened.ask(store.dismiss_crosswalk(kind, &ids))?, done, nothing)
            }
            Err(ids) => {
                let Some(at) = ids.first() else { return Err(told("write SYSTEM=ID")) };
                let is_done = opened.ask(store.unlink_crosswalk(kind, at, clock::now()))?;
                (is_done, format!("unlinked {at}"), format!("{at} is not linked"))
            }
        };
        opened.close();
        print(&format!("{}\n", if is_done { done } else { nothing }));
        Ok(if is_done { 0 } else { FINDINGS })
    }
}
