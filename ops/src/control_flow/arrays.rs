//! Arrays of tensors that loops write and read by index. They are values: each change returns a new array.

use super::tensor_list::{
    TENSOR_LIST_CONCAT_V2, TENSOR_LIST_FROM_TENSOR, TENSOR_LIST_GATHER, TENSOR_LIST_GET_ITEM,
    TENSOR_LIST_LENGTH, TENSOR_LIST_RESERVE, TENSOR_LIST_SCATTER_INTO_EXISTING_LIST, TENSOR_LIST_SET_ITEM,
    TENSOR_LIST_SPLIT, TENSOR_LIST_STACK, element_shape_tensor,
};
use crate::arguments::Ints;
use crate::array::constants::constant;
use crate::composite::Composite;
use session_core::{AsOutput, DType, Error, Graph, Output, PartialShape, Phase};

/// An array of tensors of one dtype, which loops write and read by index.
///
/// It is a value: [`write`](TensorArray::write) returns another array, which takes the memory of the old one if nothing else uses that.
/// Gradients pass through all of its operations. An element that was never written is zero if its shape is known.
///
/// ```
/// use ops::{array::constant, control_flow::TensorArray};
/// use session_core::{DType, Graph, PartialShape};
/// let graph = Graph::new();
/// let array = TensorArray::new(&graph, DType::Float32, 2, PartialShape::from([3]));
/// let array = array.write(0, constant(&graph, [1f32, 2.0, 3.0]));
/// let whole = array.write(1, constant(&graph, [4f32, 5.0, 6.0])).stack();
/// assert_eq!(whole.shape().to_string(), "[2,3]");
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TensorArray {
    /// A tensor list: a scalar of dtype `variant`.
    handle: Output,
    dtype: DType,
    /// The part of the shape that all elements have in common; an element whose shape contradicts it is a build error.
    element_shape: PartialShape,
    /// The number of elements when the graph is built; `None` if it is computed or can grow.
    size: Option<usize>,
    /// True if a write past the end makes the array longer.
    dynamic: bool,
}

impl TensorArray {
    /// Creates an array of `size` elements of this dtype. `element_shape` is the shape of an element as far as it is known; a fully unknown
    /// shape is `PartialShape::unknown()`.
    ///
    /// Reading an element that was never written yields zeros if the shape of the elements is known, and otherwise fails.
    #[must_use]
    #[track_caller]
    pub fn new(
        graph: &Graph,
        dtype: DType,
        size: impl Into<Ints>,
        element_shape: impl Into<PartialShape>,
    ) -> TensorArray {
        let (size, element_shape) = (size.into(), element_shape.into());
        // Known only for a constant size; `stack` then knows its first dimension.
        let known = size.known().and_then(|sizes| usize::try_from(*sizes.first()?).ok());
        let scope = Composite::new(graph, "TensorArrayV2");
        let graph = scope.graph().named_as_scope();
        let builder = graph.op(&TENSOR_LIST_RESERVE).constant(element_shape_tensor(&element_shape));
        let handle = size.input_of(builder).attr("element_dtype", dtype).finish_output();
        TensorArray { handle: scope.leave(handle), dtype, element_shape, size: known, dynamic: false }
    }

    /// Returns the same array, which grows when an element is written past its end.
    ///
    /// ```
    /// use ops::{array::constant, control_flow::TensorArray};
    /// use session_core::{DType, Graph, PartialShape};
    /// let graph = Graph::new();
    /// let array = TensorArray::new(&graph, DType::Float32, 0, PartialShape::scalar()).dynamic_size();
    /// let array = array.write(0, constant(&graph, 1.5f32));
    /// assert_eq!(array.stack().shape().to_string(), "[?]");
    /// ```
    #[must_use]
    pub fn dynamic_size(mut self) -> TensorArray {
        self.dynamic = true;
        // A write may change it, so the number at the beginning is no longer a fact.
        self.size = None;
        self
    }

    /// Creates an array of the entries of a tensor along its first axis.
    ///
    /// ```
    /// use ops::{array::constant, control_flow::TensorArray};
    /// let graph = session_core::Graph::new();
    /// let rows = TensorArray::unstacked(constant(&graph, [[1.0f32, 2.0], [3.0, 4.0]]));
    /// assert_eq!(rows.read(1).shape().to_string(), "[2]"); // [3.0, 4.0]
    /// ```
    #[must_use]
    #[track_caller]
    pub fn unstacked(value: impl AsOutput) -> TensorArray {
        let value = value.as_output();
        let scope = Composite::new(&value.graph(), "TensorArrayUnstack");
        let shape = value.shape();
        let element_shape = shape.rank().map_or_else(PartialShape::unknown, |rank| shape.range(1, rank));
        let value = scope.enter(value);
        let builder = scope.graph().op(&TENSOR_LIST_FROM_TENSOR).input(&value);
        let handle = builder.constant(element_shape_tensor(&element_shape)).finish_output();
        let (dtype, size) = (value.dtype(), value.shape().dim(0));
        TensorArray { handle: scope.leave(handle), dtype, element_shape, size, dynamic: false }
    }

