//! Any frame comes back as it was, however its bytes are split.

use bytes::Bytes;
use inkwire_document::{Actor, Dot, VersionVector};
use inkwire_protocol::frame::*;
use inkwire_protocol::random::Random;
use inkwire_protocol::wire::{self, StreamDecoder};
use inkwire_protocol::{Chain, Channel, Code, Frame, Role};

/// Numbers of all widths.
fn number(random: &mut Random) -> u64 {
    let bits = random.below(65);
    if bits == 0 { 0 } else { random.next_u64() >> (64 - bits) }
}

fn text(random: &mut Random) -> String {
    let length = random.below(40);
    (0..length).map(|_| ['a', 'é', '漢', '😀', '\0'][random.below(5) as usize]).collect()
}

fn data(random: &mut Random) -> Bytes {
    let bound = [4, 300, 61_000][random.below(3) as usize];
    (0..random.below(bound)).map(|_| random.next_u64() as u8).collect::<Vec<_>>().into()
}

fn chain(random: &mut Random) -> Chain {
    Chain(u128::from(random.next_u64()).to_be_bytes())
}

fn vector(random: &mut Random) -> VersionVector {
    let dots = (0..random.below(30)).map(|_| (Actor(number(random)), number(random).max(1))).collect();
    VersionVector { dots }
}

fn maybe<T>(random: &mut Random, make: impl Fn(&mut Random) -> T) -> Option<T> {
    random.one_in(2).then(|| make(random))
}

fn short(random: &mut Random) -> Bytes {
    Bytes::copy_from_slice(&number(random).to_be_bytes()[random.below(9) as usize..])
}

fn any_frame(random: &mut Random) -> Frame {
    let r = random;
    let role = if r.one_in(2) { Role::Viewer } else { Role::Editor };
    match r.below(26) {
        0 => Hello { versions: (0..r.below(9)).map(|_| number(r)).collect(), token: text(r), agent: text(r) }.into(),
        1 => Welcome {
            version: number(r),
            session: number(r),
            node: text(r),
            time_millis: number(r),
            limits: (0..r.below(20)).map(|_| (text(r), number(r))).collect(),
            subject: text(r),
        }
        .into(),
        2 => Token { token: text(r) }.into(),
        3 => TokenAccepted { expires_in_millis: number(r) }.into(),
        4 => GoAway { reason: text(r), reconnect_after_millis: number(r), url: maybe(r, text) }.into(),
        5 => Close { code: Code::from(r.below(40) as u16), reason: text(r) }.into(),
        6 => Ping { nonce: number(r) }.into(),
        7 => Pong { nonce: number(r) }.into(),
        8 => Open {
            channel: Channel(number(r) as u32),
            document: text(r),
            incarnation: maybe(r, number),
            vector: vector(r),
            durable: vector(r),
            role,
            claim: maybe(r, |r| Claim { actor: Actor(number(r)), last: number(r), ticket: maybe(r, short) }),
            options: Options::default(),
        }
        .into(),
        9 => Opened {
            incarnation: number(r),
            role,
            lease: maybe(r, |r| Lease {
                actor: Actor(number(r)),
                next: number(r),
                ticket: maybe(r, short),
                digest: maybe(r, chain),
            }),
            vector: vector(r),
            base: maybe(r, |r| Base { bytes: number(r) }),
        }
        .into(),
        10 => {
            let extends = [Extends::Vector, Extends::Durable, Extends::Both][r.below(3) as usize];
            Vector { part: vector(r), more: r.one_in(2), extends }.into()
        }
        11 => Snapshot { index: number(r) as u32, last: r.one_in(2), bytes: data(r) }.into(),
        12 => Batch {
            actor: Actor(number(r)),
            first: number(r),
            count: number(r) as u32,
            operations: data(r),
            receipt: maybe(r, short),
        }
        .into(),
        13 => Synced { vector: vector(r) }.into(),
        14 => Received { counter: number(r), paused: r.one_in(2).then_some(Code::Overloaded) }.into(),
        15 => Durable { vector: vector(r) }.into(),
        16 => ResendFrom { counter: number(r) }.into(),
        17 => Offer {
            actor: Actor(number(r)),
            first: number(r),
            count: number(r) as u32,
            operations: data(r),
            receipt: short(r),
        }
        .into(),
        18 => {
            Refused { actor: Actor(number(r)), first: number(r), code: Code::from(number(r) as u16), reason: text(r) }
                .into()
        }
        19 => Release { actor: Actor(number(r)), last: number(r) }.into(),
        20 => Released { actor: Actor(number(r)) }.into(),
        21 => {
            Leased { actor: Actor(number(r)), next: number(r), ticket: maybe(r, short), digest: maybe(r, chain) }.into()
        }
        22 => RoleChanged { role }.into(),
        23 => Presence { sequence: number(r) as u32, state: maybe(r, short) }.into(),
        24 => Seen {
            batches: (0..r.below(20))
                .map(|_| SeenBatch {
                    actor: Actor(number(r)),
                    first: number(r),
                    count: number(r) as u32,
                    digest: chain(r),
                })
                .collect(),
        }
        .into(),
        _ => PresenceUpdate {
            entries: (0..r.below(20))
                .map(|_| PresenceEntry {
                    session: number(r),
                    sequence: number(r) as u32,
                    subject: text(r),
                    state: maybe(r, short),
                })
                .collect(),
        }
        .into(),
    }
}

