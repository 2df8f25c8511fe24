//! Events that hold nothing but numbers, read in place.

use crate::{Event, EventData, StoredTensor, Summary, Value, ValueData};
use bytes::Bytes;
use wire::message::{Malformed, Value as Field, fields, take, take_varint32, take_varint64};

/// A summary of numbers, read in place: no tag is copied. Most events of most files are of this kind, and programs that
/// read millions of them save most of the time that [`Event::decode`] takes.
///
/// ```
/// use summary::{Event, NumberEvent, Summary};
///
/// let event = Event::new(12.5, 3, Summary::scalar("loss", 0.25).into()).encode();
/// let numbers = NumberEvent::read(&event).expect("it holds nothing else");
/// assert_eq!((numbers.wall_time, numbers.step), (12.5, 3));
/// let number = numbers.numbers().next().unwrap();
/// assert_eq!((number.tag, number.value), ("loss", 0.25));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NumberEvent<'a> {
    /// Seconds since 1970.
    pub wall_time: f64,
    /// The step.
    pub step: i64,
    /// The serialized summary, which was checked.
    summary: &'a [u8],
}

/// A number of a [`NumberEvent`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number<'a> {
    /// The tag.
    pub tag: &'a str,
    /// The number.
    pub value: f64,
    /// The serialized `TensorProto` of a tensor of one floating-point number, which is a scalar if the tag's plug-in is
    /// `scalars`; `None` for a number in TensorFlow 1's style.
    pub tensor: Option<&'a [u8]>,
}

impl<'a> NumberEvent<'a> {
    /// Reads a serialized event. Returns `None` for any other event, also for one whose values have metadata, which
    /// [`Event::decode`] reads in full.
    ///
    /// ```
    /// use summary::{Event, NumberEvent, SessionLog};
    /// assert!(NumberEvent::read(&Event::new(0.0, 3, SessionLog::start().into()).encode()).is_none());
    /// ```
    #[must_use]
    pub fn read(event: &'a [u8]) -> Option<NumberEvent<'a>> {
        let (mut wall_time, mut step, mut summary) = (0.0, 0, None);
        let read = fields(event, |field, value| {
            match (field, value) {
                (1, Field::Fixed64(bits)) => wall_time = f64::from_bits(bits),
                (2, Field::Varint(number)) => step = number as i64,
                // A second summary would have to be merged with the first; such an event takes the general
                // way.
                (5, Field::Bytes(bytes)) if summary.is_none() => summary = Some(bytes),
                // Anything else makes the event one that is decoded completely. Being strict here costs time
                // and never a value.
                _ => return Err(Malformed),
            }
            Ok(())
        });
        read.ok()?;
        let summary = summary?;
        let mut rest = summary;
        while !rest.is_empty() {
            next_number(&mut rest)?;
        }
        Some(NumberEvent { wall_time, step, summary })
    }

    /// Returns the numbers in order.
    ///
    /// ```
    /// use summary::{Event, NumberEvent, Summary, Value};
    /// let summary = Summary::scalar("loss", 0.5).with(Value::scalar("accuracy", 0.75));
    /// let event = Event::new(0.0, 3, summary.into()).encode();
    /// let tags: Vec<&str> = NumberEvent::read(&event).unwrap().numbers().map(|number| number.tag).collect();
    /// assert_eq!(tags, ["loss", "accuracy"]);
    /// ```
    pub fn numbers(&self) -> impl Iterator<Item = Number<'a>> + use<'a> {
        let mut rest = self.summary;
        std::iter::from_fn(move || next_number(&mut rest))
    }

    /// Returns the event as an owned one.
    ///
    /// ```
    /// use summary::{Event, NumberEvent, Summary};
    /// let event = Event::new(0.0, 3, Summary::scalar("loss", 0.5).into());
    /// assert_eq!(NumberEvent::read(&event.encode()).unwrap().to_event(), event);
    /// ```
    #[must_use]
    pub fn to_event(&self) -> Event {
        let values = self.numbers().map(|number| Value {
            tag: number.tag.to_owned(),
            data: Some(match number.tensor {
                Some(tensor) => ValueData::Tensor(StoredTensor::from_encoded(Bytes::copy_from_slice(tensor))),
                None => ValueData::Scalar(number.value as f32),
            }),
            ..Value::default()
        });
        Event::new(self.wall_time, self.step, EventData::Summary(Summary { values: values.collect() }))
    }
}

/// Takes the next value off a serialized summary; `None` at its end, and for anything but a number.
fn next_number<'a>(summary: &mut &'a [u8]) -> Option<Number<'a>> {
    // The field 1, of bytes.
    if take_varint32(summary)? != 0x0a {
        return None;
    }
    let len = usize::try_from(take_varint64(summary)?).ok()?;
    number(take(summary, len)?).ok()
}

