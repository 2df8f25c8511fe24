//! Builders of loops, arrays, cells and decoders that are misused: the error says what does not fit, and carries the place in the program.
#![allow(clippy::unwrap_used)] // a panic is the report

#[path = "support/refused.rs"]
mod refused;

use ops::array::{concat, constant, placeholder};
use ops::control_flow::{
    TensorArray, WhileOptions, cond, foldl, foldr, map_fn, scan, while_loop, while_loop_with,
};
use ops::initializers::zeros;
use ops::math::{cast, less};
use ops::rnn::{
    AttentionWrapper, BahdanauAttention, BasicDecoder, BasicRnnCell, BeamSearchDecoder, DecodeOptions,
    DropoutWrapper, GruCell, Helper, LstmCell, ResidualWrapper, RnnCell, RnnOptions,
    bidirectional_dynamic_rnn, dynamic_decode, dynamic_rnn, dynamic_rnn_from, static_rnn, tile_batch,
};
use ops::variables::get_variable;
use ops::{OutputExt, gradients};
use refused::{check, refused};
use session_core::{DType, Graph, Output, PartialShape, Tensor, Variable};

fn floats(graph: &Graph, shape: &[usize]) -> Output {
    placeholder(graph, DType::Float32, shape)
}

#[test]
fn there_are_parts_to_go_over() {
    refused(&["scalar", "parts"], |graph| {
        let _ = map_fn(graph, |_, x: Output| x, constant(graph, 1f32));
    });
    refused(&["nothing to go over"], |graph| {
        let _ = map_fn(graph, |_, x: Vec<Output>| x, Vec::new());
    });
    refused(&["parts", "2", "3"], |graph| {
        let pair = (floats(graph, &[2]), floats(graph, &[3]));
        let _ = map_fn(graph, |_, (x, y): (Output, Output)| &x + &y, pair);
    });
    refused(&["parts", "2", "3"], |graph| {
        let pair = (floats(graph, &[2]), floats(graph, &[3]));
        let _ = foldr(
            graph,
            |_, sum: Output, (x, y): (Output, Output)| &sum + &x * &y,
            pair,
            constant(graph, 0f32),
        );
    });
}

#[test]
fn what_is_carried_from_part_to_part_keeps_its_form() {
    refused(&["2", "1"], |graph| {
        let start = vec![constant(graph, 0f32), constant(graph, 0f32)];
        let fewer = |_: &Graph, sums: Vec<Output>, x: Output| vec![&sums[0] + &x];
        let _ = scan(graph, fewer, floats(graph, &[4]), start);
    });
    refused(&["1", "2"], |graph| {
        let more = |_: &Graph, sums: Vec<Output>, x: Output| vec![&sums[0] + &x, x];
        let _ = scan(graph, more, floats(graph, &[4]), vec![constant(graph, 0f32)]);
    });
    refused(&["1", "2"], |graph| {
        let more = |_: &Graph, sums: Vec<Output>, x: Output| vec![&sums[0] + &x, x];
        let _ = foldl(graph, more, floats(graph, &[4]), vec![constant(graph, 0f32)]);
    });
    refused(&["[1]", "[2]"], |graph| {
        let longer = |_: &Graph, sum: Output, _: Output| concat(&[&sum, &sum], 0);
        let _ = foldl(graph, longer, floats(graph, &[4]), constant(graph, [0f32]));
    });
    refused(&["float32", "int64"], |graph| {
        let whole = |_: &Graph, sum: Output, x: Output| cast(&sum + &x, DType::Int64);
        let _ = foldr(graph, whole, floats(graph, &[4]), constant(graph, 0f32));
    });
}

#[test]
fn loops_over_parts_take_nothing_of_another_graph() {
    let other = Graph::new();
    let foreign = floats(&other, &[4]);
    refused(&["another graph"], |graph| {
        let _ = map_fn(graph, |_, x: Output| x, foreign.clone());
    });
    refused(&["another graph"], |graph| {
        let zero = constant(&other, 0f32);
        let _ = foldl(graph, |_, sum: Output, x: Output| &sum + &x, floats(graph, &[4]), zero);
    });
    refused(&["another graph"], |graph| {
        let array = TensorArray::unstacked(&foreign);
        let step = |_: &Graph, (i, sum): (Output, Output)| (&i + 1, &sum + &array.read(&i));
        let start = (constant(graph, 0i32), constant(graph, 0f32));
        let _ = while_loop(graph, |body, (i, _)| less(i, constant(body, 4i32)), step, start);
    });
}

