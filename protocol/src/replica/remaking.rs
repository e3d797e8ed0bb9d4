//! Edits that were taken back and are made again as another actor's.
//!
//! A batch that was refused, and those after it, are nobody's: their actor is retired. What they did is read from their own
//! operations, whose references mean the same in every replica, and done again on the rebuilt document: an insert after the
//! character that it came after, or after the nearest before that which is left; a deletion of the characters that are still
//! there; a map's key with the time of now. The difference between two views would do as well for the text of one who is alone;
//! with others it cannot tell what they did meanwhile from what was taken back.

use inkwire_document::batch::Edit;
use inkwire_document::{Actor, Anchor, Batch, Document, Dot, HybridTime, Limits, Position, Unit};

use super::Replica;
use super::moved::Moved;
use super::outbox::Own;
use crate::Code;

/// After so many times an edit goes back to the application.
const MAX_REMAKES: u8 = 3;

/// What a rebuilding took back, in order.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    own: Own,
    /// The relay has the batch after all.
    there: bool,
    /// The relay has another batch of these counters.
    foreign: bool,
    /// Another may have written as the actor.
    doubtful: bool,
    /// It may not be made again.
    lost: bool,
}

/// The dots of runs, one by one.
fn dots(ranges: Vec<(Dot, u32)>) -> impl Iterator<Item = Dot> {
    ranges.into_iter().flat_map(|(from, length)| {
        (0..u64::from(length)).map(move |offset| Dot::new(from.actor, from.counter + offset))
    })
}

/// Whether edits that were refused for this may be made again.
pub(super) const fn may_remake(code: Code) -> bool {
    matches!(
        code,
        Code::ActorReused
            | Code::ForeignActor
            | Code::ClockAhead
            | Code::CounterGap
            | Code::MissingDependency
            | Code::StoreRolledBack
            // Another's, that was offered: nothing is wrong with the own ones.
            | Code::BadReceipt
    )
}

impl Replica {
    /// Keeps what a rebuilding takes back, from the own counter `first` on, to make it again. Returns how many edits may not
    /// be; while earlier ones are undecided, none yet, because edits are decided in order.
    pub(super) fn take_back(&mut self, first: u64, code: Code) -> u64 {
        self.end_transaction();
        let doubtful = matches!(code, Code::ActorReused | Code::ForeignActor);
        let take = |own: Own| {
            let lost = own.remakes >= MAX_REMAKES;
            Taken { own, there: false, foreign: false, doubtful, lost }
        };
        // Those that were taken back before came later.
        let taken: Vec<Taken> = self.outbox.take_from(first).into_iter().map(take).collect();
        self.taken.splice(0..0, taken);
        // With nothing of the own ones refused it says nothing about those that wait to be made again.
        if first < u64::MAX && !may_remake(code) || self.config.sabotage().never_remake {
            self.taken.iter_mut().for_each(|taken| taken.lost = true);
        }
        if !self.outbox.is_empty() {
            return 0;
        }
        let mut edits = 0;
        for taken in self.taken.extract_if(.., |taken| taken.lost) {
            self.refused.push_batch(&taken.own.batch);
            edits += taken.own.edits;
        }
        edits
    }

    /// Notes whether a batch that comes in is one that was taken back.
    pub(super) fn recognise(&mut self, batch: &Batch) {
        for taken in &mut self.taken {
            let own = &taken.own.batch;
            if own == batch {
                taken.there = true;
            } else if own.actor == batch.actor && own.first <= batch.last() && batch.first <= own.last() {
                taken.foreign = true;
            }
        }
    }

    /// Makes again what was taken back from what `old` shows. Returns how many edits could not be.
    pub(super) fn remake(&mut self, old: &Document) -> u64 {
        let (mut lost, mut moved) = (0, Moved::new(old));
        let writer = self.writer.as_ref().map(|writer| writer.actor);
        for taken in std::mem::take(&mut self.taken) {
            let Taken { own, there, foreign, doubtful, lost: given_up } = taken;
            if given_up {
                self.refused.push_batch(&own.batch);
                lost += own.edits;
                continue;
            }
            let held = self.document.version().get(&own.batch.actor) >= own.batch.last();
            if there || held && !foreign && !doubtful {
                self.adopted.push((own.batch.actor, own.batch.last(), own.edits));
                continue;
            }
            // A snapshot has these counters and does not say whose: made again, it might be there twice.
            let unknown = held && !foreign;
            let Some(actor) = writer.filter(|_| !unknown && self.role.is_some_and(|role| role.may_write())) else {
                self.refused.push_batch(&own.batch);
                lost += own.edits;
                continue;
            };
            let whole = self.remake_batch(actor, &own.batch, &mut moved);
            let batches = self.document.take_batches();
            if !whole {
                lost += own.edits;
            }
            let edits = if whole { own.edits } else { 0 };
            let last = batches.len().wrapping_sub(1);
            if batches.is_empty() {
                self.outbox.count_edits(edits);
            }
            for (index, batch) in batches.into_iter().enumerate() {
                self.outbox.push_remade(batch, if index == last { edits } else { 0 }, own.remakes + 1);
            }
        }
        self.transaction_start = self.document.next_counter().unwrap_or(0);
        self.settle_adopted();
        lost
    }

