//! Rows, as JSON and as a Markdown table.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// What one library did with one trace; nothing where it did not get so far, or has no such step.
#[derive(Clone, Default, Serialize)]
pub struct Row {
    pub library: String,
    pub version: String,
    /// The trace's name, without extensions.
    pub trace: String,
    /// Edits that were applied and encoded; all of the trace unless a step took more than 60 s.
    pub ops: usize,
    /// All edits applied by their authors and encoded, each alone.
    pub apply_encode_ms: Option<f64>,
    /// Each edit applied by a replica that makes none, its bytes read.
    pub remote_us_per_op: Option<f64>,
    /// Bytes of an encoded edit, each alone.
    pub bytes_per_op: Option<f64>,
    /// The same, where up to eight consecutive edits of an author are encoded together.
    pub bytes_per_op_coalesced: Option<f64>,
    /// The whole state as the library stores it.
    pub snapshot_bytes: Option<usize>,
    /// From these bytes to a replica and its text.
    pub load_ms: Option<f64>,
    /// What a replica that applied all has allocated, its text included.
    pub heap_bytes: Option<usize>,
    /// Two encoded states made one, each with something that the other lacks, without a replica.
    pub merge_ms: Option<f64>,
    /// What somebody lacks who has seen the first nine tenths, encoded from the encoded state, without a replica.
    pub diff_ms: Option<f64>,
    /// What a page loads, `gzip -9`.
    pub wasm_gzip_bytes: Option<usize>,
}

fn cell<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "–".into(), show)
}

/// Prints a table for each trace.
pub fn table(rows: &[Row]) {
    for of_one in rows.chunk_by(|a, b| a.trace == b.trace) {
        println!("\n**{}**\n", of_one[0].trace);
        println!(
            "| library | edits | local + encode ms | remote µs/op | bytes/op | bytes/op, 8 in one | snapshot KB | load ms | merge ms | difference ms | heap MB |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|---|");
        for row in of_one {
            println!(
                "| {} {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                row.library,
                row.version,
                row.ops,
                cell(row.apply_encode_ms, |ms| format!("{ms:.1}")),
                cell(row.remote_us_per_op, |us| format!("{us:.2}")),
                cell(row.bytes_per_op, |bytes| format!("{bytes:.1}")),
                cell(row.bytes_per_op_coalesced, |bytes| format!("{bytes:.1}")),
                cell(row.snapshot_bytes, |bytes| format!("{:.1}", bytes as f64 / 1e3)),
                cell(row.load_ms, |ms| format!("{ms:.2}")),
                cell(row.merge_ms, |ms| format!("{ms:.2}")),
                cell(row.diff_ms, |ms| format!("{ms:.2}")),
                cell(row.heap_bytes, |bytes| format!("{:.2}", bytes as f64 / 1e6)),
            );
        }
    }
}

/// A file's size, packed as a server would.
pub fn gzip_bytes(path: &Path) -> Result<usize> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(&bytes)?;
    Ok(packer.finish()?.len())
}
