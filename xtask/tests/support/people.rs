//! Those who write, and those who only look.

use std::sync::Arc;
use std::time::Duration;

use inkwire_document::{Document as Contents, EditError, HybridTime, Position, Value, VersionVector};
use inkwire_loadtest::client::{Client, Connection, DevelopmentToken, Document, Options, TokenSource, Transport};
use inkwire_loadtest::trace::Random;
use inkwire_protocol::Role;
use inkwire_protocol::replica::EditRefused;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

use super::ledger::{AuthorId, Deed, Ledger, View, key};

pub(crate) const TEXT: &str = "body";
pub(crate) const MAP: &str = "meta";

/// Somebody with one document open.
pub(crate) struct Person {
    pub(crate) author: Option<AuthorId>,
    pub(crate) number: usize,
    pub(crate) document: usize,
    pub(crate) opened: Document,
    client: Client,
    writing: Option<JoinHandle<()>>,
    /// What it had seen at each crash that it lived through.
    pub(crate) seen: Vec<VersionVector>,
}

pub(crate) fn document_name(document: usize) -> String {
    format!("crash/{document}")
}

async fn connect(url: &Url, transport: Transport, role: Role, name: String, seed: u64) -> Client {
    let mut options = Options::new(url.clone(), transport);
    options.seed = seed;
    options.token = TokenSource::Development(DevelopmentToken {
        subject: Some(name),
        role: Some(if role.may_write() { "editor" } else { "viewer" }.to_owned()),
        ..DevelopmentToken::default()
    });
    options.config.replica.role = role;
    // A crash every second: come back soon, but not all in the same moment.
    options.config.backoff_base = Duration::from_millis(20);
    options.config.backoff_cap = Duration::from_millis(250);
    Client::connect(options).await.unwrap_or_else(|error| panic!("{transport}: {error}"))
}

impl Person {
    /// Somebody who writes from now on, whenever `pause` does not hold.
    pub(crate) async fn writer(
        url: &Url,
        number: usize,
        document: usize,
        random: &mut Random,
        ledger: &Arc<Ledger>,
        pause: watch::Receiver<bool>,
    ) -> Self {
        let author = ledger.author(document);
        let mut person = Self::open(url, number, document, Role::Editor, random).await;
        person.author = Some(author);
        let writing = Writing {
            author,
            opened: person.opened.clone(),
            random: Random::new(random.bits()),
            ledger: Arc::clone(ledger),
            lines: Vec::new(),
            made: 0,
            window: random.between(1, 6) as u64,
        };
        person.writing = Some(tokio::spawn(writing.run(pause)));
        person
    }

    /// Somebody who only looks, as a viewer.
    pub(crate) async fn viewer(url: &Url, number: usize, document: usize, random: &mut Random) -> Self {
        Self::open(url, number, document, Role::Viewer, random).await
    }

    async fn open(url: &Url, number: usize, document: usize, role: Role, random: &mut Random) -> Self {
        let transport = Transport::ALL[number % Transport::ALL.len()];
        let client = connect(url, transport, role, format!("{role:?}-{number}"), random.bits()).await;
        let opened = client.open(&document_name(document)).expect("a good name");
        Self { author: None, number, document, opened, client, writing: None, seen: Vec::new() }
    }

    pub(crate) fn connection(&self) -> watch::Receiver<Connection> {
        self.client.connection()
    }

    pub(crate) fn version(&self) -> VersionVector {
        self.opened.read(|replica| replica.document().version().clone()).expect("it is open")
    }

    pub(crate) fn view(&self) -> View {
        view(&self.opened)
    }

    /// Loses its memory at once.
    pub(crate) fn die(self, ledger: &Ledger) {
        if let Some(author) = self.author {
            ledger.died(author);
        }
    }

    /// A writer that has failed would make the test weaker, not fail it.
    pub(crate) fn is_well(&self) -> bool {
        self.writing.as_ref().is_none_or(|writing| !writing.is_finished())
    }
}

/// What writes ends with its person, before the client that it writes through.
impl Drop for Person {
    fn drop(&mut self) {
        if let Some(writing) = &self.writing {
            writing.abort();
        }
    }
}

