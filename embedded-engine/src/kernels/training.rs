//! The training operations of optimizers: one pass over a weight, its slots, and its gradient, in place.
//!
//! An operation locks all its variables, in the order of their addresses, and updates them together, so that
//! no other step sees a weight without its slots.
//!
//! # Semantics
//!
//! The formulas are TensorFlow's (see `compute::optimizer`). The sparse forms update the rows that the
//! indices name; if a row occurs several times, its updates follow each other in the order of the indices.
//! Hyperparameters are scalars and may change in each step. An update whose variables are not initialized is
//! a `FailedPrecondition` error that names the variable.
//!
//! # Inputs
//!
//! The dense forms take the variables, then the parameters, and the gradient where the table has `g`. Op
//! types are named without `Resource`, though some exist only with it; both kinds of variables have the same
//! inputs. All variables and the gradient have one shape and one dtype: `float16`, `bfloat16`, `float32` or
//! `float64`.
//!
//! | op type | variables | parameters |
//! | --- | --- | --- |
//! | `ApplyGradientDescent` | weights | rate, g |
//! | `ApplyMomentum`, `ApplyKerasMomentum` | weights, accumulator | rate, g, momentum |
//! | `ApplyAdam` | weights, m, v | `beta1_power`, `beta2_power`, rate, beta1, beta2, epsilon, g |
//! | `ApplyAdamWithAmsgrad` | weights, m, v, largest v | the same |
//! | `ApplyAdaMax` | weights, m, v | `beta1_power`, rate, beta1, beta2, epsilon, g |
//! | `ApplyRMSProp` | weights, ms, mom | rate, rho, momentum, epsilon, g |
//! | `ApplyCenteredRMSProp` | weights, mg, ms, mom | the same |
//! | `ApplyAdagrad`, `ApplyAdagradV2` | weights, accumulator | rate, (V2: epsilon), g |
//! | `ApplyAdadelta` | weights, accumulator, updates | rate, rho, epsilon, g |
//! | `ApplyFtrl`, `ApplyFtrlV2` | weights, accumulator, linear | g, rate, l1, l2, (V2: shrinkage), power |
//! | `ApplyAddSign` | weights, m | rate, alpha, `sign_decay`, beta, g |
//! | `ApplyPowerSign` | weights, m | rate, `log_base`, `sign_decay`, beta, g |
//! | `ApplyProximalAdagrad` | weights, accumulator | rate, l1, l2, g |
//! | `ApplyProximalGradientDescent` | weights | rate, l1, l2, g |
//! | `ApplyAdagradDA` | weights, sums, squares | g, rate, l1, l2, step (`int64`) |
//!
//! A sparse form has its indices (`int32` or `int64`, rank 1) right after the gradient, which has one row for
//! each of them: `SparseApplyMomentum` takes rate, g, indices, momentum.
//!
//! # Errors and order
//!
//! Parameters and shapes are checked before anything changes: `InvalidArgument` for shapes that differ, an
//! index outside of the weights, and one variable in two places. NaN in a gradient is not looked for; it
//! spreads into the weights. The dense forms divide the elements over the pool, and each element is computed
//! alone, so bits do not depend on the number of threads. The sparse forms run on one thread, in the order of
//! the indices. The outputs of the reference forms are handles, which the compiler provides.
//!
//! # Adding a rule
//!
//! The formula goes to `compute::optimizer`, as a type that implements `Rule`. Here it needs one
//! registration, which lists the numbers of its parameters, counted after the variables.

use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::kernels::state::shared_variable;
use crate::registry::Registry;
use crate::resources::Variable;
use compute::optimizer::{
    AdaMax, Adadelta, Adagrad, AdagradDa, Adam, AddSign, CenteredRmsProp, Ftrl, GradientDescent,
    KerasMomentum, Momentum, Number as _, PowerSign, ProximalAdagrad, ProximalGradientDescent, RmsProp,
    Update, Weight,
};
use session_core::{Error, Result};
use smallvec::SmallVec;
use std::sync::{Arc, MutexGuard};
use tensor::{Element, Tensor};

