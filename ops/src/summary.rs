//! Summaries: operations that give a serialized `Summary` for event files.
//!
//! ```
//! use ops::{array::placeholder, summary};
//! use session_core::{DType, Graph, PartialShape};
//!
//! let graph = Graph::new();
//! let loss = placeholder(&graph.named("loss"), DType::Float32, PartialShape::scalar());
//! let w = placeholder(&graph.named("w"), DType::Float32, [64, 10]);
//! let _ = (summary::scalar("loss", &loss), summary::histogram("weights", &w));
//! let all = summary::merge_all(&graph); // what a hook writes every n steps
//! assert!(all.is_some());
//! # graph.finalize()?;
//! # Ok::<(), session_core::Error>(())
//! ```
//!
//! A summary's tag is its name with the scope in front, made unique. It joins the collection `summaries`.

use crate::array::constant;
use crate::library::op_defs;
use crate::shapes::scalar as scalar_shape;
use session_core::keys::SUMMARIES;
use session_core::{AsOutput, CollectionKey, Error, Graph, OpBuilder, OpDef, Output, Result, ShapeContext};
use tensor::{Bytes, Tensor};

op_defs! {
    SCALAR_SUMMARY: OpDef::new("ScalarSummary", "tags: string, values: T -> summary: string")
        .attrs("T: realnumbertype").shape(tags_and_values).not_differentiable();
    HISTOGRAM_SUMMARY: OpDef::new("HistogramSummary", "tag: string, values: T -> summary: string")
        .attrs("T: realnumbertype = float").shape(one_tag).not_differentiable();
    IMAGE_SUMMARY: OpDef::new("ImageSummary", "tag: string, tensor: T -> summary: string")
        .attrs("max_images: int >= 1 = 3, T: {uint8, float, half, double} = float, bad_color: tensor = uint8[255, 0, 0, 255]")
        .shape(images).not_differentiable();
    AUDIO_SUMMARY_V2: OpDef::new("AudioSummaryV2", "tag: string, tensor: float, sample_rate: float -> summary: string")
        .attrs("max_outputs: int32 >= 1 = 3").shape(audio).not_differentiable();
    AUDIO_SUMMARY: OpDef::new("AudioSummary", "tag: string, tensor: float -> summary: string")
        .attrs("sample_rate: float, max_outputs: int32 >= 1 = 3").shape(audio).not_differentiable();
    TENSOR_SUMMARY_V2: OpDef::new(
            "TensorSummaryV2",
            "tag: string, tensor: T, serialized_summary_metadata: string -> summary: string",
        )
        .attrs("T: type").shape(one_tag).not_differentiable();
    TENSOR_SUMMARY: OpDef::new("TensorSummary", "tensor: T -> summary: string")
        .attrs("T: type, description: string = \"\", labels: list(string) = [], display_name: string = \"\"")
        .shape(scalar_shape).not_differentiable();
    MERGE_SUMMARY: OpDef::new("MergeSummary", "inputs: N * string -> summary: string")
        .attrs("N: int >= 1").shape(scalar_shape).not_differentiable();
}

fn tags_and_values(context: &mut ShapeContext<'_>) -> Result<()> {
    let (tags, values) = (context.input(0), context.input(1));
    if tags.merge(&values).is_none() {
        return Err(Error::value(format!("tags of shape {tags} for values of shape {values}")));
    }
    scalar_shape(context)
}

fn one_tag(context: &mut ShapeContext<'_>) -> Result<()> {
    context.input_of_rank(0, 0)?;
    scalar_shape(context)
}

fn images(context: &mut ShapeContext<'_>) -> Result<()> {
    let images = context.input_of_rank(1, 4)?;
    match images.dim(3) {
        None | Some(1 | 3 | 4) => one_tag(context),
        Some(channels) => Err(Error::value(format!("images have 1, 3 or 4 channels, not {channels}"))),
    }
}

fn audio(context: &mut ShapeContext<'_>) -> Result<()> {
    match context.input(1).rank() {
        None | Some(2 | 3) => one_tag(context),
        Some(rank) => Err(Error::value(format!("audio has rank 2 or 3, not {rank}"))),
    }
}

/// Options of a summary: its collections and family.
///
/// ```
/// # use ops::{array, summary};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let loss = array::constant(&graph, 0.5f32);
/// let options = summary::SummaryOptions::default().family("training");
/// let summary = summary::scalar_with("loss", &loss, &options); // tagged training/loss
/// # let _ = summary;
/// ```
#[derive(Clone, Debug)]
pub struct SummaryOptions {
    collections: Vec<CollectionKey<Output>>,
    family: Option<String>,
}

