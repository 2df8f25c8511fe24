//! Several elementwise operations in one pass over memory.

mod compile;

use super::binary_kernel::Rows;
use super::work::{split_outputs, units_per_part};
use super::{BinaryKernel, UnaryKernel};
use crate::Pool;
use compile::{Place, Source, Step};
use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

/// Elements that every operation is applied to before the next block: results in between stay in the
/// nearest cache.
const BLOCK: usize = 1024;
/// Results that may be alive at a time.
const MAX_SLOTS: usize = 16;
/// Outputs of a program.
const MAX_OUTPUTS: usize = 8;

/// An operand of an instruction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operand {
    /// The input with this index.
    Input(usize),
    /// The result of the instruction with this index.
    Result(usize),
    /// A number.
    Constant(f32),
}

/// One operation of a program. Its kernel comes from [`Element`](super::Element); a parameter like that
/// of `LeakyRelu` is set on the kernel.
#[derive(Clone, Copy, Debug)]
pub enum Instruction {
    /// A function of one argument.
    Unary(UnaryKernel<f32>, Operand),
    /// A function of two arguments.
    Binary(BinaryKernel<f32>, Operand, Operand),
}

/// The layout of an input relative to the outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// One element for each element of the output.
    Full,
    /// One row, used for every row of the output.
    Row,
    /// One number for each row of the output.
    Column,
    /// One number, used for every element.
    Scalar,
    /// An input as [`InputKind::Full`] that is held by the slice of the output with this index before it is
    /// overwritten. No slice is passed for such an input (an empty one is passed instead).
    InPlace(usize),
}

impl InputKind {
    /// Returns true if the input is laid out by the rows of the output.
    fn has_rows(&self) -> bool {
        matches!(self, InputKind::Row | InputKind::Column)
    }
}

/// The reason why a program is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProgramError {
    /// An instruction refers to an input that does not exist, or to a result that is not older than it.
    Operand {
        /// The instruction.
        instruction: usize,
    },
    /// An output, or the input in its place, refers to something that does not exist.
    Output {
        /// The output.
        output: usize,
    },
    /// Too many outputs, or results that are needed at the same time. Split the program.
    TooLarge,
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProgramError::Operand { instruction } => {
                write!(f, "instruction {instruction} refers to a value that does not exist yet")
            }
            ProgramError::Output { output } => write!(f, "output {output} refers to nothing"),
            ProgramError::TooLarge => f.write_str("too many outputs or values alive at the same time"),
        }
    }
}

impl std::error::Error for ProgramError {}

/// A chain (or any acyclic graph) of elementwise operations on `f32`, evaluated block by block: each input is read once and each output is
/// written once. The results equal those of the single kernels bit by bit.
///
/// ```
/// use compute::{Pool, elementwise::{BinaryOp, Element, InputKind, Instruction, Operand, Program, UnaryOp}};
/// let kernel = |op| f32::binary(op).expect("floats have it");
/// let tanh = f32::unary(UnaryOp::Tanh).expect("floats have it");
/// // tanh(2 x + bias)
/// let program = Program::new(
///     &[InputKind::Full, InputKind::Row],
///     &[
///         Instruction::Binary(kernel(BinaryOp::Mul), Operand::Input(0), Operand::Constant(2.0)),
///         Instruction::Binary(kernel(BinaryOp::Add), Operand::Result(0), Operand::Input(1)),
///         Instruction::Unary(tanh, Operand::Result(1)),
///     ],
///     &[2],
/// )?;
/// let mut output = [0.0; 4];
/// program.run(&Pool::single(), 2, &[&[0.0, 1.0, 2.0, 3.0], &[0.0, -2.0]], &mut [&mut output]);
/// assert_eq!(output[1], 0.0);
/// # Ok::<(), compute::elementwise::ProgramError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Program {
    /// The kinds of the inputs.
    inputs: Vec<InputKind>,
    /// The constants of all instructions.
    constants: Vec<f32>,
    /// The instructions in order.
    steps: Vec<Step>,
    /// For every output, the slot that is copied to it at the end of a block, if it was not written
    /// directly.
    copies: Vec<Option<Source>>,
    /// The number of slots that the program uses.
    slots: usize,
    /// About how long one element takes.
    picoseconds: usize,
}

