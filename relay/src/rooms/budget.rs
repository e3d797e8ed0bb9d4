//! How much memory all rooms together use, counted where it changes.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The budget where nobody set one and the machine does not say what it has.
const FALLBACK_BYTES: usize = 1 << 30;

/// From this part of the budget on, in percent, somebody pays; see [`governor`](super::governor).
pub(super) const FIRST_PERCENT: usize = 70;

/// The bytes that rooms use: tails, snapshots and what waits, counted at every step of a room, and what single members need,
/// counted about once a second.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    shared: AtomicUsize,
    members: AtomicUsize,
    /// Told when the first threshold is passed upwards.
    pub(super) pressed: Notify,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, shared: AtomicUsize::new(0), members: AtomicUsize::new(0), pressed: Notify::new() }
    }

    /// The most bytes that rooms may use before documents that are not open are refused.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The bytes that rooms use.
    pub fn used(&self) -> usize {
        self.shared.load(Ordering::Relaxed).saturating_add(self.members.load(Ordering::Relaxed))
    }

    /// Whether there is nothing left for a document that is not open.
    pub fn is_spent(&self) -> bool {
        self.used() >= self.limit
    }

    /// So much of the limit.
    pub(super) fn share(&self, percent: usize) -> usize {
        self.limit / 100 * percent
    }

    /// One room used `before` bytes and now uses `after`.
    pub(super) fn change(&self, before: usize, after: usize) {
        if after < before {
            self.shared.fetch_sub(before - after, Ordering::Relaxed);
        } else {
            self.shared.fetch_add(after - before, Ordering::Relaxed);
            if self.used() >= self.share(FIRST_PERCENT) {
                self.pressed.notify_one();
            }
        }
    }

    pub(super) fn set_members(&self, bytes: usize) {
        self.members.store(bytes, Ordering::Relaxed);
    }
}

/// Half of what the process may use: of its control group's limit or of the machine's memory, whichever is less. Rooms are not all
/// that a relay holds: connections have buffers, the store has caches.
pub fn default_limit() -> usize {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_memory(&text));
    let group =
        fs::read_to_string(Path::new("/sys/fs/cgroup/memory.max")).ok().and_then(|text| text.trim().parse().ok());
    let least = machine.into_iter().chain(group).min();
    least.map_or(FALLBACK_BYTES, |bytes: usize| bytes / 2).max(crate::settings::SMALLEST_MEMORY_BUDGET)
}

/// The first line of `/proc/meminfo`, in bytes.
fn total_memory(text: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_what_it_has() {
        assert_eq!(total_memory("MemTotal:       16316412 kB\nMemFree: 1 kB\n"), Some(16_316_412 << 10));
        assert_eq!(total_memory("nothing of it"), None);
        assert!(default_limit() >= crate::settings::SMALLEST_MEMORY_BUDGET);
    }

    #[test]
    fn what_is_given_back_is_used_no_more() {
        let budget = Budget::new(1_000);
        budget.change(0, 600);
        budget.set_members(300);
        assert!(!budget.is_spent());
        budget.change(0, 100);
        assert!(budget.is_spent());
        budget.change(600, 50);
        assert_eq!(budget.used(), 450);
    }
}
