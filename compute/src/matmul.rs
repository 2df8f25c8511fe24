//! Matrix products of row-major matrices, with the bias and ReLU of a dense layer folded in.

use half::{bf16, f16};
use num_complex::Complex;

use crate::{Pool, Scratch};

/// The sizes of one product `c = a · b` and how its operands lie in memory. All matrices are row-major
/// and dense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// Rows of `c`.
    pub m: usize,
    /// Columns of `c`.
    pub n: usize,
    /// Length of the sums: columns of `a` and rows of `b`, as they enter the product.
    pub k: usize,
    /// `a` is stored as `[k, m]` instead of `[m, k]`.
    pub transpose_a: bool,
    /// `b` is stored as `[n, k]` instead of `[k, n]`.
    pub transpose_b: bool,
    /// Add the product to what `c` holds instead of replacing it.
    pub accumulate: bool,
}

impl Product {
    /// `[m, k] · [k, n]`, nothing transposed, replacing what `c` holds.
    #[must_use]
    pub const fn new(m: usize, k: usize, n: usize) -> Product {
        Product { m, n, k, transpose_a: false, transpose_b: false, accumulate: false }
    }

    /// The same sizes with `a` stored as `[k, m]`.
    #[must_use]
    pub const fn transpose_a(self) -> Product {
        Product { transpose_a: true, ..self }
    }

    /// The same sizes with `b` stored as `[n, k]`.
    #[must_use]
    pub const fn transpose_b(self) -> Product {
        Product { transpose_b: true, ..self }
    }

    /// The same product, added to what `c` holds.
    #[must_use]
    pub const fn accumulate(self) -> Product {
        Product { accumulate: true, ..self }
    }

    fn check<T>(&self, a: &[T], b: &[T], c: &[T]) {
        assert_eq!(a.len(), self.m * self.k, "elements of a in {self:?}");
        assert_eq!(b.len(), self.k * self.n, "elements of b in {self:?}");
        assert_eq!(c.len(), self.m * self.n, "elements of c in {self:?}");
    }
}

/// What is done to every sum before it is stored, while it is still in a register.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a, T> {
    /// Added to every row: one value per column (per output channel of a convolution).
    pub bias: Option<&'a [T]>,
    /// Replace negative values by zero, after the bias. NaN stays NaN, as in TensorFlow's `Relu`
    /// (though not in the fused kernels that TensorFlow's rewriter may put in its place).
    pub relu: bool,
}

impl<T> Default for Epilogue<'_, T> {
    fn default() -> Self {
        Epilogue { bias: None, relu: false }
    }
}

/// A type whose matrices can be multiplied. Sealed.
pub trait Element: Copy + Send + Sync + sealed::Element + 'static {}

/// A floating-point type with tuned kernels: `f32` and `f64`. Sealed.
pub trait Real: Element + PartialOrd + sealed::Real {}

impl<T: sealed::Element + Copy + Send + Sync + 'static> Element for T {}
impl Real for f32 {}
impl Real for f64 {}

mod sealed {
    /// Arithmetic of sums of products.
    pub trait Element: Sized {
        /// What sums are kept in.
        type Sum: Copy;
        fn zero() -> Self::Sum;
        fn widen(self) -> Self::Sum;
        fn narrow(sum: Self::Sum) -> Self;
        fn fma(a: Self::Sum, b: Self::Sum, sum: Self::Sum) -> Self::Sum;
        fn add(a: Self::Sum, b: Self::Sum) -> Self::Sum;
    }
    pub trait Real: Element<Sum = Self> {}
    impl Real for f32 {}
    impl Real for f64 {}
}

