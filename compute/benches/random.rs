//! Random numbers, in millions a second.
//!
//! `cargo bench -p monitored-compute --bench random -- [threads] [part of a name]`
#![allow(clippy::unwrap_used)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::print_stdout)] // its purpose

use std::time::{Duration, Instant};

use compute::random::{Generator, fill_normal, fill_truncated_normal, fill_uniform, fill_uniform_int};
use compute::{Isa, Pool};
use half::{bf16, f16};

const SIZES: [usize; 3] = [1 << 10, 1 << 20, 1 << 24];

struct Bench {
    pool: Pool,
    wanted: String,
}

impl Bench {
    /// Prints a line of one figure per size.
    fn run<T: Clone + Default>(&self, name: &str, fill: impl Fn(&mut Generator, &mut [T], &Pool)) {
        if !name.contains(&self.wanted) {
            return;
        }
        let mut generator = Generator::new(1, 2);
        let figures = SIZES.map(|size| {
            let mut out = vec![T::default(); size];
            let time = least(|| fill(&mut generator, &mut out, &self.pool));
            format!("{:12.0}", size as f64 / time.as_secs_f64() / 1e6)
        });
        println!("{name:24}{}", figures.concat());
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
    let wanted = arguments.get(1).cloned().unwrap_or_default();
    let bench = Bench { pool: Pool::new(threads).expect("threads"), wanted };
    println!("{:?}, {threads} threads, M/s for {SIZES:?} numbers", Isa::current());
    bench.run::<f32>("uniform f32", fill_uniform);
    bench.run::<f64>("uniform f64", fill_uniform);
    bench.run::<f16>("uniform f16", fill_uniform);
    bench.run::<bf16>("uniform bf16", fill_uniform);
    bench.run::<f32>("normal f32", fill_normal);
    bench.run::<f64>("normal f64", fill_normal);
    bench.run::<f16>("normal f16", fill_normal);
    bench.run::<f32>("truncated normal f32", fill_truncated_normal);
    bench.run::<i32>("uniform int i32", |generator, out, pool| {
        fill_uniform_int(generator, 0, 10, out, pool).expect("a range");
    });
    bench.run::<i64>("uniform int i64", |generator, out, pool| {
        fill_uniform_int(generator, 0, 10, out, pool).expect("a range");
    });
}
