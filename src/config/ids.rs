//! A route's `ids:`, how the ids of tickets and of people are carried over.

use std::path::PathBuf;

use super::form::{Malformed, quote};
use super::route::{Messages, Route};
use super::section::{Reader, Section, one_of};
use super::state::StateConfig;
use super::tree::{Item, Kind, Spanned};
use super::{codes, schema};
use crate::diag::{Diagnostic, Location};
use crate::value::{IdKind, fit_system};

/// How ids are carried over. What is not named here is the same in both systems.
#[derive(Clone, Debug, Default)]
pub struct Ids {
    /// Those of tickets by a file of pairs, which [`pairs::load`](super::pairs::load) reads.
    pub pairs: Option<Spanned<PathBuf>>,
    /// By the crosswalk.
    pub crosswalk: Option<CrosswalkIds>,
}

/// Which ids the crosswalk translates, and between which of its systems.
#[derive(Clone, Debug)]
pub struct CrosswalkIds {
    /// Where it is named first.
    pub at: Location,
    /// What happens to a ticket's id that it does not have; none if it does not translate them.
    pub ticket: Option<Spanned<Missing>>,
    /// The same of a person's.
    pub user: Option<Spanned<Missing>>,
    /// The name that the crosswalk has for the callers' system.
    pub client: Spanned<String>,
    /// That of the upstream.
    pub upstream: Spanned<String>,
}

/// What happens to an id that the crosswalk does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The call is refused, or the answer goes without it.
    Refuse,
    /// It goes on as it is.
    Pass,
    /// It goes on as it is if the upstream has a ticket of that very id.
    AskUpstream,
}

/// What carries ids of tickets over.
enum Ticket {
    Same,
    Pairs(Spanned<PathBuf>),
    Crosswalk,
}

const MISSING: [(&str, Missing); 3] =
    [("refuse", Missing::Refuse), ("pass", Missing::Pass), ("ask_upstream", Missing::AskUpstream)];

impl Ids {
    /// Where it is said that the ids of both systems differ, if they do.
    pub(super) fn differ_at(&self) -> Option<&Location> {
        let crosswalk = || self.crosswalk.as_ref().map(|crosswalk| &crosswalk.at);
        self.pairs.as_ref().map(|file| &file.at).or_else(crosswalk)
    }
}

impl CrosswalkIds {
    /// What happens to ids of a kind that it does not have; none if it does not translate them.
    pub fn missing(&self, kind: IdKind) -> Option<Missing> {
        let missing = match kind {
            IdKind::Ticket => &self.ticket,
            IdKind::User => &self.user,
        };
        missing.as_ref().map(|missing| missing.value)
    }
}

/// `ids`, on a route between these two.
pub(super) fn read(
    reader: &mut Reader<'_>,
    route: &Section<'_>,
    client: Option<&Spanned<String>>,
    upstream: Option<&Spanned<String>>,
) -> Option<Ids> {
    if route.get("ids").is_none() {
        return Some(Ids::default());
    }
    let section = &reader.subsection(route, "ids", schema::IDS)?;
    let ticket = match section.get("ticket") {
        None => Ticket::Same,
        Some(item) => ticket(reader, section, item)?,
    };
    let user = reader.word(section, "user", &[("same", false), ("crosswalk", true)], false);
    let user = section.get("user").filter(|_| user);
    let by_crosswalk = section.get("ticket").filter(|_| matches!(ticket, Ticket::Crosswalk));
    let pairs = match ticket {
        Ticket::Pairs(file) => Some(file),
        Ticket::Same | Ticket::Crosswalk => None,
    };
    let Some(first) = by_crosswalk.or(user) else {
        useless(reader, section);
        return Some(Ids { pairs, crosswalk: None });
    };
    let missing = missing(reader, section, by_crosswalk, user);
    let systems = reader.subsection(section, "systems", schema::SYSTEMS);
    let [client, upstream] = [("client", client), ("upstream", upstream)]
        .map(|(key, name)| system(reader, systems.as_ref(), key, name));
    let (client, upstream) = (client?, upstream?);
    if client.value == upstream.value {
        let message = format!(
            "the crosswalk would translate from {0} to {0}: the callers and the upstream have one name there",
            quote(&client.value)
        );
        let label = "name the two systems: `systems: {client: …, upstream: …}`; if their ids are the same, write \
                     `same`";
        reader.error(codes::CONFLICT, &section.at, message, label);
        return None;
    }
    let [ticket, user] = missing;
    let at = first.at.clone();
    Some(Ids { pairs, crosswalk: Some(CrosswalkIds { at, ticket, user, client, upstream }) })
}

fn ticket(reader: &mut Reader<'_>, ids: &Section<'_>, item: &Item) -> Option<Ticket> {
    match &item.kind {
        Kind::Text(text) if text == "same" => Some(Ticket::Same),
        Kind::Text(text) if text == "crosswalk" => Some(Ticket::Crosswalk),
        Kind::Text(text) => {
            let message = format!("`ids.ticket`: {} is no way to carry ids over", quote(text));
            let label = "write `same`, `crosswalk` or `{file: PATH}`";
            reader.error(codes::FORM, &item.at, message, label);
            None
        }
        Kind::Map(_) | Kind::List(_) | Kind::Nothing => {
            let pairs = reader.subsection(ids, "ticket", schema::IDS_FILE)?;
            let file = reader.required(&pairs, "file", "add `file:` with the path of the pairs")?;
            reader.path(file, &pairs.path("file")).map(Ticket::Pairs)
        }
    }
}

