//! Offline edits and lost connections: what is sent again, what is offered, what is bounded.

use std::collections::VecDeque;

use bytes::Bytes;
use inkwire_document::{Actor, Batch, HybridTime, Position, Value};
use inkwire_protocol::client::{ClientConfig, Lanes};
use inkwire_protocol::frame::{Durable, ResendFrom, Synced};
use inkwire_protocol::replica::{EditRefused, ReplicaConfig};
use inkwire_protocol::{Channel, Frame};

use crate::peer::{Author, BOTH, Peer, fresh, opened, vector};

fn sent_before(sent: &VecDeque<(Channel, Frame)>, batch: &Batch) -> bool {
    sent.iter().any(|(_, frame)| matches!(frame, Frame::Batch(sent) if sent.clone().into_parts().0 == *batch))
}

fn firsts(batches: &[Batch]) -> Vec<u64> {
    batches.iter().map(|batch| batch.first).collect()
}

#[test]
fn a_replica_that_is_born_offline_claims_its_own_actor() {
    for lanes in BOTH {
        let mut peer = Peer::new(lanes, ClientConfig::default());
        let id = peer.open();
        for (at, letter) in ["a", "b", "c"].iter().enumerate() {
            peer.insert(id, at, letter).expect("editing begins at once");
        }
        assert_eq!((peer.text(id).as_str(), peer.status(id)), ("abc", (3, 0, 0)));
        peer.connect();
        let (channel, open) = peer.take_open();
        let claim = open.claim.expect("a self-made actor");
        assert_eq!((claim.last, claim.ticket), (3, None));
        peer.say(channel, opened(Some((claim.actor, 1)), &[]));
        let batches = peer.take_batches();
        assert_eq!(batches.len(), 1, "typing is one batch");
        assert_eq!((batches[0].actor, batches[0].first, batches[0].last()), (claim.actor, 1, 3));
        assert_eq!(peer.status(id), (0, 3, 0));
        peer.say(channel, Durable { vector: vector(&[(claim.actor, 3)]) });
        assert_eq!(peer.status(id), (0, 0, 3));
    }
}

#[test]
fn edits_between_the_question_and_the_answer_are_kept() {
    let mut peer = Peer::welcomed(Lanes::Streams);
    let id = peer.open();
    let (channel, open) = peer.take_open();
    let claim = open.claim.expect("an actor of its own");
    peer.insert(id, 0, "meanwhile").expect("the role is not known yet");
    assert_eq!(peer.take_batches(), [], "nothing is sent before the answer");
    peer.say(channel, opened(Some((claim.actor, 1)), &[]));
    let batches = peer.take_batches();
    assert_eq!((batches.len(), batches[0].actor), (1, claim.actor));
}

#[test]
fn what_the_relay_lacks_is_sent_again() {
    for lanes in BOTH {
        for (held, again) in [(0, vec![1, 2, 3]), (1, vec![2, 3]), (3, vec![])] {
            let (mut peer, id, _) = Peer::editor(lanes);
            for at in 0..3 {
                peer.insert(id, at, "x").expect("an editor");
                peer.pump();
            }
            let before = std::mem::take(&mut peer.sent);
            peer.reconnect();
            let (channel, open) = peer.take_open();
            let claim = open.claim.expect("the actor");
            assert_eq!((claim.actor, claim.last), (Actor(5), 3));
            assert_eq!(open.vector, vector(&[(Actor(5), 3)]));
            peer.say(channel, opened(Some((Actor(5), held + 1)), &[(Actor(5), held)]));
            let batches = peer.take_batches();
            assert_eq!(firsts(&batches), again, "held up to {held}");
            assert!(batches.iter().all(|batch| sent_before(&before, batch)), "the same bytes");
            assert_eq!(peer.status(id), (0, 3, 0));
        }
    }
}

