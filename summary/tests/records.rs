//! Framing: round trips, growing files, damage of every kind.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use proptest::prelude::*;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use summary::record::{RecordError, RecordReader, RecordWriter};
use summary::{EventAccumulator, EventError, EventReader, read_events};

fn file_of(records: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = RecordWriter::new(Vec::new());
    records.iter().for_each(|record| writer.write(record).unwrap());
    assert_eq!(writer.offset(), writer.get_mut().len() as u64);
    writer.into_inner()
}

/// Records up to the end or the first error.
fn read(file: &[u8]) -> (Vec<Vec<u8>>, Option<RecordError>) {
    let mut reader = RecordReader::new(file);
    let mut records = Vec::new();
    loop {
        match reader.next_record() {
            Ok(Some(record)) => records.push(record.to_vec()),
            Ok(None) => return (records, None),
            Err(error) => return (records, Some(error)),
        }
    }
}

fn some_records() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6)
}

/// Gives a few bytes at a time, and an end at every second read.
struct Trickle<'a> {
    bytes: &'a [u8],
    step: usize,
    /// Every second read finds nothing, as in a file that grows.
    dry: bool,
}

impl Read for Trickle<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.dry = !self.dry;
        if self.dry {
            return Ok(0);
        }
        let len = self.step.min(out.len()).min(self.bytes.len());
        let (now, later) = self.bytes.split_at(len);
        out[..len].copy_from_slice(now);
        self.bytes = later;
        Ok(len)
    }
}

proptest! {
    #[test]
    fn written_values_are_read(records in some_records()) {
        let file = file_of(&records);
        prop_assert_eq!(file.len(), records.iter().map(|record| record.len() + 16).sum::<usize>());
        let (found, error) = read(&file);
        prop_assert_eq!(found, records);
        prop_assert!(error.is_none());
    }

    #[test]
    fn a_file_that_grows_is_followed(records in some_records(), step in 1usize..20) {
        let file = file_of(&records);
        let mut reader = RecordReader::new(Trickle { bytes: &file, step, dry: false });
        let mut found = Vec::new();
        // Each round gets at least a byte until all are there.
        for _ in 0..=2 * file.len() {
            match reader.next_record() {
                Ok(Some(record)) => found.push(record.to_vec()),
                Ok(None) => {}
                Err(error) => prop_assert!(error.is_truncated(), "{}", error),
            }
        }
        prop_assert_eq!(found, records);
        prop_assert_eq!(reader.offset(), file.len() as u64);
    }

    #[test]
    fn a_truncated_file_yields_its_complete_records(records in some_records(), cut in any::<prop::sample::Index>()) {
        let file = file_of(&records);
        let cut = cut.index(file.len() + 1);
        let (found, error) = read(&file[..cut]);
        let mut rest = cut;
        let whole = records.iter().take_while(|record| {
            let fits = record.len() + 16 <= rest;
            rest -= if fits { record.len() + 16 } else { 0 };
            fits
        });
        prop_assert_eq!(found.len(), whole.count());
        // Less than a header is the end of the file; more is a truncated record.
        prop_assert_eq!(error.is_some(), rest >= 12);
        prop_assert!(error.is_none_or(|error| error.is_truncated()));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (_, error) = read(&bytes);
        prop_assert!(error.is_none_or(|error| error.is_data_loss()));
    }

    #[test]
    fn any_record_is_an_event_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(event) = summary::Event::decode(bytes) {
            let again = summary::Event::decode(event.encode()).unwrap();
            prop_assert_eq!(again.encode(), event.encode());
        }
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let records = [b"first".to_vec(), Vec::new(), b"third".to_vec()];
    let file = file_of(&records);
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut damaged = file.clone();
            damaged[at] ^= 1 << bit;
            let (found, error) = read(&damaged);
            let broken = if at < 21 {
                0
            } else if at < 37 {
                1
            } else {
                2
            };
            assert_eq!(found, records[..broken], "bit {bit} of byte {at}");
            let offset = error.as_ref().unwrap().place().offset;
            assert_eq!(offset, [0, 21, 37][broken]);
            assert!(matches!(error, Some(RecordError::Corrupt { .. })), "{error:?}");
        }
    }
}

#[test]
fn damaged_event_files_are_errors_or_end_early() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/events/graph_and_logs");
    let path = path.join("events.out.tfevents.1700000000.host0");
    let file = fs::read(path).unwrap();
    let whole = EventReader::new(RecordReader::new(&file[..])).count();
    assert_eq!(whole, 7);
    for at in (0..file.len()).step_by(3) {
        let mut flipped = file.clone();
        flipped[at] ^= 0x41;
        let mut reader = EventReader::new(RecordReader::new(&flipped[..]));
        let good = reader.by_ref().take_while(Result::is_ok).count();
        assert!(good < whole, "byte {at}");
        let mut reader = EventReader::new(RecordReader::new(&file[..at]));
        let mut cut = 0;
        while let Some(_event) = reader.next_whole_event().unwrap() {
            cut += 1;
        }
        assert!(cut < whole);
    }
}

