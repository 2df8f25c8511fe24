//! Operations that make datasets: their inputs by name, whatever the spelling of the op type.
//!
//! TensorFlow has several versions of most dataset ops, which differ in inputs and attributes but make the
//! same dataset (D-2, D-4). A file of this folder lists all of them in an [`Op`] with one function, which
//! asks the [`Build`] for inputs by name and passes the default of those that older versions lack.

use super::cache::Memory;
use super::dataset::{Handle, Shared, Ties};
use super::function::Function;
use super::seeds::SeedGenerator;
use crate::kernel::{Ability, Body, Hold, Kernel, KernelContext, NodeSpec};
use crate::kernels::data_flow::Feed;
use crate::kernels::tables;
use rustc_hash::FxHashMap;
use session_core::{ArgType, AttrValue, Error, Operation, PartialShape, Result};
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use tensor::{Bytes, DType, Tensor};

/// Op types that make one kind of dataset.
pub(super) struct Op {
    /// The op types, among them older names of the same operation.
    pub(super) types: &'static [&'static str],
    /// The attributes that name functions, in the order in which a [`Build`] receives the compiled functions.
    pub(super) functions: &'static [&'static str],
    /// Makes the dataset from the inputs of a step. Checks scalar inputs, so that their errors come from the
    /// initializer (D-6, D-7); makes no element.
    pub(super) make: fn(&Build<'_, '_>) -> Result<Shared>,
}

/// Makes the kernel of an operation that makes a dataset. One registered function serves all op types: it
/// finds the [`Op`] by the type of the operation.
///
/// # Errors
///
/// `InvalidArgument` for an op type that is in no list, or attributes that do not fit the inputs (see
/// [`Node::of`]).
pub(super) fn make(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    // Built once: a function with a dataset inside is compiled for each session.
    static BY_TYPE: OnceLock<FxHashMap<&'static str, &'static Op>> = OnceLock::new();
    let by_type = BY_TYPE.get_or_init(|| {
        super::ops().flat_map(|op| op.types.iter().map(move |&op_type| (op_type, op))).collect()
    });
    let op_type = spec.operation.op_type();
    let op = by_type
        .get(op_type)
        .ok_or_else(|| Error::invalid_argument(format!("{op_type} does not create a dataset")))?;
    Ok(Box::new(Maker { op, node: Node::of(spec.operation)? }))
}

/// The kernel, which makes a new dataset in each step. A new one also has new seeds and an empty cache (D-6,
/// D-21).
struct Maker {
    /// The op types to which the operation belongs.
    op: &'static Op,
    /// The static properties of the operation.
    node: Node,
}

impl Kernel for Maker {
    /// Runs an operation whose op type holds no functions.
    fn run(&self, context: &mut KernelContext<'_>) -> Result<()> {
        self.run_with(context, &[])
    }

    fn ability(&self) -> Ability<'_> {
        Ability::Holds(self)
    }
}

impl Hold for Maker {
    /// Makes the dataset with the compiled functions, and outputs its handle with the declared dtypes and
    /// shapes.
    fn run_with(&self, context: &mut KernelContext<'_>, functions: &[Arc<dyn Body>]) -> Result<()> {
        let build = Build { node: &self.node, names: self.op.functions, functions, context };
        let dataset = (self.op.make)(&build)?;
        let Node { types, shapes, .. } = &self.node;
        let own = Ties { may_block: functions.iter().any(|body| body.may_block()), ..Ties::default() };
        let ties = (0..context.num_inputs()).map(|input| ties(context, input)).fold(own, Ties::and);
        let handle = Handle { dataset, types: types.clone(), shapes: shapes.clone(), ties };
        context.set(0, handle.into_tensor());
        Ok(())
    }
}

/// Returns the ties that an input brings: those of a dataset, or those of a resource that steps update. Tables
/// are filled once; seeds and caches belong to the datasets.
///
/// Pipelines that follow the steps make their elements when steps request them, also with a prefetch: an
/// element that was made ahead would see the variable as it was some steps before (D-15).
fn ties(context: &KernelContext<'_>, input: usize) -> Ties {
    let value = context.input(input);
    match value.dtype() {
        DType::Variant => value.as_handle::<Handle>().map(|dataset| dataset.ties).unwrap_or_default(),
        DType::Resource => {
            // An empty handle stands for a dummy: seed generator, memory cache, thread pool.
            let is_own = value.as_handle::<()>().is_some()
                || value.as_handle::<SeedGenerator>().is_some()
                || value.as_handle::<Memory>().is_some();
            let follows_steps = !is_own && !tables::is_fixed(value);
            let awaits_steps = follows_steps && Feed::of(context, input).is_ok();
            Ties { follows_steps, awaits_steps, may_block: false }
        }
        _ => Ties::default(),
    }
}

