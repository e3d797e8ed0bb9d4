//! Which mark of a kind holds where: what an undo must know.

use super::Text;
use super::marks::{Mark, Slot};
use crate::map::Marker;
use crate::ordered::OrderedMap;
use crate::sorted::sort_by;

impl Text {
    /// A range in parts with the latest mark of a kind over each; none where there is no mark.
    pub(crate) fn winners(&self, kind: &str, start: Slot, end: Slot) -> Vec<(Slot, Slot, Option<&Mark>)> {
        let order = |a, b| self.compare_slots(a, b);
        let marks = self.format.as_ref().and_then(|format| format.marks.get(kind));
        let mut edges: Vec<(Slot, bool, &Mark)> = Vec::new();
        for mark in marks.into_iter().flat_map(|marks| marks.overlapping(order, start, end)) {
            edges.push((if order(mark.start, start).is_lt() { start } else { mark.start }, true, mark));
            edges.push((if order(mark.end, end).is_gt() { end } else { mark.end }, false, mark));
        }
        sort_by(&mut edges, |a, b| order(a.0, b.0));
        let mut parts: Vec<(Slot, Slot, Option<&Mark>)> = Vec::new();
        let mut active: OrderedMap<Marker, &Mark> = OrderedMap::new();
        let (mut at, mut edges) = (start, edges.into_iter().peekable());
        while order(at, end).is_lt() {
            while let Some((_, opens, mark)) = edges.next_if(|edge| order(edge.0, at).is_le()) {
                if opens {
                    active.insert(mark.marker, mark);
                } else {
                    active.remove(&mark.marker);
                }
            }
            let to = edges.peek().map_or(end, |edge| edge.0);
            let latest = active.last_key_value().map(|(_, &mark)| mark);
            match parts.last_mut() {
                Some(last) if last.2.map(|mark| mark.marker) == latest.map(|mark| mark.marker) => last.1 = to,
                _ => parts.push((at, to, latest)),
            }
            at = to;
        }
        parts
    }
}
