//! `monitored export`: writes a SavedModel or a frozen graph from a meta graph and a checkpoint.

use crate::model::folder::folder_of;
use crate::model::graph_file::import;
use crate::output::{Outcome, Result};
use monitored_session::checkpoint::{CheckpointReader, RestoreOptions};
use monitored_session::embedded_engine::EmbeddedEngine;
use monitored_session::graph_def::proto::{GraphDef, MetaGraphDef};
use monitored_session::graph_def::{read_graph_file, write_graph};
use monitored_session::saved_model::graph_util::{
    FreezeOptions, convert_variables_to_constants, optimize_for_inference, strip_unused,
};
use monitored_session::saved_model::{
    MetaGraphOptions, SavedModelBuilder, find_operation, find_tensor, load_variables, predict_signature_def,
    tags,
};
use monitored_session::session_core::{Engine, Error, FileAccess, Graph, Output, SessionConfig};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Makes a model to be asked out of a meta graph and a checkpoint: a SavedModel, or with `--frozen` a graph file that holds its
/// own values.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The meta graph (`.meta`) or graph (`.pb`), in binary form or as text (`.pbtxt`).
    #[arg(long, value_name = "FILE")]
    meta: PathBuf,
    /// The prefix of the checkpoint with the variables, such as `run/model.ckpt-1000`.
    #[arg(long, value_name = "PREFIX")]
    checkpoint: PathBuf,
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
    #[arg(long = "input", value_name = "[KEY=]TENSOR", required = true)]
    inputs: Vec<TensorArgument>,
    /// An output, as an input is named; can be given several times.
    #[arg(long = "output", value_name = "[KEY=]TENSOR", required = true)]
    outputs: Vec<TensorArgument>,
    /// The operation that initializes tables whenever the model is loaded.
    #[arg(long, value_name = "NAME", conflicts_with = "frozen")]
    init_op: Option<String>,
    /// The name of the signature.
    #[arg(long, value_name = "NAME", default_value = "serving_default", conflicts_with = "frozen")]
    signature: String,
}

/// `TENSOR` or `KEY=TENSOR`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TensorArgument {
    key: String,
    tensor: String,
}

impl FromStr for TensorArgument {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<TensorArgument, String> {
        let last = |tensor: &str| {
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
    pub(crate) fn run(self, out: &mut dyn Write) -> Result {
        let message = read_graph_file(&self.meta)?;
        if self.frozen {
            self.freeze(message)?;
        } else {
            self.save(&message)?;
        }
        writeln!(out, "{}", tensor::text::escaped(self.to.display()))?;
        Ok(Outcome::Good)
    }

    fn freeze(&self, message: MetaGraphDef) -> std::result::Result<(), Error> {
        let graph: GraphDef = message.graph_def.unwrap_or_default();
        let names = |arguments: &'_ [TensorArgument]| -> Vec<String> {
            arguments.iter().map(|argument| argument.tensor.clone()).collect()
        };
        let (inputs, outputs) = (names(&self.inputs), names(&self.outputs));
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
        // Cut first: what the inputs stand for needs no value.
        let graph = strip_unused(&graph, &inputs, &outputs)?;
        let values = CheckpointReader::open(&self.checkpoint)?;
        let frozen = convert_variables_to_constants(&values, &graph, &outputs, &FreezeOptions::new())?;
        let frozen = if self.optimize { optimize_for_inference(&frozen, &inputs, &outputs)? } else { frozen };
        write_graph(&self.to, &frozen)
    }

    fn save(&self, message: &MetaGraphDef) -> std::result::Result<(), Error> {
        let meta = import(&Graph::new(), message, &self.meta)?;
        let graph = &meta.graph;
        let access =
            FileAccess::nothing().allow_read(folder_of(&self.meta)).allow_read(folder_of(&self.checkpoint));
        let config = SessionConfig::default().file_access(access);
        let signature = {
            let (inputs, outputs) = (found(graph, &self.inputs)?, found(graph, &self.outputs)?);
            predict_signature_def(pairs(&inputs), pairs(&outputs))?
        };
        let init_op = self.init_op.as_deref().map(|name| find_operation(graph, name)).transpose()?;
        let session = EmbeddedEngine::new().new_session(graph, "", &config)?;
        load_variables(&*session, meta.saver.as_ref(), &self.checkpoint, &RestoreOptions::new())?;
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

/// The tensors of arguments, by their keys.
fn found(graph: &Graph, arguments: &[TensorArgument]) -> std::result::Result<Vec<(String, Output)>, Error> {
    arguments
        .iter()
        .map(|argument| Ok((argument.key.clone(), find_tensor(graph, &argument.tensor)?)))
        .collect()
}

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
