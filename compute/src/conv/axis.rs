//! The source coordinates that a destination coordinate sums over, along one axis.
//!
//! Rows and columns of an image are treated alike, and so are the convolution and its transpose: only the formula
//! that maps a destination and a tap to a source differs. Everything that depends on strides, dilations and padding
//! is decided here, before any element is read.

use super::ConvShape;

/// The direction in which a filter is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// The convolution itself: from the input to the output.
    Forward,
    /// Its gradient: from the gradient of the output to that of the input.
    Backward,
}

/// One axis of a convolution or of its transpose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    /// The direction, which decides which of the two sides is read.
    pub(super) direction: Direction,
    /// Size of the side that is read.
    pub(super) source: usize,
    /// Size of the side that is written.
    pub(super) destination: usize,
    /// The size of the filter along the axis.
    pub(super) taps: usize,
    /// The distance between two neighboring windows in the input.
    pub(super) stride: usize,
    /// The distance between two neighboring taps in the input.
    pub(super) dilation: usize,
    /// The number of zeros before the first input element.
    pub(super) pad: usize,
}

/// Destination coordinates `first, first + step, ..` that sum over the same taps, each at sources that
/// are `shift` further than those of the coordinate before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The first destination coordinate.
    pub(crate) first: usize,
    /// The distance between two coordinates of the span: 1 in a convolution, the stride in its transpose.
    pub(crate) step: usize,
    /// The number of coordinates.
    pub(crate) count: usize,
    /// The distance between the sources of two neighboring coordinates of the span.
    pub(crate) shift: usize,
    /// The additional offset of the sources of `first` relative to those listed.
    pub(crate) base: usize,
    /// The part of a table that lists the taps.
    pub(crate) list: (usize, usize),
}

impl Span {
    /// `count` coordinates from the `start`th on.
    pub(super) fn part(&self, start: usize, count: usize) -> Span {
        Span { first: self.first + start * self.step, base: self.base + start * self.shift, count, ..*self }
    }
}

impl Axis {
    /// Describes the rows of a convolution.
    pub(super) fn vertical(shape: &ConvShape, direction: Direction) -> Axis {
        let (source, destination) = match direction {
            Direction::Forward => (shape.in_h, shape.out_h),
            Direction::Backward => (shape.out_h, shape.in_h),
        };
        let (taps, stride, dilation) = (shape.filter_h, shape.stride_h, shape.dilation_h);
        Axis { direction, source, destination, taps, stride, dilation, pad: shape.pad_top }
    }

    /// Describes the columns of a convolution.
    pub(super) fn horizontal(shape: &ConvShape, direction: Direction) -> Axis {
        let (source, destination) = match direction {
            Direction::Forward => (shape.in_w, shape.out_w),
            Direction::Backward => (shape.out_w, shape.in_w),
        };
        let (taps, stride, dilation) = (shape.filter_w, shape.stride_w, shape.dilation_w);
        Axis { direction, source, destination, taps, stride, dilation, pad: shape.pad_left }
    }

    /// Returns the source that `tap` contributes to `destination`, if it is not padding.
    pub(super) fn source_of(&self, destination: usize, tap: usize) -> Option<usize> {
        let source = match self.direction {
            Direction::Forward => (destination * self.stride + tap * self.dilation).checked_sub(self.pad)?,
            Direction::Backward => {
                let scaled = (destination + self.pad).checked_sub(tap * self.dilation)?;
                // In the transpose, only every `stride`th coordinate has a source for this tap. Inserting
                // zeros in between, as the textbook does, would multiply by them.
                if scaled % self.stride != 0 {
                    return None;
                }
                scaled / self.stride
            }
        };
        (source < self.source).then_some(source)
    }

    /// The taps in the order in which neighbors in the source follow each other: backward, those of one
    /// residue of the stride together, from the last to the first.
    pub(super) fn tap_order(&self, order: &mut Vec<usize>) {
        order.clear();
        order.extend(0..self.taps);
        if self.direction == Direction::Backward {
            // Keys differ, since the tap is part of them: an unstable sort gives one order.
            order.sort_unstable_by_key(|&tap| (tap * self.dilation % self.stride, std::cmp::Reverse(tap)));
        }
    }

    /// Cuts the destinations into spans and has `list` append the taps of each span's first coordinate
    /// to its table and return the part.
    pub(super) fn spans(&self, spans: &mut Vec<Span>, mut list: impl FnMut(usize) -> (usize, usize)) {
        let (step, shift) = match self.direction {
            Direction::Forward => (1, self.stride),
            Direction::Backward => (self.stride, 1),
        };
        spans.clear();
        // Coordinates of one residue of the stride have the same taps away from the borders, so each residue
        // gets spans of its own.
        for phase in 0..step.min(self.destination) {
            let mut first = phase;
            while first < self.destination {
                // All taps are compared for each coordinate, which takes about as long as one row of one
                // image.
                let same = |&at: &usize| (0..self.taps).all(|tap| self.agree(first, at, tap));
                let count = (first..self.destination).step_by(step).take_while(same).count();
                spans.push(Span { first, step, count, shift, base: 0, list: list(first) });
                first += count * step;
            }
        }
    }

    /// Returns true if two destinations both have `tap` or both have not.
    fn agree(&self, a: usize, b: usize, tap: usize) -> bool {
        self.source_of(a, tap).is_some() == self.source_of(b, tap).is_some()
    }
}
