//! Latimer: an API gateway that interprets between ticket systems.
//!
//! A client goes on speaking the API that it was written for; every call is rewritten, by declarative
//! mapping files, into the API of the system that is really behind the gateway, and the answer and
//! every error are rewritten back. The life of a call:
//!
//! ```text
//! server ─▶ call: route → key → limit → body → operation → record → request ─▶ upstream
//!                   │        │       │             │          │                   │
//!                 plan    secret   limit      mapping::run  mapping::run       upstream
//! client ◀───────── answer or fault, in the client vendor's own shape ◀──────── judge
//! ```
//!
//! Modules in layer order; imports go strictly downward.

// L0: names, bounds, secrets, findings, clock and timers
pub mod alarm;
pub mod bounds;
pub mod clock;
pub mod diag;
pub mod ident;
pub mod secret;

// L1: values and bodies; TLS
pub mod codec;
pub mod tls;
pub mod value;
pub mod yaml;

// L2: the mapping language, the configuration
pub mod config;
pub mod mapping;

// L3: all mappings; the immutable snapshot that calls run on
pub mod catalog;
pub mod plan;

// L4: limits, what outlives a call and what is remembered of it, clients that log in, upstreams and our sessions there
pub mod credential;
pub mod crosswalk;
pub mod journal;
pub mod limit;
pub mod session;
pub mod store;
pub mod upstream;

// L5: one call
pub mod call;
pub mod telemetry;

// L6: listeners, simulated vendors, what a service manager gives and is told
pub mod admin;
pub mod server;
pub mod sim;
pub mod systemd;

// L7: the assembler, the command line
pub mod app;
pub mod cli;
