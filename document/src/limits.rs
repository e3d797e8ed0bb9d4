//! What one batch, and one document, may hold.

/// Bytes that a text in a snapshot may say that it comes to: its visible text, and 48 for each of its spans. 256 MiB.
pub const MAX_DECODED_BYTES: usize = 256 << 20;

/// Bounds that [`Batch::check`](crate::Batch::check) enforces; the same in relay and client, or they would not agree.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Limits {
    /// Bytes of a batch's encoded operations. 60 KiB: a frame is 64 KiB and carries a receipt beside them.
    pub max_batch_bytes: usize,
    /// Bytes of a root's name. 256, as a document's.
    pub max_name_bytes: usize,
    /// Bytes of a map's key. 256.
    pub max_key_bytes: usize,
    /// Bytes of an encoded value. 32 KiB.
    pub max_value_bytes: usize,
    /// Levels of arrays and maps in a value, the value itself included. 8: a value is no document.
    pub max_value_depth: usize,
    /// Items of all arrays and entries of all maps of a value together. 1,024.
    pub max_value_items: usize,
    /// Actors that one batch may refer to. 1,024.
    pub max_actors: usize,
}

impl Limits {
    /// The limits that every relay and client of this version uses.
    pub const STANDARD: Self = Self {
        max_batch_bytes: 60 * 1024,
        max_name_bytes: 256,
        max_key_bytes: 256,
        max_value_bytes: 32 * 1024,
        max_value_depth: 8,
        max_value_items: 1024,
        max_actors: 1024,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::STANDARD
    }
}