impl Program {
    /// Creates a program whose outputs are the results of the instructions with the indices `outputs`.
    ///
    /// # Errors
    /// [`ProgramError`] if an operand or output does not exist, or if the program is too large.
    pub fn new(
        inputs: &[InputKind],
        instructions: &[Instruction],
        outputs: &[usize],
    ) -> Result<Program, ProgramError> {
        compile::compile(inputs, instructions, outputs)
    }

    /// Evaluates the program. `row` is the length of a row of the output, which lays out inputs of kind [`InputKind::Row`] and
    /// [`InputKind::Column`]; without such inputs it is ignored.
    ///
    /// # Panics
    /// Panics if the number of slices differs from the program's, if outputs differ in length, or if the length of an input contradicts its kind.
    pub fn run(&self, pool: &Pool, row: usize, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let len = self.check(row, inputs, outputs);
        if len == 0 {
            return;
        }
        // If no input has rows, the output is one row, and blocks need not end where a row ends.
        let row = if self.inputs.iter().any(InputKind::has_rows) { row } else { len };
        // Threads begin with a row if rows are short, and otherwise with a cache line.
        let align = if row <= BLOCK { row } else { 64 };
        // Outputs that the program does not have are empty and take part in nothing.
        let mut all: [(&mut [f32], usize); MAX_OUTPUTS] = std::array::from_fn(|_| (Default::default(), 0));
        for (slot, output) in all.iter_mut().zip(outputs) {
            *slot = (output, 1);
        }
        split_outputs(pool, len, align, units_per_part(self.picoseconds), all, |range, mut outputs| {
            SCRATCH.with_borrow_mut(|scratch| {
                // Never shrinks: the next program on this thread may need more.
                scratch.resize(scratch.len().max(self.slots * BLOCK), 0.0);
                self.run_part(row, range, inputs, &mut outputs, scratch);
            });
        });
    }

    /// Checks the lengths of all slices, and returns the number of elements.
    fn check(&self, row: usize, inputs: &[&[f32]], outputs: &[&mut [f32]]) -> usize {
        assert_eq!(inputs.len(), self.inputs.len(), "inputs");
        assert_eq!(outputs.len(), self.copies.len(), "outputs");
        let len = outputs.first().map_or(0, |output| output.len());
        assert!(outputs.iter().all(|output| output.len() == len), "outputs differ in length");
        for (k, (input, kind)) in inputs.iter().zip(&self.inputs).enumerate() {
            assert!(!kind.has_rows() || row > 0 && len.is_multiple_of(row), "outputs of rows of {row}");
            let expected = match kind {
                InputKind::Full => len,
                InputKind::Row => row,
                InputKind::Column => len / row,
                InputKind::Scalar => 1,
                InputKind::InPlace(_) => 0,
            };
            assert_eq!(input.len(), expected, "input {k}");
        }
        len
    }

    /// Evaluates the elements of `range`, which are all of `outputs`.
    ///
    /// A block has at most 1024 elements: whole rows if a row fits into one, and otherwise a part of one row.
    /// `scratch` has a block of memory for each slot.
    fn run_part(
        &self,
        row: usize,
        range: Range<usize>,
        inputs: &[&[f32]],
        outputs: &mut [&mut [f32]; MAX_OUTPUTS],
        scratch: &mut [f32],
    ) {
        let start = range.start;
        let mut at = start;
        while at < range.end {
            // As many whole rows as a block holds, or else a part of one row.
            let whole = (BLOCK / row * row).max(1);
            let count = if row <= BLOCK { whole } else { BLOCK.min(row - at % row) }.min(range.end - at);
            let mut block = Block {
                program: self,
                inputs,
                at,
                cols: row.min(count),
                column: at % row,
                row: at / row,
                outputs: outputs.each_mut().map(|output| {
                    let len = output.len();
                    &mut output[(at - start).min(len)..(at - start + count).min(len)]
                }),
                slots: std::array::from_fn(|_| Default::default()),
            };
            for (slot, buffer) in block.slots.iter_mut().zip(scratch.chunks_exact_mut(BLOCK)).take(self.slots)
            {
                *slot = &mut buffer[..count];
            }
            block.run();
            at += count;
        }
    }
}

