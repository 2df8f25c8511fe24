//! Times the elementwise kernels, reductions, losses and optimizer updates.
//!
//! `cargo bench -p monitored-compute --bench elementwise [part of a name]` prints, for each case and number of
//! threads, nanoseconds for a call (the least of several rounds) and the memory traffic that this
//! amounts to.
#![allow(clippy::unwrap_used)] // a panic is the report, and what is printed is meant to be seen

use compute::Pool;
use compute::elementwise::layout::transpose;
use compute::elementwise::{
    BinaryOp, Broadcast, Element, InputKind, Instruction, Operand, Program, UnaryOp, bias_add_relu,
};
use compute::optimizer::{self, Adam, Momentum};
use compute::reduce::{ReduceOp, ReducePlan};
use compute::softmax::{softmax, softmax_cross_entropy, sparse_softmax_cross_entropy};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Runs cases whose name contains the filter.
struct Bench {
    filter: Option<String>,
    pools: Vec<Pool>,
}

impl Bench {
    /// Times `call`, which moves `bytes` to and from memory, once for each pool.
    #[allow(clippy::print_stdout)] // that is the program's purpose
    fn case(&self, name: &str, bytes: usize, mut call: impl FnMut(&Pool)) {
        if self.filter.as_ref().is_some_and(|filter| !name.contains(filter.as_str())) {
            return;
        }
        for pool in &self.pools {
            let time = best_time(|| call(pool));
            let nanoseconds = time.as_secs_f64() * 1e9;
            let rate = bytes as f64 / nanoseconds;
            println!("{name:44} {} threads {nanoseconds:12.0} ns {rate:8.1} GB/s", pool.threads());
        }
    }
}

/// The least time of one call over many rounds of about half a millisecond: short enough for some to
/// pass undisturbed on a busy machine.
fn best_time(mut call: impl FnMut()) -> Duration {
    call();
    let once = {
        let start = Instant::now();
        call();
        start.elapsed().max(Duration::from_nanos(20))
    };
    let calls = (500_000 / once.as_nanos()).clamp(1, 1_000_000) as u32;
    (0..150)
        .map(|_| {
            let start = Instant::now();
            (0..calls).for_each(|_| call());
            start.elapsed() / calls
        })
        .min()
        .unwrap_or_default()
}

/// Numbers between -1 and 1 without a pattern.
fn numbers(len: usize) -> Vec<f32> {
    let mut state = 1u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..len).map(next).collect()
}

fn optimizers(bench: &Bench) {
    for len in [535_818, 3_200_000] {
        let gradient = numbers(len);
        let (mut weights, mut m, mut v) = (numbers(len), vec![0.0; len], vec![0.0; len]);
        let adam = Adam {
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            beta1_power: 0.5,
            beta2_power: 0.9,
            use_nesterov: false,
        };
        bench.case(&format!("adam {len}"), len * 28, |pool| {
            optimizer::apply(pool, adam, [&mut weights, &mut m, &mut v], &gradient);
        });
        let momentum = Momentum { learning_rate: 1e-3, momentum: 0.9, use_nesterov: false };
        bench.case(&format!("momentum {len}"), len * 20, |pool| {
            optimizer::apply(pool, momentum, [&mut weights, &mut m], &gradient);
        });
    }
}

fn maps(bench: &Bench) {
    for len in [1000, 16_384, 1_000_000] {
        let input = numbers(len);
        let mut output = vec![0.0; len];
        for op in [
            UnaryOp::Relu,
            UnaryOp::Exp,
            UnaryOp::Log,
            UnaryOp::Tanh,
            UnaryOp::Sigmoid,
            UnaryOp::Erf,
            UnaryOp::Sin,
        ] {
            let kernel = f32::unary(op).expect("floats have all of these");
            bench
                .case(&format!("{} {len}", op.name()), len * 8, |pool| kernel.run(pool, &input, &mut output));
        }
        let relu = f32::unary(UnaryOp::Relu).expect("floats have it");
        bench.case(&format!("Relu in place {len}"), len * 8, |pool| relu.run_in_place(pool, &mut output));
    }
}

fn zips(bench: &Bench) {
    let add = f32::binary(BinaryOp::Add).expect("floats have it");
    let shapes: [[&[usize]; 2]; 8] = [
        [&[1000], &[1000]],
        [&[1_000_000], &[1_000_000]],
        [&[1_000_000], &[]],
        [&[100, 10], &[10]],
        [&[100, 10], &[100, 1]],
        [&[1000, 1000], &[1000]],
        [&[1000, 1000], &[1000, 1]],
        [&[32, 64, 28, 28], &[64, 1, 1]],
    ];
    for [a, b] in shapes {
        let plan = Broadcast::new([a, b]).expect("these fit");
        let (x, y) = (numbers(plan.operand_len(0)), numbers(plan.operand_len(1)));
        let mut output = vec![0.0; plan.len()];
        let bytes = (x.len() + y.len() + output.len()) * 4;
        bench.case(&format!("Add {a:?} {b:?}"), bytes, |pool| {
            add.run(pool, &plan, &x, &y, &mut output).expect("addition takes all");
        });
        let mut x = x;
        bench.case(&format!("Add in place {a:?} {b:?}"), bytes, |pool| {
            add.run_in_place_left(pool, &plan, &mut x, &y).expect("addition takes all");
        });
    }
    for (rows, columns) in [(128, 10), (128, 512), (1024, 1024)] {
        let (mut data, bias) = (numbers(rows * columns), numbers(columns));
        bench.case(&format!("bias_add_relu {rows}x{columns}"), data.len() * 8, |pool| {
            bias_add_relu(pool, &mut data, &bias);
        });
    }
}

