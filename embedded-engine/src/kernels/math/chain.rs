//! Several elementwise operations in one pass over memory.
//!
//! The kernel is a small program over blocks of elements that fit in the first-level cache: each instruction is one of `compute`'s functions
//! over a block. The results equal those of the single operations bit by bit, because the same functions compute them.

use super::elementwise::{apply_binary, apply_unary, check_summands};
use crate::kernel::{Kernel, KernelContext};
use crate::registry::Elementwise;
use compute::elementwise::{BinaryOp, Element as _, InputKind, Instruction, Operand, Program};
use session_core::{Error, Operation, Result};
use std::sync::{Arc, Mutex, PoisonError};
use tensor::Tensor;

/// Inputs of a chain.
pub(crate) const MAX_INPUTS: usize = 12;

/// The kernel of a chain of elementwise operations of `f32`.
///
/// Shapes are known when it runs. Where each input has the shape of the result, or is a row, a column or a single number
/// of it, and the result of each operation has that shape, a program computes all of them block by block. Other shapes are left to
/// the operations' own kernels, one after the other, with the same bits and with their own errors.
pub(crate) struct Chain {
    members: Vec<Member>,
    /// The members whose results are the outputs.
    outputs: Vec<usize>,
    /// Guards the programs made so far, by the kinds of the inputs; `None` where there is none. Few: most steps see one.
    programs: Mutex<Vec<(Kinds, Option<Arc<Program>>)>>,
}

/// One operation of a chain.
pub(crate) struct Member {
    pub(crate) operation: Operation,
    pub(crate) function: Elementwise,
    pub(crate) operands: Vec<Source>,
}

/// The source of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// An input of the chain.
    Input(usize),
    /// The result of an earlier member.
    Member(usize),
}

/// The relation of each input to the result. Absent inputs are `None`.
type Kinds = [Option<InputKind>; MAX_INPUTS];

impl Chain {
    /// A chain of these members, in an order in which operands come first. `None` when it is too large for one pass.
    pub(crate) fn new(members: Vec<Member>, outputs: Vec<usize>, inputs: usize) -> Option<Chain> {
        let mut kinds = [None; MAX_INPUTS];
        kinds.get_mut(..inputs)?.fill(Some(InputKind::Full));
        let chain = Chain { members, outputs, programs: Mutex::default() };
        let program = chain.program_for(&kinds)?;
        chain.programs.lock().unwrap_or_else(PoisonError::into_inner).push((kinds, Some(program)));
        Some(chain)
    }

