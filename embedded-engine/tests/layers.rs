//! Layers, losses over samples and initializers: variables, outputs, gradients and initial values are those of TensorFlow 1
//! (`oracle/layers.py`).
#![allow(clippy::unwrap_used)] // a panic is the report

use crate::python::python;
use embedded_engine::EmbeddedEngine;
use ops::array::constant;
use ops::gradients;
use ops::initializers::{self as init, Distribution, Fan, Initializer};
use ops::layers::{self, AttentionOptions, LayerOptions, NormOptions};
use ops::math::{cast, reduce_sum, square};
use ops::nn::{
    self, Candidates, Combiner, ConvOptions, DataFormat, EmbeddingOptions, Padding, PartitionStrategy,
    SampledLossOptions,
};
use ops::parsing::SparseTensor;
use ops::variables::{get_variable, global_variables_initializer};
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
    let value = |i: usize| (i as f64 * 0.7 + name.len() as f64).sin() * 0.4;
    Tensor::from_vec((0..count).map(value).collect(), shape.to_vec()).unwrap()
}

fn open(graph: &Graph) -> Arc<dyn Session> {
    graph.check().unwrap();
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap()
}

type Build = fn(&Output) -> Output;

fn plain() -> LayerOptions {
    LayerOptions::default()
}

/// Options of a convolution that leaves no border.
fn valid<const N: usize>() -> ConvOptions<N> {
    ConvOptions::default().padding(Padding::Valid)
}

fn same<const N: usize>() -> ConvOptions<N> {
    ConvOptions::default()
}

fn norm() -> NormOptions {
    NormOptions::default()
}

fn attention() -> AttentionOptions {
    AttentionOptions::default().value_dim(4)
}

fn masked(x: &Output) -> Output {
    let graph = x.graph();
    let memory = constant(&graph.named("memory"), values("memory", &[2, 3, 6]));
    let mask = Tensor::from_vec(vec![true, true, false, true, true, false], [2usize, 1, 3]).unwrap();
    let options = attention().attention_mask(constant(&graph, mask)).output_size(7);
    layers::multi_head_attention(x, memory, 2, 3, &options)
}

fn table(graph: &Graph, name: &str, shape: &[usize]) -> Variable {
    get_variable(graph, name, shape, DType::Float64, &init::zeros())
}

fn embedded(x: &Output, weighted: bool, parts: usize, options: EmbeddingOptions) -> Output {
    let graph = x.graph();
    let rows = |part: usize| 5 / parts + usize::from(part < 5 % parts);
    let tables: Vec<Variable> =
        (0..parts).map(|part| table(&graph, &format!("table{part}"), &[rows(part), 2])).collect();
    let indices = [[0i64, 0], [0, 1], [0, 2], [1, 0], [2, 1], [2, 3]];
    let sparse = |values: Tensor| SparseTensor {
        indices: constant(&graph, indices),
        values: constant(&graph, values),
        dense_shape: constant(&graph, [3i64, 4]),
    };
    let ids = sparse(Tensor::from([4i64, 0, 4, 2, 1, 3]));
    let weights = weighted.then(|| sparse(Tensor::from([0.5f64, 2.0, 1.0, 3.0, 0.25, 1.5])));
    let rows = nn::embedding_lookup_sparse(&tables, &ids, weights.as_ref(), &options);
    &rows + &(&reduce_sum(x, ..) * 0.0)
}

fn combined(combiner: Combiner) -> EmbeddingOptions {
    EmbeddingOptions::default().combiner(combiner)
}

/// The sampled classes of the script, for this number of true ones.
fn given(x: &Output, truths: usize) -> SampledLossOptions {
    let graph = x.graph();
    let expected = [[0.5f32, 0.25], [0.125, 0.75]].map(|row| row[..truths].to_vec()).concat();
    SampledLossOptions::default().sampled_values(Candidates {
        sampled: constant(&graph, [0i64, 3, 7]),
        true_expected_count: constant(&graph, Tensor::from_vec(expected, [2, truths]).unwrap()),
        sampled_expected_count: constant(&graph, [0.5f32, 0.25, 0.125]),
    })
}

