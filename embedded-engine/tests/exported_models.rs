//! Models with loops, branches, arrays and recurrence that are built here, exported and trained by TensorFlow: with the training operation
//! of the file, and with gradients that TensorFlow adds to it. The losses are those of the training here (`oracle/train_exported.py`).
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen

use crate::python::python;
use embedded_engine::EmbeddedEngine;
use graph_def::{export_meta_graph, write_meta_graph};
use ops::array::{constant, identity};
use ops::control_flow::{
    Branch, TensorArray, case, cond, foldl, foldr, group, map_fn, scan, switch_case, while_loop,
};
use ops::functions::define;
use ops::initializers::zeros;
use ops::layers::embedding_lookup;
use ops::math::{less, reduce_sum, sigmoid, square, tanh};
use ops::optimizers::{GradientDescentOptimizer, Optimizer};
use ops::rnn::{
    AttentionWrapper, BahdanauAttention, BasicDecoder, BasicLstmCell, DecodeOptions, GruCell, Helper,
    LstmCell, MultiRnnCell, RnnCell, RnnOptions, bidirectional_dynamic_rnn, dynamic_decode, dynamic_rnn,
    static_rnn,
};
use ops::variables::get_variable;
use ops::{OutputExt, array};
use serde_json::Value;
use session_core::{DType, Engine, Graph, Output, PartialShape, SessionConfig, SessionExt, Tensor, keys};
use std::path::Path;
use std::process::Command;

const STEPS: usize = 5;

/// Graphs with the training operation, and graphs that only compute the loss.
const FORMS: [&str; 2] = ["exported", "own"];

/// As in the script.
fn values(name: &str, shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    let value = |i: usize| ((i as f64 * 0.7 + name.len() as f64).sin() * 0.4) as f32;
    Tensor::from_vec((0..count).map(value).collect::<Vec<f32>>(), shape.to_vec()).unwrap()
}

fn input(graph: &Graph, name: &str, shape: &[usize]) -> Output {
    constant(&graph.named(name), values(name, shape))
}

fn weights(graph: &Graph, name: &str, shape: &[usize]) -> Output {
    get_variable(graph, name, shape, DType::Float32, &zeros()).snapshot().clone()
}

fn ints(graph: &Graph, values: &[i32]) -> Output {
    constant(graph, Tensor::from(values.to_vec()))
}

fn far_from(output: &Output, target: f32) -> Output {
    reduce_sum(square(output - target), ..)
}

fn looped(graph: &Graph) -> Output {
    let (x, w) = (input(graph, "x", &[2, 3]), weights(graph, "w", &[3, 3]));
    let step = |_: &Graph, (i, h): (Output, Output)| (&i + 1, tanh(h.matmul(&w) + &x));
    let start = (constant(graph, 0i32), x.clone());
    let (_, h) = while_loop(graph, |body, (i, _)| less(i, constant(body, 4i32)), step, start);
    far_from(&h, 0.2)
}

fn nested(graph: &Graph) -> Output {
    let (x, w) = (input(graph, "x", &[3]), weights(graph, "w", &[3]));
    let outer = |body: &Graph, (i, h): (Output, Output)| {
        let inner = |_: &Graph, (j, g): (Output, Output)| (&j + 1, tanh(&g * &w) + &x);
        let few = |_: &Graph, (j, _): &(Output, Output)| less(j, &i + 1);
        let (_, g) = while_loop(body, few, inner, (constant(body, 0i32), h));
        let odd = less(constant(body, 0i32), &i % 2);
        (&i + 1, cond(odd, |_| &g * 0.5f32, |_| &g + &w))
    };
    let start = (constant(graph, 0i32), x.clone());
    let (_, h) = while_loop(graph, |body, (i, _)| less(i, constant(body, 3i32)), outer, start);
    far_from(&h, 0.1)
}

