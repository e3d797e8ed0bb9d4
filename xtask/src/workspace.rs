//! Where things are.

use std::path::{Path, PathBuf};

/// The workspace's root: this crate lies directly in it.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// The npm package of the browser's client.
pub(crate) fn client() -> PathBuf {
    root().join("client-wasm")
}

/// What a page loads; embedded in the relay by its build script.
pub(crate) fn dist() -> PathBuf {
    client().join("dist")
}

/// The browser suite.
pub(crate) fn e2e() -> PathBuf {
    root().join("xtask/e2e")
}

/// The clients in other languages.
pub(crate) fn interop() -> PathBuf {
    root().join("xtask/interop")
}

/// The folder with the editing traces, if the environment names one.
///
/// Made absolute, since the programs that read it start in folders of their own.
pub(crate) fn traces() -> Option<PathBuf> {
    let named = PathBuf::from(std::env::var_os("INKWIRE_TRACES").filter(|value| !value.is_empty())?);
    Some(std::path::absolute(&named).unwrap_or(named))
}