fn sampled<const T: usize>(
    x: &Output,
    labels: [[i64; T]; 2],
    nce: bool,
    options: &SampledLossOptions,
) -> Output {
    let graph = x.graph();
    let table = |name: &str, shape: &[usize]| [cast(table(&graph, name, shape), DType::Float32)];
    let (weights, biases) = (table("weights", &[10, 4]), table("biases", &[10]));
    let labels = constant(&graph, labels);
    single(x, |x| match nce {
        true => nn::nce_loss(&weights, &biases, labels, x, 3, 10, options),
        false => nn::sampled_softmax_loss(&weights, &biases, labels, x, 3, 10, options),
    })
}

/// Builds an operation that TensorFlow has in single precision only.
fn single(x: &Output, build: impl FnOnce(&Output) -> Output) -> Output {
    cast(build(&cast(x, DType::Float32)), DType::Float64)
}

const MODELS: &[(&str, &[usize], Build)] = &[
    ("conv1d", &[2, 7, 3], |x| layers::conv1d(x, 4, 3, same().strides([2]), &plain())),
    ("conv1d dilated", &[2, 9, 3], |x| layers::conv1d(x, 4, 3, valid().dilations([2]), &plain())),
    ("conv2d", &[2, 6, 5, 3], |x| layers::conv2d(x, 4, [3, 2], same().strides([2, 1]), &plain())),
    ("conv2d dilated", &[2, 7, 8, 2], |x| layers::conv2d(x, 3, [3, 3], valid().dilations([2, 3]), &plain())),
    ("conv2d in groups", &[2, 5, 4, 4], |x| layers::conv2d(x, 6, [3, 3], same().groups(2), &plain())),
    ("conv3d", &[2, 4, 5, 3, 2], |x| layers::conv3d(x, 3, [2, 3, 2], valid().strides([1, 2, 1]), &plain())),
    ("conv3d same", &[1, 3, 4, 3, 2], |x| {
        layers::conv3d(x, 3, [2, 3, 2], same().strides([1, 2, 1]), &plain())
    }),
    ("conv2d_transpose", &[2, 3, 4, 2], |x| {
        layers::conv2d_transpose(x, 4, [3, 2], same().strides([2, 3]), &plain())
    }),
    ("conv2d_transpose valid", &[2, 3, 4, 2], |x| {
        layers::conv2d_transpose(x, 4, [3, 2], valid().strides([2, 3]), &plain())
    }),
    ("conv3d_transpose", &[1, 2, 3, 4, 3], |x| {
        layers::conv3d_transpose(x, 2, [2, 2, 3], same().strides([2, 2, 1]), &plain())
    }),
    ("depthwise_conv2d", &[2, 5, 4, 3], |x| layers::depthwise_conv2d(x, [3, 2], 2, same(), &plain())),
    ("separable_conv2d", &[2, 7, 6, 3], |x| {
        let options = plain().activation(|x| nn::relu(x));
        layers::separable_conv2d(x, 5, [3, 3], 2, valid().strides([2, 2]), &options)
    }),
    ("max_pooling1d", &[2, 7, 3], |x| layers::max_pooling1d(x, 3, 2, Padding::Valid)),
    ("average_pooling1d", &[2, 7, 3], |x| layers::average_pooling1d(x, 3, 2, Padding::Same)),
    ("max_pooling3d", &[1, 4, 5, 4, 2], |x| {
        single(x, |x| layers::max_pooling3d(x, [2; 3], [2; 3], Padding::Same))
    }),
    ("average_pooling3d", &[1, 4, 5, 4, 2], |x| {
        single(x, |x| layers::average_pooling3d(x, [2; 3], [1, 2, 1], Padding::Valid))
    }),
    ("global_average_pooling", &[2, 3, 4, 3], |x| layers::global_average_pooling(x, DataFormat::Nhwc)),
    ("global_max_pooling", &[2, 5, 3], |x| layers::global_max_pooling(x, DataFormat::Nhwc)),
    ("layer_norm", &[3, 4, 5], |x| layers::layer_norm(x, &norm())),
    ("layer_norm of the last axis", &[3, 4, 5], |x| {
        layers::layer_norm(x, &norm().begin_norm_axis(-1).begin_params_axis(1))
    }),
    ("instance_norm", &[2, 3, 4, 3], |x| layers::instance_norm(x, &norm())),
    ("group_norm", &[2, 3, 4, 6], |x| layers::group_norm(x, 3, &norm())),
    ("attention", &[2, 4, 5], |x| layers::multi_head_attention(x, x, 2, 3, &attention())),
    ("attention causal", &[2, 4, 5], |x| {
        layers::multi_head_attention(x, x, 2, 3, &attention().use_causal_mask(true))
    }),
    ("attention masked", &[2, 4, 5], masked),
    ("embedding sum", &[1], |x| embedded(x, false, 1, combined(Combiner::Sum))),
    ("embedding mean", &[1], |x| embedded(x, false, 2, combined(Combiner::Mean))),
    ("embedding sqrtn", &[1], |x| {
        embedded(x, false, 2, combined(Combiner::SqrtN).partition_strategy(PartitionStrategy::Div))
    }),
    ("embedding weighted sum", &[1], |x| embedded(x, true, 1, combined(Combiner::Sum).max_norm(0.3))),
    ("embedding weighted mean", &[1], |x| embedded(x, true, 3, combined(Combiner::Mean))),
    ("embedding weighted sqrtn", &[1], |x| embedded(x, true, 1, combined(Combiner::SqrtN))),
    ("sampled_softmax", &[2, 4], |x| sampled(x, [[3], [5]], false, &given(x, 1))),
    ("sampled_softmax of two", &[2, 4], |x| sampled(x, [[3, 3], [5, 0]], false, &given(x, 2))),
    ("sampled_softmax seeded", &[2, 4], |x| {
        sampled(x, [[3], [5]], false, &SampledLossOptions::default().seed(4))
    }),
    ("nce_loss", &[2, 4], |x| sampled(x, [[3, 1], [5, 0]], true, &given(x, 2))),
    ("nce_loss without hits", &[2, 4], |x| {
        sampled(x, [[3], [5]], true, &given(x, 1).remove_accidental_hits(true))
    }),
    ("lrn", &[1, 2, 2, 7], |x| {
        let options = nn::LocalResponseOptions::default().depth_radius(2).bias(1.5).alpha(0.5).beta(0.75);
        single(x, |x| nn::local_response_normalization(x, options))
    }),
];

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn close(found: &[f64], expected: &Value, tolerance: f64, what: &str) {
    let expected = numbers(expected);
    let same = found.len() == expected.len()
        && found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < tolerance * b.abs().max(1.0));
    assert!(same, "{what}: {found:?}, TensorFlow {expected:?}");
}

