//! The real program between real sockets: a client of one vendor, a simulated vendor behind.
//!
//! What is expected is written by hand from the vendors' pages and the answer key, never computed by
//! the mapping engine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod actors;
mod asynchronous;
mod authority;
mod budgets;
mod coded;
mod comments;
mod connections;
mod crosswalk;
mod deadlines;
mod edited;
mod endpoints;
mod enrich;
mod faults;
mod fleet;
mod forward;
mod given_back;
mod gone;
mod handed;
mod harness;
mod hello;
mod http;
mod http2;
mod jobs;
mod journal;
mod keys;
mod limits;
mod log;
mod log_in;
mod logged_in;
mod metrics;
mod new_operation;
mod outside;
mod overload;
mod pairs;
mod places;
mod policies;
#[path = "../support/process.rs"]
mod process;
mod quotas;
mod read_back;
mod reading;
mod refusals;
mod resilience;
mod restarts;
mod scripted;
mod secrets;
mod secured;
mod signals;
mod sixth;
mod swept;
mod tables;
mod upstream_ends;
mod upstream_lives;
mod upstream_log_ins;
mod upstream_sessions;
mod upstreams;
mod variants;
mod vendors;
mod wire;