    /// Creates the array that a list represents.
    pub(crate) fn of_handle(
        handle: Output,
        dtype: DType,
        element_shape: PartialShape,
        size: Option<usize>,
    ) -> TensorArray {
        TensorArray { handle, dtype, element_shape, size, dynamic: false }
    }

    /// Returns the tensor list that represents the array, a `variant` tensor.
    #[must_use]
    pub fn handle(&self) -> &Output {
        &self.handle
    }

    /// Returns an array of the same dtype and shapes that another tensor list represents, such as the list after a change or an argument of a
    /// function.
    #[must_use]
    pub fn with_handle(&self, handle: Output) -> TensorArray {
        TensorArray { handle, ..self.clone() }
    }

    /// Returns the dtype of the elements.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Returns the shape of the elements as far as it is known.
    #[must_use]
    pub fn element_shape(&self) -> &PartialShape {
        &self.element_shape
    }

    /// Returns the array with an element at this index. An index past the end is an error when the graph runs, unless the array
    /// [grows](TensorArray::dynamic_size).
    ///
    /// ```
    /// use ops::{array::constant, control_flow::TensorArray};
    /// use session_core::{DType, Graph, PartialShape};
    /// let graph = Graph::new();
    /// let empty = TensorArray::new(&graph, DType::Float32, 2, PartialShape::scalar());
    /// // Each write returns a new array; the old one is unchanged.
    /// let array = empty.write(0, constant(&graph, 1.0f32)).write(1, constant(&graph, 2.0f32));
    /// assert_eq!(array.stack().shape().to_string(), "[2]");
    /// ```
    #[must_use]
    #[track_caller]
    pub fn write(&self, index: impl Into<Ints>, value: impl AsOutput) -> TensorArray {
        let value = value.as_output();
        // In the graph of the value: within a loop that is the body, while the array may come from outside.
        let scope = Composite::new(&value.graph(), "TensorArrayV2Write");
        let builder = scope.graph().op(&TENSOR_LIST_SET_ITEM).input(&self.handle);
        let builder = index.into().input_of(builder).input(scope.enter(value));
        let builder = builder.attr("resize_if_index_out_of_bounds", self.dynamic);
        // A mismatch becomes an error of the write itself, so the message names its place in the program.
        let builder = match self.check(value, value.shape()) {
            Ok(()) => builder,
            Err(error) => builder.error(error),
        };
        self.with_handle(scope.leave(builder.finish_output()))
    }

    /// Returns the element at an index. An index outside of the array is an `InvalidArgument` error when the operation runs.
    #[must_use]
    #[track_caller]
    pub fn read(&self, index: impl Into<Ints>) -> Output {
        let scope = Composite::new(&self.handle.graph(), "TensorArrayV2Read");
        let builder =
            index.into().input_of(scope.graph().op(&TENSOR_LIST_GET_ITEM).input(scope.enter(&self.handle)));
        let builder = builder.constant(element_shape_tensor(&self.element_shape));
        scope.leave(builder.attr("element_dtype", self.dtype).finish_output())
    }

