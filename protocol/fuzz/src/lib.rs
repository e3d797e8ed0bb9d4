//! What is done with the bytes that a fuzzer makes: one function for each target. They panic when something is wrong.
//!
//! `cargo fuzz` runs them for hours (`fuzz_targets`); `protocol/tests/fuzzed.rs` includes this file and runs them for seconds on
//! any toolchain, on what was found before and on mutations of it.
//!
//! - [`frames`], [`streams`], [`messages`], [`datagrams`]: what parses, and what it was parsed from, agree.
//! - [`vectors`]: the vectors before an `Open`, against a plain map.
//! - [`receipts`]: no receipt and no ticket but the one that was given is good.
//! - [`session`], [`room`]: the relay's half under whatever frames, in whatever order.
//! - [`client`]: the client's half under whatever a relay says.

mod choose;
mod client;
mod receipts;
mod room;
mod session;
mod vectors;
mod wire;

pub use client::client;
pub use receipts::receipts;
pub use room::room;
pub use session::session;
pub use vectors::vectors;
pub use wire::{datagrams, frames, messages, streams};
