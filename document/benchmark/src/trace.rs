//! Editing traces as files.

use std::io::Read;

use serde::Deserialize;

/// One patch: so many scalars deleted at a position, then this inserted.
pub struct Edit {
    pub position: usize,
    pub deleted: usize,
    pub inserted: String,
}

pub struct Trace {
    pub edits: Vec<Edit>,
    pub end: String,
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
    patches: Vec<(usize, usize, String)>,
}

impl Trace {
    pub fn read(path: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let raw = std::fs::read(path)?;
        let mut json = Vec::new();
        if raw.starts_with(&[0x1f, 0x8b]) {
            flate2::read::GzDecoder::new(&raw[..]).read_to_end(&mut json)?;
        } else {
            json = raw;
        }
        let file: File = serde_json::from_slice(&json)?;
        let start = Some((0, 0, file.start_content)).filter(|start| !start.2.is_empty());
        let patches = file.txns.into_iter().flat_map(|transaction| transaction.patches);
        let edits = start
            .into_iter()
            .chain(patches)
            .map(|(position, deleted, inserted)| Edit { position, deleted, inserted })
            .collect();
        Ok(Self { edits, end: file.end_content })
    }
}
