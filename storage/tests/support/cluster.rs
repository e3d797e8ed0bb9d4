//! The cluster's engine: on a cluster in memory, and on the real one that the environment names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use inkwire_document::VersionVector;
use inkwire_protocol::record::ActorRecord;
use inkwire_storage::scylla::address::Address;
use inkwire_storage::scylla::driver::{self, Replication};
use inkwire_storage::scylla::fence::Rules;
use inkwire_storage::scylla::model::ModelCluster;
use inkwire_storage::scylla::segments::Size;
use inkwire_storage::scylla::{Options, ScyllaStore};
use inkwire_storage::{Append, DocumentKey, Loaded, Store, StoreError};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

/// The address of the cluster to test with, whose tables are there.
pub fn address() -> Option<Address> {
    let text = std::env::var("INKWIRE_CQL_STORE").ok()?;
    Some(text.parse().expect("INKWIRE_CQL_STORE is an address"))
}

/// Small segments and a short fence, so that all of it happens.
pub fn options() -> Options {
    let segment = Size { rows: 5, bytes: 2_000 };
    Options { segment, fence: Rules::of(Duration::from_millis(50)), ..Options::default() }
}

/// The store whose cluster belongs to `directory`.
pub fn model(directory: &Path) -> Arc<dyn Store> {
    static CLUSTERS: LazyLock<Mutex<HashMap<PathBuf, ModelCluster>>> = LazyLock::new(Mutex::default);
    let cluster = CLUSTERS.lock().entry(directory.to_owned()).or_default().clone();
    Arc::new(ScyllaStore::on(Arc::new(cluster), options()))
}

/// Makes the tables, once for all tests of a process.
pub async fn init(address: &Address) {
    static READY: OnceCell<()> = OnceCell::const_new();
    READY.get_or_init(async || driver::init(address, Replication::default()).await.expect("tables are made")).await;
}

/// The store on the real cluster, in which documents of another `directory` do not exist.
pub async fn real(directory: &Path) -> Arc<dyn Store> {
    let address = address().expect("asked for only where there is one");
    init(&address).await;
    let store = ScyllaStore::connect(&address, options()).await.expect("the cluster is there");
    let prefix = directory.file_name().expect("it has a name").to_string_lossy().into_owned() + "/";
    Arc::new(Within { store, prefix })
}

/// A store in which every name has something before it.
struct Within {
    store: ScyllaStore,
    prefix: String,
}

impl Within {
    fn inner(&self, document: &DocumentKey) -> DocumentKey {
        DocumentKey::new(format!("{}{}", self.prefix, document.name), document.incarnation)
    }

    fn outer<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        result.map_err(|error| match error {
            StoreError::Diverged { document } => {
                let name = document.name.strip_prefix(&self.prefix).expect("it was put there");
                StoreError::Diverged { document: DocumentKey::new(name, document.incarnation) }
            }
            other => other,
        })
    }
}

#[async_trait]
impl Store for Within {
    async fn load(&self, document: &DocumentKey) -> Result<Loaded, StoreError> {
        self.store.load(&self.inner(document)).await
    }

    async fn append(&self, records: Vec<Append>) -> Result<(), StoreError> {
        let inner = |Append { document, record }| Append { document: self.inner(&document), record };
        self.store.append(records.into_iter().map(inner).collect()).await
    }

    async fn commit_snapshot(
        &self,
        document: &DocumentKey,
        snapshot: Bytes,
        version: VersionVector,
        actors: Vec<ActorRecord>,
    ) -> Result<(), StoreError> {
        self.outer(self.store.commit_snapshot(&self.inner(document), snapshot, version, actors).await)
    }

    async fn incarnation(&self, name: &str) -> Result<u64, StoreError> {
        self.store.incarnation(&format!("{}{name}", self.prefix)).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.store.health().await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
