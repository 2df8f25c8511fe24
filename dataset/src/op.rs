//! Operations that make datasets.

use crate::Dataset;
use crate::elements::Spec;
use ops::functions::{FunctionWithCaptures, define};
use session_core::{
    AsOutput, DType, Error, Graph, OpBuilder, OpDef, OpLibrary as _, Output, PartialShape, Result,
};

/// Begins an operation of a type of the op library.
///
/// # Panics
/// For a type that the library does not have, which its tests would find.
#[track_caller]
pub(crate) fn op(graph: &Graph, op_type: &str) -> OpBuilder {
    graph.op(definition(op_type))
}

fn definition(op_type: &str) -> &'static OpDef {
    ops::library().find(op_type).unwrap_or_else(|| panic!("the op library has no {op_type}"))
}

impl Dataset {
    /// Returns the dataset that an operation returns, of these elements, which the operation describes.
    #[track_caller]
    pub(crate) fn described(builder: OpBuilder, spec: Spec) -> Dataset {
        let variant = spec.describe(builder).finish_output();
        Dataset { variant, spec }
    }

    /// Begins an operation on this dataset.
    #[track_caller]
    pub(crate) fn op(&self, op_type: &str) -> OpBuilder {
        op(&self.graph(), op_type).input(self)
    }

    /// Another dataset of the same elements.
    #[track_caller]
    pub(crate) fn same(&self, builder: OpBuilder) -> Dataset {
        Dataset::described(builder, self.spec.clone())
    }
}

impl AsOutput for Dataset {
    fn as_output(&self) -> &Output {
        self.variant()
    }
}

/// Adds a function to an operation: what it captured as the next input, its name as an attribute.
pub(crate) fn with_function(builder: OpBuilder, attr: &str, function: &FunctionWithCaptures) -> OpBuilder {
    let builder = builder.input_list(function.captures()).attr(attr, function.attr());
    // A body cannot wait for operations around it, so the operation that calls it does.
    function.control_inputs().iter().fold(builder, |builder, before| builder.control_input(before))
}

/// Defines a function whose result is a dataset; also returns the components of that dataset.
#[track_caller]
pub(crate) fn define_dataset(
    graph: &Graph,
    name: &str,
    arguments: &[(DType, PartialShape)],
    build: impl FnOnce(&Graph, &[Output]) -> Dataset,
) -> (Result<FunctionWithCaptures>, Option<Spec>) {
    let mut spec = None;
    let function = define(graph, name, arguments, |body, arguments| {
        let dataset = build(body, arguments);
        spec = Some(dataset.spec);
        vec![dataset.variant]
    });
    (function, spec)
}

/// The dataset of an operation that cannot be made.
#[track_caller]
pub(crate) fn invalid(graph: &Graph, op_type: &str, spec: Spec, error: Error) -> Dataset {
    Dataset { variant: failed(graph, op_type, DType::Variant, error), spec }
}

/// Records why an operation cannot be made, and stands for its output.
#[track_caller]
pub(crate) fn failed(graph: &Graph, op_type: &str, dtype: DType, error: Error) -> Output {
    // An invalid output alone reports its error only to those who use it.
    graph.add_error(error.clone());
    graph.invalid_output(op_type, dtype, error)
}
