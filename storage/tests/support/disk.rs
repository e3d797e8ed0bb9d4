//! A disk in memory that keeps only what was synced when it loses power, and whose syncs fail on demand.
//!
//! What was written and not synced is in the page cache: reads see it, a power cut keeps any part of it, sector by
//! sector. A sync that fails leaves the page cache as it is and forgets that it is not on the disk, as Linux does: no
//! later sync writes it. Names are the file system's own metadata, which it keeps dirty until a sync succeeds.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::Arc;

use inkwire_storage::embedded::disk::{Disk, DiskFile};
use parking_lot::{Condvar, Mutex};

use super::Random;

const SECTOR: usize = 512;

#[derive(Clone, Debug)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
    gate: Arc<Gate>,
}

/// Holds syncs up until it is opened.
#[derive(Debug, Default)]
struct Gate {
    /// Whether syncs are held up, and how many are.
    state: Mutex<(bool, u64)>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock();
        if state.0 {
            state.1 += 1;
            self.changed.notify_all();
            while state.0 {
                self.changed.wait(&mut state);
            }
            state.1 -= 1;
        }
    }
}

#[derive(Clone, Debug, Default)]
struct State {
    inodes: HashMap<u64, Inode>,
    next_inode: u64,
    /// Names as the page cache has them, and as the disk has them.
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// Changes of names that are not durable, in order.
    name_changes: Vec<NameChange>,
    /// Writes, syncs and changes of names so far.
    operations: u64,
    syncs: u64,
    cut_at: Option<u64>,
    fail_sync: Option<u64>,
    is_cut: bool,
}

#[derive(Clone, Debug)]
enum NameChange {
    Set(String, u64),
    Remove(String),
}

#[derive(Clone, Debug, Default)]
struct Inode {
    cached: Vec<u8>,
    durable: Vec<u8>,
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

impl Inode {
    fn apply(bytes: &mut Vec<u8>, change: &Change) {
        match change {
            Change::Write(offset, written) => {
                let end = offset + written.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*offset..end].copy_from_slice(written);
            }
            Change::SetLen(length) => bytes.resize(*length, 0),
        }
    }

    fn change(&mut self, change: Change) {
        Self::apply(&mut self.cached, &change);
        self.changes.push(change);
    }

    fn sync(&mut self) {
        for change in self.changes.drain(..) {
            Self::apply(&mut self.durable, &change);
        }
    }

    /// What the disk has after a power cut: any of the sectors that were not synced may have made it.
    fn after_power_loss(&self, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        // Some cuts keep nothing, some all, most a part.
        let keep_percent = [0, 100, 50, 80, 20][random.below(5) as usize];
        for change in &self.changes {
            match change {
                Change::SetLen(_) => {
                    if random.chance(keep_percent) {
                        Self::apply(&mut bytes, change);
                    }
                }
                Change::Write(offset, written) => {
                    let mut at = 0;
                    while at < written.len() {
                        let end = written.len().min((offset + at) / SECTOR * SECTOR + SECTOR - offset);
                        if random.chance(keep_percent) {
                            Self::apply(&mut bytes, &Change::Write(offset + at, written[at..end].to_vec()));
                        }
                        at = end;
                    }
                }
            }
        }
        bytes
    }
}

fn cut() -> io::Error {
    io::Error::other("the power is off")
}

impl State {
    /// Counts an operation; the one at which the power is cut does not happen.
    fn operate(&mut self) -> io::Result<()> {
        self.operations += 1;
        if self.cut_at.is_some_and(|at| self.operations >= at) {
            self.is_cut = true;
        }
        if self.is_cut { Err(cut()) } else { Ok(()) }
    }

    /// Counts a sync; the one that is to fail fails.
    fn sync_fails(&mut self) -> bool {
        self.syncs += 1;
        self.fail_sync == Some(self.syncs)
    }

