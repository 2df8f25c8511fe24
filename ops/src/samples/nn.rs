//! Samples of network layers, and of control flow.

use super::math::rows;
use super::{Inputs, Known, Sample, shaped};
use crate::control_flow::{group, print, tuple, with_dependencies};
use crate::nn::*;
use crate::{array, math};
use session_core::Output;

/// Returns the result of an operation on a placeholder pair.
fn pair_op(i: &mut Inputs<'_>, op_type: &str) -> Vec<Output> {
    let (x, y) = (i.doubles(&[2, 3]), i.doubles(&[2, 3]));
    vec![i.op(op_type).input(x).input(y).finish_output()]
}

const ACTIVATIONS: &[Sample] = rows! {
    "Relu" => |i| [relu(i.doubles(&[2, 3]))];
    "ReluGrad" => |i| pair_op(i, "ReluGrad");
    "Relu6" => |i| [relu6(i.between(-3.0, 9.0, &[2, 3]))];
    "Relu6Grad" => |i| pair_op(i, "Relu6Grad");
    "LeakyRelu" => |i| [leaky_relu(i.doubles(&[2, 3]), 0.125)];
    "LeakyReluGrad" => |i| {
        let (x, y) = (i.doubles(&[2, 3]), i.doubles(&[2, 3]));
        [i.op("LeakyReluGrad").input(x).input(y).attr("alpha", 0.125f32).finish_output()]
    };
    "Elu" => |i| [elu(i.doubles(&[2, 3]))];
    "EluGrad" => |i| pair_op(i, "EluGrad");
    "Selu" => |i| [selu(i.doubles(&[2, 3]))];
    "SeluGrad" => |i| pair_op(i, "SeluGrad");
    "Softplus" => |i| [softplus(i.doubles(&[2, 3]))];
    "SoftplusGrad" => |i| pair_op(i, "SoftplusGrad");
    "Softsign" => |i| [softsign(i.doubles(&[2, 3]))];
    "SoftsignGrad" => |i| {
        let (x, y) = (i.other([0.5f64, 1.0]), i.other([-0.5f64, 2.0]));
        [i.op("SoftsignGrad").input(x).input(y).finish_output()]
    };
    "Softmax" => |i| [softmax(i.doubles(&[2, 3]))];
    "Softmax of images" => |i| [softmax(i.doubles(&[2, 2, 3]))];
    "LogSoftmax" => |i| [log_softmax(i.doubles(&[2, 3]))];
    "Sigmoid times x" => |i| [swish(i.doubles(&[2, 3]))];
    "BiasAdd" => |i| { let (x, b) = (i.doubles(&[2, 3]), i.doubles(&[3])); [bias_add(x, b)] };
    "BiasAdd of channels first" => |i| {
        let (x, b) = (i.doubles(&[2, 3, 2, 2]), i.doubles(&[3]));
        [bias_add_with(x, b, DataFormat::Nchw)]
    };
    "BiasAddV1" needs Ranks => |i| {
        let (x, b) = (i.doubles(&[2, 2, 3]), i.doubles(&[3]));
        [i.op("BiasAddV1").input(x).input(b).finish_output()]
    };
    "BiasAddGrad" => |i| { let x = i.doubles(&[2, 4, 3]); [i.op("BiasAddGrad").input(x).finish_output()] };
    "BiasAddGrad of channels first" needs Ranks => |i| {
        let x = i.doubles(&[2, 3, 2, 2]);
        [i.op("BiasAddGrad").input(x).attr("data_format", "NCHW").finish_output()]
    };
};

/// Rows of probabilities.
fn probabilities(i: &mut Inputs<'_>, shape: &[usize]) -> Output {
    let x = i.doubles(shape);
    softmax(x)
}

