//! The laws of mappings, and what has broken them once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![allow(dead_code, reason = "the properties that need the rest of the desk follow")]

mod desk;
mod once_broken;
