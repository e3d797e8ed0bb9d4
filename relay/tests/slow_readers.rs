//! Readers that stop reading: nobody waits for them, they cost no more than their place, and come back whole.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::HashMap;

use inkwire_document::{Document, Snapshot, VersionVector};
use inkwire_protocol::{Channel, Frame, Role, frame};
use support::{CONTROL, Editor, Peer, TRANSPORTS, TestRelay, Transport, noise, relief, soon, while_alive};
use tokio::net::TcpSocket;

const ONE: Channel = Channel(1);

/// Of 100 kB each: more than a stream's window, the relay's buffers, the tail before it is folded and a reader's 256 KiB together.
const ROUNDS: usize = 50;

/// Folds after which a reader that stopped at the beginning has surely lost its place.
const FOLDS: u64 = 3;

/// A viewer of the document and what it holds.
struct Reader {
    peer: Peer,
    document: Document,
    chunks: Vec<u8>,
    /// How often it was brought up to date, and in how many chunks of snapshots.
    synced: usize,
    snapshots: usize,
    reads: usize,
}

impl Reader {
    fn new(peer: Peer) -> Self {
        Self { peer, document: Document::new(), chunks: Vec::new(), synced: 0, snapshots: 0, reads: 0 }
    }

    async fn open(mut peer: Peer, token: &str) -> Self {
        if let Peer::WebSocket { .. } = peer {
            peer.hello(token).await;
            for number in [frame::Welcome::NUMBER, frame::TokenAccepted::NUMBER] {
                assert_eq!(peer.expect(CONTROL).await.number(), number);
            }
        }
        peer.open(ONE, "acme/busy", Role::Viewer).await;
        let mut reader = Self::new(peer);
        while reader.synced == 0 {
            reader.read().await;
        }
        reader
    }

    /// Takes in the next frame. Long reads are interrupted by signs of life, as a client's are.
    async fn read(&mut self) {
        self.reads += 1;
        if self.reads.is_multiple_of(32) {
            self.live().await;
        }
        match self.peer.expect(ONE).await {
            Frame::Snapshot(chunk) => {
                self.snapshots += 1;
                // One that was begun may give way to another.
                if chunk.index == 0 {
                    self.chunks.clear();
                }
                self.chunks.extend_from_slice(&chunk.bytes);
                if chunk.last {
                    let snapshot = Snapshot::parse(std::mem::take(&mut self.chunks).into()).unwrap();
                    self.document.merge(&snapshot).unwrap();
                }
            }
            Frame::Batch(batch) => drop(self.document.apply(&batch.into_parts().0).unwrap()),
            Frame::Synced(_) => self.synced += 1,
            Frame::Close(close) => panic!("closed: {close:?}"),
            _ => {}
        }
    }

    async fn read_to(&mut self, version: &VersionVector) {
        while self.document.version() != version {
            self.read().await;
        }
    }

    /// A sign of life, without reading.
    async fn live(&mut self) {
        self.peer.send(CONTROL, frame::Pong { nonce: 0 }).await;
    }

    fn text(&self) -> String {
        self.document.text("body").to_string()
    }
}

