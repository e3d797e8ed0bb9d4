//! Random keys that are made once and kept.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::file::write_private;

/// Why a persisted key could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The key's file could not be read.
    #[error("the key {} cannot be read", path.display())]
    Read {
        /// The key's file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The key's file could not be written.
    #[error("the key {} cannot be written", path.display())]
    Write {
        /// The key's file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The key's file has another size than the key. It is left as it is: it may be the key of another version.
    #[error("the key {} has {found} bytes instead of {expected}; remove it to have a new one made", path.display())]
    Length {
        /// The key's file.
        path: PathBuf,
        /// The key's size in bytes.
        expected: usize,
        /// The file's size in bytes, at most one more than expected.
        found: usize,
    },
    /// The operating system gave no random bytes.
    #[error("no random bytes for the key {}", path.display())]
    Random {
        /// The key's file.
        path: PathBuf,
    },
}

/// The key of `N` random bytes that is kept in `directory` as `NAME.key`; made, with mode 0600, when it is not there.
/// Two processes that ask for a missing key at once get the same one.
///
/// # Errors
///
/// Each names the file; see [`KeyError`].
pub fn persisted_key<const N: usize>(directory: &Path, name: &str) -> Result<[u8; N], KeyError> {
    let path = directory.join(format!("{name}.key"));
    if let Some(key) = read(&path)? {
        return Ok(key);
    }
    let mut key = [0; N];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| KeyError::Random { path: path.clone() })?;
    match write_private(&path, &key, false) {
        Ok(()) => Ok(key),
        // Another process was quicker: its key is the one.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            read(&path)?.ok_or(KeyError::Read { path, source: io::ErrorKind::NotFound.into() })
        }
        Err(source) => Err(KeyError::Write { path, source }),
    }
}

fn read<const N: usize>(path: &Path) -> Result<Option<[u8; N]>, KeyError> {
    let failed = |source| KeyError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::with_capacity(N + 1);
    file.take(N as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    let found = bytes.len();
    match bytes.try_into() {
        Ok(key) => Ok(Some(key)),
        Err(_) => Err(KeyError::Length { path: path.to_owned(), expected: N, found }),
    }
}