thread_local! {
    /// The slots of the blocks that this thread evaluates; kept so that they are not cleared again.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// One block of elements on its way through a program.
struct Block<'a> {
    /// The program.
    program: &'a Program,
    /// The inputs.
    inputs: &'a [&'a [f32]],
    /// The first element of the block in the output.
    at: usize,
    /// The first column of the block.
    column: usize,
    /// The row of the block.
    row: usize,
    /// The length of the block's rows.
    cols: usize,
    /// The parts of the outputs that belong to the block.
    outputs: [&'a mut [f32]; MAX_OUTPUTS],
    /// The intermediate values of the block, which stay in the nearest cache.
    slots: [&'a mut [f32]; MAX_SLOTS],
}

impl Block<'_> {
    /// Runs all instructions on the block.
    fn run(&mut self) {
        for step in &self.program.steps {
            // Taken out while it is written, so that the operands can be borrowed from the rest.
            let output = std::mem::take(self.place(step.to));
            match step.instruction {
                (compile::Kernel::Unary(kernel), x, _) => self.run_unary(kernel, x, output),
                (compile::Kernel::Binary(kernel), x, y) => {
                    let len = output.len();
                    let (x, y) = (self.rows(x, len), self.rows(y, len));
                    // Rows that follow each other without a gap are one long row, which saves the loop around
                    // it.
                    let flat = self.is_flat(x) && self.is_flat(y);
                    kernel.run_rows(x, y, if flat { len } else { self.cols }, output);
                }
            }
            *self.place(step.to) = output;
        }
        // Results that waited until the inputs in their place were read, and results that are several
        // outputs.
        for (k, copy) in self.program.copies.iter().enumerate() {
            if let Some(source) = *copy {
                let output = std::mem::take(&mut self.outputs[k]);
                output.copy_from_slice(self.rows(source, output.len()).data);
                self.outputs[k] = output;
            }
        }
    }

    /// Runs a function of one operand.
    /// An operand that is one number, or one for each row, is computed once and then repeated.
    fn run_unary(&self, kernel: UnaryKernel<f32>, x: Source, output: &mut [f32]) {
        let x = self.rows(x, output.len());
        if x.inner == 0 {
            // One number for all, or for each row.
            let len = if x.outer == 0 { output.len() } else { self.cols };
            for (output, x) in output.chunks_mut(len).zip(x.data) {
                let mut value = [0.0];
                kernel.run_block(std::slice::from_ref(x), &mut value);
                output.fill(value[0]);
            }
        } else if x.outer == 0 {
            output.chunks_mut(self.cols).for_each(|output| kernel.run_block(&x.data[..output.len()], output));
        } else {
            kernel.run_block(x.data, output);
        }
    }
}

impl<'a> Block<'a> {
    /// Returns the slice of a place.
    fn place(&mut self, place: Place) -> &mut &'a mut [f32] {
        match place {
            Place::Slot(k) => &mut self.slots[k],
            Place::Output(k) => &mut self.outputs[k],
        }
    }

    /// Returns true if the rows of an operand are contiguous like those of the output, so that they can be merged.
    fn is_flat(&self, rows: Rows<'_, f32>) -> bool {
        if rows.inner == 0 { rows.outer == 0 } else { rows.outer == self.cols }
    }

    /// Returns the operand's elements for this block of `len`.
    ///
    /// A source with the layout of the output starts at the block, a row of numbers at the block's column, and a column
    /// of numbers at its row.
    fn rows(&self, source: Source, len: usize) -> Rows<'_, f32> {
        let full = |data| Rows { data, outer: self.cols, inner: 1 };
        match source {
            Source::Slot(k) => full(&self.slots[k][..len]),
            Source::Output(k) => full(&self.outputs[k][..len]),
            Source::Constant(k) => Rows::repeated(&self.program.constants[k..=k]),
            Source::Input(k) => match self.program.inputs[k] {
                InputKind::Full => full(&self.inputs[k][self.at..self.at + len]),
                InputKind::Row => Rows { data: &self.inputs[k][self.column..], outer: 0, inner: 1 },
                InputKind::Column => Rows { data: &self.inputs[k][self.row..], outer: 1, inner: 0 },
                InputKind::Scalar => Rows::repeated(self.inputs[k]),
                InputKind::InPlace(output) => full(&self.outputs[output][..len]),
            },
        }
    }
}

#[cfg(test)]
mod tests;
