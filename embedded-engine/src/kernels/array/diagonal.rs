//! Diagonals and bands of matrices.
//!
//! # Semantics
//!
//! Matrices are the last two axes; the axes before them are a stack. `k` counts diagonals from the main one,
//! positive above it. A single `k` stands for one diagonal, a pair for a band.
//!
//! The versions differ in the form of bands. `MatrixDiag` and `MatrixDiagPart` know the main diagonal only.
//! In V2 and V3 a band has one more axis, from the upper diagonal to the lower one, and shorter diagonals are
//! padded. V2 aligns all of them to the left; V3 has the attribute `align`, whose default, `RIGHT_LEFT`,
//! aligns the upper ones to the right and the lower ones to the left.
//!
//! `MatrixBandPart` keeps `num_lower` diagonals below and `num_upper` above the main one; a negative number
//! keeps all of that side.
//!
//! The inputs of V2 and V3 are the matrices or diagonals, then `k`, and for `MatrixDiag` also `num_rows` and
//! `num_cols`; the padding value comes last. Older forms have the first input only, or two for
//! `MatrixSetDiag`, and pad with zeros.
//!
//! ```text
//! MatrixDiagPartV3 of [[0, 1,  2,  3],     k = [-1, 1]   ->   [[1, 6, 11],    above the main diagonal
//!                      [4, 5,  6,  7],     padding -9          [0, 5, 10],    the main diagonal
//!                      [8, 9, 10, 11]]                         [4, 9, -9]]    below it
//! ```
//!
//! - A band has the shape `[..., upper - lower + 1, longest]`. If lower and upper are equal, the axis that
//!   counts diagonals is left out.
//! - `k` may be a scalar or have one or two elements, in ascending order. Diagonals outside the matrix are
//!   `InvalidArgument`, except that the main one of a matrix without elements is empty.
//! - `MatrixDiag` makes the smallest matrix that holds the band, square if neither side is given (-1). Too
//!   small a size is `InvalidArgument`.
//! - `MatrixSetDiag` keeps all elements outside the band and ignores the padding of the given diagonals.
//! - `Diag` and `DiagPart` work on tensors of any rank: the axes are duplicated, or two equal halves of them
//!   become one.
//! - All dtypes are accepted. Elements are copied one at a time on the calling thread, so the cost is that of
//!   the result's size.
//!
//! The band of `MatrixBandPart` is refused if a count exceeds the size of its side, as in TensorFlow.

use super::arrange::{arrange, unravel};
use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, Result};
use tensor::{Shape, Tensor};

/// Registers the op types. `BatchMatrix*` are names of early TensorFlow versions with the same behavior.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("Diag", |_| Ok(boxed(diag)));
    registry.add("DiagPart", |_| Ok(boxed(diag_part)));
    registry.add_both(["MatrixBandPart", "BatchMatrixBandPart"], |_| Ok(boxed(band_part)));
    registry.add_both(["MatrixDiag", "BatchMatrixDiag"], |_| {
        Ok(boxed(|context| matrix_diag(context, Form::MAIN)))
    });
    registry.add_both(["MatrixDiagPart", "BatchMatrixDiagPart"], |_| {
        Ok(boxed(|context| matrix_diag_part(context, Form::MAIN)))
    });
    registry.add_both(["MatrixSetDiag", "BatchMatrixSetDiag"], |_| {
        Ok(boxed(|context| matrix_set_diag(context, Form::MAIN)))
    });
    registry.add_both(["MatrixDiagV3", "MatrixDiagV2"], |spec| {
        let form = Form::of(spec)?;
        Ok(boxed(move |context| matrix_diag(context, form)))
    });
    registry.add_both(["MatrixDiagPartV3", "MatrixDiagPartV2"], |spec| {
        let form = Form::of(spec)?;
        Ok(boxed(move |context| matrix_diag_part(context, form)))
    });
    registry.add_both(["MatrixSetDiagV3", "MatrixSetDiagV2"], |spec| {
        let form = Form::of(spec)?;
        Ok(boxed(move |context| matrix_set_diag(context, form)))
    });
}

/// Delivers a diagonal tensor: of rank `2 r` for an input of rank `r`.
///
/// The result has the input's elements where the first and the second half of the coordinates are equal, and
/// zeros elsewhere.
fn diag(context: &mut KernelContext<'_>) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let elements = shape.elements();
    let dims = shape.iter().chain(shape.iter()).copied().collect();
    // Seen as a square matrix, the result has the input on its main diagonal.
    let place = |i: usize| (i / elements == i % elements).then_some((0, i % elements));
    let diagonal = arrange(context, &[context.input(0)], dims, 1, &place, None)?;
    context.set(0, diagonal);
    Ok(())
}