#[test]
fn any_frame_comes_back_as_it_was() {
    for seed in 0..3_000 {
        let frame = any_frame(&mut Random::new(seed));
        let encoded = frame.encode();
        assert_eq!(wire::check(&encoded), Ok(encoded.len()), "seed {seed}");
        assert_eq!(Frame::decode(&encoded).as_ref(), Ok(&frame), "seed {seed}");
        assert_eq!(Frame::decode(&encoded).map(|frame| frame.encode()), Ok(encoded), "seed {seed}");
    }
}

#[test]
fn a_stream_may_be_split_anywhere() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let frames: Vec<Bytes> = (0..random.below(20)).map(|_| any_frame(&mut random).encode()).collect();
        let stream = wire::encode_stream(&frames);
        let mut decoder = StreamDecoder::new();
        let mut decoded = Vec::new();
        let mut rest = &stream[..];
        while !rest.is_empty() {
            let bound = [2, 100, 100_000][random.below(3) as usize];
            let (piece, after) = rest.split_at((1 + random.below(bound) as usize).min(rest.len()));
            decoder.push(piece);
            rest = after;
            while let Some(frame) = decoder.next_frame().unwrap_or_else(|error| panic!("seed {seed}: {error}")) {
                decoded.push(frame);
            }
        }
        assert_eq!(decoded, frames, "seed {seed}");
        assert_eq!(decoder.buffered(), 0, "seed {seed}");
    }
}

#[test]
fn binary_fields_are_slices_of_the_input() {
    let operations = Bytes::from(vec![7; 1_000]);
    let batch =
        Batch { actor: Actor(1), first: 1, count: 1, operations, receipt: Some(Bytes::from_static(b"receipt")) };
    let encoded = Frame::from(batch).encode();
    let Ok(Frame::Batch(batch)) = Frame::decode(&encoded) else { panic!("a batch") };
    let within = encoded.as_ptr_range();
    assert!(within.contains(&batch.operations.as_ptr()));
    assert!(within.contains(&batch.receipt.expect("a receipt").as_ptr()));
}

#[test]
fn extra_elements_are_ignored_and_any_width_of_integer_is_taken() {
    let cases: [(&[u8], Frame); 5] = [
        (&[0x95, 6, 7, 0xc0, 0x92, 1, 2, 0x81, 0xa1, b'k', 0xc3], Ping { nonce: 7 }.into()),
        (&[0x92, 6, 0xcf, 0, 0, 0, 0, 0, 0, 0, 7], Ping { nonce: 7 }.into()),
        (&[0x92, 0xd1, 0, 6, 0xd3, 0, 0, 0, 0, 0, 0, 0, 7], Ping { nonce: 7 }.into()),
        (
            // Extra elements inside a nested array.
            &[0x96, 17, 0, 0xa6, b'v', b'i', b'e', b'w', b'e', b'r', 0x95, 9, 1, 0xc0, 0xc0, 0xc3, 0x90, 0xc0],
            Opened {
                incarnation: 0,
                role: Role::Viewer,
                lease: Some(Lease { actor: Actor(9), next: 1, ticket: None, digest: None }),
                vector: VersionVector::new(),
                base: None,
            }
            .into(),
        ),
        // Without the element that was added last.
        (
            &[0x93, 18, 0x92, 1, 1, 0xc2],
            Vector { part: Dot::new(Actor(1), 1).into(), more: false, extends: Extends::Vector }.into(),
        ),
    ];
    for (bytes, frame) in cases {
        assert_eq!(Frame::decode(&Bytes::copy_from_slice(bytes)), Ok(frame));
    }
}
