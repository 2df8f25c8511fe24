//! Writing runs and reading them back.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use summary::{
    Event, EventAccumulator, EventData, EventError, EventWriter, EventWriterBuilder, EventWriterCache,
    SessionLog, SessionStatus, Summary, SummaryMetadata, Value, event_files, read_events,
};

/// A writer in a second that lasts forever.
fn builder() -> EventWriterBuilder {
    EventWriter::builder().host("host").clock(|| Duration::from_millis(1_700_000_000_500))
}

fn events(directory: &Path) -> Vec<Event> {
    read_events(directory).unwrap().map(Result::unwrap).collect()
}

fn names(directory: &Path) -> Vec<String> {
    let name = |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    event_files(directory).unwrap().iter().map(name).collect()
}

fn scalar(value: f32) -> Summary {
    Summary::scalar("a", value)
}

/// A `GraphDef` of one node.
fn graph(name: &str) -> tensor::Bytes {
    let length = u8::try_from(name.len()).unwrap();
    let node = [&[0x0a, length], name.as_bytes(), b"\x12\x04NoOp"].concat();
    [&[0x0a, length + 8], node.as_slice()].concat().into()
}

/// A `MetaGraphDef` of this graph.
fn meta_graph(name: &str) -> tensor::Bytes {
    let graph = graph(name);
    [&[0x12, u8::try_from(graph.len()).unwrap()], &graph[..]].concat().into()
}

/// A `RunMetadata` of one device.
const RUN: &[u8] = b"\x0a\x05\x0a\x03\x0a\x01d";

#[test]
fn s_366_makes_the_directory_and_a_file_that_begins_with_its_version() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().join("deep/er");
    let writer = builder().suffix(".eval").open(&directory).unwrap();
    assert_eq!(names(&directory), ["events.out.tfevents.1700000000.host.eval"]);
    let first = &events(&directory)[0];
    assert_eq!((first.wall_time, first.step), (1_700_000_000.0, 0));
    assert_eq!(first.data, Some(EventData::FileVersion("brain.Event:2".to_owned())));
    assert!(first.source_writer.is_some());
    assert_eq!(writer.directory(), directory);
}

#[test]
fn s_367_s_368_every_kind_of_event_has_its_time_and_step() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let writer = builder().graph(graph("a")).meta_graph(meta_graph("a")).open(directory).unwrap();
    writer.add_session_log(SessionLog::start(), 5).unwrap();
    writer.add_summary(scalar(0.5), 6).unwrap();
    writer.add_summary_bytes(scalar(0.25).encode(), 7).unwrap();
    writer.add_run_metadata("step_7", RUN, 7).unwrap();
    writer.add_session_log(SessionLog::checkpoint("model.ckpt-8"), 8).unwrap();
    writer.add_session_log(SessionLog::stop(), 0).unwrap();
    writer.add_event(Event::new(3.5, -1, scalar(0.125).into())).unwrap();
    writer.close().unwrap();

    let found = events(directory);
    let log = |status, path: &str| {
        let log = SessionLog { status, checkpoint_path: path.to_owned(), message: String::new() };
        EventData::SessionLog(log)
    };
    let expected = [
        (0, EventData::FileVersion("brain.Event:2".to_owned())),
        (0, EventData::Graph(graph("a"))),
        (0, EventData::MetaGraph(meta_graph("a"))),
        (5, log(SessionStatus::Start, "")),
        (6, scalar(0.5).into()),
        (7, scalar(0.25).into()),
        (7, EventData::RunMetadata { tag: "step_7".to_owned(), metadata: RUN.into() }),
        (8, log(SessionStatus::Checkpoint, "model.ckpt-8")),
        (0, log(SessionStatus::Stop, "")),
        (-1, scalar(0.125).into()),
    ];
    assert_eq!(found.len(), expected.len());
    for (event, (step, data)) in found.iter().zip(expected) {
        assert_eq!((event.step, event.data.as_ref()), (step, Some(&data)));
    }
    assert!(found[1..9].iter().all(|event| event.wall_time == 1_700_000_000.5));
    assert_eq!(found[9].wall_time, 3.5);
}

#[test]
fn s_369_serialized_summaries_with_metadata_are_decoded() {
    let directory = tempfile::tempdir().unwrap();
    let writer = builder().open(&directory).unwrap();
    let text = Summary::from(Value::text("note", "hello"));
    writer.add_summary_bytes(text.encode(), 0).unwrap();
    writer.add_summary_bytes(text.encode(), 1).unwrap();
    let error = writer.add_summary_bytes(&b"\xff\xff"[..], 2).unwrap_err();
    assert!(matches!(error, EventError::Malformed { what: "summary", .. }));
    writer.close().unwrap();
    let found = events(directory.path());
    assert_eq!(found[1].values()[0].metadata, Some(SummaryMetadata::plugin("text")));
    assert_eq!(found[2].values()[0].metadata, None);
    assert_eq!(found[2].values()[0].data, text.values[0].data);
    assert_eq!(found.len(), 3);
}

