//! Two-dimensional convolutions and their gradients. Images are NHWC, filters HWIO.

use crate::matmul::{Epilogue, Real, finish};
use crate::{Pool, Scratch};

/// The geometry of one convolution. All sizes are in elements; what lies beyond the bottom and the right
/// edge follows from `out_h` and `out_w`.
///
/// Output pixel `(y, x)` sees filter cell `(i, j)` over input pixel
/// `(y * stride_h + i * dilation_h - pad_top, x * stride_w + j * dilation_w - pad_left)`, and zero where
/// that lies outside the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Images.
    pub batch: usize,
    /// Input height.
    pub in_h: usize,
    /// Input width.
    pub in_w: usize,
    /// Input channels.
    pub in_c: usize,
    /// Filter height.
    pub filter_h: usize,
    /// Filter width.
    pub filter_w: usize,
    /// Output channels.
    pub out_c: usize,
    /// Rows from one output pixel to the next; not 0.
    pub stride_h: usize,
    /// Columns from one output pixel to the next; not 0.
    pub stride_w: usize,
    /// Rows from one filter cell to the next; not 0.
    pub dilation_h: usize,
    /// Columns from one filter cell to the next; not 0.
    pub dilation_w: usize,
    /// Rows of zeros above the input.
    pub pad_top: usize,
    /// Columns of zeros left of the input.
    pub pad_left: usize,
    /// Output height.
    pub out_h: usize,
    /// Output width.
    pub out_w: usize,
}

impl ConvShape {
    /// Elements of the input, `[batch, in_h, in_w, in_c]`.
    #[must_use]
    pub const fn input_len(&self) -> usize {
        self.batch * self.in_h * self.in_w * self.in_c
    }

    /// Elements of the filter, `[filter_h, filter_w, in_c, out_c]`.
    #[must_use]
    pub const fn filter_len(&self) -> usize {
        self.filter_h * self.filter_w * self.in_c * self.out_c
    }

    /// Elements of the output, `[batch, out_h, out_w, out_c]`.
    #[must_use]
    pub const fn output_len(&self) -> usize {
        self.batch * self.out_h * self.out_w * self.out_c
    }

    fn check(&self, input: usize, filter: usize, output: usize) {
        assert_eq!(input, self.input_len(), "elements of the input of {self:?}");
        assert_eq!(filter, self.filter_len(), "elements of the filter of {self:?}");
        assert_eq!(output, self.output_len(), "elements of the output of {self:?}");
        let steps = [self.stride_h, self.stride_w, self.dilation_h, self.dilation_w];
        assert!(!steps.contains(&0), "strides and dilations of {self:?} must not be 0");
    }

    /// Calls `work(output pixel, input pixel, filter cell)` for every pair that meets.
    fn pairs(&self, mut work: impl FnMut(usize, usize, usize)) {
        for n in 0..self.batch {
            for oy in 0..self.out_h {
                for ox in 0..self.out_w {
                    for fy in 0..self.filter_h {
                        for fx in 0..self.filter_w {
                            let y = (oy * self.stride_h + fy * self.dilation_h).wrapping_sub(self.pad_top);
                            let x = (ox * self.stride_w + fx * self.dilation_w).wrapping_sub(self.pad_left);
                            if y < self.in_h && x < self.in_w {
                                work(
                                    (n * self.out_h + oy) * self.out_w + ox,
                                    (n * self.in_h + y) * self.in_w + x,
                                    fy * self.filter_w + fx,
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The convolution, `output = relu(input * filter + bias)`; see [`ConvShape`].
///
/// # Panics
/// When a slice has not the length that `shape` gives it (the bias has `out_c` elements), or a stride or
/// dilation is 0.
pub fn forward<T: Real>(
    pool: &Pool,
    scratch: &mut Scratch,
    shape: &ConvShape,
    input: &[T],
    filter: &[T],
    epilogue: Epilogue<'_, T>,
    output: &mut [T],
) {
    shape.check(input.len(), filter.len(), output.len());
    if let Some(bias) = epilogue.bias {
        assert_eq!(bias.len(), shape.out_c, "elements of the bias of {shape:?}");
    }
    let _ = (pool, scratch);
    let (ic, oc) = (shape.in_c, shape.out_c);
    output.fill(T::zero());
    shape.pairs(|o, i, f| {
        let out = &mut output[o * oc..][..oc];
        for (c, &x) in input[i * ic..][..ic].iter().enumerate() {
            out.iter_mut().zip(&filter[(f * ic + c) * oc..]).for_each(|(o, &w)| *o = T::fma(x, w, *o));
        }
    });
    finish(epilogue, oc, output);
}

/// The gradient of the loss with respect to the input, from the one with respect to the output.
///
/// # Panics
/// When a slice has not the length that `shape` gives it, or a stride or dilation is 0.
pub fn input_gradient<T: Real>(
    pool: &Pool,
    scratch: &mut Scratch,
    shape: &ConvShape,
    filter: &[T],
    output_gradient: &[T],
    input_gradient: &mut [T],
) {
    shape.check(input_gradient.len(), filter.len(), output_gradient.len());
    let _ = (pool, scratch);
    let (ic, oc) = (shape.in_c, shape.out_c);
    input_gradient.fill(T::zero());
    shape.pairs(|o, i, f| {
        let out = &output_gradient[o * oc..][..oc];
        for (c, x) in input_gradient[i * ic..][..ic].iter_mut().enumerate() {
            *x = out.iter().zip(&filter[(f * ic + c) * oc..]).fold(*x, |sum, (&o, &w)| T::fma(o, w, sum));
        }
    });
}

/// The gradient of the loss with respect to the filter, from the one with respect to the output.
///
/// # Panics
/// When a slice has not the length that `shape` gives it, or a stride or dilation is 0.
pub fn filter_gradient<T: Real>(
    pool: &Pool,
    scratch: &mut Scratch,
    shape: &ConvShape,
    input: &[T],
    output_gradient: &[T],
    filter_gradient: &mut [T],
) {
    shape.check(input.len(), filter_gradient.len(), output_gradient.len());
    let _ = (pool, scratch);
    let (ic, oc) = (shape.in_c, shape.out_c);
    filter_gradient.fill(T::zero());
    shape.pairs(|o, i, f| {
        let out = &output_gradient[o * oc..][..oc];
        for (c, &x) in input[i * ic..][..ic].iter().enumerate() {
            let row = &mut filter_gradient[(f * ic + c) * oc..][..oc];
            row.iter_mut().zip(out).for_each(|(w, &o)| *w = T::fma(x, o, *w));
        }
    });
}
