//! What the storage tests share: records from small numbers, a seeded generator, and a disk that loses power.

// Each test binary uses a part of it.
#![allow(dead_code, unreachable_pub)]

#[cfg(feature = "scylla")]
pub mod cluster;
pub mod disk;
pub mod ledger;

use std::sync::Arc;

use bytes::Bytes;
use inkwire_document::{Actor, Batch, VersionVector};
use inkwire_protocol::Chain;
use inkwire_protocol::record::{ActorRecord, Digest, LogRecord};
use inkwire_storage::{Append, DocumentKey, Loaded};

/// SplitMix64: small, seeded, and the same everywhere.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

pub fn document(number: u64) -> DocumentKey {
    DocumentKey::new(format!("acme/specs/{number}"), number % 3)
}

/// A record whose content follows from its numbers; `body` tells apart two bodies of one operation.
pub fn record(actor: u64, first: u64, count: u32, body: u8) -> LogRecord {
    let length = 1 + (actor * 31 + first * 17 + u64::from(body)) % 90;
    let operations: Vec<u8> = (0..length).map(|n| (n * 7 + first + actor) as u8 ^ body).collect();
    let batch = Batch { actor: Actor(actor), first, count, operations: Bytes::from(operations) };
    LogRecord::new(batch, Arc::from(format!("subject-{actor}")), 1_700_000_000_000 + first)
}

pub fn append(document_number: u64, actor: u64, first: u64, count: u32) -> Append {
    Append { document: document(document_number), record: record(actor, first, count, 0) }
}

pub fn version(dots: &[(u64, u64)]) -> VersionVector {
    let mut version = VersionVector::new();
    for (actor, counter) in dots {
        version.dots.insert(Actor(*actor), *counter);
    }
    version
}

/// A snapshot's bytes, which follow from what it covers.
pub fn snapshot_bytes(version: &VersionVector, length: usize) -> Bytes {
    let seed = version.dots.iter().fold(1, |seed, (actor, counter)| seed * 31 + actor.0 * 7 + counter);
    let mut random = Random(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

/// Who wrote what `version` covers; of every third actor the running digest is not known.
pub fn actors(version: &VersionVector) -> Vec<ActorRecord> {
    let record = |(actor, counter): (&Actor, &u64)| {
        let chain = Chain::default().then(1, *counter as u32, &Digest::of(&actor.0.to_le_bytes()));
        let subject = format!("subject-{}", actor.0).into();
        ActorRecord { actor: *actor, subject, chain: Some(chain).filter(|_| actor.0 % 3 > 0) }
    };
    version.dots.iter().map(record).collect()
}

/// What a snapshot covers, and each row's actor, first counter and count.
pub type Summary = (Option<Vec<(u64, u64)>>, Vec<(u64, u64, u32)>);

/// What a load gave, short enough to read in a failing test.
pub fn summary(loaded: &Loaded) -> Summary {
    let covered = loaded
        .snapshot
        .as_ref()
        .map(|snapshot| snapshot.version.dots.iter().map(|(actor, counter)| (actor.0, *counter)).collect());
    let rows = loaded.records.iter().map(|record| (record.batch.actor.0, record.batch.first, record.batch.count));
    (covered, rows.collect())
}
