use arbitrary::Unstructured;
use bytes::Bytes;
use inkwire_protocol::Frame;
use inkwire_protocol::limits::{MAX_FRAME_BYTES, MAX_MESSAGE_BYTES};
use inkwire_protocol::wire::{
    StreamDecoder, check, check_frame, encode_datagram, encode_message, encode_stream, split_datagram, split_message,
};

/// One frame: what decodes passes the check, and says the same once it is encoded and decoded again.
pub fn frames(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    if let Ok(length) = check(data) {
        assert!(length <= data.len());
    }
    let Ok(frame) = Frame::decode(&bytes) else { return };
    check_frame(data).expect("what decodes is well-formed");
    let encoded = frame.encode();
    // A field in a wider form than ours makes a frame longer than ours would be, never shorter.
    assert!(encoded.len() <= MAX_FRAME_BYTES + 16, "{} bytes", encoded.len());
    if encoded.len() <= MAX_FRAME_BYTES {
        assert_eq!(Frame::decode(&encoded).as_ref(), Ok(&frame));
    }
}

/// A stream: however it is split, the same frames and the same error come out.
pub fn streams(data: &[u8]) {
    let mut choices = Unstructured::new(data);
    let splits: [u8; 8] = choices.arbitrary().unwrap_or_default();
    let rest = choices.take_rest();
    let take = |decoder: &mut StreamDecoder, out: &mut Vec<Bytes>| loop {
        match decoder.next_frame() {
            Ok(Some(frame)) => out.push(frame),
            Ok(None) => return None,
            Err(error) => return Some(error),
        }
    };
    let (mut whole, mut at_once) = (StreamDecoder::new(), Vec::new());
    whole.push(rest);
    let failed = take(&mut whole, &mut at_once);
    let (mut split, mut in_parts) = (StreamDecoder::new(), Vec::new());
    let (mut left, mut turn, mut failed_in_parts) = (rest, 0, None);
    while !left.is_empty() && failed_in_parts.is_none() {
        let length = (usize::from(splits[turn % splits.len()]) + 1).min(left.len());
        let (part, after) = left.split_at(length);
        split.push(part);
        failed_in_parts = take(&mut split, &mut in_parts);
        (left, turn) = (after, turn + 1);
    }
    assert_eq!((&at_once, failed), (&in_parts, failed_in_parts));
    assert!(whole.buffered() <= rest.len());
    let again = encode_stream(&at_once);
    let (mut decoder, mut round) = (StreamDecoder::new(), Vec::new());
    decoder.push(&again);
    assert_eq!(take(&mut decoder, &mut round), None);
    assert_eq!(round, at_once);
}

/// A WebSocket message: what splits is whole frames that make the same message again.
pub fn messages(data: &[u8]) {
    let Ok((channel, frames)) = split_message(&Bytes::copy_from_slice(data)) else { return };
    assert!(!frames.is_empty() && data.len() <= MAX_MESSAGE_BYTES);
    for frame in &frames {
        check_frame(frame).expect("a message holds frames");
        let _known = Frame::decode(frame);
    }
    let again = encode_message(channel, &frames);
    assert!(again.len() <= data.len(), "ours is the shortest form");
    assert_eq!(split_message(&again), Ok((channel, frames)));
}

/// A datagram, likewise.
pub fn datagrams(data: &[u8]) {
    let Ok((channel, frame)) = split_datagram(&Bytes::copy_from_slice(data)) else { return };
    let again = encode_datagram(channel, &frame).expect("ours is the shortest form");
    assert_eq!(split_datagram(&again), Ok((channel, frame)));
}
