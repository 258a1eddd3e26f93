//! The tickets of one simulated system and their statuses. Which change is legal is the system's
//! affair, not the desk's.

use std::collections::BTreeMap;
use std::fmt;

use super::options::Seed;

/// A vendor's statuses: a closed set with the words by which they are set and listed.
pub(super) trait Status: Copy + Eq + 'static {
    /// All of them.
    const ALL: &'static [Self];

    /// The vendor's own word, as `/_sim/tickets` shows it.
    fn word(self) -> &'static str;

    /// Reads a word. Vendors that tolerate other spellings override it.
    fn read(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|status| status.word() == word)
    }
}

/// One ticket as a simulator holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Its id.
    pub id: String,
    /// Its status in the vendor's own words.
    pub status: String,
    /// How many changes were applied to it: a repeated write shows here.
    pub changes: u64,
}

/// The tickets of one system, by id.
pub(super) struct Desk<S> {
    tickets: BTreeMap<String, Held<S>>,
}

/// A ticket of the options has a status that the vendor does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownStatus {
    ticket: String,
    status: String,
    known: Vec<&'static str>,
}

struct Held<S> {
    status: S,
    changes: u64,
}

impl<S: Status> Desk<S> {
    /// A desk with the page's samples and the tickets asked for.
    pub(super) fn new(samples: &[(&str, S)], seeds: &[Seed]) -> Result<Desk<S>, UnknownStatus> {
        let mut tickets: BTreeMap<_, _> = samples
            .iter()
            .map(|&(id, status)| (id.to_owned(), Held { status, changes: 0 }))
            .collect();
        for seed in seeds {
            let status = S::read(&seed.status).ok_or_else(|| UnknownStatus {
                ticket: seed.id.clone(),
                status: seed.status.clone(),
                known: S::ALL.iter().map(|status| status.word()).collect(),
            })?;
            tickets.insert(seed.id.clone(), Held { status, changes: 0 });
        }
        Ok(Desk { tickets })
    }

    pub(super) fn status(&self, id: &str) -> Option<S> {
        self.tickets.get(id).map(|held| held.status)
    }

    /// Applies a change that the system has found legal.
    pub(super) fn change(&mut self, id: &str, status: S) {
        if let Some(held) = self.tickets.get_mut(id) {
            held.status = status;
            held.changes += 1;
        }
    }

    pub(super) fn list(&self) -> Vec<Ticket> {
        self.tickets
            .iter()
            .map(|(id, held)| Ticket {
                id: id.clone(),
                status: held.status.word().to_owned(),
                changes: held.changes,
            })
            .collect()
    }
}

impl fmt::Display for UnknownStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UnknownStatus { ticket, status, known } = self;
        write!(f, "ticket `{ticket}`: no status `{status}`; there are {}", known.join(", "))
    }
}

impl std::error::Error for UnknownStatus {}