/// Registers the op types. The numbers given to `dense` are those of the variables, and `dense_after` also
/// takes the input of a gradient that is not the last.
pub(crate) fn register(registry: &mut Registry) {
    registry.add_both(["ResourceApplyGradientDescent", "ApplyGradientDescent"], |spec| {
        for_dtype!(float spec.dtype("T")?, T => {
            Ok(dense::<T>(1, |i| Ok(Box::new(GradientDescent { learning_rate: i.scalar(0)? }))))
        })
    });
    registry.add_both(["ResourceApplyMomentum", "ApplyMomentum"], |spec| {
        let use_nesterov = spec.bool("use_nesterov")?;
        // The gradient stands between the learning rate and the momentum.
        for_dtype!(float spec.dtype("T")?, T => Ok(dense_after::<T>(2, 3, move |i| {
            Ok(Box::new(Momentum { learning_rate: i.scalar(0)?, momentum: i.scalar(2)?, use_nesterov }))
        })))
    });
    registry.add_both(["ResourceApplyAdam", "ApplyAdam"], |spec| {
        let use_nesterov = spec.bool("use_nesterov")?;
        for_dtype!(float spec.dtype("T")?, T => Ok(dense::<T>(3, move |i| {
            Ok(Box::new(Adam {
                beta1_power: i.scalar(0)?,
                beta2_power: i.scalar(1)?,
                learning_rate: i.scalar(2)?,
                beta1: i.scalar(3)?,
                beta2: i.scalar(4)?,
                epsilon: i.scalar(5)?,
                use_nesterov,
            }))
        })))
    });
    registry.add_both(["ResourceApplyAdaMax", "ApplyAdaMax"], |spec| {
        for_dtype!(float spec.dtype("T")?, T => Ok(dense::<T>(3, |i| {
            Ok(Box::new(AdaMax {
                beta1_power: i.scalar(0)?,
                learning_rate: i.scalar(1)?,
                beta1: i.scalar(2)?,
                beta2: i.scalar(3)?,
                epsilon: i.scalar(4)?,
            }))
        })))
    });
    registry.add_both(["ResourceApplyRMSProp", "ApplyRMSProp"], |spec| {
        for_dtype!(float spec.dtype("T")?, T => Ok(dense::<T>(3, |i| {
            Ok(Box::new(RmsProp {
                learning_rate: i.scalar(0)?,
                rho: i.scalar(1)?,
                momentum: i.scalar(2)?,
                epsilon: i.scalar(3)?,
            }))
        })))
    });
    registry.add_both(["ResourceApplyCenteredRMSProp", "ApplyCenteredRMSProp"], |spec| {
        for_dtype!(float spec.dtype("T")?, T => Ok(dense::<T>(4, |i| {
            Ok(Box::new(CenteredRmsProp {
                learning_rate: i.scalar(0)?,
                rho: i.scalar(1)?,
                momentum: i.scalar(2)?,
                epsilon: i.scalar(3)?,
            }))
        })))
    });
    registry.add_both(["ResourceApplyAdagrad", "ApplyAdagrad"], |spec| make_adagrad(spec, false));
    registry.add_both(["ResourceApplyAdagradV2", "ApplyAdagradV2"], |spec| make_adagrad(spec, true));
    registry.add_both(["ResourceApplyAdadelta", "ApplyAdadelta"], |spec| {
        for_dtype!(float spec.dtype("T")?, T => Ok(dense::<T>(3, |i| {
            Ok(Box::new(Adadelta { learning_rate: i.scalar(0)?, rho: i.scalar(1)?, epsilon: i.scalar(2)? }))
        })))
    });
    registry.add_both(["ResourceApplyFtrl", "ApplyFtrl"], |spec| make_ftrl(spec, false));
    registry.add_both(["ResourceApplyFtrlV2", "ApplyFtrlV2"], |spec| make_ftrl(spec, true));
    registry.add("ResourceApplyKerasMomentum", |spec| {
        let use_nesterov = spec.bool("use_nesterov")?;
        // The gradient stands between the learning rate and the momentum.
        for_dtype!(float spec.dtype("T")?, T => Ok(dense_after::<T>(2, 3, move |i| {
            Ok(Box::new(KerasMomentum { learning_rate: i.scalar(0)?, momentum: i.scalar(2)?, use_nesterov }))
        })))
    });
    registry.add_both(["ResourceApplyAddSign", "ApplyAddSign"], |spec| {
        for_dtype!(float spec.dtype("T")?, T => Ok(dense::<T>(2, |i| {
            Ok(Box::new(AddSign {
                learning_rate: i.scalar(0)?,
                alpha: i.scalar(1)?,
                sign_decay: i.scalar(2)?,
                beta: i.scalar(3)?,
            }))
        })))
    });
    registry.add_both(["ResourceApplyPowerSign", "ApplyPowerSign"], |spec| {
        for_dtype!(float spec.dtype("T")?, T => Ok(dense::<T>(2, |i| {
            Ok(Box::new(PowerSign {
                learning_rate: i.scalar(0)?,
                log_base: i.scalar(1)?,
                sign_decay: i.scalar(2)?,
                beta: i.scalar(3)?,
            }))
        })))
    });
    registry.add_both(["ResourceApplyProximalAdagrad", "ApplyProximalAdagrad"], |spec| {
        for_dtype!(float spec.dtype("T")?, T => Ok(dense::<T>(2, |i| {
            Ok(Box::new(ProximalAdagrad { learning_rate: i.positive(0, "learning rate")?, l1: i.scalar(1)?, l2: i.scalar(2)? }))
        })))
    });
    registry.add_both(["ResourceApplyProximalGradientDescent", "ApplyProximalGradientDescent"], |spec| {
        for_dtype!(float spec.dtype("T")?, T => Ok(dense::<T>(1, |i| {
            Ok(Box::new(ProximalGradientDescent { learning_rate: i.scalar(0)?, l1: i.scalar(1)?, l2: i.scalar(2)? }))
        })))
    });
    registry.add_both(["ResourceApplyAdagradDA", "ApplyAdagradDA"], |spec| {
        for_dtype!(float spec.dtype("T")?, T => Ok(dense_after::<T>(3, 3, |i| {
            Ok(Box::new(AdagradDa {
                learning_rate: i.scalar(1)?,
                l1: i.scalar(2)?,
                l2: i.scalar(3)?,
                global_step: i.scalar(4)?,
            }))
        })))
    });
    registry.add(
        "ResourceApplyAdamWithAmsgrad",
        |spec| for_dtype!(float spec.dtype("T")?, T => Ok(boxed(amsgrad::<T>))),
    );
    register_sparse(registry);
}

