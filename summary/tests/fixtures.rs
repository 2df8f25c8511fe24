//! Files of TensorFlow are read as it reads them, and written again as it wrote them.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use summary::record::{RecordReader, RecordWriter};
use summary::{
    Event, EventAccumulator, EventData, EventReader, Histogram, SessionStatus, StoredTensor, TagInfo,
    TagKind, Value, ValueData, event_files, read_events,
};
use tensor::{DType, Tensor};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn json(path: &Path) -> Json {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Every directory of event files with what is expected of it.
fn runs() -> Vec<(PathBuf, Json)> {
    let mut runs: Vec<_> = fs::read_dir(fixtures().join("events"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), json(&path.join("expected.json"))))
        .collect();
    runs.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(runs.len(), 7);
    runs
}

/// All files, with the events that are expected.
fn files() -> Vec<(PathBuf, Vec<Json>)> {
    let of_run = |(path, expected): (PathBuf, Json)| {
        let files = expected["event_files"].as_object().unwrap().clone();
        files.into_iter().map(move |(name, events)| (path.join(name), events.as_array().unwrap().clone()))
    };
    runs().into_iter().flat_map(of_run).collect()
}

#[test]
fn records_have_the_expected_offsets_and_contents() {
    for (path, expected) in files() {
        let mut reader = RecordReader::open(&path).unwrap();
        for event in &expected {
            assert_eq!(reader.offset(), event["offset"].as_u64().unwrap());
            let record = reader.next_record().unwrap().unwrap();
            assert_eq!(record.len() as u64, event["bytes"].as_u64().unwrap());
            assert_eq!(sha256(&record), event["sha256"].as_str().unwrap());
        }
        assert_eq!(reader.next_record().unwrap(), None);
        assert_eq!((reader.offset(), reader.leftover()), (fs::metadata(&path).unwrap().len(), 0));
    }
}

#[test]
fn events_have_the_expected_content() {
    for (path, expected) in files() {
        let events: Vec<Event> = EventReader::open(&path).unwrap().map(Result::unwrap).collect();
        assert_eq!(events.len(), expected.len());
        for (event, expected) in events.iter().zip(&expected) {
            check_event(event, expected);
        }
    }
}

