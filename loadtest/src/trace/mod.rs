//! Editing traces: what a writer types, patch by patch, and what must be left at the end.

mod buffer;
mod random;
mod typist;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::IgnoredAny};

pub use buffer::GapBuffer;
pub use random::Random;
pub use typist::typist;

/// The largest trace that [`load`] reads, in bytes after decompression: 1 GiB. A gzip file says nothing true about
/// how large it becomes.
pub const MAX_TRACE_BYTES: u64 = 1 << 30;

/// One edit: at `at`, `delete` code points go and then `insert` comes. It is one edit whether it does one or both.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct Edit {
    /// Where, in Unicode code points from the start of the text as it is before the edit.
    pub at: usize,
    /// How many code points after `at` are deleted.
    pub delete: usize,
    /// What is inserted at `at` afterwards.
    pub insert: Box<str>,
}

/// A sequential editing trace of one text.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct Trace {
    /// The text before the first edit.
    pub start: String,
    /// The text after the last edit.
    pub end: String,
    /// The edits in order; each is one patch of the file.
    pub edits: Vec<Edit>,
}

/// Why a trace cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The file cannot be read, or is not valid gzip though it begins like it.
    #[error("cannot read the trace {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a trace in JSON.
    #[error("{path} is not an editing trace: {source}")]
    Format {
        /// The file.
        path: String,
        /// What is wrong and where.
        source: serde_json::Error,
    },
    /// The trace has several authors at once; a replay has one writer.
    #[error("{path} is a concurrent trace (its transactions have parents); only sequential traces can be replayed")]
    Concurrent {
        /// The file.
        path: String,
    },
    /// An edit lies outside the text.
    #[error("edit {edit} is at {at} and deletes {delete}, but the text has {length} code points")]
    OutOfRange {
        /// The edit's index, from 0.
        edit: usize,
        /// Where it is.
        at: usize,
        /// How much it deletes.
        delete: usize,
        /// How long the text is there, in code points.
        length: usize,
    },
    /// The edits do not lead to the text that the trace claims.
    #[error("the trace's edits do not lead to its `endContent` (first difference at code point {at})")]
    WrongEnd {
        /// The first code point that differs.
        at: usize,
    },
}

/// Reads a trace from a plain or gzip JSON file of the form
/// `{startContent, endContent, txns: [{patches: [[position, deleted, inserted], …]}]}`; what else is in it is ignored.
///
/// # Errors
///
/// See [`TraceError`]. The trace is played once in memory, so that a wrong file is not mistaken for a wrong relay.
pub fn load(path: &Path) -> Result<Trace, TraceError> {
    let name = || path.display().to_string();
    let read = |source| TraceError::Read { path: name(), source };
    let mut file = BufReader::new(File::open(path).map_err(read)?);
    let mut magic = [0; 2];
    let got = file.read(&mut magic).map_err(read)?;
    let whole = magic[..got].chain(file);
    let mut json = Vec::new();
    let plain: Box<dyn Read> =
        if magic[..got] == [0x1f, 0x8b] { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) };
    plain.take(MAX_TRACE_BYTES + 1).read_to_end(&mut json).map_err(read)?;
    if json.len() as u64 > MAX_TRACE_BYTES {
        let source = std::io::Error::other(format!("it is larger than {MAX_TRACE_BYTES} bytes"));
        return Err(TraceError::Read { path: name(), source });
    }
    let file: TraceFile =
        serde_json::from_slice(&json).map_err(|source| TraceError::Format { path: name(), source })?;
    if file.transactions.iter().any(|transaction| transaction.parents.is_some()) {
        return Err(TraceError::Concurrent { path: name() });
    }
    let trace = Trace {
        start: file.start,
        end: file.end,
        edits: file.transactions.into_iter().flat_map(|transaction| transaction.patches).collect(),
    };
    trace.check()?;
    Ok(trace)
}

