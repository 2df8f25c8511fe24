//! A folder that is saved into: its lock, whose it is, and what may be removed from it.

use crate::bundle::{Layout, index_identity, layout, remove_data};
use crate::clock::readable;
use crate::commit::Mark;
use crate::journal::{Journal, Publishing};
use crate::prefix::{self, Part};
use crate::sidecar;
use crate::storage::{LocalStorage, Lock, Storage, check_file, create_folder};
use crate::{Error, Result};
use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::SystemTime;
use tensor::text::escaped;
use wire::crc;

/// The file that is locked. It stays behind: removing it would let two processes lock two files.
pub(crate) const LOCK_FILE: &str = "checkpoint.lock";

/// A folder as this process holds it; all savers of the process share it.
pub(crate) struct Folder {
    /// The absolute path, which stays valid if the working folder changes.
    path: PathBuf,
    /// Absent where locks are off.
    lock: Option<Arc<dyn Any + Send + Sync>>,
    /// The mark of unfinished files where locks are off, so that none may be removed later.
    unlocked: Mark,
    /// True if what killed saves left is still to be removed.
    untidy: AtomicBool,
    /// Guards the folder's files: one save goes after the other. The journal is read at the first.
    journal: Mutex<Option<Journal>>,
    /// The training that owns the folder. The lock is held only to look it up.
    claim: Mutex<Weak<Claim>>,
}

impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Folder").field("path", &self.path).field("locked", &self.lock.is_some()).finish()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the folders that this process has locked, by the address of the lock's guard, which all who share a
/// lock have in common. Guarded while a lock is taken, so that two threads do not make two of one.
fn folders() -> MutexGuard<'static, HashMap<usize, Weak<Folder>>> {
    static FOLDERS: OnceLock<Mutex<HashMap<usize, Weak<Folder>>>> = OnceLock::new();
    locked(FOLDERS.get_or_init(Mutex::default))
}

