//! All runs of the given folders.
//!
//! # Threads
//!
//! A reload and requests run concurrently. Each run has a lock, which a reload holds for at most [`CHUNK`] events at
//! a time, so that a request waits for milliseconds even while gigabytes are read. The list of runs is replaced as a
//! whole: a request that has taken a run keeps it, even if its folder is deleted meanwhile.
//!
//! # Memory
//!
//! The limit is for the points of all runs together. Whenever it is exceeded, the longest list of values is halved
//! (see `series` and `place`), so that short runs keep all of their points and only the longest curves lose
//! resolution. Everything else that a run keeps has a separate limit in `run`.

use crate::Error;
use crate::answer::Cached;
use crate::find::{self, Found, Root};
use crate::run::Run;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// The number of events that are read under the lock of a run. Between two chunks, requests for the run are answered,
/// and the memory limit is checked.
const CHUNK: usize = 16_384;

/// The default limit of the bytes that the points of all runs may take. A point of a curve takes 24 bytes.
const DEFAULT_LIMIT: usize = 112 << 20;

/// Shows the runs, graphs and checkpoints of some folders.
///
/// It reads event files as they grow, with TensorBoard's rules for restarts, and keeps their points in bounded memory: all
/// numbers until the limit is reached, then the extremes of neighbors; of images, histograms and the like only their places
/// in the files.
///
/// ```
/// use board::Board;
/// use summary::{EventWriter, Summary};
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let writer = EventWriter::open(folder)?;
/// writer.add_summary(Summary::scalar("loss", 0.5), 10)?;
/// writer.close()?;
///
/// let board = Board::open(&[folder])?;
/// board.reload();
/// let answer = board.answer("/api/scalars?tag=loss");
/// let text = String::from_utf8(answer.body.to_vec())?;
/// assert!(text.contains(r#""steps":[10]"#) && text.contains(r#""values":[0.5]"#), "{text}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Board {
    /// The folders or event files that were given to [`open`](Board::open).
    roots: Vec<Root>,
    /// The number of bytes that the points of all runs may take.
    limit: usize,
    /// Guards the list of runs; held for a look-up, never while files are read.
    runs: RwLock<BTreeMap<String, Arc<Shown>>>,
    /// Guards the notes of the search for folders.
    notes: Mutex<Vec<String>>,
    /// Held during a reload, so that there is one at a time.
    reloading: Mutex<()>,
    /// True after the first reload. Until then the page shows that it is loading rather than that there are no runs.
    loaded: AtomicBool,
    /// Counts the changes, so that pages know when to ask again.
    version: AtomicU64,
    /// Guards the last graph that was shown; held while one is read.
    graph: Mutex<Option<Cached>>,
}

/// A run on the board, with its place in the file system.
#[derive(Debug)]
pub(crate) struct Shown {
    /// The folder or file, as the last search found it. If a later search finds something else under the name, the
    /// run is replaced.
    pub(crate) found: Found,
    /// The given folder that contains the run. No file outside of it is opened on behalf of the run.
    pub(crate) root: PathBuf,
    /// Guards the events that were read; held while a chunk is read or an answer is made.
    run: Mutex<Run>,
    /// The bytes of the run's points after the last chunk.
    bytes: AtomicUsize,
}

