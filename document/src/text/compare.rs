//! Two states of a text, each of which is part of a third one.

use super::Text;
use super::span::{Id, Span};
use super::tree::NOWHERE;

/// What becomes of visible characters from the first state to the second.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Step {
    Stays,
    Goes,
    Comes,
}

/// A state, and what its indices of actors are in the text that has both.
type Side<'a> = (Option<&'a Text>, &'a [u32]);

impl Text {
    /// All spans in order.
    fn spans(&self) -> impl Iterator<Item = Span> + use<'_> {
        let mut next = 0;
        let leaves = std::iter::from_fn(move || {
            let leaf = self.leaves.get(next as usize).filter(|_| next != NOWHERE)?;
            next = leaf.next;
            Some(leaf)
        });
        leaves.flat_map(|leaf| leaf.spans.iter().copied())
    }
}

/// Visible runs that are taken off bit by bit.
struct Runs<I> {
    runs: I,
    head: Option<(Id, u32)>,
}

impl<I: Iterator<Item = (Id, u32)>> Runs<I> {
    /// How many of the characters from `id` on are in it, or, if the first is not, how many are not.
    fn reach(&self, id: Id, length: u32) -> (bool, u32) {
        match self.head {
            Some((head, count)) if head == id => (true, count.min(length)),
            Some((head, _)) if head.actor == id.actor && head.counter > id.counter => {
                (false, (head.counter - id.counter).min(length))
            }
            _ => (false, length),
        }
    }

    fn take(&mut self, count: u32) {
        self.head = match self.head {
            Some((id, left)) if left > count => Some((id.plus(count), left - count)),
            _ => self.runs.next(),
        };
    }
}

fn runs<'a>((text, actors): Side<'a>) -> Runs<impl Iterator<Item = (Id, u32)> + use<'a>> {
    let of_all = |(id, length): (Id, u32)| (Id { actor: actors[id.actor as usize], ..id }, length);
    let mut runs = text.into_iter().flat_map(|text| text.runs_from(0)).map(of_all);
    Runs { head: runs.next(), runs }
}

/// Goes through a text that has all of two states, in its order, and says of the characters that are visible in one of them
/// what becomes of them, and how many they are.
pub(crate) fn compare(both: &Text, before: Side<'_>, after: Side<'_>, mut each: impl FnMut(Step, usize)) {
    let (mut before, mut after) = (runs(before), runs(after));
    for span in both.spans() {
        let mut offset = 0;
        while offset < span.len() {
            let (id, left) = (span.id.plus(offset), span.len() - offset);
            let (was, reach) = before.reach(id, left);
            let (is, count) = after.reach(id, reach);
            if was {
                before.take(count);
            }
            if is {
                after.take(count);
            }
            match (was, is) {
                (true, true) => each(Step::Stays, count as usize),
                (true, false) => each(Step::Goes, count as usize),
                (false, true) => each(Step::Comes, count as usize),
                (false, false) => {}
            }
            offset += count;
        }
    }
}
