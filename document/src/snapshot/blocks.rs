//! A text in blocks of neighbouring spans, each of which can be read, left aside or taken over alone.
//!
//! Where one block ends and the next begins follows from the state, and a change moves only the borders near it: a border
//! is where a hash of a span's first dot says so. So what two snapshots have in common is in equal blocks, and what a
//! reader lacks is in few of them.

use std::borrow::Cow;
use std::ops::Range;

use super::SnapshotError;
use super::decode::{CUT_OFF, Input, RANGE};
use super::pack::unpacked_len;
use super::state::{ActorRange, TextState, char_end};
use crate::batch::encode::write_number;
use crate::ids::Actor;
use crate::limits::MAX_DECODED_BYTES;
use crate::text::span::Span;

// Tests have small blocks, so that small histories have many.

/// What a block weighs before a border is looked for: each span counts `SPAN`, each visible character 1.
const LIGHTEST: u32 = if cfg!(test) { 64 } else { 4096 };
/// What a block weighs on average beyond that.
const FURTHER: u32 = if cfg!(test) { 64 } else { 8192 };
/// What a block weighs at most, before its last span.
const HEAVIEST: u32 = if cfg!(test) { 256 } else { 32768 };
const SPAN: u32 = 8;
/// Bytes that a span counts in what a block says that it comes to.
pub(super) const SPAN_BYTES: usize = 48;
/// A visible span is divided where its counters are multiples of this, so that a pasted book has borders too.
const PIECE: u32 = if cfg!(test) { 16 } else { 4096 };

/// A block's head, and where its body is.
#[derive(Clone, Eq, PartialEq, Debug)]
pub(crate) struct Block<'a> {
    /// How many spans it holds.
    pub(crate) spans: u32,
    /// The actors that it names, by their index in the snapshot's table, in order; with the newest counter of each that
    /// wrote or deleted something in it, 0 if it is only referred to.
    pub(crate) actors: Vec<(u32, u32)>,
    pub(crate) columns: &'a [u8],
    /// Its visible text, and whether it is packed.
    pub(crate) text: &'a [u8],
    pub(crate) is_packed: bool,
}

/// Says where borders are, span by span.
#[derive(Default)]
pub(crate) struct Borders {
    weight: u32,
}

impl Borders {
    /// Whether a border is before a span; its weight counts for the block that it is in.
    pub(crate) fn is_before(&mut self, actor: Actor, span: &Span) -> bool {
        let weight = span.visible() + SPAN;
        let is_border =
            self.weight >= HEAVIEST || self.weight >= LIGHTEST && hash(actor, span.id.counter) % FURTHER < weight;
        self.weight = if is_border { weight } else { self.weight + weight };
        is_border
    }
}

fn hash(actor: Actor, counter: u32) -> u32 {
    let mixed = (actor.0 ^ u64::from(counter).wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed ^ mixed >> 32).wrapping_mul(0x94d0_49bb_1331_11eb) >> 40) as u32
}

/// Whether a span was divided off the one before it.
pub(super) fn is_cut(span: &Span) -> bool {
    span.is_visible() && span.id.counter.is_multiple_of(PIECE)
}

/// The offsets at which a span is divided.
fn cuts(span: &Span) -> impl Iterator<Item = u32> + use<> {
    let (counter, length) = (span.id.counter, span.visible());
    let first = PIECE - counter % PIECE;
    (first..length).step_by(PIECE as usize)
}

