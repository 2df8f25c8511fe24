//! `monitored graph show`: inputs, variables, op types, collections, and the ops that the embedded engine lacks.
//!
//! The graph is imported but not run, so this also works for graphs with op types that no engine here has. Those are
//! listed at the end.
//!
//! # Sources of the description
//!
//! | part | source |
//! |---|---|
//! | op types, functions | the imported graph |
//! | inputs | placeholders, without those of savers |
//! | outputs | for a graph without variables and collections: outputs that nothing reads |
//! | variables | the collections of variables, then operations that no collection lists |
//! | queue runners, saver, signatures | the meta graph |
//! | pipelines | initializers of iterators (`pipelines`) |
//! | missing ops | the embedded engine's registry |
//!
//! Everything is collected in a [`Summary`] first, from which the text and the JSON object are written, so both have
//! the same content.
//!
//! # Columns
//!
//! - Inputs and outputs have a name, a dtype and a shape. A shape has `?` for an unknown size.
//! - Variables also have their kind, `resource` or `reference`, then `trained` and `local` where that is so.
//! - Collections have the number and the kind of their items.
//! - A missing op type has the names of up to three operations, and the number of the others.

use super::pipelines::pipelines;
use super::saved_model::{self, SignatureSummary};
use crate::model::folder;
use crate::model::graph_file::import;
use crate::output::{Outcome, Result, write_json};
use monitored_session::checkpoint::SAVERS;
use monitored_session::embedded_engine::{MissingKernel, missing_kernels};
use monitored_session::graph_def::{MetaGraph, proto, read_graph_file};
use monitored_session::queue_runner::QUEUE_RUNNERS;
use monitored_session::saved_model::{SavedModelFolder, graph_outputs};
use monitored_session::session_core::keys::{LOCAL_VARIABLES, VARIABLES};
use monitored_session::session_core::{AttrValue, DType, Graph, Operation, Output, PartialShape, Variable};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::path::PathBuf;
use tensor::text::escaped;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The file, or the folder of a SavedModel.
    file: PathBuf,
    /// The tags of the only meta graph of a SavedModel to show, separated by commas. Default: all.
    #[arg(long, value_name = "TAGS", value_delimiter = ',')]
    tags: Option<Vec<String>>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Draw the graph by scopes into an SVG file instead.
    #[cfg(feature = "board")]
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    svg: Option<PathBuf>,
    /// The scope to draw; without this, the graph as a whole.
    #[cfg(feature = "board")]
    #[arg(long, requires = "svg", default_value = "")]
    scope: String,
}

/// The number of nodes of a missing op type that the text names.
const NAMED: usize = 3;

impl Arguments {
    /// Prints the description, or draws the graph.
    pub(crate) fn run(self, out: &mut dyn Write) -> Result {
        // Before the file is read: the folder of a SavedModel has its own reader.
        if let Some(folder) = folder::saved_model(&self.file) {
            let folder = SavedModelFolder::open(folder)?;
            let meta_graphs = match &self.tags {
                Some(tags) => vec![folder.meta_graph(folder::tags_of(tags))?],
                None => folder.meta_graphs().collect(),
            };
            #[cfg(feature = "board")]
            if let Some(path) = &self.svg {
                let chosen =
                    if self.tags.is_some() { meta_graphs[0] } else { folder.default_meta_graph()? };
                return self.draw(chosen.message().graph_def.clone(), path);
            }
            return saved_model::show(&folder, &meta_graphs, self.json, out);
        }
        let message = read_graph_file(&self.file)?;
        #[cfg(feature = "board")]
        if let Some(path) = &self.svg {
            return self.draw(message.graph_def, path);
        }
        let meta = import(&Graph::new(), &message, &self.file)?;
        let summary = Summary::of(&message, &meta);
        if self.json {
            write_json(out, &summary.as_json(), true)?;
        } else {
            summary.write(out)?;
        }
        Ok(Outcome::Good)
    }

    /// Draws a graph by scopes.
    #[cfg(feature = "board")]
    fn draw(&self, graph: Option<proto::GraphDef>, path: &std::path::Path) -> Result {
        let failed = |source| board::Error::Write { path: path.to_path_buf(), source };
        std::fs::write(path, board::graph_svg(&graph.unwrap_or_default(), &self.scope)?).map_err(failed)?;
        Ok(Outcome::Good)
    }
}

