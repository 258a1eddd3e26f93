//! Latimer.
pub mod bounds;
pub mod catalog;
pub mod codec;
pub mod config;
pub mod diag;
pub mod ident;
pub mod mapping;
pub mod plan;
pub mod secret;
pub mod sim;
pub mod value;
pub mod yaml;