/// A connection whose kernel takes little that its client does not read.
async fn narrow(relay: &TestRelay, transport: Transport, token: &str) -> Peer {
    match transport {
        Transport::WebTransport => relay.welcomed(transport, token).await,
        Transport::WebSocket => {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(128 << 10).unwrap();
            let address = format!("127.0.0.1:{}", relay.relay.port()).parse().unwrap();
            let stream = socket.connect(address).await.unwrap();
            let request = format!("ws://localhost:{}/session", relay.relay.port());
            let (socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
            Peer::WebSocket { socket: Box::new(socket), inbox: HashMap::new() }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_loses_its_place_and_nobody_else_waits() {
    for transport in TRANSPORTS {
        let relay = TestRelay::start(&["--store", "memory"]).await;
        let token = relay.token("bob", "acme/*", "viewer");
        let mut slow = Reader::open(narrow(&relay, transport, &token).await, &token).await;
        let mut quick = Reader::open(relay.welcomed(Transport::WebTransport, &token).await, &token).await;
        let mut writer = relay.welcomed(Transport::WebTransport, &relay.token("ada", "acme/*", "editor")).await;
        let (mut editor, _) = writer.edit(ONE, "acme/busy").await;
        let mut round = 0;
        while round < ROUNDS || relay.counted("inkwire_folds_total").await < FOLDS {
            let text: String = (0..100_000).map(|at| char::from(b'a' + ((at * 7 + round) % 26) as u8)).collect();
            editor.write_durably(&mut writer, &text).await;
            // The slow one has not read since it opened the document, and the quick one has everything.
            quick.read_to(editor.document.version()).await;
            slow.live().await;
            quick.live().await;
            round += 1;
        }
        assert_eq!((quick.synced, slow.synced), (1, 1), "{transport:?}");
        let before = slow.snapshots;
        soon("the slow one's resync", async {
            while slow.synced < 2 {
                slow.read().await;
            }
        })
        .await;
        slow.read_to(editor.document.version()).await;
        assert!(slow.snapshots > before, "{transport:?}: it got what it missed merged, not one by one");
        editor.write_durably(&mut writer, "the end").await;
        for (what, reader) in [("slow", &mut slow), ("quick", &mut quick)] {
            reader.read_to(editor.document.version()).await;
            assert!(reader.text() == editor.text(), "{transport:?}: the {what} one's text differs");
        }
        assert_eq!(quick.synced, 1, "{transport:?}: the quick one never lost its place");
    }
}

/// Of three bytes each: 300 kB.
const LETTERS: usize = 100_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_memory_is_short_who_reads_slowly_pays_and_comes_back_whole() {
    let relay = TestRelay::start(&["--store", "memory", "--memory-budget", "16MiB"]).await;
    let mut seeds = 0..;
    let mut write = async |peer: &mut Peer, editor: &mut Editor| {
        editor.write_durably(peer, &noise(seeds.next().unwrap(), LETTERS)).await;
    };
    let mut tables: Vec<(Peer, Editor, Reader)> = Vec::new();
    for document in ["acme/a", "acme/b"] {
        let mut peer = relay.welcomed(Transport::WebTransport, &relay.token("ada", "acme/*", "editor")).await;
        let (mut editor, _) = peer.edit(ONE, document).await;
        for _ in 0..13 {
            write(&mut peer, &mut editor).await;
        }
        let least = 2.5e6 * (tables.len() + 1) as f64;
        let mut peers: Vec<&mut Peer> =
            tables.iter_mut().flat_map(|(peer, _, reader)| [peer, &mut reader.peer]).collect();
        peers.push(&mut peer);
        let folded = relay.metric_becomes("inkwire_room_bytes{what=\"snapshots\"}", |bytes| bytes >= least);
        while_alive(&mut peers, folded).await;
        // One that comes, begins to read, and stops: what it was to get is kept for it, whatever the document is by then.
        let mut slow = relay.welcomed(Transport::WebTransport, &relay.token("bob", "acme/*", "viewer")).await;
        slow.open(ONE, document, Role::Viewer).await;
        let mut reader = Reader::new(slow);
        while reader.snapshots == 0 {
            reader.read().await;
        }
        tables.push((peer, editor, reader));
    }
    let readers = relief("slow_readers");
    let budget = relay.relay.core().rooms.budget();
    let mut rounds = 0;
    while relay.metric(&readers) == 0.0 {
        assert!(rounds < 20, "{}", relay.relay.core().metrics.render());
        rounds += 1;
        for (peer, editor, reader) in &mut tables {
            write(peer, editor).await;
            reader.live().await;
        }
        // Whoever writes faster than the relay looks who may pay would pay, too.
        let mut peers: Vec<&mut Peer> =
            tables.iter_mut().flat_map(|(peer, _, reader)| [peer, &mut reader.peer]).collect();
        let looked = async {
            while budget.used() >= budget.limit() / 100 * 80 && relay.metric(&readers) == 0.0 {
                tokio::task::yield_now().await;
            }
        };
        soon("a payment", while_alive(&mut peers, looked)).await;
    }
    let [_, _, _, writers, opens] = relay.relief();
    assert_eq!([writers, opens], [0.0; 2], "nobody else has to");
    for (peer, editor, reader) in &mut tables {
        write(peer, editor).await;
        reader.read_to(editor.document.version()).await;
        assert!(reader.text() == editor.text(), "it comes back whole");
        peer.send(CONTROL, frame::Pong { nonce: 0 }).await;
    }
}