/// The summary of a graph.
pub(super) struct Summary {
    /// The number of operations, without those of functions.
    nodes: usize,
    /// The names of the functions in the graph's library.
    functions: Vec<String>,
    /// The version of the GraphDef format that the writer stated.
    producer: i32,
    /// The number of operations of each type.
    ops: BTreeMap<String, usize>,
    /// The placeholders, without those that a saver uses.
    inputs: Vec<Operation>,
    /// The outputs that nothing reads, for a graph without variables and savers.
    outputs: Vec<Output>,
    /// The variables, those of collections first.
    variables: Vec<VariableSummary>,
    /// The kind and number of the items of each collection.
    collections: BTreeMap<String, (&'static str, usize)>,
    /// The queue of each queue runner, with the number of its threads.
    queues: Vec<(String, usize)>,
    /// The iterators with their datasets.
    pipelines: Vec<(String, String)>,
    /// The saver of the meta graph, if it has one.
    saver: Option<proto::SaverDef>,
    /// The signatures, in SavedModels only.
    signatures: Vec<SignatureSummary>,
    /// The op types that the embedded engine lacks, each with its operations.
    lacks: BTreeMap<String, Vec<String>>,
}

/// A variable of a graph.
struct VariableSummary {
    /// The name of the variable.
    name: String,
    /// The dtype of its value.
    dtype: DType,
    /// The static shape of its value.
    shape: PartialShape,
    /// True for a resource variable, false for a reference variable of TensorFlow 1.
    is_resource: bool,
    /// True if it belongs to the collection of local variables, which checkpoints do not contain.
    is_local: bool,
    /// `None` for one that no collection lists, as in models of TensorFlow 2.
    is_trained: Option<bool>,
}

impl VariableSummary {
    /// Describes a variable of a collection.
    fn listed(variable: &Variable, is_local: bool) -> VariableSummary {
        VariableSummary {
            name: variable.name().to_owned(),
            dtype: variable.dtype(),
            shape: variable.shape().clone(),
            is_resource: variable.is_resource(),
            is_local,
            is_trained: Some(variable.is_trainable()),
        }
    }

    /// Describes the variable of an operation; `None` for another operation.
    fn unlisted(operation: &Operation) -> Option<VariableSummary> {
        let is_resource = operation.op_type() == "VarHandleOp";
        if !is_resource && !matches!(operation.op_type(), "VariableV2" | "Variable") {
            return None;
        }
        Some(VariableSummary {
            name: operation.name().to_owned(),
            dtype: operation.attr("dtype").and_then(AttrValue::as_type)?,
            shape: operation.attr("shape").and_then(AttrValue::as_shape).cloned().unwrap_or_default(),
            is_resource,
            is_local: false,
            is_trained: None,
        })
    }

