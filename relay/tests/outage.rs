//! A relay whose cluster goes away: editing goes on, also over a restart, and nothing is called durable that is not.

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use inkwire_protocol::{Channel, Code, Frame, Role, frame};
use inkwire_relay::Relay;
use inkwire_storage::spool::{Connected, Options, Remote};
use inkwire_storage::{Condition, DocumentKey, MemoryStore, SpoolStore, Store, StoreError};
use parking_lot::Mutex;
use support::{Peer, TestRelay, Transport, settings, soon, while_alive};

const ONE: Channel = Channel(1);
const TWO: Channel = Channel(2);

/// A store in memory in the cluster's place, away or not.
#[derive(Clone, Debug, Default)]
struct Far {
    store: MemoryStore,
    away: Arc<Mutex<Option<StoreError>>>,
}

impl Far {
    fn set_away(&self, away: bool) {
        let error = away.then(|| StoreError::Unavailable { reason: "no quorum".to_owned(), source: None });
        self.store.refuse(error.clone());
        *self.away.lock() = error;
    }

    async fn batches(&self, document: &str) -> usize {
        self.store.load(&DocumentKey::new(document, 0)).await.map_or(0, |loaded| loaded.records.len())
    }
}

#[async_trait]
impl Remote for Far {
    async fn connect(&self) -> Result<Connected, StoreError> {
        match self.away.lock().clone() {
            Some(error) => Err(error),
            None => Ok(Connected { store: Arc::new(self.store.clone()), restarts: None }),
        }
    }
}

/// A relay with its spool in `data`, which an earlier one may be about to let go.
async fn start(far: &Far, data: &Arc<tempfile::TempDir>, bytes: u64) -> (TestRelay, Arc<SpoolStore>) {
    let options = Options { directory: Some(data.path().join("spool")), bytes };
    let opening = async {
        loop {
            match SpoolStore::open(Arc::new(far.clone()), &options).await {
                Err(StoreError::Locked { .. }) => tokio::task::yield_now().await,
                opened => return opened.expect("the spool opens"),
            }
        }
    };
    let store = Arc::new(soon("the spool", opening).await);
    let shared: Arc<dyn Store> = Arc::clone(&store) as _;
    let relay = Relay::start_on(settings(data.path(), &[]), shared).await.expect("the relay starts");
    (TestRelay { relay, data: Arc::clone(data) }, store)
}

fn data() -> Arc<tempfile::TempDir> {
    Arc::new(tempfile::tempdir().expect("a directory"))
}

async fn becomes(relay: &TestRelay, condition: Condition) {
    let number = [Condition::Serving, Condition::Away, Condition::Full].iter().position(|known| *known == condition);
    relay.metric_becomes("inkwire_store_condition", |now| Some(now as usize) == number).await;
}

async fn ready(relay: &TestRelay) -> bool {
    relay.http("GET /readyz HTTP/1.1", "").await.starts_with("HTTP/1.1 200")
}

async fn reads(peer: &mut Peer, channel: Channel, text: &str) {
    let mut document = inkwire_document::Document::new();
    loop {
        if let Frame::Batch(batch) = peer.expect(channel).await {
            document.apply(&batch.into_parts().0).expect("it applies");
        }
        if document.text("body").to_string() == text {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn editing_goes_on_while_the_cluster_is_away_and_over_a_restart() {
    let (far, data) = (Far::default(), data());
    let (relay, spool) = start(&far, &data, 1 << 30).await;
    let mut ada = relay.welcomed(Transport::WebTransport, &relay.token("ada", "**", "editor")).await;
    let mut bob = relay.welcomed(Transport::WebSocket, &relay.token("bob", "**", "viewer")).await;
    let (mut editor, _) = ada.edit(ONE, "acme/plan").await;
    editor.write_durably(&mut ada, "before ").await;
    bob.open(ONE, "acme/plan", Role::Viewer).await;

    far.set_away(true);
    let away = editor.write("meanwhile");
    let count = 1 + away.len();
    for batch in away {
        ada.send(ONE, frame::Batch::new(batch, None)).await;
    }
    reads(&mut bob, ONE, "before meanwhile").await;
    while_alive(&mut [&mut ada, &mut bob], becomes(&relay, Condition::Away)).await;
    assert!(ready(&relay).await, "edits are taken, into the spool");
    assert_eq!(far.batches("acme/plan").await, 0, "it is away");
    // What comes behind a write that does not end is kept, too.
    let behind = editor.write(" and after");
    let (last, count) = (behind.last().expect("a batch").last(), count + behind.len());
    let bytes = spool.counts().spool_bytes;
    for batch in behind {
        ada.send(ONE, frame::Batch::new(batch, None)).await;
    }
    let kept = async {
        while spool.counts().spool_bytes == bytes {
            tokio::task::yield_now().await;
        }
    };
    while_alive(&mut [&mut ada, &mut bob], soon("what comes behind on the disk", kept)).await;

    // The relay dies, and the next one has nothing but its own disk.
    drop((ada, bob, relay, spool));
    let (relay, _) = start(&far, &data, 1 << 30).await;
    becomes(&relay, Condition::Away).await;
    assert!(ready(&relay).await);
    let mut eve = relay.welcomed(Transport::WebSocket, &relay.token("eve", "**", "editor")).await;
    eve.open(ONE, "acme/plan", Role::Editor).await;
    reads(&mut eve, ONE, "before meanwhile and after").await;
    eve.open(TWO, "acme/unknown", Role::Editor).await;
    assert_eq!(eve.find_close(TWO).await, Code::StoreUnavailable);

    far.set_away(false);
    // Told of the author's batches, which only the spool had.
    editor.durable(&mut eve, last).await;
    assert_eq!(far.batches("acme/plan").await, count);
    while_alive(&mut [&mut eve], becomes(&relay, Condition::Serving)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_spool_is_full_editors_are_told_and_keep_what_they_write() {
    let (far, data) = (Far::default(), data());
    let (relay, _) = start(&far, &data, 200_000).await;
    let mut ada = relay.welcomed(Transport::WebTransport, &relay.token("ada", "**", "editor")).await;
    let (mut editor, _) = ada.edit(ONE, "acme/plan").await;
    far.set_away(true);
    let batches: Vec<_> = (0..10).flat_map(|_| editor.write(&"x".repeat(20_000))).collect();
    for batch in &batches {
        ada.send(ONE, frame::Batch::new(batch.clone(), None)).await;
    }
    while_alive(&mut [&mut ada], becomes(&relay, Condition::Full)).await;
    assert!(!ready(&relay).await, "edits are not taken");
    let late = editor.write("late").remove(0);
    ada.send(ONE, frame::Batch::new(late.clone(), None)).await;
    let told = |frame| match frame {
        Frame::Received(frame::Received { paused, .. }) => paused,
        _ => None,
    };
    assert_eq!(ada.find(ONE, told).await, Code::StoreUnavailable);

    far.set_away(false);
    let from =
        ada.find(ONE, |frame| if let Frame::ResendFrom(resend) = frame { Some(resend.counter) } else { None }).await;
    for batch in batches.iter().chain([&late]).filter(|batch| batch.first >= from) {
        ada.send(ONE, frame::Batch::new(batch.clone(), None)).await;
    }
    editor.durable(&mut ada, late.last()).await;
    while_alive(&mut [&mut ada], becomes(&relay, Condition::Serving)).await;
    assert!(ready(&relay).await);
}