const CROSS_ENTROPIES: &[Sample] = rows! {
    "SoftmaxCrossEntropyWithLogits" => |i| {
        let (labels, logits) = (probabilities(i, &[2, 3]), i.doubles(&[2, 3]));
        [softmax_cross_entropy_with_logits(labels, logits)]
    };
    "SoftmaxCrossEntropyWithLogits averaged" => |i| {
        let (labels, logits) = (probabilities(i, &[2, 3]), i.doubles(&[2, 3]));
        [math::reduce_mean(softmax_cross_entropy_with_logits(labels, logits), ..)]
    };
    "SoftmaxCrossEntropyWithLogits of sequences" needs Ranks => |i| {
        let (labels, logits) = (probabilities(i, &[2, 2, 3]), i.doubles(&[2, 2, 3]));
        [softmax_cross_entropy_with_logits(labels, logits)]
    };
    "SoftmaxCrossEntropyWithLogits both outputs" => |i| {
        let (labels, logits) = (probabilities(i, &[2, 3]), i.doubles(&[2, 3]));
        i.op("SoftmaxCrossEntropyWithLogits").input(logits).input(labels).finish().outputs()
    };
    "SoftmaxCrossEntropyWithLogits of one row of labels" => |i| {
        let (labels, logits) = (probabilities(i, &[1, 3]), i.doubles(&[4, 3]));
        i.op("SoftmaxCrossEntropyWithLogits").input(logits).input(labels).finish().outputs()
    };
    "SoftmaxCrossEntropyWithLogits of one row of logits" => |i| {
        let (labels, logits) = (probabilities(i, &[2, 3]), i.doubles(&[3]));
        i.op("SoftmaxCrossEntropyWithLogits").input(logits).input(labels).finish().outputs()
    };
    "SparseSoftmaxCrossEntropyWithLogits" => |i| {
        let (labels, logits) = (i.other([2i64, 0]), i.doubles(&[2, 3]));
        [sparse_softmax_cross_entropy_with_logits(labels, logits)]
    };
    "SparseSoftmaxCrossEntropyWithLogits averaged" => |i| {
        let (labels, logits) = (i.other([2i32, 0]), i.doubles(&[2, 3]));
        [math::reduce_mean(sparse_softmax_cross_entropy_with_logits(labels, logits), ..)]
    };
    "SparseSoftmaxCrossEntropyWithLogits of sequences" needs Ranks => |i| {
        let (labels, logits) = (i.other(shaped(vec![2i32, 0, 1, 1], &[2, 2])), i.doubles(&[2, 2, 3]));
        [sparse_softmax_cross_entropy_with_logits(labels, logits)]
    };
    "SparseSoftmaxCrossEntropyWithLogits both outputs" => |i| {
        let (labels, logits) = (i.other([2i64, 0]), i.doubles(&[2, 3]));
        i.op("SparseSoftmaxCrossEntropyWithLogits").input(logits).input(labels).finish().outputs()
    };
    "Sigmoid cross entropy" => |i| {
        let (labels, logits) = (i.between(0.1, 0.9, &[2, 3]), i.doubles(&[2, 3]));
        [sigmoid_cross_entropy_with_logits(labels, logits)]
    };
    "Softplus in a weighted cross entropy" => |i| {
        let (labels, logits) = (i.between(0.1, 0.9, &[2, 3]), i.doubles(&[2, 3]));
        let weight = i.constant(2.0f64);
        [weighted_cross_entropy_with_logits(labels, logits, weight)]
    };
};

fn convolution(
    i: &mut Inputs<'_>,
    input: [usize; 4],
    filter: [usize; 4],
    options: ConvOptions,
) -> Vec<Output> {
    let (x, w) = (i.doubles(&input), i.doubles(&filter));
    vec![conv2d_with(x, w, options)]
}

fn valid(strides: [usize; 2]) -> ConvOptions {
    ConvOptions::default().strides(strides).padding(Padding::Valid)
}

