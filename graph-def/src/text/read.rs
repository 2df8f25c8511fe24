//! Parsing of messages in text form.
//!
//! The parser writes the serialized message field by field. It knows nothing about the types in [`proto`](crate::proto): the schema is a
//! table, so that fields which these types keep as bytes are parsed too. Nesting is limited, so a hostile text cannot exhaust the stack.
//!
//! The text is converted directly to the binary form, field by field. The binary decoder then checks the types again,
//! so the two forms of a file cannot be understood differently.

use super::MAX_DEPTH;
use super::schema::{ANY, Enum, Field, Kind, Message, Schema};
use checkpoint::text_format::Lexer;
use std::collections::BTreeMap;
use wire::message::{put_bytes, put_varint};

/// Parses a text into a serialized message.
///
/// # Errors
/// A description of the problem, and its position.
pub(super) fn read(text: &str, message: &Message) -> Result<Vec<u8>, String> {
    let mut reader = Reader { lexer: Lexer::new(text), schema: Schema::get() };
    reader.message(message, None, MAX_DEPTH)
}

/// A parser of one text.
struct Reader<'t> {
    /// The tokens of the text.
    lexer: Lexer<'t>,
    /// The messages and their fields.
    schema: &'static Schema,
}

/// The fields parsed so far: for each number the bytes after the tag or, for fields that are not packed, including the tags.
#[derive(Default)]
struct Fields(BTreeMap<u32, Vec<u8>>);

impl Fields {
    /// Returns true if the field, or another one of the same choice, is already set.
    fn rules_out(&self, message: &Message, field: &Field) -> bool {
        let given = |number: &u32| self.0.contains_key(number);
        let mut choices = message.fields.iter().filter(|other| other.choice);
        // Protobuf's parser of text refuses a field that is given twice, unlike that of the binary form,
        // which takes the last one.
        !field.many && (given(&field.number) || field.choice && choices.any(|other| given(&other.number)))
    }

    /// Returns the fields in the binary form.
    fn encoded(self, message: &Message) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, bytes) in self.0 {
            let packed = |field: &Field| field.many && field.kind.is_packed();
            if message.numbered(number).is_some_and(packed) {
                // An empty list (`[]`) leaves no trace in the binary form.
                if !bytes.is_empty() {
                    put_bytes(&mut out, number, &bytes);
                }
            } else {
                out.extend_from_slice(&bytes);
            }
        }
        out
    }
}

