//! Edits of lists, sets and counters in the open transaction, and their encoding.

use std::ops::Range;

use bytes::Bytes;

use super::{Edit, Encoder, Insert, MAX_RANGES, PIECE, Pending, Transaction};
use crate::batch::operation::kind;
use crate::messagepack::Writer;
use crate::text::span::Id;

/// An edit of a list, a set or a counter. Values and members are ranges of the transaction's.
#[derive(Clone, Debug)]
pub(super) enum Contained {
    ListInsert { insert: Insert, values: Range<usize> },
    ListDelete { ranges: Range<usize> },
    SetAdd { members: Range<usize> },
    SetRemove { ranges: Range<usize> },
    Count { amount: i64 },
}

impl Transaction {
    /// The last edit of a container, if it may go on: its counter and what it is.
    fn open_container(&mut self, name: &str) -> Option<(u32, &mut Contained)> {
        if !self.is_open() {
            return None;
        }
        let last = self.pending.last_mut().filter(|last| *self.roots[last.root] == *name)?;
        match &mut last.edit {
            Edit::Contained(edit) => Some((last.counter, edit)),
            _ => None,
        }
    }

    fn push_contained(&mut self, name: &str, counter: u32, edit: Contained) {
        let root = self.root(name);
        self.push(root, counter, Edit::Contained(edit));
    }

    fn keep(&mut self, values: Vec<Bytes>) -> Range<usize> {
        let start = self.values.len();
        self.values.extend(values);
        start..self.values.len()
    }

    pub(crate) fn list_insert(&mut self, name: &str, counter: u32, insert: Insert, values: Vec<Bytes>) {
        self.edits += 1;
        let values = self.keep(values);
        if insert.continues
            && let Some((first, Contained::ListInsert { insert: before, values: held })) = self.open_container(name)
            && first + before.scalars == counter
        {
            before.scalars += insert.scalars;
            held.end = values.end;
            return;
        }
        self.push_contained(name, counter, Contained::ListInsert { insert, values });
    }

    /// The counter of a list's delete that the next one may join, and where its ranges begin.
    pub(crate) fn open_list_delete(&mut self, name: &str) -> Option<(u32, usize)> {
        match self.open_container(name)? {
            (counter, Contained::ListDelete { ranges }) if ranges.len() < MAX_RANGES => Some((counter, ranges.start)),
            _ => None,
        }
    }

    /// Notes a list's delete whose ranges were added: to the last one where that has this counter.
    pub(crate) fn list_delete(&mut self, name: &str, counter: u32, start: usize) {
        let end = self.ranges.len();
        match self.open_container(name) {
            Some((last, Contained::ListDelete { ranges })) if last == counter => ranges.end = end,
            _ => self.push_contained(name, counter, Contained::ListDelete { ranges: start..end }),
        }
    }

    pub(crate) fn set_add(&mut self, name: &str, counter: u32, member: Bytes) {
        self.edits += 1;
        let members = self.keep(vec![member]);
        if let Some((first, Contained::SetAdd { members: held })) = self.open_container(name)
            && first + held.len() as u32 == counter
        {
            held.end = members.end;
            return;
        }
        self.push_contained(name, counter, Contained::SetAdd { members });
    }

    /// Removes additions, at most [`MAX_RANGES`].
    pub(crate) fn set_remove(&mut self, name: &str, counter: u32, additions: &[Id]) {
        let start = self.ranges.len();
        for &id in additions {
            super::join_range(&mut self.ranges, start, id, 1);
        }
        let end = self.ranges.len();
        self.push_contained(name, counter, Contained::SetRemove { ranges: start..end });
    }

    /// The counter of a change of a counter that this amount may join: they go the same way.
    pub(crate) fn open_count(&mut self, name: &str, amount: i64) -> Option<u32> {
        match self.open_container(name)? {
            (counter, Contained::Count { amount: before })
                if (*before < 0) == (amount < 0) && before.checked_add(amount).is_some() =>
            {
                Some(counter)
            }
            _ => None,
        }
    }

