//! Attention and decoders: variables and results are those of the formulas (`oracle/decoders.py`).
#![allow(clippy::unwrap_used)] // a panic is the report

#[path = "../../tests/support/python.rs"]
mod python;

use embedded_engine::EmbeddedEngine;
use ops::array::constant;
use ops::gradients;
use ops::initializers::zeros;
use ops::math::{reduce_sum, square};
use ops::nn::gather_tree;
use ops::rnn::{
    AttentionMechanism, AttentionWrapper, BahdanauAttention, BasicDecoder, BasicRnnCell, BeamSearchDecoder,
    DecodeOptions, Helper, LuongAttention, RnnCell, RnnOptions, dynamic_decode, dynamic_rnn, tile_batch,
};
use ops::variables::get_variable;
use serde_json::{Value, json};
use session_core::{
    DType, Engine, Graph, Output, Session, SessionConfig, SessionExt, Tensor, Variable, keys,
};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// As in the script.
fn values(name: &str, shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    let scale = match name {
        "embedding" => 3.0,
        name if name.contains("kernel") => 2.0,
        _ => 0.4,
    };
    let value = |i: usize| (i as f64 * 0.7 + name.len() as f64).sin() * scale;
    Tensor::from_vec((0..count).map(value).collect(), shape.to_vec()).unwrap()
}

fn given(graph: &Graph, name: &str, shape: &[usize]) -> Output {
    constant(&graph.named(name), values(name, shape))
}