/// Reads the number of a serialized value; an error for values of any other kind.
fn number(value: &[u8]) -> Result<Number<'_>, Malformed> {
    let (mut tag, mut number) = ("", None);
    fields(value, |field, value| {
        match (field, value) {
            (1, Field::Bytes(bytes)) => tag = std::str::from_utf8(bytes).map_err(|_| Malformed)?,
            (2, Field::Fixed32(bits)) if number.is_none() => {
                number = Some((f64::from(f32::from_bits(bits)), None));
            }
            (8, Field::Bytes(tensor)) if number.is_none() => {
                number = Some((tensor_number(tensor).ok_or(Malformed)?, Some(tensor)));
            }
            _ => return Err(Malformed),
        }
        Ok(())
    })?;
    let (value, tensor) = number.ok_or(Malformed)?;
    Ok(Number { tag, value, tensor })
}

/// Reads the number of a serialized `TensorProto` of one `float32` or `float64`; `None` for any other tensor.
pub(crate) fn tensor_number(tensor: &[u8]) -> Option<f64> {
    let (mut dtype, mut content) = (0, None);
    let read = fields(tensor, |field, value| {
        match (field, value) {
            (1, Field::Varint(number)) => dtype = number,
            (2, Field::Bytes(shape)) => has_one_element(shape)?,
            (4, Field::Bytes(bytes)) if content.is_none() => content = Some((None, bytes)),
            // The values of one dtype, packed.
            (5, Field::Bytes(bytes)) if content.is_none() => content = Some((Some(1), bytes)),
            (6, Field::Bytes(bytes)) if content.is_none() => content = Some((Some(2), bytes)),
            // Writers put down the version 0.
            (3, Field::Varint(_)) => {}
            _ => return Err(Malformed),
        }
        Ok(())
    });
    read.ok()?;
    let (of_dtype, bytes) = content?;
    // Values in the field of another dtype do not count in a `TensorProto`.
    if of_dtype.is_some_and(|of_dtype| of_dtype != dtype) {
        return None;
    }
    match dtype {
        1 => Some(f64::from(f32::from_le_bytes(bytes.try_into().ok()?))),
        2 => Some(f64::from_le_bytes(bytes.try_into().ok()?)),
        _ => None,
    }
}