/// Updates by Adam with a divisor that never shrinks, where `largest` is the greatest `v` so far:
///
/// ```text
/// m += (g - m) * (1 - beta1)     v += (g^2 - v) * (1 - beta2)     largest = max(largest, v)
/// weights -= rate * sqrt(1 - beta2_power) / (1 - beta1_power) * m / (sqrt(largest) + epsilon)
/// ```
fn amsgrad<T: Element + Weight>(context: &mut KernelContext<'_>) -> Result<()> {
    // Written out and not as a rule of `compute`: it is rare, and one thread suffices.
    let parameters = Parameters { context, first: 4 };
    let scalar = |index: usize| -> Result<T::Number> { Ok(parameters.scalar::<T>(index)?.load()) };
    let (beta1_power, beta2_power, rate) = (scalar(0)?, scalar(1)?, scalar(2)?);
    let (beta1, beta2, epsilon) = (scalar(3)?, scalar(4)?, scalar(5)?);
    let gradient = context.input(10);
    with_variables(context, 4, &mut |values, variables| {
        check_shapes(&values, variables, gradient)?;
        let [weights, m, v, largest]: [&mut [T]; 4] = slices::<T>(context, values)?
            .try_into()
            .map_err(|_| Error::runtime("an update without its slots"))?;
        let one = T::Number::of(1.0);
        let step = rate * (one - beta2_power).sqrt() / (one - beta1_power);
        for (i, gradient) in gradient.as_slice::<T>()?.iter().enumerate() {
            let (gradient, old_m, old_v) = (gradient.load(), m[i].load(), v[i].load());
            let new_m = old_m + (gradient - old_m) * (one - beta1);
            let new_v = old_v + (gradient * gradient - old_v) * (one - beta2);
            // With NaN in `v` the other operand wins; the weight is NaN all the same, through `m`.
            let divisor = new_v.max(largest[i].load());
            weights[i] = T::store(weights[i].load() - step * new_m / (divisor.sqrt() + epsilon));
            (m[i], v[i], largest[i]) = (T::store(new_m), T::store(new_v), T::store(divisor));
        }
        Ok(())
    })
}