/// Delivers the diagonal of a tensor whose axes are two equal halves: the inverse of `diag`. A scalar, an odd
/// rank and unequal halves are errors.
fn diag_part(context: &mut KernelContext<'_>) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let (first, second) = shape.split_at(shape.rank() / 2);
    if shape.rank() == 0 || first != second {
        let text = format!("the two halves of the shape {shape} must be equal");
        return Err(Error::invalid_argument(text));
    }
    let elements: usize = first.iter().product();
    // Along the diagonal of a square matrix the elements are one row and one column apart.
    let part =
        arrange(context, &[context.input(0)], first.into(), 1, &|i| Some((0, i * (elements + 1))), None)?;
    context.set(0, part);
    Ok(())
}

/// Returns the numbers of rows and columns, the last two axes, or `InvalidArgument` if there are fewer than
/// two.
fn matrix(shape: &Shape) -> Result<[usize; 2]> {
    match shape.dims() {
        &[.., rows, columns] => Ok([rows, columns]),
        _ => Err(Error::invalid_argument(format!("input must be at least 2-dim, received shape: {shape}"))),
    }
}

/// Delivers the matrices with everything outside a band replaced by zeros. Inputs 1 and 2 are `num_lower` and
/// `num_upper`; a negative one keeps its whole side.
fn band_part(context: &mut KernelContext<'_>) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let [rows, columns] = matrix(&shape)?;
    let (lower, upper) = (context.int(1)?, context.int(2)?);
    if lower > rows as i64 || upper > columns as i64 {
        let text = format!("{lower} lower and {upper} upper diagonals do not fit a matrix of shape {shape}");
        return Err(Error::invalid_argument(text));
    }
    let place = |i: usize| {
        let (row, column) = ((i / columns % rows) as i64, (i % columns) as i64);
        let inside = (lower < 0 || row - column <= lower) && (upper < 0 || column - row <= upper);
        inside.then_some((0, i))
    };
    let band = arrange(context, &[context.input(0)], shape, 1, &place, None)?;
    context.set(0, band);
    Ok(())
}

/// The side on which shorter diagonals are padded, and the inputs that select diagonals, if there are any.
///
/// It is fixed when the kernel is made. V2 has no attribute `align` and uses `LEFT_LEFT`.
#[derive(Clone, Copy, Debug)]
struct Form {
    /// True for V2 and V3, which have the inputs `k` and the padding value. False for the forms that know the
    /// main diagonal only.
    has_range: bool,
    /// True if diagonals above the main one are aligned to the right end of their row.
    upper_right: bool,
    /// True if diagonals below the main one are aligned to the right end of their row.
    lower_right: bool,
}

impl Form {
    /// The main diagonal alone.
    ///
    /// With a single diagonal nothing is padded, so the alignment has no effect.
    const MAIN: Form = Form { has_range: false, upper_right: false, lower_right: false };

    /// Returns the form of a V2 or V3 operation. `RIGHT_LEFT` names the upper diagonals first; the definition
    /// allows no other values than the four.
    fn of(spec: &NodeSpec<'_>) -> Result<Form> {
        let (upper_right, lower_right) = match spec.str("align").unwrap_or("LEFT_LEFT") {
            "LEFT_RIGHT" => (false, true),
            "LEFT_LEFT" => (false, false),
            "RIGHT_RIGHT" => (true, true),
            _ => (true, false),
        };
        Ok(Form { has_range: true, upper_right, lower_right })
    }

    /// Returns the lowest and the highest diagonal in input `input`.
    ///
    /// A form without the input returns the main diagonal, `[0, 0]`. Fails if the numbers are not one or an
    /// ascending pair.
    fn range(self, context: &KernelContext<'_>, input: usize) -> Result<[i64; 2]> {
        if !self.has_range {
            return Ok([0, 0]);
        }
        // A scalar is a slice of one as well, so its rank is not looked at.
        match context.ints(input)?.as_slice() {
            &[only] => Ok([only, only]),
            &[low, high] if low <= high => Ok([low, high]),
            other => Err(Error::invalid_argument(format!("diagonals from low to high are not {other:?}"))),
        }
    }

    /// Returns the position of the first element of diagonal `diagonal` in a row of `longest`.
    ///
    /// `length` is the number of elements of this diagonal, `longest` the size of the row, which is not less.
    fn offset(self, diagonal: i64, length: usize, longest: usize) -> usize {
        let right = if diagonal >= 0 { self.upper_right } else { self.lower_right };
        // The main diagonal, and adjacent ones that are as long, have no padding.
        if right { longest - length } else { 0 }
    }
}

