//! The real binary: what it prints, what it listens on, how it ends.

mod support;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

/// A process that does not outlive its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn inkwire() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inkwire"));
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn the_only_line_is_that_it_is_ready_and_sigterm_ends_it_well() {
    let data = tempfile::tempdir().unwrap();
    let directory = data.path().join("made/if/missing");
    let mut process = Process(
        inkwire()
            .args(["serve", "--listen", "localhost:0", "--log-format", "json", "--data"])
            .arg(&directory)
            .spawn()
            .unwrap(),
    );
    let mut output = BufReader::new(process.0.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let url = line.strip_prefix("inkwire is ready: ").unwrap_or_else(|| panic!("{line:?}")).trim_end();
    let port: u16 = url.strip_prefix("http://localhost:").unwrap().parse().unwrap();

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(support::http(port, "GET /readyz HTTP/1.1", ""));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let token = runtime.block_on(support::http(port, "POST /dev/token HTTP/1.1", "{\"subject\":\"ada\"}"));
    assert_eq!(token.split_once("\r\n\r\n").unwrap().1.split('.').count(), 3, "{token}");
    // The command line signs with the same key.
    let printed = inkwire().args(["token", "--subject", "ada", "--data"]).arg(&directory).output().unwrap();
    assert_eq!(String::from_utf8(printed.stdout).unwrap().trim().split('.').count(), 3);

    assert!(Command::new("kill").arg("-TERM").arg(process.0.id().to_string()).status().unwrap().success());
    let status = process.0.wait().unwrap();
    assert!(status.success(), "{status}");
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    let mut logs = String::new();
    process.0.stderr.take().unwrap().read_to_string(&mut logs).unwrap();
    for line in logs.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}

#[test]
fn a_mistyped_data_directory_is_named_and_not_made() {
    let data = tempfile::tempdir().unwrap();
    let directory = data.path().join("typo");
    let printed = inkwire().args(["token", "--data"]).arg(&directory).output().unwrap();
    assert!(!printed.status.success() && printed.stdout.is_empty());
    let error = String::from_utf8(printed.stderr).unwrap();
    assert!(error.contains(directory.to_str().unwrap()) && error.contains("inkwire serve"), "{error}");
    assert!(!directory.exists());
}

#[test]
fn a_flag_goes_over_a_variable_and_a_variable_over_the_file() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("inkwire.toml");
    // Each source has one setting wrong that the next one up sets right: it only starts if the order holds.
    std::fs::write(&file, "listen = '192.0.2.1:1'\nlog = 'warn'\nstore = 'memory'\n").unwrap();
    let mut process = Process(
        inkwire()
            .args(["serve", "--log", "error", "--config"])
            .arg(&file)
            .env("INKWIRE_DATA", data.path().join("data"))
            .env("INKWIRE_LISTEN", "127.0.0.1:0")
            .env("INKWIRE_LOG", "this is = no = filter")
            .spawn()
            .unwrap(),
    );
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("inkwire is ready: http://127.0.0.1:"), "{line:?}");
}

#[test]
fn wrong_settings_are_named() {
    let data = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (&["--listen", "0.0.0.0:0"][..], "--tls-cert"),
        (&["--listen", "nowhere"][..], "localhost:PORT"),
        (&["--config", "/nonexistent/inkwire.toml"][..], "/nonexistent/inkwire.toml"),
        (&["--tls-cert", "/nonexistent", "--tls-key", "/nonexistent"][..], "/nonexistent"),
        (&["--log", "a=b=c"][..], "--log"),
        (&["--unknown"][..], "--unknown"),
    ] {
        let output = inkwire().arg("serve").arg("--data").arg(data.path()).args(arguments).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert!(error.contains(expected), "{arguments:?}: {error}");
        assert!(output.stdout.is_empty());
    }
    let help = inkwire().args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for (name, variable) in inkwire_relay::settings::Flags::NAMES {
        assert!(help.contains(&format!("--{}", name.replace('_', "-"))), "{name}");
        assert!(help.contains(variable), "{variable}");
    }
}