    /// The program for inputs of these kinds.
    fn program(&self, kinds: &Kinds) -> Option<Arc<Program>> {
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, program)) = programs.iter().find(|(known, _)| known == kinds) {
            return program.clone();
        }
        let program = self.program_for(kinds);
        programs.push((*kinds, program.clone()));
        program
    }

    fn program_for(&self, kinds: &Kinds) -> Option<Arc<Program>> {
        let inputs: Vec<InputKind> = kinds.iter().map_while(|kind| *kind).collect();
        let add = f32::binary(BinaryOp::Add)?;
        let mut instructions: Vec<Instruction> = Vec::with_capacity(self.members.len());
        // By member, the instruction that computes its result.
        let mut results: Vec<usize> = Vec::with_capacity(self.members.len());
        for member in &self.members {
            let operand = |source: &Source| match *source {
                Source::Input(input) => Operand::Input(input),
                Source::Member(member) => Operand::Result(results[member]),
            };
            let extent = |source: &Source| match *source {
                Source::Input(input) => Extent::of(inputs[input]),
                Source::Member(_) => Extent::FULL,
            };
            let operands: Vec<Operand> = member.operands.iter().map(operand).collect();
            let extents = member.operands.iter().map(extent);
            match (member.function, &operands[..]) {
                (Elementwise::Unary(kernel), &[x]) => instructions.push(Instruction::Unary(kernel, x)),
                (Elementwise::Binary(kernel), &[x, y]) => {
                    instructions.push(Instruction::Binary(kernel, x, y))
                }
                (Elementwise::Sum, &[first, ref others @ ..]) if !others.is_empty() => {
                    // All its operands have one shape.
                    if extents.clone().any(|extent| extent != Extent::FULL) {
                        return None;
                    }
                    let mut sum = first;
                    for &other in others {
                        instructions.push(Instruction::Binary(add, sum, other));
                        sum = Operand::Result(instructions.len() - 1);
                    }
                }
                _ => return None,
            }
            // A smaller result would be computed over and over.
            if extents.fold(Extent::default(), Extent::with) != Extent::FULL {
                return None;
            }
            results.push(instructions.len() - 1);
        }
        let outputs: Vec<usize> = self.outputs.iter().map(|&member| results[member]).collect();
        Program::new(&inputs, &instructions, &outputs).ok().map(Arc::new)
    }

    /// Runs the members' own kernels one after the other.
    fn run_apart(&self, context: &mut KernelContext<'_>, inputs: &[Tensor]) -> Result<()> {
        let mut results: Vec<Tensor> = Vec::with_capacity(self.members.len());
        for member in &self.members {
            let operand = |source: &Source| match *source {
                Source::Input(input) => inputs[input].clone(),
                Source::Member(member) => results[member].clone(),
            };
            let mut operands = member.operands.iter().map(operand);
            let result = match (member.function, operands.next(), operands.next()) {
                (Elementwise::Unary(kernel), Some(x), _) => apply_unary(context, &kernel, x),
                (Elementwise::Binary(kernel), Some(x), Some(y)) => apply_binary(context, &kernel, x, y),
                (Elementwise::Sum, Some(first), second) => {
                    let others: Vec<Tensor> = second.into_iter().chain(operands).collect();
                    sum(context, first, others)
                }
                _ => Err(Error::runtime("an elementwise operation lacks an operand")),
            };
            results.push(result.map_err(|error| member.operation.place(error))?);
        }
        for (output, &member) in self.outputs.iter().enumerate() {
            context.set(output, results[member].clone());
        }
        Ok(())
    }
}

fn sum(context: &KernelContext<'_>, first: Tensor, others: Vec<Tensor>) -> Result<Tensor> {
    let add = f32::binary(BinaryOp::Add).ok_or_else(|| Error::runtime("f32 cannot be added"))?;
    others.into_iter().try_fold(first, |sum, other| {
        check_summands(sum.shape(), other.shape())?;
        apply_binary(context, &add, sum, other)
    })
}

impl Kernel for Chain {
    fn run(&self, context: &mut KernelContext<'_>) -> Result<()> {
        let mut inputs: Vec<Tensor> = (0..context.num_inputs()).map(|input| context.take(input)).collect();
        let Some((mut kinds, row)) = kinds(&inputs) else { return self.run_apart(context, &inputs) };
        // A result is written over an input that nothing else holds.
        let is_free = |(input, tensor): (usize, &mut Tensor)| {
            kinds[input] == Some(InputKind::Full) && tensor.as_mut_slice::<f32>().is_some()
        };
        let free = inputs.iter_mut().enumerate().position(is_free);
        if let Some(input) = free {
            kinds[input] = Some(InputKind::InPlace(0));
        }
        let Some(program) = self.program(&kinds) else { return self.run_apart(context, &inputs) };
        let shape = largest(&inputs).map(|input| input.shape().clone()).unwrap_or_default();
        let mut outputs: Vec<Tensor> = Vec::with_capacity(self.outputs.len());
        for output in 0..self.outputs.len() {
            outputs.push(match free {
                Some(input) if output == 0 => std::mem::replace(&mut inputs[input], Tensor::scalar(0.0f32)),
                _ => context.allocate::<f32>(shape.clone())?,
            });
        }
        {
            let mut slices: Vec<&[f32]> = Vec::with_capacity(inputs.len());
            for (input, tensor) in inputs.iter().enumerate() {
                slices.push(if free == Some(input) { &[] } else { tensor.as_slice()? });
            }
            let written = outputs.iter_mut().map(|output| output.as_mut_slice::<f32>());
            let mut written: Vec<&mut [f32]> =
                written.map(|slice| slice.expect("it has one owner")).collect();
            program.run(context.pool(), row, &slices, &mut written);
        }
        outputs.into_iter().enumerate().for_each(|(output, tensor)| context.set(output, tensor));
        Ok(())
    }
}

