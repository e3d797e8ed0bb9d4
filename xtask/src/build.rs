//! What a build makes, in its order: the wasm core, its bindings, the client and the page, and the binaries with them
//! embedded.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::command::{cargo, execute, npm};
use crate::fingerprint::Step;
use crate::install::node;
use crate::install::wasm::{TARGET, Toolchain};
use crate::{progress, workspace};

/// How the binaries are built. The wasm is always built small, with the workspace's profile `wasm`.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Profile {
    /// Quick to build; the tests run against it.
    Debug,
    /// For use and for measurements.
    Release,
}

impl Profile {
    /// As the flag `--release` says.
    pub(crate) fn of(release: bool) -> Self {
        if release { Self::Release } else { Self::Debug }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Release => "release",
        }
    }
}

/// The binaries that a build leaves.
pub(crate) struct Binaries {
    /// The relay, with client and page embedded.
    pub(crate) relay: PathBuf,
    /// The load tester.
    pub(crate) loadtest: PathBuf,
}

/// Builds client and page, then the binaries with them embedded.
///
/// # Errors
///
/// The first step that failed, or what to install for it.
pub(crate) fn everything(profile: Profile) -> Result<Binaries> {
    client()?;
    binaries(profile)
}

/// Builds client and page into client-wasm/dist.
///
/// # Errors
///
/// The first step that failed, or what to install for it.
pub(crate) fn client() -> Result<()> {
    node::require()?;
    let wasm = core()?;
    bindings(wasm)?;
    npm_packages("client packages", workspace::client())?;
    let client = workspace::client();
    let inputs: Vec<PathBuf> =
        ["ts", "page", "pkg", "build.mjs", "package-lock.json", "tsconfig.json", "tsconfig.types.json"]
            .iter()
            .map(|input| client.join(input))
            .collect();
    let output = workspace::dist().join("client/inkwire.js");
    Step { name: "client and page", inputs: &inputs, output: &output }
        .run(|| execute(npm(&client).args(["run", "build", "--silent"])))
}

/// Builds the wasm core, as it is before bindings.
///
/// # Errors
///
/// When it does not compile, or no toolchain can build it.
pub(crate) fn core() -> Result<PathBuf> {
    let toolchain = Toolchain::require()?;
    // A folder of its own: a build for another target must not wait for, or block, the others.
    let folder = workspace::target().join("wasm");
    progress::step(&format!("wasm core, with {}", toolchain.describe()), || {
        execute(
            toolchain
                .cargo(&["build", "--package", "inkwire-client-wasm", "--lib", "--profile", "wasm"])
                .arg("--target-dir")
                .arg(&folder),
        )
    })?;
    Ok(folder.join(TARGET).join("wasm/inkwire_client_wasm.wasm"))
}

/// Generates the JavaScript half of the wasm core, in the version that Cargo.lock has of `wasm-bindgen`.
fn bindings(wasm: PathBuf) -> Result<()> {
    let output = workspace::client().join("pkg");
    let inputs = [wasm.clone(), workspace::root().join("xtask/src/bindings.rs"), workspace::root().join("Cargo.lock")];
    Step { name: "bindings", inputs: &inputs, output: &output }.run(|| {
        execute(
            cargo()
                .args(["run", "--quiet", "--package", "inkwire-xtask", "--features", "bindings"])
                .args(["--bin", "inkwire-bindings", "--"])
                .arg(&wasm)
                .arg(&output),
        )
    })
}

/// Installs the npm packages that a folder's lock file names.
///
/// # Errors
///
/// npm's own.
pub(crate) fn npm_packages(name: &str, folder: PathBuf) -> Result<()> {
    let inputs = [folder.join("package.json"), folder.join("package-lock.json")];
    let output = folder.join("node_modules");
    Step { name, inputs: &inputs, output: &output }.run(|| {
        execute(npm(&folder).args(["ci", "--loglevel=error"])).context("the npm packages could not be installed")
    })
}

/// Builds the relay and the load tester. What `client-wasm/dist` holds is embedded by the relay's build script.
///
/// # Errors
///
/// cargo's own.
pub(crate) fn binaries(profile: Profile) -> Result<Binaries> {
    let mut build = cargo();
    build.args(["build", "--package", "inkwire-relay", "--package", "inkwire-loadtest", "--bins"]);
    if profile == Profile::Release {
        build.arg("--release");
    }
    progress::step(&format!("binaries ({})", profile.folder()), || execute(&mut build))?;
    let folder = workspace::target().join(profile.folder());
    let binary = |name: &str| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    Ok(Binaries { relay: binary("inkwire"), loadtest: binary("inkwire-loadtest") })
}
