//! The largest elements, and whether a prediction is among them.
//!
//! # Semantics
//!
//! - `TopKV2` takes `input` `[..., n]` and `k` and returns the `k` largest elements and their indices,
//!   `[..., k]`.
//! - `NthElement` takes `input` `[..., n]` and the scalar `n` and returns `[...]`.
//! - `InTopK` takes `predictions` `[rows, classes]` (`float32`) and `targets` `[rows]` and returns `[rows]`
//!   of `bool`; V2 has `k` as an input.
//!
//! `TopKV2` returns the `k` largest elements of each row in descending order; of equal elements, the one with
//! the lower index comes first, and the zeros of both signs are equal. NaN comes last. Indices have the dtype
//! `index_type` (default `int32`). `NthElement` returns the element that would be at place `n` of the sorted
//! row, or from the end with `reverse`; NaN counts as the smallest. `InTopK` is true if fewer than `k`
//! predictions are larger than that of the target; it is false if one of the row is not finite, or if the
//! target is no class.
//!
//! A `k` above the size of the row or below 0, and an `n` outside of the row, are `InvalidArgument`, as are
//! shapes that do not fit. All real dtypes are accepted.
//!
//! A row costs a selection in linear time and a sort of the `k` elements that it left. One thread.
//!
//! ```text
//! TopKV2      [3, 1, 3, 2], k 2                          [3, 3] at [0, 2]
//! NthElement  [3, 1, 4, 2], n 1                          2, with reverse 3
//! InTopK      [[1, 2, 2]], targets [1], k 1              [true], as no prediction is above 2
//! ```

use crate::dispatch::check_real;
use crate::kernel::KernelContext;
use crate::kernels::array::{arrange, shape_tensor};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use compute::elementwise::{Values, cast_values};
use session_core::{Error, Result};
use tensor::{DType, Shape, Tensor, memory};

/// Registers the op types. `k` is an attribute in the first version and an input in the second.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("TopKV2", |spec| {
        let index = spec.dtype("index_type").unwrap_or(DType::Int32);
        check_real(spec.input_dtype(0))?;
        Ok(boxed(move |context| {
            let k = context.ints(1)?;
            let &[k] = k.as_slice() else { return Err(Error::invalid_argument("k must be a scalar")) };
            top_k(context, k, index)
        }))
    });
    registry.add("NthElement", |spec| {
        let reverse = spec.bool("reverse")?;
        check_real(spec.input_dtype(0))?;
        Ok(boxed(move |context| nth_element(context, reverse)))
    });
    registry.add("InTopK", |spec| {
        let k = spec.int("k")?;
        Ok(boxed(move |context| in_top_k(context, k)))
    });
    registry.add("InTopKV2", |_| {
        Ok(boxed(|context| {
            let k = context.int(2)?;
            in_top_k(context, k)
        }))
    });
}

/// Returns a number for each element, in the opposite order of the elements; NaN comes last. So elements of
/// all dtypes are sorted by one compiled sort. Equal keys are equal elements. Floats are widened to
/// `float64`, which keeps their order.
///
/// ```text
/// positive floats    all bits but the sign inverted
/// negative floats    the bits as they are
/// NaN                the largest key
/// integers           widened to 64 bits, the sign bit flipped, all bits inverted
/// ```
fn falling(context: &KernelContext<'_>, input: usize) -> Result<Vec<u64>> {
    const SIGN: u64 = 1 << 63;
    let (pool, values, dtype) = (context.pool(), context.values(input)?, context.input(input).dtype());
    if dtype.is_floating() {
        let mut wide = memory::filled(0.0f64, values.len())?;
        cast_values(pool, values, wide.as_mut_slice().into());
        // Adding 0 turns minus zero into zero.
        let key = |x: f64| match (x.is_nan(), (x + 0.0).to_bits()) {
            // Every NaN is one, whatever its sign and payload.
            (true, _) => u64::MAX,
            // The larger a number below 0, the smaller its bits; both zeros are one.
            (_, bits) if bits & SIGN != 0 => bits,
            (_, bits) => !bits & !SIGN,
        };
        return Ok(memory::collected(wide.into_iter().map(key))?);
    }
    if let Values::U64(values) = values {
        return Ok(memory::collected(values.iter().map(|&x| !x))?);
    }
    let mut wide = memory::filled(0i64, values.len())?;
    cast_values(pool, values, wide.as_mut_slice().into());
    Ok(memory::collected(wide.into_iter().map(|x| !(x as u64 ^ SIGN)))?)
}

/// Returns the element at each of these places, as a tensor of that shape. Input `input` is read. `places`
/// are flat positions in the input, one for each element of `shape`.
fn at_places(context: &KernelContext<'_>, input: usize, places: &[usize], shape: Shape) -> Result<Tensor> {
    arrange(context, &[context.input(input)], shape, 1, &|i| Some((0, places[i])), None)
}

