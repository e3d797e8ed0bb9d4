//! Who pays when memory is short.
//!
//! | from | who | how |
//! |---|---|---|
//! | 70 % | rooms that nobody has open, the longest empty first | they are unloaded at once |
//! | 75 % | rooms with the longest durable tails | folded early |
//! | 80 % | the readers for whom most is kept | they lose their place and are brought up to date later |
//! | 90 % | rooms with the most that is not durable | they take no batches until it is 80 % again |
//! | 100 % | documents that are not open | `overloaded`, come back later |
//!
//! Each pays only what those before it cannot. The last rule is where rooms are loaded.

use std::sync::{Arc, Weak};
use std::time::Duration;

use inkwire_protocol::room::Usage;
use tokio::time::Instant;

use super::budget::FIRST_PERCENT;
use super::{RoomHandle, Rooms};

const FOLD_PERCENT: usize = 75;
const READERS_PERCENT: usize = 80;
const WRITERS_PERCENT: usize = 90;

/// How often everything is looked at; what grows quickly has it looked at sooner.
const INTERVAL: Duration = Duration::from_secs(1);

/// The least time between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// A shorter durable tail is not worth a fold, however short memory is.
const LEAST_FOLD_BYTES: usize = 32 << 10;

/// What is known of one room.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    usage: Usage,
    /// Since when nobody has it open.
    empty_since: Option<Instant>,
    paused: bool,
}

impl Seen {
    fn bytes(&self) -> usize {
        self.usage.tail_bytes + self.usage.snapshot_bytes + self.usage.waiting_bytes + self.usage.members_bytes()
    }

    fn durable_tail(&self) -> usize {
        self.usage.tail_bytes.saturating_sub(self.usage.kept_bytes + self.usage.undurable_bytes)
    }
}

/// What one room, by its index, is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Payment {
    Unload(usize),
    Fold(usize),
    Readers(usize),
    Pause(usize),
    Resume(usize),
}

/// Who pays what when `used` bytes of `limit` are used.
fn payments(limit: usize, mut used: usize, rooms: &[Seen]) -> Vec<Payment> {
    let share = |percent: usize| limit / 100 * percent;
    let mut due = Vec::new();
    // The indices of those that have something to give, the first to pay first.
    let payers = |amount: &dyn Fn(&Seen) -> usize| {
        let mut payers: Vec<(usize, usize)> =
            rooms.iter().map(amount).enumerate().filter(|(_, bytes)| *bytes > 0).collect();
        payers.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        payers
    };
    // One that has something on its way to the store cannot go.
    let may_go = rooms.iter().enumerate().filter(|(_, room)| room.usage.undurable_bytes == 0);
    let mut empty: Vec<(Instant, usize)> =
        may_go.filter_map(|(index, room)| Some((room.empty_since?, index))).collect();
    empty.sort();
    for (_, index) in empty {
        if used > share(FIRST_PERCENT) {
            due.push(Payment::Unload(index));
            used = used.saturating_sub(rooms[index].bytes());
        }
    }
    // What a fold gives back is known when it is done: nobody after it is spared for it.
    let mut over = used.saturating_sub(share(FOLD_PERCENT));
    for (index, bytes) in payers(&|room| room.durable_tail()) {
        if over > 0 && bytes >= LEAST_FOLD_BYTES && rooms[index].empty_since.is_none() {
            due.push(Payment::Fold(index));
            over = over.saturating_sub(bytes);
        }
    }
    for (index, bytes) in payers(&|room| room.usage.kept_bytes + room.usage.pinned_bytes) {
        if used > share(READERS_PERCENT) {
            due.push(Payment::Readers(index));
            used = used.saturating_sub(bytes);
        }
    }
    let mut over = used.saturating_sub(share(WRITERS_PERCENT));
    for (index, bytes) in payers(&|room| room.usage.undurable_bytes) {
        if over > 0 {
            if !rooms[index].paused {
                due.push(Payment::Pause(index));
            }
            over = over.saturating_sub(bytes);
        }
    }
    if used < share(READERS_PERCENT) {
        due.extend(rooms.iter().enumerate().filter(|(_, room)| room.paused).map(|(index, _)| Payment::Resume(index)));
    }
    due
}

/// Watches over the memory of all rooms until the registry is gone.
pub(super) async fn run(rooms: Weak<Rooms>) {
    loop {
        let Some(registry) = rooms.upgrade() else { return };
        look(&registry);
        let budget = Arc::clone(registry.budget());
        // It must not live on for the one who watches over it.
        drop(registry);
        let _either = tokio::time::timeout(INTERVAL, budget.pressed.notified()).await;
        tokio::time::sleep(PAUSE).await;
    }
}

fn look(registry: &Rooms) {
    let rooms = registry.loaded();
    let mut sum = Usage::default();
    let mut seen = Vec::with_capacity(rooms.len());
    for (room, empty_since) in &rooms {
        let (usage, paused, drops) = room.survey();
        registry.metrics().count_drops(drops);
        add(&mut sum, &usage);
        seen.push(Seen { usage, empty_since: *empty_since, paused });
    }
    let budget = registry.budget();
    budget.set_members(sum.members_bytes());
    registry.metrics().set_room_bytes(&sum, budget.used());
    for payment in payments(budget.limit(), budget.used(), &seen) {
        pay(registry, &rooms, payment);
    }
}

