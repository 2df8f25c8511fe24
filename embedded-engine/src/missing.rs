//! The operations of a graph that this engine does not run, listed all at once before anything runs.
//!
//! # What counts as missing
//!
//! An operation is missing if its type is neither registered nor the name of a function, or if the maker of
//! its kernel returns `Unimplemented`, with the message as the reason. Any other error of a maker belongs to
//! the operation and is returned where it is compiled. The same rule holds here, for graphs that may never
//! run, and in the compiler, which collects into the same type while it builds a plan.

use crate::kernel::{Kernel, NodeSpec};
use crate::kernels::registry;
use crate::resources::Resources;
use rustc_hash::FxHashSet;
use session_core::{AttrValue, Code, Endpoint, Error, Function, Graph, OpId, Operation, Output, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Returns true if this engine supports an op type. Unsupported dtypes and attributes are reported per
/// operation, by [`missing_kernels`], and so is the feature of this crate that an op type needs and that is
/// off.
///
/// ```
/// assert!(embedded_engine::supports("MatMul") && embedded_engine::supports("While"));
/// assert!(!embedded_engine::supports("Abort"));
/// ```
#[must_use]
pub fn supports(op_type: &str) -> bool {
    registry().find(op_type).is_some_and(|op| !op.is_left_out)
}

/// Returns the feature of this crate that brings the kernel of an op type, whether it is on or off. `None` if
/// the kernel needs no feature, and for op types that this engine does not have.
///
/// ```
/// assert_eq!(embedded_engine::feature_of("Conv3D"), Some("volumes"));
/// assert_eq!(embedded_engine::feature_of("Conv2D"), None);
/// ```
#[must_use]
pub fn feature_of(op_type: &str) -> Option<&'static str> {
    registry().find(op_type).and_then(|op| op.feature)
}

/// Returns true for an op type whose operations open files: those that read or write them, and readers and
/// datasets, which open them later. Each asks the session's [`FileAccess`](session_core::FileAccess) first.
///
/// ```
/// assert!(embedded_engine::accesses_files("ReadFile") && embedded_engine::accesses_files("TextLineDataset"));
/// assert!(!embedded_engine::accesses_files("MatMul"));
/// ```
#[must_use]
pub fn accesses_files(op_type: &str) -> bool {
    registry().find(op_type).is_some_and(|op| op.accesses_files)
}

/// Returns the operations of a graph, and of the functions of its library, that this engine cannot run
/// because of their type, a dtype or an attribute: all of them, whether a step would need them or not.
///
/// ```
/// use session_core::{DType, Graph, OutputInfo, PartialShape};
///
/// let graph = Graph::new();
/// let output = OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
/// let _ = graph.undefined_op("TPUReplicate").name("replicas").described_output(output).finish();
/// let missing = embedded_engine::missing_kernels(&graph);
/// assert_eq!(missing.to_string(), "TPUReplicate (replicas)");
/// assert!(missing.check().is_err());
/// ```
#[must_use]
pub fn missing_kernels(graph: &Graph) -> Missing {
    let mut missing = Missing::default();
    graph.operations().iter().for_each(|operation| missing.look_at(graph, operation, None));
    for function in graph.functions() {
        missing.look_into(graph, &function);
    }
    missing
}

/// Returns the unsupported operations among these, their dependencies, and the functions that they call.
/// Operations that only compute an output that is `fed` are not needed.
///
/// ```
/// use session_core::{DType, Graph};
///
/// let graph = Graph::new();
/// let x = ops::array::placeholder(&graph, DType::Float32, [2]);
/// let y = &x * &x;
/// assert!(embedded_engine::missing_kernels_for([y.operation()], &[]).is_empty());
/// ```
#[must_use]
pub fn missing_kernels_for<'o>(
    operations: impl IntoIterator<Item = &'o Operation>,
    fed: &[Output],
) -> Missing {
    let fed: FxHashSet<Endpoint> = fed.iter().map(Output::endpoint).collect();
    let mut missing = Missing::default();
    let mut pending: Vec<Operation> = operations.into_iter().cloned().collect();
    let mut seen: FxHashSet<OpId> = pending.iter().map(Operation::id).collect();
    let mut called = Vec::new();
    let mut names = FxHashSet::default();
    let Some(graph) = pending.first().map(Operation::graph) else { return missing };
    while let Some(operation) = pending.pop() {
        missing.look_at(&graph, &operation, None);
        called.extend(functions_of(&graph, &operation));
        let inputs = operation.input_endpoints().iter().filter(|input| !fed.contains(input));
        let inputs = inputs.map(|input| input.op);
        for id in inputs.chain(operation.control_input_ids().iter().copied()) {
            if seen.insert(id) {
                pending.extend(graph.operation_by_id(id));
            }
        }
    }
    // Functions are visited once each, also if they call themselves.
    while let Some(function) = called.pop() {
        if names.insert(function.name().to_owned()) {
            missing.look_into(&graph, &function);
            let body = function.body().operations();
            called.extend(body.iter().flat_map(|operation| functions_of(&graph, operation)));
        }
    }
    missing
}