/// Refuses shapes that have another number of elements than one, and shapes with unknown fields.
fn has_one_element(shape: &[u8]) -> Result<(), Malformed> {
    fields(shape, |field, value| match (field, value) {
        (2, Field::Bytes(dim)) => fields(dim, |field, value| match (field, value) {
            (1, Field::Varint(1)) => Ok(()),
            _ => Err(Malformed),
        }),
        _ => Err(Malformed),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // in a test a panic is the report

    use super::*;
    use crate::{SessionLog, SummaryMetadata};
    use proptest::prelude::*;
    use tensor::Tensor;

    fn read(event: &[u8]) -> Option<(f64, i64, Vec<(String, f64, bool)>)> {
        let event = NumberEvent::read(event)?;
        let numbers =
            event.numbers().map(|number| (number.tag.to_owned(), number.value, number.tensor.is_some()));
        Some((event.wall_time, event.step, numbers.collect()))
    }

    fn encoded(summary: impl Into<Summary>) -> tensor::Bytes {
        Event::new(1.5, -7, EventData::Summary(summary.into())).encode()
    }

    #[test]
    fn numbers_of_both_styles_are_read() {
        let summary = Summary::scalar("a", 0.5)
            .with(Value::tensor("b", &Tensor::scalar(2.5f32)).unwrap())
            .with(Value::tensor("", &Tensor::from([0.1f64])).unwrap())
            .with(Value::scalar("é", f32::INFINITY));
        let numbers = [("a", 0.5, false), ("b", 2.5, true), ("", 0.1, true), ("é", f64::INFINITY, false)];
        let numbers = numbers.map(|(tag, value, is_tensor)| (tag.to_owned(), value, is_tensor)).to_vec();
        assert_eq!(read(&encoded(summary)), Some((1.5, -7, numbers)));
        assert_eq!(read(&encoded(Summary::default())), Some((1.5, -7, vec![])));
    }

    #[test]
    fn anything_else_is_left_to_the_decoder() {
        let tensor = |tensor: Tensor| Value::tensor("a", &tensor).unwrap();
        let plugin = SummaryMetadata::plugin("scalars");
        for other in [
            Value::text("a", "text"),
            Value::scalar("a", 1.0).with_metadata(plugin.clone()),
            tensor(Tensor::scalar(1.0f32)).with_metadata(plugin),
            tensor(Tensor::scalar(1i64)),
            tensor(Tensor::from([1.0f32, 2.0])),
            tensor(Tensor::from(Vec::<f32>::new())),
            Value { data: None, ..Value::default() },
        ] {
            assert_eq!(read(&encoded(Summary::scalar("b", 1.0).with(other.clone()))), None, "{other:?}");
        }
        assert_eq!(read(&Event::new(0.0, 0, SessionLog::start().into()).encode()), None);
        let whole = encoded(Summary::scalar("a", 0.5));
        assert!((1..whole.len()).all(|end| read(&whole[..end]).is_none()));
    }

    #[test]
    fn typed_values_of_a_tensor_are_read() {
        // dtype, an empty shape, and the values of the field for float or double, packed.
        let float = [&[0x08, 1, 0x12, 0, 0x2a, 4][..], &1.5f32.to_le_bytes()].concat();
        let double = [&[0x08, 2, 0x12, 0, 0x32, 8][..], &0.1f64.to_le_bytes()].concat();
        assert_eq!((tensor_number(&float), tensor_number(&double)), (Some(1.5), Some(0.1)));
        // Values of another dtype than the tensor's are not its own.
        let mixed = [&[0x08, 2, 0x12, 0, 0x2a, 4][..], &1.5f32.to_le_bytes()].concat();
        assert_eq!(tensor_number(&mixed), None);
        assert_eq!(StoredTensor::from_encoded(float).number(), Some(1.5));
    }

    proptest! {
        /// Compares with the decoder, unless it refuses the bytes, as it does varints of more than 64 bits.
        #[test]
        fn agrees_with_the_decoder(
            bytes in proptest::collection::vec(any::<u8>(), 0..8),
            at in 0usize..64,
            step: i64,
            value: f32,
        ) {
            let tensor = Value::tensor("tensor", &Tensor::scalar(value)).unwrap();
            let summary = Summary::scalar("tag", value).with(tensor);
            let mut event = Event::new(0.5, step, summary.into()).encode().to_vec();
            let at = at.min(event.len());
            let end = (at + bytes.len()).min(event.len());
            event.splice(at..end, bytes);
            let Some(numbers) = NumberEvent::read(&event) else { return Ok(()) };
            let Ok(decoded) = Event::decode(event.clone()) else { return Ok(()) };
            let bits = |tag: &str, value: f64| (tag.to_owned(), value.to_bits());
            let theirs = decoded.values().iter().map(|value| bits(&value.tag, value.number().unwrap()));
            let ours = numbers.numbers().map(|number| bits(number.tag, number.value));
            prop_assert_eq!(ours.collect::<Vec<_>>(), theirs.collect::<Vec<_>>());
            // Also NaN, which equals nothing.
            prop_assert_eq!(numbers.to_event().encode(), decoded.encode());
        }
    }
}