#[test]
fn others_batches_are_offered_before_own_ones() {
    for lanes in BOTH {
        let (mut peer, id, channel) = Peer::editor(lanes);
        let (mut ada, mut bob) = (Author::new(Actor(8)), Author::new(Actor(9)));
        let (a1, b1, a2, a3) = (ada.insert(0, "a"), bob.insert(0, "b"), ada.insert(1, "a"), ada.insert(2, "a"));
        for batch in [&a1, &b1, &a2, &a3] {
            peer.say(channel, fresh(batch));
        }
        peer.insert(id, 0, "own").expect("an editor");
        peer.say(channel, Durable { vector: vector(&[(Actor(8), 1)]) });
        assert_eq!(peer.client.replica(id).expect("open").retained().0, 3);
        peer.reconnect();
        let (channel, open) = peer.take_open();
        assert_eq!(open.durable, vector(&[(Actor(8), 1)]));
        // The relay came back with what was durable and one batch more.
        peer.say(channel, opened(Some((Actor(5), 1)), &[(Actor(8), 2)]));
        peer.pump();
        let sent: Vec<_> = std::mem::take(&mut peer.sent).into_iter().map(|(_, frame)| frame).collect();
        let [Frame::Offer(first), Frame::Offer(second), Frame::Batch(own)] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(first.clone().into_parts(), (b1.clone(), Bytes::from_static(b"receipt")));
        assert_eq!(second.clone().into_parts().0, a3);
        assert_eq!(own.actor, Actor(5));
        peer.say(channel, Durable { vector: vector(&[(Actor(8), 3), (Actor(9), 1)]) });
        assert_eq!(peer.client.replica(id).expect("open").retained(), (0, 0));
    }
}

#[test]
fn own_batches_that_came_back_with_a_receipt_are_offered_in_their_place() {
    for lanes in BOTH {
        let (mut peer, id, channel) = Peer::editor(lanes);
        peer.insert(id, 0, "typed").expect("an editor");
        let now = peer.at();
        let set = |document: &mut inkwire_document::Document, time| {
            document.map_set("meta", "title", Value::from("Plan"), time)
        };
        peer.client.edit(now, id, set).expect("an editor");
        peer.client.flush(now, id);
        peer.insert(id, 0, "typed again").expect("an editor");
        let sent = peer.take_batches();
        assert_eq!(firsts(&sent), [1, 6, 7]);
        peer.say(channel, fresh(&sent[1]));
        assert_eq!((peer.status(id), peer.client.replica(id).expect("open").retained()), ((0, 3, 0), (0, 0)));
        peer.reconnect();
        let (channel, _) = peer.take_open();
        assert_eq!(peer.seen, [], "of its own the lease tells more");
        peer.say(channel, opened(Some((Actor(5), 1)), &[]));
        peer.pump();
        let again: Vec<_> = std::mem::take(&mut peer.sent).into_iter().map(|(_, frame)| frame).collect();
        let [Frame::Batch(first), Frame::Offer(offer), Frame::Batch(last)] = &again[..] else { panic!("{again:?}") };
        assert_eq!((first.first, last.first), (1, 7));
        assert_eq!(offer.clone().into_parts(), (sent[1].clone(), Bytes::from_static(b"receipt")));
        peer.say(channel, Durable { vector: vector(&[(Actor(5), 17)]) });
        assert_eq!((peer.status(id), peer.client.replica(id).expect("open").outbox_bytes()), ((0, 0, 3), 0));
    }
}

#[test]
fn what_is_durable_or_has_no_receipt_is_not_retained() {
    let (mut peer, id, channel) = Peer::editor(Lanes::Streams);
    let mut ada = Author::new(Actor(8));
    let (first, second) = (ada.insert(0, "a"), ada.insert(1, "b"));
    peer.say(channel, inkwire_protocol::frame::Batch::new(first, None));
    peer.say(channel, Durable { vector: vector(&[(Actor(8), 2)]) });
    peer.say(channel, fresh(&second));
    let replica = peer.client.replica(id).expect("open");
    assert_eq!((replica.retained().0, peer.text(id).as_str()), (0, "ab"));
    assert_eq!(*replica.durable(), vector(&[(Actor(8), 2)]));
}

#[test]
fn a_relay_may_ask_again_for_what_it_lacks() {
    let (mut peer, id, channel) = Peer::editor(Lanes::Streams);
    for at in 0..4 {
        peer.insert(id, at, "x").expect("an editor");
    }
    assert_eq!(peer.take_batches().len(), 4);
    peer.say(channel, Durable { vector: vector(&[(Actor(5), 1)]) });
    peer.say(channel, ResendFrom { counter: 3 });
    assert_eq!(firsts(&peer.take_batches()), [3, 4]);
    peer.say(channel, ResendFrom { counter: 9 });
    assert_eq!(firsts(&peer.take_batches()), []);
    // Counter 1 was called durable and is gone here.
    peer.say(channel, ResendFrom { counter: 1 });
    assert!(peer.client.replica(id).expect("open").rebuilding().is_some());
    assert_eq!(peer.status(id), (3, 0, 1));
}

