//! Latimer.
pub mod bounds;
pub mod diag;
pub mod yaml;
