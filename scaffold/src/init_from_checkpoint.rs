//! Initial values from a checkpoint.

use checkpoint::{CheckpointReader, VariableSpec};
use ops::io::restore_v2;
use ops::variables::VariableExt as _;
use session_core::{CollectionKey, Graph, Result, Variable, VariableParts, keys};
use std::path::Path;

/// Initializes variables with values from a checkpoint instead of their own initializers (S-319).
///
/// Each item of the map is the name of a stored tensor and that of a variable, or a pair of scopes such as
/// `("encoder/", "model/")` for all variables below `model/`; `/` stands for the root. Afterwards the graph's collections
/// hold the variables with their new initializers, so that
/// [`global_variables_initializer`](ops::variables::global_variables_initializer) and every scaffold created later use them.
/// A [`Variable`] that the program holds elsewhere keeps its old initializer.
///
/// ```
/// use ops::variables::{global_variables, variable};
/// use session_core::{Graph, Tensor};
/// # let folder = tempfile::tempdir().unwrap();
/// # let prefix = folder.path().join("model.ckpt");
/// # let mut writer = checkpoint::bundle::BundleWriter::create(&prefix)?;
/// # writer.add("encoder/weights", &Tensor::from([1.0f32, 2.0]))?;
/// # writer.finish()?;
/// let graph = Graph::new();
/// let _weights = variable(&graph.named("model/weights"), vec![0.0f32, 0.0]);
/// scaffold::init_from_checkpoint(&graph, &prefix, &[("encoder/", "model/")])?;
/// assert_eq!(global_variables(&graph)[0].initial_value().operation().op_type(), "RestoreV2");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A checkpoint that cannot be read; an item without a match, a scope paired with a name, or a tensor whose dtype or shape
/// differs from the variable's; a finalized graph.
pub fn init_from_checkpoint(graph: &Graph, checkpoint: impl AsRef<Path>, map: &[(&str, &str)]) -> Result<()> {
    let graph = graph.root().without_control_dependencies();
    let variables = graph.collection(&keys::VARIABLES);
    let reader = CheckpointReader::open(checkpoint)?;
    let specs: Vec<VariableSpec> = variables.iter().map(VariableSpec::from).collect();
    for assignment in checkpoint::init_from_checkpoint(&reader, map, &specs)? {
        let variable = &variables[assignment.variable];
        let slice = variable.slice().map(|slice| slice.spec()).unwrap_or_default();
        let named = graph.named("checkpoint_initializer");
        let prefix = reader.path().to_string_lossy();
        let value = restore_v2(&named, &prefix, &[(&assignment.stored, &slice, variable.dtype())]).remove(0);
        let initializer = variable.assign(&value);
        graph.check()?;
        let parts = VariableParts {
            handle: variable.handle().clone(),
            initializer,
            initial_value: value,
            snapshot: variable.snapshot().clone(),
            trainable: variable.is_trainable(),
            slice: variable.slice().cloned(),
        };
        let replacement = Variable::new(parts);
        let renamed = variable.slice().is_none() && replacement.name() != variable.name();
        replace(
            &graph,
            variable,
            &if renamed { replacement.saved_as(variable.name()) } else { replacement },
        )?;
    }
    Ok(())
}

/// Replaces a variable by another in all collections.
fn replace(graph: &Graph, old: &Variable, new: &Variable) -> Result<()> {
    for name in graph.collection_names() {
        let key = CollectionKey::<Variable>::from_name(&name);
        let items = graph.collection(&key);
        if !items.iter().any(|item| item.handle() == old.handle()) {
            continue;
        }
        graph.clear_collection(&key)?;
        for item in items {
            let item = if item.handle() == old.handle() { new.clone() } else { item };
            graph.add_to_collection(&key, item)?;
        }
    }
    Ok(())
}
