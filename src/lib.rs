//! Latimer.
