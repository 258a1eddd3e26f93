//! The mapping language: one YAML file per vendor, read in both directions.
pub mod syntax;
