//! The operations that optimizers run: one step of a method for one variable and its slots.
//!
//! Each comes in four forms: for resource and reference variables, with a dense gradient and with one that is
//! given for some rows. Model code uses [`crate::optimizers`].
//!
//! # Semantics
//!
//! The first inputs are the variable and its slots, in the order of the definition: references, or handles in
//! the `Resource` forms. Then come scalars of dtype `T`, and the gradient, of the variable's shape. The
//! gradient is the last input, except in `ApplyMomentum` (before the momentum) and in the forms of FTRL and
//! `AdagradDA` (right after the slots); the constants of `shape(dense::<HANDLES, GRADIENT>)` state both. A
//! sparse form takes rows instead, and after them their indices. `compute::optimizer` has the formulas.
//!
//! - `use_locking` has no effect in the embedded engine: an update always changes
//!   variable and slots together.
//! - `update_slots` false leaves Adagrad's accumulator as it is.
//! - The forms for references return the variable, those for resources nothing.
//! - A gradient that reaches an update ends there, since the step is not part of the loss.

use crate::library::op_defs;
use session_core::{Error, OpDef, PartialShape, Result, ShapeContext};

op_defs! {
    APPLY_GRADIENT_DESCENT: OpDef::new("ApplyGradientDescent", "var: Ref(T), alpha: T, delta: T -> out: Ref(T)")
        .attrs("T: numbertype, use_locking: bool = false").shape(dense::<1, 2>).not_differentiable();
    APPLY_PROXIMAL_GRADIENT_DESCENT: OpDef::new("ApplyProximalGradientDescent", "var: Ref(T), alpha: T, l1: T, l2: T, delta: T -> out: Ref(T)")
        .attrs("T: numbertype, use_locking: bool = false").shape(dense::<1, 4>).not_differentiable();
    APPLY_ADADELTA: OpDef::new("ApplyAdadelta", "var: Ref(T), accum: Ref(T), accum_update: Ref(T), lr: T, rho: T, epsilon: T, grad: T -> out: Ref(T)")
        .attrs("T: numbertype, use_locking: bool = false").shape(dense::<3, 6>).not_differentiable();
    APPLY_ADAGRAD: OpDef::new("ApplyAdagrad", "var: Ref(T), accum: Ref(T), lr: T, grad: T -> out: Ref(T)")
        .attrs("T: numbertype, use_locking: bool = false, update_slots: bool = true").shape(dense::<2, 3>).not_differentiable();
    APPLY_ADAGRAD_V2: OpDef::new("ApplyAdagradV2", "var: Ref(T), accum: Ref(T), lr: T, epsilon: T, grad: T -> out: Ref(T)")
        .attrs("T: numbertype, use_locking: bool = false, update_slots: bool = true").shape(dense::<2, 4>).not_differentiable();
    APPLY_ADAGRAD_DA: OpDef::new("ApplyAdagradDA", "var: Ref(T), gradient_accumulator: Ref(T), gradient_squared_accumulator: Ref(T), grad: T, lr: T, l1: T, l2: T, global_step: int64 -> out: Ref(T)")
        .attrs("T: numbertype, use_locking: bool = false").shape(dense::<3, 3>).not_differentiable();
    APPLY_PROXIMAL_ADAGRAD: OpDef::new("ApplyProximalAdagrad", "var: Ref(T), accum: Ref(T), lr: T, l1: T, l2: T, grad: T -> out: Ref(T)")
        .attrs("T: numbertype, use_locking: bool = false").shape(dense::<2, 5>).not_differentiable();
    APPLY_FTRL: OpDef::new("ApplyFtrl", "var: Ref(T), accum: Ref(T), linear: Ref(T), grad: T, lr: T, l1: T, l2: T, lr_power: T -> out: Ref(T)")
        .attrs("T: numbertype, use_locking: bool = false, multiply_linear_by_lr: bool = false").shape(dense::<3, 3>).not_differentiable();
    APPLY_FTRL_V2: OpDef::new("ApplyFtrlV2", "var: Ref(T), accum: Ref(T), linear: Ref(T), grad: T, lr: T, l1: T, l2: T, l2_shrinkage: T, lr_power: T -> out: Ref(T)")
        .attrs("T: numbertype, use_locking: bool = false, multiply_linear_by_lr: bool = false").shape(dense::<3, 3>).not_differentiable();
    APPLY_MOMENTUM: OpDef::new("ApplyMomentum", "var: Ref(T), accum: Ref(T), lr: T, grad: T, momentum: T -> out: Ref(T)")
        .attrs("T: numbertype, use_locking: bool = false, use_nesterov: bool = false").shape(dense::<2, 3>).not_differentiable();
    APPLY_ADAM: OpDef::new("ApplyAdam", "var: Ref(T), m: Ref(T), v: Ref(T), beta1_power: T, beta2_power: T, lr: T, beta1: T, beta2: T, epsilon: T, grad: T -> out: Ref(T)")
        .attrs("T: numbertype, use_locking: bool = false, use_nesterov: bool = false").shape(dense::<3, 9>).not_differentiable();
    APPLY_ADA_MAX: OpDef::new("ApplyAdaMax", "var: Ref(T), m: Ref(T), v: Ref(T), beta1_power: T, lr: T, beta1: T, beta2: T, epsilon: T, grad: T -> out: Ref(T)")
        .attrs("T: numbertype, use_locking: bool = false").shape(dense::<3, 8>).not_differentiable();
    APPLY_RMS_PROP: OpDef::new("ApplyRMSProp", "var: Ref(T), ms: Ref(T), mom: Ref(T), lr: T, rho: T, momentum: T, epsilon: T, grad: T -> out: Ref(T)")
        .attrs("T: numbertype, use_locking: bool = false").shape(dense::<3, 7>).not_differentiable();
    APPLY_CENTERED_RMS_PROP: OpDef::new("ApplyCenteredRMSProp", "var: Ref(T), mg: Ref(T), ms: Ref(T), mom: Ref(T), lr: T, rho: T, momentum: T, epsilon: T, grad: T -> out: Ref(T)")
        .attrs("T: numbertype, use_locking: bool = false").shape(dense::<4, 8>).not_differentiable();
    APPLY_ADD_SIGN: OpDef::new("ApplyAddSign", "var: Ref(T), m: Ref(T), lr: T, alpha: T, sign_decay: T, beta: T, grad: T -> out: Ref(T)")
        .attrs("T: numbertype, use_locking: bool = false").shape(dense::<2, 6>).not_differentiable();
    APPLY_POWER_SIGN: OpDef::new("ApplyPowerSign", "var: Ref(T), m: Ref(T), lr: T, logbase: T, sign_decay: T, beta: T, grad: T -> out: Ref(T)")
        .attrs("T: numbertype, use_locking: bool = false").shape(dense::<2, 6>).not_differentiable();
    SPARSE_APPLY_PROXIMAL_GRADIENT_DESCENT: OpDef::new("SparseApplyProximalGradientDescent", "var: Ref(T), alpha: T, l1: T, l2: T, grad: T, indices: Tindices -> out: Ref(T)")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false").shape(sparse::<1, 4>).not_differentiable();
    SPARSE_APPLY_ADADELTA: OpDef::new("SparseApplyAdadelta", "var: Ref(T), accum: Ref(T), accum_update: Ref(T), lr: T, rho: T, epsilon: T, grad: T, indices: Tindices -> out: Ref(T)")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false").shape(sparse::<3, 6>).not_differentiable();
    SPARSE_APPLY_ADAGRAD: OpDef::new("SparseApplyAdagrad", "var: Ref(T), accum: Ref(T), lr: T, grad: T, indices: Tindices -> out: Ref(T)")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false, update_slots: bool = true").shape(sparse::<2, 3>).not_differentiable();
    SPARSE_APPLY_ADAGRAD_V2: OpDef::new("SparseApplyAdagradV2", "var: Ref(T), accum: Ref(T), lr: T, epsilon: T, grad: T, indices: Tindices -> out: Ref(T)")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false, update_slots: bool = true").shape(sparse::<2, 4>).not_differentiable();
    SPARSE_APPLY_ADAGRAD_DA: OpDef::new("SparseApplyAdagradDA", "var: Ref(T), gradient_accumulator: Ref(T), gradient_squared_accumulator: Ref(T), grad: T, indices: Tindices, lr: T, l1: T, l2: T, global_step: int64 -> out: Ref(T)")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false").shape(sparse::<3, 3>).not_differentiable();
    SPARSE_APPLY_PROXIMAL_ADAGRAD: OpDef::new("SparseApplyProximalAdagrad", "var: Ref(T), accum: Ref(T), lr: T, l1: T, l2: T, grad: T, indices: Tindices -> out: Ref(T)")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false").shape(sparse::<2, 5>).not_differentiable();
    SPARSE_APPLY_FTRL: OpDef::new("SparseApplyFtrl", "var: Ref(T), accum: Ref(T), linear: Ref(T), grad: T, indices: Tindices, lr: T, l1: T, l2: T, lr_power: T -> out: Ref(T)")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false, multiply_linear_by_lr: bool = false").shape(sparse::<3, 3>).not_differentiable();
    SPARSE_APPLY_FTRL_V2: OpDef::new("SparseApplyFtrlV2", "var: Ref(T), accum: Ref(T), linear: Ref(T), grad: T, indices: Tindices, lr: T, l1: T, l2: T, l2_shrinkage: T, lr_power: T -> out: Ref(T)")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false, multiply_linear_by_lr: bool = false").shape(sparse::<3, 3>).not_differentiable();
    SPARSE_APPLY_MOMENTUM: OpDef::new("SparseApplyMomentum", "var: Ref(T), accum: Ref(T), lr: T, grad: T, indices: Tindices, momentum: T -> out: Ref(T)")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false, use_nesterov: bool = false").shape(sparse::<2, 3>).not_differentiable();
    SPARSE_APPLY_RMS_PROP: OpDef::new("SparseApplyRMSProp", "var: Ref(T), ms: Ref(T), mom: Ref(T), lr: T, rho: T, momentum: T, epsilon: T, grad: T, indices: Tindices -> out: Ref(T)")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false").shape(sparse::<3, 7>).not_differentiable();
    SPARSE_APPLY_CENTERED_RMS_PROP: OpDef::new("SparseApplyCenteredRMSProp", "var: Ref(T), mg: Ref(T), ms: Ref(T), mom: Ref(T), lr: T, rho: T, momentum: T, epsilon: T, grad: T, indices: Tindices -> out: Ref(T)")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false").shape(sparse::<4, 8>).not_differentiable();
    RESOURCE_APPLY_GRADIENT_DESCENT: OpDef::new("ResourceApplyGradientDescent", "var: resource, alpha: T, delta: T ->")
        .attrs("T: numbertype, use_locking: bool = false").stateful().shape(dense::<1, 2>).not_differentiable();
    RESOURCE_APPLY_PROXIMAL_GRADIENT_DESCENT: OpDef::new("ResourceApplyProximalGradientDescent", "var: resource, alpha: T, l1: T, l2: T, delta: T ->")
        .attrs("T: numbertype, use_locking: bool = false").stateful().shape(dense::<1, 4>).not_differentiable();
    RESOURCE_APPLY_ADADELTA: OpDef::new("ResourceApplyAdadelta", "var: resource, accum: resource, accum_update: resource, lr: T, rho: T, epsilon: T, grad: T ->")
        .attrs("T: numbertype, use_locking: bool = false").stateful().shape(dense::<3, 6>).not_differentiable();
    RESOURCE_APPLY_ADAGRAD: OpDef::new("ResourceApplyAdagrad", "var: resource, accum: resource, lr: T, grad: T ->")
        .attrs("T: numbertype, use_locking: bool = false, update_slots: bool = true").stateful().shape(dense::<2, 3>).not_differentiable();
    RESOURCE_APPLY_ADAGRAD_V2: OpDef::new("ResourceApplyAdagradV2", "var: resource, accum: resource, lr: T, epsilon: T, grad: T ->")
        .attrs("T: numbertype, use_locking: bool = false, update_slots: bool = true").stateful().shape(dense::<2, 4>).not_differentiable();
    RESOURCE_APPLY_ADAGRAD_DA: OpDef::new("ResourceApplyAdagradDA", "var: resource, gradient_accumulator: resource, gradient_squared_accumulator: resource, grad: T, lr: T, l1: T, l2: T, global_step: int64 ->")
        .attrs("T: numbertype, use_locking: bool = false").stateful().shape(dense::<3, 3>).not_differentiable();
    RESOURCE_APPLY_PROXIMAL_ADAGRAD: OpDef::new("ResourceApplyProximalAdagrad", "var: resource, accum: resource, lr: T, l1: T, l2: T, grad: T ->")
        .attrs("T: numbertype, use_locking: bool = false").stateful().shape(dense::<2, 5>).not_differentiable();
    RESOURCE_APPLY_FTRL: OpDef::new("ResourceApplyFtrl", "var: resource, accum: resource, linear: resource, grad: T, lr: T, l1: T, l2: T, lr_power: T ->")
        .attrs("T: numbertype, use_locking: bool = false, multiply_linear_by_lr: bool = false").stateful().shape(dense::<3, 3>).not_differentiable();
    RESOURCE_APPLY_FTRL_V2: OpDef::new("ResourceApplyFtrlV2", "var: resource, accum: resource, linear: resource, grad: T, lr: T, l1: T, l2: T, l2_shrinkage: T, lr_power: T ->")
        .attrs("T: numbertype, use_locking: bool = false, multiply_linear_by_lr: bool = false").stateful().shape(dense::<3, 3>).not_differentiable();
    RESOURCE_APPLY_MOMENTUM: OpDef::new("ResourceApplyMomentum", "var: resource, accum: resource, lr: T, grad: T, momentum: T ->")
        .attrs("T: numbertype, use_locking: bool = false, use_nesterov: bool = false").stateful().shape(dense::<2, 3>).not_differentiable();
    RESOURCE_APPLY_KERAS_MOMENTUM: OpDef::new("ResourceApplyKerasMomentum", "var: resource, accum: resource, lr: T, grad: T, momentum: T ->")
        .attrs("T: numbertype, use_locking: bool = false, use_nesterov: bool = false").stateful().shape(dense::<2, 3>).not_differentiable();
    RESOURCE_APPLY_ADAM: OpDef::new("ResourceApplyAdam", "var: resource, m: resource, v: resource, beta1_power: T, beta2_power: T, lr: T, beta1: T, beta2: T, epsilon: T, grad: T ->")
        .attrs("T: numbertype, use_locking: bool = false, use_nesterov: bool = false").stateful().shape(dense::<3, 9>).not_differentiable();
    RESOURCE_APPLY_ADA_MAX: OpDef::new("ResourceApplyAdaMax", "var: resource, m: resource, v: resource, beta1_power: T, lr: T, beta1: T, beta2: T, epsilon: T, grad: T ->")
        .attrs("T: numbertype, use_locking: bool = false").stateful().shape(dense::<3, 8>).not_differentiable();
    RESOURCE_APPLY_RMS_PROP: OpDef::new("ResourceApplyRMSProp", "var: resource, ms: resource, mom: resource, lr: T, rho: T, momentum: T, epsilon: T, grad: T ->")
        .attrs("T: numbertype, use_locking: bool = false").stateful().shape(dense::<3, 7>).not_differentiable();
    RESOURCE_APPLY_CENTERED_RMS_PROP: OpDef::new("ResourceApplyCenteredRMSProp", "var: resource, mg: resource, ms: resource, mom: resource, lr: T, rho: T, momentum: T, epsilon: T, grad: T ->")
        .attrs("T: numbertype, use_locking: bool = false").stateful().shape(dense::<4, 8>).not_differentiable();
    RESOURCE_APPLY_ADD_SIGN: OpDef::new("ResourceApplyAddSign", "var: resource, m: resource, lr: T, alpha: T, sign_decay: T, beta: T, grad: T ->")
        .attrs("T: numbertype, use_locking: bool = false").stateful().shape(dense::<2, 6>).not_differentiable();
    RESOURCE_APPLY_POWER_SIGN: OpDef::new("ResourceApplyPowerSign", "var: resource, m: resource, lr: T, logbase: T, sign_decay: T, beta: T, grad: T ->")
        .attrs("T: numbertype, use_locking: bool = false").stateful().shape(dense::<2, 6>).not_differentiable();
    RESOURCE_APPLY_ADAM_WITH_AMSGRAD: OpDef::new("ResourceApplyAdamWithAmsgrad", "var: resource, m: resource, v: resource, vhat: resource, beta1_power: T, beta2_power: T, lr: T, beta1: T, beta2: T, epsilon: T, grad: T ->")
        .attrs("T: numbertype, use_locking: bool = false").stateful().shape(dense::<4, 10>).not_differentiable();
    RESOURCE_SPARSE_APPLY_PROXIMAL_GRADIENT_DESCENT: OpDef::new("ResourceSparseApplyProximalGradientDescent", "var: resource, alpha: T, l1: T, l2: T, grad: T, indices: Tindices ->")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false").stateful().shape(sparse::<1, 4>).not_differentiable();
    RESOURCE_SPARSE_APPLY_ADADELTA: OpDef::new("ResourceSparseApplyAdadelta", "var: resource, accum: resource, accum_update: resource, lr: T, rho: T, epsilon: T, grad: T, indices: Tindices ->")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false").stateful().shape(sparse::<3, 6>).not_differentiable();
    RESOURCE_SPARSE_APPLY_ADAGRAD: OpDef::new("ResourceSparseApplyAdagrad", "var: resource, accum: resource, lr: T, grad: T, indices: Tindices ->")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false, update_slots: bool = true").stateful().shape(sparse::<2, 3>).not_differentiable();
    RESOURCE_SPARSE_APPLY_ADAGRAD_V2: OpDef::new("ResourceSparseApplyAdagradV2", "var: resource, accum: resource, lr: T, epsilon: T, grad: T, indices: Tindices ->")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false, update_slots: bool = true").stateful().shape(sparse::<2, 4>).not_differentiable();
    RESOURCE_SPARSE_APPLY_ADAGRAD_DA: OpDef::new("ResourceSparseApplyAdagradDA", "var: resource, gradient_accumulator: resource, gradient_squared_accumulator: resource, grad: T, indices: Tindices, lr: T, l1: T, l2: T, global_step: int64 ->")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false").stateful().shape(sparse::<3, 3>).not_differentiable();
    RESOURCE_SPARSE_APPLY_PROXIMAL_ADAGRAD: OpDef::new("ResourceSparseApplyProximalAdagrad", "var: resource, accum: resource, lr: T, l1: T, l2: T, grad: T, indices: Tindices ->")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false").stateful().shape(sparse::<2, 5>).not_differentiable();
    RESOURCE_SPARSE_APPLY_FTRL: OpDef::new("ResourceSparseApplyFtrl", "var: resource, accum: resource, linear: resource, grad: T, indices: Tindices, lr: T, l1: T, l2: T, lr_power: T ->")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false, multiply_linear_by_lr: bool = false").stateful().shape(sparse::<3, 3>).not_differentiable();
    RESOURCE_SPARSE_APPLY_FTRL_V2: OpDef::new("ResourceSparseApplyFtrlV2", "var: resource, accum: resource, linear: resource, grad: T, indices: Tindices, lr: T, l1: T, l2: T, l2_shrinkage: T, lr_power: T ->")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false, multiply_linear_by_lr: bool = false").stateful().shape(sparse::<3, 3>).not_differentiable();
    RESOURCE_SPARSE_APPLY_MOMENTUM: OpDef::new("ResourceSparseApplyMomentum", "var: resource, accum: resource, lr: T, grad: T, indices: Tindices, momentum: T ->")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false, use_nesterov: bool = false").stateful().shape(sparse::<2, 3>).not_differentiable();
    RESOURCE_SPARSE_APPLY_KERAS_MOMENTUM: OpDef::new("ResourceSparseApplyKerasMomentum", "var: resource, accum: resource, lr: T, grad: T, indices: Tindices, momentum: T ->")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false, use_nesterov: bool = false").stateful().shape(sparse::<2, 3>).not_differentiable();
    RESOURCE_SPARSE_APPLY_RMS_PROP: OpDef::new("ResourceSparseApplyRMSProp", "var: resource, ms: resource, mom: resource, lr: T, rho: T, momentum: T, epsilon: T, grad: T, indices: Tindices ->")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false").stateful().shape(sparse::<3, 7>).not_differentiable();
    RESOURCE_SPARSE_APPLY_CENTERED_RMS_PROP: OpDef::new("ResourceSparseApplyCenteredRMSProp", "var: resource, mg: resource, ms: resource, mom: resource, lr: T, rho: T, momentum: T, epsilon: T, grad: T, indices: Tindices ->")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false").stateful().shape(sparse::<4, 8>).not_differentiable();
}