/// The static properties of an operation.
pub(super) struct Node {
    /// The operation, whose attributes and signature are asked in each step.
    operation: Operation,
    /// The inputs of each argument of the signature, in its order: an argument that is a list has a range of
    /// inputs.
    arguments: Vec<(String, Range<usize>)>,
    /// The dtypes of the components of an element.
    pub(super) types: Vec<DType>,
    /// The static shapes of the components.
    pub(super) shapes: Vec<PartialShape>,
}

impl Node {
    /// Derives the properties from an operation's attributes and its signature.
    ///
    /// Dtypes come from `output_types`, else `Toutput_types`, else `Tvalues` (sparse slices: indices, values,
    /// dense shape), else one string (files). Shapes come from `output_shapes`, else all scalars.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if the attributes ask for another number of inputs than there are, or shapes and
    /// dtypes differ in number. Imported graphs may have either.
    pub(super) fn of(operation: &Operation) -> Result<Node> {
        let types = |name: &str| operation.attr(name).and_then(AttrValue::as_types);
        let sparse = operation.attr("Tvalues").and_then(AttrValue::as_type);
        let sparse = sparse.map(|values| vec![DType::Int64, values, DType::Int64]);
        let shapes = operation.attr("output_shapes").and_then(AttrValue::as_shapes);
        let shapes = shapes.or_else(|| sparse.is_some().then(|| [2, 1, 1].map(PartialShape::of_rank).into()));
        // Files have records, which are strings.
        let types = types("output_types").or_else(|| types("Toutput_types")).or(sparse);
        // Sparse batches are variants, whatever dtype the graph has for their values.
        let makes_sparse = operation.op_type().ends_with("DenseToSparseBatchDataset");
        let types = types.filter(|_| !makes_sparse).or_else(|| makes_sparse.then(|| vec![DType::Variant]));
        let types = types.unwrap_or_else(|| vec![DType::String]);
        let shapes = shapes.unwrap_or_else(|| vec![PartialShape::scalar(); types.len()]);
        let signature = operation.def().map(|def| def.signature());
        // Inputs are numbered over all arguments; an argument's count follows from its own attribute.
        let mut first = 0;
        let mut arguments = Vec::new();
        for input in signature.iter().flat_map(|signature| &signature.inputs) {
            let count = match &input.arg_type {
                ArgType::Fixed(_) | ArgType::Attr(_) => 1,
                ArgType::Repeated(count, _) => {
                    let count = operation.attr(count).and_then(AttrValue::as_int);
                    count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
                }
                ArgType::List(list) => {
                    operation.attr(list).and_then(AttrValue::as_list).map_or(0, <[AttrValue]>::len)
                }
            };
            arguments.push((input.name.clone(), first..first + count));
            first += count;
        }
        // An imported node may lack inputs of a newer version of its op type.
        if first != operation.num_inputs() {
            let text = format!("{} inputs where the attributes ask for {first}", operation.num_inputs());
            return Err(Error::invalid_argument(text));
        }
        if shapes.len() != types.len() {
            let text = format!("{} shapes for {} components", shapes.len(), types.len());
            return Err(Error::invalid_argument(text));
        }
        Ok(Node { operation: operation.clone(), arguments, types, shapes })
    }
}

/// Returns `value` if it is greater than zero and fits into `T`, or `InvalidArgument` with the text of
/// `otherwise`.
pub(super) fn positive<T: TryFrom<i64>, E: Into<String>>(
    value: i64,
    otherwise: impl FnOnce(i64) -> E,
) -> Result<T> {
    let positive = T::try_from(value).ok().filter(|_| value > 0);
    positive.ok_or_else(|| Error::invalid_argument(otherwise(value)))
}

/// An operation that runs to make a dataset, or something of one. Gives access to inputs by the names of the
/// op's definition; an input that the op type lacks has a default or is an error, as the method states.
pub(super) struct Build<'b, 'c> {
    /// The static properties of the operation.
    pub(super) node: &'b Node,
    /// The attributes that name functions, in the order of `functions`.
    pub(super) names: &'static [&'static str],
    /// The compiled functions.
    pub(super) functions: &'b [Arc<dyn Body>],
    /// The context of the running kernel, which holds the inputs.
    pub(super) context: &'b KernelContext<'c>,
}

