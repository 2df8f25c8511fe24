//! Writers whose files fail, block and panic.

use super::file::Output;
use super::*;
use crate::record::{RecordError, RecordReader};
use crate::{EventReader, event_files, read_events};
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// A file that does what a test wants at its n-th write.
struct Fake {
    written: Arc<Mutex<Vec<u8>>>,
    writes: usize,
    at: usize,
    what: What,
}

enum What {
    Fail,
    Panic,
    /// Signals that it was reached, then waits for a signal to continue, and fails.
    WaitAndFail(Sender<()>, Receiver<()>),
}

impl Write for Fake {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writes += 1;
        if self.writes >= self.at {
            match &self.what {
                What::Panic => panic!("as the test wants"),
                What::WaitAndFail(here, go) if self.writes == self.at => {
                    here.send(()).unwrap();
                    go.recv().unwrap();
                }
                _ => {}
            }
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.written.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Fake {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Three writes make a record, and the version is the first one.
const SECOND_EVENT: usize = 7;

fn writer(directory: &Path, max_queue: usize, what: What) -> EventWriter {
    let options = builder::Options {
        max_queue,
        flush_every: Duration::from_secs(120),
        host: Some("host".to_owned()),
        suffix: String::new(),
        clock: Arc::new(|| Duration::from_secs(1_700_000_000)),
        discard: false,
    };
    let writer = EventWriter {
        directory: directory.to_path_buf(),
        queue: Arc::new(Queue::new(options.max_queue, false)),
        options,
        worker: Mutex::default(),
        run_metadata_tags: Mutex::default(),
    };
    let output = Fake { written: Arc::default(), writes: 0, at: SECOND_EVENT, what };
    writer.start_with(&mut writer.worker(), Box::new(output), directory.join("fake")).unwrap();
    writer
}

fn add(writer: &EventWriter, step: i64) -> Result<(), EventError> {
    writer.add_summary(Summary::scalar("a", 1.0), step)
}

fn assert_full_disk(error: &EventError) {
    let EventError::Record(RecordError::Io { source, place, action }) = error else { panic!("{error:?}") };
    assert_eq!((source.kind(), *action), (io::ErrorKind::StorageFull, "write"));
    assert!(place.file.as_ref().unwrap().ends_with("fake") && place.offset > 0);
}

#[test]
fn s_372_a_failure_is_reported_by_flush_add_and_close() {
    let directory = tempfile::tempdir().unwrap();
    let writer = writer(directory.path(), 10, What::Fail);
    add(&writer, 0).unwrap();
    writer.flush().unwrap();
    add(&writer, 1).unwrap();
    assert_full_disk(&writer.flush().unwrap_err());
    assert_full_disk(&add(&writer, 2).unwrap_err());
    assert_full_disk(&writer.flush().unwrap_err());
    assert!(writer.is_closed());
    assert_full_disk(&writer.close().unwrap_err());
    writer.close().unwrap();
    add(&writer, 3).unwrap();
    writer.flush().unwrap();
}

#[test]
fn s_372_only_close_reports_a_failure() {
    let directory = tempfile::tempdir().unwrap();
    let writer = writer(directory.path(), 10, What::Fail);
    add(&writer, 0).unwrap();
    add(&writer, 1).unwrap();
    assert_full_disk(&writer.close().unwrap_err());
}

#[test]
fn s_372_a_failure_is_reported_to_an_add_that_waits() {
    let directory = tempfile::tempdir().unwrap();
    let ((here, is_here), (go, may_go)) = (channel(), channel());
    let writer = writer(directory.path(), 2, What::WaitAndFail(here, may_go));
    add(&writer, 0).unwrap();
    writer.flush().unwrap();
    // The thread takes this one and waits inside; two more fill the queue.
    add(&writer, 1).unwrap();
    is_here.recv().unwrap();
    add(&writer, 2).unwrap();
    add(&writer, 3).unwrap();
    std::thread::scope(|scope| {
        let blocked = scope.spawn(|| add(&writer, 4));
        go.send(()).unwrap();
        assert_full_disk(&blocked.join().unwrap().unwrap_err());
    });
}

#[test]
fn a_panic_of_the_thread_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let writer = writer(directory.path(), 10, What::Panic);
    add(&writer, 0).unwrap();
    add(&writer, 1).unwrap();
    assert!(matches!(writer.flush(), Err(EventError::Panicked)));
    assert!(matches!(writer.close(), Err(EventError::Panicked)));
}

#[test]
fn a_writer_that_failed_can_be_reopened() {
    let directory = tempfile::tempdir().unwrap();
    let writer = writer(directory.path(), 10, What::Fail);
    add(&writer, 0).unwrap();
    add(&writer, 1).unwrap();
    assert_full_disk(&writer.flush().unwrap_err());
    writer.reopen().unwrap();
    add(&writer, 2).unwrap();
    writer.close().unwrap();
    assert_eq!(event_files(directory.path()).unwrap(), [writer.path()]);
    let steps: Vec<_> = read_events(directory.path()).unwrap().map(|event| event.unwrap().step).collect();
    assert_eq!(steps, [0, 2]);
}

#[test]
fn a_writer_that_cannot_be_reopened_stays_failed() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("run");
    std::fs::create_dir(&directory).unwrap();
    let writer = writer(&directory, 10, What::Fail);
    add(&writer, 0).unwrap();
    add(&writer, 1).unwrap();
    assert_full_disk(&writer.flush().unwrap_err());
    std::fs::remove_dir(&directory).unwrap();
    for _ in 0..2 {
        assert!(matches!(writer.reopen(), Err(EventError::File { .. })));
        assert_full_disk(&add(&writer, 2).unwrap_err());
        assert_full_disk(&writer.flush().unwrap_err());
    }
    std::fs::create_dir(&directory).unwrap();
    writer.reopen().unwrap();
    add(&writer, 3).unwrap();
    writer.close().unwrap();
    assert_eq!(read_events(&directory).unwrap().count(), 2, "the version and one event");
}

#[test]
fn events_before_a_failure_stay_readable() {
    let directory = tempfile::tempdir().unwrap();
    let writer = writer(directory.path(), 10, What::Fail);
    let output = Arc::new(Mutex::new(Vec::new()));
    let fake = Fake { written: Arc::clone(&output), writes: 0, at: SECOND_EVENT + 1, what: What::Fail };
    writer.close().unwrap();
    writer.start_with(&mut writer.worker(), Box::new(fake), directory.path().join("fake")).unwrap();
    add(&writer, 5).unwrap();
    add(&writer, 6).unwrap();
    writer.flush().unwrap_err();
    let bytes = output.lock().unwrap().clone();
    let mut reader = EventReader::new(RecordReader::new(&bytes[..]));
    let steps: Vec<_> = std::iter::from_fn(|| reader.next_whole_event().unwrap()).map(|e| e.step).collect();
    assert_eq!(steps, [0, 5]);
}
