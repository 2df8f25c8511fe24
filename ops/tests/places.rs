//! Errors name the line of the model, not one of this library: so every operation that a function makes counts as made where
//! the function is called.
#![allow(clippy::unwrap_used)] // helpers of tests

use ops::array::{constant, placeholder};
use ops::data_flow::{
    Barrier, ConditionalAccumulator, FifoQueue, Queue, RandomShuffleQueue, SparseConditionalAccumulator,
    StagingArea,
};
use ops::global_step::{get_or_create_global_step, increment_global_step};
use ops::io::{Compression, IndexOptions, Reader, index_batch};
use ops::layers::{self, AttentionOptions, BatchNormalizationOptions, LayerOptions, NormOptions, Training};
use ops::learning_rate as rates;
use ops::losses::{self, LossOptions};
use ops::nn::{ConvOptions, DataFormat, EmbeddingOptions, Padding, SampledLossOptions};
use ops::optimizers::*;
use ops::parsing::SparseTensor;
use ops::variables::{self, VariableExt, get_variable, variable};
use ops::{array, control_flow, gradients, initializers, math, metrics, nn, random, summary, tables};
use session_core::{DType, Error, Graph, GraphMember, Output, PartialShape, Tensor, Variable};

/// Checks that everything that was built is located in this file.
#[track_caller]
fn check(build: impl FnOnce(&Graph)) {
    let graph = Graph::new();
    build(&graph);
    graph.check().unwrap();
    let elsewhere = graph.operations().into_iter().filter(|operation| operation.location().file() != file!());
    let elsewhere: Vec<String> = elsewhere
        .map(|operation| {
            let place = operation.location();
            format!("'{}' is made at {}:{}", operation.name(), place.file(), place.line())
        })
        .collect();
    assert!(elsewhere.is_empty(), "{}", elsewhere.join("\n"));
}

/// Checks that what is built on the result of a function is located where it is built, not where the function was called.
macro_rules! next {
    ($result:expr) => {{
        let result: &Output = &$result;
        assert_eq!(array::identity(result).operation().location().line(), line!());
    }};
}

fn floats(graph: &Graph, dims: &[usize]) -> Output {
    placeholder(graph, DType::Float32, PartialShape::from(dims))
}