impl Trace {
    /// Plays the trace in memory.
    ///
    /// # Errors
    ///
    /// [`TraceError::OutOfRange`] or [`TraceError::WrongEnd`].
    pub fn check(&self) -> Result<(), TraceError> {
        let mut text = GapBuffer::new(&self.start);
        for (edit, Edit { at, delete, insert }) in self.edits.iter().enumerate() {
            if at.checked_add(*delete).is_none_or(|end| end > text.len()) {
                return Err(TraceError::OutOfRange { edit, at: *at, delete: *delete, length: text.len() });
            }
            text.replace(*at, *delete, insert);
        }
        let end = text.to_string();
        if end == self.end {
            return Ok(());
        }
        let at = end.chars().zip(self.end.chars()).take_while(|(left, right)| left == right).count();
        Err(TraceError::WrongEnd { at })
    }

    /// Writes the trace as the JSON that [`load`] reads, one patch a transaction.
    ///
    /// # Errors
    ///
    /// What the writer says.
    pub fn write(&self, to: impl std::io::Write) -> std::io::Result<()> {
        let file = TraceOut { start: &self.start, end: &self.end, transactions: Transactions(&self.edits) };
        serde_json::to_writer(to, &file).map_err(Into::into)
    }
}

impl<'de> Deserialize<'de> for Edit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (at, delete, insert) = Deserialize::deserialize(deserializer)?;
        Ok(Self { at, delete, insert })
    }
}

impl Serialize for Edit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.at, self.delete, &self.insert).serialize(serializer)
    }
}

#[derive(Deserialize)]
struct TraceFile {
    #[serde(rename = "startContent", default)]
    start: String,
    #[serde(rename = "endContent")]
    end: String,
    #[serde(rename = "txns")]
    transactions: Vec<TransactionFile>,
}

#[derive(Deserialize)]
struct TransactionFile {
    parents: Option<IgnoredAny>,
    patches: Vec<Edit>,
}

#[derive(Serialize)]
struct TraceOut<'a> {
    #[serde(rename = "startContent")]
    start: &'a str,
    #[serde(rename = "endContent")]
    end: &'a str,
    #[serde(rename = "txns")]
    transactions: Transactions<'a>,
}

struct Transactions<'a>(&'a [Edit]);

impl Serialize for Transactions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct TransactionOut<'a> {
            patches: [&'a Edit; 1],
        }
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for edit in self.0 {
            list.serialize_element(&TransactionOut { patches: [edit] })?;
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, bytes: &[u8]) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("inkwire-trace-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn loaded(name: &str, bytes: &[u8]) -> Result<Trace, String> {
        let path = written(name, bytes);
        let result = load(&path).map_err(|error| error.to_string().replace(&path.display().to_string(), "FILE"));
        std::fs::remove_file(path).unwrap();
        result
    }

    #[test]
    fn plain_and_gzip_load_alike() {
        let json = r#"{"startContent":"añ","endContent":"a😀c","txns":[{"time":"x","patches":[[1,1,"b"],[2,0,"c"]]},{"patches":[[1,1,"😀"]]}],"more":1}"#;
        let plain = loaded("plain", json.as_bytes()).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, json.as_bytes()).unwrap();
        assert_eq!(plain, loaded("gzip", &gzip.finish().unwrap()).unwrap());
        assert_eq!(plain.edits.len(), 3);
        assert_eq!(plain.edits[2], Edit { at: 1, delete: 1, insert: "😀".into() });
    }

    #[test]
    fn what_is_no_sequential_trace_says_why() {
        for (name, json, message) in [
            ("empty", "", "FILE is not an editing trace: EOF"),
            ("range", r#"{"endContent":"","txns":[{"patches":[[1,0,"x"]]}]}"#, "edit 0 is at 1 and deletes 0, but"),
            (
                "overflow",
                r#"{"endContent":"","txns":[{"patches":[[1,18446744073709551615,"x"]]}]}"#,
                "edit 0 is at 1 and deletes 18446744073709551615, but",
            ),
            ("end", r#"{"endContent":"ab","txns":[{"patches":[[0,0,"ax"]]}]}"#, "the trace's edits do not lead"),
            ("parents", r#"{"endContent":"","txns":[{"parents":[],"patches":[]}]}"#, "FILE is a concurrent trace"),
        ] {
            let error = loaded(name, json.as_bytes()).unwrap_err();
            assert!(error.starts_with(message), "{name}: {error}");
        }
    }

    #[test]
    fn a_typists_trace_survives_its_file() {
        let trace = typist(7, 2_000);
        let mut json = Vec::new();
        trace.write(&mut json).unwrap();
        assert_eq!(loaded("typist", &json).unwrap(), trace);
    }
}
