//! A relay on a store that is slow, fails, or comes back.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use inkwire_document::VersionVector;
use inkwire_protocol::record::ActorRecord;
use inkwire_protocol::wire::encode_stream;
use inkwire_protocol::{Channel, Code, Frame, frame};
use inkwire_relay::Relay;
use inkwire_storage::{Append, DocumentKey, Loaded, MemoryStore, Store, StoreError};
use parking_lot::Mutex;
use support::{TRANSPORTS, TestRelay, Transport, settings, soon};
use tokio::sync::Semaphore;

const ONE: Channel = Channel(1);

/// A store whose writes wait for permits and may be told to fail.
#[derive(Default)]
struct Gate {
    inner: MemoryStore,
    closed: Mutex<Option<Arc<Semaphore>>>,
    /// The only document that is held up; all when there is none.
    only: Mutex<Option<String>>,
    /// Writes that wait at the gate.
    waiting: AtomicUsize,
    failure: Mutex<Option<StoreError>>,
    appends: AtomicUsize,
    snapshots: AtomicUsize,
}

impl Gate {
    fn shut(&self) {
        *self.closed.lock() = Some(Arc::new(Semaphore::new(0)));
    }

    fn shut_for(&self, document: &str) {
        *self.only.lock() = Some(document.to_owned());
        self.shut();
    }

    fn open(&self) {
        if let Some(gate) = self.closed.lock().take() {
            gate.close();
        }
    }

    fn fail_with(&self, error: Option<StoreError>) {
        *self.failure.lock() = error;
    }

