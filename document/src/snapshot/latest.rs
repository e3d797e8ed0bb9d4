//! The latest time in a snapshot: what a relay bounds the next times by.

use super::Snapshot;
use crate::ids::HybridTime;

impl Snapshot {
    /// The latest hybrid time of any map's entry, mark and line's attribute, removed ones included; `None` without any, or if the content does not hold
    /// together. Decodes the whole snapshot.
    pub fn latest_time(&self) -> Option<HybridTime> {
        let state = self.state().ok()?;
        let maps = state.maps.iter().flat_map(|map| &map.registers).map(|(_, register)| register.marker.time);
        let marks = state.formats.iter().flat_map(|format| &format.marks).map(|mark| mark.2.time);
        let blocks = state.formats.iter().flat_map(|format| &format.blocks).map(|block| block.1.time);
        maps.chain(marks).chain(blocks).max()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Actor, Document, HybridTime, Position, Snapshot, Value};

    #[test]
    fn the_latest_time_is_that_of_the_last_entry_or_removal() {
        let mut document = Document::new();
        document.set_actor(Actor(1), 1);
        document.insert("body", Position::Scalar(0), "text").expect("an insert");
        let latest = |document: &Document| Snapshot::parse(document.snapshot()).expect("a snapshot").latest_time();
        assert_eq!(latest(&document), None);
        let at = HybridTime::from_millis;
        document.map_set("meta", "a", Value::Bool(true), at(5)).expect("an edit");
        document.map_set("meta", "b", Value::Bool(true), at(3)).expect("an edit");
        assert_eq!(latest(&document), Some(at(5)));
        document.map_delete("meta", "b", at(9)).expect("an edit");
        assert_eq!(latest(&document), Some(at(9)));
    }
}
