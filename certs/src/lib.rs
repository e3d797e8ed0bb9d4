//! Development certificates and persisted keys.
//!
//! A relay on a developer's machine has no certificate that a browser trusts. It makes one of its own, and the page
//! tells the browser its hash (`serverCertificateHashes`), which browsers accept for short-lived ECDSA certificates
//! only. The random keys of a relay are kept in its data directory, so that a restarted relay is the same one to its
//! clients.
//!
//! - [`development`]: the certificate, its successor, and when one takes the other's place.
//! - [`keys`]: random keys that are made once and kept.
//!
//! Both write files that only their owner can read, whole or not at all, and synced.

pub mod development;
pub mod keys;

mod file;

pub use development::{Certificate, CertificateError, DevelopmentCertificate};
pub use keys::{KeyError, persisted_key};
