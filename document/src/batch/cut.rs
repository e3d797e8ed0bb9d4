//! The beginning of a batch.

use bytes::Bytes;

use super::Batch;
use super::operation::kind;
use crate::messagepack::{Malformed, Reader, Token, Writer};

impl Batch {
    /// The operations of a batch that passed its check, up to a counter: an insert that goes beyond it is cut. `None` where
    /// nothing is left, or where an operation of a kind that this version does not know goes beyond it.
    pub fn up_to(&self, last: u64) -> Option<Self> {
        if last >= self.last() {
            return Some(self.clone());
        }
        let count = last.checked_sub(self.first)?.checked_add(1)?;
        let mut left = count;
        let mut reader = Reader::new(&self.operations);
        let mut operations = Vec::with_capacity(self.operations.len());
        while left > 0 {
            let start = reader.position();
            let rest = reader;
            let raw = |end: usize| self.operations.get(start..end);
            match reader.token().ok()? {
                Token::Array(elements) => {
                    let taken = counters(&mut reader, elements).ok()?;
                    if taken <= left {
                        operations.extend_from_slice(raw(reader.position())?);
                        left -= taken;
                    } else {
                        self.cut(rest, left, &mut operations)?;
                        left = 0;
                    }
                }
                _ => operations.extend_from_slice(raw(reader.position())?),
            }
        }
        Some(Self { count: u32::try_from(count).ok()?, operations: Bytes::from(operations), ..*self })
    }

    /// Writes the first `count` counters of the insert that comes next.
    fn cut(&self, mut reader: Reader<'_>, count: u64, out: &mut Vec<u8>) -> Option<()> {
        let Ok(Token::Array(elements)) = reader.token() else { return None };
        let kind = reader.uint().ok()?;
        match kind {
            kind::INSERT | kind::CONTINUE => {
                let start = reader.position();
                (2..elements).try_for_each(|_| reader.skip()).ok()?;
                let origins = self.operations.get(start..reader.position())?;
                let text = reader.str().ok()?;
                let end = text.char_indices().nth(count as usize)?.0;
                let mut writer = Writer(out);
                writer.array(elements as usize);
                writer.uint(kind);
                out.extend_from_slice(origins);
                Writer(out).str(&text[..end]);
            }
            kind::LIST_INSERT | kind::SET_ADD => {
                let values = reader.uint().ok()?;
                let origins = u64::from(elements).checked_sub(2 + values)?;
                let start = reader.position();
                (0..origins + count).try_for_each(|_| reader.skip()).ok()?;
                let kept = self.operations.get(start..reader.position())?;
                let mut writer = Writer(out);
                writer.array((2 + origins + count) as usize);
                writer.uint(kind);
                writer.uint(count);
                out.extend_from_slice(kept);
            }
            _ => return None,
        }
        Some(())
    }
}

/// Passes over an operation whose array was begun; says how many counters it takes.
fn counters(reader: &mut Reader<'_>, elements: u32) -> Result<u64, Malformed> {
    let kind = reader.uint()?;
    let (mut count, mut rest) = (1, elements.saturating_sub(1));
    match kind {
        kind::INSERT | kind::CONTINUE => {
            (1..rest).try_for_each(|_| reader.skip())?;
            return Ok(reader.str()?.chars().count() as u64);
        }
        kind::DELETE | kind::SET | kind::REMOVE => {}
        _ => {
            count = reader.uint()?;
            rest = rest.saturating_sub(1);
        }
    }
    (0..rest).try_for_each(|_| reader.skip())?;
    Ok(count)
}