#[test]
fn s_370_tags_of_run_metadata_are_unique_by_numbering() {
    let directory = tempfile::tempdir().unwrap();
    let writer = builder().open(&directory).unwrap();
    let tags: Vec<String> = ["step_1", "step_1", "step_1_1", "step_1", "step_2"]
        .into_iter()
        .map(|tag| writer.add_run_metadata(tag, &b""[..], 1).unwrap())
        .collect();
    assert_eq!(tags, ["step_1", "step_1_1", "step_1_1_1", "step_1_2", "step_2"]);
    writer.close().unwrap();
    assert_eq!(EventAccumulator::open(&directory).unwrap().run_metadata().count(), 5);
}

#[test]
fn s_371_closed_writers_ignore_events_until_they_are_reopened() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let writer = builder().open(directory).unwrap();
    let first = writer.path();
    writer.add_summary(Value::text("note", "1"), 1).unwrap();
    writer.reopen().unwrap();
    assert_eq!(writer.path(), first, "an open writer stays as it is");
    writer.close().unwrap();
    writer.close().unwrap();
    writer.flush().unwrap();
    assert!(writer.is_closed());
    writer.add_summary(scalar(2.0), 2).unwrap();
    writer.reopen().unwrap();
    assert_ne!(writer.path(), first);
    writer.add_summary(Value::text("note", "3"), 3).unwrap();
    writer.flush().unwrap();

    // Both files begin in the same second; the later one is the later one in name order too.
    assert_eq!(event_files(directory).unwrap(), [first, writer.path()]);
    let found = events(directory);
    let steps: Vec<_> = found.iter().map(|event| event.step).collect();
    assert_eq!(steps, [0, 1, 0, 3]);
    assert_eq!(found[3].values()[0].metadata, None, "the run has them already");
}

#[test]
fn two_writers_in_one_second_have_a_file_each() {
    let directory = tempfile::tempdir().unwrap();
    let writers: Vec<_> = (0..12).map(|_| builder().open(&directory).unwrap()).collect();
    let paths: Vec<_> = writers.iter().map(EventWriter::path).collect();
    assert_eq!(paths.iter().collect::<HashSet<_>>().len(), 12);
    assert_eq!(event_files(&directory).unwrap(), paths, "names sort in the order of opening");
    for (step, writer) in writers.iter().enumerate() {
        writer.add_summary(scalar(1.0), step as i64).unwrap();
    }
    drop(writers);
    let run = EventAccumulator::open(&directory).unwrap();
    let steps: Vec<_> = run.scalars("a").iter().map(|point| point.step).collect();
    assert_eq!(steps, (0..12).collect::<Vec<_>>());
}

#[test]
fn a_flush_makes_all_events_visible() {
    let directory = tempfile::tempdir().unwrap();
    let writer = builder().max_queue(100).open(&directory).unwrap();
    for count in 1..8 {
        writer.add_summary(scalar(0.0), count).unwrap();
        writer.flush().unwrap();
        assert_eq!(events(directory.path()).len() as i64, 1 + count);
    }
}

#[test]
fn many_threads_share_a_short_queue() {
    let directory = tempfile::tempdir().unwrap();
    let writer = builder().max_queue(3).open(&directory).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let writer = &writer;
            scope.spawn(move || {
                for step in 0..200 {
                    writer.add_summary(Summary::scalar(format!("t{thread}"), step as f32), step).unwrap();
                    if step % 50 == 0 {
                        writer.flush().unwrap();
                    }
                }
            });
        }
    });
    writer.close().unwrap();
    let run = EventAccumulator::open(&directory).unwrap();
    for thread in 0..4 {
        let steps: Vec<_> = run.scalars(&format!("t{thread}")).iter().map(|point| point.step).collect();
        assert_eq!(steps, (0..200).collect::<Vec<_>>());
    }
}

#[test]
fn a_flush_interval_and_a_queue_of_zero_work() {
    let directory = tempfile::tempdir().unwrap();
    let writer = builder().max_queue(0).flush_every(Duration::ZERO).open(&directory).unwrap();
    (0..20).for_each(|step| writer.add_summary(scalar(0.0), step).unwrap());
    writer.close().unwrap();
    assert_eq!(events(directory.path()).len(), 21);
}

