//! Reading event files.

use crate::record::{PIECE, Place, RecordReader};
use crate::{Event, EventError, NumberEvent};
use bytes::Bytes;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// Reads the events of one file, which may still be growing.
///
/// ```
/// use summary::{EventReader, EventWriter, Summary};
/// # let directory = tempfile::tempdir()?;
/// let writer = EventWriter::open(&directory)?;
/// writer.add_summary(Summary::scalar("loss", 0.5), 10)?;
/// writer.close()?;
/// let mut reader = EventReader::open(writer.path())?;
/// let steps: Result<Vec<i64>, _> = reader.by_ref().map(|event| event.map(|event| event.step)).collect();
/// assert_eq!(steps?, [0, 10], "the first event names the format");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct EventReader<R = BufReader<File>> {
    records: RecordReader<R>,
}

/// An event, lent as far as it is a summary of numbers; see [`EventReader::next_whole_ref`].
#[derive(Debug)]
pub enum EventRef<'a> {
    /// A summary of nothing but numbers.
    Numbers(NumberEvent<'a>),
    /// Any other event.
    Other(Event),
}

impl EventReader {
    /// Opens a file.
    ///
    /// ```
    /// # use summary::{EventWriter, SessionLog, Summary};
    /// # let directory = tempfile::tempdir()?;
    /// let writer = EventWriter::open(&directory)?;
    /// let mut reader = summary::EventReader::open(writer.path())?;
    /// assert!(summary::EventReader::open("none").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`EventError::Record`] when it cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<EventReader, EventError> {
        Ok(EventReader { records: RecordReader::open(path)? })
    }
}

impl<R: Read> EventReader<R> {
    /// Reads the events in these records.
    pub fn new(records: RecordReader<R>) -> EventReader<R> {
        EventReader { records }
    }

    /// Returns the offset after the last event, where the next one starts.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.records.offset()
    }

    /// Reads the next event, or returns `None` at the end. More may be appended by the next call.
    ///
    /// # Errors
    /// [`EventError::Record`] for damaged records, a truncated one included, see
    /// [`RecordReader::next_record`]. [`EventError::Decode`] for a whole record that is not an event; the
    /// next call continues after it.
    pub fn next_event(&mut self) -> Result<Option<Event>, EventError> {
        let place = self.records.place();
        let Some(record) = self.records.next_record()? else { return Ok(None) };
        EventReader::<R>::decode(record, place).map(Some)
    }

    fn decode(record: Bytes, place: Place) -> Result<Event, EventError> {
        Event::decode(record).map_err(|source| EventError::Decode { place, source })
    }

    /// Reads as [`next_whole_event`](EventReader::next_whole_event), but lends a summary of numbers as it is in the file, which
    /// takes a fraction of the time: for programs that read millions of them.
    ///
    /// ```
    /// use summary::{EventReader, EventRef, EventWriter, Summary};
    /// # let directory = tempfile::tempdir()?;
    /// let writer = EventWriter::open(&directory)?;
    /// writer.add_summary(Summary::scalar("loss", 0.25), 3)?;
    /// writer.close()?;
    /// let mut reader = EventReader::open(writer.path())?;
    /// while let Some(event) = reader.next_whole_ref()? {
    ///     match event {
    ///         EventRef::Numbers(event) => assert_eq!(event.numbers().next().unwrap().value, 0.25),
    ///         EventRef::Other(event) => assert!(event.data.is_some()),
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`next_whole_event`](EventReader::next_whole_event).
    pub fn next_whole_ref(&mut self) -> Result<Option<EventRef<'_>>, EventError> {
        let place = self.records.place();
        let Some(len) = self.next_whole_len()? else { return Ok(None) };
        // Long records are graphs and images, which are not numbers; as bytes of their own they need no copy.
        if len >= PIECE {
            let record = self.records.take_bytes(len);
            return Ok(Some(EventRef::Other(EventReader::<R>::decode(record, place)?)));
        }
        let record = self.records.take_slice(len);
        Ok(Some(match NumberEvent::read(record) {
            Some(event) => EventRef::Numbers(event),
            None => EventRef::Other(EventReader::<R>::decode(Bytes::copy_from_slice(record), place)?),
        }))
    }

    /// Reads the next record and returns its length; `None` at the end, and for a truncated record, the end for now.
    fn next_whole_len(&mut self) -> Result<Option<usize>, EventError> {
        match self.records.next_len() {
            // A writer may be in the middle of this record. The reader stays in front of it, so that a later
            // call can continue.
            Err(error) if error.is_truncated() => Ok(None),
            other => Ok(other?),
        }
    }

    /// Reads as [`next_event`](EventReader::next_event), but takes a truncated record for the end for now, as TensorBoard does.
    ///
    /// ```
    /// # use summary::{EventWriter, SessionLog, Summary};
    /// # let directory = tempfile::tempdir()?;
    /// let writer = EventWriter::open(&directory)?;
    /// writer.add_summary(Summary::scalar("loss", 0.5), 10)?;
    /// writer.close()?;
    /// let whole = std::fs::read(writer.path())?;
    /// // Its writer was killed in the middle of the last event.
    /// std::fs::write(writer.path(), &whole[..whole.len() - 1])?;
    /// let mut reader = summary::EventReader::open(writer.path())?;
    /// assert_eq!(reader.next_whole_event()?.map(|event| event.step), Some(0));
    /// assert!(reader.next_whole_event()?.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`next_event`](EventReader::next_event) but for truncated records.
    pub fn next_whole_event(&mut self) -> Result<Option<Event>, EventError> {
        let place = self.records.place();
        let Some(len) = self.next_whole_len()? else { return Ok(None) };
        EventReader::<R>::decode(self.records.take_bytes(len), place).map(Some)
    }
}

