//! `DIR/admin.sock`: requests to a running relay, for whoever may write to its data directory. One request a connection.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::desk::Desk;
use super::request::{self, Answer, Asked, MAX_ANSWER_BYTES, MAX_REQUEST_BYTES, Request, VERSION, WireError};

/// Requests at a time; more wait. Each may hold a document in memory.
const REQUESTS: usize = 4;

/// How long a request may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(30);

/// How long the listener rests when the system has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The socket of a running relay. Dropping it takes the file away.
pub struct Socket {
    listener: UnixListener,
    file: SocketFile,
}

struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Whoever comes next finds that nobody listens, and takes it away.
        let _ = fs::remove_file(&self.0);
    }
}

impl Socket {
    /// Listens on `path`, for the owner alone. A file that nobody listens on is taken away first.
    ///
    /// # Errors
    /// `AddrInUse` when a relay listens there, else what the system says; a path has to be shorter than about 100 bytes.
    pub fn bind(path: &Path) -> io::Result<Self> {
        if let Err(error) = fs::symlink_metadata(path) {
            if error.kind() != io::ErrorKind::NotFound {
                return Err(error);
            }
        } else {
            match std::os::unix::net::UnixStream::connect(path) {
                Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)?,
                Err(error) => return Err(error),
            }
        }
        // Nobody else may connect at any moment: the directory is its owner's alone, and the file too before anybody knows of it.
        let listener = UnixListener::bind(path)?;
        let file = SocketFile(path.to_owned());
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, file })
    }

    /// Answers requests for ever.
    pub async fn serve(self, desk: Arc<Desk>) {
        let Self { listener, file: _file } = self;
        let permits = Arc::new(Semaphore::new(REQUESTS));
        let mut tasks = JoinSet::new();
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            while tasks.try_join_next().is_some() {}
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection to the admin socket");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let desk = Arc::clone(&desk);
            tasks.spawn(async move {
                if let Err(error) = answer(stream, &desk).await {
                    tracing::debug!(%error, "a request to the admin socket was not answered");
                }
                drop(permit);
            });
        }
    }
}

async fn answer(mut stream: UnixStream, desk: &Desk) -> Result<(), WireError> {
    let asked = tokio::time::timeout(ARRIVAL, request::read::<Asked>(&mut stream, MAX_REQUEST_BYTES)).await;
    let asked = asked.map_err(|_| WireError::Gone(io::ErrorKind::TimedOut.into()))?;
    let answer = match asked {
        Ok(Asked { version: VERSION, request }) => desk.carry_out(request).await,
        Ok(Asked { version, .. }) => Answer::Refused(format!(
            "the relay speaks version {VERSION} of the admin protocol, and this command version {version}: use the command of the \
             relay's version"
        )),
        Err(error @ WireError::Gone(_)) => return Err(error),
        Err(error) => Answer::Refused(error.to_string()),
    };
    match request::write(&mut stream, &answer, MAX_ANSWER_BYTES).await {
        Err(error @ WireError::TooLarge { .. }) => {
            request::write(&mut stream, &Answer::Refused(error.to_string()), MAX_ANSWER_BYTES).await
        }
        written => written,
    }
}

/// Asks the relay that listens on `path`; nothing when none does.
///
/// # Errors
/// When a relay is there and does not answer as one.
pub async fn ask(path: &Path, request: Request) -> Result<Option<Answer>, WireError> {
    let mut stream = match UnixStream::connect(path).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    request::write(&mut stream, &Asked { version: VERSION, request }, MAX_REQUEST_BYTES).await?;
    request::read(&mut stream, MAX_ANSWER_BYTES).await.map(Some)
}

#[cfg(test)]
mod tests {
    use inkwire_storage::{MemoryStore, Store};

    use super::super::editor::Editor;
    use super::*;

    #[tokio::test]
    async fn the_socket_is_its_owners_and_is_taken_over_from_the_dead_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let request = || Request::List { after: None, limit: 5 };
        assert!(ask(&path, request()).await.unwrap().is_none());
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        for _ in 0..2 {
            let socket = Socket::bind(&path).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(Socket::bind(&path).err().map(|error| error.kind()), Some(io::ErrorKind::AddrInUse));
            let desk = Arc::new(Desk::new(Arc::clone(&store), Editor::Store(Arc::clone(&store))));
            let mut tasks = JoinSet::new();
            tasks.spawn(socket.serve(desk));
            assert_eq!(ask(&path, request()).await.unwrap(), Some(Answer::Names(vec![])));
            let mut stream = UnixStream::connect(&path).await.unwrap();
            let asked = Asked { version: VERSION + 1, request: request() };
            request::write(&mut stream, &asked, MAX_REQUEST_BYTES).await.unwrap();
            let answer: Answer = request::read(&mut stream, MAX_ANSWER_BYTES).await.unwrap();
            assert!(matches!(answer, Answer::Refused(reason) if reason.contains("version")));
            tasks.shutdown().await;
            assert!(!path.exists());
            // One that a killed relay left.
            drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
            assert!(path.exists());
            assert!(ask(&path, request()).await.unwrap().is_none());
        }
    }
}