#[test]
fn a_resumed_run_drops_records_after_its_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    for (first, last, value) in [(0, 10, 1.0), (6, 8, 2.0)] {
        let writer = builder().open(&directory).unwrap();
        writer.add_session_log(SessionLog::start(), first).unwrap();
        (first..last).for_each(|step| writer.add_summary(scalar(value), step).unwrap());
        writer.close().unwrap();
    }
    let run = EventAccumulator::open(&directory).unwrap();
    let points: Vec<_> = run.scalars("a").iter().map(|point| (point.step, point.value)).collect();
    let expected: Vec<_> = (0..6).map(|step| (step, 1.0)).chain([(6, 2.0), (7, 2.0)]).collect();
    assert_eq!(points, expected);
    let tag = run.tags().next().unwrap();
    assert_eq!((tag.count, tag.steps), (8, Some((0, 7))));
    assert_eq!(run.sessions().len(), 2);
    assert_eq!(run.first_wall_time(), Some(1_700_000_000.0));
}

/// The steps of the points of each tag that are left of events in one file.
fn left_of(version: Option<&str>, events: &[Event]) -> Vec<(String, Vec<i64>)> {
    let directory = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(directory.path().join("events.out.tfevents.1.host")).unwrap();
    let mut records = summary::record::RecordWriter::new(file);
    let version = version.map(|text| Event::new(0.0, 0, EventData::FileVersion(text.to_owned())));
    version.iter().chain(events).for_each(|event| records.write(&event.encode()).unwrap());
    drop(records);
    let run = EventAccumulator::open(&directory).unwrap();
    let steps = |tag: &str| run.scalars(tag).iter().map(|point| point.step).collect();
    run.tags().map(|tag| (tag.tag.to_owned(), steps(tag.tag))).collect()
}

fn point(tag: &str, step: i64) -> Event {
    Event::new(1.0, step, Summary::scalar(tag, step as f32).into())
}

fn tags(expected: &[(&str, &[i64])]) -> Vec<(String, Vec<i64>)> {
    expected.iter().map(|(tag, steps)| ((*tag).to_owned(), steps.to_vec())).collect()
}

#[test]
fn starts_drop_orphans_even_in_the_first_file_of_version_2() {
    let start = |step| Event::new(1.0, step, EventData::SessionLog(SessionLog::start()));
    let events =
        [point("a", 1), point("b", 1), point("a", 2), point("a", 3), start(2), point("a", 2), point("a", 1)];
    let left = left_of(Some("brain.Event:2"), &events);
    assert_eq!(left, tags(&[("a", &[1, 2, 1]), ("b", &[1])]), "and steps out of order are kept");
    // A start without later steps before it is the beginning of the run.
    let events = [point("a", 0), point("b", 2), start(2), point("a", 2), start(2), point("a", 2)];
    assert_eq!(left_of(Some("brain.Event:2"), &events[..4]), tags(&[("a", &[0, 2]), ("b", &[2])]));
    assert_eq!(left_of(Some("brain.Event:2"), &events), tags(&[("a", &[0, 2]), ("b", &[])]));
}

#[test]
fn in_older_files_steps_out_of_order_drop_the_orphans_of_their_tags() {
    let start = Event::new(1.0, 2, EventData::SessionLog(SessionLog::start()));
    for version in [None, Some("brain.Event:1"), Some("something else")] {
        let events = [1, 2, 3]
            .into_iter()
            .flat_map(|step| [point("a", step), point("b", step)])
            .chain([point("a", 2)]);
        let mut events: Vec<Event> = events.collect();
        assert_eq!(left_of(version, &events), tags(&[("a", &[1, 2]), ("b", &[1, 2, 3])]), "{version:?}");
        // The next one is measured by the latest step as well, and a start means nothing.
        events.push(point("b", 2));
        assert_eq!(left_of(version, &events), tags(&[("a", &[1, 2]), ("b", &[1, 2])]), "{version:?}");
        let events = [point("a", 1), point("a", 2), start.clone()];
        assert_eq!(left_of(version, &events), tags(&[("a", &[1, 2])]), "{version:?}");
    }
}

#[test]
fn a_suffix_stays_at_the_end_and_names_sort_in_the_order_of_writers() {
    for suffix in ["", ".eval", "eval", ".v2"] {
        let directory = tempfile::tempdir().unwrap();
        let open = || builder().suffix(suffix).open(&directory).unwrap();
        let paths: Vec<_> = (0..3).map(|_| open().path()).collect();
        assert_eq!(event_files(&directory).unwrap(), paths, "{suffix:?}");
        assert!(paths.iter().all(|path| path.to_str().unwrap().ends_with(suffix)), "{paths:?}");
    }
}

