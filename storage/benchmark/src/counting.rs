//! A disk that counts the syncs of journals: the embedded store's commits.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use inkwire_storage::embedded::disk::{Directory, Disk, DiskFile};

#[derive(Debug)]
pub struct CountingDisk {
    inner: Directory,
    pub commits: Arc<AtomicU64>,
}

impl CountingDisk {
    pub fn open(directory: &Path) -> Self {
        let inner = Directory::open(directory).expect("the directory opens");
        Self { inner, commits: Arc::default() }
    }

    fn counted(&self, name: &str, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        if name.starts_with("journal-") { Arc::new(CountingFile { file, commits: self.commits.clone() }) } else { file }
    }
}

impl Disk for CountingDisk {
    fn directory(&self) -> &Path {
        self.inner.directory()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.counted(name, self.inner.open(name)?))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.counted(name, self.inner.create(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.inner.sync_directory()
    }
}

#[derive(Debug)]
struct CountingFile {
    file: Arc<dyn DiskFile>,
    commits: Arc<AtomicU64>,
}

impl DiskFile for CountingFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, bytes)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.file.sync()
    }
}
