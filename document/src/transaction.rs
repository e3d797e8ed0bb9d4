//! Local edits between two calls of `take_batches`, joined where they go on.

mod containers;
mod format;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use crate::batch::Batch;
use crate::batch::operation::kind;
use crate::ids::{Actor, HybridTime};
use crate::limits::Limits;
use crate::messagepack::Writer;
use crate::text::delete::join_range;
use crate::text::span::Id;
use crate::value::Value;
use containers::Contained;

pub(crate) use format::{FormatEdit, FormatPlace};

/// Ranges of one delete. With an actor each they are about 25 KiB.
pub(crate) const MAX_RANGES: usize = 1000;

/// Bytes at which a batch is full: what is added last may take it over by one piece of at most [`PIECE`] and its head.
const FULL: usize = 20 * 1024;
/// Bytes of one insert's text in a batch; a value has as many at most.
const PIECE: usize = 32 * 1024;

/// What an insert came between.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Insert {
    pub(crate) left: Id,
    pub(crate) right: Id,
    /// Whether it goes on as the author's character of the counter before: after it, and with its right origin.
    pub(crate) continues: bool,
    pub(crate) scalars: u32,
}

#[derive(Clone, Debug)]
enum Edit {
    /// The text is a range of the transaction's.
    Insert {
        insert: Insert,
        text: Range<usize>,
    },
    Delete {
        ranges: Range<usize>,
    },
    Set {
        key: Box<str>,
        value: Option<Value>,
        time: HybridTime,
    },
    Contained(Contained),
    Format(Box<FormatEdit>),
}

#[derive(Clone, Debug)]
struct Pending {
    root: usize,
    counter: u32,
    edit: Edit,
}

/// A flag that a look at the document, such as a snapshot, may lower.
#[derive(Debug, Default)]
struct Flag(AtomicBool);

impl Clone for Flag {
    fn clone(&self) -> Self {
        Self(self.0.load(Ordering::Relaxed).into())
    }
}

/// The open transaction of a document's own actor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transaction {
    pub(crate) edits: usize,
    roots: Vec<Box<str>>,
    pending: Vec<Pending>,
    text: String,
    ranges: Vec<(Id, u32)>,
    /// Of lists and sets, as they are encoded.
    values: Vec<Bytes>,
    /// Whether the last edit may go on: not once its state was shown to others.
    is_open: Flag,
    scratch: Vec<u8>,
    actors: Vec<u32>,
}

impl Transaction {
    /// What was edited so far is not to be changed any more, only added to.
    pub(crate) fn seal(&self) {
        self.is_open.0.store(false, Ordering::Relaxed);
    }

    fn is_open(&self) -> bool {
        self.is_open.0.load(Ordering::Relaxed)
    }

    fn root(&mut self, name: &str) -> usize {
        match self.roots.iter().rposition(|root| **root == *name) {
            Some(root) => root,
            None => {
                self.roots.push(name.into());
                self.roots.len() - 1
            }
        }
    }

    fn push(&mut self, root: usize, counter: u32, edit: Edit) {
        self.pending.push(Pending { root, counter, edit });
        self.is_open = Flag(true.into());
    }

    pub(crate) fn insert(&mut self, name: &str, counter: u32, insert: Insert, text: &str) {
        let root = self.root(name);
        let start = self.text.len();
        self.text.push_str(text);
        self.edits += 1;
        if self.is_open()
            && insert.continues
            && let Some(last) = self.pending.last_mut()
            && last.root == root
            && let Edit::Insert { insert: before, text } = &mut last.edit
            && last.counter + before.scalars == counter
        {
            text.end = self.text.len();
            before.scalars += insert.scalars;
            return;
        }
        self.push(root, counter, Edit::Insert { insert, text: start..start + text.len() });
    }

    /// The counter of a delete that the next one may join, and where its ranges begin. Its edit must be the last one.
    pub(crate) fn open_delete(&self, name: &str) -> Option<(u32, usize)> {
        let last = self.pending.last().filter(|_| self.is_open())?;
        let Edit::Delete { ranges } = &last.edit else { return None };
        (*self.roots[last.root] == *name && ranges.len() < MAX_RANGES).then_some((last.counter, ranges.start))
    }

    /// Where the ranges of a new delete go.
    pub(crate) fn ranges(&mut self) -> &mut Vec<(Id, u32)> {
        &mut self.ranges
    }

    /// Notes a delete whose ranges were added: to the last one where that has this counter.
    pub(crate) fn delete(&mut self, name: &str, counter: u32, start: usize) {
        let end = self.ranges.len();
        if let Some(Pending { counter: last, edit: Edit::Delete { ranges }, .. }) = self.pending.last_mut()
            && *last == counter
        {
            ranges.end = end;
            return;
        }
        let root = self.root(name);
        self.push(root, counter, Edit::Delete { ranges: start..end });
    }

    pub(crate) fn set(&mut self, name: &str, counter: u32, key: &str, value: Option<Value>, time: HybridTime) {
        let root = self.root(name);
        self.edits += 1;
        self.push(root, counter, Edit::Set { key: key.into(), value, time });
    }

