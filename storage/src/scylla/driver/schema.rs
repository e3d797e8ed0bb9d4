//! The tables: making them, and whether they are ours. For readers: `docs/src/protocol/cluster-format.md`.

use std::time::Duration;

use ::scylla::statement::Statement;
use tokio::time::Instant;

use super::super::address::Address;
use super::super::engine::store_error;
use super::super::retry::{Decision, Patience};
use super::connect::PATIENT_KEEPALIVE;
use super::failure::failure;
use super::{Driver, rows};
use crate::error::StoreError;

/// The format that this version reads and writes.
const FORMAT: u32 = 1;

/// How long a change of the schema may take: all nodes must agree.
const PATIENCE: Duration = Duration::from_secs(60);

/// For how long the lists remember what was taken off them, in seconds. What a replica keeps that was away for longer is of no
/// harm there: a segment that is listed and empty, a snapshot that another one covers.
const LIST_GRACE_SECONDS: u32 = 3 * 60 * 60;

/// What holds no rows is created in this order; `meta` comes last, and says that all are there.
fn tables(keyspace: &str) -> [String; 7] {
    let lists = format!("gc_grace_seconds = {LIST_GRACE_SECONDS}");
    [
        format!(
            "CREATE TABLE IF NOT EXISTS {keyspace}.log (document text, incarnation bigint, segment bigint, actor bigint, \
             counter bigint, digest blob, operations int, ops blob, subject text, received bigint, \
             PRIMARY KEY ((document, incarnation, segment), actor, counter, digest))"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {keyspace}.segments (document text, incarnation bigint, segment bigint, \
             listed boolean, sealed boolean, PRIMARY KEY ((document, incarnation), segment)) WITH {lists}"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {keyspace}.snapshot_chunks (document text, incarnation bigint, snapshot bigint, \
             n int, bytes blob, PRIMARY KEY ((document, incarnation, snapshot), n))"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {keyspace}.snapshots (document text, incarnation bigint, snapshot bigint, \
             head_bytes bigint, body_bytes bigint, checksum blob, PRIMARY KEY ((document, incarnation), snapshot)) \
             WITH {lists}"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {keyspace}.documents (document text PRIMARY KEY, incarnation bigint, state text, \
             policy text)"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {keyspace}.names (document text, incarnation bigint, name text, snapshot bigint, \
             PRIMARY KEY ((document, incarnation), name))"
        ),
        format!("CREATE TABLE IF NOT EXISTS {keyspace}.meta (key text PRIMARY KEY, value text)"),
    ]
}

/// How many copies of each row a new keyspace has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Replication(pub u8);

impl Default for Replication {
    fn default() -> Self {
        Self(3)
    }
}

/// Makes keyspace and tables where they are missing. May be repeated, by one process at a time: servers do not order changes of
/// the schema that come at once. A keyspace that is there keeps its replication.
///
/// # Errors
///
/// As for [`Driver::connect`]; [`StoreError::Schema`] when the tables have another format.
pub async fn init(address: &Address, replication: Replication) -> Result<(), StoreError> {
    let driver = Driver::connect_within(address, PATIENT_KEEPALIVE).await?;
    let keyspace = &address.keyspace;
    if let Some(found) = driver.format().await? {
        return check(keyspace, Some(found));
    }
    // In a datacentre that was named, else in each that there is.
    let place = address.datacenter.as_deref().unwrap_or("replication_factor").replace('\'', "''");
    driver
        .change(format!(
            "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = \
             {{'class': 'NetworkTopologyStrategy', '{place}': {}}}",
            replication.0
        ))
        .await?;
    for table in tables(keyspace) {
        driver.change(table).await?;
    }
    driver.change(format!("INSERT INTO {keyspace}.meta (key, value) VALUES ('format', '{FORMAT}')")).await
}

fn check(keyspace: &str, found: Option<u32>) -> Result<(), StoreError> {
    if found == Some(FORMAT) {
        return Ok(());
    }
    Err(StoreError::Schema { keyspace: keyspace.to_owned(), found, supported: FORMAT })
}

impl Driver {
    /// Whether the tables are there, in the format that this version reads.
    ///
    /// # Errors
    ///
    /// [`StoreError::Schema`] when they are not, [`StoreError::Unavailable`] when nobody knows.
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        check(&self.keyspace, self.format().await?)?;
        // Now, rather than in the way of the first edit.
        self.statements().await.map_err(store_error).map(drop)
    }

    /// The tables' format; `None` when there are none.
    async fn format(&self) -> Result<Option<u32>, StoreError> {
        let known = self
            .session
            .get_cluster_state()
            .get_keyspace(&self.keyspace)
            .is_some_and(|keyspace| keyspace.tables.contains_key("meta"));
        if !known {
            return Ok(None);
        }
        let mut statement = Statement::new(format!("SELECT value FROM {}.meta WHERE key = 'format'", self.keyspace));
        statement.set_is_idempotent(true);
        let answer = self.session.query_unpaged(statement, ()).await.map_err(failure).map_err(store_error)?;
        let found: Vec<(String,)> = rows(answer).map_err(store_error)?;
        // A number that is none is not ours, and certainly not older.
        Ok(found.first().map(|(value,)| value.parse().unwrap_or(u32::MAX)))
    }

    /// Changes the schema. One change at a time, each once in a moment: two nodes that make the same table at once make two.
    async fn change(&self, text: String) -> Result<(), StoreError> {
        let mut statement = Statement::new(text);
        statement.set_request_timeout(Some(PATIENCE));
        let started = Instant::now();
        let mut attempt = 0;
        loop {
            let failure = match self.session.query_unpaged(statement.clone(), ()).await {
                Ok(_) => return Ok(()),
                Err(error) => failure(error),
            };
            attempt += 1;
            match Patience(PATIENCE).decide(&failure, attempt, started.elapsed(), 0) {
                Decision::Again(pause) => {
                    tracing::warn!(%failure, "a change of the schema is sent again");
                    tokio::time::sleep(pause).await;
                    // What did not answer may have been done: all nodes must know before it is asked for again.
                    let _ = self.session.await_schema_agreement().await;
                }
                Decision::GiveUp => return Err(store_error(failure)),
            }
        }
    }
}
