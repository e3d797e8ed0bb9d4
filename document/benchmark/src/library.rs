//! The libraries, each behind the same few calls.

mod automerge;
mod cola;
mod diamond_types;
mod inkwire;
mod loro;
mod yrs;

use crate::measure;
use crate::report::Row;
use crate::trace::Trace;

/// Their names, in the order of the table.
pub const NAMES: &[&str] = &["inkwire", "cola", "diamond-types", "yrs", "loro", "automerge"];

/// Measures one of them.
pub fn run(name: &str, trace: &Trace) -> Row {
    match name {
        "cola" => measure::run::<cola::Cola>(name, &version(name), trace),
        "diamond-types" => measure::run::<diamond_types::DiamondTypes>(name, &version(name), trace),
        "yrs" => measure::run::<yrs::Yrs>(name, &version(name), trace),
        "loro" => measure::run::<loro::Loro>(name, &version(name), trace),
        "automerge" => measure::run::<automerge::Automerge>(name, &version(name), trace),
        _ => measure::run::<inkwire::Inkwire>("inkwire", &version("inkwire-document"), trace),
    }
}

/// As the lock file has it.
fn version(name: &str) -> String {
    let lock = include_str!("../Cargo.lock");
    let package = lock.split("[[package]]").find(|package| package.contains(&format!("\nname = \"{name}\"\n")));
    let line = package.and_then(|package| package.lines().find_map(|line| line.strip_prefix("version = ")));
    line.unwrap_or_default().trim_matches('"').to_owned()
}
