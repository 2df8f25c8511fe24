//! Initial values from a checkpoint.

use checkpoint::{CheckpointReader, VariableSpec};
use ops::io::restore_v2;
use ops::variables::VariableExt as _;
use session_core::{CollectionKey, Graph, Result, Variable, keys};
use std::path::Path;

/// Initializes variables with values from a checkpoint instead of their own initializers (S-319).
///
/// Each item of the map is the name of a stored tensor and that of a variable, or a pair of scopes such as
/// `("encoder/", "model/")` for all variables below `model/`; `/` stands for the root. Afterwards the variables have their
/// new initializers wherever they are held, so that
/// [`global_variables_initializer`](ops::variables::global_variables_initializer) and every scaffold created later use them.
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
/// let weights = variable(&graph.named("model/weights"), vec![0.0f32, 0.0]);
/// scaffold::init_from_checkpoint(&graph, &prefix, &[("encoder/", "model/")])?;
/// assert_eq!(weights.initial_value().operation().op_type(), "RestoreV2");
/// assert_eq!(global_variables(&graph), [weights]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A checkpoint that cannot be read; an item without a match, a scope paired with a name, or a tensor whose dtype or shape
/// differs from the variable's; a finalized graph.
pub fn init_from_checkpoint(graph: &Graph, checkpoint: impl AsRef<Path>, map: &[(&str, &str)]) -> Result<()> {
    // The caller's scope and control inputs do not apply to initializers.
    let graph = graph.root().without_control_dependencies();
    let variables = graph.collection(&keys::VARIABLES);
    let reader = CheckpointReader::open(checkpoint)?;
    let specs: Vec<VariableSpec> = variables.iter().map(VariableSpec::from).collect();
    for assignment in checkpoint::init_from_checkpoint(&reader, map, &specs)? {
        let variable = &variables[assignment.variable];
        // A partition of a variable is a slice of the stored tensor.
        let slice = variable.slice().map(|slice| slice.spec()).unwrap_or_default();
        let named = graph.named("checkpoint_initializer");
        let prefix = reader.path().to_string_lossy();
        let value = restore_v2(&named, &prefix, &[(&assignment.stored, &slice, variable.dtype())]).remove(0);
        let initializer = variable.assign(&value);
        // An invalid operation must not replace an initializer.
        graph.check()?;
        // The collections may hold the variable in several objects, such as those that were imported.
        for name in graph.collection_names() {
            for listed in graph.collection(&CollectionKey::<Variable>::from_name(&name)) {
                if listed.handle() == variable.handle() && listed.initializer() != &initializer {
                    listed.replace_initializer(&initializer, &value);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops::variables::{global_variables, variable};
    use session_core::Tensor;

    #[test]
    fn a_variable_has_its_new_initializer_wherever_it_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path().join("model.ckpt");
        let mut writer = checkpoint::bundle::BundleWriter::create(&prefix).unwrap();
        writer.add("a", &Tensor::from([1.0f32, 2.0])).unwrap();
        writer.add("b", &Tensor::from([3.0f32, 4.0])).unwrap();
        writer.finish().unwrap();
        let graph = Graph::new();
        let held = variable(&graph.named("w"), vec![0.0f32, 0.0]);
        let (clone, first) = (held.clone().saved_as("other"), held.initializer().clone());
        for stored in ["a", "b"] {
            init_from_checkpoint(&graph, &prefix, &[(stored, "w")]).unwrap();
            let initializer = global_variables(&graph)[0].initializer().clone();
            assert_ne!(initializer, first);
            for variable in [&held, &clone] {
                assert_eq!(variable.initializer(), &initializer);
                let names = variable.initial_value().operation().input(1);
                assert_eq!(names.constant_value().unwrap(), &Tensor::from_strings([stored], [1]).unwrap());
            }
        }
        assert_eq!((held.name(), clone.name()), ("w", "other"));
        assert_eq!(global_variables(&graph), [held]);
    }
}
