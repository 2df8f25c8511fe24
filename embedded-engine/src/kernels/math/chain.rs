//! Several elementwise operations in one pass over memory.
//!
//! The kernel is a small program over blocks of elements that fit in the first-level cache: each instruction
//! is one of `compute`'s functions over a block. The results equal those of the single operations bit by bit,
//! because the same functions compute them.
//!
//! # Semantics
//!
//! The compiler's pass `chains.rs` decides which operations form a chain. A chain of `n` operations reads
//! each input once and writes each output once, where separate kernels would read and write whole tensors `n`
//! times. Errors name the member that failed, with the name that it has in the graph, because the members
//! keep their operations.
//!
//! Parallel over blocks of the result. Bits depend neither on the number of threads nor on the form that ran:
//! the program and `run_apart` call the same loops.
//!
//! ```text
//! y = relu(x * w + b)             x [64, 100], w [100], b [64, 1]
//!
//! inputs        x: Full           w: Row            b: Column             row length 100
//! instructions  0: Mul(x, w)      1: Add(#0, b)     2: Relu(#1)           output: #2
//! ```
//!
//! Each block of elements passes through all three instructions before the next one is read.

use super::elementwise::{apply_binary, apply_unary, check_summands};
use crate::kernel::{Kernel, KernelContext};
use crate::registry::Elementwise;
use compute::elementwise::{BinaryOp, Element as _, InputKind, Instruction, Operand, Program};
use session_core::{Error, Operation, Result};
use std::sync::{Arc, Mutex, PoisonError};
use tensor::Tensor;

/// The largest number of inputs of a chain. It bounds the key under which programs are found, an array
/// without allocation.
pub(crate) const MAX_INPUTS: usize = 12;

/// The kernel of a chain of elementwise operations of `f32`.
///
/// Shapes are known when it runs. Where each input has the shape of the result, or is a row, a column or a
/// single number of it, and the result of each operation has that shape, a program computes all of them block
/// by block. Other shapes are left to the operations' own kernels, one after the other, with the same bits
/// and with their own errors.
///
/// A program depends on the kinds of the inputs, not on sizes, so a batch of another size needs no new one.
pub(crate) struct Chain {
    /// The operations, each after the members whose results it reads.
    members: Vec<Member>,
    /// The members whose results are the outputs.
    outputs: Vec<usize>,
    /// Guards the programs made so far, by the kinds of the inputs; `None` where there is none. Few: most
    /// steps see one.
    programs: Mutex<Vec<(Kinds, Option<Arc<Program>>)>>,
}

/// One operation of a chain.
pub(crate) struct Member {
    /// The operation of the graph, for its name in errors.
    pub(crate) operation: Operation,
    /// The loop of the operation, with its `alpha` if it has one.
    pub(crate) function: Elementwise,
    /// The operands in the order of the operation's inputs; a sum has one or more.
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
///
/// A fixed array rather than a vector, so that comparing and storing a key allocates nothing.
type Kinds = [Option<InputKind>; MAX_INPUTS];

impl Chain {
    /// A chain of these members, in an order in which operands come first. `None` when it is too large for
    /// one pass. The program for inputs that all have the full shape is made here, both as the test whether
    /// the chain fits the limits of a `Program` and since most steps need it.
    ///
    /// `members` are in topological order, `outputs` are positions in it, and `inputs` is the number of
    /// inputs, at most [`MAX_INPUTS`]. A member refers to inputs and to members before it only.
    pub(crate) fn new(members: Vec<Member>, outputs: Vec<usize>, inputs: usize) -> Option<Chain> {
        let mut kinds = [None; MAX_INPUTS];
        kinds.get_mut(..inputs)?.fill(Some(InputKind::Full));
        let chain = Chain { members, outputs, programs: Mutex::default() };
        let program = chain.program_for(&kinds)?;
        chain.programs.lock().unwrap_or_else(PoisonError::into_inner).push((kinds, Some(program)));
        Some(chain)
    }

    /// The program for inputs of these kinds. It is made at the first step in which they occur. `None` is
    /// remembered, too, so shapes without a program do not cause a new attempt in each step.
    fn program(&self, kinds: &Kinds) -> Option<Arc<Program>> {
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, program)) = programs.iter().find(|(known, _)| known == kinds) {
            return program.clone();
        }
        let program = self.program_for(kinds);
        programs.push((*kinds, program.clone()));
        program
    }

    /// Translates the members to instructions, a sum of `n` operands to `n - 1` additions. Returns `None` if
    /// an operand of a sum would have to be broadcast, which `AddN` does not allow, if the result of a member
    /// is smaller than that of the chain, or if the program exceeds the limits of `Program`.
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
            // The program evaluates each instruction for every element; this one would compute a row again
            // for each row.
            if extents.fold(Extent::default(), Extent::with) != Extent::FULL {
                return None;
            }
            // A sum of several operands has several instructions; its result is that of the last one.
            results.push(instructions.len() - 1);
        }
        let outputs: Vec<usize> = self.outputs.iter().map(|&member| results[member]).collect();
        Program::new(&inputs, &instructions, &outputs).ok().map(Arc::new)
    }

    /// Runs the members' own kernels one after the other.
    ///
    /// Inputs and results are shared, so most of them cannot be overwritten: this form is for rare shapes,
    /// and its errors are those of the separate kernels.
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

