//! `monitored run`: calls a SavedModel, a frozen graph, or a meta graph with a checkpoint.
//!
//! The three kinds of models differ in where values of variables come from: a SavedModel brings them, a frozen graph
//! has constants, and a meta graph needs a checkpoint or its own initializers.
//!
//! # Repeated runs
//!
//! `--times` and `--json-lines`, and graphs with iterators, run in one session until the end of the input. Otherwise
//! the graph runs once. The end of the input in the first run is an error, since nothing was computed; later it is
//! the normal end.
//!
//! # Access to files
//!
//! The operations of a model may read the folder of the model and of its checkpoint. Further folders have to be
//! allowed, because a model from elsewhere should not read or write the user's files.
//!
//! # Values of variables
//!
//! | model | values | initialized besides |
//! |---|---|---|
//! | a SavedModel | its own | as its init op says |
//! | a graph file without `--checkpoint` | constants; in repeated runs also the initializers of the graph | in repeated runs local variables, tables, iterators |
//! | a graph file with `--checkpoint` | the checkpoint | local variables and tables; in repeated runs iterators |

use crate::iterators::{initializers, take_input};
use crate::model::folder::{folder_of, saved_model, tags_of};
use crate::model::graph_file::import;
use crate::model::inputs::InputArgument;
use crate::model::json;
use crate::model::outputs::{OutputArgument, deliver};
use crate::output::{Outcome, Result, write_json};
use crate::train::EngineName;
use monitored_session::checkpoint::RestoreOptions;
use monitored_session::graph_def::proto::MetaGraphDef;
use monitored_session::graph_def::{MetaGraph, read_graph_file};
use monitored_session::ops::variables::global_variables_initializer;
use monitored_session::saved_model::{
    FrozenGraph, LoadOptions, SavedModel, SavedModelFolder, Signature, find_tensor, load_variables,
};
use monitored_session::scaffold::default_local_init_op;
use monitored_session::session_core::keys::{INIT_OP, LOCAL_INIT_OP};
use monitored_session::session_core::{
    Code, DType, Error, FileAccess, Graph, Operation, Output, PartialShape, Session, SessionConfig,
    SessionExt, Tensor,
};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Run a model with the given inputs, and print its outputs or write them to files. A graph that takes its input from datasets
/// or queues runs repeatedly until the input ends.
///
/// MODEL is the folder of a SavedModel, a frozen graph (`.pb`, `.pbtxt`), or a meta graph (`.meta`) with `--checkpoint`. The
/// model's operations may read the files in its folder and in the checkpoint's folder; `--allow-files` adds folders.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The model.
    model: PathBuf,
    /// The tags of the SavedModel's meta graph, separated by commas; an empty text for one without tags. Default: the only one, or
    /// else `serve`.
    #[arg(long, value_name = "TAGS", value_delimiter = ',')]
    tags: Option<Vec<String>>,
    /// The signature of the SavedModel. Default: `serving_default`, or the only one.
    #[arg(long, value_name = "NAME")]
    signature: Option<String>,
    /// The prefix of the checkpoint with the variables of a graph file, such as `run/model.ckpt-1000`.
    #[arg(long, value_name = "PREFIX")]
    checkpoint: Option<PathBuf>,
    /// An input: `NAME=FILE.npy`, `NAME=FILE.npz:ARRAY`, `NAME=FILE.json`, `NAME=FILE.txt`, `NAME=@FILE` for a file's bytes, or
    /// `NAME=JSON` as in `x=[[1, 2]]`. Repeatable. Components of sparse and ragged inputs are `NAME/values`,
    /// `NAME/indices`, `NAME/dense_shape` and `NAME/0`, `NAME/1`.
    #[arg(long = "input", value_name = "NAME=VALUE")]
    inputs: Vec<InputArgument>,
    /// An output to print, or to write to a file (`NAME=FILE.npy`, `.json` or `.txt`). Repeatable. Default:
    /// all outputs of the signature.
    #[arg(long = "output", value_name = "NAME[=FILE]")]
    outputs: Vec<OutputArgument>,
    /// A tensor of the graph to print, with or without `:0`. Repeatable.
    #[arg(long = "fetch", value_name = "NAME")]
    fetches: Vec<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// The number of runs of a graph. Default: until the end of its input, or once if it has none.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    times: Option<u64>,
    /// Print one JSON object per line for each run of a graph: `{"fetches": {NAME: value}}`.
    #[arg(long, conflicts_with = "json")]
    json_lines: bool,
    /// The engine that runs the model.
    #[arg(long, value_enum, default_value = "embedded")]
    engine: EngineName,
    /// A further folder whose files the model may read and write. Repeatable.
    #[arg(long = "allow-files", value_name = "DIR")]
    allow_files: Vec<PathBuf>,
}

