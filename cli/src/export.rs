//! `monitored export`: writes a SavedModel or a frozen graph from a meta graph and a checkpoint.
//!
//! A SavedModel is written from a session that has restored the variables. A frozen graph is made without a session:
//! the checkpoint provides the values of the variables, and each becomes a constant.
//!
//! # What is left out
//!
//! A frozen graph has only the operations between the inputs and the outputs. Queues, savers and the training are cut
//! off. With `--optimize`, operations without effect in inference are removed, and batch normalization is folded into
//! the weights before it, which changes results by rounding only.
//!
//! A SavedModel keeps the whole graph, so it can be trained further, but loses requested devices.
//!
//! A file is written under a temporary name first, and a SavedModel into an empty folder only. An export that fails
//! leaves no model that looks complete.
//!
//! # Names
//!
//! A tensor without a key is called by the last part of its operation's name: `--input layer/x:0` is `x` in
//! the signature. In a frozen graph keys have no effect, since tensors keep their names.

use crate::model::folder::{folder_of, saved_model, tags_of};
use crate::model::graph_file::import;
use crate::output::{Outcome, Result};
use crate::run::DEFAULT_SIGNATURE;
use monitored_session::checkpoint::{CheckpointReader, RestoreOptions};
use monitored_session::embedded_engine::EmbeddedEngine;
use monitored_session::graph_def::proto::{GraphDef, MetaGraphDef};
use monitored_session::graph_def::{read_graph_file, write_graph};
use monitored_session::saved_model::graph_util::{
    FreezeOptions, VariableValues, convert_variables_to_constants, optimize_for_inference, strip_unused,
};
use monitored_session::saved_model::{
    LoadOptions, MetaGraphOptions, SavedModel, SavedModelBuilder, SavedModelFolder, SignatureTensor,
    find_operation, find_tensor, load_variables, predict_signature_def, tags,
};
use monitored_session::session_core::{Engine, Error, FileAccess, Graph, Output, SessionConfig};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// Makes a model to be asked out of a meta graph and a checkpoint: a SavedModel, or with `--frozen` a graph file that holds its
/// own values.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The meta graph (`.meta`) or graph (`.pb`), in binary form or as text (`.pbtxt`); with `--frozen` also the folder of a
    /// SavedModel.
    #[arg(long, value_name = "FILE")]
    meta: PathBuf,
    /// The prefix of the checkpoint with the variables, such as `run/model.ckpt-1000`. A SavedModel brings its own.
    #[arg(long, value_name = "PREFIX")]
    checkpoint: Option<PathBuf>,
    /// The folder of the SavedModel, which must not exist or be empty; with `--frozen` the file.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Write a graph file with constants instead of variables.
    #[arg(long)]
    frozen: bool,
    /// With `--frozen`: leave out what only a training needs, and fold batch norms into convolutions.
    #[arg(long, requires = "frozen")]
    optimize: bool,
    /// An input: the name of a tensor, or `KEY=TENSOR` to call it otherwise in the signature; can be given several times.
    /// Default: the inputs of a SavedModel's signature.
    #[arg(long = "input", value_name = "[KEY=]TENSOR")]
    inputs: Vec<TensorArgument>,
    /// An output, as an input is named; can be given several times. Default: the outputs of a SavedModel's signature.
    #[arg(long = "output", value_name = "[KEY=]TENSOR")]
    outputs: Vec<TensorArgument>,
    /// The operation that initializes tables whenever the model is loaded.
    #[arg(long, value_name = "NAME", conflicts_with = "frozen")]
    init_op: Option<String>,
    /// The name of the signature.
    #[arg(long, value_name = "NAME", default_value = DEFAULT_SIGNATURE)]
    signature: String,
    /// The tags of the SavedModel's meta graph. Default: those of its only one, or `serve`.
    #[arg(long, value_name = "TAG,...", value_delimiter = ',', requires = "frozen")]
    tags: Option<Vec<String>>,
}

