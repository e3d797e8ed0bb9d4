//! How long opening takes, with and without reading every page, after a clean close and after a process that died.

use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use inkwire_document::{Actor, VersionVector};
use inkwire_protocol::record::ActorRecord;
use inkwire_storage::embedded::Options;
use inkwire_storage::{DocumentKey, EmbeddedStore, Store};

use crate::row::{Row, document_name};

const SNAPSHOT_BYTES: usize = 256 * 1024;

pub fn run(directory: &Path, mebibytes: u64) {
    let scratch = tempfile::tempdir_in(directory).expect("a scratch directory");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let documents = mebibytes * 4;
    let store = EmbeddedStore::open(scratch.path(), &Options::default()).expect("the store opens");
    runtime.block_on(async {
        for document in 0..documents {
            let key = DocumentKey::new(document_name(document), 0);
            let mut version = VersionVector::new();
            version.dots.insert(Actor(1), 1);
            let bytes = Bytes::from(vec![document as u8; SNAPSHOT_BYTES]);
            store.commit_snapshot(&key, bytes, version, vec![ActorRecord { actor: Actor(1), subject: "someone".into(), chain: None }]).await.expect("committed");
        }
        store.close().await;
    });
    drop(store);

    println!("| the process before | pages checked | open ms | one document ms |");
    println!("|---|---|---:|---:|");
    for (ending, close) in [("closed it", true), ("left 20,000 rows in the journal", false)] {
        for verify in [true, false] {
            let options = Options { verify, ..Options::default() };
            let before = Instant::now();
            let store = EmbeddedStore::open(scratch.path(), &options).expect("the store opens");
            let opened = before.elapsed();
            let before = Instant::now();
            let loaded = runtime.block_on(store.load(&DocumentKey::new(document_name(documents / 2), 0)));
            assert!(loaded.expect("loaded").snapshot.is_some());
            let loaded = before.elapsed();
            let pages = if verify { "all" } else { "none" };
            println!("| {ending} | {pages} | {:.0} | {:.1} |", ms(opened), ms(loaded));
            // What the next round finds.
            if close && verify {
                runtime.block_on(store.close());
            } else {
                let rows = (1..=20_000).map(|counter| Row::new(counter % 500, document_name(counter % 500), counter));
                let appends = rows.map(|row| row.to_append()).collect();
                runtime.block_on(store.append(appends)).expect("durable");
            }
        }
    }
}

fn ms(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
