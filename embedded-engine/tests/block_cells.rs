//! Recurrent cells that are single operations: the operations and their gradients are TensorFlow's (`oracle/block_cells.py`), and
//! checkpoints that it trained load by name.
#![allow(clippy::unwrap_used)] // a panic is the report

use crate::python::python;
use embedded_engine::EmbeddedEngine;
use ops::array::{constant, placeholder};
use ops::rnn::{
    GruBlockCellV2, GruCell, LstmBlockCell, LstmBlockFusedCell, LstmCell, LstmStateTuple, RnnCell,
    RnnOptions, dynamic_rnn,
};
use ops::{gradients, library, math};
use serde_json::Value;
use session_core::{
    Code, DType, Engine, Graph, OpBuilder, OpLibrary as _, Output, Session, SessionConfig, SessionExt,
    Tensor, Variable, keys,
};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const STEPS: usize = 5;
const BATCH: usize = 2;
const DEPTH: usize = 3;
const UNITS: usize = 4;

/// As in the script.
fn values(name: &str, shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    let value = |i: usize| ((i as f64 * 0.7 + name.len() as f64).sin() * 0.4) as f32;
    Tensor::from_vec((0..count).map(value).collect(), shape.to_vec()).unwrap()
}

fn session(graph: &Graph, threads: usize) -> Arc<dyn Session> {
    graph.check().unwrap();
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(threads)).unwrap()
}

fn op(graph: &Graph, op_type: &str) -> OpBuilder {
    graph.op(library().find(op_type).unwrap())
}

fn given(graph: &Graph, builder: OpBuilder, inputs: &[(&str, Vec<usize>)]) -> OpBuilder {
    inputs.iter().fold(builder, |builder, (name, shape)| builder.input(constant(graph, values(name, shape))))
}

