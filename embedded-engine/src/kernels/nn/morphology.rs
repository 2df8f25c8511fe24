//! Grayscale dilation of images: the largest sum of an image and a filter that moves over it, and its
//! gradients.
//!
//! # Semantics
//!
//! `Dilation2D` takes `input` `[n, h, w, c]` and `filter` `[rows, columns, c]` of one real dtype, with
//! `strides`, `rates` and `padding`, and returns `[n, oh, ow, c]`:
//!
//! ```text
//! output[n, y, x, c] = max over (i, j) of input[n, y * stride + i * rate - pad, ...] + filter[i, j, c]
//! ```
//!
//! Padding takes no part, and NaN is passed over. A window without a sum above the least finite number has
//! that number, also if its pixels are minus infinity. `Dilation2DBackpropInput` and `BackpropFilter` take
//! the gradient of the result as a third input. They add each of its elements to the first pair of pixel and
//! filter element that attains the maximum, or to the first pair of a window without such a sum. Integer sums
//! wrap.
//!
//! Shapes that do not fit are `InvalidArgument`. `2 n oh ow rows columns c` operations in one thread, for the
//! gradients as well: they look for the maxima again.
//!
//! ```text
//! image [[1, 2], [3, 4]], filter [[0, 1]], VALID  ->  [[3], [5]]     max(1 + 0, 2 + 1), max(3 + 0, 4 + 1)
//! ```

use super::window::Window;
use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, Result};
use tensor::{Element, Shape};

/// Registers the op types. Both gradients share a kernel.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("Dilation2D", |spec| {
        let window = Window::of_dilation(spec)?;
        for_dtype!(real spec.input_dtype(0), T => Ok(boxed(move |context| dilate::<T>(context, &window))))
    });
    for op_type in ["Dilation2DBackpropInput", "Dilation2DBackpropFilter"] {
        registry.add(op_type, make_gradient);
    }
}

/// Returns the kernel of a gradient, with respect to the image or, if the op type ends with `Filter`, to the
/// filter.
fn make_gradient(spec: &NodeSpec<'_>) -> Result<Box<dyn crate::kernel::Kernel>> {
    let (window, of_filter) = (Window::of_dilation(spec)?, spec.operation.op_type().ends_with("Filter"));
    for_dtype!(real spec.input_dtype(0), T => {
        Ok(boxed(move |context| gradient::<T>(context, &window, of_filter)))
    })
}

/// A number with an order. Integers wrap around, as TensorFlow's do. Floats and integers of all widths.
trait Number: Element + PartialOrd {
    /// The least finite number, the result of a window without pixels.
    const LOWEST: Self;

    /// Adds two numbers; integers wrap.
    fn plus(self, other: Self) -> Self;
}

/// Implements the numbers.
macro_rules! numbers {
    (floats $($type:ty),*) => {$(
        impl Number for $type {
            const LOWEST: Self = <$type>::MIN;

            fn plus(self, other: Self) -> Self {
                self + other
            }
        }
    )*};
    (integers $($type:ty),*) => {$(
        impl Number for $type {
            const LOWEST: Self = <$type>::MIN;

            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
        }
    )*};
}
numbers!(floats f32, f64, tensor::f16, tensor::bf16);
numbers!(integers i8, i16, i32, i64, u8, u16, u32, u64);

/// The sizes of images, filter and result, and the movement of the filter. Pairs are along rows and columns.
struct Geometry {
    /// The number of images.
    batch: usize,
    /// Height and width.
    input: [usize; 2],
    /// The number of channels.
    depth: usize,
    /// The height and width of the filter.
    filter: [usize; 2],
    /// The height and width of the output.
    output: [usize; 2],
    /// The padding above and on the left.
    before: [usize; 2],
    /// The strides.
    strides: [usize; 2],
    /// The distances between the cells of the filter.
    rates: [usize; 2],
}

impl Geometry {
    /// Computes the sizes from the inputs and the window. Inputs 0 and 1 are images and filter, also of the
    /// gradients. Fails if their ranks or depths do not fit, or the window is too large.
    fn of(context: &KernelContext<'_>, window: &Window) -> Result<Geometry> {
        let (input, filter) = (context.input(0).shape(), context.input(1).shape());
        let (&[batch, height, width, depth], &[rows, columns, of_filter]) = (input.dims(), filter.dims())
        else {
            let text = format!("input must be 4-dimensional and filter 3-dimensional: {input} and {filter}");
            return Err(Error::invalid_argument(text));
        };
        if depth != of_filter {
            let text = format!("input and filter must have the same depth: {depth} vs {of_filter}");
            return Err(Error::invalid_argument(text));
        }
        let ((out_h, top), (out_w, left)) =
            (window.along(0, height, rows)?, window.along(1, width, columns)?);
        Ok(Geometry {
            batch,
            input: [height, width],
            depth,
            filter: [rows, columns],
            output: [out_h, out_w],
            before: [top, left],
            strides: window.strides(),
            rates: window.dilations(),
        })
    }