fn losses(bench: &Bench) {
    for (rows, classes) in [(100, 10), (128, 10), (128, 1000)] {
        let logits = numbers(rows * classes);
        let labels: Vec<i64> = (0..rows).map(|row| (row % classes) as i64).collect();
        let dense = numbers(rows * classes);
        let (mut loss, mut backprop) = (vec![0.0; rows], vec![0.0; rows * classes]);
        let bytes = rows * classes * 8;
        bench.case(&format!("sparse cross entropy {rows}x{classes}"), bytes, |pool| {
            sparse_softmax_cross_entropy(pool, classes, &logits, &labels, &mut loss, &mut backprop)
                .expect("labels are classes");
        });
        bench.case(&format!("dense cross entropy {rows}x{classes}"), bytes, |pool| {
            softmax_cross_entropy(pool, classes, &logits, &dense, &mut loss, &mut backprop);
        });
        bench.case(&format!("softmax {rows}x{classes}"), bytes, |pool| {
            softmax(pool, classes, &logits, &mut backprop);
        });
    }
}

fn reductions(bench: &Bench) {
    let cases: [(&[usize], &[usize]); 7] = [
        (&[1000], &[0]),
        (&[1_000_000], &[0]),
        (&[128, 10], &[0]),
        (&[128, 10], &[1]),
        (&[100_352, 32], &[0]),
        (&[1000, 1000], &[1]),
        (&[32, 64, 784], &[0, 2]),
    ];
    for (shape, axes) in cases {
        let plan = ReducePlan::new(shape, axes).expect("the axes are the shape's");
        let input = numbers(plan.input_len());
        let mut output = vec![0.0; plan.output_len()];
        for op in [ReduceOp::Sum, ReduceOp::Max] {
            let kernel = f32::reduce(op).expect("floats have it");
            bench.case(&format!("{} {shape:?} over {axes:?}", op.name()), input.len() * 4, |pool| {
                kernel.run(pool, &plan, &input, &mut output);
            });
        }
    }
}

fn programs(bench: &Bench) {
    let binary = |op| f32::binary(op).expect("floats have it");
    let unary = |op| f32::unary(op).expect("floats have it");
    // A gate of an LSTM cell: tanh(x * sigmoid(y) + z).
    let instructions = [
        Instruction::Unary(unary(UnaryOp::Sigmoid), Operand::Input(1)),
        Instruction::Binary(binary(BinaryOp::Mul), Operand::Input(0), Operand::Result(0)),
        Instruction::Binary(binary(BinaryOp::Add), Operand::Result(1), Operand::Input(2)),
        Instruction::Unary(unary(UnaryOp::Tanh), Operand::Result(2)),
    ];
    let program = Program::new(&[InputKind::Full; 3], &instructions, &[3]).expect("the program is sound");
    for len in [1000, 16_384, 1_000_000] {
        let (x, y, z) = (numbers(len), numbers(len), numbers(len));
        let mut output = vec![0.0; len];
        bench.case(&format!("fused gate {len}"), len * 16, |pool| {
            program.run(pool, len, &[&x, &y, &z], &mut [&mut output]);
        });
        let plan = Broadcast::new([&[len], &[len]]).expect("equal shapes");
        let (mut first, mut second) = (vec![0.0; len], vec![0.0; len]);
        bench.case(&format!("separate gate {len}"), len * 16, |pool| {
            unary(UnaryOp::Sigmoid).run(pool, &y, &mut first);
            binary(BinaryOp::Mul).run(pool, &plan, &x, &first, &mut second).expect("takes all");
            binary(BinaryOp::Add).run(pool, &plan, &second, &z, &mut first).expect("takes all");
            unary(UnaryOp::Tanh).run(pool, &first, &mut output);
        });
    }
}

fn layouts(bench: &Bench) {
    let cases: [(&[usize], &[usize]); 4] = [
        (&[1000, 1000], &[1, 0]),
        (&[128, 784], &[1, 0]),
        (&[32, 784, 64], &[0, 2, 1]),
        (&[64, 28, 28, 32], &[3, 0, 1, 2]),
    ];
    for (shape, permutation) in cases {
        let input = numbers(shape.iter().product());
        let mut output = vec![0.0; input.len()];
        bench.case(&format!("transpose {shape:?} {permutation:?}"), input.len() * 8, |pool| {
            transpose(pool, shape, permutation, &input, &mut output);
        });
    }
}

fn main() {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let pools = [1, 2].map(|threads| Pool::new(threads).expect("threads can be started")).into();
    let bench = Bench { filter, pools };
    optimizers(&bench);
    maps(&bench);
    zips(&bench);
    losses(&bench);
    reductions(&bench);
    programs(&bench);
    layouts(&bench);
    black_box(&bench);
}