type Results = Vec<(&'static str, Output)>;
type Build = fn(&Graph) -> Results;

fn memory(graph: &Graph) -> Output {
    given(graph, "memory", &[2, 4, 3])
}

fn lengths(graph: &Graph) -> Output {
    constant(graph, [4i32, 2])
}

/// Applies a wrapped cell to a short sequence.
fn unrolled<M: AttentionMechanism>(graph: &Graph, cell: &AttentionWrapper<BasicRnnCell, M>) -> Results {
    let x = given(graph, "input", &[2, 3, 2]);
    let (outputs, state) = dynamic_rnn(cell, &x, &RnnOptions::default());
    vec![
        ("outputs", outputs),
        ("alignments", state.alignments),
        ("attention", state.attention),
        ("h", state.cell_state),
    ]
}

fn greedy(graph: &Graph) -> Results {
    let embedding = get_variable(graph, "embedding", [6, 2], DType::Float64, &zeros());
    let helper = Helper::greedy(&embedding, constant(graph, [1i32, 4]), GREEDY_END);
    let decoder = BasicDecoder::new(BasicRnnCell::new(4), helper, given(graph, "h", &[2, 4])).output_layer(6);
    let found = dynamic_decode(graph, &decoder, &DecodeOptions::default().maximum_iterations(7));
    vec![
        ("rnn_output", found.rnn_output),
        ("sample_id", found.sample_id),
        ("lengths", found.sequence_lengths),
        ("state", found.state),
    ]
}

/// The word that ends a sequence in the greedy model of the script.
const GREEDY_END: i32 = 1;

fn training(graph: &Graph) -> Results {
    let x = given(graph, "input", &[2, 3, 2]);
    let helper = Helper::training(&x, constant(graph, [3i64, 1]));
    let decoder = BasicDecoder::new(BasicRnnCell::new(4), helper, given(graph, "h", &[2, 4])).output_layer(6);
    let found = dynamic_decode(graph, &decoder, &DecodeOptions::default().impute_finished(true));
    vec![("rnn_output", found.rnn_output), ("lengths", found.sequence_lengths), ("state", found.state)]
}

fn beams(graph: &Graph, width: usize, steps: usize, weight: f64) -> Results {
    let embedding = get_variable(graph, "embedding", [6, 2], DType::Float64, &zeros());
    let state = tile_batch(given(graph, "h", &[2, 4]), width);
    let start = constant(graph, [1i32, 4]);
    let decoder = BeamSearchDecoder::new(BasicRnnCell::new(4), &embedding, start, 2, state, width);
    let decoder = decoder.output_layer(6).length_penalty_weight(weight);
    let found = dynamic_decode(graph, &decoder, &DecodeOptions::default().maximum_iterations(steps));
    vec![("predicted_ids", found.predicted_ids), ("log_probs", found.state.log_probs)]
}

const MODELS: &[(&str, Build)] = &[
    ("bahdanau", |graph| {
        let mechanism = BahdanauAttention::new(5, memory(graph), Some(&lengths(graph)));
        unrolled(graph, &AttentionWrapper::new(BasicRnnCell::new(5), mechanism))
    }),
    ("bahdanau normalized", |graph| {
        let mechanism = BahdanauAttention::new(5, memory(graph), None).normalize(true);
        unrolled(graph, &AttentionWrapper::new(BasicRnnCell::new(5), mechanism).attention_layer_size(4))
    }),
    ("luong", |graph| {
        let mechanism = LuongAttention::new(5, memory(graph), None);
        unrolled(graph, &AttentionWrapper::new(BasicRnnCell::new(5), mechanism))
    }),
    ("luong scaled", |graph| {
        let mechanism = LuongAttention::new(5, memory(graph), Some(&lengths(graph))).scale(true);
        let cell = AttentionWrapper::new(BasicRnnCell::new(5), mechanism);
        unrolled(graph, &cell.attention_layer_size(4).output_attention(false))
    }),
    ("training", training),
    ("greedy", greedy),
    ("beams", |graph| beams(graph, 3, 4, 0.0)),
    ("beams by length", |graph| beams(graph, 2, 5, 1.5)),
];

fn numbers(tensor: &Tensor) -> Vec<f64> {
    let whole = tensor.to_vec::<i32>().map(|ids| ids.into_iter().map(f64::from).collect());
    whole.or_else(|_| tensor.to_vec::<f64>()).unwrap()
}

fn session(graph: &Graph) -> Arc<dyn Session> {
    graph.check().unwrap();
    let session = EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap();
    for variable in graph.collection(&keys::VARIABLES) {
        let value = values(variable.name(), variable.shape().to_shape().unwrap().dims());
        session.run(variable.initializer(), [(variable.initial_value(), value)]).unwrap();
    }
    session
}

#[test]
fn attention_and_decoders_follow_the_formulas() {
    let Some(python) = python::python() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/decoders.py");
    let output = Command::new(python).arg(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer.as_object().unwrap().len(), MODELS.len());
    for (name, build) in MODELS {
        let graph = Graph::new();
        let results = build(&graph);
        let expected = &answer[name];
        let variables = graph.collection(&keys::VARIABLES);
        let shapes =
            |variable: &Variable| (variable.name().to_owned(), json!(variable.shape().sizes().unwrap()));
        let found: serde_json::Map<String, Value> = variables.iter().map(shapes).collect();
        assert_eq!(&Value::Object(found), &expected["variables"], "{name}");
        let (keys, outputs): (Vec<&str>, Vec<Output>) = results.into_iter().unzip();
        let values = session(&graph).run(&outputs, ()).unwrap();
        assert_eq!(keys.len(), expected["results"].as_object().unwrap().len(), "{name}");
        for (key, value) in keys.iter().zip(&values) {
            let expected = expected["results"][key].as_array().unwrap();
            let expected: Vec<f64> = expected.iter().map(|x| x.as_f64().unwrap()).collect();
            let found = numbers(value);
            let same = found.len() == expected.len()
                && found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9);
            assert!(same, "{name}, {key}: {found:?}, not {expected:?}");
        }
    }
}

#[test]
fn sequences_of_a_beam_search_follow_the_parents() {
    let steps = |values: [[i32; 3]; 4]| Tensor::from_vec(values.concat(), [4usize, 1, 3]).unwrap();
    let find = |parents: [[i32; 3]; 4]| {
        let graph = Graph::new();
        let ids = constant(&graph, steps([[1, 2, 3], [4, 5, 6], [7, 8, 9], [-1, -1, -1]]));
        let (lengths, end) = (constant(&graph, [3i32]), constant(&graph, 10i32));
        let found = gather_tree(ids, constant(&graph, steps(parents)), lengths, end);
        session(&graph).run(&found, ())
    };
    let found = find([[0, 0, 0], [0, 1, 1], [2, 1, 2], [-1, -1, -1]]).unwrap();
    assert_eq!(found, steps([[2, 2, 2], [6, 5, 6], [7, 8, 9], [10, 10, 10]]));
    let error = find([[0, 0, 0], [0, 1, 1], [2, 1, 3], [-1, -1, -1]]).unwrap_err();
    assert_eq!(error.code(), session_core::Code::InvalidArgument);
    assert!(error.message().contains("invalid parent id 3"), "{error}");
}

