//! Sums of products over named axes.
//!
//! The gradient of an operand is itself an einsum: of the result's gradient with the other operands. For
//! `ij,jk->ik` that is `ik,jk->ij` for the first and `ik,ij->jk` for the second operand.

use crate::array::constants::{constant, range, scalar_like};
use crate::array::joining::concat;
use crate::array::shaping::{broadcast_to, rank, reshape, shape};
use crate::array::slicing::{Index, strided_slice};
use crate::gradients::broadcasting::{shape_of, sum_to_input};
use crate::library::op_defs;
use crate::math::binary::sub;
use crate::math::reduce::reduce_sum;
use crate::math::unary::conj_of;
use crate::shapes::{self, broadcast_shapes, merge_dims};
use session_core::{
    AsOutput, AttrValue, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext,
};
use std::collections::BTreeMap;

op_defs! {
    EINSUM: OpDef::new("Einsum", "inputs: N * T -> output: T")
        .attrs("equation: string, N: int >= 1, T: type")
        .shape(einsum_shape)
        .gradient(einsum_gradient);
}

/// The axes of one operand: a letter each, and for an ellipsis as many as there are.
type Axes = Vec<Axis>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axis {
    Label(char),
    Ellipsis,
}

/// An equation such as `ij,jk->ik`.
#[derive(Debug, PartialEq)]
struct Equation {
    inputs: Vec<Axes>,
    output: Axes,
}

impl Equation {
    /// Reads an equation; spaces have no meaning.
    ///
    /// # Errors
    /// A value error without `->` (TensorFlow's constructor adds it, its operation requires it), for anything
    /// but letters and one ellipsis per operand, and for an axis of the result that no operand has.
    fn parse(text: &str) -> Result<Equation> {
        let spaceless: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (inputs, output) = spaceless
            .split_once("->")
            .ok_or_else(|| Error::value(format!("the equation '{text}' must name the result after '->'")))?;
        let axes = |part: &str| {
            parse_axes(part).ok_or_else(|| {
                Error::value(format!(
                    "'{part}' in the equation '{text}' is not a list of letters and one '...'"
                ))
            })
        };
        let inputs = inputs.split(',').map(axes).collect::<Result<Vec<Axes>>>()?;
        let output = axes(output)?;
        // An ellipsis of the result alone stands for no axes.
        let known = |axis: &Axis| *axis == Axis::Ellipsis || inputs.iter().any(|input| input.contains(axis));
        if let Some(axis) = output.iter().find(|axis| !known(axis)) {
            return Err(Error::value(format!(
                "the result of '{text}' has an axis {} that no input has",
                show(&[*axis])
            )));
        }
        Ok(Equation { inputs, output })
    }
}

/// Returns the axes of one operand, or `None` for an unknown character or a second ellipsis.
fn parse_axes(part: &str) -> Option<Axes> {
    let mut axes = Axes::new();
    let mut rest = part;
    while let Some(next) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("...") {
            axes.push(Axis::Ellipsis);
            rest = after;
        } else if next.is_alphabetic() {
            axes.push(Axis::Label(next));
            rest = &rest[next.len_utf8()..];
        } else {
            return None;
        }
    }
    (axes.iter().filter(|axis| **axis == Axis::Ellipsis).count() <= 1).then_some(axes)
}

/// Returns axes in the notation of equations.
fn show(axes: &[Axis]) -> String {
    axes.iter()
        .map(|axis| match axis {
            Axis::Label(label) => label.to_string(),
            Axis::Ellipsis => "...".to_owned(),
        })
        .collect()
}

/// The sizes that letters and the ellipsis stand for.
#[derive(Default)]
struct Sizes {
    /// The size of each letter, inner `None` where it is unknown.
    labels: BTreeMap<char, Option<usize>>,
    /// The shape that all ellipses so far broadcast to; `None` before the first one, which then stands for no axes.
    ellipsis: Option<PartialShape>,
}

impl Sizes {
    /// Adds what one operand tells about its axes.
    ///
    /// # Errors
    /// A value error for a wrong rank, for a letter with two sizes, and for ellipses that do not broadcast.
    fn read(&mut self, axes: &[Axis], shape: &PartialShape) -> Result<()> {
        let labels = axes.iter().filter(|axis| **axis != Axis::Ellipsis).count();
        let rank = match shape.rank() {
            Some(rank) if rank < labels || (rank > labels && labels == axes.len()) => {
                return Err(Error::value(format!(
                    "an operand of shape {shape} does not have the axes '{}'",
                    show(axes)
                )));
            }
            rank => rank,
        };
        let mut at = 0;
        for axis in axes {
            match axis {
                Axis::Ellipsis => {
                    let count = rank.map(|rank| rank - labels);
                    let own = count.map_or_else(PartialShape::unknown, |count| shape.range(at, at + count));
                    let known = self.ellipsis.take().unwrap_or_else(PartialShape::scalar);
                    self.ellipsis = Some(broadcast_shapes(&known, &own)?);
                    at += count.unwrap_or(0);
                }
                Axis::Label(label) => {
                    let size = rank.and_then(|_| shape.dim(at));
                    let known = self.labels.get(label).copied().flatten();
                    let what = format!("the sizes of axis '{label}'");
                    // A letter must have one size: unlike an ellipsis it is not broadcast.
                    self.labels.insert(*label, merge_dims(&what, known, size)?);
                    at += 1;
                }
            }
        }
        Ok(())
    }

