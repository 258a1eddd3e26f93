//! Latimer.

pub mod sim;
