//! What there are ids of, and what an id may be where one is kept.

use crate::bounds;

/// What an id names: ids of two kinds are never the same, though their texts may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdKind {
    /// Tickets.
    Ticket,
    /// People, as the systems know them.
    User,
}

impl IdKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Ticket, Self::User];

    /// Its name in files, commands and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::User => "user",
        }
    }

    /// The kind of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Says what is wrong with an id.
///
/// # Errors
/// If it is empty or too long, or has blanks around it or control characters.
pub fn fit_id(id: &str) -> Result<(), &'static str> {
    match id {
        "" => Err("is empty"),
        _ if id.len() > bounds::STATE_NAME_BYTES_MAX => Err("is too long"),
        _ if id.chars().any(char::is_control) => Err("has control characters"),
        _ if id.trim() != id => Err("has blanks around it"),
        _ => Ok(()),
    }
}

/// Says what is wrong with the name of a system.
///
/// # Errors
/// If it cannot be an id either, holds `=`, or is the name of a column that files have.
pub fn fit_system(system: &str) -> Result<(), &'static str> {
    match system {
        "kind" | "note" => Err("is the name of another column"),
        _ if system.contains('=') => Err("holds `=`"),
        _ => fit_id(system),
    }
}
