//! Products at the shapes of dense layers, in GFLOP/s.
//!
//! `cargo bench -p monitored-compute --bench matmul -- [threads] [part of a name]`
#![allow(clippy::unwrap_used)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::print_stdout)] // its purpose

mod measure;

use compute::matmul::{Epilogue, Product, matmul, matmul_fused};
use compute::{Isa, Pool, Scratch};
use measure::{Values, cell, least, peak};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let threads = arguments.first().and_then(|a| a.parse().ok()).unwrap_or(1);
    let wanted = arguments.get(1).map_or("", String::as_str);
    let pool = Pool::new(threads).expect("threads");
    println!("{:?}, {threads} threads, {:.0} GFLOP/s in registers", Isa::current(), peak(&pool));
    println!("{:32} {:>16} {:>16} {:>16}", "", "forward", "input grad.", "weight grad.");
    for (name, sizes) in [
        ("mlp 1", (128, 784, 512)),
        ("mlp 2", (128, 512, 256)),
        ("mlp 3", (128, 256, 10)),
        ("cnn dense", (64, 3136, 1024)),
        ("lstm", (32, 384, 1024)),
        ("softmax regression", (100, 784, 10)),
        ("square", (1024, 1024, 1024)),
        ("one row", (1, 784, 512)),
    ] {
        if name.contains(wanted) {
            measure(&pool, name, sizes);
        }
    }
}

/// Working memory is refused only where a limit is set.
const NO_LIMIT: &str = "no limit is set";

/// A dense layer of `k` inputs and `n` outputs on `m` examples.
fn measure(pool: &Pool, name: &str, (m, k, n): (usize, usize, usize)) {
    let [input, weights, output, bias] = [m * k, k * n, m * n, n].map(Values::new);
    let (mut to_input, mut to_weights, mut to_output) = (input.clone(), weights.clone(), output.clone());
    let scratch = &mut Scratch::new();
    let epilogue = Epilogue { bias: Some(&bias), relu: true };
    let (forward, backward, weight) =
        (Product::new(m, k, n), Product::new(m, n, k).transpose_b(), Product::new(k, m, n).transpose_a());
    let times = [
        least(|| {
            matmul_fused(pool, scratch, &forward, &input, &weights, epilogue, &mut to_output).expect(NO_LIMIT)
        }),
        least(|| matmul(pool, scratch, &backward, &output, &weights, &mut to_input).expect(NO_LIMIT)),
        least(|| matmul(pool, scratch, &weight, &input, &output, &mut to_weights).expect(NO_LIMIT)),
    ];
    let cells = times.map(|time| cell(2.0 * (m * k * n) as f64, time));
    println!("{:32} {:>16} {:>16} {:>16}", format!("{name}: {m}x{k}x{n}"), cells[0], cells[1], cells[2]);
}
