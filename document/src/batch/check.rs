//! The one check, run by relay and client alike.

use super::operation::{Item, Operation, Parser, Placed, Reference};
use super::{Batch, BatchError, Checked, RootType};
use crate::ids::{Actor, HybridTime};
use crate::limits::Limits;
use crate::sorted::{sort_by, sort_by_key};

impl Batch {
    /// The one check that decides what is refused, run by relay and client alike. It needs no document: whether what the
    /// batch refers to is held is up to the caller, who compares [`Checked::references`] with its version vector. What
    /// passes applies everywhere.
    ///
    /// # Errors
    /// See [`BatchError`].
    pub fn check(&self, limits: &Limits) -> Result<Checked, BatchError> {
        let mut checked = Checked::default();
        let mut parser = Parser::new(self, limits)?;
        while let Some(item) = parser.next()? {
            match item {
                // Named, but perhaps not referred to.
                Item::Actor(actor) => checked.references.push((actor, 0)),
                Item::Operation(placed) => checked.operation(&placed),
            }
        }
        sort_by_key(&mut checked.references, |&(actor, counter)| (actor, std::cmp::Reverse(counter)));
        checked.references.dedup_by_key(|&mut (actor, _)| actor);
        checked.references.retain(|&(_, counter)| counter > 0);
        sort_by(&mut checked.roots, Ord::cmp);
        checked.roots.dedup();
        Ok(checked)
    }
}

impl Checked {
    fn operation(&mut self, placed: &Placed<'_>) {
        let root_type = match placed.operation {
            Operation::Insert { left, right, .. } => {
                self.refer(left, 1);
                self.refer(right, 1);
                RootType::Text
            }
            Operation::Continue { .. } => RootType::Text,
            Operation::Delete(ranges) => {
                for (from, length) in ranges {
                    self.refer(Some(from), length);
                }
                RootType::Text
            }
            Operation::Set { time, .. } => {
                self.latest_time = self.latest_time.max(Some(HybridTime(time)));
                RootType::Map
            }
            Operation::ListInsert { origins, .. } => {
                if let Some((left, right)) = origins {
                    self.refer(left, 1);
                    self.refer(right, 1);
                }
                RootType::List
            }
            Operation::ListDelete(ranges) => {
                ranges.for_each(|(from, length)| self.refer(Some(from), length));
                RootType::List
            }
            Operation::SetAdd { .. } => RootType::Set,
            Operation::SetRemove(ranges) => {
                ranges.for_each(|(from, length)| self.refer(Some(from), length));
                RootType::Set
            }
            Operation::Count { .. } => RootType::Counter,
            Operation::Mark { start, end, time, .. } => {
                self.refer(start.at, 1);
                self.refer(end.at, 1);
                self.latest_time = self.latest_time.max(Some(HybridTime(time)));
                RootType::Text
            }
            Operation::Block { targets, time, .. } => {
                targets.for_each(|target| self.refer(target, 1));
                self.latest_time = self.latest_time.max(Some(HybridTime(time)));
                RootType::Text
            }
            Operation::Unknown { .. } => {
                self.unknown += 1;
                RootType::Unknown
            }
        };
        // One batch seldom has more than one root; what repeats goes at the end.
        if !self.roots.last().is_some_and(|(of, name)| *of == root_type && **name == *placed.root) {
            self.roots.push((root_type, placed.root.into()));
        }
    }

    fn refer(&mut self, from: Option<Reference>, length: u32) {
        let Some(Reference { index, counter }) = from else { return };
        // Index 0 is the author; the parser let no index beyond the table pass.
        if let Some((_, highest)) = (index as usize).checked_sub(1).and_then(|index| self.references.get_mut(index)) {
            *highest = (*highest).max(u64::from(counter) + u64::from(length) - 1);
        }
    }

    /// Whether everything that the batch refers to is within `version`.
    pub fn is_covered_by(&self, version: &crate::ids::VersionVector) -> bool {
        self.references.iter().all(|&(actor, counter): &(Actor, u64)| version.get(&actor) >= counter)
    }
}
