//! Optimizers: gradients of a loss, and the operation that takes one training step.
//!
//! ```
//! use ops::global_step::get_or_create_global_step;
//! use ops::optimizers::{AdamOptimizer, Optimizer};
//! # let graph = session_core::Graph::new();
//! # let w = ops::variables::variable(&graph.named("w"), 3.0f32);
//! # let loss = ops::math::square(&w);
//! let step = get_or_create_global_step(&graph);
//! let train_op = AdamOptimizer::new(0.001).minimize(&loss, Some(&step));
//! assert_eq!(train_op.name(), "Adam");
//! # graph.finalize()?;
//! # Ok::<(), session_core::Error>(())
//! ```
//!
//! Slots, such as Adam's moments, are ordinary variables under TensorFlow's names (`w/Adam`, `w/Adam_1`): saved and
//! restored with the model, and not trained.
//!
//! # Choosing an optimizer
//!
//! Every constructor takes the learning rate, as a number or as an output that changes with the global step (see
//! [`learning_rate`](crate::learning_rate)). The other values have TensorFlow's defaults and a setter each.
//!
//! | optimizer | update of `v` with gradient `g` and rate `r` | slots | defaults |
//! | --- | --- | --- | --- |
//! | [`GradientDescentOptimizer`] | `v -= r * g` | none | |
//! | [`MomentumOptimizer`] | `a = m * a + g; v -= r * a` | `momentum` | Nesterov off |
//! | [`AdagradOptimizer`] | `a += g²; v -= r * g / √a` | `accumulator` | initial accumulator 0.1 |
//! | [`AdadeltaOptimizer`] | a ratio of two running means | `accum`, `accum_update` | rho 0.95, epsilon 1e-8 |
//! | [`RMSPropOptimizer`] | `s = d * s + (1 - d) * g²; v -= r * g / √(s + ε)` | `rms`, `momentum`, `mg` if centered | decay 0.9, momentum 0, epsilon 1e-10 |
//! | [`AdamOptimizer`] | bias-corrected means of `g` and `g²` | `m`, `v` | 0.9, 0.999, epsilon 1e-8 |
//! | [`NadamOptimizer`] | as Adam, with Nesterov momentum | `m`, `v` | as Adam |
//! | [`FtrlOptimizer`] | follow the regularized leader | `accum`, `linear` | power -0.5, initial accumulator 0.1 |
//!
//! # Optimizers around optimizers
//!
//! [`GradientAccumulation`], [`LossScaleOptimizer`] and [`MovingAverageOptimizer`] extend another optimizer, in any order. The outer
//! one runs at every step, the inner one only when the outer one applies gradients:
//!
//! | optimizer | effect |
//! | --- | --- |
//! | `LossScaleOptimizer(GradientAccumulation(..))` | leaves gradients that are not finite out of the window |
//! | `GradientAccumulation(LossScaleOptimizer(..))` | skips a whole window with such gradients |
//! | `MovingAverageOptimizer(GradientAccumulation(..))` | moves the averages at every step |
//! | `GradientAccumulation(MovingAverageOptimizer(..))` | moves the averages at the end of each window |
//!
//! [`DecoupledWeightDecay`] and the limits of gradients apply to the innermost optimizer, so their position makes no difference: a
//! variable decays exactly when it is updated.
//!
//! # Errors
//!
//! Nothing in this module returns a `Result`. A loss that is not floating-point, a loss that depends on none of the variables, two
//! limits of gradients at once, or a handle of another graph is recorded as a build error, which
//! [`Graph::finalize`](session_core::Graph::finalize) and every run return with the line that called `minimize`.

