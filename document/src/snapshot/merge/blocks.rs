//! Blocks of a merged text: copied where nothing changed in them or at their borders, else made anew.

use std::borrow::Cow;

use super::super::SnapshotError;
use super::super::blocks::{Block, Borders, is_cut};
use super::super::columns::{Content, Encoded, Named, content, encode_block};
use super::super::encode::number;
use super::super::state::{ActorRange, Head, TextState};
use crate::sorted::sort_by_key;
use crate::text::span::{Id, Span};

/// A block of the merged text.
pub(super) enum Out<'a> {
    Same(Block<'a>),
    New(Encoded<'static>),
}

/// The text of a block that was taken apart, and how it was packed: where a merged block has the same text, that is taken
/// over, since packing costs more than all else.
pub(super) struct Packed<'a> {
    first: Id,
    text: String,
    packed: &'a [u8],
}

impl<'a> Packed<'a> {
    /// Takes apart a block behind others; says how its text was packed, if it was.
    pub(super) fn decode(
        block: &Block<'a>,
        ranges: &[ActorRange],
        text: &mut TextState,
    ) -> Result<Option<Self>, SnapshotError> {
        let (start, byte) = (text.spans.len(), text.text.len());
        let visible = block.decode(ranges, text)?;
        block.decode_text(text, visible)?;
        let first = text.spans.get(start).filter(|_| block.is_packed);
        Ok(first.map(|span| Self { first: span.id, text: text.text[byte..].to_owned(), packed: block.text }))
    }
}

/// Takes what is merged, in order, and says where the borders of blocks are.
pub(super) struct Stream<'a, 's> {
    ranges: &'s [ActorRange],
    named: Named,
    out: Vec<Out<'a>>,
    /// Decoded, and not yet in a block.
    open: TextState,
    /// What was packed of it.
    packed: Vec<Packed<'a>>,
}

impl<'a, 's> Stream<'a, 's> {
    pub(super) fn new(ranges: &'s [ActorRange], jumps: &[Vec<(u32, u64)>]) -> Self {
        let open = TextState { jumps: jumps.to_vec(), ..TextState::default() };
        Self { ranges, named: Named::new(ranges.len()), out: Vec::new(), open, packed: Vec::new() }
    }

    /// A block that both sides have. Its actors have the merged indices.
    pub(super) fn same(&mut self, block: &Block<'a>) -> Result<(), SnapshotError> {
        if !self.open.spans.is_empty() {
            let (mut decoded, packed) = self.decode(block)?;
            let (Some(first), Some(head)) = (decoded.spans.first(), decoded.heads.first()) else { return Ok(()) };
            if !self.is_border(&self.open, first, head) {
                self.append(&mut decoded, packed);
                return Ok(());
            }
            self.close();
        }
        self.out.push(Out::Same(block.clone()));
        Ok(())
    }

    /// What is not the same on both sides, merged.
    pub(super) fn differing(&mut self, (mut text, packed): (TextState, Vec<Packed<'a>>)) -> Result<(), SnapshotError> {
        let (Some(first), Some(head)) = (text.spans.first(), text.heads.first()) else { return Ok(()) };
        if self.open.spans.is_empty()
            && let Some(Out::Same(before)) = self.out.last()
        {
            let (decoded, before) = self.decode(before)?;
            if !self.is_border(&decoded, first, head) {
                self.out.pop();
                self.packed.extend(before);
                self.open = TextState { jumps: std::mem::take(&mut self.open.jumps), ..decoded };
            }
        }
        self.append(&mut text, packed);
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Vec<Out<'a>>, SnapshotError> {
        self.close();
        Ok(self.out)
    }

    fn decode(&self, block: &Block<'a>) -> Result<(TextState, Option<Packed<'a>>), SnapshotError> {
        let mut text = TextState { jumps: self.open.jumps.clone(), ..TextState::default() };
        let packed = Packed::decode(block, self.ranges, &mut text)?;
        Ok((text, packed))
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

    fn append(&mut self, text: &mut TextState, packed: impl IntoIterator<Item = Packed<'a>>) {
        self.packed.extend(packed);
        for (span, head) in text.parts() {
            self.open.push(span, head);
        }
        self.open.text.push_str(&text.text);
    }

    fn close(&mut self) {
        let jumps = std::mem::take(&mut self.open.jumps);
        let open = TextState { jumps, ..std::mem::take(&mut self.open) };
        let divided = open.divided();
        sort_by_key(&mut self.packed, |packed| packed.first);
        for (spans, visible) in divided.blocks(self.ranges) {
            let content = self.content(divided.spans[spans.start].id, &divided.text.as_bytes()[visible]);
            let encoded = encode_block(&divided, spans, content, &mut self.named);
            self.out.push(Out::New(encoded.into_owned()));
        }
        self.packed.clear();
        self.open.jumps = divided.into_owned().jumps;
    }

    /// The text of a block that begins with a character.
    fn content<'t>(&self, first: Id, visible: &'t [u8]) -> Content<'t>
    where
        'a: 't,
    {
        let from = self.packed.partition_point(|packed| packed.first < first);
        let mut like = self.packed[from..].iter().take_while(|packed| packed.first == first);
        match like.find(|packed| packed.text.as_bytes() == visible) {
            Some(same) => (Cow::Borrowed(same.packed), true),
            None => content(visible),
        }
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
