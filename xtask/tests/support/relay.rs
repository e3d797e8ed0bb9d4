//! A relay process.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use url::Url;

/// How long a relay may take until it is ready.
const READY: Duration = Duration::from_secs(30);

/// The relay under test: `INKWIRE_BIN`, else `inkwire` where cargo put it, beside this test's own executable.
pub(crate) fn binary() -> PathBuf {
    let path = std::env::var_os("INKWIRE_BIN").map_or_else(
        || {
            let test = std::env::current_exe().expect("a test has an executable");
            // target/debug/deps/crash-…
            test.parent().and_then(Path::parent).expect("it lies in a folder of target").join("inkwire")
        },
        PathBuf::from,
    );
    assert!(
        path.is_file(),
        "there is no relay at {}: build it (cargo build -p inkwire-relay) or name it in INKWIRE_BIN",
        path.display()
    );
    path
}

/// A folder of this process's own, gone with the value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("inkwire-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the relay's data and log are kept in {}", self.0.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// A running relay; killed with SIGKILL when dropped.
pub(crate) struct Relay {
    process: Child,
    pub(crate) url: Url,
}

impl Relay {
    /// Starts one on `data` and waits until it is ready. Its log is appended to `log`.
    pub(crate) async fn start(data: &Path, listen: &str, log: &Path) -> Result<Self, String> {
        Self::start_with(data, listen, log, &[]).await
    }

    /// The same with more flags.
    pub(crate) async fn start_with(data: &Path, listen: &str, log: &Path, flags: &[&str]) -> Result<Self, String> {
        let file: File = OpenOptions::new().create(true).append(true).open(log).map_err(|error| error.to_string())?;
        let mut process = Command::new(binary())
            .args(["serve", "--listen", listen, "--data"])
            .arg(data)
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| error.to_string())?;
        let output = process.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(output).lines();
        let line = match tokio::time::timeout(READY, lines.next_line()).await {
            Ok(Ok(Some(line))) => line,
            Ok(end) => return Err(format!("the relay said nothing and ended ({end:?}); see {}", log.display())),
            Err(_) => return Err(format!("the relay is not ready after {READY:?}; see {}", log.display())),
        };
        let url = line
            .strip_prefix("inkwire is ready: ")
            .and_then(|url| Url::parse(url.trim()).ok())
            .ok_or_else(|| format!("the relay said {line:?}"))?;
        Ok(Self { process, url })
    }

    /// The id of its process.
    #[allow(dead_code, reason = "few look at the process")]
    pub(crate) fn id(&self) -> u32 {
        self.process.id().expect("it runs")
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.process.kill().await.expect("a running relay can be killed");
    }
}
