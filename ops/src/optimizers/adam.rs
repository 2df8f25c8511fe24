//! Adam.

use super::{Optimizer, OptimizerSettings, UpdateScope};
use crate::initializers::zeros;
use crate::math::{cast, mul};
use crate::scalar::Scalar;
use crate::training::{APPLY_ADAM, RESOURCE_APPLY_ADAM};
use crate::variables::{Value, VariableBuilder, VariableExt};
use session_core::{AsOutput, DType, Graph, Operation, Output, Variable};

/// Adam (Kingma and Ba): takes steps of about the learning rate, based on running means of the gradient and
/// of its square. Its slots are `m` (the variable `<name>/Adam`) and `v` (`<name>/Adam_1`). The variables
/// `beta1_power` and `beta2_power` are shared by all.
#[derive(Debug)]
pub struct AdamOptimizer {
    settings: OptimizerSettings,
    learning_rate: Scalar,
    beta1: Scalar,
    beta2: Scalar,
    epsilon: Scalar,
}

impl AdamOptimizer {
    /// Creates the optimizer with this learning rate (TensorFlow's default is 0.001), decays of 0.9 and
    /// 0.999, and an epsilon of 1e-8.
    #[must_use]
    pub fn new(learning_rate: impl Into<Scalar>) -> AdamOptimizer {
        AdamOptimizer {
            settings: OptimizerSettings::new("Adam"),
            learning_rate: learning_rate.into(),
            beta1: Scalar::Number(0.9),
            beta2: Scalar::Number(0.999),
            epsilon: Scalar::Number(1e-8),
        }
    }

    /// Sets the decay of the running mean of the gradient.
    #[must_use]
    pub fn beta1(mut self, beta1: impl Into<Scalar>) -> Self {
        self.beta1 = beta1.into();
        self
    }

    /// Sets the decay of the running mean of the gradient's square.
    #[must_use]
    pub fn beta2(mut self, beta2: impl Into<Scalar>) -> Self {
        self.beta2 = beta2.into();
        self
    }

    /// Sets what keeps the division apart from zero: the `epsilon hat` of the paper, outside the correction of the bias.
    #[must_use]
    pub fn epsilon(mut self, epsilon: impl Into<Scalar>) -> Self {
        self.epsilon = epsilon.into();
        self
    }

    fn powers(&self) -> [(&'static str, &'static str, &Scalar); 2] {
        [("beta1", "beta1_power", &self.beta1), ("beta2", "beta2_power", &self.beta2)]
    }

    /// Returns the power of a decay, in the dtype of a variable that is updated.
    fn power(&self, scope: &UpdateScope<'_>, name: &str, dtype: DType) -> Output {
        let power = shared(scope, name);
        if power.dtype() == dtype {
            return power.as_output().clone();
        }
        cast(power.as_output().within(scope.graph()), dtype)
    }
}

/// Returns a variable of 32-bit floats, as in TensorFlow, whatever the dtypes that are trained.
fn make_power(graph: &Graph, name: &str, decay: &Scalar, first: &Variable) -> Variable {
    let initial = match decay {
        Scalar::Number(number) => Value::from(*number as f32),
        Scalar::Output(output) => Value::from(output),
    };
    let builder = VariableBuilder::new(&graph.named(name)).trainable(false).initial_value(initial);
    builder.colocate_with(first).build()
}

fn shared(scope: &UpdateScope<'_>, name: &str) -> Variable {
    let made = scope.settings().shared(scope.graph(), name);
    made.expect("create_slots makes the powers before anything is updated")
}

impl Optimizer for AdamOptimizer {
    fn settings(&self) -> &OptimizerSettings {
        &self.settings
    }

    fn settings_mut(&mut self) -> &mut OptimizerSettings {
        &mut self.settings
    }

    fn create_slots(&self, scope: &UpdateScope<'_>, variables: &[Variable]) {
        // The powers stand on one device, whatever the order of the variables.
        if let Some(first) = variables.iter().min_by_key(|variable| variable.name()) {
            let graph = scope.graph();
            for (_, name, decay) in self.powers() {
                scope.settings().shared_or_make(graph, name, || make_power(graph, name, decay, first));
            }
        }
        for variable in variables {
            scope.settings().slot_or_make(variable, "m", &zeros());
            scope.settings().slot_or_make(variable, "v", &zeros());
        }
    }

    fn update(&self, scope: &UpdateScope<'_>, gradient: &Output, variable: &Variable) -> Operation {
        let dtype = variable.dtype();
        let rate = scope.hyperparameter("learning_rate", &self.learning_rate, dtype);
        let beta1 = scope.hyperparameter("beta1", &self.beta1, dtype);
        let beta2 = scope.hyperparameter("beta2", &self.beta2, dtype);
        let epsilon = scope.hyperparameter("epsilon", &self.epsilon, dtype);
        let builder = scope.update_of(variable, &RESOURCE_APPLY_ADAM, &APPLY_ADAM);
        let builder = builder.input(scope.slot(variable, "m")).input(scope.slot(variable, "v"));
        let builder = builder.input(self.power(scope, "beta1_power", dtype));
        let builder = builder.input(self.power(scope, "beta2_power", dtype));
        builder.input(rate).input(beta1).input(beta2).input(epsilon).input(gradient).finish()
    }

    /// Returns the powers go on when every update has used them.
    fn finish(&self, scope: &UpdateScope<'_>, updates: &[Operation]) -> Vec<Operation> {
        let graph = scope.graph();
        let after = graph.control_dependencies(updates);
        let advance = |(name, power, decay): (&'static str, &str, &Scalar)| {
            let power = shared(scope, power);
            let decay = scope.hyperparameter(name, decay, power.dtype());
            let next = mul(power.as_output().within(&power.beside(&graph.named("mul"))), decay);
            power.assign(next.within(&after))
        };
        self.powers().into_iter().map(advance).collect()
    }
}
