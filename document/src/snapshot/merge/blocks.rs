//! Blocks of a merged text: copied where nothing changed in them or at their borders, else made anew.

use super::super::SnapshotError;
use super::super::blocks::{Block, Borders, is_cut};
use super::super::columns::{Encoded, Named, encode_block};
use super::super::encode::number;
use super::super::state::{ActorRange, Head, TextState};
use crate::text::span::Span;

/// A block of the merged text.
pub(super) enum Out<'a> {
    Same(Block<'a>),
    New(Encoded<'static>),
}

/// Takes what is merged, in order, and says where the borders of blocks are.
pub(super) struct Stream<'a, 's> {
    ranges: &'s [ActorRange],
    named: Named,
    out: Vec<Out<'a>>,
    /// Decoded, and not yet in a block.
    open: TextState,
}

impl<'a, 's> Stream<'a, 's> {
    pub(super) fn new(ranges: &'s [ActorRange], jumps: &[Vec<(u32, u64)>]) -> Self {
        let open = TextState { jumps: jumps.to_vec(), ..TextState::default() };
        Self { ranges, named: Named::new(ranges.len()), out: Vec::new(), open }
    }

    /// A block that both sides have. Its actors have the merged indices.
    pub(super) fn same(&mut self, block: &Block<'a>) -> Result<(), SnapshotError> {
        if !self.open.spans.is_empty() {
            let mut decoded = self.decode(block)?;
            let (Some(first), Some(head)) = (decoded.spans.first(), decoded.heads.first()) else { return Ok(()) };
            if !self.is_border(&self.open, first, head) {
                self.append(&mut decoded);
                return Ok(());
            }
            self.close();
        }
        self.out.push(Out::Same(block.clone()));
        Ok(())
    }

    /// What is not the same on both sides, merged.
    pub(super) fn differing(&mut self, mut text: TextState) -> Result<(), SnapshotError> {
        let (Some(first), Some(head)) = (text.spans.first(), text.heads.first()) else { return Ok(()) };
        if self.open.spans.is_empty()
            && let Some(Out::Same(before)) = self.out.last()
        {
            let decoded = self.decode(before)?;
            if !self.is_border(&decoded, first, head) {
                self.out.pop();
                self.open = TextState { jumps: std::mem::take(&mut self.open.jumps), ..decoded };
            }
        }
        self.append(&mut text);
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Vec<Out<'a>>, SnapshotError> {
        self.close();
        Ok(self.out)
    }

    fn decode(&self, block: &Block<'_>) -> Result<TextState, SnapshotError> {
        let mut text = TextState { jumps: self.open.jumps.clone(), ..TextState::default() };
        let visible = block.decode(self.ranges, &mut text)?;
        block.decode_text(&mut text, visible)?;
        Ok(text)
    }

    /// Whether a block ends before a span that follows a text which begins at a border.
    fn is_border(&self, text: &TextState, next: &Span, head: &Head) -> bool {
        let text = text.divided();
        let mut borders = Borders::default();
        let actor = |span: &Span| self.ranges[span.id.actor as usize].actor;
        for span in &text.spans {
            borders.is_before(actor(span), span);
        }
        let joins = |last: &Span| head.left == last.last() && last.joined(&next.part(0, 1)).is_some() && !is_cut(next);
        borders.is_before(actor(next), next) && !text.spans.last().is_some_and(joins)
    }

    fn append(&mut self, text: &mut TextState) {
        for (span, head) in text.parts() {
            self.open.push(span, head);
        }
        self.open.text.push_str(&text.text);
    }

    fn close(&mut self) {
        let jumps = std::mem::take(&mut self.open.jumps);
        let open = TextState { jumps, ..std::mem::take(&mut self.open) };
        let divided = open.divided();
        for (spans, visible) in divided.blocks(self.ranges) {
            let encoded = encode_block(&divided, spans, &divided.text.as_bytes()[visible], &mut self.named);
            self.out.push(Out::New(encoded.into_owned()));
        }
        self.open.jumps = divided.into_owned().jumps;
    }
}

/// Writes the blocks of a text.
pub(super) fn write(out: &[Out<'_>], ranges: &[ActorRange], content: &mut Vec<u8>) {
    number(out.len() as u64, content);
    for block in out {
        match block {
            Out::Same(block) => block.write_head(ranges, content),
            Out::New(encoded) => encoded.block().write_head(ranges, content),
        }
    }
    for block in out {
        let (columns, text) = match block {
            Out::Same(block) => (block.columns, block.text),
            Out::New(encoded) => (&*encoded.columns, &*encoded.text),
        };
        content.extend_from_slice(columns);
        content.extend_from_slice(text);
    }
}
