//! The files under `protocol/golden`: what other languages test against.
//!
//! `INKWIRE_BLESS=1 cargo test -p inkwire-protocol --test frames` writes them anew, after a deliberate change.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use inkwire_protocol::frame::FrameError;
use inkwire_protocol::wire::{self, StreamDecoder};
use inkwire_protocol::{Channel, Frame};

use crate::samples::samples;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// Compares `found` with the file, or writes it.
fn compare(name: &str, found: &[u8]) {
    let path = folder().join(name);
    if std::env::var_os("INKWIRE_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        std::fs::write(&path, found).expect("writable");
    }
    let expected = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(expected == found, "{name} differs from its golden bytes:\n{expected:02x?}\n{found:02x?}");
}

#[test]
fn every_frame_has_its_golden_bytes() {
    let samples = samples();
    for (number, name) in Frame::TABLE {
        let there = samples.iter().any(|(_, frame)| frame.number() == *number && frame.name() == *name);
        assert!(there, "no sample of {name}");
    }
    let mut description = String::from("[\n");
    for (index, (name, frame)) in samples.iter().enumerate() {
        let encoded = frame.encode();
        compare(&format!("{name}.bin"), &encoded);
        assert_eq!(Frame::decode(&encoded).as_ref(), Ok(frame), "{name}");
        let comma = if index + 1 < samples.len() { "," } else { "" };
        let (value, rest) = json(&encoded);
        assert!(rest.is_empty());
        writeln!(description, r#"  {{"file": "{name}.bin", "frame": "{}", "value": {value}}}{comma}"#, frame.name())
            .expect("a string");
    }
    description.push_str("]\n");
    compare("frames.json", description.as_bytes());
}

#[test]
fn what_surrounds_frames_has_its_golden_bytes() {
    let ping = Frame::from(inkwire_protocol::frame::Ping { nonce: 7 }).encode();
    let (_, long) = samples().into_iter().find(|(name, _)| *name == "hello").expect("a sample");
    let long = long.encode();
    let mut frames = vec![ping.clone(), long.clone()];
    // Lengths of one, two and four bytes.
    let snapshot = inkwire_protocol::frame::Snapshot { index: 0, last: true, bytes: vec![0xab; 20_000].into() };
    frames.push(Frame::from(snapshot).encode());
    let stream = wire::encode_stream(&frames);
    compare("wire/stream.bin", &stream);
    let mut decoder = StreamDecoder::new();
    decoder.push(&stream);
    let decoded: Vec<Bytes> = std::iter::from_fn(|| decoder.next_frame().expect("whole frames")).collect();
    assert_eq!(decoded, frames);
    for (name, channel) in
        [("control", 0), ("one_byte", 127), ("two_bytes", 128), ("three_bytes", 300), ("five_bytes", 70_000)]
    {
        let frames = [ping.clone(), long.clone()];
        let message = wire::encode_message(Channel(channel), &frames);
        compare(&format!("wire/message_{name}.bin"), &message);
        assert_eq!(wire::split_message(&message), Ok((Channel(channel), frames.to_vec())));
    }
    let presence = inkwire_protocol::frame::Presence { sequence: 3, state: Some(Bytes::from_static(b"cursor")) };
    let frame = Frame::from(presence).encode();
    let datagram = wire::encode_datagram(Channel(1), &frame).expect("short");
    compare("wire/datagram.bin", &datagram);
    assert_eq!(wire::split_datagram(&datagram), Ok((Channel(1), frame)));
}

/// What a decoder must refuse, with the code that the sender is told.
#[test]
fn what_must_be_refused_has_its_golden_bytes() {
    let mut long = vec![0x92, 20, 0xc6, 0, 1, 0, 0];
    long.resize(65_537 + 7, 0);
    let nested = [vec![0x92, 6], vec![0x91; 33], vec![0xc0]].concat();
    let cases: [(&str, Vec<u8>, &str); 16] = [
        ("empty", vec![], "bad_frame"),
        ("not_an_array", vec![0x06], "bad_frame"),
        ("empty_array", vec![0x90], "bad_frame"),
        ("number_is_a_string", vec![0x92, 0xa1, b'6', 0x07], "bad_frame"),
        ("unknown_number", vec![0x92, 0xcc, 200, 0xc0], "unknown_frame"),
        ("missing_element", vec![0x91, 0x06], "bad_frame"),
        ("nil_for_an_integer", vec![0x92, 0x06, 0xc0], "bad_frame"),
        ("negative", vec![0x92, 0x06, 0xff], "bad_frame"),
        ("string_for_binary", vec![0x94, 0x13, 0x00, 0xc3, 0xa1, b'x'], "bad_frame"),
        ("binary_for_a_vector", vec![0x92, 0x17, 0xc4, 0x02, 0x01, 0x01], "bad_frame"),
        ("odd_vector", vec![0x92, 0x17, 0x93, 0x01, 0x01, 0x02], "bad_frame"),
        ("actor_twice", vec![0x92, 0x17, 0x94, 0x01, 0x01, 0x01, 0x02], "bad_frame"),
        ("counter_zero", vec![0x92, 0x17, 0x92, 0x01, 0x00], "bad_frame"),
        ("array_bomb", vec![0xdd, 0xff, 0xff, 0xff, 0xff], "bad_frame"),
        ("too_deep", nested, "too_deep"),
        ("too_large", long, "frame_too_large"),
    ];
    let mut description = String::from("[\n");
    for (index, (name, bytes, code)) in cases.iter().enumerate() {
        compare(&format!("refused/{name}.bin"), bytes);
        let error: FrameError = Frame::decode(&bytes.clone().into()).expect_err(name);
        assert_eq!(error.code().name(), *code, "{name}: {error}");
        let comma = if index + 1 < cases.len() { "," } else { "" };
        writeln!(description, r#"  {{"file": "refused/{name}.bin", "code": "{code}"}}{comma}"#).expect("a string");
    }
    description.push_str("]\n");
    compare("refused.json", description.as_bytes());
}

/// A MessagePack value as JSON, and what follows it. Binary becomes `{"bin": HEX}`, and integers that a double cannot
/// hold `{"uint": DECIMAL}`, so that any language reads the description without loss.
fn json(bytes: &[u8]) -> (String, &[u8]) {
    fn take(bytes: &[u8], width: usize) -> (u64, &[u8]) {
        let number = bytes[..width].iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        (number, &bytes[width..])
    }
    fn list(count: u64, mut rest: &[u8], is_map: bool) -> (String, &[u8]) {
        let mut items = Vec::new();
        for _ in 0..count {
            let (mut item, after) = json(rest);
            rest = after;
            if is_map {
                let (value, after) = json(rest);
                rest = after;
                write!(item, ": {value}").expect("a string");
            }
            items.push(item);
        }
        let items = items.join(", ");
        (if is_map { format!("{{{items}}}") } else { format!("[{items}]") }, rest)
    }
    let (marker, rest) = (bytes[0], &bytes[1..]);
    let string = |length: u64, rest| {
        let (text, rest): (&[u8], &[u8]) = <[u8]>::split_at(rest, length as usize);
        (format!("{:?}", std::str::from_utf8(text).expect("UTF-8")), rest)
    };
    let binary = |length: u64, rest| {
        let (data, rest): (&[u8], &[u8]) = <[u8]>::split_at(rest, length as usize);
        let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
        (format!(r#"{{"bin": "{hex}"}}"#), rest)
    };
    let unsigned = |(number, rest): (u64, _)| match number {
        0..=0x001f_ffff_ffff_ffff => (number.to_string(), rest),
        number => (format!(r#"{{"uint": "{number}"}}"#), rest),
    };
    match marker {
        0..=0x7f => (marker.to_string(), rest),
        0x80..=0x8f => list(u64::from(marker & 15), rest, true),
        0x90..=0x9f => list(u64::from(marker & 15), rest, false),
        0xa0..=0xbf => string(u64::from(marker & 31), rest),
        0xc0 => ("null".into(), rest),
        0xc2 | 0xc3 => ((marker == 0xc3).to_string(), rest),
        0xc4..=0xc6 => {
            let (length, rest) = take(rest, 1 << (marker - 0xc4));
            binary(length, rest)
        }
        0xcc..=0xcf => unsigned(take(rest, 1 << (marker - 0xcc))),
        0xd9..=0xdb => {
            let (length, rest) = take(rest, 1 << (marker - 0xd9));
            string(length, rest)
        }
        0xdc | 0xdd => {
            let (count, rest) = take(rest, 2 << (marker - 0xdc));
            list(count, rest, false)
        }
        other => panic!("frames have no {other:#x}"),
    }
}