#[test]
fn layers_and_losses_record_the_places_of_their_calls() {
    check(|graph| {
        let x = floats(graph, &[4, 6]);
        let options = LayerOptions::default().activation(|x| nn::relu(x)).kernel_l2(0.1);
        let hidden = layers::dense(&x, 8, &options);
        next!(hidden);
        next!(layers::dense(floats(graph, &[2, 4, 6]), 8, &options));
        let normal =
            layers::batch_normalization(&hidden, Training::On, &BatchNormalizationOptions::default());
        next!(normal);
        next!(layers::batch_normalization(&hidden, Training::Off, &BatchNormalizationOptions::default()));
        next!(layers::dropout(&normal, 0.5, Training::On, Some(1)));
        let images = floats(graph, &[2, 8, 8, 3]);
        let conv = layers::conv2d(&images, 4, [3, 3], ConvOptions::default(), &options);
        next!(layers::batch_normalization(&conv, Training::On, &BatchNormalizationOptions::default()));
        next!(layers::max_pooling2d(&conv, [2, 2], [2, 2], Padding::Same));
        next!(layers::average_pooling2d(&conv, [2, 2], [2, 2], Padding::Same));
        next!(layers::flatten(&conv));
        let (same, plain) = (ConvOptions::<2>::default(), LayerOptions::default());
        next!(layers::conv2d_transpose(&images, 4, [3, 3], same, &options));
        next!(layers::depthwise_conv2d(&images, [3, 3], 2, same, &options));
        next!(layers::separable_conv2d(&images, 4, [3, 3], 2, same, &options));
        let steps = floats(graph, &[2, 8, 3]);
        next!(layers::conv1d(&steps, 4, 3, ConvOptions::default(), &options));
        next!(layers::max_pooling1d(&steps, 2, 2, Padding::Same));
        next!(layers::average_pooling1d(&steps, 2, 2, Padding::Same));
        next!(layers::multi_head_attention(&steps, &steps, 2, 3, &AttentionOptions::default()));
        let volumes = floats(graph, &[2, 4, 4, 4, 3]);
        next!(layers::conv3d(&volumes, 4, [3, 3, 3], ConvOptions::default(), &options));
        next!(layers::conv3d_transpose(&volumes, 4, [3, 3, 3], ConvOptions::default(), &plain));
        next!(layers::max_pooling3d(&volumes, [2; 3], [2; 3], Padding::Same));
        next!(layers::average_pooling3d(&volumes, [2; 3], [2; 3], Padding::Same));
        next!(layers::global_average_pooling(&volumes, DataFormat::Nhwc));
        next!(layers::global_max_pooling(&volumes, DataFormat::Nhwc));
        next!(layers::layer_norm(&steps, &NormOptions::default()));
        next!(layers::instance_norm(&images, &NormOptions::default()));
        next!(layers::group_norm(&images, 3, &NormOptions::default()));
        let table = get_variable(graph, "table", [5, 3], DType::Float32, &initializers::glorot_uniform());
        next!(layers::embedding_lookup(&table, constant(graph, [1, 2])));
        let ids = SparseTensor {
            indices: constant(graph, [[0i64, 0], [1, 0]]),
            values: constant(graph, [1i64, 2]),
            dense_shape: constant(graph, [2i64, 1]),
        };
        next!(nn::embedding_lookup_sparse(
            &[&table],
            &ids,
            Some(&ids),
            &EmbeddingOptions::default().max_norm(1.0)
        ));
        let (biases, rows, labels) =
            (floats(graph, &[5]), floats(graph, &[2, 3]), constant(graph, [[1i64], [2]]));
        let sampled = SampledLossOptions::default();
        next!(nn::sampled_softmax_loss(&[&table], &[&biases], &labels, &rows, 2, 5, &sampled));
        next!(nn::nce_loss(&[&table], &[&biases], &labels, &rows, 2, 5, &sampled));
        next!(nn::ctc_greedy_decoder(&steps, constant(graph, [2i32; 8]), true).1);
        next!(&table * 2.0);
        next!(2.0 * &table);
    });
    check(|graph| {
        let (labels, logits) = (floats(graph, &[4, 3]), floats(graph, &[4, 3]));
        let options = LossOptions::default().weights(floats(graph, &[4, 1])).label_smoothing(0.1);
        next!(losses::mean_squared_error_with(&labels, &logits, &options));
        next!(losses::absolute_difference(&labels, &logits));
        next!(losses::hinge_loss(&labels, &logits, &options));
        next!(losses::huber_loss(&labels, &logits, 1.0, &options));
        next!(losses::log_loss(&labels, &logits, 1e-7, &options));
        let rows = LossOptions::default().label_smoothing(0.1);
        next!(losses::softmax_cross_entropy_with(&labels, &logits, &rows));
        next!(losses::sigmoid_cross_entropy_with(&labels, &logits, &options));
        next!(losses::sparse_softmax_cross_entropy(constant(graph, [0, 1, 2, 0]), &logits));
        losses::l1_regularization(&logits, 0.1);
        losses::l2_regularization(&logits, 0.1);
        next!(losses::regularization_loss(graph));
        next!(losses::total_loss(graph));
        next!(losses::compute_weighted_loss(&logits, &options));
    });
    check(|graph| {
        let (labels, found) = (constant(graph, [1, 0]), constant(graph, [1, 1]));
        next!(metrics::accuracy(&labels, &found).value);
        next!(metrics::precision(&labels, &found).update_op);
        next!(metrics::recall(&labels, &found).value);
        next!(metrics::weighted_mean(&labels, &found).update_op);
        next!(metrics::correct_predictions(&labels, floats(graph, &[2, 3])));
        next!(metrics::at_least_half(floats(graph, &[2])));
    });
}

