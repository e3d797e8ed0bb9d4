//! Snapshots that are merged as they are encoded: long texts of many blocks, of which two replicas change a few.

use super::random::{Random, for_seeds};
use crate::{Actor, Document, HybridTime, Position, Snapshot, Value, snapshot};

fn snapshot_of(document: &Document) -> Snapshot {
    Snapshot::parse(document.snapshot()).unwrap()
}

fn edit(document: &mut Document, random: &mut Random, place: usize) {
    let length = document.text("t").len_scalars();
    let place = place.min(length);
    match random.below(6) {
        5 => {
            let (kind, now) = (*random.pick(&["bold", "link"]), HybridTime::from_millis(1 + random.below(50) as u64));
            let length = random.below(8).min(length - place);
            document.mark("t", Position::Scalar(place), length, kind, Value::Bool(true), now).unwrap();
            document.map_set("m", kind, Value::Int(place as i64), now).unwrap();
        }
        0 => {
            // Backwards, a letter at a time.
            for letter in ["x", "é", "🙂"] {
                document.insert("t", Position::Scalar(place), letter).unwrap();
            }
        }
        1 => document.delete("t", Position::Scalar(place), random.below(6).min(length - place)).unwrap(),
        2 => {
            for at in (place.saturating_sub(random.below(4))..place).rev() {
                document.delete("t", Position::Scalar(at), 1).unwrap();
            }
        }
        _ => document.insert("t", Position::Scalar(place), &random.text(6)).unwrap(),
    }
    document.take_batches();
}

fn replica(actor: u64, held: &Snapshot) -> Document {
    let mut document = Document::new();
    document.merge(held).unwrap();
    document.set_actor(Actor(actor), 1);
    document
}

#[test]
fn long_texts_merge_block_by_block() {
    for_seeds(250, |seed| {
        let mut random = Random(seed);
        let mut base = Document::new();
        for actor in [40, 3, 1 << 50] {
            base.set_actor(Actor(actor), 1);
            for _ in 0..40 {
                let place = random.below(base.text("t").len_scalars() + 1);
                edit(&mut base, &mut random, place);
                if random.chance(10) {
                    let place = random.below(base.text("t").len_scalars() + 1);
                    base.insert("t", Position::Scalar(place), &"a long passage ".repeat(1 + random.below(6))).unwrap();
                }
            }
        }
        let held = snapshot_of(&base);
        let (mut one, mut other) = (replica(7, &held), replica(20, &held));
        // Often at the same place, and again after having seen some of each other.
        for _ in 0..2 {
            let place = random.below(base.text("t").len_scalars() + 1);
            for document in [&mut one, &mut other] {
                for _ in 0..1 + random.below(3) {
                    let place = if random.chance(70) { place } else { random.below(300) };
                    edit(document, &mut random, place);
                }
            }
            let (theirs, ours) = (snapshot_of(&other), snapshot_of(&one));
            match random.below(3) {
                0 => one.merge(&theirs).unwrap(),
                1 => other.merge(&ours).unwrap(),
                _ => {}
            }
        }
        let snapshots = [held, snapshot_of(&one), snapshot_of(&other)];
        for (a, b) in [(0, 1), (1, 2), (2, 1), (2, 0), (1, 1)] {
            let mut document = Document::new();
            document.merge(&snapshots[a]).unwrap();
            document.merge(&snapshots[b]).unwrap();
            let merged = snapshot::merge(&snapshots[a], &snapshots[b]).unwrap();
            assert_eq!(Snapshot::parse(merged.clone()).unwrap().version(), document.version());
            assert_eq!(merged, document.snapshot());
        }
    });
}