fn check_event(event: &Event, expected: &Json) {
    assert_eq!(event.wall_time, expected["wall_time"].as_f64().unwrap());
    assert_eq!(event.step, expected["step"].as_i64().unwrap());
    assert_eq!(event.source_writer.as_deref(), expected["source_writer"].as_str());
    let what = match event.data.as_ref().unwrap() {
        EventData::FileVersion(version) => {
            assert_eq!(version, expected["file_version"].as_str().unwrap());
            "file_version"
        }
        EventData::Graph(graph) => {
            assert_eq!(sha256(graph), expected["graph_def_sha256"].as_str().unwrap());
            "graph_def"
        }
        EventData::MetaGraph(graph) => {
            assert_eq!(graph.len() as u64, expected["meta_graph_def_bytes"].as_u64().unwrap());
            "meta_graph_def"
        }
        EventData::SessionLog(log) => {
            let expected = &expected["session_log"];
            let status = match expected["status"].as_i64().unwrap() {
                1 => SessionStatus::Start,
                2 => SessionStatus::Stop,
                _ => SessionStatus::Checkpoint,
            };
            assert_eq!(log.status, status);
            assert_eq!(log.checkpoint_path, expected["checkpoint_path"].as_str().unwrap());
            assert_eq!(log.message, expected["msg"].as_str().unwrap());
            "session_log"
        }
        EventData::RunMetadata { tag, metadata } => {
            assert_eq!(tag, expected["tag"].as_str().unwrap());
            assert_eq!(metadata.len() as u64, expected["run_metadata_bytes"].as_u64().unwrap());
            "tagged_run_metadata"
        }
        EventData::Summary(summary) => {
            let expected = expected["values"].as_array().unwrap();
            assert_eq!(summary.values.len(), expected.len());
            for (value, expected) in summary.values.iter().zip(expected) {
                check_value(value, expected);
            }
            "summary"
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(what, expected["what"].as_str().unwrap());
}

fn check_value(value: &Value, expected: &Json) {
    assert_eq!(value.tag, expected["tag"].as_str().unwrap());
    assert_eq!(value.plugin_name(), expected["plugin"].as_str());
    if let Some(metadata) = &value.metadata {
        let content = metadata.plugin.as_ref().map(|plugin| hex(&plugin.content));
        assert_eq!(content.as_deref(), expected["plugin_content_hex"].as_str());
        assert_eq!(i64::from(metadata.data_class), expected["data_class"].as_i64().unwrap());
        assert_eq!(metadata.description, expected["description"].as_str().unwrap_or_default());
    }
    let kind = match value.data.as_ref().unwrap() {
        ValueData::Scalar(number) => {
            assert_eq!(hex(&number.to_le_bytes()), expected["value_f32_hex"].as_str().unwrap());
            "simple_value"
        }
        ValueData::Histogram(histogram) => {
            check_histogram(histogram, &expected["histo"]);
            "histo"
        }
        ValueData::Image(image) => {
            let expected = &expected["image"];
            assert_eq!(i64::from(image.height), expected["height"].as_i64().unwrap());
            assert_eq!(i64::from(image.width), expected["width"].as_i64().unwrap());
            assert_eq!(i64::from(image.colorspace), expected["colorspace"].as_i64().unwrap());
            assert_eq!(sha256(&image.encoded), expected["png_sha256"].as_str().unwrap());
            "image"
        }
        ValueData::Tensor(stored) => {
            check_tensor(&stored.to_tensor().unwrap(), &expected["tensor"]);
            "tensor"
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(kind, expected["kind"].as_str().unwrap());
}

fn check_histogram(histogram: &Histogram, expected: &Json) {
    let number = |json: &Json| json.as_f64().unwrap();
    let numbers = |json: &Json| json.as_array().unwrap().iter().map(number).collect::<Vec<_>>();
    assert_eq!(histogram.min, number(&expected["min"]));
    assert_eq!(histogram.max, number(&expected["max"]));
    assert_eq!(histogram.num, number(&expected["num"]));
    assert_eq!(histogram.sum, number(&expected["sum"]));
    assert_eq!(histogram.sum_squares, number(&expected["sum_squares"]));
    assert_eq!(histogram.limits, numbers(&expected["bucket_limit"]));
    assert_eq!(histogram.counts, numbers(&expected["bucket"]));
}

fn check_tensor(tensor: &Tensor, expected: &Json) {
    assert_eq!(i64::from(tensor.dtype().number()), expected["dtype_number"].as_i64().unwrap());
    let shape: Vec<u64> = tensor.shape().iter().map(|&dim| dim as u64).collect();
    assert_eq!(Json::from(shape), expected["shape"]);
    let bytes = match tensor.dtype() {
        DType::String => {
            let strings = tensor.as_strings().unwrap().iter();
            strings.flat_map(|s| [&(s.len() as u64).to_le_bytes()[..], s].concat()).collect()
        }
        _ => tensor.to_le_bytes().unwrap().into_owned(),
    };
    assert_eq!(sha256(&bytes), expected["sha256"].as_str().unwrap());
}

#[test]
fn files_are_written_again_byte_for_byte() {
    for (path, _) in files() {
        let mut writer = RecordWriter::new(Vec::new());
        for event in EventReader::open(&path).unwrap() {
            writer.write(&event.unwrap().encode()).unwrap();
        }
        assert_eq!(writer.into_inner(), fs::read(&path).unwrap(), "{}", path.display());
    }
}

#[test]
fn histograms_are_made_as_tensorflow_made_them() {
    // The fixtures with values that are known: ten zeros, 1e-30 and -1e30, none, a single five.
    let inputs: [(usize, &[f64]); 4] = [(1, &[0.0; 10]), (2, &[1e-30, -1e30]), (3, &[]), (4, &[5.0])];
    let path = fixtures().join("events/histograms");
    let events: Vec<Event> = read_events(path).unwrap().map(Result::unwrap).collect();
    for (index, values) in inputs {
        let ours = Histogram::of(values.iter().copied()).unwrap();
        let ValueData::Histogram(theirs) = events[index + 1].values()[0].data.as_ref().unwrap() else {
            panic!("event {index} is not a histogram");
        };
        assert_eq!(&ours, theirs);
    }
}

#[test]
fn the_accumulator_sees_what_tensorboard_sees() {
    for (path, expected) in runs() {
        let run = EventAccumulator::open(&path).unwrap();
        assert!(run.damage().is_empty());
        let sees = &expected["tensorboard_sees"];
        let counts = |wanted: &dyn Fn(&TagInfo<'_>) -> bool| -> Json {
            let tags = run.tags().filter(wanted);
            Json::Object(tags.map(|tag| (tag.tag.to_owned(), Json::from(tag.count))).collect())
        };
        // TensorBoard's class lists whatever TensorFlow 2 wrote with the tensors.
        let tensors = sees["tensors"].as_object().unwrap();
        for (kind, seen) in [
            (TagKind::Scalar, "scalars"),
            (TagKind::Histogram, "histograms"),
            (TagKind::Image, "images"),
            (TagKind::Audio, "audio"),
        ] {
            let found = counts(&|tag| tag.kind == kind && !tensors.contains_key(tag.tag));
            assert_eq!(found, sees[seen], "{}: {seen}", path.display());
        }
        assert_eq!(counts(&|tag| tensors.contains_key(tag.tag)), sees["tensors"], "{}", path.display());
        let tags: Vec<&str> = run.run_metadata().map(|(tag, _)| tag).collect();
        assert_eq!(Json::from(tags), sees["run_metadata"]);
        assert_eq!(run.graph().is_some(), sees["graph"].as_bool().unwrap());
        assert_eq!(run.meta_graph().is_some(), sees["meta_graph"].as_bool().unwrap());
    }
}

#[test]
fn one_run_in_two_files_is_read_as_one() {
    let path = fixtures().join("events/two_files");
    assert_eq!(event_files(&path).unwrap().len(), 2);
    let run = EventAccumulator::open(&path).unwrap();
    let points: Vec<_> = run.scalars("x").iter().map(|point| (point.step, point.value)).collect();
    assert_eq!(points, (0..8).map(|step| (step, step as f64)).collect::<Vec<_>>());
}

#[test]
fn numbers_of_tensorflow_2_are_numbers() {
    let run = EventAccumulator::open(fixtures().join("events/tensors_v2")).unwrap();
    let values: Vec<f64> = run.scalars("loss").iter().map(|point| point.value).collect();
    assert_eq!(values, [1.0, 0.5, f64::from(1.0f32 / 3.0)]);
    let text = run.tags().find(|tag| tag.tag == "note").unwrap();
    assert_eq!((text.plugin, text.steps), (Some("text"), Some((0, 2))));
    let kinds: Vec<_> = run.tags().map(|tag| (tag.tag, tag.kind)).collect();
    let expected = [
        ("img", TagKind::Image),
        ("loss", TagKind::Scalar),
        ("note", TagKind::Text),
        ("raw", TagKind::Tensor),
        ("weights", TagKind::Histogram),
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn tensors_written_by_us_are_as_small_as_theirs() {
    let stored = StoredTensor::new(&Tensor::from([1i32, 2, 3])).unwrap();
    // dtype, shape [3], tensor_content.
    assert_eq!(hex(stored.as_encoded()), "080312041202080322 0c 01000000 02000000 03000000".replace(' ', ""));
}

#[test]
fn tfrecord_files_are_read_and_written_again() {
    let directory = fixtures().join("tfrecord");
    let expected = json(&directory.join("expected.json"));
    let files = expected["files"].as_object().unwrap();
    assert_eq!(files.len(), 3);
    for (name, expected) in files {
        let path = directory.join(name);
        let records: Vec<_> = RecordReader::open(&path).unwrap().map(Result::unwrap).collect();
        let found: Vec<String> = records.iter().map(|record| sha256(record)).collect();
        let rows = expected["records"].as_array().unwrap();
        assert_eq!(found, rows.iter().map(|row| row["sha256"].as_str().unwrap()).collect::<Vec<_>>());
        let mut writer = RecordWriter::new(Vec::new());
        records.iter().for_each(|record| writer.write(record).unwrap());
        assert_eq!(sha256(&writer.into_inner()), expected["sha256"].as_str().unwrap());
    }
}
