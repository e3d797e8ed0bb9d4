//! Whom the client trusts, the same for all transports.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// What makes a relay's certificate good.
#[derive(Clone, Debug)]
pub(crate) enum Trust {
    /// Its SHA-256 is one of these, as a page gives them to `serverCertificateHashes`; names and dates do not matter.
    Hashes(Vec<[u8; 32]>),
    /// An authority that this machine trusts vouches for it.
    Authorities,
}

/// A TLS configuration for the protocol that `alpn` names.
///
/// # Errors
///
/// If this machine has no certificate authorities and they are needed.
pub(crate) fn configuration(trust: Trust, alpn: &[u8]) -> Result<ClientConfig, Error> {
    // In the relay's order, which a feature of the crate would change.
    let kx_groups = {
        use aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
        vec![X25519, SECP256R1, SECP384R1, X25519MLKEM768]
    };
    let provider = Arc::new(CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() });
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut configuration = match trust {
        Trust::Hashes(hashes) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Pinned { hashes, provider }))
            .with_no_client_auth(),
        Trust::Authorities => {
            let mut roots = RootCertStore::empty();
            let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if added == 0 {
                return Err(Error::General("this machine trusts no certificate authority".to_owned()));
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
    };
    configuration.alpn_protocols = vec![alpn.to_vec()];
    Ok(configuration)
}

#[derive(Debug)]
struct Pinned {
    hashes: Vec<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let sha256 = aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256
            .tls13()
            .map(|suite| suite.common.hash_provider.hash(certificate))
            .ok_or_else(|| Error::General("no SHA-256".to_owned()))?;
        if self.hashes.iter().any(|hash| hash == sha256.as_ref()) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
