//! Speculative copies: when they are sent, and what becomes of those that come.

use std::time::Duration;

use inkwire_document::{Actor, Batch};
use inkwire_protocol::client::{ClientConfig, Lanes};
use inkwire_protocol::copies::{COPY_DELAY, CopyCounts, CopyMode, PacketCounts};
use inkwire_protocol::frame::{self, Synced, WantCopies};
use inkwire_protocol::{Channel, Frame, wire};

use crate::peer::{Author, BOTH, Peer, fresh, opened, vector};

fn copies(peer: &mut Peer, channel: Channel) -> Vec<Batch> {
    peer.pump();
    let batch = |(lane, frame)| match frame {
        Frame::Batch(batch) if lane == channel => Some(batch.into_parts().0),
        _ => None,
    };
    std::mem::take(&mut peer.datagrams).into_iter().filter_map(batch).collect()
}

fn datagram(peer: &mut Peer, channel: Channel, frame: impl Into<Frame>) {
    let bytes = wire::encode_datagram(channel, &frame.into().encode()).expect("it is short");
    peer.client.receive_datagram(peer.at(), bytes);
}

#[test]
fn copies_go_out_while_the_relay_wants_them() {
    let (mut peer, id, channel) = Peer::editor(Lanes::Streams);
    let copied = |peer: &mut Peer| {
        peer.insert(id, 0, "x").expect("an editor");
        let sent = peer.take_batches();
        assert_eq!(copies(peer, channel), [], "not in the packet of the batch");
        peer.pass(COPY_DELAY);
        let copied = copies(peer, channel);
        assert!(copied.is_empty() || copied == sent, "{copied:?} of {sent:?}");
        !copied.is_empty()
    };
    assert!(!copied(&mut peer));
    datagram(&mut peer, Channel::CONTROL, WantCopies { millis: 2_000 });
    assert!(copied(&mut peer) && peer.client.sends_copies());
    peer.pass(Duration::from_secs(2));
    assert!(!copied(&mut peer), "the wish has ended");
    assert!(peer.client.wants_look_at_path(peer.at()));
    peer.client.look_at_path(peer.at(), PacketCounts { sent: 100, lost: 5 });
    assert!(copied(&mut peer), "the own transport sees loss");
    assert_eq!(peer.client.copies().sent, 2);
    peer.client.set_copies(CopyMode::Off);
    assert!(!copied(&mut peer));
    peer.client.set_copies(CopyMode::On);
    assert!(copied(&mut peer));
    peer.insert(id, 0, "x").expect("an editor");
    peer.pump();
    peer.client.close_document(peer.at(), id);
    peer.pass(COPY_DELAY);
    assert_eq!(copies(&mut peer, channel).len(), 1, "it stays open until its edits are durable");
}

#[test]
fn a_new_connection_begins_without_and_messages_have_none() {
    for lanes in BOTH {
        let (mut peer, id, _) = Peer::editor(lanes);
        if lanes == Lanes::Streams {
            datagram(&mut peer, Channel::CONTROL, WantCopies { millis: u64::MAX });
            peer.client.look_at_path(peer.at(), PacketCounts { sent: 100, lost: 50 });
            assert!(peer.client.sends_copies());
            peer.reconnect();
            assert!(!peer.client.sends_copies());
        }
        peer.client.set_copies(CopyMode::On);
        peer.insert(id, 0, "x").expect("an editor");
        peer.pass(COPY_DELAY);
        assert_eq!(peer.datagrams.len(), 0, "{lanes:?}: while the document is not open again, or never");
    }
}

#[test]
fn a_copy_shows_before_its_batch_and_is_dropped_after_it() {
    let (mut peer, id, channel) = Peer::editor(Lanes::Streams);
    let mut author = Author::new(Actor(9));
    let batches = ["a", "b", "c"].map(|text| author.insert(0, text));
    datagram(&mut peer, channel, fresh(&batches[1]));
    assert_eq!(peer.text(id), "", "what goes before it is not there");
    datagram(&mut peer, channel, fresh(&batches[0]));
    datagram(&mut peer, channel, fresh(&batches[1]));
    assert_eq!(peer.text(id), "ba");
    for batch in &batches {
        peer.say(channel, fresh(batch));
    }
    datagram(&mut peer, channel, fresh(&batches[2]));
    assert_eq!(peer.text(id), "cba");
    assert_eq!(peer.client.copies(), CopyCounts { sent: 0, first: 2, late: 1, passed: 1 });
    assert_eq!(peer.client.replica(id).expect("open").retained().0, 3, "each once");
}

#[test]
fn what_came_as_a_copy_is_offered_like_any_other() {
    let (mut peer, _, channel) = Peer::editor(Lanes::Streams);
    let batch = Author::new(Actor(9)).insert(0, "seen");
    datagram(&mut peer, channel, fresh(&batch));
    peer.reconnect();
    let (channel, open) = peer.take_open();
    assert_eq!(open.vector.get(&Actor(9)), batch.last());
    peer.say(channel, opened(Some((Actor(5), 1)), &[]));
    let Frame::Offer(offer) = peer.take(channel) else { panic!("no offer") };
    assert_eq!(offer.into_parts().0, batch);
}

#[test]
fn a_copy_out_of_place_is_passed_over() {
    let (mut peer, id, channel) = Peer::editor(Lanes::Streams);
    let batch = Author::new(Actor(9)).insert(0, "x");
    let mut bad = batch.clone();
    bad.operations = bytes::Bytes::from_static(b"no operations");
    let mut referring = Author::new(Actor(11));
    let unknown = Author::new(Actor(10)).insert(0, "unknown");
    referring.0.apply(&unknown).expect("it applies");
    let own = Author::new(Actor(5)).insert(0, "mine");
    for (what, batch) in [("malformed", &bad), ("of what is unknown", &referring.insert(3, "y")), ("own", &own)] {
        datagram(&mut peer, channel, fresh(batch));
        assert_eq!(peer.text(id), "", "{what}");
    }
    datagram(&mut peer, Channel(40), fresh(&batch));
    peer.client.set_copies(CopyMode::Off);
    datagram(&mut peer, channel, fresh(&batch));
    assert_eq!((peer.text(id), peer.client.copies().passed), (String::new(), 3));
    assert!(peer.client.is_connected() && peer.disconnected.is_none());

    let mut peer = Peer::new(Lanes::Streams, ClientConfig::default());
    datagram(&mut peer, Channel(1), fresh(&batch));
    peer.connect();
    let id = peer.open();
    let (channel, _) = peer.take_open();
    datagram(&mut peer, channel, fresh(&batch));
    peer.say(channel, opened(Some((Actor(5), 1)), &[(Actor(9), batch.last())]));
    datagram(&mut peer, channel, fresh(&batch));
    assert_eq!(peer.text(id), "", "not synced yet");
    peer.say(channel, frame::Batch::new(batch.clone(), None));
    peer.say(channel, Synced { vector: vector(&[(Actor(9), batch.last())]) });
    datagram(&mut peer, channel, fresh(&batch));
    assert_eq!((peer.text(id), peer.client.copies().late), ("x".into(), 1));
}