fn lstm_inputs(x: &[usize]) -> [(&'static str, Vec<usize>); 8] {
    let state = || vec![BATCH, UNITS];
    [
        ("x", x.to_vec()),
        ("cs_prev", state()),
        ("h_prev", state()),
        ("w", vec![DEPTH + UNITS, 4 * UNITS]),
        ("wci", vec![UNITS]),
        ("wcf", vec![UNITS]),
        ("wco", vec![UNITS]),
        ("b", vec![4 * UNITS]),
    ]
}

/// A step, and the gradients of a step.
fn cell(graph: &Graph, peephole: bool, clip: f32) -> Vec<Output> {
    let inputs = lstm_inputs(&[BATCH, DEPTH]);
    let builder = given(graph, op(graph, "LSTMBlockCell"), &inputs).attr("forget_bias", 0.5f32);
    let step = builder.attr("cell_clip", clip).attr("use_peephole", peephole).finish().outputs();
    let builder = given(graph, op(graph, "LSTMBlockCellGrad"), &inputs);
    let builder = step[..6].iter().fold(builder, OpBuilder::input);
    let grads = ["cs_grad", "h_grad"].map(|name| (name, vec![BATCH, UNITS]));
    let back = given(graph, builder, &grads).attr("use_peephole", peephole).finish().outputs();
    [step, back].concat()
}

/// A sequence, and its gradients.
fn sequence(graph: &Graph, version: &str, peephole: bool, clip: f32, longest: i64) -> Vec<Output> {
    let inputs = lstm_inputs(&[STEPS, BATCH, DEPTH]);
    let builder = op(graph, &format!("BlockLSTM{version}")).constant(longest);
    let builder = given(graph, builder, &inputs).attr("cell_clip", clip).attr("use_peephole", peephole);
    let builder = if version.is_empty() { builder.attr("forget_bias", 0.5f32) } else { builder };
    let steps = builder.finish().outputs();
    let builder = op(graph, &format!("BlockLSTMGrad{version}")).constant(longest);
    let builder = steps.iter().fold(given(graph, builder, &inputs), OpBuilder::input);
    let grads = ["cs_grad", "h_grad"].map(|name| (name, vec![STEPS, BATCH, UNITS]));
    let back = given(graph, builder, &grads).attr("use_peephole", peephole).finish().outputs();
    [vec![steps[1].clone(), steps[6].clone()], back].concat()
}

fn gru(graph: &Graph) -> Vec<Output> {
    let rows = DEPTH + UNITS;
    let inputs = [
        ("x", vec![BATCH, DEPTH]),
        ("h_prev", vec![BATCH, UNITS]),
        ("w_ru", vec![rows, 2 * UNITS]),
        ("w_c", vec![rows, UNITS]),
        ("b_ru", vec![2 * UNITS]),
        ("b_c", vec![UNITS]),
    ];
    let step = given(graph, op(graph, "GRUBlockCell"), &inputs).finish().outputs();
    let builder =
        step[..3].iter().fold(given(graph, op(graph, "GRUBlockCellGrad"), &inputs), OpBuilder::input);
    let back = given(graph, builder, &[("d_h", vec![BATCH, UNITS])]).finish().outputs();
    [step, back].concat()
}

fn close(found: &Tensor, expected: &Value, what: &str) {
    let found = found.to_vec::<f32>().unwrap();
    let expected: Vec<f64> = expected.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    let near = |(a, b): (&f32, &f64)| (f64::from(*a) - b).abs() < 3e-6 * b.abs().max(1.0);
    let same = found.len() == expected.len() && found.iter().zip(&expected).all(near);
    assert!(same, "{what}: {found:?}, TensorFlow {expected:?}");
}

fn check_operation(name: &str, build: impl Fn(&Graph) -> Vec<Output>, answer: &Value) {
    let graph = Graph::new();
    let outputs = build(&graph);
    for (place, value) in session(&graph, 1).run(&outputs, ()).unwrap().iter().enumerate() {
        close(value, &answer["operations"][name][place], &format!("{name}, output {place}"));
    }
}

/// Reads a variable of a checkpoint.
fn restored(graph: &Graph, prefix: &Path, name: &str) -> Output {
    let text = |text: &str| constant(graph, Tensor::from_strings([text.to_owned()], [1]).unwrap());
    let prefix = constant(graph, Tensor::from(prefix.to_str().unwrap()));
    let builder = op(graph, "RestoreV2").input(prefix).input(text(name)).input(text(""));
    builder.attr("dtypes", vec![DType::Float32]).finish_output()
}

fn check_model<C: RnnCell>(cell: &C, prefix: &Path, expected: &Value) {
    let graph = Graph::new();
    let x = constant(&graph.named("x"), values("input", &[BATCH, STEPS, DEPTH]));
    let options = RnnOptions::new().sequence_length(constant(&graph, [5i32, 2]));
    let (outputs, _) = dynamic_rnn(cell, &x, &options);
    let loss = math::reduce_sum(math::square(&outputs - 0.5), ..);
    let variables: Vec<Variable> = graph.collection(&keys::VARIABLES);
    let grads: Vec<Output> =
        gradients(&[&loss], &variables).unwrap().into_iter().map(Option::unwrap).collect();
    let starts: Vec<Output> =
        variables.iter().map(|variable| restored(&graph, prefix, variable.name())).collect();
    let session = session(&graph, 1);
    for (variable, start) in variables.iter().zip(&starts) {
        let value: Tensor = session.run(start, ()).unwrap();
        session.run(variable.initializer(), [(variable.initial_value(), value)]).unwrap();
    }
    let found = session.run(&(&outputs, &loss, &grads), ()).unwrap();
    close(&found.0, &expected["outputs"], "outputs");
    assert_eq!(expected["gradients"].as_object().unwrap().len(), variables.len());
    for (variable, grad) in variables.iter().zip(&found.2) {
        close(grad, &expected["gradients"][variable.name()], variable.name());
    }
}

#[test]
fn operations_are_tensorflows_and_load_its_checkpoints() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/block_cells.py");
    let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut checked = 1;
    check_operation("gru", gru, &answer);
    for peephole in [false, true] {
        for (clip, text) in [(-1.0, "-1.0"), (0.3, "0.3")] {
            check_operation(&format!("cell {peephole} {text}"), |graph| cell(graph, peephole, clip), &answer);
            checked += 1;
            for longest in [0, 1, 3, 5] {
                for version in ["", "V2"] {
                    let name = format!("sequence{version} {peephole} {text} {longest}").to_lowercase();
                    let build = |graph: &Graph| sequence(graph, version, peephole, clip, longest);
                    check_operation(&name, build, &answer);
                    checked += 1;
                }
            }
        }
    }
    assert_eq!(answer["operations"].as_object().unwrap().len(), checked);
    let lstm = LstmBlockCell::new(UNITS).use_peephole(true);
    check_model(&lstm, &folder.path().join("lstm"), &answer["models"]["lstm"]);
    check_model(&GruBlockCellV2::new(UNITS), &folder.path().join("gru"), &answer["models"]["gru"]);
}

