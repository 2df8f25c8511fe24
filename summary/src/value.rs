//! One value of a summary.

use crate::{Audio, Histogram, Image, StoredTensor, SummaryError, proto};
use bytes::Bytes;
use tensor::Tensor;

/// A tagged value.
///
/// ```
/// use summary::{TagKind, Value};
/// let value = Value::scalar("train/loss", 0.5);
/// assert_eq!((&*value.tag, value.number(), TagKind::of(&value, None)), ("train/loss", Some(0.5), TagKind::Scalar));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Value {
    /// The name; values of one tag and rising steps make one curve. See
    /// [`clean_tag`](crate::clean_tag).
    pub tag: String,
    /// The value; `None` for kinds this crate does not know.
    pub data: Option<ValueData>,
    /// The metadata for viewers. Values in TensorFlow 1's style need none.
    pub metadata: Option<SummaryMetadata>,
    /// The graph's node that made it; obsolete.
    pub node_name: String,
}

/// The data of a value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ValueData {
    /// A number. NaN and infinities are kept.
    Scalar(f32),
    /// A distribution.
    Histogram(Histogram),
    /// An image.
    Image(Image),
    /// An audio clip.
    Audio(Audio),
    /// Anything else, and everything in TensorFlow 2's style; the metadata tell how to show it.
    Tensor(StoredTensor),
    /// A histogram of the first format, which nobody reads.
    OldStyleHistogram(Bytes),
}

/// Metadata that tell viewers how to show a value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SummaryMetadata {
    /// The plug-in of the viewer that shows it.
    pub plugin: Option<PluginData>,
    /// A name to show instead of the tag.
    pub display_name: String,
    /// A description, in Markdown.
    pub description: String,
    /// 1 scalar, 2 tensor, 3 sequence of blobs; 0 leaves it to the plug-in.
    pub data_class: i32,
}

/// A viewer's plug-in and its own data of a tag.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PluginData {
    /// The name of the plug-in, such as `scalars`, `histograms`, `images`, `text`.
    pub name: String,
    /// The plug-in's own message, most often empty.
    pub content: Bytes,
}

impl SummaryMetadata {
    /// Makes metadata that name a plug-in and nothing else.
    ///
    /// ```
    /// use summary::{SummaryMetadata, Value};
    /// let value = Value::scalar("loss", 0.5).with_metadata(SummaryMetadata::plugin("scalars"));
    /// assert_eq!(value.plugin_name(), Some("scalars"));
    /// ```
    #[must_use]
    pub fn plugin(name: impl Into<String>) -> SummaryMetadata {
        let plugin = Some(PluginData { name: name.into(), content: Bytes::new() });
        SummaryMetadata { plugin, ..SummaryMetadata::default() }
    }
}

impl Value {
    fn new(tag: impl Into<String>, data: ValueData) -> Value {
        Value { tag: tag.into(), data: Some(data), ..Value::default() }
    }

    /// Makes a number.
    ///
    /// ```
    /// assert_eq!(summary::Value::scalar("loss", 0.5).number(), Some(0.5));
    /// ```
    #[must_use]
    pub fn scalar(tag: impl Into<String>, value: f32) -> Value {
        Value::new(tag, ValueData::Scalar(value))
    }

    /// Makes a histogram.
    ///
    /// ```
    /// use summary::{Histogram, TagKind, Value};
    /// let value = Value::histogram("weights", Histogram::of([0.5, -0.5])?);
    /// assert_eq!(TagKind::of(&value, None), TagKind::Histogram);
    /// # Ok::<(), summary::SummaryError>(())
    /// ```
    #[must_use]
    pub fn histogram(tag: impl Into<String>, histogram: Histogram) -> Value {
        Value::new(tag, ValueData::Histogram(histogram))
    }

    /// Makes an image.
    #[must_use]
    pub fn image(tag: impl Into<String>, image: Image) -> Value {
        Value::new(tag, ValueData::Image(image))
    }

    /// Makes an audio clip.
    #[must_use]
    pub fn audio(tag: impl Into<String>, audio: Audio) -> Value {
        Value::new(tag, ValueData::Audio(audio))
    }

    /// Makes a text in Markdown, which the viewer's plug-in `text` shows.
    ///
    /// ```
    /// use summary::{TagKind, Value};
    /// assert_eq!(TagKind::of(&Value::text("note", "a *note*"), None), TagKind::Text);
    /// ```
    #[must_use]
    pub fn text(tag: impl Into<String>, text: &str) -> Value {
        let stored = StoredTensor::new(&Tensor::from(text)).expect("a string can be stored");
        Value::new(tag, ValueData::Tensor(stored)).with_metadata(SummaryMetadata::plugin("text"))
    }

    /// Makes a tensor, for a plug-in that the metadata name.
    ///
    /// ```
    /// use summary::{TagKind, Value};
    /// use tensor::Tensor;
    /// let value = Value::tensor("confusion", &Tensor::from([1i64, 2]))?;
    /// assert_eq!(TagKind::of(&value, None), TagKind::Tensor);
    /// # Ok::<(), summary::SummaryError>(())
    /// ```
    ///
    /// # Errors
    /// [`SummaryError::DType`] for resources and variants.
    pub fn tensor(tag: impl Into<String>, tensor: &Tensor) -> Result<Value, SummaryError> {
        Ok(Value::new(tag, ValueData::Tensor(StoredTensor::new(tensor)?)))
    }

