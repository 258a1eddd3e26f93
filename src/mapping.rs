//! The mapping language: a vendor's API as a declarative file, read in both directions.

pub mod codecs;