/// The signature that is used by default, TensorFlow's name for it.
pub(crate) const DEFAULT_SIGNATURE: &str = "serving_default";

impl Arguments {
    /// Runs the model once, or repeatedly for graphs with an input.
    pub(crate) fn run(self, out: &mut dyn Write) -> Result {
        let values = match saved_model(&self.model) {
            // A SavedModel is called, and a call has one result.
            Some(_) if self.times.is_some() || self.json_lines => {
                return Err(Error::value("--times and --json-lines are for graph files").into());
            }
            Some(folder) => self.of_saved_model(&folder)?,
            None => {
                let message = read_graph_file(&self.model)?;
                // A graph with iterators has an end of its own, so it runs until then.
                if self.times.is_some() || self.json_lines || has_iterators(&message) {
                    return self.repeated(&message, out);
                }
                self.of_graph(message)?
            }
        };
        deliver(out, &values, &self.outputs, self.json)?;
        Ok(Outcome::Good)
    }

    /// Returns the options to load a SavedModel.
    fn options(&self) -> std::result::Result<LoadOptions, Error> {
        let options = LoadOptions::new().engine(self.engine.local()?);
        Ok(self.allow_files.iter().fold(options, |options, folder| options.allow_files(folder)))
    }

    /// Calls a signature, and returns its outputs. Components of sparse and ragged outputs become separate tensors,
    /// `NAME/PART`.
    fn of_saved_model(&self, folder: &Path) -> std::result::Result<Vec<(String, Tensor)>, Error> {
        // Tensors by name need no signature.
        if !self.fetches.is_empty() {
            return self.fetched_of_saved_model(folder);
        }
        let model = self.load(folder)?;
        let mut signature = self.signature(&model)?;
        if !self.outputs.is_empty() {
            signature = signature.with_outputs(self.outputs.iter().map(|output| &output.name))?;
        }
        let mut inputs = Vec::new();
        for argument in &self.inputs {
            let (dtype, shape) = wanted(&signature, &argument.name)?;
            inputs.push((argument.name.clone(), argument.read(dtype, &shape)?));
        }
        let mut values = Vec::new();
        for (name, value) in signature.run(inputs)? {
            let output = signature.outputs().iter().find(|output| output.name() == name);
            let parts: Vec<String> = output
                .into_iter()
                .flat_map(|output| output.tensors())
                .map(|(part, _)| part.to_owned())
                .collect();
            let tensors = value.components().into_iter().cloned();
            // A dense output has one part without a name.
            let name_of = |part: &str| if part.is_empty() { name.clone() } else { format!("{name}/{part}") };
            values.extend(parts.iter().map(|part| name_of(part)).zip(tensors));
        }
        Ok(values)
    }

    /// Loads the meta graph that the tags select.
    fn load(&self, folder: &Path) -> std::result::Result<SavedModel, Error> {
        if self.checkpoint.is_some() {
            return Err(Error::value("a SavedModel brings its variables: --checkpoint is for graph files"));
        }
        let folder = SavedModelFolder::open(folder)?;
        let meta_graph = match &self.tags {
            Some(tags) => folder.meta_graph(tags_of(tags))?,
            None => folder.default_meta_graph()?,
        };
        SavedModel::of(meta_graph, &self.options()?)
    }

