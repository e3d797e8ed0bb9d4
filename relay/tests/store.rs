//! A relay on a store that is slow, fails, or comes back.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use inkwire_document::VersionVector;
use inkwire_protocol::record::ActorRecord;
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
    failure: Mutex<Option<StoreError>>,
    appends: AtomicUsize,
    snapshots: AtomicUsize,
}

impl Gate {
    fn shut(&self) {
        *self.closed.lock() = Some(Arc::new(Semaphore::new(0)));
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
        if let Some(gate) = gate {
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
async fn what_waits_while_the_store_writes_goes_in_one_write() {
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
    assert!(appends <= 3, "200 batches of two documents in {appends} writes");
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
