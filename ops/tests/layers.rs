//! Layers: names, shapes, variables. (The oracle has no `tf.layers` any more; these names are TensorFlow 1's.)
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use ops::array::{constant, placeholder, placeholder_with_default};
use ops::initializers::{he_normal, zeros};
use ops::layers::*;
use ops::losses::{
    LossOptions, Reduction, absolute_difference, hinge_loss, huber_loss, log_loss, mean_squared_error,
    mean_squared_error_with, regularization_losses, sigmoid_cross_entropy, softmax_cross_entropy_with,
    sparse_softmax_cross_entropy, total_loss,
};
use ops::math::reduce_max;
use ops::metrics;
use ops::nn::{ConvOptions, DataFormat, Padding, relu};
use ops::optimizers::{GradientDescentOptimizer, Optimizer};
use ops::regularizers::{l1_l2_regularizer, l1_regularizer, l2_regularizer};
use ops::variables::{get_variable, global_variables, local_variables, trainable_variables};
use session_core::{DType, Graph, Output, PartialShape, Reuse, Variable, keys};

fn names(variables: &[Variable]) -> Vec<&str> {
    variables.iter().map(Variable::name).collect()
}

fn input(graph: &Graph, dims: &[Option<usize>]) -> Output {
    placeholder(&graph.named("x"), DType::Float32, dims.to_vec())
}

fn shape(output: &Output) -> String {
    output.shape().to_string()
}

#[test]
fn dense_layers_have_kernel_and_bias() {
    let graph = Graph::new();
    let x = input(&graph, &[None, Some(3)]);
    let hidden = dense(&x, 4, &LayerOptions::default().activation(|x| relu(x)));
    let second = dense(&hidden, 5, &LayerOptions::default().use_bias(false).kernel_initializer(he_normal()));
    let logits = dense(second.named("logits"), 2, &LayerOptions::default());
    graph.check().unwrap();
    let expected = ["dense/kernel", "dense/bias", "dense_1/kernel", "logits/kernel", "logits/bias"];
    assert_eq!(names(&trainable_variables(&graph)), expected);
    assert_eq!(
        [&hidden, &second, &logits].map(Output::name),
        ["dense/Relu:0", "dense_1/MatMul:0", "logits/BiasAdd:0"]
    );
    assert_eq!([&hidden, &second, &logits].map(shape), ["[?,4]", "[?,5]", "[?,2]"]);
    assert_eq!((&logits * 2.0).name(), "Mul:0", "what follows stands outside");
}

#[test]
fn dense_layers_work_on_the_last_of_many_dimensions() {
    let graph = Graph::new();
    let shapes: [&[Option<usize>]; 3] =
        [&[Some(2), Some(3), Some(4)], &[None, Some(3), Some(4)], &[None, None, Some(4)]];
    let found = shapes.map(|dims| shape(&dense(input(&graph, dims), 5, &LayerOptions::default())));
    graph.check().unwrap();
    assert_eq!(found, ["[2,3,5]", "[?,3,5]", "[?,?,5]"]);
}

#[test]
fn unknown_units_are_an_error() {
    let graph = Graph::new();
    let _ = dense(input(&graph, &[None, None]), 5, &LayerOptions::default());
    let error = graph.check().unwrap_err();
    assert!(error.message().contains("'x:0' has, of shape [?,?]"), "{error}");
    assert!(error.location().unwrap().file().ends_with("layers.rs"), "{error}");
}

#[test]
fn convolutional_layers_have_kernel_and_bias() {
    let graph = Graph::new();
    let x = input(&graph, &[None, Some(8), Some(8), Some(1)]);
    let convolution = ConvOptions::default().padding(Padding::Same);
    let maps = conv2d(&x, 16, [3, 3], convolution, &LayerOptions::default().activation(|x| relu(x)));
    let pooled = max_pooling2d(&maps, [2, 2], [2, 2], Padding::Valid);
    let mean = average_pooling2d(&pooled, [2, 2], [2, 2], Padding::Valid);
    let flat = flatten(&mean);
    graph.check().unwrap();
    assert_eq!(names(&trainable_variables(&graph)), ["conv2d/kernel", "conv2d/bias"]);
    assert_eq!(trainable_variables(&graph)[0].shape(), &PartialShape::from([3, 3, 1, 16]));
    assert_eq!(
        [&maps, &pooled, &mean, &flat].map(shape),
        ["[?,8,8,16]", "[?,4,4,16]", "[?,2,2,16]", "[?,64]"]
    );
    assert_eq!(pooled.name(), "max_pooling2d/MaxPool:0");
}

