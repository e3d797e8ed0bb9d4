//! A document as it was: from a snapshot, and the log that follows it.

use std::collections::{BTreeSet, VecDeque};

use crate::batch::{Batch, BatchError};
use crate::change::{Change, Delta, ListDelta, Origin, TextDelta, Unit};
use crate::document::{ApplyError, Document, EditError};
use crate::formatting::Attributes;
use crate::ids::{Actor, HybridTime, VersionVector};
use crate::snapshot::{MergeError, Snapshot};
use crate::text::compare::{Step, compare};
use crate::value::Value;

/// The part of a document's life that can be looked at: all version vectors from that of a snapshot (or from the start) up
/// to what the batches amount to.
#[derive(Copy, Clone, Debug)]
pub struct History<'a> {
    snapshot: Option<&'a Snapshot>,
    batches: &'a [Batch],
}

/// Who wrote a range of a text or a list.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Written {
    /// Scalars, or elements; ranges follow one another without gaps.
    pub length: usize,
    /// Who wrote them.
    pub actor: Actor,
}

/// Why a state cannot be shown.
#[derive(Clone, Eq, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The vector is before the snapshot, or beyond what the log holds, for this actor.
    #[error("the log covers {actor} from {from} to {to}, not {wanted}")]
    NotCovered {
        /// The actor.
        actor: Actor,
        /// The first counter up to which a state can be shown.
        from: u64,
        /// The last one.
        to: u64,
        /// What was asked for.
        wanted: u64,
    },
    /// The vector lies within an operation that cannot be divided, or it has operations without what they refer to.
    #[error("no replica was ever at this vector")]
    NoState,
    /// The snapshot cannot be merged.
    #[error("the snapshot cannot be merged")]
    Snapshot(#[from] MergeError),
    /// A batch fails its check.
    #[error("batch {index} is refused")]
    Batch {
        /// Its place in the list.
        index: usize,
        /// Why.
        #[source]
        error: BatchError,
    },
}

/// Why a state is not restored.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The two states cannot be compared.
    #[error("the states cannot be compared")]
    Compare(#[from] MergeError),
    /// An edit is refused.
    #[error(transparent)]
    Edit(#[from] EditError),
}

impl<'a> History<'a> {
    /// Of a whole snapshot and batches in any order, what the snapshot covers among them or not.
    pub fn new(snapshot: Option<&'a Snapshot>, batches: &'a [Batch]) -> Self {
        Self { snapshot, batches }
    }

    /// The earliest vector.
    pub fn first(&self) -> VersionVector {
        self.snapshot.map(|snapshot| snapshot.version().clone()).unwrap_or_default()
    }

    /// The latest vector: each actor's operations as far as they are there without a gap.
    pub fn last(&self) -> VersionVector {
        let mut last = self.first();
        let mut batches: Vec<&Batch> = self.batches.iter().collect();
        batches.sort_unstable_by_key(|batch| (batch.actor, batch.first));
        for batch in batches {
            let held = last.get(&batch.actor);
            if batch.first <= held + 1 && batch.last() > held {
                last.dots.insert(batch.actor, batch.last());
            }
        }
        last
    }

    /// The document as it was at a vector, every container of it.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub fn at(&self, version: &VersionVector) -> Result<Document, HistoryError> {
        let (first, last) = (self.first(), self.last());
        let actors: BTreeSet<Actor> = first.dots.keys().chain(version.dots.keys()).copied().collect();
        for actor in actors {
            let (from, to, wanted) = (first.get(&actor), last.get(&actor), version.get(&actor));
            if wanted < from || wanted > to {
                return Err(HistoryError::NotCovered { actor, from, to, wanted });
            }
        }
        let mut document = Document::new();
        document.set_early_limit(usize::MAX);
        if let Some(snapshot) = self.snapshot {
            document.merge(snapshot)?;
        }
        for (index, batch) in self.batches.iter().enumerate() {
            let wanted = version.get(&batch.actor);
            if batch.first > wanted || batch.last() <= first.get(&batch.actor) {
                continue;
            }
            let part = batch.up_to(wanted).ok_or(HistoryError::NoState)?;
            match document.apply(&part) {
                Ok(_) | Err(ApplyError::EarlyBufferFull { .. }) => {}
                Err(ApplyError::Batch(error)) => return Err(HistoryError::Batch { index, error }),
            }
        }
        if document.version() == version { Ok(document) } else { Err(HistoryError::NoState) }
    }

    /// What makes of the document at one vector the document at another one, earlier or later or neither: the changes of
    /// each root, in the unit that is asked for.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub fn diff(&self, from: &VersionVector, to: &VersionVector, unit: Unit) -> Result<Vec<Change>, HistoryError> {
        let mut both = from.clone();
        for (&actor, &last) in &to.dots {
            let held = both.dots.entry(actor).or_default();
            *held = last.max(*held);
        }
        let (before, after) = (self.at(from)?, self.at(to)?);
        let both = self.at(&both)?;
        Ok(Comparison { before: &before, after: &after, both: &both, unit }.changes())
    }
}