    /// Encodes the edits as batches, and is empty after.
    pub(crate) fn take(&mut self, author: Actor, own: u32, actors: &[Actor], limits: &Limits) -> Vec<Batch> {
        let mut batches = Vec::with_capacity(usize::from(!self.pending.is_empty()));
        let mut pending = std::mem::take(&mut self.pending);
        let mut encoder = Encoder {
            out: std::mem::take(&mut self.scratch),
            table: std::mem::take(&mut self.actors),
            own,
            actors,
            author,
            limits,
            first: 0,
            end: 0,
            root: usize::MAX,
            batches: &mut batches,
        };
        for Pending { root, counter, edit } in pending.drain(..) {
            let name = &*self.roots[root];
            match edit {
                Edit::Insert { insert, text } => encoder.insert(root, name, counter, insert, &self.text[text]),
                Edit::Delete { ranges } => encoder.delete(root, name, counter, &self.ranges[ranges]),
                Edit::Set { key, value, time } => encoder.set(root, name, counter, &key, value.as_ref(), time),
                edit @ Edit::Contained(_) => {
                    let pending = Pending { root, counter, edit };
                    pending.encode_contained(name, (&self.values, &self.ranges), &mut encoder);
                }
                Edit::Format(edit) => encoder.format(root, name, counter, &edit),
            }
        }
        encoder.finish();
        (self.scratch, self.actors) = (encoder.out, encoder.table);
        self.pending = pending;
        self.edits = 0;
        self.text.clear();
        self.ranges.clear();
        self.values = Vec::new();
        if self.roots.len() > 16 {
            self.roots.clear();
        }
        // What one large paste took is not kept for ever.
        self.text.shrink_to(PIECE);
        self.ranges.shrink_to(MAX_RANGES);
        self.pending.shrink_to(MAX_RANGES);
        self.seal();
        batches
    }
}

/// Writes batches one after another.
struct Encoder<'a> {
    out: Vec<u8>,
    table: Vec<u32>,
    own: u32,
    actors: &'a [Actor],
    author: Actor,
    limits: &'a Limits,
    /// The counters of the batch that is being written; equal when there is none.
    first: u32,
    end: u32,
    root: usize,
    batches: &'a mut Vec<Batch>,
}

impl Encoder<'_> {
    fn finish(&mut self) {
        if self.end > self.first {
            self.batches.push(Batch {
                actor: self.author,
                first: u64::from(self.first),
                count: self.end - self.first,
                operations: Bytes::copy_from_slice(&self.out),
            });
        }
        self.out.clear();
        self.table.clear();
        self.root = usize::MAX;
        self.first = self.end;
    }

    /// Begins an operation that takes `count` counters, at most `bytes` and `actors` of others.
    fn begin(&mut self, root: usize, name: &str, counter: u32, count: u32, bytes: usize, actors: usize) {
        if self.end > self.first
            && (self.end != counter
                || self.out.len() >= FULL
                || self.out.len() + bytes + name.len() + 16 > self.limits.max_batch_bytes
                || self.table.len() + actors > self.limits.max_actors)
        {
            self.finish();
        }
        if self.end == self.first {
            self.first = counter;
        }
        self.end = counter + count;
        if self.root != root {
            self.root = root;
            Writer(&mut self.out).str(name);
        }
    }

    /// Puts an actor into the batch's table before an operation refers to it.
    fn name_actor(&mut self, id: Id) {
        if !id.is_none() && id.actor != self.own && !self.table.contains(&id.actor) {
            self.table.push(id.actor);
            Writer(&mut self.out).uint(self.actors[id.actor as usize].0);
        }
    }

    fn reference(&mut self, id: Id, counter: u32) {
        let mut out = Writer(&mut self.out);
        if id.is_none() {
            out.nil();
        } else if id.actor == self.own {
            out.uint(u64::from(counter - id.counter));
        } else {
            out.array(2);
            let index = self.table.iter().position(|&actor| actor == id.actor).unwrap_or(0);
            out.uint(index as u64 + 1);
            out.uint(u64::from(id.counter));
        }
    }

    fn insert(&mut self, root: usize, name: &str, counter: u32, insert: Insert, text: &str) {
        let Insert { left, right, continues, scalars } = insert;
        let (mut rest, mut at, mut continues) = (text, counter, continues);
        while !rest.is_empty() {
            let mut end = rest.len().min(PIECE);
            while !rest.is_char_boundary(end) {
                end -= 1;
            }
            let (piece, after) = rest.split_at(end);
            let count = if after.is_empty() { counter + scalars - at } else { piece.chars().count() as u32 };
            // Two references to others, each with an actor for the table.
            self.begin(root, name, at, count, piece.len() + 48, 2);
            if continues {
                let mut out = Writer(&mut self.out);
                out.array(2);
                out.uint(kind::CONTINUE);
            } else {
                self.name_actor(left);
                self.name_actor(right);
                let mut out = Writer(&mut self.out);
                out.array(4);
                out.uint(kind::INSERT);
                self.reference(left, at);
                self.reference(right, at);
            }
            Writer(&mut self.out).str(piece);
            (rest, at, continues) = (after, at + count, true);
        }
    }

    fn delete(&mut self, root: usize, name: &str, counter: u32, ranges: &[(Id, u32)]) {
        self.begin(root, name, counter, 1, ranges.len() * 25 + 8, ranges.len());
        for &(from, _) in ranges {
            self.name_actor(from);
        }
        let mut out = Writer(&mut self.out);
        let is_one = matches!(ranges, [(_, 1)]);
        out.array(if is_one { 2 } else { 1 + 2 * ranges.len() });
        out.uint(kind::DELETE);
        for &(from, length) in ranges {
            self.reference(from, counter);
            if !is_one {
                Writer(&mut self.out).uint(u64::from(length));
            }
        }
    }

    fn set(&mut self, root: usize, name: &str, counter: u32, key: &str, value: Option<&Value>, time: HybridTime) {
        let bytes = value.map_or(0, Value::encoded_len_bound) + key.len() + 24;
        self.begin(root, name, counter, 1, bytes, 0);
        let mut out = Writer(&mut self.out);
        out.array(if value.is_some() { 4 } else { 3 });
        out.uint(if value.is_some() { kind::SET } else { kind::REMOVE });
        out.str(key);
        if let Some(value) = value {
            value.write(&mut out);
        }
        out.uint(time.0);
    }
}