#[test]
fn regularizers_add_losses_for_kernel_and_bias() {
    let graph = Graph::new();
    let x = input(&graph, &[None, Some(3)]);
    let options = LayerOptions::default()
        .kernel_regularizer(l1_l2_regularizer(0.1, 0.01))
        .bias_regularizer(l1_regularizer(0.0)); // pays nothing
    let _ = dense(&x, 4, &options);
    let own = |weights: &Output| reduce_max(weights, ..);
    let _ = dense(&x, 4, &LayerOptions::default().bias_regularizer(own));
    graph.check().unwrap();
    let losses: Vec<String> = regularization_losses(&graph).iter().map(Output::name).collect();
    let expected = ["dense/kernel/Regularizer/l1_l2_regularizer:0", "dense_1/bias/Regularizer/Max:0"];
    assert_eq!(losses, expected);
    for scale in [-0.1, f64::NAN, f64::INFINITY] {
        let graph = Graph::new();
        let options = LayerOptions::default().kernel_regularizer(l2_regularizer(scale));
        let _ = dense(input(&graph, &[None, Some(3)]), 4, &options);
        let error = graph.check().unwrap_err();
        assert!(error.message().contains(&format!("is {scale}")), "{error}");
        assert!(error.message().contains("dense/kernel"), "{error}");
    }
}

#[test]
fn unsupported_layer_options_are_errors() {
    let plain = LayerOptions::default;
    let (steps, images) = ([None, Some(8), Some(6)], [None, Some(8), Some(8), Some(6)]);
    let explicit = Padding::Explicit([[1, 1], [0, 0]]);
    type Build = Box<dyn Fn(&Graph) -> Output>;
    let cases: Vec<(&str, Build)> = vec![
        (
            "cannot be divided into 4 groups",
            Box::new(move |graph| {
                conv2d(input(graph, &images), 8, [3, 3], ConvOptions::default().groups(4), &plain())
            }),
        ),
        (
            "takes no explicit padding",
            Box::new(move |graph| {
                conv1d(input(graph, &steps), 8, 3, ConvOptions::default().padding(explicit), &plain())
            }),
        ),
        (
            "takes no explicit padding",
            Box::new(move |graph| max_pooling1d(input(graph, &steps), 2, 2, explicit)),
        ),
        (
            "has no groups",
            Box::new(move |graph| {
                let groups = ConvOptions::default().groups(2);
                conv2d_transpose(input(graph, &images), 8, [3, 3], groups, &plain())
            }),
        ),
        (
            "its 6 channels cannot be divided into 4 groups",
            Box::new(move |graph| group_norm(input(graph, &images), 4, &NormOptions::default())),
        ),
        (
            "no axes of space",
            Box::new(|graph| instance_norm(input(graph, &[None, Some(3)]), &NormOptions::default())),
        ),
        (
            "over the axes from 3",
            Box::new(move |graph| {
                layer_norm(input(graph, &steps), &NormOptions::default().begin_norm_axis(3))
            }),
        ),
        (
            "of known sizes",
            Box::new(|graph| layer_norm(input(graph, &[None, None]), &NormOptions::default())),
        ),
        (
            "the query 'x:0' of an attention",
            Box::new(move |graph| {
                let x = input(graph, &images);
                multi_head_attention(&x, &x, 2, 3, &AttentionOptions::default())
            }),
        ),
        (
            "no axes of space",
            Box::new(|graph| global_max_pooling(input(graph, &[None, Some(3)]), DataFormat::Nhwc)),
        ),
    ];
    for (text, build) in cases {
        let graph = Graph::new();
        let _ = build(&graph);
        let error = graph.check().unwrap_err();
        assert!(error.message().contains(text), "{error}");
        assert!(error.location().unwrap().file().ends_with("layers.rs"), "{error}");
    }
}

