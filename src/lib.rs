//! Latimer.
pub mod bounds;
pub mod diag;
pub mod mapping;
pub mod value;
pub mod yaml;
