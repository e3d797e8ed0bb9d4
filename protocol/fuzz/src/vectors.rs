use std::collections::BTreeMap;

use arbitrary::Unstructured;
use bytes::Bytes;
use inkwire_document::{Actor, VersionVector};
use inkwire_protocol::frame::Extends;
use inkwire_protocol::{Frame, Opening};

use super::choose::{self, Pool};

/// The first frames of a lane, against a plain map: of an actor that comes twice the higher counter holds.
pub fn vectors(data: &[u8]) {
    let mut choices = Unstructured::new(data);
    let pool = Pool::default();
    let (mut vector, mut durable): (BTreeMap<Actor, u64>, BTreeMap<Actor, u64>) = Default::default();
    let raise = |map: &mut BTreeMap<Actor, u64>, part: &VersionVector| {
        for (actor, counter) in &part.dots {
            let known = map.entry(*actor).or_default();
            *known = (*known).max(*counter);
        }
    };
    let mut opening = Opening::default();
    while !choices.is_empty() {
        // Now and then bytes as they are: what decodes goes on.
        let frame = if choices.ratio(1_u8, 4_u8).unwrap_or(false) {
            let length = choices.int_in_range(0..=64).unwrap_or(0).min(choices.len());
            let Ok(bytes) = choices.bytes(length) else { return };
            match Frame::decode(&Bytes::copy_from_slice(bytes)) {
                Ok(frame) => frame,
                Err(_) => continue,
            }
        } else {
            let Ok(frame) = choose::frame(&mut choices, &pool) else { return };
            frame
        };
        if let Frame::Vector(part) = &frame {
            if matches!(part.extends, Extends::Vector | Extends::Both) {
                raise(&mut vector, &part.part);
            }
            if matches!(part.extends, Extends::Durable | Extends::Both) {
                raise(&mut durable, &part.part);
            }
        }
        if let Frame::Open(open) = &frame {
            raise(&mut vector, &open.vector);
            raise(&mut durable, &open.durable);
        }
        let expected = matches!(frame, Frame::Vector(_) | Frame::Seen(_) | Frame::Open(_));
        match opening.receive(frame) {
            Ok(None) => assert!(expected),
            Ok(Some(open)) => {
                assert_eq!(open.vector.dots, vector);
                assert_eq!(open.durable.dots, durable);
                (vector, durable) = Default::default();
            }
            Err(_) => return assert!(!expected),
        }
    }
}