#[test]
fn attention_has_the_variables_of_its_projections() {
    let graph = Graph::new();
    let scope = graph.variable_scope("model", Reuse::Auto);
    let x = input(&graph, &[None, Some(4), Some(6)]);
    let options = AttentionOptions::default()
        .dropout(0.1, Training::On, Some(1))
        .layer(LayerOptions::default().use_bias(false));
    let y = multi_head_attention(x.within(&scope), &x, 2, 3, &options);
    let again = graph.variable_scope("model", Reuse::Auto);
    let _ = multi_head_attention(x.within(&again), &x, 2, 3, &options);
    graph.check().unwrap();
    assert_eq!(shape(&y), "[?,4,6]");
    let parts = ["query", "key", "value", "attention_output"];
    let expected = parts.map(|part| format!("model/multi_head_attention/{part}/kernel"));
    assert_eq!(names(&global_variables(&graph)), expected);
}

#[test]
fn flattening_accepts_unknown_dimensions() {
    let graph = Graph::new();
    let shapes: [&[Option<usize>]; 3] =
        [&[Some(2), None, Some(4)], &[None, None, Some(4)], &[None, Some(3), Some(4)]];
    let found = shapes.map(|dims| shape(&flatten(input(&graph, dims))));
    graph.check().unwrap();
    assert_eq!(found, ["[2,?]", "[?,?]", "[?,12]"]);
}

#[test]
fn dropout_changes_nothing_outside_of_training() {
    let graph = Graph::new();
    let x = input(&graph, &[None, Some(3)]);
    assert_eq!(dropout(&x, 0.4, Training::Off, None).operation().op_type(), "Identity");
    let dropped = dropout(&x, 0.4, Training::On, Some(1));
    assert_eq!((dropped.operation().op_type(), shape(&dropped).as_str()), ("SelectV2", "[?,3]"));
    graph.check().unwrap();
    let _ = dropout(&x, 1.0, Training::On, None);
    assert!(graph.check().unwrap_err().message().contains("must be in [0, 1), not 1"));
}

#[test]
fn batch_normalization_follows_the_moments_in_training_only() {
    let cases: [&[Option<usize>]; 2] = [&[None, Some(3)], &[None, Some(4), Some(4), Some(3)]];
    for dims in cases {
        let graph = Graph::new();
        let x = input(&graph, dims);
        let options = BatchNormalizationOptions::default();
        let trained = batch_normalization(&x, Training::On, &options);
        assert_eq!(trained.shape(), x.shape());
        let scope = "batch_normalization";
        let expected =
            ["gamma", "beta", "moving_mean", "moving_variance"].map(|name| format!("{scope}/{name}"));
        assert_eq!(names(&global_variables(&graph)), expected);
        assert_eq!(names(&trainable_variables(&graph)), expected[..2]);
        let updates = graph.collection(&keys::UPDATE_OPS);
        assert_eq!(updates.len(), 2);
        assert_eq!(updates[0].input(0).operation().name(), expected[2]);

        let used = batch_normalization(&x, Training::Off, &options);
        assert_eq!(used.shape(), x.shape());
        assert_eq!(graph.collection(&keys::UPDATE_OPS).len(), 2);

        let loss = mean_squared_error(&x, &trained);
        GradientDescentOptimizer::new(0.1).minimize(&loss, None);
        graph.check().unwrap();
    }
}

#[test]
fn embeddings_are_looked_up_and_trained() {
    let graph = Graph::new();
    let table = get_variable(&graph, "table", [5, 2], DType::Float32, &zeros());
    let ids = placeholder(&graph.named("ids"), DType::Int64, [None, Some(3)]);
    let rows = embedding_lookup(&table, &ids);
    assert_eq!((shape(&rows).as_str(), rows.operation().op_type()), ("[?,3,2]", "ResourceGather"));
    let gradients = GradientDescentOptimizer::new(0.1).compute_gradients(
        &mean_squared_error(constant(&graph, 0.0f32) * &rows, &rows),
        std::slice::from_ref(&table),
    );
    graph.check().unwrap();
    assert_eq!(gradients[0].0.as_ref().map(shape).as_deref(), Some("[5,2]"));
}

