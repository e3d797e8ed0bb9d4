//! House rules that a machine can check.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines of a source file, at most. Typical files have 150–400; what needs more is several ideas.
const MAX_LINES: usize = 900;

/// Folders and files that a newcomer is told of.
const MAP: [&str; 15] = [
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "certs/src/lib.rs",
    "client-wasm/src/lib.rs",
    "docs/src/SUMMARY.md",
    "document/src/lib.rs",
    "loadtest/src/lib.rs",
    "protocol/src/lib.rs",
    "relay/src/lib.rs",
    "relay/src/main.rs",
    "storage/src/lib.rs",
    "xtask/src/main.rs",
];

/// Lines of a crate's `lib.rs`, at most: it reads as a table of contents.
const MAX_LIB_LINES: usize = 200;

#[test]
fn what_the_map_names_is_there() {
    for path in MAP {
        assert!(root().join(path).is_file(), "{path} is missing");
    }
}

#[test]
fn source_files_hold_one_idea() {
    for path in tracked(&["*.rs", "*.ts", "*.mjs", "*.js", "*.css", "*.html"]) {
        let lines = std::fs::read_to_string(root().join(&path)).unwrap_or_default().lines().count();
        let limit = if path.ends_with("src/lib.rs") { MAX_LIB_LINES } else { MAX_LINES };
        assert!(lines <= limit, "{} has {lines} lines, more than {limit}: split it by idea", path.display());
    }
}

#[test]
fn pages_of_the_book_are_in_its_summary_and_exist() {
    let book = root().join("docs/src");
    let summary = std::fs::read_to_string(book.join("SUMMARY.md")).unwrap();
    let linked: Vec<&str> =
        summary.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|link| !link.is_empty()).collect();
    for link in &linked {
        assert!(book.join(link).is_file(), "SUMMARY.md names {link}, which is missing");
    }
    for path in tracked(&["docs/src/*.md"]) {
        let page = path.strip_prefix("docs/src").unwrap().to_string_lossy().into_owned();
        assert!(page == "SUMMARY.md" || linked.contains(&page.as_str()), "{page} is not in SUMMARY.md");
    }
}

/// Files under version control that match, as git lists them.
fn tracked(patterns: &[&str]) -> Vec<PathBuf> {
    let output = Command::new("git")
        .arg("ls-files")
        .arg("--")
        .args(patterns)
        .current_dir(root())
        .output()
        .expect("git is installed");
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let listed = String::from_utf8(output.stdout).expect("names of files are UTF-8");
    listed.lines().map(PathBuf::from).filter(|path| root().join(path).exists()).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a crate lies in the workspace").to_owned()
}