    /// Selects the signature: by name, the only one, or the default.
    fn signature(&self, model: &SavedModel) -> std::result::Result<Signature, Error> {
        if let Some(name) = &self.signature {
            return model.signature(name);
        }
        let names: Vec<&str> = model.signature_names().collect();
        match names.as_slice() {
            [] => Err(Error::value("the SavedModel has no signature: name the tensors with --fetch")),
            [only] => model.signature(only),
            names if names.contains(&DEFAULT_SIGNATURE) => model.signature(DEFAULT_SIGNATURE),
            names => Err(Error::value(format!("name the signature with --signature: {}", names.join(", ")))),
        }
    }

    /// Tensors of a SavedModel's graph, by their names there.
    fn fetched_of_saved_model(&self, folder: &Path) -> std::result::Result<Vec<(String, Tensor)>, Error> {
        let model = self.load(folder)?;
        self.fetched(model.session(), &|name| find_tensor(model.graph(), name))
    }

    /// Runs a graph file once: a frozen graph, or one with a checkpoint.
    fn of_graph(&self, message: MetaGraphDef) -> std::result::Result<Vec<(String, Tensor)>, Error> {
        self.check_graph_options()?;
        match &self.checkpoint {
            // With a checkpoint the file is a meta graph; without one it must hold its values.
            Some(prefix) => {
                let session = self.restored(&message, prefix)?;
                self.fetched(&session, &|name| find_tensor(session.graph(), name))
            }
            None => {
                let graph = FrozenGraph::of(&self.model, &message, &self.options()?)?;
                self.fetched(graph.session(), &|name| graph.tensor(name))
            }
        }
    }

    /// Checks that no option is given that only a SavedModel has.
    fn check_graph_options(&self) -> std::result::Result<(), Error> {
        if self.tags.is_some() || self.signature.is_some() {
            let text =
                format!("'{}' is a graph file, which has neither tags nor signatures", self.model.display());
            return Err(Error::value(text));
        }
        Ok(())
    }

    /// A session of a meta graph with the variables of a checkpoint.
    fn restored(
        &self,
        message: &MetaGraphDef,
        prefix: &Path,
    ) -> std::result::Result<Arc<dyn Session>, Error> {
        let meta = self.imported(message)?;
        let (local, session) = (local_init_op(&meta.graph), self.session(&meta.graph)?);
        load_variables(&*session, meta.saver.as_ref(), prefix, &RestoreOptions::new())?;
        // After the variables: local initializers and tables may read them.
        session.run(&local, ())?;
        Ok(session)
    }

    /// Imports the graph of a meta graph.
    fn imported(&self, message: &MetaGraphDef) -> std::result::Result<MetaGraph, Error> {
        import(&Graph::new(), message, &self.model)
    }

    /// A session whose operations reach the files around the model and its checkpoint.
    fn session(&self, graph: &Graph) -> std::result::Result<Arc<dyn Session>, Error> {
        let access = FileAccess::nothing().allow_read(folder_of(&self.model));
        let access =
            self.checkpoint.iter().fold(access, |access, prefix| access.allow_read(folder_of(prefix)));
        let access = self.allow_files.iter().fold(access, |access, folder| access.allow_write(folder));
        let config = SessionConfig::default().file_access(access);
        self.engine.local()?.new_session(graph, "", &config)
    }

