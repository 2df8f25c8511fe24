//! The kinds of tags' values.

use crate::{Value, ValueData};

/// The kind of a tag's values, which decides how viewers show them.
///
/// ```
/// use summary::{TagKind, Value};
/// use tensor::Tensor;
///
/// assert_eq!(TagKind::of(&Value::scalar("loss", 0.5), None), TagKind::Scalar);
/// assert_eq!(TagKind::of(&Value::text("note", "hello"), None), TagKind::Text);
/// // Of TensorFlow 2's values only the first one of a tag names the plug-in.
/// let tensor = Value::tensor("loss", &Tensor::scalar(0.5f32))?;
/// assert_eq!(TagKind::of(&tensor, Some("scalars")), TagKind::Scalar);
/// assert_eq!(TagKind::of(&tensor, None), TagKind::Tensor);
/// # Ok::<(), summary::SummaryError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TagKind {
    /// Numbers, in TensorFlow 1's style or as tensors of one element of the plug-in `scalars`.
    Scalar,
    /// Histograms, in TensorFlow 1's style or as tensors of the plug-in `histograms`.
    Histogram,
    /// Images, in TensorFlow 1's style or as tensors of the plug-in `images`.
    Image,
    /// Audio clips, in TensorFlow 1's style or as tensors of the plug-in `audio`.
    Audio,
    /// Texts: tensors of the plug-in `text`.
    Text,
    /// Hyperparameters: values of the plug-in `hparams`.
    HParams,
    /// Tensors of any other plug-in or none.
    Tensor,
    /// Values of unknown kind.
    Other,
}

impl TagKind {
    /// Determines the kind of a value as TensorBoard does: a value in TensorFlow 1's style is what it is, whatever plug-in
    /// its metadata name; a tensor is shown by its tag's plug-in.
    ///
    /// `plugin` is the plug-in of the tag, if values before this one [named](Value::shown_by) one; the value's own metadata
    /// only count without it. A tensor of the plug-in `scalars` that does not hold one number is a [`Tensor`](TagKind::Tensor).
    #[must_use]
    pub fn of(value: &Value, plugin: Option<&str>) -> TagKind {
        // The tag's plugin first: later values of a tag have no metadata.
        let plugin = plugin.or_else(|| value.plugin_name());
        match (&value.data, plugin) {
            (Some(ValueData::Scalar(_)), _) => TagKind::Scalar,
            (Some(ValueData::Histogram(_)), _) => TagKind::Histogram,
            (Some(ValueData::Image(_)), _) => TagKind::Image,
            (Some(ValueData::Audio(_)), _) => TagKind::Audio,
            // Hyperparameters are in the metadata; some writers leave the tensor out.
            (_, Some("hparams")) => TagKind::HParams,
            (Some(ValueData::Tensor(_)), Some("scalars")) if value.number().is_some() => TagKind::Scalar,
            (Some(ValueData::Tensor(_)), Some("histograms")) => TagKind::Histogram,
            (Some(ValueData::Tensor(_)), Some("images")) => TagKind::Image,
            (Some(ValueData::Tensor(_)), Some("audio")) => TagKind::Audio,
            (Some(ValueData::Tensor(_)), Some("text")) => TagKind::Text,
            (Some(ValueData::Tensor(_)), _) => TagKind::Tensor,
            (Some(ValueData::OldStyleHistogram(_)) | None, _) => TagKind::Other,
        }
    }

    /// Returns the name, such as `scalar`.
    ///
    /// ```
    /// assert_eq!(summary::TagKind::Histogram.name(), "histogram");
    /// ```
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TagKind::Scalar => "scalar",
            TagKind::Histogram => "histogram",
            TagKind::Image => "image",
            TagKind::Audio => "audio",
            TagKind::Text => "text",
            TagKind::HParams => "hparams",
            TagKind::Tensor => "tensor",
            TagKind::Other => "other",
        }
    }

    /// Returns the kind of this name.
    ///
    /// ```
    /// use summary::TagKind;
    /// assert_eq!(TagKind::from_name("histogram"), Some(TagKind::Histogram));
    /// assert_eq!(TagKind::from_name("curve"), None);
    /// ```
    #[must_use]
    pub fn from_name(name: &str) -> Option<TagKind> {
        TagKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    const ALL: [TagKind; 8] = [
        TagKind::Scalar,
        TagKind::Histogram,
        TagKind::Image,
        TagKind::Audio,
        TagKind::Text,
        TagKind::HParams,
        TagKind::Tensor,
        TagKind::Other,
    ];
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // in a test a panic is the report

    use super::*;
    use crate::{Histogram, SummaryMetadata};
    use tensor::Tensor;

    fn tensor(tensor: Tensor) -> Value {
        Value::tensor("a", &tensor).unwrap()
    }

    #[test]
    fn the_style_of_a_value_is_preferred_to_its_plugin() {
        let histogram = Value::histogram("a", Histogram::of([1.0]).unwrap());
        let text = SummaryMetadata::plugin("text");
        for plugin in [None, Some("scalars"), Some("text"), Some("hparams")] {
            assert_eq!(
                TagKind::of(&Value::scalar("a", 1.0).with_metadata(text.clone()), plugin),
                TagKind::Scalar
            );
            assert_eq!(
                TagKind::of(&histogram.clone().with_metadata(text.clone()), plugin),
                TagKind::Histogram
            );
        }
    }

    #[test]
    fn the_plugin_of_a_tag_is_preferred_to_that_of_a_later_value() {
        let value = tensor(Tensor::scalar(1.0f32)).with_metadata(SummaryMetadata::plugin("text"));
        assert_eq!(TagKind::of(&value, None), TagKind::Text);
        assert_eq!(TagKind::of(&value, Some("scalars")), TagKind::Scalar);
        assert_eq!(
            Value::scalar("a", 1.0).with_metadata(SummaryMetadata::plugin("text")).shown_by(),
            Some("scalars")
        );
        assert_eq!(value.shown_by(), Some("text"));
        assert_eq!(tensor(Tensor::scalar(1.0f32)).shown_by(), None);
    }

    #[test]
    fn scalars_are_tensors_of_one_number() {
        let scalars = |tensor: Value| TagKind::of(&tensor, Some("scalars"));
        assert_eq!(scalars(tensor(Tensor::scalar(7i64))), TagKind::Scalar);
        assert_eq!(scalars(tensor(Tensor::from([1.5f32]))), TagKind::Scalar);
        assert_eq!(scalars(tensor(Tensor::scalar(true))), TagKind::Scalar);
        assert_eq!(scalars(tensor(Tensor::from([1.0f32, 2.0]))), TagKind::Tensor);
        assert_eq!(scalars(tensor(Tensor::from("text"))), TagKind::Tensor);
        let empty = Value { data: None, ..Value::default() };
        assert_eq!(
            (scalars(empty.clone()), TagKind::of(&empty, Some("hparams"))),
            (TagKind::Other, TagKind::HParams)
        );
    }

    #[test]
    fn every_kind_has_a_name() {
        for kind in TagKind::ALL {
            assert_eq!(TagKind::from_name(kind.name()), Some(kind));
        }
    }
}
