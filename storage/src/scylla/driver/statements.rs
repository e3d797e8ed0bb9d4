//! Every statement of an edit's path, prepared once.
//!
//! Timestamps are part of the texts where they say which of two states is the later one: an entry is listed at 1, sealed at 2
//! and unlisted after that, so that a late repetition of an earlier step changes nothing. Ids are never used again, so nothing
//! else ever has to win against them.

use ::scylla::client::session::Session;
use ::scylla::cluster::metadata::Strategy;
use ::scylla::statement::Consistency;
use ::scylla::statement::prepared::PreparedStatement;

use super::super::cluster::{Failure, FailureKind};

/// Rows of a page of the log: at 64 KiB each, the largest that the protocol lets through, 16 MiB.
const PAGE_ROWS: i32 = 256;

/// Keys of a page of the log.
const PAGE_HEADS: i32 = 2_000;

/// The statements, by what they do.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) segments: PreparedStatement,
    pub(super) segment: PreparedStatement,
    pub(super) list_segment: PreparedStatement,
    pub(super) seal_segment: PreparedStatement,
    pub(super) unlist_segment: PreparedStatement,
    pub(super) delete_segment: PreparedStatement,
    pub(super) write: PreparedStatement,
    pub(super) rows: PreparedStatement,
    pub(super) heads: PreparedStatement,
    pub(super) snapshots: PreparedStatement,
    pub(super) list_snapshot: PreparedStatement,
    pub(super) unlist_snapshot: PreparedStatement,
    pub(super) delete_chunks: PreparedStatement,
    pub(super) write_chunk: PreparedStatement,
    pub(super) chunk: PreparedStatement,
    pub(super) segment_partitions: PreparedStatement,
    pub(super) snapshot_partitions: PreparedStatement,
    pub(super) names: PreparedStatement,
    pub(super) set_incarnation: PreparedStatement,
    pub(super) incarnation: PreparedStatement,
    pub(super) format: PreparedStatement,
}

impl Statements {
    pub(super) async fn prepare(session: &Session, keyspace: &str) -> Result<Self, Failure> {
        let prepare = async |text: &str| {
            let text = text.replace("KS.", &format!("{keyspace}."));
            let mut prepared = session
                .prepare(text)
                .await
                .map_err(|error| Failure { kind: FailureKind::Unavailable, reason: error.to_string() })?;
            prepared.set_is_idempotent(true);
            Ok::<_, Failure>(prepared)
        };
        let [document, segment, snapshot] = [
            "document = ? AND incarnation = ?",
            "document = ? AND incarnation = ? AND segment = ?",
            "document = ? AND incarnation = ? AND snapshot = ?",
        ];
        let mut rows = prepare(&format!(
            "SELECT actor, counter, digest, operations, ops, subject, received, WRITETIME(ops) FROM KS.log WHERE {segment}"
        ))
        .await?;
        rows.set_page_size(PAGE_ROWS);
        let mut heads = prepare(&format!("SELECT actor, counter, operations FROM KS.log WHERE {segment}")).await?;
        heads.set_page_size(PAGE_HEADS);
        let mut statements = Self {
            segments: prepare(&format!("SELECT segment, sealed FROM KS.segments WHERE {document}")).await?,
            segment: prepare(&format!("SELECT sealed FROM KS.segments WHERE {segment}")).await?,
            list_segment: prepare(
                "INSERT INTO KS.segments (document, incarnation, segment, listed) VALUES (?, ?, ?, true) USING TIMESTAMP 1",
            )
            .await?,
            seal_segment: prepare(&format!(
                "UPDATE KS.segments USING TIMESTAMP 2 SET sealed = true WHERE {segment}"
            ))
            .await?,
            unlist_segment: prepare(&format!("DELETE FROM KS.segments USING TIMESTAMP 3 WHERE {segment}")).await?,
            // Above the timestamps of all rows, which are negative.
            delete_segment: prepare(&format!("DELETE FROM KS.log USING TIMESTAMP 3 WHERE {segment}")).await?,
            write: prepare(
                "INSERT INTO KS.log (document, incarnation, segment, actor, counter, digest, operations, ops, subject, received) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
            )
            .await?,
            rows,
            heads,
            snapshots: prepare(&format!(
                "SELECT snapshot, head_bytes, body_bytes, checksum FROM KS.snapshots WHERE {document}"
            ))
            .await?,
            list_snapshot: prepare(
                "INSERT INTO KS.snapshots (document, incarnation, snapshot, head_bytes, body_bytes, checksum) \
                 VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP 1",
            )
            .await?,
            unlist_snapshot: prepare(&format!("DELETE FROM KS.snapshots USING TIMESTAMP 2 WHERE {snapshot}")).await?,
            delete_chunks: prepare(&format!("DELETE FROM KS.snapshot_chunks USING TIMESTAMP 2 WHERE {snapshot}")).await?,
            write_chunk: prepare(
                "INSERT INTO KS.snapshot_chunks (document, incarnation, snapshot, n, bytes) VALUES (?, ?, ?, ?, ?) \
                 USING TIMESTAMP 1",
            )
            .await?,
            chunk: prepare(&format!("SELECT bytes FROM KS.snapshot_chunks WHERE {snapshot} AND n = ?")).await?,
            // Every partition of the lists, in the order of tokens: page by page.
            segment_partitions: prepare("SELECT DISTINCT document, incarnation FROM KS.segments").await?,
            snapshot_partitions: prepare("SELECT DISTINCT document, incarnation FROM KS.snapshots").await?,
            names: prepare("SELECT document, incarnation FROM KS.documents").await?,
            set_incarnation: prepare("INSERT INTO KS.documents (document, incarnation) VALUES (?, ?) USING TIMESTAMP ?").await?,
            incarnation: prepare("SELECT incarnation FROM KS.documents WHERE document = ?").await?,
            format: prepare("SELECT value FROM KS.meta WHERE key = 'format'").await?,
        };
        if datacentres(session, keyspace) > 1 {
            statements.reach_every_datacentre();
        }
        Ok(statements)
    }

    /// Edits are written and read in one datacentre. What a fold does must be known in all of them before its next step, or a reader
    /// elsewhere would see a later step without the one before; and its last read must meet what any of them acknowledged.
    fn reach_every_datacentre(&mut self) {
        for step in [
            &mut self.write_chunk,
            &mut self.list_snapshot,
            &mut self.seal_segment,
            &mut self.unlist_segment,
            &mut self.unlist_snapshot,
            &mut self.set_incarnation,
        ] {
            step.set_consistency(Consistency::EachQuorum);
        }
        // Reads at EACH_QUORUM are not had everywhere.
        self.heads.set_consistency(Consistency::All);
    }
}

/// In how many datacentres the keyspace has replicas.
fn datacentres(session: &Session, keyspace: &str) -> usize {
    match session.get_cluster_state().get_keyspace(keyspace).map(|keyspace| &keyspace.strategy) {
        Some(Strategy::NetworkTopologyStrategy { datacenter_repfactors }) => {
            datacenter_repfactors.values().filter(|replicas| **replicas > 0).count()
        }
        _ => 1,
    }
}
