//! Presence: sent where it fits, repeated, forgotten.

use std::time::Duration;

use bytes::Bytes;
use inkwire_document::Actor;
use inkwire_protocol::client::{Event, Lanes};
use inkwire_protocol::frame::{Presence, PresenceEntry, PresenceUpdate};
use inkwire_protocol::wire;
use inkwire_protocol::{Channel, Frame};

use crate::peer::{Peer, SESSION, opened};

fn entry(session: u64, sequence: u32, state: &'static [u8]) -> PresenceUpdate {
    let state = Some(Bytes::from_static(state));
    PresenceUpdate { entries: vec![PresenceEntry { session, sequence, subject: "grace".into(), state }] }
}

fn sent(peer: &mut Peer, channel: Channel) -> Vec<Presence> {
    peer.pump();
    let all = match peer.lanes {
        Lanes::Streams => std::mem::take(&mut peer.datagrams),
        Lanes::Messages => std::mem::take(&mut peer.sent),
    };
    let presence = all.into_iter().filter_map(|(lane, frame)| match frame {
        Frame::Presence(presence) if lane == channel => Some(presence),
        _ => None,
    });
    presence.collect()
}

#[test]
fn the_own_state_is_sent_and_repeated() {
    for lanes in crate::peer::BOTH {
        let (mut peer, id, channel) = Peer::editor(lanes);
        let state = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
        peer.client.set_presence(peer.at(), id, state("a")).expect("short");
        peer.client.set_presence(peer.at(), id, state("b")).expect("short");
        assert_eq!(sent(&mut peer, channel), [Presence { sequence: 1, state: state("b") }]);
        peer.client.set_presence(peer.at(), id, state("c")).expect("short");
        assert_eq!(sent(&mut peer, channel), [], "at most 30 a second");
        peer.pass(Duration::from_millis(40));
        assert_eq!(sent(&mut peer, channel), [Presence { sequence: 2, state: state("c") }]);
        // The relay answers pings meanwhile, so the session lives.
        for second in 0..11 {
            peer.pass(Duration::from_secs(1));
            peer.say(Channel::CONTROL, inkwire_protocol::frame::Pong { nonce: second });
        }
        assert_eq!(sent(&mut peer, channel), [Presence { sequence: 3, state: state("c") }], "repeated");
        let long = Bytes::from(vec![0; 513]);
        assert!(peer.client.set_presence(peer.at(), id, Some(long)).is_err());
        assert_eq!(peer.client.replica(id).expect("open").own_presence(), state("c").as_ref());
        peer.client.set_presence(peer.at(), id, None).expect("short");
        assert_eq!(sent(&mut peer, channel), [Presence { sequence: 4, state: None }]);
    }
}

#[test]
fn a_document_that_is_opened_again_goes_on_after_its_last_state() {
    for lanes in crate::peer::BOTH {
        let (mut peer, id, channel) = Peer::editor(lanes);
        let state = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
        peer.client.set_presence(peer.at(), id, state("a")).expect("short");
        assert_eq!(sent(&mut peer, channel), [Presence { sequence: 1, state: state("a") }]);
        peer.client.close_document(peer.at(), id);
        let id = peer.open();
        peer.client.set_presence(peer.at(), id, state("b")).expect("short");
        let (channel, _) = peer.take_open();
        peer.say(channel, opened(Some((Actor(6), 1)), &[]));
        // Others remember the session by the last sequence: what is not ahead of it they take for late.
        assert_eq!(sent(&mut peer, channel), [Presence { sequence: 2, state: state("b") }]);
    }
}

#[test]
fn others_states_come_by_datagram_or_lane_and_go_with_the_connection() {
    let (mut peer, id, channel) = Peer::editor(Lanes::Streams);
    let datagram =
        |update: PresenceUpdate| wire::encode_datagram(channel, &Frame::from(update).encode()).expect("it fits");
    peer.client.receive_datagram(peer.at(), datagram(entry(1, 2, b"new")));
    peer.client.receive_datagram(peer.at(), datagram(entry(1, 1, b"old")));
    peer.say(channel, entry(2, 1, b"on the lane"));
    peer.say(channel, entry(SESSION, 1, b"ourselves"));
    assert!(peer.events().contains(&Event::Presence(id)));
    let shown = |peer: &Peer| {
        let replica = peer.client.replica(id).expect("open");
        replica.presence().iter().map(|(session, peer)| (*session, peer.state.clone())).collect::<Vec<_>>()
    };
    assert_eq!(shown(&peer), [(1, Bytes::from_static(b"new")), (2, Bytes::from_static(b"on the lane"))]);
    for nonsense in [&b""[..], b"\x00", b"\x05\xc1", b"\x63\x92\x06\x07"] {
        peer.client.receive_datagram(peer.at(), Bytes::from_static(nonsense));
    }
    assert_eq!(peer.events(), []);
    peer.client.disconnected(peer.at());
    assert_eq!(shown(&peer), []);
    assert!(peer.events().contains(&Event::Presence(id)));
}
