//! Values that belong to one step.

use crate::{DecodeError, SummaryError, Value, audio, image, proto, tag};
use bytes::Bytes;
use prost::Message;
use std::collections::HashSet;
use tensor::Tensor;

/// Tagged values of one step.
///
/// ```
/// use summary::{Summary, Value};
/// let summary = Summary::scalar("loss", 0.25).with(Value::text("note", "first *try*"));
/// assert_eq!(Summary::decode(summary.encode())?, summary);
/// # Ok::<(), summary::DecodeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// The values. Each tag once.
    pub values: Vec<Value>,
}

impl Summary {
    /// Makes a summary of one number.
    ///
    /// ```
    /// use summary::Summary;
    /// assert_eq!(Summary::scalar("loss", 0.5).values[0].as_scalar(), Some(0.5));
    /// ```
    #[must_use]
    pub fn scalar(tag: impl Into<String>, value: f32) -> Summary {
        Value::scalar(tag, value).into()
    }

    /// Makes a summary of the images of a batch, an array of number, height, width and channels; the first `max` of them.
    /// Tags are `<name>/image` when `max` is 1, else `<name>/image/0` and so on. See
    /// [`Image::from_pixels`](crate::Image::from_pixels).
    ///
    /// ```
    /// use summary::Summary;
    /// use tensor::Tensor;
    /// let pixels = Tensor::from_vec(vec![0u8; 2 * 4 * 4 * 3], [2, 4, 4, 3])?;
    /// let tags: Vec<_> = Summary::images("digits", &pixels, 2)?.values.into_iter().map(|value| value.tag).collect();
    /// assert_eq!(tags, ["digits/image/0", "digits/image/1"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Image::from_pixels`](crate::Image::from_pixels).
    pub fn images(name: &str, pixels: &Tensor, max: usize) -> Result<Summary, SummaryError> {
        let images = image::batch(pixels, max)?;
        let tags = tag::of_batch(name, "image", max, images.len());
        Ok(tags.into_iter().zip(images).map(|(tag, image)| Value::image(tag, image)).collect())
    }

    /// Makes a summary of the audio clips of a batch, an array of number, frames and, unless there is one, channels; the first
    /// `max` of them. Tags are `<name>/audio` when `max` is 1, else `<name>/audio/0` and so on. See
    /// [`Audio::from_samples`](crate::Audio::from_samples).
    ///
    /// # Errors
    /// As [`Audio::from_samples`](crate::Audio::from_samples).
    pub fn audio(
        name: &str,
        samples: &Tensor,
        sample_rate: f32,
        max: usize,
    ) -> Result<Summary, SummaryError> {
        let sounds = audio::batch(samples, sample_rate, max)?;
        let tags = tag::of_batch(name, "audio", max, sounds.len());
        Ok(tags.into_iter().zip(sounds).map(|(tag, audio)| Value::audio(tag, audio)).collect())
    }

    /// Joins the values of all summaries, in order.
    ///
    /// ```
    /// use summary::Summary;
    /// let merged = Summary::merge([Summary::scalar("loss", 0.5), Summary::scalar("accuracy", 0.75)])?;
    /// assert_eq!(merged.values.len(), 2);
    /// assert!(Summary::merge([Summary::scalar("loss", 0.5), Summary::scalar("loss", 0.5)]).is_err());
    /// # Ok::<(), summary::SummaryError>(())
    /// ```
    ///
    /// # Errors
    /// [`SummaryError::DuplicateTag`].
    pub fn merge(summaries: impl IntoIterator<Item = Summary>) -> Result<Summary, SummaryError> {
        let values: Vec<Value> = summaries.into_iter().flat_map(|summary| summary.values).collect();
        let mut tags = HashSet::with_capacity(values.len());
        if let Some(twice) = values.iter().find(|value| !tags.insert(&*value.tag)) {
            return Err(SummaryError::DuplicateTag { tag: twice.tag.clone() });
        }
        Ok(Summary { values })
    }