    fn failure(&self) -> Result<(), StoreError> {
        self.failure.lock().clone().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Store for Gate {
    async fn load(&self, document: &DocumentKey) -> Result<Loaded, StoreError> {
        self.inner.load(document).await
    }

    async fn append(&self, records: Vec<Append>) -> Result<(), StoreError> {
        let gate = self.closed.lock().clone();
        let only = self.only.lock().clone();
        let held = only.is_none_or(|only| records.iter().any(|append| *append.document.name == *only));
        if let Some(gate) = gate.filter(|_| held) {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            let _opened = gate.acquire().await;
        }
        self.appends.fetch_add(1, Ordering::Relaxed);
        self.failure()?;
        self.inner.append(records).await
    }

    async fn commit_snapshot(
        &self,
        document: &DocumentKey,
        snapshot: Bytes,
        version: VersionVector,
        actors: Vec<ActorRecord>,
    ) -> Result<(), StoreError> {
        self.snapshots.fetch_add(1, Ordering::Relaxed);
        self.inner.commit_snapshot(document, snapshot, version, actors).await
    }

    async fn incarnation(&self, name: &str) -> Result<u64, StoreError> {
        self.inner.incarnation(name).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.failure()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

async fn start(more: &[&str]) -> (TestRelay, Arc<Gate>) {
    let data = Arc::new(tempfile::tempdir().expect("a directory"));
    let gate = Arc::new(Gate::default());
    let store: Arc<dyn Store> = Arc::clone(&gate) as _;
    let relay = Relay::start_on(settings(data.path(), more), store).await.expect("the relay starts");
    (TestRelay { relay, data }, gate)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_while_the_store_writes_goes_in_one_write_of_each_document() {
    let (relay, gate) = start(&[]).await;
    let mut peers = Vec::new();
    for transport in TRANSPORTS {
        let mut peer = relay.welcomed(transport, &relay.token("ada", "**", "editor")).await;
        let (editor, _) = peer.edit(ONE, &format!("acme/{transport:?}")).await;
        peers.push((peer, editor));
    }
    gate.shut();
    for (peer, editor) in &mut peers {
        for _ in 0..100 {
            for batch in editor.write("x") {
                peer.send(ONE, frame::Batch::new(batch, None)).await;
            }
        }
        // Seen does not wait for the store.
        peer.find(ONE, |frame| matches!(frame, Frame::Received(received) if received.counter == 100).then_some(()))
            .await;
    }
    gate.open();
    for (peer, editor) in &mut peers {
        editor.durable(peer, 100).await;
    }
    let appends = gate.appends.load(Ordering::Relaxed);
    assert!(appends <= 4, "200 batches of two documents in {appends} writes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_whose_write_hangs_holds_no_other() {
    let (relay, gate) = start(&[]).await;
    let mut stuck = relay.welcomed(Transport::WebSocket, &relay.token("ada", "**", "editor")).await;
    let mut other = relay.welcomed(Transport::WebTransport, &relay.token("bob", "**", "editor")).await;
    let (mut slow, _) = stuck.edit(ONE, "acme/slow").await;
    let (mut quick, _) = other.edit(ONE, "acme/quick").await;
    gate.shut_for("acme/slow");
    for batch in slow.write("x") {
        stuck.send(ONE, frame::Batch::new(batch, None)).await;
    }
    soon("the write that hangs", async {
        while gate.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for batch in quick.write("y") {
        other.send(ONE, frame::Batch::new(batch, None)).await;
    }
    support::while_alive(&mut [&mut stuck], quick.durable(&mut other, 1)).await;
    gate.open();
    slow.durable(&mut stuck, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_for_a_moment_costs_a_moment() {
    let (relay, gate) = start(&[]).await;
    let mut peer = relay.welcomed(Transport::WebTransport, &relay.token("ada", "**", "editor")).await;
    let (mut editor, _) = peer.edit(ONE, "acme/plan").await;
    gate.fail_with(Some(StoreError::Unavailable { reason: "away".to_owned(), source: None }));
    let batches = editor.write("x");
    peer.send(ONE, frame::Batch::new(batches[0].clone(), None)).await;
    soon("a second try", async {
        while gate.appends.load(Ordering::Relaxed) < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    gate.fail_with(None);
    editor.durable(&mut peer, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_refuses_ends_the_rooms_and_readiness() {
    let (relay, gate) = start(&[]).await;
    for transport in TRANSPORTS {
        gate.fail_with(None);
        let mut peer = relay.welcomed(transport, &relay.token("ada", "**", "editor")).await;
        let (mut editor, _) = peer.edit(ONE, "acme/plan").await;
        gate.fail_with(Some(StoreError::ReadOnly { file: "journal".into(), reason: "fsync".to_owned() }));
        let batches = editor.write("x");
        peer.send(ONE, frame::Batch::new(batches[0].clone(), None)).await;
        assert_eq!(peer.find_close(ONE).await, Code::StoreUnavailable);
        let ready = relay.http("GET /readyz HTTP/1.1", "").await;
        assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
        let health = relay.http("GET /healthz HTTP/1.1", "").await;
        assert!(health.starts_with("HTTP/1.1 200"), "{health}");
        drop(peer);
        soon("the room's end", async {
            while !relay.relay.core().rooms.is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_store_slows_writers_and_closes_nobody() {
    const BATCHES: usize = 300;
    let (relay, gate) = start(&[]).await;
    for transport in TRANSPORTS {
        let mut peer = relay.welcomed(transport, &relay.token("ada", "**", "editor")).await;
        let (mut editor, _) = peer.edit(ONE, &format!("acme/{transport:?}")).await;
        gate.shut();
        // 9 MB: more than a room may hold that is not durable.
        let text = "x".repeat(30 << 10);
        let batches: Vec<_> = (0..BATCHES).flat_map(|_| editor.write(&text)).collect();
        let last = batches.last().unwrap().last();
        let waits = || {
            let metrics = relay.relay.core().metrics.render();
            let line = metrics.lines().find(|line| line.starts_with("inkwire_store_waits_total")).unwrap();
            line.split_whitespace().last().unwrap().parse::<f64>().unwrap()
        };
        let before = waits();
        {
            let sending = async {
                for batch in batches {
                    peer.send(ONE, frame::Batch::new(batch, None)).await;
                }
            };
            let opening = async {
                while waits() == before {
                    tokio::task::yield_now().await;
                }
                gate.open();
            };
            soon("the end of sending", async { tokio::join!(sending, opening) }).await;
        }
        editor.durable(&mut peer, last).await;
    }
    // Megabytes of durable tail are folded.
    soon("a fold", async {
        while gate.snapshots.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut late = relay.welcomed(Transport::WebSocket, &relay.token("bob", "**", "editor")).await;
    late.open(ONE, "acme/WebSocket", inkwire_protocol::Role::Viewer).await;
    late.find(ONE, |frame| matches!(frame, Frame::Synced(_)).then_some(())).await;
}

/// QUIC counts unread bytes of all streams together: lanes that are not read must leave something for the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_that_wait_for_the_store_do_not_stop_the_others() {
    // Their windows alone are more than the connection's.
    const LANES: u32 = 6;
    // 5.4 MB: more than a room may have waiting for the store, and a window more.
    const BATCHES: usize = 180;
    // What a room may have waiting, in batches.
    const TAKEN: usize = 138;
    let (relay, gate) = start(&[]).await;
    let mut peer = relay.welcomed(Transport::WebTransport, &relay.token("ada", "**", "editor")).await;
    let other = Channel(LANES + 1);
    let mut editors = Vec::new();
    for lane in 1..=other.0 {
        editors.push(peer.edit(Channel(lane), &format!("acme/{lane}")).await.0);
    }
    gate.shut();
    // As many batches as are ever taken of each lane before the store goes on; what comes then stays unread.
    let text = "x".repeat(30 << 10);
    let mut last = Vec::new();
    let mut writing = tokio::task::JoinSet::new();
    let written: Vec<Arc<AtomicUsize>> = (0..LANES).map(|_| Arc::default()).collect();
    for (editor, written) in editors[..LANES as usize].iter_mut().zip(&written) {
        let frames: Vec<Bytes> = (0..BATCHES)
            .flat_map(|_| editor.write(&text))
            .map(|batch| encode_stream(&[Frame::from(frame::Batch::new(batch, None)).encode()]))
            .collect();
        last.push(editor.document.next_counter().expect("it writes") - 1);
        let support::Peer::WebTransport { lanes, .. } = &mut peer else { unreachable!("it is one") };
        let (channel, mut lane) = lanes.remove_entry(&editor.channel).expect("it is open");
        let written = Arc::clone(written);
        writing.spawn(async move {
            for frame in frames {
                lane.send.write_all(&frame).await.expect("the lane stays");
                written.fetch_add(1, Ordering::Relaxed);
            }
            (channel, lane)
        });
    }
    // The control lane, again and again until all of them wait, and after that.
    let (mut nonce, mut left) = (0, 100);
    while left > 0 {
        nonce += 1;
        peer.send(support::CONTROL, frame::Ping { nonce }).await;
        let pong = |frame| matches!(frame, Frame::Pong(pong) if pong.nonce == nonce).then_some(());
        peer.find(support::CONTROL, pong).await;
        if written.iter().all(|written| written.load(Ordering::Relaxed) >= TAKEN) {
            left -= 1;
        }
    }
    // And the one document that does not wait.
    let batch = editors[LANES as usize].write("hello").remove(0);
    let counter = batch.last();
    peer.send(other, frame::Batch::new(batch, None)).await;
    let received = |frame| matches!(frame, Frame::Received(received) if received.counter == counter).then_some(());
    peer.find(other, received).await;

    gate.open();
    for ended in soon("the rest", writing.join_all()).await {
        let support::Peer::WebTransport { lanes, .. } = &mut peer else { unreachable!("it is one") };
        lanes.extend([ended]);
    }
    for (editor, last) in editors.iter().zip(last) {
        editor.durable(&mut peer, last).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_waits_for_the_store_and_tells_the_author() {
    for transport in TRANSPORTS {
        let (relay, gate) = start(&[]).await;
        let mut peer = relay.welcomed(transport, &relay.token("ada", "**", "editor")).await;
        let (mut editor, _) = peer.edit(ONE, "acme/plan").await;
        gate.shut();
        let batches = editor.write("last words");
        peer.send(ONE, frame::Batch::new(batches[0].clone(), None)).await;
        peer.find(ONE, |frame| matches!(frame, Frame::Received(_)).then_some(())).await;
        let drained = tokio::spawn(relay.relay.drain(Duration::from_secs(10)));
        peer.find(support::CONTROL, |frame| matches!(frame, Frame::GoAway(_)).then_some(())).await;
        gate.open();
        editor.durable(&mut peer, batches[0].last()).await;
        soon("the end of the drain", drained).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_dropped_at_once_leaves_nothing_behind() {
    let (relay, gate) = start(&[]).await;
    gate.shut();
    let mut peer = relay.welcomed(Transport::WebSocket, &relay.token("ada", "**", "editor")).await;
    let (mut editor, _) = peer.edit(ONE, "acme/plan").await;
    for text in ["being written ", "waiting behind it"] {
        for batch in editor.write(text) {
            let last = batch.last();
            peer.send(ONE, frame::Batch::new(batch, None)).await;
            peer.find(ONE, |frame| {
                matches!(frame, Frame::Received(received) if received.counter == last).then_some(())
            })
            .await;
        }
    }
    let rooms = Arc::downgrade(&relay.relay.core().rooms);
    let writer = Arc::downgrade(&relay.relay.core().writer);
    drop(relay);
    soon("the end of everything", async {
        while rooms.strong_count() + writer.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Writes so much that is not durable, in a session that then ends: the room keeps it.
async fn write_undurable(
    relay: &TestRelay,
    document: &str,
    seed: u64,
    letters: usize,
) -> (support::Peer, support::Editor) {
    let mut peer = relay.welcomed(Transport::WebSocket, &relay.token("ada", "**", "editor")).await;
    peer.open(ONE, document, inkwire_protocol::Role::Editor).await;
    let opened = peer.find(ONE, |frame| if let Frame::Opened(opened) = frame { Some(opened) } else { None }).await;
    let lease = opened.lease.expect("an editor has a lease");
    let mut document = inkwire_document::Document::new();
    document.set_actor(lease.actor, lease.next);
    let mut editor = support::Editor { document, actor: lease.actor, channel: ONE };
    let mut last = 0;
    for batch in editor.write(&support::noise(seed, letters)) {
        last = batch.last();
        peer.send(ONE, frame::Batch::new(batch, None)).await;
    }
    peer.find(ONE, |frame| matches!(frame, Frame::Received(received) if received.counter == last).then_some(())).await;
    (peer, editor)
}

/// The last two of those who pay when memory is short; for the first ones see `memory.rs`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_memory_is_short_writers_wait_and_then_those_who_come() {
    const MIB: f64 = (1 << 20) as f64;
    /// A letter has three bytes.
    const LETTERS: usize = (1 << 20) / 3;
    let (relay, gate) = start(&["--memory-budget", "16MiB"]).await;
    gate.shut();
    // 2.7 MiB each: fewer than would have a session read slower.
    for room in 0..4_u64 {
        write_undurable(&relay, &format!("acme/{room}"), room, LETTERS * 27 / 10).await;
        assert_eq!(relay.relief(), [0.0; 5], "after {} rooms", room + 1);
    }
    // Past 90 % the largest waits.
    let (mut peer, mut editor) = write_undurable(&relay, "acme/largest", 9, LETTERS * 38 / 10).await;
    let writers = support::relief("writers");
    let paused = relay.metric_becomes(&writers, |count| count >= 1.0);
    support::while_alive(&mut [&mut peer], paused).await;
    assert_eq!(relay.relief()[2], 0.0, "nobody reads slowly");
    let held = editor.document.next_counter().expect("it writes") - 1;
    let late = editor.write("late").remove(0);
    peer.send(ONE, frame::Batch::new(late.clone(), None)).await;
    let told = |frame| match frame {
        Frame::Received(frame::Received { counter, paused }) if counter == held => paused,
        _ => None,
    };
    assert_eq!(peer.find(ONE, told).await, Code::Overloaded);

    // At 100 % documents that are not open are refused; those that are go on, for readers and for those who write elsewhere.
    let spent = async {
        for room in 0..4_u64 {
            write_undurable(&relay, &format!("acme/{room}"), 10 + room, LETTERS * 4 / 10).await;
        }
        relay.metric_becomes("inkwire_memory_bytes", |bytes| bytes >= 16.0 * MIB).await;
        let mut late = relay.welcomed(Transport::WebSocket, &relay.token("bob", "**", "editor")).await;
        late.open(ONE, "acme/new", inkwire_protocol::Role::Editor).await;
        assert_eq!(late.find_close(ONE).await, Code::Overloaded);
        late.open(Channel(2), "acme/1", inkwire_protocol::Role::Viewer).await;
        late.find(Channel(2), |frame| matches!(frame, Frame::Synced(_)).then_some(())).await;
        assert!(relay.relief()[4] >= 1.0, "{:?}", relay.relief());
    };
    support::while_alive(&mut [&mut peer], spent).await;

    // The store is back: who waited is asked for what was dropped, and documents open again.
    gate.open();
    let again = |frame| matches!(frame, Frame::ResendFrom(resend) if resend.counter == held + 1).then_some(());
    peer.find(ONE, again).await;
    peer.send(ONE, frame::Batch::new(late.clone(), None)).await;
    editor.durable(&mut peer, late.last()).await;
    let room = relay.metric_becomes("inkwire_memory_bytes", |bytes| bytes < 16.0 * MIB);
    support::while_alive(&mut [&mut peer], room).await;
    peer.edit(Channel(2), "acme/new").await;
}
