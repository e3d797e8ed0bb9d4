//! The session: who is spoken to, and what a node that hangs costs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::scylla::client::execution_profile::ExecutionProfile;
use ::scylla::client::session::Session;
use ::scylla::client::session_builder::SessionBuilder;
use ::scylla::errors::NewSessionError;
use ::scylla::policies::load_balancing::DefaultPolicy;
use ::scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;
use ::scylla::statement::Consistency;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::super::address::Address;
use crate::error::StoreError;

/// How long the first connection may take.
const CONNECT: Duration = Duration::from_secs(15);

/// How long the driver waits for an answer, its own repetitions included; the server's own limit for a write is 2 s.
const REQUEST: Duration = Duration::from_secs(5);

/// How often a connection is asked for a sign of life, and how long that may take: with the driver's 30 s a stopped node stops
/// all writes for 5 s at a time. A little over a second, below which the driver warns of itself.
pub(super) const KEEPALIVE: Duration = Duration::from_millis(1_100);

/// The same for a session that changes the schema, during which a node may say nothing for seconds.
pub(super) const PATIENT_KEEPALIVE: Duration = Duration::from_secs(30);

/// After how long an idempotent statement is sent to another replica too, and to how many. A hung node is then not felt at all.
const SPECULATION: (Duration, usize) = (Duration::from_millis(300), 2);

/// Opens a session whose connections must show a sign of life within `keepalive`.
pub(super) async fn session(address: &Address, keepalive: Duration) -> Result<Session, StoreError> {
    let balancing = DefaultPolicy::builder().token_aware(true);
    let balancing = match &address.datacenter {
        Some(name) => balancing.prefer_datacenter(name.clone()),
        None => balancing,
    };
    let profile = ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .request_timeout(Some(REQUEST))
        .load_balancing_policy(balancing.build())
        .speculative_execution_policy(Some(Arc::new(SimpleSpeculativeExecutionPolicy {
            max_retry_count: SPECULATION.1,
            retry_interval: SPECULATION.0,
        })))
        .build();
    let mut builder = SessionBuilder::new()
        .default_execution_profile_handle(profile.into_handle())
        .keepalive_interval(keepalive)
        .keepalive_timeout(keepalive)
        .known_nodes(address.nodes.iter().map(|(host, port)| match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        }));
    if let Some((user, password)) = &address.login {
        builder = builder.user(user, password);
    }
    if let Some(file) = &address.authorities {
        builder = builder.tls_context(Some(Arc::new(tls(file)?)));
    }
    match tokio::time::timeout(CONNECT, builder.build()).await {
        Ok(Ok(session)) => Ok(session),
        Ok(Err(error)) => Err(refused(address, &error)),
        Err(_) => Err(unreachable(address, &format!("no answer within {} s", CONNECT.as_secs()))),
    }
}

fn unreachable(address: &Address, reason: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unavailable { reason: format!("{address} cannot be reached: {reason}"), source: None }
}

fn refused(address: &Address, error: &NewSessionError) -> StoreError {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    let is_login = text.contains("uthentication") || text.contains("credentials");
    if is_login {
        StoreError::Refused { reason: format!("{address} does not accept the login: {text}") }
    } else {
        unreachable(address, &text)
    }
}

/// TLS that trusts the authorities in `file` alone.
fn tls(file: &Path) -> Result<rustls::ClientConfig, StoreError> {
    let bad = |reason: &dyn std::fmt::Display| StoreError::Refused { reason: format!("{}: {reason}", file.display()) };
    let mut authorities = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| bad(&error))? {
        authorities.add(certificate.map_err(|error| bad(&error))?).map_err(|error| bad(&error))?;
    }
    if authorities.is_empty() {
        return Err(bad(&"there is no certificate in it"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&error))?;
    Ok(builder.with_root_certificates(authorities).with_no_client_auth())
}