    /// Returns all elements along a new first axis. All elements must have the same shape.
    ///
    /// ```
    /// use ops::{array::constant, control_flow::TensorArray};
    /// use session_core::{DType, Graph, PartialShape};
    /// let graph = Graph::new();
    /// let array = TensorArray::new(&graph, DType::Float32, 3, PartialShape::from([2]));
    /// let array = array.unstack(constant(&graph, [[1f32, 2.0], [3.0, 4.0], [5.0, 6.0]]));
    /// assert_eq!(array.read(1).shape().to_string(), "[2]");
    /// assert_eq!(array.stack().shape().to_string(), "[3,2]");
    /// # graph.finalize()?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn stack(&self) -> Output {
        let scope = Composite::new(&self.handle.graph(), "TensorArrayV2Stack");
        // -1 stands for an unknown number; a known one makes the shape of the result
        // static, and the engine checks it.
        let size = self.size.and_then(|size| i64::try_from(size).ok()).unwrap_or(-1);
        let builder = scope.graph().op(&TENSOR_LIST_STACK).input(scope.enter(&self.handle));
        let builder = builder.constant(element_shape_tensor(&self.element_shape));
        scope.leave(builder.attr("element_dtype", self.dtype).attr("num_elements", size).finish_output())
    }

    /// Returns the elements at these indices along a new first axis.
    ///
    /// ```
    /// use ops::{array::constant, control_flow::TensorArray};
    /// let graph = session_core::Graph::new();
    /// let rows = TensorArray::unstacked(constant(&graph, [[1, 2], [3, 4], [5, 6]]));
    /// let some = rows.gather([2, 0]); // [[5, 6], [1, 2]]
    /// assert_eq!(some.dtype(), rows.dtype());
    /// ```
    #[must_use]
    #[track_caller]
    pub fn gather(&self, indices: impl Into<Ints>) -> Output {
        let scope = Composite::new(&self.handle.graph(), "TensorArrayV2Gather");
        let builder = scope.graph().op(&TENSOR_LIST_GATHER).input(scope.enter(&self.handle));
        let builder = indices.into().input_of(builder);
        let builder = builder.constant(element_shape_tensor(&self.element_shape));
        scope.leave(builder.attr("element_dtype", self.dtype).finish_output())
    }

    /// Returns an array whose elements are the entries of a tensor along its first axis.
    #[must_use]
    #[track_caller]
    pub fn unstack(&self, value: impl AsOutput) -> TensorArray {
        let value = value.as_output();
        // Elements of the old array do not matter: the whole content is replaced, as in TensorFlow.
        let made = TensorArray::unstacked(value);
        let rank = value.shape().rank().unwrap_or(1);
        if let Err(error) = self.check(value, &value.shape().range(1, rank.max(1))) {
            value.graph().add_error(error.with_phase(Phase::Build));
        }
        TensorArray { dynamic: self.dynamic, ..made }
    }

    /// Returns the array in which the elements at these indices are the entries of a tensor along its first axis.
    #[must_use]
    #[track_caller]
    pub fn scatter(&self, indices: impl Into<Ints>, value: impl AsOutput) -> TensorArray {
        let value = value.as_output();
        let scope = Composite::new(&value.graph(), "TensorArrayV2Scatter");
        let builder = scope.graph().op(&TENSOR_LIST_SCATTER_INTO_EXISTING_LIST);
        let builder = indices.into().input_of(builder.input(&self.handle).input(scope.enter(value)));
        let rank = value.shape().rank().unwrap_or(1);
        let builder = match self.check(value, &value.shape().range(1, rank.max(1))) {
            Ok(()) => builder,
            Err(error) => builder.error(error),
        };
        self.with_handle(scope.leave(builder.finish_output()))
    }

    /// Creates an array of parts of a tensor along its first axis, which have these lengths.
    ///
    /// ```
    /// use ops::{array::constant, control_flow::TensorArray};
    /// let graph = session_core::Graph::new();
    /// let parts = TensorArray::split(constant(&graph, [1, 2, 3]), constant(&graph, [1i64, 2])); // [1] and [2, 3]
    /// assert_eq!(parts.read(0).shape().to_string(), "[?]");
    /// ```
    #[must_use]
    #[track_caller]
    pub fn split(value: impl AsOutput, lengths: impl AsOutput) -> TensorArray {
        let value = value.as_output();
        let scope = Composite::new(&value.graph(), "TensorArrayV2Split");
        let shape = value.shape();
        let rest = shape.rank().map_or_else(PartialShape::unknown, |rank| {
            PartialShape::from([None]).concat(&shape.range(1, rank))
        });
        let lengths = crate::math::cast::cast(scope.enter(lengths), DType::Int64);
        let builder = scope.graph().op(&TENSOR_LIST_SPLIT).input(scope.enter(value));
        // The parts differ in their first size, so the shape of an element leaves it open.
        let builder = builder.constant(element_shape_tensor(&rest)).input(&lengths);
        let handle = scope.leave(builder.finish_output());
        let size = lengths.shape().dim(0);
        TensorArray { handle, dtype: value.dtype(), element_shape: rest, size, dynamic: false }
    }

    /// Returns all elements, concatenated along their first axis, in which they may differ.
    #[must_use]
    #[track_caller]
    pub fn concat(&self) -> Output {
        let scope = Composite::new(&self.handle.graph(), "TensorArrayV2Concat");
        let builder = scope.graph().op(&TENSOR_LIST_CONCAT_V2).input(scope.enter(&self.handle));
        let rank = self.element_shape.rank();
        // The elements may differ in their first size; the others must agree.
        let rest = rank.map_or_else(PartialShape::unknown, |_| self.element_shape.with_dim(0, None));
        let builder = builder.constant(element_shape_tensor(&rest));
        // `leading_dims` would give the first sizes of elements that were never written; here there are none.
        let builder = builder.input(constant(scope.graph(), Vec::<i64>::new()));
        scope.leave(builder.attr("element_dtype", self.dtype).finish().output(0))
    }

    /// Returns the number of elements, a scalar `int32`.
    #[must_use]
    #[track_caller]
    pub fn size(&self) -> Output {
        self.handle.graph().op(&TENSOR_LIST_LENGTH).input(&self.handle).finish_output()
    }

    /// Checks that a value whose elements have the shape `element` fits the array.
    ///
    /// # Errors
    /// A type error for another dtype, a value error for a shape that contradicts the shape of the elements.
    fn check(&self, value: &Output, element: &PartialShape) -> session_core::Result<()> {
        if value.dtype() != self.dtype {
            let (found, expected) = (value.dtype(), self.dtype);
            return Err(Error::type_mismatch(format!("'{}' is {found}, not {expected}", value.name())));
        }
        if self.element_shape.merge(element).is_none() {
            let expected = &self.element_shape;
            let text = format!("elements of shape {element} do not fit an array of elements {expected}");
            return Err(Error::value(text));
        }
        Ok(())
    }
}
