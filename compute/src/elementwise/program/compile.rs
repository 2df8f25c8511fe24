//! Register allocation: the location of each value of a program.
//!
//! A program has few values, so the allocation is a single pass: each result takes the first slot whose value is no
//! longer needed. A result that is an output is written directly to the output's slice, unless an input still lies
//! there.
//!
//! # Blocks
//!
//! A program is evaluated for blocks of elements: each instruction handles a whole block before the next begins. A
//! slot is memory for one block, so the slots of a program stay in the cache, and intermediate results
//! never reach the main memory.
//!
//! # Lifetimes
//!
//! The last use of each result is found first. After the instruction with the last use of its value, a slot is free
//! for another result.

use super::{InputKind, Instruction, MAX_OUTPUTS, MAX_SLOTS, Operand, Program, ProgramError};
use crate::elementwise::{BinaryKernel, UnaryKernel};

/// The location of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A block of an input, by its index.
    Input(usize),
    /// A slot that instructions share.
    Slot(usize),
    /// An output of the program, in place.
    Output(usize),
    /// A constant, by its index.
    Constant(usize),
}

/// The destination of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A slot that instructions share.
    Slot(usize),
    /// An output of the program, which instructions may read again.
    Output(usize),
}

/// The function of a step.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kernel {
    /// A function of one operand.
    Unary(UnaryKernel<f32>),
    /// A function of two operands.
    Binary(BinaryKernel<f32>),
}

/// One instruction with the places of its operands and its result.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// The kernel and its operands; the second is the first again where there is one only.
    pub(super) instruction: (Kernel, Source, Source),
    /// The place of the result.
    pub(super) to: Place,
}

/// The cost of reading or writing one element, in addition to the computation, in picoseconds.
const TRANSFER: usize = 100;

/// Compiles a program.
///
/// # Errors
/// [`ProgramError::Operand`] and [`ProgramError::Output`] for references to nothing; [`ProgramError::TooLarge`] if
/// more values are live at the same time than there are slots.
pub(super) fn compile(
    inputs: &[InputKind],
    instructions: &[Instruction],
    outputs: &[usize],
) -> Result<Program, ProgramError> {
    check(inputs, instructions, outputs)?;
    let mut allocation = Allocation::new(inputs, instructions, outputs);
    let mut program = Program {
        inputs: inputs.to_vec(),
        constants: Vec::new(),
        steps: Vec::with_capacity(instructions.len()),
        copies: Vec::new(),
        slots: 0,
        // Each input is read once and each output written once, however many instructions use them.
        picoseconds: (inputs.len() + outputs.len()) * TRANSFER,
    };
    for (i, instruction) in instructions.iter().enumerate() {
        let (kernel, x, y) = match *instruction {
            Instruction::Unary(kernel, x) => (Kernel::Unary(kernel), x, x),
            Instruction::Binary(kernel, x, y) => (Kernel::Binary(kernel), x, y),
        };
        program.picoseconds += match kernel {
            Kernel::Unary(kernel) => kernel.picoseconds(),
            Kernel::Binary(kernel) => kernel.picoseconds(),
        };
        let x = allocation.source(x, &mut program.constants);
        let y = allocation.source(y, &mut program.constants);
        let to = allocation.place(i, outputs)?;
        program.steps.push(Step { instruction: (kernel, x, y), to });
    }
    program.slots = allocation.used.len();
    program.copies = outputs.iter().enumerate().map(|(k, &result)| allocation.copy(k, result)).collect();
    Ok(program)
}

/// Returns both operands of an instruction; the only operand twice.
fn operands(instruction: &Instruction) -> [Operand; 2] {
    match *instruction {
        Instruction::Unary(_, x) => [x, x],
        Instruction::Binary(_, x, y) => [x, y],
    }
}

