//! Conversion of variables into constants.

use super::extract::extract_sub_graph;
use super::functions::Functions;
use super::handles::{Frozen, Handles, Syntax};
use super::node::constant;
use crate::builder::LARGEST_MESSAGE;
use crate::variables;
use checkpoint::CheckpointReader;
use graph_def::proto::{GraphDef, NodeDef};
use session_core::keys::{LOCAL_VARIABLES, VARIABLES};
use session_core::{Error, Output, Result, Session, SessionExt, Tensor, Variable};
use std::collections::{HashMap, HashSet};

/// A source of the values of variables: a checkpoint or a session.
///
/// ```
/// use checkpoint::CheckpointReader;
/// use saved_model::graph_util::VariableValues;
/// # let prefix = "tests/fixtures/frozen_dense/source";
/// let values = CheckpointReader::open(prefix)?.values(&["b".to_owned(), "a".to_owned()])?;
/// assert_eq!(values.len(), 2);
/// # Ok::<(), session_core::Error>(())
/// ```
pub trait VariableValues {
    /// Returns the values of the variables with these names, in this order.
    ///
    /// # Errors
    /// A variable without a value.
    fn values(&self, names: &[String]) -> Result<Vec<Tensor>>;
}

/// The values in a checkpoint, under the variables' names.
impl VariableValues for CheckpointReader {
    fn values(&self, names: &[String]) -> Result<Vec<Tensor>> {
        names.iter().map(|name| Ok(self.read(name)?)).collect()
    }
}

/// The values in a session. Variables that no collection lists are read by an operation that is added to the graph.
impl VariableValues for dyn Session + '_ {
    /// Returns the values of variables by their names.
    fn values(&self, names: &[String]) -> Result<Vec<Tensor>> {
        let graph = self.graph();
        let listed = graph.collection(&VARIABLES).into_iter().chain(graph.collection(&LOCAL_VARIABLES));
        let by_name: HashMap<String, Variable> =
            listed.map(|variable| (variable.handle().operation().name().to_owned(), variable)).collect();
        let value = |name: &String| match by_name.get(name) {
            Some(variable) => Ok(variable.snapshot().clone()),
            // Models of TensorFlow 2 have no collections.
            None => variables::value(&graph.operation(name)?.output(0)),
        };
        let values: Result<Vec<Output>> = names.iter().map(value).collect();
        self.run(values?, ())
    }
}

/// Selects the variables that become constants.
///
/// ```
/// use saved_model::graph_util::FreezeOptions;
/// let all_but_one = FreezeOptions::new().except(["global_step"]);
/// # let _ = all_but_one;
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FreezeOptions {
    /// The variables that are frozen; `None` for all.
    only: Option<HashSet<String>>,
    /// The variables that are not frozen.
    except: HashSet<String>,
}

impl FreezeOptions {
    /// Selects all variables.
    #[must_use]
    pub fn new() -> FreezeOptions {
        FreezeOptions::default()
    }

    /// Selects these variables only; the others stay variables.
    ///
    /// ```
    /// use saved_model::graph_util::FreezeOptions;
    /// let weights = FreezeOptions::new().only(["dense/kernel", "dense/bias"]);
    /// # let _ = weights;
    /// ```
    #[must_use]
    pub fn only(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> FreezeOptions {
        self.only = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Selects all variables except these.
    #[must_use]
    pub fn except(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> FreezeOptions {
        self.except = names.into_iter().map(Into::into).collect();
        self
    }

    /// Returns true if a variable is frozen.
    fn freezes(&self, name: &str) -> bool {
        !self.except.contains(name) && self.only.as_ref().is_none_or(|only| only.contains(name))
    }
}

/// Returns the part of a graph that computes the outputs, with its variables replaced by constants of the same names. Reads of resource
/// variables become `Identity`, and gathers from them become `GatherV2`.
///
/// ```
/// use checkpoint::CheckpointReader;
/// use saved_model::graph_util::{FreezeOptions, convert_variables_to_constants};
/// # let (graph_file, prefix) = ("tests/fixtures/frozen_dense/source.pb", "tests/fixtures/frozen_dense/source");
/// let graph = graph_def::read_graph_file(graph_file)?.graph_def.unwrap_or_default();
/// let values = CheckpointReader::open(prefix)?;
/// let frozen = convert_variables_to_constants(&values, &graph, &["relu"], &FreezeOptions::new())?;
/// assert!(frozen.node.iter().all(|node| !node.op.starts_with("Var")));
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// A key error for an unknown output; a value error if the outputs need an operation that assigns to a variable; `Unimplemented` for a
/// resource variable with another use, such as in a function; a variable without a value; values of 2 GiB or more.
pub fn convert_variables_to_constants(
    values: &(impl VariableValues + ?Sized),
    graph: &GraphDef,
    outputs: &[&str],
    options: &FreezeOptions,
) -> Result<GraphDef> {
    // First the part that is needed: variables outside of it need no value, and the checkpoint may lack them.
    let mut frozen = extract_sub_graph(graph, outputs)?;
    let is_frozen = |node: &&NodeDef| {
        matches!(node.op.as_str(), "VarHandleOp" | "VariableV2" | "Variable") && options.freezes(&node.name)
    };
    let variables: Vec<&NodeDef> = frozen.node.iter().filter(is_frozen).collect();
    let names: Vec<String> = variables.iter().map(|node| node.name.clone()).collect();
    // All values in one call, so that a session reads them in one run.
    let tensors = values.values(&names)?;
    check_size(&names, &tensors)?;
    let mut handles = Handles::default();
    for (node, tensor) in variables.iter().zip(&tensors) {
        match node.op.as_str() {
            "VarHandleOp" => handles.add_resource(&node.name, Frozen::of(tensor)),
            _ => handles.add_reference(&node.name),
        }
    }
    let tensors: HashMap<String, Tensor> = names.into_iter().zip(tensors).collect();
    let mut functions = Functions::of(frozen.library.as_ref());
    // The uses of handles are found before any node changes, because handles pass through other nodes and
    // calls.
    handles.spread(&frozen.node, &functions, Syntax::Graph);
    let mut added = Vec::new();
    for node in &mut frozen.node {
        if let Some(tensor) = tensors.get(&node.name) {
            *node = constant(&node.name, tensor)?;
            continue;
        }
        let new = handles.converted(node, &mut functions, Syntax::Graph, &mut added);
        if let Some(new) = new.map_err(|error| error.with_node(&node.name, &node.op))? {
            *node = new;
        }
    }
    frozen.node.extend(added);
    functions.finish(&mut frozen);
    Ok(frozen)
}

/// Checks that the values fit into a message, before any of it is made.
fn check_size(names: &[String], tensors: &[Tensor]) -> Result<()> {
    let sizes = names.iter().zip(tensors).map(|(name, tensor)| (name, tensor.byte_len()));
    let total: usize = sizes.clone().map(|(_, size)| size).sum();
    match sizes.max_by_key(|(_, size)| *size) {
        Some((name, size)) if total > LARGEST_MESSAGE => Err(Error::invalid_argument(format!(
            "the constants would take {total} bytes, and readers take up to {LARGEST_MESSAGE}: leave large variables out, such as \
             '{name}' of {size} bytes, or export a SavedModel"
        ))),
        _ => Ok(()),
    }
}
