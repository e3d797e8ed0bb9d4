//! What lay under an own mark: for every part of its range what would hold there without it.
//!
//! A list in which the later entry counts where two overlap. Text that comes back after it was deleted lies elsewhere, and a
//! mark of another may come late and lie under the own one: either adds entries and changes none.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::map::Marker;
use crate::ordered::OrderedMap;
use crate::sorted::sort_by;
use crate::text::marks::{Mark, Slot};
use crate::text::span::Id;
use crate::value::Value;

/// Entries of one mark, at most: beyond them what comes late is not noted. It bounds what another's marks cost here.
const MAX_STRETCHES: usize = 4096;

/// A part of a text, what would hold there and who wrote that.
#[derive(Clone, Debug)]
pub(crate) struct Stretch {
    pub(crate) start: Slot,
    pub(crate) end: Slot,
    pub(crate) value: Option<Arc<Value>>,
    /// None where no mark ever was.
    pub(crate) by: Option<Marker>,
}

/// All parts of a mark's range, in parts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stretches(Vec<Stretch>);

impl Stretches {
    pub(crate) fn new(stretches: Vec<Stretch>) -> Self {
        Self(stretches)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn slots(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.0.iter_mut().flat_map(|stretch| [&mut stretch.start, &mut stretch.end])
    }

    /// A range in parts with what counts for each; without those for which nothing does.
    pub(crate) fn within(
        &self,
        order: impl Fn(Slot, Slot) -> Ordering,
        start: Slot,
        end: Slot,
    ) -> Vec<(Slot, Slot, &Stretch)> {
        let later = |a, b| if order(a, b).is_lt() { b } else { a };
        let sooner = |a, b| if order(a, b).is_gt() { b } else { a };
        let mut edges: Vec<(Slot, bool, usize)> = Vec::new();
        for (index, stretch) in self.0.iter().enumerate() {
            let (from, to) = (later(stretch.start, start), sooner(stretch.end, end));
            if order(from, to).is_lt() {
                edges.extend([(from, true, index), (to, false, index)]);
            }
        }
        sort_by(&mut edges, |a, b| order(a.0, b.0));
        let mut parts: Vec<(Slot, Slot, &Stretch)> = Vec::new();
        let mut active: OrderedMap<usize, ()> = OrderedMap::new();
        let mut edges = edges.into_iter().peekable();
        while let Some((at, opens, index)) = edges.next() {
            if opens {
                active.insert(index, ());
            } else {
                active.remove(&index);
            }
            let (Some((&latest, _)), Some(&(to, ..))) = (active.last_key_value(), edges.peek()) else { continue };
            if order(at, to).is_lt() {
                let stretch = &self.0[latest];
                match parts.last_mut() {
                    Some(last) if last.1 == at && std::ptr::eq(last.2, stretch) => last.1 = to,
                    _ => parts.push((at, to, stretch)),
                }
            }
        }
        parts
    }

    /// Another's mark came: it is what lies under the own one where it is later than what was thought to.
    pub(super) fn add_theirs(&mut self, order: impl Fn(Slot, Slot) -> Ordering, mark: &Mark) {
        let is_under = |stretch: &Stretch| {
            stretch.by < Some(mark.marker)
                && order(stretch.start, mark.end).is_lt()
                && order(stretch.end, mark.start).is_gt()
        };
        if self.0.len() >= MAX_STRETCHES || !self.0.iter().any(is_under) {
            return;
        }
        let parts = self.within(order, mark.start, mark.end);
        let mut under: Vec<Stretch> = Vec::new();
        for (start, end, _) in parts.into_iter().filter(|(_, _, stretch)| stretch.by < Some(mark.marker)) {
            match under.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => under.push(Stretch { start, end, value: mark.value.clone(), by: Some(mark.marker) }),
            }
        }
        self.0.extend(under);
    }

    /// A run of characters came back under another name: what counted for them counts for those.
    pub(super) fn replace(&mut self, order: impl Fn(Slot, Slot) -> Ordering, old: Id, length: u32, new: Id) {
        let of = |id: Id| (Slot::before(id), Slot::after(id.plus(length - 1)));
        let (start, end) = of(old);
        let parts = self.within(&order, start, end);
        if parts.is_empty() {
            return;
        }
        if let [(.., was)] = parts[..] {
            let (start, end) = of(new);
            if let [(from, to, is)] = self.within(&order, start, end)[..]
                && (from, to) == (start, end)
                && std::ptr::eq(was, is)
            {
                return;
            }
        }
        let moved = parts.iter().filter_map(|&(start, end, stretch)| {
            let (from, to) = (offset(&order, start, old, length), offset(&order, end, old, length));
            let (start, end) = (Slot::before(new.plus(from)), Slot::after(new.plus(to.checked_sub(1)?)));
            (from < to).then(|| Stretch { start, end, ..stretch.clone() })
        });
        let moved: Vec<Stretch> = moved.collect();
        // What was for the old run alone is for nothing now.
        let is_of_old = |slot: Slot| slot.id.actor == old.actor && slot.id.counter.wrapping_sub(old.counter) < length;
        self.0.retain(|stretch| !(is_of_old(stretch.start) && is_of_old(stretch.end)));
        self.0.extend(moved);
    }
}

/// How many characters of a run lie before a place; they lie in order, perhaps with others' between them.
pub(crate) fn offset(order: impl Fn(Slot, Slot) -> Ordering, slot: Slot, run: Id, length: u32) -> u32 {
    let (mut from, mut to) = (0, length);
    while from < to {
        let middle = from + (to - from) / 2;
        if order(Slot::before(run.plus(middle)), slot).is_lt() {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    from
}