    fn inode(&mut self, inode: u64) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&inode).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl SimulatedDisk {
    pub fn new() -> Self {
        Self { state: Arc::default(), gate: Arc::default() }
    }

    /// Cuts the power at the operation with this number, from 1.
    pub fn cut_at(&self, operation: u64) {
        self.state.lock().cut_at = Some(operation);
    }

    /// Cuts the power now.
    pub fn cut_now(&self) {
        self.state.lock().is_cut = true;
    }

    /// Lets the sync with this number, from 1, fail.
    pub fn fail_sync(&self, sync: u64) {
        self.state.lock().fail_sync = Some(sync);
    }

    /// Holds up every sync of a file from now on.
    pub fn hold_syncs(&self) {
        self.gate.state.lock().0 = true;
    }

    /// Blocks until a sync is held up.
    pub fn wait_for_held_sync(&self) {
        let mut state = self.gate.state.lock();
        while state.1 == 0 {
            self.gate.changed.wait(&mut state);
        }
    }

    /// Lets syncs go on.
    pub fn release_syncs(&self) {
        self.gate.state.lock().0 = false;
        self.gate.changed.notify_all();
    }

    pub fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    pub fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    /// The disk as the machine finds it when the power is back.
    pub fn after_power_loss(&self, random: &mut Random) -> Self {
        let state = self.state.lock();
        let mut names = state.durable_names.clone();
        // A journaling file system keeps the order of changes of names.
        let kept = random.below(state.name_changes.len() as u64 + 1) as usize;
        for change in &state.name_changes[..kept] {
            match change {
                NameChange::Set(name, inode) => names.insert(name.clone(), *inode),
                NameChange::Remove(name) => names.remove(name),
            };
        }
        let mut after = State { next_inode: state.next_inode, ..State::default() };
        for inode in names.values() {
            let bytes = state.inodes[inode].after_power_loss(random);
            after.inodes.insert(*inode, Inode { cached: bytes.clone(), durable: bytes, changes: Vec::new() });
        }
        after.durable_names = names.clone();
        after.names = names;
        Self { state: Arc::new(Mutex::new(after)), gate: Arc::default() }
    }

    /// A copy with the page cache as it is: what another process finds after this one was killed.
    pub fn after_kill(&self) -> Self {
        let state = State { cut_at: None, fail_sync: None, is_cut: false, ..self.state.lock().clone() };
        Self { state: Arc::new(Mutex::new(state)), gate: Arc::default() }
    }

    pub fn names(&self) -> Vec<String> {
        self.state.lock().names.keys().cloned().collect()
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let state = self.state.lock();
        state.inodes[&state.names[name]].cached.clone()
    }

    /// Puts other bytes in place of a file's, durably.
    pub fn damage(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.state.lock();
        let inode = state.names[name];
        state.inodes.insert(inode, Inode { cached: bytes.clone(), durable: bytes, changes: Vec::new() });
    }

    /// Removes a file, durably.
    pub fn lose(&self, name: &str) {
        let mut state = self.state.lock();
        state.names.remove(name);
        state.durable_names.remove(name);
    }
}

impl Disk for SimulatedDisk {
    fn directory(&self) -> &Path {
        Path::new("simulated")
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state.lock();
        let inode = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimulatedFile { disk: self.clone(), inode }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        state.operate()?;
        state.next_inode += 1;
        let inode = state.next_inode;
        state.inodes.insert(inode, Inode::default());
        state.names.insert(name.to_owned(), inode);
        state.name_changes.push(NameChange::Set(name.to_owned(), inode));
        Ok(Arc::new(SimulatedFile { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.operate()?;
        let inode = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), inode);
        // In one step, as a rename is.
        state.name_changes.push(NameChange::Set(to.to_owned(), inode));
        state.name_changes.push(NameChange::Remove(from.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.operate()?;
        state.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        state.name_changes.push(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.operate()?;
        if state.sync_fails() {
            return Err(io::Error::other("the sync of the directory failed"));
        }
        let changes = std::mem::take(&mut state.name_changes);
        for change in changes {
            match change {
                NameChange::Set(name, inode) => state.durable_names.insert(name, inode),
                NameChange::Remove(name) => state.durable_names.remove(&name),
            };
        }
        Ok(())
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    inode: u64,
}

impl DiskFile for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state.lock().inode(self.inode)?.cached.len() as u64)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        if state.is_cut {
            return Err(cut());
        }
        let cached = &state.inode(self.inode)?.cached;
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = offset.checked_add(bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(cached.get(offset..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        state.operate()?;
        state.inode(self.inode)?.change(Change::Write(offset as usize, bytes.to_vec()));
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        state.operate()?;
        state.inode(self.inode)?.change(Change::SetLen(length as usize));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.gate.pass();
        let mut state = self.disk.state.lock();
        state.operate()?;
        if state.sync_fails() {
            // The pages are clean now, and not on the disk.
            state.inode(self.inode)?.changes.clear();
            return Err(io::Error::other("the sync failed"));
        }
        state.inode(self.inode)?.sync();
        Ok(())
    }
}
