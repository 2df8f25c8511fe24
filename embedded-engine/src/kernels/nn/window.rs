//! The movement of windows over images, for convolutions, pooling, and patches.
//!
//! Along an axis of `size` elements, a window of `k` elements with dilation `d` reaches over
//! `r = (k - 1) d + 1` of them:
//!
//! | padding | output size | padding before |
//! | --- | --- | --- |
//! | `VALID` | `(size - r) / stride + 1` | 0 |
//! | `SAME` | `ceil(size / stride)` | half of what the last window lacks, rounded down |
//! | `EXPLICIT` | that of `VALID` for the padded size | the attribute's |
//!
//! For example, 5 elements with a window of 3 and a stride of 2 give 2 places with `VALID`, and 3 with
//! `SAME`, which pads 1 on both sides.
//!
//! ```text
//! channels [1, 2, 3, 4], filter [1, 1, 2, 2] = [[1, 10], [1, 10]]      -> [1 + 2, 10 * 3 + 10 * 4] = [3, 70]
//! ```
//!
//! The input has twice the channels of the filter, so there are two groups: channels 0 and 1 make output 0,
//! channels 2 and 3 output 1.
//!
//! Errors of this file are `InvalidArgument`, except for NCHW, which is `Unimplemented`. Sizes are checked
//! against overflow, as attributes and inputs may hold any number.

use super::bias::channels_first;
use crate::kernel::{KernelContext, NodeSpec};
use compute::conv::ConvShape;
use compute::pooling::PoolShape;
use session_core::{Code, Error, Result};

/// The movement of a window over an image: `[height, width]` each. Strides and dilations are positive. Only
/// the layout NHWC exists here.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// The sizes of the window for pooling and patches; 0 for a convolution or dilation, whose filter has
    /// them.
    size: [usize; 2],
    /// The strides along rows and columns. At least 1.
    strides: [usize; 2],
    /// The dilations along rows and columns. At least 1; always 1 for pooling.
    dilations: [usize; 2],
    /// The rule for the padding, which depends on the image.
    padding: Padding,
}

/// The kinds of padding.
#[derive(Clone, Debug)]
pub(crate) enum Padding {
    /// No padding: windows lie inside the image. The elements that are left over at the end have no window.
    Valid,
    /// As much padding as makes the output as large as the input, divided by the stride. The odd element of
    /// the padding is at the end.
    Same,
    /// `[before, after]` for height and width. The padding may be larger than the window.
    Explicit([[usize; 2]; 2]),
}

impl Window {
    /// Reads the attributes of a convolution. Fails for NCHW (`Unimplemented`), and for strides over batch or
    /// channels.
    pub(crate) fn of_convolution(spec: &NodeSpec<'_>) -> Result<Window> {
        let explicit = spec.ints("explicit_paddings").unwrap_or_default();
        Ok(Window {
            size: [0, 0],
            strides: spatial(spec, "strides")?,
            dilations: if spec.attr("dilations").is_ok() { spatial(spec, "dilations")? } else { [1, 1] },
            padding: padding(spec, &explicit)?,
        })
    }

    /// Reads the attributes of a pooling. Fails as for a convolution.
    pub(crate) fn of_pooling(spec: &NodeSpec<'_>) -> Result<Window> {
        let explicit = spec.ints("explicit_paddings").unwrap_or_default();
        Ok(Window {
            size: spatial(spec, "ksize")?,
            strides: spatial(spec, "strides")?,
            dilations: [1, 1],
            padding: padding(spec, &explicit)?,
        })
    }

    /// Reads the attributes of an extraction of patches.
    pub(crate) fn of_patches(spec: &NodeSpec<'_>) -> Result<Window> {
        Ok(Window {
            size: spatial(spec, "ksizes")?,
            strides: spatial(spec, "strides")?,
            dilations: spatial(spec, "rates")?,
            padding: padding(spec, &[])?,
        })
    }

    /// Reads the attributes of a dilation.
    pub(crate) fn of_dilation(spec: &NodeSpec<'_>) -> Result<Window> {
        Ok(Window {
            size: [0, 0],
            strides: spatial(spec, "strides")?,
            dilations: spatial(spec, "rates")?,
            padding: padding(spec, &[])?,
        })
    }

