//! Options of event writers.

use super::{Clock, EventWriter, SystemClock, file};
use crate::EventError;
use bytes::Bytes;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Options for an [`EventWriter`].
///
/// ```
/// use std::time::Duration;
/// use summary::EventWriter;
/// # let directory = tempfile::tempdir()?;
/// let writer = EventWriter::builder()
///     .max_queue(100)
///     .flush_every(Duration::from_secs(10))
///     .suffix(".eval")
///     .open(&directory)?;
/// assert!(writer.path().to_string_lossy().ends_with(".eval"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct EventWriterBuilder {
    options: Options,
    graph: Option<Bytes>,
    meta_graph: Option<Bytes>,
}

#[derive(Clone)]
pub(super) struct Options {
    pub(super) max_queue: usize,
    pub(super) flush_every: Duration,
    pub(super) host: Option<String>,
    pub(super) suffix: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) discard: bool,
}

impl Default for EventWriterBuilder {
    fn default() -> Self {
        let options = Options {
            max_queue: 10,
            flush_every: Duration::from_secs(120),
            host: None,
            suffix: String::new(),
            clock: Arc::new(SystemClock),
            discard: false,
        };
        EventWriterBuilder { options, graph: None, meta_graph: None }
    }
}

impl EventWriterBuilder {
    /// Sets the number of events that may wait before adding one waits too. Default: 10, at least 1.
    pub fn max_queue(mut self, events: usize) -> Self {
        self.options.max_queue = events.max(1);
        self
    }

    /// Sets the time that an event may wait before it is on disk. Default: 120 seconds.
    pub fn flush_every(mut self, interval: Duration) -> Self {
        self.options.flush_every = interval;
        self
    }

    /// Sets the host's name in the file's name. Default: the system's.
    ///
    /// ```
    /// # use summary::{EventWriter, SessionLog, Summary};
    /// # let directory = tempfile::tempdir()?;
    /// let writer = EventWriter::builder().host("worker-1").open(&directory)?;
    /// assert!(writer.path().to_string_lossy().ends_with("worker-1"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.options.host = Some(name.into());
        self
    }

    /// Sets the text at the end of the file's name. Default: none. It goes in unchanged, so a `/` in it names a
    /// directory.
    ///
    /// ```
    /// # use summary::{EventWriter, SessionLog, Summary};
    /// # let directory = tempfile::tempdir()?;
    /// let writer = EventWriter::builder().suffix(".eval").open(&directory)?;
    /// assert!(writer.path().to_string_lossy().ends_with(".eval"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn suffix(mut self, suffix: impl Into<String>) -> Self {
        self.options.suffix = suffix.into();
        self
    }

    /// Sets the clock. Default: the system's.
    ///
    /// ```
    /// # use summary::{EventWriter, SessionLog, Summary};
    /// # let directory = tempfile::tempdir()?;
    /// use std::time::Duration;
    /// let writer = EventWriter::builder().clock(|| Duration::from_secs(1_700_000_000)).open(&directory)?;
    /// assert!(writer.path().to_string_lossy().contains("tfevents.1700000000"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.options.clock = Arc::new(clock);
        self
    }

    /// Sets a serialized `GraphDef` to begin with. Default: none.
    pub fn graph(mut self, graph: impl Into<Bytes>) -> Self {
        self.graph = Some(graph.into());
        self
    }

    /// Sets a serialized `MetaGraphDef` to begin with. Default: none.
    pub fn meta_graph(mut self, meta_graph: impl Into<Bytes>) -> Self {
        self.meta_graph = Some(meta_graph.into());
        self
    }

    /// Starts a new file in a directory, which is made if it is missing, with its parents.
    ///
    /// The file is `events.out.tfevents.<seconds since 1970>.<host><suffix>`. If that exists, as with two
    /// writers in one second, the process's number and a count come before the suffix.
    ///
    /// # Errors
    /// As [`EventWriter::open`].
    pub fn open(self, directory: impl AsRef<Path>) -> Result<EventWriter, EventError> {
        let directory = directory.as_ref();
        file::create_directory(directory)?;
        self.start(directory)
    }

    /// Opens a writer without a file: events are encoded, and dropped. For dry runs of a training.
    ///
    /// ```
    /// use summary::{EventWriter, Summary};
    /// let writer = EventWriter::builder().discard()?;
    /// writer.add_summary(Summary::scalar("loss", 0.5), 10)?;
    /// writer.close()?;
    /// # Ok::<(), summary::EventError>(())
    /// ```
    ///
    /// # Errors
    /// [`EventError::Thread`].
    pub fn discard(mut self) -> Result<EventWriter, EventError> {
        self.options.discard = true;
        self.start(Path::new(""))
    }

    fn start(self, directory: &Path) -> Result<EventWriter, EventError> {
        let writer = EventWriter::with_options(directory.to_path_buf(), self.options)?;
        if let Some(graph) = self.graph {
            writer.add_graph(graph, 0)?;
        }
        if let Some(meta_graph) = self.meta_graph {
            writer.add_meta_graph(meta_graph, 0)?;
        }
        Ok(writer)
    }
}

impl fmt::Debug for EventWriterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventWriterBuilder")
            .field("max_queue", &self.options.max_queue)
            .field("flush_every", &self.options.flush_every)
            .field("host", &self.options.host)
            .field("suffix", &self.options.suffix)
            .finish_non_exhaustive()
    }
}