const CONVOLUTIONS: &[Sample] = rows! {
    "Conv2D" => |i| convolution(i, [2, 4, 5, 2], [3, 2, 2, 3], ConvOptions::default());
    "Conv2D valid, strides" => |i| convolution(i, [1, 6, 5, 2], [3, 2, 2, 2], valid([2, 1]));
    "Conv2D same, strides" => |i| {
        convolution(i, [1, 5, 6, 1], [2, 3, 1, 2], ConvOptions::default().strides([2, 2]))
    };
    "Conv2D explicit padding" => |i| {
        let padding = Padding::Explicit([[1, 0], [0, 2]]);
        convolution(i, [1, 4, 4, 1], [3, 3, 1, 2], ConvOptions::default().padding(padding))
    };
    "Conv2D of one place" => |i| convolution(i, [2, 3, 3, 2], [1, 1, 2, 3], ConvOptions::default());
    // TensorFlow has gradients of groups for single precision only.
    "Conv2D of groups" => |i| {
        let (x, w) = (i.singles(&[2, 4, 3, 6]), i.singles(&[2, 3, 2, 9]));
        [conv2d_with(x, w, ConvOptions::default())]
    };
    "Conv2D of one channel each, strides" => |i| {
        let (x, w) = (i.singles(&[1, 5, 4, 3]), i.singles(&[2, 2, 1, 6]));
        [conv2d_with(x, w, valid([2, 1]))]
    };
    "Conv2DBackpropInput of groups" => |i| {
        let (w, dy) = (i.singles(&[3, 2, 2, 4]), i.singles(&[2, 3, 3, 4]));
        let builder = i.op("Conv2DBackpropInput").constant([2i32, 3, 3, 4]).input(w).input(dy);
        [builder.attr("strides", [1i64, 1, 1, 1]).attr("padding", "SAME").finish_output()]
    };
    "Conv2DBackpropFilter of groups" => |i| {
        let (x, dy) = (i.singles(&[1, 4, 4, 4]), i.singles(&[1, 4, 4, 6]));
        let builder = i.op("Conv2DBackpropFilter").input(x).constant([3i32, 3, 2, 6]).input(dy);
        [builder.attr("strides", [1i64, 1, 1, 1]).attr("padding", "SAME").finish_output()]
    };
    "Conv2DBackpropInput" => |i| {
        let (x, w) = (i.doubles(&[1, 3, 3, 2]), i.doubles(&[3, 3, 4, 2]));
        [conv2d_transpose(x, w, [1, 6, 6, 4], ConvOptions::default().strides([2, 2]))]
    };
    "Conv2DBackpropFilter" => |i| {
        let (x, dy) = (i.doubles(&[1, 4, 4, 2]), i.doubles(&[1, 4, 4, 3]));
        let builder = i.op("Conv2DBackpropFilter").input(x).constant([3i32, 3, 2, 3]).input(dy);
        [builder.attr("strides", [1i64, 1, 1, 1]).attr("padding", "SAME").finish_output()]
    };
    "DepthwiseConv2dNative" => |i| {
        let (x, w) = (i.doubles(&[1, 4, 4, 2]), i.doubles(&[3, 2, 2, 3]));
        [depthwise_conv2d(x, w, ConvOptions::default())]
    };
    "DepthwiseConv2dNative, then mixed" => |i| {
        let (x, w, p) = (i.doubles(&[1, 4, 4, 2]), i.doubles(&[3, 2, 2, 2]), i.doubles(&[1, 1, 4, 3]));
        [separable_conv2d(x, w, p, valid([1, 1]))]
    };
    "DepthwiseConv2dNativeBackpropInput" => |i| {
        let (w, dy) = (i.doubles(&[3, 3, 2, 2]), i.doubles(&[1, 4, 4, 4]));
        let builder = i.op("DepthwiseConv2dNativeBackpropInput").constant([1i32, 4, 4, 2]).input(w).input(dy);
        [builder.attr("strides", [1i64, 1, 1, 1]).attr("padding", "SAME").finish_output()]
    };
    "DepthwiseConv2dNativeBackpropFilter" => |i| {
        let (x, dy) = (i.doubles(&[1, 4, 4, 2]), i.doubles(&[1, 4, 4, 4]));
        let builder = i.op("DepthwiseConv2dNativeBackpropFilter").input(x).constant([3i32, 3, 2, 2]).input(dy);
        [builder.attr("strides", [1i64, 1, 1, 1]).attr("padding", "SAME").finish_output()]
    };
    "Conv3D" => |i| {
        let (x, w) = (i.doubles(&[1, 3, 4, 3, 2]), i.doubles(&[2, 2, 2, 2, 2]));
        [conv3d(x, w, [1, 2, 1], Padding::Same)]
    };
    "Conv3DBackpropInputV2" => |i| {
        let (w, dy) = (i.doubles(&[2, 2, 2, 2, 2]), i.doubles(&[1, 3, 3, 3, 2]));
        let builder = i.op("Conv3DBackpropInputV2").constant([1i32, 3, 3, 3, 2]).input(w).input(dy);
        [builder.attr("strides", [1i64, 1, 1, 1, 1]).attr("padding", "SAME").finish_output()]
    };
    "Conv3DBackpropFilterV2" => |i| {
        let (x, dy) = (i.doubles(&[1, 3, 3, 3, 2]), i.doubles(&[1, 3, 3, 3, 2]));
        let builder = i.op("Conv3DBackpropFilterV2").input(x).constant([2i32, 2, 2, 2, 2]).input(dy);
        [builder.attr("strides", [1i64, 1, 1, 1, 1]).attr("padding", "SAME").finish_output()]
    };
};

