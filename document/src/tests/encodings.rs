//! Golden bytes: what is written down in `docs/src/protocol` and must not change by accident.

use bytes::Bytes;

use super::random::{Random, for_seeds};
use crate::messagepack::{Malformed, Reader, Token, Writer};
use crate::{
    Actor, Applied, ApplyError, Batch, BatchError, Document, HybridTime, Limits, Position, RootType, Snapshot,
    SnapshotError, Value, fold,
};

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

pub(super) fn writer(actor: u64) -> Document {
    let mut document = Document::new();
    document.set_actor(Actor(actor), 1);
    document
}

pub(super) fn apply_all(document: &mut Document, batches: &[Batch]) {
    for batch in batches {
        document.apply(batch).unwrap();
    }
}

pub(super) fn stored(document: &mut Document) -> Vec<String> {
    let batches = document.take_batches();
    batches
        .iter()
        .map(|batch| {
            let mut bytes = Vec::new();
            batch.encode(&mut bytes);
            hex(&bytes)
        })
        .collect()
}

/// A history of two authors that has every kind of operation.
fn golden_history() -> (Vec<Batch>, Document) {
    let mut one = writer(1);
    let mut batches = Vec::new();
    let now = HybridTime::from_millis(1_790_000_000_000);
    one.insert("t", Position::Scalar(0), "Hallo").unwrap();
    batches.extend(one.take_batches());
    one.insert("t", Position::Scalar(5), "!").unwrap();
    batches.extend(one.take_batches());
    one.delete("t", Position::Scalar(1), 1).unwrap();
    one.insert("t", Position::Scalar(1), "e").unwrap();
    batches.extend(one.take_batches());
    let mut two = writer(0x1234_5678_9abc_def0);
    apply_all(&mut two, &batches);
    two.insert("t", Position::Scalar(6), " 🙂").unwrap();
    two.delete("t", Position::Scalar(0), 2).unwrap();
    two.map_set("m", "k", Value::from("v"), now).unwrap();
    two.map_set("m", "n", Value::Int(-7), now).unwrap();
    two.map_delete("m", "k", now).unwrap();
    batches.extend(two.take_batches());
    (batches, two)
}

#[test]
fn golden_batches() {
    let mut one = writer(1);
    one.insert("t", Position::Scalar(0), "Hallo").unwrap();
    // Actor 1, first 1, count 5; "t"; [0, nil, nil, "Hallo"].
    assert_eq!(stored(&mut one), ["010105".to_owned() + "a174" + "9400c0c0a548616c6c6f"]);
    one.insert("t", Position::Scalar(5), "!").unwrap();
    // Typed on: [1, "!"].
    assert_eq!(stored(&mut one), ["010601".to_owned() + "a174" + "9201a121"]);
    one.delete("t", Position::Scalar(1), 1).unwrap();
    one.insert("t", Position::Scalar(1), "e").unwrap();
    // Counter 7 deletes counter 2, five before; counter 8 inserts between counters 1 and 2, seven and six before.
    assert_eq!(stored(&mut one), ["010702".to_owned() + "a174" + "920205" + "94000706a165"]);
    let (batches, _) = golden_history();
    let mut last = Vec::new();
    batches.last().unwrap().encode(&mut last);
    let expected = "f0bdf3d589cf959a12" .to_owned() // actor
        + "0106" // first 1, count 6
        + "a174" + "01" // root "t", actor 1 is index 1
        + "9400" + "920106" + "c0" + "a520f09f9982" // after 1.6, before the end
        + "950292010101" + "92010801" // deletes 1.1 and 1.8
        + "a16d" // root "m"
        + "9403a16ba176" + "cf01a0c4506c000000" // k = "v"
        + "9403a16ef9" + "cf01a0c4506c000000" // n = -7
        + "9304a16b" + "cf01a0c4506c000001"; // k removed, just after
    assert_eq!(hex(&last), expected);
}

