//! What a snapshot says about itself, as every engine stores it: what it covers, and who wrote in it.
//!
//! `dots u32, (actor u64, counter u64)* | actors u32, (actor u64, subject)* | digests u32, (index u32, digest [16])*`,
//! little-endian; a subject has its length in two bytes before it, an index is an actor's place. The digests may be missing at the
//! end: an earlier version stored none.

use inkwire_document::{Actor, VersionVector};
use inkwire_protocol::Chain;
use inkwire_protocol::record::ActorRecord;

use crate::fields::{Fields, put_text};

/// Appends the head of a snapshot.
pub(crate) fn put(out: &mut Vec<u8>, version: &VersionVector, actors: &[ActorRecord]) {
    out.extend_from_slice(&(version.dots.len() as u32).to_le_bytes());
    for (actor, counter) in &version.dots {
        out.extend_from_slice(&actor.0.to_le_bytes());
        out.extend_from_slice(&counter.to_le_bytes());
    }
    out.extend_from_slice(&(actors.len() as u32).to_le_bytes());
    for record in actors {
        out.extend_from_slice(&record.actor.0.to_le_bytes());
        put_text(out, &record.subject);
    }
    let known = actors.iter().zip(0_u32..).filter_map(|(record, index)| Some((index, record.chain?)));
    out.extend_from_slice(&(known.clone().count() as u32).to_le_bytes());
    for (index, Chain(digest)) in known {
        out.extend_from_slice(&index.to_le_bytes());
        out.extend_from_slice(&digest);
    }
}

/// Reads the head of a snapshot, to the end of `fields`; `None` when it is not one. Memory stays in proportion to the bytes.
pub(crate) fn read(fields: &mut Fields<'_>) -> Option<(VersionVector, Vec<ActorRecord>)> {
    let mut version = VersionVector::new();
    for _ in 0..fields.u32()? {
        version.dots.insert(Actor(fields.u64()?), fields.u64()?);
    }
    let mut actors = Vec::new();
    for _ in 0..fields.u32()? {
        let (actor, subject) = (Actor(fields.u64()?), fields.text()?.into());
        actors.push(ActorRecord { actor, subject, chain: None });
    }
    if !fields.0.is_empty() {
        for _ in 0..fields.u32()? {
            let index = usize::try_from(fields.u32()?).ok()?;
            actors.get_mut(index)?.chain = Some(Chain(fields.bytes16()?));
        }
    }
    fields.0.is_empty().then_some((version, actors))
}
