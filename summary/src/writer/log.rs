//! A file of events, without threads.

use super::clock::Clock;
use super::file::Output;
use super::queue::Pending;
use crate::record::{RecordError, RecordWriter};
use crate::{Event, EventData, FILE_VERSION, proto};
use bytes::Bytes;
use prost::Message;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The name of the writer in the first record of a file.
const SOURCE: &str = "monitored-session.summary";

/// The interval below which events do not stay in the queue at all.
pub(super) const PROMPT: Duration = Duration::from_secs(1);
/// Some systems cannot wait forever.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Encodes events into a file and knows when to flush it.
pub(super) struct EventLog {
    records: RecordWriter<Box<dyn Output>>,
    clock: Arc<dyn Clock>,
    flush_every: Duration,
    /// The time of the last flush; `None` until the first event.
    flushed: Option<Duration>,
    /// True if something was written since.
    dirty: bool,
    /// Tags whose metadata were written.
    described: HashSet<String>,
    buffer: Vec<u8>,
}

impl EventLog {
    pub(super) fn new(
        output: Box<dyn Output>,
        path: &Path,
        clock: Arc<dyn Clock>,
        flush_every: Duration,
        described: HashSet<String>,
    ) -> EventLog {
        let records = RecordWriter::new(output).with_file(path);
        let (flushed, dirty, buffer) = (None, false, Vec::new());
        EventLog { records, clock, flush_every, flushed, dirty, described, buffer }
    }

    /// Writes the event that every file begins with. Its time is in whole seconds, as in TensorFlow's.
    pub(super) fn write_version(&mut self) -> Result<(), RecordError> {
        // Whole seconds, as TensorFlow's writer stamps this event.
        let wall_time = self.clock.now().as_secs() as f64;
        let mut event = Event::new(wall_time, 0, EventData::FileVersion(FILE_VERSION.to_owned()));
        event.source_writer = Some(SOURCE.to_owned());
        self.write(Pending::Event(event))?;
        // At once, so that viewers recognize the file before the first value. Not counted as a flush: the
        // first event is then flushed without waiting, too.
        self.flush_now()
    }

    pub(super) fn write(&mut self, pending: Pending) -> Result<(), RecordError> {
        self.buffer.clear();
        match pending {
            Pending::Event(mut event) => {
                self.leave_out_known_metadata(&mut event);
                encode(&proto::Event::from(event), &mut self.buffer);
            }
            Pending::EncodedSummary { wall_time, step, bytes } => {
                let event = proto::Event { wall_time, step, ..proto::Event::default() };
                encode(&event, &mut self.buffer);
                encode_summary(&bytes, &mut self.buffer);
            }
        }
        self.dirty = true;
        self.records.write(&self.buffer)
    }

    /// Leaves out the metadata of all but a tag's first value (S-369).
    fn leave_out_known_metadata(&mut self, event: &mut Event) {
        let Some(EventData::Summary(summary)) = &mut event.data else { return };
        for value in summary.values.iter_mut().filter(|value| value.metadata.is_some()) {
            if self.described.contains(&value.tag) {
                value.metadata = None;
            } else {
                self.described.insert(value.tag.clone());
            }
        }
    }

    /// Flushes if it is time: at once after the first event, then at intervals. A clock that was set
    /// back makes it time too.
    pub(super) fn flush_if_due(&mut self) -> Result<(), RecordError> {
        if self.until_due().is_zero() { self.flush() } else { Ok(()) }
    }

    /// Returns the time that the thread may sleep. Events in the file must be flushed in time, and so must
    /// those that may wait in the queue meanwhile.
    pub(super) fn patience(&self) -> Duration {
        let patience = if self.dirty { self.until_due() } else { self.flush_every.max(PROMPT) };
        patience.min(LONGEST_WAIT)
    }

    /// Returns the time until the next flush.
    fn until_due(&self) -> Duration {
        let Some(flushed) = self.flushed else { return Duration::ZERO };
        match self.clock.now().checked_sub(flushed) {
            Some(since) => self.flush_every.saturating_sub(since),
            // The clock went backward. Flushing too often is harmless.
            None => Duration::ZERO,
        }
    }

    /// Hands everything over to the operating system.
    pub(super) fn flush(&mut self) -> Result<(), RecordError> {
        if !self.dirty {
            return Ok(());
        }
        // Before the flush, whose duration then counts toward the interval.
        self.flushed = Some(self.clock.now());
        self.flush_now()
    }

    fn flush_now(&mut self) -> Result<(), RecordError> {
        // Also if it fails: the error ends the writer.
        self.dirty = false;
        self.records.flush()
    }

    /// Ends the file.
    pub(super) fn finish(&mut self) -> Result<(), RecordError> {
        self.flush()?;
        self.records.get_mut().sync().map_err(|source| self.records.error("sync", source))
    }

    /// Returns the tags whose metadata are in this file or one before.
    pub(super) fn into_described(self) -> HashSet<String> {
        self.described
    }
}