/// What makes of `before` the document `after`, two states of one document of which neither need cover the other: the changes
/// of each root, in the unit that is asked for. As [`History::diff`] for states whose log is not there.
///
/// # Errors
/// When the snapshot of one of them cannot be read back, which none does.
pub fn changes_between(before: &Document, after: &Document, unit: Unit) -> Result<Vec<Change>, MergeError> {
    let mut both = Document::new();
    for state in [before, after] {
        let snapshot = Snapshot::parse(state.snapshot())?;
        both.merge(&snapshot)?;
    }
    Ok(Comparison { before, after, both: &both, unit }.changes())
}

impl Document {
    /// Makes this document show what `target` shows, an earlier state of it or any other state of the same document: an edit like
    /// any other, which everybody sees as one. What was deleted since comes back as new text. A container that reads as `target`'s
    /// does is left alone.
    ///
    /// # Errors
    /// As for edits; what was edited before the error stays in the transaction.
    pub fn restore(&mut self, target: &Document, now: HybridTime) -> Result<(), RestoreError> {
        for Change { root, delta, .. } in changes_between(self, target, Unit::Scalar)? {
            match delta {
                // What came back before is another's characters that read the same: there is nothing to do again.
                Delta::Text(_) if self.text(&root).to_delta() == target.text(&root).to_delta() => {}
                Delta::List(_) if self.list_values(&root, 0).eq(target.list_values(&root, 0)) => {}
                Delta::Text(steps) => self.apply_delta(&root, &steps, Unit::Scalar, now)?,
                Delta::Map { key, value: Some(value) } => self.map_set(&root, &key, value, now)?,
                Delta::Map { key, value: None } => self.map_delete(&root, &key, now)?,
                Delta::List(steps) => {
                    let mut at = 0;
                    for step in steps {
                        match step {
                            ListDelta::Retain(count) => at += count,
                            ListDelta::Insert(values) => {
                                let count = values.len();
                                self.list_insert(&root, at, values)?;
                                at += count;
                            }
                            ListDelta::Delete(count) => self.list_delete(&root, at, count)?,
                        }
                    }
                }
                Delta::Set { member, is_in: true } => self.set_add(&root, &member)?,
                Delta::Set { member, is_in: false } => self.set_remove(&root, &member)?,
                Delta::Counter { value } => {
                    let amount = value.wrapping_sub(self.counter_value(&root));
                    self.counter_add(&root, amount)?;
                }
            }
        }
        Ok(())
    }

    /// Who wrote what is in a text, from its start.
    pub fn authors(&self, name: &str) -> Vec<Written> {
        self.written(self.texts.get(name).into_iter().flat_map(|text| text.runs_from(0)))
    }

    /// Who wrote the elements of a list, from its start.
    pub fn list_authors(&self, name: &str) -> Vec<Written> {
        self.written(self.lists.get(name).into_iter().flat_map(|list| list.order.runs_from(0)))
    }

    fn written(&self, runs: impl Iterator<Item = (crate::text::span::Id, u32)>) -> Vec<Written> {
        let mut written: Vec<Written> = Vec::new();
        for (id, length) in runs {
            let (actor, length) = (self.actors[id.actor as usize], length as usize);
            match written.last_mut() {
                Some(last) if last.actor == actor => last.length += length,
                _ => written.push(Written { length, actor }),
            }
        }
        written
    }
}

/// Two states, and one that has all of both, whose order is that of either.
struct Comparison<'a> {
    before: &'a Document,
    after: &'a Document,
    both: &'a Document,
    unit: Unit,
}

