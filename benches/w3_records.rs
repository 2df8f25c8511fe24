//! W3, second part: from a TFRecord file to shuffled batches of parsed examples. A record has an image of 784 bytes and a label;
//! a step takes a batch of 128 as numbers from 0 to 1 and sums it, so that all data is used.
//!
//! | row | content of the shuffling queue |
//! | --- | --- |
//! | `shuffle_batch/1thread` | parsed examples, read one by one |
//! | `shuffle_batch/read_up_to/1thread` | parsed examples, read 128 at a time |
//! | `shuffle_then_parse/1thread` | records, read 128 at a time; the step parses its batch |
//!
//! The rows of `datasets` take their batches from datasets instead of queues.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

mod datasets;
mod support;

use monitored_session::ops::array::{constant, reshape};
use monitored_session::ops::io::{Compression, Reader};
use monitored_session::ops::math::{add, cast, reduce_sum};
use monitored_session::ops::parsing::{FeatureSpec, Parsed, decode_raw, parse_example, parse_single_example};
use monitored_session::prelude::*;
use monitored_session::queue_runner::input::{
    BatchOptions, ProducerOptions, shuffle_batch, string_input_producer,
};
use monitored_session::queue_runner::{JoinOptions, start_queue_runners};
use monitored_session::summary::example::{Example, Feature};
use monitored_session::summary::record::RecordWriter;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::time::{Duration, Instant};
use support::{emit, labels, rounds, splitmix, status_mb};

const RECORDS: usize = 60_000;
const BATCH: usize = 128;
const PIXELS: usize = 784;

fn write_records(path: &Path) {
    let classes = labels(6, RECORDS, 10);
    let start = Instant::now();
    let mut writer = RecordWriter::new(BufWriter::with_capacity(1 << 20, File::create(path).unwrap()));
    for (row, &class) in classes.iter().enumerate() {
        let pixels = (0..PIXELS as u64).map(|pixel| (splitmix(5, (row * PIXELS) as u64 + pixel) >> 56) as u8);
        let image: Vec<u8> = pixels.collect();
        let image = Feature::Bytes(vec![image.into()]);
        writer
            .write(&Example::new().with("image", image).with("label", [i64::from(class)]).encode())
            .unwrap();
    }
    writer.flush().unwrap();
    let rate = RECORDS as f64 / start.elapsed().as_secs_f64();
    emit("w3/ours/tfrecord_write", "records_per_s", "1/s", &[rate], "");
}

fn specs() -> [(&'static str, FeatureSpec); 2] {
    let scalar = |dtype| FeatureSpec::fixed([], dtype);
    [("image", scalar(DType::String)), ("label", scalar(DType::Int64))]
}

fn decoded(parsed: &Parsed, shape: &[i64]) -> [Output; 2] {
    let bytes = reshape(decode_raw(parsed.dense("image"), DType::UInt8), shape);
    let image = cast(bytes, DType::Float32);
    let image = &image / constant(&image.graph(), 255.0f32);
    [image, cast(parsed.dense("label"), DType::Int32)]
}

/// Returns the images and labels of a batch.
fn pipeline(graph: &Graph, path: &Path, row: &str) -> [Output; 2] {
    let files =
        string_input_producer(graph, [path.to_str().unwrap()], &ProducerOptions::default().shuffle(false));
    let reader = Reader::tf_record(graph, Compression::None);
    let options = BatchOptions::default();
    let pair = |batch: &[Output]| [batch[0].clone(), batch[1].clone()];
    match row {
        "shuffle_batch/1thread" => {
            let (_, record) = reader.read(&files);
            let element = decoded(&parse_single_example(&record, &specs()), &[PIXELS as i64]);
            pair(&shuffle_batch(graph, element, BATCH, 2000, &options.clone().capacity(5000)))
        }
        "shuffle_batch/read_up_to/1thread" => {
            let (_, records) = reader.read_up_to(&files, BATCH);
            let elements = decoded(&parse_example(&records, &specs()), &[-1, PIXELS as i64]);
            let options =
                options.enqueue_many(true).shapes([PartialShape::from([PIXELS]), PartialShape::scalar()]);
            pair(&shuffle_batch(graph, elements, BATCH, 2000, &options.clone().capacity(5000)))
        }
        _ => {
            let (_, records) = reader.read_up_to(&files, BATCH);
            let options = options.enqueue_many(true);
            let batch = shuffle_batch(graph, &records, BATCH, 2000, &options.clone().capacity(5000)).output();
            decoded(&parse_example(&batch, &specs()), &[-1, PIXELS as i64])
        }
    }
}

fn measure(path: &Path, row: &str) -> Result<()> {
    let graph = Graph::new();
    let [images, labels] = pipeline(&graph, path, row);
    let label_sum = cast(reduce_sum(labels, ..), DType::Float32);
    let sum = add(reduce_sum(images, ..), label_sum);
    graph.finalize()?;
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::default())?;
    let coordinator = Coordinator::new();
    let threads = start_queue_runners(&session, Some(&coordinator))?;
    let callable = session.make_callable(&sum, &[])?;
    let pump = |seconds: f64| -> Result<f64> {
        let (mut count, start) = (0, Instant::now());
        while start.elapsed().as_secs_f64() < seconds {
            callable.call(&[])?;
            count += BATCH;
        }
        Ok(count as f64 / start.elapsed().as_secs_f64())
    };
    pump(0.4)?;
    let runs = (0..rounds(5)).map(|_| pump(1.0)).collect::<Result<Vec<f64>>>()?;
    let extra = format!("\"rss_mb\": {:.0}", status_mb("VmRSS:"));
    emit(&format!("w3/ours/tfrecord/{row}"), "elements_per_s", "1/s", &runs, &extra);
    coordinator.request_stop();
    coordinator.join_with(&threads, &JoinOptions::default().stop_grace_period(Duration::from_secs(10)))
}

fn main() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.tfrecord");
    write_records(&path);
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with("--")).unwrap_or_default();
    let rows = ["shuffle_batch/1thread", "shuffle_batch/read_up_to/1thread", "shuffle_then_parse/1thread"];
    for row in rows.into_iter().filter(|row| row.contains(&only)) {
        measure(&path, row)?;
    }
    datasets::measure(&path, &only)
}