/// Returns the size of the last axis, with the axes before it. Fails for a scalar.
fn last_axis(shape: &Shape) -> Result<(usize, &[usize])> {
    match shape.split_last() {
        Some((&columns, rows)) => Ok((columns, rows)),
        None => Err(Error::invalid_argument("input must be >= 1-D, got a scalar")),
    }
}

/// Delivers the largest elements of each row in descending order; equal ones in the order of their positions.
/// `index` is the dtype of the positions. Also the kernel of `TopK`.
pub(super) fn top_k(context: &mut KernelContext<'_>, k: i64, index: DType) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let (columns, rows) = last_axis(&shape)?;
    let k = usize::try_from(k).ok().filter(|&k| k <= columns).ok_or_else(|| {
        Error::invalid_argument(format!("input must have at least k columns. Had {columns}, needed {k}"))
    })?;
    let keys = falling(context, 0)?;
    let mut columns_of = memory::reserve(keys.len() / columns.max(1) * k)?;
    let mut order: Vec<(u64, usize)> = memory::reserve(columns)?;
    let mut watch = context.watch();
    for row in keys.chunks_exact(columns.max(1)) {
        watch.tick(columns)?;
        order.clear();
        // Positions break ties in favor of the lower one.
        order.extend(row.iter().copied().zip(0..));
        if k < columns && k > 0 {
            // Pairs of key and position are distinct, so the unstable selection and sort have one result.
            order.select_nth_unstable(k - 1);
        }
        order[..k].sort_unstable();
        columns_of.extend(order[..k].iter().map(|&(_, column)| column));
    }
    let dims: Shape = rows.iter().copied().chain([k]).collect();
    let places =
        memory::collected(columns_of.iter().enumerate().map(|(i, column)| i / k * columns + column))?;
    let largest = at_places(context, 0, &places, dims.clone())?;
    context.set(0, largest);
    context.set(1, index_tensor(&columns_of, index)?.reshaped(dims)?);
    Ok(())
}

/// Returns positions as a vector of this dtype. Fails for a position that does not fit `int16`.
fn index_tensor(places: &[usize], dtype: DType) -> Result<Tensor> {
    if dtype != DType::Int16 {
        return shape_tensor(&Shape::new(places), dtype);
    }
    let narrow = |&place: &usize| {
        i16::try_from(place)
            .map_err(|_| Error::invalid_argument(format!("index {place} does not fit an int16")))
    };
    Ok(Tensor::from(memory::try_collected(places.iter().map(narrow))?))
}

/// Delivers the element of each row that would be at position `n` if the row were sorted. With `reverse` the
/// order is descending. The selection takes linear time on average and reorders only a copy.
fn nth_element(context: &mut KernelContext<'_>, reverse: bool) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let (columns, rows) = last_axis(&shape)?;
    let n = context.int(1)?;
    let n = usize::try_from(n).ok().filter(|&n| n < columns).ok_or_else(|| {
        Error::invalid_argument(format!("input must have last dimension > n = {n}: {shape}"))
    })?;
    // Keys are in descending order.
    let nth = if reverse { n } else { columns - 1 - n };
    let keys = falling(context, 0)?;
    let mut places = memory::reserve(keys.len() / columns)?;
    let mut order: Vec<(u64, usize)> = memory::reserve(columns)?;
    for (row, keys) in keys.chunks_exact(columns).enumerate() {
        order.clear();
        order.extend(keys.iter().copied().zip(0..));
        let (_, &mut (_, column), _) = order.select_nth_unstable(nth);
        places.push(row * columns + column);
    }
    let value = at_places(context, 0, &places, Shape::new(rows))?;
    context.set(0, value);
    Ok(())
}

/// Delivers true where fewer than `k` classes have a higher prediction than the true class. Where a
/// prediction is not finite, nothing is. The comparison is strict, so ties do not push the target out.
fn in_top_k(context: &mut KernelContext<'_>, k: i64) -> Result<()> {
    let &[rows, classes] = context.input(0).shape().dims() else {
        let text = format!("predictions must be 2-dimensional: {}", context.input(0).shape());
        return Err(Error::invalid_argument(text));
    };
    let targets = context.ints(1)?;
    if context.input(1).shape().dims() != [rows] {
        let text = format!("targets of shape {} do not fit {rows} predictions", context.input(1).shape());
        return Err(Error::invalid_argument(text));
    }
    context.produce::<bool>(0, [rows], |context, output| {
        let predictions = context.slice::<f32>(0)?;
        for (i, (out, target)) in output.iter_mut().zip(targets).enumerate() {
            let row = &predictions[i * classes..][..classes];
            let target = usize::try_from(target).ok().and_then(|target| row.get(target));
            *out = target.is_some_and(|target| {
                let above = row.iter().filter(|&prediction| prediction > target).count() as i64;
                row.iter().all(|prediction| prediction.is_finite()) && above < k
            });
        }
        Ok(())
    })
}
