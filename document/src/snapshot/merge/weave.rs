//! Going through both sides' characters at once.

use std::cmp::Ordering;
use std::ops::Range;

use super::super::SnapshotError;
use super::super::state::{Head, Parts, TextState, char_end};
use super::blocks::Packed;
use super::order::{Side, compare};
use crate::text::span::{Deletion, Span};

/// One side's characters, part by part.
struct Cursor<'t> {
    parts: Parts<'t>,
    text: &'t str,
    is_ascii: bool,
    /// What remains of the present part.
    part: Option<(Span, Head)>,
}

impl<'t> Cursor<'t> {
    fn new(text: &'t TextState) -> Self {
        let mut parts = text.parts();
        let part = parts.next();
        Self { parts, text: &text.text, is_ascii: text.text.is_ascii(), part }
    }

    /// Takes so many characters off the present part, with their text.
    fn take(&mut self, span: Span, head: Head, count: u32) -> (Span, Head, &'t str) {
        let taken = span.part(0, count);
        let (text, rest) = self.text.split_at(char_end(self.text, self.is_ascii, taken.visible() as usize));
        self.text = rest;
        self.part = if count < span.len() {
            Some((span.part(count, span.len()), Head { left: taken.last(), right: head.right }))
        } else {
            self.parts.next()
        };
        (taken, head, text)
    }
}

/// The characters of blocks of both sides, in order, each with the lesser of its deletions; and how the blocks' texts were
/// packed.
pub(super) fn weave<'a>(
    one: &Side<'a, '_>,
    blocks: Range<usize>,
    other: &Side<'a, '_>,
    other_blocks: Range<usize>,
) -> Result<(TextState, Vec<Packed<'a>>), SnapshotError> {
    let ((text, mut packed), (other_text, other_packed)) = (one.decode(blocks)?, other.decode(other_blocks)?);
    packed.extend(other_packed);
    let (mut ours, mut theirs) = (Cursor::new(&text), Cursor::new(&other_text));
    let mut woven = TextState::default();
    loop {
        let (taken, head, content) = match (ours.part, theirs.part) {
            (None, None) => return Ok((woven, packed)),
            (Some((span, head)), None) => ours.take(span, head, span.len()),
            (None, Some((span, head))) => theirs.take(span, head, span.len()),
            (Some((a, head)), Some((b, other_head))) if a.id == b.id => {
                let count = a.len().min(b.len());
                let (a, head, content) = ours.take(a, head, count);
                let (b, _, other_content) = theirs.take(b, other_head, count);
                lesser(&mut woven, (a, content), (b, other_content), head);
                continue;
            }
            (Some((a, head)), Some((b, other_head))) => {
                let takes_ours = match (other.knows(a.id), one.knows(b.id)) {
                    // The other side has it later on.
                    (true, false) => false,
                    (false, true) => true,
                    (false, false) => compare(one, a.id, other, b.id)? == Ordering::Less,
                    (true, true) => return Err(SnapshotError::Malformed("two states have different orders")),
                };
                if takes_ours { ours.take(a, head, a.len()) } else { theirs.take(b, other_head, b.len()) }
            }
        };
        woven.push(taken, head);
        woven.text.push_str(content);
    }
}

/// Characters that both have: with the lesser deletion of each.
fn lesser(woven: &mut TextState, (a, a_text): (Span, &str), (b, b_text): (Span, &str), head: Head) {
    match (a.is_visible(), b.is_visible()) {
        (true, true) => {
            woven.push(a, head);
            woven.text.push_str(a_text);
        }
        (true, false) => woven.push(b, head),
        (false, true) => woven.push(a, head),
        (false, false) => {
            debug_assert!(a_text.is_empty() && b_text.is_empty());
            let (of_a, of_b) = (a.deletion(), b.deletion());
            let is_less = |offset: u32| dot(of_a, offset) <= dot(of_b, offset);
            let (mut from, mut head) = (0, head);
            while from < a.len() {
                let to = (from + 1..a.len()).find(|&to| is_less(to) != is_less(from)).unwrap_or(a.len());
                let part = if is_less(from) { a.part(from, to) } else { b.part(from, to) };
                woven.push(part, head);
                (from, head.left) = (to, part.last());
            }
        }
    }
}

fn dot(deletion: Deletion, offset: u32) -> (u32, u32) {
    let dot = deletion.at(offset);
    (dot.actor, dot.counter)
}
