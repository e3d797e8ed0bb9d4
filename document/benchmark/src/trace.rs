//! Editing traces: read from files, or generated.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// One edit: so many scalars deleted at a position, then this inserted.
#[derive(Clone)]
pub struct Edit {
    /// From the start of the author's text, or modulo its length and one, where generated.
    pub position: usize,
    pub deleted: usize,
    pub inserted: String,
}

/// Edits that one author makes after having applied what others wrote before.
pub struct Turn {
    pub author: usize,
    /// How many turns of all, from the first, the author may see, and which of those not.
    pub sees: Sees,
    pub edits: Vec<Edit>,
}

/// Turns before this one that its author applies.
pub enum Sees {
    /// The first so many.
    First(usize),
    /// These.
    Only(BTreeSet<usize>),
}

/// A trace, as turns in an order in which each comes after what it sees.
pub struct Trace {
    pub name: String,
    pub authors: usize,
    pub turns: Vec<Turn>,
    pub edits: usize,
    /// The text in the end, where it does not depend on the library: one author at a time.
    pub end: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    start_content: String,
    end_content: String,
    txns: Vec<Transaction>,
}

#[derive(Deserialize)]
struct Transaction {
    #[serde(default)]
    agent: usize,
    parents: Option<Vec<usize>>,
    patches: Vec<(usize, usize, String)>,
}

impl Trace {
    /// Reads one of github.com/josephg/editing-traces, sequential or concurrent, plain or gzip.
    pub fn read(path: &Path) -> Result<Self> {
        let raw = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut json = Vec::new();
        if raw.starts_with(&[0x1f, 0x8b]) {
            flate2::read::GzDecoder::new(&raw[..]).read_to_end(&mut json)?;
        } else {
            json = raw;
        }
        let file: File =
            serde_json::from_slice(&json).with_context(|| format!("{} is no editing trace", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.split('.').next().unwrap_or_default().to_owned();
        let is_concurrent = file.txns.iter().any(|transaction| transaction.parents.is_some());
        let end = (!is_concurrent).then_some(file.end_content);
        let mut turns: Vec<Turn> = Vec::new();
        if !file.start_content.is_empty() {
            let start = Edit { position: 0, deleted: 0, inserted: file.start_content };
            turns.push(Turn { author: 0, sees: Sees::First(0), edits: vec![start] });
        }
        // Of each transaction: its turn, and the turns that it has in its past.
        let mut past: Vec<(usize, BTreeSet<usize>)> = Vec::new();
        for transaction in file.txns {
            let edits = transaction.patches.into_iter();
            let edits = edits.map(|(position, deleted, inserted)| Edit { position, deleted, inserted });
            let Some(parents) = transaction.parents else {
                match turns.last_mut() {
                    Some(turn) => turn.edits.extend(edits),
                    None => turns.push(Turn { author: 0, sees: Sees::First(0), edits: edits.collect() }),
                }
                continue;
            };
            let mut seen: BTreeSet<usize> = BTreeSet::new();
            for &parent in &parents {
                let (turn, before) = past.get(parent).context("a transaction before its parent")?;
                seen.extend(before);
                seen.insert(*turn);
            }
            // What goes on right after the author's last turn, with nothing new seen, is of the same turn.
            let goes_on = match (&parents[..], turns.last()) {
                (&[parent], Some(last)) => parent + 1 == past.len() && last.author == transaction.agent,
                _ => false,
            };
            if goes_on {
                let turn = turns.len() - 1;
                turns[turn].edits.extend(edits);
                seen.remove(&turn);
                past.push((turn, seen));
            } else {
                past.push((turns.len(), seen.clone()));
                turns.push(Turn { author: transaction.agent, sees: Sees::Only(seen), edits: edits.collect() });
            }
        }
        Ok(Self::new(name, turns, end))
    }

    fn new(name: String, turns: Vec<Turn>, end: Option<String>) -> Self {
        let authors = turns.iter().map(|turn| turn.author + 1).max().unwrap_or(0);
        let edits = turns.iter().map(|turn| turn.edits.len()).sum();
        Self { name, authors, turns, edits, end }
    }

    /// 200 authors at random places: in each of ten rounds everybody, with what was written in the rounds before, writes five
    /// words and takes something away.
    fn crowd() -> Self {
        let (mut random, mut turns) = (Random(1), Vec::new());
        for _ in 0..10 {
            let seen = turns.len();
            for author in 0..200 {
                let edits = (0..5).map(|edit| Edit {
                    position: random.next() as usize >> 1,
                    deleted: if edit == 4 { random.below(4) } else { 0 },
                    inserted: random.word(),
                });
                turns.push(Turn { author, sees: Sees::First(seen), edits: edits.collect() });
            }
        }
        Self::new("generated-crowd".into(), turns, None)
    }

    /// Two authors at one place, the one forwards, the other backwards, a letter at a time, who see each other's after every
    /// fifty.
    fn duel() -> Self {
        let (mut random, mut turns) = (Random(2), Vec::new());
        let mut length = 0usize;
        for _ in 0..200 {
            let (seen, place) = (turns.len(), length / 2);
            for author in 0..2 {
                let edits = (0..50).map(|edit| Edit {
                    position: if author == 0 { place + edit } else { place },
                    deleted: 0,
                    inserted: random.letter().to_string(),
                });
                turns.push(Turn { author, sees: Sees::First(seen), edits: edits.collect() });
            }
            length += 100;
        }
        Self::new("generated-duel".into(), turns, None)
    }
}

/// The traces in `INKWIRE_TRACES`, as far as they are there, and two generated ones.
pub fn default_set() -> Result<Vec<Trace>> {
    let mut traces = Vec::new();
    let names = ["automerge-paper.json.gz", "concurrent_traces__friendsforever.json.gz"];
    match std::env::var_os("INKWIRE_TRACES") {
        Some(folder) => {
            for name in names {
                let path = Path::new(&folder).join(name);
                if path.exists() {
                    traces.push(Trace::read(&path)?);
                } else {
                    eprintln!("no {}: left out", path.display());
                }
            }
        }
        None => eprintln!("INKWIRE_TRACES is not set: only the generated traces"),
    }
    traces.extend([Trace::crowd(), Trace::duel()]);
    Ok(traces)
}

/// SplitMix64: the same trace everywhere.
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn letter(&mut self) -> char {
        char::from(b"etaoinshrdlucmwf"[self.below(16)])
    }

    fn word(&mut self) -> String {
        let length = 1 + self.below(8);
        (0..length).map(|_| self.letter()).chain([' ']).collect()
    }
}
