//! Bytes that are not what they should be: an error each time, never a panic, never an allocation that they do not pay.

use bytes::Bytes;
use inkwire_protocol::limits::{MAX_DATAGRAM_BYTES, MAX_FRAME_BYTES, MAX_MESSAGE_BYTES};
use inkwire_protocol::random::Random;
use inkwire_protocol::wire::{self, StreamDecoder, WireError};
use inkwire_protocol::{Channel, Code, Frame};

use crate::samples::samples;

#[test]
fn a_frame_that_is_cut_off_anywhere_is_refused() {
    for (name, frame) in samples() {
        let encoded = frame.encode();
        for length in 0..encoded.len() {
            let error = Frame::decode(&encoded.slice(..length)).expect_err(name);
            assert_eq!(error.code(), Code::BadFrame, "{name} cut at {length}");
        }
        let longer = [&encoded[..], &[0xc0]].concat();
        assert!(Frame::decode(&longer.into()).is_err(), "{name} with a byte after it");
    }
}

/// Each element in turn becomes a value of every other type.
#[test]
fn an_element_of_the_wrong_type_is_refused_or_means_nil() {
    let values: [&[u8]; 8] = [
        &[0xc0],
        &[0xc3],
        &[0xff],
        &[0xcb, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0xa1, b'x'],
        &[0xc4, 1, 0],
        &[0x80],
        &[0xd4, 1, 0],
    ];
    let mut refused = 0;
    for (name, frame) in samples() {
        let encoded = frame.encode();
        for index in 0..usize::from(encoded[0] & 0x0f) {
            let mut start = 1;
            for _ in 0..index {
                start += wire::check(&encoded[start..]).expect("a sample");
            }
            let end = start + wire::check(&encoded[start..]).expect("a sample");
            for value in values {
                let changed: Bytes = [&encoded[..start], value, &encoded[end..]].concat().into();
                match Frame::decode(&changed) {
                    Err(error) => {
                        assert_eq!(error.code(), Code::BadFrame, "{name}, element {index}: {error}");
                        refused += 1;
                    }
                    // The same type as before, or nil where nil is allowed.
                    Ok(frame) => {
                        assert_eq!(frame.encode().len(), changed.len(), "{name}, element {index}, {value:02x?}")
                    }
                }
            }
        }
    }
    assert!(refused > 500, "{refused}");
}

#[test]
fn flipped_bits_never_panic_and_what_decodes_encodes() {
    let samples = samples();
    for seed in 0..50_000 {
        let mut random = Random::new(seed);
        let (_, frame) = &samples[random.below(samples.len() as u64) as usize];
        let mut bytes = frame.encode().to_vec();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
        }
        if let Ok(frame) = Frame::decode(&bytes.into()) {
            assert_eq!(Frame::decode(&frame.encode()), Ok(frame), "seed {seed}");
        }
    }
}

#[test]
fn bombs_are_refused_by_their_head() {
    let heads: [&[u8]; 9] = [
        &[0xdd, 0xff, 0xff, 0xff, 0xff],
        &[0xdf, 0x7f, 0xff, 0xff, 0xff],
        &[0xdc, 0xff, 0xff],
        &[0x92, 0x17, 0xdd, 0, 0x10, 0, 0, 0],
        &[0x92, 0x13, 0xc6, 0xff, 0xff, 0xff, 0xff],
        &[0x92, 0x02, 0xdb, 0xff, 0xff, 0xff, 0xff],
        &[0xc9, 0xff, 0xff, 0xff, 0xff, 1],
        &[0x9f],
        &[0x8f],
    ];
    for head in heads {
        assert!(matches!(wire::check(head), Err(WireError::Truncated { .. })), "{head:02x?}");
    }
    assert_eq!(wire::check(&[0xc1]), Err(WireError::BadMarker));
    assert_eq!(wire::check(&[0xa2, 0xff, 0xff]), Err(WireError::BadString));
    let nested = |depth: usize| [vec![0x91; depth], vec![0xc0]].concat();
    assert_eq!(wire::check(&nested(32)), Ok(33));
    assert_eq!(wire::check(&nested(33)), Err(WireError::TooDeep { depth: 33 }));
    let nested_maps = [[0x81, 0xc0].repeat(40), vec![0xc0]].concat();
    assert_eq!(wire::check(&nested_maps), Err(WireError::TooDeep { depth: 33 }));
}

