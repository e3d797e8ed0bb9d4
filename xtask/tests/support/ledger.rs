//! Who wrote what, and what was said of it: kept by the test, outside the relay.
//!
//! Every inserted line is unique and nobody else touches it, so that a document's text alone shows which edits are in it,
//! how often, and whether one is torn.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use inkwire_document::{Actor, Value, VersionVector};
use tokio::sync::watch;

/// An author's number; a writer who comes back after losing its memory is another author.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug)]
pub(crate) struct AuthorId(pub(crate) usize);

/// What an edit did.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// Put this line into the text.
    Line(String),
    /// Took out the line that the author's edit of that number had put in.
    Unline(usize),
    /// Set the author's own key of the map.
    Set(i64),
}

#[derive(Debug)]
struct Entry {
    actor: Actor,
    counter: u64,
    deed: Deed,
}

#[derive(Debug)]
struct Author {
    document: usize,
    entries: Vec<Entry>,
    /// So many of the entries, from the first, were called durable.
    durable: usize,
    alive: bool,
}

/// How much has happened, for whoever waits for a moment.
#[derive(Copy, Clone, Default, Debug)]
pub(crate) struct Progress {
    pub(crate) made: usize,
    pub(crate) durable: usize,
}

#[derive(Debug)]
pub(crate) struct Ledger {
    authors: Mutex<Vec<Author>>,
    progress: watch::Sender<Progress>,
}

/// What a replica shows of a document.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct View {
    pub(crate) text: String,
    pub(crate) map: BTreeMap<String, Value>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self { authors: Mutex::default(), progress: watch::Sender::new(Progress::default()) }
    }

    /// A writer that has failed fails the run by itself; its ledger is still true.
    fn authors(&self) -> MutexGuard<'_, Vec<Author>> {
        self.authors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    pub(crate) fn author(&self, document: usize) -> AuthorId {
        let mut authors = self.authors();
        authors.push(Author { document, entries: Vec::new(), durable: 0, alive: true });
        AuthorId(authors.len() - 1)
    }

    /// An edit was made, as that actor's operations up to that counter.
    pub(crate) fn made(&self, author: AuthorId, actor: Actor, counter: u64, deed: Deed) {
        self.authors()[author.0].entries.push(Entry { actor, counter, deed });
        self.progress.send_modify(|progress| progress.made += 1);
    }

    /// The author's first `count` edits were called durable.
    pub(crate) fn durable(&self, author: AuthorId, count: usize) {
        let mut authors = self.authors();
        let author = &mut authors[author.0];
        assert!(count <= author.entries.len(), "more was called durable than was made");
        assert!(count >= author.durable, "what was durable is no longer");
        let more = count - author.durable;
        author.durable = count;
        drop(authors);
        if more > 0 {
            self.progress.send_modify(|progress| progress.durable += more);
        }
    }

    /// The author's memory is gone.
    pub(crate) fn died(&self, author: AuthorId) {
        self.authors()[author.0].alive = false;
    }

    pub(crate) fn totals(&self) -> Progress {
        *self.progress.borrow()
    }

    /// Everything called durable so far is in `view`, once, and nothing that nobody wrote.
    pub(crate) fn check_durable(&self, document: usize, view: &View) -> Result<(), String> {
        self.check(document, view, |author, number, _| number < author.durable)
    }

    /// So is everything that `seen` covers or whose author lives.
    pub(crate) fn check_seen(&self, document: usize, view: &View, seen: &[VersionVector]) -> Result<(), String> {
        let by_vectors = |entry: &Entry| seen.iter().any(|vector| vector.get(&entry.actor) >= entry.counter);
        self.check(document, view, |author, number, entry| number < author.durable || author.alive || by_vectors(entry))
    }

    /// How many lines only living readers have: `seen` covers them, their authors are dead and `view`, which is what the
    /// store has, lacks them.
    pub(crate) fn only_seen(&self, document: usize, view: &View, seen: &[&VersionVector]) -> usize {
        let there: HashSet<&str> = view.text.lines().collect();
        let authors = self.authors();
        let dead = authors.iter().filter(|author| author.document == document && !author.alive);
        let only_seen = |author: &Author| {
            let removed = |number: usize| {
                author.entries.iter().any(|entry| matches!(entry.deed, Deed::Unline(of) if of == number))
            };
            let covered = |entry: &Entry| seen.iter().any(|vector| vector.get(&entry.actor) >= entry.counter);
            let lacking = |number: usize, entry: &Entry| match &entry.deed {
                Deed::Line(line) => !there.contains(line.as_str()) && !removed(number) && covered(entry),
                _ => false,
            };
            author.entries.iter().enumerate().filter(|(number, entry)| lacking(*number, entry)).count()
        };
        dead.map(only_seen).sum()
    }

    fn check(
        &self,
        document: usize,
        view: &View,
        certain: impl Fn(&Author, usize, &Entry) -> bool,
    ) -> Result<(), String> {
        let mut lines: HashMap<&str, usize> = HashMap::new();
        for line in view.text.lines() {
            *lines.entry(line).or_default() += 1;
        }
        let authors = self.authors();
        for (id, author) in authors.iter().enumerate().filter(|(_, author)| author.document == document) {
            let is_certain: Vec<bool> =
                author.entries.iter().enumerate().map(|(number, entry)| certain(author, number, entry)).collect();
            let mut removed: HashMap<usize, bool> = HashMap::new();
            let mut certain_set = None;
            let mut last_set = None;
            for (entry, is_certain) in author.entries.iter().zip(&is_certain) {
                match entry.deed {
                    Deed::Unline(of) => drop(removed.insert(of, *is_certain)),
                    Deed::Set(value) => {
                        last_set = Some(value);
                        certain_set = if *is_certain { Some(value) } else { certain_set };
                    }
                    Deed::Line(_) => {}
                }
            }
            for (number, entry) in author.entries.iter().enumerate() {
                let Deed::Line(line) = &entry.deed else { continue };
                let times = lines.remove(line.as_str()).unwrap_or(0);
                let (wrong, what) = match (is_certain[number], removed.get(&number)) {
                    _ if times > 1 => (true, "is there more than once"),
                    (_, Some(true)) => (times != 0, "came back though its removal is certain"),
                    (true, None) => (times != 1, "is lost"),
                    _ => (false, ""),
                };
                if wrong {
                    let durable = author.durable;
                    return Err(format!(
                        "document {document}: line {line:?} {what} (author {id}, its edit {number} of {}, {durable} \
                         durable, alive: {}, actor {:x}, counter {})",
                        author.entries.len(),
                        author.alive,
                        entry.actor.0,
                        entry.counter
                    ));
                }
            }
            let shown = match view.map.get(&key(AuthorId(id))) {
                Some(Value::Int(value)) => Some(*value),
                None => None,
                other => return Err(format!("document {document}: author {id} never set {other:?}")),
            };
            if shown < certain_set || shown > last_set {
                return Err(format!(
                    "document {document}: author {id} set up to {last_set:?}, {certain_set:?} is certain, {shown:?} is there"
                ));
            }
        }
        match lines.into_keys().next() {
            None => Ok(()),
            Some(line) => Err(format!("document {document}: nobody wrote {line:?}")),
        }
    }
}

/// The map's key that only this author sets.
pub(crate) fn key(author: AuthorId) -> String {
    format!("author-{}", author.0)
}
