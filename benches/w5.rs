//! W5: from the launch of a process to the end of its first step with a restored checkpoint (the W4 MLP with Adam's slots).
//! Without arguments it creates the checkpoint and starts itself several times; `w5 step DIR` is one such process.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

mod support;

use monitored_session::ops::optimizers::{AdamOptimizer, Optimizer};
use monitored_session::ops::{array, global_step, math, nn, variables};
use monitored_session::prelude::*;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use support::{emit, labels, rounds, status_mb, uniform};

const BATCH: usize = 128;

fn dense(graph: &Graph, x: &Output, i: usize, [inputs, outputs]: [usize; 2]) -> Output {
    // The values come from the checkpoint, so the initial values cost nothing here, as in a real program.
    let w = variables::get_variable(
        graph,
        &format!("p{i}"),
        [inputs, outputs],
        DType::Float32,
        &monitored_session::ops::initializers::glorot_uniform().seed(i as i64 + 1),
    );
    let b = variables::variable(&graph.named(&format!("p{}", i + 1)), vec![0f32; outputs]);
    nn::bias_add(math::matmul(x, &w), &b)
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// Builds the model, restores it from `dir` if there is a checkpoint, and runs one step.
fn first_step(dir: &Path, save: bool) -> Result<()> {
    let graph = Graph::new();
    let x = array::placeholder(&graph, DType::Float32, [BATCH, 784]);
    let y = array::placeholder(&graph, DType::Int32, [BATCH]);
    let h = nn::relu(dense(&graph, &x, 0, [784, 512]));
    let h = nn::relu(dense(&graph, &h, 2, [512, 256]));
    let logits = dense(&graph, &h, 4, [256, 10]);
    let loss = math::reduce_mean(nn::sparse_softmax_cross_entropy_with_logits(&y, &logits), ..);
    let step = global_step::get_or_create_global_step(&graph);
    let train_op = AdamOptimizer::new(1e-3).minimize(&loss, Some(&step));
    let mut builder = SingularMonitoredSession::builder(&graph).checkpoint_dir(dir);
    if save {
        builder = builder.hook(CheckpointSaverHook::every_steps(dir, 1));
    }
    let mut session = builder.build()?;
    let images = Tensor::from_vec(uniform(1, BATCH * 784), [BATCH, 784])?;
    let classes = Tensor::from(labels(2, BATCH, 10));
    session.run((&loss, &train_op), [(&x, images), (&y, classes)])?;
    if save {
        return session.close();
    }
    println!("T {} {:.1}", now(), status_mb("VmRSS:"));
    assert!(session.restored().is_some(), "the checkpoint was not restored");
    Ok(())
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if let [step, dir] = args.as_slice()
        && step == "step"
    {
        return first_step(Path::new(dir), false);
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    first_step(dir.path(), true)?;
    let this = std::env::current_exe().expect("this program has a path");
    let (mut runs, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..=rounds(10) {
        let start = now();
        let output = Command::new(&this).arg("step").arg(dir.path()).output().expect("this program starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix("T ")).expect("the line of the first step");
        let numbers: Vec<f64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        runs.push(numbers[0] - start);
        memory.push(numbers[1]);
    }
    let first_cold = runs.remove(0);
    memory.sort_by(f64::total_cmp);
    let extra = format!("\"rss_mb\": {}, \"first_cold\": {first_cold}", memory[memory.len() / 2]);
    emit("w5/ours", "start_to_first_step", "s", &runs, &extra);
    Ok(())
}
