//! Handshake, token, liveness, the end and the way back.

use std::time::Duration;

use bytes::Bytes;
use inkwire_protocol::client::{ClientConfig, Event, Lanes, Now, OpenError, Transmit};
use inkwire_protocol::frame::{Close, GoAway, Ping, Pong, TokenAccepted};
use inkwire_protocol::{Channel, Code, Frame};

use crate::peer::{BOTH, Peer, SESSION};

const SECOND: Duration = Duration::from_secs(1);

fn reconnects(events: &[Event]) -> Vec<(Duration, Option<String>)> {
    let pauses = events.iter().filter_map(|event| match event {
        Event::Reconnect { after, url } => Some((*after, url.clone())),
        _ => None,
    });
    pauses.collect()
}

#[test]
fn a_session_is_greeted_and_welcomed() {
    for lanes in BOTH {
        let mut peer = Peer::new(lanes, ClientConfig::default());
        peer.connect();
        let events = peer.events();
        assert!(matches!(&events[..], [Event::Welcomed { session: SESSION, subject, .. }] if subject == "ada"));
        assert_eq!(peer.client.session(), Some(SESSION));
        let opened = if lanes == Lanes::Streams { vec![Transmit::OpenLane(Channel::CONTROL)] } else { vec![] };
        assert_eq!(peer.lane_changes, opened);
        assert_eq!(peer.client.poll_timeout(), None, "without a document nobody asks");
    }
}

#[test]
fn a_relay_that_does_not_answer_is_given_up() {
    let mut peer = Peer::new(Lanes::Messages, ClientConfig::default());
    peer.client.connected(peer.at(), "token".into(), Lanes::Messages);
    peer.pass(5 * SECOND);
    assert_eq!(peer.disconnected, None);
    peer.pass(2 * SECOND);
    assert_eq!(peer.disconnected, Some(Code::LivenessTimeout));
    assert_eq!(reconnects(&peer.events()).len(), 1);
}

#[test]
fn a_token_is_asked_for_before_it_ends_and_again_until_it_is_accepted() {
    let mut peer = Peer::welcomed(Lanes::Streams);
    peer.say(Channel::CONTROL, TokenAccepted { expires_in_millis: 100_000 });
    peer.pass(79 * SECOND);
    assert_eq!(peer.events(), []);
    peer.pass(SECOND);
    assert_eq!(peer.events(), [Event::TokenWanted]);
    peer.pass(10 * SECOND);
    assert_eq!(peer.events(), [Event::TokenWanted], "half of what was left has passed");
    peer.client.refresh_token(peer.at(), "fresh".into());
    assert!(matches!(peer.take(Channel::CONTROL), Frame::Token(token) if token.token == "fresh"));
    peer.say(Channel::CONTROL, TokenAccepted { expires_in_millis: 3_600_000 });
    peer.pass(3_539 * SECOND);
    assert_eq!(peer.events(), []);
    peer.pass(SECOND);
    assert_eq!(peer.events(), [Event::TokenWanted], "a minute before a long life ends");
}

#[test]
fn silence_is_asked_about_and_then_means_loss() {
    for lanes in BOTH {
        let (mut peer, _, _) = Peer::editor(lanes);
        peer.pass(2 * SECOND);
        let Frame::Ping(Ping { nonce }) = peer.take(Channel::CONTROL) else { panic!("a ping") };
        peer.say(Channel::CONTROL, Pong { nonce });
        peer.pass(SECOND);
        assert!(peer.sent.is_empty());
        peer.pass(4 * SECOND);
        assert_eq!(peer.sent.len(), 2, "at 2 s and 4 s");
        assert_eq!(peer.disconnected, None);
        peer.pass(SECOND);
        assert_eq!(peer.disconnected, Some(Code::LivenessTimeout));
        assert_eq!(reconnects(&peer.events()).len(), 1);
        assert!(!peer.client.is_connected());
    }
}

#[test]
fn a_ping_is_answered() {
    let mut peer = Peer::welcomed(Lanes::Streams);
    for nonce in 0..100 {
        peer.say(Channel::CONTROL, Ping { nonce });
    }
    peer.pump();
    let last = peer.sent.back().map(|(_, frame)| frame.clone());
    assert_eq!(last, Some(Pong { nonce: 99 }.into()));
    assert!(peer.sent.len() <= inkwire_protocol::client::MAX_CONTROL_FRAMES, "a flood is not answered in full");
}