    /// Returns a pooling window whose size is input `input` and whose strides are the next. For the V2 forms
    /// of pooling, whose sizes are known only when the step runs.
    pub(crate) fn of_inputs(context: &KernelContext<'_>, input: usize, padding: &Padding) -> Result<Window> {
        Ok(Window {
            size: positive("ksize", &context.ints(input)?)?,
            strides: positive("strides", &context.ints(input + 1)?)?,
            dilations: [1, 1],
            padding: padding.clone(),
        })
    }

    /// Reads the attribute `padding`. The form for op types that have no other attributes of a window.
    /// `EXPLICIT` is an error then.
    pub(crate) fn padding_of(spec: &NodeSpec<'_>) -> Result<Padding> {
        not_channels_first(spec)?;
        padding(spec, &[])
    }

    /// Returns the height and width of the window. Both are 0 for a convolution.
    pub(crate) fn size(&self) -> [usize; 2] {
        self.size
    }

    /// Returns the strides.
    pub(crate) fn strides(&self) -> [usize; 2] {
        self.strides
    }

    /// Returns the dilations.
    pub(crate) fn dilations(&self) -> [usize; 2] {
        self.dilations
    }

    /// Returns the output size and the padding before, along one axis. `axis` is 0 for rows and 1 for
    /// columns, `input` the size of the image and `window` that of the filter. Fails if the window does not
    /// fit.
    ///
    /// ```text
    /// along(0, 5, 3) with stride 2    Valid (2, 0)    Same (3, 1)    Explicit [1, 1] (3, 1)
    /// ```
    pub(crate) fn along(&self, axis: usize, input: usize, window: usize) -> Result<(usize, usize)> {
        let (stride, dilation) = (self.strides[axis], self.dilations[axis]);
        // A window whose reach overflows is larger than any input.
        let reach = if window == 0 { 0 } else { (window - 1).saturating_mul(dilation).saturating_add(1) };
        let sized = |padded: usize| match padded.checked_sub(reach) {
            Some(rest) => Ok(rest / stride + 1),
            None => {
                Err(Error::invalid_argument(format!("a window of {reach} does not fit an input of {padded}")))
            }
        };
        match &self.padding {
            // One element too few makes an empty output, not an error: TensorFlow's formula,
            // `(size - r + stride) / stride`, is 0 then.
            Padding::Valid if input + 1 == reach => Ok((0, 0)),
            Padding::Valid => Ok((sized(input)?, 0)),
            Padding::Explicit(pads) => {
                let padded =
                    input.checked_add(pads[axis][0]).and_then(|size| size.checked_add(pads[axis][1]));
                let padded = padded.ok_or_else(|| {
                    Error::invalid_argument(format!(
                        "paddings {:?} are too large for an input of {input}",
                        pads[axis]
                    ))
                })?;
                Ok((sized(padded)?, pads[axis][0]))
            }
            Padding::Same => {
                let output = input.div_ceil(stride);
                // What the last window reaches beyond the image, or 0 if strides leave gaps.
                let needed = (output.saturating_sub(1) * stride).saturating_add(reach).saturating_sub(input);
                Ok((output, needed / 2))
            }
        }
    }

    /// The geometry of a convolution and the number of its groups: where an input has several times as many
    /// channels as the filter takes, each group of them is convolved by itself, with a part of the filter's
    /// output channels. The geometry is that of one group. `input` and `filter` are shapes. Fails for another
    /// rank than 4, for channels that do not divide into groups, and for a window that does not fit.
    ///
    /// `in_c` and `out_c` of the result are those of one group. A filter without input channels fits only an
    /// input without channels.
    pub(crate) fn convolution(&self, input: &[usize], filter: &[usize]) -> Result<(ConvShape, usize)> {
        let (&[batch, in_h, in_w, in_c], &[filter_h, filter_w, depth, out_c]) = (input, filter) else {
            let text = format!("input and filter must be 4-dimensional: {input:?} and {filter:?}");
            return Err(Error::invalid_argument(text));
        };
        // Equal depths first: both may be 0, for which a quotient does not exist.
        let groups = match in_c.checked_div(depth) {
            _ if in_c == depth => 1,
            Some(groups) if groups > 0 && in_c == groups * depth => groups,
            _ => {
                let text = format!("input depth {in_c} must be evenly divisible by filter depth {depth}");
                return Err(Error::invalid_argument(text));
            }
        };
        if !out_c.is_multiple_of(groups) {
            let text =
                format!("output depth {out_c} must be evenly divisible by the number of groups, {groups}");
            return Err(Error::invalid_argument(text));
        }
        let (out_h, pad_top) = self.along(0, in_h, filter_h)?;
        let (out_w, pad_left) = self.along(1, in_w, filter_w)?;
        let [stride_h, stride_w] = self.strides;
        let [dilation_h, dilation_w] = self.dilations;
        let shape = ConvShape {
            batch,
            in_h,
            in_w,
            in_c: depth,
            filter_h,
            filter_w,
            out_c: out_c / groups,
            stride_h,
            stride_w,
            dilation_h,
            dilation_w,
            pad_top,
            pad_left,
            out_h,
            out_w,
        };
        Ok((shape, groups))
    }

