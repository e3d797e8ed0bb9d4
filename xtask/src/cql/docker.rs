//! A node of ScyllaDB in a container.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use super::cluster::address;
use super::{Shape, Sync};
use crate::command::capture;
use crate::progress;

/// The image, by a version that its maintainers support for long.
const IMAGE: &str = "scylladb/scylla:2025.1";

/// Nodes find each other on a network of their own, by fixed addresses.
const NETWORK: &str = "inkwire-cql";
const SUBNET: &str = "172.31.253";

/// The name of node `number`'s container.
pub(super) fn name(number: u8) -> String {
    format!("inkwire-cql-{number}")
}

/// Whether an engine is there to run containers.
pub(super) fn answers() -> bool {
    let mut docker = Command::new("docker");
    docker.args(["version", "--format", "{{.Server.Version}}"]).stdin(Stdio::null());
    docker.output().is_ok_and(|output| output.status.success() && !output.stdout.is_empty())
}

/// Runs docker.
pub(super) fn run(arguments: &[&str]) -> Result<String> {
    capture(Command::new("docker").args(arguments))
}

/// Sees to it that image and network are there.
pub(super) fn prepare() -> Result<()> {
    if run(&["image", "inspect", IMAGE]).is_err() {
        progress::step(&format!("docker pull {IMAGE}"), || run(&["pull", "--quiet", IMAGE]).map(drop))?;
    }
    if run(&["network", "inspect", NETWORK]).is_err() {
        run(&["network", "create", "--subnet", &format!("{SUBNET}.0/24"), NETWORK])?;
    }
    Ok(())
}

/// Starts node `number`; what it stored before is there again.
pub(super) fn launch(number: u8, shape: Shape) -> Result<()> {
    let name = name(number);
    if run(&["container", "inspect", &name]).is_ok() {
        return run(&["start", &name]).map(drop);
    }
    let outside = address(number);
    let inside = inside(number);
    let seeds: Vec<String> = (1..=shape.nodes).map(self::inside).collect();
    let ports = [format!("{outside}:9042:9042"), format!("{outside}:19042:19042")];
    let seeds = format!("--seeds={}", seeds.join(","));
    let [listen, broadcast, rpc] = [
        format!("--listen-address={inside}"),
        format!("--broadcast-address={inside}"),
        format!("--broadcast-rpc-address={outside}"),
    ];
    let sync: &[&str] = match shape.sync {
        Sync::Batch => &["--commitlog-sync=batch"],
        Sync::Periodic => &["--commitlog-sync=periodic"],
        Sync::Group => bail!("ScyllaDB has no sync mode group: take batch or periodic"),
    };
    let mut arguments = vec!["run", "--detach", "--name", &name, "--network", NETWORK, "--ip", &inside];
    arguments.extend(["--publish", &ports[0], "--publish", &ports[1], IMAGE]);
    arguments.extend(["--smp=1", "--memory=1G", "--overprovisioned=1", "--developer-mode=1"]);
    arguments.extend([seeds.as_str(), &listen, &broadcast, "--rpc-address=0.0.0.0", &rpc]);
    arguments.extend(sync);
    run(&arguments).map(drop)
}

/// Whether the container runs, paused or not.
pub(super) fn lives(number: u8) -> bool {
    run(&["container", "inspect", "--format", "{{.State.Running}}", &name(number)])
        .is_ok_and(|running| running == "true")
}

/// Sends the node a signal by its name.
pub(super) fn signal(number: u8, signal: &str) -> Result<()> {
    if lives(number) {
        run(&["kill", "--signal", signal, &name(number)])?;
    }
    Ok(())
}

/// Removes the node with what it stored.
pub(super) fn remove(number: u8) -> Result<()> {
    if run(&["container", "inspect", &name(number)]).is_ok() {
        run(&["rm", "--force", "--volumes", &name(number)])?;
    }
    Ok(())
}

/// Removes the nodes' network; one that is not there is no matter.
pub(super) fn remove_network() {
    let _ = run(&["network", "rm", NETWORK]);
}

fn inside(number: u8) -> String {
    format!("{SUBNET}.{}", u16::from(number) + 10)
}