#[test]
fn losses_join_their_collection_under_the_name_value() {
    let graph = Graph::new();
    let labels = placeholder(&graph.named("labels"), DType::Float32, [None, Some(3)]);
    let found = input(&graph, &[None, Some(3)]);
    let classes = placeholder(&graph.named("classes"), DType::Int64, [None]);
    let options = LossOptions::default();
    let all = [
        mean_squared_error(&labels, &found),
        absolute_difference(&labels, &found),
        hinge_loss(&labels, &found, &options),
        huber_loss(&labels, &found, 1.0, &options),
        log_loss(&labels, &found, 1e-7, &options),
        sigmoid_cross_entropy(&labels, &found),
        softmax_cross_entropy_with(&labels, &found, &options.clone().label_smoothing(0.1)),
        sparse_softmax_cross_entropy(&classes, &found),
    ];
    graph.check().unwrap();
    assert_eq!(graph.collection(&keys::LOSSES), all);
    assert!(all.iter().all(|loss| loss.shape() == &PartialShape::scalar()));
    assert_eq!(all[0].name(), "mean_squared_error/value:0");
    assert_eq!(all[7].name(), "sparse_softmax_cross_entropy_loss/value:0");
}

#[test]
fn losses_can_be_weighted_and_left_unreduced() {
    let graph = Graph::new();
    let labels = placeholder(&graph.named("labels"), DType::Float32, [None, Some(3)]);
    let found = input(&graph, &[None, Some(3)]);
    let weights = placeholder(&graph.named("weights"), DType::Float32, [None, Some(1)]);
    for reduction in [
        Reduction::None,
        Reduction::Sum,
        Reduction::Mean,
        Reduction::SumOverBatchSize,
        Reduction::SumByNonzeroWeights,
    ] {
        let options = LossOptions::default().weights(&weights).reduction(reduction).collection(None);
        let loss = mean_squared_error_with(&labels, &found, &options);
        let expected = if reduction == Reduction::None { "[?,3]" } else { "[]" };
        assert_eq!(shape(&loss), expected);
    }
    graph.check().unwrap();
    assert!(graph.collection(&keys::LOSSES).is_empty());
}

#[test]
fn the_total_loss_has_all_parts() {
    let graph = Graph::new();
    let x = input(&graph, &[None, Some(3)]);
    let y = dense(&x, 3, &LayerOptions::default().kernel_l2(0.01));
    let loss = mean_squared_error(&x, &y);
    let total = total_loss(&graph);
    graph.check().unwrap();
    let regularization = regularization_losses(&graph);
    assert_eq!(regularization.len(), 1);
    assert_eq!(regularization[0].name(), "dense/kernel/Regularizer/l2_regularizer:0");
    assert_eq!(total.name(), "total_loss:0");
    assert_eq!(total.operation().inputs(), [loss, regularization[0].clone()]);
    let empty = Graph::new();
    let _ = total_loss(&empty);
    assert!(empty.check().unwrap_err().message().contains("no losses"));
}

#[test]
fn metrics_keep_local_variables() {
    let graph = Graph::new();
    let labels = placeholder(&graph.named("labels"), DType::Int64, [None]);
    let found = placeholder(&graph.named("found"), DType::Int64, [None]);
    let all = [
        metrics::accuracy(&labels, &found),
        metrics::mean(&found),
        metrics::precision(&labels, &found),
        metrics::recall(&labels, &found),
    ];
    graph.check().unwrap();
    let expected = [
        "accuracy/total",
        "accuracy/count",
        "mean/total",
        "mean/count",
        "precision/true_positives/count",
        "precision/false_positives/count",
        "recall/true_positives/count",
        "recall/false_negatives/count",
    ];
    assert_eq!(names(&local_variables(&graph)), expected);
    assert_eq!(names(&graph.collection(&keys::METRIC_VARIABLES)), expected);
    assert!(global_variables(&graph).is_empty());
    assert_eq!(all[0].value.name(), "accuracy/value:0");
    assert_eq!(all[0].update_op.name(), "accuracy/update_op:0");
    // The update reads what it has added.
    let read = all[0].update_op.operation().input(0);
    let waits: Vec<String> =
        read.operation().control_inputs().iter().map(|op| op.op_type().to_owned()).collect();
    assert_eq!(waits, ["AssignAddVariableOp", "AssignAddVariableOp"]);
}

