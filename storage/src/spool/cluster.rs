//! A CQL cluster behind the spool.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Connected, Remote, Restarts};
use crate::error::StoreError;
use crate::scylla::address::Address;
use crate::scylla::driver::{CommitLog, Driver};
use crate::scylla::{Options, ScyllaStore};

/// What is added to the nodes' own period: clocks drift, and disks are slow.
const MARGIN: Duration = Duration::from_secs(5);

/// The cluster at an address.
#[derive(Debug)]
pub struct ClusterRemote {
    address: Address,
    options: Options,
}

impl ClusterRemote {
    /// The cluster at `address`, which is not spoken to yet.
    pub fn new(address: Address, options: Options) -> Self {
        Self { address, options }
    }
}

#[async_trait]
impl Remote for ClusterRemote {
    async fn connect(&self) -> Result<Connected, StoreError> {
        let store = ScyllaStore::connect(&self.address, self.options.clone()).await?;
        let address = &self.address;
        let restarts = match (store.commit_log(), store.driver()) {
            (Some(CommitLog::Synced) | None, _) | (_, None) => {
                tracing::info!(%address, "the store is a cluster whose nodes sync what they acknowledge");
                None
            }
            _ if address.accepts_unsynced => {
                tracing::warn!(
                    %address,
                    "the cluster's nodes acknowledge before they sync: what is called durable is lost if a quorum loses its power"
                );
                None
            }
            (Some(_), Some(driver)) => {
                let window = driver.sync_period().await + MARGIN;
                tracing::warn!(
                    %address,
                    window_seconds = window.as_secs(),
                    "the cluster's nodes acknowledge before they sync, or do not say: nothing is durable before this disk has it too"
                );
                Some(Arc::new(Nodes { driver, window }) as Arc<dyn Restarts>)
            }
        };
        Ok(Connected { store: Arc::new(store), restarts })
    }
}

#[derive(Debug)]
struct Nodes {
    driver: Arc<Driver>,
    window: Duration,
}

#[async_trait]
impl Restarts for Nodes {
    async fn starts(&self) -> BTreeMap<String, Option<i64>> {
        self.driver.starts().await
    }

    fn window(&self) -> Duration {
        self.window
    }
}
