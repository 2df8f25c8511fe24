//! Writing event files.

mod builder;
mod cache;
mod clock;
mod file;
mod log;
mod queue;

pub use builder::EventWriterBuilder;
pub use cache::EventWriterCache;
pub use clock::{Clock, SystemClock};

use crate::{DecodeError, Event, EventData, EventError, SessionLog, Summary, proto};
use ::log::{error, warn};
use bytes::Bytes;
use prost::Message;
use queue::{Pending, Queue};
use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use tensor::text::escaped;

/// Writes events into a file of a directory, from its own thread. TensorFlow's name for it is
/// `FileWriter`.
///
/// Adding an event puts it into a queue of 10, under one lock and without asking the operating system
/// for anything; the thread wakes up when the queue is half full, and empties it. The file is flushed
/// after the first event and then every 120 seconds, so that an event is on disk at most that long after
/// it was added, or sooner by [`flush`](EventWriter::flush) and [`close`](EventWriter::close). A full
/// queue makes `add` wait.
///
/// If writing fails, the thread ends, and its error is returned by every add, an add that waits
/// included, by `flush`, and by the next `close`. Queued events are lost. Adding after `close` does
/// nothing but log a warning. Dropping the writer closes it and logs an error.
///
/// All methods take `&self`: share it in an [`Arc`].
///
/// ```
/// use summary::{EventWriter, SessionLog, Summary};
/// # let temporary = tempfile::tempdir()?;
/// # let directory = temporary.path().join("train");
/// let writer = EventWriter::open(&directory)?;
/// writer.add_session_log(SessionLog::start(), 0)?;
/// for step in 0..100 {
///     writer.add_summary(Summary::scalar("loss", 1.0 / (step + 1) as f32), step)?;
/// }
/// writer.close()?;
/// assert_eq!(summary::read_events(&directory)?.count(), 102); // with the version of the file
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EventWriter {
    directory: PathBuf,
    options: builder::Options,
    queue: Arc<Queue>,
    /// The thread and its file. The lock makes close and re-open take turns; it is held while the
    /// thread finishes, so nothing the thread does may take it.
    worker: Mutex<Worker>,
    /// Guards the tags in use and nothing else.
    run_metadata_tags: Mutex<HashSet<String>>,
}

#[derive(Default)]
struct Worker {
    thread: Option<JoinHandle<HashSet<String>>>,
    path: PathBuf,
    /// Tags whose metadata are in a file, kept from file to file.
    described: HashSet<String>,
}

impl EventWriter {
    /// Starts a new file in a directory, which is made if it is missing.
    ///
    /// ```
    /// # use summary::{EventWriter, SessionLog, Summary};
    /// # let directory = tempfile::tempdir()?;
    /// let writer = EventWriter::open(directory.path().join("train"))?;
    /// writer.add_summary(Summary::scalar("loss", 0.5), 10)?;
    /// writer.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`EventError::File`], [`EventError::Record`] when the file's first event cannot be written,
    /// [`EventError::Thread`].
    pub fn open(directory: impl AsRef<Path>) -> Result<EventWriter, EventError> {
        EventWriter::builder().open(directory)
    }

