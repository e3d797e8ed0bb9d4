//! Local, sent, durable: each edit in exactly one state, and truthfully so.

use inkwire_document::Actor;
use inkwire_protocol::Code;
use inkwire_protocol::client::{Event, Lanes};
use inkwire_protocol::frame::{Durable, Received};

use crate::peer::{BOTH, Peer, vector};

#[test]
fn an_edit_is_local_then_sent_then_durable() {
    for lanes in BOTH {
        let (mut peer, id, channel) = Peer::editor(lanes);
        peer.insert(id, 0, "ab").expect("an editor");
        peer.insert(id, 2, "c").expect("an editor");
        assert_eq!(peer.status(id), (2, 0, 0));
        let batches = peer.take_batches();
        assert_eq!(batches.iter().map(|batch| (batch.first, batch.last())).collect::<Vec<_>>(), [(1, 2), (3, 3)]);
        assert_eq!(peer.status(id), (0, 2, 0));
        peer.events();
        peer.say(channel, Received { counter: 3, paused: None });
        assert_eq!(peer.status(id), (0, 2, 0), "received is not durable");
        peer.say(channel, Durable { vector: vector(&[(Actor(5), 2)]) });
        assert_eq!(peer.status(id), (0, 1, 1));
        let events = peer.events();
        assert!(events.contains(&Event::Durable(id)) && events.contains(&Event::Status(id)));
        assert!(!peer.client.replica(id).expect("open").all_durable());
        peer.say(channel, Durable { vector: vector(&[(Actor(5), 3)]) });
        assert_eq!(peer.status(id), (0, 0, 2));
        assert!(peer.client.replica(id).expect("open").all_durable());
    }
}

#[test]
fn edits_of_one_flush_travel_together_and_a_large_one_is_durable_as_a_whole() {
    let (mut peer, id, channel) = Peer::editor(Lanes::Streams);
    let paste = "0123456789".repeat(20_000);
    peer.insert(id, 0, &paste).expect("an editor");
    let batches = peer.take_batches();
    assert!(batches.len() > 1, "200 kB do not fit one batch");
    assert_eq!(peer.status(id), (0, 1, 0));
    for (index, batch) in batches.iter().enumerate() {
        let last = index + 1 == batches.len();
        peer.say(channel, Durable { vector: vector(&[(batch.actor, batch.last())]) });
        assert_eq!(peer.status(id), if last { (0, 0, 1) } else { (0, 1, 0) }, "batch {index}");
    }
}

#[test]
fn nothing_is_under_way_without_a_connection() {
    let (mut peer, id, _) = Peer::editor(Lanes::Messages);
    peer.insert(id, 0, "abc").expect("an editor");
    peer.pump();
    assert_eq!(peer.status(id), (0, 1, 0));
    peer.client.disconnected(peer.at());
    assert_eq!(peer.status(id), (1, 0, 0));
    assert!(peer.events().contains(&Event::Status(id)));
}

#[test]
fn a_relay_that_takes_nothing_for_now_says_so_and_when_it_does_again() {
    for lanes in BOTH {
        let (mut peer, id, channel) = Peer::editor(lanes);
        let why = |peer: &Peer| peer.client.replica(id).expect("open").paused();
        peer.insert(id, 0, "abc").expect("an editor");
        peer.events();
        peer.say(channel, Received { counter: 0, paused: Some(Code::Overloaded) });
        assert_eq!(why(&peer), Some(Code::Overloaded));
        assert_eq!(peer.events(), [Event::Status(id)]);
        peer.say(channel, Received { counter: 0, paused: Some(Code::Overloaded) });
        assert_eq!(peer.events(), [], "nothing new");
        peer.insert(id, 3, "d").expect("an edit is made all the same");
        peer.say(channel, Received { counter: 4, paused: None });
        assert_eq!(why(&peer), None);
        peer.say(channel, Received { counter: 4, paused: Some(Code::Overloaded) });
        peer.reconnect();
        assert_eq!(why(&peer), None, "a new lane has not said it");
    }
}
