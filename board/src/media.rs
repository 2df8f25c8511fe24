//! Images and audio clips of summaries of both styles.
//!
//! Both styles of TensorFlow are read: TensorFlow 1 writes one image or clip per value, TensorFlow 2 a tensor of
//! strings with several of them. The bytes stay encoded: the browser decodes them. They are only served if their
//! first bytes are those of a known format, because a browser could otherwise be made to interpret them as a page.
//!
//! # Form in tensors
//!
//! - Images are a vector of strings: width and height as decimal numbers, then the encoded images.
//! - Audio is a vector of encoded clips, or a matrix with two columns: a clip and its label in each row.

use crate::stored;
use bytes::Bytes;
use serde_json::{Value as Json, json};
use summary::{TagKind, Value, ValueData};
use tensor::Tensor;

/// The maximum number of images or clips of one value that are shown.
const MAX_ITEMS: usize = 64;

/// Describes each image or clip of a value for the page.
pub(crate) fn items(value: &Value, kind: TagKind) -> Vec<Json> {
    match &value.data {
        Some(ValueData::Image(image)) => vec![json!({"width": image.width, "height": image.height})],
        Some(ValueData::Audio(audio)) => {
            vec![json!({"rate": audio.sample_rate, "channels": audio.channels, "frames": audio.frames})]
        }
        Some(ValueData::Tensor(stored)) => match stored::decode(stored) {
            Ok(tensor) => of_tensor(&tensor, kind),
            Err(_) => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// TensorFlow 2 writes images as strings: width, height, and then one or more encoded images; audio as rows of an encoded
/// clip and its label, or as clips without labels.
fn of_tensor(tensor: &Tensor, kind: TagKind) -> Vec<Json> {
    let Ok(strings) = tensor.as_strings() else { return Vec::new() };
    let items = encoded(tensor, kind);
    let item = |at: usize| match kind {
        TagKind::Audio => {
            let label = strings.get(at + 1).filter(|label| has_labels(tensor) && !label.is_empty());
            label.map_or_else(|| json!({}), |label| json!({"label": String::from_utf8_lossy(label)}))
        }
        _ => {
            let size = |index: usize| std::str::from_utf8(&strings[index]).ok()?.parse::<u32>().ok();
            json!({"width": size(0), "height": size(1)})
        }
    };
    items.map(item).collect()
}

/// Returns the places of the encoded images or clips in a tensor's strings.
fn encoded(tensor: &Tensor, kind: TagKind) -> impl Iterator<Item = usize> + use<> {
    let (first, step) = match kind {
        TagKind::Audio if has_labels(tensor) => (0, 2),
        TagKind::Audio => (0, 1),
        _ => (2, 1),
    };
    (first..tensor.elements()).step_by(step).take(MAX_ITEMS)
}

/// Returns true for audio in rows of a clip and its label, the second form of TensorFlow 2.
fn has_labels(tensor: &Tensor) -> bool {
    // Two columns; images are a vector, so the shapes cannot be confused.
    matches!(tensor.shape().dims(), [_, 2])
}

/// Returns the encoded image or clip of this number.
///
/// Returns `None` if the value has fewer items, or is of another kind.
pub(crate) fn bytes(value: &Value, kind: TagKind, index: usize) -> Option<Bytes> {
    match &value.data {
        Some(ValueData::Image(image)) => (index == 0).then(|| image.encoded.clone()),
        Some(ValueData::Audio(audio)) => (index == 0).then(|| audio.encoded.clone()),
        Some(ValueData::Tensor(stored)) => {
            let tensor = stored::decode(stored).ok()?;
            let strings = tensor.as_strings().ok()?;
            strings.get(encoded(&tensor, kind).nth(index)?).cloned()
        }
        _ => None,
    }
}

/// Returns the media type of an image, by its first bytes; only formats that cannot hold scripts.
pub(crate) fn picture_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'B', b'M', ..] => Some("image/bmp"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

/// Returns the media type of a clip, by its first bytes.
pub(crate) fn sound_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Some("audio/wav"),
        [b'O', b'g', b'g', b'S', ..] => Some("audio/ogg"),
        [b'f', b'L', b'a', b'C', ..] => Some("audio/flac"),
        [b'I', b'D', b'3', ..] | [0xff, 0xfb | 0xf3 | 0xf2, ..] => Some("audio/mpeg"),
        _ => None,
    }
}