/// Gradients reach all variables and the memory, and differences agree.
#[test]
fn attention_is_trained() {
    let graph = Graph::new();
    let memory = memory(&graph);
    let mechanism = BahdanauAttention::new(5, &memory, Some(&lengths(&graph))).normalize(true);
    let cell = AttentionWrapper::new(BasicRnnCell::new(5), mechanism).attention_layer_size(4);
    let outputs = unrolled(&graph, &cell)[0].1.clone();
    let loss = reduce_sum(square(outputs), ..);
    let variables = graph.collection(&keys::VARIABLES);
    let found = gradients(&[&loss], &variables).unwrap();
    let grads: Vec<Output> = found.into_iter().map(Option::unwrap).collect();
    let of_memory = gradients(&[&loss], &[&memory]).unwrap()[0].clone().unwrap();
    let session = session(&graph);
    let values = session.run(&grads, ()).unwrap();
    for (variable, grad) in variables.iter().zip(&values) {
        let value = session.run(variable, ()).unwrap();
        let (numbers, grad) = (value.to_vec::<f64>().unwrap(), grad.to_vec::<f64>().unwrap());
        let at = |offset: f64| {
            let mut moved = numbers.clone();
            moved[0] += offset;
            let moved = Tensor::from_vec(moved, value.shape().clone()).unwrap();
            session.run(variable.initializer(), [(variable.initial_value(), moved)]).unwrap();
            session.run(&loss, ()).unwrap().value::<f64>().unwrap()
        };
        let difference = (at(1e-6) - at(-1e-6)) / 2e-6;
        at(0.0);
        assert!((difference - grad[0]).abs() < 1e-6, "{}: {difference}, {}", variable.name(), grad[0]);
    }
    let of_memory = session.run(&of_memory, ()).unwrap().to_vec::<f64>().unwrap();
    assert!(of_memory[..12].iter().all(|x| *x != 0.0));
    assert!(of_memory[18..].iter().all(|x| *x == 0.0), "behind the end of the second example");
}

#[test]
fn luong_attention_needs_units_equal_to_its_keys() {
    let graph = Graph::new();
    let mechanism = LuongAttention::new(4, memory(&graph), None);
    let _ = unrolled(&graph, &AttentionWrapper::new(BasicRnnCell::new(5), mechanism));
    let error = graph.check().unwrap_err();
    assert!(error.message().contains("keys of 4 numbers with queries of 5"), "{error}");
}

/// A decoder that is trained and one that writes share their variables.
#[test]
fn decoders_share_a_cell() {
    let graph = Graph::new();
    let cell = BasicRnnCell::new(4);
    let x = given(&graph, "input", &[2, 3, 2]);
    let state = given(&graph, "h", &[2, 4]);
    let trained = BasicDecoder::new(&cell, Helper::training(&x, constant(&graph, [3i32, 1])), state.clone());
    let _ = dynamic_decode(&graph, &trained, &DecodeOptions::default());
    let embedding = get_variable(&graph, "embedding", [6, 2], DType::Float64, &zeros());
    let writes = BasicDecoder::new(&cell, Helper::greedy(&embedding, constant(&graph, [1i32, 4]), 2), state);
    let found = dynamic_decode(&graph, &writes, &DecodeOptions::default().maximum_iterations(3));
    assert_eq!(graph.collection(&keys::VARIABLES).len(), 3);
    assert_eq!(cell.output_size(), 4);
    let ids = session(&graph).run(&found.sample_id, ()).unwrap();
    assert_eq!(ids.shape().dims()[0], 2);
}