impl Folder {
    /// Locks a folder, if that is wanted.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process has it; [`Error::Io`].
    pub(crate) fn hold(
        storage: &Arc<dyn Storage>,
        directory: &Path,
        lock: bool,
        now: SystemTime,
    ) -> Result<Arc<Folder>> {
        let folder = |lock, untidy| {
            Arc::new(Folder {
                path: storage.canonical(directory).unwrap_or_else(|_| directory.to_path_buf()),
                lock,
                unlocked: Mark::new(),
                untidy: AtomicBool::new(untidy),
                journal: Mutex::default(),
                claim: Mutex::default(),
            })
        };
        // Not entered into the table: without a lock there is no guard to recognize the folder by, and each
        // saver is on its own.
        if !lock {
            return Ok(folder(None, false));
        }
        let path = directory.join(LOCK_FILE);
        // A pipe of this name would block the open below for good.
        check_file(storage.as_ref(), &path)?;
        // Held across the taking of the lock. Otherwise two threads could both get the guard and make two
        // folders of it.
        let mut known = folders();
        match storage.lock(&path, &format!("{}\n", owner(now))) {
            Ok(Lock::Held { guard, first }) => {
                // The storage gives all users of one lock the same guard, so its address identifies the
                // folder however it was spelled.
                let address = Arc::as_ptr(&guard).addr();
                // An address may be used again after its guard is gone. A folder holds its guard, so the old
                // entry has expired by then.
                if let Some(folder) = known.get(&address).and_then(Weak::upgrade) {
                    return Ok(folder);
                }
                known.retain(|_, folder| folder.strong_count() > 0);
                let folder = folder(Some(guard), first);
                known.insert(address, Arc::downgrade(&folder));
                Ok(folder)
            }
            Ok(Lock::Busy(holder)) => {
                let holder = if holder.is_empty() { "another process".to_owned() } else { holder };
                Err(Error::Locked { directory: directory.to_path_buf(), holder })
            }
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                // Network file systems may have no locks. A save without one is better than none, as with
                // TensorFlow.
                log::warn!("no lock on {}: {error}", escaped(directory.display()));
                Ok(folder(None, false))
            }
            Err(error) => Err(Error::io("lock", &path)(error)),
        }
    }

    /// Waits until nothing else writes into the folder, and keeps it so.
    pub(crate) fn writing<'f>(&'f self, storage: &'f Arc<dyn Storage>, durable: bool) -> Result<Writing<'f>> {
        let mut journal = locked(&self.journal);
        if journal.is_none() {
            *journal = Some(self.begin(storage, durable)?);
        }
        Ok(Writing { folder: self, storage, journal, durable })
    }

    /// Reads the journal, removes what killed saves left, and sees to it that the mark of the files to
    /// come is on disk.
    fn begin(&self, storage: &Arc<dyn Storage>, durable: bool) -> Result<Journal> {
        let mut journal = Journal::read(storage.as_ref(), &self.path)?;
        // Another process may be in the middle of a save: what looks like leftovers may be its files.
        if self.lock.is_none() {
            return Ok(journal);
        }
        // Relaxed is enough: the caller holds the lock on the journal.
        if self.untidy.swap(false, Ordering::Relaxed) {
            self.tidy(storage.as_ref(), &mut journal);
        }
        if journal.mark.is_none() {
            journal.mark = Some(Mark::new());
            // On disk before the first unfinished file is created, so that after a crash every such file can
            // be recognized by its name.
            journal.begin(storage, &self.path, durable)?;
        }
        Ok(journal)
    }

    // ---- tidying up ---------------------------------------------------------------------------------

    /// Removes what an interrupted save left, and forgets checkpoints that are gone. Only called under the
    /// lock. Files that cannot be removed are logged.
    fn tidy(&self, storage: &dyn Storage, journal: &mut Journal) {
        let names = match prefix::file_names(storage, &self.path) {
            Ok(names) => names,
            Err(error) => {
                log::warn!("cannot list {}: {error}", escaped(self.path.display()));
                return;
            }
        };
        // Without a mark no saver has written here under a journal, so nothing is known to be ours.
        let Some(mark) = journal.mark else { return };
        if let Some(publishing) = journal.publishing.clone() {
            let prefix = self.path.join(&publishing.written.name);
            // The rename of the index is the moment at which a checkpoint exists: after it a save is
            // finished, before it undone.
            if index_identity(storage, &prefix).is_ok_and(|save| save == publishing.written.save) {
                remove_replaced(storage, &publishing, &prefix);
                journal.complete();
            } else {
                self.remove_published(storage, &publishing, (&prefix, mark), &names);
                journal.publishing = None;
            }
        }
        // After the interrupted save: `remove_published` reads its unfinished index.
        for name in names.iter().filter(|name| mark.target_of(name).is_some()) {
            remove(storage, &self.path.join(name));
        }
        let stems: HashSet<&str> =
            names.iter().filter_map(|name| prefix::parse(name)).map(|(stem, _)| stem).collect();
        journal.written.retain(|written| stems.contains(written.name.as_str()));
    }

    /// A save was interrupted while its files got their names. The index got none: it still lies there as
    /// an unfinished file and states the length of the data, so that a file that another program has put in
    /// their place since is not taken for them.
    fn remove_published(
        &self,
        storage: &dyn Storage,
        publishing: &Publishing,
        (prefix, mark): (&Path, Mark),
        names: &[String],
    ) {
        let index = mark.temporary(&prefix::index_path(prefix));
        let Ok(Layout { identity, num_shards, lengths }) = layout(storage, &index) else { return };
        // The unfinished index of another attempt says nothing about files that have their names.
        if identity != publishing.written.save {
            return;
        }
        let unfinished = |target: &Path| {
            let name = mark.temporary(target);
            names.iter().any(|known| name.file_name().is_some_and(|name| name == known.as_str()))
        };
        // An index with as many shards uses the names of these data files, whoever wrote it.
        let taken =
            layout(storage, &prefix::index_path(prefix)).is_ok_and(|now| now.num_shards == num_shards);
        for (path, part) in prefix::files_of(storage, prefix).unwrap_or_default() {
            let Part::Data { shard, num_shards: count } = part else { continue };
            let length = lengths.get(&shard).copied().unwrap_or(0);
            let ours = !taken && count == num_shards && !unfinished(&path);
            if ours && storage.metadata(&path).is_ok_and(|info| info.len == length) {
                remove(storage, &path);
            }
        }
        for path in sidecar::of_save(storage, prefix, identity) {
            remove(storage, &path);
        }
        if let (Some(name), Some(content)) = (&publishing.written.meta, publishing.meta) {
            let path = self.path.join(name);
            // A meta graph that replaced an older one belongs to the older checkpoint now, which has no
            // other.
            let alone = publishing.replaces.is_none() && !unfinished(&path);
            if alone && has_content(storage, &path, content) {
                remove(storage, &path);
            }
        }
        // Before the other unfinished files: their absence tells that they were published.
        remove(storage, &index);
    }
}

/// A save was interrupted between its last two steps: the old files of its prefix are still there.
fn remove_replaced(storage: &dyn Storage, publishing: &Publishing, prefix: &Path) {
    let Some(old) = publishing.replaces else { return };
    if old.num_shards != publishing.written.num_shards {
        remove_data(storage, prefix, old.num_shards);
    }
    for path in sidecar::of_save(storage, prefix, old.identity) {
        remove(storage, &path);
    }
}

/// Returns true if a file has this checksum and length.
fn has_content(storage: &dyn Storage, path: &Path, (crc, len): (u32, u64)) -> bool {
    let read = || {
        let file = storage.open(path).ok().filter(|file| file.len().is_ok_and(|found| found == len))?;
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        file.read_exact_at(&mut bytes, 0).ok()?;
        Some(bytes)
    };
    read().is_some_and(|bytes| crc::crc32c(&bytes) == crc)
}

fn remove(storage: &dyn Storage, path: &Path) {
    match storage.remove(path) {
        Ok(()) => log::info!("removed {}, left by an interrupted save", escaped(path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            log::warn!("cannot remove {}, left by an interrupted save: {error}", escaped(path.display()))
        }
    }
}

/// The right to change the files of a folder, until it is dropped.
pub(crate) struct Writing<'f> {
    folder: &'f Folder,
    storage: &'f Arc<dyn Storage>,
    journal: MutexGuard<'f, Option<Journal>>,
    durable: bool,
}

