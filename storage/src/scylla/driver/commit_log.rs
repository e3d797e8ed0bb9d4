//! When the nodes sync what they acknowledge: both servers' default is every ten seconds.

use std::sync::Arc;

use ::scylla::cluster::Node;
use ::scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use ::scylla::statement::{Consistency, Statement};

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
            let mut statement = Statement::new(text);
            statement.set_is_idempotent(true);
            statement.set_consistency(Consistency::One);
            let target = SingleTargetLoadBalancingPolicy::new(NodeIdentifier::Node(node.clone()), None);
            statement.set_load_balancing_policy(Some(target));
            let Ok(answer) = self.session.query_unpaged(statement, ()).await else { continue };
            let found: Vec<(String,)> = rows(answer).unwrap_or_default();
            if let Some((value,)) = found.into_iter().next() {
                return Some(value);
            }
        }
        None
    }
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