    /// Whether all of the batch could be made again. What could not goes back to the application.
    fn remake_batch(&mut self, actor: Actor, batch: &Batch, moved: &mut Moved<'_>) -> bool {
        let Ok(edits) = batch.edits(&Limits::STANDARD) else {
            self.refused.push_batch(batch);
            return false;
        };
        let mut whole = true;
        for (root, edit) in edits {
            let made = self.remake_edit((batch.actor, actor), &root, edit.clone(), moved);
            if !made {
                self.refused.push(&root, edit);
            }
            whole &= made;
        }
        whole
    }

    fn remake_edit(&mut self, (retired, actor): (Actor, Actor), root: &str, edit: Edit, moved: &mut Moved<'_>) -> bool {
        match edit {
            Edit::Insert { first, left, text } => {
                let at = moved.behind_character(&self.document, root, left);
                let next = self.document.next_counter().unwrap_or(1);
                let made = self.document.insert(root, Position::Scalar(at), &text).is_ok();
                if made {
                    let old = Dot::new(retired, first);
                    moved.add(&mut self.document, old, text.chars().count() as u64, Dot::new(actor, next));
                }
                made
            }
            Edit::Delete { ranges } => dots(ranges).all(|dot| self.delete_again(root, moved.find(dot))),
            Edit::Set { key, value, .. } => {
                let time = self.next_time();
                match value {
                    Some(value) => self.document.map_set(root, &key, value, time).is_ok(),
                    None => self.document.map_delete(root, &key, time).is_ok(),
                }
            }
            Edit::ListInsert { first, left, values } => {
                let at = moved.behind_element(&self.document, root, left);
                let next = self.document.next_counter().unwrap_or(1);
                let count = values.len() as u64;
                let made = self.document.list_insert(root, at, values).is_ok();
                if made {
                    moved.add(&mut self.document, Dot::new(retired, first), count, Dot::new(actor, next));
                }
                made
            }
            Edit::ListDelete { ranges } => dots(ranges).all(|dot| self.delete_element_again(root, moved.find(dot))),
            Edit::SetAdd { first, members } => {
                let next = self.document.next_counter().unwrap_or(1);
                let count = members.len() as u64;
                let made = members.iter().all(|member| self.document.set_add(root, member).is_ok());
                moved.add(&mut self.document, Dot::new(retired, first), count, Dot::new(actor, next));
                made
            }
            Edit::SetRemove { ranges } => {
                let additions: Vec<Dot> = dots(ranges).map(|dot| moved.find(dot)).collect();
                self.document.set_remove_additions(root, &additions).is_ok()
            }
            Edit::Count { amount } => self.document.counter_add(root, amount).is_ok(),
            Edit::Mark { start, end, key, value, .. } => {
                let [start, end] = [start, end].map(|anchor| moved.anchor(anchor));
                let there = [start, end].iter().all(|&at| self.document.anchored(root, at, Unit::Scalar).is_some());
                let time = self.next_time();
                there && self.document.mark_between(root, start, end, &key, value, time).is_ok()
            }
            Edit::Block { lines, key, value, .. } => {
                let lines: Vec<Anchor> = lines.into_iter().map(|line| moved.anchor(line)).collect();
                let time = self.next_time();
                self.document.set_block_at(root, &lines, &key, value, time).is_ok()
            }
            _ => false,
        }
    }

    /// Deletes the element if it is still there. Returns whether it is gone.
    fn delete_element_again(&mut self, root: &str, dot: Dot) -> bool {
        let Some(after) = self.document.list_index_after(root, Some(dot)) else { return true };
        let is_there = after.checked_sub(1).and_then(|at| self.document.list_dot(root, at)) == Some(dot);
        !is_there || self.document.list_delete(root, after - 1, 1).is_ok()
    }

    fn next_time(&mut self) -> HybridTime {
        self.latest_time = self.latest_time.next();
        self.latest_time
    }

    /// Deletes the character if it is there and visible. Returns whether it is gone.
    fn delete_again(&mut self, root: &str, dot: Dot) -> bool {
        let anchor = Anchor::After(dot);
        let Some(at) = self.document.anchored(root, anchor, Unit::Scalar) else { return true };
        let visible = self.document.anchor(root, Position::Scalar(at)).is_ok_and(|found| found == anchor);
        !visible || at > 0 && self.document.delete(root, Position::Scalar(at - 1), 1).is_ok()
    }

    /// Counts what was taken back, was there after all and is durable now.
    pub(super) fn settle_adopted(&mut self) {
        let (durable, outbox) = (&self.durable, &mut self.outbox);
        let before = self.adopted.len();
        self.adopted.retain(|(actor, last, edits)| {
            let done = durable.get(actor) >= *last;
            if done {
                outbox.count_durable(*edits);
            }
            !done
        });
        if self.adopted.len() != before {
            self.news.durable = true;
            self.news.status = true;
        }
    }

    /// Edits that are being made again, and edits that the relay has and that are not durable.
    pub(super) fn between(&self) -> (u64, u64) {
        let taken = self.taken.iter().map(|taken| taken.own.edits).sum();
        (taken, self.adopted.iter().map(|(_, _, edits)| edits).sum())
    }
}
