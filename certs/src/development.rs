//! The development certificate and its successor.
//!
//! Two certificates exist at any time: the current one, and the next, which takes its place a day before the current
//! one ends. The hashes of both are published, so that a page that was loaded before the change still trusts the relay
//! after it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::file::write_private;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long a certificate is valid. Chromium trusts one by its hash only when this is at most 14 days; a day is left
/// for clocks that differ.
pub const VALIDITY: Duration = Duration::from_secs(13 * 24 * 3600);

/// How long before a certificate's end its successor takes its place.
pub const RENEW_BEFORE: Duration = DAY;

/// How much later than the current certificate the next one starts: both are valid when one takes the other's place,
/// and the next one then still has most of its life before it.
const STAGGER: Duration = Duration::from_secs(6 * 24 * 3600);

/// How far before the moment of its making a certificate starts, for clocks that are behind.
const BACKDATE: Duration = Duration::from_secs(3600);

/// Why there is no development certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A certificate's file could not be read.
    #[error("the certificate {} cannot be read", path.display())]
    Read {
        /// The file with certificate and key.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A certificate's file could not be written.
    #[error("the certificate {} cannot be written", path.display())]
    Write {
        /// The file with certificate and key.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A certificate's file does not hold what this crate writes.
    #[error("the certificate {} cannot be used: {reason}; remove it to have a new one made", path.display())]
    Invalid {
        /// The file with certificate and key.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No certificate could be made.
    #[error("no certificate could be made")]
    Generate(#[from] rcgen::Error),
    /// The clock shows a time before 1970 or after 9999.
    #[error("the clock shows a time that a certificate cannot carry")]
    Clock,
}

/// One certificate with its key.
#[derive(Debug)]
pub struct Certificate {
    der: CertificateDer<'static>,
    key: KeyPair,
    valid_from: SystemTime,
    valid_until: SystemTime,
}

impl Certificate {
    /// The certificate as DER.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The private key as PKCS #8 DER.
    pub fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    /// The certificate as PEM.
    pub fn pem(&self) -> String {
        pem("CERTIFICATE", &self.der)
    }

    /// The private key as PKCS #8 PEM.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// SHA-256 of the DER: what `serverCertificateHashes` takes.
    pub fn sha256(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, &self.der).as_ref());
        hash
    }

    /// The first moment at which it is valid.
    pub fn valid_from(&self) -> SystemTime {
        self.valid_from
    }

    /// The last moment at which it is valid, [`VALIDITY`] after the first.
    pub fn valid_until(&self) -> SystemTime {
        self.valid_until
    }

    /// Makes an ECDSA P-256 certificate for localhost, 127.0.0.1 and ::1 that starts at `valid_from`.
    fn issue(valid_from: SystemTime) -> Result<Self, CertificateError> {
        // Certificates carry whole seconds.
        let seconds = unix_seconds(valid_from)?;
        let valid_from = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let valid_until = valid_from + VALIDITY;
        let mut params = CertificateParams::new(["localhost", "127.0.0.1", "::1"].map(str::to_owned))?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Inkwire development");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = date(seconds)?;
        params.not_after = date(unix_seconds(valid_until)?)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let der = params.self_signed(&key)?.der().clone();
        Ok(Self { der, key, valid_from, valid_until })
    }

    /// Whether it can be taken into use at `now`, with at least [`RENEW_BEFORE`] of its life left.
    fn serves(&self, now: SystemTime) -> bool {
        self.valid_from <= now && now + RENEW_BEFORE < self.valid_until
    }

    /// What its file holds: the times, which a reader of the PEM skips, the certificate and the key.
    fn to_file(&self) -> Result<String, CertificateError> {
        Ok(format!(
            "Inkwire development certificate\nValid-From: {}\nValid-Until: {}\n{}{}",
            unix_seconds(self.valid_from)?,
            unix_seconds(self.valid_until)?,
            self.pem(),
            self.key_pem(),
        ))
    }

    fn from_file(text: &str) -> Result<Self, String> {
        let time = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let seconds =
                line.and_then(|seconds| seconds.trim().parse().ok()).ok_or(format!("no time after {name}"))?;
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).ok_or(format!("no time after {name}"))
        };
        let der = CertificateDer::from_pem_slice(text.as_bytes()).map_err(|error| error.to_string())?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).map_err(|error| error.to_string())?;
        let key =
            KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256).map_err(|error| error.to_string())?;
        Ok(Self { der, key, valid_from: time("Valid-From:")?, valid_until: time("Valid-Until:")? })
    }
}

