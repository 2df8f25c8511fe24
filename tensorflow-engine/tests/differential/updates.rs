//! Operations that change variables, of both kinds: every optimizer's, dense and sparse, and scatters.

use crate::cases::{numbers, spread};
use crate::engines::{Engines, Report};
use ops::library;
use ops::variables::{VariableExt, global_variables_initializer, variable};
use session_core::{
    ArgType, AttrKind, DType, Graph, OpDef, OpLibrary, Operation, Output, OutputInfo, PartialShape,
    SessionExt, Tensor,
};

/// Rows that differ, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("SparseApplyRMSProp float32 [] SpecialGradient", INFINITE_MEAN),
    ("ResourceSparseApplyRMSProp float32 [] SpecialGradient", INFINITE_MEAN),
    ("SparseApplyCenteredRMSProp float32 [] SpecialGradient", INFINITE_MEAN),
    ("ResourceSparseApplyCenteredRMSProp float32 [] SpecialGradient", INFINITE_MEAN),
];

const INFINITE_MEAN: &str = "a mean square that was infinite stays so in TensorFlow's rows, and is NaN in its whole variables and here";

/// Steps of each update: some take another way at the first.
const STEPS: usize = 4;

/// Initial values of variables, positive and different for each.
fn initial(dtype: DType, shape: &[usize], which: usize) -> Tensor {
    let count: usize = shape.iter().product();
    let value = |i: usize| 0.4 + ((i * 3 + which * 5) % 7) as f64 * 0.13;
    numbers(dtype, &(0..count).map(value).collect::<Vec<_>>(), shape)
}

/// A value for a number that an update is given, such as a learning rate.
fn hyper_parameter(name: &str) -> f64 {
    match name {
        "lr" | "alpha" => 0.1,
        "rho" | "beta1" | "momentum" => 0.9,
        "beta2" => 0.99,
        "beta1_power" => 0.81,
        "beta2_power" => 0.98,
        "epsilon" => 1e-3,
        "l1" => 0.01,
        "l2" => 0.02,
        "l2_shrinkage" => 0.03,
        "lr_power" => -0.5,
        "logbase" => std::f64::consts::E.ln(),
        "sign_decay" => 0.8,
        "beta" => 0.7,
        other => panic!("no value for {other}"),
    }
}

/// A variable of the old kind: a reference.
fn reference(graph: &Graph, value: &Tensor) -> (Output, Operation) {
    let shape: PartialShape = value.shape().into();
    let def = library().find("VariableV2").unwrap();
    let info = OutputInfo { dtype: value.dtype(), shape: shape.clone(), is_ref: true };
    let builder = graph.op(def).attr("dtype", value.dtype()).attr("shape", shape).described_output(info);
    let variable = builder.finish_output();
    let assign = library().find("Assign").unwrap();
    let initial = ops::array::constant(graph, value.clone());
    let assign = graph.op(assign).input(&variable).input(initial).finish();
    (variable, assign)
}

/// The inputs of an update: the usual ones, or unusual ones of one kind.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Inputs {
    Usual,
    /// The gradient begins with NaN and infinities.
    SpecialGradient,
    /// The learning rate is 0.
    NoRate,
}

/// The operation on fresh variables, the operations that initialize them, and the outputs that read them.
struct Update {
    operation: Operation,
    initializers: Vec<Operation>,
    values: Vec<Output>,
}

