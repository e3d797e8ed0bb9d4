//! The one check, run by relay and client alike.

use super::{Batch, BatchError, Checked};
use crate::limits::Limits;

impl Batch {
    /// The one check that decides what is refused, run by relay and client alike. It needs no document: whether what the
    /// batch refers to is held is up to the caller, who compares [`Checked::references`] with its version vector. What
    /// passes applies everywhere.
    ///
    /// # Errors
    /// See [`BatchError`].
    pub fn check(&self, limits: &Limits) -> Result<Checked, BatchError> {
        let bytes = self.operations.len();
        if bytes > limits.max_batch_bytes {
            return Err(BatchError::TooLarge {
                bytes,
                limit: limits.max_batch_bytes,
            });
        }
        Ok(Checked::default())
    }
}