    /// Adds a value.
    ///
    /// ```
    /// use summary::{Summary, Value};
    /// let summary = Summary::scalar("loss", 0.5).with(Value::scalar("accuracy", 0.75));
    /// assert_eq!(summary.values.len(), 2);
    /// ```
    #[must_use]
    pub fn with(mut self, value: Value) -> Summary {
        self.values.push(value);
        self
    }

    /// Serializes the summary, as summary ops do.
    ///
    /// ```
    /// use summary::Summary;
    /// let summary = Summary::scalar("loss", 0.5);
    /// assert_eq!(Summary::decode(summary.encode())?, summary);
    /// # Ok::<(), summary::DecodeError>(())
    /// ```
    #[must_use]
    pub fn encode(&self) -> Bytes {
        proto::Summary::from(self.clone()).encode_to_vec().into()
    }

    /// Reads a serialized message. Pictures and the like share the memory of the bytes.
    ///
    /// # Errors
    /// When the bytes are not a summary. Fields of unknown numbers are skipped.
    pub fn decode(bytes: impl Into<Bytes>) -> Result<Summary, DecodeError> {
        Ok(proto::Summary::decode(bytes.into()).map_err(DecodeError)?.into())
    }
}

impl From<Value> for Summary {
    fn from(value: Value) -> Summary {
        Summary { values: vec![value] }
    }
}

impl FromIterator<Value> for Summary {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Summary {
        Summary { values: values.into_iter().collect() }
    }
}

impl Extend<Value> for Summary {
    fn extend<I: IntoIterator<Item = Value>>(&mut self, values: I) {
        self.values.extend(values);
    }
}

impl From<proto::Summary> for Summary {
    fn from(message: proto::Summary) -> Summary {
        message.value.into_iter().map(Value::from).collect()
    }
}

impl From<Summary> for proto::Summary {
    fn from(summary: Summary) -> proto::Summary {
        proto::Summary { value: summary.values.into_iter().map(proto::Value::from).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tensor::DType;

    fn tags(summary: &Summary) -> Vec<&str> {
        summary.values.iter().map(|value| &*value.tag).collect()
    }

    #[test]
    fn tags_of_batches_are_numbered_unless_given() {
        let pixels = Tensor::zeros(DType::UInt8, [2, 1, 1, 3]).unwrap();
        assert_eq!(tags(&Summary::images("i", &pixels, 1).unwrap()), ["i/image"]);
        assert_eq!(tags(&Summary::images("i", &pixels, 5).unwrap()), ["i/image/0", "i/image/1"]);
        let one = pixels.rows(0, 1).unwrap();
        assert_eq!(tags(&Summary::images("i", &one, 5).unwrap()), ["i/image/0"]);
        let none = pixels.rows(0, 0).unwrap();
        assert!(Summary::images("i", &none, 1).unwrap().values.is_empty());
        let sounds = Tensor::zeros(DType::Float32, [2, 7]).unwrap();
        assert_eq!(tags(&Summary::audio("a", &sounds, 8e3, 3).unwrap()), ["a/audio/0", "a/audio/1"]);
        assert_eq!(tags(&Summary::audio("a", &sounds, 8e3, 1).unwrap()), ["a/audio"]);
        assert!(Summary::images("i", &sounds, 1).is_err());
        assert!(Summary::audio("i", &pixels, 1.0, 1).is_err());
    }

    #[test]
    fn merging_refuses_a_tag_twice() {
        let (a, b) = (Summary::scalar("a", 1.0), Summary::scalar("b", 2.0));
        assert_eq!(tags(&Summary::merge([a.clone(), b]).unwrap()), ["a", "b"]);
        let error = Summary::merge([a.clone(), a]).unwrap_err();
        assert_eq!(error, SummaryError::DuplicateTag { tag: "a".to_owned() });
    }
}
