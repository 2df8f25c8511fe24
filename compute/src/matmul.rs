//! Matrix products of row-major matrices, with the bias and ReLU of a dense layer folded in.

mod blocked;
mod dots;
mod kernel;
mod pack;
mod plain;
mod slim;
#[cfg(test)]
pub(crate) mod tests;
mod vector;

use half::{bf16, f16};
use num_complex::Complex;

use crate::{Isa, OutOfMemory, Pool, Scratch};
pub(crate) use blocked::even_cut;
pub(crate) use kernel::{Kernels, Offset, Rows, Run, Tile};
pub(crate) use pack::Panels;

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

    /// Returns the same sizes with `a` stored as `[k, m]`.
    #[must_use]
    pub const fn transpose_a(self) -> Product {
        Product { transpose_a: true, ..self }
    }

    /// Returns the same sizes with `b` stored as `[n, k]`.
    #[must_use]
    pub const fn transpose_b(self) -> Product {
        Product { transpose_b: true, ..self }
    }

    /// Returns the same product, added to what `c` holds.
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

/// The operations applied to each sum before it is stored, while it is still in a register.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a, T> {
    /// Added to every row: one value per column (per output channel of a convolution).
    pub bias: Option<&'a [T]>,
    /// Replace negative values by zero, after the bias. NaN stays NaN, as in TensorFlow's `Relu`
    /// (though not in the fused kernels that TensorFlow's rewriter may put in its place).
    pub relu: bool,
}

impl<T> Epilogue<'_, T> {
    pub(crate) fn check(&self, columns: usize) {
        if let Some(bias) = self.bias {
            assert_eq!(bias.len(), columns, "elements of the bias");
        }
    }
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
    use super::{Kernels, Product};
    use crate::{Isa, OutOfMemory, Pool, Scratch};

    /// Arithmetic of sums of products.
    pub trait Element: Sized {
        /// The type of the sums.
        type Sum: Copy;
        fn zero() -> Self::Sum;
        fn widen(self) -> Self::Sum;
        fn narrow(sum: Self::Sum) -> Self;
        fn fma(a: Self::Sum, b: Self::Sum, sum: Self::Sum) -> Self::Sum;
        fn add(a: Self::Sum, b: Self::Sum) -> Self::Sum;
        /// The best product there is for the type.
        fn multiply(
            pool: &Pool,
            scratch: &mut Scratch,
            product: &Product,
            a: &[Self],
            b: &[Self],
            c: &mut [Self],
        ) -> Result<(), OutOfMemory>;
    }

    pub trait Real: Element<Sum = Self> {
        #[allow(private_interfaces)] // the trait is sealed by this module's privacy
        fn kernels(isa: Isa) -> &'static Kernels<Self>;
    }
    #[allow(private_interfaces)]
    impl Real for f32 {
        fn kernels(isa: Isa) -> &'static Kernels<f32> {
            super::kernel::f32_kernels(isa)
        }
    }
    #[allow(private_interfaces)]
    impl Real for f64 {
        fn kernels(isa: Isa) -> &'static Kernels<f64> {
            super::kernel::f64_kernels(isa)
        }
    }
}

macro_rules! element {
    ($type:ty, $sum:ty, $zero:expr, |$w:ident| $widen:expr, |$s:ident| $narrow:expr, |$a:ident, $b:ident, $c:ident| $fma:expr, |$x:ident, $y:ident| $add:expr, $multiply:expr) => {
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
            fn multiply(
                pool: &Pool,
                scratch: &mut Scratch,
                product: &Product,
                a: &[$type],
                b: &[$type],
                c: &mut [$type],
            ) -> Result<(), OutOfMemory> {
                $multiply(pool, scratch, product, a, b, c)
            }
        }
    };
}
element!(f32, f32, 0.0, |w| w, |s| s, |a, b, c| a * b + c, |x, y| x + y, tuned);
element!(f64, f64, 0.0, |w| w, |s| s, |a, b, c| a * b + c, |x, y| x + y, tuned);
element!(
    f16,
    f32,
    0.0,
    |w| w.to_f32(),
    |s| f16::from_f32(s),
    |a, b, c| a * b + c,
    |x, y| x + y,
    plain::multiply
);
element!(
    bf16,
    f32,
    0.0,
    |w| w.to_f32(),
    |s| bf16::from_f32(s),
    |a, b, c| a * b + c,
    |x, y| x + y,
    plain::multiply
);
element!(
    i32,
    i32,
    0,
    |w| w,
    |s| s,
    |a, b, c| a.wrapping_mul(b).wrapping_add(c),
    |x, y| x.wrapping_add(y),
    plain::multiply
);
element!(
    i64,
    i64,
    0,
    |w| w,
    |s| s,
    |a, b, c| a.wrapping_mul(b).wrapping_add(c),
    |x, y| x.wrapping_add(y),
    plain::multiply
);
element!(
    Complex<f32>,
    Complex<f32>,
    Complex::new(0.0, 0.0),
    |w| w,
    |s| s,
    |a, b, c| a * b + c,
    |x, y| x + y,
    plain::multiply
);
element!(
    Complex<f64>,
    Complex<f64>,
    Complex::new(0.0, 0.0),
    |w| w,
    |s| s,
    |a, b, c| a * b + c,
    |x, y| x + y,
    plain::multiply
);

/// Multiplies two matrices; see [`Product`] for shapes. `f16` and `bf16` sum in `f32`; integers wrap.
///
/// The same bits come out for any number of threads. `scratch` is used for `f32` and `f64` only.
///
/// # Errors
/// [`OutOfMemory`] when `scratch` is refused what it has to grow by.
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
) -> Result<(), OutOfMemory> {
    product.check(a, b, c);
    T::multiply(pool, scratch, product, a, b, c)
}

/// [`matmul`] with an [`Epilogue`]: `c = relu(a · b + bias)`. With `accumulate`, what `c` holds is
/// added before the bias.
///
/// # Errors
/// As [`matmul`].
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
) -> Result<(), OutOfMemory> {
    product.check(a, b, c);
    epilogue.check(product.n);
    multiply(T::kernels(Isa::current()), pool, scratch, product, a, b, epilogue, c)
}

/// The product by the tuned kernels.
fn tuned<T: Real>(
    pool: &Pool,
    scratch: &mut Scratch,
    product: &Product,
    a: &[T],
    b: &[T],
    c: &mut [T],
) -> Result<(), OutOfMemory> {
    matmul_fused(pool, scratch, product, a, b, Epilogue::default(), c)
}

/// [`matmul_fused`] with given kernels. Lengths are checked by the caller.
#[allow(clippy::too_many_arguments)] // those of the public function and the set to test
pub(crate) fn multiply<T: Real>(
    kernels: &Kernels<T>,
    pool: &Pool,
    scratch: &mut Scratch,
    product: &Product,
    a: &[T],
    b: &[T],
    epilogue: Epilogue<'_, T>,
    c: &mut [T],
) -> Result<(), OutOfMemory> {
    if product.m == 0 || product.n == 0 {
        return Ok(());
    }
    let way = match () {
        () if slim::is_dots(product, kernels) => slim::by_dots,
        () if slim::is_turned(product, kernels) => slim::turned,
        () => blocked::multiply,
    };
    way(kernels, pool, scratch, product, a, b, epilogue, c)
}
