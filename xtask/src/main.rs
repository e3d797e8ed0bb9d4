//! One entry point for people and CI: build, run, test.
fn main() {}
