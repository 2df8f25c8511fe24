//! Partitioned variables, whose parts can be on different devices.

use super::builder::VariableBuilder;
use crate::array::{concat, identity};
use crate::initializers::Initializer;
use session_core::{DType, Error, Graph, Output, Phase, Shape, SliceInfo, Variable};
use std::panic::Location;

/// Decides into how many parts a variable is split. Closures with the arguments of [`parts`](Partitioner::parts) are partitioners too.
pub trait Partitioner {
    /// Returns the number of parts along each axis. At most one of the numbers is greater than 1.
    fn parts(&self, shape: &Shape, dtype: DType) -> Vec<usize>;
}

impl<F: Fn(&Shape, DType) -> Vec<usize>> Partitioner for F {
    fn parts(&self, shape: &Shape, dtype: DType) -> Vec<usize> {
        self(shape, dtype)
    }
}

/// Returns a partitioner with this number of parts along the first axis, or along [another](FixedSize::axis).
///
/// ```
/// use ops::initializers::zeros;
/// use ops::variables::{fixed_size_partitioner, get_partitioned_variable};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let table =
///     get_partitioned_variable(&graph, "table", [10, 4], DType::Float32, &zeros(), &fixed_size_partitioner(3));
/// let sizes: Vec<_> = table.parts().iter().map(|part| part.shape().dim(0).unwrap_or(0)).collect();
/// assert_eq!(sizes, [4, 3, 3]);
/// ```
#[must_use]
pub fn fixed_size_partitioner(parts: usize) -> FixedSize {
    FixedSize { parts, axis: 0 }
}

/// The partitioner of [`fixed_size_partitioner`].
#[derive(Clone, Copy, Debug)]
pub struct FixedSize {
    parts: usize,
    axis: usize,
}

impl FixedSize {
    /// Sets the axis that is split. Default: 0.
    #[must_use]
    pub fn axis(mut self, axis: usize) -> FixedSize {
        self.axis = axis;
        self
    }
}

/// `parts` along an axis, no more than it is long, and one along all others.
fn along(axis: usize, parts: usize, shape: &Shape) -> Vec<usize> {
    // No more parts than entries, and at least one, also for an empty axis.
    let size = |(at, &size): (usize, &usize)| if at == axis { parts.min(size).max(1) } else { 1 };
    shape.iter().enumerate().map(size).collect()
}

impl Partitioner for FixedSize {
    fn parts(&self, shape: &Shape, _: DType) -> Vec<usize> {
        along(self.axis, self.parts, shape)
    }
}

/// Returns a partitioner that splits the first axis into at most `max_partitions` parts of at least `min_slice_size` bytes each. An
/// element of a string variable counts as 16 bytes.
///
/// ```
/// use ops::variables::{Partitioner, min_max_variable_partitioner};
/// use session_core::{DType, Shape};
/// let partitioner = min_max_variable_partitioner(8, 1 << 20);
/// assert_eq!(partitioner.parts(&Shape::from([1024, 1024]), DType::Float32), [4, 1]); // 4 MiB
/// assert_eq!(partitioner.parts(&Shape::from([16]), DType::Float32), [1]);
/// ```
#[must_use]
pub fn min_max_variable_partitioner(max_partitions: usize, min_slice_size: usize) -> MinMax {
    MinMax { max_partitions, min_slice_size, axis: 0 }
}

/// The partitioner of [`min_max_variable_partitioner`].
#[derive(Clone, Copy, Debug)]
pub struct MinMax {
    max_partitions: usize,
    min_slice_size: usize,
    axis: usize,
}

impl MinMax {
    /// Sets the axis that is split. Default: 0.
    #[must_use]
    pub fn axis(mut self, axis: usize) -> MinMax {
        self.axis = axis;
        self
    }
}

impl Partitioner for MinMax {
    fn parts(&self, shape: &Shape, dtype: DType) -> Vec<usize> {
        // TensorFlow estimates 16 bytes for a string.
        let element = if dtype == DType::String { 16 } else { dtype.size().max(1) };
        let bytes =
            shape.checked_elements().and_then(|count| count.checked_mul(element)).unwrap_or(usize::MAX);
        let parts = (bytes / self.min_slice_size.max(1)).clamp(1, self.max_partitions.max(1));
        along(self.axis, parts, shape)
    }
}

/// A variable in parts. Each part is a variable named `NAME/part_0` and so on; checkpoints store the parts as one tensor.
#[derive(Clone, Debug)]
pub struct PartitionedVariable {
    name: String,
    parts: Vec<Variable>,
    axis: usize,
}

