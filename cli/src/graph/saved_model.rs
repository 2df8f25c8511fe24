//! The description of a SavedModel: tags, signatures, assets, and each graph.
//!
//! Each meta graph has its own tags, signatures and assets, and is imported into a graph of its own. A signature that
//! names a missing tensor is shown with its error, so that the others can still be read. An asset that the graph
//! needs but the folder lacks is marked as missing, since loading the model would fail with it.
//!
//! # Output
//!
//! Each meta graph begins with a line of its tags and the version of TensorFlow that wrote it. The parts of
//! `show` follow, and then the assets: the name of the file, and the tensor that is fed its path.
//!
//! A row of a signature has the side, the name, dtype and shape, and the tensor of the graph. A sparse or
//! composite value has a head row without a tensor, and a row for each component, such as `x/values`.
//! `optional` marks an input that a call may omit.
//!
//! With `--json` there is one object with the list `meta_graphs`. In a signature, a dense value has the key
//! `tensor` and others have `components`; a signature whose tensors are not found has `error` instead of
//! inputs and outputs.

use super::show::Summary;
use crate::model::graph_file::import;
use crate::output::{Outcome, Result, write_json};
use monitored_session::graph_def::Imported;
use monitored_session::graph_def::proto::SignatureDef;
use monitored_session::saved_model::{
    Layout, SavedModelFolder, SignatureTensor, SignatureTensors, TaggedGraph,
};
use monitored_session::session_core::{Error, Graph};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::io::{self, Write};
use tensor::text::escaped;

/// A signature with the tensors of the graph that it names.
pub(super) struct SignatureSummary {
    /// The name of the signature.
    name: String,
    /// The method name, such as `tensorflow/serving/predict`.
    method: String,
    /// The error of a signature that names a missing tensor.
    tensors: std::result::Result<SignatureTensors, Error>,
}

/// Finds the tensors of all signatures.
pub(super) fn signatures(
    imported: &Imported,
    signatures: &BTreeMap<String, SignatureDef>,
) -> Vec<SignatureSummary> {
    let summary = |(name, def): (&String, &SignatureDef)| SignatureSummary {
        name: name.clone(),
        method: def.method_name.clone(),
        tensors: SignatureTensors::of(imported, name, def),
    };
    signatures.iter().map(summary).collect()
}

/// Shows meta graphs of a folder.
pub(super) fn show(
    folder: &SavedModelFolder,
    meta_graphs: &[TaggedGraph<'_>],
    as_json: bool,
    out: &mut dyn Write,
) -> Result {
    let mut shown = Vec::new();
    for meta_graph in meta_graphs {
        // Meta graphs of one folder often have the same names, so each needs a graph of its own.
        let graph = Graph::new();
        let meta = import(&graph, meta_graph.message(), folder.path())?;
        let (summary, assets) = (Summary::of(meta_graph.message(), &meta), meta_graph.assets()?);
        let version = meta.info.tensorflow_version.clone();
        if as_json {
            let mut json = summary.as_json();
            json["tags"] = json!(meta_graph.tags());
            json["tensorflow_version"] = json!(version);
            let asset = |asset: &monitored_session::saved_model::Asset| json!({"filename": asset.filename, "tensor": asset.tensor, "exists": asset.path.is_file()});
            json["assets"] = assets.iter().map(asset).collect();
            shown.push(json);
            continue;
        }
        let tags: Vec<String> = meta_graph.tags().iter().map(|tag| format!("'{tag}'")).collect();
        let by = if version.is_empty() { String::new() } else { format!(", by TensorFlow {version}") };
        let gap = if shown.is_empty() { "" } else { "\n" };
        writeln!(out, "{gap}meta graph {{{}}}{}", escaped(tags.join(", ")), escaped(by))?;
        summary.write(out)?;
        if !assets.is_empty() {
            writeln!(out, "\nassets:")?;
        }
        for asset in &assets {
            let missing = if asset.path.is_file() { "" } else { "  (missing)" };
            writeln!(out, "  {}  {}{missing}", escaped(&asset.filename), escaped(&asset.tensor))?;
        }
        shown.push(Json::Null);
    }
    if as_json {
        write_json(out, &json!({ "meta_graphs": shown }), true)?;
    } else if shown.is_empty() {
        writeln!(out, "the SavedModel holds no meta graph")?;
    }
    Ok(Outcome::Good)
}

/// Describes signatures as a JSON object, by their names.
pub(super) fn signatures_as_json(signatures: &[SignatureSummary]) -> Json {
    let tensors = |tensors: &[SignatureTensor]| -> Json {
        let each = tensors.iter().map(|tensor| {
            let parts: Vec<Json> = tensor
                .tensors()
                .map(|(part, output)| json!({"component": part, "tensor": output.name()}))
                .collect();
            let mut json = json!({
                "dtype": tensor.dtype().name(),
                "shape": tensor.shape().sizes(),
                "layout": layout(tensor.layout()),
            });
            match (tensor.layout(), tensor.tensors().next()) {
                // Dense tensors, which nearly all are, have the plain form; the list of components is for the
                // others.
                (Layout::Dense, Some((_, output))) => json["tensor"] = output.name().into(),
                _ => json["components"] = parts.into(),
            }
            (tensor.name().to_owned(), json)
        });
        Json::Object(each.collect())
    };
    let each = signatures.iter().map(|signature| {
        let json = match &signature.tensors {
            Ok(found) => json!({
                "method_name": signature.method,
                "inputs": tensors(&found.inputs),
                "outputs": tensors(&found.outputs),
            }),
            Err(error) => json!({"method_name": signature.method, "error": error.to_string()}),
        };
        (signature.name.clone(), json)
    });
    Json::Object(each.collect())
}

/// Returns the name of a layout in the output.
fn layout(layout: Layout) -> &'static str {
    match layout {
        Layout::Dense => "dense",
        Layout::Sparse => "sparse",
        _ => "composite",
    }
}