/// Registers updates of the rows that an input names. The numbers given to `sparse` are those of the
/// variables and of the input with the gradient; parameters are counted after the variables, so the gradient
/// and the indices are among them.
fn register_sparse(registry: &mut Registry) {
    registry.add_both(["ResourceSparseApplyMomentum", "SparseApplyMomentum"], |spec| {
        let use_nesterov = spec.bool("use_nesterov")?;
        for_dtype!(float spec.dtype("T")?, T => Ok(sparse::<T>(2, 3, move |i| {
            Ok(Box::new(Momentum { learning_rate: i.scalar(0)?, momentum: i.scalar(3)?, use_nesterov }))
        })))
    });
    registry.add("ResourceSparseApplyKerasMomentum", |spec| {
        let use_nesterov = spec.bool("use_nesterov")?;
        for_dtype!(float spec.dtype("T")?, T => Ok(sparse::<T>(2, 3, move |i| {
            Ok(Box::new(KerasMomentum { learning_rate: i.scalar(0)?, momentum: i.scalar(3)?, use_nesterov }))
        })))
    });
    registry.add_both(["ResourceSparseApplyAdagrad", "SparseApplyAdagrad"], |spec| {
        let update_slots = spec.bool("update_slots").unwrap_or(true);
        for_dtype!(float spec.dtype("T")?, T => Ok(sparse::<T>(2, 3, move |i| {
            Ok(Box::new(Adagrad { learning_rate: i.scalar(0)?, epsilon: None, update_slots }))
        })))
    });
    registry.add_both(["ResourceSparseApplyAdagradV2", "SparseApplyAdagradV2"], |spec| {
        let update_slots = spec.bool("update_slots").unwrap_or(true);
        for_dtype!(float spec.dtype("T")?, T => Ok(sparse::<T>(2, 4, move |i| {
            Ok(Box::new(Adagrad { learning_rate: i.scalar(0)?, epsilon: Some(i.scalar(1)?), update_slots }))
        })))
    });
    registry.add_both(["ResourceSparseApplyAdadelta", "SparseApplyAdadelta"], |spec| {
        for_dtype!(float spec.dtype("T")?, T => Ok(sparse::<T>(3, 6, |i| {
            Ok(Box::new(Adadelta { learning_rate: i.scalar(0)?, rho: i.scalar(1)?, epsilon: i.scalar(2)? }))
        })))
    });
    registry.add_both(["ResourceSparseApplyRMSProp", "SparseApplyRMSProp"], |spec| {
        for_dtype!(float spec.dtype("T")?, T => Ok(sparse::<T>(3, 7, |i| {
            Ok(Box::new(RmsProp {
                learning_rate: i.scalar(0)?,
                rho: i.scalar(1)?,
                momentum: i.scalar(2)?,
                epsilon: i.scalar(3)?,
            }))
        })))
    });
    registry.add_both(["ResourceSparseApplyCenteredRMSProp", "SparseApplyCenteredRMSProp"], |spec| {
        for_dtype!(float spec.dtype("T")?, T => Ok(sparse::<T>(4, 8, |i| {
            Ok(Box::new(CenteredRmsProp {
                learning_rate: i.scalar(0)?,
                rho: i.scalar(1)?,
                momentum: i.scalar(2)?,
                epsilon: i.scalar(3)?,
            }))
        })))
    });
    registry.add_both(["ResourceSparseApplyFtrl", "SparseApplyFtrl"], |spec| make_sparse_ftrl(spec, false));
    registry
        .add_both(["ResourceSparseApplyFtrlV2", "SparseApplyFtrlV2"], |spec| make_sparse_ftrl(spec, true));
    registry.add_both(["ResourceSparseApplyProximalAdagrad", "SparseApplyProximalAdagrad"], |spec| {
        for_dtype!(float spec.dtype("T")?, T => Ok(sparse::<T>(2, 5, |i| {
            Ok(Box::new(ProximalAdagrad { learning_rate: i.positive(0, "learning rate")?, l1: i.scalar(1)?, l2: i.scalar(2)? }))
        })))
    });
    registry.add_both(["ResourceSparseApplyProximalGradientDescent", "SparseApplyProximalGradientDescent"], |spec| {
        for_dtype!(float spec.dtype("T")?, T => Ok(sparse::<T>(1, 4, |i| {
            Ok(Box::new(ProximalGradientDescent { learning_rate: i.scalar(0)?, l1: i.scalar(1)?, l2: i.scalar(2)? }))
        })))
    });
    registry.add_both(["ResourceSparseApplyAdagradDA", "SparseApplyAdagradDA"], |spec| {
        for_dtype!(float spec.dtype("T")?, T => Ok(sparse::<T>(3, 3, |i| {
            Ok(Box::new(AdagradDa {
                learning_rate: i.scalar(2)?,
                l1: i.scalar(3)?,
                l2: i.scalar(4)?,
                global_step: i.scalar(5)?,
            }))
        })))
    });
}