    /// Notes a change of a counter: to the last one where that has this dot's counter.
    pub(crate) fn count(&mut self, name: &str, counter: u32, amount: i64) {
        self.edits += 1;
        match self.open_container(name) {
            Some((last, Contained::Count { amount: before })) if last == counter => *before += amount,
            _ => self.push_contained(name, counter, Contained::Count { amount }),
        }
    }
}

impl Pending {
    /// Encodes the edit of a container.
    pub(super) fn encode_contained(
        self,
        name: &str,
        (values, ranges): (&[Bytes], &[(Id, u32)]),
        encoder: &mut Encoder<'_>,
    ) {
        let Pending { root, counter, edit: Edit::Contained(edit) } = self else { return };
        match edit {
            Contained::ListInsert { insert, values: range } => {
                encoder.list_insert(root, name, counter, insert, &values[range]);
            }
            Contained::SetAdd { members } => encoder.set_add(root, name, counter, &values[members]),
            Contained::ListDelete { ranges: range } => {
                encoder.targets(root, name, counter, kind::LIST_DELETE, &ranges[range]);
            }
            Contained::SetRemove { ranges: range } => {
                encoder.targets(root, name, counter, kind::SET_REMOVE, &ranges[range]);
            }
            Contained::Count { amount } => {
                encoder.begin(root, name, counter, 1, 16, 0);
                let mut out = Writer(&mut encoder.out);
                out.array(3);
                out.uint(kind::COUNT);
                out.uint(1);
                out.int(amount);
            }
        }
    }
}

/// How many values one operation takes, and their bytes: as many as fit into a piece, one at least.
fn piece(values: &[Bytes]) -> (usize, usize) {
    let (mut count, mut bytes) = (0, 0);
    for value in values {
        if count > 0 && bytes + value.len() > PIECE {
            break;
        }
        count += 1;
        bytes += value.len();
    }
    (count, bytes)
}

impl Encoder<'_> {
    fn list_insert(&mut self, root: usize, name: &str, counter: u32, insert: Insert, values: &[Bytes]) {
        let (mut rest, mut at, mut continues) = (values, counter, insert.continues);
        while !rest.is_empty() {
            let (count, bytes) = piece(rest);
            let (taken, after) = rest.split_at(count);
            self.begin(root, name, at, count as u32, bytes + 56, 2);
            if !continues {
                self.name_actor(insert.left);
                self.name_actor(insert.right);
            }
            let mut out = Writer(&mut self.out);
            out.array(2 + count + if continues { 0 } else { 2 });
            out.uint(kind::LIST_INSERT);
            out.uint(count as u64);
            if !continues {
                self.reference(insert.left, at);
                self.reference(insert.right, at);
            }
            taken.iter().for_each(|value| self.out.extend_from_slice(value));
            (rest, at, continues) = (after, at + count as u32, true);
        }
    }

    fn set_add(&mut self, root: usize, name: &str, counter: u32, members: &[Bytes]) {
        let (mut rest, mut at) = (members, counter);
        while !rest.is_empty() {
            let (count, bytes) = piece(rest);
            let (taken, after) = rest.split_at(count);
            self.begin(root, name, at, count as u32, bytes + 16, 0);
            let mut out = Writer(&mut self.out);
            out.array(2 + count);
            out.uint(kind::SET_ADD);
            out.uint(count as u64);
            taken.iter().for_each(|member| self.out.extend_from_slice(member));
            (rest, at) = (after, at + count as u32);
        }
    }

    /// An operation that names runs of dots, after its kind and its one counter.
    fn targets(&mut self, root: usize, name: &str, counter: u32, kind: u64, ranges: &[(Id, u32)]) {
        self.begin(root, name, counter, 1, ranges.len() * 25 + 8, ranges.len());
        ranges.iter().for_each(|&(from, _)| self.name_actor(from));
        let mut out = Writer(&mut self.out);
        let is_one = matches!(ranges, [(_, 1)]);
        out.array(if is_one { 3 } else { 2 + 2 * ranges.len() });
        out.uint(kind);
        out.uint(1);
        for &(from, length) in ranges {
            self.reference(from, counter);
            if !is_one {
                Writer(&mut self.out).uint(u64::from(length));
            }
        }
    }
}