#[test]
fn malformed_messages_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let writer = builder().open(&directory).unwrap();
    for nonsense in [&b"nonsense"[..], b"\xff\xff", b"<html>", b"\x0a\x05ab", b"{\"node\": []}"] {
        let event = Event::new(0.0, 0, EventData::Graph(nonsense.into()));
        let refused = [
            writer.add_graph(nonsense, 0).unwrap_err(),
            writer.add_meta_graph(nonsense, 0).unwrap_err(),
            writer.add_run_metadata("run", nonsense, 0).unwrap_err(),
            writer.add_event(event).unwrap_err(),
        ];
        for error in refused {
            assert!(error.to_string().starts_with("malformed "), "{error}");
        }
    }
    assert_eq!(writer.add_run_metadata("run", RUN, 0).unwrap(), "run", "the tag was not used up");
    writer.close().unwrap();
    assert_eq!(events(directory.path()).len(), 2);
    assert!(builder().graph("nonsense").open(&directory).is_err());
}

#[test]
fn a_directory_that_cannot_be_created_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let error = EventWriter::open(file.join("below")).unwrap_err();
    assert!(matches!(&error, EventError::File { action: "create directory", .. }), "{error}");
    assert!(std::error::Error::source(&error).is_some());
    let error = builder().suffix("/none/x").open(directory.path()).unwrap_err();
    assert!(matches!(&error, EventError::File { action: "create file", .. }), "{error}");
    assert!(matches!(read_events(directory.path().join("none")), Err(EventError::File { .. })));
}

#[test]
fn s_374_q_61_all_spellings_of_a_directory_share_one_writer() {
    let directory = tempfile::tempdir().unwrap();
    let run = directory.path().join("run");
    let cache = EventWriterCache::new();
    let one = cache.get(&run).unwrap();
    let mut others = vec![directory.path().join("run/"), directory.path().join("./run/../run")];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&run, directory.path().join("link")).unwrap();
        others.push(directory.path().join("link"));
    }
    for other in others {
        assert!(Arc::ptr_eq(&one, &cache.get(&other).unwrap()), "{}", other.display());
    }
    assert!(!Arc::ptr_eq(&one, &cache.get(directory.path()).unwrap()));
}

#[test]
fn s_374_q_61_an_unused_writer_is_dropped_and_the_next_has_its_own_graph() {
    let directory = tempfile::tempdir().unwrap();
    let cache = EventWriterCache::new();
    for name in ["one", "two"] {
        let writer = cache.get_or_open(&directory, |builder| builder.graph(graph(name))).unwrap();
        let again = cache.get_or_open(&directory, |builder| builder.graph(graph("never"))).unwrap();
        again.add_summary(scalar(1.0), 1).unwrap();
        assert!(Arc::ptr_eq(&writer, &again));
    }
    let graphs: Vec<_> = events(directory.path())
        .into_iter()
        .filter_map(|event| match event.data {
            Some(EventData::Graph(graph)) => Some(graph),
            _ => None,
        })
        .collect();
    assert_eq!(graphs, [graph("one"), graph("two")]);
}

#[test]
fn clearing_the_cache_closes_its_writers_and_forgets_them() {
    let directory = tempfile::tempdir().unwrap();
    let cache = EventWriterCache::new();
    let one = cache.get(&directory).unwrap();
    cache.clear().unwrap();
    assert!(one.is_closed());
    let two = cache.get(&directory).unwrap();
    two.close().unwrap();
    let three = cache.get(&directory).unwrap();
    assert!(!three.is_closed());
    assert!(std::ptr::eq(EventWriterCache::shared(), EventWriterCache::shared()));
}

/// The bytes of the whole file in `FORMAT.md`.
fn documented() -> Vec<u8> {
    let text = include_str!("../FORMAT.md");
    let block = text.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let mut bytes = Vec::new();
    for line in block.lines() {
        let (offset, rest) = line.split_once(": ").unwrap();
        assert_eq!(usize::from_str_radix(offset, 16).unwrap(), bytes.len(), "{line}");
        let columns = rest.split("  ").next().unwrap();
        bytes.extend(columns.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()));
    }
    bytes
}

#[test]
fn the_documented_file_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let writer = builder().open(&directory).unwrap();
    writer.add_summary(Summary::scalar("loss", 0.5), 3).unwrap();
    writer.close().unwrap();
    let written = std::fs::read(writer.path()).unwrap();
    assert_eq!(written, documented(), "{written:02x?}");
}