/// Defines the methods of an optimizer around another one that are those of the inner one: its settings
/// and the parts of a step; after `steps`, only the latter; after `all`, every method.
macro_rules! of_inner_optimizer {
    (all $self:ident => $inner:expr) => {
        of_inner_optimizer!($self => $inner);

        #[track_caller]
        fn compute_gradients(
            &$self,
            loss: &dyn session_core::AsOutput,
            variables: &[Variable],
        ) -> Vec<$crate::optimizers::GradientAndVariable> {
            $inner.compute_gradients(loss, variables)
        }

        #[track_caller]
        fn apply_gradients(
            &$self,
            gradients: &[$crate::optimizers::GradientAndVariable],
            global_step: Option<&Variable>,
        ) -> Operation {
            $inner.apply_gradients(gradients, global_step)
        }

        fn skips_steps(&$self) -> bool {
            $inner.skips_steps()
        }

        fn slot(&$self, variable: &Variable, name: &str) -> Option<Variable> {
            $inner.slot(variable, name)
        }

        fn variables(&$self) -> Vec<Variable> {
            $inner.variables()
        }
    };
    ($self:ident => $inner:expr) => {
        fn settings(&$self) -> &$crate::optimizers::OptimizerSettings {
            $inner.settings()
        }

        fn settings_mut(&mut $self) -> &mut $crate::optimizers::OptimizerSettings {
            $inner.settings_mut()
        }

        of_inner_optimizer!(steps $self => $inner);
    };
    (steps $self:ident => $inner:expr) => {
        fn create_slots(&$self, scope: &$crate::optimizers::UpdateScope<'_>, variables: &[Variable]) {
            $inner.create_slots(scope, variables);
        }

        fn update(
            &$self,
            scope: &$crate::optimizers::UpdateScope<'_>,
            gradient: &Output,
            variable: &Variable,
        ) -> Operation {
            $inner.update(scope, gradient, variable)
        }

        fn finish(&$self, scope: &$crate::optimizers::UpdateScope<'_>, updates: &[Operation]) -> Vec<Operation> {
            $inner.finish(scope, updates)
        }
    };
}

mod adadelta;
mod adagrad;
mod adam;
mod adamax;
mod clipping;
mod decoupled_weight_decay;
mod ftrl;
mod gradient_accumulation;
mod gradient_descent;
mod lamb;
mod lars;
mod lion;
mod loss_scale;
mod momentum;
mod moving_average;
mod moving_average_optimizer;
mod nadam;
mod powers;
mod rms_prop;
mod slots;
mod sync_replicas;
mod trust_ratio;
mod update;

pub use adadelta::AdadeltaOptimizer;
pub use adagrad::AdagradOptimizer;
pub use adam::AdamOptimizer;
pub use adamax::AdamaxOptimizer;
use clipping::Clipping;
pub use clipping::{clip_by_global_norm, clip_by_norm, clip_by_value, global_norm};
pub use decoupled_weight_decay::{AdamWOptimizer, DecoupledWeightDecay};
pub use ftrl::FtrlOptimizer;
pub use gradient_accumulation::GradientAccumulation;
pub use gradient_descent::GradientDescentOptimizer;
pub use lamb::LambOptimizer;
pub use lars::LarsOptimizer;
pub use lion::LionOptimizer;
pub use loss_scale::{LossScale, LossScaleOptimizer};
pub use momentum::MomentumOptimizer;
pub(crate) use moving_average::assign_moving_average;
pub use moving_average::{ExponentialMovingAverage, moving_average_of};
pub use moving_average_optimizer::MovingAverageOptimizer;
pub use nadam::NadamOptimizer;
pub use rms_prop::RMSPropOptimizer;
pub use slots::OptimizerSettings;
pub use sync_replicas::{SyncReplicasOptimizer, Synchronization};
pub use update::UpdateScope;

use crate::control_flow::{group, no_op};
use crate::gradients::gradients;
use crate::scalar::Scalar;
use crate::state::{ASSIGN_ADD, ASSIGN_ADD_VARIABLE_OP};
use crate::variables::trainable_variables;
use session_core::keys::TRAIN_OP;
use session_core::{AsOutput, Error, Graph, OpDef, Operation, Output, Phase, Result, Variable};
use std::panic::Location;

