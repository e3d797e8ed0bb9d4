//! Puts a snapshot's chunks together.

use bytes::Bytes;

use crate::frame;

/// Why a chunk does not fit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum AssemblyError {
    OutOfOrder { expected: u32, found: u32 },
    TooLarge { limit: usize },
}

/// The chunks so far; memory is what came, never what was announced.
#[derive(Clone, Debug, Default)]
pub(super) struct Assembly {
    next: u32,
    bytes: Vec<u8>,
}

impl Assembly {
    /// Takes the next chunk; returns the whole when it was the last. A snapshot of one chunk is not copied.
    pub(super) fn push(&mut self, chunk: frame::Snapshot, max_bytes: usize) -> Result<Option<Bytes>, AssemblyError> {
        if chunk.index == 0 {
            // A relay may start anew; what it had begun is void then.
            *self = Self::default();
        }
        if chunk.index != self.next {
            return Err(AssemblyError::OutOfOrder { expected: self.next, found: chunk.index });
        }
        if self.bytes.len() + chunk.bytes.len() > max_bytes {
            return Err(AssemblyError::TooLarge { limit: max_bytes });
        }
        if chunk.last {
            let mut whole = std::mem::take(self).bytes;
            if whole.is_empty() {
                return Ok(Some(chunk.bytes));
            }
            whole.extend_from_slice(&chunk.bytes);
            return Ok(Some(whole.into()));
        }
        self.next += 1;
        self.bytes.extend_from_slice(&chunk.bytes);
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(index: u32, last: bool, bytes: &'static [u8]) -> frame::Snapshot {
        frame::Snapshot { index, last, bytes: Bytes::from_static(bytes) }
    }

    #[test]
    fn chunks_come_in_order_and_within_the_limit() {
        let mut assembly = Assembly::default();
        assert_eq!(assembly.push(chunk(0, false, b"ab"), 6), Ok(None));
        assert_eq!(assembly.push(chunk(1, true, b"cd"), 6), Ok(Some(Bytes::from_static(b"abcd"))));
        assert_eq!(assembly.push(chunk(0, true, b"x"), 6), Ok(Some(Bytes::from_static(b"x"))));
        let skipped = assembly.push(chunk(1, false, b"x"), 6);
        assert_eq!(skipped, Err(AssemblyError::OutOfOrder { expected: 0, found: 1 }));
        assert_eq!(assembly.push(chunk(0, false, b"abcd"), 6), Ok(None));
        assert_eq!(assembly.push(chunk(1, true, b"efg"), 6), Err(AssemblyError::TooLarge { limit: 6 }));
        assert_eq!(assembly.push(chunk(0, false, b"new"), 6), Ok(None), "a fresh start");
    }
}
