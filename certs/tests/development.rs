//! The development certificate over its life: made, kept, renewed, refused.

use std::fs;
use std::time::{Duration, SystemTime};

use inkwire_certs::development::{CertificateError, DevelopmentCertificate, RENEW_BEFORE, VALIDITY};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + 20_000 * DAY
}

#[test]
fn each_start_finds_the_certificate_that_its_page_trusts() {
    // Days since the first start → whether the current certificate is (the first, the first's successor) one.
    let cases = [
        ("at once", 0.0, true, false),
        ("within its life", 11.8, true, false),
        ("a day before its end", 12.1, false, true),
        ("when it has ended", 14.0, false, true),
        ("when both have ended", 40.0, false, false),
        ("when the clock went back", -1.0, false, false),
    ];
    for (name, days, first, successor) in cases {
        let directory = tempfile::tempdir().unwrap();
        let original = DevelopmentCertificate::load_or_create(directory.path(), start()).unwrap();
        let elapsed = DAY.mul_f64(f64::abs(days));
        let now = if days < 0.0 { start() - elapsed } else { start() + elapsed };
        let loaded = DevelopmentCertificate::load_or_create(directory.path(), now).unwrap();
        let hash = loaded.current().sha256();
        assert_eq!(hash == original.current().sha256(), first, "{name}");
        assert_eq!(hash == original.next().sha256(), successor, "{name}");
        assert!(loaded.current().valid_from() <= now && now < loaded.current().valid_until(), "{name}");
        assert!(loaded.next().valid_from() <= loaded.renew_at(), "{name}: there at the change");
        assert!(loaded.next().valid_until() > loaded.renew_at() + RENEW_BEFORE, "{name}: outlives the change");
    }
}

#[test]
fn a_running_relay_takes_the_next_one_up() {
    let directory = tempfile::tempdir().unwrap();
    let mut certificate = DevelopmentCertificate::load_or_create(directory.path(), start()).unwrap();
    let mut now = start();
    assert!(!certificate.renew(now).unwrap());
    for round in 0..10 {
        let [_, published] = certificate.sha256_hashes();
        now = certificate.renew_at();
        assert!(certificate.renew(now).unwrap(), "round {round}");
        assert_eq!(certificate.current().sha256(), published, "round {round}: its hash was known ahead");
        assert!(!certificate.renew(now).unwrap(), "round {round}: once");
        assert!(certificate.renew_at() > now + DAY, "round {round}");
    }
}

#[test]
fn browsers_accept_its_kind() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = DevelopmentCertificate::load_or_create(directory.path(), start()).unwrap();
    let current = certificate.current();
    assert_eq!(current.valid_until().duration_since(current.valid_from()).unwrap(), VALIDITY);
    assert!(VALIDITY < 14 * DAY);
    let holds = |needle: &[u8]| current.der().windows(needle.len()).any(|window| window == needle);
    // Object identifiers and names as they lie in the DER: P-256, ecdsa-with-SHA256, the three names.
    assert!(holds(&[0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07]));
    assert!(holds(&[0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02]));
    assert!(holds(b"localhost"));
    assert!(holds(&[0x87, 4, 127, 0, 0, 1]));
    assert!(holds(&[0x87, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]));
    assert!(current.pem().starts_with("-----BEGIN CERTIFICATE-----\n"));
    assert!(current.key_pem().starts_with("-----BEGIN PRIVATE KEY-----"));
}

#[test]
fn a_damaged_file_is_an_error_that_names_it_and_stays() {
    let directory = tempfile::tempdir().unwrap();
    DevelopmentCertificate::load_or_create(directory.path(), start()).unwrap();
    for name in ["development-certificate.pem", "development-certificate-next.pem"] {
        let path = directory.path().join(name);
        let whole = fs::read_to_string(&path).unwrap();
        for damaged in ["", "nonsense", &whole.replace("Valid-From", "Valid"), &whole[..whole.len() / 2]] {
            fs::write(&path, damaged).unwrap();
            let error = DevelopmentCertificate::load_or_create(directory.path(), start()).unwrap_err();
            assert!(matches!(error, CertificateError::Invalid { .. }), "{error}");
            assert!(error.to_string().contains(name), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
        }
        fs::write(&path, whole).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn only_the_owner_reads_the_keys() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    DevelopmentCertificate::load_or_create(directory.path(), start()).unwrap();
    let files: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(files.len(), 2, "nothing temporary is left: {files:?}");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
}
