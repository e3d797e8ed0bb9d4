//! Which step runs, and how long it took.

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Runs one step under its name, and says how long it took.
///
/// # Errors
///
/// The step's own, with its name before it.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    say("→", name);
    let outcome = work();
    let took = seconds(started.elapsed());
    match &outcome {
        Ok(_) => say("✓", &format!("{name} ({took})")),
        Err(_) => say("✗", &format!("{name} ({took})")),
    }
    outcome.with_context(|| name.to_owned())
}

/// Says that a step has nothing to do.
pub(crate) fn skipped(name: &str) {
    say("✓", &format!("{name} (unchanged)"));
}

/// Says something that a reader should know, between steps.
pub(crate) fn note(text: &str) {
    say("·", text);
}

/// A duration as a person reads it.
pub(crate) fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

fn say(mark: &str, text: &str) {
    if *coloured() {
        eprintln!("\x1b[1;36m{mark} {text}\x1b[0m");
    } else {
        eprintln!("{mark} {text}");
    }
}

fn coloured() -> &'static bool {
    static COLOURED: OnceLock<bool> = OnceLock::new();
    COLOURED.get_or_init(|| std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
}