/// What happens to ids that are missing, of tickets and of people, as far as the crosswalk translates them.
fn missing(
    reader: &mut Reader<'_>,
    ids: &Section<'_>,
    ticket: Option<&Item>,
    user: Option<&Item>,
) -> [Option<Spanned<Missing>>; 2] {
    let mut found =
        [ticket, user].map(|item| item.map(|item| Spanned::new(Missing::Refuse, item.at.clone())));
    let Some(item) = ids.get("missing") else { return found };
    if !matches!(item.kind, Kind::Map(_)) {
        let all = reader.leaf(ids, "missing", |text| one_of(text, &MISSING));
        if let Some(all) = all {
            if all.value == Missing::AskUpstream && user.is_some() {
                no_asking_for_people(
                    reader,
                    &all.at,
                    "`missing: {ticket: ask_upstream, user: refuse}`",
                );
            }
            found.iter_mut().flatten().for_each(|one| *one = all.clone());
        }
        return found;
    }
    let Some(section) = reader.subsection(ids, "missing", schema::MISSING) else { return found };
    for (key, one) in ["ticket", "user"].into_iter().zip(&mut found) {
        let Some(said) = reader.leaf(&section, key, |text| one_of(text, &MISSING)) else {
            continue;
        };
        if key == "user" && said.value == Missing::AskUpstream {
            no_asking_for_people(reader, &said.at, "`refuse` or `pass`");
        }
        match one {
            Some(one) => *one = said,
            None => {
                let message = format!(
                    "`ids.missing.{key}` is of no use where `ids.{key}` is not `crosswalk`"
                );
                reader.error(codes::CONFLICT, &said.at, message, "leave it out");
            }
        }
    }
    found
}

fn no_asking_for_people(reader: &mut Reader<'_>, at: &Location, instead: &str) {
    let message = "`ask_upstream` is for tickets: nobody can be asked for a person";
    reader.error(codes::CONFLICT, at, message, format!("write {instead}"));
}

/// The name that the crosswalk has for one of the two: what is said, or the name that it has here.
fn system(
    reader: &mut Reader<'_>,
    systems: Option<&Section<'_>>,
    key: &str,
    name: Option<&Spanned<String>>,
) -> Option<Spanned<String>> {
    let fit = |text: &str| match fit_system(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(wrong) => Err(Malformed::new(
            format!("{} {wrong}", quote(text)),
            "write the system's name as `latimer crosswalk` has it",
        )),
    };
    if let Some(section) = systems.filter(|section| section.get(key).is_some()) {
        return reader.leaf(section, key, fit);
    }
    let name = name?;
    if let Err(Malformed { found, .. }) = fit(&name.value) {
        let message = format!("the crosswalk can have no system of that name: {found}");
        let label = format!("name it otherwise there: `ids: {{systems: {{{key}: …}}}}`");
        reader.error(codes::CONFLICT, &name.at, message, label);
        return None;
    }
    Some(name.clone())
}

/// What belongs to a crosswalk that nothing asks.
fn useless(reader: &mut Reader<'_>, ids: &Section<'_>) {
    for key in ["missing", "systems"] {
        let Some(item) = ids.get(key) else { continue };
        let message =
            format!("`ids.{key}` is of no use where no id is translated by the crosswalk");
        let label = "leave it out, or write `ticket: crosswalk` or `user: crosswalk`";
        reader.error(codes::CONFLICT, &item.at, message, label);
    }
}

/// Reports a crosswalk that could never be asked, and routes that would show what they are not to.
pub(super) fn check(reader: &mut Reader<'_>, state: &Spanned<StateConfig>, routes: &[Route]) {
    let asking = || routes.iter().filter_map(|one| Some((one, one.ids.crosswalk.as_ref()?)));
    if let (StateConfig::Memory, Some((_, crosswalk))) = (&state.value, asking().next()) {
        let message = "`state: memory` keeps no crosswalk: nothing could be linked there, and no id would be found";
        let finding = Diagnostic::error(codes::CONFLICT, state.at.clone(), message);
        let finding = finding.label("name a file or a database");
        reader.findings.push(finding.also(crosswalk.at.clone(), "this asks the crosswalk"));
    }
    for (route, crosswalk) in asking() {
        let mut missing = [&crosswalk.ticket, &crosswalk.user].into_iter().flatten();
        let hides = missing.any(|missing| missing.value != Missing::Pass);
        if hides && route.messages.value == Messages::Upstream {
            let message = "`messages: upstream` would show clients the upstream's own ids, which stand in its texts";
            let finding = Diagnostic::error(codes::CONFLICT, route.messages.at.clone(), message);
            let finding = finding.label("write `own`, or leave it out");
            let why = "only `missing: pass` lets the upstream's ids through";
            reader.findings.push(finding.also(crosswalk.at.clone(), why));
        }
    }
}