/// Two dense layers, one of them with a name, and a norm.
fn model(scope: &Graph, x: &Output) -> Output {
    let hidden = dense(x.within(scope), 4, &LayerOptions::default().kernel_l2(0.1));
    let normed = batch_normalization(&hidden, Training::On, &BatchNormalizationOptions::default());
    dense(normed.named("logits"), 2, &LayerOptions::default())
}

#[test]
fn a_model_that_is_built_again_in_a_variable_scope_shares_its_variables() {
    let graph = Graph::new();
    let x = input(&graph, &[None, Some(3)]);
    let built = [(); 2].map(|()| model(&graph.variable_scope("model", Reuse::Auto), &x));
    graph.check().unwrap();
    let expected = [
        "model/dense/kernel",
        "model/dense/bias",
        "model/batch_normalization/gamma",
        "model/batch_normalization/beta",
        "model/batch_normalization/moving_mean",
        "model/batch_normalization/moving_variance",
        "model/logits/kernel",
        "model/logits/bias",
    ];
    assert_eq!(names(&global_variables(&graph)), expected);
    assert_eq!(built.each_ref().map(Output::name), ["model/logits/BiasAdd:0", "model_1/logits/BiasAdd:0"]);
    assert_eq!(regularization_losses(&graph).len(), 1, "once for the kernel");
    // Two layers of one kind in one model do not share by accident.
    let scope = graph.variable_scope("other", Reuse::Auto);
    let first = dense(x.within(&scope), 3, &LayerOptions::default());
    let _ = dense(&first, 3, &LayerOptions::default());
    assert_eq!(
        names(&global_variables(&graph))[8..],
        ["other/dense/kernel", "other/dense/bias", "other/dense_1/kernel", "other/dense_1/bias",]
    );
    // The outputs of a layer are in the scope of its model, slots of optimizers are not.
    GradientDescentOptimizer::new(0.1).minimize(&mean_squared_error(&x, &first), None);
    graph.check().unwrap();
}

#[test]
fn variable_scopes_report_variables_that_cannot_be_shared() {
    let check = |reuse: Reuse, shape: [usize; 1], dtype: DType| {
        let graph = Graph::new();
        let made = get_variable(&graph.variable_scope("a", Reuse::No), "w", [2], DType::Float32, &zeros());
        let again = get_variable(&graph.variable_scope("a", reuse), "w", shape, dtype, &zeros());
        assert_eq!(made.name(), "a/w");
        graph.check().map(|()| assert_eq!(again.handle().operation(), made.handle().operation()))
    };
    check(Reuse::Yes, [2], DType::Float32).unwrap();
    check(Reuse::Auto, [2], DType::Float32).unwrap();
    let error = check(Reuse::No, [2], DType::Float32).unwrap_err();
    assert!(error.message().contains("'a/w' cannot be created: the name is taken"), "{error}");
    assert!(error.message().contains("Reuse::Auto"), "{error}");
    let error = check(Reuse::Auto, [3], DType::Float32).unwrap_err();
    assert!(error.message().contains("'a/w' cannot be shared") && error.message().contains("[3]"), "{error}");
    let error = check(Reuse::Yes, [2], DType::Int32).unwrap_err();
    assert!(error.message().contains("int32"), "{error}");

    let graph = Graph::new();
    let _ = get_variable(&graph.variable_scope("a", Reuse::Yes), "w", [2], DType::Float32, &zeros());
    let error = graph.check().unwrap_err();
    assert!(error.message().contains("'a/w' does not exist"), "{error}");
}

#[test]
fn a_tensor_selects_the_training_mode_of_layers() {
    for dims in [&[None, Some(3)][..], &[None, Some(4), Some(4), Some(3)]] {
        let graph = Graph::new();
        let x = input(&graph, dims);
        let training = placeholder_with_default(constant(&graph, false), PartialShape::scalar());
        let normed = batch_normalization(&x, &training, &BatchNormalizationOptions::default());
        let kept = dropout(&normed, 0.5, training, Some(1));
        assert_eq!((normed.shape(), kept.shape()), (x.shape(), x.shape()));
        assert_eq!(graph.collection(&keys::UPDATE_OPS).len(), 2);
        GradientDescentOptimizer::new(0.1).minimize(&mean_squared_error(&x, &kept), None);
        graph.check().unwrap();
    }
}
