//! Shared parts of the workload programs: the data that every system gets, timing, JSON lines.
#![allow(dead_code)] // each program uses a part

pub(crate) mod networks;

use std::time::Instant;

/// The mixing function behind all data, the same in every language.
pub(crate) fn splitmix(stream: u64, i: u64) -> u64 {
    let x = i.wrapping_add(stream << 40);
    let mut z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Returns a number in [0, 1).
pub(crate) fn uniform(stream: u64, n: usize) -> Vec<f32> {
    (0..n as u64).map(|i| (splitmix(stream, i) >> 40) as f32 / 16_777_216.0).collect()
}

/// Returns a class number below `k`.
pub(crate) fn labels(stream: u64, n: usize, k: u64) -> Vec<i32> {
    (0..n as u64).map(|i| ((splitmix(stream, i) >> 33) % k) as i32).collect()
}

/// Returns initial weights.
pub(crate) fn glorot(stream: u64, n: usize, fan_in: usize, fan_out: usize) -> Vec<f32> {
    let limit = (6.0f64 / (fan_in + fan_out) as f64).sqrt() as f32;
    uniform(stream, n).into_iter().map(|u| (u * 2.0 - 1.0) * limit).collect()
}

/// The number of rows of the data set.
pub(crate) const EXAMPLES: usize = 8192;

/// Returns the number of threads set by `THREADS`; 0 for all.
pub(crate) fn threads() -> usize {
    std::env::var("THREADS").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Returns the number of timed rounds.
pub(crate) fn rounds(default: usize) -> usize {
    std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Prints one JSON line: the median of the rounds, with its spread.
pub(crate) fn emit(name: &str, metric: &str, unit: &str, runs: &[f64], extra: &str) {
    let mut sorted = runs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let median = sorted[sorted.len() / 2];
    let runs: Vec<String> = runs.iter().map(|run| format!("{run:.6}")).collect();
    let extra = if extra.is_empty() { String::new() } else { format!(", {extra}") };
    println!(
        "{{\"name\": \"{name}\", \"metric\": \"{metric}\", \"value\": {median}, \"unit\": \"{unit}\", \"runs\": [{}], \
         \"min\": {}, \"max\": {}{extra}}}",
        runs.join(", "),
        sorted[0],
        sorted[sorted.len() - 1]
    );
}

/// Returns the seconds per call of each round.
pub(crate) fn timed(rounds: usize, calls: usize, warmup: usize, mut call: impl FnMut()) -> Vec<f64> {
    (0..warmup).for_each(|_| call());
    let mut runs = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        (0..calls).for_each(|_| call());
        runs.push(start.elapsed().as_secs_f64() / calls as f64);
    }
    runs
}

/// Returns a figure of this process from the operating system, in MB.
pub(crate) fn status_mb(key: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(key));
    let kilobytes =
        line.and_then(|line| line.split_whitespace().nth(1)).and_then(|word| word.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) / 1024.0
}

/// Returns the page faults of this process so far.
pub(crate) fn page_faults() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    fields.split_whitespace().nth(7).and_then(|word| word.parse().ok()).unwrap_or(0)
}