    /// Returns all variables of a graph, those of collections first.
    fn all(graph: &Graph) -> Vec<VariableSummary> {
        let (global, local) = (graph.collection(&VARIABLES), graph.collection(&LOCAL_VARIABLES));
        let listed: HashSet<_> =
            global.iter().chain(&local).map(|variable| variable.handle().endpoint()).collect();
        let operations = graph.operations();
        let others = operations.iter().filter(|operation| {
            operation.num_outputs() == 1 && !listed.contains(&operation.output(0).endpoint())
        });
        let global = global.iter().map(|variable| VariableSummary::listed(variable, false));
        let local = local.iter().map(|variable| VariableSummary::listed(variable, true));
        global.chain(local).chain(others.filter_map(VariableSummary::unlisted)).collect()
    }
}

impl Summary {
    /// Collects the summary of an imported graph.
    pub(super) fn of(message: &proto::MetaGraphDef, meta: &MetaGraph) -> Summary {
        let graph = &meta.graph;
        let mut ops = BTreeMap::new();
        for operation in graph.operations() {
            *ops.entry(operation.op_type().to_owned()).or_default() += 1;
        }
        let inputs = graph.operations().into_iter().filter(is_input).collect();
        let runners = graph.collection(&QUEUE_RUNNERS);
        // Frozen graphs have neither collections nor variables; there the ends of the graph are the outputs.
        let is_bare = message.collection_def.is_empty() && graph.collection(&VARIABLES).is_empty();
        let versions = message.graph_def.as_ref().and_then(|graph| graph.versions.as_ref());
        Summary {
            nodes: graph.len(),
            functions: graph.functions().iter().map(|function| function.name().to_owned()).collect(),
            producer: versions.map_or(0, |versions| versions.producer),
            ops,
            inputs,
            outputs: if is_bare { graph_outputs(&graph.operations()) } else { Vec::new() },
            variables: VariableSummary::all(graph),
            collections: message.collection_def.iter().map(|(key, def)| (key.clone(), count(def))).collect(),
            queues: runners
                .iter()
                .map(|runner| (runner.queue().to_owned(), runner.enqueue_ops().len()))
                .collect(),
            pipelines: pipelines(graph),
            saver: message
                .saver_def
                .clone()
                // A saver that was not imported, for example because its operations are missing, is not
                // shown.
                .filter(|_| !graph.collection(&SAVERS).is_empty() || meta.saver.is_some()),
            signatures: saved_model::signatures(&meta.imported, &meta.signatures),
            lacks: missing_kernels(graph)
                .iter()
                .map(|lack| (lacking(lack), lack.operations.to_vec()))
                .collect(),
        }
    }

    /// Describes the graph as a JSON object.
    pub(super) fn as_json(&self) -> Json {
        let inputs: Vec<Json> = self
            .inputs
            .iter()
            .map(|op| {
                json!({
                    "name": op.name(),
                    "op": op.op_type(),
                    "dtype": op.output(0).dtype().name(),
                    "shape": sizes(op),
                })
            })
            .collect();
        let variables: Vec<Json> = self
            .variables
            .iter()
            .map(|variable| {
                json!({
                    "name": variable.name,
                    "dtype": variable.dtype.name(),
                    "shape": variable.shape.sizes(),
                    "trainable": variable.is_trained,
                    "resource": variable.is_resource,
                    "local": variable.is_local,
                })
            })
            .collect();
        let collections: serde_json::Map<String, Json> = self
            .collections
            .iter()
            .map(|(key, (kind, count))| (key.clone(), json!({"kind": kind, "items": count})))
            .collect();
        let queues: Vec<Json> =
            self.queues.iter().map(|(queue, threads)| json!({"queue": queue, "threads": threads})).collect();
        let pipelines: Vec<Json> = self
            .pipelines
            .iter()
            .map(|(iterator, datasets)| json!({"iterator": iterator, "datasets": datasets}))
            .collect();
        json!({
            "nodes": self.nodes,
            "functions": self.functions,
            "producer": self.producer,
            "ops": self.ops,
            "inputs": inputs,
            "outputs": self.outputs.iter().map(tensor_as_json).collect::<Vec<_>>(),
            "variables": variables,
            "collections": collections,
            "queue_runners": queues,
            "pipelines": pipelines,
            "saver": self.saver.as_ref().map(|saver| json!({
                "filename_tensor": saver.filename_tensor_name,
                "save_tensor": saver.save_tensor_name,
                "restore_op": saver.restore_op_name,
                "max_to_keep": saver.max_to_keep,
            })),
            "signatures": saved_model::signatures_as_json(&self.signatures),
            "embedded_engine_lacks": self.lacks,
        })
    }