/// `TENSOR` or `KEY=TENSOR`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TensorArgument {
    /// The name in the signature.
    key: String,
    /// The name of the tensor in the graph.
    tensor: String,
}

impl FromStr for TensorArgument {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<TensorArgument, String> {
        let last = |tensor: &str| {
            // The name of a tensor has scopes and an index, which make no good key.
            let operation = tensor.strip_suffix(":0").unwrap_or(tensor);
            operation.rsplit('/').next().unwrap_or(operation).to_owned()
        };
        let (key, tensor) = match text.split_once('=') {
            Some((key, tensor)) => (key.to_owned(), tensor),
            None => (last(text), text),
        };
        if key.is_empty() || tensor.is_empty() {
            return Err("it must be TENSOR or KEY=TENSOR".to_owned());
        }
        Ok(TensorArgument { key, tensor: tensor.to_owned() })
    }
}

impl Arguments {
    /// Writes the model, and prints its path.
    pub(crate) fn run(self, out: &mut dyn Write) -> Result {
        match saved_model(&self.meta) {
            Some(folder) => self.freeze_saved_model(&folder)?,
            None => {
                let message = read_graph_file(&self.meta)?;
                let Some(checkpoint) = &self.checkpoint else {
                    return Err(
                        Error::value("name the checkpoint with the variables: --checkpoint PREFIX").into()
                    );
                };
                // A signature would provide the names; a graph file has none, so they must be given.
                for (tensors, option) in [(&self.inputs, "--input"), (&self.outputs, "--output")] {
                    if tensors.is_empty() {
                        let text = format!("a graph file has no signature: name its tensors with {option}");
                        return Err(Error::value(text).into());
                    }
                }
                if self.frozen && self.tags.is_some() {
                    let text = format!("'{}' is a graph file, which has no tags", self.meta.display());
                    return Err(Error::value(text).into());
                }
                match self.frozen {
                    true => self.freeze(message, checkpoint)?,
                    false => self.save(&message, checkpoint)?,
                }
            }
        }
        writeln!(out, "{}", tensor::text::escaped(self.to.display()))?;
        Ok(Outcome::Good)
    }

    /// Freezes a graph file, with values from a checkpoint.
    fn freeze(&self, message: MetaGraphDef, checkpoint: &Path) -> std::result::Result<(), Error> {
        let values = CheckpointReader::open(checkpoint)?;
        let (inputs, outputs) = (tensors(&self.inputs), tensors(&self.outputs));
        self.write_frozen(&message.graph_def.unwrap_or_default(), &values, &inputs, &outputs)
    }

    /// Freezes a signature of a SavedModel, with the values that its variables have when it is loaded.
    fn freeze_saved_model(&self, folder: &Path) -> std::result::Result<(), Error> {
        if !self.frozen || self.checkpoint.is_some() {
            let text = format!(
                "'{}' is a SavedModel, which brings its variables: it can be exported with --frozen, and without --checkpoint",
                folder.display()
            );
            return Err(Error::value(text));
        }
        let opened = SavedModelFolder::open(folder)?;
        let meta_graph = match &self.tags {
            Some(tags) => opened.meta_graph(tags_of(tags))?,
            None => opened.default_meta_graph()?,
        };
        let graph = meta_graph.message().graph_def.clone().unwrap_or_default();
        // Loaded with the engine rather than read from files, because variables may be set by initializers
        // and not only by the checkpoint.
        let model = SavedModel::of(meta_graph, &LoadOptions::new().engine(Arc::new(EmbeddedEngine::new())))?;
        let (mut inputs, mut outputs) = (tensors(&self.inputs), tensors(&self.outputs));
        if inputs.is_empty() || outputs.is_empty() {
            let signature = model.signature(&self.signature)?;
            let names = |side: &[SignatureTensor]| -> Vec<String> {
                side.iter().flat_map(SignatureTensor::tensors).map(|(_, tensor)| tensor.name()).collect()
            };
            // Each side has its own default, so that one may be given without the other.
            if inputs.is_empty() {
                inputs = names(signature.inputs());
            }
            if outputs.is_empty() {
                outputs = names(signature.outputs());
            }
        }
        self.write_frozen(&graph, &**model.session(), &inputs, &outputs)
    }

