//! The text form of graph files (`.pbtxt`).
//!
//! Both directions go through the serialized message. A table has the fields of each message, including those that the types of
//! [`proto`](crate::proto) keep as bytes.

mod read;
mod schema;
mod write;

use crate::proto::{GraphDef, MetaGraphDef, SavedModel};
use crate::{Error, Result};
use schema::Schema;
use session_core::Code;
use write::Unwritable;

/// The largest nesting depth of messages, which is the limit of readers of the binary form.
const MAX_DEPTH: usize = 100;

/// The message of a graph file.
const GRAPH: &str = "tensorflow.GraphDef";
/// The message of a meta graph file.
const META_GRAPH: &str = "tensorflow.MetaGraphDef";
/// The message of a SavedModel file.
const SAVED_MODEL: &str = "tensorflow.SavedModel";

impl GraphDef {
    /// Parses a graph in text form, as `tf.io.write_graph` writes it.
    ///
    /// ```
    /// use graph_def::proto::GraphDef;
    /// let graph = GraphDef::from_text("node { name: 'x' op: 'Placeholder' }")?;
    /// assert_eq!(graph.node[0].op, "Placeholder");
    /// let error = GraphDef::from_text("node { nam: 'x' }").unwrap_err();
    /// assert!(error.to_string().contains("nam"), "{error}");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `DataLoss` for a text that is not such a message, with line and column.
    pub fn from_text(text: &str) -> Result<GraphDef> {
        GraphDef::from_bytes(read(text, GRAPH)?)
    }

    /// Returns the graph in text form, as `google.protobuf.text_format.Parse` reads it.
    ///
    /// ```
    /// use graph_def::proto::GraphDef;
    /// let graph = GraphDef::from_text("node { name: 'x' op: 'Placeholder' }")?;
    /// assert!(graph.to_text()?.contains("op: \"Placeholder\""));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `InvalidArgument` for parts that are kept as bytes and cannot be decoded, or whose messages are nested more than 100 deep;
    /// `Unimplemented` for fields that TensorFlow 2.21 does not have.
    pub fn to_text(&self) -> Result<String> {
        write(&self.to_bytes(), GRAPH)
    }
}

impl MetaGraphDef {
    /// Parses a meta graph in text form.
    ///
    /// # Errors
    /// Those of [`GraphDef::from_text`].
    pub fn from_text(text: &str) -> Result<MetaGraphDef> {
        MetaGraphDef::from_bytes(read(text, META_GRAPH)?)
    }

    /// Returns the meta graph in text form.
    ///
    /// # Errors
    /// Returns the errors of [`GraphDef::to_text`].
    pub fn to_text(&self) -> Result<String> {
        write(&self.to_bytes(), META_GRAPH)
    }
}

impl SavedModel {
    /// Parses a SavedModel in text form (`saved_model.pbtxt`).
    ///
    /// ```
    /// use graph_def::proto::SavedModel;
    /// let text = "saved_model_schema_version: 1 meta_graphs { meta_info_def { tags: 'serve' } }";
    /// let model = SavedModel::from_text(text)?;
    /// assert_eq!(model.meta_graphs.len(), 1);
    /// let error = SavedModel::from_text("saved_model_schema_version: 'one'").unwrap_err();
    /// assert!(error.to_string().contains("line 1"), "{error}");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`GraphDef::from_text`].
    pub fn from_text(text: &str) -> Result<SavedModel> {
        SavedModel::from_bytes(read(text, SAVED_MODEL)?)
    }

    /// Returns the SavedModel in text form.
    ///
    /// # Errors
    /// Returns the errors of [`GraphDef::to_text`].
    pub fn to_text(&self) -> Result<String> {
        write(&self.to_bytes(), SAVED_MODEL)
    }
}

/// Parses a meta graph, or a plain graph as a meta graph with nothing else.
pub(crate) fn meta_graph_or_graph(text: &str) -> Result<MetaGraphDef> {
    // The two messages have no field names in common.
    let first = checkpoint::text_format::Lexer::new(text).name().unwrap_or_default();
    match Schema::get().named(GRAPH).and_then(|graph| graph.field(first)) {
        Some(_) => {
            let graph = GraphDef::from_text(text)?;
            Ok(MetaGraphDef { graph_def: Some(graph), ..MetaGraphDef::default() })
        }
        None => MetaGraphDef::from_text(text),
    }
}

/// Returns the schema of a message.
fn message(name: &str) -> &'static schema::Message {
    Schema::get().named(name).expect("a test finds the roots in the table")
}

/// Returns the name of a message without its package.
fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Parses text to the binary form of a message.
fn read(text: &str, name: &str) -> Result<Vec<u8>> {
    read::read(text, message(name))
        .map_err(|what| Error::new(Code::DataLoss, format!("the text is not a {}: {what}", short(name))))
}

/// Formats the binary form of a message as text.
fn write(bytes: &[u8], name: &str) -> Result<String> {
    write::write(bytes, message(name)).map_err(|why| {
        let name = short(name);
        match why {
            Unwritable::Malformed(part) => {
                let text = format!("the {name} has no text form: a {} in it cannot be decoded", short(part));
                Error::invalid_argument(text)
            }
            Unwritable::TooDeep => {
                let text = format!(
                    "the {name} has no text form: its messages are nested more than {MAX_DEPTH} deep"
                );
                Error::invalid_argument(text)
            }
            Unwritable::Unknown(part, number) => {
                let text =
                    format!("the {name} has no text form: field {number} of {} is unknown", short(part));
                Error::new(Code::Unimplemented, text)
            }
        }
    })
}
