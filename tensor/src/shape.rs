//! The shape of a tensor.

use smallvec::SmallVec;
use std::fmt;
use std::ops::Deref;

/// The size of a tensor along each dimension, all known. A scalar has no dimensions.
///
/// ```
/// use tensor::Shape;
/// let shape = Shape::from([2, 3]);
/// assert_eq!(shape.rank(), 2);
/// assert_eq!(shape.elements(), 6);
/// assert_eq!(shape.to_string(), "[2,3]");
/// ```
#[derive(PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Shape(SmallVec<[usize; INLINE]>);

/// The highest rank that needs no allocation.
const INLINE: usize = 4;

impl Clone for Shape {
    /// Every clone of a tensor clones its shape. This version copies a few words in registers, whereas the general one clones each
    /// dimension and checks the capacity for each, and a copy of a variable length is a call.
    #[inline]
    fn clone(&self) -> Shape {
        let dims: [usize; INLINE] = match *self.0 {
            [] => [0; INLINE],
            [a] => [a, 0, 0, 0],
            [a, b] => [a, b, 0, 0],
            [a, b, c] => [a, b, c, 0],
            [a, b, c, d] => [a, b, c, d],
            _ => return Shape(self.0.clone()),
        };
        Shape(SmallVec::from_buf_and_len(dims, self.0.len()))
    }
}

impl Shape {
    /// Returns the shape of a scalar.
    ///
    /// ```
    /// assert_eq!(tensor::Shape::scalar().elements(), 1);
    /// ```
    #[must_use]
    pub const fn scalar() -> Shape {
        Shape(SmallVec::new_const())
    }

    /// Creates a shape from its dimensions.
    #[must_use]
    #[inline]
    pub fn new(dims: &[usize]) -> Shape {
        Shape(SmallVec::from_slice(dims))
    }

    /// Returns the number of dimensions.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// Returns the size along each dimension.
    ///
    /// ```
    /// assert_eq!(tensor::Shape::from([2, 3]).dims(), [2, 3]);
    /// ```
    #[must_use]
    #[inline]
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// Returns the product of all dimensions: 1 for a scalar. A product over `usize::MAX`, which no tensor in
    /// memory has, saturates.
    ///
    /// ```
    /// use tensor::Shape;
    /// assert_eq!(Shape::from([2, 3]).elements(), 6);
    /// assert_eq!(Shape::from([2, 0]).elements(), 0);
    /// ```
    #[must_use]
    #[inline]
    pub fn elements(&self) -> usize {
        self.checked_elements().unwrap_or(usize::MAX)
    }

    /// Returns the product of all dimensions, or `None` if that of the dimensions other than 0 exceeds `isize::MAX`. No tensor
    /// has such a shape, not even one without elements, so the product of any dimensions of a tensor fits a `usize`.
    ///
    /// ```
    /// use tensor::Shape;
    /// assert_eq!(Shape::from([usize::MAX, 2]).checked_elements(), None);
    /// assert_eq!(Shape::from([1 << 40, 0]).checked_elements(), Some(0));
    /// assert_eq!(Shape::from([1 << 40, 1 << 40, 0]).checked_elements(), None);
    /// ```
    #[must_use]
    #[inline]
    pub fn checked_elements(&self) -> Option<usize> {
        let nonzero = self.0.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim.max(1)))?;
        let elements = if self.0.contains(&0) { 0 } else { nonzero };
        (nonzero <= isize::MAX as usize).then_some(elements)
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Shape {
        Shape::new(dims)
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Shape {
        Shape::new(&dims)
    }
}

impl<const N: usize> From<&[usize; N]> for Shape {
    fn from(dims: &[usize; N]) -> Shape {
        Shape::new(dims)
    }
}

impl From<Vec<usize>> for Shape {
    fn from(dims: Vec<usize>) -> Shape {
        Shape(SmallVec::from_vec(dims))
    }
}

impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Shape {
        shape.clone()
    }
}

impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(dims: I) -> Shape {
        Shape(dims.into_iter().collect())
    }
}

impl PartialEq<[usize]> for Shape {
    fn eq(&self, other: &[usize]) -> bool {
        self.dims() == other
    }
}

impl<const N: usize> PartialEq<[usize; N]> for Shape {
    fn eq(&self, other: &[usize; N]) -> bool {
        self.dims() == other
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, dim) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{dim}")?;
        }
        f.write_str("]")
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_counted() {
        assert_eq!(Shape::scalar().elements(), 1);
        assert_eq!(Shape::from([0, isize::MAX as usize, 1]).checked_elements(), Some(0));
        assert_eq!(Shape::from([0, usize::MAX]).checked_elements(), None);
        for shape in [[1 << 40, 1 << 40, 0], [1 << 40, 0, 1 << 40], [0, 1 << 40, 1 << 40]] {
            assert_eq!(Shape::from(shape).checked_elements(), None);
        }
        assert_eq!(Shape::from([usize::MAX, 2]).checked_elements(), None);
        assert_eq!(Shape::from([usize::MAX, 2]).elements(), usize::MAX);
        assert_eq!(Shape::from([4, 5, 6, 7, 8]).elements(), 6720);
    }
}