    /// Reduces the graph to what the outputs need, replaces variables by constants, and writes it.
    fn write_frozen(
        &self,
        graph: &GraphDef,
        values: &(impl VariableValues + ?Sized),
        inputs: &[String],
        outputs: &[String],
    ) -> std::result::Result<(), Error> {
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
        // Cut first: what the inputs stand for needs no value.
        let graph = strip_unused(graph, &inputs, &outputs)?;
        let frozen = convert_variables_to_constants(values, &graph, &outputs, &FreezeOptions::new())?;
        let frozen = if self.optimize { optimize_for_inference(&frozen, &inputs, &outputs)? } else { frozen };
        write_graph(&self.to, &frozen)
    }

    /// Writes a SavedModel with one meta graph, whose tag is `serve`. Devices are cleared, because the machine that
    /// serves has others.
    fn save(&self, message: &MetaGraphDef, checkpoint: &Path) -> std::result::Result<(), Error> {
        let meta = import(&Graph::new(), message, &self.meta)?;
        let graph = &meta.graph;
        // Initializers of imported graphs may read files, such as vocabularies, and those of the model
        // suffice.
        let access =
            FileAccess::nothing().allow_read(folder_of(&self.meta)).allow_read(folder_of(checkpoint));
        let config = SessionConfig::default().file_access(access);
        let signature = {
            let (inputs, outputs) = (found(graph, &self.inputs)?, found(graph, &self.outputs)?);
            predict_signature_def(pairs(&inputs), pairs(&outputs))?
        };
        let init_op = self.init_op.as_deref().map(|name| find_operation(graph, name)).transpose()?;
        let session = EmbeddedEngine::new().new_session(graph, "", &config)?;
        load_variables(&*session, meta.saver.as_ref(), checkpoint, &RestoreOptions::new())?;
        // Devices of the training machine would make the model unusable elsewhere.
        let mut options = MetaGraphOptions::new().signature(&self.signature, signature).clear_devices(true);
        if let Some(saver) = &meta.saver {
            options = options.saver(saver);
        }
        if let Some(operation) = &init_op {
            options = options.init_op(operation);
        }
        let mut builder = SavedModelBuilder::new(Path::new(&self.to))?;
        builder.add_meta_graph_and_variables(&*session, [tags::SERVING], &options)?;
        builder.save()?;
        Ok(())
    }
}

/// Returns the names of the tensors of arguments.
fn tensors(arguments: &[TensorArgument]) -> Vec<String> {
    arguments.iter().map(|argument| argument.tensor.clone()).collect()
}

/// Finds the tensors of arguments, and returns them by their keys.
fn found(graph: &Graph, arguments: &[TensorArgument]) -> std::result::Result<Vec<(String, Output)>, Error> {
    arguments
        .iter()
        .map(|argument| Ok((argument.key.clone(), find_tensor(graph, &argument.tensor)?)))
        .collect()
}

/// Borrows keys and tensors as a signature expects them.
fn pairs(tensors: &[(String, Output)]) -> impl Iterator<Item = (&str, &Output)> {
    tensors.iter().map(|(key, output)| (key.as_str(), output))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_last_part_of_names() {
        let read =
            |text: &str| text.parse::<TensorArgument>().map(|argument| (argument.key, argument.tensor));
        assert_eq!(read("layer/x:0"), Ok(("x".to_owned(), "layer/x:0".to_owned())));
        assert_eq!(read("image=layer/x:1"), Ok(("image".to_owned(), "layer/x:1".to_owned())));
        assert!(read("=x").is_err() && read("x=").is_err() && read("").is_err());
    }
}
