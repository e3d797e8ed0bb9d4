//! redb's errors as the store's.

use std::path::Path;
use std::sync::Arc;

use crate::error::StoreError;

/// What ended some work on the tables.
#[derive(Debug)]
pub(super) enum Failure {
    /// redb's.
    Engine(Box<redb::Error>),
    /// A value that is not what was written: where, and what is wrong.
    Damage { place: String, reason: String },
    /// Already what the caller is to see.
    Store(StoreError),
}

impl Failure {
    pub(super) fn damage(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Damage { place: place.into(), reason: reason.into() }
    }

    /// The store's error for it, from work on the file `path` that `doing` names.
    pub(super) fn at(self, path: &Path, doing: &str) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Damage { place, reason } => StoreError::corrupt(path, place, reason),
            Self::Engine(error) => match *error {
                redb::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                    StoreError::corrupt(path, "the file's header", error.to_string())
                }
                redb::Error::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    StoreError::corrupt(path, format!("its end, {doing}"), "the file is shorter than it was")
                }
                redb::Error::Io(error) => StoreError::Unavailable {
                    reason: format!("{doing} of {}: {error}", path.display()),
                    source: Some(Arc::new(error)),
                },
                redb::Error::Corrupted(reason) => StoreError::corrupt(path, format!("a page, {doing}"), reason),
                redb::Error::UpgradeRequired(found) => StoreError::corrupt(
                    path,
                    "the file's header",
                    format!("it says version {found} of the engine's format, which was never written here"),
                ),
                // A table or type that the store made is not there any more.
                error @ (redb::Error::TableDoesNotExist(_)
                | redb::Error::TableTypeMismatch { .. }
                | redb::Error::TableIsMultimap(_)
                | redb::Error::TypeDefinitionChanged { .. }) => {
                    StoreError::corrupt(path, format!("the list of tables, {doing}"), error.to_string())
                }
                error => {
                    StoreError::Unavailable { reason: format!("{doing} of {}: {error}", path.display()), source: None }
                }
            },
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

macro_rules! from_engine {
    ($($error:ty),*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Engine(Box::new(error.into()))
            }
        })*
    };
}

from_engine!(redb::DatabaseError, redb::TransactionError, redb::TableError, redb::StorageError, redb::CommitError);