    /// Options for a writer.
    ///
    /// ```
    /// # use summary::{EventWriter, SessionLog, Summary};
    /// # let directory = tempfile::tempdir()?;
    /// let writer = EventWriter::builder().max_queue(100).suffix(".train").open(&directory)?;
    /// assert_eq!(writer.directory(), directory.path());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder() -> EventWriterBuilder {
        EventWriterBuilder::default()
    }

    fn with_options(directory: PathBuf, options: builder::Options) -> Result<EventWriter, EventError> {
        let writer = EventWriter {
            directory,
            queue: Arc::new(Queue::new(options.max_queue, options.flush_every < log::PROMPT)),
            options,
            worker: Mutex::default(),
            run_metadata_tags: Mutex::default(),
        };
        writer.start(&mut writer.worker())?;
        Ok(writer)
    }

    fn worker(&self) -> MutexGuard<'_, Worker> {
        // Every step of starting and ending leaves it whole.
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a file and starts its thread.
    fn start(&self, worker: &mut Worker) -> Result<(), EventError> {
        if self.options.discard {
            return self.start_with(worker, Box::new(std::io::sink()), PathBuf::new());
        }
        let (output, path) = file::create(&self.directory, &self.options)?;
        self.start_with(worker, Box::new(output), path.clone()).inspect_err(|_| {
            // On a full disk it has no event. Each further attempt would leave one more such file.
            let _ = std::fs::remove_file(&path);
        })
    }

    fn start_with(
        &self,
        worker: &mut Worker,
        output: Box<dyn file::Output>,
        path: PathBuf,
    ) -> Result<(), EventError> {
        let described = std::mem::take(&mut worker.described);
        let clock = Arc::clone(&self.options.clock);
        // Tags whose metadata an earlier file of this writer has: readers join the files of a folder, so it
        // is not written again.
        let mut log = log::EventLog::new(output, &path, clock, self.options.flush_every, described);
        // Before the thread starts, so that a folder that cannot be written to fails in `open` and not at
        // some later event.
        log.write_version()?;
        self.queue.open();
        let queue = Arc::clone(&self.queue);
        let thread = std::thread::Builder::new().name("event-writer".to_owned());
        let thread = thread.spawn(move || queue::work(&queue, log)).map_err(|source| {
            // The queue was opened; without its thread, `add` would wait for room that never comes.
            self.queue.end(Ok(()));
            EventError::Thread(Arc::new(source))
        })?;
        worker.thread = Some(thread);
        worker.path = path;
        Ok(())
    }

    /// Returns the directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the file that is, or was last, written.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.worker().path.clone()
    }

    /// Adds an event as it is. Of values with metadata, those of a tag are written at its first event
    /// only; viewers remember them.
    ///
    /// # Errors
    /// The error that ended the thread; [`EventError::Malformed`] for a graph, meta graph or run metadata whose bytes are
    /// none.
    pub fn add_event(&self, event: Event) -> Result<(), EventError> {
        if let Some(data) = &event.data {
            // Here and not in the thread, so that the caller gets the error of its own event.
            check(data)?;
        }
        self.push(Pending::Event(event))
    }

    /// Adds values at a step, now.
    ///
    /// ```
    /// # use summary::{EventWriter, SessionLog, Summary};
    /// # let directory = tempfile::tempdir()?;
    /// let writer = EventWriter::open(&directory)?;
    /// writer.add_summary(Summary::scalar("loss", 0.5), 10)?;
    /// writer.close()?;
    /// assert_eq!(summary::read_events(&directory)?.count(), 2, "and the file's version");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`add_event`](EventWriter::add_event).
    pub fn add_summary(&self, summary: impl Into<Summary>, step: i64) -> Result<(), EventError> {
        self.add_now(EventData::Summary(summary.into()), step)
    }

    /// Adds a serialized summary, such as a session's run gives, at a step, now. Its bytes are written as
    /// they are unless there are metadata to leave out.
    ///
    /// # Errors
    /// [`EventError::Malformed`] when they are none; otherwise as [`add_event`](EventWriter::add_event).
    pub fn add_summary_bytes(&self, summary: impl Into<Bytes>, step: i64) -> Result<(), EventError> {
        let bytes = summary.into();
        let message: proto::Summary = decode(&bytes, "summary", "Summary")?;
        // Encoded bytes are written as they are, so metadata that repeats could not be left out.
        if message.value.iter().any(|value| value.metadata.is_some()) {
            return self.add_summary(Summary::from(message), step);
        }
        self.push(Pending::EncodedSummary { wall_time: self.now(), step, bytes })
    }

    /// Adds a session's beginning, end or checkpoint, now. A beginning makes viewers drop what an
    /// earlier session wrote for this step and later ones: add it with the first step that will be
    /// written.
    ///
    /// ```
    /// # use summary::{EventWriter, SessionLog, Summary};
    /// # let directory = tempfile::tempdir()?;
    /// let writer = EventWriter::open(&directory)?;
    /// writer.add_session_log(SessionLog::checkpoint("model.ckpt-10"), 10)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`add_event`](EventWriter::add_event).
    pub fn add_session_log(&self, log: SessionLog, step: i64) -> Result<(), EventError> {
        self.add_now(EventData::SessionLog(log), step)
    }

    /// Adds a serialized `GraphDef`, now: what TensorBoard shows as the graph.
    ///
    /// # Errors
    /// As [`add_event`](EventWriter::add_event).
    pub fn add_graph(&self, graph: impl Into<Bytes>, step: i64) -> Result<(), EventError> {
        self.add_now(EventData::Graph(graph.into()), step)
    }

    /// Adds a serialized `MetaGraphDef`, now.
    ///
    /// # Errors
    /// As [`add_event`](EventWriter::add_event).
    pub fn add_meta_graph(&self, meta_graph: impl Into<Bytes>, step: i64) -> Result<(), EventError> {
        self.add_now(EventData::MetaGraph(meta_graph.into()), step)
    }

    /// Adds what a run recorded, a serialized `RunMetadata`, now, and returns the tag it got.
    ///
    /// Tags are unique to a writer, since viewers keep one run for each. A tag that was used before is
    /// numbered, `step_100` becoming `step_100_1`. TensorFlow fails instead, and so does its profiler
    /// when a recovered session repeats a step.
    ///
    /// # Errors
    /// As [`add_event`](EventWriter::add_event).
    pub fn add_run_metadata(
        &self,
        tag: &str,
        metadata: impl Into<Bytes>,
        step: i64,
    ) -> Result<String, EventError> {
        let metadata = metadata.into();
        check_run_metadata(&metadata)?;
        let tag = self.unused_tag(tag);
        let data = EventData::RunMetadata { tag: tag.clone(), metadata };
        self.push(Pending::Event(Event::new(self.now(), step, data)))?;
        Ok(tag)
    }

    fn unused_tag(&self, tag: &str) -> String {
        let mut tags = self.run_metadata_tags.lock().unwrap_or_else(PoisonError::into_inner);
        let numbered = (1u64..).map(|number| format!("{tag}_{number}"));
        let mut candidates = std::iter::once(tag.to_owned()).chain(numbered);
        let unused = candidates.find(|candidate| !tags.contains(candidate)).unwrap_or_default();
        tags.insert(unused.clone());
        unused
    }

    fn add_now(&self, data: EventData, step: i64) -> Result<(), EventError> {
        self.add_event(Event::new(self.now(), step, data))
    }

    fn now(&self) -> f64 {
        self.options.clock.now().as_secs_f64()
    }

    fn push(&self, pending: Pending) -> Result<(), EventError> {
        if !self.queue.push(pending)? {
            warn!("an event for {} was dropped: its writer is closed", escaped(self.directory.display()));
        }
        Ok(())
    }

    /// Waits until all events added before are in the file, in the operating system's hands: they
    /// survive this process, though not a power failure. Does nothing if the writer is closed.
    ///
    /// ```
    /// # use summary::{EventWriter, SessionLog, Summary};
    /// # let directory = tempfile::tempdir()?;
    /// let writer = EventWriter::open(&directory)?;
    /// writer.add_summary(Summary::scalar("loss", 0.5), 10)?;
    /// writer.flush()?;
    /// assert_eq!(summary::read_events(&directory)?.count(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The error that ended the thread.
    pub fn flush(&self) -> Result<(), EventError> {
        self.queue.flush()
    }

    /// Writes what is queued, syncs the file to the disk, and ends the thread. Does nothing if the writer is
    /// already closed.
    ///
    /// ```
    /// # use summary::{EventWriter, SessionLog, Summary};
    /// # let directory = tempfile::tempdir()?;
    /// let writer = EventWriter::open(&directory)?;
    /// writer.close()?;
    /// assert!(writer.is_closed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The error that ended the thread, once: the writer is closed then, too.
    pub fn close(&self) -> Result<(), EventError> {
        self.stop(&mut self.worker())
    }

    fn stop(&self, worker: &mut Worker) -> Result<(), EventError> {
        let Some(thread) = worker.thread.take() else { return Ok(()) };
        self.queue.close();
        // A panic has been noted in the queue by the thread's own guard.
        worker.described = thread.join().unwrap_or_default();
        self.queue.take_error().map_or(Ok(()), Err)
    }

    /// Starts another file in the same directory after [`close`](EventWriter::close) or an error. Does
    /// nothing when the writer is open and well. A writer that failed stays failed if no file can be started.
    ///
    /// ```
    /// # use summary::{EventWriter, SessionLog, Summary};
    /// # let directory = tempfile::tempdir()?;
    /// let writer = EventWriter::open(&directory)?;
    /// writer.close()?;
    /// writer.reopen()?;
    /// writer.add_summary(Summary::scalar("loss", 0.5), 10)?;
    /// writer.close()?;
    /// assert_eq!(summary::event_files(&directory)?.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`open`](EventWriter::open).
    pub fn reopen(&self) -> Result<(), EventError> {
        let mut worker = self.worker();
        // A writer that is open already is not an error: hooks that share one may each reopen it.
        if !self.queue.is_ended() {
            return Ok(());
        }
        // Without a thread it has been closed, or an earlier call could not start a file.
        let failed = self.stop(&mut worker).err().or_else(|| self.queue.take_error());
        if let Some(error) = &failed {
            warn!("events for {} were lost: {error}", escaped(self.directory.display()));
        }
        self.start(&mut worker).inspect_err(|_| {
            // Events that are added now are lost, too: they must not be taken for those of a closed writer.
            if let Some(error) = failed {
                self.queue.end(Err(error));
            }
        })
    }

    /// Returns true if the writer is closed, or its thread has failed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.queue.is_ended()
    }
}