const POOLS: &[Sample] = rows! {
    "MaxPool" => |i| [max_pool(i.doubles(&[1, 4, 6, 2]), [2, 2], [2, 2], Padding::Same)];
    "MaxPool overlapping" => |i| [max_pool(i.doubles(&[1, 5, 5, 1]), [3, 2], [2, 1], Padding::Valid)];
    "MaxPool same, odd" => |i| [max_pool(i.doubles(&[2, 5, 5, 1]), [2, 3], [2, 2], Padding::Same)];
    "IsotonicRegression" needs Ranks => |i| {
        let (nearest, segments) = isotonic_regression(i.doubles(&[2, 2, 5]));
        [nearest, segments]
    };
    "IsotonicRegression increasing" needs Ranks => |i| [isotonic_regression_increasing(i.doubles(&[6])).0];
    "FractionalAvgPool" => |i| {
        let options = FractionalPoolOptions::default().seed(5);
        let pooled = fractional_avg_pool_with(i.doubles(&[1, 7, 11, 2]), [1.44, 1.73], options);
        [pooled.output, pooled.row_pooling_sequence, pooled.col_pooling_sequence]
    };
    "FractionalAvgPool pseudo-random, overlapping" => |i| {
        let options = FractionalPoolOptions::default().pseudo_random(true).overlapping(true).seed(5);
        let pooled = fractional_avg_pool_with(i.doubles(&[1, 7, 11, 2]), [1.44, 1.73], options);
        [pooled.output, pooled.row_pooling_sequence, pooled.col_pooling_sequence]
    };
    "FractionalMaxPool pseudo-random" => |i| {
        let options = FractionalPoolOptions::default().pseudo_random(true).seed(5);
        let pooled = fractional_max_pool_with(i.doubles(&[1, 7, 11, 2]), [1.44, 1.73], options);
        [pooled.output, pooled.row_pooling_sequence, pooled.col_pooling_sequence]
    };
    "FractionalMaxPool overlapping" => |i| {
        let options = FractionalPoolOptions::default().overlapping(true).seed(5);
        let pooled = fractional_max_pool_with(i.doubles(&[1, 7, 11, 2]), [1.44, 1.73], options);
        [pooled.output, pooled.row_pooling_sequence, pooled.col_pooling_sequence]
    };
    "FractionalAvgPoolGrad" => |i| {
        let dy = i.other(shaped((1..9).map(f64::from).collect::<Vec<f64>>(), &[1, 2, 2, 2]));
        let builder = i.op("FractionalAvgPoolGrad").constant([1i64, 5, 4, 2]).input(dy);
        let builder = builder.constant([0i64, 2, 5]).constant([0i64, 1, 4]).attr("overlapping", true);
        [builder.finish_output()]
    };
    "FractionalMaxPoolGrad" => |i| {
        let values = (0..20).map(|n| f64::from(n * 7 % 20)).collect();
        let x = i.other(shaped::<f64>(values, &[1, 5, 4, 1]));
        let y = i.other(shaped(vec![8.0f64, 15.0, 16.0, 19.0], &[1, 2, 2, 1]));
        let dy = i.other(shaped(vec![1.0f64, 2.0, 3.0, 4.0], &[1, 2, 2, 1]));
        let builder = i.op("FractionalMaxPoolGrad").input(x).input(y).input(dy);
        [builder.constant([0i64, 2, 5]).constant([0i64, 1, 4]).finish_output()]
    };
    "MaxPoolV2" => |i| {
        let x = i.doubles(&[1, 4, 4, 2]);
        let builder = i.op("MaxPoolV2").input(x).constant([1i32, 2, 2, 1]).constant([1i32, 2, 2, 1]);
        [builder.attr("padding", "SAME").finish_output()]
    };
    "MaxPoolGrad" => |i| {
        let x = i.other(shaped(vec![1.0f64, 5.0, 3.0, 2.0], &[1, 2, 2, 1]));
        let y = max_pool(&x, [2, 2], [2, 2], Padding::Same);
        let dy = i.doubles(&[1, 1, 1, 1]);
        let builder = i.op("MaxPoolGrad").input(x).input(y).input(dy);
        let builder = builder.attr("ksize", [1i64, 2, 2, 1]).attr("strides", [1i64, 2, 2, 1]);
        [builder.attr("padding", "SAME").finish_output()]
    };
    "MaxPoolGradGrad" => |i| {
        let x = i.other(shaped(vec![1.0f64, 5.0, 3.0, 2.0], &[1, 2, 2, 1]));
        let y = max_pool(&x, [2, 2], [2, 2], Padding::Same);
        let dy = i.doubles(&[1, 2, 2, 1]);
        let builder = i.op("MaxPoolGradGrad").input(x).input(y).input(dy);
        let builder = builder.attr("ksize", [1i64, 2, 2, 1]).attr("strides", [1i64, 2, 2, 1]);
        [builder.attr("padding", "SAME").finish_output()]
    };
    "MaxPoolGradGradV2" => |i| {
        let x = i.other(shaped(vec![1.0f64, 5.0, 3.0, 2.0], &[1, 2, 2, 1]));
        let y = max_pool(&x, [2, 2], [2, 2], Padding::Same);
        let dy = i.doubles(&[1, 2, 2, 1]);
        let builder = i.op("MaxPoolGradGradV2").input(x).input(y).input(dy).constant([1i32, 2, 2, 1]);
        [builder.constant([1i32, 2, 2, 1]).attr("padding", "SAME").finish_output()]
    };
    "MaxPoolGradV2" => |i| {
        let x = i.other(shaped(vec![1.0f64, 5.0, 3.0, 2.0], &[1, 2, 2, 1]));
        let y = max_pool(&x, [2, 2], [2, 2], Padding::Same);
        let dy = i.doubles(&[1, 1, 1, 1]);
        let builder = i.op("MaxPoolGradV2").input(x).input(y).input(dy).constant([1i32, 2, 2, 1]);
        [builder.constant([1i32, 2, 2, 1]).attr("padding", "SAME").finish_output()]
    };
    "MaxPoolWithArgmax" => |i| {
        let (y, at) = max_pool_with_argmax(i.doubles(&[1, 4, 4, 2]), [2, 2], [2, 2], Padding::Same);
        [y, at]
    };
    "MaxPoolGradWithArgmax" but not_numerical => |i| {
        let x = i.other(shaped(vec![1.0f64, 5.0, 3.0, 2.0], &[1, 2, 2, 1]));
        let (_, at) = max_pool_with_argmax(&x, [2, 2], [2, 2], Padding::Same);
        let dy = i.other(shaped(vec![3.0f64], &[1, 1, 1, 1]));
        let builder = i.op("MaxPoolGradWithArgmax").input(x).input(dy).input(at);
        let builder = builder.attr("ksize", [1i64, 2, 2, 1]).attr("strides", [1i64, 2, 2, 1]);
        [builder.attr("padding", "SAME").finish_output()]
    };
    "AvgPool" => |i| [avg_pool(i.doubles(&[1, 4, 6, 2]), [2, 2], [2, 2], Padding::Same)];
    "AvgPool same, odd" => |i| [avg_pool(i.doubles(&[1, 5, 5, 1]), [3, 2], [2, 1], Padding::Same)];
    "AvgPoolGrad" => |i| {
        let dy = i.doubles(&[1, 2, 2, 1]);
        let builder = i.op("AvgPoolGrad").constant([1i32, 4, 4, 1]).input(dy);
        let builder = builder.attr("ksize", [1i64, 2, 2, 1]).attr("strides", [1i64, 2, 2, 1]);
        [builder.attr("padding", "VALID").finish_output()]
    };
    "MaxPool3D" => |i| [max_pool3d(i.singles(&[1, 2, 4, 4, 1]), [2, 2, 2], [1, 2, 2], Padding::Same)];
    "MaxPool3DGradGrad" => |i| {
        let x = i.other(shaped((0..8).map(|x| x as f32).collect(), &[1, 2, 2, 2, 1]));
        let y = max_pool3d(&x, [2, 2, 2], [2, 2, 2], Padding::Same);
        let dy = i.singles(&[1, 2, 2, 2, 1]);
        let builder = i.op("MaxPool3DGradGrad").input(x).input(y).input(dy).attr("padding", "SAME");
        [builder.attr("ksize", [1i64, 2, 2, 2, 1]).attr("strides", [1i64, 2, 2, 2, 1]).finish_output()]
    };
    "MaxPool3DGrad" => |i| {
        let x = i.other(shaped((0..8).map(|x| x as f32).collect(), &[1, 2, 2, 2, 1]));
        let y = max_pool3d(&x, [2, 2, 2], [2, 2, 2], Padding::Same);
        let dy = i.singles(&[1, 1, 1, 1, 1]);
        let builder = i.op("MaxPool3DGrad").input(x).input(y).input(dy).attr("padding", "SAME");
        [builder.attr("ksize", [1i64, 2, 2, 2, 1]).attr("strides", [1i64, 2, 2, 2, 1]).finish_output()]
    };
    "AvgPool3D" => |i| [avg_pool3d(i.singles(&[1, 2, 4, 4, 1]), [2, 2, 2], [1, 2, 2], Padding::Same)];
    "AvgPool3DGrad" => |i| {
        let dy = i.singles(&[1, 1, 2, 2, 1]);
        let builder = i.op("AvgPool3DGrad").constant([1i32, 2, 4, 4, 1]).input(dy).attr("padding", "VALID");
        [builder.attr("ksize", [1i64, 2, 2, 2, 1]).attr("strides", [1i64, 2, 2, 2, 1]).finish_output()]
    };
};

