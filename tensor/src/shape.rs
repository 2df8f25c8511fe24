//! The shape of a tensor.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
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
#[derive(Clone)]
pub struct Shape(Dims);

/// The highest rank that needs no allocation.
const INLINE: usize = 4;

/// The dimensions. A vector with room inside would serve, but every clone of a tensor clones its shape and every kernel
/// compares some: an array of fixed length is copied and compared in registers, without a call.
#[derive(Clone)]
enum Dims {
    /// Up to [`INLINE`] dimensions. Those after the rank are 0, so that equal shapes have equal arrays.
    Inline { rank: Rank, dims: [usize; INLINE] },
    /// More of them.
    Boxed(Box<[usize]>),
}

/// A rank up to [`INLINE`], in a whole word: copies of a shape read words, and a word of which single bytes were just
/// written would have to wait for the store. The other values of the word tell the variants of [`Dims`] apart.
#[derive(Clone, Copy, PartialEq)]
#[repr(usize)]
enum Rank {
    Zero,
    One,
    Two,
    Three,
    Four,
}

impl Rank {
    /// Returns the rank, or `None` above [`INLINE`].
    #[inline]
    fn new(rank: usize) -> Option<Rank> {
        Some(match rank {
            0 => Rank::Zero,
            1 => Rank::One,
            2 => Rank::Two,
            3 => Rank::Three,
            4 => Rank::Four,
            _ => return None,
        })
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
        Shape(Dims::Inline { rank: Rank::Zero, dims: [0; INLINE] })
    }

    /// Creates a shape from its dimensions.
    #[must_use]
    #[inline]
    pub fn new(dims: &[usize]) -> Shape {
        let Some(rank) = Rank::new(dims.len()) else { return Shape(Dims::Boxed(dims.into())) };
        let mut inline = [0; INLINE];
        inline[..dims.len()].copy_from_slice(dims);
        Shape(Dims::Inline { rank, dims: inline })
    }

    /// Returns the number of dimensions.
    #[must_use]
    #[inline]
    pub fn rank(&self) -> usize {
        self.dims().len()
    }

    /// Returns the size along each dimension.
    ///
    /// ```
    /// assert_eq!(tensor::Shape::from([2, 3]).dims(), [2, 3]);
    /// ```
    #[must_use]
    #[inline]
    pub fn dims(&self) -> &[usize] {
        match &self.0 {
            Dims::Inline { rank, dims } => &dims[..*rank as usize],
            Dims::Boxed(dims) => dims,
        }
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
        let nonzero = self.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim.max(1)))?;
        let elements = if self.contains(&0) { 0 } else { nonzero };
        (nonzero <= isize::MAX as usize).then_some(elements)
    }
}

impl Default for Shape {
    fn default() -> Shape {
        Shape::scalar()
    }
}

impl PartialEq for Shape {
    #[inline]
    fn eq(&self, other: &Shape) -> bool {
        match (&self.0, &other.0) {
            (Dims::Inline { rank, dims }, Dims::Inline { rank: other, dims: others }) => {
                rank == other && dims == others
            }
            _ => self.dims() == other.dims(),
        }
    }
}

impl Eq for Shape {}

impl Hash for Shape {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.dims().hash(state);
    }
}

impl PartialOrd for Shape {
    fn partial_cmp(&self, other: &Shape) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Shape {
    fn cmp(&self, other: &Shape) -> Ordering {
        self.dims().cmp(other.dims())
    }
}

impl Deref for Shape {
    type Target = [usize];
    #[inline]
    fn deref(&self) -> &[usize] {
        self.dims()
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
        match Rank::new(dims.len()) {
            Some(_) => Shape::new(&dims),
            None => Shape(Dims::Boxed(dims.into())),
        }
    }
}

impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Shape {
        shape.clone()
    }
}

impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(dims: I) -> Shape {
        let (mut rank, mut inline) = (0, [0; INLINE]);
        let mut dims = dims.into_iter();
        for dim in dims.by_ref() {
            match inline.get_mut(rank) {
                Some(place) => *place = dim,
                None => return Shape(Dims::Boxed(inline.into_iter().chain([dim]).chain(dims).collect())),
            }
            rank += 1;
        }
        Shape::new(&inline[..rank])
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
        for (i, dim) in self.iter().enumerate() {
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
    fn shapes_of_any_rank_are_built_and_compared() {
        for rank in 0..8 {
            let dims: Vec<usize> = (1..=rank).collect();
            let shape = Shape::new(&dims);
            assert_eq!((shape.dims(), shape.rank()), (dims.as_slice(), rank));
            assert_eq!(Shape::from(dims.clone()), shape);
            let collected: Shape = dims.iter().copied().collect();
            assert_eq!((&collected, &shape.clone()), (&shape, &shape));
            let mut longer = dims.clone();
            longer.push(0);
            assert!(Shape::from(longer) > shape, "a prefix is less");
        }
        assert_ne!(Shape::from([2]), [2, 0]);
        assert_ne!(Shape::new(&[2]), Shape::new(&[2, 0]));
        assert_ne!(Shape::default(), Shape::new(&[0]));
        assert_eq!(size_of::<Shape>(), (INLINE + 1) * size_of::<usize>());
    }

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
