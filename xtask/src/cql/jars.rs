//! Cassandra's jars: Maven fetches them once, and each must be what `xtask/cql/jars.sha256` says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use super::cluster;
use crate::command::{command, execute, find};
use crate::fingerprint::Step;
use crate::install::debian;
use crate::workspace;

/// Lines as `sha256sum` writes them.
const CHECKSUMS: &str = include_str!("../../cql/jars.sha256");

/// Where the jars are.
pub(super) fn folder() -> PathBuf {
    cluster::folder().join("jars")
}

/// Sees to it that the jars are there: 67 MB, once.
///
/// # Errors
///
/// When Maven is missing or fails, or a jar is not what it should be.
pub(super) fn require() -> Result<()> {
    let manifests = workspace::root().join("xtask/cql");
    let inputs = [manifests.join("pom.xml"), manifests.join("jars.sha256")];
    // Present only when all jars were found to be right.
    let checked = cluster::folder().join("jars-checked");
    Step { name: "Cassandra's jars", inputs: &inputs, output: &checked }.run(|| {
        if check(&folder()).is_err() {
            // What is left of an interrupted download, or of another version.
            let _ = std::fs::remove_dir_all(folder());
            download(&inputs[0])?;
            check(&folder())?;
        }
        std::fs::write(&checked, "").with_context(|| format!("cannot write {}", checked.display()))
    })
}

fn download(pom: &Path) -> Result<()> {
    let hint = "Apache Maven is needed to fetch Apache Cassandra: install it (Debian: maven)";
    if find("mvn").is_none() {
        debian::install_where_known(&["maven"]).context(hint)?;
    }
    ensure!(find("mvn").is_some(), hint);
    execute(
        command("mvn")
            .args(["--quiet", "--batch-mode", "--strict-checksums", "--file"])
            .arg(pom)
            .arg("dependency:copy-dependencies")
            .arg(format!("-DoutputDirectory={}", folder().display())),
    )
    .context(
        "Maven could not fetch Apache Cassandra: is Maven Central, or its mirror in ~/.m2/settings.xml, reachable?",
    )
}

/// Whether `folder` holds exactly the jars that it should.
fn check(folder: &Path) -> Result<()> {
    let mut expected = expected();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let content = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let found = hex(&Sha256::digest(&content));
        match expected.remove(name.as_str()) {
            Some(checksum) if checksum == found => {}
            Some(checksum) => bail!("{} has SHA-256 {found}, not {checksum}", path.display()),
            None => bail!("{} is not among Cassandra's jars", path.display()),
        }
    }
    if let Some(missing) = expected.keys().next() {
        bail!("{missing} and {} more jars are missing", expected.len() - 1);
    }
    Ok(())
}

/// Each jar's checksum.
fn expected() -> BTreeMap<&'static str, &'static str> {
    CHECKSUMS.lines().filter_map(|line| line.split_once("  ").map(|(checksum, name)| (name, checksum))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