/// Makes the kernel of FTRL for rows, whose gradient and indices come before its parameters. `with_shrinkage`
/// is the second version.
fn make_sparse_ftrl(spec: &NodeSpec<'_>, with_shrinkage: bool) -> Result<Box<dyn Kernel>> {
    let multiply_linear_by_lr = spec.bool("multiply_linear_by_lr").unwrap_or(false);
    for_dtype!(float spec.dtype("T")?, T => Ok(sparse::<T>(3, 3, move |i| {
        // With the factor, TensorFlow looks at neither sign.
        let learning_rate = if multiply_linear_by_lr { i.scalar(2)? } else { i.positive(2, "learning rate")? };
        Ok(Box::new(Ftrl {
            learning_rate,
            l1: i.scalar(3)?,
            l2: i.scalar(4)?,
            l2_shrinkage: if with_shrinkage { i.scalar(5)? } else { T::default() },
            learning_rate_power: i.scalar(if with_shrinkage { 6 } else { 5 })?,
            multiply_linear_by_lr,
            keeps_nan: true,
        }))
    })))
}

/// Makes the rule of an update from its parameters. Called in each run, because parameters such as a learning
/// rate may change.
type MakeRule<T> = dyn Fn(Parameters<'_, '_>) -> Result<Box<dyn Update<T>>> + Send + Sync;

/// Returns an update of `count` variables in the rows that the input after the gradient names; `gradient`
/// counts all inputs.
///
/// The indices are the input after `gradient`.
fn sparse<T: Element>(
    count: usize,
    gradient: usize,
    rule: impl Fn(Parameters<'_, '_>) -> Result<Box<dyn Update<T>>> + Send + Sync + 'static,
) -> Box<dyn Kernel> {
    let rule: Box<MakeRule<T>> = Box::new(rule);
    sparse_by(count, gradient, rule)
}

/// Works as [`sparse`], compiled for each dtype and not for each rule: a closure is generic over all that the
/// function is in which it stands.
fn sparse_by<T: Element>(count: usize, gradient: usize, rule: Box<MakeRule<T>>) -> Box<dyn Kernel> {
    boxed(move |context| {
        let rule = rule(Parameters { context, first: count })?;
        let indices = context.ints(gradient + 1)?;
        let gradient = context.input(gradient);
        with_variables(context, count, &mut |values, variables| {
            // Under the locks: another step may have assigned a value of another shape before.
            let row = check_rows(&values, variables, gradient, indices.len())?;
            let state = slices::<T>(context, values)?;
            rule.apply_sparse(row, state, gradient.as_slice()?, &indices).map_err(super::array::outside)
        })
    })
}