/// Returns the elements of one diagonal of a matrix.
///
/// `diagonal` counts from the main one, positive above it. A 3 by 4 matrix has 3 elements on diagonals 0 and
/// 1, and 2 on -1 and 2. Diagonals outside the matrix have no elements.
fn length(diagonal: i64, [rows, columns]: [usize; 2]) -> usize {
    let (rows, columns) = (rows as i64, columns as i64);
    rows.min(columns - diagonal).min(columns).min(rows + diagonal).max(0) as usize
}

/// A band of diagonals of matrices.
///
/// It converts in both directions, between the elements of one matrix and the places of its band in the
/// packed form, where place `r * longest + i` is entry `i` of row `r` and row 0 is the highest diagonal.
struct Band {
    /// The alignment of diagonals that are shorter than the longest.
    form: Form,
    /// The lowest and the highest diagonal, counted from the main one.
    range: [i64; 2],
    /// The numbers of rows and columns of a matrix.
    matrix: [usize; 2],
    /// The length of the longest diagonal. It is the size of the last axis of the packed form.
    longest: usize,
}

impl Band {
    /// Returns the band, or `InvalidArgument` if one of its ends is outside the matrix.
    fn new(form: Form, range: [i64; 2], matrix: [usize; 2]) -> Result<Band> {
        let outside = |diagonal: i64| {
            let [rows, columns] = matrix.map(|size| size as i64);
            // An empty matrix has a main diagonal.
            (diagonal <= -rows || diagonal >= columns) && diagonal != 0
        };
        if range.into_iter().any(outside) {
            let text = format!("diagonals {range:?} are outside a matrix of shape {matrix:?}");
            return Err(Error::invalid_argument(text));
        }
        // The diagonal nearest to the main one is the longest.
        let longest = length(0i64.clamp(range[0], range[1]), matrix);
        Ok(Band { form, range, matrix, longest })
    }

    /// Returns the number of diagonals, at least 1.
    fn count(&self) -> usize {
        (self.range[1] - self.range[0] + 1) as usize
    }

    /// Returns the shape of the diagonals of stacked matrices.
    ///
    /// `stack` is the shape in front of the matrices.
    fn shape(&self, stack: &[usize]) -> Shape {
        let count = (self.count() > 1).then_some(self.count());
        stack.iter().copied().chain(count).chain([self.longest]).collect()
    }

    /// Returns the position of a matrix element among the diagonals, or `None` if it is outside the band.
    fn place(&self, row: usize, column: usize) -> Option<usize> {
        let diagonal = column as i64 - row as i64;
        if diagonal < self.range[0] || diagonal > self.range[1] {
            return None;
        }
        let along = if diagonal >= 0 { row } else { column };
        // Above the main diagonal the row counts along it, below the column: each begins at the edge of the
        // matrix.
        let offset = self.form.offset(diagonal, length(diagonal, self.matrix), self.longest);
        // The highest diagonal comes first.
        Some((self.range[1] - diagonal) as usize * self.longest + along + offset)
    }

    /// Returns the element of a matrix at one place of its diagonals; none for padding.
    ///
    /// The result is a row-major index into the matrix. It is the inverse of `place` for the places that are
    /// not padding.
    fn element(&self, place: usize) -> Option<usize> {
        let diagonal = self.range[1] - (place / self.longest) as i64;
        let length = length(diagonal, self.matrix);
        let along = (place % self.longest).checked_sub(self.form.offset(diagonal, length, self.longest))?;
        if along >= length {
            return None;
        }
        let (row, column) = (along + (-diagonal).max(0) as usize, along + diagonal.max(0) as usize);
        Some(row * self.matrix[1] + column)
    }
}

/// Returns the padding value in input `input`, or `None` for forms without it, which pad with zeros.
fn filler<'c>(context: &'c KernelContext<'_>, form: Form, input: usize) -> Option<&'c Tensor> {
    form.has_range.then(|| context.input(input))
}

/// Delivers the diagonals of each matrix of the stack in input 0, packed into rows. For V2 and V3, `k` is
/// input 1 and the padding value input 2.
fn matrix_diag_part(context: &mut KernelContext<'_>, form: Form) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let matrix = matrix(&shape)?;
    let band = Band::new(form, form.range(context, 1)?, matrix)?;
    let per_matrix = band.count() * band.longest;
    let place = |i: usize| {
        let element = band.element(i % per_matrix)?;
        Some((0, i / per_matrix * matrix[0] * matrix[1] + element))
    };
    let dims = band.shape(&shape[..shape.rank() - 2]);
    let part = arrange(context, &[context.input(0)], dims, 1, &place, filler(context, form, 2))?;
    context.set(0, part);
    Ok(())
}