macro_rules! element {
    ($type:ty, $sum:ty, $zero:expr, |$w:ident| $widen:expr, |$s:ident| $narrow:expr, |$a:ident, $b:ident, $c:ident| $fma:expr, |$x:ident, $y:ident| $add:expr) => {
        impl sealed::Element for $type {
            type Sum = $sum;
            #[inline(always)]
            fn zero() -> $sum {
                $zero
            }
            #[inline(always)]
            fn widen(self) -> $sum {
                let $w = self;
                $widen
            }
            #[inline(always)]
            fn narrow($s: $sum) -> $type {
                $narrow
            }
            #[inline(always)]
            fn fma($a: $sum, $b: $sum, $c: $sum) -> $sum {
                $fma
            }
            #[inline(always)]
            fn add($x: $sum, $y: $sum) -> $sum {
                $add
            }
        }
    };
}
element!(f32, f32, 0.0, |w| w, |s| s, |a, b, c| a * b + c, |x, y| x + y);
element!(f64, f64, 0.0, |w| w, |s| s, |a, b, c| a * b + c, |x, y| x + y);
element!(f16, f32, 0.0, |w| w.to_f32(), |s| f16::from_f32(s), |a, b, c| a * b + c, |x, y| x + y);
element!(bf16, f32, 0.0, |w| w.to_f32(), |s| bf16::from_f32(s), |a, b, c| a * b + c, |x, y| x + y);
element!(i32, i32, 0, |w| w, |s| s, |a, b, c| a.wrapping_mul(b).wrapping_add(c), |x, y| x.wrapping_add(y));
element!(i64, i64, 0, |w| w, |s| s, |a, b, c| a.wrapping_mul(b).wrapping_add(c), |x, y| x.wrapping_add(y));
element!(Complex<f32>, Complex<f32>, Complex::new(0.0, 0.0), |w| w, |s| s, |a, b, c| a * b + c, |x, y| x + y);
element!(Complex<f64>, Complex<f64>, Complex::new(0.0, 0.0), |w| w, |s| s, |a, b, c| a * b + c, |x, y| x + y);

/// Multiplies two matrices; see [`Product`] for shapes. `f16` and `bf16` sum in `f32`; integers wrap.
///
/// # Panics
/// When a slice has not the length that `product` gives it.
pub fn matmul<T: Element>(
    pool: &Pool,
    scratch: &mut Scratch,
    product: &Product,
    a: &[T],
    b: &[T],
    c: &mut [T],
) {
    product.check(a, b, c);
    let _ = (pool, scratch);
    plain(product, a, b, c);
}

/// [`matmul`] with an [`Epilogue`]: `c = relu(a · b + bias)`. With `accumulate`, what `c` holds is
/// added before the bias.
///
/// # Panics
/// When a slice has not the length that `product` gives it; the bias has `n` elements.
pub fn matmul_fused<T: Real>(
    pool: &Pool,
    scratch: &mut Scratch,
    product: &Product,
    a: &[T],
    b: &[T],
    epilogue: Epilogue<'_, T>,
    c: &mut [T],
) {
    if let Some(bias) = epilogue.bias {
        assert_eq!(bias.len(), product.n, "elements of the bias in {product:?}");
    }
    matmul(pool, scratch, product, a, b, c);
    finish(epilogue, product.n, c);
}

/// Applies `epilogue` to rows of `n`.
pub(crate) fn finish<T: Real>(epilogue: Epilogue<'_, T>, n: usize, c: &mut [T]) {
    if n == 0 {
        return;
    }
    for row in c.chunks_exact_mut(n) {
        if let Some(bias) = epilogue.bias {
            row.iter_mut().zip(bias).for_each(|(x, &b)| *x = T::add(*x, b));
        }
        if epilogue.relu {
            row.iter_mut().filter(|x| **x < T::zero()).for_each(|x| *x = T::zero());
        }
    }
}

/// The product by loops, for the types without a tuned kernel.
fn plain<T: Element>(product: &Product, a: &[T], b: &[T], c: &mut [T]) {
    let Product { m, n, k, .. } = *product;
    for i in 0..m {
        for j in 0..n {
            let sum = (0..k).fold(T::zero(), |sum, p| {
                let a = if product.transpose_a { a[p * m + i] } else { a[i * k + p] };
                let b = if product.transpose_b { b[j * k + p] } else { b[p * n + j] };
                T::fma(a.widen(), b.widen(), sum)
            });
            let old = if product.accumulate { c[i * n + j].widen() } else { T::zero() };
            c[i * n + j] = T::narrow(T::add(old, sum));
        }
    }
}