#[test]
fn the_outbox_holds_300_000_edits_made_while_disconnected() {
    let mut peer = Peer::new(Lanes::Streams, ClientConfig::default());
    let id = peer.open();
    let now = peer.at();
    // The worst case: every edit somewhere else, so that nothing is coalesced.
    for edit in 0..300_000_usize {
        let at = edit.wrapping_mul(2_654_435_761) % (edit + 1);
        let insert = |document: &mut inkwire_document::Document, _| document.insert("body", Position::Scalar(at), "x");
        peer.client.edit(now, id, insert).expect("it fits");
        peer.client.flush(now, id);
    }
    assert_eq!(peer.status(id), (300_000, 0, 0));
    let replica = peer.client.replica(id).expect("open");
    assert!(replica.outbox_bytes() < ReplicaConfig::default().outbox_bytes, "{}", replica.outbox_bytes());
    let text = peer.text(id);
    peer.connect();
    let (channel, open) = peer.take_open();
    let actor = open.claim.expect("a self-made actor").actor;
    peer.say(channel, opened(Some((actor, 1)), &[]));
    let batches = peer.take_batches();
    let mut relay = inkwire_document::Document::new();
    for batch in &batches {
        relay.apply(batch).expect("a good batch");
    }
    assert_eq!(relay.text("body").to_string(), text);
    peer.say(channel, Durable { vector: vector(&[(actor, 300_000)]) });
    assert_eq!(peer.status(id), (0, 0, 300_000));
}

#[test]
fn a_full_outbox_refuses_edits_and_changes_nothing() {
    let replica = ReplicaConfig { outbox_bytes: 10_000, ..ReplicaConfig::default() };
    let mut peer = Peer::new(Lanes::Streams, ClientConfig { replica, ..ClientConfig::default() });
    let id = peer.open();
    let mut made = 0;
    let refusal = loop {
        match peer.insert(id, made, "x") {
            Ok(()) => made += 1,
            Err(refusal) => break refusal,
        }
    };
    assert!(matches!(refusal, EditRefused::OutboxFull { bytes, limit: 10_000 } if bytes >= 10_000), "{refusal}");
    assert_eq!((peer.text(id).len(), peer.status(id)), (made, (made as u64, 0, 0)));
    peer.connect();
    let (channel, open) = peer.take_open();
    let actor = open.claim.expect("a self-made actor").actor;
    peer.say(channel, opened(Some((actor, 1)), &[]));
    peer.pump();
    peer.say(channel, Durable { vector: vector(&[(actor, made as u64)]) });
    peer.insert(id, 0, "again").expect("there is room again");
}

#[test]
fn edits_of_maps_take_the_relays_time() {
    let (mut peer, id, _) = Peer::editor(Lanes::Streams);
    let mut times = Vec::new();
    for _ in 0..3 {
        let now = peer.at();
        let set = |document: &mut inkwire_document::Document, time: HybridTime| {
            times.push(time);
            document.map_set("meta", "title", Value::from("Plan"), time)
        };
        peer.client.edit(now, id, set).expect("an editor");
    }
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(times[0].millis(), 1_764_000_000_000);
}

#[test]
fn a_resync_in_the_middle_of_a_session_is_taken() {
    let (mut peer, id, channel) = Peer::editor(Lanes::Messages);
    let mut ada = Author::new(Actor(8));
    let first = ada.insert(0, "one ");
    peer.say(channel, fresh(&first));
    let known = ada.0.version().clone();
    ada.insert(4, "two ");
    let bytes = ada.0.difference(&known);
    peer.say(channel, inkwire_protocol::frame::Snapshot { index: 0, last: true, bytes });
    peer.say(channel, fresh(&ada.insert(8, "three")));
    peer.say(channel, fresh(&first));
    peer.say(channel, Synced { vector: ada.0.version().clone() });
    assert_eq!(peer.text(id), "one two three");
}

#[test]
fn the_outbox_holds_as_many_batches_of_one_edit_each() {
    let (mut peer, id, channel) = Peer::editor(Lanes::Streams);
    for at in 0..300_000 {
        peer.insert(id, at, "x").expect("it fits");
    }
    peer.pump();
    assert_eq!(peer.status(id), (0, 300_000, 0));
    peer.sent.clear();
    peer.client.disconnected(peer.at());
    assert_eq!(peer.status(id), (300_000, 0, 0));
    peer.connect();
    let (again, _) = peer.take_open();
    assert!(again <= channel);
    peer.say(again, opened(Some((Actor(5), 1)), &[(Actor(5), 299_999)]));
    assert_eq!(firsts(&peer.take_batches()), [300_000]);
}
