//! The statements, by ScyllaDB's own driver, which speaks to Apache Cassandra as well.
//!
//! Every statement is prepared once, idempotent and at LOCAL_QUORUM, has its partition's whole key bound, and goes to a replica.
//! Every write has its timestamp in it. None binds a null, and none is a lightweight transaction.
//!
//! - `connect`: the session: who is spoken to, what a hung node costs, TLS.
//! - `statements`: their texts, prepared.
//! - `schema`: the tables: making them, and whether they are ours.
//! - `commit_log`: when the nodes sync what they acknowledge.
//! - `failure`: the driver's errors in our kinds.

mod commit_log;
mod connect;
mod failure;
mod schema;
mod statements;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::scylla::client::session::Session;
use ::scylla::deserialize::row::DeserializeRow;
use ::scylla::response::query_result::QueryResult;
use ::scylla::response::{PagingState, PagingStateResponse};
use ::scylla::serialize::row::SerializeRow;
use ::scylla::statement::batch::{Batch, BatchStatement, BatchType};
use ::scylla::statement::prepared::PreparedStatement;
use async_trait::async_trait;
use bytes::Bytes;
use inkwire_document::{Actor, Batch as Operations};
use inkwire_protocol::record::{Digest, LogRecord};
use tokio::sync::{OnceCell, Semaphore};

use self::failure::{failure, malformed};
use self::statements::Statements;
use super::address::Address;
use super::cluster::{Cluster, Failure, Page, Place, Row, RowHead, SegmentId, SegmentRow, SnapshotId, SnapshotRow};
use crate::error::StoreError;
use crate::store::DocumentKey;

pub use self::commit_log::CommitLog;
pub use self::schema::{Replication, init};

/// Statements that may be under way at a time. One that the driver gave up still costs the server: this is what keeps a slow
/// cluster from being handed ever more.
const IN_FLIGHT: usize = 256;

/// A session with a cluster.
pub struct Driver {
    session: Session,
    keyspace: String,
    statements: OnceCell<Statements>,
    in_flight: Semaphore,
}

impl fmt::Debug for Driver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Driver").field("keyspace", &self.keyspace).finish_non_exhaustive()
    }
}

impl Driver {
    /// Connects to the cluster.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when no node answers, [`StoreError::Refused`] when the certificates cannot be read or the
    /// cluster does not accept the login.
    pub async fn connect(address: &Address) -> Result<Self, StoreError> {
        Self::connect_within(address, connect::KEEPALIVE).await
    }

    async fn connect_within(address: &Address, keepalive: Duration) -> Result<Self, StoreError> {
        let session = connect::session(address, keepalive).await?;
        let keyspace = address.keyspace.clone();
        Ok(Self { session, keyspace, statements: OnceCell::new(), in_flight: Semaphore::new(IN_FLIGHT) })
    }

    async fn statements(&self) -> Result<&Statements, Failure> {
        self.statements.get_or_try_init(|| Statements::prepare(&self.session, &self.keyspace)).await
    }

    async fn run(&self, statement: &PreparedStatement, values: impl SerializeRow) -> Result<QueryResult, Failure> {
        let _slot = self.in_flight.acquire().await;
        self.session.execute_unpaged(statement, values).await.map_err(failure)
    }