#[test]
fn what_is_refused_is_told_with_its_value_and_the_limit() {
    let cases: [(&[u8], &str); 6] = [
        (&[0xdc, 0xff, 0xff, 0xc0], "a length or count claims 65535 or more bytes and 1 are left"),
        (&[0x92, 0x02, 0xdb, 0, 0, 1, 0, 0x61], "a length or count claims 256 or more bytes and 1 are left"),
        (&[0x91; 40], "an array or map 33 deep is over the limit of 32"),
        (&[0x92, 0x06, 0xca, 0, 0, 0, 0], "expected an unsigned integer that fits u64"),
        (&[0x92, 0x06, 0xa1, 0x61], "expected an unsigned integer that fits u64"),
        (&[0x91, 0x2a], "frame 42 is unknown"),
    ];
    for (bytes, expected) in cases {
        let error = Frame::decode(&Bytes::copy_from_slice(bytes)).unwrap_err().to_string();
        assert_eq!(error, expected, "{bytes:02x?}");
    }
}

#[test]
fn lengths_on_a_stream_are_refused_before_the_frame_comes() {
    let limit = MAX_FRAME_BYTES as u64;
    type Outcome = Result<Option<Bytes>, WireError>;
    let cases: [(&[u8], Outcome); 6] = [
        (&[0x00], Err(WireError::Empty)),
        (&[0x80, 0x01, 0x00, 0x01], Err(WireError::TooLarge { length: limit + 1, limit: MAX_FRAME_BYTES })),
        (&[0xff; 8], Err(WireError::TooLarge { length: (1 << 62) - 1, limit: MAX_FRAME_BYTES })),
        (&[0xff; 7], Ok(None)),
        (&[0x80, 0x01, 0x00, 0x00], Ok(None)),
        // A length in more bytes than it needs is allowed by RFC 9000.
        (&[0x40, 0x01, 0xc0], Ok(Some(Bytes::from_static(&[0xc0])))),
    ];
    for (bytes, expected) in cases {
        let mut decoder = StreamDecoder::new();
        decoder.push(bytes);
        assert_eq!(decoder.next_frame(), expected, "{bytes:02x?}");
        if expected.is_err() {
            decoder.push(&[0x01, 0xc0]);
            assert_eq!(decoder.next_frame(), expected, "an error stays");
            assert_eq!(decoder.buffered(), 0);
        }
    }
}

#[test]
fn messages_and_datagrams_that_are_not_are_refused() {
    let ping = [0x92, 0x06, 0x07];
    let message = |head: &[u8], frames: &[u8]| Bytes::from([head, frames].concat());
    let cases = [
        (message(&[], &[]), WireError::Empty),
        (message(&[0], &[]), WireError::Empty),
        (message(&[0xa1, b'0'], &ping), WireError::BadChannel),
        (message(&[0xff], &ping), WireError::BadChannel),
        (message(&[0xcf, 0, 0, 0, 1, 0, 0, 0, 0], &ping), WireError::BadChannel),
        (message(&[0xce, 0, 0], &[]), WireError::Truncated { claimed: 4, left: 2 }),
        (message(&[0], &ping[..2]), WireError::Truncated { claimed: 2, left: 1 }),
        (message(&[0], &[0x92, 0x06, 0x07, 0xc1]), WireError::BadMarker),
    ];
    for (bytes, error) in cases {
        assert_eq!(wire::split_message(&bytes), Err(error), "{bytes:02x?}");
        assert!(wire::split_datagram(&bytes).is_err(), "{bytes:02x?}");
    }
    let long = message(&[0], &vec![0; MAX_MESSAGE_BYTES]);
    assert!(matches!(wire::split_message(&long), Err(WireError::TooLarge { .. })));
    let long = message(&[0], &ping.repeat(400));
    assert!(matches!(wire::split_datagram(&long), Err(WireError::TooLarge { .. })));
    assert_eq!(wire::split_datagram(&message(&[0], &ping.repeat(2))), Err(WireError::TrailingBytes(3)));
    // The same channel in a wider form than needed is fine.
    let wide = message(&[0xcf, 0, 0, 0, 0, 0, 0, 0, 5], &ping);
    assert_eq!(wire::split_datagram(&wide), Ok((Channel(5), Bytes::copy_from_slice(&ping))));
    assert_eq!(wire::encode_datagram(Channel(1), &[]), None);
    assert_eq!(wire::encode_datagram(Channel(1), &[0; MAX_DATAGRAM_BYTES]), None);
}