/// A gradient and the variable that it belongs to. The gradient is `None` if the loss does not depend on the variable.
///
/// ```
/// use ops::optimizers::{GradientAndVariable, GradientDescentOptimizer, Optimizer};
/// # let graph = session_core::Graph::new();
/// let (used, unused) =
///     (ops::variables::variable(&graph.named("used"), 3.0f32), ops::variables::variable(&graph.named("unused"), 1.0f32));
/// let loss = ops::math::square(&used);
/// let found: Vec<GradientAndVariable> =
///     GradientDescentOptimizer::new(0.1).compute_gradients(&loss, &[used, unused]);
/// assert!(found[0].0.is_some());
/// assert!(found[1].0.is_none());
/// # graph.finalize().unwrap();
/// ```
pub type GradientAndVariable = (Option<Output>, Variable);

/// A training method.
///
/// Callers use [`minimize`](Optimizer::minimize), or [`compute_gradients`](Optimizer::compute_gradients) and
/// [`apply_gradients`](Optimizer::apply_gradients) with something between them, such as a mask. A new method
/// implements the first four functions.
///
/// One optimizer has one set of slots for each variable, no matter how often it is applied.
///
/// ```
/// use ops::optimizers::{AdamOptimizer, Optimizer};
/// use ops::variables::{trainable_variables, variable};
/// let graph = session_core::Graph::new();
/// let w = variable(&graph.named("w"), [3.0f32, 4.0]);
/// let loss = ops::nn::l2_loss(&w);
///
/// let optimizer = AdamOptimizer::new(0.001);
/// let mut gradients = optimizer.compute_gradients(&loss, &trainable_variables(&graph));
/// for (gradient, _) in &mut gradients {
///     *gradient = gradient.take().map(|gradient| &gradient * 0.5f32);
/// }
/// let train_op = optimizer.apply_gradients(&gradients, None);
/// assert_eq!(train_op.name(), "Adam");
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
pub trait Optimizer {
    /// Returns the name, the place in the graph, and the slots of this optimizer.
    fn settings(&self) -> &OptimizerSettings;

    /// Returns the settings for modification: [`named`](Optimizer::named), [`within`](Optimizer::within), and the limits of gradients
    /// change them.
    fn settings_mut(&mut self) -> &mut OptimizerSettings;

