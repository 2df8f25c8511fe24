//! Storages for tests: a disk in memory that can lose power, and one that stops at the n-th operation.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // each test uses its own part, and may unwrap

use checkpoint::storage::{FileInfo, Lock, ReadFile, Storage, WriteFile, WriteHint};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[path = "random.rs"]
mod random;

pub(crate) use random::Random;

/// A disk in memory. Contents and names are volatile until they are synced; [`Disk::lose_power`] keeps what
/// was synced, and of the rest whatever chance decides.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    files: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    /// Names as they are on disk.
    durable: BTreeMap<PathBuf, usize>,
    /// Changes of names that are not on disk yet, in order.
    pending: Vec<Change>,
    clock: u64,
}

#[derive(Clone, Debug, Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    modified: u64,
}

#[derive(Clone, Debug)]
enum Change {
    Create(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

fn apply(names: &mut BTreeMap<PathBuf, usize>, change: &Change) {
    match change {
        Change::Create(path, file) => {
            names.insert(path.clone(), *file);
        }
        Change::Rename(from, to) => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
        Change::Remove(path) => {
            names.remove(path);
        }
    }
}

impl Disk {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Puts a file on disk.
    pub fn put(&self, path: impl AsRef<Path>, content: impl Into<Vec<u8>>) {
        let mut inner = self.inner();
        let content = content.into();
        let content = Content { durable: content.clone(), now: content, modified: 0 };
        if let Some(&file) = inner.names.get(path.as_ref()) {
            inner.files[file] = content;
            return;
        }
        let file = inner.files.len();
        inner.files.push(content);
        inner.names.insert(path.as_ref().to_path_buf(), file);
        inner.durable.insert(path.as_ref().to_path_buf(), file);
    }

    pub fn get(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let inner = self.inner();
        inner.names.get(path.as_ref()).map(|&file| inner.files[file].now.clone())
    }

    pub fn paths(&self) -> Vec<PathBuf> {
        self.inner().names.keys().cloned().collect()
    }

    /// The disk as a reboot finds it. Changes of names that were not synced are there or not, each by
    /// itself; contents that were not synced are the old ones, cut short, or zeros.
    pub fn lose_power(&self, random: &mut Random) -> Disk {
        let inner = self.inner();
        let mut names = inner.durable.clone();
        for change in &inner.pending {
            if random.below(2) == 0 {
                apply(&mut names, change);
            }
        }
        let mut files = inner.files.clone();
        for file in &mut files {
            if file.now != file.durable {
                let cut = random.below(file.now.len() + 1);
                file.now = match random.below(4) {
                    0 => file.durable.clone(),
                    1 => file.now[..cut].to_vec(),
                    2 => vec![0; file.now.len()],
                    _ => file.now.clone(),
                };
            }
            file.durable = file.now.clone();
        }
        let rebooted =
            Inner { files, durable: names.clone(), names, pending: Vec::new(), clock: inner.clock };
        Disk(Arc::new(Mutex::new(rebooted)))
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Storage for Disk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        let content = self.get(path).ok_or_else(not_found)?;
        Ok(Arc::new(Bytes(content)))
    }

    fn create(&self, path: &Path, _: WriteHint) -> io::Result<Box<dyn WriteFile>> {
        let mut inner = self.inner();
        let file = inner.files.len();
        inner.clock += 1;
        let modified = inner.clock;
        inner.files.push(Content { modified, ..Content::default() });
        let change = Change::Create(path.to_path_buf(), file);
        apply(&mut inner.names, &change);
        inner.pending.push(change);
        Ok(Box::new(OpenFile { disk: self.clone(), file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        if !inner.names.contains_key(from) {
            return Err(not_found());
        }
        let change = Change::Rename(from.to_path_buf(), to.to_path_buf());
        apply(&mut inner.names, &change);
        inner.pending.push(change);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        if !inner.names.contains_key(path) {
            return Err(not_found());
        }
        let change = Change::Remove(path.to_path_buf());
        apply(&mut inner.names, &change);
        inner.pending.push(change);
        Ok(())
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.durable = inner.names.clone();
        inner.pending.clear();
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let inside = |file: &&PathBuf| file.parent() == Some(path);
        Ok(self
            .inner()
            .names
            .keys()
            .filter(inside)
            .map(|file| file.file_name().unwrap().to_owned())
            .collect())
    }

    fn metadata(&self, path: &Path) -> io::Result<FileInfo> {
        let inner = self.inner();
        let time = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        if let Some(&file) = inner.names.get(path) {
            let content = &inner.files[file];
            return Ok(FileInfo::file(content.now.len() as u64, time(content.modified)));
        }
        // Every other path is a folder as far as a test is concerned, if it has no dot.
        if path.extension().is_none() { Ok(FileInfo::dir(time(0))) } else { Err(not_found()) }
    }

    fn lock(&self, _: &Path, _: &str) -> io::Result<Lock> {
        Ok(Lock::Held { guard: Arc::new(()), first: true })
    }
}

#[derive(Debug)]
struct Bytes(Vec<u8>);

impl ReadFile for Bytes {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let range = start..start.saturating_add(buffer.len());
        buffer.copy_from_slice(self.0.get(range).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

#[derive(Debug)]
struct OpenFile {
    disk: Disk,
    file: usize,
}

impl WriteFile for OpenFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.inner().files[self.file].now.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let content = &mut self.disk.inner().files[self.file];
        content.durable = content.now.clone();
        Ok(())
    }
}

/// The fault that occurs at the n-th operation that changes the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It and all later ones fail, as if the program had been killed there.
    Freeze,
    /// It fails once: the disk is full.
    Full,
    /// The process kills itself with SIGKILL.
    Kill,
}

/// A storage that meets its fate at the n-th changing operation (counted from 0). A write that fails has
/// written half of its bytes.
#[derive(Clone, Debug)]
pub struct Faulty {
    inner: Arc<dyn Storage>,
    count: Arc<AtomicU64>,
    at: u64,
    fate: Fate,
}

impl Faulty {
    pub fn new(inner: Arc<dyn Storage>, at: u64, fate: Fate) -> Faulty {
        Faulty { inner, count: Arc::default(), at, fate }
    }

    /// Returns the number of changing operations so far.
    pub fn operations(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn step(&self) -> io::Result<()> {
        let n = self.count.fetch_add(1, Ordering::Relaxed);
        match self.fate {
            Fate::Freeze if n >= self.at => Err(io::Error::other("killed")),
            Fate::Full if n == self.at => Err(io::ErrorKind::StorageFull.into()),
            Fate::Kill if n == self.at => kill(),
            _ => Ok(()),
        }
    }
}

fn kill() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    loop {
        std::thread::park();
    }
}

impl Storage for Faulty {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        self.inner.open(path)
    }

    fn create(&self, path: &Path, hint: WriteHint) -> io::Result<Box<dyn WriteFile>> {
        self.step()?;
        Ok(Box::new(FaultyFile { inner: self.inner.create(path, hint)?, storage: self.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        self.inner.remove(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        self.inner.create_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        self.inner.sync_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.inner.list(path)
    }

    fn metadata(&self, path: &Path) -> io::Result<FileInfo> {
        self.inner.metadata(path)
    }

    fn lock(&self, path: &Path, owner: &str) -> io::Result<Lock> {
        self.inner.lock(path, owner)
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Box<dyn WriteFile>,
    storage: Faulty,
}

impl WriteFile for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let half = &bytes[..bytes.len() / 2];
        let n = self.storage.operations();
        if n == self.storage.at {
            self.inner.write(half)?;
        }
        self.storage.step()?;
        self.inner.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.storage.step()?;
        self.inner.sync()
    }
}

/// A time for tests.
pub fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}
