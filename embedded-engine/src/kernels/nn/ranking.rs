//! The largest elements, and whether a prediction is among them.

use crate::kernel::KernelContext;
use crate::kernels::array::shape_tensor;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, Result};
use std::cmp::Ordering;
use tensor::{DType, Element, Shape, Tensor, memory};

pub(crate) fn register(registry: &mut Registry) {
    registry.add("TopKV2", |spec| {
        let index = spec.dtype("index_type").unwrap_or(DType::Int32);
        for_dtype!(real spec.input_dtype(0), T => Ok(boxed(move |context| top_k::<T>(context, index))))
    });
    registry.add("NthElement", |spec| {
        let reverse = spec.bool("reverse")?;
        for_dtype!(real spec.input_dtype(0), T => Ok(boxed(move |context| nth_element::<T>(context, reverse))))
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

/// From the largest to the smallest, NaN last: a total order, as sorting needs it.
fn descending<T: PartialOrd>(a: &T, b: &T) -> Ordering {
    b.partial_cmp(a).unwrap_or_else(|| {
        // An element that is not comparable with itself is NaN.
        let is_nan = |x: &T| x.partial_cmp(x).is_none();
        is_nan(a).cmp(&is_nan(b))
    })
}

/// The size of the last axis, with the axes before it.
fn last_axis(shape: &Shape) -> Result<(usize, &[usize])> {
    match shape.split_last() {
        Some((&columns, rows)) => Ok((columns, rows)),
        None => Err(Error::invalid_argument("input must be >= 1-D, got a scalar")),
    }
}

/// The largest elements of each row in falling order; of equal ones the first come first.
fn top_k<T: Element + PartialOrd>(context: &mut KernelContext<'_>, index: DType) -> Result<()> {
    let input = context.input(0).clone();
    let (columns, rows) = last_axis(input.shape())?;
    let k = context.ints(1)?;
    let &[k] = k.as_slice() else { return Err(Error::invalid_argument("k must be a scalar")) };
    let k = usize::try_from(k).ok().filter(|&k| k <= columns).ok_or_else(|| {
        Error::invalid_argument(format!("input must have at least k columns. Had {columns}, needed {k}"))
    })?;
    let values = input.as_slice::<T>()?;
    let mut places = memory::reserve(values.len() / columns.max(1) * k)?;
    let mut order: Vec<usize> = memory::reserve(columns)?;
    let mut watch = context.watch();
    for row in values.chunks_exact(columns.max(1)) {
        watch.tick(columns)?;
        let compare = |&a: &usize, &b: &usize| descending(&row[a], &row[b]).then(a.cmp(&b));
        order.clear();
        order.extend(0..columns);
        if k < columns && k > 0 {
            order.select_nth_unstable_by(k - 1, compare);
        }
        order[..k].sort_unstable_by(compare);
        places.extend_from_slice(&order[..k]);
    }
    let dims: Shape = rows.iter().copied().chain([k]).collect();
    context.produce::<T>(0, dims.clone(), |_, output| {
        for (i, (out, &place)) in output.iter_mut().zip(&places).enumerate() {
            *out = values[i / k * columns + place];
        }
        Ok(())
    })?;
    context.set(1, index_tensor(&places, index)?.reshaped(dims)?);
    Ok(())
}

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

/// The element of each row that `n` others come before.
fn nth_element<T: Element + PartialOrd>(context: &mut KernelContext<'_>, reverse: bool) -> Result<()> {
    let input = context.input(0).clone();
    let (columns, rows) = last_axis(input.shape())?;
    let n = context.int(1)?;
    let n = usize::try_from(n).ok().filter(|&n| n < columns).ok_or_else(|| {
        Error::invalid_argument(format!("input must have last dimension > n = {n}: {}", input.shape()))
    })?;
    context.produce::<T>(0, Shape::new(rows), |_, output| {
        for (out, row) in output.iter_mut().zip(input.as_slice::<T>()?.chunks_exact(columns)) {
            let mut row = memory::collected(row.iter().copied())?;
            let at = if reverse { n } else { columns - 1 - n };
            *out = *row.select_nth_unstable_by(at, descending).1;
        }
        Ok(())
    })
}

/// Whether fewer than `k` classes are predicted with more confidence than the right one. Where a prediction is not
/// finite, nothing is.
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
