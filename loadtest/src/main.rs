//! The load-test command line.
fn main() {}
