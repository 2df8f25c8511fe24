//! Products against plain loops.

use super::*;

/// A reproducible source of numbers.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: usize) -> Numbers {
        Numbers(seed as u64 ^ 0x9e37_79b9_7f4a_7c15)
    }

    fn next(&mut self) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }

    /// Values in -1..1 that `f32` holds exactly.
    pub(crate) fn take(&mut self, len: usize) -> Vec<f64> {
        (0..len).map(|_| self.next() as u16 as f64 / 32768.0 - 1.0).collect()
    }
}

/// Returns the instruction sets that this CPU has.
pub(crate) fn all_isas() -> Vec<Isa> {
    [Isa::Baseline, Isa::Avx2, Isa::Avx512].into_iter().filter(|&isa| isa <= Isa::current()).collect()
}

/// How to make elements and how to read them.
pub(crate) type Casts<T> = (fn(f64) -> T, fn(T) -> f64);

/// Compares with a tolerance relative to the size of the sums that occur (some tens).
pub(crate) fn assert_close(result: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(result.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1.0f64, |scale, x| scale.max(x.abs()));
    for (i, (r, e)) in result.iter().zip(expected).enumerate() {
        assert!((r - e).abs() <= tolerance * scale, "element {i}: {r} instead of {e}; {what}");
    }
}

fn by_definition(product: &Product, a: &[f64], b: &[f64], c: &[f64]) -> Vec<f64> {
    let Product { m, n, k, .. } = *product;
    let mut result = vec![0.0; m * n];
    for i in 0..m {
        for j in 0..n {
            for p in 0..k {
                let x = a[if product.transpose_a { p * m + i } else { i * k + p }];
                let y = b[if product.transpose_b { j * k + p } else { p * n + j }];
                result[i * n + j] += x * y;
            }
        }
    }
    if product.accumulate {
        result.iter_mut().zip(c).for_each(|(r, c)| *r += c);
    }
    result
}

/// Returns all ways to lay out and accumulate one product.
fn ways(m: usize, k: usize, n: usize) -> impl Iterator<Item = Product> {
    (0..8).map(move |bits| Product {
        transpose_a: bits & 1 != 0,
        transpose_b: bits & 2 != 0,
        accumulate: bits & 4 != 0,
        ..Product::new(m, k, n)
    })
}

fn check<T: Real>(product: &Product, isa: Isa, threads: usize, (from, to): Casts<T>) -> Vec<f64> {
    let mut numbers = Numbers::new(product.m + 100 * product.n + 10_000 * product.k);
    let a = numbers.take(product.m * product.k);
    let b = numbers.take(product.k * product.n);
    let old = if product.accumulate {
        numbers.take(product.m * product.n)
    } else {
        vec![f64::NAN; product.m * product.n]
    };
    let bias = numbers.take(product.n);
    let cast = |values: &[f64]| values.iter().map(|&x| from(x)).collect::<Vec<T>>();
    let mut expected = by_definition(product, &a, &b, &old);
    let tolerance = if size_of::<T>() == 4 { 1e-5 } else { 1e-13 };
    let what = format!("{product:?}, {isa:?}, {threads} threads");
    let (pool, scratch) = (Pool::new(threads).unwrap(), &mut Scratch::new());
    let (a, b) = (cast(&a), cast(&b));
    let mut c = cast(&old);
    multiply(T::kernels(isa), &pool, scratch, product, &a, &b, Epilogue::default(), &mut c).unwrap();
    let result: Vec<f64> = c.into_iter().map(to).collect();
    assert_close(&result, &expected, tolerance, &what);
    for row in expected.chunks_exact_mut(product.n.max(1)) {
        row.iter_mut().zip(&bias).for_each(|(x, &b)| *x = (*x + b).max(0.0));
    }
    let (mut c, bias) = (cast(&old), cast(&bias));
    let epilogue = Epilogue { bias: Some(&bias), relu: true };
    multiply(T::kernels(isa), &pool, scratch, product, &a, &b, epilogue, &mut c).unwrap();
    assert_close(&c.into_iter().map(to).collect::<Vec<_>>(), &expected, tolerance, &what);
    result
}

fn check_all(m: usize, k: usize, n: usize) {
    for isa in all_isas() {
        for product in ways(m, k, n) {
            let single = check::<f32>(&product, isa, 1, (|x| x as f32, f64::from));
            for threads in [2, 3] {
                let several = check::<f32>(&product, isa, threads, (|x| x as f32, f64::from));
                assert_eq!(several, single, "bits with {threads} threads, {product:?}, {isa:?}");
            }
            check::<f64>(&product, isa, 2, (|x| x, |x| x));
        }
    }
}