/// Delivers the matrices in input 0 with the diagonals in input 1 in place of their own. For V2 and V3, `k`
/// is input 2.
///
/// Fails if the diagonals do not have exactly the shape that `matrix_diag_part` would return.
fn matrix_set_diag(context: &mut KernelContext<'_>, form: Form) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let matrix = matrix(&shape)?;
    let band = Band::new(form, form.range(context, 2)?, matrix)?;
    let expected = band.shape(&shape[..shape.rank() - 2]);
    if *context.input(1).shape() != expected {
        let text = format!("diagonals must have shape {expected}, not {}", context.input(1).shape());
        return Err(Error::invalid_argument(text));
    }
    let per_matrix = band.count() * band.longest;
    // The size of the stack follows from the number of elements, which is 0 if the matrices are empty.
    let stacked = [shape.elements() / (matrix[0] * matrix[1]).max(1), matrix[0], matrix[1]];
    let place = |i: usize| {
        let mut at = [0; 3];
        unravel(i, &stacked, &mut at);
        let on_diagonal = band.place(at[1], at[2]).map(|place| (1, at[0] * per_matrix + place));
        Some(on_diagonal.unwrap_or((0, i)))
    };
    let set = arrange(context, &[context.input(0), context.input(1)], shape, 1, &place, None)?;
    context.set(0, set);
    Ok(())
}

/// Delivers matrices with the given diagonals and padding elsewhere. For V2 and V3 the inputs are the
/// diagonals, `k`, the numbers of rows and columns, and the padding value.
fn matrix_diag(context: &mut KernelContext<'_>, form: Form) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let range = form.range(context, 1)?;
    // A band of one diagonal has no axis that counts diagonals.
    let has_rows = range[0] != range[1];
    let (stack, longest) = match shape.dims() {
        [stack @ .., count, longest] if has_rows => {
            let expected = (range[1] - range[0] + 1) as usize;
            if *count != expected {
                let text = format!("{expected} diagonals are in {range:?}, the input has {count}");
                return Err(Error::invalid_argument(text));
            }
            (stack, *longest)
        }
        [stack @ .., longest] if !has_rows => (stack, *longest),
        _ => return Err(Error::invalid_argument(format!("diagonals of too low a rank: {shape}"))),
    };
    let matrix = matrix_size(context, form, range, longest)?;
    let band = Band::new(form, range, matrix)?;
    // A given size may be larger than needed, so that the diagonals would be longer than the input's.
    if band.longest != longest {
        let text = format!("a matrix of shape {matrix:?} has no diagonals of length {longest} in {range:?}");
        return Err(Error::invalid_argument(text));
    }
    let per_matrix = band.count() * longest;
    let stacked = [stack.iter().product(), matrix[0], matrix[1]];
    let place = |i: usize| {
        let mut at = [0; 3];
        unravel(i, &stacked, &mut at);
        band.place(at[1], at[2]).map(|place| (0, at[0] * per_matrix + place))
    };
    let dims = stack.iter().copied().chain(matrix).collect();
    let made = arrange(context, &[context.input(0)], dims, 1, &place, filler(context, form, 4))?;
    context.set(0, made);
    Ok(())
}

/// Returns the size of the matrices to make: given, or the smallest that the diagonals fit.
///
/// `longest` is the length of the packed rows, from which the smallest size follows: a diagonal `d` above the
/// main one needs `longest + d` columns, and one below it `longest - d` rows. The main-diagonal form is
/// square.
fn matrix_size(
    context: &KernelContext<'_>,
    form: Form,
    range: [i64; 2],
    longest: usize,
) -> Result<[usize; 2]> {
    // The first is determined by the highest diagonal if all are below the main one, the second by the lowest
    // if all are above it.
    let least = [longest as i64 - range[1].min(0), longest as i64 + range[0].max(0)];
    if !form.has_range {
        return Ok(least.map(|size| size as usize));
    }
    let given = [context.int(2)?, context.int(3)?];
    let size = match given {
        // Square if neither side is given; a side that is not given is as small as possible.
        [-1, -1] => [least[0].max(least[1]); 2],
        [rows, -1] => [rows, least[1]],
        [-1, columns] => [least[0], columns],
        both => both,
    };
    if size[0] < least[0] || size[1] < least[1] {
        let text = format!("a matrix of shape {size:?} does not hold diagonals that need {least:?}");
        return Err(Error::invalid_argument(text));
    }
    Ok(size.map(|size| size as usize))
}
