//! The arrows of the map: which crate may depend on which, and what the sans-I/O crates must not reach.
//!
//! The map is in docs/src/architecture.md; change both together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Each crate with all crates of the workspace that it may depend on, whether it is built, tested or built by it. An
/// arrow includes all below it, so the sets are closed.
const ARROWS: [(&str, &[&str]); 8] = [
    ("certs", &[]),
    ("document", &[]),
    ("protocol", &["document"]),
    ("storage", &["protocol", "document"]),
    ("relay", &["storage", "protocol", "document", "certs"]),
    ("client-wasm", &["protocol", "document"]),
    ("loadtest", &["protocol", "document", "certs"]),
    ("xtask", &["relay", "storage", "protocol", "document", "certs", "loadtest"]),
];

/// Crates whose state machines know no host: bytes and the time come in, bytes and timers go out.
const SANS_IO: [&str; 2] = ["document", "protocol"];

/// Crates that reach files, sockets, clocks, threads or randomness. A name ending in `-` stands for all that start so.
const HOST_CRATES: [&str; 42] = [
    // I/O
    "async-io",
    "async-std",
    "fs2",
    "futures-util",
    "hyper",
    "io-uring",
    "libc",
    "memmap2",
    "mio",
    "nix",
    "polling",
    "quinn",
    "quinn-",
    "reqwest",
    "rustix",
    "rustls",
    "smol",
    "socket2",
    "tempfile",
    "tokio",
    "tokio-",
    "ureq",
    "windows-sys",
    "js-sys",
    "web-sys",
    "wasm-bindgen", // clocks
    "chrono",
    "coarsetime",
    "instant",
    "jiff",
    "quanta",
    "time",
    "web-time", // threads
    "crossbeam-",
    "parking_lot",
    "rayon",
    "threadpool", // randomness
    "ahash",
    "fastrand",
    "getrandom",
    "rand",
    "uuid",
];

/// What the standard library offers of the same; a name is looked for as it is written in source.
const HOST_NAMES: [&str; 15] = [
    "std::env",
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::sync::mpsc",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::io::stdin",
    "Instant::now",
    "SystemTime::now",
    "thread_local!",
    "RandomState",
    "println!",
];

#[test]
fn crates_depend_only_on_what_the_map_allows() {
    let metadata = metadata(&["--no-deps"]);
    let mut seen = BTreeSet::new();
    for package in list(&metadata, "packages") {
        let name = folder(text(package, "name"));
        seen.insert(name.to_owned());
        let (_, allowed) =
            ARROWS.iter().find(|(from, _)| *from == name).unwrap_or_else(|| panic!("{name} is not on the map"));
        for dependency in list(package, "dependencies").iter().filter(|dependency| dependency["path"].is_string()) {
            let to = folder(text(dependency, "name"));
            // A crate's tests may ask for features of the crate itself.
            if to == name && dependency["kind"] == "dev" {
                continue;
            }
            assert!(allowed.contains(&to), "{name} must not depend on {to} (kind: {})", dependency["kind"]);
        }
    }
    assert_eq!(seen, ARROWS.iter().map(|(from, _)| (*from).to_owned()).collect(), "crates of the workspace");
}

#[test]
fn arrows_include_all_below_them() {
    let arrows: BTreeMap<_, _> = ARROWS.into_iter().collect();
    for (from, to) in &arrows {
        for below in to.iter().flat_map(|crate_| arrows[crate_]) {
            assert!(to.contains(below), "{from} may reach {below} through another crate, but its arrows do not say so");
        }
    }
}

#[test]
fn sans_io_crates_reach_no_host_through_their_dependencies() {
    let metadata = metadata(&[]);
    let names: BTreeMap<&str, &str> =
        list(&metadata, "packages").iter().map(|package| (text(package, "id"), text(package, "name"))).collect();
    let nodes: BTreeMap<&str, &Value> =
        list(&metadata["resolve"], "nodes").iter().map(|node| (text(node, "id"), node)).collect();
    for crate_ in SANS_IO {
        let (root, _) = names.iter().find(|(_, name)| folder(name) == crate_).unwrap_or_else(|| panic!("no {crate_}"));
        for id in normal_dependencies(root, &nodes) {
            let name = names[id];
            let host =
                HOST_CRATES.iter().any(|host| if host.ends_with('-') { name.starts_with(host) } else { name == *host });
            assert!(!host, "{crate_} reaches {name}, which is for I/O, clocks, threads or randomness");
        }
    }
}

#[test]
fn sans_io_crates_reach_no_host_themselves() {
    for file in SANS_IO.iter().flat_map(|crate_| sources(&root().join(crate_).join("src"))) {
        let source = std::fs::read_to_string(&file).unwrap();
        for (number, line) in source.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for name in HOST_NAMES {
                assert!(!code.contains(name), "{}:{}: {name} in a crate without a host", file.display(), number + 1);
            }
        }
    }
}

/// All that is linked in where the crate is used: no dev-dependencies, no build scripts, no procedural macros, and on
/// any platform.
fn normal_dependencies<'a>(root: &'a str, nodes: &BTreeMap<&str, &'a Value>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![root];
    while let Some(id) = waiting.pop() {
        for dependency in list(nodes[id], "deps") {
            let normal =
                list(dependency, "dep_kinds").iter().any(|kind| kind["kind"].is_null() && is_pure(&kind["target"]));
            if normal && found.insert(text(dependency, "pkg")) {
                waiting.push(text(dependency, "pkg"));
            }
        }
    }
    found
}

/// `cpufeatures` reads the processor's features through libc on systems that have no instruction for it; neither x86 nor
/// wasm is among them.
fn is_pure(target: &Value) -> bool {
    !target.as_str().is_some_and(|target| target.contains("aarch64") || target.contains("loongarch64"))
}

fn metadata(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1"])
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("cargo runs: it runs this test");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo prints JSON")
}

fn list<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    value[key].as_array().unwrap_or_else(|| panic!("no list {key}"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no text {key}"))
}

fn folder(package: &str) -> &str {
    package.strip_prefix("inkwire-").unwrap_or(package)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a crate lies in the workspace").to_owned()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a crate has sources") {
        let path = entry.expect("the folder can be read").path();
        // A module of tests reaches what a test needs.
        if path.file_stem().is_some_and(|name| name == "tests") {
            continue;
        }
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