#[test]
fn golden_snapshots() {
    let (batches, document) = golden_history();
    let whole = document.snapshot();
    assert_eq!(hex(&whole), GOLDEN_WHOLE);
    assert_eq!(fold(None, &batches).unwrap(), whole);
    let have = [crate::Dot::new(Actor(1), 8)].into_iter().collect();
    assert_eq!(hex(&document.difference(&have)), GOLDEN_DIFFERENCE);
    let empty = Document::new().snapshot();
    assert_eq!(hex(&empty), GOLDEN_EMPTY);
    for golden in [GOLDEN_WHOLE, GOLDEN_EMPTY] {
        let mut loaded = Document::new();
        loaded.merge(&Snapshot::parse(unhex(golden).into()).unwrap()).unwrap();
        assert_eq!(hex(&loaded.snapshot()), golden);
    }
}

const GOLDEN_WHOLE: &str = "494b575302c6e63008219b7d1e0102010008efbdf3d589cf959a120006012b010174080101010600010502000001031012010d1101010c\
    5901010d400c000601036c6c6f2120f09f9982022101016d02016b818080e0868ab1d001010600016e808080e0868ab1d001010501f9";
const GOLDEN_DIFFERENCE: &str = "494b575302cc3483dd497ec82c0002010800efbdf3d589cf959a120006012301017400140001001101000800590101010200080104060a\
    06010101010a20f09f9982022101016d02016b818080e0868ab1d001010600016e808080e0868ab1d001010501f9";
const GOLDEN_EMPTY: &str = "494b575302f1577fbf1d628fdd0100";

#[test]
fn what_the_check_learns() {
    let (batches, _) = golden_history();
    let checked = batches.last().unwrap().check(&Limits::STANDARD).unwrap();
    assert_eq!(checked.references, [(Actor(1), 8)]);
    assert_eq!(checked.latest_time, Some(HybridTime((1_790_000_000_000 << 16) + 1)));
    assert_eq!(checked.roots, [(RootType::Text, "t".into()), (RootType::Map, "m".into())]);
    assert_eq!(checked.unknown, 0);
}

