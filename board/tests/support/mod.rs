//! Runs that tests share.
#![allow(dead_code)] // each test uses its part

use std::path::Path;
use summary::{Audio, EventWriter, Histogram, Image, SessionLog, Summary, Value};
use tensor::Tensor;

/// Writes numbers of one tag: step `n` has the `n`-th.
pub(crate) fn numbers(folder: &Path, tag: &str, values: impl IntoIterator<Item = f32>) {
    let writer = EventWriter::open(folder).unwrap();
    for (step, value) in values.into_iter().enumerate() {
        writer.add_summary(Summary::scalar(tag, value), step as i64).unwrap();
    }
    writer.close().unwrap();
}

/// A falling curve with some noise, which is the same each time.
pub(crate) fn curve(count: usize, seed: u32) -> impl Iterator<Item = f32> + Clone {
    let mut state = seed.wrapping_mul(2_654_435_761).max(1);
    (0..count).map(move |step| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let noise = (state as f32 / u32::MAX as f32 - 0.5) * 0.12;
        (2.3 * (-(step as f32) / (count as f32 / 5.0)).exp() + 0.15 + noise * 0.8).max(0.01)
    })
}

/// A folder with two runs that have something for each view.
pub(crate) fn everything(folder: &Path) {
    for (run, seed, rate) in [("adam", 1, 0.001), ("sgd", 2, 0.1)] {
        let folder = folder.join(run);
        let writer = EventWriter::open(&folder).unwrap();
        writer
            .add_summary(Summary::hparams([("rate", rate.into()), ("optimizer", run.into())], "", 1.7e9), 0)
            .unwrap();
        writer.add_session_log(SessionLog::start(), 1).unwrap();
        tell(&writer, 0, r#"{"story":"started","step":0}"#);
        for (step, loss) in curve(200, seed).enumerate() {
            let step = step as i64 + 1;
            let mut summary = Summary::scalar("train/loss", loss)
                .with(Value::scalar("train/accuracy", 1.0 - loss / 3.0))
                .with(Value::scalar("rate", rate as f32));
            if step % 10 == 0 {
                let spread = 1.0 / (1.0 + step as f64 / 60.0);
                let values = (0..400).map(|index| {
                    let x = f64::from(index) / 200.0 - 1.0;
                    x * x * x * spread * 2.0 + step as f64 / 400.0
                });
                summary = summary.with(Value::histogram("hidden/weights", Histogram::of(values).unwrap()));
            }
            if step % 50 == 0 {
                summary = summary
                    .with(Value::image("input/image", image(step as u8)))
                    .with(Value::audio("sound", sound(step as f32)))
                    .with(Value::text("notes", &format!("step **{step}** of {run}")));
            }
            writer.add_summary(summary, step).unwrap();
        }
        let pace =
            r#"{"story":"pace","seconds":2.0,"runs":200,"in_runs":1.5,"between_runs":0.3,"input_wait":0.25}"#;
        tell(&writer, 200, pace);
        let timings = r#"{"story":"hooks","timings":[{"hook":"SummarySaverHook","seconds":0.0002,"share":0.02},{"hook":"CheckpointSaverHook","seconds":0.001,"share":0.1}]}"#;
        tell(&writer, 200, timings);
        writer.add_session_log(SessionLog::checkpoint("model.ckpt-200"), 200).unwrap();
        tell(
            &writer,
            200,
            r#"{"story":"ended","source":"hook 'StopAtStepHook'","reason":"step 200 was reached"}"#,
        );
        writer.add_graph(graph(), 0).unwrap();
        writer.add_run_metadata("step_100", metadata(), 100).unwrap();
        writer.close().unwrap();
        let model = std::collections::BTreeMap::from([
            (
                "hidden/w".to_owned(),
                Tensor::from_vec((0..64).map(|i| (i as f32 / 9.0).sin()).collect(), [8usize, 8]).unwrap(),
            ),
            ("global_step".to_owned(), Tensor::from(200i64)),
        ]);
        let saver = checkpoint::Saver::default();
        for step in [100, 200] {
            saver.save(&model, folder.join("model.ckpt"), Some(step)).unwrap();
        }
        saver.close().unwrap();
    }
}

fn tell(writer: &EventWriter, step: i64, message: &str) {
    writer
        .add_session_log(SessionLog { message: message.to_owned(), ..SessionLog::default() }, step)
        .unwrap();
}

/// A small picture of four channels of one byte.
pub(crate) fn image(shade: u8) -> Image {
    let pixels: Vec<u8> = (0..16 * 16)
        .flat_map(|index: u32| [shade, (index % 16 * 16) as u8, (index / 16 * 16) as u8])
        .collect();
    Image::from_pixels(&Tensor::from_vec(pixels, [16usize, 16, 3]).unwrap()).unwrap()
}

fn sound(pitch: f32) -> Audio {
    let samples: Vec<f32> = (0..800).map(|index| (index as f32 * pitch / 800.0).sin() * 0.4).collect();
    Audio::from_samples(&Tensor::from_vec(samples, [800usize, 1]).unwrap(), 8000.0).unwrap()
}

/// A graph of one layer with its loss and a saver.
pub(crate) fn graph() -> bytes::Bytes {
    use ops::optimizers::{GradientDescentOptimizer, Optimizer as _};
    use ops::{array::placeholder, math, variables::variable};
    use session_core::{DType, Graph};
    let graph = Graph::new();
    let x = placeholder(&graph.named("x"), DType::Float32, [None, Some(2)]);
    let y = placeholder(&graph.named("y"), DType::Float32, [None, Some(2)]);
    let w = variable(
        &graph.named("hidden/w"),
        Tensor::from_vec(vec![0.5f32, 0.1, 0.2, 0.3], [2usize, 2]).unwrap(),
    );
    let out = math::matmul(x.named("hidden/product"), &w);
    let loss = math::reduce_mean(math::square(&out - &y).named("loss/mean"), ..);
    GradientDescentOptimizer::new(0.1).minimize(&loss, None);
    graph_def::to_graph_def(&graph).unwrap().to_bytes()
}

/// Run metadata of that graph.
fn metadata() -> bytes::Bytes {
    use graph_def::proto::{DeviceStepStats, NodeExecStats, RunMetadata, StepStats};
    let node = |name: &str, nanos| NodeExecStats {
        node_name: name.to_owned(),
        all_end_rel_nanos: nanos,
        ..NodeExecStats::default()
    };
    let node_stats = vec![node("x", 1000), node("hidden/product", 90_000), node("loss/mean+y", 20_000)];
    let device = DeviceStepStats { device: "/cpu:0".to_owned(), node_stats };
    let metadata = RunMetadata { step_stats: Some(StepStats { dev_stats: vec![device] }) };
    prost::Message::encode_to_vec(&metadata).into()
}