impl Shown {
    /// Locks the events of the run.
    pub(crate) fn run(&self) -> MutexGuard<'_, Run> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    /// Makes a board of folders or event files, and reads nothing yet.
    ///
    /// ```
    /// use board::{Board, Error};
    /// assert!(matches!(Board::open(&["no/such/folder"]), Err(Error::NotFound(_))));
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`] for a path that does not exist.
    pub fn open<P: AsRef<std::path::Path>>(paths: &[P]) -> Result<Board, Error> {
        let paths: Vec<PathBuf> = paths.iter().map(|path| path.as_ref().to_path_buf()).collect();
        Ok(Board {
            // Resolved once: the working directory and links may change later, and names of runs must not.
            roots: find::roots(&paths)?,
            limit: DEFAULT_LIMIT,
            runs: RwLock::default(),
            notes: Mutex::default(),
            reloading: Mutex::default(),
            loaded: AtomicBool::new(false),
            version: AtomicU64::new(1),
            graph: Mutex::default(),
        })
    }

    /// Sets the number of bytes that the points of all runs may take. Default: 112 MiB, about five million numbers.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// let board = board::Board::open(&[folder.path()])?.memory_limit(32 << 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn memory_limit(mut self, bytes: usize) -> Board {
        self.limit = bytes;
        self
    }

    /// Reads new runs, files and events. Returns the number of events.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// let board = board::Board::open(&[folder.path()])?;
    /// assert_eq!(board.reload(), 0, "there are no event files yet");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reload(&self) -> usize {
        // A second reload would read the same events twice.
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        self.find_runs();
        let runs = self.all();
        // Threads take the next run when they are done, since runs differ in size by orders of magnitude.
        let next = AtomicUsize::new(0);
        let work = || {
            let mut count = 0;
            while let Some(shown) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                count += self.read_on(shown);
            }
            count
        };
        // More threads would only wait for the disk.
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(runs.len()).min(8);
        let count = std::thread::scope(|scope| {
            let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            // This thread works as well, so a single run needs no thread.
            let own = work();
            own + helpers.into_iter().map(|helper| helper.join().unwrap_or(0)).sum::<usize>()
        });
        self.loaded.store(true, Ordering::Relaxed);
        if count > 0 {
            self.changed();
        }
        count
    }

    /// Searches the folders again. Runs that are still there keep the events that were read.
    ///
    /// The version changes only if the list of runs changes, so that an idle page does not request everything again
    /// each second.
    fn find_runs(&self) {
        let (found, notes) = find::runs(&self.roots);
        *self.notes.lock().unwrap_or_else(PoisonError::into_inner) = notes;
        let known = self.runs.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut runs = BTreeMap::new();
        for found in found {
            let shown = match known.get(&found.name) {
                // The same entry keeps its events; one that became something else, such as a folder that was
                // replaced, starts again.
                Some(shown) if shown.found == found => shown.clone(),
                _ => Arc::new(self.shown(found)),
            };
            runs.insert(shown.found.name.clone(), shown);
        }
        if runs.len() != known.len() || runs.values().zip(known.values()).any(|(a, b)| !Arc::ptr_eq(a, b)) {
            // Replaced as a whole, and only when it differs: requests hold the entries that they took.
            *self.runs.write().unwrap_or_else(PoisonError::into_inner) = runs;
            self.changed();
        }
    }

    /// Creates the entry of a run that was just found. Nothing of it is read yet.
    fn shown(&self, found: Found) -> Shown {
        let root = self.roots.iter().map(|root| &root.path).find(|root| found.path.starts_with(root));
        let root = root.unwrap_or(&found.path).clone();
        let run = Mutex::new(Run::new(found.path.clone(), root.clone()));
        Shown { found, root, run, bytes: AtomicUsize::new(0) }
    }

    /// Reads all new events of a run, in chunks, and returns their number.
    fn read_on(&self, shown: &Shown) -> usize {
        if !shown.found.has_events {
            return 0;
        }
        shown.run().refresh();
        let mut all = 0;
        loop {
            let mut run = shown.run();
            let count = run.read_on(CHUNK);
            if count > 0 {
                shown.bytes.store(run.kept_bytes(), Ordering::Relaxed);
            }
            // Released between two chunks, so that a request gets its turn.
            drop(run);
            if count == 0 {
                return all;
            }
            all += count;
            self.changed();
            self.economize();
        }
    }

    /// Keeps fewer points where there are most until all take no more than the limit.
    ///
    /// Ends early if the largest list of values takes less than a page of memory: then the limit is exceeded by the
    /// number of tags, which halving cannot reduce.
    fn economize(&self) {
        loop {
            let runs = self.all();
            let bytes = |shown: &Arc<Shown>| shown.bytes.load(Ordering::Relaxed);
            if runs.iter().map(bytes).sum::<usize>() <= self.limit {
                return;
            }
            let Some(shown) = runs.iter().max_by_key(|shown| bytes(shown)) else { return };
            let mut run = shown.run();
            // Halving what is already this small would free almost nothing.
            match run.largest() {
                Some((bytes, data)) if bytes > 4096 => {
                    data.halve();
                    // Another round would free nothing, either.
                    if data.kept_bytes() >= bytes {
                        return;
                    }
                }
                _ => return,
            }
            // Under the lock that changed the points, so that the number belongs to them.
            shown.bytes.store(run.kept_bytes(), Ordering::Relaxed);
        }
    }

    /// Counts a change, after which pages request their data again.
    fn changed(&self) {
        // Relaxed: the number alone tells a page to ask again, and locks order the data.
        self.version.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the changes so far.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// Returns true after the first reload.
    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Relaxed)
    }

    /// All runs in the order of their names.
    pub(crate) fn all(&self) -> Vec<Arc<Shown>> {
        self.runs.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The run of this name.
    pub(crate) fn named(&self, name: &str) -> Result<Arc<Shown>, Error> {
        let runs = self.runs.read().unwrap_or_else(PoisonError::into_inner);
        runs.get(name).cloned().ok_or_else(|| Error::NotFound(format!("there is no run '{name}'")))
    }

    /// Returns notes on folders that could not be searched.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Locks the last graph that was shown. Parsing a large graph takes seconds, and the page requests it scope by
    /// scope.
    pub(crate) fn cached_graph(&self) -> MutexGuard<'_, Option<Cached>> {
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folders, as text.
    pub(crate) fn title(&self) -> String {
        let paths: Vec<_> = self.roots.iter().map(|root| root.path.display().to_string()).collect();
        paths.join(", ")
    }
}