    /// Returns the shape of an operand or result with these axes.
    fn shape(&self, axes: &[Axis]) -> PartialShape {
        axes.iter().fold(PartialShape::scalar(), |shape, axis| match axis {
            Axis::Label(label) => {
                shape.concat(&PartialShape::from([self.labels.get(label).copied().flatten()]))
            }
            Axis::Ellipsis => shape.concat(&self.ellipsis.clone().unwrap_or_else(PartialShape::scalar)),
        })
    }
}

/// Infers the shape of the result from the sizes of letters.
fn einsum_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let equation = Equation::parse(shapes::str_attr(context, "equation"))?;
    if equation.inputs.len() != context.inputs().len() {
        let (named, given) = (equation.inputs.len(), context.inputs().len());
        return Err(Error::value(format!("the equation names {named} operands, {given} are given")));
    }
    let mut sizes = Sizes::default();
    for (index, axes) in equation.inputs.iter().enumerate() {
        sizes.read(axes, &context.input(index))?;
    }
    let broadcast = sizes.ellipsis.as_ref().and_then(PartialShape::rank).unwrap_or(0);
    if broadcast > 0 && !equation.output.contains(&Axis::Ellipsis) {
        return Err(Error::value("the axes of '...' must be part of the result"));
    }
    context.set(0, sizes.shape(&equation.output));
    Ok(())
}

/// Returns the gradients of all operands.
fn einsum_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; op.num_inputs()]) };
    let text = op.attr("equation").and_then(AttrValue::as_str).unwrap_or_default();
    let equation = Equation::parse(text)?;
    Ok((0..op.num_inputs()).map(|index| Some(gradient_of(op, grad, &equation, index))).collect())
}

/// Returns the gradient of one operand.
///
/// One that names an axis twice, or has its ellipsis behind other axes, is taken to be an einsum itself: of its diagonal with
/// the ellipsis in front, whose gradient then goes back onto the diagonal and into the order of the operand.
fn gradient_of(op: &Operation, grad: &Output, equation: &Equation, index: usize) -> Output {
    let (input, own) = (op.input(index), &equation.inputs[index]);
    let mut plain = Axes::new();
    for axis in own {
        match axis {
            Axis::Ellipsis => plain.insert(0, *axis),
            _ if !plain.contains(axis) => plain.push(*axis),
            Axis::Label(_) => {}
        }
    }
    if plain == *own {
        return gradient_of_plain(op, grad, equation, index, (&input, own));
    }
    let (from, to) = (show(own), show(&plain));
    let diagonal = einsum(&format!("{from}->{to}"), &[input]);
    let gradient = gradient_of_plain(op, grad, equation, index, (&diagonal, &plain));
    einsum(&format!("{to}->{from}"), &[gradient])
}

/// Returns the gradient of `input`, which stands for one operand and has the axes `own`: each once, the ellipsis first. It
/// is the sum of products of the result's gradient and the other operands, over all axes that this one does not have.
fn gradient_of_plain(
    op: &Operation,
    grad: &Output,
    equation: &Equation,
    index: usize,
    (input, own): (&Output, &Axes),
) -> Output {
    let others: Vec<usize> = (0..op.num_inputs()).filter(|&other| other != index).collect();
    let elsewhere = |axis: &Axis| {
        equation.output.contains(axis) || others.iter().any(|&other| equation.inputs[other].contains(axis))
    };
    // Axes that only this operand has were summed over: the einsum cannot bring them back,
    // `spread` repeats along them.
    let kept: Axes = own.iter().copied().filter(elsewhere).collect();
    let operands: Vec<Output> =
        std::iter::once(grad.clone()).chain(others.iter().map(|&other| conj_of(&op.input(other)))).collect();
    let named: Vec<String> = std::iter::once(show(&equation.output))
        .chain(others.iter().map(|&other| show(&equation.inputs[other])))
        .collect();
    // The axes of an ellipsis in other operands must be part of a result, which is then summed over them.
    let broadcasts = equation.inputs.iter().any(|input| input.contains(&Axis::Ellipsis));
    let foreign = broadcasts && equation.output.contains(&Axis::Ellipsis) && !own.contains(&Axis::Ellipsis);
    let front = if foreign { "..." } else { "" };
    let product = einsum(&format!("{}->{front}{}", named.join(","), show(&kept)), &operands);
    let product = if foreign { without_front(&product, kept.len()) } else { product };
    if kept.len() == own.len() {
        // Only what an ellipsis stands for can have been broadcast.
        let ellipsis = own.first() == Some(&Axis::Ellipsis);
        return if ellipsis { sum_to_input(&product, input, &[]) } else { product };
    }
    spread(&product, input, own, &kept)
}