    /// Creates the slots that these variables need, in this order. Existing slots are left as they are.
    ///
    /// The order determines the names: the second slot of a variable `w` in an optimizer `Adam` is `w/Adam_1`, as in TensorFlow, so that
    /// checkpoints can be exchanged.
    fn create_slots(&self, scope: &UpdateScope<'_>, variables: &[Variable]);

    /// Returns the operation that updates one variable and its slots. `gradient` has the dtype and shape of the variable.
    fn update(&self, scope: &UpdateScope<'_>, gradient: &Output, variable: &Variable) -> Operation;

    /// Returns the operations that run after all variables are updated, such as the one that advances Adam's powers. Default: none.
    fn finish(&self, scope: &UpdateScope<'_>, updates: &[Operation]) -> Vec<Operation> {
        let _ = (scope, updates);
        Vec::new()
    }

    /// Returns true if applying gradients may leave the global step as it is. A dynamic [`LossScale`] skips steps whose gradients
    /// overflow. Default: false.
    fn skips_steps(&self) -> bool {
        false
    }

    /// Sets the name, which is part of the names of operations and slots. Default: the name of the method, such as `Adam`.
    ///
    /// Two optimizers of the same kind need different names if their slots are to have names that do not depend on the order in which the
    /// optimizers are created.
    ///
    /// ```
    /// use ops::optimizers::{MomentumOptimizer, Optimizer};
    /// # let graph = session_core::Graph::new();
    /// let w = ops::variables::variable(&graph.named("w"), 3.0f32);
    /// let optimizer = MomentumOptimizer::new(0.1, 0.9).named("head");
    /// let train_op = optimizer.minimize(&ops::math::square(&w), None);
    /// assert_eq!(train_op.name(), "head");
    /// assert_eq!(optimizer.slot(&w, "momentum").expect("w is trained").name(), "w/head");
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    fn named(mut self, name: &str) -> Self
    where
        Self: Sized,
    {
        self.settings_mut().name = name.to_owned();
        self
    }

    /// Makes everything but slots in the scope, and under the control inputs, of this handle; by default at the
    /// graph's top.
    ///
    /// ```
    /// use ops::optimizers::{AdamOptimizer, Optimizer};
    /// use session_core::keys;
    /// # let graph = session_core::Graph::new();
    /// let updates = graph.collection(&keys::UPDATE_OPS); // of batch normalization
    /// let optimizer = AdamOptimizer::new(0.001).within(&graph.control_dependencies(&updates));
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    fn within(mut self, graph: &Graph) -> Self
    where
        Self: Sized,
    {
        self.settings_mut().place = Some(graph.clone());
        self
    }

    /// Limits each number of the gradients to this magnitude when they are applied. Of the three limits one can be set;
    /// more, or one that is not positive, is recorded as a build error.
    ///
    /// ```
    /// use ops::optimizers::{GradientDescentOptimizer, Optimizer};
    /// # let graph = session_core::Graph::new();
    /// let w = ops::variables::variable(&graph.named("w"), 3.0f32);
    /// GradientDescentOptimizer::new(0.1).clipvalue(0.5).minimize(&ops::math::square(&w), None);
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    fn clipvalue(mut self, limit: impl Into<Scalar>) -> Self
    where
        Self: Sized,
    {
        self.settings_mut().clipping.push(Clipping::Value(limit.into()));
        self
    }

    /// Scales down each gradient whose L2 norm exceeds `limit` when it is applied, as [`clip_by_norm`] does. Each variable is treated on
    /// its own, so the direction of the whole step can change; [`global_clipnorm`](Optimizer::global_clipnorm) keeps it.
    ///
    /// ```
    /// use ops::optimizers::{AdamOptimizer, Optimizer};
    /// # let graph = session_core::Graph::new();
    /// let w = ops::variables::variable(&graph.named("w"), [3.0f32, 4.0]);
    /// let train_op = AdamOptimizer::new(0.001).clipnorm(1.0).minimize(&ops::nn::l2_loss(&w), None);
    /// assert!(train_op.error().is_none());
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    fn clipnorm(mut self, limit: impl Into<Scalar>) -> Self
    where
        Self: Sized,
    {
        self.settings_mut().clipping.push(Clipping::Norm(limit.into()));
        self
    }

    /// Scales down all gradients together when the L2 norm of all of them exceeds `limit`, as [`clip_by_global_norm`] does. This is the
    /// usual protection of recurrent networks against exploding gradients.
    ///
    /// ```
    /// use ops::optimizers::{GradientDescentOptimizer, Optimizer};
    /// # let graph = session_core::Graph::new();
    /// let w = ops::variables::variable(&graph.named("w"), [30.0f32, 40.0]);
    /// let train_op = GradientDescentOptimizer::new(0.1).global_clipnorm(5.0).minimize(&ops::nn::l2_loss(&w), None);
    /// assert!(train_op.error().is_none());
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    fn global_clipnorm(mut self, limit: impl Into<Scalar>) -> Self
    where
        Self: Sized,
    {
        self.settings_mut().clipping.push(Clipping::GlobalNorm(limit.into()));
        self
    }

    /// Returns the operation that takes one training step over all trainable variables and increments the global step. It joins the
    /// collection `train_op`.
    ///
    /// The loss is an output or a variable. A loss that depends on no variable, or is not floating-point, is recorded as a build error. A
    /// loss that is not a scalar is summed, as in TensorFlow.
    ///
    /// ```
    /// use ops::global_step::get_or_create_global_step;
    /// use ops::optimizers::{GradientDescentOptimizer, Optimizer};
    /// let graph = session_core::Graph::new();
    /// let w = ops::variables::variable(&graph.named("w"), 3.0f32);
    /// let step = get_or_create_global_step(&graph);
    /// let train_op = GradientDescentOptimizer::new(0.1).minimize(&ops::math::square(&w), Some(&step));
    /// assert_eq!(graph.collection(&session_core::keys::TRAIN_OP), [train_op]);
    /// # graph.finalize()?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[track_caller]
    fn minimize(&self, loss: &dyn AsOutput, global_step: Option<&Variable>) -> Operation {
        self.minimize_over(loss, &trainable_variables(&loss.as_output().graph()), global_step)
    }

    /// Works as [`minimize`](Optimizer::minimize), for these variables only. The others are not trained.
    ///
    /// ```
    /// use ops::optimizers::{GradientDescentOptimizer, Optimizer};
    /// # use ops::{math::mul, variables::variable};
    /// # let graph = session_core::Graph::new();
    /// let (encoder, head) = (variable(&graph.named("encoder"), 2.0f32), variable(&graph.named("head"), 3.0f32));
    /// let loss = mul(&encoder, &head);
    /// let tune = GradientDescentOptimizer::new(0.1).minimize_over(&loss, &[head], None);
    /// # let _ = tune;
    /// # graph.finalize().unwrap();
    /// ```
    #[track_caller]
    fn minimize_over(
        &self,
        loss: &dyn AsOutput,
        variables: &[Variable],
        global_step: Option<&Variable>,
    ) -> Operation {
        let gradients = self.compute_gradients(loss, variables);
        self.apply_gradients(&gradients, global_step)
    }

    /// Returns the gradients of the loss, one pair for each variable and in the same order. An unusable loss is recorded as a build error
    /// and has no gradients.
    ///
    /// ```
    /// use ops::optimizers::{GradientDescentOptimizer, Optimizer};
    /// # let graph = session_core::Graph::new();
    /// let w = ops::variables::variable(&graph.named("w"), [3.0f32, 4.0]);
    /// let optimizer = GradientDescentOptimizer::new(0.1);
    /// let gradients = optimizer.compute_gradients(&ops::nn::l2_loss(&w), &[w.clone()]);
    /// assert_eq!(gradients[0].0.as_ref().expect("the loss depends on w").shape().to_string(), "[2]");
    /// # graph.finalize().unwrap();
    /// ```
    #[track_caller]
    fn compute_gradients(&self, loss: &dyn AsOutput, variables: &[Variable]) -> Vec<GradientAndVariable> {
        let (loss, location) = (loss.as_output(), Location::caller());
        // Operations that are built on the gradients have their own places, so the gradients do not carry this one.
        let home = self.settings().home(&loss.graph(), location);
        let found = match loss_gradients(&loss.within(&home), variables) {
            Ok(found) => found,
            Err(error) => {
                let foreign = variables.iter().find(|variable| !variable.handle().is_in(&home));
                // Both graphs fail: whichever is finalized first names the line.
                match foreign {
                    Some(variable) => record_in_both(&home, &variable.graph(), error, location),
                    None => record(&home, error, location),
                }
                vec![None; variables.len()]
            }
        };
        found.into_iter().zip(variables.iter().cloned()).collect()
    }

    /// Returns the operation that takes one training step along these gradients. Variables without a gradient are unchanged. If no
    /// variable has a gradient, a build error names the variables.
    ///
    /// The step updates all variables, then runs what the method does [after the updates](Optimizer::finish), then increments the global
    /// step. The operation joins the collection `train_op`.
    ///
    /// ```
    /// use ops::global_step::get_or_create_global_step;
    /// use ops::optimizers::{GradientDescentOptimizer, Optimizer};
    /// # let graph = session_core::Graph::new();
    /// let w = ops::variables::variable(&graph.named("w"), [3.0f32, 4.0]);
    /// let optimizer = GradientDescentOptimizer::new(0.1);
    /// let step = get_or_create_global_step(&graph);
    /// let gradients = optimizer.compute_gradients(&ops::nn::l2_loss(&w), &[w]);
    /// let train_op = optimizer.apply_gradients(&gradients, Some(&step));
    /// assert_eq!(graph.collection(&session_core::keys::TRAIN_OP), [train_op]);
    /// # graph.finalize().unwrap();
    /// ```
    #[track_caller]
    fn apply_gradients(
        &self,
        gradients: &[GradientAndVariable],
        global_step: Option<&Variable>,
    ) -> Operation {
        let location = Location::caller();
        let Some((first, _)) = with_gradient(gradients).next() else {
            return nothing_to_do(gradients, location);
        };
        // An optimizer around this one passes its caller's place on.
        let location = first.graph().location();
        let place = self.settings().place(&first.graph(), location);
        // Limits apply to the gradients as they arrive, before anything reads a variable.
        let clipped = limited(self.settings(), &place, gradients, location);
        let given: Vec<(&Output, &Variable)> = with_gradient(&clipped).collect();
        let variables: Vec<Variable> = given.iter().map(|(_, variable)| (*variable).clone()).collect();

        // Slots belong to the variables, whatever the step waits for.
        let around = UpdateScope::new(self.settings(), place.clone());
        self.create_slots(&around, &variables);
        let scope = UpdateScope::new(self.settings(), place.composite(&self.settings().name));
        if let Err((other, error)) = decoupled_weight_decay::check(self.settings(), &variables) {
            record_in_both(&place, &other, error, location);
        }
        let update = |(gradient, variable): &(&Output, &Variable)| {
            // The decay comes before the update of the same variable, and other variables do not wait for it.
            let after_decay = decoupled_weight_decay::apply(&scope, gradient, variable);
            self.update(&after_decay, gradient, variable)
        };
        let mut updates: Vec<Operation> = given.iter().map(update).collect();
        updates.extend(self.finish(&scope, &updates));

        let train_op = match global_step {
            None => group(&scope.graph().named_as_scope(), &updates),
            Some(step) => counted(&scope, &updates, step),
        };
        join_train_ops(&place, train_op, location)
    }

    /// Returns a slot of a variable, such as `m` of Adam, or `None` if it does not exist. Slots are created when the optimizer is applied.
    ///
    /// ```
    /// use ops::optimizers::{AdamOptimizer, Optimizer};
    /// # let graph = session_core::Graph::new();
    /// let w = ops::variables::variable(&graph.named("w"), 3.0f32);
    /// let optimizer = AdamOptimizer::new(0.001);
    /// assert!(optimizer.slot(&w, "m").is_none());
    /// let _train_op = optimizer.minimize(&ops::math::square(&w), None);
    /// assert!(optimizer.slot(&w, "m").is_some());
    /// # graph.finalize().unwrap();
    /// ```
    fn slot(&self, variable: &Variable, name: &str) -> Option<Variable> {
        self.settings().slot(variable, name)
    }

    /// Returns all slots and other variables of this optimizer, in the order of their creation: the variables to initialize again when
    /// training continues with another loss.
    ///
    /// ```
    /// use ops::optimizers::{AdamOptimizer, Optimizer};
    /// # let graph = session_core::Graph::new();
    /// let w = ops::variables::variable(&graph.named("w"), 3.0f32);
    /// let optimizer = AdamOptimizer::new(0.001);
    /// let _train_op = optimizer.minimize(&ops::math::square(&w), None);
    /// let names: Vec<String> = optimizer.variables().iter().map(|variable| variable.name().to_owned()).collect();
    /// assert!(names.contains(&"w/Adam".to_owned()) && names.contains(&"beta1_power".to_owned()), "{names:?}");
    /// # graph.finalize().unwrap();
    /// ```
    fn variables(&self) -> Vec<Variable> {
        self.settings().variables()
    }
}

/// A boxed optimizer is one.
impl<T: Optimizer + ?Sized> Optimizer for Box<T> {
    of_inner_optimizer!(all self => (**self));
}

/// Returns the pairs that have a gradient.
fn with_gradient(gradients: &[GradientAndVariable]) -> impl Iterator<Item = (&Output, &Variable)> {
    gradients.iter().filter_map(|(gradient, variable)| Some((gradient.as_ref()?, variable)))
}

/// Returns the gradients as the limits of the settings leave them.
#[track_caller]
fn limited(
    settings: &OptimizerSettings,
    place: &Graph,
    gradients: &[GradientAndVariable],
    location: &'static Location<'static>,
) -> Vec<GradientAndVariable> {
    // An unusable limit is recorded, and building continues without it.
    Clipping::apply(&settings.clipping, place, gradients).unwrap_or_else(|error| {
        record(place, error, location);
        gradients.to_vec()
    })
}

/// Returns the gradients of the loss with respect to the variables.
///
/// # Errors
/// The loss's own build error; a type error for a loss that is not floating; a value error without
/// variables; what [`gradients`] returns.
#[track_caller]
fn loss_gradients(loss: &Output, variables: &[Variable]) -> Result<Vec<Option<Output>>> {
    if let Some(error) = loss.operation().error() {
        return Err(error.clone());
    }
    if !loss.dtype().is_floating() {
        return Err(Error::type_mismatch(format!(
            "the loss '{}' is {}, no floating type: cast it first",
            loss.name(),
            loss.dtype()
        )));
    }
    if variables.is_empty() {
        let text = format!(
            "there are no variables to optimize: the graph of the loss '{}' has no trainable ones",
            loss.name()
        );
        return Err(Error::value(text));
    }
    // With respect to handles: the gradients of all reads of a variable add up there.
    let handles: Vec<Output> = variables.iter().map(|variable| variable.handle().clone()).collect();
    gradients(std::slice::from_ref(loss), &handles)
}

/// Adds one to the global step when all updates are done. The operation bears the optimizer's name, so
/// fetching it runs the whole step.
fn counted(scope: &UpdateScope<'_>, updates: &[Operation], step: &Variable) -> Operation {
    let updated = group(&scope.graph().named("update"), updates);
    count_up(&scope.graph().control_dependencies([&updated]).named_as_scope(), step, None)
}

/// Adds a training step to its collection, and returns it.
fn join_train_ops(place: &Graph, train_op: Operation, location: &'static Location<'static>) -> Operation {
    // An invalid operation in the collection would fail every program that runs the collection.
    if train_op.error().is_none()
        && let Err(error) = place.add_to_collection(&TRAIN_OP, train_op.clone())
    {
        record(place, error, location);
    }
    train_op
}

/// Adds one, or `amount`, to the global step, after the read that hooks share, which
/// therefore returns the value before.
fn count_up(graph: &Graph, step: &Variable, amount: Option<&Output>) -> Operation {
    let def: &'static OpDef = if step.is_resource() { &ASSIGN_ADD_VARIABLE_OP } else { &ASSIGN_ADD };
    let builder = crate::global_step::ordered_after_read(graph.op(def), step).input(step.handle());
    match amount {
        Some(amount) => builder.input(amount).finish(),
        None => builder.constant(crate::array::scalar_tensor(step.dtype(), 1.0)).finish(),
    }
}

/// Records that there is nothing to train, and returns an operation for the caller to continue with.
fn nothing_to_do(gradients: &[GradientAndVariable], location: &'static Location<'static>) -> Operation {
    let Some((_, variable)) = gradients.first() else {
        // No argument determines a graph that could record the error, so the operation carries it.
        let graph = Graph::new();
        record(&graph, Error::value("there are no variables to optimize"), location);
        return no_op(&graph);
    };
    let graph = variable.graph();
    let names: Vec<&str> = gradients.iter().map(|(_, variable)| variable.name()).collect();
    let text = format!("no gradients provided for any variable: {}", names.join(", "));
    record(&graph, Error::value(text), location);
    no_op(&graph.root())
}

/// Records an error of elements that belong to two graphs.
fn record_in_both(graph: &Graph, other: &Graph, error: Error, location: &'static Location<'static>) {
    graph.add_error_of_both(other, error.with_location(location));
}

/// Records a build error at the place of the caller.
fn record(graph: &Graph, error: Error, location: &'static Location<'static>) {
    graph.add_error(error.with_location(location).with_phase(Phase::Build));
}