/// Returns the elements of a row, if all slots have the weights' shape and the gradient has a row for each
/// index.
///
/// For weights of shape `[5, 2, 3]`, three indices and a gradient of shape `[3, 2, 3]`, the result is 6.
fn check_rows(
    values: &[&mut Tensor],
    variables: &[Arc<Variable>],
    gradient: &Tensor,
    indices: usize,
) -> Result<usize> {
    let shape = values[0].shape();
    if let Some(i) = values.iter().position(|value| value.shape() != shape) {
        let text = format!(
            "'{}' of shape {shape} and '{}' of shape {} differ",
            variables[0].name(),
            variables[i].name(),
            values[i].shape()
        );
        return Err(Error::invalid_argument(text));
    }
    let row = shape.get(1..).unwrap_or_default();
    if shape.rank() == 0 || gradient.shape().first() != Some(&indices) || gradient.shape()[1..] != *row {
        let text = format!(
            "a gradient of shape {} does not consist of {indices} rows of '{}' of shape {shape}",
            gradient.shape(),
            variables[0].name()
        );
        return Err(Error::invalid_argument(text));
    }
    Ok(row.iter().product())
}

/// Makes the kernel of Adagrad. `with_epsilon` is the second version. Both leave the accumulator alone if
/// `update_slots` is false.
fn make_adagrad(spec: &NodeSpec<'_>, with_epsilon: bool) -> Result<Box<dyn Kernel>> {
    let update_slots = spec.bool("update_slots").unwrap_or(true);
    for_dtype!(float spec.dtype("T")?, T => Ok(dense::<T>(2, move |i| {
        let epsilon = if with_epsilon { Some(i.scalar(1)?) } else { None };
        Ok(Box::new(Adagrad { learning_rate: i.scalar(0)?, epsilon, update_slots }))
    })))
}

/// Makes the kernel of FTRL, whose gradient comes before its parameters. `with_shrinkage` is the second
/// version.
fn make_ftrl(spec: &NodeSpec<'_>, with_shrinkage: bool) -> Result<Box<dyn Kernel>> {
    let multiply_linear_by_lr = spec.bool("multiply_linear_by_lr").unwrap_or(false);
    for_dtype!(float spec.dtype("T")?, T => Ok(dense_after::<T>(3, 3, move |i| {
        let l2_shrinkage = if with_shrinkage { i.scalar(4)? } else { T::default() };
        let learning_rate_power = i.scalar(if with_shrinkage { 5 } else { 4 })?;
        Ok(Box::new(Ftrl {
            learning_rate: i.scalar(1)?,
            l1: i.scalar(2)?,
            l2: i.scalar(3)?,
            l2_shrinkage,
            learning_rate_power,
            multiply_linear_by_lr,
            keeps_nan: false,
        }))
    })))
}

/// The inputs of an update after its variables.
///
/// Parameter n is input `first + n`; a gradient or indices between the parameters count as well.
#[derive(Clone, Copy)]
struct Parameters<'a, 'c> {
    /// The step.
    context: &'a KernelContext<'c>,
    /// The number of variables, which is the input of parameter 0.
    first: usize,
}

impl Parameters<'_, '_> {
    /// Returns a parameter. A tensor with another number of elements than one, or of another dtype, is an
    /// error.
    fn scalar<T: Element>(&self, index: usize) -> Result<T> {
        Ok(self.context.input(self.first + index).value()?)
    }

    /// Returns the same, or `InvalidArgument` unless it is above 0. `what` is its name.
    fn positive<T: Element + PartialOrd + std::fmt::Debug>(&self, index: usize, what: &str) -> Result<T> {
        let value = self.scalar::<T>(index)?;
        if value > T::default() {
            return Ok(value);
        }
        Err(Error::invalid_argument(format!("the {what} is not a number above 0: {value:?}")))
    }
}

/// Returns an update of `count` variables whose gradient is the last input.
fn dense<T: Element>(
    count: usize,
    rule: impl Fn(Parameters<'_, '_>) -> Result<Box<dyn Update<T>>> + Send + Sync + 'static,
) -> Box<dyn Kernel> {
    dense_by(count, None, Box::new(rule) as Box<MakeRule<T>>)
}

/// Returns an update of `count` variables whose gradient is an input before the last; `gradient` counts all
/// inputs.
fn dense_after<T: Element>(
    count: usize,
    gradient: usize,
    rule: impl Fn(Parameters<'_, '_>) -> Result<Box<dyn Update<T>>> + Send + Sync + 'static,
) -> Box<dyn Kernel> {
    dense_by(count, Some(gradient), Box::new(rule) as Box<MakeRule<T>>)
}

