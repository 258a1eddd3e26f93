//! The mapping language: one YAML file per vendor, read in both directions.
pub mod check;
pub mod codecs;
pub mod compile;
pub mod examples;
pub mod laws;
pub mod matrix;
pub mod model;
pub mod run;
pub mod syntax;
