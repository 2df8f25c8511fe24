//! Sets along the last axis: differences, intersections, unions, sizes.
//!
//! Sets are the last axis of tensors, or the values of sparse tensors, whose other axes must be equal.
//! Results are sparse and sorted. Duplicates count once.
//!
//! # Semantics
//!
//! | op | inputs | result |
//! | --- | --- | --- |
//! | `DenseToDenseSetOperation` | two dense tensors | a sparse tensor |
//! | `DenseToSparseSetOperation` | a dense and a sparse one | the same |
//! | `SparseToSparseSetOperation` | two sparse ones | the same |
//! | `SetSize` | a sparse tensor | the number of different values per set, `int32` |
//!
//! `set_operation` is `a-b`, `b-a`, `intersection` or `union`, in any case. Members are strings or integers
//! of up to 64 bits but `uint32` and `uint64`. The last size of the result is that of the largest set. Sets
//! `[[1, 2, 2]]` and `[[2, 3, 4]]` with `a-b` give `[[1]]`.
//!
//! Errors are `InvalidArgument`: tensors of fewer than two axes, other axes that differ, an index outside of
//! the shape, and with `validate_indices` sparse indices that are out of order or repeated. Without it, any
//! order is accepted. Everything runs on one thread; the cost is n log n.

use crate::kernel::{Kernel, KernelContext, NodeSpec, values};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use compute::Pool;
use compute::elementwise::cast_values;
use session_core::{Error, Result};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use tensor::{Bytes, DType, Shape, Tensor, memory};

/// Registers the op types. The dtype is checked when the kernel is made.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("DenseToDenseSetOperation", |spec| operation(spec, [Form::Dense, Form::Dense]));
    registry.add("DenseToSparseSetOperation", |spec| operation(spec, [Form::Dense, Form::sparse(spec)?]));
    registry.add("SparseToSparseSetOperation", |spec| operation(spec, [Form::sparse(spec)?; 2]));
    registry.add("SetSize", |spec| {
        let form = Form::sparse(spec)?;
        match spec.dtype("T")? {
            DType::String => Ok(boxed(move |context| sizes::<Bytes>(context, form))),
            dtype => {
                check_member(dtype)?;
                Ok(boxed(move |context| sizes::<i64>(context, form)))
            }
        }
    });
}

/// Refuses dtypes that sets cannot hold.
fn check_member(dtype: DType) -> Result<()> {
    match dtype {
        DType::Int8 | DType::Int16 | DType::Int32 | DType::Int64 | DType::UInt8 | DType::UInt16 => Ok(()),
        other => Err(crate::dispatch::unsupported(other)),
    }
}

/// The form in which a set is given.
#[derive(Clone, Copy)]
enum Form {
    /// One tensor, whose rows are the sets.
    Dense,
    /// Indices, values, dense shape. With `sorted`, the indices must be in ascending order.
    Sparse { sorted: bool },
}

impl Form {
    /// Returns the form of sparse sets, whose order is checked if `validate_indices` is set.
    fn sparse(spec: &NodeSpec<'_>) -> Result<Form> {
        Ok(Form::Sparse { sorted: spec.bool("validate_indices")? })
    }

    /// Returns the number of inputs of the form.
    fn inputs(self) -> usize {
        match self {
            Form::Dense => 1,
            Form::Sparse { .. } => 3,
        }
    }
}

/// The operations on two sets.
#[derive(Clone, Copy)]
enum Combine {
    /// The members of the first set that are not in the second.
    FirstMinusSecond,
    /// The members of the second set that are not in the first.
    SecondMinusFirst,
    /// The members of both sets.
    Intersection,
    /// The members of either set.
    Union,
}

/// Makes the kernel of an operation on sets in two forms.
///
/// # Errors
/// `InvalidArgument` for another `set_operation`, and `Unimplemented` for other dtypes.
fn operation(spec: &NodeSpec<'_>, forms: [Form; 2]) -> Result<Box<dyn Kernel>> {
    let combine = match spec.str("set_operation")?.to_lowercase().as_str() {
        "a-b" => Combine::FirstMinusSecond,
        "b-a" => Combine::SecondMinusFirst,
        "intersection" => Combine::Intersection,
        "union" => Combine::Union,
        other => return Err(Error::invalid_argument(format!("Invalid set_operation {other}"))),
    };
    match spec.dtype("T")? {
        DType::String => Ok(boxed(move |context| combined::<Bytes>(context, forms, combine))),
        dtype => {
            check_member(dtype)?;
            Ok(boxed(move |context| combined::<i64>(context, forms, combine)))
        }
    }
}