/// Returns the sum of tensors of one shape, added from the first to the last, as the program does.
fn sum(context: &KernelContext<'_>, first: Tensor, others: Vec<Tensor>) -> Result<Tensor> {
    let add = f32::binary(BinaryOp::Add).ok_or_else(|| Error::runtime("f32 cannot be added"))?;
    others.into_iter().try_fold(first, |sum, other| {
        check_summands(sum.shape(), other.shape())?;
        apply_binary(context, &add, sum, other)
    })
}

/// Runs the program for the shapes of this step, or the members' own kernels if there is none.
impl Kernel for Chain {
    fn run(&self, context: &mut KernelContext<'_>) -> Result<()> {
        // Taken, not borrowed: at its last use an input may be overwritten by output 0.
        let mut inputs: Vec<Tensor> = (0..context.num_inputs()).map(|input| context.take(input)).collect();
        let Some((mut kinds, row)) = kinds(&inputs) else { return self.run_apart(context, &inputs) };
        // A result is written over an input that nothing else holds.
        let is_free = |(input, tensor): (usize, &mut Tensor)| {
            // `as_mut_slice` succeeds only for the sole owner. An input that another consumer or another
            // input of this chain shares is left.
            kinds[input] == Some(InputKind::Full) && tensor.as_mut_slice::<f32>().is_some()
        };
        let free = inputs.iter_mut().enumerate().position(is_free);
        if let Some(input) = free {
            kinds[input] = Some(InputKind::InPlace(0));
        }
        // Compiled once for each combination of kinds and then found in a short list. Two threads may find it
        // missing at the same time; the lock is held while it is made, so it is made once.
        let Some(program) = self.program(&kinds) else { return self.run_apart(context, &inputs) };
        let shape = largest(&inputs).map(|input| input.shape().clone()).unwrap_or_default();
        let mut outputs: Vec<Tensor> = Vec::with_capacity(self.outputs.len());
        for output in 0..self.outputs.len() {
            outputs.push(match free {
                // The tensor moves from the inputs to the outputs; an empty slice in its place below tells
                // the program to read output 0.
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

/// Returns the input with the most elements, and of those the one with the highest rank, whose shape the
/// result has if any input has it. Returns `None` without inputs.
fn largest(inputs: &[Tensor]) -> Option<&Tensor> {
    inputs.iter().max_by_key(|input| (input.elements(), input.shape().rank()))
}

/// Returns the relation of each input to a result with the shape of the largest one, and the length of a row,
/// or `None` if there is none.
///
/// With `S` the shape of the result and leading ones of an input ignored: `Full` is `S`; `Scalar` has one
/// element; `Row` is a tail of `S`, repeated along the leading axes; `Column` is a head of `S`, followed by
/// ones. All rows and columns must split `S` at the same axis, because a program has one row length: for
/// `S = [4, 2, 3]` inputs of shapes `[2, 3]` and `[4, 1, 1]` fit (rows of 6), `[3]` and `[4, 2, 1]` fit (rows
/// of 3), and `[2, 3]` and `[4, 2, 1]` do not.
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
        // Leading ones do not matter for a row: `[1, 1, 3]` is repeated like `[3]`.
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
        // A program walks over all operands with one row length.
        if *row.get_or_insert(len) != len {
            return None;
        }
        *kind = Some(found);
    }
    Some((kinds, row.unwrap_or(1)))
}

/// The part of the result's shape that a value spans.
///
/// With the result seen as a matrix of rows, an extent states along which of its two axes a value varies.
#[derive(Clone, Copy, Default, PartialEq)]
struct Extent {
    /// True if the value differs from row to row.
    rows: bool,
    /// True if the value differs within a row.
    columns: bool,
}

impl Extent {
    /// The extent of the result.
    const FULL: Extent = Extent { rows: true, columns: true };

    /// Returns the extent of an input of this kind.
    fn of(kind: InputKind) -> Extent {
        match kind {
            InputKind::Full | InputKind::InPlace(_) => Extent::FULL,
            InputKind::Row => Extent { rows: false, columns: true },
            InputKind::Column => Extent { rows: true, columns: false },
            InputKind::Scalar => Extent::default(),
        }
    }

    /// Returns the extent of a function of two values: along each axis that one of them spans.
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
