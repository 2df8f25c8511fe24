//! Formatting of messages in text form.
//!
//! The layout, escapes, and numbers follow protobuf's own formatter, so that files can be compared with those of TensorFlow.

use super::MAX_DEPTH;
use super::schema::{Field, Kind, Message, Schema};
use checkpoint::text_format::{float, quoted, quoted_bytes, single};
use wire::message::{Malformed, Value, fields, take_varint64};

/// The reasons why a message has no text form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unwritable {
    /// The bytes are not a message of this type.
    Malformed(&'static str),
    /// The message has an unknown field with this number.
    Unknown(&'static str, u32),
    /// The messages are nested too deep.
    TooDeep,
}

/// Formats a serialized message as text.
pub(super) fn write(bytes: &[u8], message: &Message) -> Result<String, Unwritable> {
    let mut writer = Writer { out: String::new(), indent: 0, schema: Schema::get() };
    writer.message(message, bytes)?;
    Ok(writer.out)
}

/// A text that is being written.
struct Writer {
    /// The text so far.
    out: String,
    /// The nesting depth of this message.
    indent: usize,
    schema: &'static Schema,
}

impl Writer {
    /// Writes the fields of a message. Fields that the schema does not know cannot be written as text, which is an
    /// error.
    fn message(&mut self, message: &Message, bytes: &[u8]) -> Result<(), Unwritable> {
        let mut failed = None;
        let visited = fields(bytes, |number, value| {
            let written = match message.numbered(number) {
                Some(field) => self.field(message, field, value),
                None => Err(Unwritable::Unknown(name(message), number)),
            };
            written.map_err(|error| {
                // The visitor can only report that the bytes are malformed, so the reason is kept next to it.
                failed = Some(error);
                Malformed
            })
        });
        match (visited, failed) {
            (Ok(()), _) => Ok(()),
            (Err(_), Some(error)) => Err(error),
            (Err(_), None) => Err(Unwritable::Malformed(name(message))),
        }
    }

    /// Writes one field on a line of its own.
    fn field(&mut self, message: &Message, field: &Field, value: Value<'_>) -> Result<(), Unwritable> {
        let malformed = Unwritable::Malformed(name(message));
        match (field.kind, value) {
            (Kind::Message(index), Value::Bytes(bytes)) => {
                self.begin(field, " {\n");
                self.indent += 1;
                if self.indent > MAX_DEPTH {
                    return Err(Unwritable::TooDeep);
                }
                self.message(self.schema.message(index), bytes)?;
                self.indent -= 1;
                self.pad();
                self.out.push_str("}\n");
                Ok(())
            }
            (Kind::String, Value::Bytes(bytes)) => {
                // Protobuf's readers of text refuse a string that is not UTF-8, so none is written.
                let text = std::str::from_utf8(bytes).map_err(|_| malformed)?;
                self.scalar(field, &quoted(text));
                Ok(())
            }
            (Kind::Bytes, Value::Bytes(bytes)) => {
                self.scalar(field, &quoted_bytes(bytes));
                Ok(())
            }
            (kind, Value::Bytes(bytes)) if kind.is_packed() => self.packed(field, bytes).ok_or(malformed),
            (kind, value) => {
                let text = self.number(kind, value).ok_or(malformed)?;
                self.scalar(field, &text);
                Ok(())
            }
        }
    }

    /// Formats packed numbers; `None` if the bytes are not packed numbers.
    fn packed(&mut self, field: &Field, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            let value = match field.kind {
                Kind::Double | Kind::Fixed64 => {
                    let (head, tail) = bytes.split_first_chunk()?;
                    bytes = tail;
                    Value::Fixed64(u64::from_le_bytes(*head))
                }
                Kind::Float => {
                    let (head, tail) = bytes.split_first_chunk()?;
                    bytes = tail;
                    Value::Fixed32(u32::from_le_bytes(*head))
                }
                _ => Value::Varint(take_varint64(&mut bytes)?),
            };
            let text = self.number(field.kind, value)?;
            self.scalar(field, &text);
        }
        Some(())
    }

    /// Formats a number; `None` if the value has another type.
    fn number(&self, kind: Kind, value: Value<'_>) -> Option<String> {
        Some(match (kind, value) {
            (Kind::Double, Value::Fixed64(bits)) => float(f64::from_bits(bits)),
            (Kind::Float, Value::Fixed32(bits)) => single(f32::from_bits(bits)),
            (Kind::Fixed64, Value::Fixed64(number)) | (Kind::UInt64, Value::Varint(number)) => {
                number.to_string()
            }
            (Kind::Int64, Value::Varint(bits)) => (bits as i64).to_string(),
            // Readers of 32-bit numbers drop the upper bits.
            (Kind::Int32, Value::Varint(bits)) => (bits as i32).to_string(),
            (Kind::UInt32, Value::Varint(bits)) => (bits as u32).to_string(),
            (Kind::SInt64, Value::Varint(bits)) => ((bits >> 1) as i64 ^ -((bits & 1) as i64)).to_string(),
            (Kind::Bool, Value::Varint(bits)) => (bits != 0).to_string(),
            (Kind::Enum(index), Value::Varint(bits)) => {
                let number = bits as i32;
                let named = self.schema.enumeration(index).name(number);
                // A number of a later version is written as a number, which readers accept for an enum.
                named.map_or_else(|| number.to_string(), str::to_owned)
            }
            _ => return None,
        })
    }

    /// Writes a field with a value that fits on its line.
    fn scalar(&mut self, field: &Field, value: &str) {
        self.begin(field, ": ");
        self.out.push_str(value);
        self.out.push('\n');
    }

    /// Begins the line of a field.
    fn begin(&mut self, field: &Field, rest: &str) {
        self.pad();
        self.out.push_str(field.name);
        self.out.push_str(rest);
    }

    /// Writes the indentation.
    fn pad(&mut self) {
        self.out.extend(std::iter::repeat_n("  ", self.indent));
    }
}

/// Returns the name of a message for errors.
fn name(message: &Message) -> &'static str {
    message.name
}
