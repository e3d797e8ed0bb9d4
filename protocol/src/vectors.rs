//! Version vectors that are longer than a frame: both ends split them, and put them together again.

use inkwire_document::{Dot, VersionVector};

use crate::frame::{Extends, Open, SeenBatch, Vector};
use crate::limits::{MAX_OPEN_ENTRIES, MAX_SEEN_BATCHES};
use crate::room::{Reason, Sabotage};
use crate::{Code, Frame};

/// `vector` in parts of at most `entries`; one empty part if it is empty.
pub(crate) fn split(vector: VersionVector, entries: usize) -> Vec<VersionVector> {
    let entries = entries.max(1);
    if vector.dots.len() <= entries {
        return vec![vector];
    }
    let dots: Vec<_> = vector.into_iter().collect();
    dots.chunks(entries).map(|part| part.iter().map(|dot| Dot::new(dot.actor, dot.counter)).collect()).collect()
}

/// The parts as frames that stand before the one that they extend.
pub(crate) fn vector_parts(parts: Vec<VersionVector>, extends: Extends) -> impl Iterator<Item = Vector> {
    let count = parts.len();
    parts.into_iter().enumerate().map(move |(index, part)| Vector { part, more: index + 1 < count, extends })
}

/// `open` as frames of which none has more than `entries` entries of vectors. Most of what a client holds it knows to be
/// durable, so what the two vectors share is said once.
pub(crate) fn split_open(mut open: Open, entries: usize) -> Vec<Frame> {
    let (vector, durable) = (&mut open.vector, &mut open.durable);
    let mut parts: Vec<Vector> = Vec::new();
    if vector.dots.len() + durable.dots.len() > entries {
        let mut both = VersionVector::new();
        durable.dots.retain(|actor, counter| {
            let same = vector.get(actor) == *counter;
            if same {
                vector.dots.remove(actor);
                both.dots.insert(*actor, *counter);
            }
            !same
        });
        let mut add = |vector: VersionVector, extends| {
            if !vector.dots.is_empty() {
                parts.extend(vector_parts(split(vector, entries), extends));
            }
        };
        add(both, Extends::Both);
        if vector.dots.len() + durable.dots.len() > entries {
            add(std::mem::take(vector), Extends::Vector);
            add(std::mem::take(durable), Extends::Durable);
        }
    }
    let count = parts.len();
    for (index, part) in parts.iter_mut().enumerate() {
        part.more = index + 1 < count;
    }
    parts.into_iter().map(Frame::from).chain([open.into()]).collect()
}

/// The relay's half: gathers a lane's first frames, `Open` after any number of `Vector` that extend its vectors, and of `Seen`.
#[derive(Debug, Default)]
pub struct Opening {
    vector: VersionVector,
    durable: VersionVector,
    entries: usize,
    seen: Vec<SeenBatch>,
    sabotage: Sabotage,
}

impl Opening {
    /// With rules taken out.
    #[cfg(feature = "sabotage")]
    pub fn sabotaged(sabotage: Sabotage) -> Self {
        Self { sabotage, ..Self::default() }
    }

    /// Takes the next frame of the lane; gives the whole `Open` once it is there.
    ///
    /// # Errors
    /// The reason to close the lane with: another frame, more than [`MAX_OPEN_ENTRIES`] entries or more than
    /// [`MAX_SEEN_BATCHES`] batches. Of an actor that comes twice the higher counter holds.
    pub fn receive(&mut self, frame: Frame) -> Result<Option<Open>, Reason> {
        match frame {
            Frame::Vector(part) => {
                let Vector { part, extends, .. } = part;
                self.entries += part.dots.len();
                if self.entries > MAX_OPEN_ENTRIES {
                    let reason = format!("more than {MAX_OPEN_ENTRIES} entries of vectors");
                    return Err((Code::FrameTooLarge, reason));
                }
                if matches!(extends, Extends::Durable | Extends::Both) && !self.sabotage.ignore_durable_parts {
                    raise(&mut self.durable, &part);
                }
                if matches!(extends, Extends::Vector | Extends::Both) {
                    raise(&mut self.vector, &part);
                }
                Ok(None)
            }
            Frame::Seen(seen) => {
                if self.seen.len() + seen.batches.len() > MAX_SEEN_BATCHES {
                    return Err((Code::FrameTooLarge, format!("more than {MAX_SEEN_BATCHES} seen batches")));
                }
                self.seen.extend(seen.batches);
                Ok(None)
            }
            Frame::Open(mut open) => {
                raise(&mut open.vector, &std::mem::take(&mut self.vector));
                raise(&mut open.durable, &std::mem::take(&mut self.durable));
                self.entries = 0;
                Ok(Some(open))
            }
            other => Err((Code::UnexpectedFrame, format!("a document's lane begins with Open, not {}", other.name()))),
        }
    }

