//! Lookups in tables.

use crate::array::constants::{range, scalar_like};
use crate::array::gathering::gather;
use crate::array::joining::concat;
use crate::array::partition::{dynamic_partition, dynamic_stitch};
use crate::array::shaping::{reshape, shape, size};
use crate::array::slicing::{Index, strided_slice};
use crate::composite::Composite;
use crate::math::binary::{add, floor_div, floor_mod, maximum, mul, sub};
use crate::math::cast::cast;
use crate::math::compare::less;
use crate::math::select::select;
use crate::math::sum::add_n;
use session_core::{AsOutput, DType, Error, Output, PartialShape, Variable};

/// A table of rows: a variable, from which only the requested rows are read, or any tensor.
pub trait Table {
    /// Returns the rows with these numbers.
    #[track_caller]
    fn rows(&self, ids: &Output) -> Output;
    /// Returns the shape of the whole table.
    fn table_shape(&self) -> &PartialShape;
    /// Returns a tensor that determines the scope and device of new operations.
    fn value(&self) -> &Output;
}

impl Table for Output {
    #[track_caller]
    fn rows(&self, ids: &Output) -> Output {
        gather(self.within(&ids.graph()), ids)
    }

    fn table_shape(&self) -> &PartialShape {
        self.shape()
    }

    fn value(&self) -> &Output {
        self
    }
}

impl Table for Variable {
    #[track_caller]
    fn rows(&self, ids: &Output) -> Output {
        if self.is_resource() {
            // Only the rows asked for are read; a gather from the value would copy the whole table first.
            let handle = self.handle().within(&ids.graph());
            crate::state::resource_gather(handle, ids, self.dtype())
        } else {
            gather(self.as_output().within(&ids.graph()), ids)
        }
    }

    fn table_shape(&self) -> &PartialShape {
        self.shape()
    }

    fn value(&self) -> &Output {
        self.as_output()
    }
}

impl<T: Table + ?Sized> Table for &T {
    #[track_caller]
    fn rows(&self, ids: &Output) -> Output {
        (**self).rows(ids)
    }

    fn table_shape(&self) -> &PartialShape {
        (**self).table_shape()
    }

    fn value(&self) -> &Output {
        (**self).value()
    }
}

/// Returns the rows of a table that the integers `ids` name: the result has the shape of `ids` followed by that of a row.
///
/// ```
/// use ops::array::constant;
/// use ops::initializers::glorot_uniform;
/// use ops::{nn::embedding_lookup, variables::get_variable};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let table = get_variable(&graph, "words", [10_000, 64], DType::Float32, &glorot_uniform());
/// let rows = embedding_lookup(&table, constant(&graph, [[3, 5, 8]]));
/// assert_eq!(rows.shape().to_string(), "[1,3,64]");
/// ```
#[must_use]
#[track_caller]
pub fn embedding_lookup(params: &impl Table, ids: impl AsOutput) -> Output {
    let scope = Composite::new(&ids.as_output().graph(), "embedding_lookup");
    scope.leave(params.rows(&scope.enter(ids)))
}

/// The distribution of rows over the parts of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PartitionStrategy {
    /// Row `i` is in part `i % parts`, at position `i / parts`.
    #[default]
    Mod,
    /// Each part holds consecutive rows. The first parts hold one more row if the rows cannot be divided evenly.
    Div,
}

