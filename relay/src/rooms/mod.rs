//! Rooms: the registry that loads and unloads them, each one behind its lock, and the task that looks after it.

mod handle;
mod registry;
mod task;

pub use handle::{Ready, RoomHandle, Waiting};
pub use registry::{OpenRoom, Rooms, RoomsConfig};