/// Builds an update from its definition: variables where it takes them, gradients, indices and numbers elsewhere.
fn build(graph: &Graph, def: &'static OpDef, dtype: DType, attrs: &[(&str, bool)], inputs: Inputs) -> Update {
    let (mut initializers, mut values) = (Vec::new(), Vec::new());
    let mut builder = graph.named("update").op(def);
    for (i, arg) in def.signature().inputs.iter().enumerate() {
        let is_resource = arg.arg_type == ArgType::Fixed(DType::Resource);
        let value = match arg.name.as_str() {
            "gradient_squared_accumulator" => initial(dtype, &[4, 3], i),
            "global_step" => Tensor::from(3i64),
            _ => initial(dtype, &[4, 3], i),
        };
        if is_resource {
            let variable = variable(&graph.named(&arg.name), value);
            builder = builder.input(variable.handle());
            values.push(variable.read(graph));
            initializers.push(variable.initializer().clone());
        } else if arg.is_ref {
            let (variable, assign) = reference(graph, &value);
            builder = builder.input(&variable);
            values.push(ops::array::identity(&variable));
            initializers.push(assign);
        } else {
            builder = builder.input(ops::array::constant(graph, plain_input(def, &arg.name, dtype, inputs)));
        }
    }
    for (name, value) in attrs {
        builder = builder.attr(name, *value);
    }
    Update { operation: builder.finish(), initializers, values }
}

fn is_sparse(def: &OpDef) -> bool {
    def.name().contains("SparseApply")
}