/// Works as [`embedding_lookup`] in a table in several parts.
///
/// ```
/// use ops::array::constant;
/// use ops::nn::{PartitionStrategy, embedding_lookup_partitioned};
/// # let graph = session_core::Graph::new();
/// let parts = [constant(&graph, [[0.0f32], [2.0]]), constant(&graph, [[1.0f32], [3.0]])];
/// let rows = embedding_lookup_partitioned(&parts, constant(&graph, [1, 2]), PartitionStrategy::Mod); // [[1.0], [2.0]]
/// # let _ = rows;
/// ```
#[must_use]
#[track_caller]
pub fn embedding_lookup_partitioned<T: Table>(
    params: &[T],
    ids: impl AsOutput,
    strategy: PartitionStrategy,
) -> Output {
    // TensorFlow builds a plain lookup for a single part, without partitions to stitch.
    if let [only] = params {
        return embedding_lookup(only, ids);
    }
    let scope = Composite::new(&ids.as_output().graph(), "embedding_lookup");
    let ids = scope.enter(ids);
    let Some(first) = params.first() else {
        scope.graph().add_error(Error::value("a table must have at least one part"));
        return scope.leave(ids);
    };
    let flat = if ids.shape().rank() == Some(1) { ids.clone() } else { reshape(&ids, [-1]) };
    let (part, place) = match strategy {
        PartitionStrategy::Mod => by_remainder(&flat, params.len()),
        PartitionStrategy::Div => by_order(&flat, params),
    };
    // Numbers of parts are 32-bit whatever the dtype of the identifiers.
    let part = cast(part, DType::Int32);
    let count = size(&flat);
    let numbers = range(scalar_like(&count, 0.0), &count, scalar_like(&count, 1.0));
    // The rows to read of each part, and where each stands among the identifiers: the second list
    // puts the rows back in order.
    let wanted = dynamic_partition(place, &part, params.len());
    let order = dynamic_partition(numbers, &part, params.len());
    let found: Vec<Output> = params.iter().zip(&wanted).map(|(part, ids)| part.rows(ids)).collect();
    let rows = dynamic_stitch(&order, &found);
    if ids.shape().rank() == Some(1) {
        return scope.leave(rows);
    }
    scope.leave(reshape(rows, whole_shape(&ids, first.table_shape(), &found)))
}

fn by_remainder(ids: &Output, parts: usize) -> (Output, Output) {
    let parts = scalar_like(ids, parts as f64);
    (floor_mod(ids, &parts), floor_div(ids, &parts))
}

/// Returns the part and the row in it of each id. The first `rows % parts` parts hold one row more than the others.
fn by_order<T: Table>(ids: &Output, params: &[T]) -> (Output, Output) {
    let rows = total_rows(ids, params);
    let parts = scalar_like(ids, params.len() as f64);
    let (least, extra) = (floor_div(&rows, &parts), floor_mod(&rows, &parts));
    let one = scalar_like(ids, 1.0);
    // The first `extra` parts hold one row more than the others, and the rows up to `in_longer` lie in them.
    let more = add(&least, &one);
    let in_longer = mul(&extra, &more);
    // Each formula is right for its own parts and never greater than the right number for the others, so that
    // the greater of both is right. Division by at least 1, for a table with fewer rows than parts.
    let part = maximum(floor_div(ids, &more), floor_div(sub(ids, &extra), maximum(&least, &one)));
    let longer = less(ids, in_longer);
    let place = select(longer, floor_mod(ids, more), floor_mod(sub(ids, &extra), maximum(least, one)));
    (part, place)
}

/// Returns the rows of all parts together.
fn total_rows<T: Table>(ids: &Output, params: &[T]) -> Output {
    // A number known while building is a constant; otherwise the parts are measured in each run.
    let known = params.iter().try_fold(0usize, |sum, part| sum.checked_add(part.table_shape().dim(0)?));
    if let Some(rows) = known {
        return scalar_like(ids, rows as f64);
    }
    let counts: Vec<Output> = params
        .iter()
        .map(|part| strided_slice(shape(part.value().within(&ids.graph())), &[Index::At(0)]))
        .collect();
    cast(add_n(&counts), ids.dtype())
}

/// Returns the shape of the numbers followed by that of a row.
fn whole_shape(ids: &Output, table: &PartialShape, found: &[Output]) -> crate::Ints {
    let row = table.rank().map_or_else(PartialShape::unknown, |rank| table.range(1, rank));
    if let Some(known) = ids.shape().concat(&row).to_shape() {
        return known.into();
    }
    // Any part found has the sizes of a row, even if it was asked for none.
    let row = strided_slice(shape(&found[0]), &[Index::from(1..)]);
    concat(&[shape(ids), row], 0).into()
}