    /// Writes the description for people.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let (functions, producer) = (self.functions.len(), self.producer);
        writeln!(
            out,
            "{} nodes of {} op types, {functions} functions, producer {producer}",
            self.nodes,
            self.ops.len()
        )?;
        let mut ops: Vec<(&String, &usize)> = self.ops.iter().collect();
        // The most frequent first, and names in order among equals, so that the output does not change
        // between runs.
        ops.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
        writeln!(out, "\nop types:")?;
        for (name, count) in ops {
            writeln!(out, "  {count:>6}  {}", escaped(name))?;
        }
        writeln!(out, "\ninputs:{}", none_if(self.inputs.is_empty()))?;
        for op in &self.inputs {
            writeln!(out, "  {}  {} {}", escaped(op.name()), op.output(0).dtype(), op.output(0).shape())?;
        }
        if !self.outputs.is_empty() {
            writeln!(out, "\noutputs:")?;
        }
        for output in &self.outputs {
            writeln!(out, "  {}  {} {}", escaped(output.name()), output.dtype(), output.shape())?;
        }
        writeln!(out, "\nvariables:{}", none_if(self.variables.is_empty()))?;
        for VariableSummary { name, dtype, shape, is_resource, is_local, is_trained } in &self.variables {
            let kind = if *is_resource { "resource" } else { "reference" };
            let trained = if *is_trained == Some(true) { ", trained" } else { "" };
            let local = if *is_local { ", local" } else { "" };
            writeln!(out, "  {}  {dtype} {shape}  {kind}{trained}{local}", escaped(name))?;
        }
        writeln!(out, "\ncollections:{}", none_if(self.collections.is_empty()))?;
        for (key, (kind, count)) in &self.collections {
            writeln!(out, "  {}  {count} {kind}", escaped(key))?;
        }
        for (queue, threads) in &self.queues {
            writeln!(out, "\nqueue runner: {}, {threads} threads", escaped(queue))?;
        }
        if !self.pipelines.is_empty() {
            writeln!(out, "\npipelines:")?;
        }
        for (iterator, datasets) in &self.pipelines {
            writeln!(out, "  {}  {}", escaped(iterator), escaped(datasets))?;
        }
        if let Some(saver) = &self.saver {
            writeln!(
                out,
                "\nsaver: {}, {}",
                escaped(&saver.save_tensor_name),
                escaped(&saver.restore_op_name)
            )?;
        }
        saved_model::write_signatures(out, &self.signatures)?;
        self.write_lacks(out)
    }

    /// Writes the op types that the embedded engine lacks.
    fn write_lacks(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.lacks.is_empty() {
            return writeln!(out, "\nthe embedded engine runs all of its op types");
        }
        writeln!(out, "\nthe embedded engine lacks:")?;
        for (op_type, nodes) in &self.lacks {
            let more = nodes.len().saturating_sub(NAMED);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            let named = &nodes[..nodes.len().min(NAMED)];
            writeln!(out, "  {}  {}{more}", escaped(op_type), escaped(named.join(", ")))?;
        }
        Ok(())
    }
}

/// Returns an op type, with the reason if the engine runs only some of its operations.
fn lacking(lack: MissingKernel<'_>) -> String {
    match lack.reason {
        Some(reason) => format!("{}: {reason}", lack.op_type),
        None => lack.op_type.to_owned(),
    }
}

/// Returns the word after the head of an empty list.
fn none_if(none: bool) -> &'static str {
    if none { " none" } else { "" }
}

/// Returns true for a placeholder that a caller would feed.
fn is_input(operation: &Operation) -> bool {
    matches!(operation.op_type(), "Placeholder" | "PlaceholderV2" | "PlaceholderWithDefault")
        && operation.num_outputs() == 1
        // The input of a saver is not an input of the model.
        && operation.output(0).dtype() != monitored_session::session_core::DType::String
        || operation.op_type() == "Placeholder"
}

/// Describes a tensor as a JSON object. Unknown sizes are -1; an unknown rank is `null`.
fn tensor_as_json(output: &Output) -> Json {
    json!({"name": output.name(), "dtype": output.dtype().name(), "shape": output.shape().sizes()})
}

/// Returns the sizes of an operation's first output; `None` for an unknown rank.
fn sizes(operation: &Operation) -> Option<Vec<i64>> {
    operation.output(0).shape().sizes().map(<[i64]>::to_vec)
}

/// Returns the kind and number of a collection's items.
fn count(def: &proto::CollectionDef) -> (&'static str, usize) {
    use proto::Collection;
    match &def.kind {
        None => ("items", 0),
        Some(Collection::Nodes(list)) => ("operations or tensors", list.value.len()),
        Some(Collection::Bytes(list)) => ("messages or strings", list.value.len()),
        Some(Collection::Ints(list)) => ("integers", list.value.len()),
        Some(Collection::Floats(list)) => ("numbers", list.value.len()),
        Some(Collection::Any(_)) => ("of any kind", 1),
    }
}
