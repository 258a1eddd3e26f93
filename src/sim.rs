//! Five simulated vendors: small, stateful HTTP servers that behave as the vendors' own pages say.
//!
//! They stand in for the real systems in the demo, in the end-to-end tests and behind `latimer sim`.
//! They are *not* built on the gateway's mappings: each vendor file is written by hand from the vendor's
//! page, so that what the gateway sends is judged by something that does not share its mistakes. They
//! are not meant to face a network either: whatever they see is kept in the open, credentials included.
//!
//! ```text
//! server    accepts, reads a request whole, lets a system answer, spoils the answer if a fault is due
//!   ├── options   what a simulator is told at start: credential, tickets, faults, limits
//!   ├── fault     the switches: latency, reset, garbage, …
//!   ├── exchange  one request and one answer, as plain data
//!   ├── log       what was seen, bounded
//!   ├── account   who may log in, and the sessions that were given out
//!   └── desk      the tickets of one system and their statuses
//! arena  series  akana  thalamus  zstack       one system each: routes, credentials, checks, workflow
//! ```
//!
//! A system is a plain state machine: it gets a request with the time in it and gives an answer. It
//! does no I/O and holds no lock.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use latimer::sim::{Options, Vendor, serve};
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let simulator = serve(Vendor::Series, listener, Options::default())?;
//! assert_eq!(simulator.status("TICKET-1234567890-ABCD").as_deref(), Some("open"));
//! simulator.stop().await;
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
//! ```

mod account;
mod akana;
mod arena;
mod desk;
mod exchange;
mod fault;
mod log;
mod options;
mod series;
mod server;
#[cfg(test)]
mod tests;
mod thalamus;
mod zstack;

use std::fmt;
use std::str::FromStr;

use http::StatusCode;

use exchange::{Answer, Request};

pub use account::Account;
pub use desk::{Ticket, UnknownStatus};
pub use fault::{Fault, FaultError, FaultSwitch};
pub use log::Seen;
pub use options::{Operator, Options, Seed, SeedError};
pub use server::{SetupError, Simulator, serve};

/// One of the five ticket systems that can be simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vendor {
    /// PTC Arena PLM: tickets, a session header, numbered errors.
    Arena,
    /// Series.hr: support tickets, an API key, 25 requests a second.
    Series,
    /// Akana API Platform: workflow actions, a login cookie, text answers.
    Akana,
    /// Thalamus: cases, touchpoint and token, every error a 400.
    Thalamus,
    /// ZStack: status events, OAuth sessions, jobs that are polled.
    Zstack,
}

/// The name given is no vendor's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownVendor {
    name: String,
}

/// One vendor's behaviour: everything about it but the sockets.
trait System: Send {
    /// What the vendor answers to this request; its state changes with it.
    fn answer(&mut self, request: &Request) -> Answer;

    /// What the vendor itself sends with this status, if it is one that it documents or shapes alike.
    fn failure(&mut self, status: StatusCode, request: &Request) -> Option<Answer>;

    /// Ends every session that a log-in has made.
    fn end_sessions(&mut self) {}

    /// All tickets with their statuses in the vendor's own words, in the order of their ids.
    fn tickets(&self) -> Vec<Ticket>;
}

impl Vendor {
    /// The five, in the order in which everything lists them.
    pub const ALL: [Vendor; 5] =
        [Vendor::Arena, Vendor::Series, Vendor::Akana, Vendor::Thalamus, Vendor::Zstack];

    /// The name on the command line and in configuration files.
    pub fn name(self) -> &'static str {
        match self {
            Vendor::Arena => "arena",
            Vendor::Series => "series",
            Vendor::Akana => "akana",
            Vendor::Thalamus => "thalamus",
            Vendor::Zstack => "zstack",
        }
    }

    /// The credential that a simulator takes unless it is told another.
    pub fn default_token(self) -> String {
        format!("sim-{}-token", self.name())
    }

    /// The ticket of the vendor's page, which every simulator of it holds from the start.
    pub fn sample_ticket(self) -> &'static str {
        match self {
            Vendor::Arena => arena::SAMPLE_TICKET,
            Vendor::Series => series::SAMPLE_TICKET,
            Vendor::Akana => akana::SAMPLE_TICKET,
            Vendor::Thalamus => thalamus::SAMPLE_TICKET,
            Vendor::Zstack => zstack::SAMPLE_TICKET,
        }
    }

    /// The path under which the vendor's clients find its API, as its page writes it.
    pub fn base_path(self) -> &'static str {
        match self {
            Vendor::Arena => "/v1",
            Vendor::Zstack => "/zstack",
            Vendor::Series | Vendor::Akana | Vendor::Thalamus => "",
        }
    }

    fn system(self, options: &Options) -> Result<Box<dyn System>, UnknownStatus> {
        let token = options.token.clone().unwrap_or_else(|| self.default_token());
        Ok(match self {
            Vendor::Arena => Box::new(arena::Arena::new(token, options)?),
            Vendor::Series => Box::new(series::Series::new(token, options)?),
            Vendor::Akana => Box::new(akana::Akana::new(token, options)?),
            Vendor::Thalamus => Box::new(thalamus::Thalamus::new(token, options)?),
            Vendor::Zstack => Box::new(zstack::Zstack::new(token, options)?),
        })
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Vendor {
    type Err = UnknownVendor;

    fn from_str(name: &str) -> Result<Vendor, UnknownVendor> {
        Vendor::ALL
            .into_iter()
            .find(|vendor| vendor.name() == name)
            .ok_or_else(|| UnknownVendor { name: name.to_owned() })
    }
}

impl fmt::Display for UnknownVendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no vendor is named `{}`; there are arena, series, akana, thalamus, zstack",
            self.name
        )
    }
}

impl std::error::Error for UnknownVendor {}
