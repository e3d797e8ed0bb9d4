//! The stored form: actor, first counter, count as LEB128 numbers, then the operations as they are.

use bytes::Bytes;

use super::{Batch, BatchError};
use crate::ids::Actor;

/// Appends a LEB128 number.
pub(crate) fn write_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads a LEB128 number off the front; `None` when it is cut off or over 64 bits.
pub(crate) fn read_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        if shift == 63 && byte > 1 {
            return None;
        }
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Bytes of a LEB128 number.
pub(crate) fn number_len(number: u64) -> usize {
    (64 - (number | 1).leading_zeros() as usize).div_ceil(7)
}

impl Batch {
    /// Bytes of the stored form.
    pub fn encoded_len(&self) -> usize {
        number_len(self.actor.0) + number_len(self.first) + number_len(u64::from(self.count)) + self.operations.len()
    }

    /// Appends the stored form. It does not carry its length.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.encoded_len());
        write_number(self.actor.0, out);
        write_number(self.first, out);
        write_number(u64::from(self.count), out);
        out.extend_from_slice(&self.operations);
    }

    /// Reads the stored form; the operations share `bytes`. Does not look into them: that is [`check`](Self::check).
    ///
    /// # Errors
    /// [`BatchError::Header`] when the three numbers are not there.
    pub fn decode(bytes: &Bytes) -> Result<Self, BatchError> {
        let mut rest = &bytes[..];
        let mut number = || read_number(&mut rest).ok_or(BatchError::Header);
        let (actor, first, count) = (Actor(number()?), number()?, number()?);
        let count = u32::try_from(count).map_err(|_| BatchError::Header)?;
        Ok(Self { actor, first, count, operations: bytes.slice(bytes.len() - rest.len()..) })
    }
}