fn encode(event: &proto::Event, buffer: &mut Vec<u8>) {
    event.encode(buffer).expect("a vector grows as needed");
}

/// Appends serialized values as the event's field 5, a sub-message.
fn encode_summary(bytes: &Bytes, buffer: &mut Vec<u8>) {
    // Appended behind the encoded event, as a message may list its fields in any order: the bytes need no
    // copy into a message.
    buffer.push(5 << 3 | 2);
    prost::encode_length_delimiter(bytes.len(), buffer).expect("a vector grows as needed");
    buffer.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventReader, Summary, SummaryMetadata, Value, record::RecordReader};
    use std::io::{self, Write};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// The flushed bytes, as another process would see them.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<Vec<u8>>>);

    #[derive(Default)]
    struct Buffered {
        disk: Disk,
        buffer: Vec<u8>,
    }

    impl Write for Buffered {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.buffer.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            self.disk.0.lock().unwrap().append(&mut self.buffer);
            Ok(())
        }
    }

    impl Output for Buffered {
        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Disk {
        fn events(&self) -> Vec<Event> {
            let bytes = self.0.lock().unwrap().clone();
            EventReader::new(RecordReader::new(&bytes[..])).map(Result::unwrap).collect()
        }
    }

    fn log(flush_every: u64) -> (EventLog, Disk, Arc<AtomicU64>) {
        let (output, now) = (Buffered::default(), Arc::new(AtomicU64::new(1_700_000_000_500)));
        let disk = output.disk.clone();
        let clock = Arc::clone(&now);
        let clock = Arc::new(move || Duration::from_millis(clock.load(Ordering::SeqCst)));
        let every = Duration::from_secs(flush_every);
        (EventLog::new(Box::new(output), Path::new("x"), clock, every, HashSet::new()), disk, now)
    }

    fn scalar(step: i64) -> Pending {
        Pending::Event(Event::new(0.0, step, Summary::scalar("a", 1.0).into()))
    }

    #[test]
    fn s_366_the_file_begins_with_its_version_in_whole_seconds() {
        let (mut log, disk, _) = log(120);
        log.write_version().unwrap();
        let events = disk.events();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].wall_time, 1_700_000_000.0);
        assert_eq!(events[0].data, Some(EventData::FileVersion("brain.Event:2".to_owned())));
    }

    #[test]
    fn s_366_the_first_event_is_flushed_at_once_and_others_at_intervals() {
        let (mut log, disk, now) = log(120);
        log.write_version().unwrap();
        for step in 0..3 {
            log.write(scalar(step)).unwrap();
            log.flush_if_due().unwrap();
            assert_eq!(disk.events().len(), 2, "version and first event");
        }
        now.fetch_add(119_999, Ordering::SeqCst);
        log.flush_if_due().unwrap();
        assert_eq!(disk.events().len(), 2);
        assert_eq!(log.until_due(), Duration::from_millis(1));
        now.fetch_add(1, Ordering::SeqCst);
        log.flush_if_due().unwrap();
        assert_eq!(disk.events().len(), 4);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_defer_the_flush() {
        let (mut log, disk, now) = log(120);
        log.write(scalar(0)).unwrap();
        log.flush_if_due().unwrap();
        now.fetch_sub(1_000_000, Ordering::SeqCst);
        log.write(scalar(1)).unwrap();
        log.flush_if_due().unwrap();
        assert_eq!(disk.events().len(), 2);
    }

    #[test]
    fn s_369_metadata_are_written_once_for_each_tag() {
        let (mut log, disk, _) = log(0);
        let value = |tag: &str| Value::text(tag, "x");
        for summary in [Summary::from(value("a")).with(value("b")), value("a").into(), value("c").into()] {
            log.write(Pending::Event(Event::new(0.0, 0, summary.into()))).unwrap();
        }
        log.flush().unwrap();
        let metadata: Vec<_> = disk
            .events()
            .iter()
            .flat_map(Event::values)
            .map(|value| (value.tag.clone(), value.metadata.clone()))
            .collect();
        let text = || Some(SummaryMetadata::plugin("text"));
        let expected = [("a", text()), ("b", text()), ("a", None), ("c", text())];
        assert_eq!(metadata, expected.map(|(tag, metadata)| (tag.to_owned(), metadata)));
        assert_eq!(log.into_described().len(), 3);
    }

    #[test]
    fn encoded_summaries_make_the_same_event() {
        let (mut log, disk, _) = log(0);
        let summary = Summary::scalar("a", 1.0);
        let bytes = summary.encode();
        log.write(Pending::EncodedSummary { wall_time: 7.5, step: -3, bytes }).unwrap();
        log.write(Pending::EncodedSummary { wall_time: 0.0, step: 0, bytes: Bytes::new() }).unwrap();
        log.flush().unwrap();
        let events = disk.events();
        assert_eq!(events[0], Event::new(7.5, -3, summary.into()));
        assert_eq!(events[1], Event::new(0.0, 0, Summary::default().into()));
    }
}
