//! Opening, roles, snapshots, closing.

use std::time::Duration;

use bytes::Bytes;
use inkwire_document::{Actor, Delta, HybridTime, Origin, TextDelta, Value};
use inkwire_protocol::client::{ClientConfig, Event, Lanes, OpenError, Transmit};
use inkwire_protocol::frame::{Base, Close, Durable, Leased, Release, RoleChanged, Snapshot, Synced};
use inkwire_protocol::replica::{EditRefused, ReplicaConfig};
use inkwire_protocol::{Channel, Code, Frame, Role};

use crate::peer::{Author, BOTH, Peer, fresh, opened, vector};

#[test]
fn a_document_is_opened_with_what_the_client_has() {
    for lanes in BOTH {
        let mut peer = Peer::new(lanes, ClientConfig::default());
        let id = peer.open();
        peer.connect();
        let (channel, open) = peer.take_open();
        assert_eq!(channel, Channel(1));
        assert_eq!((open.document.as_str(), open.role), ("acme/plan", Role::Editor));
        assert_eq!(open.incarnation, None);
        assert_eq!(open.claim.map(|claim| claim.last), Some(0), "an actor of its own, for edits before the answer");
        assert!(open.vector.is_empty() && open.durable.is_empty());
        peer.events();
        peer.say(channel, opened(Some((Actor(5), 1)), &[]));
        assert!(peer.events().contains(&Event::Opened(id)));
        assert!(!peer.client.replica(id).expect("open").synced());
        peer.say(channel, Synced { vector: vector(&[]) });
        assert!(peer.events().contains(&Event::Synced(id)));
        let replica = peer.client.replica(id).expect("open");
        assert_eq!((replica.synced(), replica.role(), replica.incarnation()), (true, Some(Role::Editor), Some(0)));
    }
    let mut peer = Peer::welcomed(Lanes::Streams);
    assert_eq!(peer.client.open(peer.at(), ""), Err(OpenError::BadName(0)));
    assert_eq!(peer.client.open(peer.at(), &"x".repeat(257)), Err(OpenError::BadName(257)));
}

#[test]
fn others_edits_come_in_as_changes() {
    let (mut peer, id, channel) = Peer::editor(Lanes::Streams);
    peer.client.observe_changes(id, true);
    let mut author = Author::new(Actor(8));
    peer.say(channel, fresh(&author.insert(0, "Hello")));
    assert!(peer.events().contains(&Event::Changed(id)));
    let changes = peer.client.take_changes(id);
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].root.as_str(), changes[0].origin), ("body", Origin::Remote));
    assert_eq!(changes[0].delta, Delta::Text(vec![TextDelta::insert("Hello")]));
    assert_eq!(peer.text(id), "Hello");
}

#[test]
fn a_snapshot_comes_in_chunks() {
    let mut author = Author::new(Actor(8));
    author.insert(0, &"some text, ".repeat(2_000));
    let snapshot = author.0.snapshot();
    let chunk_bytes = snapshot.len() / 3 + 1;
    let chunks: Vec<Bytes> = snapshot.chunks(chunk_bytes).map(Bytes::copy_from_slice).collect();
    for lanes in BOTH {
        let mut peer = Peer::welcomed(lanes);
        let id = peer.open();
        let (channel, _) = peer.take_open();
        let held = [(Actor(8), author.0.version().get(&Actor(8)))];
        let base = Some(Base { bytes: snapshot.len() as u64 });
        peer.say(channel, inkwire_protocol::frame::Opened { base, ..opened(Some((Actor(5), 1)), &held) });
        for (index, bytes) in chunks.iter().cloned().enumerate() {
            assert_eq!(peer.text(id), "");
            let last = index + 1 == chunks.len();
            peer.say(channel, Snapshot { index: index as u32, last, bytes });
        }
        assert_eq!(peer.text(id), author.0.text("body").to_string());
        assert_eq!(*peer.client.replica(id).expect("open").durable(), vector(&held), "a snapshot is durable");
        // A reconnect says so.
        peer.reconnect();
        let (_, open) = peer.take_open();
        assert_eq!((open.vector, open.durable, open.incarnation), (vector(&held), vector(&held), Some(0)));
    }
}