/// The member type of sets: strings, or integers of any dtype, as the widest.
///
/// Integers are widened to compile the sets once for all of them.
trait Member: Ord + Clone + 'static {
    /// Returns the elements of a tensor, without a copy if they are members already.
    fn of(tensor: &Tensor) -> Result<Cow<'_, [Self]>>;
    /// Returns members as a vector of the dtype of the operation, from which they came.
    fn tensor(values: Vec<Self>, dtype: DType) -> Result<Tensor>;
}

impl Member for Bytes {
    fn of(tensor: &Tensor) -> Result<Cow<'_, [Bytes]>> {
        Ok(tensor.as_strings()?.into())
    }

    fn tensor(values: Vec<Bytes>, _dtype: DType) -> Result<Tensor> {
        let count = values.len();
        Ok(Tensor::from_strings(values, [count])?)
    }
}

impl Member for i64 {
    fn of(tensor: &Tensor) -> Result<Cow<'_, [i64]>> {
        let mut wide = memory::filled(0i64, tensor.elements())?;
        cast_values(&Pool::single(), values(tensor)?, wide.as_mut_slice().into());
        Ok(wide.into())
    }

    fn tensor(members: Vec<i64>, dtype: DType) -> Result<Tensor> {
        for_dtype!(all dtype, T => {
            let mut narrow = memory::filled(T::default(), members.len())?;
            cast_values(&Pool::single(), members.as_slice().into(), narrow.as_mut_slice().into());
            Ok(Tensor::from(narrow))
        })
    }
}

/// Sets by where they are in the axes before the last.
struct Sets<M> {
    /// The sizes of these axes.
    outer: Vec<usize>,
    /// The sets by their coordinates. Empty sets are not in the map.
    by_place: BTreeMap<Vec<i64>, BTreeSet<M>>,
}

impl<M: Member> Sets<M> {
    /// Reads the sets of some inputs.
    fn read(context: &KernelContext<'_>, form: Form, first: usize) -> Result<Sets<M>> {
        match form {
            Form::Dense => Sets::dense(context.input(first)),
            Form::Sparse { sorted } => {
                let (indices, values) = (context.input(first), context.input(first + 1));
                Sets::sparse(indices, values, &context.ints(first + 2)?, sorted)
            }
        }
    }

    /// Reads the rows of a dense tensor.
    ///
    /// For `[[1, 2], [2, 2]]` these are the sets `{1, 2}` at `[0]` and `{2}` at `[1]`. With a last axis of
    /// size 0 there are none.
    fn dense(tensor: &Tensor) -> Result<Sets<M>> {
        let dims = tensor.shape().dims();
        check_rank(dims.len())?;
        let (size, outer) = (dims[dims.len() - 1], &dims[..dims.len() - 1]);
        let mut sets = Sets { outer: outer.to_vec(), by_place: BTreeMap::new() };
        let members = M::of(tensor)?;
        for (number, members) in members.chunks_exact(size.max(1)).enumerate() {
            // A set drops duplicates and sorts the members.
            let mut set = BTreeSet::new();
            set.extend(members.iter().cloned());
            sets.by_place.insert(place_of(number, outer), set);
        }
        Ok(sets)
    }

    /// Reads the rows of a sparse tensor.
    ///
    /// The last coordinate only tells values apart; its own value does not matter.
    ///
    /// # Errors
    /// `InvalidArgument` for fewer than two axes, a negative size, indices of another shape, an index outside
    /// of the shape, and with `sorted` an index that is not greater than the one before it.
    fn sparse(indices: &Tensor, values: &Tensor, sizes: &[i64], sorted: bool) -> Result<Sets<M>> {
        check_rank(sizes.len())?;
        let outer = &sizes[..sizes.len() - 1];
        let size = |&size: &i64| {
            usize::try_from(size).map_err(|_| Error::invalid_argument(format!("a set has the size {size}")))
        };
        let mut sets: Sets<M> =
            Sets { outer: outer.iter().map(size).collect::<Result<_>>()?, by_place: BTreeMap::new() };
        let (indices, values) = (indices.as_slice::<i64>()?, M::of(values)?);
        if indices.len() != values.len() * sizes.len() {
            let text = format!("{} values with indices in {} axes", values.len(), sizes.len());
            return Err(Error::invalid_argument(text));
        }
        let mut before: Option<&[i64]> = None;
        for (number, (index, value)) in indices.chunks_exact(sizes.len()).zip(&*values).enumerate() {
            let refused =
                |what: String| Error::invalid_argument(format!("indices[{number}] = {index:?} {what}"));
            if index.iter().zip(sizes).any(|(index, size)| !(0..*size).contains(index)) {
                return Err(refused(format!("is out of bounds of the shape {sizes:?}")));
            }
            match before.filter(|_| sorted).map(|before| before.cmp(index)) {
                Some(Ordering::Greater) => {
                    let text = "is out of order: sort sparse indices with SparseReorder, or set \
                                validate_indices to false";
                    return Err(refused(text.to_owned()));
                }
                Some(Ordering::Equal) => return Err(refused("is repeated".to_owned())),
                _ => before = Some(index),
            }
            let place = index[..outer.len()].to_vec();
            sets.by_place.entry(place).or_default().insert(value.clone());
        }
        Ok(sets)
    }
}

