//! Persisted keys: made once, kept, never guessed.

use std::fs;

use inkwire_certs::{KeyError, persisted_key};

#[test]
fn a_key_is_made_once() {
    let directory = tempfile::tempdir().unwrap();
    let nested = directory.path().join("data");
    let key: [u8; 64] = persisted_key(&nested, "stateless-reset").unwrap();
    assert_eq!(persisted_key::<64>(&nested, "stateless-reset").unwrap(), key);
    let other: [u8; 64] = persisted_key(&nested, "connection-id").unwrap();
    assert_ne!(other, key);
    let names: Vec<_> = fs::read_dir(&nested).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "nothing temporary is left: {names:?}");
}

#[test]
fn processes_that_start_at_once_share_the_key() {
    let directory = tempfile::tempdir().unwrap();
    let keys: Vec<[u8; 32]> = std::thread::scope(|scope| {
        let start = || persisted_key(directory.path(), "receipt");
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
    });
    assert!(keys.iter().all(|key| *key == keys[0]));
}

#[test]
fn a_file_of_another_size_is_an_error_that_names_it_and_stays() {
    let directory = tempfile::tempdir().unwrap();
    for size in [0, 31, 33, 4096] {
        let path = directory.path().join("token.key");
        fs::write(&path, vec![7; size]).unwrap();
        let error = persisted_key::<32>(directory.path(), "token").unwrap_err();
        assert!(matches!(error, KeyError::Length { expected: 32, .. }), "{error}");
        assert!(error.to_string().contains("token.key"), "{error}");
        assert_eq!(fs::metadata(&path).unwrap().len(), size as u64);
    }
}

#[cfg(unix)]
#[test]
fn only_the_owner_reads_a_key() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    persisted_key::<32>(directory.path(), "receipt").unwrap();
    let mode = fs::metadata(directory.path().join("receipt.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