/// Checks that every reference leads to an input or an earlier result.
///
/// # Errors
/// [`ProgramError::Operand`] for the first instruction that refers to nothing, [`ProgramError::Output`] for
/// the first output or input in place of one that does, and [`ProgramError::TooLarge`] for too many outputs.
fn check(inputs: &[InputKind], instructions: &[Instruction], outputs: &[usize]) -> Result<(), ProgramError> {
    for (i, instruction) in instructions.iter().enumerate() {
        let exists = |operand: &Operand| match *operand {
            Operand::Input(k) => k < inputs.len(),
            // Only older results, so there are no cycles and one pass in order evaluates the program.
            Operand::Result(k) => k < i,
            Operand::Constant(_) => true,
        };
        if !operands(instruction).iter().all(exists) {
            return Err(ProgramError::Operand { instruction: i });
        }
    }
    if let Some(output) = outputs.iter().position(|&result| result >= instructions.len()) {
        return Err(ProgramError::Output { output });
    }
    for kind in inputs {
        if let InputKind::InPlace(output) = *kind
            && output >= outputs.len()
        {
            return Err(ProgramError::Output { output });
        }
    }
    if outputs.len() > MAX_OUTPUTS { Err(ProgramError::TooLarge) } else { Ok(()) }
}

/// Assigns a slot to every result, and reuses slots that are no longer needed.
///
/// `tanh(2 x + y)` becomes, with `x` and `y` as inputs 0 and 1:
///
/// ```text
/// 0: Mul Input(0) Constant(2.0)   -> slot 0
/// 1: Add Result(0) Input(1)       -> slot 1, because slot 0 is read here
/// 2: Tanh Result(1)               -> output 0
/// ```
struct Allocation {
    /// The last instruction that reads each result; beyond all for those that are copied at the end.
    last_use: Vec<usize>,
    /// The place of each result so far.
    places: Vec<Place>,
    /// For each slot, the last instruction that reads it.
    used: Vec<usize>,
    /// Outputs whose slice still holds an input: their results wait in a slot.
    in_place: [bool; MAX_OUTPUTS],
}

impl Allocation {
    /// Determines how long each result is needed.
    fn new(inputs: &[InputKind], instructions: &[Instruction], outputs: &[usize]) -> Allocation {
        let mut in_place = [false; MAX_OUTPUTS];
        for kind in inputs {
            if let InputKind::InPlace(output) = *kind {
                in_place[output] = true;
            }
        }
        let mut last_use = vec![0; instructions.len()];
        for (i, instruction) in instructions.iter().enumerate() {
            for operand in operands(instruction) {
                if let Operand::Result(k) = operand {
                    last_use[k] = i;
                }
            }
        }
        // Outputs are read after all instructions, when copies are made at the end of a block.
        for &result in outputs {
            last_use[result] = usize::MAX;
        }
        Allocation { last_use, places: Vec::with_capacity(instructions.len()), used: Vec::new(), in_place }
    }

    /// Returns the place of an operand. Constants are collected.
    fn source(&self, operand: Operand, constants: &mut Vec<f32>) -> Source {
        match operand {
            Operand::Input(k) => Source::Input(k),
            Operand::Result(k) => match self.places[k] {
                Place::Slot(slot) => Source::Slot(slot),
                Place::Output(output) => Source::Output(output),
            },
            Operand::Constant(value) => {
                constants.push(value);
                Source::Constant(constants.len() - 1)
            }
        }
    }

    /// Returns the place of the result of instruction `i`: the first output that is it, or a slot.
    fn place(&mut self, i: usize, outputs: &[usize]) -> Result<Place, ProgramError> {
        // A result that is several outputs goes to the first of them; the others are copies.
        let direct = outputs.iter().enumerate().find(|&(k, &result)| result == i && !self.in_place[k]);
        let place = match direct {
            Some((k, _)) => Place::Output(k),
            None => Place::Slot(self.slot(i)?),
        };
        self.places.push(place);
        Ok(place)
    }

    /// Returns a free slot for a result.
    ///
    /// # Errors
    /// [`ProgramError::TooLarge`] if all slots hold values that are still needed.
    fn slot(&mut self, i: usize) -> Result<usize, ProgramError> {
        // A slot that is read by this very instruction is not free for its result.
        let until = self.last_use[i];
        if let Some(slot) = self.used.iter().position(|&until| until < i) {
            self.used[slot] = until;
            return Ok(slot);
        }
        if self.used.len() == MAX_SLOTS {
            return Err(ProgramError::TooLarge);
        }
        self.used.push(until);
        Ok(self.used.len() - 1)
    }

    /// Returns the value to copy to output `k` at the end of a block.
    fn copy(&self, k: usize, result: usize) -> Option<Source> {
        match self.places[result] {
            Place::Output(place) if place == k => None,
            Place::Output(place) => Some(Source::Output(place)),
            Place::Slot(slot) => Some(Source::Slot(slot)),
        }
    }
}
