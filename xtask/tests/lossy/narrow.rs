//! A document of 2 MB that others write all the time, through a link of one megabit a second: who comes gets to the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use inkwire_document::Position;
use inkwire_loadtest::client::{Client, DevelopmentToken, Document, Options, TokenSource, Transport};
use inkwire_loadtest::trace::Random;
use inkwire_protocol::replica::EditRefused;
use url::Url;

use crate::proxy::Proxy;
use crate::relay::{Folder, Relay};

const BITS_PER_SECOND: u32 = 1_000_000;
const DELAY: Duration = Duration::from_millis(25);

/// Of three bytes each, any of 20,000: 2 MB of text that packs to 1.2.
const LETTERS: usize = 2_000_000 / 3;

/// Letters of one edit.
const EDIT_LETTERS: usize = 16_000;

/// Between two edits while others join: a hundred a second.
const EDIT_INTERVAL: Duration = Duration::from_millis(10);

/// The transfer alone takes some 12 s; what takes longer than this is stuck.
const PATIENCE: Duration = Duration::from_secs(240);

async fn join(url: &Url, transport: Transport, who: &str) -> (Client, Document) {
    let mut options = Options::new(url.clone(), transport);
    let subject = Some(who.to_owned());
    options.token = TokenSource::Development(DevelopmentToken { subject, ..DevelopmentToken::default() });
    let client = Client::connect(options).await.expect("the relay is there");
    let document = client.open("acme/large").expect("a good name");
    (client, document)
}

async fn append(document: &Document, text: &str) {
    let mut changes = document.clone();
    loop {
        let edit = document.edit(|contents, _| {
            let end = contents.text("body").len_scalars();
            contents.insert("body", Position::Scalar(end), text)
        });
        match edit {
            Ok(()) => return,
            Err(EditRefused::OutboxFull { .. }) => changes.changed().await.expect("it stays open"),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "wants a machine that is not busy: see docs/src/loadtest.md"]
async fn who_joins_through_a_narrow_link_while_others_write_is_synced() {
    let folder = Folder::new("lossy-narrow");
    let relay = Relay::start_with(&folder.path("data"), "127.0.0.1:0", &folder.path("relay.log"), &[]).await;
    let relay = relay.expect("the relay starts");
    let (_writing, document) = join(&relay.url, Transport::WebTransport, "writer").await;
    document.synced().await.expect("it opens");
    let mut random = Random::new(1);
    let mut letters = |count: usize| -> String {
        std::iter::repeat_with(|| char::from_u32(0x4e00 + random.below(20_000) as u32).expect("a letter"))
            .take(count)
            .collect()
    };
    for _ in 0..LETTERS.div_ceil(EDIT_LETTERS) {
        append(&document, &letters(EDIT_LETTERS)).await;
    }
    document.durable().await.expect("it stays open");

    let (edits, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let writer = {
        let (document, edits, is_over) = (document.clone(), Arc::clone(&edits), Arc::clone(&is_over));
        tokio::spawn(async move {
            let mut turns = tokio::time::interval(EDIT_INTERVAL);
            while !is_over.load(Ordering::Relaxed) {
                turns.tick().await;
                append(&document, "one more ").await;
                edits.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let through = async |transport: Transport| {
        let proxy = Proxy::narrow(&relay.url, DELAY, BITS_PER_SECOND).await;
        let begin = Instant::now();
        let before = edits.load(Ordering::Relaxed);
        let (client, document) = join(&proxy.url, transport, &format!("late-{transport}")).await;
        document.synced().await.expect("it stays open");
        println!(
            "lossy: narrow, {transport}: synced after {:.1} s, {} KiB of frames, {} edits meanwhile",
            begin.elapsed().as_secs_f64(),
            client.traffic().received_bytes >> 10,
            edits.load(Ordering::Relaxed) - before,
        );
        (proxy, client, document)
    };
    // Each has a link of its own.
    let joined = tokio::time::timeout(PATIENCE, async {
        tokio::join!(through(Transport::WebTransport), through(Transport::WebSocket))
    });
    let joined = joined.await.expect("whoever joins is synced while others write");
    is_over.store(true, Ordering::Relaxed);
    writer.await.expect("the writer writes");
    document.durable().await.expect("it stays open");
    let text = document.text("body").expect("it is open");
    let length = text.chars().count();
    let all = async |document: &Document| {
        let seen = document.wait(|replica| replica.document().text("body").len_scalars() == length);
        tokio::time::timeout(PATIENCE, seen).await.expect("all arrives").expect("it stays open");
        assert!(document.text("body").expect("it is open") == text, "the same text");
    };
    tokio::join!(all(&joined.0.2), all(&joined.1.2));
}