#[test]
fn a_snapshot_that_is_none_ends_the_session() {
    let broken = [
        Snapshot { index: 1, last: true, bytes: Bytes::new() },
        Snapshot { index: 0, last: true, bytes: Bytes::from_static(b"no snapshot") },
    ];
    for chunk in broken {
        let (mut peer, _, channel) = Peer::editor(Lanes::Streams);
        peer.say(channel, chunk);
        peer.pump();
        assert!(matches!(peer.disconnected, Some(Code::BadFrame | Code::UnexpectedFrame)));
    }
}

#[test]
fn a_snapshot_over_the_limit_closes_the_document() {
    let replica = ReplicaConfig { snapshot_bytes: 100, ..ReplicaConfig::default() };
    let mut peer = Peer::new(Lanes::Messages, ClientConfig { replica, ..ClientConfig::default() });
    peer.connect();
    let id = peer.open();
    let (channel, _) = peer.take_open();
    peer.say(channel, opened(None, &[]));
    peer.say(channel, Snapshot { index: 0, last: false, bytes: vec![0; 101].into() });
    assert!(matches!(peer.take(channel), Frame::CloseDocument(_)));
    assert!(
        peer.events().iter().any(|event| matches!(event, Event::DocumentClosed { document, .. } if *document == id))
    );
    assert_eq!(peer.disconnected, None, "the session goes on");
}

#[test]
fn a_viewer_reads_and_an_editor_writes() {
    let mut peer = Peer::welcomed(Lanes::Streams);
    let id = peer.open();
    let (channel, _) = peer.take_open();
    peer.say(channel, opened(None, &[]));
    peer.say(channel, Synced { vector: vector(&[]) });
    assert_eq!(peer.insert(id, 0, "x"), Err(EditRefused::ReadOnly));
    assert_eq!((peer.text(id).as_str(), peer.status(id)), ("", (0, 0, 0)));
    peer.say(channel, RoleChanged { role: Role::Editor });
    assert_eq!(peer.insert(id, 0, "x"), Err(EditRefused::ReadOnly), "the lease has not come yet");
    peer.say(channel, Leased { actor: Actor(6), next: 1, ticket: Some(Bytes::from_static(b"ticket")), digest: None });
    peer.insert(id, 0, "x").expect("an editor now");
    let batches = peer.take_batches();
    assert_eq!((batches.len(), batches[0].actor), (1, Actor(6)));
    peer.say(channel, Durable { vector: vector(&[(Actor(6), 1)]) });
    peer.reconnect();
    let (_, open) = peer.take_open();
    let claim = open.claim.expect("the actor is resumed");
    assert_eq!((claim.actor, claim.last, claim.ticket.as_deref()), (Actor(6), 1, Some(&b"ticket"[..])));
}

#[test]
fn an_application_that_only_reads_asks_for_that() {
    let replica = ReplicaConfig { role: Role::Viewer, ..ReplicaConfig::default() };
    let mut peer = Peer::new(Lanes::Streams, ClientConfig { replica, ..ClientConfig::default() });
    let id = peer.open();
    assert_eq!(peer.insert(id, 0, "x"), Err(EditRefused::ReadOnly));
    peer.connect();
    assert_eq!(peer.take_open().1.role, Role::Viewer);
}

#[test]
fn a_document_closes_once_its_edits_are_durable() {
    for lanes in BOTH {
        let (mut peer, id, channel) = Peer::editor(lanes);
        peer.insert(id, 0, "x").expect("an editor");
        peer.client.close_document(peer.at(), id);
        assert!(peer.client.replica(id).is_none());
        assert_eq!(peer.take_batches().len(), 1);
        assert_eq!(peer.insert(id, 0, "y"), Err(EditRefused::Closed));
        peer.reconnect();
        let (channel, _) = {
            let _ = channel;
            peer.take_open()
        };
        peer.say(channel, opened(Some((Actor(5), 1)), &[]));
        assert_eq!(peer.take_batches().len(), 1, "it outlives a lost connection");
        peer.say(channel, Durable { vector: vector(&[(Actor(5), 1)]) });
        assert_eq!(peer.take(channel), Release { actor: Actor(5), last: 1 }.into());
        assert!(matches!(peer.take(channel), Frame::CloseDocument(_)));
        if lanes == Lanes::Streams {
            assert_eq!(peer.lane_changes.last(), Some(&Transmit::FinishLane(channel)));
        }
        peer.say(channel, Close { code: Code::None, reason: String::new() });
        assert_eq!(peer.disconnected, None, "what still comes on the lane is ignored");
    }
}