/// The input that has the shape of the result, if one has.
fn largest(inputs: &[Tensor]) -> Option<&Tensor> {
    inputs.iter().max_by_key(|input| (input.elements(), input.shape().rank()))
}

/// Returns the relation of each input to a result with the shape of the largest one, and the length of a row,
/// or `None` if there is none.
fn kinds(inputs: &[Tensor]) -> Option<(Kinds, usize)> {
    let shape = largest(inputs)?.shape().dims();
    let mut kinds = [None; MAX_INPUTS];
    let mut row = None;
    for (kind, input) in kinds.iter_mut().zip(inputs) {
        let dims = input.shape().dims();
        if dims == shape {
            *kind = Some(InputKind::Full);
            continue;
        }
        if dims.len() > shape.len() {
            return None;
        }
        if input.elements() == 1 {
            *kind = Some(InputKind::Scalar);
            continue;
        }
        let tail = &dims[dims.iter().take_while(|&&dim| dim == 1).count()..];
        let (found, split) = if shape.ends_with(tail) {
            (InputKind::Row, shape.len() - tail.len())
        } else {
            let head = dims.iter().rposition(|&dim| dim != 1)? + 1;
            if dims.len() != shape.len() || dims[..head] != shape[..head] {
                return None;
            }
            (InputKind::Column, head)
        };
        let len: usize = shape[split..].iter().product();
        if *row.get_or_insert(len) != len {
            return None;
        }
        *kind = Some(found);
    }
    Some((kinds, row.unwrap_or(1)))
}

/// The part of the result's shape that a value spans.
#[derive(Clone, Copy, Default, PartialEq)]
struct Extent {
    rows: bool,
    columns: bool,
}

impl Extent {
    const FULL: Extent = Extent { rows: true, columns: true };

    fn of(kind: InputKind) -> Extent {
        match kind {
            InputKind::Full | InputKind::InPlace(_) => Extent::FULL,
            InputKind::Row => Extent { rows: false, columns: true },
            InputKind::Column => Extent { rows: true, columns: false },
            InputKind::Scalar => Extent::default(),
        }
    }

    fn with(self, other: Extent) -> Extent {
        Extent { rows: self.rows || other.rows, columns: self.columns || other.columns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds_of(shapes: &[&[usize]]) -> Option<(Vec<InputKind>, usize)> {
        let tensor = |dims: &&[usize]| {
            let elements = dims.iter().product();
            Tensor::from_vec(vec![0.0f32; elements], dims.to_vec()).unwrap()
        };
        let inputs: Vec<Tensor> = shapes.iter().map(tensor).collect();
        kinds(&inputs).map(|(kinds, row)| (kinds.into_iter().flatten().collect(), row))
    }

    #[test]
    fn inputs_are_rows_columns_or_numbers_of_the_largest() {
        use InputKind::{Column, Full, Row, Scalar};
        assert_eq!(kinds_of(&[&[2, 3], &[2, 3]]), Some((vec![Full, Full], 1)));
        assert_eq!(kinds_of(&[&[3], &[2, 3], &[2, 1], &[]]), Some((vec![Row, Full, Column, Scalar], 3)));
        assert_eq!(kinds_of(&[&[4, 2, 3], &[1, 2, 3], &[4, 1, 1]]), Some((vec![Full, Row, Column], 6)));
        assert_eq!(kinds_of(&[&[4, 2, 3], &[4, 2, 1], &[3]]), Some((vec![Full, Column, Row], 3)));
        assert_eq!(kinds_of(&[&[3, 3], &[3, 1], &[3]]), Some((vec![Full, Column, Row], 3)));
    }

    #[test]
    fn shapes_that_need_more_are_left_to_the_kernels() {
        assert_eq!(kinds_of(&[&[2, 1], &[1, 3]]), None, "neither has the result's shape");
        assert_eq!(kinds_of(&[&[4, 2, 3], &[4, 1, 3]]), None, "repeated in the middle");
        assert_eq!(kinds_of(&[&[4, 2, 3], &[4, 2, 1], &[2, 3]]), None, "rows of two lengths");
        assert_eq!(kinds_of(&[&[2, 3], &[4]]), None, "they do not fit together");
    }
}
