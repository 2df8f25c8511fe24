//! Convolutions at the shapes of common networks, in GFLOP/s (padding counted as if multiplied).
//!
//! `cargo bench -p monitored-compute --bench conv -- [threads] [part of a name]`
#![allow(clippy::unwrap_used)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::print_stdout)] // its purpose

mod measure;

use compute::conv::{ConvShape, filter_gradient, forward, input_gradient};
use compute::matmul::Epilogue;
use compute::{Isa, Pool, Scratch};
use measure::{Values, cell, least, peak};

/// A square convolution with SAME padding.
fn same(batch: usize, size: usize, in_c: usize, filter: usize, out_c: usize, stride: usize) -> ConvShape {
    let out = size.div_ceil(stride);
    let pad = ((out - 1) * stride + filter).saturating_sub(size) / 2;
    ConvShape {
        batch,
        in_h: size,
        in_w: size,
        in_c,
        filter_h: filter,
        filter_w: filter,
        out_c,
        stride_h: stride,
        stride_w: stride,
        dilation_h: 1,
        dilation_w: 1,
        pad_top: pad,
        pad_left: pad,
        out_h: out,
        out_w: out,
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let threads = arguments.first().and_then(|a| a.parse().ok()).unwrap_or(1);
    let wanted = arguments.get(1).map_or("", String::as_str);
    let pool = Pool::new(threads).expect("threads");
    println!("{:?}, {threads} threads, {:.0} GFLOP/s in registers", Isa::current(), peak(&pool));
    println!("{:32} {:>16} {:>16} {:>16}", "", "forward", "input grad.", "filter grad.");
    for (name, shape) in [
        ("mnist 1: 64x28x28x1 5x5 32", same(64, 28, 1, 5, 32, 1)),
        ("mnist 2: 64x14x14x32 5x5 64", same(64, 14, 32, 5, 64, 1)),
        ("resnet: 16x32x32x64 3x3 64", same(16, 32, 64, 3, 64, 1)),
        ("resnet: 16x8x8x256 3x3 256", same(16, 8, 256, 3, 256, 1)),
        ("stride 2: 32x32x32x32 3x3 64", same(32, 32, 32, 3, 64, 2)),
        ("1x1: 16x16x16x64 256", same(16, 16, 64, 1, 256, 1)),
        ("first: 4x112x112x3 7x7 64 /2", same(4, 112, 3, 7, 64, 2)),
        ("one image: 1x56x56x64 3x3 64", same(1, 56, 64, 3, 64, 1)),
    ] {
        if name.contains(wanted) {
            measure(&pool, name, &shape);
        }
    }
}

/// Working memory is refused only where a limit is set.
const NO_LIMIT: &str = "no limit is set";

fn measure(pool: &Pool, name: &str, shape: &ConvShape) {
    let [input, filter, output, bias] =
        [shape.input_len(), shape.filter_len(), shape.output_len(), shape.out_c].map(Values::new);
    let (mut to_input, mut to_filter, mut to_output) = (input.clone(), filter.clone(), output.clone());
    let scratch = &mut Scratch::new();
    let epilogue = Epilogue { bias: Some(&bias), relu: true };
    let times = [
        least(|| forward(pool, scratch, shape, &input, &filter, epilogue, &mut to_output).expect(NO_LIMIT)),
        least(|| input_gradient(pool, scratch, shape, &filter, &output, &mut to_input).expect(NO_LIMIT)),
        least(|| filter_gradient(pool, scratch, shape, &input, &output, &mut to_filter).expect(NO_LIMIT)),
    ];
    let flops = 2.0 * (shape.output_len() * shape.filter_len() / shape.out_c) as f64;
    let cells = times.map(|time| cell(flops, time));
    println!("{name:32} {:>16} {:>16} {:>16}", cells[0], cells[1], cells[2]);
}