/// Works as [`dense`] and [`dense_after`], compiled for each dtype and not for each rule.
///
/// `gradient` is the number of an input, or `None` for the last one.
fn dense_by<T: Element>(count: usize, gradient: Option<usize>, rule: Box<MakeRule<T>>) -> Box<dyn Kernel> {
    boxed(move |context| {
        let gradient = gradient.unwrap_or_else(|| context.num_inputs() - 1);
        apply::<T>(context, count, gradient, &*rule)
    })
}

/// Updates the variables of the first `count` inputs by the dense rule. `gradient` counts all inputs.
fn apply<T: Element>(
    context: &mut KernelContext<'_>,
    count: usize,
    gradient: usize,
    rule: &MakeRule<T>,
) -> Result<()> {
    // Before the locks, so that a bad parameter does not delay other steps.
    let rule = rule(Parameters { context, first: count })?;
    let gradient = context.input(gradient);
    with_variables(context, count, &mut |values, variables| {
        check_shapes(&values, variables, gradient)?;
        rule.apply(context.pool(), slices::<T>(context, values)?, gradient.as_slice()?);
        Ok(())
    })
}

/// The locked values of an update, in the order of its inputs. No rule has more than a weight and three slots, and an update
/// of a few numbers would spend most of its time on lists in memory.
type Values<'a> = SmallVec<[&'a mut Tensor; 4]>;

/// Returns the elements of variables for writing. A value that something else holds, such as a fetch or a
/// checkpoint, is copied here first.
fn slices<'a, T: Element>(context: &KernelContext<'_>, values: Values<'a>) -> Result<Vec<&'a mut [T]>> {
    values.into_iter().map(|value| Ok(value.make_mut::<T>(context.buffers())?)).collect()
}

/// Requires that the weights and all slots have the gradient's shape.
///
/// # Errors
/// `InvalidArgument` with the name of the first variable that differs.
fn check_shapes(values: &[&mut Tensor], variables: &[Arc<Variable>], gradient: &Tensor) -> Result<()> {
    for (value, variable) in values.iter().zip(variables) {
        if value.shape() != gradient.shape() {
            let text = format!(
                "variable '{}' of shape {} and gradient of shape {} differ",
                variable.name(),
                value.shape(),
                gradient.shape()
            );
            return Err(Error::invalid_argument(text));
        }
    }
    Ok(())
}

/// Locks the variables of the first `count` inputs, always in the order of their addresses, so that steps in
/// different threads never wait for each other in a circle. `work` is called once. Compiled for no dtype.
///
/// The values are in the order of the inputs, whatever the order of the locks. `work` must not lock a
/// variable.
///
/// # Errors
/// `InvalidArgument` for one variable in two places, `FailedPrecondition` for one without a value (S-28), and
/// those of `work`.
fn with_variables(
    context: &KernelContext<'_>,
    count: usize,
    work: &mut dyn FnMut(Values<'_>, &[Arc<Variable>]) -> Result<()>,
) -> Result<()> {
    let variables: SmallVec<[_; 4]> =
        (0..count).map(|i| shared_variable(context, i)).collect::<Result<_>>()?;
    let mut order: SmallVec<[usize; 4]> = (0..variables.len()).collect();
    order.sort_by_key(|&i| Arc::as_ptr(&variables[i]));
    // The second lock of one variable would wait for the first for ever.
    if order.windows(2).any(|pair| Arc::ptr_eq(&variables[pair[0]], &variables[pair[1]])) {
        return Err(Error::invalid_argument("one variable is used as two slots of an update"));
    }
    let mut guards: SmallVec<[Option<MutexGuard<'_, Option<Tensor>>>; 4]> =
        variables.iter().map(|_| None).collect();
    // All locks are taken before any value is read, so the update is atomic for other steps.
    for i in order {
        guards[i] = Some(variables[i].lock());
    }
    let mut values = Values::new();
    for (guard, variable) in guards.iter_mut().zip(&variables) {
        let value = guard.as_mut().and_then(|guard| guard.as_mut());
        values.push(value.ok_or_else(|| variable.uninitialized())?);
    }
    work(values, &variables)
}