/// Outputs, the state after them, and gradients of the variables, from a net whose variables all are given the same numbers.
fn run(threads: usize, build: impl Fn(&Graph, &Output) -> (Output, Vec<Output>)) -> Vec<Vec<f32>> {
    let graph = Graph::new();
    let x = constant(&graph.named("x"), values("input", &[STEPS, BATCH, DEPTH]));
    let (outputs, state) = build(&graph, &x);
    let parts: Vec<Output> =
        state.iter().chain([&outputs]).map(|part| math::reduce_sum(math::square(part), ..)).collect();
    let mut variables: Vec<Variable> = graph.collection(&keys::VARIABLES);
    variables.sort_by_key(|variable| variable.name().rsplit('/').next().unwrap().to_owned());
    let grads = gradients(&[math::add_n(&parts)], &variables).unwrap();
    let grads: Vec<Output> = grads.into_iter().map(Option::unwrap).collect();
    let session = session(&graph, threads);
    for variable in &variables {
        let name = variable.name().rsplit('/').next().unwrap();
        let shape = variable.shape().to_shape().unwrap();
        session
            .run(variable.initializer(), [(variable.initial_value(), values(name, shape.dims()))])
            .unwrap();
    }
    let all = [vec![outputs], state, grads].concat();
    session.run(&all, ()).unwrap().iter().map(|tensor| tensor.to_vec::<f32>().unwrap()).collect()
}

fn in_steps<C: RnnCell>(cell: &C, x: &Output, lengths: Option<[i32; 2]>) -> (Output, Vec<Output>) {
    use ops::control_flow::Structure;
    let options = RnnOptions::new().time_major(true);
    let options = match lengths {
        Some(lengths) => options.sequence_length(constant(&x.graph(), lengths)),
        None => options,
    };
    let (outputs, state) = dynamic_rnn(cell, x, &options);
    (outputs, state.outputs())
}

fn assert_near(found: &[Vec<f32>], expected: &[Vec<f32>], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5 * b.abs().max(1.0));
        assert!(near && found.len() == expected.len(), "{what}, {place}: {found:?}, not {expected:?}");
    }
}

#[test]
fn block_cells_equal_cells_of_single_operations() {
    for peephole in [false, true] {
        for lengths in [None, Some([5, 2]), Some([3, 0])] {
            let many = run(1, |_, x| in_steps(&LstmCell::new(UNITS).use_peepholes(peephole), x, lengths));
            let one = run(1, |_, x| in_steps(&LstmBlockCell::new(UNITS).use_peephole(peephole), x, lengths));
            assert_near(&one, &many, "a cell");
            for threads in [1, 2] {
                let fused = run(threads, |graph, x| {
                    let cell = LstmBlockFusedCell::new(UNITS).use_peephole(peephole);
                    let lengths = lengths.map(|lengths| constant(graph, lengths));
                    let (outputs, LstmStateTuple { c, h }) = cell.call(graph, x, None, lengths.as_ref());
                    (outputs, vec![c, h])
                });
                assert_near(&fused, &many, "a sequence");
            }
        }
    }
    let many = run(1, |_, x| in_steps(&GruCell::new(UNITS), x, Some([5, 2])));
    let one = run(1, |_, x| in_steps(&GruBlockCellV2::new(UNITS), x, Some([5, 2])));
    assert_near(&one, &many, "a gated unit");
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let graph = Graph::new();
    let shapes = lstm_inputs(&[STEPS, BATCH, DEPTH]);
    let longest = placeholder(&graph, DType::Int64, session_core::PartialShape::scalar());
    let inputs: Vec<Output> = shapes
        .iter()
        .map(|(name, _)| {
            placeholder(&graph.named(name), DType::Float32, session_core::PartialShape::unknown())
        })
        .collect();
    let builder = inputs.iter().fold(op(&graph, "BlockLSTM").input(&longest), OpBuilder::input);
    let steps = builder.attr("use_peephole", true).finish();
    let session = session(&graph, 1);
    let run = |wrong: Option<(usize, Vec<usize>)>, limit: i64| {
        let mut feeds = vec![(longest.clone(), Tensor::scalar(limit))];
        for (place, (input, (name, shape))) in inputs.iter().zip(&shapes).enumerate() {
            let shape = match &wrong {
                Some((wrong, shape)) if *wrong == place => shape,
                _ => shape,
            };
            feeds.push((input.clone(), values(name, shape)));
        }
        session.run(&steps.output(6), feeds)
    };
    assert!(run(None, 5).is_ok());
    for (wrong, limit) in [(None, 6), (None, -1)].into_iter().chain((0..8).flat_map(|place| {
        [vec![], vec![1], vec![2, 2], vec![4, 4, 4]].map(|shape| (Some((place, shape)), 5))
    })) {
        let error = run(wrong.clone(), limit).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{wrong:?} {limit}: {error}");
    }
}