fn ask() -> Option<Value> {
    let python = python()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/layers.py");
    let output = Command::new(python).arg(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Checks one model: its variables, its output, the gradients of the sum of its squares.
fn check_model(name: &str, shape: &[usize], build: Build, expected: &Value) {
    let graph = Graph::new();
    graph.set_random_seed(9);
    let x = constant(&graph.named("x"), values("x", shape));
    let output = build(&x);
    let known = output.shape().to_shape().map(|shape| json!(shape.dims()));
    assert!(known.is_none_or(|known| known == expected["shape"]), "{name}: {}", output.shape());
    let variables = graph.collection(&keys::VARIABLES);
    let of: Vec<Output> = std::iter::once(x.clone())
        .chain(variables.iter().map(|variable| variable.handle().clone()))
        .collect();
    let grads = gradients(&[&reduce_sum(square(&output), ..)], &of).unwrap();
    let session = open(&graph);
    for variable in &variables {
        let value = values(variable.name(), variable.shape().to_shape().unwrap().dims());
        session.run(variable.initializer(), [(variable.initial_value(), value)]).unwrap();
    }
    let is_single = ["lrn", "pooling3d", "sampled", "nce"].iter().any(|part| name.contains(part));
    let tolerance = if is_single { 1e-5 } else { 1e-9 };
    // One run, in which random numbers are the same for all.
    let grads: Vec<Output> = grads.into_iter().map(Option::unwrap).collect();
    let (found, grads) = session.run((&output, &grads), ()).unwrap();
    assert_eq!(json!(found.shape().dims()), expected["shape"], "{name}");
    close(&found.to_vec::<f64>().unwrap(), &expected["output"], tolerance, name);

    let shapes = expected["variables"].as_object().unwrap();
    assert_eq!(variables.len(), shapes.len(), "{name}");
    let names = std::iter::once("x").chain(variables.iter().map(Variable::name));
    for (of, grad) in names.zip(grads) {
        let what = format!("{name}, gradient of {of}");
        let expected = &expected["gradients"][of];
        assert!(expected.is_array(), "{what}: TensorFlow has no such variable");
        close(&grad.to_vec::<f64>().unwrap(), expected, tolerance, &what);
    }
    for variable in &variables {
        let sizes = json!(variable.shape().sizes().unwrap());
        assert_eq!(shapes[variable.name()], sizes, "{name}, {}", variable.name());
    }
}

fn initializers() -> Vec<(&'static str, Box<dyn Initializer>, &'static [usize])> {
    use Distribution::{TruncatedNormal, UntruncatedNormal};
    vec![
        ("orthogonal", Box::new(init::orthogonal_initializer().gain(1.5).seed(3)), &[6, 4]),
        ("orthogonal wide", Box::new(init::orthogonal_initializer().seed(3)), &[2, 2, 7]),
        ("identity", Box::new(init::identity().gain(2.0)), &[3, 4]),
        ("uniform_unit_scaling", Box::new(init::uniform_unit_scaling(1.5).seed(5)), &[4, 3]),
        (
            "variance_scaling",
            Box::new(init::variance_scaling(2.0, Fan::Out, TruncatedNormal).seed(5)),
            &[3, 2, 4],
        ),
        (
            "variance_scaling untruncated",
            Box::new(init::variance_scaling(2.0, Fan::Average, UntruncatedNormal).seed(5)),
            &[5, 2],
        ),
        ("truncated_normal", Box::new(init::truncated_normal(1.0, 0.2).seed(6)), &[4, 5]),
        ("random_normal", Box::new(init::random_normal(1.0, 0.2).seed(6)), &[4, 5]),
        ("random_uniform", Box::new(init::random_uniform(-1.0, 2.0).seed(6)), &[4, 5]),
        ("glorot_uniform", Box::new(init::glorot_uniform().seed(7)), &[3, 3, 2, 4]),
        ("glorot_normal", Box::new(init::glorot_normal().seed(7)), &[4, 5]),
        ("he_uniform", Box::new(init::he_uniform().seed(7)), &[4, 5]),
        ("he_normal", Box::new(init::he_normal().seed(7)), &[4, 5]),
        ("lecun_uniform", Box::new(init::lecun_uniform().seed(7)), &[4, 5]),
        ("lecun_normal", Box::new(init::lecun_normal().seed(7)), &[4, 5]),
    ]
}

#[test]
fn layers_and_initial_values_are_tensorflows() {
    let Some(answer) = ask() else { return };
    assert_eq!(answer["models"].as_object().unwrap().len(), MODELS.len());
    for (name, shape, build) in MODELS {
        check_model(name, shape, *build, &answer["models"][name]);
    }
    assert_eq!(answer["initializers"].as_object().unwrap().len(), initializers().len());
    for (name, initializer, shape) in initializers() {
        let graph = Graph::new();
        graph.set_random_seed(9);
        let w = get_variable(&graph, "w", shape, DType::Float32, initializer.as_ref());
        let init = global_variables_initializer(&graph);
        let session = open(&graph);
        session.run(&init, ()).unwrap();
        let found = session.run(&w, ()).unwrap().to_vec::<f32>().unwrap();
        let found: Vec<f64> = found.into_iter().map(f64::from).collect();
        close(&found, &answer["initializers"][name], 1e-5, name);
    }
}

/// Sizes that are not known while the graph is built are computed when it runs.
#[test]
fn unknown_sizes_are_computed() {
    let models: [(&[Option<usize>], &[usize], Build); 4] = [
        (&[None, None, None, Some(2)], &[2, 3, 4, 2], |x| {
            layers::conv2d_transpose(x, 4, [3, 2], valid().strides([2, 3]), &plain())
        }),
        (&[None, None, None, Some(6)], &[2, 3, 4, 6], |x| layers::group_norm(x, 3, &norm())),
        (&[None, None, Some(5)], &[2, 4, 5], |x| {
            layers::multi_head_attention(x, x, 2, 3, &attention().use_causal_mask(true))
        }),
        (&[None, None, Some(3)], &[2, 7, 3], |x| layers::conv1d(x, 4, 3, same().strides([2]), &plain())),
    ];
    for (unknown, shape, build) in models {
        let run = |known: bool| {
            let graph = Graph::new();
            let sizes = if known { shape.iter().copied().map(Some).collect() } else { unknown.to_vec() };
            let x = ops::array::placeholder(&graph.named("x"), DType::Float64, sizes);
            let y = build(&x);
            let session = open(&graph);
            for variable in graph.collection(&keys::VARIABLES) {
                let value = values(variable.name(), variable.shape().to_shape().unwrap().dims());
                session.run(variable.initializer(), [(variable.initial_value(), value)]).unwrap();
            }
            session.run(&y, [(&x, values("x", shape))]).unwrap()
        };
        assert_eq!(run(true), run(false));
    }
}