/// Summed over all but the last axes.
fn without_front(product: &Output, rest: usize) -> Output {
    if let Some(rank) = product.shape().rank() {
        // The axes of the ellipsis come first, so the number of the others tells which to sum.
        return reduce_sum(product, (0..rank.saturating_sub(rest)).collect::<Vec<usize>>());
    }
    let rank = rank(product);
    let (zero, one) = (scalar_like(&rank, 0.0), scalar_like(&rank, 1.0));
    let front = range(zero, sub(&rank, scalar_like(&rank, rest as f64)), one);
    reduce_sum(product, front)
}

/// Repeated along the axes that the equation sums over for this operand alone, and summed along those of its ellipsis that
/// were broadcast.
fn spread(product: &Output, input: &Output, own: &Axes, kept: &Axes) -> Output {
    let sizes = shape(input);
    let count = |axes: &Axes| axes.iter().filter(|axis| **axis != Axis::Ellipsis).count();
    // What an ellipsis stands for is broadcast by the other operands: its sizes are those of the product.
    let broadcast = kept.contains(&Axis::Ellipsis);
    let front = |of: &Output, labels: usize| {
        let end = -i64::try_from(labels).unwrap_or(i64::MAX);
        strided_slice(of, &[Index::Range { begin: None, end: (end != 0).then_some(end), stride: 1 }])
    };
    let (mut with_ones, mut whole) = (Vec::new(), Vec::new());
    for (at, axis) in own.iter().enumerate() {
        // Counted from the end: the ellipsis, at the front, has an unknown number of axes.
        let back = i64::try_from(own.len() - at).unwrap_or(i64::MAX);
        let size = || {
            let end = (back > 1).then_some(1 - back);
            strided_slice(&sizes, &[Index::Range { begin: Some(-back), end, stride: 1 }])
        };
        let (one, all) = match axis {
            Axis::Ellipsis => {
                let sizes =
                    if broadcast { front(&shape(product), count(kept)) } else { front(&sizes, count(own)) };
                (sizes.clone(), sizes)
            }
            Axis::Label(_) if kept.contains(axis) => {
                let size = size();
                (size.clone(), size)
            }
            Axis::Label(_) => (constant(&product.graph(), [1i32]), size()),
        };
        with_ones.push(one);
        whole.push(all);
    }
    let with_ones = reshape(product, concat(&with_ones, 0));
    if !broadcast {
        return broadcast_to(with_ones, shape_of(input));
    }
    sum_to_input(&broadcast_to(with_ones, concat(&whole, 0)), input, &[])
}

/// Returns the sum of products that an equation such as `ij,jk->ik` names: a letter for each axis of each operand, and those
/// of the result; the other axes are summed over. `...` stands for axes that are broadcast.
///
/// ```
/// use ops::{array, math};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// let y = array::zeros(&graph, DType::Float32, [3, 4]);
/// assert_eq!(math::einsum("ij,jk->ik", &[&x, &y]).shape().to_string(), "[2,4]");
/// ```
///
/// # Panics
/// When the list is empty: there is no graph to build in.
#[must_use]
#[track_caller]
pub fn einsum<O: AsOutput>(equation: &str, inputs: &[O]) -> Output {
    let builder = crate::array::graph_of(inputs).op(&EINSUM).input_list(inputs);
    builder.attr("equation", equation).finish_output()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equations_are_read() {
        let equation = Equation::parse("...ij, jk -> ...ik").unwrap();
        assert_eq!(show(&equation.inputs[0]), "...ij");
        assert_eq!(show(&equation.output), "...ik");
        for wrong in ["ij,jk", "i1->i", "i->j", "......i->i"] {
            assert!(Equation::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_matched() {
        let mut sizes = Sizes::default();
        sizes.read(&parse_axes("...ij").unwrap(), &PartialShape::from([5, 2, 3])).unwrap();
        sizes.read(&parse_axes("jk").unwrap(), &PartialShape::from([None, Some(4)])).unwrap();
        assert_eq!(sizes.shape(&parse_axes("...ik").unwrap()).to_string(), "[5,2,4]");
        assert!(sizes.read(&parse_axes("j").unwrap(), &PartialShape::from([7])).is_err());
        assert!(sizes.read(&parse_axes("j").unwrap(), &PartialShape::from([3, 3])).is_err());
    }
}
