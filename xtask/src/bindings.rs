//! Generates the JavaScript half of the wasm core: `inkwire-bindings WASM FOLDER`.
//!
//! The same as the `wasm-bindgen` tool, as a library whose version Cargo.lock keeps equal to that of the crate
//! `wasm-bindgen`, so that nobody installs a tool that fits by hand.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use walrus::Module;
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(wasm), Some(folder)) = (arguments.next(), arguments.next()) else {
        bail!("usage: inkwire-bindings WASM FOLDER");
    };
    check_imports(&wasm)?;
    Bindgen::new()
        .input_path(&wasm)
        .web(true)?
        .typescript(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(&folder)
        .with_context(|| format!("no bindings for {}", wasm.display()))
}

/// The document and both ends' state machines have no I/O, clock, threads or randomness of their own: all that the module
/// asks of its host are the calls that `wasm-bindgen` makes for the client.
fn check_imports(wasm: &Path) -> Result<()> {
    let module = Module::from_file(wasm).with_context(|| format!("cannot read {}", wasm.display()))?;
    let foreign: Vec<String> = module
        .imports
        .iter()
        .filter(|import| !import.module.starts_with("__wbindgen_"))
        .map(|import| format!("{}.{}", import.module, import.name))
        .collect();
    if !foreign.is_empty() {
        bail!("the wasm core imports what no page has: {}", foreign.join(", "));
    }
    Ok(())
}
