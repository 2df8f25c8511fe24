//! Connectionist temporal classification: sequences whose labels are not aligned with their frames.

use crate::array::shaping::expand_dims;
use crate::library::op_defs;
use crate::math::binary::mul;
use crate::parsing::SparseTensor;
use crate::shapes::{self, int_attr};
use session_core::{AsOutput, Code, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext};

op_defs! {
    CTC_LOSS: OpDef::new(
            "CTCLoss",
            "inputs: T, labels_indices: int64, labels_values: int32, sequence_length: int32 -> loss: T, gradient: T",
        )
        .attrs(
            "preprocess_collapse_repeated: bool = false, ctc_merge_repeated: bool = true, \
             ignore_longer_outputs_than_inputs: bool = false, T: {float, double} = float",
        )
        .shape(loss_shape)
        .gradient(loss_gradient);
    CTC_LOSS_V2: OpDef::new(
            "CTCLossV2",
            "inputs: float, labels_indices: int64, labels_values: int32, sequence_length: int32 -> \
             loss: float, gradient: float",
        )
        .attrs(
            "preprocess_collapse_repeated: bool = false, ctc_merge_repeated: bool = true, \
             ignore_longer_outputs_than_inputs: bool = false",
        )
        .shape(loss_shape)
        .gradient(loss_gradient);
    CTC_BEAM_SEARCH_DECODER: OpDef::new(
            "CTCBeamSearchDecoder",
            "inputs: T, sequence_length: int32 -> decoded_indices: top_paths * int64, \
             decoded_values: top_paths * int64, decoded_shape: top_paths * int64, log_probability: T",
        )
        .attrs(
            "beam_width: int >= 1, top_paths: int >= 1, merge_repeated: bool = true, T: {float, double} = float",
        )
        .shape(beams_shape)
        .not_differentiable();
    CTC_GREEDY_DECODER: OpDef::new(
            "CTCGreedyDecoder",
            "inputs: T, sequence_length: int32 -> decoded_indices: int64, decoded_values: int64, \
             decoded_shape: int64, log_probability: T",
        )
        .attrs("merge_repeated: bool = false, blank_index: int32 = -1, T: {float, double} = float")
        .shape(decoder_shape)
        .not_differentiable();
}

fn loss_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let inputs = context.input_of_rank(0, 3)?;
    context.input_of_rank(1, 2)?;
    context.input_of_rank(2, 1)?;
    let lengths = context.input_of_rank(3, 1)?;
    let batch =
        shapes::merge_dims("the batch of inputs and of sequence_length", inputs.dim(1), lengths.dim(0))?;
    context.set(0, PartialShape::from([batch]));
    // The second output holds the derivative by every input, computed together with the loss.
    context.set(1, inputs);
    Ok(())
}

fn decoder_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let inputs = context.input_of_rank(0, 3)?;
    let lengths = context.input_of_rank(1, 1)?;
    let batch =
        shapes::merge_dims("the batch of inputs and of sequence_length", inputs.dim(1), lengths.dim(0))?;
    // One sparse tensor for the batch: as many places as labels were decoded, known only in the run.
    context.set(0, PartialShape::from([None, Some(2)]));
    context.set(1, PartialShape::from([None]));
    context.set(2, PartialShape::from([Some(2)]));
    context.set(3, PartialShape::from([batch, Some(1)]));
    Ok(())
}

fn beams_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let inputs = context.input_of_rank(0, 3)?;
    let lengths = context.input_of_rank(1, 1)?;
    let batch =
        shapes::merge_dims("the batch of inputs and of sequence_length", inputs.dim(1), lengths.dim(0))?;
    // The search keeps `beam_width` candidates and cannot yield more paths than those.
    let (paths, width) = (int_attr(context, "top_paths")?, int_attr(context, "beam_width")?);
    if paths > width {
        return Err(Error::value(format!(
            "requested more paths than the beam width: top_paths is {paths}, beam_width {width}"
        )));
    }
    let paths = usize::try_from(paths).unwrap_or_default();
    shapes::set_sparse_lists(context, 0, paths, Some(2));
    context.set(3 * paths, PartialShape::from([batch, Some(paths)]));
    Ok(())
}

/// Returns the gradient of the loss: the operation computes it along with the loss.
fn loss_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    if grads.get(1).is_some_and(Option::is_some) {
        return Err(Error::new(Code::Unimplemented, "the CTC loss has no second derivative"));
    }
    // The kernel of the loss has already computed the derivative; only the incoming
    // gradient of each example is missing.
    let of_inputs = grads[0].as_ref().map(|grad| mul(expand_dims(grad, -1), op.output(1)));
    Ok(vec![of_inputs, None, None, None])
}

