//! What a shape function sees and says.

use crate::{AttrValue, Attrs, Error, Output, PartialShape, Result};
use tensor::{DType, Tensor};

/// The inputs and attributes of an operation that is being made, and the shapes of its outputs.
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

    /// All inputs, lists flattened.
    #[must_use]
    pub fn inputs(&self) -> &'a [Output] {
        self.inputs
    }

    /// What is known of an input's shape.
    #[must_use]
    pub fn input(&self, index: usize) -> PartialShape {
        self.inputs.get(index).map_or_else(PartialShape::unknown, |input| input.shape().clone())
    }

    /// An input's value, where it is a constant.
    #[must_use]
    pub fn constant(&self, index: usize) -> Option<&'a Tensor> {
        self.inputs.get(index).and_then(Output::constant_value)
    }

    /// A constant input as integers, whatever its integer dtype and rank.
    #[must_use]
    pub fn constant_ints(&self, index: usize) -> Option<Vec<i64>> {
        let tensor = self.constant(index)?;
        match tensor.dtype() {
            DType::Int32 => Some(tensor.as_slice::<i32>().ok()?.iter().map(|&i| i.into()).collect()),
            DType::Int64 => tensor.to_vec::<i64>().ok(),
            _ => None,
        }
    }

    /// An attribute, defaults filled in.
    #[must_use]
    pub fn attr(&self, name: &str) -> Option<&'a AttrValue> {
        self.attrs.get(name)
    }

    /// All attributes.
    #[must_use]
    pub fn attrs(&self) -> &'a Attrs {
        self.attrs
    }

    /// An input's shape, which must have this rank if its rank is known.
    ///
    /// # Errors
    /// A value error that names the input and the ranks.
    pub fn input_of_rank(&self, index: usize, rank: usize) -> Result<PartialShape> {
        let shape = self.input(index);
        match shape.rank() {
            None => Ok(PartialShape::of_rank(rank)),
            Some(found) if found == rank => Ok(shape),
            Some(found) => {
                Err(Error::value(format!("input {index} must have rank {rank}, not {found} (shape {shape})")))
            }
        }
    }

    /// Says an output's shape.
    pub fn set(&mut self, output: usize, shape: PartialShape) {
        if let Some(place) = self.outputs.get_mut(output) {
            *place = shape;
        }
    }

    /// How many outputs there are.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs.len()
    }
}
