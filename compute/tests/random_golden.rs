//! The random kernels against numbers that TensorFlow gave. `golden/make_random_golden.py` wrote the
//! file and describes its lines.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // a line that cannot be parsed is a failure of the test

use std::fmt::Write as _;

use compute::Pool;
use compute::random::{
    Count, Generator, Integer, Real, Words, fill_gamma, fill_multinomial, fill_normal, fill_poisson,
    fill_truncated_normal, fill_uniform, fill_uniform_int, op_seeds, shuffle,
};
use half::{bf16, f16};

const GOLDEN: &str = include_str!("golden/random_golden.txt");

struct Line<'a> {
    kind: &'a str,
    dtype: &'a str,
    seeds: [&'a str; 2],
    n: usize,
    parameters: &'a str,
    runs: Vec<&'a str>,
}

impl<'a> Line<'a> {
    fn parse(text: &'a str) -> Line<'a> {
        let words: Vec<&str> = text.split(' ').collect();
        let [kind, dtype, seed, seed2, n, parameters, runs @ ..] = &words[..] else {
            panic!("too few words: {text}");
        };
        let (seeds, n) = ([*seed, *seed2], n.parse().unwrap());
        Line { kind, dtype, seeds, n, parameters, runs: runs.to_vec() }
    }

    fn list<T: std::str::FromStr<Err: std::fmt::Debug>>(&self) -> Vec<T> {
        self.parameters.split(',').map(|word| word.parse().unwrap()).collect()
    }

    fn generator(&self) -> Generator {
        let [seed, seed2] = self.seeds.map(|seed| seed.parse().unwrap());
        match self.kind.starts_with("stateless") {
            true => Generator::stateless([seed, seed2]),
            false => Generator::new(seed, seed2),
        }
    }

    /// Results in double precision rest on the C library's functions, of which the expected ones are
    /// the GNU library's.
    fn needs_gnu_libc(&self) -> bool {
        let of_double = self.dtype == "float64" && !self.kind.ends_with("uniform");
        of_double || matches!(self.kind, "gamma" | "poisson" | "multinomial" | "stateless_multinomial")
    }

    /// Runs `fill` for each execution, on one thread and on three, and compares. Every execution goes
    /// through a saved and restored state.
    fn check<T: Bytes>(&self, len: usize, fill: impl Fn(&mut Generator, &mut [T], &Pool)) {
        for threads in [1, 3] {
            let pool = Pool::new(threads).unwrap();
            let mut generator = self.generator();
            for (run, expected) in self.runs.iter().enumerate() {
                let mut out = vec![T::default(); len];
                fill(&mut generator, &mut out, &pool);
                generator = Generator::from_bytes(generator.to_bytes());
                let Line { kind, dtype, seeds, n, parameters, .. } = self;
                assert_eq!(
                    word(&out),
                    *expected,
                    "{kind} {dtype} {seeds:?} {n} {parameters}, run {run}, {threads} threads"
                );
            }
        }
    }

    fn check_real<T: Real + Bytes>(&self) {
        match self.kind.trim_start_matches("stateless_") {
            "uniform" => self.check::<T>(self.n, fill_uniform),
            "normal" => self.check::<T>(self.n, fill_normal),
            "truncated" => self.check::<T>(self.n, fill_truncated_normal),
            "gamma" => {
                let alphas: Vec<T> = self.list().into_iter().map(T::from_f32).collect();
                self.check::<T>(self.n * alphas.len(), |g, out, pool| fill_gamma(g, &alphas, out, pool));
            }
            kind => panic!("unknown kind {kind}"),
        }
    }

    fn check_integer<T: Integer + Bytes + std::str::FromStr<Err: std::fmt::Debug>>(&self) {
        let bounds = self.list::<T>();
        self.check::<T>(self.n, |g, out, pool| {
            fill_uniform_int(g, bounds[0], bounds[1], out, pool).unwrap();
        });
    }

    fn check_poisson<T: Count + Bytes>(&self) {
        let rates = self.list::<f64>();
        self.check::<T>(self.n * rates.len(), |g, out, pool| fill_poisson(g, &rates, out, pool));
    }

    fn check_multinomial<L: Bytes + Into<f64> + Sync>(&self) {
        let sizes = self.list::<usize>();
        let logits: Vec<L> = (0..sizes[0] * sizes[1])
            .map(|i| if i % 11 == 5 { f32::NEG_INFINITY } else { ((i * 37 % 64) as f32 - 32.0) / 8.0 })
            .map(L::from_f32)
            .collect();
        self.check::<i64>(sizes[0] * self.n, |g, out, pool| {
            fill_multinomial(g, &logits, sizes[0], out, pool);
        });
    }

    fn check_shuffle(&self) {
        self.check::<i64>(self.n, |g, out, _| {
            (0..).zip(&mut *out).for_each(|(i, out)| *out = i);
            shuffle(g, out);
        });
    }

    /// Each run fills a queue and empties it: the picked element changes places with the last.
    fn check_queue(&self) {
        let mut words = Words::new(self.generator());
        for expected in &self.runs {
            let mut held: Vec<i64> = (0..self.n as i64).collect();
            let mut out = Vec::new();
            while !held.is_empty() {
                words = Words::from_bytes(words.to_bytes());
                out.push(held.swap_remove(words.below(held.len() as u32) as usize));
            }
            assert_eq!(word(&out), *expected, "queue of {}", self.n);
        }
    }

    fn check_seeds(&self) {
        let [graph, op] = self.seeds.map(|seed| seed.parse().ok());
        let (seed, seed2) = op_seeds(graph, op, 0);
        assert_eq!(format!("{seed},{seed2}"), self.runs[0], "{:?}", self.seeds);
    }

    fn check_kind(&self) {
        match (self.kind, self.dtype) {
            ("op_seeds", _) => self.check_seeds(),
            ("shuffle", _) => self.check_shuffle(),
            ("queue", _) => self.check_queue(),
            ("uniform_int" | "stateless_int", "int32") => self.check_integer::<i32>(),
            ("uniform_int" | "stateless_int", "int64") => self.check_integer::<i64>(),
            ("poisson", "float16") => self.check_poisson::<f16>(),
            ("poisson", "float32") => self.check_poisson::<f32>(),
            ("poisson", "float64") => self.check_poisson::<f64>(),
            ("poisson", "int32") => self.check_poisson::<i32>(),
            ("poisson", "int64") => self.check_poisson::<i64>(),
            ("multinomial" | "stateless_multinomial", "float16") => self.check_multinomial::<f16>(),
            ("multinomial" | "stateless_multinomial", "bfloat16") => self.check_multinomial::<bf16>(),
            ("multinomial" | "stateless_multinomial", "float32") => self.check_multinomial::<f32>(),
            ("multinomial" | "stateless_multinomial", "float64") => self.check_multinomial::<f64>(),
            (_, "float16") => self.check_real::<f16>(),
            (_, "bfloat16") => self.check_real::<bf16>(),
            (_, "float32") => self.check_real::<f32>(),
            (_, "float64") => self.check_real::<f64>(),
            (kind, dtype) => panic!("unknown kind {kind} of {dtype}"),
        }
    }
}

trait Bytes: Copy + Default {
    fn append(self, bytes: &mut Vec<u8>);
    fn from_f32(x: f32) -> Self;
}

macro_rules! bytes {
    ($($t:ty: $from_f32:expr),*) => {$(
        impl Bytes for $t {
            fn append(self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_le_bytes());
            }

            fn from_f32(x: f32) -> $t {
                let from_f32: fn(f32) -> $t = $from_f32;
                from_f32(x)
            }
        }
    )*};
}
bytes!(
    f16: f16::from_f32, bf16: bf16::from_f32, f32: |x| x, f64: f64::from,
    i32: |x| x as i32, i64: |x| x as i64
);