impl<R: Read> Iterator for EventReader<R> {
    type Item = Result<Event, EventError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_event().transpose()
    }
}

/// Lists the event files of a run's directory in the order of their names, which is that of their creation.
/// Event files are those with `tfevents` in the name. A path that is not a directory stands for itself.
///
/// ```
/// let directory = tempfile::tempdir()?;
/// let writer = summary::EventWriter::open(&directory)?;
/// assert_eq!(summary::event_files(&directory)?, [writer.path()]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`EventError::File`] when the directory cannot be listed.
pub fn event_files(directory: impl AsRef<Path>) -> Result<Vec<PathBuf>, EventError> {
    let directory = directory.as_ref();
    if directory.is_file() {
        return Ok(vec![directory.to_path_buf()]);
    }
    let list = || {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            // TensorBoard's rule, which finds the files of all writers.
            let is_event_file = name.as_encoded_bytes().windows(8).any(|part| part == b"tfevents");
            if is_event_file && entry.path().is_file() {
                files.push(entry.path());
            }
        }
        Ok(files)
    };
    let mut files = list().map_err(|source| EventError::file(directory, "list directory", source))?;
    // Names begin with the time of creation, in ten digits, so this is the order in time.
    files.sort();
    Ok(files)
}

/// Reads all events of a run: of the event files of a directory, one file after another, or of one file.
///
/// ```no_run
/// for event in summary::read_events("train")? {
///     let event = event?;
///     println!("{} {:?}", event.step, event.data);
/// }
/// # Ok::<(), summary::EventError>(())
/// ```
///
/// # Errors
/// [`EventError::File`] when the directory cannot be listed, [`EventError::OnlyRuns`] when it holds no event files, but
/// folders that do.
pub fn read_events(directory: impl AsRef<Path>) -> Result<RunEvents, EventError> {
    Ok(RunEvents { files: run_files(directory)?.into_iter(), current: None })
}

/// Lists the files as [`event_files`] does, but a folder of several runs is an error that names them.
///
/// ```
/// # use summary::{EventWriter, SessionLog, Summary};
/// # let directory = tempfile::tempdir()?;
/// for run in ["train", "eval"] {
///     EventWriter::open(directory.path().join(run))?;
/// }
/// assert_eq!(summary::run_files(directory.path().join("train"))?.len(), 1);
/// let error = summary::run_files(&directory).unwrap_err();
/// assert!(error.to_string().contains("eval"), "{error}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`read_events`].
pub fn run_files(directory: impl AsRef<Path>) -> Result<Vec<PathBuf>, EventError> {
    let directory = directory.as_ref();
    let files = event_files(directory)?;
    if files.is_empty() {
        let runs = runs_below(directory);
        if !runs.is_empty() {
            return Err(EventError::OnlyRuns { path: directory.to_path_buf(), runs });
        }
    }
    Ok(files)
}

/// Returns the folders right below one that hold event files. Folders that cannot be listed are left out.
fn runs_below(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let folders = entries.map(|entry| entry.path()).filter(|path| path.is_dir());
    let mut runs: Vec<PathBuf> =
        folders.filter(|folder| event_files(folder).is_ok_and(|files| !files.is_empty())).collect();
    runs.sort();
    runs
}

/// The events of a run, see [`read_events`].
///
/// A truncated record ends its file quietly: its writer is at work or was killed. Any other damage is
/// handed out as an error and ends its file too. The next item is the next file's first event.
#[derive(Debug)]
pub struct RunEvents {
    files: std::vec::IntoIter<PathBuf>,
    current: Option<EventReader>,
}

impl Iterator for RunEvents {
    type Item = Result<Event, EventError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(reader) = &mut self.current {
                match reader.next_whole_event() {
                    Ok(Some(event)) => return Some(Ok(event)),
                    Ok(None) => self.current = None,
                    // One bad event does not make the next records unreadable.
                    Err(error @ EventError::Decode { .. }) => return Some(Err(error)),
                    Err(error) => {
                        self.current = None;
                        return Some(Err(error));
                    }
                }
            }
            match EventReader::open(self.files.next()?) {
                Ok(reader) => self.current = Some(reader),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
