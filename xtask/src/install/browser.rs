//! The browsers of the suite, and what drives them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::debian;
use crate::command::find;

/// Fonts: a page without any is laid out differently, and its pictures show boxes.
const FONTS: [&str; 2] = ["fonts-dejavu-core", "fonts-noto-core"];

/// Programs that run the page, each where it was found.
pub(crate) struct Browsers {
    /// Chromium or Chrome.
    pub(crate) chromium: PathBuf,
    /// Firefox.
    pub(crate) firefox: PathBuf,
    /// WebKitGTK's driver.
    pub(crate) webkit_driver: PathBuf,
    /// The page's window that WebKitGTK's driver opens.
    pub(crate) webkit_browser: PathBuf,
}

/// Finds all browsers of the suite, or installs what is missing.
///
/// # Errors
///
/// One line for the first that is missing and cannot be installed.
pub(crate) fn require() -> Result<Browsers> {
    Ok(Browsers {
        chromium: chromium()?,
        firefox: program(Some("INKWIRE_FIREFOX"), &["firefox-esr", "firefox"], &["firefox-esr"])?,
        webkit_driver: {
            // WebKitGTK has no headless mode.
            program(None, &["xvfb-run"], &["xvfb", "xauth"])?;
            program(None, &["WebKitWebDriver"], &["webkit2gtk-driver"])?
        },
        webkit_browser: mini_browser()?,
    })
}

/// Finds Chromium or Chrome, or installs it.
///
/// # Errors
///
/// One line that says what to install.
pub(crate) fn chromium() -> Result<PathBuf> {
    let packages: Vec<&str> = ["chromium"].into_iter().chain(FONTS).collect();
    program(
        Some("INKWIRE_CHROMIUM"),
        &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"],
        &packages,
    )
}

/// The first of `names` on PATH, unless the environment names another; on a Debian its `packages` are installed first.
fn program(variable: Option<&str>, names: &[&str], packages: &[&str]) -> Result<PathBuf> {
    if let Some(named) = variable.and_then(std::env::var_os) {
        return Ok(named.into());
    }
    let found = || names.iter().find_map(|name| find(name));
    if let Some(program) = found() {
        return Ok(program);
    }
    if debian::is_here() {
        debian::install(packages).with_context(|| format!("{} is needed", names[0]))?;
    }
    found().with_context(|| format!("{} is needed: install it (Debian's packages: {})", names[0], packages.join(" ")))
}

/// `MiniBrowser` lies outside PATH, in a folder that carries the version of the library's interface.
fn mini_browser() -> Result<PathBuf> {
    for root in ["/usr/lib", "/usr/libexec", "/usr/lib64"] {
        if let Some(browser) = below(Path::new(root), 2) {
            return Ok(browser);
        }
    }
    bail!("WebKitGTK's MiniBrowser is needed: install it (Debian's package: webkit2gtk-driver)")
}

fn below(folder: &Path, depth: u32) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    let folders = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    folders.into_iter().find_map(|path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let browser = path.join("MiniBrowser");
        if name.starts_with("webkit") && browser.is_file() {
            return Some(browser);
        }
        // Debian's libraries lie in a folder per machine, such as x86_64-linux-gnu.
        if depth > 1 && (name.contains("-linux-gnu") || name.starts_with("webkit")) {
            below(&path, depth - 1)
        } else {
            None
        }
    })
}
