//! The browser client's core, compiled to WebAssembly.
//!
//! A thin skin over [`inkwire_protocol::client::Client`]: what crosses between JavaScript and WebAssembly, in few calls and
//! as flat values, and nothing else. The TypeScript shell beside it owns the browser's APIs and is the only caller; it
//! calls one method at a time and never from within another.
//!
//! - [`core`]: the exported class, documents and presence
//! - [`content`]: texts, maps, lists, sets and counters, and what changed in them
//! - [`connection`]: bytes in and out, timers
//! - [`events`]: what the client tells its shell
//! - [`refusal`]: errors on their way to JavaScript
//! - [`panics`]: what a bug of ours said before it stopped the module

mod anchor;
mod connection;
mod content;
mod core;
mod events;
mod panics;
mod refusal;

pub use connection::TransmitKind;
pub use core::Core;
pub use events::EventKind;
