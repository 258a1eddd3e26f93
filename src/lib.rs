//! Latimer.
pub mod bounds;
pub mod codec;
pub mod config;
pub mod diag;
pub mod mapping;
pub mod secret;
pub mod sim;
pub mod value;
pub mod yaml;