/// Returns the variable and its slots, which are the first `HANDLES` inputs, have one shape.
fn variable_shape<const HANDLES: usize>(context: &ShapeContext<'_>) -> Result<PartialShape> {
    let slots = context.inputs().iter().take(HANDLES);
    slots.filter_map(crate::state::variable_of).try_fold(PartialShape::unknown(), |known, (_, shape)| {
        let text = || format!("slots of shape {shape} for a variable of shape {known}");
        known.merge(&shape).ok_or_else(|| Error::value(text()))
    })
}

/// Requires that all inputs but the variable, its slots, and these are scalars.
fn check_scalars<const HANDLES: usize>(context: &ShapeContext<'_>, others: &[usize]) -> Result<()> {
    let scalars = (HANDLES..context.inputs().len()).filter(|index| !others.contains(index));
    scalars.into_iter().try_for_each(|index| context.input_of_rank(index, 0).map(drop))
}

/// Returns what is known of the variable's shape together with the gradient's.
///
/// # Errors
/// A value error if they contradict each other.
fn fit(variable: &PartialShape, gradient: &PartialShape) -> Result<PartialShape> {
    let text = || format!("a gradient of shape {gradient} for a variable of shape {variable}");
    variable.merge(gradient).ok_or_else(|| Error::value(text()))
}

/// Checks an update whose gradient, input `GRADIENT`, has the variable's shape.
fn dense<const HANDLES: usize, const GRADIENT: usize>(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = fit(&variable_shape::<HANDLES>(context)?, &context.input(GRADIENT))?;
    check_scalars::<HANDLES>(context, &[GRADIENT])?;
    // Resource forms have no output, for which `set` does nothing.
    context.set(0, shape);
    Ok(())
}

/// Checks an update whose gradient, input `GRADIENT`, is for the rows that the next input lists.
fn sparse<const HANDLES: usize, const GRADIENT: usize>(context: &mut ShapeContext<'_>) -> Result<()> {
    let variable = variable_shape::<HANDLES>(context)?;
    let (gradient, indices) = (context.input(GRADIENT), context.input_of_rank(GRADIENT + 1, 1)?);
    // An unknown rank leaves the row size open, and the engine checks it when the operation runs.
    if variable.rank().is_some() {
        fit(&indices.concat(&variable.range(1, usize::MAX)), &gradient)?;
    }
    check_scalars::<HANDLES>(context, &[GRADIENT, GRADIENT + 1])?;
    context.set(0, variable);
    Ok(())
}
