//! Formatting of a text: marks over ranges, and what belongs to its lines.
//!
//! A mark's ends are places beside characters, so it needs no change when text comes or goes. A line's attributes are
//! registers on the character that ends it, or on the text's end for the last one; they go with the character.
//! A text without formatting has none of this.

use std::cmp::Ordering;
use std::sync::Arc;

use crdts::{CmRDT, LWWReg};

use super::marks::{Mark, Marks, Slot};
use super::span::{Id, Span};
use super::{Splice, Text};
use crate::formatting::{Attributes, Side};
use crate::ids::HybridTime;
use crate::map::Marker;
use crate::ordered::OrderedMap;
use crate::sorted::sort_by_key;
use crate::value::Value;

/// A line's attribute: its last write; without a value it was removed.
pub(crate) type Attribute = LWWReg<Option<Arc<Value>>, Marker>;

/// A text's formatting.
#[derive(Clone, Debug, Default)]
pub(crate) struct Format {
    pub(crate) marks: OrderedMap<Box<str>, Marks>,
    /// By the character that ends the line; by none for the text's end.
    pub(crate) blocks: OrderedMap<Id, OrderedMap<Box<str>, Attribute>>,
    /// How many marks begin or end right after a character.
    pub(super) after: OrderedMap<Id, u32>,
    /// The latest time of any of it, be it superseded.
    pub(crate) latest: HybridTime,
    /// The last character that came in while somebody observed, and what it shows.
    recent: Option<(Id, Attributes)>,
}

impl Format {
    pub(crate) fn is_empty(&self) -> bool {
        self.marks.is_empty() && self.blocks.is_empty()
    }

    /// Drops what belonged to lines whose ends are deleted.
    pub(super) fn forget(&mut self, id: Id, length: u32) {
        if self.blocks.range(id..=id.plus(length - 1)).next().is_some() {
            (0..length).for_each(|offset| drop(self.blocks.remove(&id.plus(offset))));
        }
    }

    fn count(&mut self, slot: Slot, by: i32) {
        if slot.side == Side::After && !slot.id.is_none() {
            let count = self.after.entry(slot.id).or_default();
            *count = count.saturating_add_signed(by);
            if *count == 0 {
                self.after.remove(&slot.id);
            }
        }
    }
}

impl Text {
    /// Whether there is any formatting.
    pub(crate) fn is_formatted(&self) -> bool {
        self.format.as_ref().is_some_and(|format| !format.is_empty())
    }

