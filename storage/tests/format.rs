//! Data that an earlier version wrote opens, and has what was written.
//!
//! `cargo test -p inkwire-storage --test format -- --ignored` writes the files of the current format anew, for a format
//! that was never released; those of a released one stay for ever.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use inkwire_protocol::record::ActorRecord;
use inkwire_storage::embedded::Options;
use inkwire_storage::{EmbeddedStore, Store, StoreError};
use support::{actors, append, document, snapshot_bytes, summary, version};

fn data(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/format-{format}"))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.expect("the directory can be read");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("the file can be copied");
    }
}

fn open(directory: &Path) -> Result<EmbeddedStore, StoreError> {
    EmbeddedStore::open(directory, &Options::default())
}

/// Documents 0 and 1 with a snapshot, rows in the tables and rows in a journal.
async fn write(directory: &Path) -> Result<EmbeddedStore, StoreError> {
    let store = open(directory)?;
    store.append(vec![append(0, 1, 1, 3), append(0, 2, 1, 1), append(1, 5, 1, 2)]).await?;
    let covered = version(&[(1, 3)]);
    store.commit_snapshot(&document(0), snapshot_bytes(&covered, 2000), covered.clone(), actors(&covered)).await?;
    store.close().await;
    let store = open(directory)?;
    store.append(vec![append(0, 1, 4, 1)]).await?;
    store.append(vec![append(1, 5, 3, 1), append(1, 6, 1, 1)]).await?;
    Ok(store)
}

#[tokio::test]
async fn format_1_opens() {
    let directory = tempfile::tempdir().unwrap();
    copy(&data(1), directory.path());
    let store = open(directory.path()).unwrap();
    let first = store.load(&document(0)).await.unwrap();
    assert_eq!(summary(&first), (Some(vec![(1, 3)]), vec![(2, 1, 1), (1, 4, 1)]));
    let snapshot = first.snapshot.unwrap();
    assert_eq!(snapshot.snapshot, snapshot_bytes(&snapshot.version, 2000));
    // It is from before running digests were stored.
    let before = actors(&snapshot.version).into_iter().map(|record| ActorRecord { chain: None, ..record });
    assert_eq!(snapshot.actors, before.collect::<Vec<_>>());
    let second = store.load(&document(1)).await.unwrap();
    assert_eq!(summary(&second), (None, vec![(5, 1, 2), (5, 3, 1), (6, 1, 1)]));
    let written = [append(1, 5, 1, 2), append(1, 5, 3, 1), append(1, 6, 1, 1)];
    assert_eq!(second.records, written.map(|append| append.record));
}

#[tokio::test]
#[ignore = "writes the files that the other test reads"]
async fn write_format_1() {
    let directory = tempfile::tempdir().unwrap();
    let store = write(directory.path()).await.unwrap();
    let _ = fs::remove_dir_all(data(1));
    // As a process that was killed leaves it.
    copy(directory.path(), &data(1));
    drop(store);
}
