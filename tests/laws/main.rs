//! The laws of mappings and the refusal of broken messages, over random records and random bytes.
//!
//! R writes, P reads. L1: `P(R(record)) = fit(record)`. L2: `R(P(wire)) = norm(wire)`. L4: every fault
//! and every answer can be written by every vendor. `latimer test` tries each word and each fault once;
//! here the rest of the record, the settings and the texts are random too, and `fit` is a second reading
//! of the mapping that shares nothing with the code that writes and reads.
//!
//! All of it runs on the shipped mappings and on the invented sixth vendor.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod damage;
mod desk;
mod faults;
mod fit;
mod found;
mod hostile;
mod normal_forms;
mod once_broken;
mod records;
mod round_trips;