fn pay(registry: &Rooms, rooms: &[(Arc<RoomHandle>, Option<Instant>)], payment: Payment) {
    let payers = &registry.metrics().relief;
    let (index, counter, what) = match payment {
        Payment::Unload(index) => (index, Some(&payers.rooms), "is unloaded early"),
        Payment::Fold(index) => (index, Some(&payers.folds), "is folded early"),
        Payment::Readers(index) => (index, Some(&payers.readers), "has slow readers that lose their place"),
        Payment::Pause(index) => (index, Some(&payers.writers), "takes no batches for now"),
        Payment::Resume(index) => (index, None, "takes batches again"),
    };
    let room = &rooms[index].0;
    let paid = match payment {
        Payment::Unload(_) => room.leave_early(),
        Payment::Fold(_) => room.fold_early(),
        Payment::Readers(_) => room.shed_readers() > 0,
        Payment::Pause(_) => room.set_paused(true),
        Payment::Resume(_) => room.set_paused(false),
    };
    if paid {
        if let Some(counter) = counter {
            counter.increment(1);
        }
        tracing::info!(document = %room.key, "memory is short or no longer: a document {what}");
    }
}

fn add(sum: &mut Usage, usage: &Usage) {
    let Usage {
        members,
        tail_bytes,
        undurable_bytes,
        kept_bytes,
        waiting_bytes,
        presence_bytes,
        snapshot_bytes,
        pinned_bytes,
        queued_bytes,
        known_bytes,
    } = usage;
    sum.members += members;
    sum.tail_bytes += tail_bytes;
    sum.undurable_bytes += undurable_bytes;
    sum.kept_bytes += kept_bytes;
    sum.waiting_bytes += waiting_bytes;
    sum.presence_bytes += presence_bytes;
    sum.snapshot_bytes += snapshot_bytes;
    sum.pinned_bytes += pinned_bytes;
    sum.queued_bytes += queued_bytes;
    sum.known_bytes += known_bytes;
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    /// Two empty rooms, one with slow readers, two with writers; 100 MiB in all.
    fn rooms() -> Vec<Seen> {
        let start = Instant::now();
        let of = |usage| Seen { usage, ..Seen::default() };
        let empty = |millis, snapshot_bytes| Seen {
            empty_since: Some(start + Duration::from_millis(millis)),
            ..of(Usage { snapshot_bytes, ..Usage::default() })
        };
        vec![
            empty(5, 10 * MIB),
            empty(0, 10 * MIB),
            of(Usage { tail_bytes: 20 * MIB, kept_bytes: 10 * MIB, pinned_bytes: 10 * MIB, ..Usage::default() }),
            of(Usage { tail_bytes: 10 * MIB, undurable_bytes: 10 * MIB, ..Usage::default() }),
            of(Usage { tail_bytes: 40 * MIB, undurable_bytes: 20 * MIB, ..Usage::default() }),
        ]
    }

    #[test]
    fn each_pays_only_what_those_before_cannot() {
        use Payment::*;
        let used = 100 * MIB;
        let cases: [(usize, &[Payment]); 7] = [
            (200, &[]),
            // 70 % of 130 are 91.
            (130, &[Unload(1)]),
            (115, &[Unload(1), Unload(0)]),
            (105, &[Unload(1), Unload(0), Fold(4)]),
            // 75 % of 90 are 67.5, 80 % are 72.
            (90, &[Unload(1), Unload(0), Fold(4), Readers(2)]),
            (65, &[Unload(1), Unload(0), Fold(4), Fold(2), Readers(2), Pause(4)]),
            (40, &[Unload(1), Unload(0), Fold(4), Fold(2), Readers(2), Pause(4), Pause(3)]),
        ];
        for (limit, expected) in cases {
            assert_eq!(payments(limit * MIB, used, &rooms()), expected, "{limit} MiB");
        }
    }

    #[test]
    fn a_room_that_cannot_go_spares_nobody() {
        let mut rooms = rooms();
        for room in &mut rooms[..2] {
            room.usage = Usage { tail_bytes: 10 * MIB, undurable_bytes: 10 * MIB, ..Usage::default() };
        }
        let due = payments(100 * MIB, 100 * MIB, &rooms);
        assert_eq!(due, [Payment::Fold(4), Payment::Fold(2), Payment::Readers(2)]);
    }

    #[test]
    fn who_was_paused_goes_on_when_there_is_room() {
        let mut rooms = rooms();
        rooms[4].paused = true;
        assert_eq!(payments(200 * MIB, 100 * MIB, &rooms), [Payment::Resume(4)]);
        let due = payments(40 * MIB, 100 * MIB, &rooms);
        assert!(!due.contains(&Payment::Pause(4)) && !due.contains(&Payment::Resume(4)), "{due:?}");
    }
}
