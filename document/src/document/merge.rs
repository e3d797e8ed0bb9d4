//! Snapshots, whole and partial, out and in.

use bytes::Bytes;

use super::Document;
use super::revive::Revived;
use crate::change::Origin;
use crate::ids::{Actor, VersionVector};
use crate::ordered::OrderedMap;
use crate::snapshot::encode::encode;
use crate::snapshot::state::{ActorRange, Head, MapState, State, TextState, char_end};
use crate::snapshot::{MergeError, Snapshot, SnapshotError};
use crate::sorted::sort_by_key;
use crate::text::Text;
use crate::text::span::{Deletion, Id, Span};

/// Characters with one right origin that are to be integrated, and where their text begins.
pub(super) type Part = (Span, Head, usize);

impl Document {
    /// The encoded state with the version vector that it covers. Documents with equal states have equal snapshots,
    /// however they came about.
    pub fn snapshot(&self) -> Bytes {
        encode(&self.state())
    }

    /// What a replica at `have` lacks of this state, as a partial snapshot.
    pub fn difference(&self, have: &VersionVector) -> Bytes {
        encode(&self.state().difference(have))
    }

    /// Takes in a snapshot, whole or a difference. Batches that waited for what it brings are applied.
    ///
    /// # Errors
    /// When it is a difference to what this replica does not hold, or does not hold together. The document is as it was.
    pub fn merge(&mut self, snapshot: &Snapshot) -> Result<(), MergeError> {
        if snapshot.base().dots.iter().any(|(actor, &base)| self.version.get(actor) < base) {
            return Err(MergeError::Base);
        }
        self.merge_state(snapshot.state()?)?;
        Ok(())
    }

    /// All that both states have.
    pub(crate) fn merged_states(states: [State; 2]) -> Result<State, SnapshotError> {
        let mut document = Self::new();
        states.into_iter().try_for_each(|state| document.merge_state(state))?;
        Ok(document.state())
    }

    fn merge_state(&mut self, mut state: State) -> Result<(), SnapshotError> {
        let (orders, list_orders) = (self.order(&state)?, self.order_lists(&state)?);
        // From here on nothing fails.
        let table: Vec<u32> = state.actors.iter().map(|range| self.intern(range.actor)).collect();
        let moved = |id: Id| if id.is_none() { id } else { Id { actor: table[id.actor as usize], ..id } };
        for (text, order) in state.texts.iter_mut().zip(orders) {
            self.merge_text(text, order, &table, moved);
        }
        state.formats.iter().for_each(|format| self.merge_format(format, moved));
        self.show_built();
        for map in state.maps {
            for (key, register) in map.registers {
                self.write(&map.name, &key, register, Origin::Remote);
            }
        }
        self.merge_containers(state.containers, list_orders, &table, moved);
        let mut revived = Vec::new();
        for (id, kept) in state.kept {
            let id = moved(id);
            if id.counter > self.held[id.actor as usize] {
                let dot = (self.actors[id.actor as usize], id.counter);
                match Revived::new(dot, kept) {
                    Ok(known) => revived.push(known),
                    Err(kept) => drop(self.kept.insert(dot, kept)),
                }
            }
        }
        let mut grown = Vec::new();
        for (range, &index) in state.actors.iter().zip(&table) {
            if range.version > self.held[index as usize] {
                self.hold(index, range.version);
                grown.push(range.actor);
            }
        }
        self.revive(revived);
        if let Some(local) = &mut self.local {
            local.next = local.next.max(u64::from(self.held[local.index as usize]) + 1);
        }
        if !self.early.is_empty() {
            grown.into_iter().for_each(|actor| self.release(actor));
        }
        Ok(())
    }

