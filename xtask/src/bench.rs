//! Benchmarks against other libraries, each in a workspace of its own that no other build knows.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::command::{cargo, execute};
use crate::workspace;

#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Replay editing traces through the document and five other CRDT libraries, and print a table for each trace
    ///
    /// Takes automerge-paper and the concurrent friendsforever trace from the folder INKWIRE_TRACES, and two traces that it
    /// makes itself: 200 authors at random places, and two who type forwards and backwards at the same place. A library
    /// that takes more than 60 s for a step stops there. Needs half an hour for all on two quiet cores, most of it for
    /// what is slow; figures of a busy machine are ratios at best. The size of the wasm is given if it was built.
    Document(Document),
    /// Measure how the document's costs grow: inserts into 10 MB of text, a crowd at one place, and edits at random places
    ///
    /// Takes a minute or two for a million edits.
    Scale(Scale),
}

#[derive(Args)]
pub(crate) struct Scale {
    /// How many edits at random places the largest document has
    #[arg(long, value_name = "COUNT", default_value_t = 10_000_000)]
    edits: usize,
}

#[derive(Args)]
pub(crate) struct Document {
    /// Traces of github.com/josephg/editing-traces, plain or gzip, in place of the usual ones
    #[arg(long, value_name = "FILE", num_args = 1..)]
    trace: Vec<PathBuf>,
    /// Only these libraries: inkwire, cola, diamond-types, yrs, loro, automerge
    #[arg(long, value_name = "NAME", num_args = 1..)]
    library: Vec<String>,
    /// Write the figures as an array of rows
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs a benchmark.
///
/// # Errors
///
/// When it does not build, or a trace cannot be read.
pub(crate) fn run(bench: Bench) -> Result<()> {
    let manifest = workspace::root().join("document/benchmark/Cargo.toml");
    let mut command = cargo();
    command.args(["run", "--release", "--locked", "--manifest-path"]).arg(manifest).arg("--");
    let Document { trace, library, json } = match bench {
        Bench::Document(document) => document,
        Bench::Scale(Scale { edits }) => return execute(command.args(["--scale", &edits.to_string()])),
    };
    for path in trace {
        command.arg("--trace").arg(std::path::absolute(path)?);
    }
    for name in library {
        command.args(["--library", &name]);
    }
    if let Some(path) = json {
        command.arg("--json").arg(std::path::absolute(path)?);
    }
    let wasm = workspace::client().join("pkg/inkwire_client_wasm_bg.wasm");
    if wasm.exists() {
        command.arg("--wasm").arg(wasm);
    }
    if let Some(traces) = workspace::traces() {
        command.env("INKWIRE_TRACES", traces);
    }
    execute(&mut command)
}