#[test]
fn optimizers_and_their_rates_record_the_places_of_their_calls() {
    let optimizers: [Box<dyn Optimizer>; 7] = [
        Box::new(GradientDescentOptimizer::new(0.1)),
        Box::new(MomentumOptimizer::new(0.1, 0.9)),
        Box::new(AdamOptimizer::new(0.1)),
        Box::new(AdagradOptimizer::new(0.1)),
        Box::new(AdadeltaOptimizer::new(0.1)),
        Box::new(RMSPropOptimizer::new(0.1).centered(true)),
        Box::new(FtrlOptimizer::new(0.1)),
    ];
    for optimizer in optimizers {
        check(|graph| {
            let w = variable(&graph.named("w"), [1.0f32, 2.0]);
            let step = get_or_create_global_step(graph);
            let loss = math::reduce_sum(nn::softmax(&w * 3.0), ..);
            let found = optimizer.compute_gradients(&loss, std::slice::from_ref(&w));
            let (grads, variables): (Vec<Option<Output>>, Vec<Variable>) = found.into_iter().unzip();
            let (clipped, norm) = clip_by_global_norm(&grads, 1.0).unwrap();
            next!(norm);
            next!(clip_by_norm(clipped[0].as_ref().unwrap(), 2.0));
            let clipped: Vec<_> = clipped.into_iter().zip(variables).collect();
            let _ = optimizer.apply_gradients(&clipped, Some(&step));
            let _ = AdamOptimizer::new(0.1).minimize(&loss, Some(&step));
            let averages = ExponentialMovingAverage::new(0.9).num_updates(&step);
            let _ = averages.apply_to_trainable(graph);
            let (average, _) = moving_average_of(graph, &loss, 0.9);
            next!(&average + 1.0);
            next!(gradients(&[&loss], &[&w]).unwrap()[0].clone().unwrap());
        });
    }
    check(|graph| {
        let step = get_or_create_global_step(graph);
        next!(rates::exponential_decay(0.1, &step, 10, 0.5, rates::Decay::Staircase));
        next!(rates::piecewise_constant(&step, &[5, 10], &[0.1, 0.2, 0.3]));
        next!(rates::cosine_decay(0.1, &step, 100, 0.0));
        let _ = increment_global_step(graph, 1);
        let _ = ops::global_step::global_step_read(graph);
    });
}

#[test]
fn state_queues_and_input_record_the_places_of_their_calls() {
    check(|graph| {
        let x = floats(graph, &[2]);
        let queue = FifoQueue::new(graph, 4, DType::Float32).shapes([[2]]).build();
        let shuffled = RandomShuffleQueue::new(graph, 4, 1, DType::Float32).shapes([[2]]).build();
        let _ = (
            queue.enqueue(&x),
            queue.enqueue_many(floats(graph, &[3, 2])),
            queue.close_and_cancel_pending_enqueues(),
        );
        let _ = queue.enqueue(Tensor::from([1, 2]));
        next!(queue.dequeue().output());
        next!(queue.dequeue_many(2).output());
        next!(Queue::select(constant(graph, 0), &[queue.clone(), shuffled]).dequeue_up_to(2).output());
        let _ = queue.summarize_fullness();
        let area = StagingArea::new(graph, DType::Float32);
        let _ = area.put([1]);
        next!(area.get()[0]);
        let accumulator = ConditionalAccumulator::new(graph, DType::Float32, [2], Default::default());
        next!(accumulator.take_grad(constant(graph, 1)));
        let rows =
            SparseConditionalAccumulator::shared(graph, DType::Float32, [2, 2], Default::default(), "r");
        let (indices, values) = (constant(graph, [0i64]), floats(graph, &[1, 2]));
        let _ = rows.apply_grad(indices, values, constant(graph, 0i64));
        let barrier = Barrier::shared(graph, [(DType::Float32, PartialShape::scalar())], "b");
        next!(barrier.take_up_to(constant(graph, 1)).0);
        let names = FifoQueue::new(graph, 4, DType::String).shapes([PartialShape::scalar()]).build();
        next!(Reader::tf_record(graph, Compression::Gzip).read(&names).1);
        next!(index_batch(graph, 10, 2, &IndexOptions::default()));
        next!(index_batch(graph, constant(graph, 10), 2, &IndexOptions::default()));
        let table = tables::MutableHashTable::new(graph, DType::Int64, 0i64);
        next!(table.find(constant(graph, [1i64])));
    });
    check(|graph| {
        let v = variable(&graph.named("v"), [1.0f32, 2.0]);
        let _ = variable(&graph.named("twice"), 2.0 * &v);
        next!(v.read(graph));
        next!(v.after(&v.assign_add([1.0f32, 1.0])));
        let _ = v.scatter_add(constant(graph, [0]), constant(graph, [1.0f32]));
        let _ =
            (variables::global_variables_initializer(graph), variables::local_variables_initializer(graph));
        next!(variables::report_uninitialized_variables(graph));
        let _ = get_variable(graph, "k", [4, 4], DType::Float32, &initializers::identity());
        summary::scalar("norm", math::reduce_sum(&v, ..));
        summary::histogram("v", &v);
        next!(summary::merge_all(graph).unwrap());
    });
    check(|graph| {
        let x = floats(graph, &[2, 3]);
        next!(control_flow::checked(&x, &control_flow::assert_less(&x, 2.0 * &x)));
        next!(control_flow::tuple(&[&x, &x], &[])[0]);
        next!(nn::dropout(&x, 0.5, None));
        next!(nn::moments(&x, 0).1);
        next!(random::random_uniform(graph, [2], 0.0, 1.0, DType::Float32, None));
        next!(random::random_uniform_int(graph, [2], 0, 9, DType::Int32, None));
        next!(random::truncated_normal(graph, [2], 0.0, 1.0, DType::Float32, None));
        next!(random::multinomial(&x, 2, None));
        next!(array::boolean_mask(&x, constant(graph, [true, false])));
        next!(constant(graph, 7) / 2);
        next!(array::repeat(&x, 2, 0));
    });
}