    async fn page<T, R>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
        from: Place,
        row: impl Fn(R) -> Result<T, Failure>,
    ) -> Result<Page<T>, Failure>
    where
        R: for<'frame> DeserializeRow<'frame, 'frame>,
    {
        let _slot = self.in_flight.acquire().await;
        let state = from.0.map_or_else(PagingState::start, |place| PagingState::new_from_raw_bytes(&*place));
        let (result, next) = self.session.execute_single_page(statement, values, state).await.map_err(failure)?;
        let next = match next {
            PagingStateResponse::HasMorePages { state } => {
                Some(Place(state.as_bytes_slice().map(|bytes| Arc::from(&bytes[..]))))
            }
            PagingStateResponse::NoMorePages => None,
        };
        Ok(Page { rows: rows(result)?.into_iter().map(row).collect::<Result<_, _>>()?, next })
    }

    /// All keys of documents that a statement gives, page by page.
    async fn keys(
        &self,
        statement: &PreparedStatement,
        mut each: impl FnMut(DocumentKey) + Send,
    ) -> Result<(), Failure> {
        let mut place = Some(Place::default());
        while let Some(from) = place {
            let row = |(name, incarnation): (String, i64)| Ok(DocumentKey::new(name, incarnation.cast_unsigned()));
            let page = self.page(statement, (), from, row).await?;
            page.rows.into_iter().for_each(&mut each);
            place = page.next;
        }
        Ok(())
    }

    /// All rows of a short answer, page by page.
    async fn all<T, R>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow + Copy,
        row: impl Fn(R) -> Result<T, Failure>,
    ) -> Result<Vec<T>, Failure>
    where
        R: for<'frame> DeserializeRow<'frame, 'frame>,
    {
        let mut all = Vec::new();
        let mut place = Some(Place::default());
        while let Some(from) = place {
            let page = self.page(statement, values, from, &row).await?;
            all.extend(page.rows);
            place = page.next;
        }
        Ok(all)
    }
}

/// The first few keys of many.
struct Smallest {
    keys: std::collections::BTreeSet<DocumentKey>,
    limit: usize,
}

impl Smallest {
    fn new(limit: usize) -> Self {
        Self { keys: std::collections::BTreeSet::new(), limit }
    }

    fn take(&mut self, key: DocumentKey) {
        if self.keys.len() < self.limit || self.keys.last().is_some_and(|last| key < *last) {
            self.keys.insert(key);
            if self.keys.len() > self.limit {
                self.keys.pop_last();
            }
        }
    }

    fn into_sorted(self) -> Vec<DocumentKey> {
        self.keys.into_iter().collect()
    }
}

fn rows<R>(result: QueryResult) -> Result<Vec<R>, Failure>
where
    R: for<'frame> DeserializeRow<'frame, 'frame>,
{
    let result = result.into_rows_result().map_err(malformed)?;
    let rows = result.rows::<R>().map_err(malformed)?;
    rows.collect::<Result<_, _>>().map_err(malformed)
}

/// A document's part of every key.
fn key(document: &DocumentKey) -> (&str, i64) {
    (&document.name, document.incarnation.cast_signed())
}

/// What is bound for a row of the log, in the order of the statement.
type RowValues<'a> = (&'a str, i64, i64, i64, i64, &'a [u8], i32, &'a [u8], &'a str, i64, i64);

fn row_values<'a>(document: &'a DocumentKey, segment: SegmentId, row: &'a Row) -> RowValues<'a> {
    let (name, incarnation) = key(document);
    let Row { arrival, record } = row;
    (
        name,
        incarnation,
        segment.0.cast_signed(),
        record.batch.actor.0.cast_signed(),
        record.batch.first.cast_signed(),
        &record.digest.0,
        record.batch.count.cast_signed(),
        &record.batch.operations,
        &record.subject,
        record.received_millis.cast_signed(),
        // Of two writes of one row the earlier arrival stays: it has the higher timestamp.
        -arrival,
    )
}

#[async_trait]
impl Cluster for Driver {
    async fn segments(&self, document: &DocumentKey) -> Result<Vec<SegmentRow>, Failure> {
        let row = |(id, sealed): (i64, Option<bool>)| {
            Ok(SegmentRow { id: SegmentId(id.cast_unsigned()), sealed: sealed == Some(true) })
        };
        self.all(&self.statements().await?.segments, key(document), row).await
    }

    async fn segment(&self, document: &DocumentKey, segment: SegmentId) -> Result<Option<SegmentRow>, Failure> {
        let (name, incarnation) = key(document);
        let values = (name, incarnation, segment.0.cast_signed());
        let found: Vec<(Option<bool>,)> = rows(self.run(&self.statements().await?.segment, values).await?)?;
        Ok(found.first().map(|(sealed,)| SegmentRow { id: segment, sealed: *sealed == Some(true) }))
    }

