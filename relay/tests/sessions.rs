//! Sessions over real sockets: editing from any transport to any other, durability over a restart, and who is turned away.

mod support;

use std::sync::Arc;
use std::time::Duration;

use inkwire_document::{Document, Position, Snapshot};
use inkwire_protocol::{Channel, Code, Frame, Role, frame};
use support::{CONTROL, TRANSPORTS, TestRelay, Transport, soon};

const ONE: Channel = Channel(1);
const TWO: Channel = Channel(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_reaches_every_transport_and_becomes_durable() {
    let relay = TestRelay::start(&["--store", "memory"]).await;
    for (index, (from, to)) in TRANSPORTS.iter().flat_map(|from| TRANSPORTS.map(|to| (*from, to))).enumerate() {
        let document = format!("acme/pair-{index}");
        let mut writer = relay.welcomed(from, &relay.token("ada", "acme/*", "editor")).await;
        let mut reader = relay.welcomed(to, &relay.token("bob", "acme/*", "viewer")).await;
        reader.open(ONE, &document, Role::Viewer).await;
        let Frame::Opened(opened) = reader.expect(ONE).await else { panic!("no Opened") };
        assert_eq!((opened.role, opened.lease), (Role::Viewer, None));
        let Frame::Synced(_) = reader.expect(ONE).await else { panic!("no Synced") };

        let (mut editor, _) = writer.edit(ONE, &document).await;
        let batches = editor.write("Hello");
        for batch in &batches {
            writer.send(ONE, frame::Batch::new(batch.clone(), None)).await;
        }
        let seen = reader
            .find(ONE, |frame| match frame {
                Frame::Batch(batch) => Some(batch),
                _ => None,
            })
            .await;
        assert!(seen.receipt.is_some(), "what is fanned out carries its receipt");
        assert_eq!(seen.into_parts().0, batches[0], "the same bytes, {from:?} to {to:?}");
        editor.durable(&mut writer, batches[0].last()).await;
        let actor = editor.actor;
        reader
            .find(ONE, |frame| match frame {
                Frame::Durable(durable) => (durable.vector.get(&actor) >= batches[0].last()).then_some(()),
                _ => None,
            })
            .await;

        // A late one gets everything, and several documents share a session.
        let (late, _) = reader_as_editor(&relay, to, &document).await;
        assert_eq!(late, "Hello");
        let (mut other, _) = writer.edit(TWO, &format!("{document}-other")).await;
        other.write_durably(&mut writer, "Other").await;
    }
}

async fn reader_as_editor(relay: &TestRelay, transport: Transport, document: &str) -> (String, Vec<Frame>) {
    let mut peer = relay.welcomed(transport, &relay.token("cy", "**", "editor")).await;
    let (editor, came) = peer.edit(ONE, document).await;
    (editor.text(), came)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_durable_is_there_after_a_restart() {
    let data = Arc::new(tempfile::tempdir().unwrap());
    for (round, transport) in
        [Transport::WebTransport, Transport::WebSocket, Transport::WebSocket].into_iter().enumerate()
    {
        let relay = TestRelay::start_in(Arc::clone(&data), &[]).await;
        let mut peer = relay.welcomed(transport, &relay.token("ada", "**", "editor")).await;
        let (mut editor, _) = peer.edit(ONE, "acme/plan").await;
        assert_eq!(editor.text(), "abc"[..round], "round {round}");
        editor.write_durably(&mut peer, &"abc"[round..=round]).await;
        drop(peer);
        relay.relay.drain(Duration::from_secs(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_is_told_why() {
    let relay = TestRelay::start(&["--store", "memory", "--allow-origin", "https://app.example"]).await;
    for transport in TRANSPORTS {
        // The token.
        for (token, code) in [("nonsense".to_owned(), Code::Unauthorized), (String::new(), Code::Unauthorized)] {
            let mut peer = relay.peer(transport).await;
            peer.hello(&token).await;
            assert_eq!(peer.find_close(CONTROL).await, code, "{transport:?} {token}");
            assert!(peer.next(CONTROL).await.is_none(), "and then it ends");
        }
        // The origin.
        for (origin, refused) in [("https://evil.example", true), ("null", true), ("https://app.example", false)] {
            let mut peer = relay.peer_from(transport, Some(origin)).await;
            peer.hello(&relay.token("ada", "**", "editor")).await;
            let first = peer.expect(CONTROL).await;
            match first {
                Frame::Close(close) => {
                    assert!(refused && close.code == Code::OriginRefused, "{transport:?} {origin}: {close:?}")
                }
                Frame::Welcome(_) => assert!(!refused, "{transport:?} {origin}"),
                other => panic!("{other:?}"),
            }
        }
        // The document: its own lane is closed, the session goes on.
        let mut peer = relay.welcomed(transport, &relay.token("ada", "acme/*", "viewer")).await;
        for (channel, document, code) in [
            (Channel(1), "other/plan", Code::Forbidden),
            (Channel(2), "acme//plan", Code::BadDocumentName),
            (Channel(3), "", Code::BadDocumentName),
        ] {
            peer.open(channel, document, Role::Editor).await;
            assert_eq!(peer.find_close(channel).await, code, "{transport:?} {document}");
        }
        // An editor's wish with a viewer's token.
        peer.open(Channel(4), "acme/plan", Role::Editor).await;
        let Frame::Opened(opened) = peer.expect(Channel(4)).await else { panic!("no Opened") };
        assert_eq!((opened.role, opened.lease), (Role::Viewer, None));
        // A frame that is none: a batch whose actor is nil.
        peer.send_raw(Channel(4), &bytes::Bytes::from_static(&[0x92, 0x14, 0xc0])).await;
        assert_eq!(peer.find_close(Channel(4)).await, Code::BadFrame, "{transport:?}");
        // A frame on the control lane that may not come there.
        peer.send(CONTROL, frame::CloseDocument {}).await;
        assert_eq!(peer.find_close(CONTROL).await, Code::UnexpectedFrame, "{transport:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refreshed_token_changes_what_a_session_may_do() {
    let relay = TestRelay::start(&["--store", "memory"]).await;
    for transport in TRANSPORTS {
        let mut peer = relay.welcomed(transport, &relay.token("ada", "**", "viewer")).await;
        peer.open(ONE, "acme/plan", Role::Editor).await;
        let Frame::Opened(opened) = peer.expect(ONE).await else { panic!("no Opened") };
        assert_eq!(opened.role, Role::Viewer);
        peer.send(CONTROL, frame::Token { token: relay.token("ada", "**", "editor") }).await;
        peer.find(ONE, |frame| {
            matches!(frame, Frame::RoleChanged(changed) if changed.role == Role::Editor).then_some(())
        })
        .await;
        peer.send(CONTROL, frame::Token { token: relay.token("ada", "elsewhere", "editor") }).await;
        assert_eq!(peer.find_close(ONE).await, Code::Forbidden, "{transport:?}");
        peer.send(CONTROL, frame::Token { token: relay.token("eve", "**", "editor") }).await;
        assert_eq!(peer.find_close(CONTROL).await, Code::Unauthorized, "{transport:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_reaches_every_transport() {
    let relay = TestRelay::start(&["--store", "memory"]).await;
    let mut peers = Vec::new();
    for transport in TRANSPORTS {
        let mut peer = relay.welcomed(transport, &relay.token(&format!("{transport:?}"), "**", "viewer")).await;
        peer.open(ONE, "acme/plan", Role::Viewer).await;
        peer.find(ONE, |frame| matches!(frame, Frame::Synced(_)).then_some(())).await;
        peers.push(peer);
    }
    let state = Some(bytes::Bytes::from_static(b"cursor"));
    // From one to the other: a stream is as good as a datagram to bring it in.
    peers[0].send(ONE, frame::Presence { sequence: 1, state: state.clone() }).await;
    peers[1]
        .find(ONE, |frame| match frame {
            Frame::PresenceUpdate(update) => update.entries.iter().any(|entry| entry.state == state).then_some(()),
            _ => None,
        })
        .await;
    peers[1].send(ONE, frame::Presence { sequence: 1, state: state.clone() }).await;
    let support::Peer::WebTransport { session, .. } = &peers[0] else { panic!("the first is WebTransport") };
    soon("a datagram with the other's presence", async {
        loop {
            let datagram = session.read_datagram().await.unwrap();
            let (channel, frame) = inkwire_protocol::wire::split_datagram(&datagram).unwrap();
            assert_eq!(channel, ONE);
            if let Frame::PresenceUpdate(update) = Frame::decode(&frame).unwrap()
                && update.entries.iter().any(|entry| entry.subject == "WebSocket" && entry.state == state)
            {
                return;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_makes_everything_durable_and_says_so() {
    let relay = TestRelay::start(&[]).await;
    let mut peers = Vec::new();
    for transport in TRANSPORTS {
        let mut peer = relay.welcomed(transport, &relay.token("ada", "**", "editor")).await;
        let (mut editor, _) = peer.edit(ONE, &format!("acme/{transport:?}")).await;
        editor.write_durably(&mut peer, "before").await;
        peers.push((peer, editor));
    }
    let drained = tokio::spawn(relay.relay.drain(Duration::from_secs(10)));
    for (peer, _) in &mut peers {
        peer.find(CONTROL, |frame| matches!(frame, Frame::GoAway(_)).then_some(())).await;
        assert_eq!(peer.find_close(CONTROL).await, Code::GoingAway);
        assert!(peer.next(CONTROL).await.is_none());
    }
    soon("the end of the drain", drained).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_are_loaded_once_and_unloaded_when_idle() {
    let relay = TestRelay::start(&["--unload-after", "0"]).await;
    let rooms = Arc::clone(&relay.relay.core().rooms);
    let opened = futures_util::future::join_all((0..50).map(|_| rooms.open("acme/plan"))).await;
    assert_eq!(rooms.len(), 1);
    let first = opened[0].as_ref().ok().unwrap();
    assert!(opened.iter().all(|room| Arc::ptr_eq(room.as_ref().ok().unwrap(), first)));
    drop(opened);
    soon("unloading", async {
        while !rooms.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut peer = relay.welcomed(Transport::WebSocket, &relay.token("ada", "**", "editor")).await;
    let (mut editor, _) = peer.edit(ONE, "acme/plan").await;
    editor.write_durably(&mut peer, "kept").await;
    peer.send(ONE, frame::CloseDocument {}).await;
    assert_eq!(peer.find_close(ONE).await, Code::None);
    soon("unloading again", async {
        while !rooms.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let (editor, _) = peer.edit(TWO, "acme/plan").await;
    assert_eq!(editor.text(), "kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_comes_back_gets_what_it_lacks_from_the_snapshot() {
    let relay = TestRelay::start(&[]).await;
    let mut writer = relay.welcomed(Transport::WebTransport, &relay.token("ada", "**", "editor")).await;
    let (mut editor, _) = writer.edit(ONE, "acme/plan").await;
    // Replicas that stopped after so many batches.
    let mut behind: Vec<(usize, Document)> = [0, 1, 100, 2500, 6000].map(|count| (count, Document::new())).into();
    for round in 0..6000_usize {
        let end = editor.document.text("body").len_scalars();
        if round % 3 == 2 {
            editor.document.delete("body", Position::Scalar(round * 7 % (end - 1)), 2).unwrap();
        } else {
            editor.document.insert("body", Position::Scalar(round * 13 % (end + 1)), "abc").unwrap();
        }
        for batch in editor.document.take_batches() {
            for (count, document) in &mut behind {
                if round < *count {
                    document.apply(&batch).unwrap();
                }
            }
            writer.send(ONE, frame::Batch::new(batch, None)).await;
        }
    }
    let last = editor.document.version().get(&editor.actor);
    editor.durable(&mut writer, last).await;
    soon("a fold", async {
        while relay.relay.core().metrics.render().contains("inkwire_folds_total 0") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for (count, mut document) in behind {
        let mut reader = relay.welcomed(Transport::WebSocket, &relay.token("bob", "**", "viewer")).await;
        let open = frame::Open { vector: document.version().clone(), ..support::open(ONE, "acme/plan", Role::Viewer) };
        reader.send(ONE, open).await;
        let mut snapshot = Vec::new();
        loop {
            match reader.expect(ONE).await {
                Frame::Snapshot(chunk) => {
                    snapshot.extend_from_slice(&chunk.bytes);
                    if chunk.last {
                        let snapshot = Snapshot::parse(std::mem::take(&mut snapshot).into()).unwrap();
                        document.merge(&snapshot).unwrap_or_else(|error| panic!("after {count} batches: {error}"));
                    }
                }
                Frame::Batch(batch) => {
                    document.apply(&batch.into_parts().0).unwrap();
                }
                Frame::Synced(_) => break,
                _ => {}
            }
        }
        assert_eq!(document.text("body").to_string(), editor.text(), "after {count} batches");
    }
}