/// Returns the error that a graph reports, whose place must be in this file.
#[track_caller]
fn reported(build: impl FnOnce(&Graph)) -> Error {
    let graph = Graph::new();
    build(&graph);
    let error = graph.finalize().unwrap_err();
    let place = error.location().unwrap_or_else(|| panic!("{error} has no place"));
    assert_eq!(place.file(), file!(), "{error}");
    error
}

#[test]
fn errors_of_composite_functions_name_the_callers_line() {
    let unknown = |graph: &Graph| placeholder(graph, DType::Float32, PartialShape::unknown());
    let errors = [
        reported(|graph| drop(AdamOptimizer::new(0.1).minimize(&constant(graph, 1i32), None))),
        reported(|graph| drop(AdamOptimizer::new(0.1).minimize(&constant(graph, 1.0f32), None))),
        reported(|graph| {
            let w = variable(graph, 1.0f32);
            let other = constant(&Graph::new(), 1.0f32);
            drop(GradientDescentOptimizer::new(0.1).compute_gradients(&other, std::slice::from_ref(&w)));
            assert!(other.graph().check().is_err(), "the loss and the variable are of two graphs");
        }),
        reported(|graph| {
            let boxed: Box<dyn Optimizer> = Box::new(MomentumOptimizer::new(0.1, 0.9));
            drop(boxed.minimize(&constant(graph, 1i32), None));
        }),
        reported(|graph| drop(losses::total_loss(graph))),
        reported(|graph| drop(index_batch(graph, 10, 0, &IndexOptions::default()))),
        reported(|graph| drop(index_batch(graph, [1i64, 2], 2, &IndexOptions::default()))),
        reported(|graph| drop(layers::dense(unknown(graph), 3, &LayerOptions::default()))),
        reported(|graph| {
            let x = floats(graph, &[2, 3]);
            drop(layers::dense(
                x,
                3,
                &LayerOptions::default().kernel_initializer(initializers::identity().gain(1e300)),
            ));
        }),
        reported(|graph| {
            drop(layers::batch_normalization(
                unknown(graph),
                Training::On,
                &BatchNormalizationOptions::default(),
            ));
        }),
        reported(|graph| drop(layers::dropout(unknown(graph), 1.5, Training::On, None))),
        reported(|graph| drop(nn::dropout(unknown(graph), 1.5, None))),
        reported(|graph| drop(losses::mean_squared_error(floats(graph, &[2]), floats(graph, &[3])))),
        reported(|graph| drop(FifoQueue::new(graph, 2, DType::Int32).shapes([[1], [2]]).build())),
        reported(|graph| drop(array::boolean_mask(unknown(graph), constant(graph, true)))),
        reported(|graph| drop(variable(graph, unknown(graph)))),
        reported(|graph| drop(clip_by_norm(floats(graph, &[2]), 1e300))),
    ];
    for error in errors {
        assert!(error.to_string().contains(&format!("made at {}:", file!())), "{error}");
        assert_eq!(error.phase(), Some(session_core::Phase::Build), "{error}");
    }
    let graph = Graph::new();
    let foreign = constant(&Graph::new(), 1.0f32);
    assert!(foreign.check_belongs_to(&graph).is_err());
}