#[test]
fn what_the_check_refuses() {
    use BatchError::{Count, Counters, Malformed as Bad, NoRoot, OverLimit, Reference, Shape, TooLarge};
    type Says = fn(&BatchError) -> bool;
    let long_name = format!("da0101{}", "61".repeat(257));
    // Of actor 9, from counter 4 on, with a count of 1.
    let cases: Vec<(&str, Says)> = vec![
        ("", |error| matches!(error, Count { said: 1, taken: 0 })),
        ("a174", |error| matches!(error, Count { said: 1, taken: 0 })),
        ("9201a161", |error| matches!(error, NoRoot { at: 0 })),
        ("a174 90", |error| matches!(error, Bad { at: 2, .. })),
        ("a174 c0", |error| matches!(error, Bad { at: 2, .. })),
        ("a174 9201a162 9201a163", |error| matches!(error, Count { said: 1, taken: 2 })),
        ("a174 9201a26263", |error| matches!(error, Count { said: 1, taken: 2 })),
        ("a174 9201a0", |error| matches!(error, Shape { at: 2, kind: 1 })),
        ("a174 9301a16100", |error| matches!(error, Shape { at: 2, kind: 1 })),
        ("a174 9201", |error| matches!(error, Bad { problem: Malformed::Truncated, .. })),
        ("a174 9201a1ff", |error| matches!(error, Bad { problem: Malformed::Utf8, .. })),
        ("a174 9400c001a161", |_| false),
        ("a174 9400c000a161", |error| matches!(error, Reference { .. })),
        ("a174 9400c004a161", |error| matches!(error, Reference { .. })),
        ("a174 9400c0920101a161", |error| matches!(error, Reference { .. })),
        ("a174 05 9400c0920101a161", |_| false),
        ("a174 05 9400c0920100a161", |error| matches!(error, Reference { .. })),
        ("a174 05 9400c09201ceffffffffa161", |error| matches!(error, Reference { .. })),
        ("a174 09", |error| matches!(error, Reference { at: 2 })),
        ("a174 920201", |_| false),
        ("a174 93020301", |_| false),
        ("a174 93020303", |_| false),
        ("a174 93020304", |error| matches!(error, Reference { .. })),
        ("a174 93020300", |error| matches!(error, Reference { .. })),
        ("a174 9202c0", |error| matches!(error, Bad { .. })),
        ("a174 9402030101", |error| matches!(error, Shape { kind: 2, .. })),
        ("a16d 9403a16bc000", |_| false),
        ("a16d 9403a16b9000", |_| false),
        ("a16d 9403a16bd4000000", |error| matches!(error, Bad { .. })),
        ("a16d 9403a16bc0ff", |error| matches!(error, Bad { .. })),
        ("a16d 9304a16b00", |_| false),
        ("a173 926301", |_| false),
        ("a173 93630193c0c0c0", |_| false),
        ("a173 9163", |error| matches!(error, Shape { kind: 99, .. })),
        ("a173 926300", |error| matches!(error, Shape { kind: 99, .. })),
        ("a173 9263cfffffffffffffffff", |error| matches!(error, Count { .. })),
        (&long_name, |error| matches!(error, OverLimit { size: 257, limit: 256, .. })),
    ];
    for (operations, is_expected) in cases {
        let batch = Batch { actor: Actor(9), first: 4, count: 1, operations: unhex(operations).into() };
        match batch.check(&Limits::STANDARD) {
            Ok(_) => assert!(!is_expected(&Shape { at: 0, kind: 0 }), "{operations} passes"),
            Err(error) => {
                assert!(is_expected(&error), "{operations}: {error:?}");
                assert_eq!(Document::new().apply(&batch), Err(ApplyError::Batch(error)));
            }
        }
    }
    let operations = Bytes::from(unhex("a174 9201a161"));
    for (first, count) in [(0, 1), (1, 0), (u64::MAX, 1), (u64::MAX, u32::MAX), (1 << 32, 1), (5, u32::MAX)] {
        let batch = Batch { actor: Actor(9), first, count, operations: operations.clone() };
        assert!(matches!(batch.check(&Limits::STANDARD), Err(Counters { .. })), "{first} {count}");
    }
    let batch = Batch { actor: Actor(9), first: 2, count: 1, operations: vec![0; 61441].into() };
    assert!(matches!(batch.check(&Limits::STANDARD), Err(TooLarge { bytes: 61441, limit: 61440 })));
    // What cannot be told from what is passed over: deep nesting in an operation of another kind.
    let mut deep = unhex("a173 936301");
    deep.extend([0x91; 64]);
    deep.push(0xc0);
    let batch = Batch { actor: Actor(9), first: 2, count: 1, operations: deep.into() };
    assert!(matches!(batch.check(&Limits::STANDARD), Err(Bad { problem: Malformed::Depth, .. })));
}

#[test]
fn messagepack_in_its_shortest_form_and_back() {
    for_seeds(200, |seed| {
        let mut random = Random(seed);
        let number = random.next() >> random.below(64);
        let signed = random.next() as i64 >> random.below(64);
        let longest = 1 + random.below(300);
        let text = random.text(longest);
        let mut bytes = Vec::new();
        let mut out = Writer(&mut bytes);
        out.uint(number);
        out.int(signed);
        out.str(&text);
        out.bin(text.as_bytes());
        out.array(number as usize % 70000);
        out.float(0.5);
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.uint(), Ok(number));
        let expected = u64::try_from(signed).map_or(Token::Negative(signed), Token::Uint);
        assert_eq!(reader.token(), Ok(expected));
        assert_eq!(reader.str(), Ok(&*text));
        assert_eq!(reader.token(), Ok(Token::Bin(text.as_bytes())));
        assert_eq!(reader.token(), Ok(Token::Array((number as usize % 70000) as u32)));
        assert_eq!(reader.token(), Ok(Token::Float(0.5)));
        assert!(reader.is_empty());
    });
}

