//! A path that loses one packet in twenty, 25 ms long each way, between a real relay and native clients; and a narrow one.
//!
//! Nothing here measures time: `cargo xtask measure lossy` does. `INKWIRE_LOSSY_SEED` says which packets are lost, as far as the
//! operating system's timing lets it.

#[path = "support/http.rs"]
mod http;
#[path = "lossy/narrow.rs"]
mod narrow;
#[path = "support/proxy.rs"]
mod proxy;
#[expect(dead_code, reason = "others kill it")]
#[path = "support/relay.rs"]
mod relay;

use std::time::Duration;

use http::get;
use inkwire_document::Position;
use inkwire_loadtest::client::{Client, DevelopmentToken, Document, Options, TokenSource, Transport};
use inkwire_protocol::copies::{CopyCounts, CopyMode};
use inkwire_protocol::replica::Replica;
use proxy::Proxy;
use relay::{Folder, Relay};

/// Of a thousand packets, in each direction.
const LOSS_PER_MILLE: u32 = 50;
const DELAY: Duration = Duration::from_millis(25);
/// Edits that are written one after the other, at most, until what must happen has.
const MOST_EDITS: usize = 3_000;
/// Edits after which a path that loses something would have been found out: some 15 s.
const ENOUGH_EDITS: usize = 150;
/// Nothing here takes longer on a slow machine; what does is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

fn seed() -> u64 {
    let given = std::env::var("INKWIRE_LOSSY_SEED").ok();
    given.map_or_else(
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |now| now.as_nanos() as u64),
        |seed| seed.parse().expect("INKWIRE_LOSSY_SEED is a number"),
    )
}

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} took longer than {PATIENCE:?}"))
}

/// A writer and a reader of one document, behind a bad path to a relay.
struct Stage {
    name: String,
    relay: Relay,
    proxy: Proxy,
    writer: (Client, Document),
    reader: (Client, Document),
    written: String,
    _folder: Folder,
}

impl Stage {
    async fn set(name: &str, relay_copies: &str, copies: CopyMode, transports: [Transport; 2]) -> Self {
        let seed = seed();
        let [writer, reader] = transports;
        let name = format!("{name}, {writer} to {reader}");
        println!("lossy: {name}: seed {seed}");
        let folder = Folder::new(&format!("lossy-{}", name.replace([' ', ','], "-")));
        let flags = ["--datagram-copies", relay_copies];
        let relay = Relay::start_with(&folder.path("data"), "127.0.0.1:0", &folder.path("relay.log"), &flags).await;
        let relay = relay.expect("the relay starts");
        let proxy = Proxy::start(&relay.url, DELAY, seed).await;
        let join = async |transport, who: &str| {
            let mut options = Options::new(proxy.url.clone(), transport);
            let subject = Some(who.to_owned());
            options.token = TokenSource::Development(DevelopmentToken { subject, ..DevelopmentToken::default() });
            options.config.copies = copies;
            let client = in_time("connecting", Client::connect(options)).await.expect("the relay is there");
            let document = client.open("acme/lossy").expect("a good name");
            in_time("the document", document.synced()).await.expect("it is open");
            (client, document)
        };
        let (writer, reader) = (join(writer, "writer").await, join(reader, "reader").await);
        Self { name, relay, proxy, writer, reader, written: String::new(), _folder: folder }
    }

    /// One edit. Does not wait for anything.
    fn write(&mut self) {
        let word = format!("{} ", self.written.len());
        let at = self.written.len();
        let edit = self.writer.1.edit(|contents, _| contents.insert("body", Position::Scalar(at), &word));
        edit.expect("the writer may write");
        self.written.push_str(&word);
    }

    /// Waits until the reader has everything.
    async fn seen(&self) {
        let length = self.written.len();
        let all = |replica: &Replica| replica.document().text("body").len_scalars() == length;
        in_time("an edit", self.reader.1.wait(all)).await.expect("it stays open");
    }

    /// Edits, each after the one before was seen, until `done` says so. Returns how many.
    async fn write_until(&mut self, most: usize, mut done: impl AsyncFnMut(&Self, usize) -> bool) -> usize {
        for count in 1..=most {
            self.write();
            self.seen().await;
            if done(self, count).await {
                return count;
            }
        }
        panic!("{}: after {most} edits {:?} {:?}", self.name, self.writer.0.copies(), self.reader.0.copies())
    }

    async fn counted(&self, name: &str) -> u64 {
        let answer = in_time("metrics", get(&self.relay.url, "/metrics")).await;
        let line = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("no {name}"))
    }

    /// A hundred edits at once, then everything is durable, once, and everywhere the same.
    async fn finish(mut self, edits: usize) {
        (0..100).for_each(|_| self.write());
        self.seen().await;
        in_time("durable", self.writer.1.durable()).await.expect("it stays open");
        for (_, document) in [&self.writer, &self.reader] {
            assert_eq!(document.text("body").expect("it is open"), self.written, "{}", self.name);
        }
        let (passed, lost) = self.proxy.packets();
        println!(
            "lossy: {}: {edits} edits and 100 at once, {lost} of {} packets lost; writer {:?}, reader {:?}",
            self.name,
            passed + lost,
            self.writer.0.copies(),
            self.reader.0.copies()
        );
        // Each edit is a batch of its own, and those that were written at once may have been coalesced.
        let stored = self.counted("inkwire_batches_stored_total").await as usize;
        assert!((edits + 1..=edits + 100).contains(&stored), "{}: {stored} batches stored", self.name);
        tokio::join!(self.writer.0.close(), self.reader.0.close());
    }
}

/// Both libraries on both ends.
const PAIRS: [[Transport; 2]; 2] =
    [[Transport::WebTransport, Transport::Wtransport], [Transport::Wtransport, Transport::WebTransport]];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_begin_where_packets_are_lost_and_some_come_first() {
    for pair in PAIRS {
        let mut stage = Stage::set("auto", "auto", CopyMode::Auto, pair).await;
        stage.proxy.lose(LOSS_PER_MILLE);
        let edits = stage
            .write_until(MOST_EDITS, async |stage, count| {
                let CopyCounts { first, late, .. } = stage.reader.0.copies();
                let down = first >= 2 && late >= 2;
                // Asking costs a connection, so not each time.
                down && count % 10 == 0
                    && stage.writer.0.sends_copies()
                    && stage.counted("inkwire_copies_first_total").await >= 2
                    && stage.counted("inkwire_copies_dropped_total").await >= 2
                    && stage.counted("inkwire_copies_sent_total").await >= 4
            })
            .await;
        stage.finish(edits).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_copies_everything_arrives_all_the_same() {
    let mut stage = Stage::set("off", "off", CopyMode::Off, PAIRS[0]).await;
    stage.proxy.lose(LOSS_PER_MILLE);
    let edits = stage.write_until(ENOUGH_EDITS, async |_, count| count == ENOUGH_EDITS).await;
    none(&stage).await;
    stage.finish(edits).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_that_loses_nothing_has_none() {
    for pair in PAIRS {
        let mut stage = Stage::set("auto without loss", "auto", CopyMode::Auto, pair).await;
        let edits = stage.write_until(ENOUGH_EDITS, async |_, count| count == ENOUGH_EDITS).await;
        none(&stage).await;
        stage.finish(edits).await;
    }
}

async fn none(stage: &Stage) {
    for client in [&stage.writer.0, &stage.reader.0] {
        assert_eq!((client.copies(), client.sends_copies()), (CopyCounts::default(), false), "{}", stage.name);
    }
    assert_eq!(stage.counted("inkwire_copies_sent_total").await, 0, "{}", stage.name);
}
