//! The `inkwire` binary: everything is in the library.
#![allow(missing_docs)]
fn main() {}
