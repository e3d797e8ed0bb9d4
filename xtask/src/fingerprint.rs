//! Whether a step's inputs changed since it last succeeded.
//!
//! Contents are hashed, not times compared: a fresh checkout or a change of branch and back rebuilds nothing.

use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::progress;
use crate::workspace;

/// Folders that hold what builds make, never a step's input.
const MADE: [&str; 4] = ["node_modules", "target", "dist", "build"];

/// One step: its inputs, and what it leaves.
pub(crate) struct Step<'a> {
    /// Shown to people, and the name of the file that keeps the fingerprint.
    pub(crate) name: &'a str,
    /// Files and folders that the step reads; what does not exist counts as empty.
    pub(crate) inputs: &'a [PathBuf],
    /// A file that the step leaves; without it the step runs whatever its inputs.
    pub(crate) output: &'a Path,
}

impl Step<'_> {
    /// Does the work, unless the inputs are those of its last success and its output is there.
    ///
    /// # Errors
    ///
    /// The work's own, or that of reading an input.
    pub(crate) fn run(&self, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let kept = workspace::target().join("xtask").join(self.name.replace(' ', "-"));
        let now = self.fingerprint()?;
        if self.output.exists() && std::fs::read_to_string(&kept).is_ok_and(|before| before == now) {
            progress::skipped(self.name);
            return Ok(());
        }
        // What fails half-way must run again.
        let _ = std::fs::remove_file(&kept);
        progress::step(self.name, work)?;
        write(&kept, &now)
    }

    fn fingerprint(&self) -> Result<String> {
        let mut hasher = DefaultHasher::new();
        for input in self.inputs {
            add(&mut hasher, input)?;
        }
        Ok(format!("{:016x}", hasher.finish()))
    }
}

fn write(path: &Path, content: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    std::fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

fn add(hasher: &mut DefaultHasher, path: &Path) -> Result<()> {
    hasher.write(path.as_os_str().as_encoded_bytes());
    if path.is_dir() {
        let entries = std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut entries = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<std::io::Result<Vec<_>>>()
            .with_context(|| format!("cannot read {}", path.display()))?;
        entries.retain(|entry| !MADE.iter().any(|made| entry.ends_with(made)));
        entries.sort();
        for entry in entries {
            add(hasher, &entry)?;
        }
    } else if path.is_file() {
        let content = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        hasher.write_usize(content.len());
        hasher.write(&content);
    }
    Ok(())
}
