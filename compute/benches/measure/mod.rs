//! Code that the benchmarks of products and convolutions share.
#![allow(unsafe_code)] // aligned memory, and instructions that the CPU is asked for first

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use compute::Pool;

/// The least time of one call, over half a second of calls.
pub(crate) fn least(mut work: impl FnMut()) -> Duration {
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

/// Numbers that begin on a cache line, as the engine's tensors do.
#[derive(Clone)]
pub(crate) struct Values {
    lines: Vec<Line>,
    len: usize,
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

impl Values {
    pub(crate) fn new(len: usize) -> Values {
        let mut values = Values { lines: vec![Line([0.0; 16]); len.div_ceil(16)], len };
        for (i, value) in values.iter_mut().enumerate() {
            *value = (i * 7919 % 1000) as f32 * 1e-3 - 0.5;
        }
        values
    }
}

impl Deref for Values {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: the lines hold `len` numbers or more.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Values {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

/// The multiplications and additions per second that the threads of `pool` reach in registers, in
/// GFLOP/s; 0 where this program does not know how to measure it.
pub(crate) fn peak(pool: &Pool) -> f64 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_reduce_add_ps, _mm512_set1_ps};

        const ROUNDS: usize = 20_000;

        #[target_feature(enable = "avx512f")]
        fn multiply() -> f32 {
            let (a, b) = (std::hint::black_box(1.0001), std::hint::black_box(0.5));
            let (a, b) = (_mm512_set1_ps(a), _mm512_set1_ps(b));
            let mut sums = [_mm512_set1_ps(0.0); 24];
            for _ in 0..ROUNDS {
                for sum in &mut sums {
                    *sum = _mm512_fmadd_ps(a, b, *sum);
                }
            }
            sums.into_iter().map(|sum| _mm512_reduce_add_ps(sum)).sum()
        }

        let time = least(|| {
            pool.run(pool.threads(), |_| {
                // SAFETY: the CPU has the feature.
                std::hint::black_box(unsafe { multiply() });
            });
        });
        return (pool.threads() * ROUNDS * 24 * 32) as f64 / time.as_secs_f64() * 1e-9;
    }
    let _ = pool;
    0.0
}

/// A cell of a table: microseconds and GFLOP/s.
pub(crate) fn cell(flops: f64, time: Duration) -> String {
    let seconds = time.as_secs_f64();
    format!("{:8.1} us {:4.0}", seconds * 1e6, flops / seconds * 1e-9)
}
