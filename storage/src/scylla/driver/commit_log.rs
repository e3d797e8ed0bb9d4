//! When the nodes sync what they acknowledge: both servers' default is every ten seconds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::scylla::cluster::Node;
use ::scylla::deserialize::row::DeserializeRow;
use ::scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use ::scylla::statement::{Consistency, Statement};

use futures_util::future::join_all;

use super::super::address::{Address, CommitLogSetting};
use super::{Driver, rows};
use crate::error::StoreError;

/// Where each server says how it was set up: a table of the node that is asked.
const SETTINGS: [&str; 2] = [
    // Cassandra
    "SELECT value FROM system_views.settings WHERE name = 'commitlog_sync'",
    // ScyllaDB
    "SELECT value FROM system.config WHERE name = 'commitlog_sync'",
];

/// Where each says how often: a table of the node that is asked.
const PERIODS: [&str; 2] = [
    // Cassandra
    "SELECT value FROM system_views.settings WHERE name = 'commitlog_sync_period'",
    // ScyllaDB
    "SELECT value FROM system.config WHERE name = 'commitlog_sync_period_in_ms'",
];

/// Both servers' own.
const DEFAULT_PERIOD: Duration = Duration::from_secs(10);

/// How long a node may take to say when it was started.
const ANSWER: Duration = Duration::from_secs(2);

/// When a cluster's nodes sync their commit logs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CommitLog {
    /// Before they acknowledge: a quorum's word is durable.
    Synced,
    /// From time to time: what a quorum acknowledged is lost if its nodes lose their power within that time.
    Periodic,
    /// Nodes do not say, and nobody said it for them.
    Unknown,
}

impl Driver {
    /// When the nodes sync: the weakest that any of them says, or else what the address says.
    ///
    /// # Errors
    ///
    /// Those of reaching a node at all.
    pub async fn commit_log(&self, address: &Address) -> Result<CommitLog, StoreError> {
        let state = self.session.get_cluster_state();
        let mut answers = Vec::new();
        for node in state.get_nodes_info() {
            // A node that is down says nothing, and the others are asked.
            answers.extend(self.setting(node).await);
        }
        Ok(decide(&answers, address.commit_log))
    }

    async fn setting(&self, node: &Arc<Node>) -> Option<String> {
        for text in SETTINGS {
            if let Some((value,)) = self.ask::<(String,)>(node, text).await {
                return Some(value);
            }
        }
        None
    }

    /// How often the nodes sync: the longest period that any of them says, or the servers' default.
    pub(crate) async fn sync_period(&self) -> Duration {
        let mut longest = None;
        for node in self.session.get_cluster_state().get_nodes_info() {
            for text in PERIODS {
                let period = self.ask::<(String,)>(node, text).await.and_then(|(value,)| parse_millis(&value));
                longest = longest.max(period);
            }
        }
        longest.unwrap_or(DEFAULT_PERIOD)
    }

    /// For each node a number that changes when it is started; `None` for one that does not answer.
    pub(crate) async fn starts(&self) -> BTreeMap<String, Option<i64>> {
        let state = self.session.get_cluster_state();
        let asked = state.get_nodes_info().iter().map(async |node| {
            // A node that hangs must not hold the answer of the others.
            let asked = self.ask::<(i32,)>(node, "SELECT gossip_generation FROM system.local");
            let start = tokio::time::timeout(ANSWER, asked).await.ok().flatten().map(|(start,)| i64::from(start));
            (node.host_id.to_string(), start)
        });
        join_all(asked).await.into_iter().collect()
    }

    /// The first row of one node's answer about itself.
    async fn ask<R>(&self, node: &Arc<Node>, text: &str) -> Option<R>
    where
        R: for<'frame> DeserializeRow<'frame, 'frame>,
    {
        let mut statement = Statement::new(text);
        statement.set_is_idempotent(true);
        statement.set_consistency(Consistency::One);
        let target = SingleTargetLoadBalancingPolicy::new(NodeIdentifier::Node(node.clone()), None);
        statement.set_load_balancing_policy(Some(target));
        let answer = self.session.query_unpaged(statement, ()).await.ok()?;
        rows(answer).ok()?.into_iter().next()
    }
}

/// Milliseconds of `10000ms` or `10000`.
fn parse_millis(text: &str) -> Option<Duration> {
    text.trim_matches('"').trim_end_matches("ms").parse().ok().map(Duration::from_millis)
}

/// What follows from the nodes' answers, and from what a person said for those that do not tell.
fn decide(answers: &[String], said: Option<CommitLogSetting>) -> CommitLog {
    // ScyllaDB's are JSON: in quotes.
    let is_synced = |answer: &String| matches!(answer.trim_matches('"'), "batch" | "group");
    if answers.is_empty() {
        return match said {
            Some(CommitLogSetting::Synced) => CommitLog::Synced,
            Some(CommitLogSetting::Periodic) => CommitLog::Periodic,
            None => CommitLog::Unknown,
        };
    }
    if answers.iter().all(is_synced) { CommitLog::Synced } else { CommitLog::Periodic }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_read_as_both_servers_write_them() {
        for (text, millis) in
            [("10000ms", Some(10_000)), ("10000", Some(10_000)), ("\"250\"", Some(250)), ("null", None)]
        {
            assert_eq!(parse_millis(text), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn the_weakest_node_counts() {
        use CommitLogSetting as Said;
        let cases: &[(&[&str], Option<Said>, CommitLog)] = &[
            (&["batch", "batch", "group"], None, CommitLog::Synced),
            (&["batch", "periodic"], Some(Said::Synced), CommitLog::Periodic),
            (&["\"periodic\""], None, CommitLog::Periodic),
            (&["\"batch\""], None, CommitLog::Synced),
            (&[], None, CommitLog::Unknown),
            (&[], Some(Said::Synced), CommitLog::Synced),
            (&[], Some(Said::Periodic), CommitLog::Periodic),
        ];
        for (answers, said, expected) in cases {
            let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
            assert_eq!(decide(&answers, *said), *expected, "{answers:?}");
        }
    }
}
