//! Operations that a version kept as they were, for it did not know their kind, and that this one knows: they are applied as
//! the snapshot that has them is merged.

use super::Document;
use crate::batch::Batch;
use crate::batch::operation::{Item, Operation, Parser};
use crate::ids::Actor;
use crate::kept::KeptOperation;
use crate::limits::Limits;
use crate::ordered::OrderedMap;

/// A kept operation that is known, and the dots that it refers to.
pub(super) struct Revived {
    batch: Batch,
    references: Vec<(Actor, u32, u32)>,
}

impl Revived {
    /// Gives back what is of no known kind, or does not hold together: that stays kept.
    pub(super) fn new((actor, counter): (Actor, u32), kept: KeptOperation) -> Result<Self, KeptOperation> {
        let operations = kept.operations.to_vec().into();
        let batch = Batch { actor, first: u64::from(counter), count: kept.count, operations };
        match references(&batch) {
            Some(references) => Ok(Self { batch, references }),
            None => Err(kept),
        }
    }
}

/// The runs of dots that a batch of known operations refers to.
fn references(batch: &Batch) -> Option<Vec<(Actor, u32, u32)>> {
    let mut parser = Parser::new(batch, &Limits::STANDARD).ok()?;
    let (mut table, mut references) = (vec![batch.actor], Vec::new());
    while let Some(item) = parser.next().ok()? {
        match item {
            Item::Actor(actor) => table.push(actor),
            Item::Operation(placed) => {
                if matches!(placed.operation, Operation::Unknown { .. }) {
                    return None;
                }
                placed.references(|from, length| {
                    references.push((table[from.index as usize], from.counter, length));
                });
            }
        }
    }
    Some(references)
}

impl Document {
    /// Applies each after those that it refers to. What refers to what is not held, or goes round in a circle, is dropped:
    /// no batch that was ever applied does.
    pub(super) fn revive(&mut self, revived: Vec<Revived>) {
        let mut pending: OrderedMap<(Actor, u32), Revived> = OrderedMap::new();
        let mut ready: Vec<(Actor, u32)> = Vec::new();
        for one in revived {
            let dot = (one.batch.actor, one.batch.first as u32);
            ready.push(dot);
            pending.insert(dot, one);
        }
        ready.reverse();
        let mut waiting: OrderedMap<(Actor, u32), Vec<(Actor, u32)>> = OrderedMap::new();
        while let Some(dot) = ready.pop() {
            let Some(one) = pending.get(&dot) else { continue };
            let blocked = one.references.iter().find_map(|&(actor, counter, length)| {
                let last = counter.saturating_add(length - 1);
                let (&other, found) = pending.range(..=(actor, last)).next_back()?;
                let is_there = other.0 == actor && found.batch.last() >= u64::from(counter) && other != dot;
                is_there.then_some(other)
            });
            if let Some(other) = blocked {
                waiting.entry(other).or_default().push(dot);
                continue;
            }
            let is_held = |&(actor, counter, length): &(Actor, u32, u32)| {
                counter > 0 && self.held(actor) >= counter.saturating_add(length - 1)
            };
            if let Some(one) = pending.remove(&dot).filter(|one| one.references.iter().all(is_held)) {
                self.apply_revived(&one.batch);
            }
            ready.extend(waiting.remove(&dot).unwrap_or_default());
        }
    }

    fn apply_revived(&mut self, batch: &Batch) {
        let Ok(mut parser) = Parser::new(batch, &Limits::STANDARD) else { return };
        let author = self.intern(batch.actor);
        let (mut table, mut indices) = (Vec::new(), vec![author]);
        while let Ok(Some(item)) = parser.next() {
            match item {
                Item::Actor(actor) => {
                    table.push(actor);
                    indices.push(self.index.get(&actor).copied().unwrap_or(u32::MAX));
                }
                Item::Operation(placed) => self.operation(author, placed.first - 1, &table, &indices, &placed),
            }
        }
    }
}