impl Reader<'_> {
    /// Parses fields up to the closing bracket or the end of the text. At most `depth` more messages may be nested.
    fn message(&mut self, message: &Message, close: Option<char>, depth: usize) -> Result<Vec<u8>, String> {
        let mut fields = Fields::default();
        loop {
            match close {
                Some(close) if self.lexer.eat(close) => break,
                None if self.lexer.at_end() => break,
                _ => {}
            }
            // Only this message has the bracket form; in any other a bracket begins the name of an extension,
            // of which TensorFlow has none.
            if message.name == ANY && self.lexer.eat('[') {
                return self.expanded(close, depth);
            }
            let at = self.lexer.clone();
            let name = self.lexer.name()?;
            let Some(field) = message.field(name) else {
                return Err(at.error(&format!("{} has no field '{name}'", message.name)));
            };
            if fields.rules_out(message, field) {
                return Err(at.error(&format!("'{name}' cannot be set together with an earlier field")));
            }
            self.field(field, fields.0.entry(field.number).or_default(), depth)?;
            self.lexer.separator();
        }
        Ok(fields.encoded(message))
    }

    /// Parses a message with an explicit type: `[type.googleapis.com/NAME] { ... }`.
    fn expanded(&mut self, close: Option<char>, depth: usize) -> Result<Vec<u8>, String> {
        let at = self.lexer.clone();
        let url = self.lexer.until(']')?.trim();
        let name = url.rsplit('/').next().unwrap_or(url);
        let Some(message) = self.schema.named(name) else {
            return Err(at.error(&format!("the type '{name}' is unknown")));
        };
        self.lexer.eat(':');
        let value = self.nested(message, depth)?;
        self.lexer.separator();
        match close {
            Some(close) => self.lexer.expect(close)?,
            None if self.lexer.at_end() => {}
            None => return Err(self.lexer.error("the end was expected")),
        }
        let mut out = Vec::new();
        // The whole URL, not only the name: protobuf keeps the prefix that the writer chose.
        put_bytes(&mut out, 1, url.as_bytes());
        put_bytes(&mut out, 2, &value);
        Ok(out)
    }

    /// Parses the message in braces. The depth is limited, so that no text can overflow the stack.
    fn nested(&mut self, message: &Message, depth: usize) -> Result<Vec<u8>, String> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(self.lexer.error(&format!("messages are nested more than {MAX_DEPTH} deep")));
        };
        let close = if self.lexer.eat('<') {
            '>'
        } else {
            self.lexer.expect('{')?;
            '}'
        };
        self.message(message, Some(close), depth)
    }

    /// Parses the value after a field's name.
    fn field(&mut self, field: &Field, out: &mut Vec<u8>, depth: usize) -> Result<(), String> {
        match field.kind {
            // The colon is optional before a message and required before everything else.
            Kind::Message(_) => _ = self.lexer.eat(':'),
            _ => self.lexer.expect(':')?,
        }
        if !field.many {
            return self.value(field, out, depth);
        }
        if !self.lexer.eat('[') {
            return self.value(field, out, depth);
        }
        if self.lexer.eat(']') {
            return Ok(());
        }
        loop {
            self.value(field, out, depth)?;
            if self.lexer.eat(']') {
                return Ok(());
            }
            self.lexer.expect(',')?;
        }
    }

    /// Parses the value of a field and appends it.
    fn value(&mut self, field: &Field, out: &mut Vec<u8>, depth: usize) -> Result<(), String> {
        match field.kind {
            Kind::Message(index) => {
                let bytes = self.nested(self.schema.message(index), depth)?;
                put_bytes(out, field.number, &bytes);
            }
            Kind::String => {
                let at = self.lexer.clone();
                let bytes = self.lexer.string()?;
                // Checked here, where the position is known. The binary decoder would only say that the
                // message is malformed.
                std::str::from_utf8(&bytes).map_err(|_| at.error("a string is not UTF-8"))?;
                put_bytes(out, field.number, &bytes);
            }
            Kind::Bytes => put_bytes(out, field.number, &self.lexer.string()?),
            kind => {
                if !field.many {
                    put_varint(out, u64::from(field.number) << 3 | wire_type(kind));
                }
                self.number(kind, out)?;
            }
        }
        Ok(())
    }

    /// Parses a number without its tag.
    fn number(&mut self, kind: Kind, out: &mut Vec<u8>) -> Result<(), String> {
        match kind {
            Kind::Double => out.extend_from_slice(&self.lexer.float()?.to_le_bytes()),
            Kind::Float => out.extend_from_slice(&self.lexer.single()?.to_le_bytes()),
            Kind::Fixed64 => out.extend_from_slice(&self.integer::<u64>()?.to_le_bytes()),
            Kind::UInt64 => put_varint(out, self.integer::<u64>()?),
            Kind::UInt32 => put_varint(out, self.integer::<u32>()?.into()),
            // Negative numbers always take ten bytes.
            Kind::Int64 => put_varint(out, self.integer::<i64>()? as u64),
            Kind::Int32 => put_varint(out, i64::from(self.integer::<i32>()?) as u64),
            Kind::SInt64 => {
                let value = self.integer::<i64>()?;
                put_varint(out, (value << 1 ^ value >> 63) as u64);
            }
            Kind::Bool => put_varint(out, self.truth()?.into()),
            Kind::Enum(index) => {
                let number = self.enumerated(self.schema.enumeration(index))?;
                put_varint(out, i64::from(number) as u64);
            }
            Kind::Message(_) | Kind::String | Kind::Bytes => {}
        }
        Ok(())
    }

    /// Parses an integer and checks its range.
    fn integer<T: TryFrom<i128>>(&mut self) -> Result<T, String> {
        let at = self.lexer.clone();
        let value = self.lexer.integer()?;
        T::try_from(value).map_err(|_| at.error("the number is too large"))
    }

    /// Parses a bool: `true`, `True`, `t`, `1`, and the same forms of false.
    fn truth(&mut self) -> Result<bool, String> {
        let at = self.lexer.clone();
        match self.lexer.word()? {
            (false, "true" | "True" | "t" | "1") => Ok(true),
            (false, "false" | "False" | "f" | "0") => Ok(false),
            _ => Err(at.error("true or false was expected")),
        }
    }

    /// Parses the value of an enum, a name or a number.
    fn enumerated(&mut self, values: &Enum) -> Result<i32, String> {
        let mut at = self.lexer.clone();
        // To the lexer, digits are a name as well: what is no name of this enum is read again as a number.
        if let Ok(name) = at.clone().name()
            && let Some(number) = values.number(name)
        {
            return self.lexer.name().map(|_| number);
        }
        self.integer().map_err(|_| {
            at.at_end();
            at.error("this is not a value of the field")
        })
    }
}

/// Returns the number of the wire type of a field.
fn wire_type(kind: Kind) -> u64 {
    match kind {
        Kind::Double | Kind::Fixed64 => 1,
        Kind::Float => 5,
        Kind::Message(_) | Kind::String | Kind::Bytes => 2,
        _ => 0,
    }
}
