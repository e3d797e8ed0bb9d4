//! Replays editing traces through the document and through other CRDT libraries, and says what each step costs.
//!
//! `cargo xtask bench document` runs it. A table goes to standard output, progress to standard error, and with `--json FILE`
//! an array of rows to a file. Every library does the same work: the same edits by the same authors, who have seen the same
//! of each other; every edit is encoded alone, and a replica that edits nothing applies them one after another. Each time
//! is the best of a few runs. `--scale EDITS` instead measures how the document's own costs grow, up to so many edits. `docs/src/decisions/text.md` has a table and says what the columns mean.

mod heap;
mod library;
mod measure;
mod report;
mod scale;
mod trace;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use report::Row;
use trace::Trace;

/// What the command line asks for.
#[derive(Default)]
struct Arguments {
    traces: Vec<PathBuf>,
    libraries: Vec<String>,
    json: Option<PathBuf>,
    /// What a page loads, to give its size.
    wasm: Option<PathBuf>,
    /// In place of the comparison: how costs grow, up to so many edits.
    scale: Option<usize>,
}

fn arguments() -> Result<Arguments> {
    let mut arguments = Arguments::default();
    let mut option = String::new();
    for argument in std::env::args().skip(1) {
        match (&*option, &*argument) {
            (_, "--trace" | "--library" | "--json" | "--wasm" | "--scale") => option = argument,
            ("--trace", _) => arguments.traces.push(argument.into()),
            ("--library", _) => arguments.libraries.push(argument),
            ("--json", _) => arguments.json = Some(argument.into()),
            ("--wasm", _) => arguments.wasm = Some(argument.into()),
            ("--scale", _) => arguments.scale = Some(argument.parse().context("--scale takes a number of edits")?),
            _ => bail!("{argument}: --trace FILE…, --library NAME…, --json FILE, --wasm FILE or --scale EDITS"),
        }
    }
    if let Some(unknown) = arguments.libraries.iter().find(|name| !library::NAMES.contains(&&***name)) {
        bail!("no library {unknown}; there are {}", library::NAMES.join(", "));
    }
    Ok(arguments)
}

fn main() -> Result<()> {
    let arguments = arguments()?;
    if let Some(edits) = arguments.scale {
        scale::large_text();
        scale::one_place(edits.min(100_000));
        scale::growth(edits);
        return Ok(());
    }
    let traces = if arguments.traces.is_empty() {
        trace::default_set()?
    } else {
        arguments.traces.iter().map(|path| Trace::read(path)).collect::<Result<_>>()?
    };
    let wasm = arguments.wasm.as_deref().map(report::gzip_bytes).transpose()?;
    let chosen =
        |name: &&&str| arguments.libraries.is_empty() || arguments.libraries.iter().any(|chosen| chosen == **name);
    let mut rows: Vec<Row> = Vec::new();
    for trace in &traces {
        for name in library::NAMES.iter().filter(chosen) {
            let mut row = library::run(name, trace);
            row.wasm_gzip_bytes = wasm.filter(|_| row.library == "inkwire");
            rows.push(row);
        }
    }
    report::table(&rows);
    if let Some(path) = &arguments.json {
        let json = serde_json::to_vec_pretty(&rows)?;
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
