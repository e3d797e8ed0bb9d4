//! Formatting in a snapshot: a section of its own.

use std::sync::Arc;

use super::SnapshotError;
use super::decode::{Input, RANGE, known, unzigzag, written};
use super::encode::{bytes, number, part, zigzag};
use super::state::ActorRange;
use crate::formatting::Side;
use crate::ids::HybridTime;
use crate::messagepack::{Reader, Writer};
use crate::ordered::OrderedMap;
use crate::sorted::{sort_by, sort_by_key};
use crate::text::marks::Slot;
use crate::text::span::Id;
use crate::value::Value;

/// A write of formatting, its value shared by all that write the same.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Written {
    pub(crate) dot: Id,
    pub(crate) time: HybridTime,
    pub(crate) key: Arc<str>,
    pub(crate) value: Option<Arc<Value>>,
}

/// A text's formatting.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct FormatState {
    pub(crate) name: Box<str>,
    /// In order of their dots.
    pub(crate) marks: Vec<(Slot, Slot, Written)>,
    /// In order of their dots and then of the lines' ends, the text's end first.
    pub(crate) blocks: Vec<(Id, Written)>,
}

impl FormatState {
    /// What a reader who holds less lacks.
    pub(super) fn difference(&self, lacks: impl Fn(Id) -> bool) -> Option<FormatState> {
        let marks: Vec<_> = self.marks.iter().filter(|mark| lacks(mark.2.dot)).cloned().collect();
        let blocks: Vec<_> = self.blocks.iter().filter(|block| lacks(block.1.dot)).cloned().collect();
        (!marks.is_empty() || !blocks.is_empty()).then(|| FormatState { name: self.name.clone(), marks, blocks })
    }

    /// All that it refers to.
    pub(super) fn ids(&self, mut each: impl FnMut(Id)) {
        let marks = self.marks.iter().flat_map(|(start, end, written)| [start.id, end.id, written.dot]);
        let blocks = self.blocks.iter().flat_map(|(line, written)| [*line, written.dot]);
        marks.chain(blocks).filter(|id| !id.is_none()).for_each(&mut each);
    }

    /// Gives actors other indices, and restores the order.
    pub(crate) fn renumber(&mut self, moved: impl Fn(Id) -> Id) {
        for (start, end, written) in &mut self.marks {
            (*start, *end, written.dot) = (start.moved(&moved), end.moved(&moved), moved(written.dot));
        }
        for (line, written) in &mut self.blocks {
            (*line, written.dot) = (moved(*line), moved(written.dot));
        }
        self.sort();
    }

    fn sort(&mut self) {
        sort_by_key(&mut self.marks, |mark| mark.2.dot);
        sort_by(&mut self.blocks, |a, b| (a.1.dot, a.0, &a.1.key).cmp(&(b.1.dot, b.0, &b.1.key)));
    }
}

/// A dot or none, its counter relative to another.
fn reference(id: Id, near: u32, out: &mut Vec<u8>) {
    if id.is_none() {
        number(0u32, out);
    } else {
        number(u64::from(id.actor) + 1, out);
        number(zigzag(i64::from(id.counter) - i64::from(near)), out);
    }
}

/// Keys and values, each once.
#[derive(Default)]
struct Tables<'a> {
    keys: OrderedMap<&'a str, u64>,
    values: Vec<Vec<u8>>,
    by_value: OrderedMap<Vec<u8>, u64>,
}

impl<'a> Tables<'a> {
    /// 0 for none, which takes the kind away.
    fn value(&mut self, value: Option<&Value>) -> u64 {
        let Some(value) = value else { return 0 };
        let mut encoded = Vec::new();
        value.write(&mut Writer(&mut encoded));
        if let Some(&index) = self.by_value.get(&encoded) {
            return index;
        }
        self.values.push(encoded.clone());
        self.by_value.insert(encoded, self.values.len() as u64);
        self.values.len() as u64
    }

    /// What the numbers of a column are: dots and times relative to the ones before, keys and values by their index.
    fn columns(&mut self, all: impl Iterator<Item = &'a Written>) -> [Vec<u8>; 3] {
        let [mut what, mut dots, mut times] = [Vec::new(), Vec::new(), Vec::new()];
        let (mut before, mut time) = (Id::NONE, 0u64);
        for written in all {
            let key = self.keys.get(&*written.key).copied().unwrap_or(0);
            number(key, &mut what);
            number(self.value(written.value.as_deref()), &mut what);
            if written.dot.actor != before.actor {
                before.counter = 0;
            }
            number(u64::from(written.dot.actor.wrapping_sub(before.actor)), &mut dots);
            number(u64::from(written.dot.counter.wrapping_sub(before.counter)), &mut dots);
            number(zigzag(written.time.0.wrapping_sub(time) as i64), &mut times);
            (before, time) = (written.dot, written.time.0);
        }
        [what, dots, times]
    }
}

