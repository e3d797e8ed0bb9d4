//! A process that outlives the command that started it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::{capture, execute};

/// How often a process that was killed is looked for.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How long a killed process may stay, in polls: the kernel frees its memory first.
const POLLS: u32 = 1500;

/// A process known by a file with its id, and by a mark in its command line: ids are used again after a reboot.
pub(super) struct Process {
    /// The file that keeps the id.
    pub(super) pid_file: PathBuf,
    /// What the command line of our process contains, and no other's.
    pub(super) mark: String,
}

impl Process {
    /// Starts it in a group of its own, so that a Ctrl-C here does not reach it.
    pub(super) fn start(&self, mut command: Command) -> Result<()> {
        let program = command.get_program().to_string_lossy().into_owned();
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().with_context(|| format!("cannot start {program}"))?;
        std::fs::write(&self.pid_file, child.id().to_string())
            .with_context(|| format!("cannot write {}", self.pid_file.display()))
    }

    /// Its id while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        let pid = std::fs::read_to_string(&self.pid_file).ok()?.trim().parse().ok()?;
        let line = capture(Command::new("ps").args(["-ww", "-o", "command=", "-p"]).arg(format!("{pid}"))).ok()?;
        line.contains(&self.mark).then_some(pid)
    }

    /// Ends it at once and waits until it is gone.
    pub(super) fn kill(&self) -> Result<()> {
        if let Some(pid) = self.pid() {
            Self::signal(pid, "KILL")?;
            for _ in 0..POLLS {
                if self.pid().is_none() {
                    break;
                }
                std::thread::sleep(POLL_INTERVAL);
            }
            if self.pid().is_some() {
                bail!("process {pid} does not end");
            }
        }
        // Absent when it never ran.
        let _ = std::fs::remove_file(&self.pid_file);
        Ok(())
    }

    /// Sends a signal by its name.
    pub(super) fn signal(pid: u32, signal: &str) -> Result<()> {
        execute(Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()))
    }
}
