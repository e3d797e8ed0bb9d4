//! The relay's own certificate: published by its hashes, and taken up anew before it ends.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use inkwire_certs::DevelopmentCertificate;

use crate::listen::tls::{CertificateError, CurrentCertificate};
use crate::settings::TlsFiles;

/// How often files and dates are looked at. Timers do not count while a machine sleeps, so one long one would not do.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);

/// The SHA-256 hashes of the current certificate and the next.
pub struct Hashes(ArcSwap<[[u8; 32]; 2]>);

impl Hashes {
    /// These to begin with.
    pub fn new(hashes: [[u8; 32]; 2]) -> Self {
        Self(ArcSwap::from_pointee(hashes))
    }

    /// The current certificate's first.
    pub fn current(&self) -> [[u8; 32]; 2] {
        **self.0.load()
    }
}

/// Where the relay's certificate comes from, and what keeps it fresh.
pub enum CertificateSource {
    /// Files, read again when they change.
    Files {
        /// The files.
        files: TlsFiles,
        /// When they last changed.
        changed: Option<SystemTime>,
    },
    /// Made by the relay.
    Own {
        /// Current and next.
        certificate: Box<DevelopmentCertificate>,
        /// What pages are told.
        hashes: Arc<Hashes>,
    },
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// One of one's own could not be had.
    #[error(transparent)]
    Own(#[from] inkwire_certs::CertificateError),
    /// The given one cannot be used.
    #[error(transparent)]
    Given(#[from] CertificateError),
}

impl CertificateSource {
    /// Opens the given certificate, or the one in `directory`, which is made where it is missing.
    pub fn open(given: Option<&TlsFiles>, directory: PathBuf) -> Result<(Self, Arc<CurrentCertificate>), OpenError> {
        if let Some(files) = given {
            let changed = last_change(files);
            let current = CurrentCertificate::read(files)?;
            return Ok((Self::Files { files: files.clone(), changed }, current));
        }
        let certificate = Box::new(DevelopmentCertificate::load_or_create(&directory, SystemTime::now())?);
        let hashes = Arc::new(Hashes::new(certificate.sha256_hashes()));
        let current =
            CurrentCertificate::new(vec![certificate.current().der().clone()], certificate.current().key_der())?;
        Ok((Self::Own { certificate, hashes }, current))
    }

    /// The hashes to publish, where browsers need them.
    pub fn hashes(&self) -> Option<Arc<Hashes>> {
        match self {
            Self::Files { .. } => None,
            Self::Own { hashes, .. } => Some(Arc::clone(hashes)),
        }
    }

    /// Looks once a minute whether there is a newer certificate, and takes it up.
    pub async fn keep_fresh(mut self, current: Arc<CurrentCertificate>) {
        let mut interval = tokio::time::interval(LOOK_INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            match self.refresh(&current, SystemTime::now()) {
                Ok(true) => tracing::info!("a new certificate is in use"),
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "the certificate cannot be renewed; the old one stays in use"),
            }
        }
    }

    /// Takes up a newer certificate if there is one at `now`; says whether there was.
    pub fn refresh(&mut self, current: &CurrentCertificate, now: SystemTime) -> Result<bool, OpenError> {
        match self {
            Self::Files { files, changed } => {
                let seen = last_change(files);
                if seen == *changed {
                    return Ok(false);
                }
                current.reload(files)?;
                *changed = seen;
                Ok(true)
            }
            Self::Own { certificate, hashes } => {
                if !certificate.renew(now)? {
                    return Ok(false);
                }
                current.replace(vec![certificate.current().der().clone()], certificate.current().key_der())?;
                hashes.0.store(Arc::new(certificate.sha256_hashes()));
                Ok(true)
            }
        }
    }
}

fn last_change(files: &TlsFiles) -> Option<SystemTime> {
    let modified = |file| std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok();
    modified(&files.certificate).max(modified(&files.key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_certificate_is_taken_up_anew_before_it_ends() {
        let directory = tempfile::tempdir().unwrap();
        let (mut source, current) = CertificateSource::open(None, directory.path().to_owned()).unwrap();
        let hashes = source.hashes().unwrap();
        let before = hashes.current();
        let now = SystemTime::now();
        assert!(!source.refresh(&current, now).unwrap());
        assert_eq!(hashes.current(), before);
        assert!(source.refresh(&current, now + Duration::from_secs(13 * 24 * 3600)).unwrap());
        let after = hashes.current();
        assert_eq!(after[0], before[1], "the announced one takes over");
        assert_ne!(after[1], before[1]);
    }

    #[test]
    fn given_files_are_read_again_when_they_change() {
        let directory = tempfile::tempdir().unwrap();
        let files = TlsFiles { certificate: directory.path().join("chain.pem"), key: directory.path().join("key.pem") };
        let write = |seconds: u64| {
            let pair = rcgen::generate_simple_self_signed(vec!["relay.example".to_owned()]).unwrap();
            std::fs::write(&files.certificate, pair.cert.pem()).unwrap();
            std::fs::write(&files.key, pair.signing_key.serialize_pem()).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            for file in [&files.certificate, &files.key] {
                std::fs::File::options().write(true).open(file).unwrap().set_modified(time).unwrap();
            }
        };
        assert!(CertificateSource::open(Some(&files), directory.path().to_owned()).is_err());
        write(1_000_000);
        let (mut source, current) = CertificateSource::open(Some(&files), directory.path().to_owned()).unwrap();
        assert!(source.hashes().is_none());
        assert!(!source.refresh(&current, SystemTime::now()).unwrap());
        write(2_000_000);
        assert!(source.refresh(&current, SystemTime::now()).unwrap());
        assert!(!source.refresh(&current, SystemTime::now()).unwrap());
        std::fs::write(&files.key, "broken").unwrap();
        assert!(source.refresh(&current, SystemTime::now()).is_err());
    }
}