pub(super) fn encode(format: &FormatState, out: &mut Vec<u8>) {
    bytes(format.name.as_bytes(), out);
    let mut tables = Tables::default();
    let writes = || format.marks.iter().map(|mark| &mark.2).chain(format.blocks.iter().map(|block| &block.1));
    tables.keys.extend(writes().map(|written| (&*written.key, 0)));
    tables.keys.values_mut().zip(0..).for_each(|(key, index)| *key = index);
    number(tables.keys.len() as u64, out);
    tables.keys.keys().for_each(|key| bytes(key.as_bytes(), out));
    let marks = tables.columns(format.marks.iter().map(|mark| &mark.2));
    let blocks = tables.columns(format.blocks.iter().map(|block| &block.1));
    number(tables.values.len() as u64, out);
    let values: Vec<u8> = tables.values.concat();
    part(&values, out);
    let (mut places, mut lines) = (Vec::new(), Vec::new());
    for (start, end, written) in &format.marks {
        let side = |slot: &Slot| u64::from(slot.side == Side::After);
        number(side(start) | side(end) << 1, &mut places);
        reference(start.id, written.dot.counter, &mut places);
        reference(end.id, start.id.counter, &mut places);
    }
    let mut near = 0;
    for (line, _) in &format.blocks {
        reference(*line, near, &mut lines);
        near = line.counter;
    }
    number(format.marks.len() as u64, out);
    marks.iter().chain([&places]).for_each(|column| part(column, out));
    number(format.blocks.len() as u64, out);
    blocks.iter().chain([&lines]).for_each(|column| part(column, out));
}

const ORDER: SnapshotError = SnapshotError::Malformed("formatting is not in order");

pub(super) fn decode(input: &mut Input<'_>, actors: &[ActorRange]) -> Result<FormatState, SnapshotError> {
    let mut format = FormatState { name: input.str()?.into(), ..FormatState::default() };
    let mut keys: Vec<Arc<str>> = Vec::new();
    for _ in 0..input.count()? {
        keys.push(input.str()?.into());
    }
    let count = input.number()?;
    let values = decode_values(count, &input.part()?)?;
    for is_marks in [true, false] {
        let count = usize::try_from(input.number()?).map_err(|_| RANGE)?;
        let columns = [input.part()?, input.part()?, input.part()?, input.part()?];
        // Each has a byte in each column at least.
        if columns.iter().any(|column| column.len() < count) {
            return Err(SnapshotError::Malformed("a part is cut off"));
        }
        let [what, dots, times, places] = &columns;
        let (mut what, mut dots, mut times, mut places) = (Input(what), Input(dots), Input(times), Input(places));
        let (mut before, mut time, mut near) = (Id::NONE, 0u64, 0);
        for _ in 0..count {
            let key = usize::try_from(what.number()?).ok().and_then(|key| keys.get(key)).ok_or(RANGE)?.clone();
            let value = match usize::try_from(what.number()?).map_err(|_| RANGE)? {
                0 => None,
                index => Some(values.get(index - 1).ok_or(RANGE)?.clone()),
            };
            let step = dots.small()?;
            let counter = if step == 0 { before.counter } else { 0 };
            let counter = counter.checked_add(dots.small()?).ok_or(RANGE)?;
            let dot = Id { actor: before.actor.checked_add(step).ok_or(RANGE)?, counter };
            written(actors, dot, 1)?;
            time = time.wrapping_add(unzigzag(times.number()?) as u64);
            let write = Written { dot, time: HybridTime(time), key, value };
            if is_marks {
                if !before.is_none() && dot <= before {
                    return Err(ORDER);
                }
                let sides = place_sides(&mut places)?;
                let start = Slot { id: place(&mut places, actors, dot.counter)?, side: sides[0] };
                let end = Slot { id: place(&mut places, actors, start.id.counter)?, side: sides[1] };
                format.marks.push((start, end, write));
            } else {
                let line = place(&mut places, actors, near)?;
                near = line.counter;
                format.blocks.push((line, write));
            }
            before = dot;
        }
        let is_read = [what, dots, times, places].iter().all(|column| column.0.is_empty());
        if !is_read {
            return Err(SnapshotError::Malformed("bytes follow a column"));
        }
    }
    Ok(format)
}

/// A character that the reader may hold, or none.
fn place(places: &mut Input<'_>, actors: &[ActorRange], near: u32) -> Result<Id, SnapshotError> {
    let Some(actor) = places.number()?.checked_sub(1) else { return Ok(Id::NONE) };
    let counter = i64::from(near).checked_add(unzigzag(places.number()?)).ok_or(RANGE)?;
    let counter = u32::try_from(counter).map_err(|_| RANGE)?;
    let id = Id { actor: u32::try_from(actor).map_err(|_| RANGE)?, counter };
    known(actors, id, 1).map(|()| id)
}

fn place_sides(places: &mut Input<'_>) -> Result<[Side; 2], SnapshotError> {
    let side = |bit| if bit == 0 { Side::Before } else { Side::After };
    match places.number()? {
        sides @ 0..=3 => Ok([side(sides & 1), side(sides & 2)]),
        _ => Err(RANGE),
    }
}

fn decode_values(count: u64, bytes: &[u8]) -> Result<Vec<Arc<Value>>, SnapshotError> {
    let count = usize::try_from(count).ok().filter(|&count| count <= bytes.len()).ok_or(RANGE)?;
    let mut reader = Reader::new(bytes);
    let mut values = Vec::new();
    for _ in 0..count {
        let value = Value::read(&mut reader).map_err(|_| SnapshotError::Malformed("a value is not MessagePack"))?;
        values.push(Arc::new(value));
    }
    if reader.is_empty() { Ok(values) } else { Err(SnapshotError::Malformed("bytes follow the values")) }
}
