//! The pictures of the documentation, taken from the real page.

use anyhow::Result;

use crate::build::{self, Profile};
use crate::command::execute;
use crate::install::browser;
use crate::suite::browser::node;
use crate::{progress, workspace};

/// Takes the pictures of the editor into docs/src/images.
///
/// # Errors
///
/// When the build fails, there is no browser, or the page does not show what it should.
pub(crate) fn take() -> Result<()> {
    let chromium = browser::chromium()?;
    let binaries = build::everything(Profile::Debug)?;
    build::npm_packages("browser driver", workspace::e2e())?;
    progress::step("screenshots", || {
        execute(
            node(&binaries)
                .arg("screenshots.mjs")
                .arg(workspace::root().join("docs/src/images"))
                .env("INKWIRE_CHROMIUM", chromium),
        )
    })
}