fn branches(graph: &Graph) -> Output {
    let (x, w) = (input(graph, "x", &[4]), weights(graph, "w", &[4]));
    let total = reduce_sum(&x * &w, ..);
    let positive = less(constant(graph, 0f32), &total);
    let first = cond(&positive, |_| &x * &w, |_| tanh(&w) - &x);
    let choices: Vec<Branch<'_, Output>> =
        vec![Box::new(|_| square(&first)), Box::new(|_| sigmoid(&first) * &w), Box::new(|_| &w * 3f32)];
    let second = switch_case(constant(graph, 1i32), choices, None);
    let small: Branch<'_, Output> = Box::new(|_| tanh(&second));
    let other: Branch<'_, Output> = Box::new(|_| &second * &w);
    let third = case(vec![(less(&total, constant(graph, -10f32)), small)], Some(other));
    far_from(&(&third + &second), 0.3)
}

fn arrays(graph: &Graph) -> Output {
    let (x, w) = (input(graph, "x", &[4, 2]), weights(graph, "w", &[2]));
    let given = TensorArray::unstacked(&x);
    let made = TensorArray::new(graph, DType::Float32, 4, PartialShape::from([2]));
    let step = |_: &Graph, (i, sum, made): (Output, Output, TensorArray)| {
        let sum = &sum + &(&given.read(&i) * &w);
        (&i + 1, sum.clone(), made.write(&i, square(&sum)))
    };
    let start = (constant(graph, 0i32), input(graph, "start", &[2]), made);
    let (_, sum, made) = while_loop(graph, |body, (i, _, _)| less(i, constant(body, 4i32)), step, start);
    let parts = TensorArray::split(&made.stack() * &w, constant(graph, [1i64, 3]));
    far_from(&parts.concat(), 0.3) + far_from(&made.gather([2, 0]), 0.1) + far_from(&sum, 0.0)
}

fn mapped(graph: &Graph) -> Output {
    let (x, w) = (input(graph, "x", &[5]), weights(graph, "w", &[]));
    let squares = map_fn(graph, |_, x: Output| &square(&x) * &w, x.clone());
    let sums = scan(graph, |_, sum: Output, x: Output| &(&sum * &w) + &x, x.clone(), constant(graph, 0.5f32));
    let left = foldl(graph, |_, all: Output, x: Output| &all - &(&x * &w), x.clone(), constant(graph, 1f32));
    let right = foldr(graph, |_, all: Output, x: Output| tanh(&all * &w) + &x, x, constant(graph, 1f32));
    far_from(&squares, 0.2) + far_from(&sums, 0.1) + far_from(&left, 0.0) + far_from(&right, 0.5)
}

fn called(graph: &Graph) -> Output {
    let (x, w) = (input(graph, "x", &[2, 3]), weights(graph, "w", &[3, 3]));
    let shape = PartialShape::from([2, 3]);
    let function = define(graph, "layer", &[(DType::Float32, shape)], |_, x| vec![tanh(x[0].matmul(&w))]);
    let function = function.unwrap();
    let once = function.call(graph, &[x]).remove(0);
    far_from(&function.call(graph, &[once]).remove(0), 0.2)
}

fn lstm(graph: &Graph) -> Output {
    let table = get_variable(graph, "table", [9, 3], DType::Float32, &zeros());
    let x = embedding_lookup(&table, constant(graph, [[1i32, 2, 3, 2], [8, 1, 0, 0], [4, 4, 4, 0]]));
    let stack = [LstmCell::new(4).use_peepholes(true), LstmCell::new(4).num_proj(3)];
    let options = RnnOptions::new().sequence_length(ints(graph, &[4, 2, 3]));
    let (outputs, state) = dynamic_rnn(&MultiRnnCell::new(stack), &x, &options);
    far_from(&outputs, 0.2) + reduce_sum(&state[1].c, ..)
}