    /// Sets the metadata.
    ///
    /// ```
    /// use summary::{SummaryMetadata, Value};
    /// let described = SummaryMetadata { description: "of a batch".to_owned(), ..SummaryMetadata::default() };
    /// assert_eq!(Value::scalar("loss", 0.5).with_metadata(described.clone()).metadata, Some(described));
    /// ```
    #[must_use]
    pub fn with_metadata(mut self, metadata: SummaryMetadata) -> Value {
        self.metadata = Some(metadata);
        self
    }

    /// Returns the number of a scalar in either style: of a number, or of a tensor of one number whose metadata name the
    /// plug-in `scalars`.
    ///
    /// ```
    /// use summary::Value;
    /// assert_eq!(Value::scalar("loss", 0.5).as_scalar(), Some(0.5));
    /// assert_eq!(Value::text("note", "0.5").as_scalar(), None);
    /// ```
    #[must_use]
    pub fn as_scalar(&self) -> Option<f64> {
        match &self.data {
            // One element does not make a tensor a scalar: only the plugin states how it is meant.
            Some(ValueData::Tensor(_)) if self.plugin_name() != Some("scalars") => None,
            _ => self.number(),
        }
    }

    /// Returns the number of a scalar, or of a tensor of one number, whatever plug-in shows it. Bools are 0 and 1.
    ///
    /// ```
    /// use summary::Value;
    /// use tensor::Tensor;
    /// assert_eq!(Value::tensor("epoch", &Tensor::scalar(7i64))?.number(), Some(7.0));
    /// # Ok::<(), summary::SummaryError>(())
    /// ```
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match &self.data {
            Some(ValueData::Scalar(value)) => Some(f64::from(*value)),
            Some(ValueData::Tensor(stored)) => stored.number(),
            _ => None,
        }
    }

    /// Returns the plug-in of TensorBoard that shows the value: that of its style, or else of its metadata. `None` for a
    /// tensor whose metadata name none: its tag's first value may.
    ///
    /// ```
    /// use summary::Value;
    /// assert_eq!(Value::scalar("loss", 0.5).shown_by(), Some("scalars"));
    /// assert_eq!(Value::text("note", "hello").shown_by(), Some("text"));
    /// ```
    #[must_use]
    pub fn shown_by(&self) -> Option<&str> {
        match &self.data {
            Some(ValueData::Scalar(_)) => Some("scalars"),
            Some(ValueData::Histogram(_)) => Some("histograms"),
            Some(ValueData::Image(_)) => Some("images"),
            Some(ValueData::Audio(_)) => Some("audio"),
            _ => self.plugin_name(),
        }
    }

    /// Returns the plug-in that the metadata name.
    #[must_use]
    pub fn plugin_name(&self) -> Option<&str> {
        self.metadata.as_ref()?.plugin.as_ref().map(|plugin| &*plugin.name)
    }
}

impl From<proto::Value> for Value {
    fn from(message: proto::Value) -> Value {
        let data = message.data.map(|data| match data {
            proto::ValueData::SimpleValue(value) => ValueData::Scalar(value),
            proto::ValueData::OldStyleHistogram(bytes) => ValueData::OldStyleHistogram(bytes),
            proto::ValueData::Image(image) => ValueData::Image(image.into()),
            proto::ValueData::Histo(histogram) => ValueData::Histogram(histogram.into()),
            proto::ValueData::Audio(audio) => ValueData::Audio(audio.into()),
            proto::ValueData::Tensor(bytes) => ValueData::Tensor(StoredTensor::from_encoded(bytes)),
        });
        let metadata = message.metadata.map(SummaryMetadata::from);
        Value { tag: message.tag, data, metadata, node_name: message.node_name }
    }
}

impl From<Value> for proto::Value {
    fn from(value: Value) -> proto::Value {
        let data = value.data.map(|data| match data {
            ValueData::Scalar(value) => proto::ValueData::SimpleValue(value),
            ValueData::OldStyleHistogram(bytes) => proto::ValueData::OldStyleHistogram(bytes),
            ValueData::Image(image) => proto::ValueData::Image(image.into()),
            ValueData::Histogram(histogram) => proto::ValueData::Histo(histogram.into()),
            ValueData::Audio(audio) => proto::ValueData::Audio(audio.into()),
            ValueData::Tensor(stored) => proto::ValueData::Tensor(stored.as_encoded().clone()),
        });
        let metadata = value.metadata.map(proto::Metadata::from);
        proto::Value { tag: value.tag, data, metadata, node_name: value.node_name }
    }
}

impl From<proto::Metadata> for SummaryMetadata {
    fn from(message: proto::Metadata) -> SummaryMetadata {
        let plugin = |data: proto::PluginData| PluginData { name: data.plugin_name, content: data.content };
        SummaryMetadata {
            plugin: message.plugin_data.map(plugin),
            display_name: message.display_name,
            description: message.summary_description,
            data_class: message.data_class,
        }
    }
}

impl From<SummaryMetadata> for proto::Metadata {
    fn from(metadata: SummaryMetadata) -> proto::Metadata {
        let plugin = |data: PluginData| proto::PluginData { plugin_name: data.name, content: data.content };
        proto::Metadata {
            plugin_data: metadata.plugin.map(plugin),
            display_name: metadata.display_name,
            summary_description: metadata.description,
            data_class: metadata.data_class,
        }
    }
}
