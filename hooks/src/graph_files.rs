//! The graph in checkpoints and event files.

use crate::events::succeeds_or_logs;
use checkpoint::GraphSaver;
use graph_def::{ExportOptions, export_meta_graph, to_graph_def_with, write_graph};
use session_core::{Graph, Result};
use std::path::Path;
use summary::EventWriter;
use tensor::Bytes;

/// The name of the graph's file in text form.
pub(crate) const GRAPH_FILE: &str = "graph.pbtxt";

/// The size limit of a message that TensorFlow reads, in bytes.
const MAX_MESSAGE: usize = i32::MAX as usize;

/// The size limit of graphs that are written as text, which takes several times as much space, in bytes.
const MAX_AS_TEXT: usize = 64 << 20;

/// The meta graph of a session's graph, built once for each size of the graph.
#[derive(Debug, Default)]
pub(crate) struct GraphFiles {
    made: Option<(usize, Option<Bytes>)>,
}

impl GraphFiles {
    /// Returns the serialized meta graph; `None` for a graph that cannot be written, which is logged.
    pub(crate) fn meta_graph(&mut self, graph: &Graph, saver: &GraphSaver) -> Option<Bytes> {
        // The graph of a session is frozen, and before that it only grows, so its size tells whether it
        // has changed. Exporting a large graph can take longer than a save.
        if let Some((size, bytes)) = &self.made
            && *size == graph.len()
        {
            return bytes.clone();
        }
        let exported = export_meta_graph(graph, Some(saver)).map(|message| message.to_bytes());
        // A graph that cannot be exported must not prevent checkpoints: a resumed program builds its
        // graph itself.
        let bytes = match exported {
            Ok(bytes) if bytes.len() <= MAX_MESSAGE => Some(bytes),
            Ok(bytes) => {
                log::warn!(
                    "checkpoints are written without a meta graph: its {} bytes exceed the 2 GiB that protobuf allows",
                    bytes.len()
                );
                None
            }
            Err(error) => {
                log::warn!("checkpoints are written without a meta graph: {}", error.chain());
                None
            }
        };
        // The failure is remembered as well, so that its warning is logged once and not at every
        // checkpoint.
        self.made = Some((graph.len(), bytes.clone()));
        bytes
    }

    /// Adds the graph and the meta graph to the events, so that TensorBoard shows the graph, and writes `graph.pbtxt` into a
    /// folder (S-342).
    pub(crate) fn write(
        &mut self,
        graph: &Graph,
        saver: &GraphSaver,
        (writer, step): (&EventWriter, i64),
        folder: Option<&Path>,
    ) -> Result<()> {
        let Some(meta) = self.meta_graph(graph, saver) else { return Ok(()) };
        // TensorBoard shows the shapes on the edges of its graph, which it takes from this attribute.
        let shown = to_graph_def_with(graph, &ExportOptions::new().output_shapes(true))?;
        let bytes = shown.to_bytes();
        if let Some(folder) = folder
            && bytes.len() <= MAX_AS_TEXT
        {
            write_graph(folder.join(GRAPH_FILE), &shown)?;
        }
        let added = writer.add_graph(bytes, step).and_then(|()| writer.add_meta_graph(meta, step));
        // In a recovery the event file may have failed before, which must not prevent the new session.
        succeeds_or_logs(added, "add the graph to the event file");
        Ok(())
    }
}
