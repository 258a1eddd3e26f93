//! What a simulator is told when it starts. Nothing here is read from a file: the command line and the
//! tests fill it in.

use std::fmt;
use std::str::FromStr;

use super::account::Account;
use super::fault::FaultSwitch;

/// Requests a second that Series.hr's page allows one key.
const SERIES_REQUESTS_PER_SECOND: u32 = 25;

/// Requests a day that an Arena workspace gets; the real number is in each customer's contract.
const ARENA_REQUESTS_PER_DAY: u32 = 25_000;

/// The tenant in the samples of Akana's page.
const AKANA_TENANT: &str = "acmepaymentscorp";

/// How a simulator is set up. The default is a vendor that holds its page's sample tickets and takes
/// `sim-<vendor>-token`.
#[derive(Clone, Debug)]
pub struct Options {
    /// The credential that is taken; `sim-<vendor>-token` if none is given.
    pub token: Option<String>,
    /// Tickets beside the page's samples; one with a sample's id replaces it.
    pub tickets: Vec<Seed>,
    /// Faults that are on from the start.
    pub faults: Vec<FaultSwitch>,
    /// ZStack: answer a change with 202 and a job to poll, as the real one does. Without it the
    /// result comes at once.
    pub asynchronous: bool,
    /// Series: requests a second for the key; `None` switches the limit off.
    pub requests_per_second: Option<u32>,
    /// Arena: requests a day for the workspace.
    pub requests_per_day: u32,
    /// Akana: the tenant in the names of its cookie and its CSRF header.
    pub tenant: String,
    /// Akana: the value that the CSRF header of a write must carry; `None` if the platform has the
    /// protection off.
    pub csrf: Option<String>,
    /// Thalamus: the one touchpoint that is taken; any if none is given.
    pub touchpoint: Option<String>,
    /// Thalamus: the operator who must be logged in; `None` if nobody must.
    pub operator: Option<Operator>,
    /// Who may log in. Arena, Akana and ZStack take the token beside that; Thalamus takes nobody who has not.
    pub account: Option<Account>,
}

/// The operator that a simulated Thalamus asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The name in `Authorization: Basic`.
    pub user: String,
    /// The password in `Authorization: Basic`.
    pub password: String,
    /// The value of the session cookie `JSESSIONID`, the other way to be logged in.
    pub session: String,
}

/// A ticket that a simulator holds from the start; written `ID=STATUS`, the status in the vendor's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// The ticket's id.
    pub id: String,
    /// Its status, as the vendor spells it.
    pub status: String,
}

/// A ticket that is not written `ID=STATUS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedError {
    text: String,
}

impl Seed {
    /// A ticket with this id and status.
    pub fn new(id: impl Into<String>, status: impl Into<String>) -> Seed {
        Seed { id: id.into(), status: status.into() }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            token: None,
            tickets: Vec::new(),
            faults: Vec::new(),
            asynchronous: false,
            requests_per_second: Some(SERIES_REQUESTS_PER_SECOND),
            requests_per_day: ARENA_REQUESTS_PER_DAY,
            tenant: AKANA_TENANT.to_owned(),
            csrf: None,
            touchpoint: None,
            operator: None,
            account: None,
        }
    }
}

impl FromStr for Seed {
    type Err = SeedError;

    fn from_str(text: &str) -> Result<Seed, SeedError> {
        // The last `=`: an id may hold one, a status of the five vendors never does.
        match text.rsplit_once('=') {
            Some((id, status)) if !id.is_empty() && !status.is_empty() => Ok(Seed::new(id, status)),
            _ => Err(SeedError { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for SeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a ticket is written ID=STATUS, not `{}`", self.text)
    }
}

impl std::error::Error for SeedError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_an_id_and_a_status() {
        assert_eq!("T-1=open".parse(), Ok(Seed::new("T-1", "open")));
        assert_eq!("a=b=In progress".parse(), Ok(Seed::new("a=b", "In progress")));
        for wrong in ["", "T-1", "=open", "T-1="] {
            let error = wrong.parse::<Seed>().unwrap_err();
            assert_eq!(error.to_string(), format!("a ticket is written ID=STATUS, not `{wrong}`"));
        }
    }
}
