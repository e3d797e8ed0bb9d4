//! Where batches and snapshots are kept: one narrow trait, and the engines behind it.