impl Default for SummaryOptions {
    /// Returns the collection `summaries`, no family.
    fn default() -> SummaryOptions {
        SummaryOptions { collections: vec![SUMMARIES], family: None }
    }
}

impl SummaryOptions {
    /// Sets the collections that the summary joins. Default: `summaries`.
    #[must_use]
    pub fn collections<'k>(mut self, keys: impl IntoIterator<Item = &'k CollectionKey<Output>>) -> Self {
        self.collections = keys.into_iter().cloned().collect();
        self
    }

    /// Sets the first part of the tag, by which TensorBoard groups summaries.
    ///
    /// ```
    /// use ops::summary::SummaryOptions;
    /// let options = SummaryOptions::default().family("training");
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn family(mut self, family: impl Into<String>) -> Self {
        self.family = Some(family.into());
        self
    }
}

/// Returns a summary of a scalar number, which TensorBoard draws as a curve.
///
/// ```
/// # use ops::{array, summary};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let loss = summary::scalar("loss", array::constant(&graph, 0.5f32));
/// assert_eq!(graph.collection(&session_core::keys::SUMMARIES), [loss]);
/// ```
#[track_caller]
pub fn scalar(name: &str, value: impl AsOutput) -> Output {
    scalar_with(name, value, &SummaryOptions::default())
}

/// Works as [`scalar`], with options.
///
/// ```
/// use ops::{array::constant, summary};
/// let graph = session_core::Graph::new();
/// let options = summary::SummaryOptions::default().collections([&session_core::keys::SUMMARIES]);
/// let summary = summary::scalar_with("loss", constant(&graph, 0.5f32), &options);
/// # let _ = summary;
/// # graph.finalize().unwrap();
/// ```
#[track_caller]
pub fn scalar_with(name: &str, value: impl AsOutput, options: &SummaryOptions) -> Output {
    summarize(name, value.as_output(), &SCALAR_SUMMARY, "tags", options, |builder| builder)
}

/// Returns a summary of the distribution of a tensor's numbers.
///
/// ```
/// # use ops::{array, summary};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let weights = summary::histogram("weights", array::ones(&graph, DType::Float32, [64, 10]));
/// assert_eq!(weights.operation().op_type(), "HistogramSummary");
/// ```
#[track_caller]
pub fn histogram(name: &str, values: impl AsOutput) -> Output {
    histogram_with(name, values, &SummaryOptions::default())
}

/// Works as [`histogram`], with options.
#[track_caller]
pub fn histogram_with(name: &str, values: impl AsOutput, options: &SummaryOptions) -> Output {
    summarize(name, values.as_output(), &HISTOGRAM_SUMMARY, "tag", options, |builder| builder)
}

/// Returns a summary of images of shape `[batch, rows, columns, channels]` with 1 (gray), 3 (RGB), or 4
/// (RGBA) channels, at most `max_outputs` of them. Floats are scaled so that the maximum is white.
///
/// ```
/// # use ops::{array, summary};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let images = array::placeholder(&graph, DType::Float32, [None, Some(28), Some(28), Some(1)]);
/// let summary = summary::image("digits", &images, 4);
/// assert_eq!(summary.operation().op_type(), "ImageSummary");
/// ```
#[track_caller]
pub fn image(name: &str, images: impl AsOutput, max_outputs: usize) -> Output {
    image_with(name, images, max_outputs, &SummaryOptions::default())
}

/// Works as [`image`], with options.
#[track_caller]
pub fn image_with(name: &str, images: impl AsOutput, max_outputs: usize, options: &SummaryOptions) -> Output {
    summarize(name, images.as_output(), &IMAGE_SUMMARY, "tag", options, |builder| {
        builder.attr("max_images", max_outputs)
    })
}

/// Returns a summary of sounds of shape `[batch, frames]` or `[batch, frames, channels]` with values from -1
/// to 1, at most `max_outputs` of them. `sample_rate` is in frames per second.
///
/// ```
/// # use ops::{array, summary};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let clips = array::placeholder(&graph, DType::Float32, [None, Some(16_000)]);
/// let summary = summary::audio_clips("speech", &clips, 16_000.0, 2);
/// assert_eq!(summary.operation().op_type(), "AudioSummaryV2");
/// ```
#[track_caller]
pub fn audio_clips(name: &str, clips: impl AsOutput, sample_rate: f32, max_outputs: usize) -> Output {
    let options = SummaryOptions::default();
    summarize(name, clips.as_output(), &AUDIO_SUMMARY_V2, "tag", &options, |builder| {
        builder.constant(sample_rate).attr("max_outputs", max_outputs)
    })
}