    /// All of it, with the actors in order.
    fn state(&self) -> State {
        // What others see of an edit is not added to any more.
        self.transaction.seal();
        let mut actors: Vec<(Actor, u32)> = self.index.iter().map(|(&actor, &index)| (actor, index)).collect();
        actors.retain(|&(_, index)| self.held[index as usize] > 0);
        let mut indices = vec![u32::MAX; self.actors.len()];
        for (new, &(_, old)) in actors.iter().enumerate() {
            indices[old as usize] = new as u32;
        }
        let moved = |id: Id| if id.is_none() { id } else { Id { actor: indices[id.actor as usize], ..id } };
        let mut state = State {
            is_whole: true,
            actors: actors
                .iter()
                .map(|&(actor, index)| ActorRange { actor, base: 0, version: self.held[index as usize] })
                .collect(),
            ..State::default()
        };
        let text_state = |name: &str, text: &Text| {
            let mut text = text.state(name);
            text.renumber(moved);
            let mut jumps = vec![Vec::new(); actors.len()];
            for (old, list) in std::mem::take(&mut text.jumps).into_iter().enumerate() {
                if !list.is_empty() {
                    jumps[indices[old] as usize] = list;
                }
            }
            text.jumps = jumps;
            text
        };
        for (name, text) in self.texts.iter().filter(|(_, text)| !text.is_unwritten()) {
            state.texts.push(text_state(name, text));
        }
        state.containers = self.containers_state(text_state, moved);
        for (name, map) in &self.maps {
            let registers = map.registers().map(|(key, register)| (key.into(), register.clone())).collect();
            state.maps.push(MapState { name: name.clone(), registers });
        }
        state.formats = self.format_states(moved);
        for (&(actor, counter), kept) in &self.kept {
            let actor = self.index.get(&actor).map_or(u32::MAX, |&index| indices[index as usize]);
            state.kept.push((Id { actor, counter }, kept.clone()));
        }
        state
    }

    /// For each text that is not to be built at once, an order of the characters that this replica lacks in which each comes after its origins.
    fn order(&self, state: &State) -> Result<Vec<Option<Vec<Part>>>, SnapshotError> {
        let held: Vec<u32> = state.actors.iter().map(|range| self.held(range.actor)).collect();
        state.texts.iter().map(|text| self.order_text(state, text, self.texts.get(&text.name), &held)).collect()
    }

    /// The same for a text, or a list's sequence, of which this much is known.
    pub(super) fn order_text(
        &self,
        state: &State,
        text: &TextState,
        known: Option<&Text>,
        held: &[u32],
    ) -> Result<Option<Vec<Part>>, SnapshotError> {
        let known = known.filter(|text| !text.is_unwritten());
        if known.is_none() && state.is_whole {
            return Ok(None);
        }
        // Per actor, what is lacked, by counters.
        let mut queues: OrderedMap<u32, Vec<Part>> = OrderedMap::new();
        let (mut at, is_ascii) = (0, text.text.is_ascii());
        for (span, head) in text.parts() {
            let visible = span.visible() as usize;
            let skip = (held[span.id.actor as usize] + 1).saturating_sub(span.id.counter).min(span.len());
            let skipped = char_end(&text.text[at..], is_ascii, if visible == 0 { 0 } else { skip as usize });
            if skip < span.len() {
                let left = if skip == 0 { head.left } else { span.id.plus(skip - 1) };
                let part = span.part(skip, span.len());
                queues.entry(span.id.actor).or_default().push((part, Head { left, ..head }, at + skipped));
            }
            at += char_end(&text.text[at..], is_ascii, visible);
        }
        queues.values_mut().for_each(|queue| sort_by_key(queue, |part| part.0.id.counter));
        let mut sorter = Sorter { queues, next: OrderedMap::new(), order: Vec::new() };
        let is_known = |id: Id| {
            let Some(&actor) = self.index.get(&state.actors[id.actor as usize].actor) else { return false };
            known.is_some_and(|text| text.has(Id { actor, ..id }))
        };
        sorter.sort(is_known)?;
        Ok(Some(sorter.order))
    }

