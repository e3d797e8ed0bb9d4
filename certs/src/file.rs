//! Files that only their owner can read, replaced as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

static ATTEMPTS: AtomicU64 = AtomicU64::new(0);

/// Writes `bytes` to a file beside `path`, readable by its owner alone, syncs it, and puts it in place. With `replace`
/// an existing file is replaced; without, an existing one stays and the result is `AlreadyExists`.
pub(crate) fn write_private(path: &Path, bytes: &[u8], replace: bool) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    // Neither two processes nor two threads that start at once write one temporary file.
    let number = ATTEMPTS.fetch_add(1, Ordering::Relaxed);
    name.push(format!(".{}-{number}.new", std::process::id()));
    let temporary = directory.join(name);

    let written = write_synced(&temporary, bytes).and_then(|()| {
        if replace {
            fs::rename(&temporary, path)
        } else {
            // A link fails where a rename would replace what another process has just put there.
            fs::hard_link(&temporary, path)
        }
    });
    if written.is_err() || !replace {
        // What is left of a failed attempt is rubbish, and failing to remove it is no reason to fail.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    File::open(directory)?.sync_all()
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
