//! The CRDT document: containers, batches, version vectors, snapshots. No I/O, no clock, no randomness.