#[test]
fn codes_decide_whether_to_come_back() {
    for (code, fatal) in [
        (Code::Unauthorized, true),
        (Code::OriginRefused, true),
        (Code::UnsupportedVersion, true),
        (Code::TokenExpired, false),
        (Code::GoingAway, false),
        (Code::Other(900), false),
    ] {
        let mut peer = Peer::welcomed(Lanes::Messages);
        let id = peer.open();
        peer.say(Channel::CONTROL, Close { code, reason: "why".into() });
        let events = peer.events();
        assert!(events.contains(&Event::Closed { code, reason: "why".into(), fatal }), "{code}: {events:?}");
        assert_eq!(reconnects(&events).is_empty(), fatal, "{code}");
        assert!(peer.disconnected.is_some());
        assert_eq!(peer.client.is_finished(), fatal);
        assert_eq!(peer.client.replica(id).expect("kept").closed(), fatal);
        assert_eq!(peer.client.open(peer.at(), "x").err(), fatal.then_some(OpenError::Closed));
        // Nothing brings a finished client back.
        peer.client.disconnected(peer.at());
        assert_eq!(reconnects(&peer.events()), []);
    }
}

#[test]
fn pauses_grow_until_a_session_has_lasted() {
    let config = ClientConfig {
        backoff_base: Duration::from_millis(100),
        backoff_cap: Duration::from_secs(10),
        ..ClientConfig::default()
    };
    let mut longest = Duration::ZERO;
    let mut peer = Peer::new(Lanes::Messages, config);
    for _ in 0..12 {
        peer.client.connect_failed(peer.at());
        let pauses = reconnects(&peer.events());
        assert_eq!(pauses.len(), 1);
        longest = longest.max(pauses[0].0);
    }
    assert!(longest > SECOND && longest <= 10 * SECOND, "{longest:?}");
    peer.connect();
    peer.pass(11 * SECOND);
    peer.client.disconnected(peer.at());
    let pauses = reconnects(&peer.events());
    assert!(pauses.len() == 1 && pauses[0].0 <= Duration::from_millis(100), "{pauses:?}");
}

#[test]
fn a_relay_that_goes_away_says_when_and_where_to_come_back() {
    let mut peer = Peer::welcomed(Lanes::Streams);
    let url = Some("https://b.example".to_owned());
    peer.say(Channel::CONTROL, GoAway { reason: "a deploy".into(), reconnect_after_millis: 3_000, url: url.clone() });
    let events = peer.events();
    assert!(events.contains(&Event::GoAway { reason: "a deploy".into() }));
    let pauses = reconnects(&events);
    assert_eq!(pauses.len(), 1, "nothing is left to wait for");
    assert!(pauses[0].0 >= 3 * SECOND && pauses[0].1 == url);
    assert_eq!(peer.disconnected, Some(Code::GoingAway));

    let (mut peer, id, channel) = Peer::editor(Lanes::Streams);
    peer.insert(id, 0, "x").expect("an editor");
    let batch = peer.take_batches().remove(0);
    peer.say(Channel::CONTROL, GoAway { reason: String::new(), reconnect_after_millis: 0, url: None });
    peer.pump();
    assert_eq!(peer.disconnected, None, "an edit is not durable yet");
    let vector = crate::peer::vector(&[(batch.actor, batch.last())]);
    peer.say(channel, inkwire_protocol::frame::Durable { vector });
    peer.pump();
    assert_eq!(peer.disconnected, Some(Code::GoingAway));
}

/// As a relay's drain looks to a shell that drops the transport before it polls: the relay closes, then cannot be reached.
#[test]
fn an_attempt_that_fails_after_a_close_is_followed_by_another() {
    for lanes in BOTH {
        let mut peer = Peer::welcomed(lanes);
        peer.say(Channel::CONTROL, Close { code: Code::GoingAway, reason: String::new() });
        for attempt in 0..3 {
            let events: Vec<_> = std::iter::from_fn(|| peer.client.poll_event()).collect();
            assert_eq!(reconnects(&events).len(), 1, "attempt {attempt}");
            peer.client.connect_failed(peer.at());
        }
    }
}

#[test]
fn the_application_ends_it() {
    for lanes in BOTH {
        let (mut peer, id, _) = Peer::editor(lanes);
        peer.client.close(peer.at());
        assert!(matches!(peer.take(Channel::CONTROL), Frame::Close(Close { code: Code::None, .. })));
        assert_eq!(peer.disconnected, Some(Code::None));
        let events = peer.events();
        assert_eq!(reconnects(&events), []);
        assert!(peer.client.is_finished());
        assert!(peer.insert(id, 0, "x").is_err());
    }
}

