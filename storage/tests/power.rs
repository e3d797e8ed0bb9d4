//! Power cuts and failed syncs: nothing acknowledged is lost or wrong.
//!
//! `INKWIRE_CUT_POINTS` is how many cut points the first test takes (1,000), `INKWIRE_SEED` another seed.

mod support;

use std::sync::Arc;

use inkwire_storage::embedded::Options;
use inkwire_storage::{EmbeddedStore, Store, StoreError};
use support::disk::SimulatedDisk;
use support::ledger::Ledger;
use support::{Random, append, document};

/// Small journals, so that a short life sees them filled, settled and removed.
fn options() -> Options {
    Options { journal_bytes: 16 << 10, cache_bytes: 1 << 20, ..Options::default() }
}

fn open(disk: &SimulatedDisk) -> Result<Arc<EmbeddedStore>, StoreError> {
    EmbeddedStore::open_on(Arc::new(disk.clone()), &options()).map(Arc::new)
}

fn parameter(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().expect("a number"))
}

/// One life of a store: opened, worked on, and closed if the power lasts; what it acknowledged is in the ledger.
async fn live(disk: &SimulatedDisk, ledger: &mut Ledger, random: &mut Random, steps: u64, context: &str) {
    let Ok(store) = open(disk) else { return };
    if ledger.check(&store, context).await.is_err() {
        return;
    }
    if ledger.work(&store, random, steps).await.is_ok() && random.chance(50) {
        store.close().await;
    }
}

#[tokio::test]
async fn a_power_cut_at_any_moment_loses_nothing_acknowledged() {
    let cut_points = parameter("INKWIRE_CUT_POINTS", 1_000);
    let seed = parameter("INKWIRE_SEED", 1);
    // How long a life without a cut is.
    let whole = SimulatedDisk::new();
    live(&whole, &mut Ledger::default(), &mut Random(seed), 60, "whole").await;
    let operations = whole.operations();
    assert!(operations > 300, "{operations}");

    for point in 0..cut_points {
        let mut random = Random(seed.wrapping_add(point));
        let mut ledger = Ledger::default();
        let mut disk = SimulatedDisk::new();
        // The first life ends at this point, two more wherever it happens, also while opening.
        let cuts = [1 + point * operations / cut_points, 1 + random.below(operations), 1 + random.below(60)];
        for (life, cut) in cuts.into_iter().enumerate() {
            let context = format!("cut point {point} of {cut_points}, life {life}, cut at {cut}, seed {seed}");
            disk.cut_at(cut);
            live(&disk, &mut ledger, &mut random, 60, &context).await;
            disk.cut_now();
            disk = disk.after_power_loss(&mut random);
            let store = open(&disk).unwrap_or_else(|error| panic!("{context}: {error}"));
            ledger.check(&store, &context).await.unwrap_or_else(|error| panic!("{context}: {error}"));
            drop(store);
            disk = disk.after_kill();
        }
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_acknowledged() {
    for seed in 0..60 {
        let mut random = Random(seed);
        let mut ledger = Ledger::default();
        let mut disk = SimulatedDisk::new();
        for life in 0..4 {
            let context = format!("seed {seed}, life {life}");
            disk.cut_at(1 + random.below(400));
            live(&disk, &mut ledger, &mut random, 40, &context).await;
            disk = disk.after_kill();
        }
        let store = open(&disk).unwrap();
        ledger.check(&store, &format!("seed {seed}")).await.unwrap();
    }
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_written_until_it_is_reopened_and_nothing_is_lost() {
    let whole = SimulatedDisk::new();
    live(&whole, &mut Ledger::default(), &mut Random(7), 60, "whole").await;
    let syncs = whole.syncs();
    assert!(syncs > 60, "{syncs}");

    for failing in 1..=syncs {
        let context = format!("sync {failing} of {syncs} failed");
        let mut random = Random(7);
        let mut ledger = Ledger::default();
        let disk = SimulatedDisk::new();
        disk.fail_sync(failing);
        if let Ok(store) = open(&disk) {
            if let Err(error) = ledger.work(&store, &mut random, 60).await {
                assert!(matches!(&error, StoreError::ReadOnly { .. }), "{context}: {error}");
                for _ in 0..3 {
                    let refused = store.append(vec![append(1, 99, 1, 1)]).await;
                    assert!(matches!(&refused, Err(StoreError::ReadOnly { .. })), "{context}: {refused:?}");
                    let health = store.health().await;
                    assert!(matches!(&health, Err(StoreError::ReadOnly { .. })), "{context}: {health:?}");
                }
                // What was acknowledged can be read.
                ledger.check(&store, &context).await.unwrap_or_else(|error| panic!("{context}: {error}"));
            }
            store.close().await;
        }
        // Another process finds the page cache as it is, which the disk is not.
        let disk = disk.after_kill();
        let store = open(&disk).unwrap_or_else(|error| panic!("{context}, reopened: {error}"));
        ledger.check(&store, &context).await.unwrap_or_else(|error| panic!("{context}, reopened: {error}"));
        // What it is told now is as durable as ever.
        let seen = store.load(&document(1)).await.unwrap();
        ledger.work(&store, &mut random, 10).await.unwrap();
        disk.cut_now();
        drop(store);
        let disk = disk.after_power_loss(&mut random);
        let store = open(&disk).unwrap_or_else(|error| panic!("{context}, after the power cut: {error}"));
        ledger.check(&store, &context).await.unwrap_or_else(|error| panic!("{context}, after the cut: {error}"));
        // What a load gave was durable too, acknowledged or not.
        let kept = store.load(&document(1)).await.unwrap();
        let covered = kept.snapshot.map(|snapshot| snapshot.version).unwrap_or_default();
        for record in seen.records {
            let is_covered = record.batch.last() <= covered.get(&record.batch.actor);
            assert!(is_covered || kept.records.contains(&record), "{context}: was read, and is gone");
        }
    }
}
