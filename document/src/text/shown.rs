//! What a text shows: its characters with their marks, its lines with their attributes.

use std::ops::Range;

use super::format::{Attribute, Format};
use super::marks::{Mark, Slot};
use super::span::Id;
use super::{Splice, Text};
use crate::formatting::{Attributes, MAX_SHOWN};
use crate::map::Marker;
use crate::ordered::OrderedMap;
use crate::snapshot::state::char_end;
use crate::sorted::sort_by_key;
use crate::value::Value;

/// Marks that lie over the present place, by kind.
type Active<'a> = OrderedMap<&'a str, OrderedMap<Marker, &'a Mark>>;

impl Text {
    /// The marks that a character shows.
    pub(super) fn shown(&self, format: &Format, id: Id) -> Attributes {
        let order = |a, b| self.compare_slots(a, b);
        let shown = format.marks.iter().filter_map(|(kind, marks)| {
            let value = marks.at(order, id)?.value.as_ref()?;
            Some(((**kind).to_owned(), (**value).clone()))
        });
        shown.take(MAX_SHOWN).collect()
    }

    /// What the visible character of that index shows: its marks, or its line's attributes if it is a line break. At the
    /// text's end the last line's.
    pub(crate) fn attributes_at(&self, index: usize) -> Attributes {
        let Some(format) = &self.format else { return Attributes::new() };
        let id = if index < self.len_scalars() { self.character_before(index + 1) } else { Id::NONE };
        if id.is_none() || self.slice(index..index + 1) == "\n" { self.line(id) } else { self.shown(format, id) }
    }

    /// The attributes of the line that a character ends; of the last line for none.
    pub(crate) fn line(&self, target: Id) -> Attributes {
        self.format.as_ref().and_then(|format| format.blocks.get(&target)).map(line_shown).unwrap_or_default()
    }

    /// A range in pieces that show the same, line breaks apart from other characters.
    pub(crate) fn pieces(&self, range: Range<usize>) -> Vec<(String, Attributes)> {
        let text = self.slice(range.clone());
        let Some(format) = self.format.as_ref().filter(|format| !format.is_empty()) else {
            return if text.is_empty() { Vec::new() } else { vec![(text, Attributes::new())] };
        };
        let mut edges: Vec<(usize, bool, &str, &Mark)> = Vec::new();
        let order = |a, b| self.compare_slots(a, b);
        let (first, last) = (self.edge(range.start), self.edge(range.end));
        for (kind, marks) in &format.marks {
            for mark in marks.overlapping(order, first, last) {
                let (from, to) = (self.scalars_before(mark.start), self.scalars_before(mark.end));
                let (from, to) = (from.max(range.start), to.min(range.end));
                if from < to {
                    edges.extend([(from, true, &**kind, mark), (to, false, &**kind, mark)]);
                }
            }
        }
        sort_by_key(&mut edges, |&(at, ..)| at);
        let mut lines: Vec<(usize, Attributes)> = Vec::new();
        for (&id, line) in format.blocks.iter().filter(|(id, _)| !id.is_none()) {
            let at = self.scalars_before(Slot::before(id));
            if range.contains(&at) {
                lines.push((at, line_shown(line)));
            }
        }
        sort_by_key(&mut lines, |line| line.0);
        let mut pieces = Pieces { list: Vec::new(), lines: lines.into_iter().peekable(), at: range.start };
        let mut active = Active::new();
        let (mut rest, is_ascii) = (&*text, text.is_ascii());
        let mut edges = edges.into_iter().peekable();
        while !rest.is_empty() {
            while let Some((_, opens, kind, mark)) = edges.next_if(|edge| edge.0 <= pieces.at) {
                if opens {
                    active.entry(kind).or_default().insert(mark.marker, mark);
                } else if let Some(of_kind) = active.get_mut(kind) {
                    of_kind.remove(&mark.marker);
                    if of_kind.is_empty() {
                        active.remove(kind);
                    }
                }
            }
            let to = edges.peek().map_or(range.end, |edge| edge.0);
            let (part, after) = rest.split_at(char_end(rest, is_ascii, to - pieces.at));
            pieces.add(part, &active);
            rest = after;
        }
        pieces.list
    }

    /// The place before the visible character of an index.
    fn edge(&self, index: usize) -> Slot {
        if index < self.len_scalars() { Slot::before(self.character_before(index + 1)) } else { Slot::END }
    }

    /// All of it as inserts, for whoever sees it for the first time.
    pub(crate) fn as_splices(&self) -> Vec<Splice> {
        let mut splices = Vec::new();
        let (mut scalar, mut utf16) = (0, 0);
        for (text, attributes) in self.pieces(0..self.len_scalars()) {
            let (scalars, utf16s) = (text.chars().count(), super::tree::utf16_len(&text));
            splices.push(Splice::Insert { scalar, utf16, text, attributes });
            (scalar, utf16) = (scalar + scalars, utf16 + utf16s);
        }
        let attributes = self.line(Id::NONE);
        if !attributes.is_empty() {
            splices.push(Splice::Format { scalar, utf16, scalars: 1, utf16s: 1, attributes });
        }
        splices
    }
}

fn line_shown(line: &OrderedMap<Box<str>, Attribute>) -> Attributes {
    let shown = line.iter().filter_map(|(key, held)| Some(((**key).to_owned(), Value::clone(held.val.as_ref()?))));
    shown.take(MAX_SHOWN).collect()
}

/// Pieces that are being put together.
struct Pieces<L: Iterator<Item = (usize, Attributes)>> {
    list: Vec<(String, Attributes)>,
    lines: std::iter::Peekable<L>,
    at: usize,
}

impl<L: Iterator<Item = (usize, Attributes)>> Pieces<L> {
    fn push(&mut self, text: &str, attributes: Attributes) {
        self.at += text.chars().count();
        match self.list.last_mut() {
            // A kind that is of lines and of marks alike is not to be taken for the other one.
            Some((last, held))
                if *held == attributes && (held.is_empty() || last.ends_with('\n') == text.ends_with('\n')) =>
            {
                last.push_str(text);
            }
            _ => self.list.push((text.to_owned(), attributes)),
        }
    }

    /// Adds text over which the same marks lie.
    fn add(&mut self, text: &str, active: &Active<'_>) {
        let shown = active.iter().filter_map(|(kind, marks)| {
            let value = marks.last_key_value()?.1.value.as_ref()?;
            Some(((*kind).to_owned(), (**value).clone()))
        });
        let shown: Attributes = shown.take(MAX_SHOWN).collect();
        for part in text.split_inclusive('\n') {
            let characters = part.strip_suffix('\n').unwrap_or(part);
            if !characters.is_empty() {
                self.push(characters, shown.clone());
            }
            if characters.len() < part.len() {
                let at = self.at;
                while self.lines.next_if(|line| line.0 < at).is_some() {}
                let line = self.lines.next_if(|line| line.0 == at);
                self.push("\n", line.map(|line| line.1).unwrap_or_default());
            }
        }
    }
}