/// The metadata that marks a tensor of strings as text: `plugin_data { plugin_name: "text" }`.
const TEXT_METADATA: &[u8] = b"\n\x06\n\x04text";

/// Returns a summary of strings, displayed as text.
///
/// ```
/// # use ops::{array, summary};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let note = summary::text("note", array::constant(&graph, "learning rate halved"));
/// assert_eq!(note.operation().op_type(), "TensorSummaryV2");
/// ```
#[track_caller]
pub fn text(name: &str, strings: impl AsOutput) -> Output {
    tensor_with(name, strings, Bytes::from_static(TEXT_METADATA), &SummaryOptions::default())
}

/// Returns a summary of a whole tensor, with a serialized `SummaryMetadata` that names the plugin that displays it.
#[track_caller]
pub fn tensor_with(name: &str, tensor: impl AsOutput, metadata: Bytes, options: &SummaryOptions) -> Output {
    summarize(name, tensor.as_output(), &TENSOR_SUMMARY_V2, "tag", options, |builder| {
        builder.constant(Tensor::string(metadata))
    })
}

/// Merges summaries into one.
///
/// ```
/// # use ops::{array, summary};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let x = array::constant(&graph, 0.5f32);
/// let both = summary::merge(&[summary::scalar("a", &x), summary::scalar("b", &x)]);
/// assert_eq!(both.operation().op_type(), "MergeSummary");
/// ```
#[track_caller]
pub fn merge(summaries: &[Output]) -> Output {
    let graph = summaries.first().map_or_else(Graph::new, Output::graph);
    let scope = graph.composite("Merge");
    scope.op(&MERGE_SUMMARY).input_list(summaries).finish_output()
}

/// Merges all summaries in the collection `summaries` into one, or returns `None` if there are none (S-29).
///
/// ```
/// # use ops::{array, summary};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// assert!(summary::merge_all(&graph).is_none());
/// let _ = summary::scalar("loss", array::constant(&graph, 0.5f32));
/// let all = summary::merge_all(&graph).expect("there is one");
/// # let _ = all;
/// ```
#[must_use]
#[track_caller]
pub fn merge_all(graph: &Graph) -> Option<Output> {
    merge_all_of(graph, &SUMMARIES)
}

/// Works as [`merge_all`], for another collection.
#[must_use]
#[track_caller]
pub fn merge_all_of(graph: &Graph, key: &CollectionKey<Output>) -> Option<Output> {
    let mut summaries = graph.collection(key);
    let first = summaries.first_mut()?;
    *first = first.within(graph);
    Some(merge(&summaries))
}

#[track_caller]
fn summarize(
    name: &str,
    value: &Output,
    def: &'static OpDef,
    tag_argument: &str,
    options: &SummaryOptions,
    rest: impl FnOnce(OpBuilder) -> OpBuilder,
) -> Output {
    let graph = value.graph();
    let name = clean_tag(name);
    let name = match &options.family {
        Some(family) => format!("{}/{name}", clean_tag(family)),
        None => name,
    };
    let scope = graph.composite(&name).located_at(std::panic::Location::caller());
    let own_name = scope.scope_name().trim_end_matches('/').to_owned();
    let tag = match &options.family {
        Some(family) => format!("{}/{own_name}", clean_tag(family)),
        None => own_name,
    };
    let tag = constant(&scope.named(tag_argument).without_control_dependencies(), Tensor::string(tag));
    let builder = scope.named_as_scope().op(def).input(tag).input(value);
    let summary = rest(builder).finish_output().within(&graph);
    if summary.operation().error().is_none()
        && let Err(error) = graph.add_to_collections(&options.collections, summary.clone())
    {
        graph.add_error(error);
    }
    summary
}

/// Returns a name that is valid in a graph: other characters become `_`, and a leading `/` goes.
fn clean_tag(name: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() || "-/_.".contains(c) { c } else { '_' };
    name.chars().map(legal).collect::<String>().trim_start_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_cleaned() {
        assert_eq!(clean_tag("my loss:0/x"), "my_loss_0/x");
        assert_eq!(clean_tag("/abs/x"), "abs/x");
        assert_eq!(clean_tag("a-b.c_d"), "a-b.c_d");
        assert_eq!(clean_tag("größe"), "gr__e");
    }

    #[test]
    fn shapes_of_images_are_checked() {
        let graph = Graph::new();
        let _ = image(
            "i",
            constant(&graph, Tensor::zeros(session_core::DType::Float32, [1, 2, 2, 2]).unwrap()),
            3,
        );
        assert!(graph.check().unwrap_err().message().contains("1, 3 or 4 channels"));
    }
}
