//! Latimer.

pub mod codec;
pub mod mapping;
