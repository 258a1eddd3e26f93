//! The `latimer` program.
fn main() {}