    async fn list_segment(&self, document: &DocumentKey, segment: SegmentId) -> Result<(), Failure> {
        let (name, incarnation) = key(document);
        let values = (name, incarnation, segment.0.cast_signed());
        self.run(&self.statements().await?.list_segment, values).await.map(drop)
    }

    async fn seal_segment(&self, document: &DocumentKey, segment: SegmentId) -> Result<(), Failure> {
        let (name, incarnation) = key(document);
        let values = (name, incarnation, segment.0.cast_signed());
        self.run(&self.statements().await?.seal_segment, values).await.map(drop)
    }

    async fn unlist_segment(&self, document: &DocumentKey, segment: SegmentId) -> Result<(), Failure> {
        let (name, incarnation) = key(document);
        let values = (name, incarnation, segment.0.cast_signed());
        self.run(&self.statements().await?.unlist_segment, values).await.map(drop)
    }

    async fn delete_segment(&self, document: &DocumentKey, segment: SegmentId) -> Result<(), Failure> {
        let (name, incarnation) = key(document);
        let values = (name, incarnation, segment.0.cast_signed());
        self.run(&self.statements().await?.delete_segment, values).await.map(drop)
    }

    async fn write(&self, document: &DocumentKey, segment: SegmentId, rows: &[Row]) -> Result<(), Failure> {
        let write = &self.statements().await?.write;
        if let [row] = rows {
            return self.run(write, row_values(document, segment, row)).await.map(drop);
        }
        let statements = std::iter::repeat_n(BatchStatement::PreparedStatement(write.clone()), rows.len()).collect();
        let mut batch = Batch::new_with_statements(BatchType::Unlogged, statements);
        // The batch's own flag counts, not its statements'.
        batch.set_is_idempotent(true);
        let values: Vec<RowValues<'_>> = rows.iter().map(|row| row_values(document, segment, row)).collect();
        let _slot = self.in_flight.acquire().await;
        self.session.batch(&batch, values).await.map_err(failure).map(drop)
    }

    async fn rows(&self, document: &DocumentKey, segment: SegmentId, from: Place) -> Result<Page<Row>, Failure> {
        type Columns = (i64, i64, Vec<u8>, i32, Vec<u8>, String, i64, i64);
        let (name, incarnation) = key(document);
        let row = |(actor, first, digest, count, operations, subject, received, written): Columns| {
            let digest = Digest(digest.try_into().map_err(|_| malformed("a digest has not 32 bytes"))?);
            let batch = Operations {
                actor: Actor(actor.cast_unsigned()),
                first: first.cast_unsigned(),
                count: count.cast_unsigned(),
                operations: operations.into(),
            };
            let received_millis = received.cast_unsigned();
            let record = LogRecord { batch, subject: subject.into(), received_millis, digest };
            Ok(Row { arrival: written.saturating_neg(), record })
        };
        let values = (name, incarnation, segment.0.cast_signed());
        self.page(&self.statements().await?.rows, values, from, row).await
    }

    async fn heads(&self, document: &DocumentKey, segment: SegmentId, from: Place) -> Result<Page<RowHead>, Failure> {
        let (name, incarnation) = key(document);
        let row = |(actor, first, count): (i64, i64, i32)| {
            Ok(RowHead {
                actor: Actor(actor.cast_unsigned()),
                first: first.cast_unsigned(),
                count: count.cast_unsigned(),
            })
        };
        let values = (name, incarnation, segment.0.cast_signed());
        self.page(&self.statements().await?.heads, values, from, row).await
    }

