//! One writer for all users of a directory.

use super::{EventWriter, EventWriterBuilder, file};
use crate::EventError;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

/// Finds the writer of a directory, so that all hooks of a session write into one file.
///
/// Directories are compared by their canonical paths: `train`, `train/` and a link to it are one. The
/// cache does not keep writers alive: when the last user lets go, the writer closes, and the next one
/// asked for starts a new file, with its own graph. (TensorFlow compares the text of the path and keeps
/// writers until the process ends, so that a second session writes after the first one's graph.)
///
/// ```
/// use std::sync::Arc;
/// use summary::EventWriterCache;
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// let cache = EventWriterCache::new();
/// let one = cache.get(directory)?;
/// let other = cache.get(directory.join("."))?;
/// assert!(Arc::ptr_eq(&one, &other));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct EventWriterCache {
    /// Guards the list. Held while a writer is opened, so that two threads do not open two.
    writers: Mutex<HashMap<PathBuf, Weak<EventWriter>>>,
}

static SHARED: LazyLock<EventWriterCache> = LazyLock::new(EventWriterCache::default);

impl EventWriterCache {
    /// Makes an empty cache.
    #[must_use]
    pub fn new() -> EventWriterCache {
        EventWriterCache::default()
    }

    /// Returns the cache of this process.
    #[must_use]
    pub fn shared() -> &'static EventWriterCache {
        &SHARED
    }

    /// Returns the directory's writer; a new one, with default options, if there is none or it is closed.
    ///
    /// ```
    /// # use summary::{EventWriter, SessionLog, Summary};
    /// # let directory = tempfile::tempdir()?;
    /// use summary::EventWriterCache;
    /// let cache = EventWriterCache::new();
    /// let writer = cache.get(&directory)?;
    /// assert!(std::sync::Arc::ptr_eq(&writer, &cache.get(directory.path().join("."))?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`EventWriter::open`], or [`EventError::File`] when the path cannot be followed.
    pub fn get(&self, directory: impl AsRef<Path>) -> Result<Arc<EventWriter>, EventError> {
        self.get_or_open(directory, |builder| builder)
    }

    /// Returns the writer as [`get`](EventWriterCache::get) does, with options for the case that a new one is opened. Keep
    /// graphs there: they are requested only then.
    ///
    /// # Errors
    /// As [`get`](EventWriterCache::get).
    pub fn get_or_open(
        &self,
        directory: impl AsRef<Path>,
        options: impl FnOnce(EventWriterBuilder) -> EventWriterBuilder,
    ) -> Result<Arc<EventWriter>, EventError> {
        let directory = directory.as_ref();
        // Before `canonicalize`, which needs a directory that exists.
        file::create_directory(directory)?;
        let directory = directory
            .canonicalize()
            .map_err(|source| EventError::file(directory, "follow the path", source))?;
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = writers.get(&directory).and_then(Weak::upgrade)
            // A closed one is replaced rather than reopened: its owner closed it on purpose.
            && !writer.is_closed()
        {
            return Ok(writer);
        }
        let writer = Arc::new(options(EventWriter::builder()).open(&directory)?);
        writers.retain(|_, writer| writer.strong_count() > 0);
        writers.insert(directory, Arc::downgrade(&writer));
        Ok(writer)
    }

    /// Closes all writers and forgets them.
    ///
    /// # Errors
    /// The first error of a writer; all are closed all the same.
    pub fn clear(&self) -> Result<(), EventError> {
        // Closed outside of the lock: closing waits for the writing thread.
        let writers = std::mem::take(&mut *self.writers.lock().unwrap_or_else(PoisonError::into_inner));
        let closed: Vec<_> = writers
            .into_values()
            .filter_map(|writer| writer.upgrade())
            .map(|writer| writer.close())
            .collect();
        closed.into_iter().collect()
    }
}
