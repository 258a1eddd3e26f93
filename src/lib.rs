//! Latimer.
pub mod bounds;
pub mod config;
pub mod diag;
pub mod secret;
pub mod yaml;