#[test]
fn what_is_no_frame_ends_the_session_with_its_code() {
    let cases: [(&[u8], Code); 4] = [
        (&[0x91, 0x06], Code::BadFrame),
        (&[0x92, 0xcc, 200, 0xc0], Code::UnknownFrame),
        (&[0x92, 20, 0xc6, 0xff, 0xff, 0xff, 0xff], Code::BadFrame),
        // Only clients say Hello.
        (&[0x94, 0, 0x91, 1, 0xa0, 0xa0], Code::UnexpectedFrame),
    ];
    for lanes in BOTH {
        for (bytes, code) in cases {
            let mut peer = Peer::welcomed(lanes);
            peer.say_bytes(Channel::CONTROL, Bytes::from_static(bytes));
            let Frame::Close(close) = peer.take(Channel::CONTROL) else { panic!("the relay is told") };
            assert_eq!(close.code, code, "{bytes:02x?}");
            assert_eq!(peer.disconnected, Some(code));
            let events = peer.events();
            assert!(events.iter().any(|event| matches!(event, Event::Closed { fatal: false, .. })));
            assert_eq!(reconnects(&events).len(), 1);
        }
    }
}

#[test]
fn stale_news_of_a_transport_change_nothing() {
    let mut peer = Peer::welcomed(Lanes::Streams);
    peer.client.disconnected(peer.at());
    peer.client.disconnected(peer.at());
    assert_eq!(reconnects(&peer.events()).len(), 1);
    peer.client.receive_stream(Now::new(peer.now), Channel(1), &[1, 2, 3]);
    peer.client.receive_message(Now::new(peer.now), Bytes::from_static(&[0]));
    peer.client.receive_datagram(Now::new(peer.now), Bytes::from_static(&[0]));
    assert_eq!(peer.events(), []);
    assert_eq!(peer.client.poll_transmit(peer.at()), None);
}

#[test]
fn a_lane_that_ends_without_a_word_is_opened_anew() {
    let (mut peer, id, channel) = Peer::editor(Lanes::Streams);
    peer.insert(id, 0, "x").expect("an editor");
    assert_eq!(peer.take_batches().len(), 1);
    peer.client.lane_ended(peer.at(), channel);
    assert_eq!(peer.status(id), (1, 0, 0));
    peer.pass(SECOND);
    let (again, open) = peer.take_open();
    assert!(again > channel && open.claim.is_some_and(|claim| claim.last == 1));
    peer.client.lane_ended(peer.at(), channel);
    assert_eq!(peer.sent.len(), 0, "an older lane's end is no news");
    peer.client.lane_ended(peer.at(), Channel::CONTROL);
    assert!(!peer.client.is_connected());
}

#[test]
fn a_client_that_is_closed_while_it_ends_a_session_does_not_come_back() {
    let mut peer = Peer::welcomed(Lanes::Streams);
    peer.say_bytes(Channel::CONTROL, Bytes::from_static(&[0xc1]));
    peer.client.close(peer.at());
    peer.pump();
    assert!(peer.disconnected.is_some() && peer.client.is_finished());
    peer.client.connected(peer.at(), "token".into(), Lanes::Streams);
    assert_eq!(peer.client.poll_transmit(peer.at()), None);
}

#[test]
fn a_transport_that_takes_nothing_does_not_make_timers_spin() {
    let (mut peer, id, _) = Peer::editor(Lanes::Streams);
    peer.insert(id, 0, "x").expect("an editor");
    peer.client.set_presence(peer.at(), id, Some(Bytes::from_static(b"cursor"))).expect("short");
    for _ in 0..20 {
        if let Some(due) = peer.client.poll_timeout() {
            assert!(due > peer.now, "due {due:?} at {:?}", peer.now);
            peer.now = due;
            peer.client.handle_timeout(peer.at());
        }
    }
}

#[test]
fn an_accepted_token_serves_the_next_connection() {
    let mut peer = Peer::welcomed(Lanes::Messages);
    assert_eq!(peer.client.token(peer.at()), None);
    peer.say(Channel::CONTROL, TokenAccepted { expires_in_millis: 100_000 });
    assert_eq!(peer.client.token(peer.at()), Some("token"));
    peer.client.refresh_token(peer.at(), "fresh".into());
    assert_eq!(peer.client.token(peer.at()), Some("token"), "the other is not accepted yet");
    peer.say(Channel::CONTROL, TokenAccepted { expires_in_millis: 100_000 });
    peer.client.disconnected(peer.at());
    assert_eq!(peer.client.token(peer.at()), Some("fresh"));
    assert_eq!(peer.client.token(Now::new(peer.now + 80 * SECOND)), None, "it is about to end");
    // The relay came back with other keys: a fresh token may do.
    peer.client.connected(peer.at(), "fresh".into(), Lanes::Messages);
    peer.pump();
    peer.events();
    peer.say(Channel::CONTROL, Close { code: Code::Unauthorized, reason: String::new() });
    assert_eq!(reconnects(&peer.events()).len(), 1);
    assert_eq!(peer.client.token(peer.at()), None);
    peer.client.connected(peer.at(), "another".into(), Lanes::Messages);
    peer.say(Channel::CONTROL, Close { code: Code::Unauthorized, reason: String::new() });
    assert!(peer.client.is_finished(), "one that was never accepted is refused for good");
}