fn both_ways(graph: &Graph) -> Output {
    let x = input(graph, "x", &[2, 5, 3]);
    let options = RnnOptions::new().sequence_length(ints(graph, &[5, 2]));
    let ((fw, bw), _) = bidirectional_dynamic_rnn(&GruCell::new(4), &GruCell::new(4), x, &options);
    far_from(&array::concat(&[fw, bw], 2), 0.1)
}

fn unrolled(graph: &Graph) -> Output {
    let x = input(graph, "x", &[2, 3, 3]);
    let options = RnnOptions::new().sequence_length(ints(graph, &[3, 2]));
    let (outputs, _) = static_rnn(&BasicLstmCell::new(4), &array::unstack(&x, 1), &options);
    far_from(&array::stack(&outputs, 1), 0.1)
}

fn decoded(graph: &Graph) -> Output {
    let memory = input(graph, "memory", &[2, 6, 3]);
    let attention = BahdanauAttention::new(5, &memory, Some(&ints(graph, &[6, 4])));
    let cell = AttentionWrapper::new(GruCell::new(4), attention).attention_layer_size(4);
    let lengths = ints(graph, &[5, 3]);
    let helper = Helper::training(input(graph, "targets", &[2, 5, 3]), &lengths);
    let state = cell.zero_state(graph, 2usize.into(), DType::Float32);
    let decoder = BasicDecoder::new(cell, helper, state).output_layer(7);
    let found = dynamic_decode(graph, &decoder, &DecodeOptions::default().impute_finished(true));
    far_from(&found.rnn_output, 0.1)
}

type Build = fn(&Graph) -> Output;

const MODELS: &[(&str, Build)] = &[
    ("arrays", arrays),
    ("both_ways", both_ways),
    ("branches", branches),
    ("called", called),
    ("decoded", decoded),
    ("looped", looped),
    ("lstm", lstm),
    ("mapped", mapped),
    ("nested", nested),
    ("unrolled", unrolled),
];

/// Exports a model and trains it here.
fn train(name: &str, build: Build, folder: &Path) -> Vec<f64> {
    let graph = Graph::new();
    let loss = identity(build(&graph).named("loss"));
    let export = |form: &str| {
        let message = export_meta_graph(&graph, None).unwrap();
        write_meta_graph(folder.join(form).join(format!("{name}.meta")), &message).unwrap();
    };
    export("own");
    let variables = graph.collection(&keys::VARIABLES);
    let step = GradientDescentOptimizer::new(0.1).minimize(&loss, None);
    let step = group(&graph.named("train"), [&step]);
    graph.check().unwrap();
    export("exported");
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(1)).unwrap();
    for variable in &variables {
        let shape = variable.shape().to_shape().unwrap();
        let feeds = [(variable.initial_value(), values(variable.name(), shape.dims()))];
        session.run(variable.initializer(), feeds).unwrap();
    }
    let losses =
        (0..STEPS).map(|_| session.run((&loss, &step), ()).unwrap().0.value::<f32>().unwrap().into());
    losses.collect()
}

#[test]
fn tensorflow_trains_exported_models_as_they_are_trained_here() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    for form in FORMS {
        std::fs::create_dir(folder.path().join(form)).unwrap();
    }
    let ours: Vec<Vec<f64>> = MODELS.iter().map(|(name, build)| train(name, *build, folder.path())).collect();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/train_exported.py");
    let output = Command::new(python).arg(script).arg(folder.path()).arg(STEPS.to_string()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut wrong = Vec::new();
    for ((name, _), ours) in MODELS.iter().zip(&ours) {
        assert!(ours.last() < ours.first(), "{name} does not learn: {ours:?}");
        for form in FORMS {
            let found = &answer[name][form];
            let theirs: Vec<f64> = serde_json::from_value(found.clone()).unwrap_or_default();
            let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 2e-5 * b.abs().max(1.0);
            if theirs.len() != STEPS || !ours.iter().zip(&theirs).all(close) {
                wrong.push(format!("{name}, {form}: {ours:?}, TensorFlow {found}"));
            }
        }
    }
    println!("{} models", MODELS.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