fn batch_norm(i: &mut Inputs<'_>, op_type: &str, is_training: bool) -> Vec<Output> {
    let (x, scale, offset) = (i.singles(&[2, 2, 2, 3]), i.singles(&[3]), i.singles(&[3]));
    let moments = if is_training { vec![] } else { vec![0.5f32, 0.25, 0.125] };
    let (mean, variance) = (i.constant(moments.clone()), i.constant(moments));
    let builder = i.op(op_type).input(x).input(scale).input(offset).input(mean).input(variance);
    let builder = builder.attr("epsilon", 0.01f32).attr("is_training", is_training);
    vec![builder.finish().output(0)]
}

/// Returns the gradient op itself; its reserved inputs come from the forward op.
fn batch_norm_grad(i: &mut Inputs<'_>, forward: &str, backward: &str) -> Vec<Output> {
    let (x, dy, scale) = (i.singles(&[2, 2, 1, 3]), i.singles(&[2, 2, 1, 3]), i.singles(&[3]));
    let nothing = i.constant(Vec::<f32>::new());
    let builder = i.op(forward).input(&x).input(&scale).input(&scale).input(&nothing).input(&nothing);
    let kept = builder.attr("epsilon", 0.01f32).finish();
    let builder =
        i.op(backward).input(dy).input(&x).input(&scale).input(kept.output(3)).input(kept.output(4));
    let builder = if kept.num_outputs() == 6 { builder.input(kept.output(5)) } else { builder };
    builder.attr("epsilon", 0.01f32).finish().outputs()[..3].to_vec()
}

