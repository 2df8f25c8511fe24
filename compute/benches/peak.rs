//! The multiplications and additions per second that this machine can do, as one JSON line: what the rows of a workload are
//! compared with. `THREADS` sets the threads; default: all.
#![allow(clippy::print_stdout)] // the output is meant to be read

#[allow(dead_code)] // only the peak is used here
mod measure;

use compute::Pool;

fn main() {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = std::env::var("THREADS").ok().and_then(|text| text.parse().ok()).unwrap_or_else(cores);
    let pool = Pool::new(threads).expect("threads");
    // The best of several: other programs only take away.
    let runs: Vec<f64> = (0..5).map(|_| measure::peak(&pool)).collect();
    let [least, most] =
        [f64::min, f64::max].map(|pick| runs.iter().copied().reduce(pick).unwrap_or_default());
    println!(
        "{{\"name\": \"machine/fma_peak/{}t\", \"metric\": \"rate\", \"value\": {most}, \"unit\": \"GFLOP/s\", \
         \"min\": {least}, \"max\": {most}}}",
        pool.threads()
    );
}
