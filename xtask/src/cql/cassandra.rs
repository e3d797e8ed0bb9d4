//! A node of Apache Cassandra, from its jars on a JDK.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result};

use super::cluster::{address, folder};
use super::process::Process;
use super::{Shape, Sync, jars, java};
use crate::{command, workspace};

/// What a node reads, with places to fill in.
const CONFIGURATION: &str = include_str!("../../cql/cassandra.yaml");
const LOGGING: &str = include_str!("../../cql/logback.xml");

/// How many lines of each log are shown of a node that did not start.
const LAST_LINES: usize = 12;

fn home(number: u8) -> PathBuf {
    folder().join(format!("node{number}"))
}

/// The node's process is known by its folder, which its command line has.
fn process(number: u8) -> Process {
    Process { pid_file: home(number).join("pid"), mark: format!("{}/", home(number).display()) }
}

/// Sees to it that there are jars and a JDK.
pub(super) fn prepare() -> Result<()> {
    java::require()?;
    jars::require()
}

/// Starts the node's process.
pub(super) fn launch(number: u8, shape: Shape) -> Result<()> {
    let home = home(number);
    std::fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
    let shown = home.display().to_string();
    write(home.join("cassandra.yaml"), &configuration(number, shape, &shown))?;
    write(home.join("logback.xml"), &LOGGING.replace("{folder}", &shown))?;

    let log = home.join("out.log");
    let out = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
    let mut java = command::command(java::require()?);
    java.arg(format!("@{}", workspace::root().join("xtask/cql/java.args").display()));
    if shape.quick {
        java.arg("-XX:TieredStopAtLevel=1");
    }
    java.arg(format!("-Dcassandra.config=file://{shown}/cassandra.yaml"))
        .arg(format!("-Dcassandra.storagedir={shown}/"))
        .arg(format!("-Dlogback.configurationFile={shown}/logback.xml"))
        .arg("-cp")
        .arg(jars::folder().join("*"))
        .arg("org.apache.cassandra.service.CassandraDaemon")
        .stdin(Stdio::null())
        .stderr(out.try_clone().with_context(|| format!("cannot write {}", log.display()))?)
        .stdout(out);
    process(number).start(java)
}

fn configuration(number: u8, shape: Shape, folder: &str) -> String {
    let sync = match shape.sync {
        Sync::Batch => "commitlog_sync: batch",
        Sync::Group => "commitlog_sync: group\ncommitlog_sync_group_window: 5ms",
        Sync::Periodic => "commitlog_sync: periodic\ncommitlog_sync_period: 10000ms",
    };
    let seeds: Vec<String> = (1..=shape.nodes).map(|number| address(number).to_string()).collect();
    CONFIGURATION
        .replace("{token}", &token(number, shape.nodes).to_string())
        .replace("{seeds}", &seeds.join(","))
        .replace("{address}", &address(number).to_string())
        .replace("{folder}", folder)
        .replace("{sync}", sync)
}

/// The one token of node `number`, so that all have equal parts of the ring.
fn token(number: u8, nodes: u8) -> i64 {
    let part = (1u128 << 64) / u128::from(nodes);
    let offset = u128::from(number - 1) * part + 1;
    // `i64::MIN` itself is no token.
    i64::try_from(i128::from(i64::MIN) + offset as i128).unwrap_or(i64::MAX)
}

/// Whether the node's process is there, paused or not.
pub(super) fn lives(number: u8) -> bool {
    process(number).pid().is_some()
}

/// Ends the node as a power failure does, and waits until it is gone. One that is not there is left alone.
pub(super) fn kill(number: u8) -> Result<()> {
    process(number).kill()
}

/// Sends the node a signal by its name.
pub(super) fn signal(number: u8, signal: &str) -> Result<()> {
    let pid = process(number).pid().with_context(|| format!("node {number} does not run"))?;
    Process::signal(pid, signal)
}

/// Deletes what the node stored.
pub(super) fn wipe(number: u8) -> Result<()> {
    let home = home(number);
    match std::fs::remove_dir_all(&home) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot delete {}", home.display()))
        }
        _ => Ok(()),
    }
}

/// The ends of the node's logs.
pub(super) fn last_words(number: u8) -> String {
    let mut words = String::new();
    for name in ["out.log", "system.log"] {
        let path = home(number).join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        words.push_str(&format!("\n--- {}\n", path.display()));
        words.push_str(&lines[lines.len().saturating_sub(LAST_LINES)..].join("\n"));
    }
    words
}

fn write(path: PathBuf, text: &str) -> Result<()> {
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}
