//! Loops, conditionals and recurrent nets that cannot be built: the error states the contradiction and carries the place in the program.
#![allow(clippy::unwrap_used)] // a panic is the report

#[path = "support/refused.rs"]
mod refused;

use ops::array::{concat, constant, placeholder};
use ops::control_flow::{WhileOptions, cond, map_fn, scan, switch_case, while_loop, while_loop_with};
use ops::math::{cast, less};
use ops::rnn::{BasicLstmCell, GruCell, RnnCell, RnnOptions, dynamic_rnn, dynamic_rnn_from, static_rnn};
use ops::{OutputExt, gradients};
use refused::refused;
use session_core::{DType, Graph, OpLibrary as _, Output, PartialShape};

fn few(body: &Graph, i: &Output) -> Output {
    less(i, constant(body, 3i32))
}

#[test]
fn loop_variables_keep_their_dtypes_and_shapes() {
    let start = |graph: &Graph| (constant(graph, 0i32), constant(graph, [1f32, 2.0]));
    refused(&["float32", "float64"], |graph| {
        let step = |_: &Graph, (i, x): (Output, Output)| (&i + 1, cast(x, DType::Float64));
        let _ = while_loop(graph, |body, (i, _)| few(body, i), step, start(graph));
    });
    refused(&["[2]", "[4]"], |graph| {
        let step = |_: &Graph, (i, x): (Output, Output)| (&i + 1, concat(&[&x, &x], 0));
        let _ = while_loop(graph, |body, (i, _)| few(body, i), step, start(graph));
    });
    refused(&["[3]", "[2]"], |graph| {
        let options = WhileOptions::new().shape_invariants([PartialShape::scalar(), PartialShape::from([3])]);
        let step = |_: &Graph, (i, x): (Output, Output)| (&i + 1, x);
        let _ = while_loop_with(graph, |body, (i, _)| few(body, i), step, start(graph), &options);
    });
    refused(&["shape"], |graph| {
        let options = WhileOptions::new().shape_invariants([PartialShape::scalar()]);
        let step = |_: &Graph, (i, x): (Output, Output)| (&i + 1, x);
        let _ = while_loop_with(graph, |body, (i, _)| few(body, i), step, start(graph), &options);
    });
    refused(&["2", "1"], |graph| {
        let step = |_: &Graph, mut all: Vec<Output>| {
            all.pop();
            all
        };
        let start = vec![constant(graph, 0i32), constant(graph, 1i32)];
        let _ = while_loop(graph, |body, all| few(body, &all[0]), step, start);
    });
    refused(&["scalar"], |graph| {
        let step = |_: &Graph, x: Output| x;
        let _ = while_loop(
            graph,
            |body, x: &Output| x.less(constant(body, 3f32)),
            step,
            constant(graph, [1f32, 2.0]),
        );
    });
    refused(&["float32", "float64"], |graph| {
        let x = constant(graph, [1f32, 2.0]);
        let _ = scan(graph, |_, _, x| cast(x, DType::Float64), x, constant(graph, 0f32));
    });
}

#[test]
fn branches_must_return_the_same_structure() {
    let pred = |graph: &Graph| placeholder(graph, DType::Bool, PartialShape::scalar());
    refused(&["float32", "int32"], |graph| {
        let _ = cond(pred(graph), |body| constant(body, 1f32), |body| constant(body, 1i32));
    });
    refused(&["2", "1"], |graph| {
        let many = |body: &Graph, count: usize| vec![constant(body, 1f32); count];
        let _ = cond(pred(graph), |body| many(body, 2), |body| many(body, 1));
    });
    refused(&["int64", "float32"], |graph| {
        let index = placeholder(graph, DType::Int32, PartialShape::scalar());
        let branches: Vec<ops::control_flow::Branch<'_, Output>> =
            vec![Box::new(|body| constant(body, 1f32)), Box::new(|body| constant(body, 1i64))];
        let _ = switch_case(index, branches, None);
    });
    refused(&["scalar"], |graph| {
        let pred = placeholder(graph, DType::Bool, [2]);
        let _ = cond(pred, |body| constant(body, 1f32), |body| constant(body, 2f32));
    });
}

