//! Packets in words.

use crate::network::Packet;

/// The frames of a packet, for the trace.
pub(super) fn describe(packet: &Packet) -> String {
    use inkwire_protocol::wire::{StreamDecoder, split_datagram, split_message};
    let frames = |frames: Vec<bytes::Bytes>| {
        frames.iter().map(|frame| short(&inkwire_protocol::Frame::decode(frame))).collect::<Vec<_>>().join(" ")
    };
    match packet {
        Packet::Lane(channel, bytes) => {
            let mut decoder = StreamDecoder::new();
            decoder.push(bytes);
            let all = std::iter::from_fn(|| decoder.next_frame().ok().flatten()).collect();
            format!("{channel}: {}", frames(all))
        }
        Packet::Message(bytes) => match split_message(bytes) {
            Ok((channel, all)) => format!("{}: {}", channel.0, frames(all)),
            Err(error) => error.to_string(),
        },
        Packet::Datagram(bytes) => match split_datagram(bytes) {
            Ok((channel, frame)) => format!("{} datagram: {}", channel.0, frames(vec![frame])),
            Err(error) => error.to_string(),
        },
        Packet::Finish(channel) => format!("{channel} finished"),
        Packet::End => "the end".into(),
    }
}

fn short(frame: &Result<inkwire_protocol::Frame, inkwire_protocol::frame::FrameError>) -> String {
    use inkwire_protocol::Frame;
    match frame {
        Ok(Frame::Batch(batch)) => format!("Batch({} {}+{})", batch.actor, batch.first, batch.count),
        Ok(Frame::Offer(batch)) => format!("Offer({} {}+{})", batch.actor, batch.first, batch.count),
        Ok(Frame::Snapshot(chunk)) => format!("Snapshot({} of {} bytes)", chunk.index, chunk.bytes.len()),
        Ok(frame @ (Frame::Ping(_) | Frame::Pong(_) | Frame::PresenceUpdate(_) | Frame::Presence(_))) => {
            frame.name().into()
        }
        Ok(frame) => format!("{frame:?}"),
        Err(error) => error.to_string(),
    }
}
