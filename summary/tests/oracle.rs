//! The files written here are those that TensorFlow writes and reads.
//!
//! Needs a Python with TensorFlow: the one that the environment variable `MONITORED_SESSION_TF_PYTHON`
//! names, or `target/tensorflow/venv/bin/python` below the workspace's root. Without one the test reports
//! that it was skipped.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // in a test a panic is the report

#[path = "../../tests/support/python.rs"]
mod python;

use python::python;
use serde_json::{Value as Json, json};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use summary::record::RecordWriter;
use summary::{
    EventAccumulator, EventData, EventWriter, HParam, Histogram, SessionLog, Summary, Value, read_events,
};
use tensor::{DType, Tensor, f16};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// Numbers that look random and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns numbers between minus and plus ten to the power.
    fn spread(&mut self, count: usize, power: i32) -> Vec<f64> {
        (0..count).map(|_| (self.next() - 0.5) * 10f64.powf(self.next() * f64::from(power))).collect()
    }
}

/// A summary made here, and the input from which TensorFlow makes the same.
fn case(op: &str, tag: &str, input: &Tensor, max: usize, summary: &Summary) -> Json {
    json!({
        "op": op, "tag": tag, "dtype": input.dtype().name(), "shape": input.shape().to_vec(),
        "data": hex(&input.to_le_bytes().unwrap()), "max": max, "summary": hex(&summary.encode()),
    })
}

fn histograms(cases: &mut Vec<Json>) {
    let mut numbers = Numbers(1);
    let wide: Vec<f64> = numbers.spread(2000, 22).into_iter().chain(numbers.spread(2000, -22)).collect();
    let limits: Vec<f64> = std::iter::successors(Some(1e-12), |limit| Some(limit * 1.1))
        .take(700)
        .flat_map(|limit: f64| [limit, -limit, limit.next_down(), -limit.next_up()])
        .collect();
    let small: Vec<f64> = numbers.spread(500, 2);
    let singles: Vec<f32> = small.iter().map(|&number| number as f32).collect();
    let halves: Vec<f16> = small.iter().map(|&number| f16::from_f64(number)).collect();
    let longs: Vec<i64> = wide.iter().map(|&number| number as i64).collect();
    let bytes: Vec<u8> = small.iter().map(|&number| number as u8).collect();
    for tensor in [
        Tensor::from(wide),
        Tensor::from(limits),
        Tensor::from(singles),
        Tensor::from(halves),
        Tensor::from(longs),
        Tensor::from(bytes),
        Tensor::from(Vec::<f32>::new()),
        Tensor::scalar(-0.0f64),
    ] {
        let histogram = Histogram::of_tensor(&tensor).unwrap();
        cases.push(case("histogram", "h", &tensor, 0, &Value::histogram("h", histogram).into()));
    }
}

fn images(cases: &mut Vec<Json>) {
    let mut numbers = Numbers(2);
    for (channels, max, offset) in [(1, 1, 0.0), (3, 3, 0.5), (4, 2, -0.1)] {
        let shape = [3, 5, 7, channels];
        let count = shape.iter().product();
        let mut values: Vec<f64> = (0..count).map(|_| (numbers.next() + offset) * 3.0).collect();
        values[4] = f64::NAN;
        let bytes = values.iter().map(|&value| (value * 255.0) as u8).collect();
        for tensor in [
            Tensor::from_vec::<u8>(bytes, shape).unwrap(),
            Tensor::from_vec(values.iter().map(|&value| value as f32).collect(), shape).unwrap(),
            Tensor::from_vec(values.iter().map(|&value| f16::from_f64(value)).collect(), shape).unwrap(),
            Tensor::from_vec(values, shape).unwrap(),
        ] {
            cases.push(case("image", "i", &tensor, max, &Summary::images("i", &tensor, max).unwrap()));
        }
    }
}

fn sounds(cases: &mut Vec<Json>) {
    let mut numbers = Numbers(3);
    for (shape, max) in [(&[2, 50][..], 1), (&[2, 50, 2], 3), (&[1, 9, 5], 1)] {
        let count = shape.iter().product();
        let samples: Vec<f32> = (0..count).map(|_| (numbers.next() * 2.4 - 1.2) as f32).collect();
        let tensor = Tensor::from_vec(samples, shape).unwrap();
        cases.push(case("audio", "a", &tensor, max, &Summary::audio("a", &tensor, 22050.5, max).unwrap()));
    }
}

fn scalars(cases: &mut Vec<Json>) {
    for value in [0.0, -0.0, 1.5, f32::NAN, f32::INFINITY, f32::MAX, 1e-45] {
        let summary = Summary::scalar("train/loss", value);
        cases.push(case("scalar", "train/loss", &Tensor::scalar(value), 0, &summary));
    }
}

