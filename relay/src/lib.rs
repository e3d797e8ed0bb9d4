//! The relay: listeners, sessions, rooms' tasks, store writer, tokens, metrics.
//!
//! A shell around the sans-I/O state machines of `inkwire-protocol`: it owns sockets, tasks, timers and the store, and moves
//! bytes between them. A batch travels down this list.
//!
//! - [`relay`]: the whole, put together from its settings, run, and drained; [`cli`] is the command line
//! - [`settings`]: flags, environment, file
//! - [`listen`]: sockets, certificates, QUIC, TCP
//! - [`http`]: pages, tokens, health, metrics, and where a WebSocket begins
//! - [`session`]: one client connection: control lane, documents' lanes, and the two transports
//! - [`token`]: who may do what
//! - [`rooms`]: open documents: loaded, locked, looked after, unloaded
//! - [`store_writer`]: what all rooms accepted, on its way to the store
//! - [`fold`]: compaction, off the hot path
//! - [`doc`]: what `inkwire doc` does, in a running relay and without one; [`history`]: what stays of documents' past
//!
//! - [`core`], [`certificate`], [`drain`], [`clock`], [`metrics`], [`logs`], [`readiness`]: around it

pub mod certificate;
pub mod cli;
pub mod clock;
pub mod core;
pub mod doc;
pub mod drain;
pub mod fold;
pub mod history;
pub mod http;
pub mod listen;
pub mod logs;
pub mod metrics;
pub mod readiness;
pub mod relay;
pub mod rooms;
pub mod session;
pub mod settings;
pub mod store_writer;
pub mod token;

pub use relay::{Relay, StartError};
