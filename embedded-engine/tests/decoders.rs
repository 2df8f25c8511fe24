//! Attention and decoders: variables and results are those of the formulas (`oracle/decoders.py`).
#![allow(clippy::unwrap_used)] // a panic is the report

use crate::python::python;
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
    let Some(python) = python() else { return };
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
    assert!(of_memory[18..].iter().all(|x| *x == 0.0), "past the end of the second example");
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

/// Decodes five steps from the same start with this helper: outputs and samples.
fn decoded(
    helper: impl Fn(&Graph, &Variable) -> Helper,
    units: usize,
    layer: Option<usize>,
) -> (Tensor, Tensor) {
    let graph = Graph::new();
    let embedding = get_variable(&graph, "embedding", [6, 2], DType::Float64, &zeros());
    let helper = helper(&graph, &embedding);
    let mut decoder = BasicDecoder::new(BasicRnnCell::new(units), helper, given(&graph, "h", &[2, units]));
    if let Some(words) = layer {
        decoder = decoder.output_layer(words);
    }
    let found = dynamic_decode(&graph, &decoder, &DecodeOptions::default().maximum_iterations(5));
    session(&graph).run((&found.rnn_output, &found.sample_id), ()).unwrap()
}

fn start(graph: &Graph) -> Output {
    constant(graph, [1i32, 4])
}

/// Five inputs for each of two sequences; the first are the words of `start`.
fn five_inputs(graph: &Graph, embedding: &Variable) -> Output {
    let words = constant(graph, [[1i32, 0, 2, 3, 5], [4, 2, 2, 0, 1]]);
    ops::array::gather(embedding, words)
}

fn five_steps(graph: &Graph) -> Output {
    constant(graph, [5i32, 5])
}

#[test]
fn a_word_that_is_drawn_at_a_low_temperature_is_the_likeliest() {
    let greedy = decoded(|graph, embedding| Helper::greedy(embedding, start(graph), -1), 4, Some(6));
    let drawn = |temperature: f64, seed: i64| {
        let helper = move |graph: &Graph, embedding: &Variable| {
            Helper::sample(embedding, start(graph), -1).softmax_temperature(temperature).seed(seed)
        };
        decoded(helper, 4, Some(6))
    };
    assert_eq!(drawn(1e-6, 1), greedy);
    // At a high temperature all words are as likely: two seeds differ, one seed does not.
    assert_eq!(drawn(1e3, 1), drawn(1e3, 1));
    assert_ne!(drawn(1e3, 1).1, drawn(1e3, 2).1);
}

#[test]
fn a_scheduled_training_reads_given_inputs_or_what_it_wrote() {
    let training = decoded(
        |graph, embedding| Helper::training(five_inputs(graph, embedding), five_steps(graph)),
        4,
        Some(6),
    );
    let scheduled = |probability: f64| {
        let helper = move |graph: &Graph, embedding: &Variable| {
            let inputs = five_inputs(graph, embedding);
            let helper =
                Helper::scheduled_embedding_training(inputs, five_steps(graph), embedding, probability);
            helper.softmax_temperature(1e-6).seed(1).scheduling_seed(2)
        };
        decoded(helper, 4, Some(6))
    };
    let (outputs, samples) = scheduled(0.0);
    assert_eq!((outputs, samples.to_vec::<i32>().unwrap()), (training.0.clone(), vec![-1; 10]));
    let greedy = decoded(|graph, embedding| Helper::greedy(embedding, start(graph), -1), 4, Some(6));
    assert_eq!(scheduled(1.0), greedy);
    // Between the two, some inputs are given and some written.
    let samples = scheduled(0.5).1.to_vec::<i32>().unwrap();
    assert!(samples.contains(&-1) && samples.iter().any(|&word| word >= 0), "{samples:?}");
}

#[test]
fn a_scheduled_training_reads_its_outputs() {
    let scheduled = |probability: f64| {
        let helper = move |graph: &Graph, embedding: &Variable| {
            let inputs = five_inputs(graph, embedding);
            Helper::scheduled_output_training(inputs, five_steps(graph), probability).scheduling_seed(2)
        };
        decoded(helper, 2, None)
    };
    let training = decoded(
        |graph, embedding| Helper::training(five_inputs(graph, embedding), five_steps(graph)),
        2,
        None,
    );
    assert_eq!(scheduled(0.0).0, training.0);
    assert_eq!(scheduled(1.0).1.to_vec::<i32>().unwrap(), [1; 10]);
    // A helper of closures that reads the outputs does the same.
    let inference = decoded(
        |graph, embedding| {
            let sample = (DType::Float64, session_core::PartialShape::from([2, 2]));
            let first = ops::array::gather(embedding, start(graph));
            let never = |graph: &Graph, _: &Output| constant(graph, [false, false]);
            Helper::inference(first, sample, |_, outputs| outputs.clone(), never)
        },
        2,
        None,
    );
    assert_eq!(scheduled(1.0).0, inference.0);
    assert_eq!(inference.0, inference.1);
}

#[test]
fn the_alignments_of_all_steps_are_kept() {
    let graph = Graph::new();
    let attention = LuongAttention::new(4, memory(&graph), Some(&lengths(&graph)));
    let cell = AttentionWrapper::new(BasicRnnCell::new(4), attention).alignment_history(true);
    let x = given(&graph, "input", &[2, 3, 2]);
    let (_, state) = dynamic_rnn(&cell, &x, &RnnOptions::default());
    let history = state.alignment_history.unwrap().stack();
    let (history, last) = session(&graph).run((&history, &state.alignments), ()).unwrap();
    assert_eq!(history.shape().dims(), [3, 2, 4]);
    let (history, last) = (history.to_vec::<f64>().unwrap(), last.to_vec::<f64>().unwrap());
    assert_eq!(history[16..], last);
    assert_ne!(history[..8], last);
}

#[test]
fn a_wrapped_cell_stops_where_a_sequence_ends() {
    let state_of = |steps: usize, sequence_length: [i32; 2]| {
        let graph = Graph::new();
        let attention = BahdanauAttention::new(4, memory(&graph), None);
        let cell = AttentionWrapper::new(BasicRnnCell::new(4), attention);
        let x = ops::array::slice(given(&graph, "input", &[2, 3, 2]), [0i64, 0, 0], [2, steps as i64, 2]);
        let options = RnnOptions::new().sequence_length(constant(&graph, sequence_length));
        let (_, state) = dynamic_rnn(&cell, &x, &options);
        let found = session(&graph).run((&state.attention, &state.time), ()).unwrap();
        (found.0.to_vec::<f64>().unwrap(), found.1.value::<i32>().unwrap())
    };
    let (ended, steps) = state_of(3, [3, 1]);
    assert_eq!(steps, 3, "the number of steps belongs to no sequence");
    let (short, _) = state_of(1, [1, 1]);
    assert_eq!(ended[3..], short[3..], "the second sequence has its state after one step");
    assert_ne!(ended[..3], short[..3]);
}
