//! The JDK that Cassandra runs on.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::command::command;
use crate::install::debian;

/// The only version that Cassandra 5.0 supports beside 11, whose flags differ.
const VERSION: u32 = 17;

/// The program `java` of a JDK that Cassandra runs on: `JAVA_HOME`'s, else the one on PATH, else Debian's package.
///
/// # Errors
///
/// One line that says what to install.
pub(super) fn require() -> Result<PathBuf> {
    let hint = || {
        format!(
            "Apache Cassandra needs JDK {VERSION}: install it (Debian: openjdk-{VERSION}-jdk-headless) and set JAVA_HOME"
        )
    };
    let program = program();
    match version(&program) {
        Some(VERSION) => Ok(program),
        Some(other) => bail!("{} ({} is {other})", hint(), program.display()),
        None => {
            debian::install_where_known(&[&format!("openjdk-{VERSION}-jdk-headless")]).with_context(hint)?;
            match version(&program) {
                Some(VERSION) => Ok(program),
                _ => bail!("{}", hint()),
            }
        }
    }
}

fn program() -> PathBuf {
    match std::env::var_os("JAVA_HOME").filter(|home: &OsString| !home.is_empty()) {
        Some(home) => PathBuf::from(home).join("bin/java"),
        None => "java".into(),
    }
}

/// The feature version: 17 of `17.0.15`, 8 of `1.8.0`.
fn version(program: &PathBuf) -> Option<u32> {
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