/// Writes the signatures as a table: the name, the dtype and shape, and the tensor of the graph.
pub(super) fn write_signatures(out: &mut dyn Write, signatures: &[SignatureSummary]) -> io::Result<()> {
    if signatures.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nsignatures:")?;
    for SignatureSummary { name, method, tensors } in signatures {
        writeln!(out, "  {}  {}", escaped(name), escaped(method))?;
        let found = match tensors {
            Ok(found) => found,
            Err(error) => {
                writeln!(out, "    {error}")?;
                continue;
            }
        };
        let sides = [("input", &found.inputs), ("output", &found.outputs)];
        let rows: Vec<[String; 4]> = sides
            .iter()
            .flat_map(|(side, tensors)| tensors.iter().flat_map(|tensor| rows(side, tensor)))
            .collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths = [width(0), width(1), width(2)];
        for [side, name, kind, tensor] in &rows {
            let [first, second, third] = widths;
            writeln!(out, "    {side:first$}  {name:second$}  {kind:third$}  {tensor}")?;
        }
    }
    Ok(())
}

/// Returns the rows of an input or output: one for a dense tensor; for sparse and composite ones a head row and one
/// for each component.
fn rows(side: &str, tensor: &SignatureTensor) -> Vec<[String; 4]> {
    let optional = if side == "input" && tensor.is_optional() { " optional" } else { "" };
    let row = |name: &str, kind: String, tensor: &str| {
        [side.to_owned(), escaped(name).to_string(), kind, escaped(tensor).to_string()]
    };
    let kind = format!("{} {}{optional}", tensor.dtype(), tensor.shape());
    match tensor.layout() {
        Layout::Dense => match tensor.tensors().next() {
            Some((_, output)) => vec![row(tensor.name(), kind, &output.name())],
            // A signature of TensorFlow 2 may name an operation without an output.
            None => vec![row(tensor.name(), "operation".to_owned(), "")],
        },
        layout_of => {
            let first = row(tensor.name(), format!("{} {kind}", layout(layout_of)), "");
            let parts = tensor.tensors().map(|(part, output)| {
                let name = format!("{}/{part}", tensor.name());
                row(&name, format!("{} {}", output.dtype(), output.shape()), &output.name())
            });
            [first].into_iter().chain(parts).collect()
        }
    }
}
