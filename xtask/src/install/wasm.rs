//! The toolchain that builds wasm.
//!
//! rustup's target is the way. Where it cannot be had, Debian's `rustc-web` with the standard library's source builds it:
//! `-Zbuild-std` compiles the library for the target from that source.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::debian;
use crate::command::{capture, cargo, command, execute, find};
use crate::progress;

/// The target that browsers run.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";

/// What builds wasm on this machine.
pub(crate) enum Toolchain {
    /// The toolchain in use has the target.
    Rustup,
    /// Debian's compiler builds the standard library too; the linker is that of the toolchain in use, or Debian's.
    Debian {
        /// A linker that takes wasm.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// Finds one, or installs it.
    ///
    /// # Errors
    ///
    /// When there is none and none can be installed: one line that says what to install.
    pub(crate) fn require() -> Result<Self> {
        let only = std::env::var("INKWIRE_WASM_TOOLCHAIN").unwrap_or_default();
        let rustup = || rustup().map(|()| Self::Rustup);
        let debian = || debian().map(|linker| Self::Debian { linker });
        match only.as_str() {
            "rustup" => rustup(),
            "debian" => debian(),
            "" => rustup().or_else(|first| {
                progress::note(&format!("no wasm target from rustup ({first:#}); trying Debian's packages"));
                debian().map_err(|second| {
                    second.context(format!(
                        "the target {TARGET} is missing: `rustup target add {TARGET}`, or on Debian `apt-get install {}`",
                        DEBIAN_PACKAGES.join(" ")
                    ))
                })
            }),
            other => bail!("INKWIRE_WASM_TOOLCHAIN is {other:?}; it takes rustup or debian"),
        }
    }

    /// For people, who should know which one built what they run.
    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Self::Rustup => "the toolchain's own target",
            Self::Debian { .. } => "Debian's rustc-web",
        }
    }

    /// The cargo command `arguments` for the wasm target.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        match self {
            Self::Rustup => {
                let mut cargo = cargo();
                cargo.args(arguments).args(["--target", TARGET]);
                cargo
            }
            Self::Debian { linker } => {
                let mut cargo = command(DEBIAN_CARGO);
                cargo.args(arguments).args(["--target", TARGET, "-Zbuild-std=std,panic_abort"]);
                // What the cargo that started us says of itself must not reach another one.
                for inherited in ["CARGO", "RUSTUP_TOOLCHAIN", "RUSTC_WRAPPER", "RUSTDOC"] {
                    cargo.env_remove(inherited);
                }
                cargo
                    .env("RUSTC", DEBIAN_RUSTC)
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
                cargo
            }
        }
    }
}

/// Makes sure that the toolchain in use has the target.
fn rustup() -> Result<()> {
    if has_target() {
        return Ok(());
    }
    if find("rustup").is_none() {
        bail!("rustup is not installed");
    }
    progress::step(&format!("rustup target add {TARGET}"), || {
        execute(command("rustup").args(["target", "add", TARGET]))
    })?;
    if !has_target() {
        bail!("rustup added {TARGET}, but not to the toolchain in use");
    }
    Ok(())
}

/// Asks the compiler rustup's way or any other: distributions ship the target as a package of their own.
fn has_target() -> bool {
    capture(command("rustc").args(["--print", "target-libdir", "--target", TARGET]))
        .ok()
        .and_then(|folder| std::fs::read_dir(folder).ok())
        .is_some_and(|entries| {
            entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
        })
}

fn debian() -> Result<PathBuf> {
    if !debian::is_here() {
        bail!("this is not a Debian");
    }
    debian::install(&DEBIAN_PACKAGES)?;
    linker()
}

/// `rust-lld` of the toolchain in use is as new as a compiler's output needs; Debian's own serves too.
fn linker() -> Result<PathBuf> {
    let bundled = capture(command("rustc").args(["--print", "target-libdir"]))
        .ok()
        .and_then(|folder| PathBuf::from(folder).parent().map(|host| host.join("bin/rust-lld")))
        .filter(|linker| linker.is_file());
    bundled.or_else(|| find("wasm-ld")).context("no linker for wasm: install Debian's package lld")
}