    /// Which of two places comes first.
    pub(crate) fn compare_slots(&self, a: Slot, b: Slot) -> Ordering {
        match (a.id.is_none(), b.id.is_none()) {
            (true, true) => b.side.cmp(&a.side),
            (true, false) => {
                if a == Slot::START {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (false, true) => {
                if b == Slot::START {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
            (false, false) => self.compare(a.id, b.id).then(a.side.cmp(&b.side)),
        }
    }

    /// Visible characters before a place.
    pub(crate) fn scalars_before(&self, slot: Slot) -> usize {
        if slot.id.is_none() {
            return if slot == Slot::START { 0 } else { self.len_scalars() };
        }
        let through = self.scalars_through(slot.id).unwrap_or(0);
        through - usize::from(slot.side == Side::Before && self.is_visible(slot.id))
    }

    /// Whether a character is there and not deleted.
    pub(crate) fn is_visible(&self, id: Id) -> bool {
        self.find(id).is_some_and(|place| self.leaves[place.leaf as usize].spans[place.span].is_visible())
    }

    /// Whether both are places in this text, the second after the first.
    pub(crate) fn is_range(&self, start: Slot, end: Slot) -> bool {
        let is_slot = |slot: Slot| slot.id.is_none() || self.find(slot.id).is_some();
        is_slot(start) && is_slot(end) && self.compare_slots(start, end).is_lt()
    }

    /// Lays a mark over the text. Without effect where it lies over nothing that could ever be, or where a later one of
    /// its kind covers it.
    pub(crate) fn mark(&mut self, kind: &str, mark: Mark) {
        if !self.is_range(mark.start, mark.end) {
            return;
        }
        let mut format = self.format.take().unwrap_or_default();
        let order = |a, b| self.compare_slots(a, b);
        let marks = match format.marks.get_mut(kind) {
            Some(marks) => marks,
            None => format.marks.entry(kind.into()).or_default(),
        };
        format.latest = format.latest.max(mark.marker.time);
        let mut changed = Vec::new();
        if !marks.covers(&order, &mark) {
            if self.splices.is_some() {
                changed = self.changed(marks, &mark);
            }
            let (start, end, value) = (mark.start, mark.end, mark.value.clone());
            let dropped = marks.insert(&order, mark);
            for old in dropped {
                format.count(old.start, -1);
                format.count(old.end, -1);
            }
            format.count(start, 1);
            format.count(end, 1);
            format.recent = None;
            let shown = Attributes::from([(kind.to_owned(), value.map_or(Value::Null, |value| (*value).clone()))]);
            changed.into_iter().for_each(|(from, to)| self.note_marked(from, to, &shown));
        }
        self.format = Some(format);
    }

    /// The visible ranges in which a mark that is to come changes what is shown.
    fn changed(&self, marks: &Marks, new: &Mark) -> Vec<(usize, usize)> {
        let (start, end) = (self.scalars_before(new.start), self.scalars_before(new.end));
        let order = |a, b| self.compare_slots(a, b);
        let mut edges: Vec<(usize, bool, &Mark)> = Vec::new();
        for held in marks.overlapping(order, new.start, new.end) {
            let from = self.scalars_before(held.start).max(start);
            let to = self.scalars_before(held.end).min(end);
            if from < to {
                edges.extend([(from, true, held), (to, false, held)]);
            }
        }
        sort_by_key(&mut edges, |&(at, _, _)| at);
        let (mut active, mut changed): (OrderedMap<Marker, &Mark>, Vec<(usize, usize)>) = Default::default();
        let (mut at, mut edges) = (start, edges.into_iter().peekable());
        while at < end {
            while let Some((_, opens, held)) = edges.next_if(|edge| edge.0 <= at) {
                if opens {
                    active.insert(held.marker, held);
                } else {
                    active.remove(&held.marker);
                }
            }
            let to = edges.peek().map_or(end, |edge| edge.0);
            let is_changed = match active.last_key_value() {
                Some((marker, _)) if *marker > new.marker => false,
                Some((_, held)) => held.value != new.value,
                None => new.value.is_some(),
            };
            match changed.last_mut() {
                Some(last) if is_changed && last.1 == at => last.1 = to,
                _ if is_changed => changed.push((at, to)),
                _ => {}
            }
            at = to;
        }
        changed
    }

    /// Notes that the characters of a range show something else; line breaks show no marks.
    fn note_marked(&mut self, from: usize, to: usize, attributes: &Attributes) {
        let text = self.slice(from..to);
        let mut at = from;
        for piece in text.split_inclusive('\n') {
            let shown = piece.trim_end_matches('\n');
            let scalars = shown.chars().count();
            if scalars > 0 {
                self.note_format(at, scalars, super::tree::utf16_len(shown), attributes.clone());
            }
            at += scalars + piece.len() - shown.len();
        }
    }

    fn note_format(&mut self, scalar: usize, scalars: usize, utf16s: usize, attributes: Attributes) {
        self.note(|text| Splice::Format { scalar, utf16: text.utf16_at(scalar), scalars, utf16s, attributes });
    }

    /// All attributes of the line that a character ends.
    pub(crate) fn line_attributes(&self, target: Id) -> impl Iterator<Item = (&str, &Attribute)> {
        let line = self.format.as_ref().and_then(|format| format.blocks.get(&target));
        line.into_iter().flatten().map(|(key, held)| (&**key, held))
    }

    /// An attribute of the line that a character ends; of the last line for none.
    pub(crate) fn line_attribute(&self, target: Id, key: &str) -> Option<&Attribute> {
        self.format.as_ref()?.blocks.get(&target)?.get(key)
    }

    /// Writes an attribute of the line that a character ends, of the last line for none. Without effect where it is no
    /// character of this text, or deleted: then it ends no line and never will.
    pub(crate) fn write_block(&mut self, target: Id, key: &str, write: Attribute) {
        if !target.is_none() && !self.is_visible(target) {
            return;
        }
        let mut format = self.format.take().unwrap_or_default();
        format.latest = format.latest.max(write.marker.time);
        let value = write.val.clone();
        let line = format.blocks.entry(target).or_default();
        let is_changed = match line.get_mut(key) {
            Some(held) => {
                let is_changed = held.marker < write.marker && held.val != value;
                held.apply(write);
                is_changed
            }
            None => {
                line.insert(key.into(), write);
                value.is_some()
            }
        };
        self.format = Some(format);
        if is_changed && self.splices.is_some() {
            let at = self.scalars_before(Slot { id: target, side: Side::Before });
            if target.is_none() || self.slice(at..at + 1) == "\n" {
                let value = value.map_or(Value::Null, |value| (*value).clone());
                self.note_format(at, 1, 1, Attributes::from([(key.to_owned(), value)]));
            }
        }
    }

    /// What characters that just came in show. `follows` says that the one before the first is its left origin.
    pub(super) fn inserted_attributes(&mut self, id: Id, length: u32, left: Id, follows: bool) -> Attributes {
        let Some(mut format) = self.format.take() else { return Attributes::new() };
        let attributes = match format.recent.take() {
            Some((recent, attributes)) if follows && recent == left => attributes,
            _ => self.shown(&format, id),
        };
        format.recent = Some((id.plus(length - 1), attributes.clone()));
        self.format = Some(format);
        attributes
    }

    /// Notes text that came in at an index of a leaf, line breaks apart where it is marked: they show no marks.
    pub(super) fn note_insert(&mut self, leaf: u32, index: usize, span: Span, text: &str, left: Id, follows: bool) {
        let shown = self.inserted_attributes(span.id, span.len(), left, follows);
        let (mut scalar, mut utf16) = (self.before(leaf).0 + index, self.utf16_in(leaf, index));
        let apart = if shown.is_empty() { None } else { Some('\n') };
        for piece in text.split_inclusive(|character| Some(character) == apart) {
            let characters = if apart.is_some() { piece.trim_end_matches('\n') } else { piece };
            for (part, attributes) in [(characters, &shown), (&piece[characters.len()..], &Attributes::new())] {
                if part.is_empty() {
                    continue;
                }
                let (text, attributes) = (part.to_owned(), attributes.clone());
                let (scalars, utf16s) = (text.chars().count(), super::tree::utf16_len(&text));
                self.note(|_| Splice::Insert { scalar, utf16, text, attributes });
                (scalar, utf16) = (scalar + scalars, utf16 + utf16s);
            }
        }
    }
}
