//! What is large and honest: a paste of a megabyte, a hundred thousand actors, a hundred readers that stall.

use std::sync::Arc;

use inkwire_document::{Actor, Document, Position};
use inkwire_loadtest::client::Transport;
use inkwire_protocol::record::LogRecord;
use inkwire_protocol::{Channel, Frame, Role};
use inkwire_storage::embedded::Options;
use inkwire_storage::{Append, DocumentKey, EmbeddedStore, Store as _};

use crate::peer::{Over, Place, open, soon};
use crate::relay::{Folder, Relay};
use crate::scene::{DOCUMENT, Person, Scene};

/// Actors of the document that many people wrote.
const ACTORS: u64 = 100_000;

/// What one stalled reader may cost the relay: what QUIC holds for it that was sent and not acknowledged (256 KiB), its session,
/// and its share of what the allocator rounds up.
const STALLED: u64 = 512 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paste_of_a_megabyte_goes_through() {
    let scene = Scene::start("hostile-paste", &[]).await;
    let paste: String = ('a'..='z').cycle().take(1 << 20).collect();
    scene.writer.append(&paste);
    soon("durability", scene.writer.document.durable()).await.expect("the writer stays");
    scene.is_untouched().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_of_a_hundred_thousand_actors_opens_and_opens_again() {
    let folder = Folder::new("hostile-actors");
    let data = folder.path("data");
    write_actors(&data.join("store")).await;
    let start = || async {
        let relay = Relay::start(&data, "localhost:0", &folder.path("log")).await;
        relay.unwrap_or_else(|problem| panic!("{problem}"))
    };
    let relay = start().await;
    let place = Place::of(&relay.url).await;
    for transport in [Transport::WebTransport, Transport::WebSocket] {
        let person = Person::open(&place, transport, "late", Role::Editor, DOCUMENT).await;
        assert_eq!(person.text().len() as u64, ACTORS);
        let actors = person.document.read(|replica| replica.document().version().dots.len()).expect("it is open");
        assert_eq!(actors as u64, ACTORS);
    }
    // One that holds all of it says so: vectors of many frames, both ways.
    for over in [Over::WebTransport, Over::WebSocket] {
        let token = place.token("again", Role::Editor).await;
        let mut peer = place.welcomed(over, &token).await.expect("a session");
        for vector in vectors() {
            peer.say(Channel(1), vector).await.expect("a session");
        }
        peer.say(Channel(1), open(Channel(1), DOCUMENT, Role::Editor)).await.expect("a session");
        let mut batches = 0;
        let synced = peer.find(Channel(1), |frame| match frame {
            Frame::Batch(_) | Frame::Snapshot(_) => {
                batches += 1;
                None
            }
            Frame::Synced(_) => Some(()),
            _ => None,
        });
        synced.await.expect("Synced");
        assert_eq!(batches, 0, "{over:?}: it lacks nothing");
    }
    relay.kill().await;
}

/// A store that holds a document to which so many actors have contributed a character each.
async fn write_actors(directory: &std::path::Path) {
    std::fs::create_dir_all(directory).expect("a folder");
    let store = EmbeddedStore::open(directory, &Options::default()).expect("a new store");
    let key = DocumentKey::new(DOCUMENT, 0);
    let subject: Arc<str> = "somebody".into();
    let actors: Vec<u64> = (1..=ACTORS).collect();
    let mut document = Document::new();
    for group in actors.chunks(5_000) {
        let records = group.iter().map(|actor| {
            // Each goes on where the last one stopped.
            let end = document.text("body").len_scalars();
            document.set_actor(Actor(actor << 40), 1);
            document.insert("body", Position::Scalar(end), "x").expect("an edit");
            let record = LogRecord::new(document.take_batches().remove(0), Arc::clone(&subject), 0);
            Append { document: key.clone(), record }
        });
        store.append(records.collect()).await.expect("a new store takes writes");
    }
    store.close().await;
}

fn vectors() -> Vec<Frame> {
    use inkwire_protocol::frame::{Extends, Vector};
    let actors: Vec<u64> = (1..=ACTORS).collect();
    let parts = actors.chunks(inkwire_protocol::limits::VECTOR_PART_ENTRIES);
    let count = parts.len();
    let part = |(index, actors): (usize, &[u64])| {
        let part = actors.iter().map(|actor| inkwire_document::Dot::new(Actor(actor << 40), 1)).collect();
        Vector { part, more: index + 1 < count, extends: Extends::Both }.into()
    };
    parts.enumerate().map(part).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_readers_that_stall_cost_what_is_said() {
    const READERS: usize = 100;
    let mut scene = Scene::start("hostile-stalled", &[]).await;
    // Larger than anything on the way to a reader holds.
    let large = "0123456789abcdefghijklmnopqrstuvwxyz".repeat(60_000);
    let writer = Person::open(&scene.place, Transport::WebTransport, "author", Role::Editor, "hostile/large").await;
    writer.append(&large);
    soon("durability", writer.document.durable()).await.expect("the writer stays");
    scene.serves().await;
    let before = scene.memory();
    let token = scene.place.token("stalled", Role::Viewer).await;
    let mut stalled = Vec::new();
    for _ in 0..READERS {
        let mut peer = scene.place.welcomed(Over::WebTransport, &token).await.expect("a session");
        peer.say(Channel(1), open(Channel(1), "hostile/large", Role::Viewer)).await.expect("a session");
        stalled.push(peer);
    }
    // The document is busy meanwhile, and so is another; everybody else is served.
    let mut most = 0;
    for edit in 0..40 {
        writer.append(&format!("edit {edit} {}", &large[..2_000]));
        soon("durability", writer.document.durable()).await.expect("the writer stays");
        scene.serves().await;
        for peer in &mut stalled {
            // Alive, and reading nothing of the document.
            assert!(peer.lives().await, "nobody is disconnected for reading slowly");
        }
        most = most.max(scene.memory());
    }
    let each = most.saturating_sub(before) / READERS as u64;
    println!("hostile: {READERS} stalled readers cost {} KiB each at most", each >> 10);
    assert!(each <= STALLED, "{each} bytes each");
}