/// The outputs of a body exist in the body only.
#[test]
fn nothing_leaves_a_body_but_its_results() {
    refused(&["Square"], |graph| {
        let pred = placeholder(graph, DType::Bool, PartialShape::scalar());
        let x = floats(graph, &[2]);
        let mut inner = None;
        let y = cond(
            pred,
            |_| {
                let square = x.square();
                inner = Some(square.clone());
                square
            },
            |_| x.clone(),
        );
        let _ = &y + &inner.unwrap();
    });
    refused(&["Square"], |graph| {
        let pred = placeholder(graph, DType::Bool, PartialShape::scalar());
        let x = floats(graph, &[2]);
        let inner = std::cell::RefCell::new(None);
        let first = |_: &Graph| {
            let square = x.square();
            inner.replace(Some(square.clone()));
            square
        };
        let _ = cond(pred, first, |_| inner.borrow().clone().unwrap());
    });
}

#[test]
fn a_number_of_rounds_is_one_whole_number() {
    let run = |graph: &Graph, limit: Output| {
        let options = WhileOptions::new().maximum_iterations(limit);
        let step = |_: &Graph, i: Output| &i + 1;
        let _ = while_loop_with(
            graph,
            |body, i| less(i, constant(body, 3i32)),
            step,
            constant(graph, 0i32),
            &options,
        );
    };
    refused(&["maximum_iterations", "float32"], |graph| run(graph, constant(graph, 2f32)));
    refused(&["maximum_iterations", "[2]"], |graph| run(graph, constant(graph, [1i32, 2])));
}

#[test]
fn gradients_do_not_pass_through_a_loop_without_back_prop_inside_of_another() {
    let graph = Graph::new();
    let x = constant(&graph.named("x"), 2f32);
    let options = WhileOptions::new().back_prop(false);
    let outer = |body: &Graph, (i, y): (Output, Output)| {
        let inner = |_: &Graph, (j, z): (Output, Output)| (&j + 1, &z * &x);
        let few = |body: &Graph, (j, _): &(Output, Output)| less(j, constant(body, 2i32));
        let (_, z) = while_loop_with(body, few, inner, (constant(body, 0i32), y), &options);
        (&i + 1, z)
    };
    let few = |body: &Graph, (i, _): &(Output, Output)| less(i, constant(body, 2i32));
    let (_, y) = while_loop(&graph, few, outer, (constant(&graph, 0i32), constant(&graph, 1f32)));
    check(&gradients(&[y], &[&x]).unwrap_err(), &["back_prop(false)"]);
}

#[test]
fn arrays_hold_what_they_were_made_for() {
    let array = |graph: &Graph| TensorArray::new(graph, DType::Float32, 3, PartialShape::from([2]));
    refused(&["int32", "float32"], |graph| {
        let _ = array(graph).write(0, constant(graph, [1i32, 2]));
    });
    refused(&["[3]", "[2]"], |graph| {
        let _ = array(graph).write(0, floats(graph, &[3]));
    });
    refused(&["[3]", "[2]"], |graph| {
        let _ = array(graph).scatter([0, 1], floats(graph, &[2, 3]));
    });
    refused(&["int32", "float32"], |graph| {
        let _ = array(graph).unstack(constant(graph, [[1i32, 2], [3, 4]]));
    });
    refused(&["rank"], |graph| {
        let _ = TensorArray::unstacked(constant(graph, 1f32));
    });
    refused(&["float32"], |graph| {
        let _ = array(graph).read(constant(graph, 0.5f32));
    });
    refused(&["float32"], |graph| {
        let _ = array(graph).gather(constant(graph, [0.5f32]));
    });
    refused(&["another graph"], |graph| {
        let other = Graph::new();
        let _ = array(graph).write(0, floats(&other, &[2]));
    });
}

#[test]
fn cells_fit_their_inputs_and_states() {
    let options = RnnOptions::new;
    refused(&["[4,3]", "[batch, steps, depth]"], |graph| {
        let _ = dynamic_rnn(&GruCell::new(4), floats(graph, &[4, 3]), &options());
    });
    refused(&["gru_cell/MatMul", "[4,9]"], |graph| {
        let steps = [floats(graph, &[4, 3]), floats(graph, &[4, 5])];
        let _ = static_rnn(&GruCell::new(4), &steps, &options());
    });
    refused(&["float64", "float32"], |graph| {
        let state = constant(graph, Tensor::full(0f64, [4, 6]));
        let _ = dynamic_rnn_from(&GruCell::new(6), floats(graph, &[4, 5, 3]), state, &options());
    });
    refused(&["[2,6]", "[4,3]"], |graph| {
        let state = constant(graph, Tensor::full(0f32, [2, 6]));
        let _ = dynamic_rnn_from(&GruCell::new(6), floats(graph, &[4, 5, 3]), state, &options());
    });
    refused(&["int32"], |graph| {
        let x = placeholder(graph, DType::Int32, [4, 5, 3]);
        let _ = dynamic_rnn(&BasicRnnCell::new(4), x, &options());
    });
    refused(&["[4,3]", "[4,6]"], |graph| {
        let _ = dynamic_rnn(&ResidualWrapper::new(GruCell::new(6)), floats(graph, &[4, 5, 3]), &options());
    });
    refused(&["dropout", "-0.5"], |graph| {
        let cell = DropoutWrapper::new(GruCell::new(6), 1.5, 1.0, None);
        let _ = dynamic_rnn(&cell, floats(graph, &[4, 5, 3]), &options());
    });
    refused(&["0 units"], |graph| {
        let _ = dynamic_rnn(&LstmCell::new(0), floats(graph, &[4, 5, 3]), &options());
    });
    refused(&["sequence_length", "[3]", "[4]"], |graph| {
        let options = options().sequence_length(constant(graph, [1i32, 2, 3]));
        let cells = (GruCell::new(4), GruCell::new(4));
        let _ = bidirectional_dynamic_rnn(&cells.0, &cells.1, floats(graph, &[4, 5, 3]), &options);
    });
}

