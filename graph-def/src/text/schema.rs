//! The structure of the messages of graph files: the names, numbers, and types of their fields.

use std::collections::HashMap;
use std::sync::OnceLock;

/// All messages and enums, as TensorFlow 2.21 defines them.
///
/// A line `message NAME` is followed by the fields: number, type and name. The type has a `*` if the field is repeated, and a `?` if
/// only one of several fields may be set. A line `enum NAME` is followed by the values.
const TABLE: &str = include_str!("messages.txt");

/// The serialized message that contains its type.
pub(super) const ANY: &str = "google.protobuf.Any";

/// The parsed table. Messages and enums are numbered, so that fields refer to them in any order.
#[derive(Debug)]
pub(super) struct Schema {
    /// All messages.
    messages: Vec<Message>,
    /// All enums.
    enums: Vec<Enum>,
    /// The places of the messages by their full names.
    by_name: HashMap<&'static str, usize>,
}

/// A type of messages.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) name: &'static str,
    /// The fields in the order of their numbers, in which they are written.
    pub(super) fields: Vec<Field>,
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    /// The number of the field in the binary form.
    pub(super) number: u32,
    pub(super) name: &'static str,
    /// The type of its values.
    pub(super) kind: Kind,
    /// True if the field is repeated.
    pub(super) many: bool,
    /// True if only one field of a group may be set.
    pub(super) choice: bool,
}

/// A type of named numbers.
#[derive(Debug)]
pub(super) struct Enum {
    /// The numbers with their names.
    values: Vec<(i32, &'static str)>,
}

/// The types of values. Only those that the messages of graphs use are listed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// A message, by its place in the schema.
    Message(usize),
    /// An enum, by its place in the schema.
    Enum(usize),
    Double,
    Float,
    Int64,
    UInt64,
    Int32,
    UInt32,
    SInt64,
    Fixed64,
    Bool,
    String,
    Bytes,
}

impl Kind {
    /// Returns true if repeated values are written as one string of bytes.
    pub(super) fn is_packed(self) -> bool {
        !matches!(self, Kind::Message(_) | Kind::String | Kind::Bytes)
    }
}

impl Schema {
    /// Returns the parsed table.
    pub(super) fn get() -> &'static Schema {
        static SCHEMA: OnceLock<Schema> = OnceLock::new();
        SCHEMA.get_or_init(|| Schema::parse(TABLE).expect("a test parses this table"))
    }

    /// Parses the table; `None` if it is malformed, which a test excludes. The names come first, because fields refer to later messages.
    fn parse(table: &'static str) -> Option<Schema> {
        let headed = |head: &str| {
            let names = table.lines().filter_map(move |line| line.strip_prefix(head)).enumerate();
            names.map(|(index, name)| (name, index)).collect::<HashMap<_, _>>()
        };
        let (by_name, enums) = (headed("message "), headed("enum "));
        let mut schema = Schema { messages: Vec::new(), enums: Vec::new(), by_name };
        let mut in_enum = false;
        for line in table.lines() {
            let mut words = line.split(' ');
            match (words.next()?, words.next()?, words.next()) {
                ("message", name, None) => {
                    in_enum = false;
                    schema.messages.push(Message { name, fields: Vec::new() });
                }
                ("enum", _, None) => {
                    in_enum = true;
                    schema.enums.push(Enum { values: Vec::new() });
                }
                (number, name, None) if in_enum => {
                    schema.enums.last_mut()?.values.push((number.parse().ok()?, name));
                }
                (number, kind, Some(name)) if !in_enum => {
                    let plain = kind.trim_end_matches(['*', '?']);
                    let kind_of = schema.kind(plain, &enums)?;
                    let (many, choice) = (kind.ends_with('*'), kind.ends_with('?'));
                    let field = Field { number: number.parse().ok()?, name, kind: kind_of, many, choice };
                    schema.messages.last_mut()?.fields.push(field);
                }
                _ => return None,
            }
        }
        Some(schema)
    }

    /// Parses the type of a field.
    fn kind(&self, name: &str, enums: &HashMap<&str, usize>) -> Option<Kind> {
        Some(match name {
            "double" => Kind::Double,
            "float" => Kind::Float,
            "int64" => Kind::Int64,
            "uint64" => Kind::UInt64,
            "int32" => Kind::Int32,
            "uint32" => Kind::UInt32,
            "sint64" => Kind::SInt64,
            "fixed64" => Kind::Fixed64,
            "bool" => Kind::Bool,
            "string" => Kind::String,
            "bytes" => Kind::Bytes,
            name => match enums.get(name) {
                Some(&index) => Kind::Enum(index),
                None => Kind::Message(*self.by_name.get(name)?),
            },
        })
    }

    /// Returns the message at a place.
    pub(super) fn message(&self, index: usize) -> &Message {
        &self.messages[index]
    }

    /// Returns the message with a full name.
    pub(super) fn named(&self, name: &str) -> Option<&Message> {
        self.by_name.get(name).map(|&index| &self.messages[index])
    }

    /// Returns the enum at a place.
    pub(super) fn enumeration(&self, index: usize) -> &Enum {
        &self.enums[index]
    }
}

impl Message {
    /// Returns the field with a name.
    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        // Linear: messages have few fields, and a map for each would take longer to build than a file to
        // read.
        self.fields.iter().find(|field| field.name == name)
    }

    /// Returns the field with a number.
    pub(super) fn numbered(&self, number: u32) -> Option<&Field> {
        self.fields.iter().find(|field| field.number == number)
    }
}

impl Enum {
    /// Returns the number of a name.
    pub(super) fn number(&self, name: &str) -> Option<i32> {
        self.values.iter().find(|(_, known)| *known == name).map(|(number, _)| *number)
    }

    /// Returns the name of a number; `None` for one that this version does not know.
    pub(super) fn name(&self, number: i32) -> Option<&'static str> {
        self.values.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_complete() {
        let schema = Schema::parse(TABLE).unwrap();
        assert_eq!(schema.messages.len(), schema.by_name.len(), "each message is listed once");
        for message in &schema.messages {
            for field in &message.fields {
                assert!(std::ptr::eq(message.field(field.name).unwrap(), field), "{}", message.name);
                assert!(std::ptr::eq(message.numbered(field.number).unwrap(), field), "{}", message.name);
            }
        }
        for root in ["tensorflow.GraphDef", "tensorflow.MetaGraphDef", "tensorflow.SavedModel", ANY] {
            assert!(schema.named(root).is_some());
        }
    }
}
