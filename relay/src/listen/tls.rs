//! Certificates: one that can change while the relay runs, and the TLS configurations built on it.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::settings::TlsFiles;

/// The one provider of cryptography, always given explicitly: a process may hold several, and rustls would pick none.
pub fn provider() -> Arc<CryptoProvider> {
    use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
    // By name: which of them a provider prefers is a feature of the crate, and so any dependency's choice. A hybrid with ML-KEM first
    // makes a handshake one datagram longer each way.
    let kx_groups = vec![kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1, kx_group::X25519MLKEM768];
    Arc::new(CryptoProvider { kx_groups, ..default_provider() })
}

/// Why a certificate cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file is not what it should be.
    #[error("cannot read the certificate {file}: {source}")]
    Read {
        /// The file.
        file: std::path::PathBuf,
        /// What is wrong.
        source: rustls::pki_types::pem::Error,
    },
    /// Chain and key do not go together, or cannot be used.
    #[error("the certificate cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// The certificate that new handshakes get. Replacing it takes effect at once and disturbs no connection.
pub struct CurrentCertificate {
    key: ArcSwap<CertifiedKey>,
}

impl fmt::Debug for CurrentCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CurrentCertificate").finish_non_exhaustive()
    }
}

impl CurrentCertificate {
    /// Starts with this chain and key.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Arc<Self>, CertificateError> {
        let key = CertifiedKey::from_der(chain, key, &provider())?;
        Ok(Arc::new(Self { key: ArcSwap::from_pointee(key) }))
    }

    /// Reads chain and key from files.
    pub fn read(files: &TlsFiles) -> Result<Arc<Self>, CertificateError> {
        let (chain, key) = read_files(files)?;
        Self::new(chain, key)
    }

    /// Takes another chain and key from now on.
    pub fn replace(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<(), CertificateError> {
        self.key.store(Arc::new(CertifiedKey::from_der(chain, key, &provider())?));
        Ok(())
    }

    /// Reads the files again, as after a renewal.
    pub fn reload(&self, files: &TlsFiles) -> Result<(), CertificateError> {
        let (chain, key) = read_files(files)?;
        self.replace(chain, key)
    }
}

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key.load_full())
    }
}

fn read_files(files: &TlsFiles) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), CertificateError> {
    let failed = |file: &std::path::Path| {
        let file = file.to_owned();
        move |source| CertificateError::Read { file, source }
    };
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(failed(&files.certificate))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(failed(&files.key))?;
    Ok((chain, key))
}

/// TLS over TCP, for HTTP/1.1: a WebSocket begins as a request of it.
pub fn tcp_config(certificate: Arc<CurrentCertificate>) -> Result<Arc<rustls::ServerConfig>, rustls::Error> {
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// TLS inside QUIC, for HTTP/3.
pub fn quic_config(certificate: Arc<CurrentCertificate>) -> Result<rustls::ServerConfig, rustls::Error> {
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![web_transport_quinn::ALPN.as_bytes().to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use rustls::NamedGroup;

    use super::*;

    #[test]
    fn the_key_exchange_is_ours_to_order() {
        let groups: Vec<NamedGroup> = provider().kx_groups.iter().map(|group| group.name()).collect();
        let last = NamedGroup::X25519MLKEM768;
        assert_eq!(groups, [NamedGroup::X25519, NamedGroup::secp256r1, NamedGroup::secp384r1, last]);
    }
}