/// Refuses tensors of fewer than two axes: sets are rows.
fn check_rank(rank: usize) -> Result<()> {
    if rank < 2 {
        return Err(Error::invalid_argument(format!("sets need a tensor of rank 2 or more, not {rank}")));
    }
    Ok(())
}

/// Returns the indices of the `number`th place of these sizes.
fn place_of(mut number: usize, sizes: &[usize]) -> Vec<i64> {
    let mut place = vec![0; sizes.len()];
    for (index, size) in place.iter_mut().zip(sizes).rev() {
        *index = (number % size) as i64;
        number /= size;
    }
    place
}

/// Combines two sets. The members are in ascending order.
fn combine_sets<M: Member>(combine: Combine, a: &BTreeSet<M>, b: &BTreeSet<M>) -> Vec<M> {
    match combine {
        Combine::FirstMinusSecond => a.difference(b).cloned().collect(),
        Combine::SecondMinusFirst => b.difference(a).cloned().collect(),
        Combine::Intersection => a.intersection(b).cloned().collect(),
        Combine::Union => a.union(b).cloned().collect(),
    }
}

/// Combines all sets of two inputs, and returns a sparse tensor.
///
/// The coordinates of the result are those of the set and the number of the member in it, in ascending order
/// of both.
fn combined<M: Member>(context: &mut KernelContext<'_>, forms: [Form; 2], combine: Combine) -> Result<()> {
    let dtype = context.input(if matches!(forms[0], Form::Dense) { 0 } else { 1 }).dtype();
    let a = Sets::<M>::read(context, forms[0], 0)?;
    let b = Sets::<M>::read(context, forms[1], forms[0].inputs())?;
    if a.outer != b.outer {
        let text = format!("Mismatched group shapes {:?} and {:?}", a.outer, b.outer);
        return Err(Error::invalid_argument(text));
    }
    // A set that only one input has is combined with an empty one.
    let none = BTreeSet::new();
    let mut places: BTreeSet<&Vec<i64>> = BTreeSet::new();
    places.extend(a.by_place.keys().chain(b.by_place.keys()));
    let (mut indices, mut values, mut largest) = (Vec::new(), Vec::new(), 0);
    for place in places {
        let [a, b] = [&a, &b].map(|sets| sets.by_place.get(place).unwrap_or(&none));
        let members = combine_sets(combine, a, b);
        largest = largest.max(members.len());
        for (number, member) in members.into_iter().enumerate() {
            indices.extend_from_slice(place);
            indices.push(number as i64);
            values.push(member);
        }
    }
    let rank = a.outer.len() + 1;
    let shape: Vec<i64> = a.outer.iter().chain([&largest]).map(|&size| size as i64).collect();
    context.set(0, Tensor::from_vec(indices, [values.len(), rank])?);
    context.set(1, M::tensor(values, dtype)?);
    context.set(2, Tensor::from(shape));
    Ok(())
}

/// Delivers the number of different members of each set, in the shape of the axes before the last. Absent
/// sets have 0.
fn sizes<M: Member>(context: &mut KernelContext<'_>, form: Form) -> Result<()> {
    let sets = Sets::<M>::read(context, form, 0)?;
    context.produce::<i32>(0, Shape::new(&sets.outer), |_, output| {
        for (number, size) in output.iter_mut().enumerate() {
            let members = sets.by_place.get(&place_of(number, &sets.outer));
            *size = members.map_or(0, |members| members.len() as i32);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_major_places_are_computed() {
        assert_eq!(place_of(5, &[2, 3]), [1, 2]);
        assert_eq!(place_of(0, &[]), Vec::<i64>::new());
    }

    #[test]
    fn sets_combine_in_order() {
        let (a, b) = (BTreeSet::from([3i64, 1, 2]), BTreeSet::from([2, 5]));
        assert_eq!(combine_sets(Combine::FirstMinusSecond, &a, &b), [1, 3]);
        assert_eq!(combine_sets(Combine::SecondMinusFirst, &a, &b), [5]);
        assert_eq!(combine_sets(Combine::Intersection, &a, &b), [2]);
        assert_eq!(combine_sets(Combine::Union, &a, &b), [1, 2, 3, 5]);
    }
}
