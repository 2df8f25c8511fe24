//! Pictures and sounds of summaries of both styles.

use crate::stored;
use bytes::Bytes;
use serde_json::{Value as Json, json};
use summary::{Value, ValueData};
use tensor::Tensor;

/// How many pictures of one value are shown.
const MAX_ITEMS: usize = 64;

/// Describes each picture or sound of a value for the page.
pub(crate) fn items(value: &Value) -> Vec<Json> {
    match &value.data {
        Some(ValueData::Image(image)) => vec![json!({"width": image.width, "height": image.height})],
        Some(ValueData::Audio(audio)) => {
            vec![json!({"rate": audio.sample_rate, "channels": audio.channels, "frames": audio.frames})]
        }
        Some(ValueData::Tensor(stored)) => match stored::decode(stored) {
            Ok(tensor) => of_tensor(&tensor),
            Err(_) => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// TensorFlow 2 writes pictures as strings: width, height, and then one or more encoded pictures; sounds as rows of an
/// encoded sound and its label.
fn of_tensor(tensor: &Tensor) -> Vec<Json> {
    let Ok(strings) = tensor.as_strings() else { return Vec::new() };
    match encoded(tensor) {
        Encoded::Sounds(count) => (0..count)
            .map(|row| match strings.get(row * 2 + 1).filter(|label| !label.is_empty()) {
                Some(label) => json!({"label": String::from_utf8_lossy(label)}),
                None => json!({}),
            })
            .collect(),
        Encoded::Pictures(count) => {
            let size = |index: usize| std::str::from_utf8(&strings[index]).ok()?.parse::<u32>().ok();
            (0..count).map(|_| json!({"width": size(0), "height": size(1)})).collect()
        }
    }
}

enum Encoded {
    Pictures(usize),
    Sounds(usize),
}

fn encoded(tensor: &Tensor) -> Encoded {
    match tensor.shape().dims() {
        [rows, 2] => Encoded::Sounds((*rows).min(MAX_ITEMS)),
        _ => Encoded::Pictures(tensor.elements().saturating_sub(2).min(MAX_ITEMS)),
    }
}

/// The encoded picture or sound of this number.
pub(crate) fn bytes(value: &Value, index: usize) -> Option<Bytes> {
    match &value.data {
        Some(ValueData::Image(image)) => (index == 0).then(|| image.encoded.clone()),
        Some(ValueData::Audio(audio)) => (index == 0).then(|| audio.encoded.clone()),
        Some(ValueData::Tensor(stored)) => {
            let tensor = stored::decode(stored).ok()?;
            let strings = tensor.as_strings().ok()?;
            let at = match encoded(&tensor) {
                Encoded::Sounds(count) if index < count => index * 2,
                Encoded::Pictures(count) if index < count => index + 2,
                _ => return None,
            };
            strings.get(at).cloned()
        }
        _ => None,
    }
}

/// The media type of a picture, by its first bytes; only formats that cannot hold scripts.
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

/// The media type of a sound, by its first bytes.
pub(crate) fn sound_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Some("audio/wav"),
        [b'O', b'g', b'g', b'S', ..] => Some("audio/ogg"),
        [b'f', b'L', b'a', b'C', ..] => Some("audio/flac"),
        [b'I', b'D', b'3', ..] | [0xff, 0xfb | 0xf3 | 0xf2, ..] => Some("audio/mpeg"),
        _ => None,
    }
}
