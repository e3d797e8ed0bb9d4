//! Frames, limits, error codes, and both ends' state machines, sans-I/O.
//!
//! Bytes and the current time go in; bytes, timers, records to store and events come out. Nothing here opens a socket,
//! reads a clock, spawns a task or draws randomness that was not seeded by the caller, so that the relay, the browser,
//! the load tester and a simulator all run the same code.
//!
//! - [`frame`]: every frame of the protocol, and its bytes.
//! - [`wire`]: what surrounds frames on streams, messages and datagrams, and the check before anything is allocated.
//! - [`code`]: the error codes that travel in `Close` and `Refused`.
//! - [`limits`]: every bound of the protocol, by name.
//! - [`record`]: what a room hands to the store: accepted batches, and who wrote what a snapshot covers.
//! - [`copies`]: small batches once more as datagrams, where a path loses packets.
//! - [`random`]: the seeded generator that both ends draw from.
//! - [`receipt`]: the proof that a relay had accepted a batch, for whoever offers it again.
//! - [`client`]: the client's half of a session.
//! - [`replica`]: the client's half of a document: state, outbox, retained batches, resynchronisation.
//! - [`session`]: the relay's half of the control lane.
//! - [`room`]: the relay's half of a document: members, tail, acknowledgements, presence.

mod chain;
pub mod client;
mod clock;
pub mod code;
pub mod copies;
pub mod frame;
pub mod limits;
pub mod random;
pub mod receipt;
pub mod record;
pub mod replica;
pub mod room;
pub mod session;
mod vectors;
pub mod wire;

pub use chain::{Chain, Link};
pub use clock::Clock;
pub use code::Code;
pub use frame::{Channel, Frame, Role};
pub use vectors::Opening;