/// The gradient op outside of training, with the moments that it was given.
fn batch_norm_grad_by_moments(i: &mut Inputs<'_>) -> Vec<Output> {
    let (x, dy, scale) = (i.singles(&[2, 2, 1, 3]), i.singles(&[2, 2, 1, 3]), i.singles(&[3]));
    let (mean, variance) = (i.constant([0.1f32, 0.2, 0.3]), i.constant([0.5f32, 0.25, 0.125]));
    let builder = i.op("FusedBatchNormGradV3").input(dy).input(x).input(scale);
    let builder = builder.input(&mean).input(&variance).input(&variance);
    builder.attr("epsilon", 0.01f32).attr("is_training", false).finish().outputs()[..3].to_vec()
}

const NORMS: &[Sample] = rows! {
    "FusedBatchNorm" => |i| batch_norm(i, "FusedBatchNorm", true);
    "FusedBatchNormV2" => |i| batch_norm(i, "FusedBatchNormV2", true);
    "FusedBatchNormV3" => |i| batch_norm(i, "FusedBatchNormV3", true);
    "FusedBatchNormV3 not in training" => |i| batch_norm(i, "FusedBatchNormV3", false);
    "FusedBatchNormGrad" => |i| batch_norm_grad(i, "FusedBatchNorm", "FusedBatchNormGrad");
    "FusedBatchNormGradV2" => |i| batch_norm_grad(i, "FusedBatchNormV2", "FusedBatchNormGradV2");
    "FusedBatchNormGradV3" => |i| batch_norm_grad(i, "FusedBatchNormV3", "FusedBatchNormGradV3");
    "FusedBatchNormGradV3 not in training" => |i| batch_norm_grad_by_moments(i);
    "L2Loss" => |i| [l2_loss(i.doubles(&[2, 3]))];
    "Mul, to norm 1" => |i| [l2_normalize(i.doubles(&[2, 3]), 1, 1e-12)];
    "Mean and SquaredDifference, as moments" => |i| { let (mean, variance) = moments(i.doubles(&[4, 3]), 0); [mean, variance] };
    "Rsqrt in a batch normalization" => |i| {
        let (x, mean, variance) = (i.doubles(&[4, 3]), i.doubles(&[3]), i.between(0.5, 1.0, &[3]));
        let (offset, scale) = (i.doubles(&[3]), i.doubles(&[3]));
        [batch_normalization(x, mean, variance, Some(&offset), Some(&scale), 0.001)]
    };
    "LRN" => |i| [local_response_normalization(i.singles(&[1, 1, 2, 6]), LocalResponseOptions::default().depth_radius(2))];
    "LRNGrad" but not_numerical => |i| {
        let x = i.other(shaped(vec![1.0f32, 2.0, 3.0], &[1, 1, 1, 3]));
        [i.op("LRNGrad").input(&x).input(&x).input(&x).finish_output()]
    };
};