#[test]
fn a_relay_that_is_full_is_asked_again_and_one_that_forbids_is_not() {
    for lanes in BOTH {
        let mut peer = Peer::welcomed(lanes);
        let id = peer.open();
        let (channel, _) = peer.take_open();
        peer.say(channel, Close { code: Code::Overloaded, reason: "full".into() });
        peer.pump();
        assert!(!peer.sent.iter().any(|(_, frame)| matches!(frame, Frame::CloseDocument(_))), "it is closed");
        peer.pass(Duration::from_secs(1));
        let (again, _) = peer.take_open();
        assert_eq!(again, Channel(2), "a channel is never used twice");
        peer.say(again, Close { code: Code::Forbidden, reason: "no grant".into() });
        let closed = Event::DocumentClosed { document: id, code: Code::Forbidden, reason: "no grant".into() };
        assert!(peer.events().contains(&closed));
        assert_eq!(peer.insert(id, 0, "x"), Err(EditRefused::Closed));
        peer.pass(Duration::from_secs(1));
        assert!(!peer.sent.iter().any(|(_, frame)| matches!(frame, Frame::Open(_))));
        assert!(peer.client.is_connected(), "the session goes on");
    }
}

#[test]
fn documents_do_not_block_each_other() {
    let mut peer = Peer::welcomed(Lanes::Streams);
    let (a, b) = (peer.open(), peer.client.open(peer.at(), "other").expect("a good name"));
    let (first, _) = peer.take_open();
    let (second, _) = peer.take_open();
    peer.say(first, opened(Some((Actor(1), 1)), &[]));
    peer.say(second, opened(Some((Actor(2), 1)), &[]));
    peer.pump();
    for _ in 0..5_000 {
        peer.insert(a, 0, "a flood of edits").expect("an editor");
    }
    peer.insert(b, 0, "one").expect("an editor");
    let mut polled = 0;
    let found = loop {
        match peer.client.poll_transmit(peer.at()) {
            Some(Transmit::Stream { channel, .. }) if channel == second => break true,
            Some(_) => polled += 1,
            None => break false,
        }
    };
    assert!(found && polled <= 1, "the other document's turn came after {polled}");
}

#[test]
fn an_edit_is_later_than_all_that_was_seen_in_its_document() {
    let (mut peer, id, channel) = Peer::editor(Lanes::Streams);
    let late = HybridTime::from_millis(1 << 45);
    let mut author = Author::new(Actor(9));
    author.0.map_set("meta", "key", Value::Bool(true), late).expect("a small value");
    let batch = author.0.take_batches().remove(0);
    peer.say(channel, fresh(&batch));
    let other = peer.open();
    let now = peer.at();
    let time = |peer: &mut Peer, id| peer.client.edit(now, id, |_, time| Ok(time)).expect("an editor");
    let first = time(&mut peer, id);
    assert!(first > late);
    assert!(time(&mut peer, id) > first);
    assert!(time(&mut peer, other) < late, "another document's times are its own");
}

#[test]
fn a_lane_that_is_full_holds_up_no_other() {
    let (mut peer, stuck, channel) = Peer::editor(Lanes::Streams);
    let other = peer.client.open(peer.at(), "acme/other").expect("a good name");
    let (second, _) = peer.take_open();
    peer.say(second, opened(Some((Actor(6), 1)), &[]));
    peer.say(second, Synced { vector: vector(&[]) });
    peer.client.set_lane_full(channel, true);
    peer.client.set_lane_full(Channel::CONTROL, true);
    peer.insert(stuck, 0, "stuck").expect("an editor");
    peer.insert(other, 0, "through").expect("an editor");
    assert_eq!(peer.take_batches().iter().map(|batch| batch.actor).collect::<Vec<_>>(), [Actor(6)]);
    peer.say(Channel::CONTROL, inkwire_protocol::frame::Ping { nonce: 3 });
    assert_eq!(peer.take(Channel::CONTROL), inkwire_protocol::frame::Pong { nonce: 3 }.into());
    assert_eq!(peer.status(stuck), (1, 0, 0), "it stays where it is");
    peer.client.set_lane_full(channel, false);
    assert_eq!(peer.take_batches().len(), 1);
    peer.client.set_lane_full(channel, true);
    peer.reconnect();
    let mut again = [peer.take_open().1.document, peer.take_open().1.document];
    again.sort();
    assert_eq!(again, ["acme/other", "acme/plan"], "a new lane begins empty");
}
