//! Rooms: the registry that loads and unloads them, each one behind its lock, the task that looks after it, and what all of them
//! may use together.

mod budget;
mod governor;
mod handle;
mod registry;
mod task;

pub use budget::{Budget, default_limit};
pub use handle::{Ready, RoomHandle, Waiting};
pub(crate) use registry::DELETED;
pub use registry::{OpenRoom, Rooms, RoomsConfig};