#[test]
fn lengths_are_limited_before_memory_is_allocated() {
    // A valid checksum of an absurd length, made by cutting a writer's header.
    let header = |length: u64| {
        let mut crc = RecordWriter::new(Vec::new());
        crc.write(&length.to_le_bytes()).unwrap();
        // The footer of that record is the checksum of the eight bytes.
        let footer = crc.into_inner()[20..].to_vec();
        [&length.to_le_bytes()[..], &footer].concat()
    };
    for length in [1 << 40, u64::MAX, u64::MAX - 15] {
        let bytes = header(length);
        let error = RecordReader::new(&bytes[..]).next_record().unwrap_err();
        assert!(matches!(error, RecordError::TooLong { length: found, .. } if found == length), "{error}");
        let error = RecordReader::new(&bytes[..]).with_max_len(u64::MAX).next_record().unwrap_err();
        assert!(error.is_data_loss(), "{error}");
    }
    let error = RecordReader::new(&header(1 << 30)[..]).next_record().unwrap_err();
    assert!(matches!(error, RecordError::Truncated { found: 12, .. }), "{error}");
    let file = file_of(&[vec![0; 100]]);
    let error = RecordReader::new(&file[..]).with_max_len(99).next_record().unwrap_err();
    assert_eq!(error.to_string(), "record of 100 bytes at offset 0 is over the limit of 99");
}

#[test]
fn errors_name_file_and_offset() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.tfrecord");
    let mut file = file_of(&[b"one".to_vec(), b"two".to_vec()]);
    file[19 + 13] ^= 1;
    fs::write(&path, &file).unwrap();
    let mut reader = RecordReader::open(&path).unwrap();
    reader.next_record().unwrap().unwrap();
    let expected = format!("corrupted data of the record at offset 19 of {}", path.display());
    assert_eq!(reader.next_record().unwrap_err().to_string(), expected);
    assert_eq!(reader.next_record().unwrap_err().to_string(), expected, "it stays so");
    assert!(matches!(RecordReader::open(directory.path().join("none")), Err(RecordError::Io { .. })));
}

#[test]
fn an_interrupted_read_is_tried_again_and_a_failed_one_reported() {
    struct Fails(Vec<io::ErrorKind>);
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            self.0.pop().map_or(Ok(0), |kind| Err(kind.into()))
        }
    }
    let mut reader = RecordReader::new(Fails(vec![io::ErrorKind::Interrupted]));
    assert_eq!(reader.next_record().unwrap(), None);
    let mut reader = RecordReader::new(Fails(vec![io::ErrorKind::PermissionDenied]));
    let error = reader.next_record().unwrap_err();
    assert!(!error.is_data_loss());
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn a_run_continues_after_a_damaged_file() {
    let directory = tempfile::tempdir().unwrap();
    let event = |step| {
        let summary = summary::Summary::scalar("a", step as f32);
        summary::Event::new(1.0, step, summary.into()).encode().to_vec()
    };
    let name = |number| directory.path().join(format!("events.out.tfevents.{number}.host"));
    let mut bad = file_of(&[event(0), event(1)]);
    *bad.last_mut().unwrap() ^= 1;
    fs::write(name(1), &bad).unwrap();
    // A record that is not an event, then a good one.
    fs::write(name(2), file_of(&[vec![0xff; 5], event(2)])).unwrap();
    // A truncated one.
    let cut = file_of(&[event(3), event(4)]);
    fs::write(name(3), &cut[..cut.len() - 1]).unwrap();
    fs::write(directory.path().join("model.ckpt"), b"not an event file").unwrap();

    let events: Vec<_> = read_events(directory.path()).unwrap().collect();
    let steps: Vec<_> = events.iter().map(|event| event.as_ref().map(|event| event.step).ok()).collect();
    assert_eq!(steps, [Some(0), None, None, Some(2), Some(3)]);
    assert!(matches!(&events[1], Err(EventError::Record(RecordError::Corrupt { .. }))));
    assert!(matches!(&events[2], Err(EventError::Decode { place, .. }) if place.offset == 0));

    let mut run = EventAccumulator::open(directory.path()).unwrap();
    assert_eq!(run.scalars("a").len(), 3);
    assert_eq!(run.damage().len(), 2);
    // The truncated record becomes whole, another file appears.
    fs::OpenOptions::new().append(true).open(name(3)).unwrap().write_all(&cut[cut.len() - 1..]).unwrap();
    fs::write(name(4), file_of(&[event(5)])).unwrap();
    assert_eq!(run.reload().unwrap(), 2);
    assert_eq!(run.reload().unwrap(), 0);
    let steps: Vec<_> = run.scalars("a").iter().map(|point| point.step).collect();
    assert_eq!(steps, [0, 2, 3, 4, 5]);
    assert_eq!(run.damage().len(), 2);
    assert_eq!(run.files().count(), 4);
}
