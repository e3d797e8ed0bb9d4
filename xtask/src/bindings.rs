//! Generates the JavaScript half of the wasm core: `inkwire-bindings WASM FOLDER`.
//!
//! The same as the `wasm-bindgen` tool, as a library whose version Cargo.lock keeps equal to that of the crate
//! `wasm-bindgen`, so that nobody installs a tool that fits by hand.

use std::path::PathBuf;

use anyhow::{Context, Result};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(wasm), Some(folder)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: inkwire-bindings WASM FOLDER");
    };
    Bindgen::new()
        .input_path(&wasm)
        .out_name("inkwire")
        .web(true)?
        .typescript(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(&folder)
        .with_context(|| format!("no bindings for {}", wasm.display()))
}