impl TextState {
    /// Itself with long visible spans divided, as blocks have them.
    pub(super) fn divided(&self) -> Cow<'_, TextState> {
        if self.spans.iter().all(|span| cuts(span).next().is_none()) {
            return Cow::Borrowed(self);
        }
        let mut divided = TextState { text: self.text.clone(), jumps: self.jumps.clone(), ..TextState::default() };
        let mut turns = self.turns.iter().peekable();
        for (index, span) in self.spans.iter().enumerate() {
            let mut head = self.heads[index];
            let mut from = 0;
            for to in cuts(span).chain([span.len()]) {
                let at = divided.spans.len() as u32;
                divided.spans.push(span.part(from, to));
                divided.heads.push(head);
                // What turns right at the cut is the next piece's head.
                while let Some(&(_, offset, right)) = turns.next_if(|turn| turn.0 as usize == index && turn.1 <= to) {
                    head.right = right;
                    if offset < to {
                        divided.turns.push((at, offset - from, right));
                    }
                }
                head.left = span.id.plus(to - 1);
                from = to;
            }
        }
        Cow::Owned(divided)
    }

    /// The spans of each block, and the bytes of their text.
    pub(super) fn blocks(&self, actors: &[ActorRange]) -> Vec<(Range<usize>, Range<usize>)> {
        let (mut blocks, mut borders) = (Vec::new(), Borders::default());
        let is_ascii = self.text.is_ascii();
        let (mut from, mut from_byte, mut visible) = (0, 0, 0);
        for (index, span) in self.spans.iter().enumerate() {
            if borders.is_before(actors[span.id.actor as usize].actor, span) {
                let byte = from_byte + char_end(&self.text[from_byte..], is_ascii, visible);
                blocks.push((from..index, from_byte..byte));
                (from, from_byte, visible) = (index, byte, 0);
            }
            visible += span.visible() as usize;
        }
        if from < self.spans.len() {
            blocks.push((from..self.spans.len(), from_byte..self.text.len()));
        }
        blocks
    }
}

impl<'a> Block<'a> {
    /// Writes the head; the body is the columns and the text.
    pub(super) fn write_head(&self, ranges: &[ActorRange], out: &mut Vec<u8>) {
        write_number(u64::from(self.spans), out);
        write_number(self.actors.len() as u64, out);
        let mut before = 0;
        for &(index, newest) in &self.actors {
            write_number(u64::from(index - before), out);
            write_number(u64::from(ranges[index as usize].version - newest), out);
            before = index;
        }
        write_number(self.columns.len() as u64, out);
        write_number((self.text.len() as u64) << 1 | u64::from(self.is_packed), out);
    }

    /// Reads all heads, and finds the bodies behind them.
    pub(super) fn read_all(input: &mut Input<'a>, ranges: &[ActorRange]) -> Result<Vec<Self>, SnapshotError> {
        let count = input.count()?;
        // Each takes five bytes at least, and the body three.
        if count > input.0.len() / 4 {
            return Err(CUT_OFF);
        }
        // Grown as they are read: a count alone costs nothing.
        let mut blocks: Vec<(Self, usize, usize)> = Vec::new();
        for _ in 0..count {
            let spans = input.small()?;
            let named = input.count()?;
            let mut actors = Vec::with_capacity(named);
            for _ in 0..named {
                let before = actors.last().map(|&(index, _)| index);
                let step = input.small()?;
                let index = before.unwrap_or(0u32).checked_add(step).filter(|_| before.is_none() || step > 0);
                let index = index.filter(|&index| (index as usize) < ranges.len()).ok_or(RANGE)?;
                let newest = ranges[index as usize].version.checked_sub(input.small()?).ok_or(RANGE)?;
                actors.push((index, newest));
            }
            let columns = usize::try_from(input.number()?).map_err(|_| RANGE)?;
            let text = input.number()?;
            let block = Block { spans, actors, columns: &[], text: &[], is_packed: text & 1 != 0 };
            // A span takes two bytes of its columns at least.
            if spans == 0 || spans as usize > columns / 2 {
                return Err(RANGE);
            }
            blocks.push((block, columns, usize::try_from(text >> 1).map_err(|_| RANGE)?));
        }
        let mut room = MAX_DECODED_BYTES;
        let body = |(block, columns, text): (Self, usize, usize)| {
            let block = Block { columns: input.take(columns)?, text: input.take(text)?, ..block };
            room =
                room.checked_sub(block.decoded_len()?).ok_or(SnapshotError::Malformed("more than a document holds"))?;
            Ok(block)
        };
        blocks.into_iter().map(body).collect()
    }

    /// What it says that it comes to, in bytes: its text, and for each span what that takes at least.
    pub(super) fn decoded_len(&self) -> Result<usize, SnapshotError> {
        let text = if self.is_packed { unpacked_len(self.text)? } else { self.text.len() };
        text.checked_add(self.spans as usize * SPAN_BYTES).ok_or(RANGE)
    }

    /// Whether a reader who holds so much of each actor may lack something of it.
    pub(super) fn is_lacked(&self, held: &[u32]) -> bool {
        self.actors.iter().any(|&(index, newest)| newest > held[index as usize])
    }
}
