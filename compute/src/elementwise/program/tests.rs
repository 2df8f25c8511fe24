use super::*;
use crate::elementwise::tests::{Numbers, pools};
use crate::elementwise::{BinaryOp, Broadcast, Element, UnaryOp};

const UNARY: [UnaryOp; 6] =
    [UnaryOp::Tanh, UnaryOp::Sigmoid, UnaryOp::Neg, UnaryOp::Exp, UnaryOp::Square, UnaryOp::Relu];
const BINARY: [BinaryOp; 5] =
    [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Maximum, BinaryOp::SigmoidGrad];

fn unary(op: UnaryOp) -> UnaryKernel<f32> {
    f32::unary(op).unwrap()
}

fn binary(op: BinaryOp) -> BinaryKernel<f32> {
    f32::binary(op).unwrap()
}

/// Returns the value of every instruction, each by its own kernel.
fn separately(
    kinds: &[InputKind],
    instructions: &[Instruction],
    rows: usize,
    row: usize,
    inputs: &[Vec<f32>],
) -> Vec<Vec<f32>> {
    let pool = Pool::single();
    let shape = [rows, row];
    let expand = |values: &[f32], own: &[usize]| {
        let mut full = vec![0.0; rows * row];
        crate::elementwise::layout::broadcast_to(&pool, own, &shape, values, &mut full).unwrap();
        full
    };
    let mut results: Vec<Vec<f32>> = Vec::new();
    for instruction in instructions {
        let value = |operand: Operand| match operand {
            Operand::Result(k) => results[k].clone(),
            Operand::Constant(x) => vec![x; rows * row],
            Operand::Input(k) => match kinds[k] {
                InputKind::Full | InputKind::InPlace(_) => inputs[k].clone(),
                InputKind::Row => expand(&inputs[k], &[row]),
                InputKind::Column => expand(&inputs[k], &[rows, 1]),
                InputKind::Scalar => expand(&inputs[k], &[]),
            },
        };
        let mut output = vec![0.0; rows * row];
        match *instruction {
            Instruction::Unary(kernel, x) => kernel.run(&pool, &value(x), &mut output),
            Instruction::Binary(kernel, x, y) => {
                let plan = Broadcast::new([&shape, &shape]).unwrap();
                kernel.run(&pool, &plan, &value(x), &value(y), &mut output).unwrap();
            }
        }
        results.push(output);
    }
    results
}

fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan())
}

#[test]
fn random_programs_have_the_bits_of_separate_kernels() {
    let mut numbers = Numbers::new(11);
    for round in 0..300 {
        let (rows, row) = match round % 6 {
            0 => (1 + numbers.below(5), 1000 + numbers.below(2000)),
            1 => (numbers.below(400), 1 + numbers.below(40)),
            2 => (40_000 + numbers.below(100), 3),
            _ => (numbers.below(20), 1 + numbers.below(100)),
        };
        let outputs_count = 1 + numbers.below(3);
        let in_place = (numbers.below(2) == 0).then_some(InputKind::InPlace(0));
        let kinds: Vec<InputKind> = (0..1 + numbers.below(4))
            .map(|_| {
                [InputKind::Full, InputKind::Row, InputKind::Scalar, InputKind::Column][numbers.below(4)]
            })
            .chain(in_place)
            .collect();
        let count = 1 + numbers.below(12);
        let instructions: Vec<Instruction> = (0..count)
            .map(|i| {
                let mut operand = || match numbers.below(5) {
                    0 => Operand::Constant(numbers.float()),
                    1 | 2 if i > 0 => Operand::Result(numbers.below(i)),
                    _ => Operand::Input(numbers.below(kinds.len())),
                };
                let (x, y) = (operand(), operand());
                if numbers.below(2) == 0 {
                    Instruction::Unary(unary(UNARY[numbers.below(6)]), x)
                } else {
                    Instruction::Binary(binary(BINARY[numbers.below(5)]), x, y)
                }
            })
            .collect();
        let outputs: Vec<usize> = (0..outputs_count).map(|_| numbers.below(count)).collect();
        let inputs: Vec<Vec<f32>> = kinds
            .iter()
            .map(|kind| {
                numbers.floats(match kind {
                    InputKind::Full | InputKind::InPlace(_) => rows * row,
                    InputKind::Row => row,
                    InputKind::Column => rows,
                    InputKind::Scalar => 1,
                })
            })
            .collect();
        let expected = separately(&kinds, &instructions, rows, row, &inputs);
        let program = Program::new(&kinds, &instructions, &outputs).unwrap();
        for pool in pools() {
            let mut slices: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
            let mut results = vec![vec![0.0; rows * row]; outputs.len()];
            for (k, kind) in kinds.iter().enumerate() {
                if let InputKind::InPlace(output) = *kind {
                    results[output].copy_from_slice(&inputs[k]);
                    slices[k] = &[];
                }
            }
            let mut out: Vec<&mut [f32]> = results.iter_mut().map(Vec::as_mut_slice).collect();
            program.run(&pool, row, &slices, &mut out);
            for (result, &output) in results.iter().zip(&outputs) {
                assert!(same_bits(result, &expected[output]), "{rows}x{row} {kinds:?} {outputs:?}");
            }
        }
    }
}

#[test]
fn programs_that_refer_to_nothing_are_refused() {
    let relu = |operand| Instruction::Unary(unary(UnaryOp::Relu), operand);
    let full = [InputKind::Full];
    let error = |instructions: &[Instruction], outputs: &[usize]| {
        Program::new(&full, instructions, outputs).unwrap_err()
    };
    assert_eq!(error(&[relu(Operand::Input(1))], &[0]), ProgramError::Operand { instruction: 0 });
    assert_eq!(error(&[relu(Operand::Result(0))], &[0]), ProgramError::Operand { instruction: 0 });
    assert_eq!(error(&[relu(Operand::Input(0))], &[0, 1]), ProgramError::Output { output: 1 });
    assert_eq!(error(&[relu(Operand::Input(0))], &[0; 9]), ProgramError::TooLarge);
    let in_place = Program::new(&[InputKind::InPlace(1)], &[relu(Operand::Input(0))], &[0]);
    assert_eq!(in_place.unwrap_err(), ProgramError::Output { output: 1 });
}

#[test]
fn too_many_live_values_are_refused() {
    let add = |x, y| Instruction::Binary(binary(BinaryOp::Add), x, y);
    let mut instructions: Vec<Instruction> =
        (0..20).map(|_| add(Operand::Input(0), Operand::Constant(1.0))).collect();
    for k in 0..19 {
        let last = instructions.len() - 1;
        let x = if k == 0 { Operand::Result(19) } else { Operand::Result(last) };
        instructions.push(add(x, Operand::Result(k)));
    }
    let last = instructions.len() - 1;
    assert_eq!(Program::new(&[InputKind::Full], &instructions, &[last]).unwrap_err(), ProgramError::TooLarge);
}

#[test]
fn an_empty_program_run_does_nothing() {
    let instructions = [Instruction::Unary(unary(UnaryOp::Exp), Operand::Input(0))];
    let program = Program::new(&[InputKind::Full], &instructions, &[0]).unwrap();
    program.run(&Pool::single(), 0, &[&[]], &mut [&mut []]);
}
