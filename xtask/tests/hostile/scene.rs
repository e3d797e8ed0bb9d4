//! A relay, its memory, and two honest people who work on one document over both transports.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use inkwire_document::Position;
use inkwire_loadtest::client::{Client, DevelopmentToken, Document, Options, TokenSource, Transport};
use inkwire_protocol::{Frame, Role};

use crate::peer::{PATIENCE, Place, soon};
use crate::relay::{Folder, Relay};

/// The document that the honest pair has open, and that others attack.
pub(crate) const DOCUMENT: &str = "hostile/plan";

pub(crate) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// An encoded example of every frame, by its number: the golden files.
pub(crate) fn samples() -> BTreeMap<u8, Bytes> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/golden");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("golden files").flatten().map(|file| file.path()).collect();
    files.sort();
    let mut samples = BTreeMap::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "bin")) {
        let bytes = Bytes::from(std::fs::read(file).expect("a golden file"));
        let frame = Frame::decode(&bytes).expect("a golden frame");
        samples.entry(frame.number()).or_insert(bytes);
    }
    for (number, name) in Frame::TABLE {
        assert!(samples.contains_key(number), "no golden file of {name}");
    }
    samples
}

/// Somebody honest.
pub(crate) struct Person {
    /// Kept: its documents end with it.
    _client: Client,
    pub(crate) document: Document,
}

impl Person {
    pub(crate) async fn open(place: &Place, transport: Transport, name: &str, role: Role, document: &str) -> Self {
        let mut options = Options::new(place.url.clone(), transport);
        options.token = TokenSource::Development(DevelopmentToken {
            subject: Some(name.to_owned()),
            role: Some(role.as_str().to_owned()),
            ..DevelopmentToken::default()
        });
        options.config.replica.role = role;
        let client = Client::connect(options).await.expect("the relay takes honest people");
        let document = client.open(document).expect("a good name");
        soon("the document", document.synced()).await.expect("it opens");
        Self { _client: client, document }
    }

    pub(crate) fn text(&self) -> String {
        self.document.text("body").expect("it is open")
    }

    pub(crate) fn append(&self, text: &str) {
        let edit = self.document.edit(|contents, _| {
            let end = contents.text("body").len_scalars();
            contents.insert("body", Position::Scalar(end), text)
        });
        edit.expect("an honest edit is taken");
    }
}

/// A relay with its honest pair.
pub(crate) struct Scene {
    pub(crate) place: Place,
    pub(crate) writer: Person,
    viewer: Person,
    pub(crate) edits: u64,
    relay: Relay,
    _folder: Folder,
}

impl Scene {
    pub(crate) async fn start(name: &str, flags: &[&str]) -> Self {
        let folder = Folder::new(name);
        let relay = Relay::start_with(&folder.path("data"), "localhost:0", &folder.path("log"), flags).await;
        let relay = relay.unwrap_or_else(|problem| panic!("{problem}"));
        let place = Place::of(&relay.url).await;
        let writer = Person::open(&place, Transport::WebTransport, "honest-writer", Role::Editor, DOCUMENT).await;
        let viewer = Person::open(&place, Transport::WebSocket, "honest-viewer", Role::Viewer, DOCUMENT).await;
        Self { place, writer, viewer, edits: 0, relay, _folder: folder }
    }

    /// One more honest edit: it becomes durable and is seen, and nothing else is there.
    pub(crate) async fn serves(&mut self) {
        self.writer.append(&format!("line {}\n", self.edits));
        self.edits += 1;
        soon("durability", self.writer.document.durable()).await.expect("the writer stays");
        let expected = self.writer.text();
        let seen = self.viewer.document.wait(|replica| replica.document().text("body").to_string() == expected);
        soon("the edit", seen).await.expect("the viewer stays");
        let lines: String = (0..self.edits).map(|edit| format!("line {edit}\n")).collect();
        assert_eq!(expected, lines, "nothing of what was refused is in the document");
    }

    /// Somebody who comes late finds the same.
    pub(crate) async fn is_untouched(&self) {
        for transport in [Transport::WebTransport, Transport::WebSocket] {
            let late = Person::open(&self.place, transport, "honest-late", Role::Viewer, DOCUMENT).await;
            assert_eq!(late.text(), self.writer.text());
            let maps = late.document.read(|replica| replica.document().map_names().count()).expect("it is open");
            assert_eq!(maps, 0, "a map that nobody honest made");
        }
    }

    /// Bytes of memory that are the relay's own.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.relay.id())).expect("the relay runs");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux says it");
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") << 10
    }

    /// Waits until the relay's memory is at most so much. How long that takes is the allocator's and the kernel's affair; the
    /// limit is only there so that it ends.
    pub(crate) async fn memory_returns_to(&self, most: u64) {
        let start = Instant::now();
        while self.memory() > most {
            assert!(start.elapsed() < 2 * PATIENCE, "the relay keeps {} bytes, over {most}", self.memory());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