impl Writing<'_> {
    /// Returns the mark of unfinished files.
    pub(crate) fn mark(&mut self) -> Mark {
        let unlocked = self.folder.unlocked;
        let locked = self.folder.lock.is_some();
        // Without a lock a mark of its own, known to nobody: no other process takes these files for leftovers
        // and removes them.
        self.journal().mark.filter(|_| locked).unwrap_or(unlocked)
    }

    pub(crate) fn journal(&mut self) -> &mut Journal {
        self.journal.get_or_insert_default()
    }

    /// Writes down that the files of a checkpoint are about to get their names.
    pub(crate) fn announce(&mut self, publishing: Publishing) -> Result<()> {
        self.journal().publishing = Some(publishing);
        let (folder, storage, mark, durable) = (self.folder, self.storage, self.mark(), self.durable);
        self.journal().write(storage, &folder.path, mark, durable)
    }

    /// Removes at once what a save that failed has left.
    pub(crate) fn undo(&mut self) {
        let (folder, storage) = (self.folder, self.storage);
        if folder.lock.is_some() && self.journal().publishing.is_some() {
            folder.tidy(storage.as_ref(), self.journal());
        }
    }
}

// ---- whose it is ------------------------------------------------------------------------------------

/// Describes this process to others.
fn owner(now: SystemTime) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { String::new() } else { format!(" on {}", host.trim()) };
    format!("process {}{host} since {}", std::process::id(), readable(now))
}

/// The description with which a training claims a folder.
#[derive(Debug)]
struct Claim {
    training: String,
    since: SystemTime,
    /// Keeps the lock.
    folder: Arc<Folder>,
}

/// The right of one training to save into a folder: as long as this exists, no other process and no other
/// training of this process gets it.
///
/// A [`Saver`](crate::Saver) alone only keeps other processes out, and only from its first save on. A program that
/// trains for hours wants to know at the start.
///
/// ```
/// use checkpoint::FolderClaim;
/// use checkpoint::storage::LocalStorage;
/// # let folder = tempfile::tempdir()?;
/// let storage = LocalStorage::shared();
/// let claim = FolderClaim::take(&storage, folder.path(), "the first training")?;
/// let refused = FolderClaim::take(&storage, folder.path(), "the second training").unwrap_err();
/// assert!(refused.to_string().contains("is in use by another training of this process since"));
/// drop(claim);
/// FolderClaim::take(&storage, folder.path(), "the second training")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FolderClaim {
    claim: Arc<Claim>,
}

impl FolderClaim {
    /// Takes a folder for a training, and makes the folder if it is missing. The training is named by any
    /// text; several takers that give the same one, such as the hooks of one session, share the folder.
    ///
    /// # Errors
    /// [`Error::Locked`], with who has it since when; [`Error::Obstructed`] for a path that is not a folder; [`Error::Io`].
    pub fn take(
        storage: &Arc<dyn Storage>,
        directory: impl AsRef<Path>,
        training: &str,
    ) -> Result<FolderClaim> {
        let directory = directory.as_ref();
        create_folder(storage.as_ref(), directory)?;
        let folder = Folder::hold(storage, directory, true, SystemTime::now())?;
        let mut known = locked(&folder.claim);
        if let Some(claim) = known.upgrade() {
            if claim.training == training {
                return Ok(FolderClaim { claim });
            }
            let holder = format!("another training of this process since {}", readable(claim.since));
            return Err(Error::Locked { directory: directory.to_path_buf(), holder });
        }
        let claim =
            Claim { training: training.to_owned(), since: SystemTime::now(), folder: Arc::clone(&folder) };
        let claim = Arc::new(claim);
        *known = Arc::downgrade(&claim);
        drop(known);
        Ok(FolderClaim { claim })
    }

    /// Returns the folder.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// use checkpoint::{FolderClaim, storage::LocalStorage};
    /// let claim = FolderClaim::take(&LocalStorage::shared(), folder.path(), "a training")?;
    /// assert!(checkpoint::is_same_folder(claim.directory(), folder.path()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.claim.folder.path
    }
}

/// Returns true if both paths lead to the same folder, however they are spelled: through links, relative or absolute. A
/// folder that does not exist is known by its spelling only.
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// let run = folder.path().join("run");
/// assert!(checkpoint::is_same_folder(&run, &run));
/// std::fs::create_dir(&run)?;
/// assert!(checkpoint::is_same_folder(&run, folder.path().join("run/../run")));
/// assert!(!checkpoint::is_same_folder(&run, folder.path()));
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
pub fn is_same_folder(one: impl AsRef<Path>, other: impl AsRef<Path>) -> bool {
    let (one, other) = (one.as_ref(), other.as_ref());
    let real = |path: &Path| LocalStorage.canonical(path).ok();
    one == other || real(one).is_some_and(|one| real(other) == Some(one))
}