#[test]
fn values_of_another_graph_cannot_be_captured() {
    let other = Graph::new();
    let foreign = constant(&other, [1f32, 2.0]);
    refused(&["another graph"], |graph| {
        let pred = placeholder(graph, DType::Bool, PartialShape::scalar());
        let _ = cond(pred, |_| foreign.clone(), |body| constant(body, [0f32, 0.0]));
    });
    refused(&["another graph"], |graph| {
        let step = |_: &Graph, (i, x): (Output, Output)| (&i + 1, &x * &foreign);
        let start = (constant(graph, 0i32), constant(graph, [1f32, 2.0]));
        let _ = while_loop(graph, |body, (i, _)| few(body, i), step, start);
    });
    refused(&["another graph"], |graph| {
        let x = constant(graph, [1f32, 2.0]);
        let _ = map_fn(graph, |_, x| &x * &foreign, x);
    });
}

#[test]
fn a_loop_that_passes_no_gradients_on_is_not_differentiated() {
    let graph = Graph::new();
    let x = constant(&graph, 2f32);
    let options = WhileOptions::new().back_prop(false);
    let step = |_: &Graph, (i, y): (Output, Output)| (&i + 1, &y * &x);
    let start = (constant(&graph, 0i32), x.clone());
    let (_, y) = while_loop_with(&graph, |body, (i, _)| few(body, i), step, start, &options);
    let error = gradients(&[y], &[&x]).unwrap_err();
    assert!(error.to_string().contains("back_prop(false)"), "{error}");
}

fn sequences(graph: &Graph, depth: usize) -> Output {
    placeholder(graph, DType::Float32, [Some(4), Some(5), Some(depth)])
}

#[test]
fn a_cell_keeps_the_size_of_its_first_input() {
    refused(&["basic_lstm_cell/kernel", "[7,16]"], |graph| {
        let cell = BasicLstmCell::new(4);
        let _ = dynamic_rnn(&cell, sequences(graph, 3), &RnnOptions::new());
        let _ = dynamic_rnn(&cell, sequences(graph, 6), &RnnOptions::new().scope("again"));
    });
    refused(&["depth", "known"], |graph| {
        let x = placeholder(graph, DType::Float32, [Some(4), Some(5), None]);
        let _ = dynamic_rnn(&GruCell::new(4), x, &RnnOptions::new());
    });
    refused(&["gru_cell/MatMul", "[4,6]", "[7,8]"], |graph| {
        let state = constant(graph, session_core::Tensor::full(0f32, [4, 3]));
        let _ = dynamic_rnn_from(&GruCell::new(4), sequences(graph, 3), state, &RnnOptions::new());
    });
    refused(&["build"], |graph| {
        let x = placeholder(graph, DType::Float32, [4, 3]);
        let cell = GruCell::new(4);
        let state = cell.zero_state(graph, 4usize.into(), DType::Float32);
        let _ = cell.call(graph, &x, &state);
    });
}

#[test]
fn the_lengths_must_match_the_number_of_sequences() {
    refused(&["sequence_length", "[3]", "[4]"], |graph| {
        let options = RnnOptions::new().sequence_length(constant(graph, [5i32, 2, 1]));
        let _ = dynamic_rnn(&GruCell::new(4), sequences(graph, 3), &options);
    });
    refused(&["sequence_length", "[4,1]"], |graph| {
        let options = RnnOptions::new().sequence_length(constant(graph, [[5i32], [2], [1], [1]]));
        let _ = dynamic_rnn(&GruCell::new(4), sequences(graph, 3), &options);
    });
    refused(&["sequence_length", "float32"], |graph| {
        let options = RnnOptions::new().sequence_length(constant(graph, [5f32, 2.0, 1.0, 1.0]));
        let _ = dynamic_rnn(&GruCell::new(4), sequences(graph, 3), &options);
    });
    refused(&["sequence_length", "[3]", "[4]"], |graph| {
        let options = RnnOptions::new().sequence_length(constant(graph, [5i32, 2, 1]));
        let steps = vec![placeholder(graph, DType::Float32, [4, 3])];
        let _ = static_rnn(&GruCell::new(4), &steps, &options);
    });
}

#[test]
fn an_exit_without_the_rest_of_its_loop_is_not_differentiated() {
    let graph = Graph::new();
    let x = placeholder(&graph, DType::Float32, [2]);
    let op = |op_type: &str| graph.op(ops::library().find(op_type).unwrap());
    let alone = op("Exit").input(&x).finish_output();
    let enter = op("Enter").input(&x).attr("frame_name", "loop").finish_output();
    let merge = op("Merge").input_list([&enter]).finish().output(0);
    let switch = op("Switch").input(&merge).input(constant(&graph, true)).finish();
    let short = op("Exit").input(switch.output(0)).finish_output();
    for exit in [alone, short] {
        let error = gradients(&[&exit], &[&x]).unwrap_err();
        assert!(error.to_string().contains("control flow of this form"), "{error}");
    }
}