impl Build<'_, '_> {
    /// Returns the operation as kernels are made of it, for parsers that read its attributes.
    pub(super) fn spec(&self) -> NodeSpec<'_> {
        let resources = &self.context.environment.resources;
        NodeSpec { operation: &self.node.operation, function: None, resources }
    }

    /// Returns the op type.
    pub(super) fn op_type(&self) -> &str {
        self.node.operation.op_type()
    }

    /// Returns the operation, for messages: `MapDataset 'map'`.
    pub(super) fn owner(&self) -> String {
        format!("{} '{}'", self.op_type(), self.node.operation.name())
    }

    /// Returns an attribute, or `None` where neither the node nor its op type has one.
    pub(super) fn attr(&self, name: &str) -> Option<&AttrValue> {
        self.node.operation.attr(name)
    }

    /// Returns true if an attribute is present and true.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.attr(name).and_then(AttrValue::as_bool).unwrap_or(false)
    }

    /// Returns true if the op type has an argument of this name, also if the argument is a list without
    /// inputs.
    pub(super) fn has(&self, argument: &str) -> bool {
        self.node.arguments.iter().any(|(name, _)| name == argument)
    }

    /// Returns the inputs of an argument; none where the op type does not have it.
    pub(super) fn tensors(&self, argument: &str) -> Vec<Tensor> {
        let range = self.node.arguments.iter().find(|(name, _)| name == argument);
        let range = range.map_or(0..0, |(_, range)| range.clone());
        range.map(|index| self.context.input(index).clone()).collect()
    }

    /// Returns the single input of an argument, or `InvalidArgument` with the names of the op type and the
    /// argument.
    pub(super) fn tensor(&self, argument: &str) -> Result<Tensor> {
        let missing = || Error::invalid_argument(format!("{} has no input '{argument}'", self.op_type()));
        self.tensors(argument).into_iter().next().ok_or_else(missing)
    }

    /// Returns an argument that must be one integer, of any integer dtype.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` with the shape for anything else than a scalar.
    pub(super) fn int(&self, argument: &str) -> Result<i64> {
        let tensor = self.tensor(argument)?;
        let wrong = |_| {
            let text = format!("{argument} must be a scalar, but has shape {}", tensor.shape());
            Error::invalid_argument(text)
        };
        tensor.as_scalar_i64().map_err(wrong)
    }

    /// Returns an argument that must be greater than zero, or an error that `otherwise` describes. It
    /// receives the value for its text.
    pub(super) fn positive<T: TryFrom<i64>, E: Into<String>>(
        &self,
        argument: &str,
        otherwise: impl FnOnce(i64) -> E,
    ) -> Result<T> {
        positive(self.int(argument)?, otherwise)
    }

    /// Returns an integer, or `default` for an argument that some spellings of the op type lack.
    pub(super) fn int_or(&self, argument: &str, default: i64) -> Result<i64> {
        if self.has(argument) { self.int(argument) } else { Ok(default) }
    }

    /// Returns a flag that some spellings of the op type lack.
    pub(super) fn bool_or(&self, argument: &str, default: bool) -> Result<bool> {
        if self.has(argument) { Ok(self.tensor(argument)?.value()?) } else { Ok(default) }
    }

    /// Returns the elements of an argument that is a tensor of strings, of any shape.
    pub(super) fn strings(&self, argument: &str) -> Result<Vec<Bytes>> {
        Ok(self.tensor(argument)?.as_strings()?.to_vec())
    }

    /// Returns an argument that must be one string.
    pub(super) fn string(&self, argument: &str) -> Result<Bytes> {
        match self.tensor(argument)?.as_strings()? {
            [text] => Ok(text.clone()),
            other => {
                Err(Error::invalid_argument(format!("{argument} must be one string, not {}", other.len())))
            }
        }
    }

    /// Returns an argument as text; bytes that are not UTF-8 are replaced. An argument that some variants of
    /// the op type lack is empty.
    pub(super) fn text_or_empty(&self, argument: &str) -> Result<String> {
        if !self.has(argument) {
            return Ok(String::new());
        }
        // The texts are keywords; a wrong one is refused by name.
        Ok(String::from_utf8_lossy(&self.string(argument)?).into_owned())
    }

    /// Returns the dataset that elements are taken from: the argument `input_dataset`.
    pub(super) fn input(&self) -> Result<Shared> {
        self.dataset("input_dataset")
    }

    /// Returns a dataset with the dtypes and shapes of its elements.
    pub(super) fn handle(&self, argument: &str) -> Result<Handle> {
        Ok(Handle::of(&self.tensor(argument)?)?.clone())
    }

    /// Returns a dataset.
    pub(super) fn dataset(&self, argument: &str) -> Result<Shared> {
        Ok(self.handle(argument)?.dataset)
    }

    /// Returns the datasets of an argument with several inputs.
    pub(super) fn datasets(&self, argument: &str) -> Result<Vec<Shared>> {
        self.tensors(argument).iter().map(|tensor| Ok(Handle::of(tensor)?.dataset.clone())).collect()
    }

    /// Returns the function of an attribute, with what the inputs of an argument hold as captured.
    ///
    /// Captured tensors are values of this run of the op; resources among them are handles, which are
    /// dereferenced when an element is made (D-16).
    pub(super) fn function(&self, attr: &str, captured: &str) -> Result<Function> {
        let place = self.names.iter().position(|&name| name == attr);
        let body = place.and_then(|place| self.functions.get(place)).cloned();
        let missing = || Error::invalid_argument(format!("{} has no function '{attr}'", self.op_type()));
        Ok(Function {
            body: body.ok_or_else(missing)?,
            captured: self.tensors(captured),
            owner: self.owner().into(),
        })
    }
}
