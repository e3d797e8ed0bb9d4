//! Damage at rest: a flipped bit, a lost tail, a zeroed sector, a missing file. What was acknowledged is there and
//! right, or an error names the file and the place.
//!
//! `INKWIRE_DAMAGES` is how many places of each file are damaged in each way (150), `INKWIRE_SEED` another seed.

mod support;

use std::sync::Arc;

use inkwire_storage::embedded::Options;
use inkwire_storage::{EmbeddedStore, Store, StoreError};
use support::Random;
use support::disk::SimulatedDisk;
use support::ledger::Ledger;

fn options() -> Options {
    Options { journal_bytes: 16 << 10, cache_bytes: 1 << 20, ..Options::default() }
}

fn open(disk: &SimulatedDisk) -> Result<Arc<EmbeddedStore>, StoreError> {
    EmbeddedStore::open_on(Arc::new(disk.clone()), &options()).map(Arc::new)
}

fn parameter(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().expect("a number"))
}

/// A store at rest, and what it acknowledged.
struct AtRest {
    disk: SimulatedDisk,
    ledger: Ledger,
}

/// Stores that ended in each way: closed, dropped, killed, and without power.
async fn at_rest(seed: u64) -> Vec<(&'static str, AtRest)> {
    let mut stores = Vec::new();
    for ending in ["closed", "dropped", "killed", "without power"] {
        let (disk, mut ledger, mut random) = (SimulatedDisk::new(), Ledger::default(), Random(seed));
        let store = open(&disk).unwrap_or_else(|error| panic!("{error}"));
        ledger.work(&store, &mut random, 60).await.unwrap_or_else(|error| panic!("{error}"));
        let disk = match ending {
            "closed" => {
                store.close().await;
                disk
            }
            "dropped" => {
                drop(store);
                disk
            }
            "killed" => {
                let disk = disk.after_kill();
                drop(store);
                disk
            }
            _ => {
                // Let the mark of the last group be durable, as it is after a moment of quiet.
                drop(store);
                disk.after_power_loss(&mut random)
            }
        };
        stores.push((ending, AtRest { disk: disk.after_kill(), ledger }));
    }
    stores
}

fn is_journal(file: &str) -> bool {
    file.starts_with("journal-")
}

/// What came of one damage.
#[derive(Debug, Eq, PartialEq)]
enum Outcome {
    Harmless,
    Reported,
}

impl AtRest {
    /// Whether opening reads all of `file`, whatever the threads got done before the end: the tables, and the newest
    /// journal, even one that is not begun. Older ones may be settled already and wait for their removal.
    fn reads(&self, file: &str) -> bool {
        let names = self.disk.names();
        file == "store.redb" || names.iter().filter(|name| is_journal(name)).max().is_some_and(|newest| newest == file)
    }

    /// Damages `file` and opens and reads the store.
    async fn damaged(&self, file: &str, context: &str, damage: impl FnOnce(&SimulatedDisk)) -> Outcome {
        let disk = self.disk.after_kill();
        damage(&disk);
        let read = async {
            let store = open(&disk)?;
            self.ledger.check(&store, context).await
        };
        match read.await {
            Ok(()) => Outcome::Harmless,
            Err(error @ (StoreError::Corrupt { .. } | StoreError::Format { .. })) => {
                let message = error.to_string();
                assert!(message.contains(file), "{context}: names another file: {message}");
                if let StoreError::Corrupt { place, reason, .. } = error {
                    assert!(!place.is_empty() && !reason.is_empty(), "{context}");
                }
                Outcome::Reported
            }
            Err(error) => panic!("{context}: {error}"),
        }
    }
}

#[tokio::test]
async fn damage_is_reported_with_its_file_or_harmless() {
    let places = parameter("INKWIRE_DAMAGES", 150);
    let seed = parameter("INKWIRE_SEED", 3);
    let mut random = Random(seed);
    for (ending, store) in at_rest(seed).await {
        for file in store.disk.names() {
            let bytes = store.disk.bytes(&file);
            let length = bytes.len() as u64;
            for kind in ["flipped bit", "zeroed sector", "lost tail"] {
                let (mut reported, mut harmless) = (0, 0);
                for place in 0..places {
                    // Evenly over the file, so that each part of it has its turn, and not always at the same alignment.
                    let at = (place * length / places + random.below(length / places + 1)).min(length - 1) as usize;
                    let context = format!("{ending}, {file}, {kind} at {at} of {length}, seed {seed}");
                    let mut damaged = bytes.clone();
                    match kind {
                        "flipped bit" => damaged[at] ^= 1 << random.below(8),
                        "zeroed sector" => {
                            let end = (at / 512 * 512 + 512).min(damaged.len());
                            damaged[at / 512 * 512..end].fill(0);
                        }
                        _ => damaged.truncate(at),
                    }
                    if damaged == bytes {
                        continue;
                    }
                    match store.damaged(&file, &context, |disk| disk.damage(&file, damaged)).await {
                        Outcome::Reported => reported += 1,
                        Outcome::Harmless => harmless += 1,
                    }
                }
                println!("{ending}, {file}, {kind}: {reported} reported, {harmless} harmless");
                assert!(reported > 0 || kind != "lost tail" || !store.reads(&file), "{ending}, {file}");
            }
        }
    }
}

#[tokio::test]
async fn a_missing_file_is_reported() {
    for (ending, store) in at_rest(5).await {
        let mut reported = Vec::new();
        for file in store.disk.names() {
            let context = format!("{ending}, {file} lost");
            if store.damaged(&file, &context, |disk| disk.lose(&file)).await == Outcome::Reported {
                reported.push(file);
            }
        }
        // Which journal it is depends on what the threads got done: one that is settled is not missed, nor is a spare.
        assert!(reported.iter().any(|file| file == "store.redb"), "{ending}: {reported:?}");
        assert!(reported.iter().any(|file| is_journal(file)), "{ending}: {reported:?}");
    }
}