/// What a fresh session finds in the documents.
pub(crate) async fn read_all(url: &Url, transport: Transport, documents: usize, seed: u64) -> Vec<View> {
    let client = connect(url, transport, Role::Viewer, "reader".to_owned(), seed).await;
    let mut views = Vec::new();
    for document in 0..documents {
        let opened = client.open(&document_name(document)).expect("a good name");
        opened.synced().await.expect("a document of a running relay opens");
        views.push(view(&opened));
    }
    views
}

fn view(opened: &Document) -> View {
    opened
        .read(|replica| View {
            text: replica.document().text(TEXT).to_string(),
            map: replica.document().map_entries(MAP).map(|(key, value)| (key.to_owned(), value.clone())).collect(),
        })
        .expect("it is open")
}

struct Writing {
    author: AuthorId,
    opened: Document,
    random: Random,
    ledger: Arc<Ledger>,
    /// The edits that put a line in which was not taken out again, and the line.
    lines: Vec<(usize, String)>,
    made: usize,
    /// How many edits may wait to become durable.
    window: u64,
}

impl Writing {
    async fn run(mut self, pause: watch::Receiver<bool>) {
        let mut pause = pause;
        loop {
            let status = self.opened.read(|replica| replica.status()).expect("it is open");
            assert_eq!(status.refused, 0, "author {} had edits refused", self.author.0);
            self.ledger.durable(self.author, status.durable as usize);
            let room = !*pause.borrow_and_update() && status.local + status.sent < self.window;
            if room && self.edit() {
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                changed = self.opened.changed() => changed.expect("it is open"),
                Ok(()) = pause.changed() => {}
            }
        }
    }

    /// Makes one edit; `false` if that is not possible now.
    fn edit(&mut self) -> bool {
        let Self { author, opened, random, ledger, lines, made, .. } = self;
        let result = opened.edit(|contents, now| {
            let deed = act(contents, now, *author, *made, random, lines)?;
            let actor = contents.actor().expect("who edits is an actor");
            let counter = contents.next_counter().expect("who edits has a counter") - 1;
            ledger.made(*author, actor, counter, deed);
            *made += 1;
            Ok(())
        });
        match result {
            Ok(()) => true,
            Err(EditRefused::NotReady | EditRefused::OutboxFull { .. }) => false,
            Err(error) => panic!("author {}: {error}", author.0),
        }
    }
}

fn act(
    contents: &mut Contents,
    now: HybridTime,
    author: AuthorId,
    number: usize,
    random: &mut Random,
    lines: &mut Vec<(usize, String)>,
) -> Result<Deed, EditError> {
    match random.below(10) {
        0 | 1 => {
            // Everybody's, too: who wins does not matter, that all agree does.
            contents.map_set(MAP, &key(author), Value::Int(number as i64), now)?;
            Ok(Deed::Set(number as i64))
        }
        2 if !lines.is_empty() => {
            let at = random.below(lines.len());
            let text = contents.text(TEXT).to_string();
            let start = find(&text, &lines[at].1);
            let (of, line) = lines.swap_remove(at);
            contents.delete(TEXT, Position::Scalar(start), line.chars().count() + 1)?;
            Ok(Deed::Unline(of))
        }
        _ => {
            let word = *random.pick(&["plain", "naïve", "日本語", "🦀🇪🇺", "e\u{301}"]);
            let line = format!("{}.{number} {word}", author.0);
            let at = line_start(contents, random);
            contents.insert(TEXT, Position::Scalar(at), &format!("{line}\n"))?;
            lines.push((number, line.clone()));
            Ok(Deed::Line(line))
        }
    }
}

/// Where the line begins, in scalars.
fn find(text: &str, line: &str) -> usize {
    let bytes = if text.starts_with(&format!("{line}\n")) {
        0
    } else {
        text.find(&format!("\n{line}\n")).expect("nobody else touches an author's line") + 1
    };
    text[..bytes].chars().count()
}

/// The first start of a line at or after a random place.
fn line_start(contents: &Contents, random: &mut Random) -> usize {
    let text = contents.text(TEXT);
    let length = text.len_scalars();
    let from = random.below(length + 1);
    if from == 0 {
        return 0;
    }
    let ahead = text.slice(from - 1..(from + 63).min(length));
    ahead.chars().position(|letter| letter == '\n').map_or(length, |newline| from + newline)
}
