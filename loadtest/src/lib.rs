//! The load-test command line and the native client it is built on.
//!
//! - [`client`]: sessions with a relay over WebTransport (two libraries) or WebSocket, around the protocol's core
//! - [`trace`]: editing traces, recorded or made by a model of a typist
//! - [`replay`]: a trace through one session, watched from another, with figures
//! - [`cli`]: the command line

pub mod cli;
pub mod client;
pub mod replay;
pub mod trace;
