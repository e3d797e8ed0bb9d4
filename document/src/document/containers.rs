//! Lists, sets and counters of snapshots, out and in.

use bytes::Bytes;

use super::Document;
use super::lists::read_value;
use super::merge::Part;
use crate::change::Origin;
use crate::list::List;
use crate::messagepack::Writer;
use crate::set::GoneRun;
use crate::snapshot::SnapshotError;
use crate::snapshot::containers::{Containers, CounterState, ListState, SetState};
use crate::snapshot::state::{State, TextState};
use crate::sorted::sort_by_key;
use crate::text::Text;
use crate::text::span::{Deletion, Id, Span};
use crate::value::Value;

impl Document {
    /// All of them, by the indices that a snapshot's actors have: `moved` says which.
    pub(super) fn containers_state(
        &self,
        text_state: impl Fn(&str, &Text) -> TextState,
        moved: impl Fn(Id) -> Id,
    ) -> Containers {
        let mut containers = Containers::default();
        for (name, list) in self.lists.iter().filter(|(_, list)| !list.is_unwritten()) {
            let mut state = ListState { text: text_state(name, &list.order), ..ListState::default() };
            list.values_from(0).for_each(|value| state.values.push_with(|out| value.write(&mut Writer(out))));
            containers.lists.push(state);
        }
        for (name, set) in &self.sets {
            let mut state = SetState { name: name.clone(), ..SetState::default() };
            let mut additions: Vec<(Id, &Bytes)> = set.additions().map(|(id, member)| (moved(id), member)).collect();
            sort_by_key(&mut additions, |&(id, _)| id);
            for (id, member) in additions {
                state.additions.push(id);
                state.members.push(member);
            }
            let mut gone: Vec<GoneRun> = set.gone().map(|run| run.renumbered(&moved)).collect();
            sort_by_key(&mut gone, |run| run.span.id);
            gone.into_iter().for_each(|run| state.push_gone(run));
            containers.sets.push(state);
        }
        for (name, counter) in &self.counters {
            let index = |actor| self.index.get(&actor).copied().unwrap_or(0);
            let shares =
                counter.shares().map(|(actor, share)| (moved(Id { actor: index(actor), counter: 1 }).actor, share));
            containers.counters.push(CounterState { name: name.clone(), shares: shares.collect() });
        }
        containers
    }

    /// For each list what [`order_text`](Self::order_text) says of its sequence.
    pub(super) fn order_lists(&self, state: &State) -> Result<Vec<Option<Vec<Part>>>, SnapshotError> {
        let held: Vec<u32> = state.actors.iter().map(|range| self.held(range.actor)).collect();
        let order = |list: &ListState| {
            let known = self.lists.get(&list.text.name).map(|list| &list.order);
            self.order_text(state, &list.text, known, &held)
        };
        state.containers.lists.iter().map(order).collect()
    }

    pub(super) fn merge_containers(
        &mut self,
        containers: Containers,
        list_orders: Vec<Option<Vec<Part>>>,
        table: &[u32],
        moved: impl Fn(Id) -> Id,
    ) {
        for (list, order) in containers.lists.into_iter().zip(list_orders) {
            self.merge_list(list, order, table, &moved);
        }
        for set in containers.sets {
            self.merge_set(&set, &moved);
        }
        for counter in containers.counters {
            for (actor, share) in counter.shares {
                let index = table[actor as usize] as usize;
                if share.last > self.held[index] {
                    self.merge_share(&counter.name, self.actors[index], share);
                }
            }
        }
    }

    fn merge_list(&mut self, list: ListState, order: Option<Vec<Part>>, table: &[u32], moved: impl Fn(Id) -> Id) {
        let ListState { mut text, values } = list;
        let read = |from: usize, count: u32| -> Vec<Value> {
            (from..from + count as usize).map(|index| read_value(values.get(index))).collect()
        };
        let Some(order) = order else {
            let order = self.build(&mut text, table, moved);
            let mut built = List::from_parts(order, (0..values.len()).map(|index| read_value(values.get(index))));
            built.order.splices = self.observes.then(|| built.order.as_splices());
            self.lists.insert(text.name.clone(), built);
            self.collect_list(&text.name, Origin::Remote);
            return;
        };
        let deletions = self.deletions(&mut text, &moved);
        for (span, head, at) in order {
            let deletion = Deletion { dot: moved(span.deletion().dot), ..span.deletion() };
            let new = Span::new(moved(span.id), span.len(), deletion);
            // One placeholder is one byte: where its text begins is which value it is.
            let values = read(at, span.visible());
            let (left, right) = (moved(head.left), moved(head.right));
            self.with_list(&text.name, Origin::Remote, |list, actors| list.integrate(actors, new, left, right, values));
        }
        self.with_list(&text.name, Origin::Remote, |list, actors| {
            deletions.into_iter().for_each(|(id, length, deletion)| list.delete(actors, id, length, deletion));
        });
    }

    fn merge_set(&mut self, set: &SetState, moved: impl Fn(Id) -> Id) {
        for (index, &id) in set.additions.iter().enumerate() {
            let id = moved(id);
            if id.counter > self.held[id.actor as usize] {
                let member = Bytes::copy_from_slice(set.members.get(index));
                self.add_member(&set.name, id, member, Origin::Remote);
            }
        }
        // After them: who adds again what is there has not removed it.
        for &run in &set.gone {
            let run = run.renumbered(&moved);
            let (id, length) = (run.span.id, run.span.len());
            let known = (self.held[id.actor as usize] + 1).saturating_sub(id.counter).min(length);
            if known > 0 {
                self.remove_run(&set.name, run.part(0, known), Origin::Remote);
            }
            if known < length {
                self.sets.entry(set.name.clone()).or_default().insert_gone(run.part(known, length));
            }
        }
    }
}
