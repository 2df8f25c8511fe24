//! Powers of decays, which correct the bias of running means that begin with zero.
//!
//! After `t` updates a variable `beta1_power` holds `beta1^(t + 1)`: it begins with the decay itself
//! and is multiplied by it after each step. `1 - beta1_power` is the sum of the weights in the mean,
//! by which the update divides.

use super::UpdateScope;
use crate::math::{cast, mul};
use crate::scalar::Scalar;
use crate::variables::{Value, VariableBuilder, VariableExt};
use session_core::{AsOutput, DType, Graph, Operation, Output, Variable};

/// The power of one decay: the name of the decay, that of the variable, and the decay.
pub(super) type Power<'a> = (&'static str, &'static str, &'a Scalar);

/// Makes the variables, which all trained variables share.
pub(super) fn create(scope: &UpdateScope<'_>, variables: &[Variable], powers: &[Power<'_>]) {
    // The powers are on one device, which does not depend on the order of the variables.
    let Some(first) = variables.iter().min_by_key(|variable| variable.name()) else { return };
    let graph = scope.graph();
    for (_, name, decay) in powers {
        scope.settings().get_or_create_shared(graph, name, || make(graph, name, decay, first));
    }
}

/// Returns a variable of 32-bit floats, as in TensorFlow, whatever the dtypes that are trained.
fn make(graph: &Graph, name: &str, decay: &Scalar, first: &Variable) -> Variable {
    let initial = match decay {
        Scalar::Number(number) => Value::from(*number as f32),
        Scalar::Output(output) => Value::from(output),
    };
    let builder = VariableBuilder::new(&graph.named(name)).trainable(false).initial_value(initial);
    builder.use_resource(first.is_resource()).colocate_with(first).build()
}

/// Returns the power of a decay, in the dtype of a variable that is updated.
pub(super) fn value(scope: &UpdateScope<'_>, name: &str, dtype: DType) -> Output {
    let power = shared(scope, name);
    if power.dtype() == dtype {
        return power.as_output().clone();
    }
    cast(power.as_output().within(scope.graph()), dtype)
}

/// Returns the operations that multiply each power by its decay, after all of `updates`: every variable
/// of a step sees the same power.
pub(super) fn advance(
    scope: &UpdateScope<'_>,
    updates: &[Operation],
    powers: &[Power<'_>],
) -> Vec<Operation> {
    let graph = scope.graph();
    let after = graph.control_dependencies(updates);
    let raise = |(name, power, decay): &Power<'_>| {
        let power = shared(scope, power);
        let decay = scope.hyperparameter(name, decay, power.dtype());
        // The product is on the power's device. Only the assignment waits for the updates: the
        // product reads the power before it.
        let next = mul(power.as_output().within(&power.colocated(&graph.named("mul"))), decay);
        power.assign(next.within(&after))
    };
    powers.iter().map(raise).collect()
}

/// Returns a variable that [`create`] created.
///
/// # Panics
/// Panics if `create_slots` was not called first.
fn shared(scope: &UpdateScope<'_>, name: &str) -> Variable {
    let made = scope.settings().shared(scope.graph(), name);
    made.expect("create_slots makes the powers before anything is updated")
}