    /// Returns the shape of the output.
    fn result(&self) -> Shape {
        Shape::from([self.batch, self.output[0], self.output[1], self.depth])
    }

    /// Returns the position of the first channel of the pixel that lies under element `[dy, dx]` of the
    /// filter, when the window is at `[y, x]` of the result of image `n`. Returns `None` over the edge.
    fn place(&self, [n, y, x]: [usize; 3], [dy, dx]: [usize; 2]) -> Option<usize> {
        let along = |axis: usize, window: usize, element: usize| {
            let place = element.checked_mul(self.rates[axis])?.checked_add(window * self.strides[axis])?;
            place.checked_sub(self.before[axis]).filter(|&place| place < self.input[axis])
        };
        let (y, x) = (along(0, y, dy)?, along(1, x, dx)?);
        Some(((n * self.input[0] + y) * self.input[1] + x) * self.depth)
    }

    /// Calls `each` with each element of the result, and the first pair of elements of image and filter that
    /// has the largest sum. A pair is the position in the images, the position in the filter, and the sum,
    /// which is at least the least finite number; `None` for a window without pixels. Elements come in
    /// row-major order. Fails if the run is ended.
    fn largest<T: Number>(
        &self,
        context: &KernelContext<'_>,
        each: &mut dyn FnMut(usize, Option<(usize, usize, T)>),
    ) -> Result<()> {
        // A result without channels or columns must not walk a batch of any size.
        if self.result().elements() == 0 {
            return Ok(());
        }
        let (image, filter) = (context.slice::<T>(0)?, context.slice::<T>(1)?);
        let [rows, columns] = self.filter;
        let mut watch = context.watch();
        let mut output = 0;
        for n in 0..self.batch {
            for y in 0..self.output[0] {
                for x in 0..self.output[1] {
                    watch.tick(rows * columns * self.depth)?;
                    for channel in 0..self.depth {
                        let mut best: Option<(usize, usize, T)> = None;
                        for dy in 0..rows {
                            for dx in 0..columns {
                                let Some(place) = self.place([n, y, x], [dy, dx]) else { continue };
                                let element = (dy * columns + dx) * self.depth + channel;
                                let sum = image[place + channel].plus(filter[element]);
                                // Strictly larger, so the first of equal sums stays and NaN replaces none.
                                let most = best.map_or(T::LOWEST, |(_, _, most)| most);
                                if sum > most {
                                    best = Some((place + channel, element, sum));
                                } else if best.is_none() {
                                    best = Some((place + channel, element, T::LOWEST));
                                }
                            }
                        }
                        each(output, best);
                        output += 1;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Delivers the dilation.
fn dilate<T: Number>(context: &mut KernelContext<'_>, window: &Window) -> Result<()> {
    let geometry = Geometry::of(context, window)?;
    context.produce::<T>(0, geometry.result(), |context, output| {
        geometry.largest::<T>(context, &mut |at, best| output[at] = best.map_or(T::LOWEST, |(_, _, sum)| sum))
    })
}

/// Adds each gradient to the element of the image, or of the filter, that the result was taken from. Input 2
/// is the gradient of the result; `of_filter` selects what output 0 is the gradient of.
fn gradient<T: Number>(context: &mut KernelContext<'_>, window: &Window, of_filter: bool) -> Result<()> {
    let geometry = Geometry::of(context, window)?;
    let (expected, found) = (geometry.result(), context.input(2).shape());
    if found != &expected {
        let text = format!("out_backprop must have the shape of the result, {expected}, not {found}");
        return Err(Error::invalid_argument(text));
    }
    let shape = context.input(usize::from(of_filter)).shape().clone();
    context.produce::<T>(0, shape, |context, output| {
        output.fill(T::default());
        let gradients = context.slice::<T>(2)?;
        geometry.largest::<T>(context, &mut |at, best| {
            if let Some((pixel, element, _)) = best {
                let to = if of_filter { element } else { pixel };
                output[to] = output[to].plus(gradients[at]);
            }
        })
    })
}
