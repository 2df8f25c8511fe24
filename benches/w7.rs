//! W7: a SavedModel in use. `w7 start` is the time from the launch of a process to the first answer of a 100 MB model; `w7 mlp` and
//! `w7 cnn` are steady calls with one example. The models are written to `target/bench-models`, where the peer finds them. `w7 first DIR`
//! is one process of `start`. `THREADS` sets the threads, `ROUNDS` the rounds.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

mod support;

use monitored_session::ops::{array, nn};
use monitored_session::prelude::*;
use monitored_session::saved_model::{LoadOptions, simple_save};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use support::networks::{self, dense};
use support::{emit, rounds, status_mb, threads, timed, uniform};

/// The networks of W4, and a wide one of 100 MB.
fn logits(graph: &Graph, model: &str, x: &Output) -> Output {
    match model {
        "mlp" => networks::mlp(graph, x),
        "cnn" => networks::cnn(graph, x, -1),
        _ => {
            let h = nn::relu(dense(graph, x, 0, 40, [784, 4096]));
            let h = nn::relu(dense(graph, &h, 2, 41, [4096, 4096]));
            let h = nn::relu(dense(graph, &h, 4, 42, [4096, 1250]));
            dense(graph, &h, 6, 43, [1250, 10])
        }
    }
}

/// Writes a model, unless it exists.
fn written(model: &str) -> Result<PathBuf> {
    let folder = Path::new("target/bench-models").join(model);
    if !folder.join("saved_model.pb").exists() {
        let graph = Graph::new();
        let x = array::placeholder(&graph.named("x"), DType::Float32, [None, Some(784)]);
        let y = nn::softmax(logits(&graph, model, &x));
        let mut session = SingularMonitoredSession::builder(&graph).build()?;
        simple_save(&**session.raw_session().unwrap(), &folder, [("x", &x)], [("y", &y)], None)?;
        session.close()?;
    }
    Ok(folder)
}

fn load(folder: &Path) -> Result<SavedModel> {
    SavedModel::load_with(
        folder,
        ["serve"],
        &LoadOptions::new().config(SessionConfig::with_threads(threads())),
    )
}

fn example() -> Tensor {
    Tensor::from_vec(uniform(1, 784), [1, 784]).expect("as many values as the shape has")
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// Loads a model and calls it once.
fn first(folder: &Path) -> Result<()> {
    let model = load(folder)?;
    let answer = model.signature("serving_default")?.run([("x", example())])?;
    println!("T {} {:.1} {}", now(), status_mb("VmRSS:"), answer.tensor("y")?.to_vec::<f32>()?[0]);
    Ok(())
}

fn start(folder: &Path) {
    let this = std::env::current_exe().expect("this program has a path");
    let (mut runs, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..=rounds(10) {
        let begin = now();
        let output = Command::new(&this).arg("first").arg(folder).output().expect("this program starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line =
            text.lines().find_map(|line| line.strip_prefix("T ")).expect("the line of the first answer");
        let numbers: Vec<f64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        runs.push(numbers[0] - begin);
        memory.push(numbers[1]);
    }
    let first_cold = runs.remove(0);
    memory.sort_by(f64::total_cmp);
    let extra = format!("\"rss_mb\": {}, \"first_cold\": {first_cold}", memory[memory.len() / 2]);
    emit("w7/ours/start_100mb", "start_to_first_answer", "s", &runs, &extra);
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["first", folder] => first(Path::new(folder)),
        ["start"] => {
            start(&written("large")?);
            Ok(())
        }
        [name] => {
            let model = load(&written(name)?)?;
            let signature = model.signature("serving_default")?;
            let x = example();
            let calls = if *name == "cnn" { 50 } else { 2000 };
            let by_name = timed(rounds(7), calls, calls, || {
                signature.run([("x", x.clone())]).expect("the model answers");
            });
            let micros = |runs: Vec<f64>| runs.into_iter().map(|run| run * 1e6).collect::<Vec<_>>();
            emit(&format!("w7/ours/{name}/signature"), "call_of_one_example", "us", &micros(by_name), "");
            let callable = signature.callable(&["x"])?;
            let prepared = timed(rounds(7), calls, calls, || {
                callable.call(std::slice::from_ref(&x)).expect("the model answers");
            });
            emit(&format!("w7/ours/{name}/callable"), "call_of_one_example", "us", &micros(prepared), "");
            Ok(())
        }
        other => Err(Error::value(format!("no such workload: {other:?}"))),
    }
}
