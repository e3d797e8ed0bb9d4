//! Speculative copies of batches as datagrams, over real sockets.

mod support;

use inkwire_protocol::wire::{encode_datagram, split_datagram};
use inkwire_protocol::{Channel, Frame, Role, frame};
use support::{CONTROL, Peer, TestRelay, Transport, soon};

const ONE: Channel = Channel(1);

fn session(peer: &Peer) -> &web_transport_quinn::Session {
    match peer {
        Peer::WebTransport { session, .. } => session,
        Peer::WebSocket { .. } => panic!("a WebSocket has no datagrams"),
    }
}

fn copy(batch: &inkwire_document::Batch) -> bytes::Bytes {
    encode_datagram(ONE, &Frame::from(frame::Batch::new(batch.clone(), None)).encode()).expect("it is short")
}

fn batch(frame: Frame) -> Option<frame::Batch> {
    match frame {
        Frame::Batch(batch) => Some(batch),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_travel_both_ways_and_the_lane_stays_the_truth() {
    let relay = TestRelay::start(&["--store", "memory", "--datagram-copies", "on"]).await;
    let mut writer = relay.peer(Transport::WebTransport).await;
    // Before anybody is known nothing is even looked at.
    session(&writer).send_datagram(bytes::Bytes::from_static(&[1, 0x96, 20, 1, 1, 1, 0xc4, 0, 0xc0])).unwrap();
    writer.hello(&relay.token("ada", "acme/*", "editor")).await;
    for number in [frame::Welcome::NUMBER, frame::TokenAccepted::NUMBER] {
        assert_eq!(writer.expect(CONTROL).await.number(), number);
    }
    let mut reader = relay.welcomed(Transport::WebTransport, &relay.token("bob", "acme/*", "viewer")).await;
    let mut socket = relay.welcomed(Transport::WebSocket, &relay.token("cy", "acme/*", "viewer")).await;
    for peer in [&mut reader, &mut socket] {
        peer.open(ONE, "acme/plan", Role::Viewer).await;
        peer.find(ONE, |frame| matches!(frame, Frame::Synced(_)).then_some(())).await;
    }
    let (mut editor, _) = writer.edit(ONE, "acme/plan").await;
    let first = editor.write("first").remove(0);
    session(&writer).send_datagram(copy(&first)).unwrap();
    let seen = reader.find(ONE, batch).await;
    assert_eq!(seen.clone().into_parts().0, first, "a copy is enough");
    soon("the copy, and the wish for more", async {
        let (mut copied, mut wanted) = (false, false);
        while !(copied && wanted) {
            match split_datagram(&session(&reader).read_datagram().await.unwrap()).unwrap() {
                (CONTROL, frame) => wanted |= matches!(Frame::decode(&frame), Ok(Frame::WantCopies(_))),
                (channel, frame) => {
                    assert_eq!((channel, Frame::decode(&frame).unwrap()), (ONE, seen.clone().into()));
                    copied = true;
                }
            }
        }
    })
    .await;
    let second = editor.write("second").remove(0);
    for batch in [&first, &second] {
        writer.send(ONE, frame::Batch::new(batch.clone(), None)).await;
    }
    assert_eq!(reader.find(ONE, batch).await.into_parts().0, second, "what the lane brings again goes nowhere");
    editor.durable(&mut writer, second.last()).await;
    assert_eq!(socket.find(ONE, batch).await.into_parts().0, first);
    assert_eq!(socket.find(ONE, batch).await.into_parts().0, second);
    assert_eq!(relay.counted("inkwire_copies_first_total").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn off_is_off_and_auto_sends_none_on_a_path_that_loses_nothing() {
    for mode in ["off", "auto"] {
        let relay = TestRelay::start(&["--store", "memory", "--datagram-copies", mode]).await;
        let mut writer = relay.welcomed(Transport::WebTransport, &relay.token("ada", "acme/*", "editor")).await;
        let mut reader = relay.welcomed(Transport::WebTransport, &relay.token("bob", "acme/*", "viewer")).await;
        reader.open(ONE, "acme/plan", Role::Viewer).await;
        let (mut editor, _) = writer.edit(ONE, "acme/plan").await;
        let early = editor.write("early").remove(0);
        session(&writer).send_datagram(copy(&early)).unwrap();
        if mode == "auto" {
            reader.find(ONE, batch).await;
        }
        writer.send(ONE, frame::Batch::new(early.clone(), None)).await;
        editor.durable(&mut writer, early.last()).await;
        editor.write_durably(&mut writer, " later").await;
        assert_eq!(relay.counted("inkwire_copies_first_total").await, u64::from(mode == "auto"), "{mode}");
        assert_eq!(relay.counted("inkwire_copies_sent_total").await, 0, "{mode}");
    }
}
