//! What is done with the bytes that a fuzzer makes: one function for each target. They panic when something is wrong.
//!
//! `cargo fuzz` runs them for hours (`fuzz_targets`); `document/tests/fuzzed.rs` includes this file and runs them for seconds on
//! any toolchain, on what was found before and on mutations of it.
//!
//! - [`mod@batch`]: batches, checked and applied in two orders
//! - [`mod@snapshot`]: snapshots parsed, merged, taken apart and edited on
//! - [`mod@vector`]: differences for whatever version vector
//! - [`mod@anchor`], [`mod@delta`], [`mod@html`]: what else is read

mod anchor;
mod batch;
mod delta;
mod html;
mod snapshot;
mod vector;

pub use anchor::anchor;
pub use batch::batch;
pub use delta::delta;
pub use html::html;
pub use snapshot::snapshot;
pub use vector::vector;
