//! The interface of shape functions.

use crate::{AttrValue, Attrs, Error, Output, PartialShape, Result};
use tensor::{DType, Tensor};

/// The inputs and attributes of an operation under construction, and the shapes of its outputs.
///
/// ```
/// use session_core::{OpDef, Result, ShapeContext};
/// fn transposed(context: &mut ShapeContext<'_>) -> Result<()> {
///     let x = context.input_of_rank(0, 2)?;
///     context.set(0, [x.dim(1), x.dim(0)].into());
///     Ok(())
/// }
/// # use session_core::{DType, Graph, OutputInfo, PartialShape};
/// let graph = Graph::new();
/// static FLIP: OpDef = OpDef::new("Flip", "x: T -> y: T").attrs("T: type").shape(transposed);
/// let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2), None]), is_ref: false };
/// let x = graph.undefined_op("Placeholder").described_output(info).finish_output();
/// assert_eq!(graph.op(&FLIP).input(&x).finish_output().shape().to_string(), "[?,2]");
/// ```
#[derive(Debug)]
pub struct ShapeContext<'a> {
    inputs: &'a [Output],
    attrs: &'a Attrs,
    outputs: Vec<PartialShape>,
}

impl<'a> ShapeContext<'a> {
    pub(crate) fn new(inputs: &'a [Output], attrs: &'a Attrs, outputs: usize) -> ShapeContext<'a> {
        ShapeContext { inputs, attrs, outputs: vec![PartialShape::unknown(); outputs] }
    }

    pub(crate) fn into_outputs(self) -> Vec<PartialShape> {
        self.outputs
    }

    /// Returns all inputs, with lists flattened.
    #[must_use]
    pub fn inputs(&self) -> &'a [Output] {
        self.inputs
    }

    /// Returns the known shape of an input.
    #[must_use]
    pub fn input(&self, index: usize) -> PartialShape {
        // Beyond the inputs, as for optional arguments, the shape is unknown.
        self.inputs.get(index).map_or_else(PartialShape::unknown, |input| input.shape().clone())
    }

    /// Returns the value of an input, if it is a constant.
    #[must_use]
    pub fn constant(&self, index: usize) -> Option<&'a Tensor> {
        self.inputs.get(index).and_then(Output::constant_value)
    }

    /// Returns a constant input as integers, whatever its integer dtype and rank.
    #[must_use]
    pub fn constant_ints(&self, index: usize) -> Option<Vec<i64>> {
        let tensor = self.constant(index)?;
        match tensor.dtype() {
            DType::Int32 => Some(tensor.as_slice::<i32>().ok()?.iter().map(|&i| i.into()).collect()),
            DType::Int64 => tensor.to_vec::<i64>().ok(),
            _ => None,
        }
    }

    /// Returns an attribute, with its default filled in.
    #[must_use]
    pub fn attr(&self, name: &str) -> Option<&'a AttrValue> {
        self.attrs.get(name)
    }

    /// Returns all attributes.
    #[must_use]
    pub fn attrs(&self) -> &'a Attrs {
        self.attrs
    }

    /// Returns the shape of an input, which must have this rank if its rank is known.
    ///
    /// # Errors
    /// Fails with a value error that names the input and the ranks.
    pub fn input_of_rank(&self, index: usize, rank: usize) -> Result<PartialShape> {
        let shape = self.input(index);
        match shape.rank() {
            // The rank is what the caller asserts, so it is known from here on.
            None => Ok(PartialShape::of_rank(rank)),
            Some(found) if found == rank => Ok(shape),
            Some(found) => {
                Err(Error::value(format!("input {index} must have rank {rank}, not {found} (shape {shape})")))
            }
        }
    }

    /// Sets the shape of an output.
    pub fn set(&mut self, output: usize, shape: PartialShape) {
        if let Some(place) = self.outputs.get_mut(output) {
            *place = shape;
        }
    }

    /// Returns the number of outputs.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs.len()
    }
}