/// Two images in single precision that are not differentiated.
fn images(i: &mut Inputs<'_>) -> Output {
    let values = (0..36).map(|n| (n * 7 % 37) as f32 / 37.0).collect();
    i.other(shaped(values, &[2, 2, 3, 3]))
}

fn dilation_gradient(i: &mut Inputs<'_>, op_type: &str) -> Vec<Output> {
    let numbers =
        |count: usize, step: usize| (0..count).map(|n| (n * step % 37) as f64 / 37.0).collect::<Vec<f64>>();
    let (x, filter) =
        (i.other(shaped(numbers(20, 7), &[1, 4, 5, 1])), i.other(shaped(numbers(6, 5), &[2, 3, 1])));
    let gradient = i.other(shaped(numbers(20, 3), &[1, 4, 5, 1]));
    let builder = i.op(op_type).input(x).input(filter).input(gradient).attr("padding", "SAME");
    let list = |values: [i64; 4]| session_core::AttrValue::from(values.to_vec());
    vec![builder.attr("strides", list([1, 1, 1, 1])).attr("rates", list([1, 1, 1, 1])).finish_output()]
}

const REST: &[Sample] = rows! {
    "TopKV2" => |i| { let (values, at) = top_k(i.doubles(&[2, 2, 4]), 3); [values, at] };
    "InTopK" => |i| {
        let (x, classes) = (i.other(shaped(vec![0.1f32, 0.7, 0.2, 0.5, 0.3, 0.2], &[2, 3])), i.other([1i32, 2]));
        [i.op("InTopK").input(x).input(classes).attr("k", 1i64).finish_output()]
    };
    "InTopKV2" => |i| {
        let (x, classes) = (i.other(shaped(vec![0.1f32, 0.7, 0.2, 0.5, 0.3, 0.2], &[2, 3])), i.other([1i64, 2]));
        [in_top_k(x, classes, 2)]
    };
    "NthElement" => |i| {
        let x = i.given(shaped(vec![3.0f64, 1.0, 2.0, 0.0, 5.0, 4.0], &[2, 3]));
        [i.op("NthElement").input(x).constant(1i32).finish_output()]
    };
    "ResizeBilinear" => |i| [resize(i.singles(&[1, 2, 3, 2]), [4, 5], ResizeMethod::Bilinear)];
    "ResizeNearestNeighbor" => |i| [resize(i.doubles(&[1, 2, 3, 2]), [4, 5], ResizeMethod::NearestNeighbor)];
    "ResizeBilinearGrad" but not_numerical => |i| {
        let (dy, x) = (i.other(shaped(vec![1.0f32; 16], &[1, 4, 4, 1])), i.other(shaped(vec![0.0f32; 4], &[1, 2, 2, 1])));
        [i.op("ResizeBilinearGrad").input(dy).input(x).finish_output()]
    };
    "ResizeNearestNeighborGrad" but not_numerical => |i| {
        let dy = i.other(shaped(vec![1.0f32; 16], &[1, 4, 4, 1]));
        [i.op("ResizeNearestNeighborGrad").input(dy).constant([2i32, 2]).finish_output()]
    };
    "RGBToHSV" => |i| [rgb_to_hsv(i.between(0.1, 1.0, &[2, 3, 3]))];
    "HSVToRGB" but not_numerical => |i| [hsv_to_rgb(i.between(0.1, 1.0, &[2, 3, 3]))];
    "AdjustContrastv2" => |i| { let x = images(i); [adjust_contrast(x, 1.5)] };
    "AdjustHue" => |i| { let x = images(i); [adjust_hue(x, 0.3)] };
    "AdjustSaturation" => |i| { let x = images(i); [adjust_saturation(x, 0.5)] };
    "GatherV2 as an embedding" => |i| {
        let (table, ids) = (i.doubles(&[5, 3]), i.other(shaped(vec![4i32, 0, 4, 2], &[2, 2])));
        [embedding_lookup(&table, ids)]
    };
    "DynamicStitch as an embedding, mod" => |i| {
        let (tables, ids) = ([i.doubles(&[3, 2]), i.doubles(&[2, 2])], i.other([4i64, 0, 3, 4]));
        [embedding_lookup_partitioned(&tables, ids, PartitionStrategy::Mod)]
    };
    "DynamicStitch as an embedding, div" => |i| {
        let (tables, ids) = ([i.doubles(&[3, 2]), i.doubles(&[2, 2])], i.other(shaped(vec![4i32, 0, 3, 4], &[2, 2])));
        [embedding_lookup_partitioned(&tables, ids, PartitionStrategy::Div)]
    };
    "Identity after others" => |i| {
        let (x, y) = (i.doubles(&[3]), i.doubles(&[3]));
        let (a, b) = (math::exp(&x), math::mul(&x, &y));
        let after = with_dependencies([b.operation()], &a);
        let gate = group(i.graph, [after.operation()]);
        tuple(&[after, b], &[gate])
    };
    "Print" => |i| { let x = i.doubles(&[3]); [print(&x, &[], "seen", 3)] };
    // TensorFlow computes it in single precision whatever the dtype.
    "CTCLoss" but not_numerical => |i| {
        let frames = i.singles(&[4, 2, 3]);
        let labels = i.other(shaped(vec![0i64, 0, 0, 1, 1, 0], &[3, 2]));
        let (classes, lengths) = (i.other([1i32, 0, 1]), i.other([4i32, 3]));
        [ctc_loss(&frames, &labels, &classes, &lengths)]
    };
    "CTCBeamSearchDecoder" => |i| {
        let frames = shaped((0..40).map(|n| f64::from(n * 7 % 11) / 5.0).collect(), &[5, 2, 4]);
        let (frames, lengths) = (i.other(frames), i.other([5i32, 3]));
        let options = BeamSearchDecoderOptions::default().beam_width(3).top_paths(2).merge_repeated(false);
        let (paths, logs) = ctc_beam_search_decoder(frames, lengths, options);
        let parts = paths.into_iter().flat_map(|path| [path.indices, path.values, path.dense_shape]);
        parts.chain([logs]).collect::<Vec<_>>()
    };
    "Dilation2D" => |i| {
        let (x, filter) = (i.doubles(&[2, 4, 5, 2]), i.doubles(&[2, 3, 2]));
        [dilation2d(x, filter, DilationOptions::default().strides([2, 1]).rates([1, 2]))]
    };
    "Dilation2D in an erosion" => |i| {
        let (x, filter) = (i.doubles(&[1, 4, 4, 1]), i.doubles(&[2, 2, 1]));
        [erosion2d(x, filter, DilationOptions::default().padding(Padding::Valid))]
    };
    "Dilation2DBackpropInput" but not_numerical => |i| dilation_gradient(i, "Dilation2DBackpropInput");
    "Dilation2DBackpropFilter" but not_numerical => |i| dilation_gradient(i, "Dilation2DBackpropFilter");
    "CTCGreedyDecoder" => |i| {
        let frames = shaped((0..24).map(|n| f64::from(n * 7 % 11) / 5.0).collect(), &[4, 2, 3]);
        let (frames, lengths) = (i.other(frames), i.other([4i32, 3]));
        i.op("CTCGreedyDecoder").input(frames).input(lengths).attr("merge_repeated", true).finish().outputs()[..3].to_vec()
    };
    "Size of a concatenation" => |i| {
        let x = [i.doubles(&[2, 3]), i.doubles(&[1, 3])];
        let joined = array::concat(&x, 0);
        [math::mul(&joined, math::cast(array::size(&joined), session_core::DType::Float64))]
    };
};

pub(super) static SAMPLES: &[&[Sample]] = &[ACTIVATIONS, CROSS_ENTROPIES, CONVOLUTIONS, POOLS, NORMS, REST];