/// How the file shows `values`.
fn word<T: Bytes>(values: &[T]) -> String {
    let mut bytes = Vec::new();
    values.iter().for_each(|x| x.append(&mut bytes));
    if bytes.is_empty() {
        return "-".to_owned();
    }
    if bytes.len() <= 32 {
        return bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        });
    }
    let hash = bytes
        .iter()
        .fold(0u64, |hash, &byte| hash.wrapping_mul(0x100_0000_01B3).wrapping_add(u64::from(byte) + 1));
    format!("#{hash:016x}")
}

#[test]
fn equals_tensorflow() {
    let gnu = cfg!(all(target_os = "linux", target_env = "gnu"));
    let lines = GOLDEN.lines().filter(|text| !text.starts_with('#')).map(Line::parse);
    let lines = lines.filter(|line| !["logf", "sinf", "cosf"].contains(&line.kind));
    let checked = lines.filter(|line| gnu || !line.needs_gnu_libc()).map(|line| line.check_kind()).count();
    assert!(checked > 300, "{checked} lines");
}

/// The instruction set is chosen once per process, hence the processes.
#[test]
fn equals_tensorflow_on_narrower_instruction_sets() {
    for isa in ["baseline", "avx2"] {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "equals_tensorflow"])
            .env("MONITORED_SESSION_ISA", isa)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{isa}: {text}");
    }
}
