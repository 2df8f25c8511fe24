//! Convolutions at the shapes of common networks, in GFLOP/s (padding counted as if multiplied).
//!
//! `cargo bench -p compute --bench conv -- [threads] [part of a name]`

use std::time::{Duration, Instant};

use compute::conv::{ConvShape, filter_gradient, forward, input_gradient};
use compute::matmul::Epilogue;
use compute::{Isa, Pool, Scratch};

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

/// The least time of one call, over half a second of calls.
fn least(mut work: impl FnMut()) -> Duration {
    work();
    let start = Instant::now();
    let mut least = Duration::MAX;
    while start.elapsed() < Duration::from_millis(500) {
        let before = Instant::now();
        work();
        least = least.min(before.elapsed());
    }
    least
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let threads = arguments.first().and_then(|a| a.parse().ok()).unwrap_or(1);
    let wanted = arguments.get(1).map_or("", String::as_str);
    let pool = Pool::new(threads).expect("threads");
    println!("{:?}, {threads} threads", Isa::current());
    println!("{:32} {:>14} {:>14} {:>14}", "", "forward", "input grad.", "filter grad.");
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

fn measure(pool: &Pool, name: &str, shape: &ConvShape) {
    let values = |len: usize| (0..len).map(|i| (i * 7919 % 1000) as f32 * 1e-3 - 0.5).collect::<Vec<f32>>();
    let (input, filter, output) =
        (values(shape.input_len()), values(shape.filter_len()), values(shape.output_len()));
    let bias = values(shape.out_c);
    let (mut to_input, mut to_filter, mut to_output) = (input.clone(), filter.clone(), output.clone());
    let scratch = &mut Scratch::new();
    let epilogue = Epilogue { bias: Some(&bias), relu: true };
    let times = [
        least(|| forward(pool, scratch, shape, &input, &filter, epilogue, &mut to_output)),
        least(|| input_gradient(pool, scratch, shape, &filter, &output, &mut to_input)),
        least(|| filter_gradient(pool, scratch, shape, &input, &output, &mut to_filter)),
    ];
    let flops = 2.0 * (shape.output_len() * shape.filter_len() / shape.out_c) as f64;
    let cells = times.map(|time| {
        let seconds = time.as_secs_f64();
        format!("{:6.0} us {:4.0}", seconds * 1e6, flops / seconds * 1e-9)
    });
    println!("{name:32} {:>14} {:>14} {:>14}", cells[0], cells[1], cells[2]);
}