/// Damaged input is refused, or applied as something else; it never panics, and what is refused changes nothing.
#[test]
fn flipped_bits() {
    let (batches, document) = golden_history();
    let mut long = writer(3);
    let mut random = Random(7);
    for _ in 0..300 {
        let length = long.text("t").len_scalars();
        long.insert("t", Position::Scalar(random.below(length + 1)), &random.text(4)).unwrap();
        long.delete("t", Position::Scalar(random.below(length / 2 + 1)), random.below(3).min(length / 2)).unwrap();
    }
    let long_batches = long.take_batches();
    for_seeds(1000, |seed| {
        let mut random = Random(seed);
        let mut reader = Document::new();
        for batch in batches.iter().chain(&long_batches) {
            let mut batch = batch.clone();
            if random.chance(30) {
                let mut operations = batch.operations.to_vec();
                let at = random.below(operations.len().min(60));
                operations[at] ^= 1 << random.below(8);
                batch.operations = operations.into();
            }
            let (version, text) = (reader.version().clone(), reader.text("t").to_string());
            if reader.apply(&batch).is_err() || batch.check(&Limits::STANDARD).is_err() {
                assert_eq!((reader.version(), reader.text("t").to_string()), (&version, text));
            }
        }
        reader.snapshot();
    });
    for_seeds(1000, |seed| {
        let mut random = Random(seed);
        let source = if random.chance(50) { &document } else { &long };
        let have = if random.chance(50) { crate::VersionVector::new() } else { batches_version(&batches[..2]) };
        let mut bytes = source.difference(&have).to_vec();
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
        assert!(Snapshot::parse(bytes.clone().into()).is_err(), "a flipped bit is seen");
        // With a checksum that fits, as somebody who means harm would have.
        let mut reader = writer(4);
        reader.insert("t", Position::Scalar(0), "here").unwrap();
        if random.chance(50) {
            for batch in &batches {
                let _ = reader.apply(batch);
            }
        }
        if let Ok(snapshot) = Snapshot::parse(crate::snapshot::with_header(bytes.get(13..).unwrap_or_default()).into())
        {
            let (version, text) = (reader.version().clone(), reader.text("t").to_string());
            if reader.merge(&snapshot).is_err() {
                assert_eq!((reader.version(), reader.text("t").to_string()), (&version, text));
            }
            let _ = snapshot.difference(&version);
            let length = reader.text("t").len_scalars();
            let _ = reader.insert("t", Position::Scalar(length / 2), "on");
            let _ = reader.delete("t", Position::Scalar(0), length);
            for batch in &long_batches {
                let _ = reader.apply(batch);
            }
            reader.snapshot();
        }
    });
}

fn batches_version(batches: &[Batch]) -> crate::VersionVector {
    batches.iter().map(|batch| crate::Dot::new(batch.actor, batch.last())).collect()
}

#[test]
fn not_a_snapshot() {
    let whole = golden_history().1.snapshot();
    assert!(matches!(Snapshot::parse(Bytes::new()), Err(SnapshotError::Magic)));
    assert!(matches!(Snapshot::parse(Bytes::from_static(b"IKWS")), Err(SnapshotError::Magic)));
    assert!(matches!(Snapshot::parse(whole.slice(..20)), Err(SnapshotError::Checksum)));
    let mut newer = whole.to_vec();
    newer[4] = 3;
    assert!(matches!(Snapshot::parse(newer.into()), Err(SnapshotError::Format(3))));
}

#[test]
fn batches_in_halves() {
    // The same run in one batch, and in two with another border: each brings what the others lack.
    let (mut whole, mut halves) = (writer(1), writer(1));
    whole.insert("t", Position::Scalar(0), "né🙂xy").unwrap();
    let whole = whole.take_batches();
    let mut parts = Vec::new();
    for text in ["né", "🙂xy"] {
        let at = halves.text("t").len_scalars();
        halves.insert("t", Position::Scalar(at), text).unwrap();
        parts.extend(halves.take_batches());
    }
    for order in [vec![&parts[0], &whole[0]], vec![&whole[0], &parts[1]], vec![&parts[1], &whole[0]]] {
        let mut reader = Document::new();
        for batch in order {
            assert!(matches!(reader.apply(batch), Ok(Applied::New | Applied::Duplicate | Applied::Buffered)));
        }
        assert_eq!(reader.text("t").to_string(), "né🙂xy");
        assert_eq!(reader.snapshot(), halves.snapshot());
        assert_eq!(reader.early_bytes(), 0);
    }
}
