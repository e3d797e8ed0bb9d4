//! A snapshot's head, in chunks of its own in front of the document's state.

use bytes::Bytes;
use inkwire_document::VersionVector;
use inkwire_protocol::record::{ActorRecord, Digest};

use crate::fields::Fields;
use crate::head;

/// What a snapshot says about itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Head {
    pub(super) version: VersionVector,
    pub(super) actors: Vec<ActorRecord>,
}

impl Head {
    pub(super) fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(12 + 16 * self.version.dots.len() + 48 * self.actors.len());
        head::put(&mut out, &self.version, &self.actors);
        out.into()
    }

    /// The head in `bytes`, or `None` when it is not one.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        head::read(&mut Fields(bytes)).map(|(version, actors)| Self { version, actors })
    }
}

/// The checksum of a snapshot: of its head and the document's state, one after the other.
pub(super) fn checksum(head: &[u8], body: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(head);
    hasher.update(body);
    Digest(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use inkwire_document::Actor;
    use inkwire_protocol::Chain;

    use super::*;

    #[test]
    fn a_head_survives_and_damage_is_seen() {
        let mut version = VersionVector::new();
        version.dots.insert(Actor(7), 300);
        version.dots.insert(Actor(u64::MAX), 1);
        let record = |actor, subject: &str, chain| ActorRecord { actor: Actor(actor), subject: subject.into(), chain };
        let actors = vec![record(7, "ada", Some(Chain([5; 16]))), record(u64::MAX, "", None)];
        let head = Head { version, actors };
        let bytes = head.to_bytes();
        assert_eq!(Head::from_bytes(&bytes), Some(head));
        // What an earlier version wrote ends before the digests.
        let digests = 4 + 4 + 16;
        for length in (0..bytes.len()).filter(|length| length + digests != bytes.len()) {
            assert_eq!(Head::from_bytes(&bytes[..length]), None, "{length} bytes");
        }
        assert_eq!(Head::from_bytes(&[&bytes[..], &[0]].concat()), None);
    }
}