/// The current certificate and the one that follows it.
#[derive(Debug)]
pub struct DevelopmentCertificate {
    directory: PathBuf,
    current: Certificate,
    next: Certificate,
}

impl DevelopmentCertificate {
    /// Loads both certificates from `directory`, making what is missing or no longer of use at `now`.
    ///
    /// # Errors
    ///
    /// Each names the file; see [`CertificateError`]. A file that cannot be understood is an error and stays as it is.
    pub fn load_or_create(directory: &Path, now: SystemTime) -> Result<Self, CertificateError> {
        let kept = |certificate: &Certificate| certificate.serves(now);
        let stored = (load(&current_path(directory))?, load(&next_path(directory))?);
        let (current, next) = match stored {
            (Some(current), next) if kept(&current) => (current, next),
            (_, Some(next)) if kept(&next) => {
                save(&current_path(directory), &next)?;
                (next, None)
            }
            _ => {
                let current = Certificate::issue(now - BACKDATE)?;
                save(&current_path(directory), &current)?;
                (current, None)
            }
        };
        // A successor is of use when it is there at the change and outlives the current one.
        let change = current.valid_until - RENEW_BEFORE;
        let next = match next {
            Some(next) if next.serves(change) => next,
            _ => issue_next(directory, &current)?,
        };
        Ok(Self { directory: directory.to_owned(), current, next })
    }

    /// The certificate to serve with.
    pub fn current(&self) -> &Certificate {
        &self.current
    }

    /// The certificate that follows: only its hash is of use before [`renew_at`](Self::renew_at).
    pub fn next(&self) -> &Certificate {
        &self.next
    }

    /// The SHA-256 hashes of both, the current one's first: what a page is told.
    pub fn sha256_hashes(&self) -> [[u8; 32]; 2] {
        [self.current.sha256(), self.next.sha256()]
    }

    /// When the next certificate takes the current one's place: call [`renew`](Self::renew) then.
    pub fn renew_at(&self) -> SystemTime {
        self.current.valid_until - RENEW_BEFORE
    }

    /// Puts the next certificate in the current one's place when it is time at `now`, and makes a new next one. Returns
    /// whether the current certificate is another one now.
    ///
    /// # Errors
    ///
    /// As for [`load_or_create`](Self::load_or_create); the certificates are then as they were.
    pub fn renew(&mut self, now: SystemTime) -> Result<bool, CertificateError> {
        if self.current.serves(now) {
            return Ok(false);
        }
        let renewed = Self::load_or_create(&self.directory, now)?;
        let changed = renewed.current.der != self.current.der;
        *self = renewed;
        Ok(changed)
    }
}

fn current_path(directory: &Path) -> PathBuf {
    directory.join("development-certificate.pem")
}

fn next_path(directory: &Path) -> PathBuf {
    directory.join("development-certificate-next.pem")
}

fn issue_next(directory: &Path, current: &Certificate) -> Result<Certificate, CertificateError> {
    let next = Certificate::issue(current.valid_from + STAGGER)?;
    save(&next_path(directory), &next)?;
    Ok(next)
}

fn load(path: &Path) -> Result<Option<Certificate>, CertificateError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(CertificateError::Read { path: path.to_owned(), source }),
    };
    match Certificate::from_file(&text) {
        Ok(certificate) => Ok(Some(certificate)),
        Err(reason) => Err(CertificateError::Invalid { path: path.to_owned(), reason }),
    }
}

fn save(path: &Path, certificate: &Certificate) -> Result<(), CertificateError> {
    write_private(path, certificate.to_file()?.as_bytes(), true)
        .map_err(|source| CertificateError::Write { path: path.to_owned(), source })
}

fn unix_seconds(time: SystemTime) -> Result<u64, CertificateError> {
    time.duration_since(SystemTime::UNIX_EPOCH).map(|since| since.as_secs()).map_err(|_| CertificateError::Clock)
}

fn date(unix_seconds: u64) -> Result<time::OffsetDateTime, CertificateError> {
    let seconds = i64::try_from(unix_seconds).map_err(|_| CertificateError::Clock)?;
    time::OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| CertificateError::Clock)
}

fn pem(label: &str, der: &[u8]) -> String {
    use std::fmt::Write;

    let mut text = format!("-----BEGIN {label}-----\n");
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        // Writing to a string cannot fail, and base64 is ASCII.
        let _ = writeln!(text, "{}", String::from_utf8_lossy(line));
    }
    let _ = writeln!(text, "-----END {label}-----");
    text
}
