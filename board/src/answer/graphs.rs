//! The graph of a run.
//!
//! A graph is parsed once and cached, together with the shapes that the shape functions of the op library infer.
//! Requests then lay out one scope at a time.
//!
//! # Cache
//!
//! One graph is kept, the last one: a reader opens scope after scope of the same graph. Its key is the name
//! of the run and the place of the graph in the files, so a graph that a resumed training writes again
//! replaces it. Requests for graphs wait for each other, and the second of two for the same graph finds it
//! parsed.

use super::{Answer, Query};
use crate::Error;
use crate::board::Board;
use crate::graph::layout::{Picture, lay_out, subtitle};
use crate::graph::model::{Costs, Input, Model, Node, costs};
use crate::graph::scope::view;
use crate::place::{self, Place};
use bytes::Bytes;
use graph_def::proto::{GraphDef, MetaGraphDef, RunMetadata};
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use std::sync::Arc;
use summary::EventData;

/// The maximum number of inputs and users of an operation that are listed.
const MAX_LISTED: usize = 200;

/// The last graph that was shown, kept so that opening another scope does not read it again.
#[derive(Debug)]
pub(crate) struct Cached {
    /// The name of the run.
    run: String,
    /// The position of the graph in the run's files. A newer graph has another one.
    place: Place,
    /// The parsed graph.
    model: Arc<Model>,
}

impl Board {
    /// Answers `/api/graph`: the layout of a `scope` of a `run`'s graph, with the costs that the run metadata
    /// `metadata` recorded.
    pub(super) fn graph(&self, query: &Query<'_>) -> Result<Answer, Error> {
        let model = self.model(query.need("run")?)?;
        let costs = self.costs(query)?;
        let picture = lay_out(view(&model, query.get("scope").unwrap_or(""), costs.as_ref())?);
        Answer::json(&as_json(&picture, costs.is_some()))
    }

    /// Answers `/api/node`: an operation with its device, attributes, inputs, outputs, users and costs.
    pub(super) fn node(&self, query: &Query<'_>) -> Result<Answer, Error> {
        let (model, name) = (self.model(query.need("run")?)?, query.need("name")?);
        let node =
            model.node(name).ok_or_else(|| Error::NotFound(format!("there is no operation '{name}'")))?;
        let costs = self.costs(query)?;
        let cost = costs.and_then(|costs| costs.get(name).copied());
        let inputs = node.inputs.iter().take(MAX_LISTED).map(|input| end(&model, input));
        let users = model.nodes.iter().filter_map(|user| {
            // Users are found by a search over the graph: a list per operation would take memory for what is
            // rarely asked.
            let input = user.inputs.iter().find(|input| model.nodes[input.node].name == name)?;
            Some(json!({"name": user.name, "control": input.output.is_none()}))
        });
        let (users, inputs): (Vec<Json>, Vec<Json>) = (users.take(MAX_LISTED).collect(), inputs.collect());
        let Node { op, device, outputs, attributes, .. } = node;
        Answer::json(&json!({
            "name": name, "op": op, "device": device, "inputs": inputs, "outputs": outputs, "users": users,
            "attributes": attributes, "nanos": cost.map(|cost| cost.0), "bytes": cost.map(|cost| cost.1),
        }))
    }

    /// Returns the graph of a run, from the cache if possible. A plain graph takes precedence over that of a meta
    /// graph.
    fn model(&self, name: &str) -> Result<Arc<Model>, Error> {
        let shown = self.named(name)?;
        let (place, meta, path) = {
            let run = shown.run();
            // The plain graph has shapes, which the graph of a meta graph usually lacks.
            let place = run.graph.or(run.meta_graph);
            let place = place.ok_or_else(|| Error::NotFound(format!("the run '{name}' has no graph")))?;
            (place, run.graph.is_none(), run.file(place.file).map(PathBuf::from))
        };
        // One at a time: a second request for the same graph finds it made.
        let mut cached = self.cached_graph();
        // The place as well as the name: a resumed training writes its graph again.
        if let Some(cached) = cached.as_ref().filter(|cached| cached.run == name && cached.place == place) {
            return Ok(cached.model.clone());
        }
        let bytes = event_bytes(path, place)?;
        let broken =
            |error: session_core::Error| Error::NotFound(format!("the graph cannot be read: {error}"));
        let graph = match meta {
            false => GraphDef::from_bytes(bytes).map_err(broken)?,
            true => MetaGraphDef::from_bytes(bytes).map_err(broken)?.graph_def.unwrap_or_default(),
        };
        let model = Arc::new(Model::of(&graph));
        *cached = Some(Cached { run: name.to_owned(), place, model: model.clone() });
        Ok(model)
    }

    /// Reads the run metadata that a request names, if it names any.
    fn costs(&self, query: &Query<'_>) -> Result<Option<Costs>, Error> {
        let Some(tag) = query.get("metadata").filter(|tag| !tag.is_empty()) else { return Ok(None) };
        let shown = self.named(query.need("run")?)?;
        let (place, path) = {
            let run = shown.run();
            let place = run.run_metadata.get(tag).copied();
            let place = place.ok_or_else(|| Error::NotFound(format!("there is no run metadata '{tag}'")))?;
            (place, run.file(place.file).map(PathBuf::from))
        };
        let metadata = RunMetadata::from_bytes(event_bytes(path, place)?);
        let metadata =
            metadata.map_err(|error| Error::NotFound(format!("'{tag}' cannot be read: {error}")))?;
        Ok(Some(costs(&metadata)))
    }
}

/// The bytes of a graph or of run metadata.
fn event_bytes(path: Option<PathBuf>, place: Place) -> Result<Bytes, Error> {
    let path = path.ok_or_else(|| Error::NotFound("the event file is gone".to_owned()))?;
    match place::read(&path, place.offset)?.data {
        Some(EventData::Graph(bytes) | EventData::MetaGraph(bytes)) => Ok(bytes),
        Some(EventData::RunMetadata { metadata, .. }) => Ok(metadata),
        _ => Err(Error::NotFound(format!("{} has changed", path.display()))),
    }
}

/// Describes the source of an input: operation, output, and the dtype and shape of that.
fn end(model: &Model, input: &Input) -> Json {
    let node = &model.nodes[input.node];
    let output = input.output.and_then(|output| node.outputs.get(output));
    json!({"name": node.name, "output": input.output, "of": output, "control": input.output.is_none()})
}

/// Writes a layout for the page: boxes and edges with their coordinates in pixels.
fn as_json(picture: &Picture, costs: bool) -> Json {
    let boxes = picture.view.boxes.iter().zip(&picture.places).map(|(item, place)| {
        json!({
            "kind": item.kind.name(), "name": item.name, "label": item.label, "second": subtitle(item),
            "op": item.op, "count": item.count, "output": item.output, "aside": item.aside,
            "x": place.x, "y": place.y, "width": place.width, "height": place.height,
            "nanos": costs.then_some(item.nanos), "bytes": costs.then_some(item.bytes),
        })
    });
    let edges = picture.view.edges.iter().zip(&picture.lines).map(|(edge, points)| {
        json!({
            "from": edge.from, "to": edge.to, "count": edge.count, "labels": edge.labels, "control": edge.control,
            "points": points,
        })
    });
    json!({
        "scope": picture.view.scope, "boxes": boxes.collect::<Vec<_>>(), "edges": edges.collect::<Vec<_>>(),
        "width": picture.width, "height": picture.height, "aside": picture.aside, "more": picture.view.more,
    })
}