fn plain_input(def: &OpDef, name: &str, dtype: DType, inputs: Inputs) -> Tensor {
    match name {
        "grad" | "delta" if inputs == Inputs::SpecialGradient => {
            let rows = if is_sparse(def) { 3 } else { 4 };
            let mut values: Vec<f64> = (0..rows * 3).map(|i| 0.3 - (i % 5) as f64 * 0.2).collect();
            values[..3].copy_from_slice(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
            numbers(dtype, &values, &[rows, 3])
        }
        "lr" | "alpha" if inputs == Inputs::NoRate => numbers(dtype, &[0.0], &[]),
        "grad" if is_sparse(def) => spread(dtype, &[3, 3]),
        "grad" | "delta" => spread(dtype, &[4, 3]),
        "indices" => Tensor::from([2i32, 0, 3]),
        "global_step" => Tensor::from(3i64),
        other => numbers(dtype, &[hyper_parameter(other)], &[]),
    }
}

fn has_attr(def: &OpDef, name: &str) -> bool {
    def.signature().attr(name).is_some_and(|attr| attr.kind == AttrKind::Bool)
}

fn train(
    engines: &Engines,
    report: &mut Report,
    def: &'static OpDef,
    dtype: DType,
    attrs: &[(&str, bool)],
    inputs: Inputs,
) {
    let name = format!("{} {dtype} {attrs:?} {inputs:?}", def.name());
    let excuse = DIFFERENT.iter().find(|(row, _)| name.starts_with(row)).map(|(_, reason)| *reason);
    let graph = Graph::new();
    let update = build(&graph, def, dtype, attrs, inputs);
    let pair = match engines.open(&graph) {
        Ok(pair) => pair,
        Err(error) => return report.fail(&name, error.to_string()),
    };
    for session in [&*pair.ours, &pair.theirs] {
        // TensorFlow looks for the kernels of all nodes at the first run.
        if let Err(error) = session.run(&update.initializers, ()) {
            return report.add(&name, &[], crate::engines::failures(Ok(()), Err(error)), excuse);
        }
    }
    for step in 0..STEPS {
        let ours = pair.ours.run(&update.operation, ());
        let theirs = pair.theirs.run(&update.operation, ());
        let outcome = match (ours, theirs) {
            (Ok(()), Ok(())) => pair.compare(&update.values, &[], 8.0),
            (ours, theirs) => crate::engines::failures(ours, theirs),
        };
        let done = !matches!(outcome, crate::engines::Outcome::Same);
        let mut outputs = update.values.clone();
        outputs.extend(update.operation.outputs());
        report.add_with(&format!("{name} step {step}"), &outputs, &[&update.operation], outcome, excuse);
        if done {
            break;
        }
    }
}

/// Whether it updates a variable: accumulators, too, are applied to.
fn is_update(def: &OpDef) -> bool {
    def.name().contains("Apply") && def.signature().inputs.first().is_some_and(|arg| arg.name == "var")
}

/// The optimizers' updates.
fn optimizers(engines: &Engines, report: &mut Report) {
    for def in library().iter().filter(|def| is_update(def)) {
        for dtype in [DType::Float32, DType::Float64, DType::Float16, DType::BFloat16] {
            train(engines, report, def, dtype, &[], Inputs::Usual);
            if dtype == DType::Float32 {
                train(engines, report, def, dtype, &[], Inputs::SpecialGradient);
                train(engines, report, def, dtype, &[], Inputs::NoRate);
            }
            for attr in ["use_nesterov", "update_slots", "multiply_linear_by_lr"] {
                if has_attr(def, attr) {
                    train(engines, report, def, dtype, &[(attr, attr != "update_slots")], Inputs::Usual);
                }
            }
        }
    }
}

/// Scatters into variables of both kinds, by row and by coordinates.
fn scatters(engines: &Engines, report: &mut Report) {
    let kinds = ["Update", "Add", "Sub", "Mul", "Div", "Min", "Max"];
    let by_coordinates = ["NdUpdate", "NdAdd", "NdSub", "NdMin", "NdMax"];
    for (kind, policy) in [
        kinds.map(|kind| (kind, None)).to_vec(),
        by_coordinates.map(|kind| (kind, Some(""))).to_vec(),
        by_coordinates.map(|kind| (kind, Some("IGNORE"))).to_vec(),
    ]
    .concat()
    {
        for (prefix, resource) in [("ResourceScatter", true), ("Scatter", false)] {
            let op_type = format!("{prefix}{kind}");
            let Some(def) = library().find(&op_type) else {
                report.fail(&op_type, "is not defined".to_owned());
                continue;
            };
            for dtype in [DType::Float32, DType::Float64, DType::Int32, DType::Int64, DType::BFloat16] {
                for indices in [vec![2i32, 0, 2], vec![1], vec![5], vec![-1], vec![3, -1, 2], vec![]] {
                    let rows = indices.len();
                    let graph = Graph::new();
                    let value = initial(DType::Float64, &[4, 3], 1).to_vec::<f64>().unwrap();
                    let value: Vec<f64> = value.into_iter().map(|x| (x * 20.0).round()).collect();
                    let value = numbers(dtype, &value, &[4, 3]);
                    let updates: Vec<f64> = (0..rows * 3).map(|i| 2.0 + (i % 4) as f64).collect();
                    let updates = ops::array::constant(&graph, numbers(dtype, &updates, &[rows, 3]));
                    let shape = if policy.is_some() { vec![rows, 1] } else { vec![rows] };
                    let at = Tensor::from_vec(indices.clone(), shape).unwrap();
                    let at = ops::array::constant(&graph, at);
                    let (handle, read, init) = if resource {
                        let variable = variable(&graph.named("v"), value);
                        let init = global_variables_initializer(&graph);
                        (variable.handle().clone(), variable.read(&graph), init)
                    } else {
                        let (variable, assign) = reference(&graph, &value);
                        (variable.clone(), ops::array::identity(&variable), assign)
                    };
                    let mut operation = graph.op(def).input(&handle).input(&at).input(&updates);
                    if let Some(policy) = policy {
                        operation = operation.attr("bad_indices_policy", policy);
                    }
                    let operation = operation.finish();
                    let name = format!("{op_type} {dtype} {indices:?} {policy:?}");
                    let excuse =
                        DIFFERENT.iter().find(|(row, _)| name.starts_with(row)).map(|(_, reason)| *reason);
                    let pair = match engines.open(&graph) {
                        Ok(pair) => pair,
                        Err(error) => {
                            report.fail(&name, error.to_string());
                            continue;
                        }
                    };
                    pair.ours.run(&init, ()).unwrap();
                    pair.theirs.run(&init, ()).unwrap();
                    let outcome = match (pair.ours.run(&operation, ()), pair.theirs.run(&operation, ())) {
                        (Ok(()), Ok(())) => pair.compare(std::slice::from_ref(&read), &[], 4.0),
                        (ours, theirs) => crate::engines::failures(ours, theirs),
                    };
                    report.add_with(&name, &[read], &[&operation], outcome, excuse);
                }
            }
        }
    }
}

pub(crate) fn all(engines: &Engines, report: &mut Report) {
    optimizers(engines, report);
    scatters(engines, report);
}
