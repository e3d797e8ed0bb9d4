//! What `inkwire doc` does to documents: looking at their past, restoring, bringing in and out, deleting, checking.
//!
//! - [`request`]: what is asked and answered, as bytes too. [`socket`]: both ends of `DIR/admin.sock`.
//! - [`point`]: a point of a document's past as people write it: a time, a name, a vector.
//! - [`past`]: the document at such a point. [`log`]: what happened, in the order of time.
//! - [`content`]: a document as text, Markdown, HTML, JSON or a snapshot, and back.
//! - [`editor`]: how an edit gets in: through the room of a running relay, or into a store that nobody else uses.
//! - [`desk`]: what each request does.

pub mod content;
pub mod desk;
pub mod editor;
pub mod log;
pub mod past;
pub mod point;
pub mod request;
#[cfg(unix)]
pub mod socket;

/// The authenticated subject that edits of `inkwire doc` have.
pub const SUBJECT: &str = "admin";

/// The socket's name in the data directory.
pub const SOCKET: &str = "admin.sock";