    /// What came of `Seen`, for [`Join::seen`](crate::room::Join::seen).
    pub fn take_seen(&mut self) -> Vec<SeenBatch> {
        std::mem::take(&mut self.seen)
    }
}

fn raise(vector: &mut VersionVector, part: &VersionVector) {
    for (actor, counter) in &part.dots {
        let known = vector.dots.entry(*actor).or_default();
        *known = (*known).max(*counter);
    }
}

#[cfg(test)]
mod tests {
    use inkwire_document::Actor;

    use super::*;
    use crate::frame::{Channel, Options, Role};
    use crate::limits::{MAX_FRAME_BYTES, VECTOR_PART_ENTRIES};

    fn open(vector: VersionVector, durable: VersionVector) -> Open {
        Open {
            channel: Channel(1),
            document: "d".repeat(256),
            incarnation: Some(u64::MAX),
            vector,
            durable,
            role: Role::Editor,
            claim: None,
            options: Options::default(),
        }
    }

    fn vector(actors: std::ops::Range<u64>, counter: u64) -> VersionVector {
        actors.map(|actor| Dot::new(Actor(u64::MAX - actor), counter)).collect()
    }

    #[test]
    fn vectors_of_any_size_come_whole_in_frames_within_the_limit() {
        let high = u64::MAX / 2;
        let cases = [
            (vector(0..10, 1), vector(0..5, 1), VECTOR_PART_ENTRIES, 1),
            (vector(0..10, 1), vector(0..5, 1), 4, 5),
            (vector(0..100_000, high), vector(0..100_000, high), VECTOR_PART_ENTRIES, 35),
            (vector(0..100_000, high), vector(0..99_990, high), VECTOR_PART_ENTRIES, 35),
            (vector(0..100_000, high), vector(0..100_000, 9), VECTOR_PART_ENTRIES, 69),
        ];
        for (vector, durable, entries, expected) in cases {
            let whole = open(vector, durable);
            let frames = split_open(whole.clone(), entries);
            assert_eq!(frames.len(), expected);
            let mut opening = Opening::default();
            let mut result = None;
            for frame in frames {
                let bytes = frame.encode();
                assert!(bytes.len() <= MAX_FRAME_BYTES, "{} bytes", bytes.len());
                let frame = Frame::decode(&bytes).expect("a good frame");
                assert!(result.is_none(), "Open is the last");
                result = opening.receive(frame).expect("it is within the bound");
            }
            assert!(result == Some(whole));
        }
    }

    #[test]
    fn what_never_ends_is_refused() {
        let mut opening = Opening::default();
        let part = || Vector { part: vector(0..3_000, 1), more: true, extends: Extends::Both };
        let refused = (0..1_000).find_map(|_| opening.receive(part().into()).err());
        assert_eq!(refused.map(|(code, _)| code), Some(Code::FrameTooLarge));
        let batch = SeenBatch { actor: Actor(1), first: 1, count: 1, digest: crate::Chain::default() };
        let seen = || crate::frame::Seen { batches: vec![batch.clone(); 1_000] };
        let mut opening = Opening::default();
        let taken = (0..1_000).take_while(|_| opening.receive(seen().into()).is_ok()).count();
        assert_eq!((taken, opening.take_seen().len()), (MAX_SEEN_BATCHES / 1_000, taken * 1_000));
        let other = Opening::default().receive(crate::frame::CloseDocument {}.into());
        assert_eq!(other.map_err(|(code, _)| code), Err(Code::UnexpectedFrame));
    }
}