#[test]
fn random_sizes_match_the_plain_loops() {
    let mut numbers = Numbers::new(3);
    for _ in 0..60 {
        check_all(numbers.below(70) + 1, numbers.below(70) + 1, numbers.below(100) + 1);
    }
}

#[test]
fn sizes_around_the_blocks_are_right() {
    check_all(100, 784, 10);
    check_all(33, 513, 65);
    check_all(300, 70, 33);
    check_all(1, 1025, 300);
    check_all(300, 1030, 1);
    check_all(131, 64, 520);
}

#[test]
fn sizes_of_zero_are_allowed() {
    for (m, k, n) in [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0)] {
        check_all(m, k, n);
    }
}

#[test]
fn relu_keeps_nan() {
    for isa in all_isas() {
        for n in [1, 16, 37] {
            let mut c = vec![0.0; 3 * n];
            let product = Product::new(3, 2, n);
            let epilogue = Epilogue { bias: None, relu: true };
            let (a, b) = (vec![f32::NAN; 6], vec![1.0; 2 * n]);
            multiply(
                kernel::f32_kernels(isa),
                &Pool::single(),
                &mut Scratch::new(),
                &product,
                &a,
                &b,
                epilogue,
                &mut c,
            )
            .unwrap();
            assert!(c.iter().all(|x| x.is_nan()), "{isa:?} {n}");
        }
    }
}

fn check_plain<T: Element + PartialEq + std::fmt::Debug>(from: fn(f64) -> T) {
    let pool = Pool::new(2).unwrap();
    for (m, k, n) in [(5, 7, 70), (40, 33, 32), (1, 1, 1), (0, 2, 3), (2, 0, 3), (2, 3, 0)] {
        for product in ways(m, k, n) {
            // Small whole numbers: every type computes them exactly.
            let mut numbers = Numbers::new(m + k);
            let mut take = |len| (0..len).map(|_| numbers.below(5) as f64 - 2.0).collect::<Vec<f64>>();
            let (a, b, old) = (take(m * k), take(k * n), take(m * n));
            let cast = |values: &[f64]| values.iter().map(|&x| from(x)).collect::<Vec<T>>();
            let expected = cast(&by_definition(&product, &a, &b, &old));
            let mut c = cast(&old);
            matmul(&pool, &mut Scratch::new(), &product, &cast(&a), &cast(&b), &mut c).unwrap();
            assert_eq!(c, expected, "{product:?} of {}", std::any::type_name::<T>());
        }
    }
}

#[test]
fn every_element_type_is_multiplied() {
    check_plain::<f32>(|x| x as f32);
    check_plain::<f64>(|x| x);
    check_plain::<f16>(f16::from_f64);
    check_plain::<bf16>(bf16::from_f64);
    check_plain::<i32>(|x| x as i32);
    check_plain::<i64>(|x| x as i64);
    check_plain::<Complex<f32>>(|x| Complex::new(x as f32, 0.0));
    check_plain::<Complex<f64>>(|x| Complex::new(0.0, 0.0) + x);
}

#[test]
fn complex_numbers_are_multiplied() {
    let i = Complex::new(0.0f32, 1.0);
    let mut c = [Complex::new(5.0, 0.0)];
    matmul(&Pool::single(), &mut Scratch::new(), &Product::new(1, 1, 1), &[i], &[i], &mut c).unwrap();
    assert_eq!(c, [Complex::new(-1.0, 0.0)]);
}

#[test]
fn half_precision_sums_in_single() {
    let (a, b) = (vec![f16::from_f32(1.0); 4096], vec![f16::from_f32(1.0); 4096]);
    let mut c = [f16::ZERO];
    matmul(&Pool::single(), &mut Scratch::new(), &Product::new(1, 4096, 1), &a, &b, &mut c).unwrap();
    assert_eq!(c[0].to_f32(), 4096.0);
}

#[test]
#[should_panic(expected = "elements of b")]
fn a_wrong_length_is_refused() {
    matmul(&Pool::single(), &mut Scratch::new(), &Product::new(1, 2, 1), &[1.0, 2.0], &[1.0f32], &mut [0.0])
        .unwrap();
}