/// Returns the functions that an operation runs.
///
/// A function is named by the op type itself (a call in TensorFlow 1's form), by an attribute, or by an
/// element of a list attribute. Names that the library does not have are ignored: they are reported where the
/// operation is compiled.
fn functions_of(graph: &Graph, operation: &Operation) -> Vec<Arc<Function>> {
    let mut names = vec![operation.op_type()];
    for value in operation.attrs().values() {
        match value {
            AttrValue::Func(name, _) => names.push(name),
            AttrValue::List(values) => names.extend(values.iter().filter_map(|value| match value {
                AttrValue::Func(name, _) => Some(name.as_str()),
                _ => None,
            })),
            _ => {}
        }
    }
    names.into_iter().filter_map(|name| graph.function(name)).collect()
}

/// Op types without a kernel, or without one for some operations, each with these operations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// The names of the operations by op type and reason; the reason is `None` if the whole type is missing.
    by_type: BTreeMap<(String, Option<String>), Vec<String>>,
    /// The names that `by_type` contains, so that an operation which several plans need is listed once.
    names: FxHashSet<String>,
}

/// The operations of one op type that lack a kernel for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingKernel<'m> {
    /// The op type.
    pub op_type: &'m str,
    /// The reason why the operations are unsupported although the op type is supported: a dtype or an
    /// attribute.
    pub reason: Option<&'m str>,
    /// The names of the operations; those in the body of a function as `function/operation`.
    pub operations: &'m [String],
}

impl Missing {
    /// Returns true if nothing is missing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_type.is_empty()
    }

    /// Returns the missing op types in alphabetical order, those without a reason before those with one.
    pub fn iter(&self) -> impl Iterator<Item = MissingKernel<'_>> {
        self.by_type.iter().map(|((op_type, reason), operations)| MissingKernel {
            op_type,
            reason: reason.as_deref(),
            operations,
        })
    }

    /// Adds the missing operations in the body of a function. Functions that it calls are looked into by the
    /// caller.
    fn look_into(&mut self, graph: &Graph, function: &Function) {
        for operation in function.body().operations() {
            self.look_at(graph, &operation, Some(function.name()));
        }
    }

    /// Adds an operation if this engine cannot run it. The makers of kernels decide what they accept, exactly
    /// as in a session.
    fn look_at(&mut self, graph: &Graph, operation: &Operation, function: Option<&str>) {
        let op_type = operation.op_type();
        match registry().find(op_type) {
            None if graph.function(op_type).is_none() => self.add(operation, function, None),
            Some(op) => {
                // Makers look up resources when they are called; those of an empty table are created and
                // dropped here.
                let spec = NodeSpec { operation, function, resources: &Resources::default() };
                let made = op.make.map(|make| make(&spec));
                if let Some(Err(error)) = made.filter(is_unimplemented) {
                    self.add(operation, function, Some(&error));
                }
            }
            None => {}
        }
    }

    /// Adds an operation, under the name `function/operation` if it is in a function.
    ///
    /// A name that is already listed is not added again. `reason` is the error of the kernel's maker, or
    /// `None` if there is no maker.
    pub(crate) fn add(&mut self, operation: &Operation, function: Option<&str>, reason: Option<&Error>) {
        let name = match function {
            Some(function) => format!("{function}/{}", operation.name()),
            None => operation.name().to_owned(),
        };
        if self.names.insert(name.clone()) {
            let reason = reason.map(|error| error.message().to_owned());
            self.by_type.entry((operation.op_type().to_owned(), reason)).or_default().push(name);
        }
    }

    /// Lists everything that is missing.
    ///
    /// # Errors
    ///
    /// `Unimplemented`, unless nothing is missing.
    pub fn check(&self) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        Err(Error::new(Code::Unimplemented, format!("the embedded engine has no kernel for: {self}")))
    }
}

/// Returns true if a kernel could not be created because it does not support the dtype or attributes.
fn is_unimplemented(made: &Result<Box<dyn Kernel>>) -> bool {
    made.as_ref().is_err_and(|error| error.code() == Code::Unimplemented)
}

/// Formats one line: each op type with its first three operations, and the reason if there is one.
impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, MissingKernel { op_type, reason, operations }) in self.iter().enumerate() {
            let (comma, more) =
                (if index > 0 { "; " } else { "" }, if operations.len() > 3 { ", ..." } else { "" });
            let first = operations.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
            write!(f, "{comma}{op_type} ({first}{more})")?;
            if let Some(reason) = reason {
                write!(f, ": {reason}")?;
            }
        }
        Ok(())
    }
}