    /// Returns the sizes of a pooling of an input. Fails for another rank than 4, and for a window that does
    /// not fit.
    pub(crate) fn pooling(&self, input: &[usize]) -> Result<PoolShape> {
        let &[batch, in_h, in_w, channels] = input else {
            return Err(Error::invalid_argument(format!("images to pool must be 4-dimensional: {input:?}")));
        };
        let [window_h, window_w] = self.size;
        let [stride_h, stride_w] = self.strides;
        let (out_h, pad_top) = self.along(0, in_h, window_h)?;
        let (out_w, pad_left) = self.along(1, in_w, window_w)?;
        Ok(PoolShape {
            batch,
            in_h,
            in_w,
            channels,
            window_h,
            window_w,
            stride_h,
            stride_w,
            pad_top,
            pad_left,
            out_h,
            out_w,
        })
    }
}

/// Fails for the layout `NCHW`, which the kernels do not have.
fn not_channels_first(spec: &NodeSpec<'_>) -> Result<()> {
    if channels_first(spec) {
        return Err(Error::new(Code::Unimplemented, "the embedded engine wants images as NHWC, not NCHW"));
    }
    Ok(())
}

/// Returns the two numbers of an attribute that concern height and width. Also fails for NCHW.
fn spatial(spec: &NodeSpec<'_>, name: &str) -> Result<[usize; 2]> {
    not_channels_first(spec)?;
    positive(name, &spec.ints(name)?)
}

/// Returns height and width, two of the four numbers of an attribute. `name` is for the message. Those for
/// batch and channels must be 1.
fn positive(name: &str, values: &[i64]) -> Result<[usize; 2]> {
    let positive = |value: i64| usize::try_from(value).ok().filter(|&value| value > 0);
    if values.len() == 4 && values.iter().all(|&value| value > 0) && (values[0] > 1 || values[3] > 1) {
        let text = format!("the embedded engine has no windows over batch or channels: {name} is {values:?}");
        return Err(Error::new(Code::Unimplemented, text));
    }
    match values {
        &[1, h, w, 1] => positive(h).zip(positive(w)).map(|(h, w)| [h, w]),
        _ => None,
    }
    .ok_or_else(|| {
        Error::invalid_argument(format!("{name} must be [1, h, w, 1] with positive h and w: {values:?}"))
    })
}

/// Reads a padding by its name, or from explicit numbers. `explicit` has eight numbers, before and after for
/// each axis; those of batch and channels must be 0.
fn padding(spec: &NodeSpec<'_>, explicit: &[i64]) -> Result<Padding> {
    match spec.str("padding")? {
        "VALID" => Ok(Padding::Valid),
        "SAME" => Ok(Padding::Same),
        "EXPLICIT" => {
            let pads: Option<Vec<usize>> = explicit.iter().map(|&pad| usize::try_from(pad).ok()).collect();
            match pads.as_deref() {
                Some(&[0, 0, top, bottom, left, right, 0, 0]) => {
                    Ok(Padding::Explicit([[top, bottom], [left, right]]))
                }
                _ => {
                    Err(Error::invalid_argument(format!("explicit paddings {explicit:?} are not supported")))
                }
            }
        }
        other => Err(Error::invalid_argument(format!("unknown padding '{other}'"))),
    }
}

/// Returns the dimensions in an input that holds a shape. Fails for negative ones; any number of them is
/// returned.
pub(super) fn sizes(context: &KernelContext<'_>, input: usize) -> Result<Vec<usize>> {
    let sizes = context.ints(input)?;
    let sizes: Option<Vec<usize>> = sizes.iter().map(|&size| usize::try_from(size).ok()).collect();
    sizes.ok_or_else(|| Error::invalid_argument("a negative dimension"))
}