/// Values of every dtype, and the tensors that TensorFlow should find in them.
fn tensors() -> Vec<Json> {
    let of_dtype = |dtype: DType| {
        let bytes: Vec<u8> = (0..6 * dtype.size()).map(|i| (i % 2) as u8).collect();
        Tensor::from_le_bytes(dtype, [2, 3], bytes).unwrap()
    };
    let plain = DType::all().filter(|dtype| dtype.is_plain()).map(of_dtype);
    let described = |tensor: Tensor| {
        let stored = summary::StoredTensor::new(&tensor).unwrap();
        let data = match tensor.as_strings() {
            Ok(strings) => json!(strings.iter().map(|string| hex(string)).collect::<Vec<_>>()),
            Err(_) => json!(hex(&tensor.to_le_bytes().unwrap())),
        };
        json!({
            "dtype": tensor.dtype().name(), "shape": tensor.shape().to_vec(), "data": data,
            "stored": hex(stored.as_encoded()),
        })
    };
    plain.chain([Tensor::from(["", "a\0b"]), Tensor::scalar(2.5f32)]).map(described).collect()
}

/// A graph that TensorFlow made, out of its own event file.
fn graphs() -> Vec<EventData> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/events/graph_and_logs");
    read_events(path).unwrap().filter_map(|event| event.unwrap().data).collect()
}

fn write_run(directory: &Path) {
    let mut builder = EventWriter::builder();
    let mut run_metadata = None;
    for data in graphs() {
        match data {
            EventData::Graph(graph) => builder = builder.graph(graph),
            EventData::MetaGraph(meta_graph) => builder = builder.meta_graph(meta_graph),
            EventData::RunMetadata { metadata, .. } => run_metadata = Some(metadata),
            _ => {}
        }
    }
    let writer = builder.open(directory).unwrap();
    let parameters = [("rate", HParam::from(0.125)), ("optimizer", "adam".into()), ("decay", true.into())];
    writer.add_summary(Summary::hparams(parameters, "group", 1.5e9), 0).unwrap();
    write_session(&writer, 0, 20);
    writer.add_run_metadata("step_9", run_metadata.unwrap(), 9).unwrap();
    writer.close().unwrap();
    // Killed at 20 and resumed from a checkpoint at 15, in a second file.
    writer.reopen().unwrap();
    write_session(&writer, 15, 25);
    writer.add_session_log(SessionLog::stop(), 0).unwrap();
    writer.close().unwrap();
}

fn write_session(writer: &EventWriter, first: i64, last: i64) {
    let pixels = Tensor::from_vec((0..96).collect::<Vec<u8>>(), [2, 4, 4, 3]).unwrap();
    let sound = Tensor::from_vec(vec![0.5f32; 100], [1, 100]).unwrap();
    writer.add_session_log(SessionLog::start(), first).unwrap();
    for step in first..last {
        let mut summary = Summary::scalar("loss", 1.0 / (step + 1) as f32)
            .with(Value::histogram("weights", Histogram::of((0..step).map(|i| i as f64)).unwrap()))
            .with(Value::text("note", "a *note*"));
        summary.extend(Summary::images("pictures", &pixels, 2).unwrap().values);
        summary.extend(Summary::audio("sounds", &sound, 8000.0, 1).unwrap().values);
        writer.add_summary(summary, step).unwrap();
    }
    writer.add_session_log(SessionLog::checkpoint("model.ckpt"), last).unwrap();
}

#[test]
fn tensorflow_agrees() {
    let Some(python) = python() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let run = directory.path().join("run");
    write_run(&run);
    let mut cases = Vec::new();
    histograms(&mut cases);
    images(&mut cases);
    sounds(&mut cases);
    scalars(&mut cases);
    let records: Vec<Vec<u8>> = (0..40).map(|len| vec![len; usize::from(len) * 7]).collect();
    let mut writer = RecordWriter::new(Vec::new());
    records.iter().for_each(|record| writer.write(record).unwrap());
    std::fs::write(directory.path().join("records"), writer.into_inner()).unwrap();
    let accumulated = EventAccumulator::open(&run).unwrap();
    let tags: Vec<Json> = accumulated
        .tags()
        .map(|tag| json!({"tag": tag.tag, "kind": format!("{:?}", tag.kind), "count": tag.count}))
        .collect();
    let request = json!({
        "run": run, "cases": cases, "tensors": tensors(), "tags": tags,
        "records_file": directory.path().join("records"),
        "records": records.iter().map(|record| hex(record)).collect::<Vec<_>>(),
    });
    let request_file = directory.path().join("request.json");
    std::fs::write(&request_file, request.to_string()).unwrap();

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/check.py");
    let output = Command::new(&python).arg(script).arg(&request_file).output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