    async fn snapshots(&self, document: &DocumentKey) -> Result<Vec<SnapshotRow>, Failure> {
        let row = |(id, head, body, checksum): (i64, i64, i64, Vec<u8>)| {
            let checksum = checksum.try_into().map_err(|_| malformed("a checksum has not 32 bytes"))?;
            Ok(SnapshotRow {
                id: SnapshotId(id.cast_unsigned()),
                head_bytes: head.cast_unsigned(),
                body_bytes: body.cast_unsigned(),
                checksum: Digest(checksum),
            })
        };
        self.all(&self.statements().await?.snapshots, key(document), row).await
    }

    async fn list_snapshot(&self, document: &DocumentKey, snapshot: &SnapshotRow) -> Result<(), Failure> {
        let (name, incarnation) = key(document);
        let values = (
            name,
            incarnation,
            snapshot.id.0.cast_signed(),
            snapshot.head_bytes.cast_signed(),
            snapshot.body_bytes.cast_signed(),
            &snapshot.checksum.0[..],
        );
        self.run(&self.statements().await?.list_snapshot, values).await.map(drop)
    }

    async fn unlist_snapshot(&self, document: &DocumentKey, snapshot: SnapshotId) -> Result<(), Failure> {
        let (name, incarnation) = key(document);
        let values = (name, incarnation, snapshot.0.cast_signed());
        self.run(&self.statements().await?.unlist_snapshot, values).await.map(drop)
    }

    async fn delete_chunks(&self, document: &DocumentKey, snapshot: SnapshotId) -> Result<(), Failure> {
        let (name, incarnation) = key(document);
        let values = (name, incarnation, snapshot.0.cast_signed());
        self.run(&self.statements().await?.delete_chunks, values).await.map(drop)
    }

    async fn write_chunk(
        &self,
        document: &DocumentKey,
        snapshot: SnapshotId,
        number: u32,
        bytes: &Bytes,
    ) -> Result<(), Failure> {
        let (name, incarnation) = key(document);
        let values = (name, incarnation, snapshot.0.cast_signed(), number.cast_signed(), &bytes[..]);
        self.run(&self.statements().await?.write_chunk, values).await.map(drop)
    }

    async fn chunk(&self, document: &DocumentKey, snapshot: SnapshotId, number: u32) -> Result<Option<Bytes>, Failure> {
        let (name, incarnation) = key(document);
        let values = (name, incarnation, snapshot.0.cast_signed(), number.cast_signed());
        let found: Vec<(Vec<u8>,)> = rows(self.run(&self.statements().await?.chunk, values).await?)?;
        Ok(found.into_iter().next().map(|(bytes,)| bytes.into()))
    }

    async fn documents(&self, after: Option<&DocumentKey>, limit: usize) -> Result<Vec<DocumentKey>, Failure> {
        let statements = self.statements().await?;
        let mut first = Smallest::new(limit);
        for statement in [&statements.segment_partitions, &statements.snapshot_partitions] {
            self.keys(statement, |key| {
                if Some(&key) > after {
                    first.take(key);
                }
            })
            .await?;
        }
        Ok(first.into_sorted())
    }

    async fn deleted(&self, after: Option<&str>, limit: usize) -> Result<Vec<DocumentKey>, Failure> {
        let mut first = Smallest::new(limit);
        self.keys(&self.statements().await?.names, |key| {
            if Some(&*key.name) > after {
                first.take(key);
            }
        })
        .await?;
        Ok(first.into_sorted())
    }

    async fn set_incarnation(&self, name: &str, incarnation: u64, at: i64) -> Result<(), Failure> {
        let values = (name, incarnation.cast_signed(), at);
        self.run(&self.statements().await?.set_incarnation, values).await.map(drop)
    }

    async fn incarnation(&self, name: &str) -> Result<Option<u64>, Failure> {
        let found: Vec<(i64,)> = rows(self.run(&self.statements().await?.incarnation, (name,)).await?)?;
        Ok(found.first().map(|(incarnation,)| incarnation.cast_unsigned()))
    }

    async fn health(&self) -> Result<(), Failure> {
        self.run(&self.statements().await?.format, ()).await.map(drop)
    }
}