fn table(graph: &Graph) -> Variable {
    get_variable(graph, "embedding", [7, 3], DType::Float32, &zeros())
}

fn decode<C: RnnCell>(graph: &Graph, cell: C, helper: Helper, state: C::State) {
    let decoder = BasicDecoder::new(cell, helper, state).output_layer(7);
    let _ = dynamic_decode(graph, &decoder, &DecodeOptions::default().maximum_iterations(5));
}

#[test]
fn decoders_fit_their_inputs_and_states() {
    let state = |graph: &Graph, batch: usize| constant(graph, Tensor::full(0f32, [batch, 4]));
    refused(&["start_tokens", "float32"], |graph| {
        let helper = Helper::greedy(&table(graph), constant(graph, [1f32, 1.0]), 0);
        decode(graph, GruCell::new(4), helper, state(graph, 2));
    });
    refused(&["start_tokens", "[2,1]"], |graph| {
        let helper = Helper::greedy(&table(graph), constant(graph, [[1i32], [1]]), 0);
        decode(graph, GruCell::new(4), helper, state(graph, 2));
    });
    refused(&["[3,4]", "[2,3]"], |graph| {
        let helper = Helper::greedy(&table(graph), constant(graph, [1i32, 1]), 0);
        decode(graph, GruCell::new(4), helper, state(graph, 3));
    });
    refused(&["[2,3]", "[batch, steps, depth]"], |graph| {
        let helper = Helper::training(floats(graph, &[2, 3]), constant(graph, [1i32, 1]));
        decode(graph, GruCell::new(4), helper, state(graph, 2));
    });
    refused(&["[3]", "[2]"], |graph| {
        let helper = Helper::training(floats(graph, &[2, 5, 3]), constant(graph, [1i32, 1, 1]));
        decode(graph, GruCell::new(4), helper, state(graph, 2));
    });
    refused(&["[2,4]", "6"], |graph| {
        let start = constant(graph, [1i32, 1]);
        // As many states as examples, without `tile_batch`.
        let decoder = BeamSearchDecoder::new(GruCell::new(4), &table(graph), start, 0, state(graph, 2), 3);
        let _ =
            dynamic_decode(graph, &decoder.output_layer(7), &DecodeOptions::default().maximum_iterations(5));
    });
    refused(&["beam_width"], |graph| {
        let start = constant(graph, [1i32, 1]);
        let tiled = state(graph, 2);
        let decoder = BeamSearchDecoder::new(GruCell::new(4), &table(graph), start, 0, tiled, 0);
        let _ =
            dynamic_decode(graph, &decoder.output_layer(7), &DecodeOptions::default().maximum_iterations(5));
    });
    refused(&["multiplier"], |graph| {
        let _ = tile_batch(state(graph, 2), 0);
    });
}

#[test]
fn memories_fit_their_lengths_and_states() {
    refused(&["[4,3]"], |graph| {
        let attention = BahdanauAttention::new(5, floats(graph, &[4, 3]), None);
        let cell = AttentionWrapper::new(GruCell::new(4), attention);
        let _ = dynamic_rnn(&cell, floats(graph, &[4, 5, 3]), &RnnOptions::new());
    });
    refused(&["lengths", "[3]", "[4]"], |graph| {
        let lengths = constant(graph, [1i32, 2, 3]);
        let attention = BahdanauAttention::new(5, floats(graph, &[4, 6, 3]), Some(&lengths));
        let cell = AttentionWrapper::new(GruCell::new(4), attention);
        let _ = dynamic_rnn(&cell, floats(graph, &[4, 5, 3]), &RnnOptions::new());
    });
    refused(&["[2,6", "[4"], |graph| {
        let attention = BahdanauAttention::new(5, floats(graph, &[2, 6, 3]), None);
        let cell = AttentionWrapper::new(GruCell::new(4), attention);
        let _ = dynamic_rnn(&cell, floats(graph, &[4, 5, 3]), &RnnOptions::new());
    });
}