/// Returns the negative logarithm of the probability of each label sequence, for unnormalized `inputs` of shape
/// `[time, batch, classes]`, the last class being the blank. Labels are given sparsely: the rows of `labels_indices` are
/// pairs of example and place.
///
/// ```
/// # use ops::{array, nn};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let inputs = array::placeholder(&graph, DType::Float32, [Some(50), Some(2), Some(28)]);
/// let labels = array::constant(&graph, Tensor::from([[0i64, 0], [0, 1], [1, 0]])); // two labels, then one
/// let lengths = array::constant(&graph, [50, 40]);
/// let losses = nn::ctc_loss(&inputs, &labels, array::constant(&graph, [7, 4, 1]), &lengths);
/// assert_eq!(losses.shape().to_string(), "[2]");
/// ```
#[must_use]
#[track_caller]
pub fn ctc_loss(
    inputs: impl AsOutput,
    labels_indices: impl AsOutput,
    labels_values: impl AsOutput,
    sequence_length: impl AsOutput,
) -> Output {
    let graph = inputs.as_output().graph();
    let builder = graph.op(&CTC_LOSS).input(inputs).input(labels_indices).input(labels_values);
    builder.input(sequence_length).finish().output(0)
}

/// Returns the best label sequences by taking the best class of each frame: the labels as a sparse tensor `[batch, longest]`, and
/// the negated sum of the logits of the frames that were taken, `[batch, 1]`.
///
/// `inputs` are `[time, batch, classes]`, the last class being the blank. With `merge_repeated`, a class that follows itself without
/// a blank between counts once.
///
/// ```
/// use ops::array::{constant, zeros};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let inputs = zeros(&graph, DType::Float32, [5, 2, 4]);
/// let (labels, scores) = ops::nn::ctc_greedy_decoder(&inputs, constant(&graph, [5i32, 3]), true);
/// assert_eq!((labels.values.dtype(), scores.shape().to_string().as_str()), (DType::Int64, "[2,1]"));
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use]
#[track_caller]
pub fn ctc_greedy_decoder(
    inputs: impl AsOutput,
    sequence_length: impl AsOutput,
    merge_repeated: bool,
) -> (SparseTensor, Output) {
    let builder = inputs.as_output().graph().op(&CTC_GREEDY_DECODER).input(inputs).input(sequence_length);
    let operation = builder.attr("merge_repeated", merge_repeated).finish();
    (SparseTensor::of(&operation, [0, 1, 2]), operation.output(3))
}

/// The size and form of the results of [`ctc_beam_search_decoder`].
///
/// ```
/// let options = ops::nn::BeamSearchDecoderOptions::default().beam_width(20).top_paths(3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct BeamSearchDecoderOptions {
    beam_width: usize,
    top_paths: usize,
    merge_repeated: bool,
}

impl Default for BeamSearchDecoderOptions {
    fn default() -> Self {
        BeamSearchDecoderOptions { beam_width: 100, top_paths: 1, merge_repeated: true }
    }
}

impl BeamSearchDecoderOptions {
    /// Sets the number of label sequences that are kept after each frame. Default: 100.
    pub fn beam_width(mut self, width: usize) -> Self {
        self.beam_width = width;
        self
    }

    /// Sets the number of label sequences that are returned for each example, at most the width of the beam. Default: 1.
    pub fn top_paths(mut self, paths: usize) -> Self {
        self.top_paths = paths;
        self
    }

    /// Sets whether a label that follows itself in a decoded sequence is left out. As in TensorFlow 1, this also removes repeats
    /// that a blank separates. Default: true.
    pub fn merge_repeated(mut self, merge: bool) -> Self {
        self.merge_repeated = merge;
        self
    }
}

/// Returns the likeliest label sequences that a beam search finds: for each of `top_paths` a sparse tensor of labels
/// `[batch, longest]`, the likeliest first, and the logarithms of their probabilities, `[batch, top_paths]`.
///
/// `inputs` are unnormalized, `[time, batch, classes]`, the last class being the blank.
///
/// ```
/// use ops::array::{constant, zeros};
/// use ops::nn::{BeamSearchDecoderOptions, ctc_beam_search_decoder};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let inputs = zeros(&graph, DType::Float32, [5, 2, 4]);
/// let options = BeamSearchDecoderOptions::default().top_paths(3);
/// let (paths, logs) = ctc_beam_search_decoder(&inputs, constant(&graph, [5i32, 3]), options);
/// assert_eq!((paths.len(), logs.shape().to_string().as_str()), (3, "[2,3]"));
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use]
#[track_caller]
pub fn ctc_beam_search_decoder(
    inputs: impl AsOutput,
    sequence_length: impl AsOutput,
    options: BeamSearchDecoderOptions,
) -> (Vec<SparseTensor>, Output) {
    let graph = inputs.as_output().graph();
    let builder = graph.op(&CTC_BEAM_SEARCH_DECODER).input(inputs).input(sequence_length);
    let builder = builder.attr("beam_width", options.beam_width).attr("top_paths", options.top_paths);
    let operation = builder.attr("merge_repeated", options.merge_repeated).finish();
    let paths = options.top_paths;
    // Outputs are listed by kind: all lists of indices, then all of values, then all of shapes.
    let path = |path: usize| SparseTensor::of(&operation, [path, paths + path, 2 * paths + path]);
    ((0..paths).map(path).collect(), operation.output(3 * paths))
}
