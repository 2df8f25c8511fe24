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

/// The sizes of a product `c = a · b`, and the layout of its operands. All matrices are row-major and dense.
///
/// ```
/// use compute::matmul::{Product, matmul};
/// use compute::{Pool, Scratch};
/// // The gradient of a weight, `x^T · dy`, added to what is there.
/// let product = Product::new(2, 3, 1).transpose_a().accumulate();
/// let (x, dy) = ([1.0f32, 4.0, 2.0, 5.0, 3.0, 6.0], [1.0, 1.0, 1.0]);
/// let mut gradient = [100.0, 200.0];
/// matmul(&Pool::single(), &mut Scratch::new(), &product, &x, &dy, &mut gradient)?;
/// assert_eq!(gradient, [106.0, 215.0]);
/// # Ok::<(), compute::OutOfMemory>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// The number of rows of `c`.
    pub m: usize,
    /// The number of columns of `c`.
    pub n: usize,
    /// The length of the sums: the columns of `a` and rows of `b`, after transposition.
    pub k: usize,
    /// True if `a` is stored as `[k, m]` instead of `[m, k]`.
    pub transpose_a: bool,
    /// True if `b` is stored as `[n, k]` instead of `[k, n]`.
    pub transpose_b: bool,
    /// True if the product is added to `c` instead of replacing it.
    pub accumulate: bool,
}

impl Product {
    /// Returns the product `[m, k] · [k, n]`, without transposition, which replaces `c`.
    #[must_use]
    pub const fn new(m: usize, k: usize, n: usize) -> Product {
        Product { m, n, k, transpose_a: false, transpose_b: false, accumulate: false }
    }

    /// Returns the same product with `a` stored as `[k, m]`.
    ///
    /// ```
    /// use compute::matmul::Product;
    /// let product = Product::new(2, 3, 4).transpose_a();
    /// assert!(product.transpose_a && (product.m, product.k, product.n) == (2, 3, 4));
    /// ```
    #[must_use]
    pub const fn transpose_a(self) -> Product {
        Product { transpose_a: true, ..self }
    }

    /// Returns the same product with `b` stored as `[n, k]`.
    #[must_use]
    pub const fn transpose_b(self) -> Product {
        Product { transpose_b: true, ..self }
    }

    /// Returns the same product, which is added to `c`.
    #[must_use]
    pub const fn accumulate(self) -> Product {
        Product { accumulate: true, ..self }
    }

    /// Returns true if each sum is computed in one stretch. [`accumulate`](Self::accumulate) then has the bits of a product and an
    /// addition; a longer sum is cut, and each part is added to `c` by itself.
    ///
    /// ```
    /// use compute::matmul::Product;
    /// assert!(Product::new(384, 32, 1024).transpose_a().is_one_stretch());
    /// assert!(!Product::new(32, 1024, 384).is_one_stretch());
    /// ```
    #[must_use]
    pub const fn is_one_stretch(&self) -> bool {
        self.k <= blocked::depth(self)
    }

    /// Panics if the length of a slice contradicts the product.
    fn check<T>(&self, a: &[T], b: &[T], c: &[T]) {
        assert_eq!(a.len(), self.m * self.k, "elements of a in {self:?}");
        assert_eq!(b.len(), self.k * self.n, "elements of b in {self:?}");
        assert_eq!(c.len(), self.m * self.n, "elements of c in {self:?}");
    }
}

/// The operations on each sum before it is stored, while it is still in a register. Default: none.
///
/// ```
/// use compute::matmul::Epilogue;
/// let none: Epilogue<'_, f32> = Epilogue::default();
/// assert!(none.bias.is_none() && !none.relu);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a, T> {
    /// Added to every row: one value per column (per output channel of a convolution).
    pub bias: Option<&'a [T]>,
    /// True to replace negative values by zero, after the bias. NaN stays NaN, as in TensorFlow's `Relu` (though not in the fused kernels that
    /// TensorFlow's rewriter may substitute).
    pub relu: bool,
}

impl<T> Epilogue<'_, T> {
    /// Panics if the bias does not have one number for each column.
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
        /// Returns the sum of no products.
        fn zero() -> Self::Sum;
        /// Converts an element to the type of the sum.
        fn widen(self) -> Self::Sum;
        /// Rounds a sum to the type of the elements.
        fn narrow(sum: Self::Sum) -> Self;
        /// Adds a product to a sum.
        fn fma(a: Self::Sum, b: Self::Sum, sum: Self::Sum) -> Self::Sum;
        /// Adds two sums.
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

    /// A type with tuned kernels: `f32` or `f64`.
    pub trait Real: Element<Sum = Self> {
        /// Returns the kernels for an instruction set.
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

/// Implements an element type.
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
// `a * b + c` and not `mul_add`: without the instruction that would be a call into the C library.
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

/// Multiplies two matrices; see [`Product`] for the shapes. `f16` and `bf16` are summed in `f32`, integers wrap.
///
/// The result does not depend on the number of threads. Only `f32` and `f64` use `scratch`.
///
/// ```
/// use compute::matmul::{Product, matmul};
/// use compute::{Pool, Scratch};
/// let mut c = [0i32; 2];
/// matmul(&Pool::single(), &mut Scratch::new(), &Product::new(1, 3, 2), &[1, 2, 3], &[1, 2, 3, 4, 5, 6], &mut c)?;
/// assert_eq!(c, [22, 28]);
/// # Ok::<(), compute::OutOfMemory>(())
/// ```
///
/// # Errors
/// [`OutOfMemory`] if `scratch` cannot grow.
///
/// # Panics
/// Panics if the length of a slice contradicts `product`.
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

/// Works as [`matmul`], with an [`Epilogue`]: `c = relu(a · b + bias)`. With `accumulate`, the previous content of `c` is added before the
/// bias.
///
/// ```
/// use compute::matmul::{Epilogue, Product, matmul_fused};
/// use compute::{Pool, Scratch};
/// let mut c = [0.0f32; 2];
/// let epilogue = Epilogue { bias: Some(&[0.5, -100.0]), relu: true };
/// matmul_fused(&Pool::single(), &mut Scratch::new(), &Product::new(1, 1, 2), &[2.0], &[1.0, 3.0], epilogue, &mut c)?;
/// assert_eq!(c, [2.5, 0.0]);
/// # Ok::<(), compute::OutOfMemory>(())
/// ```
///
/// # Errors
/// Those of [`matmul`].
///
/// # Panics
/// Panics if the length of a slice contradicts `product`. The bias has `n` elements.
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
    // Not for `k == 0`: a sum of no products is zero, and must still be stored.
    if product.m == 0 || product.n == 0 {
        return Ok(());
    }
    // The narrow ways first. Each states its own condition, in terms of the product and the kernels only.
    let way = match () {
        () if slim::is_dots(product, kernels) => slim::by_dots,
        () if slim::is_turned(product, kernels) => slim::turned,
        () => blocked::multiply,
    };
    way(kernels, pool, scratch, product, a, b, epilogue, c)
}