    fn merge_text(&mut self, text: &mut TextState, order: Option<Vec<Part>>, table: &[u32], moved: impl Fn(Id) -> Id) {
        let Some(order) = order else {
            let mut built = self.build(text, table, moved);
            // What was unwritten may have had a line with attributes.
            built.format = self.texts.get_mut(&text.name).and_then(|text| text.format.take());
            // What it shows is known when its formatting has come; what an observer knows of it already changes before.
            built.splices = (self.observes && built.format.is_some()).then(|| built.as_splices());
            self.texts.insert(text.name.clone(), built);
            self.collect_text(&text.name, Origin::Remote);
            return;
        };
        let deletions = self.deletions(text, &moved);
        let content = std::mem::take(&mut text.text);
        let is_ascii = content.is_ascii();
        self.with_text(&text.name, |state, actors| {
            for (span, head, at) in order {
                let text = &content[at..];
                let text = &text[..char_end(text, is_ascii, span.visible() as usize)];
                let deletion = Deletion { dot: moved(span.deletion().dot), ..span.deletion() };
                let span = Span::new(moved(span.id), span.len(), deletion);
                state.integrate(actors, span, text, moved(head.left), moved(head.right));
            }
            state.delete_all(actors, &deletions);
        });
    }
}

impl Document {
    /// A text, or a list's sequence, from a whole state.
    pub(super) fn build(&self, text: &mut TextState, table: &[u32], moved: impl Fn(Id) -> Id) -> Text {
        if table.iter().enumerate().any(|(old, &new)| old != new as usize) {
            text.renumber(&moved);
        }
        let mut jumps = vec![Vec::new(); self.actors.len()];
        for (list, &index) in std::mem::take(&mut text.jumps).into_iter().zip(table) {
            jumps[index as usize] = list;
        }
        text.jumps = jumps;
        Text::from_state(text)
    }

    /// Deletions of what was held already.
    pub(super) fn deletions(&self, text: &mut TextState, moved: impl Fn(Id) -> Id) -> Vec<(Id, u32, Deletion)> {
        let mut deletions = Vec::new();
        for &span in &text.spans {
            let held = self.held[moved(span.id).actor as usize];
            let known = (held + 1).saturating_sub(span.id.counter).min(span.len());
            if known > 0 && !span.is_visible() {
                let part = span.part(0, known);
                deletions.push((part.id, part.len(), part.deletion()));
            }
        }
        deletions.append(&mut text.deletions);
        for (id, _, deletion) in &mut deletions {
            (*id, deletion.dot) = (moved(*id), moved(deletion.dot));
        }
        deletions
    }
}

/// Sorts parts so that each comes after its origins and after its actor's earlier ones.
struct Sorter {
    queues: OrderedMap<u32, Vec<Part>>,
    /// How much of each queue is in order already.
    next: OrderedMap<u32, usize>,
    order: Vec<Part>,
}

impl Sorter {
    fn sort(&mut self, is_known: impl Fn(Id) -> bool) -> Result<(), SnapshotError> {
        let actors: Vec<u32> = self.queues.keys().copied().collect();
        for actor in actors {
            // Actors whose next part waits for the one above.
            let mut stack = vec![actor];
            let mut waiting = OrderedMap::from([(actor, ())]);
            while let Some(&actor) = stack.last() {
                let next = self.next.get(&actor).copied().unwrap_or(0);
                let Some(&part) = self.queues[&actor].get(next) else {
                    stack.pop();
                    waiting.remove(&actor);
                    continue;
                };
                match self.lacks(&part, &is_known)? {
                    Some(other) if waiting.insert(other, ()).is_some() => {
                        return Err(SnapshotError::Malformed("origins go round in a circle"));
                    }
                    Some(other) => stack.push(other),
                    None => {
                        self.next.insert(actor, next + 1);
                        self.order.push(part);
                        // Whoever waited for it looks again at once.
                        if stack.len() > 1 {
                            stack.pop();
                            waiting.remove(&actor);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The actor of an origin that is not in order yet.
    fn lacks(&self, part: &Part, is_known: impl Fn(Id) -> bool) -> Result<Option<u32>, SnapshotError> {
        for id in [part.1.left, part.1.right] {
            if id.is_none() || is_known(id) {
                continue;
            }
            let queue = self.queues.get(&id.actor).map_or(&[][..], |queue| queue);
            let after = queue.partition_point(|part| part.0.id.counter <= id.counter);
            let at = after.checked_sub(1).filter(|&at| queue[at].0.contains(id));
            let Some(at) = at else { return Err(SnapshotError::Malformed("an origin is not there")) };
            if at >= self.next.get(&id.actor).copied().unwrap_or(0) {
                return Ok(Some(id.actor));
            }
        }
        Ok(None)
    }
}
