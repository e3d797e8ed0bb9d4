//! The JDK that Cassandra runs on.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::command::command;
use crate::install::debian;

/// The only version that Cassandra 5.0 supports beside 11, whose flags differ.
const VERSION: u32 = 17;

/// Where Debian's packages, and most others, put their JDKs.
const DEBIAN: &str = "/usr/lib/jvm";

/// The program `java` of a JDK that Cassandra runs on: `JAVA_HOME`'s, else the one on PATH, else one that is installed beside
/// them, else Debian's package.
///
/// # Errors
///
/// One line that says what to install.
pub(super) fn require() -> Result<PathBuf> {
    if let Some(program) = found() {
        return Ok(program);
    }
    let others: Vec<String> = candidates()
        .iter()
        .filter_map(|program| Some(format!("{} is {}", program.display(), version(program)?)))
        .collect();
    let others = if others.is_empty() { "there is none".to_owned() } else { others.join(", ") };
    let hint = format!(
        "Apache Cassandra needs JDK {VERSION} ({others}): install it (Debian: openjdk-{VERSION}-jdk-headless) and set JAVA_HOME"
    );
    debian::install_where_known(&[&format!("openjdk-{VERSION}-jdk-headless")]).with_context(|| hint.clone())?;
    found().context(hint)
}

fn found() -> Option<PathBuf> {
    candidates().into_iter().find(|program| version(program) == Some(VERSION))
}

/// Every `java` that may be there, the one that was asked for first.
fn candidates() -> Vec<PathBuf> {
    let home = std::env::var_os("JAVA_HOME").filter(|home: &OsString| !home.is_empty());
    let mut candidates: Vec<PathBuf> = home.map(|home| PathBuf::from(home).join("bin/java")).into_iter().collect();
    candidates.push("java".into());
    let mut installed: Vec<PathBuf> = std::fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin/java")))
        .filter(|program| program.is_file())
        .collect();
    installed.sort();
    candidates.extend(installed);
    candidates
}

/// The feature version: 17 of `17.0.15`, 8 of `1.8.0`.
fn version(program: &Path) -> Option<u32> {
    // It says its version on standard error, as it always did.
    let output = command(program).arg("-version").output().ok()?;
    parse(&String::from_utf8_lossy(&output.stderr))
}

fn parse(text: &str) -> Option<u32> {
    let quoted = text.split('"').nth(1)?;
    let mut parts = quoted.split(['.', '-', '_']);
    let first = parts.next()?.parse().ok()?;
    if first == 1 { parts.next()?.parse().ok() } else { Some(first) }
}