impl Comparison<'_> {
    fn changes(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut add = |root: &str, delta: Delta| {
            changes.push(Change { root: root.to_owned(), origin: Origin::Remote, delta });
        };
        for name in self.both.text_names() {
            let steps = self.text(name);
            if !steps.is_empty() {
                add(name, Delta::Text(steps));
            }
        }
        for name in self.both.map_names() {
            let keys = self.before.map_entries(name).chain(self.after.map_entries(name)).map(|(key, _)| key);
            for key in keys.collect::<BTreeSet<_>>() {
                let (before, value) = (self.before.map_get(name, key), self.after.map_get(name, key));
                if before != value {
                    add(name, Delta::Map { key: key.to_owned(), value: value.cloned() });
                }
            }
        }
        for name in self.both.list_names() {
            let steps = self.list(name);
            if !steps.is_empty() {
                add(name, Delta::List(steps));
            }
        }
        for name in self.both.set_names() {
            let gone = self.before.set_members(name).filter(|member| !self.after.set_contains(name, member));
            gone.for_each(|member| add(name, Delta::Set { member, is_in: false }));
            let new = self.after.set_members(name).filter(|member| !self.before.set_contains(name, member));
            new.for_each(|member| add(name, Delta::Set { member, is_in: true }));
        }
        for name in self.both.counter_names() {
            let value = self.after.counter_value(name);
            if self.before.counter_value(name) != value {
                add(name, Delta::Counter { value });
            }
        }
        changes
    }

    /// The index in the document that has both of each actor of another one.
    fn actors(&self, of: &Document) -> Vec<u32> {
        of.actors.iter().map(|actor| self.both.index.get(actor).copied().unwrap_or(u32::MAX)).collect()
    }

    fn text(&self, name: &str) -> Vec<TextDelta> {
        let Some(both) = self.both.texts.get(name) else { return Vec::new() };
        let texts = [self.before, self.after];
        // All that each shows, with the last line's break, which is not in the text.
        let [mut old, mut new] = texts.map(|document| Shown { steps: document.text(name).to_delta().into(), at: 0 });
        let mut steps = Steps { list: Vec::new(), unit: self.unit };
        let [before, after] = texts.map(|document| (document.texts.get(name), self.actors(document)));
        compare(both, (before.0, &before.1), (after.0, &after.1), |step, count| match step {
            Step::Stays => steps.stay(&mut old, &mut new, count),
            Step::Goes => old.take(count, |text, _| steps.go(text)),
            Step::Comes => new.take(count, |text, attributes| steps.come(text, attributes)),
        });
        steps.stay(&mut old, &mut new, 1);
        let mut steps = steps.list;
        steps.pop_if(|step| matches!(step, TextDelta::Retain(_, attributes) if attributes.is_empty()));
        steps
    }

    fn list(&self, name: &str) -> Vec<ListDelta> {
        let Some(both) = self.both.lists.get(name) else { return Vec::new() };
        let mut values = self.after.list_values(name, 0).cloned();
        let mut steps = Vec::new();
        let [before, after] = [self.before, self.after]
            .map(|document| (document.lists.get(name).map(|list| &list.order), self.actors(document)));
        compare(&both.order, (before.0, &before.1), (after.0, &after.1), |step, count| {
            match (step, steps.last_mut()) {
                (Step::Stays, last) => {
                    values.by_ref().take(count).for_each(drop);
                    match last {
                        Some(ListDelta::Retain(last)) => *last += count,
                        _ => steps.push(ListDelta::Retain(count)),
                    }
                }
                (Step::Goes, Some(ListDelta::Delete(last))) => *last += count,
                (Step::Goes, _) => steps.push(ListDelta::Delete(count)),
                (Step::Comes, Some(ListDelta::Insert(last))) => last.extend(values.by_ref().take(count)),
                (Step::Comes, _) => steps.push(ListDelta::Insert(values.by_ref().take(count).collect())),
            }
        });
        steps.pop_if(|step| matches!(step, ListDelta::Retain(_)));
        steps
    }
}

/// A text as it is shown, taken off bit by bit.
struct Shown {
    /// Inserts alone.
    steps: VecDeque<TextDelta>,
    at: usize,
}

impl Shown {
    /// Takes so many scalars off the front: pieces, each with one set of attributes.
    fn take(&mut self, count: usize, mut each: impl FnMut(&str, &Attributes)) {
        let mut left = count;
        while left > 0
            && let Some(TextDelta::Insert(text, attributes)) = self.steps.front()
        {
            let rest = &text[self.at..];
            let end = rest.char_indices().nth(left).map_or(rest.len(), |(at, _)| at);
            each(&rest[..end], attributes);
            left -= rest[..end].chars().count();
            self.at += end;
            if self.at == text.len() {
                self.steps.pop_front();
                self.at = 0;
            }
        }
    }
}

/// Steps that are joined where they go on.
struct Steps {
    list: Vec<TextDelta>,
    unit: Unit,
}

impl Steps {
    fn stay(&mut self, old: &mut Shown, new: &mut Shown, count: usize) {
        let mut pieces = Vec::new();
        old.take(count, |text, attributes| pieces.push((text.chars().count(), attributes.clone())));
        for (length, before) in pieces {
            new.take(length, |text, after| {
                let mut changed = Attributes::new();
                for (key, value) in after.iter().filter(|&(key, value)| before.get(key) != Some(value)) {
                    changed.insert(key.clone(), value.clone());
                }
                for (key, _) in before.iter().filter(|&(key, _)| after.get(key).is_none()) {
                    changed.insert(key.clone(), Value::Null);
                }
                let length = self.unit.len(text);
                match self.list.last_mut() {
                    Some(TextDelta::Retain(last, attributes)) if *attributes == changed => *last += length,
                    _ => self.list.push(TextDelta::Retain(length, changed)),
                }
            });
        }
    }

    fn go(&mut self, text: &str) {
        let length = self.unit.len(text);
        match self.list.last_mut() {
            Some(TextDelta::Delete(last)) => *last += length,
            _ => self.list.push(TextDelta::Delete(length)),
        }
    }

    fn come(&mut self, text: &str, attributes: &Attributes) {
        match self.list.last_mut() {
            Some(TextDelta::Insert(last, shown)) if shown == attributes => last.push_str(text),
            _ => self.list.push(TextDelta::Insert(text.to_owned(), attributes.clone())),
        }
    }
}