/// Checks bytes that are passed on: viewers skip what they cannot read in silence.
fn check(data: &EventData) -> Result<(), EventError> {
    match data {
        EventData::Graph(bytes) => decode::<proto::Graph>(bytes, "graph", "GraphDef").map(drop),
        EventData::MetaGraph(bytes) => {
            decode::<proto::MetaGraph>(bytes, "meta graph", "MetaGraphDef").map(drop)
        }
        EventData::RunMetadata { metadata, .. } => check_run_metadata(metadata),
        _ => Ok(()),
    }
}

fn check_run_metadata(bytes: &Bytes) -> Result<(), EventError> {
    decode::<proto::RunMetadata>(bytes, "run metadata", "RunMetadata").map(drop)
}

fn decode<M: Message + Default>(
    bytes: &Bytes,
    what: &'static str,
    message: &'static str,
) -> Result<M, EventError> {
    M::decode(bytes.clone()).map_err(|error| EventError::Malformed {
        what,
        message,
        source: DecodeError(error),
    })
}

impl Drop for EventWriter {
    fn drop(&mut self) {
        if let Err(failure) = self.close() {
            error!("events for {} were lost: {failure}", escaped(self.directory.display()));
        }
    }
}

impl fmt::Debug for EventWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventWriter")
            .field("directory", &self.directory)
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