impl PartitionedVariable {
    /// Returns the name of the whole variable.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the parts, in order.
    #[must_use]
    pub fn parts(&self) -> &[Variable] {
        &self.parts
    }

    /// Returns the axis that is split.
    #[must_use]
    pub fn axis(&self) -> usize {
        self.axis
    }

    /// Returns the value of the whole variable: its parts, concatenated in the scope of this handle.
    #[must_use]
    #[track_caller]
    pub fn to_output(&self, graph: &Graph) -> Output {
        let parts: Vec<Output> = self.parts.iter().map(|part| part.snapshot().within(graph)).collect();
        match parts.as_slice() {
            // As TensorFlow's graph: one part needs no concatenation.
            [only] => identity(only),
            parts => {
                let scope = graph.root().scope(&format!("{}/ConcatPartitions", self.name));
                let parts: Vec<Output> = parts.iter().map(|part| part.within(&scope)).collect();
                concat(&parts, self.axis as i64).within(graph)
            }
        }
    }
}

/// Makes a trainable variable of exactly this name within the handle's scope or
/// [variable scope](Graph::variable_scope), in the parts that a partitioner determines.
/// A scalar is one variable, without parts.
///
/// The initializer makes the value of each part by itself. One whose numbers depend on the size of a layer, as
/// Glorot's do, goes by the size of the whole.
///
/// ```
/// # use session_core::{DType, Graph};
/// use ops::initializers::glorot_uniform;
/// use ops::variables::{fixed_size_partitioner, get_partitioned_variable};
/// let graph = Graph::new();
/// let parts = fixed_size_partitioner(2);
/// let table = get_partitioned_variable(&graph, "table", [5, 3], DType::Float32, &glorot_uniform(), &parts);
/// assert_eq!(table.parts()[1].name(), "table/part_1");
/// assert_eq!(table.parts()[0].shape().to_string(), "[3,3]");
/// assert_eq!(table.to_output(&graph).shape().to_string(), "[5,3]");
/// # graph.check().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn get_partitioned_variable(
    graph: &Graph,
    name: &str,
    shape: impl Into<Shape>,
    dtype: DType,
    initializer: &dyn Initializer,
    partitioner: &dyn Partitioner,
) -> PartitionedVariable {
    let shape: Shape = shape.into();
    let full_name = graph.variable_name(name).unwrap_or_else(|| format!("{}{name}", graph.scope_name()));
    let location = Location::caller();
    let build = |name: String, shape: Shape, slice: Option<SliceInfo>, initializer: &dyn Initializer| {
        let graph = graph.located_at(location);
        let builder = VariableBuilder::new(&graph).scoped_name(name).initializer(shape, dtype, initializer);
        match slice {
            Some(slice) => builder.slice(slice).build(),
            None => builder.build(),
        }
    };
    // A scalar has no axis to cut.
    let counts = if shape.rank() == 0 { Vec::new() } else { partitioner.parts(&shape, dtype) };
    let cut: Vec<usize> = (0..counts.len()).filter(|&axis| counts[axis] != 1).collect();
    // As in TensorFlow, a variable is cut along one axis only.
    let fits = counts.len() == shape.rank() && cut.len() <= 1;
    let axis = cut.first().copied().unwrap_or(0);
    let count = counts.get(axis).copied().unwrap_or(1);
    if !fits || shape.rank() > 0 && (count == 0 || count > shape[axis].max(1)) {
        let text = format!("variable '{full_name}' of shape {shape} cannot be cut into {counts:?} parts");
        graph.add_error(Error::value(text).with_location(location).with_phase(Phase::Build));
    }
    if shape.rank() == 0 || !fits {
        let whole = build(name.to_owned(), shape, None, initializer);
        return PartitionedVariable { name: full_name, parts: vec![whole], axis: 0 };
    }
    let (mut offset, mut parts) = (vec![0; shape.rank()], Vec::with_capacity(count));
    for part in 0..count {
        // The first parts are one longer where the axis does not divide evenly.
        let mut dims = shape.to_vec();
        dims[axis] = shape[axis] / count + usize::from(part < shape[axis] % count);
        let slice = SliceInfo {
            full_name: full_name.clone(),
            full_shape: shape.to_vec(),
            offset: offset.clone(),
            shape: dims.clone(),
        };
        offset[axis] += dims[axis];
        let value =
            |graph: &Graph, part: &Shape, dtype: DType| initializer.part_value(graph, &shape, part, dtype);
        parts.push(build(format!("{name}/part_{part}"), dims.into(), Some(slice), &value));
    }
    PartitionedVariable { name: full_name, parts, axis }
}