    /// Runs a graph again and again: initializes its variables, or loads them, and its tables and iterators.
    fn repeated(&self, message: &MetaGraphDef, out: &mut dyn Write) -> Result {
        self.check_graph_options()?;
        let meta = self.imported(message)?;
        let graph = &meta.graph;
        let request = self.request(&|name| find_tensor(graph, name))?;
        let operations: Vec<Operation> =
            request.fetches.iter().map(|output| output.operation().clone()).collect();
        // The graph's own initializer comes first, which may do more than to set variables.
        let init = graph.collection(&INIT_OP).pop();
        let init = init.unwrap_or_else(|| global_variables_initializer(graph));
        let (local, iterators) = (local_init_op(graph), initializers(graph, &operations));
        // Without an input that ends, the loop would never end.
        let limit = self.times.or((!take_input(&operations)).then_some(1));
        if !self.outputs.is_empty() && (self.json_lines || limit != Some(1)) {
            let text = "--output writes the tensor of one run; name tensors of repeated runs with --fetch and --json-lines";
            return Err(Error::value(text).into());
        }
        let session = self.session(graph)?;
        match &self.checkpoint {
            Some(prefix) => {
                load_variables(&*session, meta.saver.as_ref(), prefix, &RestoreOptions::new())?;
            }
            None => drop(session.run(&init, ())?),
        }
        session.run(&local, ())?;
        // Only now, because the datasets of iterators may read tables and variables.
        session.run(((), &iterators), ())?;
        let mut runs = 0;
        while limit.is_none_or(|limit| runs < limit) {
            let values = match session.run(request.fetches.clone(), request.feeds.clone()) {
                // In the first run nothing was computed, so there the end of the input is an error.
                Err(error) if error.code() == Code::OutOfRange && runs > 0 => break,
                other => other?,
            };
            runs += 1;
            let values: Vec<(String, Tensor)> = request.names.iter().cloned().zip(values).collect();
            if self.json_lines {
                let values = json::from_tensors(values.iter().map(|(name, value)| (name, value)))?;
                let line = serde_json::json!({ "fetches": values });
                write_json(out, &line, false)?;
            } else {
                deliver(out, &values, &self.outputs, self.json)?;
            }
        }
        Ok(Outcome::Good)
    }

    /// Feeds and fetches tensors of a graph.
    fn fetched(
        &self,
        session: &Arc<dyn Session>,
        find: &dyn Fn(&str) -> std::result::Result<Output, Error>,
    ) -> std::result::Result<Vec<(String, Tensor)>, Error> {
        let Request { names, fetches, feeds } = self.request(find)?;
        let values = session.run(fetches, feeds)?;
        Ok(names.into_iter().zip(values).collect())
    }

    /// Finds the tensors to feed and to fetch.
    fn request(
        &self,
        find: &dyn Fn(&str) -> std::result::Result<Output, Error>,
    ) -> std::result::Result<Request, Error> {
        // In the order of the options, and those of `--output` after those of `--fetch`.
        let names = self.fetches.iter().chain(self.outputs.iter().map(|output| &output.name));
        let names: Vec<String> = names.cloned().collect();
        if names.is_empty() {
            let text = "name the tensors to print with --fetch NAME; 'monitored graph show' lists the graph's inputs and outputs";
            return Err(Error::value(text));
        }
        let fetches = names.iter().map(|name| find(name)).collect::<std::result::Result<_, _>>()?;
        let mut feeds = Vec::new();
        for argument in &self.inputs {
            let output = find(&argument.name)?;
            let value = argument.read(output.dtype(), output.shape())?;
            feeds.push((output, value));
        }
        Ok(Request { names, fetches, feeds })
    }
}

/// The tensors to feed and to fetch in a run.
struct Request {
    /// The names of the fetches, for the output.
    names: Vec<String>,
    /// The tensors to fetch.
    fetches: Vec<Output>,
    /// The tensors to feed, with their values.
    feeds: Vec<(Output, Tensor)>,
}

/// Returns true for a graph with iterators.
fn has_iterators(message: &MetaGraphDef) -> bool {
    let nodes = message.graph_def.iter().flat_map(|graph| &graph.node);
    nodes.into_iter().any(|node| node.op.starts_with("IteratorGetNext"))
}

/// Returns the operation that initializes local variables and tables: the one of the graph's collection, or a new
/// one.
fn local_init_op(graph: &Graph) -> Operation {
    graph.collection(&LOCAL_INIT_OP).pop().unwrap_or_else(|| default_local_init_op(graph))
}

/// Returns the dtype and shape of an input, or of a component of one.
fn wanted(signature: &Signature, name: &str) -> std::result::Result<(DType, PartialShape), Error> {
    let output = signature.input_tensor(name)?;
    Ok((output.dtype(), output.shape().clone()))
}
